//! One line for each change, for pipes and log files.

use crate::event::{Event, EventSink, ResourceKind};
use crate::ui::{Ui, write_err};

/// Prints ` Container shop-web-1  Started`, as `docker compose` does.
#[derive(Debug)]
pub(super) struct Plain {
    ui: Ui,
    all: bool,
}

impl Plain {
    pub(super) fn new(ui: Ui) -> Self {
        Self { ui, all: true }
    }

    pub(super) fn warnings_only(ui: Ui) -> Self {
        Self { ui, all: false }
    }
}

impl EventSink for Plain {
    fn emit(&self, event: Event) {
        match event {
            Event::Warning { message } => self.ui.warn(&message),
            _ if !self.all => {}
            Event::Note { message } => self.ui.note(&message),
            Event::Started { resource, action } => line(resource.kind, &resource.name, action),
            Event::Done { resource, outcome } => line(resource.kind, &resource.name, outcome),
            // Why is told once, at the end, with all that belongs to it.
            Event::Failed { resource, .. } => line(resource.kind, &resource.name, "Error"),
            // A pipe has no use for bytes as they come.
            Event::Progress { .. } => {}
        }
    }
}

fn line(kind: ResourceKind, name: &str, status: &str) {
    match kind {
        ResourceKind::Image | ResourceKind::Layer => write_err(&format!(" {name} {status}\n")),
        ResourceKind::Network | ResourceKind::Volume | ResourceKind::Container => {
            write_err(&format!(" {kind} {name}  {status}\n"));
        }
    }
}
