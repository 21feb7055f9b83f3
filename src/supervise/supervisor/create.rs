//! Requests that make things: containers and networks.

use std::collections::BTreeMap;
use std::sync::Arc;

use fs_err as fs;
use jiff::Timestamp;

use super::actor::Message;
use super::control::ask;
use super::{Shared, failure};
use crate::net::spec::NetworkSpec;
use crate::state::names::{NameError, NameOwner, Names};
use crate::state::volume::{self, VolumeRecord, VolumeUser};
use crate::state::{ContainerId, Layout};
use crate::supervise::inspect::log_folder;
use crate::supervise::record::{ContainerRecord, RECORD_VERSION};
use crate::supervise::removal;
use crate::supervise::wire::{Failure, Reply};

/// The label by which tools find what belongs to a project.
const LABEL_PROJECT: &str = "com.docker.compose.project";

/// Makes a network, or finds it.
pub(super) async fn ensure_network(
    shared: &Arc<Shared>,
    spec: NetworkSpec,
) -> Result<Reply, Failure> {
    shared.host.leavers.settle_networks().await;
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
    shared
        .host
        .leavers
        .network(name, shared.busy.take())
        .await?;
    Ok(Reply::Ok)
}

/// Writes a container's record; done again for the same id, it is no error.
pub(super) async fn create(
    shared: &Arc<Shared>,
    record: ContainerRecord,
) -> Result<Reply, Failure> {
    check(shared, &record)?;
    // One after the other where they are for the same name.
    let turn = shared.turn(&record.name);
    let _turn = turn.lock().await;
    if shared.status(&record.id).is_ok() {
        return Ok(Reply::Ok);
    }
    let record = Arc::new(record);
    write(shared, &record).await?;
    enter(shared, record).await
}

/// Removes a container and has another take its place. In between both exist,
/// and where this process dies there, the next command removes one of them.
pub(super) async fn replace(
    shared: &Arc<Shared>,
    old: &ContainerId,
    volumes: bool,
    successor: ContainerRecord,
) -> Result<Reply, Failure> {
    check(shared, &successor)?;
    let record = Arc::new(successor);
    let is_new = shared.status(&record.id).is_err();
    if is_new {
        write(shared, &record).await?;
    }
    let removed = ask(shared, old, |answer| Message::Remove {
        force: false,
        volumes,
        answer,
    });
    match removed.await {
        Ok(_) | Err(Failure::NoContainer { .. }) => {}
        Err(failure) => {
            if is_new {
                discard(shared, &record).await;
            }
            return Err(failure);
        }
    }
    if is_new {
        return enter(shared, record).await;
    }
    Ok(Reply::Ok)
}

fn check(shared: &Shared, record: &ContainerRecord) -> Result<(), Failure> {
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
    Ok(())
}

/// The record first, as names and volumes belong to containers that exist;
/// what a kill leaves undone here, the start does.
async fn write(shared: &Arc<Shared>, record: &Arc<ContainerRecord>) -> Result<(), Failure> {
    let (worker, written) = (Arc::clone(shared), Arc::clone(record));
    let done = on_disk(move || {
        let layout = worker.host.layout();
        fs::create_dir_all(log_folder(layout, &written.project, &written.id))
            .and_then(|()| worker.records.write_config(&written))
            .map_err(|error| failure::other(&error))?;
        use_volumes(layout, &written)
    });
    let done = done.await;
    if done.is_err() {
        discard(shared, record).await;
    }
    done
}

/// Gives a container that is written down its name, and an actor.
async fn enter(shared: &Arc<Shared>, record: Arc<ContainerRecord>) -> Result<Reply, Failure> {
    let (worker, written) = (Arc::clone(shared), Arc::clone(&record));
    if let Err(failure) = on_disk(move || claim(worker.host.layout(), &written)).await {
        discard(shared, &record).await;
        return Err(failure);
    }
    shared.add_new(record);
    Ok(Reply::Ok)
}

/// Removes what was written of a container that does not come to be. The first
/// error is the one to tell.
async fn discard(shared: &Arc<Shared>, record: &Arc<ContainerRecord>) {
    let (worker, written) = (Arc::clone(shared), Arc::clone(record));
    let removed = on_disk(move || {
        removal::remove(worker.host.layout(), &written, true)
            .map_err(|error| failure::other(&error))
    });
    removed.await.ok();
}

async fn on_disk(
    work: impl FnOnce() -> Result<(), Failure> + Send + 'static,
) -> Result<(), Failure> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| failure::other(&error))?
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
    use_volumes(layout, record)
}

/// Notes that a container uses its volumes, and makes its anonymous ones.
fn use_volumes(layout: &Layout, record: &ContainerRecord) -> Result<(), Failure> {
    let user = VolumeUser {
        project: record.project.clone(),
        id: record.id.clone(),
    };
    for one in &record.launch.volumes {
        let noted = || {
            if one.anonymous {
                volume::ensure(layout, &anonymous(&one.name, record))?;
            }
            volume::add_user(layout, &one.name, &user)
        };
        noted().map_err(|error| failure::other(&error))?;
    }
    Ok(())
}

/// With its project's label, so that it can be found when its container is gone.
fn anonymous(name: &str, record: &ContainerRecord) -> VolumeRecord {
    let project = record.labels.get_key_value(LABEL_PROJECT);
    VolumeRecord {
        name: name.to_owned(),
        driver: "local".to_owned(),
        driver_opts: BTreeMap::new(),
        labels: project
            .map(|(key, value)| (key.clone(), value.clone()))
            .into_iter()
            .collect(),
        anonymous: true,
        created: Timestamp::now().to_string(),
    }
}
