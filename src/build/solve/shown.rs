//! A step of a build as it is told.

use std::sync::atomic::Ordering;
use std::time::Instant;

use super::builder::Builder;
use super::error::BuildError;
use crate::event::{BuildNews, Event, EventSink};

/// A step as it is shown. One that is dropped before its end was cancelled.
pub(super) struct Shown<'a> {
    sink: &'a dyn EventSink,
    pub(super) number: u32,
    pub(super) began: Instant,
    ended: bool,
}

impl<'a> Shown<'a> {
    pub(super) fn begin(builder: &Builder<'a>, name: &str) -> Self {
        let shown = Self {
            sink: builder.sink,
            number: builder.shown.fetch_add(1, Ordering::Relaxed) + 1,
            began: Instant::now(),
            ended: false,
        };
        shown.emit(BuildNews::Named {
            name: name.to_owned(),
        });
        shown
    }

    pub(super) fn emit(&self, news: BuildNews) {
        self.sink.emit(Event::Build {
            step: self.number,
            news,
        });
    }

    pub(super) fn done(mut self) {
        self.ended = true;
        let elapsed = self.began.elapsed();
        self.emit(BuildNews::Done { elapsed });
    }

    pub(super) fn cached(mut self) {
        self.ended = true;
        self.emit(BuildNews::Cached);
    }

    pub(super) fn failed(self, error: &BuildError) {
        self.failed_for(&error.to_string());
    }

    pub(super) fn failed_for(mut self, reason: &str) {
        self.ended = true;
        self.emit(BuildNews::Failed {
            message: reason.to_owned(),
        });
    }
}

impl Drop for Shown<'_> {
    fn drop(&mut self) {
        if !self.ended {
            self.emit(BuildNews::Canceled);
        }
    }
}
