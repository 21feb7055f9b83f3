//! What is told of an image that comes or goes, and how far each layer is, not too often.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::digest::Digest;
use super::error::ImageError;
use crate::event::{Event, EventSink, Resource, ResourceKind};

/// Progress is told no more often than this for a layer.
pub(super) const PERIOD: Duration = Duration::from_millis(100);

/// An image of which something is to be done, from its beginning to its end.
pub(super) struct Told<'a> {
    events: &'a dyn EventSink,
    resource: Resource,
}

impl<'a> Told<'a> {
    /// Tells the beginning; `action` is what is done.
    pub(super) fn begin(events: &'a dyn EventSink, name: String, action: &'static str) -> Self {
        let resource = Resource {
            kind: ResourceKind::Image,
            name,
        };
        events.emit(Event::Started {
            resource: resource.clone(),
            action,
        });
        Self { events, resource }
    }

    /// Tells what came of it.
    pub(super) fn end<T>(self, result: &Result<T, ImageError>, outcome: &'static str) {
        let resource = self.resource;
        self.events.emit(match result {
            Ok(_) => Event::Done { resource, outcome },
            Err(error) => Event::Failed {
                resource,
                message: error.to_string(),
            },
        });
    }
}

/// The progress of one layer.
pub(super) struct Progress<'a> {
    events: &'a dyn EventSink,
    action: &'static str,
    name: String,
    total: u64,
    /// When it was told last, and what.
    told: Mutex<Option<(Instant, u64)>>,
}

impl<'a> Progress<'a> {
    /// Of so many bytes; `action` is what is done with them.
    pub(super) fn new(
        events: &'a dyn EventSink,
        action: &'static str,
        layer: &Digest,
        total: u64,
    ) -> Self {
        Self {
            events,
            action,
            name: layer.short().to_owned(),
            total,
            told: Mutex::new(None),
        }
    }

    /// Tells how far it is, unless that was told a moment ago.
    pub(super) fn at(&self, current: u64) {
        let now = Instant::now();
        {
            let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
            let recently = told.is_some_and(|(last, _)| now.duration_since(last) < PERIOD);
            if recently && current < self.total {
                return;
            }
            *told = Some((now, current));
        }
        self.turn_to(self.action, current);
    }

    /// Tells what was held back.
    pub(super) fn catch_up(&self, current: u64) {
        let last = *self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if last.is_some_and(|(_, told)| told != current) {
            self.at(current);
        }
    }

    /// Tells what is done with it now.
    pub(super) fn turn_to(&self, action: &'static str, current: u64) {
        self.events.emit(Event::Progress {
            resource: self.resource(),
            action,
            current,
            total: Some(self.total),
        });
    }

    /// Tells its end.
    pub(super) fn done(&self, outcome: &'static str) {
        self.events.emit(Event::Done {
            resource: self.resource(),
            outcome,
        });
    }

    /// Tells that nothing comes of it.
    pub(super) fn failed(&self, error: &ImageError) {
        self.events.emit(Event::Failed {
            resource: self.resource(),
            message: error.to_string(),
        });
    }

    fn resource(&self) -> Resource {
        Resource {
            kind: ResourceKind::Layer,
            name: self.name.clone(),
        }
    }
}
