//! What the tests of the executor and of the commands have in common.

use std::sync::{Mutex, PoisonError};

use crate::event::{Event, EventSink};

/// Keeps what is told, a line each.
#[derive(Debug, Default)]
pub(super) struct Recorder(Mutex<Vec<String>>);

impl Recorder {
    /// What was told since the last time.
    pub(super) fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl EventSink for Recorder {
    fn emit(&self, event: Event) {
        let line = match event {
            Event::Started { resource, action } => format!("{} {action}", resource.name),
            Event::Done { resource, outcome } => format!("{} {outcome}", resource.name),
            Event::Failed { resource, message } => format!("{} failed: {message}", resource.name),
            Event::Warning { message } => format!("warning: {message}"),
            Event::Build { step, news } => format!("#{step} {news:?}"),
            Event::MadeRoom { steps, images, .. } => format!("gone: {steps}, {images}"),
            Event::Watch(news) => format!("watch: {}", news.message),
            Event::Note { message } => format!("note: {message}"),
            Event::Progress { .. } => return,
        };
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(line);
    }
}

/// The part of a [`Backend`](super::backend::Backend) in which the fakes are
/// alike: it keeps the lock in a field `lock`, has nothing to tell, and a
/// replacement is a removal.
macro_rules! alike {
    () => {
        fn hold(&self, lock: Lock) {
            *self.lock.lock().unwrap() = Some(lock);
        }
        fn let_go(&self) {
            *self.lock.lock().unwrap() = None;
        }
        fn give_up(&self) {
            self.let_go();
        }
        async fn attend(&self) -> Result<Vec<String>, BackendError> {
            Ok(Vec::new())
        }
        async fn lost_networks(
            &self,
            _known: &BTreeMap<String, NetworkRecord>,
        ) -> Result<BTreeSet<String>, BackendError> {
            Ok(BTreeSet::new())
        }
        async fn replace(
            &self,
            id: &ContainerId,
            volumes: bool,
            _successor: &ContainerRecord,
        ) -> Result<(), BackendError> {
            self.remove(id, volumes).await
        }
    };
}
pub(super) use alike;
