//! The commands: observe, plan, prepare, execute, in this order.
//!
//! Each is written over a [`Backend`](super::backend::Backend), so that its
//! test needs no engine; the public functions give it the embedded one.

mod check;
mod down;
mod force;
mod lifecycle;
mod preflight;
mod pull;
mod push;
mod rmi;
mod run;
mod up;

#[cfg(test)]
mod tests;

pub use check::not_refused;
pub use down::down;
pub use force::kill_now;
pub use lifecycle::{kill, restart, start, stop, stop_own};
pub use pull::{PullChoices, pull};
pub use push::{PushChoices, push, push_names};
pub use rmi::{ImageChoice, images_of, remove_images};
pub use run::run_prepare;
pub use up::up;

use std::collections::BTreeMap;

use crate::compose::Project;
use crate::event::{Event, EventSink};
use crate::supervise::group;

use super::desired::Desired;
use super::plan::Plan;
use super::session::Session;
use super::translate::identity::Contents;
use super::translate::project;

/// What is declared, where images do not matter.
fn desired_without_images(declared: Option<&Project>) -> Option<Desired> {
    declared.map(|declared| project::desired(declared, &BTreeMap::new(), &Contents::default()))
}

/// Tells, once, that systemd did not take the project. What was started says so
/// after the start, as nothing waits for the answer before.
pub fn tell_of_groups(sink: &dyn EventSink, layout: &crate::state::Layout, project: &str) {
    if let Some(message) = group::untold_warning(layout, project) {
        sink.emit(Event::Warning { message });
    }
}

/// Removes the locks of a project of which nothing is left. What is in somebody
/// else's hands just now is left to a later sweep.
fn sweep_locks(session: &Session<'_>) {
    crate::state::sweep::sweep_locks(session.layout, session.project).ok();
}

/// Tells a plan's notes and warnings.
fn tell(sink: &dyn EventSink, plan: &Plan) {
    for message in &plan.warnings {
        sink.emit(Event::Warning {
            message: message.clone(),
        });
    }
    for message in &plan.notes {
        sink.emit(Event::Note {
            message: message.clone(),
        });
    }
}
