//! What operations that died half-way left behind, in all projects of a root:
//! files, names, networks, control groups. Whatever a container that exists
//! could be using stays, and so does what a command is working on.

use std::error::Error;
use std::io;

use crate::engine::cgroup;
use crate::engine::process::boot_id;
use crate::engine::systemd::{SLICE, scope_project};
use crate::net::Net;
use crate::state::lock::{Lock, Tried};
use crate::state::names::Names;
use crate::state::sweep::{Resting, sweep_files};
use crate::state::{ContainerId, Layout};
use crate::supervise::inspect::{CONFIG_FILE, projects, run_projects};
use crate::supervise::keeper::{self, Identity};
use crate::supervise::{group, removal};

/// What was removed, one line each.
#[derive(Debug, Default)]
pub struct Swept {
    /// `name shop-web-1`, `control group skiff/…`.
    pub removed: Vec<String>,
    /// What could not be swept, and why.
    pub failures: Vec<Box<dyn Error + Send + Sync>>,
}

/// Sweeps once. Blocks for a few milliseconds. `own` is the project of a
/// supervisor that calls this at its end.
pub fn sweep(layout: &Layout, own: Option<&str>) -> Swept {
    let mut swept = Swept::default();
    if let Err(error) = finish_removals(layout, own, &mut swept.removed) {
        swept.failures.push(error.into());
    }
    // Before the locks of its project, which it holds back.
    if let Err(error) = sweep_keepers(layout, &mut swept.removed) {
        swept.failures.push(error.into());
    }
    match Names::new(layout).sweep() {
        Ok(names) => swept
            .removed
            .extend(names.iter().map(|name| format!("name {name}"))),
        Err(error) => swept.failures.push(error.into()),
    }
    match boot_id().and_then(|boot| sweep_files(layout, &boot, own)) {
        Ok(files) => {
            let containers = files.containers.iter().map(|id| format!("container {id}"));
            let run = files
                .run_files
                .iter()
                .map(|id| format!("run-time files of {id}"));
            swept.removed.extend(containers.chain(run));
        }
        Err(error) => swept.failures.push(error.into()),
    }
    match Net::open(layout, None) {
        Ok(net) => {
            match net.sweep() {
                Ok(nets) => {
                    let links = nets.links.iter().map(|link| format!("link {link}"));
                    let pins = nets.containers.iter().map(|id| format!("network of {id}"));
                    swept.removed.extend(links.chain(pins));
                }
                Err(error) => swept.failures.push(error.into()),
            }
            if let Err(error) = sweep_groups(layout, own, net.root_id(), &mut swept.removed) {
                swept.failures.push(error);
            }
        }
        Err(error) => swept.failures.push(error.into()),
    }
    swept
}

/// Goes on with removals of containers that were cut short.
fn finish_removals(
    layout: &Layout,
    own: Option<&str>,
    removed: &mut Vec<String>,
) -> io::Result<()> {
    for project in projects(layout)? {
        if let Some(_resting) = Resting::of(layout, &project, own)? {
            let finished = removal::finish_all(layout, &project)?;
            removed.extend(finished.iter().map(|id| format!("container {id}")));
        }
    }
    Ok(())
}

/// Does the last steps of keepers that were killed over them.
fn sweep_keepers(layout: &Layout, removed: &mut Vec<String>) -> io::Result<()> {
    for project in run_projects(layout)? {
        let identity = Identity {
            project,
            layout: layout.clone(),
        };
        let path = layout.start_lock(&identity.project);
        if keeper::is_dead(&identity)
            && let Tried::Taken(_lock) = Lock::try_acquire_existing(&path)?
            && keeper::bury(&identity)?
        {
            removed.push(format!("keeper of {}", identity.project));
        }
    }
    Ok(())
}

/// Removes control groups of containers that no longer exist, with whatever
/// still runs in them, and those of keepers that were killed over removing them.
fn sweep_groups(
    layout: &Layout,
    own: Option<&str>,
    root_id: &str,
    removed: &mut Vec<String>,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    let host = cgroup::Host::detect()?;
    for (project, place) in places(&host, root_id) {
        // A command that changes the project may be about to use its groups.
        let Some(_resting) = Resting::of(layout, &project, own)? else {
            continue;
        };
        for name in host.children(&place) {
            // Looked for while it rests: before, it may have been about to start.
            let gone = ContainerId::parse(&name).is_some_and(|id| !exists(layout, &project, &id));
            if gone {
                let group = host.open(&format!("{place}/{name}"));
                group.kill_all()?;
                host.remove_tree(group.path())?;
                removed.push(format!("control group {}", group.path()));
            }
        }
        sweep_leaf(layout, &host, (&project, &place), removed)?;
    }
    Ok(())
}

/// Removes the group of a keeper and a supervisor that are both gone.
fn sweep_leaf(
    layout: &Layout,
    host: &cgroup::Host,
    (project, place): (&str, &str),
    removed: &mut Vec<String>,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    // Held by a keeper that begins, and by one that is about to remove it.
    let path = layout.start_lock(project);
    let Tried::Taken(_lock) = Lock::try_acquire_existing(&path)? else {
        return Ok(());
    };
    let leaf = group::leaf_below(place);
    let was_there = host.open(&leaf).exists();
    if group::remove_idle(host, &leaf)? && was_there {
        removed.push(format!("control group {leaf}"));
    }
    Ok(())
}

/// Whether a container has a record.
fn exists(layout: &Layout, project: &str, id: &ContainerId) -> bool {
    layout.container(project, id).join(CONFIG_FILE).exists()
}

/// Projects of this root that have control groups, and where: in the file
/// system, and in scopes.
fn places(host: &cgroup::Host, root_id: &str) -> Vec<(String, String)> {
    let root = format!("skiff/{root_id}");
    let plain = host.children(&root).into_iter().map(|project| {
        let place = format!("{root}/{project}");
        (project, place)
    });
    let scopes = host.children(SLICE).into_iter().filter_map(|name| {
        let project = scope_project(root_id, &name)?;
        Some((project, format!("{SLICE}/{name}")))
    });
    plain.chain(scopes).collect()
}
