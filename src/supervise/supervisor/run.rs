//! A container's present run: its process and the tasks that serve it.

use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{oneshot, watch};
use tokio::task::{AbortHandle, JoinHandle};

use super::leaving::Gone;
use super::{Shared, files};
use crate::engine::cgroup::Group;
use crate::engine::process::has_ended;
use crate::net::Withdrawn;
use crate::net::dns::{self, Client, DnsSockets};
use crate::net::proxy::{serve_tcp, serve_udp};
use crate::net::spec::{Endpoint, Protocol, PublishedPort};
use crate::supervise::keeper::Ended;
use crate::supervise::record::ContainerRecord;

/// A process 1 and what belongs to it.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) pid: i32,
    /// `None` where it had ended when this supervisor began.
    pub(super) pidfd: Option<Arc<OwnedFd>>,
    pub(super) start_time: u64,
    /// Keeps the mounts until [`take_down`]: unmounting takes milliseconds, and
    /// more where an overlay has to sync, and a process that is the last in its
    /// namespace tells its end only after that.
    pub(super) mounts: Option<OwnedFd>,
    pub(super) exit: oneshot::Receiver<Ended>,
    pub(super) started: Timestamp,
    pub(super) group: Group,
    pub(super) endpoints: Vec<Endpoint>,
    pub(super) ports: Vec<PublishedPort>,
    /// What its start has to tell.
    pub(super) notes: Vec<String>,
    /// Held for what runs in it.
    pub(super) tasks: RunTasks,
}

/// What a program wrote just before its end is still in its sockets: so long may
/// proxied connections take to deliver it, before the links go.
const DRAIN_LIMIT: Duration = Duration::from_millis(500);

/// Tasks that answer for a container; they end with this value.
#[derive(Debug, Default)]
pub(super) struct RunTasks {
    handles: Vec<AbortHandle>,
    proxies: Vec<JoinHandle<()>>,
    closing: watch::Sender<bool>,
    pub(super) ports: Vec<PublishedPort>,
}

impl RunTasks {
    /// Answers the container's questions about names.
    pub(super) fn serve_names(
        &mut self,
        shared: &Shared,
        record: &ContainerRecord,
        sockets: DnsSockets,
    ) {
        let Some(names) = shared.host.names() else {
            return;
        };
        let client = Client {
            container: record.id.clone(),
            servers: record.launch.dns.servers.clone(),
        };
        let name = record.name.clone();
        self.add(async move {
            let Err(error) = dns::serve(sockets, names, client).await;
            tracing::warn!(%error, name, "names are not answered any longer");
        });
    }

    /// Serves the socket half of a published port.
    pub(super) fn serve_port(
        &mut self,
        port: PublishedPort,
        socket: OwnedFd,
        target: Option<SocketAddr>,
    ) {
        let protocol = port.protocol;
        self.ports.push(port);
        let Some(target) = target else {
            return;
        };
        let closing = self.closing.subscribe();
        let task = async move {
            let result = match protocol {
                Protocol::Tcp => serve_tcp(socket, target, closing).await,
                Protocol::Udp => serve_udp(socket, target).await.map(|never| match never {}),
            };
            if let Err(error) = result {
                tracing::warn!(%error, %target, "a published port is not served any longer");
            }
        };
        match protocol {
            Protocol::Tcp => self.proxies.push(tokio::spawn(task)),
            Protocol::Udp => self.add(task),
        }
    }

    /// Closes the proxies' listeners, and lets their connections end within
    /// [`DRAIN_LIMIT`]; `None` where there is no proxy. All else ends at once.
    pub(super) fn drain(mut self) -> Option<impl Future<Output = ()> + Send + 'static> {
        let proxies = std::mem::take(&mut self.proxies);
        self.closing.send_replace(true);
        if proxies.is_empty() {
            return None;
        }
        let aborts: Vec<AbortHandle> = proxies.iter().map(JoinHandle::abort_handle).collect();
        Some(async move {
            let all = async {
                for proxy in proxies {
                    proxy.await.ok();
                }
            };
            if tokio::time::timeout(DRAIN_LIMIT, all).await.is_err() {
                for abort in aborts {
                    abort.abort();
                }
            }
        })
    }

    /// Runs a task as long as this value lives.
    pub(super) fn add(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        self.handles.push(tokio::spawn(task).abort_handle());
    }
}

impl Drop for RunTasks {
    fn drop(&mut self) {
        for handle in &self.handles {
            handle.abort();
        }
        for proxy in &self.proxies {
            proxy.abort();
        }
    }
}

/// The mount namespace of a container's process; `None` where it has ended.
pub(super) fn mounts_of(pid: i32, pidfd: Option<&Arc<OwnedFd>>) -> Option<OwnedFd> {
    let mounts = fs_err::File::open(format!("/proc/{pid}/ns/mnt")).ok()?;
    // Its number is nobody else's while it has not ended.
    let lives = !has_ended(pidfd?.as_fd()).ok()?;
    lives.then(|| mounts.into_parts().0.into())
}

/// Takes down what a run, or a failed start of one, made on the machine. Each
/// step is tried; what fails is found again by a sweep. Links and addresses go
/// after this has returned, see [`Gone`].
pub(super) async fn take_down(
    shared: &Arc<Shared>,
    record: &Arc<ContainerRecord>,
    ended: Option<Run>,
) -> Gone {
    let busy = shared.busy.take();
    let (mounts, drained) = match ended {
        Some(run) => (run.mounts, run.tasks.drain()),
        None => (None, None),
    };
    shared.link.release(record.id.as_str());
    let (worker, record) = (Arc::clone(shared), Arc::clone(record));
    let withdrawn = tokio::task::spawn_blocking(move || {
        let shared = worker;
        drop(mounts);
        let (withdrawn, result) = shared.host.net.withdraw(std::slice::from_ref(&record.id));
        if let Err(error) = result {
            tracing::warn!(%error, name = record.name, "cannot withdraw a container");
        }
        if let Some(group) = shared.host.groups.container(&record.id) {
            let gone = if group.exists() {
                group.kill_all().and_then(|()| group.remove())
            } else {
                Ok(())
            };
            if let Err(error) = gone {
                tracing::warn!(%error, name = record.name, "cannot remove a control group");
            }
        }
        let layout = shared.host.layout();
        files::remove(layout, &record).ok();
        fs_err::remove_dir_all(layout.spool(&record.project, &record.id)).ok();
        withdrawn
    });
    let withdrawn = withdrawn.await.unwrap_or_else(|error| {
        tracing::warn!(%error, "cannot take a container down");
        Withdrawn::default()
    });
    shared.host.leavers.container(withdrawn, busy, drained)
}
