//! `up` and `create`: what is declared comes to be.

use std::collections::{BTreeMap, BTreeSet};

use super::super::desired::Desired;
use super::super::observed::{Observed, ObservedContainer};
use super::super::plan::{Cause, Plan, Target};
use super::super::translate::names;
use super::PlanError;
use super::emit::{Decided, Emitter};
use super::fate::{Fate, Fates, Replica, Rules};
use super::select;

/// When a container that exists is made anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Recreate {
    /// When it is not as declared.
    #[default]
    Changed,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// What the user chose.
#[derive(Debug, Clone, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "one field a flag of the command"
)]
pub struct UpChoices {
    /// Only these services (and what they depend on); empty: all.
    pub services: Vec<String>,
    /// Leave out what they depend on.
    pub no_deps: bool,
    /// For the asked-for services.
    pub recreate: Recreate,
    /// What holds for the asked-for services holds for their dependencies, too.
    pub always_recreate_deps: bool,
    /// Anonymous volumes are not carried over a recreation.
    pub renew_anonymous_volumes: bool,
    /// Remove containers of services that are not in the file.
    pub remove_orphans: bool,
    /// Say nothing of orphans.
    pub ignore_orphans: bool,
    /// Create, but do not start.
    pub no_start: bool,
    /// Wait until everything runs or is healthy.
    pub wait: bool,
    /// Seconds instead of each container's grace time.
    pub timeout: Option<i64>,
    /// `--scale SERVICE=N`
    pub scale: BTreeMap<String, u32>,
}

/// Plans an `up`.
pub fn plan_up(
    desired: &Desired,
    observed: &Observed,
    choices: &UpChoices,
) -> Result<Plan, PlanError> {
    plan_services(desired, observed, choices, None)
}

/// Plans an `up` of the asked-for services; with `oneoff`, that container is
/// made in place of its service's own, and not started.
pub(super) fn plan_services(
    desired: &Desired,
    observed: &Observed,
    choices: &UpChoices,
    oneoff: Option<&Target>,
) -> Result<Plan, PlanError> {
    let known = desired.services.keys().map(String::as_str);
    select::check_names(&choices.services, known.clone())?;
    let scaled: Vec<String> = choices.scale.keys().cloned().collect();
    select::check_names(&scaled, known)?;

    let mut edges = select::edges_of_desired(desired);
    if choices.no_deps {
        edges.values_mut().for_each(Vec::clear);
    }
    let order = select::dependency_order(&edges)?;
    let mut selected = select::with_dependencies(&choices.services, &edges);
    let (changed, foreign) = changed_networks(desired, observed, &selected)?;
    let untouched = oneoff.map(|target| target.service.as_str());
    let may_go = |container: &ObservedContainer| {
        desired.services.contains_key(&container.service)
            && !container.oneoff
            && untouched != Some(container.service.as_str())
    };
    let meant = selected.clone();
    extend_by_networks(observed, choices, &changed, may_go, &mut selected)?;
    let fates = Decider {
        desired,
        observed,
        choices,
        selected: &selected,
        changed: &changed,
    }
    .decide(&order, oneoff)?;
    check_names_free(observed, choices, &fates)?;

    let decided = Decided {
        edges,
        fates,
        bystanders: selected.difference(&meant).cloned().collect(),
    };
    let orphans = orphans(desired, observed);
    let mut emitter = Emitter::new(desired, observed, choices, &decided);
    emitter.warn(foreign);
    if !choices.remove_orphans && !choices.ignore_orphans {
        emitter.warn(orphan_warning(&orphans));
    }
    emitter.removals(if choices.remove_orphans {
        &orphans
    } else {
        &[]
    });
    emitter.networks(&selected, &changed);
    emitter.volumes(&selected)?;
    emitter.creations();
    if !choices.no_start {
        emitter.starts();
        if choices.wait {
            emitter.final_waits();
        }
    }
    Ok(emitter.finish())
}

struct Decider<'a> {
    desired: &'a Desired,
    observed: &'a Observed,
    choices: &'a UpChoices,
    selected: &'a BTreeSet<String>,
    changed: &'a [String],
}

impl<'a> Decider<'a> {
    fn decide(&self, order: &[String], oneoff: Option<&Target>) -> Result<Fates<'a>, PlanError> {
        let rules = Rules {
            desired: self.desired,
            observed: self.observed,
            changed_networks: self.changed,
            start: !self.choices.no_start,
        };
        let mut fates = Fates::new();
        for name in order.iter().filter(|name| self.selected.contains(*name)) {
            let Some(service) = self.desired.services.get(name) else {
                continue;
            };
            let decided = if let Some(target) = oneoff.filter(|target| target.service == *name) {
                vec![Replica {
                    current: None,
                    target: target.clone(),
                    fate: Fate::CreateOnly,
                }]
            } else {
                let asked = self.choices.scale.get(name).copied();
                let replicas = asked.unwrap_or(service.replicas);
                rules.decide(service, replicas, self.recreate(name), &fates)?
            };
            fates.insert(name.clone(), decided);
        }
        Ok(fates)
    }

    fn recreate(&self, name: &String) -> Recreate {
        let choices = self.choices;
        let asked = choices.services.is_empty() || choices.services.contains(name);
        match choices.recreate {
            choice if asked || choices.always_recreate_deps => choice,
            Recreate::Never => Recreate::Never,
            Recreate::Always | Recreate::Changed => Recreate::Changed,
        }
    }
}

/// Networks of the selected services that exist with another definition, and
/// warnings about such that are another project's.
fn changed_networks(
    desired: &Desired,
    observed: &Observed,
    selected: &BTreeSet<String>,
) -> Result<(Vec<String>, Vec<String>), PlanError> {
    let (mut changed, mut foreign) = (Vec::new(), Vec::new());
    for name in networks_of(desired, selected) {
        let Some(wanted) = desired.networks.get(&name) else {
            continue;
        };
        match observed.networks.get(&name) {
            None if wanted.external => return Err(PlanError::ExternalNetwork { name }),
            Some(record) if !wanted.external => {
                let owner = record.spec.labels.get(names::LABEL_PROJECT);
                if owner != Some(&desired.project) {
                    foreign.push(format!(
                        "network {name} exists, but was not made for project `{}`; \
                         set `external: true` to use an existing network",
                        desired.project
                    ));
                } else if !same_network(&record.spec, &wanted.spec) {
                    changed.push(name);
                }
            }
            None | Some(_) => {}
        }
    }
    Ok((changed, foreign))
}

/// Full names of the networks that the selected services are on, in the
/// file's order.
pub(super) fn networks_of(desired: &Desired, selected: &BTreeSet<String>) -> Vec<String> {
    let used: BTreeSet<&String> = desired
        .services
        .values()
        .filter(|service| selected.contains(&service.name))
        .flat_map(|service| &service.networks)
        .collect();
    desired
        .networks
        .keys()
        .filter(|name| used.contains(name))
        .cloned()
        .collect()
}

/// Whether two definitions make the same network. Our own labels hold the
/// version of skiff, which is no reason to take a network down.
fn same_network(a: &crate::net::spec::NetworkSpec, b: &crate::net::spec::NetworkSpec) -> bool {
    let strip = |spec: &crate::net::spec::NetworkSpec| {
        let mut spec = spec.clone();
        spec.labels = own_labels_removed(&spec.labels);
        spec
    };
    strip(a) == strip(b)
}

/// The labels that the user gave.
pub(super) fn own_labels_removed(labels: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    labels
        .iter()
        .filter(|(key, _)| !key.starts_with("com.docker.compose."))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

/// A network that is made anew takes all its containers with it: services on
/// it join the selection; what may not be touched is an error.
fn extend_by_networks(
    observed: &Observed,
    choices: &UpChoices,
    changed: &[String],
    may_go: impl Fn(&ObservedContainer) -> bool,
    selected: &mut BTreeSet<String>,
) -> Result<(), PlanError> {
    for network in changed {
        let foreign = observed.foreign_users.get(network);
        let mut users: Vec<String> = foreign.into_iter().flatten().cloned().collect();
        let on_it = observed
            .containers
            .iter()
            .filter(|container| container.networks.contains(network));
        for container in on_it {
            if may_go(container) {
                selected.insert(container.service.clone());
            } else if container.is_live() && (container.oneoff || !choices.remove_orphans) {
                users.push(container.name.clone());
            }
        }
        if !users.is_empty() {
            return Err(PlanError::NetworkInUse {
                network: network.clone(),
                users,
            });
        }
    }
    Ok(())
}

/// Containers whose service is not in the file, and finished one-offs.
pub(super) fn orphans<'a>(
    desired: &Desired,
    observed: &'a Observed,
) -> Vec<(&'a ObservedContainer, Cause)> {
    let known = |name: &str| desired.services.contains_key(name) || desired.disabled.contains(name);
    observed
        .containers
        .iter()
        .filter_map(|container| match container.oneoff {
            // One that removes itself is on its way out.
            true if container.is_live() || container.auto_remove => None,
            true => Some((container, Cause::FinishedOneOff)),
            false => (!known(&container.service)).then_some((container, Cause::Orphan)),
        })
        .collect()
}

pub(super) fn orphan_warning(orphans: &[(&ObservedContainer, Cause)]) -> Option<String> {
    let names: Vec<&str> = orphans.iter().map(|(one, _)| one.name.as_str()).collect();
    (!names.is_empty()).then(|| {
        format!(
            "Found orphan containers ([{}]) for this project. If you removed or renamed this \
             service in your compose file, you can run this command with the --remove-orphans \
             flag to clean it up.",
            names.join(" ")
        )
    })
}

/// Every name that a new container takes must be free, or be freed by the plan.
fn check_names_free(
    observed: &Observed,
    choices: &UpChoices,
    fates: &Fates<'_>,
) -> Result<(), PlanError> {
    let freed = |container: &ObservedContainer| {
        let replica = fates
            .get(&container.service)
            .into_iter()
            .flatten()
            .find(|replica| {
                replica
                    .current
                    .is_some_and(|current| current.id == container.id)
            });
        match replica.map(|replica| &replica.fate) {
            Some(Fate::Recreate(_) | Fate::Remove(_)) => true,
            Some(_) => false,
            None => choices.remove_orphans && !container.is_live_oneoff(),
        }
    };
    for replica in fates.values().flatten().filter(|replica| replica.is_new()) {
        let name = &replica.target.name;
        let holder = if let Some(project) = observed.foreign_names.get(name) {
            Some(format!("project `{project}`"))
        } else {
            observed
                .containers
                .iter()
                .find(|container| container.name == *name && !freed(container))
                .map(|container| format!("service `{}`", container.service))
        };
        if let Some(holder) = holder {
            return Err(PlanError::NameTaken {
                name: name.clone(),
                holder,
            });
        }
    }
    Ok(())
}
