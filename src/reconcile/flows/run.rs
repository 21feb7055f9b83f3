//! `run`: everything up to the one-off's start.

use std::collections::BTreeMap;

use crate::compose::Project;
use crate::image::Store;

use super::super::backend::Backend;
use super::super::embedded::Embedded;
use super::super::executor::{Executor, OnFailure};
use super::super::observe::observe;
use super::super::plan::Target;
use super::super::planner::{PlanError, plan_run, select};
use super::super::prepare::{OneOffService, Preparation};
use super::super::session::{Prepared, ReconcileError, RunOptions, Session, member};
use super::super::translate::oneoff::OneOff;
use super::super::translate::{names, project};
use super::super::{images, locking, record};

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
    run_prepare_over(&backend, session, project, service, &options).await
}

pub(super) async fn run_prepare_over<B: Backend>(
    backend: &B,
    session: &Session<'_>,
    declared: &Project,
    name: &str,
    options: &RunOptions,
) -> Result<Prepared, ReconcileError> {
    select::check_names(
        &[name.to_owned()],
        declared.services.keys().map(String::as_str),
    )?;
    let Some(service) = declared.services.get(name) else {
        return Err(PlanError::NoSuchService {
            name: name.to_owned(),
            similar: None,
        }
        .into());
    };
    let overrides = &options.overrides;
    let (made_up, slug) = names::oneoff_name(session.project, name);
    let target = Target {
        name: overrides.name.clone().unwrap_or(made_up),
        service: name.to_owned(),
        number: 1,
        id: None,
    };
    // What is refused and which images are needed is read off the service as
    // the one-off has it.
    let mut declared = declared.clone();
    let changed = overrides.apply(service);
    let mut edges = select::edges_of_desired(&project::desired(&declared, &BTreeMap::new()));
    if options.choices.no_deps {
        edges.values_mut().for_each(Vec::clear);
    }
    let wanted = select::with_dependencies(&[name.to_owned()], &edges);
    declared.services.insert(name.to_owned(), changed.clone());
    let services: Vec<&String> = declared
        .services
        .keys()
        .filter(|one| wanted.contains(*one))
        .collect();
    super::up::check(session, &declared, &services)?;
    let store = Store::open(session.layout);
    let needs = images::needs(session, &store, &declared, &services, options.pull)?;
    let images = images::provide(session, &store, needs).await?;
    let ids = images
        .iter()
        .map(|(name, image)| (name.clone(), image.id.clone()))
        .collect();

    let lock = locking::lock(session).await?;
    let sight = observe(session.layout, session.project)?;
    let desired = project::desired(&declared, &ids);
    let plan = plan_run(&desired, &sight.observed, &target, &options.choices)?;
    super::tell(session.sink, &plan);
    let records = Preparation {
        session,
        project: &declared,
        sight: &sight,
        images: &images,
        oneoff: Some(OneOffService {
            name: &target.name,
            oneoff: OneOff {
                slug,
                auto_remove: overrides.auto_remove,
                use_aliases: overrides.use_aliases,
            },
            service: changed,
        }),
    }
    .records(&plan)?;
    record::remember(session, &declared)?;
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
        wait_timeout: None,
        observer: None,
    }
    .run(&plan, Some(lock))
    .await?;
    let container = member(&target, &made).ok_or(ReconcileError::Cancelled)?;
    Ok(Prepared {
        container,
        tty: overrides.tty,
        plan,
    })
}
