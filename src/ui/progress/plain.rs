//! One line for each change, for pipes and log files.

use std::sync::{Mutex, PoisonError};

use super::build::BuildLog;
use super::{made_room, watch};
use crate::event::{Event, EventSink, Resource, ResourceKind};
use crate::ui::Ui;

/// Prints ` Container shop-web-1  Started`, as `docker compose` does.
#[derive(Debug)]
pub(super) struct Plain {
    ui: Ui,
    all: bool,
    build: Mutex<BuildLog>,
}

impl Plain {
    pub(super) fn new(ui: Ui) -> Self {
        Self {
            ui,
            all: true,
            build: Mutex::default(),
        }
    }

    pub(super) fn warnings_only(ui: Ui) -> Self {
        Self {
            all: false,
            ..Self::new(ui)
        }
    }
}

impl EventSink for Plain {
    fn emit(&self, event: Event) {
        match event {
            Event::Warning { message } => self.ui.warn(&message),
            _ if !self.all => {}
            Event::MadeRoom {
                steps,
                folders,
                images,
                bytes,
                budget,
            } => self
                .ui
                .note(&made_room([steps, folders, images], bytes, budget)),
            Event::Watch(news) => self.ui.status.write(&format!("{}\n", watch(&news))),
            Event::Note { message } => self.ui.note(&message),
            Event::Started { resource, action } => self.line(&resource, action),
            Event::Done { resource, outcome } => self.line(&resource, outcome),
            // Why is told once, at the end, with all that belongs to it.
            Event::Failed { resource, .. } => self.line(&resource, "Error"),
            Event::Build { step, news } => {
                let build = self.build.lock();
                let mut build = build.unwrap_or_else(PoisonError::into_inner);
                self.ui.status.write(&build.text(step, &news));
            }
            // A pipe has no use for bytes as they come.
            Event::Progress { .. } => {}
        }
    }
}

impl Plain {
    fn line(&self, Resource { kind, name }: &Resource, status: &str) {
        let line = match kind {
            ResourceKind::Image | ResourceKind::Layer | ResourceKind::Step => {
                format!(" {name} {status}\n")
            }
            ResourceKind::Network | ResourceKind::Volume | ResourceKind::Container => {
                format!(" {kind} {name}  {status}\n")
            }
        };
        self.ui.status.write(&line);
    }
}
