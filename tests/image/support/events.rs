//! A sink that keeps what it is told.

use std::sync::Mutex;

use skiff::event::{Event, EventSink};

/// All events, in order.
#[derive(Default)]
pub(crate) struct Recorder(Mutex<Vec<Event>>);

impl EventSink for Recorder {
    fn emit(&self, event: Event) {
        self.0.lock().unwrap().push(event);
    }
}

impl Recorder {
    /// What was told so far.
    pub(crate) fn events(&self) -> Vec<Event> {
        self.0.lock().unwrap().clone()
    }

    /// The texts of all warnings.
    pub(crate) fn warnings(&self) -> Vec<String> {
        self.events()
            .into_iter()
            .filter_map(|event| {
                if let Event::Warning { message } = event {
                    Some(message)
                } else {
                    None
                }
            })
            .collect()
    }

    /// How many times something ended so.
    pub(crate) fn outcomes(&self, wanted: &str) -> usize {
        self.events()
            .iter()
            .filter(|event| matches!(event, Event::Done { outcome, .. } if *outcome == wanted))
            .count()
    }
}
