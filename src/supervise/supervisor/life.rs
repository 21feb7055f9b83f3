//! A supervisor's beginning and end.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fs_err as fs;
use nix::sys::signal::{SigSet, Signal};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::Mode;
use tokio::net::UnixListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{broadcast, watch};

use super::busy::Counter;
use super::host::Host;
use super::link::Link;
use super::records::Records;
use super::{CHANGES_BEHIND, Shared, adopt, bound, control};
use crate::engine::process::boot_id;
use crate::engine::systemd::STOP_SIGNAL;
use crate::state::atomic::remove_temporary;
use crate::state::lock::Lock;
use crate::state::root_id;
use crate::supervise::group;
use crate::supervise::inspect::{container_ids, is_build};
use crate::supervise::keeper::Identity;
use crate::supervise::logs::thread::LogThread;
use crate::supervise::removal;
use crate::supervise::streams_to_null;
use crate::supervise::sweep::sweep;

/// Threads for calls that block: starts of containers, mostly.
const BLOCKING_THREADS: usize = 8;
/// They end when there is nothing to do.
const BLOCKING_REST: Duration = Duration::from_secs(5);
const THREAD_STACK: usize = 512 * 1024;
/// A supervisor that was started for a command which then never comes ends
/// after this time.
const FIRST_CALL: Duration = Duration::from_secs(10);

/// How a supervisor was started.
struct Standard {
    socket: OwnedFd,
    /// Told when it can be talked to.
    ready: OwnedFd,
    /// Somebody waits for that.
    expected: bool,
    lock: OwnedFd,
}

/// Why the main loop ended.
enum Outcome {
    /// Nothing is left to be done.
    Idle {
        /// The start lock; `None` where the run root was removed.
        lock: Option<OwnedFd>,
    },
    /// The keeper goes on as another binary and starts its supervisor.
    Replaced,
}

/// Runs a supervisor to its end.
pub(super) fn run(identity: &Identity) -> ExitCode {
    let Ok(standard) = take_standard_streams() else {
        return ExitCode::FAILURE;
    };
    rustix::thread::set_name(c"skiff-supervise").ok();
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable).ok();
    // All signals are blocked in the keeper, and so in its child.
    let listened_to: SigSet = Signal::try_from(STOP_SIGNAL).into_iter().collect();
    if listened_to.thread_unblock().is_err() {
        return ExitCode::FAILURE;
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS)
        .thread_keep_alive(BLOCKING_REST)
        .thread_stack_size(THREAD_STACK)
        .build();
    let result = runtime.and_then(|runtime| {
        let result = runtime.block_on(live(identity, standard));
        // Whoever is still blocked somewhere must not hold up the end.
        runtime.shutdown_background();
        result
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn take_standard_streams() -> io::Result<Standard> {
    let socket = io::stdin().as_fd().try_clone_to_owned()?;
    let ready = io::stdout().as_fd().try_clone_to_owned()?;
    let lock = io::stderr().as_fd().try_clone_to_owned()?;
    streams_to_null()?;
    let expected = crate::supervise::logs::thread::is_pipe(&ready);
    Ok(Standard {
        socket,
        ready,
        expected,
        lock,
    })
}

async fn live(identity: &Identity, standard: Standard) -> io::Result<()> {
    let Standard {
        socket,
        ready,
        expected,
        lock,
    } = standard;
    let begun = begin(identity, socket).await;
    let (shared, listener) = match begun {
        Ok(begun) => begun,
        Err(error) => {
            // Where the keeper was killed over it there is nothing to tell, and
            // nobody waits for it where this is `/dev/null`.
            if !is_hang_up(&error) {
                rustix::io::write(&ready, error.to_string().as_bytes()).ok();
            }
            return Err(error);
        }
    };
    shared.link.ready();
    // Whoever started it may have been killed meanwhile.
    let expected = expected && has_reader(&ready);
    // Closed without a word, and the lock with it: there is somebody to talk to.
    drop((ready, lock));
    let outcome = serve(&shared, listener, expected).await;
    shared.records.flush().await;
    match outcome? {
        Outcome::Idle { lock } => {
            let mut locks: Vec<OwnedFd> = Vec::new();
            // Whoever has removed the roots wants nothing in their place.
            if lock.is_some() && has_data_root(&shared) {
                if is_build(&identity.project) {
                    let held = bound::dissolve(&shared).await;
                    let held = held.map(|held| held.as_fd().try_clone_to_owned());
                    locks.extend(held.transpose()?);
                }
                let (layout, own) = (identity.layout.clone(), identity.project.clone());
                let swept = tokio::task::spawn_blocking(move || sweep(&layout, Some(&own))).await;
                for failure in swept.into_iter().flat_map(|swept| swept.failures) {
                    tracing::warn!(error = %failure, "cannot sweep");
                }
            }
            clean(identity);
            locks.extend(lock);
            shared.link.finish(locks).await;
        }
        Outcome::Replaced => {}
    }
    Ok(())
}

/// Whether anybody would read what is written to a pipe.
fn has_reader(pipe: &OwnedFd) -> bool {
    let mut poll = [PollFd::new(pipe, PollFlags::empty())];
    let now = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // poll(2): POLLERR where the reading end is closed.
    rustix::event::poll(&mut poll, Some(&now)).is_ok_and(|ready| ready == 0)
}

/// Whether the other end of a conversation has gone.
fn is_hang_up(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset
    )
}

async fn begin(identity: &Identity, socket: OwnedFd) -> io::Result<(Arc<Shared>, UnixListener)> {
    let layout = &identity.layout;
    let (link, inheritance) = Link::connect(identity.clone(), socket).await?;
    let host = Host::open(identity, &link).map_err(io::Error::other)?;
    let shared = Arc::new(Shared {
        boot_id: boot_id()?,
        host,
        link,
        logs: LogThread::start()?,
        records: Records::new(layout, &identity.project),
        busy: Counter::new(),
        changes: broadcast::Sender::new(CHANGES_BEHIND),
        upgrade: watch::Sender::new(None),
        containers: Mutex::default(),
        turns: Mutex::default(),
        flaws: Mutex::default(),
    });
    // What an earlier supervisor was killed over.
    if let Err(error) = removal::finish_all(layout, &identity.project) {
        tracing::warn!(%error, "cannot finish the removal of a container");
    }
    adopt::all(&shared, inheritance).await?;
    let listener = listen(&layout.control_socket(&identity.project))?;
    Ok((shared, listener))
}

/// Accepts connections until nothing is left to be done.
async fn serve(
    shared: &Arc<Shared>,
    listener: UnixListener,
    expected: bool,
) -> io::Result<Outcome> {
    let mut listener = listener;
    let mut upgrade = shared.upgrade.subscribe();
    let mut first_call = expected.then(|| shared.busy.take());
    let mut stop = signal(SignalKind::from_raw(STOP_SIGNAL))?;
    let patience = tokio::time::sleep(FIRST_CALL);
    tokio::pin!(patience);
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                if let Ok((stream, _)) = accepted {
                    receive(shared, stream);
                    first_call = None;
                }
            }
            () = &mut patience, if first_call.is_some() => first_call = None,
            () = shared.busy.idle() => {
                if let Some(idle) = end(shared, &mut listener).await? {
                    return Ok(idle);
                }
            }
            _ = stop.recv() => shared.stop_all(),
            _ = upgrade.changed() => {
                let binary = upgrade.borrow_and_update().clone();
                if let Some(binary) = binary {
                    shared.link.reexec(binary.try_clone()?).await;
                    return Ok(Outcome::Replaced);
                }
            }
        }
    }
}

/// Closes the door, if nobody is in it. With the start lock held, a command
/// that finds no socket waits until we are gone.
async fn end(shared: &Arc<Shared>, listener: &mut UnixListener) -> io::Result<Option<Outcome>> {
    let path = shared
        .host
        .layout()
        .start_lock(&shared.host.identity.project);
    let locking = tokio::task::spawn_blocking(move || Lock::acquire_existing(&path));
    let lock = tokio::select! {
        // A command that began before there was a socket has the lock, and comes in with
        // it.
        accepted = listener.accept() => {
            if let Ok((stream, _)) = accepted {
                receive(shared, stream);
            }
            return Ok(None);
        }
        lock = locking => lock.map_err(io::Error::other)??,
    };
    let lock = lock
        .map(|lock| lock.as_fd().try_clone_to_owned())
        .transpose()?;
    fs::remove_file(control_path(shared)).ok();
    // Whoever connected before that is in the queue.
    let mut caller = false;
    while let Some(stream) = accept_now(listener) {
        caller = true;
        receive(shared, stream);
    }
    if !caller && shared.busy.is_idle() {
        return Ok(Some(Outcome::Idle { lock }));
    }
    *listener = listen(&control_path(shared))?;
    Ok(None)
}

fn receive(shared: &Arc<Shared>, stream: tokio::net::UnixStream) {
    let busy = shared.busy.take();
    tokio::spawn(control::serve(Arc::clone(shared), stream, busy));
}

/// Whether the data root is the one that this process began with.
fn has_data_root(shared: &Shared) -> bool {
    root_id(shared.host.layout()).is_ok_and(|id| id == shared.host.net.root_id())
}

fn accept_now(listener: &UnixListener) -> Option<tokio::net::UnixStream> {
    let accepted = rustix::net::accept_with(
        listener,
        rustix::net::SocketFlags::CLOEXEC | rustix::net::SocketFlags::NONBLOCK,
    );
    let stream = std::os::unix::net::UnixStream::from(accepted.ok()?);
    tokio::net::UnixStream::from_std(stream).ok()
}

fn control_path(shared: &Shared) -> std::path::PathBuf {
    shared
        .host
        .layout()
        .control_socket(&shared.host.identity.project)
}

/// Binds the control socket, in place of one that a dead supervisor left.
fn listen(path: &Path) -> io::Result<UnixListener> {
    let folder = path.parent().unwrap_or_else(|| Path::new("/"));
    fs::create_dir_all(folder)?;
    let temporary = ".control.sock";
    let folder_fd = fs::File::open(folder)?;
    let short = crate::supervise::door::short_path(&folder_fd, temporary);
    fs::remove_file(folder.join(temporary)).ok();
    // So that there is no moment in which others could connect.
    let before = rustix::process::umask(Mode::from_raw_mode(0o177));
    let bound = std::os::unix::net::UnixListener::bind(short);
    rustix::process::umask(before);
    let listener = bound?;
    listener.set_nonblocking(true)?;
    let listener = UnixListener::from_std(listener)?;
    fs::rename(folder.join(temporary), path)?;
    Ok(listener)
}

/// Removes what a project at rest does not need.
fn clean(identity: &Identity) {
    let layout = &identity.layout;
    let run = layout.run_project(&identity.project);
    fs::remove_file(layout.exit_journal(&identity.project)).ok();
    group::forget(layout, &identity.project);
    // Nobody but this process writes there any more; it, or a keeper at its
    // start, may have been killed over it.
    let ids = container_ids(layout, &identity.project).unwrap_or_default();
    let containers = ids.iter().map(|id| layout.container(&identity.project, id));
    for folder in containers.chain([run.clone(), run.join("containers")]) {
        remove_temporary(&folder).ok();
    }
    // Only where they are empty.
    for folder in ["spool", "containers"] {
        fs::remove_dir(run.join(folder)).ok();
    }
}
