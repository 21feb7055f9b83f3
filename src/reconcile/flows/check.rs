//! What stands against a project, all of it at once and before anything is
//! pulled or changed: what the engine cannot do yet, what this host does not
//! have, images that cannot be had.

use std::collections::{BTreeMap, BTreeSet};

use crate::compose::{Diagnostic, Project, Severity};
use crate::event::Event;
use crate::image::{PullPolicy, Store};

use super::super::images::{self, BuildMode, Needs};
use super::super::prepare::preview;
use super::super::refuse;
use super::super::session::{ReconcileError, Session};

/// Checks these services, tells what has no effect, and says which images they
/// need. `scale` has numbers of replicas that are others than the file's.
pub(super) fn check(
    session: &Session<'_>,
    store: &Store,
    declared: &Project,
    services: &[&String],
    (pull, mode, dry_run): (Option<PullPolicy>, BuildMode, bool),
    scale: &BTreeMap<String, u32>,
) -> Result<Needs, ReconcileError> {
    let (warnings, mut errors): (Vec<_>, Vec<_>) = refuse::refusals(declared, services)
        .into_iter()
        .partition(|one| one.severity == Severity::Warning);
    let tried = preview(declared, services);
    // What cannot be done with a value that is refused goes without saying.
    let refused: BTreeSet<String> = errors.iter().map(|one| one.path.clone()).collect();
    errors.extend(tried.into_iter().filter(|one| !refused.contains(&one.path)));
    errors.extend(refuse::too_many_containers(declared, services, scale));
    errors.extend(refuse::crowded_ports(declared, services, scale));
    errors.extend(refuse::doubled_ports(declared, services));
    errors.extend(refuse::wrong_addresses(declared, services, scale));
    let (needs, without_image) =
        images::needs(session, store, declared, services, pull, (mode, dry_run))?;
    errors.extend(without_image);
    for warning in warnings {
        session.sink.emit(Event::Warning {
            message: format!("{}: {}", warning.path, warning.message),
        });
    }
    if errors.is_empty() {
        Ok(needs)
    } else {
        Err(ReconcileError::Refused {
            diagnostics: errors,
        })
    }
}

/// The warnings of a project's load without those that starting these services is
/// refused for, with the same words.
pub fn not_refused(
    declared: &Project,
    services: &[&String],
    mut warnings: Vec<Diagnostic>,
) -> Vec<Diagnostic> {
    if !warnings.is_empty() {
        let refused = preview(declared, services);
        let is_same = |warning: &Diagnostic, error: &Diagnostic| {
            (&warning.path, &warning.message) == (&error.path, &error.message)
        };
        warnings.retain(|warning| !refused.iter().any(|error| is_same(warning, error)));
    }
    warnings
}
