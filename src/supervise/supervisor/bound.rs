//! Containers that live no longer than the command that runs them: the steps of
//! a build. Their command holds a connection; when that is closed, because all is
//! done or the command was killed, they are removed. With the last of them and
//! the command, the build's network goes, and all else that the project has.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use tokio::net::UnixStream;
use tokio::sync::broadcast::error::RecvError;

use super::actor::Message;
use super::control::{ask, pipes};
use super::{Shared, create};
use crate::state::ContainerId;
use crate::state::lock::{Lock, Tried};
use crate::supervise::frame;
use crate::supervise::inspect::build_network;
use crate::supervise::record::ContainerRecord;
use crate::supervise::wire::{ChangeKind, Failure, Reply};

/// Runs one from its creation to its removal; the outer error is the
/// connection's.
pub(super) async fn run(
    shared: &Arc<Shared>,
    stream: &UnixStream,
    record: ContainerRecord,
    fds: Vec<OwnedFd>,
) -> io::Result<Result<Reply, Failure>> {
    let id = record.id.clone();
    let record = Arc::new(record);
    let stdio = match pipes(true, fds) {
        Ok(stdio) => stdio,
        Err(failure) => return Ok(Err(failure)),
    };
    if let Err(failure) = create::create(shared, ContainerRecord::clone(&record)).await {
        return Ok(Err(failure));
    }
    let lived = tokio::select! {
        lived = live(shared, stream, &record, stdio) => lived,
        // The client says nothing more but its end.
        _ = frame::receive(stream) => Ok(Ok(Reply::Ok)),
    };
    remove(shared, &id).await;
    lived
}

/// From its start until nobody wants anything of it any more.
async fn live(
    shared: &Arc<Shared>,
    stream: &UnixStream,
    record: &Arc<ContainerRecord>,
    stdio: Option<[OwnedFd; 3]>,
) -> io::Result<Result<Reply, Failure>> {
    let started = ask(shared, &record.id, |answer| Message::Start {
        stdio,
        answer,
    });
    if let Err(failure) = started.await {
        return Ok(Err(failure));
    }
    let told = |kind| Reply::Event(Shared::change(record, kind));
    frame::send(stream, &told(ChangeKind::Started), &[]).await?;
    let mut status = match shared.status(&record.id) {
        Ok(status) => status,
        Err(failure) => return Ok(Err(failure)),
    };
    let ended = status.wait_for(|status| !status.state.is_alive());
    let code = ended.await.map_or(None, |status| status.code);
    let end = ChangeKind::Exited {
        code,
        will_restart: false,
    };
    frame::send(stream, &told(end), &[]).await?;
    // What it left behind is the client's until it hangs up.
    std::future::pending().await
}

/// Waits until none is left.
pub(super) async fn settle(shared: &Shared) {
    // Before the look, so that no removal after it is missed.
    let mut changes = shared.changes.subscribe();
    while shared
        .containers()
        .values()
        .any(|handle| handle.record.launch.bound)
    {
        if let Err(RecvError::Closed) = changes.recv().await {
            return;
        }
    }
}

/// Ends those that an earlier supervisor ran: nobody holds them any more.
pub(super) fn end_orphans(shared: &Arc<Shared>) {
    let orphans: Vec<ContainerId> = shared
        .containers()
        .values()
        .filter(|handle| handle.record.launch.bound)
        .map(|handle| handle.record.id.clone())
        .collect();
    for id in orphans {
        let shared = Arc::clone(shared);
        tokio::spawn(async move { remove(&shared, &id).await });
    }
}

/// Takes down what a build has beside its steps, its network where the command was
/// killed. Nobody waits for it: the kernel takes its time over a bridge. Gives the
/// project's lock, to be held to the end; `None` where another command has it, which
/// does this itself.
pub(super) async fn dissolve(shared: &Shared) -> Option<Lock> {
    let (layout, project) = (shared.host.layout(), &shared.host.identity.project);
    let lock = match Lock::try_acquire_existing(&layout.project_lock(project)) {
        Ok(Tried::Taken(lock)) => lock,
        Ok(Tried::Held | Tried::Missing) | Err(_) => return None,
    };
    let name = build_network(project);
    if let Ok(Some(_)) = shared.host.net.network(&name) {
        let leavers = &shared.host.leavers;
        if let Err(error) = leavers.network(name, shared.busy.take()).await {
            tracing::warn!(%error, "cannot remove the network of a build");
        }
        leavers.settle_networks().await;
    }
    let home = layout.project(project);
    for folder in [home.join("containers"), home] {
        // Only where it is empty; what is left, the next build removes.
        fs_err::remove_dir(folder).ok();
    }
    Some(lock)
}

async fn remove(shared: &Shared, id: &ContainerId) {
    let removed = ask(shared, id, |answer| Message::Remove {
        force: true,
        volumes: true,
        answer,
    });
    if let Err(error) = removed.await {
        tracing::warn!(%error, id = id.as_str(), "cannot remove a step of a build");
    }
}
