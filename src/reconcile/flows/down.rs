//! `down`.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::compose::Project;
use crate::event::Event;
use crate::supervise::client::ended;

use super::super::backend::Backend;
use super::super::embedded::Embedded;
use super::super::executor::{Executor, OnFailure};
use super::super::observe::{Look, observe};
use super::super::plan::Plan;
use super::super::planner::{DownChoices, plan_down};
use super::super::session::{ReconcileError, Session};
use super::super::{garbage, locking, record};

/// Longest wait for processes that are about to end. Less than the patience
/// after which a supervisor is asked whether it answers: this one has nothing
/// to say any more.
const FAREWELL: Duration = Duration::from_secs(2);

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
    if !dry_run {
        garbage::touch_images(session.layout, session.project);
    }
    let backend = Embedded::new(session.layout, session.project);
    let plan = down_over(&backend, session, project, &choices, dry_run).await?;
    // Its connection would keep the supervisor.
    drop(backend);
    if !dry_run {
        see_off(session).await;
        super::sweep_locks(session);
        garbage::collect_beside(session).await;
    }
    Ok(plan)
}

/// Waits until a project that is gone has left the machine: its links, control
/// groups and processes, too. Whoever is connected to the supervisor in another
/// terminal keeps it; that is waited for no longer than [`FAREWELL`].
async fn see_off(session: &Session<'_>) {
    if session.layout.project(session.project).exists() {
        return;
    }
    tokio::select! {
        () = session.cancel.cancelled() => {}
        // What cannot be watched goes by itself.
        ended = tokio::time::timeout(FAREWELL, ended(session.layout, session.project)) => drop(ended),
    }
}

pub(super) async fn down_over<B: Backend>(
    backend: &B,
    session: &Session<'_>,
    project: Option<&Project>,
    choices: &DownChoices,
    dry_run: bool,
) -> Result<Plan, ReconcileError> {
    // A dry run changes nothing, so it needs no lock, whose file would be made for it.
    let lock = if dry_run {
        None
    } else {
        Some(locking::lock(session).await?)
    };
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
        parallel: session.parallel,
        on_failure: OnFailure::Continue,
        wait_timeout: None,
        observer: None,
    };
    // The lock outlives the walk: what is forgotten must not be made anew
    // in between.
    if let Some(lock) = lock {
        backend.hold(lock);
    }
    let walked = executor.run(&plan, None).await;
    let forgotten = walked.map(|()| record::forget(session));
    backend.let_go();
    forgotten??;
    Ok(plan)
}
