//! From fates to operations and edges.
//!
//! The edges of an `up`, all of them:
//! - what is recreated: stop, remove, create, start, one after the other;
//! - a container's dependents stop before it does, where both are stopped;
//! - a network that is made anew: after all its containers are removed;
//! - a creation: after its networks and volumes, and after whoever holds its
//!   name is removed;
//! - a start: after its creation, and after each dependency's start or the
//!   wait for its condition.

use std::collections::{BTreeMap, BTreeSet};

use crate::supervise::record::{Health, RunState};
use crate::supervise::wire::Condition;

use super::super::desired::{Dependency, Desired, Gate};
use super::super::observed::{Observed, ObservedContainer};
use super::super::plan::{Cause, Kept, Op, Otherwise, PartOf, Plan, StepId, Target};
use super::PlanError;
use super::fate::{Fate, Fates, Replica};
use super::select::Edges;
use super::target_of;
use super::up::{UpChoices, networks_of, own_labels_removed};

/// What was decided before the first operation is written.
#[derive(Debug)]
pub(super) struct Decided<'a> {
    /// Dependencies that count.
    pub(super) edges: Edges,
    /// What becomes of each container.
    pub(super) fates: Fates<'a>,
    /// Services that were not asked for, and are here because a network of
    /// theirs is made anew.
    pub(super) bystanders: BTreeSet<String>,
}

/// Writes one plan.
#[derive(Debug)]
pub(super) struct Emitter<'a> {
    plan: Plan,
    desired: &'a Desired,
    observed: &'a Observed,
    choices: &'a UpChoices,
    edges: &'a Edges,
    fates: &'a Fates<'a>,
    bystanders: &'a BTreeSet<String>,
    /// Last operation that a stopped container's dependencies must wait for.
    stopped: BTreeMap<String, StepId>,
    removed: BTreeMap<String, StepId>,
    networks: BTreeMap<String, StepId>,
    volumes: BTreeMap<String, StepId>,
    created: BTreeMap<String, StepId>,
    started: BTreeMap<String, StepId>,
    waits: BTreeMap<(String, &'static str), StepId>,
}

impl<'a> Emitter<'a> {
    pub(super) fn new(
        desired: &'a Desired,
        observed: &'a Observed,
        choices: &'a UpChoices,
        decided: &'a Decided<'a>,
    ) -> Self {
        Self {
            plan: Plan::default(),
            desired,
            observed,
            choices,
            edges: &decided.edges,
            fates: &decided.fates,
            bystanders: &decided.bystanders,
            stopped: BTreeMap::new(),
            removed: BTreeMap::new(),
            networks: BTreeMap::new(),
            volumes: BTreeMap::new(),
            created: BTreeMap::new(),
            started: BTreeMap::new(),
            waits: BTreeMap::new(),
        }
    }

    pub(super) fn warn(&mut self, warnings: impl IntoIterator<Item = String>) {
        self.plan.warnings.extend(warnings);
    }

    pub(super) fn finish(self) -> Plan {
        self.plan
    }

    fn replicas(&self) -> impl Iterator<Item = &'a Replica<'a>> + use<'a> {
        self.fates.values().flatten()
    }

    /// Stops and removals: of orphans, of what is too many, of what is made
    /// anew; stops of what only restarts. Dependents come first.
    pub(super) fn removals(&mut self, orphans: &[(&ObservedContainer, Cause)]) {
        for (container, cause) in orphans {
            self.remove(container, cause.clone(), PartOf::Itself);
        }
        for (name, replicas) in self.fates.iter().rev() {
            for replica in replicas {
                let Some(current) = replica.current else {
                    continue;
                };
                match &replica.fate {
                    Fate::Recreate(cause) => {
                        self.plan.notes.push(format!("{name} recreated: {cause}"));
                        self.remove(current, cause.clone(), PartOf::Recreation);
                    }
                    Fate::Remove(cause) => self.remove(current, cause.clone(), PartOf::Itself),
                    Fate::Restart(cause) => self.stop(current, cause.clone(), PartOf::Itself),
                    Fate::Keep | Fate::Start | Fate::Create | Fate::CreateOnly => {}
                }
            }
        }
        self.plan.notes.dedup();
    }

    fn stop(&mut self, container: &ObservedContainer, cause: Cause, part_of: PartOf) {
        if !container.is_live() {
            return;
        }
        let step = self.plan.add(
            Op::StopContainer {
                target: target_of(container),
                timeout: self.choices.timeout,
                part_of,
            },
            cause,
        );
        // Dependents of this service were looked at before it.
        let dependents = self
            .edges
            .iter()
            .filter(|(_, deps)| deps.iter().any(|dep| dep.service == container.service));
        for (dependent, _) in dependents {
            for replica in self.fates.get(dependent).into_iter().flatten() {
                let earlier = replica
                    .current
                    .and_then(|current| self.stopped.get(&current.name));
                if let Some(earlier) = earlier {
                    self.plan.order(*earlier, step);
                }
            }
        }
        self.stopped.insert(container.name.clone(), step);
    }

    fn remove(&mut self, container: &ObservedContainer, cause: Cause, part_of: PartOf) {
        self.stop(container, cause.clone(), part_of);
        let stopped = self.stopped.get(&container.name).copied();
        let step = self.plan.add(
            Op::RemoveContainer {
                target: target_of(container),
                // Those that nobody takes over would stay for ever, nameless.
                volumes: self.choices.renew_anonymous_volumes,
                part_of,
            },
            if stopped.is_some() {
                Cause::Follows
            } else {
                cause
            },
        );
        if let Some(stopped) = stopped {
            self.plan.order(stopped, step);
        }
        self.removed.insert(container.name.clone(), step);
    }

    /// Networks that are missing or changed, or that the kernel has lost.
    pub(super) fn networks(&mut self, selected: &BTreeSet<String>, changed: &[String]) {
        for name in networks_of(self.desired, selected) {
            let Some(wanted) = self.desired.networks.get(&name) else {
                continue;
            };
            let existing = self.observed.networks.get(&name);
            let anew = changed.contains(&name);
            let lost = existing.filter(|_| self.observed.lost_networks.contains(&name));
            let spec = match (existing, lost) {
                // Whoever made it: it is brought back as it was.
                (_, Some(lost)) if !anew => &lost.spec,
                _ if wanted.external => continue,
                (Some(_), _) if !anew => continue,
                _ => &wanted.spec,
            };
            let cause = if anew { Cause::Follows } else { Cause::Missing };
            let removal = anew.then(|| self.remove_network(&name));
            let step = self
                .plan
                .add(Op::EnsureNetwork(Box::new(spec.clone())), cause);
            if let Some(removal) = removal {
                self.plan.order(removal, step);
            }
            self.networks.insert(name, step);
        }
    }

    fn remove_network(&mut self, name: &str) -> StepId {
        let step = self.plan.add(
            Op::RemoveNetwork {
                name: name.to_owned(),
            },
            Cause::NetworkChanged(name.to_owned()),
        );
        let users = self
            .observed
            .containers
            .iter()
            .filter(|container| container.networks.contains(name));
        for user in users {
            if let Some(removal) = self.removed.get(&user.name) {
                self.plan.order(*removal, step);
            }
        }
        step
    }

    /// Volumes that are missing. One that exists with another definition is
    /// kept, with a warning: making it anew would lose its content.
    pub(super) fn volumes(&mut self, selected: &BTreeSet<String>) -> Result<(), PlanError> {
        let used: BTreeSet<&String> = self
            .desired
            .services
            .values()
            .filter(|service| selected.contains(&service.name))
            .flat_map(|service| &service.volumes)
            .collect();
        for (name, wanted) in &self.desired.volumes {
            if !used.contains(name) {
                continue;
            }
            match self.observed.volumes.get(name) {
                None if wanted.external => {
                    return Err(PlanError::ExternalVolume { name: name.clone() });
                }
                None => {
                    let op = Op::EnsureVolume(Box::new(wanted.spec.clone()));
                    let step = self.plan.add(op, Cause::Missing);
                    self.volumes.insert(name.clone(), step);
                }
                Some(existing) if !wanted.external => {
                    let same = existing.driver == wanted.spec.driver
                        && existing.driver_opts == wanted.spec.driver_opts
                        && own_labels_removed(&existing.labels)
                            == own_labels_removed(&wanted.spec.labels);
                    if !same {
                        self.plan.warnings.push(format!(
                            "volume {name} exists with another definition and is kept as it is; \
                             `skiff down -v` removes it with its content"
                        ));
                    }
                }
                Some(_) => {}
            }
        }
        Ok(())
    }

    /// Creations, and the list of what is kept.
    pub(super) fn creations(&mut self) {
        for replica in self.replicas() {
            match &replica.fate {
                Fate::Create => self.create(replica, Cause::Missing),
                Fate::CreateOnly => self.create(replica, Cause::Asked),
                Fate::Recreate(_) => self.create(replica, Cause::Follows),
                Fate::Keep => self.keep(replica),
                Fate::Start | Fate::Restart(_) | Fate::Remove(_) => {}
            }
        }
    }

    fn create(&mut self, replica: &Replica<'a>, cause: Cause) {
        let carried = replica
            .current
            .filter(|_| !self.choices.renew_anonymous_volumes);
        let step = self.plan.add(
            Op::CreateContainer {
                target: replica.target.clone(),
                replaces: carried.map(|current| current.id.clone()),
            },
            cause,
        );
        let service = self.desired.services.get(&replica.target.service);
        let own = replica
            .current
            .and_then(|current| self.removed.get(&current.name));
        let name_holder = self.removed.get(&replica.target.name);
        let earlier = own
            .into_iter()
            .chain(name_holder)
            .chain(
                service
                    .iter()
                    .flat_map(|one| &one.networks)
                    .filter_map(|n| self.networks.get(n)),
            )
            .chain(
                service
                    .iter()
                    .flat_map(|one| &one.volumes)
                    .filter_map(|n| self.volumes.get(n)),
            );
        for earlier in earlier {
            self.plan.order(*earlier, step);
        }
        self.created.insert(replica.target.name.clone(), step);
    }

    fn keep(&mut self, replica: &Replica<'a>) {
        let state = match replica.current.map(|current| current.state) {
            Some(RunState::Running | RunState::Paused | RunState::Restarting) => "Running",
            Some(RunState::Exited) => "Exited",
            Some(RunState::Created) | None => "Created",
        };
        self.plan.kept.push(Kept {
            target: replica.target.clone(),
            state,
        });
    }

    /// Starts, in dependency order, and the waits between them.
    pub(super) fn starts(&mut self) {
        for (name, replicas) in self.fates {
            let deps = self.edges.get(name).map(Vec::as_slice).unwrap_or_default();
            // What is only here because its network is made anew keeps its state.
            let bystander = self.bystanders.contains(name);
            let meant = |replica: &&Replica<'_>| {
                let live = replica.current.is_some_and(ObservedContainer::is_live);
                replica.stays() && (live || !bystander)
            };
            for replica in replicas.iter().filter(meant) {
                self.start(replica, deps);
            }
        }
    }

    fn start(&mut self, replica: &Replica<'a>, deps: &[Dependency]) {
        let gates: Vec<StepId> = deps
            .iter()
            .flat_map(|dep| self.gate(replica, dep))
            .collect();
        let cause = match &replica.fate {
            Fate::Keep | Fate::Remove(_) => return,
            Fate::CreateOnly => {
                // Nobody else starts it after its gates: they come before the
                // creation, which comes last.
                if let Some(created) = self.created.get(&replica.target.name).copied() {
                    for gate in gates {
                        self.plan.order(gate, created);
                    }
                }
                return;
            }
            Fate::Start => Cause::NotRunning,
            Fate::Restart(_) | Fate::Create | Fate::Recreate(_) => Cause::Follows,
        };
        let step = self.plan.add(
            Op::StartContainer {
                target: replica.target.clone(),
            },
            cause,
        );
        let own = self.created.get(&replica.target.name).or_else(|| {
            replica
                .current
                .and_then(|current| self.stopped.get(&current.name))
        });
        // Where a supervisor died in a recreation, two have the same name.
        let name = &replica.target.name;
        let namesake = self.removed.get(name).copied();
        let namesake = namesake.filter(|_| !self.created.contains_key(name));
        for earlier in own.copied().into_iter().chain(namesake).chain(gates) {
            self.plan.order(earlier, step);
        }
        self.started.insert(replica.target.name.clone(), step);
    }

    /// What `replica` must wait for because of one dependency. A container that
    /// runs already is not waited for, but a gate that is passed anew is
    /// watched all the same, so that its failure is told.
    fn gate(&mut self, replica: &Replica<'a>, dep: &Dependency) -> Vec<StepId> {
        let fates = self.fates;
        let dependent_runs = replica.fate == Fate::Keep;
        let mut gates = Vec::new();
        for other in fates
            .get(&dep.service)
            .into_iter()
            .flatten()
            .filter(|other| other.stays())
        {
            let start = self.started.get(&other.target.name).copied();
            let needs_wait = match dep.gate {
                Gate::Started => false,
                Gate::Healthy | Gate::Completed if dependent_runs => start.is_some(),
                Gate::Healthy => {
                    start.is_some()
                        || other.current.and_then(|one| one.health) != Some(Health::Healthy)
                }
                Gate::Completed => true,
            };
            if needs_wait {
                let condition = match dep.gate {
                    Gate::Started => Condition::Started,
                    Gate::Healthy => Condition::Healthy,
                    Gate::Completed => Condition::CompletedSuccessfully,
                };
                let otherwise = if dep.required {
                    Otherwise::DependencyFailed
                } else {
                    Otherwise::Warn
                };
                gates.push(self.wait(&other.target, condition, otherwise, &replica.target.service));
            } else {
                gates.extend(start);
            }
        }
        gates
    }

    fn wait(
        &mut self,
        target: &Target,
        condition: Condition,
        otherwise: Otherwise,
        dependent: &str,
    ) -> StepId {
        let kind = match (condition, otherwise) {
            (Condition::Healthy, Otherwise::Warn) => "healthy?",
            (Condition::Healthy, _) => "healthy",
            (_, Otherwise::Warn) => "completed?",
            (_, Otherwise::DependencyFailed | Otherwise::NotUp) => "completed",
        };
        let key = (target.name.clone(), kind);
        let mut gated = BTreeSet::from([dependent.to_owned()]);
        if let Some(step) = self.waits.get(&key).copied() {
            if let Some(Cause::Gates(more)) = self.plan.step(step).map(|step| &step.cause) {
                gated.extend(more.iter().cloned());
            }
            self.plan.set_cause(step, Cause::Gates(gated));
            return step;
        }
        let op = Op::WaitCondition {
            target: target.clone(),
            condition,
            otherwise,
        };
        let step = self.plan.add(op, Cause::Gates(gated));
        if let Some(start) = self.started.get(&target.name) {
            self.plan.order(*start, step);
        }
        self.waits.insert(key, step);
        step
    }

    /// `--wait`: everything runs, is healthy where it has a probe, and has
    /// ended well where another service waits for that.
    pub(super) fn final_waits(&mut self) {
        let edges = self.edges;
        let completes: BTreeSet<&str> = edges
            .values()
            .flatten()
            .filter(|dep| dep.gate == Gate::Completed)
            .map(|dep| dep.service.as_str())
            .collect();
        for replica in self.replicas().filter(|replica| replica.stays()) {
            let start = self.started.get(&replica.target.name).copied();
            let health = replica.current.and_then(|current| current.health);
            let settled = matches!(health, None | Some(Health::Healthy));
            if start.is_none() && settled {
                continue;
            }
            let condition = if completes.contains(replica.target.service.as_str()) {
                Condition::CompletedSuccessfully
            } else {
                Condition::RunningOrHealthy
            };
            let op = Op::WaitCondition {
                target: replica.target.clone(),
                condition,
                otherwise: Otherwise::NotUp,
            };
            let step = self.plan.add(op, Cause::Asked);
            if let Some(start) = start {
                self.plan.order(start, step);
            }
        }
    }
}
