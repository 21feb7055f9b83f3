//! `down`.

use std::collections::BTreeMap;

use crate::compose::Project;
use crate::event::Event;

use super::super::backend::Backend;
use super::super::embedded::Embedded;
use super::super::executor::{Executor, OnFailure};
use super::super::observe::{Look, observe};
use super::super::plan::Plan;
use super::super::planner::{DownChoices, plan_down};
use super::super::session::{ReconcileError, Session};
use super::super::{garbage, locking, record};

/// Takes the project down; without a file, by its records alone.
///
/// # Errors
/// What could not be stopped or removed, when all else is gone.
pub async fn down(
    session: &Session<'_>,
    project: Option<&Project>,
    choices: DownChoices,
    dry_run: bool,
) -> Result<Plan, ReconcileError> {
    let backend = Embedded::new(session.layout, session.project);
    down_over(&backend, session, project, &choices, dry_run).await
}

pub(super) async fn down_over<B: Backend>(
    backend: &B,
    session: &Session<'_>,
    project: Option<&Project>,
    choices: &DownChoices,
    dry_run: bool,
) -> Result<Plan, ReconcileError> {
    let lock = locking::lock(session).await?;
    let sight = observe(session.layout, session.project, Look::Owned)?;
    let desired = super::desired_without_images(project);
    let plan = plan_down(session.project, desired.as_ref(), &sight.observed, choices)?;
    if dry_run {
        return Ok(plan);
    }
    super::tell(session.sink, &plan);
    if plan.is_empty() && sight.observed.containers.is_empty() {
        session.sink.emit(Event::Warning {
            message: format!(
                "No resource found to remove for project {:?}.",
                session.project
            ),
        });
    }
    let executor = Executor {
        backend,
        sink: session.sink,
        cancel: session.cancel,
        records: &BTreeMap::new(),
        on_failure: OnFailure::Continue,
        wait_timeout: None,
        observer: None,
    };
    // The lock outlives the walk: what is forgotten must not be made anew
    // in between.
    backend.hold(lock);
    let walked = executor.run(&plan, None).await;
    let forgotten = walked.map(|()| record::forget(session));
    backend.let_go();
    forgotten??;
    super::sweep_locks(session);
    garbage::collect_beside(session).await;
    Ok(plan)
}
