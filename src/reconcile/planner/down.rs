//! `down`: what belongs to the project goes, dependents first.

use std::collections::{BTreeMap, BTreeSet};

use super::super::desired::Desired;
use super::super::observed::{Observed, ObservedContainer};
use super::super::plan::{Cause, Op, PartOf, Plan, StepId};
use super::super::translate::names;
use super::select::{self, Edges};
use super::{PlanError, target_of};

/// What the user chose.
#[derive(Debug, Clone, Default)]
pub struct DownChoices {
    /// Only these services; empty: the whole project.
    pub services: Vec<String>,
    /// Volumes too, named and anonymous.
    pub volumes: bool,
    /// Containers of services that are not in the file and live one-offs, too.
    pub remove_orphans: bool,
    /// Seconds instead of each container's grace time.
    pub timeout: Option<i64>,
}

/// Plans a `down`. Without a file everything that carries the project's name
/// goes. A live one-off is somebody's work: it stays, with its network, and is
/// named, unless orphans go too. A finished one goes.
pub fn plan_down(
    project: &str,
    desired: Option<&Desired>,
    observed: &Observed,
    choices: &DownChoices,
) -> Result<Plan, PlanError> {
    let edges = select::edges_of_observed(observed, desired);
    select::check_names(&choices.services, edges.keys().map(String::as_str))?;
    let mut plan = Plan::default();
    let (going, staying) = divide(desired, observed, choices);
    let removed = removals(&mut plan, &going, &edges, choices)?;
    let owned = |labels: &BTreeMap<String, String>| {
        labels.get(names::LABEL_PROJECT).map(String::as_str) == Some(project)
    };

    let networks: BTreeSet<&String> = observed
        .networks
        .iter()
        .filter(|(_, record)| owned(&record.spec.labels))
        .map(|(name, _)| name)
        .collect();
    for name in networks {
        let uses = |container: &ObservedContainer| container.networks.contains(name);
        let users = users(observed, name, &staying, uses);
        if !users.is_empty() {
            // With services asked for by name it is no news that the others'
            // things stay.
            if choices.services.is_empty() {
                plan.notes.push(kept_note("network", name, &users));
            }
            continue;
        }
        let step = plan.add(Op::RemoveNetwork { name: name.clone() }, Cause::Asked);
        order_after(&mut plan, step, &going, &removed, uses);
    }
    if choices.volumes {
        for (name, spec) in &observed.volumes {
            if !owned(&spec.labels) {
                continue;
            }
            let uses = |container: &ObservedContainer| {
                container.volumes.iter().any(|volume| volume.name == *name)
            };
            let users = users(observed, name, &staying, uses);
            if !users.is_empty() {
                // With services asked for by name it is no news that the others'
                // things stay.
                if choices.services.is_empty() {
                    plan.notes.push(kept_note("volume", name, &users));
                }
                continue;
            }
            let step = plan.add(Op::RemoveVolume { name: name.clone() }, Cause::Asked);
            order_after(&mut plan, step, &going, &removed, uses);
        }
    }
    Ok(plan)
}

/// Which containers go, and which stay.
fn divide<'a>(
    desired: Option<&Desired>,
    observed: &'a Observed,
    choices: &DownChoices,
) -> (Vec<&'a ObservedContainer>, Vec<&'a ObservedContainer>) {
    let known = |name: &str| {
        desired.is_none_or(|desired| {
            desired.services.contains_key(name) || desired.disabled.contains(name)
        })
    };
    observed.containers.iter().partition(|container| {
        let asked = choices.services.is_empty() || choices.services.contains(&container.service);
        let ours = known(&container.service) && !container.is_live_oneoff();
        (asked && ours) || (choices.remove_orphans && choices.services.is_empty())
    })
}

fn removals(
    plan: &mut Plan,
    going: &[&ObservedContainer],
    edges: &Edges,
    choices: &DownChoices,
) -> Result<BTreeMap<String, StepId>, PlanError> {
    let order = select::dependency_order(edges)?;
    let rank: BTreeMap<&str, usize> = order
        .iter()
        .enumerate()
        .map(|(index, name)| (name.as_str(), index))
        .collect();
    let mut sorted = going.to_vec();
    sorted.sort_by_key(|one| {
        (
            std::cmp::Reverse(rank.get(one.service.as_str()).copied()),
            one.number,
        )
    });
    let mut ends = Ends::default();
    let mut removed = BTreeMap::new();
    for container in sorted {
        let stop = container.is_live().then(|| {
            let op = Op::StopContainer {
                target: target_of(container),
                timeout: choices.timeout,
                part_of: PartOf::Itself,
            };
            ends.add(plan, op, &container.service, edges)
        });
        let step = plan.add(
            Op::RemoveContainer {
                target: target_of(container),
                volumes: choices.volumes,
                part_of: PartOf::Itself,
            },
            if stop.is_some() {
                Cause::Follows
            } else {
                Cause::Asked
            },
        );
        if let Some(stop) = stop {
            plan.order(stop, step);
        }
        removed.insert(container.name.clone(), step);
    }
    Ok(removed)
}

/// The ends of containers, dependents first: shared by `down` and `stop`.
#[derive(Debug, Default)]
pub(super) struct Ends {
    by_service: BTreeMap<String, Vec<StepId>>,
}

impl Ends {
    /// Adds an end after those of the service's dependents, which must have
    /// been added before it.
    pub(super) fn add(&mut self, plan: &mut Plan, op: Op, service: &str, edges: &Edges) -> StepId {
        let step = plan.add(op, Cause::Asked);
        for earlier in self.of_dependents(service, edges) {
            plan.order(earlier, step);
        }
        self.by_service
            .entry(service.to_owned())
            .or_default()
            .push(step);
        step
    }

    /// Ends of the nearest dependents that have any: a dependent that does not
    /// run passes the question on to its own.
    fn of_dependents(&self, service: &str, edges: &Edges) -> Vec<StepId> {
        let (mut found, mut seen) = (Vec::new(), BTreeSet::new());
        let mut open = vec![service];
        while let Some(name) = open.pop() {
            for (dependent, deps) in edges {
                let depends = deps.iter().any(|dep| dep.service == *name);
                if !depends || !seen.insert(dependent.as_str()) {
                    continue;
                }
                match self.by_service.get(dependent) {
                    Some(steps) => found.extend(steps),
                    None => open.push(dependent),
                }
            }
        }
        found
    }
}

fn order_after(
    plan: &mut Plan,
    step: StepId,
    going: &[&ObservedContainer],
    removed: &BTreeMap<String, StepId>,
    uses: impl Fn(&ObservedContainer) -> bool,
) {
    for container in going.iter().filter(|container| uses(container)) {
        if let Some(earlier) = removed.get(&container.name) {
            plan.order(*earlier, step);
        }
    }
}

/// The containers that keep a resource in use, named with what they are.
fn users(
    observed: &Observed,
    resource: &str,
    staying: &[&ObservedContainer],
    uses: impl Fn(&ObservedContainer) -> bool,
) -> Vec<String> {
    let named = |container: &&ObservedContainer| {
        let what = if container.oneoff {
            "one-off"
        } else {
            "orphan"
        };
        format!("{} ({what})", container.name)
    };
    let own = staying.iter().copied().filter(|container| uses(container));
    let foreign = observed.foreign_users.get(resource).into_iter().flatten();
    own.map(|one| named(&one)).chain(foreign.cloned()).collect()
}

fn kept_note(kind: &str, name: &str, users: &[String]) -> String {
    format!("{kind} {name} is kept: {} uses it", users.join(", "))
}
