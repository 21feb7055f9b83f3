//! `run`: everything up to the one-off's start.

use std::collections::BTreeMap;

use crate::compose::Project;
use crate::image::Store;

use super::super::backend::Backend;
use super::super::embedded::Embedded;
use super::super::executor::{Executor, OnFailure};
use super::super::observe::{Look, observe};
use super::super::place::placed;
use super::super::plan::Target;
use super::super::planner::{PlanError, plan_run, select};
use super::super::prepare::{NamedOneOff, Preparation};
use super::super::session::{Prepared, ReconcileError, RunOptions, Session, member};
use super::super::translate::identity::Contents;
use super::super::translate::names::Separator;
use super::super::translate::oneoff::OneOff;
use super::super::translate::{Host, names, project};
use super::super::{garbage, images, locking, record};
use super::check::check;

/// Brings up what a one-off of `service` depends on, and creates it. Start it
/// with its streams at hand; it is removed when it ends where the options say so.
///
/// # Errors
/// As `up`.
pub async fn run_prepare(
    session: &Session<'_>,
    project: &Project,
    service: &str,
    options: RunOptions,
) -> Result<Prepared, ReconcileError> {
    let backend = Embedded::new(session.layout, session.project);
    run_prepare_over(&backend, session, project, service, &options)
        .await
        .map_err(|error| placed(project, error))
}

pub(super) async fn run_prepare_over<B: Backend>(
    backend: &B,
    session: &Session<'_>,
    declared: &Project,
    name: &str,
    options: &RunOptions,
) -> Result<Prepared, ReconcileError> {
    let overrides = &options.overrides;
    let changed = changed_project(declared, name, options)?;
    let services = needed_services(&changed, name, options);
    let store = Store::open(session.layout);
    let usage = garbage::hold(session, &store).await?;
    // It is one container, however many its service has.
    let scale = BTreeMap::from([(name.to_owned(), 1)]);
    let needs = check(
        session,
        &store,
        &changed,
        &services,
        (options.pull, options.build, false),
        &scale,
    )?;
    let images = images::provide(session, &store, &changed, needs).await?;
    let ids = images
        .iter()
        .map(|(name, image)| (name.clone(), image.id.clone()))
        .collect();

    let (made_up, slug) = names::oneoff_name(Separator::of(&changed), session.project, name);
    let target = Target {
        name: overrides.name.clone().unwrap_or(made_up),
        service: name.to_owned(),
        number: 1,
        id: None,
    };
    let lock = locking::lock(session).await?;
    let contents = Contents::read(&changed, &Host);
    let desired = project::desired(&changed, &ids, &contents);
    let look = Look::Declared(&desired, &options.choices);
    let mut sight = observe(session.layout, session.project, look)?;
    sight.observed.lost_networks = backend.lost_networks(&sight.observed.networks).await?;
    let plan = plan_run(&desired, &sight.observed, &target, &options.choices)?;
    let records = Preparation {
        session,
        project: &changed,
        sight: &sight,
        images: &images,
        contents: &contents,
        oneoff: Some(NamedOneOff {
            name: &target.name,
            oneoff: OneOff {
                slug,
                auto_remove: overrides.auto_remove,
                use_aliases: overrides.use_aliases,
            },
        }),
    }
    .records(&plan)?;
    super::tell(session.sink, &plan);
    record::remember(session, declared)?;
    let made: BTreeMap<_, _> = records
        .iter()
        .map(|(name, record)| (name.clone(), record.id.clone()))
        .collect();
    Executor {
        backend,
        sink: session.sink,
        cancel: session.cancel,
        records: &records,
        on_failure: OnFailure::Finish,
        parallel: session.parallel,
        wait_timeout: None,
        observer: None,
    }
    .run(&plan, Some(lock))
    .await?;
    drop(usage);
    garbage::collect_beside(session).await;
    let container = member(&target, &made).ok_or(ReconcileError::Cancelled)?;
    Ok(Prepared {
        container,
        tty: overrides.tty,
        plan,
    })
}

/// The project with the service as the one-off has it: what is refused, which
/// images are needed and what is translated is read off that.
fn changed_project(
    declared: &Project,
    name: &str,
    options: &RunOptions,
) -> Result<Project, PlanError> {
    let known = declared.services.keys().map(String::as_str);
    select::check_names(&[name.to_owned()], known)?;
    let mut changed = declared.clone();
    if let Some(service) = changed.services.get_mut(name) {
        *service = options.overrides.apply(service);
    }
    Ok(changed)
}

/// The one-off's service and, unless they are left out, its dependencies.
fn needed_services<'p>(project: &'p Project, name: &str, options: &RunOptions) -> Vec<&'p String> {
    let mut edges = select::edges_of_desired(&project::desired(
        project,
        &BTreeMap::new(),
        &Contents::default(),
    ));
    if options.choices.no_deps {
        edges.values_mut().for_each(Vec::clear);
    }
    let wanted = select::with_dependencies(&[name.to_owned()], &edges);
    project
        .services
        .keys()
        .filter(|one| wanted.contains(*one))
        .collect()
}
