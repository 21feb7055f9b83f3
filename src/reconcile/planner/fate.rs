//! What becomes of each container of a service: decided service by service in
//! dependency order, because a container's fate can follow from another's.

use indexmap::IndexMap;

use super::super::desired::{Desired, DesiredService};
use super::super::diff::differences;
use super::super::observed::{Observed, ObservedContainer};
use super::super::plan::{Cause, Target};
use super::super::translate::names;
use super::up::Recreate;
use super::{PlanError, target_of};

/// What becomes of one container.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Fate {
    /// Stays as it is.
    Keep,
    /// Exists and is started.
    Start,
    /// Runs, is stopped and started again.
    Restart(Cause),
    /// Is made.
    Create,
    /// Is made, and started by somebody else: a one-off.
    CreateOnly,
    /// Is removed and made anew.
    Recreate(Cause),
    /// Is removed.
    Remove(Cause),
}

/// One container, as it is and as it will be.
#[derive(Debug, Clone)]
pub(super) struct Replica<'a> {
    /// As it is, where it exists.
    pub(super) current: Option<&'a ObservedContainer>,
    /// As it will be: the id is missing where it is made.
    pub(super) target: Target,
    /// What becomes of it.
    pub(super) fate: Fate,
}

impl Replica<'_> {
    /// Whether a container comes out of it that did not exist before.
    pub(super) fn is_new(&self) -> bool {
        matches!(
            self.fate,
            Fate::Create | Fate::CreateOnly | Fate::Recreate(_)
        )
    }

    /// Whether something is left of it.
    pub(super) fn stays(&self) -> bool {
        !matches!(self.fate, Fate::Remove(_))
    }
}

/// The replicas of all selected services, in dependency order.
pub(super) type Fates<'a> = IndexMap<String, Vec<Replica<'a>>>;

/// What decides a service's fate beside itself.
#[derive(Debug)]
pub(super) struct Rules<'a> {
    /// What is declared.
    pub(super) desired: &'a Desired,
    /// What exists.
    pub(super) observed: &'a Observed,
    /// Networks that are made anew.
    pub(super) changed_networks: &'a [String],
    /// False: nothing is started.
    pub(super) start: bool,
}

impl<'a> Rules<'a> {
    /// Decides on the containers of one service; `before` has the fates of
    /// those it depends on.
    pub(super) fn decide(
        &self,
        service: &DesiredService,
        replicas: u32,
        recreate: Recreate,
        before: &Fates<'a>,
    ) -> Result<Vec<Replica<'a>>, PlanError> {
        if let Some(container_name) = &service.container_name
            && replicas > 1
        {
            return Err(PlanError::NamedScale {
                service: service.name.clone(),
                container_name: container_name.clone(),
                replicas,
            });
        }
        let mut existing: Vec<(&ObservedContainer, Option<Cause>)> = self
            .observed
            .of_service(&service.name)
            .into_iter()
            .map(|container| {
                (
                    container,
                    self.must_recreate(service, container, recreate, before),
                )
            })
            .collect();
        let highest = existing
            .iter()
            .map(|(one, _)| one.number)
            .max()
            .unwrap_or(0);
        // Of too many, the outdated go first, then the highest numbers.
        existing.sort_by_key(|(one, cause)| (cause.is_some(), one.number));
        let wanted = replicas as usize;
        let missing = wanted.saturating_sub(existing.len());
        let mut decided = Vec::with_capacity(existing.len() + missing);
        for (index, (container, cause)) in existing.into_iter().enumerate() {
            let fate = if index < wanted {
                self.fate_of(service, container, cause, before)
            } else {
                Fate::Remove(Cause::Excess(replicas))
            };
            decided.push(self.replica(service, container, fate));
        }
        decided.sort_by_key(|replica| replica.target.number);
        for number in (highest + 1..).take(missing) {
            decided.push(Replica {
                current: None,
                target: self.new_target(service, number),
                fate: Fate::Create,
            });
        }
        Ok(decided)
    }

    fn fate_of(
        &self,
        service: &DesiredService,
        container: &ObservedContainer,
        recreate: Option<Cause>,
        before: &Fates<'a>,
    ) -> Fate {
        match recreate {
            Some(cause) => Fate::Recreate(cause),
            None if !self.start => Fate::Keep,
            None if !container.is_live() => Fate::Start,
            None => restart_cause(service, before).map_or(Fate::Keep, Fate::Restart),
        }
    }

    fn replica(
        &self,
        service: &DesiredService,
        container: &'a ObservedContainer,
        fate: Fate,
    ) -> Replica<'a> {
        let target = match fate {
            Fate::Recreate(_) => self.new_target(service, container.number),
            Fate::Keep
            | Fate::Start
            | Fate::Restart(_)
            | Fate::Create
            | Fate::CreateOnly
            | Fate::Remove(_) => target_of(container),
        };
        Replica {
            current: Some(container),
            target,
            fate,
        }
    }

    fn new_target(&self, service: &DesiredService, number: u32) -> Target {
        let name = service.container_name.clone().unwrap_or_else(|| {
            let Desired {
                project, separator, ..
            } = self.desired;
            names::container_name(*separator, project, &service.name, number)
        });
        Target {
            name,
            service: service.name.clone(),
            number,
            id: None,
        }
    }

    fn must_recreate(
        &self,
        service: &DesiredService,
        container: &ObservedContainer,
        recreate: Recreate,
        before: &Fates<'a>,
    ) -> Option<Cause> {
        match recreate {
            Recreate::Never => return None,
            Recreate::Always => return Some(Cause::Forced),
            Recreate::Changed => {}
        }
        if container.config_hash != service.config_hash {
            let found = differences(&container.canonical, &service.canonical);
            return Some(if found.is_empty() {
                Cause::HashDiffers
            } else {
                Cause::Changed(found)
            });
        }
        if let Some(image_id) = &service.image_id
            && *image_id != container.image_id
        {
            return Some(Cause::ImageChanged {
                image: service.image.clone(),
                from: container.image_id.clone(),
                to: image_id.clone(),
            });
        }
        let changed = |name: &&String| {
            self.changed_networks.contains(name) || !container.networks.contains(*name)
        };
        if let Some(name) = service.networks.iter().find(changed) {
            return Some(Cause::NetworkChanged(name.clone()));
        }
        self.joined_anew(service, container, before)
    }

    /// Namespaces are joined by id: a new container on the other side, or one
    /// that was replaced while this one was not looked at, needs a new one here.
    fn joined_anew(
        &self,
        service: &DesiredService,
        container: &ObservedContainer,
        before: &Fates<'a>,
    ) -> Option<Cause> {
        let renewed = service.joins.iter().find(|name| {
            before
                .get(*name)
                .is_some_and(|list| list.iter().any(Replica::is_new))
        });
        if let Some(name) = renewed {
            return Some(Cause::Joined(name.clone()));
        }
        let gone = container
            .shares_network_of
            .as_ref()
            .is_some_and(|id| self.observed.by_id(id).is_none());
        service
            .joins
            .first()
            .filter(|_| gone)
            .map(|name| Cause::Joined(name.clone()))
    }
}

/// Why a running container that is up to date restarts all the same.
fn restart_cause(service: &DesiredService, before: &Fates<'_>) -> Option<Cause> {
    let of = |name: &str, test: fn(&Replica<'_>) -> bool| {
        before.get(name).is_some_and(|list| list.iter().any(test))
    };
    let by_dependency = service.depends_on.iter().find(|dep| {
        dep.restart
            && of(&dep.service, |one| {
                matches!(one.fate, Fate::Recreate(_) | Fate::Restart(_))
            })
    });
    // A namespace that is joined is made anew when its owner is started again.
    let by_namespace = service.joins.iter().find(|name| {
        of(name, |one| {
            matches!(one.fate, Fate::Start | Fate::Restart(_))
        })
    });
    by_dependency
        .map(|dep| &dep.service)
        .or(by_namespace)
        .map(|name| Cause::RestartsWith(name.clone()))
}
