//! Requests that make things: containers and networks.

use std::collections::BTreeMap;
use std::sync::Arc;

use fs_err as fs;
use jiff::Timestamp;
use tokio::sync::oneshot;

use super::actor::Message;
use super::{Shared, failure, remove};
use crate::net::spec::NetworkSpec;
use crate::state::Layout;
use crate::state::names::{NameError, NameOwner, Names};
use crate::state::volume::{self, VolumeRecord, VolumeUser};
use crate::supervise::inspect::log_folder;
use crate::supervise::record::{ContainerRecord, RECORD_VERSION};
use crate::supervise::wire::{Failure, Reply};

/// Makes a network, or finds it.
pub(super) async fn ensure_network(
    shared: &Arc<Shared>,
    spec: NetworkSpec,
) -> Result<Reply, Failure> {
    let net = Arc::clone(&shared.host.net);
    let ensured = tokio::task::spawn_blocking(move || net.ensure_network(&spec))
        .await
        .map_err(|error| failure::other(&error))?
        .map_err(failure::net)?;
    Ok(Reply::Done {
        notes: ensured.notes,
    })
}

/// Removes a network.
pub(super) async fn remove_network(shared: &Arc<Shared>, name: String) -> Result<Reply, Failure> {
    shared.host.leavers.network(name).await?;
    Ok(Reply::Ok)
}

/// Writes a container's record; done again for the same id, it is no error.
pub(super) async fn create(
    shared: &Arc<Shared>,
    record: ContainerRecord,
) -> Result<Reply, Failure> {
    if record.project != shared.host.identity.project {
        return Err(failure::text(format!(
            "container `{}` is of project `{}`, not `{}`",
            record.name, record.project, shared.host.identity.project
        )));
    }
    if record.version != RECORD_VERSION {
        return Err(failure::text(format!(
            "record version {} is unknown",
            record.version
        )));
    }
    // One after the other where they are for the same name.
    let turn = shared.turn(&record.name);
    let _turn = turn.lock().await;
    if shared.status(&record.id).is_ok() {
        return Ok(Reply::Ok);
    }
    make_way(shared, &record).await;
    let record = Arc::new(record);
    let (worker, written) = (Arc::clone(shared), Arc::clone(&record));
    tokio::task::spawn_blocking(move || write(&worker, &written))
        .await
        .map_err(|error| failure::other(&error))??;
    shared.add_new(record);
    Ok(Reply::Ok)
}

/// Removes a service's container of this project that has the new one's name.
/// Whoever creates has the project to itself and would have removed it, had it
/// been there when it looked: a command that was killed asked for it. One-offs
/// have names that people give, and keep them.
async fn make_way(shared: &Arc<Shared>, record: &ContainerRecord) {
    let Some(old) = shared.named(&record.name) else {
        return;
    };
    if old.oneoff || record.oneoff {
        return;
    }
    let kept = |name: &str| record.launch.volumes.iter().any(|own| own.name == name);
    let volumes = !old.launch.volumes.iter().any(|one| kept(&one.name));
    let (answer, wait) = oneshot::channel();
    let message = Message::Remove {
        force: true,
        volumes,
        answer,
    };
    if shared.send(&old.id, message) {
        // Where it fails, the name is still taken, and that is told.
        wait.await.ok();
    }
}

/// The record first, as names and volumes belong to containers that exist;
/// what a kill leaves undone here, the start does.
fn write(shared: &Shared, record: &ContainerRecord) -> Result<(), Failure> {
    let layout = shared.host.layout();
    let made = fs::create_dir_all(log_folder(layout, &record.project, &record.id))
        .and_then(|()| shared.records.write_config(record))
        .map_err(|error| failure::other(&error))
        .and_then(|()| claim(layout, record));
    if made.is_err() {
        // The first error is the one to tell.
        remove::discard(layout, record, true).ok();
    }
    made
}

/// Gives a container its name and notes that it uses its volumes.
pub(super) fn claim(layout: &Layout, record: &ContainerRecord) -> Result<(), Failure> {
    let owner = NameOwner {
        project: record.project.clone(),
        id: record.id.clone(),
    };
    Names::new(layout)
        .reserve(&record.name, &owner)
        .map_err(|error| match error {
            NameError::Taken { name, owner } => Failure::NameTaken {
                name,
                project: owner.project,
            },
            error @ (NameError::Invalid { .. } | NameError::Index(_)) => failure::other(&error),
        })?;
    let user = VolumeUser {
        project: record.project.clone(),
        id: record.id.clone(),
    };
    for one in &record.launch.volumes {
        let noted = || {
            if one.anonymous {
                volume::ensure(layout, &anonymous(&one.name))?;
            }
            volume::add_user(layout, &one.name, &user)
        };
        noted().map_err(|error| failure::other(&error))?;
    }
    Ok(())
}

fn anonymous(name: &str) -> VolumeRecord {
    VolumeRecord {
        name: name.to_owned(),
        driver: "local".to_owned(),
        driver_opts: BTreeMap::new(),
        labels: BTreeMap::new(),
        anonymous: true,
        created: Timestamp::now().to_string(),
    }
}
