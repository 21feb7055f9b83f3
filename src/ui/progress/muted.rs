//! Progress without some of its parts: `--quiet-pull`, `--quiet-build`.

use std::io;
use std::sync::Arc;

use super::Console;
use crate::event::{Event, EventSink, ResourceKind};

/// What is not shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Quiet {
    /// Images that are pulled, and their layers.
    pub pulls: bool,
    /// Builds and their steps.
    pub builds: bool,
}

impl Quiet {
    fn mutes(self, event: &Event) -> bool {
        match event {
            Event::Build { .. } => self.builds,
            Event::Started { resource, action } => self.hides(resource.kind, *action == "Building"),
            Event::Done { resource, outcome } => self.hides(resource.kind, *outcome == "Built"),
            Event::Progress { resource, .. } => self.hides(resource.kind, false),
            // What went wrong is told in any case.
            Event::Failed { .. }
            | Event::MadeRoom { .. }
            | Event::Watch(_)
            | Event::Note { .. }
            | Event::Warning { .. } => false,
        }
    }

    fn hides(self, kind: ResourceKind, is_build: bool) -> bool {
        match kind {
            ResourceKind::Image | ResourceKind::Layer if is_build => self.builds,
            ResourceKind::Image | ResourceKind::Layer => self.pulls,
            ResourceKind::Step => self.builds,
            ResourceKind::Network | ResourceKind::Volume | ResourceKind::Container => false,
        }
    }
}

/// Shows the rest on another console.
pub(super) struct Muted {
    pub(super) console: Arc<dyn Console>,
    pub(super) quiet: Quiet,
}

impl EventSink for Muted {
    fn emit(&self, event: Event) {
        if !self.quiet.mutes(&event) {
            self.console.emit(event);
        }
    }
}

impl Console for Muted {
    fn beside(&self, write: &mut dyn FnMut() -> io::Result<()>) -> io::Result<()> {
        self.console.beside(write)
    }

    fn footer(&self, text: Option<&str>) {
        self.console.footer(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{BuildNews, Resource};

    #[test]
    fn each_part_is_muted_by_itself() {
        let resource = |kind| Resource {
            kind,
            name: "x".to_owned(),
        };
        let started = |kind, action| Event::Started {
            resource: resource(kind),
            action,
        };
        let step = Event::Build {
            step: 1,
            news: BuildNews::Cached,
        };
        let failed = Event::Failed {
            resource: resource(ResourceKind::Image),
            message: String::new(),
        };
        let events = [
            started(ResourceKind::Image, "Pulling"),
            started(ResourceKind::Image, "Building"),
            step,
            started(ResourceKind::Container, "Creating"),
            failed,
        ];
        let shown = |pulls, builds| {
            let quiet = Quiet { pulls, builds };
            events.each_ref().map(|event| !quiet.mutes(event))
        };
        assert_eq!(shown(false, false), [true; 5]);
        assert_eq!(shown(true, false), [false, true, true, true, true]);
        assert_eq!(shown(false, true), [true, false, false, true, true]);
    }
}
