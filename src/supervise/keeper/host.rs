//! The keeper's processes: children, supervisors, and itself as a newer binary.

use std::ffi::{CString, OsString};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::process::Stdio;

use nix::fcntl::AtFlags;
use serde::{Deserialize, Serialize};

use super::message::{ChildKind, FromKeeper};
use super::run::{Host, Resume, Supervisor};
use super::store::{Outgoing, Store, pid};
use super::{COMMAND, Identity, Stage};
use crate::causes::with_causes;
use crate::engine::launch::{LaunchError, LaunchFds, Shape, spawn_container, spawn_exec};
use crate::engine::sys::{CloneFlags, Cloned, clone_process};
use crate::supervise::{binary, group, packet, supervisor};

/// Room for all that is handed over to a newer binary: it waits in the
/// socket's buffer over the exec.
const HANDOVER_BUFFER: usize = 32 * 1024 * 1024;

/// Descriptors for the first supervisor: standard output and error, see
/// [`supervisor::main`].
type FirstStreams = (OwnedFd, OwnedFd);

/// Makes processes.
pub(super) struct Processes {
    identity: Identity,
    binary: OwnedFd,
    /// Taken by the first supervisor.
    pub(super) first_streams: Option<FirstStreams>,
    /// The keeper is in a foreign pid namespace and must not clone.
    lost: bool,
}

impl Processes {
    pub(super) fn new(identity: Identity) -> io::Result<Self> {
        Ok(Self {
            identity,
            binary: binary::own()?,
            first_streams: None,
            lost: false,
        })
    }
}

impl Host for Processes {
    fn launch(
        &mut self,
        kind: ChildKind,
        shape: Shape,
        fds: Vec<OwnedFd>,
    ) -> Result<(i32, OwnedFd), String> {
        if self.lost {
            return Err("the keeper lost its pid namespace; stop and start the project".to_owned());
        }
        let spawned = LaunchFds::from_list(shape, fds).and_then(|fds| match kind {
            ChildKind::Container => spawn_container(&fds),
            ChildKind::Exec => spawn_exec(&fds),
        });
        match spawned {
            Ok(spawned) => Ok((spawned.pid.as_raw_nonzero().get(), spawned.pidfd)),
            Err(error) => {
                self.lost = matches!(error, LaunchError::Return(_));
                Err(with_causes(&error))
            }
        }
    }

    fn supervisor(&mut self, socket: OwnedFd) -> io::Result<(i32, OwnedFd)> {
        let mut command = binary::command(&self.binary, supervisor::COMMAND);
        command.args(self.identity.args()).stdin(socket);
        match self.first_streams.take() {
            Some((ready, lock)) => command.stdout(ready).stderr(lock),
            None => command.stdout(Stdio::null()).stderr(Stdio::null()),
        };
        let child = command.spawn()?;
        let process = i32::try_from(child.id()).unwrap_or(0);
        let pidfd =
            rustix::process::pidfd_open(pid(process)?, rustix::process::PidfdFlags::empty())?;
        Ok((process, pidfd))
    }

    fn reexec(&mut self, binary: OwnedFd, state: Resume<'_>) -> io::Error {
        match hand_over(&self.identity, &binary, state) {
            Ok(never) => match never {},
            Err(error) => error,
        }
    }
}

/// Starts a keeper's second life: this process, which has one thread, forks
/// into the project's own control group. True in the child.
pub(super) fn detach(identity: &Identity) -> io::Result<bool> {
    let cgroup = group::make(identity)?;
    let flags = CloneFlags {
        new_pid: false,
        cgroup: cgroup.unified.as_ref().map(AsFd::as_fd),
    };
    match clone_process(flags)? {
        Cloned::Parent { .. } => Ok(false),
        Cloned::Child => {
            for file in &cgroup.tasks {
                rustix::io::write(file, b"0")?;
            }
            Ok(true)
        }
    }
}

/// Who the supervisor is, across an exec of the keeper.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Handover {
    /// A part of the store.
    Store(FromKeeper),
    /// The supervisor; its pidfd and its socket come along.
    Supervisor { pid: i32 },
    /// Nothing follows.
    End,
}

fn hand_over(
    identity: &Identity,
    binary: &OwnedFd,
    state: Resume<'_>,
) -> io::Result<std::convert::Infallible> {
    let (writer, reader) = packet::pair()?;
    rustix::net::sockopt::set_socket_send_buffer_size_force(&writer, HANDOVER_BUFFER)?;
    for Outgoing { message, fds } in state.list {
        let fds: Vec<_> = fds.iter().map(|fd| fd.as_fd()).collect();
        packet::send(&writer, &Handover::Store(message), &fds)?;
    }
    if let Some(Supervisor {
        pid,
        pidfd,
        socket: Some(socket),
        ..
    }) = state.supervisor
    {
        let message = Handover::Supervisor { pid: *pid };
        packet::send(&writer, &message, &[pidfd.as_fd(), socket.as_fd()])?;
    }
    packet::send(&writer, &Handover::End, &[])?;
    let mut args = vec![
        OsString::from("skiff"),
        COMMAND.into(),
        Stage::Resumed.word().into(),
    ];
    args.extend(identity.args());
    let args: Vec<CString> = args
        .into_iter()
        .map(|arg| CString::new(arg.into_vec()))
        .collect::<Result<_, _>>()?;
    rustix::stdio::dup2_stdin(&reader)?;
    let environment: [&std::ffi::CStr; 0] = [];
    let error = nix::unistd::execveat(binary, c"", &args, &environment, AtFlags::AT_EMPTY_PATH);
    let error = error.map_or_else(io::Error::from, |never| match never {});
    crate::supervise::streams_to_null()?;
    Err(error)
}

/// Takes over what an earlier image of this process left in the socket.
pub(super) fn resume(socket: &OwnedFd, store: &mut Store) -> io::Result<Option<Supervisor>> {
    let mut supervisor = None;
    while let Some(packet) = packet::receive(socket)? {
        let message = packet.parse()?;
        let mut fds = packet.fds;
        match message {
            Handover::Store(message) => store.restore(message, fds),
            Handover::Supervisor { pid } => {
                if let (Some(socket), Some(pidfd)) = (fds.pop(), fds.pop()) {
                    supervisor = Some(Supervisor::new(pid, pidfd, socket));
                }
            }
            Handover::End => break,
        }
    }
    Ok(supervisor)
}
