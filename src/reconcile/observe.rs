//! Reading what exists into [`Observed`].

use std::collections::BTreeMap;
use std::io;

use crate::net::spec::NetworkRecord;
use crate::state::atomic::read_json;
use crate::state::{ContainerId, Layout, volume};
use crate::supervise::inspect::{self, ContainerView};

use super::desired::VolumeSpec;
use super::observed::{Observed, ObservedContainer};
use super::session::ReconcileError;

/// A project as it is, and the records behind it.
#[derive(Debug, Default)]
pub struct Sight {
    /// What the planner reads.
    pub observed: Observed,
    /// What translation reads: the containers' records.
    pub views: Vec<ContainerView>,
}

/// Reads containers, networks and volumes from disk; asks nobody.
///
/// # Errors
/// Records that cannot be read.
pub fn observe(layout: &Layout, project: &str) -> Result<Sight, ReconcileError> {
    let fail = |what: String| {
        move |source: io::Error| ReconcileError::State {
            action: format!("read {what}"),
            source,
        }
    };
    let mut views = inspect::containers(layout, project)
        .map_err(fail(format!("the containers of project `{project}`")))?;
    views.sort_by(|a, b| a.record.name.cmp(&b.record.name));
    let containers = views
        .iter()
        .map(|view| {
            let running = view.run.as_ref().filter(|_| view.is_live());
            let health = running.and_then(|run| run.health);
            let code = view.exit.as_ref().and_then(|exit| exit.code);
            ObservedContainer::new(&view.record, view.state, health, code)
        })
        .collect();
    let volumes = volume::list(layout)
        .map_err(fail("the volumes".to_owned()))?
        .into_iter()
        .filter(|record| !record.anonymous)
        .map(|record| {
            let spec = VolumeSpec {
                name: record.name.clone(),
                driver: record.driver,
                driver_opts: record.driver_opts,
                labels: record.labels,
            };
            (record.name, spec)
        })
        .collect();
    let observed = Observed {
        containers,
        networks: networks(layout).map_err(fail("the networks".to_owned()))?,
        volumes,
        foreign_names: BTreeMap::new(),
    };
    Ok(Sight { observed, views })
}

/// The networks' records, as `net` writes them.
fn networks(layout: &Layout) -> io::Result<BTreeMap<String, NetworkRecord>> {
    let entries = match fs_err::read_dir(layout.networks()) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(error),
    };
    let mut found = BTreeMap::new();
    for entry in entries {
        let path = entry?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "json")
            && let Some(record) = read_json::<NetworkRecord>(&path)?
        {
            found.insert(record.spec.name.clone(), record);
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
