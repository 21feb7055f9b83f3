//! `up` and `create`.

use std::collections::{BTreeMap, BTreeSet};

use crate::compose::Project;
use crate::event::Event;
use crate::image::Store;
use crate::state::ContainerId;
use crate::supervise::inspect::ContainerView;

use super::super::backend::Backend;
use super::super::desired::Desired;
use super::super::embedded::Embedded;
use super::super::executor::{Executor, Observer, OnFailure};
use super::super::locking;
use super::super::observe::{Look, Sight, observe};
use super::super::place::placed;
use super::super::plan::{Op, Plan, Target};
use super::super::planner::{plan_up, select};
use super::super::prepare::Preparation;
use super::super::session::{
    Member, ReconcileError, Session, UpOptions, UpOutcome, Watcher, member,
};
use super::super::translate::identity::Contents;
use super::super::translate::{Host, project};
use super::super::{garbage, images, record};
use super::check::check;

/// Brings the project up as it is declared.
///
/// # Errors
/// See [`ReconcileError`]. What had begun when an operation failed is finished;
/// the next `up` goes on from there.
pub async fn up(
    session: &Session<'_>,
    project: &Project,
    options: UpOptions<'_>,
) -> Result<UpOutcome, ReconcileError> {
    let backend = Embedded::new(session.layout, session.project);
    up_over(&backend, session, project, &options)
        .await
        .map_err(|error| placed(project, error))
}

pub(super) async fn up_over<B: Backend>(
    backend: &B,
    session: &Session<'_>,
    declared: &Project,
    options: &UpOptions<'_>,
) -> Result<UpOutcome, ReconcileError> {
    let services = selected(declared, options)?;
    if services.is_empty() {
        return Err(nothing_to_run(declared));
    }
    let store = Store::open(session.layout);
    let usage = if options.dry_run {
        None
    } else {
        Some(garbage::hold(session, &store).await?)
    };
    let needs = check(
        session,
        &store,
        declared,
        &services,
        (options.pull, options.build, options.dry_run),
        &options.choices.scale,
    )?;
    let contents = Contents::read(declared, &Host);
    if options.dry_run {
        let desired = project::desired(declared, &needs.ids(), &contents);
        let (_, mut plan) = look_and_plan(backend, session, &desired, options).await?;
        plan.images = needs.to_pull();
        plan.builds = needs.to_build();
        return Ok(UpOutcome {
            plan,
            containers: Vec::new(),
        });
    }
    let images = images::provide(session, &store, declared, needs).await?;
    let ids = images::ids(&images);

    let lock = locking::lock(session).await?;
    let desired = project::desired(declared, &ids, &contents);
    let (sight, plan) = look_and_plan(backend, session, &desired, options).await?;
    let records = Preparation {
        session,
        project: declared,
        sight: &sight,
        images: &images,
        contents: &contents,
        oneoff: None,
    }
    .records(&plan)?;
    super::preflight::published_ports(session, &plan, &records, &sight)?;
    super::tell(session.sink, &plan);
    record::remember(session, declared)?;

    attend(backend, session, &sight).await?;
    let made = records
        .iter()
        .map(|(name, record)| (name.clone(), record.id.clone()))
        .collect();
    let containers = members(
        &plan,
        &made,
        &select::dependency_order(&select::edges_of_desired(&desired))?,
    );
    if let Some(watcher) = options.watcher {
        watcher.planned(&containers);
    }
    let follower = options.watcher.map(Follower);
    let executor = Executor {
        backend,
        sink: session.sink,
        cancel: session.cancel,
        records: &records,
        parallel: session.parallel,
        on_failure: OnFailure::Finish,
        wait_timeout: options.wait_timeout,
        observer: follower.as_ref().map(|follower| follower as &dyn Observer),
    };
    let walked = executor.run(&plan, Some(lock)).await;
    super::tell_of_groups(session.sink, session.layout, session.project);
    walked?;
    drop(usage);
    garbage::collect_beside(session).await;
    Ok(UpOutcome { plan, containers })
}

async fn look_and_plan<B: Backend>(
    backend: &B,
    session: &Session<'_>,
    desired: &Desired,
    options: &UpOptions<'_>,
) -> Result<(Sight, Plan), ReconcileError> {
    let look = Look::Declared(desired, &options.choices);
    let mut sight = observe(session.layout, session.project, look)?;
    sight.observed.lost_networks = backend.lost_networks(&sight.observed.networks).await?;
    let plan = plan_up(desired, &sight.observed, &options.choices)?;
    Ok((sight, plan))
}

/// Has a supervisor look after what runs, and tells what it cannot.
async fn attend<B: Backend>(
    backend: &B,
    session: &Session<'_>,
    sight: &Sight,
) -> Result<(), ReconcileError> {
    if !sight.views.iter().any(ContainerView::is_live) {
        return Ok(());
    }
    let messages = tokio::select! {
        messages = backend.attend() => messages?,
        () = session.cancel.cancelled() => return Err(ReconcileError::Cancelled),
    };
    for message in messages {
        session.sink.emit(Event::Note { message });
    }
    Ok(())
}

/// A file without a service, or with switched off ones only.
fn nothing_to_run(declared: &Project) -> ReconcileError {
    let disabled = declared.disabled_services.values();
    let profiles: BTreeSet<&str> = disabled
        .flat_map(|service| &service.profiles)
        .map(String::as_str)
        .collect();
    let message = "no service selected";
    let mut diagnostic = declared.diagnostic("services", message);
    if !profiles.is_empty() {
        let list: Vec<&str> = profiles.into_iter().collect();
        diagnostic = diagnostic.suggest(format!(
            "every service has a profile: choose with `--profile` ({})",
            list.join(", ")
        ));
    }
    ReconcileError::Refused {
        diagnostics: vec![diagnostic],
    }
}

/// The services that are looked at: all active ones. Which of them the command
/// is about, the planner decides; their images are needed for those only.
fn selected<'p>(
    declared: &'p Project,
    options: &UpOptions<'_>,
) -> Result<Vec<&'p String>, ReconcileError> {
    let choices = &options.choices;
    select::check_names(
        &choices.services,
        declared.services.keys().map(String::as_str),
    )?;
    let chosen = |name: &&String| {
        !choices.no_deps || choices.services.is_empty() || choices.services.contains(*name)
    };
    if choices.services.is_empty() || choices.no_deps {
        return Ok(declared.services.keys().filter(chosen).collect());
    }
    let edges = select::edges_of_desired(&project::desired(
        declared,
        &BTreeMap::new(),
        &Contents::default(),
    ));
    let wanted = select::with_dependencies(&choices.services, &edges);
    Ok(declared
        .services
        .keys()
        .filter(|name| wanted.contains(*name))
        .collect())
}

/// The containers that are there when the plan is walked, in dependency order.
fn members(plan: &Plan, made: &BTreeMap<String, ContainerId>, order: &[String]) -> Vec<Member> {
    let kept = plan.kept.iter().map(|kept| &kept.target);
    let others = plan.steps().filter_map(|(_, step)| {
        if let Op::CreateContainer { target, .. } | Op::StartContainer { target } = &step.op {
            Some(target)
        } else {
            None
        }
    });
    let mut found: Vec<Member> = kept
        .chain(others)
        .filter_map(|target| member(target, made))
        .collect();
    let rank = |service: &String| order.iter().position(|name| name == service);
    found.sort_by_key(|one| (rank(&one.service), one.number));
    found.dedup();
    found
}

/// Hands the executor's reports on.
struct Follower<'a>(&'a dyn Watcher);

impl Observer for Follower<'_> {
    fn started(&self, id: &ContainerId, target: &Target) {
        self.0.started(&Member {
            id: id.clone(),
            name: target.name.clone(),
            service: target.service.clone(),
            number: target.number,
        });
    }
}
