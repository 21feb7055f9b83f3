//! The way to a project's supervisor: connecting, waiting for the next one
//! while a keeper lives, and starting both where neither does.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use fs_err as fs;
use tokio::io::Interest;
use tokio::net::UnixStream;

use super::client::{ClientError, Silent};
use super::keeper::{self, Identity, Stage};
use super::ready::watched;
use super::watch::FolderWatch;
use super::wire::{Call, Hello, Request, WIRE_VERSION};
use super::{binary, frame};
use crate::state::Layout;
use crate::state::lock::Lock;
use crate::state::make_root_id;

/// How long the next supervisor of a living keeper is waited for.
const PATIENCE: Duration = Duration::from_secs(20);

/// How often both are started before it counts that they were killed over it.
const STARTS: u32 = 2;

/// A connection, and what the supervisor said on it first.
pub(super) type Answered = (UnixStream, Hello);

/// One project's.
#[derive(Debug)]
pub(super) struct Door {
    identity: Identity,
    /// What they are started from, where it is not the caller's binary.
    program: Option<Arc<OwnedFd>>,
}

impl Door {
    pub(super) fn new(layout: &Layout, project: &str, program: Option<OwnedFd>) -> Self {
        let (project, layout) = (project.to_owned(), layout.clone());
        Self {
            identity: Identity { project, layout },
            program: program.map(Arc::new),
        }
    }

    pub(super) fn project(&self) -> &str {
        &self.identity.project
    }

    /// The error for a conversation that broke.
    pub(super) fn lost(&self, source: io::Error) -> ClientError {
        let project = self.identity.project.clone();
        ClientError::Lost { project, source }
    }

    /// A connection; `None` where neither keeper nor supervisor runs. Where
    /// only the keeper does, its next supervisor is waited for.
    pub(super) async fn knock(&self) -> Result<Option<Answered>, ClientError> {
        let connected = tokio::time::timeout(PATIENCE, self.connect()).await;
        let late = |_| io::Error::new(io::ErrorKind::TimedOut, "the next one does not come");
        connected
            .map_err(late)
            .and_then(|connected| connected)
            .map_err(|error| self.lost(error))
    }

    /// A connection; keeper and supervisor are started where none runs.
    pub(super) async fn open(&self) -> Result<Answered, ClientError> {
        if let Some(stream) = self.knock().await? {
            return Ok(stream);
        }
        let mut words = String::new();
        for _ in 0..STARTS {
            match self.start().await? {
                Ok(stream) => return Ok(stream),
                Err(said) => words = said,
            }
            if !words.is_empty() {
                break;
            }
        }
        if words.is_empty() {
            "it ended at once".clone_into(&mut words);
        }
        Err(self.not_started(words))
    }

    /// Starts keeper and supervisor where neither runs, else waits for them; or
    /// what they said of a failure, which is nothing where they were killed.
    async fn start(&self) -> Result<Result<Answered, String>, ClientError> {
        let failed = |error: io::Error| self.not_started(error.to_string());
        // Held by whoever starts the pair, then by the pair until it can be
        // talked to, and again while it ends: so never two at once.
        let path = self.identity.layout.start_lock(self.project());
        let lock = tokio::task::spawn_blocking(move || Lock::acquire(&path))
            .await
            .map_err(io::Error::other)
            .and_then(|lock| lock)
            .map_err(failed)?;
        if let Some(stream) = self.knock().await? {
            return Ok(Ok(stream));
        }
        let (identity, program) = (self.identity.clone(), self.program());
        let words = tokio::task::spawn_blocking(move || start(&identity, &program?, lock))
            .await
            .map_err(io::Error::other)
            .and_then(|words| words)
            .map_err(failed)?;
        Ok(self.knock().await?.ok_or(words))
    }

    fn not_started(&self, message: String) -> ClientError {
        ClientError::Start {
            project: self.identity.project.clone(),
            message,
        }
    }

    async fn connect(&self) -> io::Result<Option<Answered>> {
        if let Some(stream) = self.connect_now().await? {
            return Ok(Some(stream));
        }
        let (layout, project) = (&self.identity.layout, self.project());
        while let Some(pidfd) = keeper::living(layout, project) {
            // Watched before it is tried, so that nothing falls between.
            let mut watch = FolderWatch::new(&layout.run_project(project))?;
            let end = watched(pidfd, Interest::READABLE)?;
            if let Some(stream) = self.connect_now().await? {
                return Ok(Some(stream));
            }
            tokio::select! {
                changed = watch.changed() => changed?,
                end = end.readable() => drop(end?),
            }
        }
        self.connect_now().await
    }

    /// Connects; `None` where nobody answers: no socket, or one that a dead or
    /// dying supervisor left. A local connection is made, or refused, at once.
    async fn connect_now(&self) -> io::Result<Option<Answered>> {
        let Some(stream) = self.dial()? else {
            return Ok(None);
        };
        // The supervisor speaks first, which only a living one does.
        let Ok(Some(hello)) = frame::receive(&stream).await else {
            return Ok(None);
        };
        let hello = hello.parse::<Hello>()?;
        if hello.version != WIRE_VERSION {
            self.upgrade(&stream).await?;
            return Ok(None);
        }
        Ok(Some((stream, hello)))
    }

    /// The supervisor, or else the keeper, where it says nothing within `limit`.
    pub(super) async fn silent(&self, limit: Duration) -> Option<Silent> {
        let stream = self.dial().ok().flatten()?;
        let Ok(hello) = tokio::time::timeout(limit, frame::receive(&stream)).await else {
            // Whoever listened; the kernel tells without asking it.
            let pid = stream.peer_cred().ok()?.pid()?;
            let what = "supervisor";
            return Some(Silent { what, pid });
        };
        let hello = hello.ok()??.parse::<Hello>().ok()?;
        if hello.version != WIRE_VERSION {
            return None;
        }
        let ping = Call {
            version: WIRE_VERSION,
            request: Request::Ping,
        };
        frame::send(&stream, &ping, &[]).await.ok()?;
        let answer = tokio::time::timeout(limit, frame::receive(&stream)).await;
        let (layout, project) = (&self.identity.layout, self.project());
        let pid = keeper::present(layout, project)?.pid;
        let what = "keeper";
        answer.is_err().then_some(Silent { what, pid })
    }

    /// A connection to whoever listens, if anybody does.
    fn dial(&self) -> io::Result<Option<UnixStream>> {
        let (layout, project) = (&self.identity.layout, self.project());
        let control = layout.control_socket(project);
        let connected = fs::File::open(layout.run_project(project)).and_then(|folder| {
            let name = control.file_name().unwrap_or_default();
            std::os::unix::net::UnixStream::connect(short_path(&folder, name))
        });
        let stream = match connected {
            Ok(stream) => stream,
            Err(error) if is_absence(&error) => return Ok(None),
            Err(error) => return Err(error),
        };
        stream.set_nonblocking(true)?;
        UnixStream::from_std(stream).map(Some)
    }

    /// Has a keeper and a supervisor of another version go on as the caller's
    /// binary; the next supervisor is waited for as after a death.
    async fn upgrade(&self, stream: &UnixStream) -> io::Result<()> {
        let program = self.program()?;
        let call = Call {
            version: WIRE_VERSION,
            request: Request::Upgrade,
        };
        frame::send(stream, &call, &[program.as_fd()]).await?;
        // The answer, then the end.
        while frame::receive(stream).await?.is_some() {}
        Ok(())
    }

    fn program(&self) -> io::Result<OwnedFd> {
        match &self.program {
            Some(program) => program.try_clone(),
            None => binary::own(),
        }
    }
}

fn is_absence(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
    )
}

/// Starts keeper and supervisor and waits until they can be talked to, or have
/// failed; returns what they said of a failure.
fn start(identity: &Identity, program: &OwnedFd, lock: Lock) -> io::Result<String> {
    // They read it, and make none.
    make_root_id(&identity.layout)?;
    let (mut ready, writer) = io::pipe()?;
    let mut command = binary::command(program, keeper::COMMAND);
    command
        .arg(Stage::Fresh.word())
        .args(identity.args())
        .stdin(Stdio::from(File::from(lock.as_fd().try_clone_to_owned()?)))
        .stdout(writer)
        .stderr(Stdio::null());
    let mut child = command.spawn()?;
    // The command holds the pipe's writing end, and the lock.
    drop(command);
    drop(lock);
    // The first process ends when the keeper has left it.
    child.wait()?;
    let mut words = String::new();
    ready.read_to_string(&mut words)?;
    Ok(words)
}

/// The path of a socket by its folder's descriptor: the address of a socket
/// has room for 107 bytes, which a long run root exceeds.
pub(super) fn short_path(folder: &fs::File, name: impl AsRef<Path>) -> PathBuf {
    Path::new("/proc/self/fd")
        .join(folder.as_raw_fd().to_string())
        .join(name)
}
