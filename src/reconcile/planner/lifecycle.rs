//! `stop`, `start`, `restart`, `kill`: containers that exist change their
//! state, and none is made or removed.

use std::collections::{BTreeMap, BTreeSet};

use crate::supervise::record::Health;
use crate::supervise::wire::Condition;

use super::super::desired::{Desired, Gate};
use super::super::observed::{Observed, ObservedContainer};
use super::super::plan::{Cause, Kept, Op, Otherwise, PartOf, Plan, StepId};
use super::down::Ends;
use super::select::{self, Edges};
use super::{PlanError, target_of};

/// The containers of these services (all where none is named), no one-offs,
/// in dependency order.
fn chosen<'a>(
    observed: &'a Observed,
    edges: &Edges,
    services: &BTreeSet<String>,
) -> Result<Vec<&'a ObservedContainer>, PlanError> {
    let order = select::dependency_order(edges)?;
    Ok(order
        .iter()
        .filter(|name| services.contains(*name))
        .flat_map(|name| observed.of_service(name))
        .collect())
}

fn named_or_all(services: &[String], edges: &Edges) -> Result<BTreeSet<String>, PlanError> {
    select::check_names(services, edges.keys().map(String::as_str))?;
    Ok(if services.is_empty() {
        edges.keys().cloned().collect()
    } else {
        services.iter().cloned().collect()
    })
}

/// Stops running containers, dependents first. Those that do not run are told
/// as stopped, too, as Docker does.
pub fn plan_stop(
    desired: Option<&Desired>,
    observed: &Observed,
    services: &[String],
    timeout: Option<i64>,
) -> Result<Plan, PlanError> {
    let edges = select::edges_of_observed(observed, desired);
    let services = named_or_all(services, &edges)?;
    let mut plan = Plan::default();
    let mut ends = Ends::default();
    for container in chosen(observed, &edges, &services)?.into_iter().rev() {
        if container.is_live() {
            let op = Op::StopContainer {
                target: target_of(container),
                timeout,
                part_of: PartOf::Itself,
            };
            ends.add(&mut plan, op, &container.service, &edges);
        } else {
            plan.kept.push(Kept {
                target: target_of(container),
                state: "Stopped",
            });
        }
    }
    Ok(plan)
}

/// Starts containers that exist and do not run, and those they depend on, and
/// gates as `up` does.
pub fn plan_start(
    desired: Option<&Desired>,
    observed: &Observed,
    services: &[String],
) -> Result<Plan, PlanError> {
    let edges = select::edges_of_observed(observed, desired);
    select::check_names(services, edges.keys().map(String::as_str))?;
    if observed.containers.is_empty() {
        return Err(PlanError::NothingAtAll);
    }
    let selected = select::with_dependencies(services, &edges);
    for name in services {
        if observed.of_service(name).is_empty() {
            return Err(PlanError::NothingToStart {
                service: name.clone(),
            });
        }
    }
    let mut starts = Starts::default();
    for container in chosen(observed, &edges, &selected)? {
        starts.add(container, observed, &edges);
    }
    Ok(starts.plan)
}

/// Starts and the gates between them.
#[derive(Debug, Default)]
struct Starts {
    plan: Plan,
    started: BTreeMap<String, StepId>,
    waits: BTreeMap<(String, Gate), (StepId, BTreeSet<String>)>,
}

impl Starts {
    fn add(&mut self, container: &ObservedContainer, observed: &Observed, edges: &Edges) {
        let runs = container.is_live();
        let mut earlier = Vec::new();
        for dep in edges.get(&container.service).into_iter().flatten() {
            for other in observed.of_service(&dep.service) {
                let start = self.started.get(&other.name).copied();
                let open = match dep.gate {
                    Gate::Started => false,
                    Gate::Healthy if !runs => {
                        start.is_some() || other.health != Some(Health::Healthy)
                    }
                    Gate::Completed if !runs => true,
                    Gate::Healthy | Gate::Completed => start.is_some(),
                };
                if open {
                    earlier.push(self.wait(other, dep.gate, start, &container.service));
                } else {
                    earlier.extend(start);
                }
            }
        }
        // Docker says nothing of what runs already.
        if runs {
            return;
        }
        let op = Op::StartContainer {
            target: target_of(container),
        };
        let step = self.plan.add(op, Cause::NotRunning);
        for earlier in earlier {
            self.plan.order(earlier, step);
        }
        self.started.insert(container.name.clone(), step);
    }

    fn wait(
        &mut self,
        other: &ObservedContainer,
        gate: Gate,
        start: Option<StepId>,
        dependent: &str,
    ) -> StepId {
        let plan = &mut self.plan;
        let entry = self
            .waits
            .entry((other.name.clone(), gate))
            .or_insert_with(|| {
                let op = Op::WaitCondition {
                    target: target_of(other),
                    condition: match gate {
                        Gate::Started => Condition::Started,
                        Gate::Healthy => Condition::Healthy,
                        Gate::Completed => Condition::CompletedSuccessfully,
                    },
                    otherwise: Otherwise::DependencyFailed,
                };
                (plan.add(op, Cause::Follows), BTreeSet::new())
            });
        entry.1.insert(dependent.to_owned());
        let step = entry.0;
        plan.set_cause(step, Cause::Gates(entry.1.clone()));
        if let Some(start) = start {
            plan.order(start, step);
        }
        step
    }
}

/// Restarts containers, stopped ones included, and what restarts with them
/// (`depends_on.restart`), dependencies first.
pub fn plan_restart(
    desired: Option<&Desired>,
    observed: &Observed,
    services: &[String],
    no_deps: bool,
    timeout: Option<i64>,
) -> Result<Plan, PlanError> {
    let edges = select::edges_of_observed(observed, desired);
    let asked = named_or_all(services, &edges)?;
    let selected = if no_deps {
        asked.clone()
    } else {
        select::with_restarting_dependents(services, &edges)
    };
    let mut plan = Plan::default();
    let mut restarted: BTreeMap<&str, Vec<StepId>> = BTreeMap::new();
    for container in chosen(observed, &edges, &selected)? {
        let restarting = |dep: &&super::super::desired::Dependency| {
            dep.restart && !no_deps && selected.contains(&dep.service)
        };
        let deps: Vec<&str> = edges
            .get(&container.service)
            .into_iter()
            .flatten()
            .filter(restarting)
            .map(|dep| dep.service.as_str())
            .collect();
        let cause = match deps.first() {
            Some(dep) if !asked.contains(&container.service) => {
                Cause::RestartsWith((*dep).to_owned())
            }
            Some(_) | None => Cause::Asked,
        };
        let op = Op::RestartContainer {
            target: target_of(container),
            timeout,
        };
        let step = plan.add(op, cause);
        for earlier in deps.iter().filter_map(|dep| restarted.get(dep)).flatten() {
            plan.order(*earlier, step);
        }
        restarted.entry(&container.service).or_default().push(step);
    }
    Ok(plan)
}

/// Sends a signal to running containers, one-offs included, all at once.
pub fn plan_kill(
    desired: Option<&Desired>,
    observed: &Observed,
    services: &[String],
    signal: i32,
) -> Result<Plan, PlanError> {
    let edges = select::edges_of_observed(observed, desired);
    let services = named_or_all(services, &edges)?;
    let mut plan = Plan::default();
    for container in &observed.containers {
        if services.contains(&container.service) && container.is_live() {
            let op = Op::KillContainer {
                target: target_of(container),
                signal,
            };
            plan.add(op, Cause::Asked);
        }
    }
    Ok(plan)
}
