//! Reading what exists into [`Observed`].

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use fs_err as fs;

use crate::net::spec::{Endpoint, NetworkRecord};
use crate::state::atomic::read_json;
use crate::state::names::Names;
use crate::state::volume::{self, VolumeRecord};
use crate::state::{ContainerId, Layout};
use crate::supervise::inspect::{self, ContainerView};

use super::desired::{Desired, VolumeSpec};
use super::observed::{Observed, ObservedContainer};
use super::planner::UpChoices;
use super::session::ReconcileError;
use super::translate::names;

/// A project as it is, and the records behind it.
#[derive(Debug, Default)]
pub struct Sight {
    /// What the planner reads.
    pub observed: Observed,
    /// What translation reads: the containers' records.
    pub views: Vec<ContainerView>,
}

/// What beside the project's containers is looked at: a command reads no more
/// than it decides by.
#[derive(Debug, Clone, Copy)]
pub enum Look<'a> {
    /// Nothing: containers only change their state.
    Containers,
    /// What is declared: its networks, volumes and names.
    Declared(&'a Desired, &'a UpChoices),
    /// All that is labelled as the project's, and who else uses it.
    Owned,
}

/// Reads a project from disk; asks nobody.
///
/// # Errors
/// Records that cannot be read.
pub fn observe(layout: &Layout, project: &str, look: Look<'_>) -> Result<Sight, ReconcileError> {
    read(layout, project, look).map_err(|source| ReconcileError::State {
        action: format!("read the state of project `{project}`"),
        source,
    })
}

fn read(layout: &Layout, project: &str, look: Look<'_>) -> io::Result<Sight> {
    let mut views = inspect::containers(layout, project)?;
    views.sort_by(|a, b| a.record.name.cmp(&b.record.name));
    let mut observed = Observed {
        containers: views.iter().map(container).collect(),
        ..Observed::default()
    };
    match look {
        Look::Containers => {}
        Look::Declared(desired, choices) => {
            for name in desired.networks.keys() {
                let path = layout.networks().join(format!("{name}.json"));
                observed
                    .networks
                    .extend(read_json(&path)?.map(|record| (name.clone(), record)));
            }
            for name in desired.volumes.keys() {
                let found = volume::find(layout, name)?;
                observed
                    .volumes
                    .extend(found.map(|record| (name.clone(), spec(record))));
            }
            observed.foreign_names = foreign_names(layout, desired, choices, &observed);
        }
        Look::Owned => {
            observed.networks = networks(layout)?;
            for record in volume::list(layout)? {
                // An anonymous volume goes with its container, while it has one.
                if !record.anonymous || volume::users(layout, &record.name)?.is_empty() {
                    observed.volumes.insert(record.name.clone(), spec(record));
                }
            }
        }
    }
    foreign_users(layout, project, &mut observed)?;
    Ok(Sight { observed, views })
}

fn container(view: &ContainerView) -> ObservedContainer {
    let running = view.run.as_ref().filter(|_| view.is_live());
    let health = running.and_then(|run| run.health);
    let code = view.exit.as_ref().and_then(|exit| exit.code);
    ObservedContainer::new(&view.record, view.state, health, code)
}

fn spec(record: VolumeRecord) -> VolumeSpec {
    VolumeSpec {
        name: record.name,
        driver: record.driver,
        driver_opts: record.driver_opts,
        labels: record.labels,
    }
}

/// All networks' records, as `net` writes them.
fn networks(layout: &Layout) -> io::Result<BTreeMap<String, NetworkRecord>> {
    let mut found = BTreeMap::new();
    for path in files(&layout.networks())? {
        if let Some(record) = read_json::<NetworkRecord>(&path)? {
            found.insert(record.spec.name.clone(), record);
        }
    }
    Ok(found)
}

/// What projects have beside containers: by project, the number of networks and
/// of volumes that carry its label.
///
/// # Errors
/// Records that cannot be read.
pub fn belongings(layout: &Layout) -> io::Result<BTreeMap<String, (usize, usize)>> {
    let mut found: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    for record in networks(layout)?.into_values() {
        if let Some(project) = record.spec.labels.get(names::LABEL_PROJECT) {
            found.entry(project.clone()).or_default().0 += 1;
        }
    }
    for record in volume::list(layout)? {
        if let Some(project) = record.labels.get(names::LABEL_PROJECT) {
            found.entry(project.clone()).or_default().1 += 1;
        }
    }
    Ok(found)
}

/// Whose the names are that the project may want, where they are another's.
/// Names of containers that exist are the project's own already.
fn foreign_names(
    layout: &Layout,
    desired: &Desired,
    choices: &UpChoices,
    observed: &Observed,
) -> BTreeMap<String, String> {
    let own: BTreeSet<&str> = observed
        .containers
        .iter()
        .map(|one| one.name.as_str())
        .collect();
    let index = Names::new(layout);
    let mut foreign = BTreeMap::new();
    // What cannot be read is told when a name is to be given.
    let Ok(index) = index.view() else {
        return foreign;
    };
    for service in desired.services.values() {
        let replicas = choices
            .scale
            .get(&service.name)
            .copied()
            .unwrap_or(service.replicas);
        let wanted = match &service.container_name {
            Some(name) => vec![name.clone()],
            None => (1..=replicas)
                .map(|number| {
                    names::container_name(
                        desired.separator,
                        &desired.project,
                        &service.name,
                        number,
                    )
                })
                .collect(),
        };
        for name in wanted
            .into_iter()
            .filter(|name| !own.contains(name.as_str()))
        {
            // What is no name at all is told when it is to be given.
            if let Ok(Some(owner)) = index.find(&name)
                && owner.project != desired.project
            {
                foreign.insert(name, owner.project);
            }
        }
    }
    foreign
}

/// Containers of other projects on the networks and volumes at hand, by name.
/// Only what the project owns can be removed by it, so only that is looked at.
fn foreign_users(layout: &Layout, project: &str, observed: &mut Observed) -> io::Result<()> {
    let owned = |labels: &BTreeMap<String, String>| {
        labels.get(names::LABEL_PROJECT).map(String::as_str) == Some(project)
    };
    let ours: BTreeSet<ContainerId> = observed
        .containers
        .iter()
        .map(|one| one.id.clone())
        .collect();
    for (name, record) in observed
        .networks
        .iter()
        .filter(|(_, one)| owned(&one.spec.labels))
    {
        let folder = layout
            .run_networks()
            .join(record.id.as_str())
            .join("endpoints");
        for path in files(&folder)? {
            let id = path
                .file_stem()
                .and_then(|stem| stem.to_str())
                .and_then(ContainerId::parse);
            if id.is_some_and(|id| ours.contains(&id)) {
                continue;
            }
            if let Some(endpoint) = read_json::<Endpoint>(&path)? {
                let users = observed.foreign_users.entry(name.clone()).or_default();
                users.push(endpoint.container_name);
            }
        }
    }
    for (name, _) in observed
        .volumes
        .iter()
        .filter(|(_, one)| owned(&one.labels))
    {
        for user in volume::users(layout, name)? {
            if user.project != project {
                let users = observed.foreign_users.entry(name.clone()).or_default();
                users.push(format!("{} of project {}", user.id.short(), user.project));
            }
        }
    }
    Ok(())
}

/// The JSON files of a folder, which may be missing.
fn files(folder: &std::path::Path) -> io::Result<Vec<std::path::PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "json")
        {
            found.push(path);
        }
    }
    Ok(found)
}

/// All containers of this machine by name, id and short id, with their
/// projects: for what crosses projects.
///
/// # Errors
/// Records that cannot be read.
pub fn everywhere(layout: &Layout) -> io::Result<BTreeMap<String, (String, ContainerId)>> {
    let mut found = BTreeMap::new();
    for project in inspect::projects(layout)? {
        for view in inspect::containers(layout, &project)? {
            let record = view.record;
            for key in [record.name.as_str(), record.id.as_str(), record.id.short()] {
                found.insert(key.to_owned(), (project.clone(), record.id.clone()));
            }
        }
    }
    Ok(found)
}
