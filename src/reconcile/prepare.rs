//! From a plan's creations to records: ids are given, services translated,
//! missing bind sources made. Everything that can go wrong with a definition
//! does so here, before the first operation.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::chown;
use std::path::Path;

use fs_err as fs;
use jiff::Timestamp;

use crate::compose::{Diagnostic, Project, Service};
use crate::event::Event;
use crate::image::ImageConfig;
use crate::state::ContainerId;
use crate::supervise::record::ContainerRecord;

use super::observe::{self, Sight};
use super::plan::{Op, Plan, Target};
use super::session::{ReconcileError, Session};
use super::translate::identity::Contents;
use super::translate::oneoff::OneOff;
use super::translate::project::image_name;
use super::translate::{Context, Host, ImageFacts, Instance, Issue, Peer, Translated, translate};

/// Which of the creations is a one-off, and its facts. Its service is the
/// project's, changed already.
#[derive(Debug)]
pub(super) struct NamedOneOff<'a> {
    pub(super) name: &'a str,
    pub(super) oneoff: OneOff,
}

/// What preparation reads.
pub(super) struct Preparation<'a> {
    pub(super) session: &'a Session<'a>,
    pub(super) project: &'a Project,
    pub(super) sight: &'a Sight,
    pub(super) images: &'a BTreeMap<String, ImageFacts>,
    pub(super) contents: &'a Contents,
    pub(super) oneoff: Option<NamedOneOff<'a>>,
}

impl Preparation<'_> {
    /// Records of all containers that the plan creates, by name.
    pub(super) fn records(
        &self,
        plan: &Plan,
    ) -> Result<BTreeMap<String, ContainerRecord>, ReconcileError> {
        let ids: BTreeMap<String, ContainerId> = plan
            .creations()
            .map(|(target, _)| (target.name.clone(), ContainerId::random()))
            .collect();
        if ids.is_empty() {
            return Ok(BTreeMap::new());
        }
        let peers = self.peers(plan, &ids);
        let containers = self.foreign_containers()?;
        let now = Timestamp::now().to_string();
        let context = Context {
            project: self.project,
            peers: &peers,
            containers: &containers,
            contents: self.contents,
            host: &Host,
            now: &now,
        };
        let mut records = BTreeMap::new();
        let mut errors: Vec<Issue> = Vec::new();
        let mut warnings: BTreeSet<String> = BTreeSet::new();
        let mut folders = BTreeSet::new();
        for (target, replaces) in plan.creations() {
            let Some(id) = ids.get(&target.name) else {
                continue;
            };
            match self.translate(context, target, replaces, id) {
                Ok(translated) => {
                    warnings.extend(translated.warnings.iter().map(ToString::to_string));
                    folders.extend(translated.folders);
                    records.insert(target.name.clone(), translated.record);
                }
                Err(issues) => {
                    for issue in issues {
                        if !errors.contains(&issue) {
                            errors.push(issue);
                        }
                    }
                }
            }
        }
        if !errors.is_empty() {
            let diagnostics = errors
                .iter()
                .map(|issue| issue.diagnostic(self.project))
                .collect();
            return Err(ReconcileError::Refused { diagnostics });
        }
        for message in warnings {
            self.session.sink.emit(Event::Warning { message });
        }
        for folder in folders {
            make_folder(&folder, self.session.owner).map_err(|source| ReconcileError::State {
                action: format!("make the bind source `{}`", folder.display()),
                source,
            })?;
        }
        Ok(records)
    }

    fn translate(
        &self,
        context: Context<'_>,
        target: &Target,
        replaces: Option<&ContainerId>,
        id: &ContainerId,
    ) -> Result<Translated, Vec<Issue>> {
        let own = self
            .oneoff
            .as_ref()
            .filter(|oneoff| oneoff.name == target.name);
        let service = self.project.services.get(&target.service);
        let (Some(service), Some(image)) = (service, self.images.get(&target.service)) else {
            return Err(vec![Issue {
                path: format!("services.{}", target.service),
                message: "has no image".to_owned(),
            }]);
        };
        let replaced = self
            .sight
            .views
            .iter()
            .find(|view| Some(&view.record.id) == replaces);
        let instance = Instance {
            id: id.clone(),
            name: target.name.clone(),
            number: target.number,
            oneoff: own.map(|oneoff| oneoff.oneoff.clone()),
            carried: replaced.map_or(&[], |view| view.record.launch.volumes.as_slice()),
        };
        translate(context, &target.service, service, image, &instance)
    }

    /// Containers by service as they will be once the plan is walked.
    fn peers(
        &self,
        plan: &Plan,
        ids: &BTreeMap<String, ContainerId>,
    ) -> BTreeMap<String, Vec<Peer>> {
        let removed: BTreeSet<&ContainerId> = plan
            .steps()
            .filter_map(|(_, step)| {
                if let Op::RemoveContainer { target, .. } = &step.op {
                    target.id.as_ref()
                } else {
                    None
                }
            })
            .collect();
        let staying = self
            .sight
            .observed
            .containers
            .iter()
            .filter(|one| !one.oneoff && !removed.contains(&one.id))
            .map(|one| {
                (
                    one.service.clone(),
                    one.id.clone(),
                    one.name.clone(),
                    one.number,
                )
            });
        let new = plan
            .creations()
            .filter(|(target, _)| {
                self.oneoff
                    .as_ref()
                    .is_none_or(|oneoff| oneoff.name != target.name)
            })
            .filter_map(|(target, _)| {
                let id = ids.get(&target.name)?.clone();
                Some((
                    target.service.clone(),
                    id,
                    target.name.clone(),
                    target.number,
                ))
            });
        let mut peers: BTreeMap<String, Vec<Peer>> = BTreeMap::new();
        for (service, id, name, number) in staying.chain(new) {
            peers
                .entry(service)
                .or_default()
                .push(Peer { id, name, number });
        }
        for list in peers.values_mut() {
            list.sort_by_key(|peer| peer.number);
        }
        peers
    }

    /// Containers of the whole machine, where a service names one.
    fn foreign_containers(&self) -> Result<BTreeMap<String, ContainerId>, ReconcileError> {
        let named = |service: &Service| {
            service
                .network_mode
                .as_deref()
                .is_some_and(|mode| mode.starts_with("container:"))
        };
        if !self.project.services.values().any(named) {
            return Ok(BTreeMap::new());
        }
        let found =
            observe::everywhere(self.session.layout).map_err(|source| ReconcileError::State {
                action: "read the containers of this machine".to_owned(),
                source,
            })?;
        Ok(found
            .into_iter()
            .map(|(name, (_, id))| (name, id))
            .collect())
    }
}

/// What translation has against these services, before there is an image of
/// theirs, or an id of anything.
pub(super) fn preview(project: &Project, services: &[&String]) -> Vec<Diagnostic> {
    // Whatever a service leaves to its image, this one has.
    let stand_in = |name: &str, service: &Service| ImageFacts {
        reference: image_name(project, name, service),
        config: ImageConfig {
            entrypoint: vec!["unknown".to_owned()],
            cmd: vec!["unknown".to_owned()],
            ..ImageConfig::default()
        },
        ..ImageFacts::default()
    };
    let peer = |name: &String| Peer {
        id: ContainerId::random(),
        name: name.clone(),
        number: 1,
    };
    let peers = project
        .services
        .keys()
        .map(|name| (name.clone(), vec![peer(name)]))
        .collect();
    let named = |service: &Service| {
        let mode = service
            .network_mode
            .as_deref()?
            .strip_prefix("container:")?;
        Some((mode.to_owned(), ContainerId::random()))
    };
    let context = Context {
        project,
        peers: &peers,
        containers: &project.services.values().filter_map(named).collect(),
        contents: &Contents::default(),
        host: &Host,
        now: "",
    };
    let mut found = Vec::new();
    for name in services {
        let Some(service) = project.services.get(*name) else {
            continue;
        };
        let instance = Instance {
            id: ContainerId::random(),
            name: (*name).clone(),
            number: 1,
            oneoff: None,
            carried: &[],
        };
        let image = stand_in(name, service);
        if let Err(issues) = translate(context, name, service, &image, &instance) {
            found.extend(issues.iter().map(|issue| issue.diagnostic(project)));
        }
    }
    found
}

/// Makes a folder with its parents, all that is new owned by the user who
/// called: what is outside the data root is theirs.
fn make_folder(folder: &Path, owner: Option<(u32, u32)>) -> std::io::Result<()> {
    let missing: Vec<&Path> = folder
        .ancestors()
        .take_while(|part| !part.exists())
        .collect();
    fs::create_dir_all(folder)?;
    if let Some((uid, gid)) = owner {
        for part in missing {
            chown(part, Some(uid), Some(gid))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_made_with_their_parents_and_given_to_the_owner() {
        use std::os::unix::fs::MetadataExt;
        let root = tempfile::tempdir().unwrap();
        let me = fs::metadata(root.path()).unwrap();
        let folder = root.path().join("a/b/c");
        make_folder(&folder, Some((me.uid(), me.gid()))).unwrap();
        assert!(folder.is_dir());
        make_folder(&folder, None).unwrap();
    }
}
