//! `stop`, `start`, `restart`, `kill`.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::compose::Project;
use crate::event::Event;
use crate::state::lock::Lock;

use super::super::backend::Backend;
use super::super::desired::Desired;
use super::super::embedded::Embedded;
use super::super::executor::{Executor, OnFailure};
use super::super::locking;
use super::super::observe::{Look, observe};
use super::super::observed::Observed;
use super::super::place::placed;
use super::super::plan::Plan;
use super::super::planner::{PlanError, plan_kill, plan_restart, plan_start, plan_stop};
use super::super::session::{ReconcileError, Session};

/// Stops the services' containers, dependents first.
///
/// # Errors
/// What could not be stopped, when all else is.
pub async fn stop(
    session: &Session<'_>,
    project: Option<&Project>,
    services: &[String],
    timeout: Option<i64>,
) -> Result<Plan, ReconcileError> {
    let plan = |desired: Option<&Desired>, observed: &Observed| {
        plan_stop(desired, observed, services, timeout)
    };
    walk(session, project, OnFailure::Continue, plan).await
}

/// Stops what the calling command itself has begun and given up. Beside the lock:
/// what it had asked for last may hold it until it is done.
///
/// # Errors
/// What could not be stopped, when all else is.
pub async fn stop_own(
    session: &Session<'_>,
    project: Option<&Project>,
    services: &[String],
    timeout: Option<i64>,
) -> Result<Plan, ReconcileError> {
    walk_beside(session, project, |desired, observed| {
        plan_stop(desired, observed, services, timeout)
    })
    .await
}

/// Starts the services' containers that exist and do not run.
///
/// # Errors
/// A service without a container; a container that does not start, or a gate
/// that does not open.
pub async fn start(
    session: &Session<'_>,
    project: Option<&Project>,
    services: &[String],
) -> Result<Plan, ReconcileError> {
    let plan =
        |desired: Option<&Desired>, observed: &Observed| plan_start(desired, observed, services);
    walk(session, project, OnFailure::Finish, plan).await
}

/// Restarts the services' containers, and what restarts with them.
///
/// # Errors
/// What could not be restarted, when all else is.
pub async fn restart(
    session: &Session<'_>,
    project: Option<&Project>,
    services: &[String],
    timeout: Option<i64>,
    no_deps: bool,
) -> Result<Plan, ReconcileError> {
    let plan = |desired: Option<&Desired>, observed: &Observed| {
        plan_restart(desired, observed, services, no_deps, timeout)
    };
    walk(session, project, OnFailure::Continue, plan).await
}

/// Sends a signal to the services' running containers, one-offs included. An
/// empty plan is what `docker compose` tells as "no container to kill".
///
/// # Errors
/// What could not be signalled.
pub async fn kill(
    session: &Session<'_>,
    project: Option<&Project>,
    services: &[String],
    signal: i32,
) -> Result<Plan, ReconcileError> {
    // Whoever holds the lock may be waiting for what is killed here.
    let plan = walk_beside(session, project, |desired, observed| {
        plan_kill(desired, observed, services, signal)
    })
    .await?;
    if plan.is_empty() {
        session.sink.emit(Event::Note {
            message: "no container to kill".to_owned(),
        });
    }
    Ok(plan)
}

/// A walk that does not wait for the project's lock.
async fn walk_beside(
    session: &Session<'_>,
    project: Option<&Project>,
    plan: impl FnOnce(Option<&Desired>, &Observed) -> Result<Plan, PlanError>,
) -> Result<Plan, ReconcileError> {
    let backend = Embedded::new(session.layout, session.project);
    walk_over(&backend, session, project, OnFailure::Continue, None, plan).await
}

async fn walk(
    session: &Session<'_>,
    project: Option<&Project>,
    on_failure: OnFailure,
    plan: impl FnOnce(Option<&Desired>, &Observed) -> Result<Plan, PlanError>,
) -> Result<Plan, ReconcileError> {
    let backend = Embedded::new(session.layout, session.project);
    let lock = locking::lock(session).await?;
    walk_over(&backend, session, project, on_failure, Some(lock), plan)
        .await
        .map_err(|error| match project {
            Some(project) => placed(project, error),
            None => error,
        })
}

pub(super) async fn walk_over<B: Backend>(
    backend: &B,
    session: &Session<'_>,
    project: Option<&Project>,
    on_failure: OnFailure,
    lock: Option<Lock>,
    plan: impl FnOnce(Option<&Desired>, &Observed) -> Result<Plan, PlanError>,
) -> Result<Plan, ReconcileError> {
    let sight = observe(session.layout, session.project, Look::Containers)?;
    let desired = super::desired_without_images(project);
    let plan = plan(desired.as_ref(), &sight.observed)?;
    super::tell(session.sink, &plan);
    let executor = Executor {
        backend,
        sink: session.sink,
        cancel: session.cancel,
        records: &BTreeMap::new(),
        parallel: session.parallel,
        on_failure,
        wait_timeout: None::<Duration>,
        observer: None,
    };
    let walked = executor.run(&plan, lock).await;
    super::tell_of_groups(session.sink, session.layout, session.project);
    walked?;
    super::sweep_locks(session);
    Ok(plan)
}
