//! The control socket: one task a connection, one call after the other on it.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use tokio::net::UnixStream;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::oneshot;

use super::actor::Message;
use super::exec::{self, Exec};
use super::{Busy, Shared, bound, create, failure, streams};
use crate::engine::spec::ExecSpec;
use crate::state::ContainerId;
use crate::supervise::frame::{self, Frame};
use crate::supervise::keeper::Ended;
use crate::supervise::logs::thread::is_pipe;
use crate::supervise::wire::{
    Call, Change, ChangeKind, Condition, Failure, Hello, Reply, Request, WIRE_VERSION,
};

use super::status::Verdict;

/// The part of a call that every version has.
#[derive(Debug, serde::Deserialize)]
struct Version {
    version: u32,
}

/// A call of this version, or of another that asks for a newer binary.
#[derive(Debug, serde::Deserialize)]
struct UpgradeCall {
    request: UpgradeRequest,
}

/// The one request whose meaning never changes.
#[derive(Debug, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
enum UpgradeRequest {
    Upgrade,
}

/// Serves a connection until its end.
pub(super) async fn serve(shared: Arc<Shared>, stream: UnixStream, busy: Busy) {
    // Held to the end: whoever is connected keeps this process alive.
    let _busy = busy;
    if !is_allowed(&stream) {
        return;
    }
    let hello = Hello {
        version: WIRE_VERSION,
        notes: shared.flaws(),
    };
    if frame::send(&stream, &hello, &[]).await.is_err() {
        return;
    }
    while let Ok(Some(call)) = frame::receive(&stream).await {
        // What a client asked for with its last breath is not begun any more:
        // the next command has looked around already.
        if has_hung_up(&stream) || answer(&shared, &stream, call).await.is_err() {
            return;
        }
    }
}

/// Whether the client is gone, however much of its is still to be read.
fn has_hung_up(stream: &UnixStream) -> bool {
    let fd = stream.as_fd();
    let mut poll = [PollFd::from_borrowed_fd(fd, PollFlags::RDHUP)];
    let now = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    rustix::event::poll(&mut poll, Some(&now)).is_ok_and(|ready| ready > 0)
}

/// Root, and whoever this process runs as.
fn is_allowed(stream: &UnixStream) -> bool {
    let own = rustix::process::geteuid();
    stream
        .peer_cred()
        .is_ok_and(|peer| peer.uid() == 0 || peer.uid() == own.as_raw())
}

async fn answer(shared: &Arc<Shared>, stream: &UnixStream, call: Frame) -> io::Result<()> {
    if call
        .parse::<UpgradeCall>()
        .is_ok_and(|call| matches!(call.request, UpgradeRequest::Upgrade))
    {
        let reply = match call.fds.into_iter().next() {
            Some(binary) => {
                shared.upgrade(binary);
                Reply::Ok
            }
            None => Reply::Failed(failure::text("an upgrade needs the new binary")),
        };
        return frame::send(stream, &reply, &[]).await;
    }
    let version = call.parse::<Version>().map_or(0, |call| call.version);
    if version != WIRE_VERSION {
        let reply = Reply::Failed(Failure::Version {
            theirs: WIRE_VERSION,
        });
        return frame::send(stream, &reply, &[]).await;
    }
    let reply = match call.parse::<Call>() {
        Ok(parsed) => dispatch(shared, stream, parsed.request, call.fds).await?,
        Err(error) => Err(failure::other(&error)),
    };
    frame::send(stream, &reply.unwrap_or_else(Reply::Failed), &[]).await
}

#[expect(
    clippy::cognitive_complexity,
    reason = "one arm a request, none of them with a branch"
)]
/// Answers a request; the outer error is the connection's. Descriptors that are
/// no streams are the project's lock, held until the answer is known.
async fn dispatch(
    shared: &Arc<Shared>,
    stream: &UnixStream,
    request: Request,
    fds: Vec<OwnedFd>,
) -> io::Result<Result<Reply, Failure>> {
    Ok(match request {
        Request::EnsureNetwork(spec) => create::ensure_network(shared, *spec).await,
        Request::RemoveNetwork { name } => create::remove_network(shared, name).await,
        Request::Create(record) => create::create(shared, *record).await,
        Request::Run(record) => return bound::run(shared, stream, *record, fds).await,
        Request::Settle => {
            bound::settle(shared).await;
            Ok(Reply::Ok)
        }
        Request::Start { id, stdio } => start(shared, &id, stdio, fds).await,
        Request::Stop { id, timeout } => {
            ask(shared, &id, |answer| Message::Stop { timeout, answer }).await
        }
        Request::Restart { id, timeout } => {
            ask(shared, &id, |answer| Message::Restart { timeout, answer }).await
        }
        Request::Kill { id, signal } => {
            ask(shared, &id, |answer| Message::Kill { signal, answer }).await
        }
        Request::Pause { id } => ask(shared, &id, |answer| Message::Pause { answer }).await,
        Request::Unpause { id } => ask(shared, &id, |answer| Message::Unpause { answer }).await,
        Request::Remove { id, force, volumes } => {
            ask(shared, &id, |answer| Message::Remove {
                force,
                volumes,
                answer,
            })
            .await
        }
        Request::Replace {
            id,
            volumes,
            successor,
        } => create::replace(shared, &id, volumes, *successor).await,
        Request::Resize { id, size } => {
            ask(shared, &id, |answer| Message::Resize { size, answer }).await
        }
        Request::Exec {
            id,
            spec,
            detach: true,
            ..
        } => start_exec(shared, &id, *spec).await,
        Request::Exec { id, spec, tty, .. } => {
            run_exec(shared, stream, &id, *spec, pipes(!tty, fds)).await?
        }
        Request::Attach { id } => attach(shared, stream, &id).await?,
        Request::Subscribe => subscribe(shared, stream).await?,
        Request::Wait { id, condition } => wait(shared, &id, condition).await,
        Request::Ping => {
            shared.link.ping().await;
            Ok(Reply::Ok)
        }
        // Answered before, whatever its version.
        Request::Upgrade => Ok(Reply::Ok),
    })
}

/// The three descriptors of standard streams: pipes and nothing else, for
/// whatever they lead to is in the container's hands.
pub(super) fn pipes(wanted: bool, fds: Vec<OwnedFd>) -> Result<Option<[OwnedFd; 3]>, Failure> {
    if !wanted {
        return Ok(None);
    }
    let fds = <[OwnedFd; 3]>::try_from(fds).map_err(|fds| {
        failure::text(format!("three descriptors are needed, {} came", fds.len()))
    })?;
    if fds.iter().all(is_pipe) {
        Ok(Some(fds))
    } else {
        Err(failure::text("only pipes are handed to a container"))
    }
}

async fn start(
    shared: &Shared,
    id: &ContainerId,
    streams: bool,
    fds: Vec<OwnedFd>,
) -> Result<Reply, Failure> {
    let (stdio, _lock) = if streams {
        (pipes(true, fds)?, Vec::new())
    } else {
        (None, fds)
    };
    ask(shared, id, |answer| Message::Start { stdio, answer }).await
}

pub(super) async fn ask(
    shared: &Shared,
    id: &ContainerId,
    message: impl FnOnce(super::actor::Answer) -> Message,
) -> Result<Reply, Failure> {
    let (answer, wait) = oneshot::channel();
    let gone = || Failure::NoContainer { id: id.to_string() };
    if !shared.send(id, message(answer)) {
        return Err(gone());
    }
    wait.await.unwrap_or_else(|_| Err(gone()))
}

/// A program without a probe is up when it has run for this long: the time
/// after which Docker Compose looks first.
const TRIAL: Duration = Duration::from_millis(500);

async fn wait(shared: &Shared, id: &ContainerId, condition: Condition) -> Result<Reply, Failure> {
    let mut status = shared.status(id)?;
    loop {
        let (verdict, has_probe) = {
            let now = status.borrow_and_update();
            (now.verdict(condition), now.has_probe)
        };
        let is_trial = condition == Condition::RunningOrHealthy && !has_probe;
        let changed = match verdict {
            Verdict::Holds if is_trial => {
                match tokio::time::timeout(TRIAL, status.changed()).await {
                    Ok(changed) => changed,
                    Err(_stayed) => return Ok(Reply::Ok),
                }
            }
            Verdict::Holds => return Ok(Reply::Ok),
            Verdict::Never(failure) => return Err(failure),
            Verdict::Open => status.changed().await,
        };
        if changed.is_err() {
            return Err(Failure::NoContainer { id: id.to_string() });
        }
    }
}

/// Starts a process in the background; nobody waits for its end.
async fn start_exec(
    shared: &Arc<Shared>,
    id: &ContainerId,
    spec: ExecSpec,
) -> Result<Reply, Failure> {
    let (record, target) = shared.target(id)?;
    let nothing = exec::nothing().map_err(|error| failure::other(&error))?;
    let exec = exec::start(shared, &record, &target, spec, Some(nothing)).await?;
    Ok(Reply::ExecStarted {
        pid: exec.process.pid,
    })
}

async fn run_exec(
    shared: &Arc<Shared>,
    stream: &UnixStream,
    id: &ContainerId,
    spec: ExecSpec,
    stdio: Result<Option<[OwnedFd; 3]>, Failure>,
) -> io::Result<Result<Reply, Failure>> {
    let start = async || {
        let stdio = stdio?;
        let (record, target) = shared.target(id)?;
        exec::start(shared, &record, &target, spec, stdio).await
    };
    let Exec {
        key,
        process,
        master,
    } = match start().await {
        Ok(exec) => exec,
        Err(failure) => return Ok(Err(failure)),
    };
    let started = Reply::ExecStarted { pid: process.pid };
    let fds: Vec<_> = master.iter().map(AsFd::as_fd).collect();
    frame::send(stream, &started, &fds).await?;
    // The client has it now; here it would only keep the terminal open.
    drop(master);
    let code = match process.exit.await {
        Ok(Ended { code, .. }) => code,
        Err(_) => None,
    };
    shared.link.acknowledge(&key);
    Ok(match code {
        Some(code) => Ok(Reply::ExecExited { code }),
        None => Err(failure::text(
            "the process ended, and its exit code is unknown",
        )),
    })
}

async fn attach(
    shared: &Arc<Shared>,
    stream: &UnixStream,
    id: &ContainerId,
) -> io::Result<Result<Reply, Failure>> {
    let key = id.as_str();
    let (mut status, record) = match shared.status(id).and_then(|s| Ok((s, shared.record(id)?))) {
        Ok(found) => found,
        Err(failure) => return Ok(Err(failure)),
    };
    let mut changes = shared.changes.subscribe();
    let mut output = shared.logs.attach(key);
    // From here on nothing is missed: a start that is asked for now is one of ours.
    let attached = Reply::Event(Shared::change(&record, ChangeKind::Created));
    frame::send(stream, &attached, &[]).await?;
    let is_over = {
        let status = status.borrow();
        status.code.is_some() && status.target.is_none()
    };
    if is_over {
        return Ok(Ok(Reply::Ok));
    }
    // Input can be written as soon as there is something to write to.
    let started = status.wait_for(|status| {
        status.target.is_some() || status.failure.is_some() || status.code.is_some()
    });
    if started.await.is_err() {
        return Ok(Err(Failure::NoContainer { id: id.to_string() }));
    }
    let input = streams::input_keys(key)
        .iter()
        .find_map(|key| shared.link.held(key));
    let first = Reply::Event(Shared::change(&record, ChangeKind::Started));
    let fds: Vec<_> = input.iter().map(|fd| fd.as_fd()).collect();
    frame::send(stream, &first, &fds).await?;
    drop(input);
    while let Some(chunk) = output.next().await {
        let reply = Reply::Output {
            stream: chunk.stream.number(),
            data: chunk.bytes,
        };
        frame::send(stream, &reply, &[]).await?;
    }
    // The log is complete; the end is told right after.
    loop {
        match changes.recv().await {
            Ok(change) if change.id == *id => {
                if let ChangeKind::Exited { .. } = change.kind {
                    frame::send(stream, &Reply::Event(change), &[]).await?;
                    return Ok(Ok(Reply::Ok));
                }
                if change.kind == ChangeKind::Removed {
                    return Ok(Ok(Reply::Ok));
                }
            }
            Ok(_) => {}
            Err(RecvError::Lagged(_)) => {
                let code = shared
                    .status(id)
                    .map_or(None, |status| status.borrow().code);
                let kind = ChangeKind::Exited {
                    code,
                    will_restart: false,
                };
                let change = Shared::change(&record, kind);
                frame::send(stream, &Reply::Event(change), &[]).await?;
                return Ok(Ok(Reply::Ok));
            }
            Err(RecvError::Closed) => return Ok(Ok(Reply::Ok)),
        }
    }
}

/// Streams changes until the client closes the connection.
async fn subscribe(
    shared: &Arc<Shared>,
    stream: &UnixStream,
) -> io::Result<Result<Reply, Failure>> {
    let mut changes = shared.changes.subscribe();
    send_all(stream, shared.snapshot()).await?;
    loop {
        tokio::select! {
            change = changes.recv() => match change {
                Ok(change) => frame::send(stream, &Reply::Event(change), &[]).await?,
                // Too slow: what it missed is in the present state.
                Err(RecvError::Lagged(_)) => send_all(stream, shared.snapshot()).await?,
                Err(RecvError::Closed) => return Ok(Ok(Reply::Ok)),
            },
            // The client says nothing more but its end.
            _ = frame::receive(stream) => return Ok(Ok(Reply::Ok)),
        }
    }
}

async fn send_all(stream: &UnixStream, changes: Vec<Change>) -> io::Result<()> {
    for change in changes {
        frame::send(stream, &Reply::Event(change), &[]).await?;
    }
    Ok(())
}
