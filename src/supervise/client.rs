//! The CLI's side of the conversation with a supervisor.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use fs_err as fs;
use rustix::net::RecvFlags;
use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::sync::Mutex;

use super::inspect;
use super::keeper::{self, Identity, Stage};
use super::ready::watched;
use super::watch::FolderWatch;
use super::wire::{Call, Change, Condition, Failure, Reply, Request, WIRE_VERSION};
use super::{binary, frame};
use crate::state::lock::Lock;
use crate::state::{ContainerId, Layout};

/// How long the next supervisor of a living keeper is waited for.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often a question is asked whose supervisor died.
const ATTEMPTS: u32 = 5;

/// Why a supervisor could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// It answered with a reason.
    #[error("{0}")]
    Refused(Failure),
    /// Keeper and supervisor could not be started.
    #[error("cannot start the supervisor of project `{project}`: {message}")]
    Start {
        /// The project.
        project: String,
        /// What they, or the kernel, said.
        message: String,
    },
    /// The conversation broke.
    #[error("lost the supervisor of project `{project}`")]
    Lost {
        /// The project.
        project: String,
        /// How.
        #[source]
        source: io::Error,
    },
    /// It answered something that is no answer to the question.
    #[error("the supervisor of project `{project}` gave an answer that does not fit: {reply}")]
    Unfitting {
        /// The project.
        project: String,
        /// The answer.
        reply: String,
    },
}

impl ClientError {
    /// The supervisor's reason, where it gave one.
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Refused(failure) => Some(failure),
            Self::Start { .. } | Self::Lost { .. } | Self::Unfitting { .. } => None,
        }
    }
}

/// One answer, and the descriptors that came with it.
#[derive(Debug)]
pub struct Answer {
    /// What it says; never [`Reply::Failed`].
    pub reply: Reply,
    /// Descriptors, close-on-exec.
    pub fds: Vec<OwnedFd>,
}

/// A supervisor that can be asked. Calls may be made at the same time: each
/// takes a connection that is free, or makes a new one.
///
/// The supervisor stays for as long as this value lives, whether anything runs
/// or not.
#[derive(Debug)]
pub struct Client {
    project: String,
    layout: Layout,
    free: Mutex<Vec<UnixStream>>,
    /// An open connection keeps the supervisor from ending.
    anchor: UnixStream,
}

impl Client {
    /// The supervisor of a project; `None` where nothing of it runs. Where
    /// containers run and their keeper and supervisor are dead, both are
    /// started anew.
    ///
    /// # Errors
    /// Its socket is there and cannot be connected to.
    pub async fn connect(layout: &Layout, project: &str) -> Result<Option<Self>, ClientError> {
        if let Some(client) = Self::find(layout, project).await? {
            return Ok(Some(client));
        }
        let lives = inspect::containers(layout, project)
            .is_ok_and(|views| views.iter().any(inspect::ContainerView::is_live));
        if lives {
            Self::ensure(layout, project).await.map(Some)
        } else {
            Ok(None)
        }
    }

    async fn find(layout: &Layout, project: &str) -> Result<Option<Self>, ClientError> {
        match connect(layout, project).await {
            Ok(Some(anchor)) => Ok(Some(Self {
                project: project.to_owned(),
                layout: layout.clone(),
                free: Mutex::new(Vec::new()),
                anchor,
            })),
            Ok(None) => Ok(None),
            Err(source) => Err(ClientError::Lost {
                project: project.to_owned(),
                source,
            }),
        }
    }

    /// The supervisor of a project, which is started where none runs.
    ///
    /// # Errors
    /// It cannot be started, with its own words for why.
    pub async fn ensure(layout: &Layout, project: &str) -> Result<Self, ClientError> {
        Self::ensure_from(layout, project, binary::own).await
    }

    /// As [`Client::ensure`], where they are to run from another binary than
    /// the caller's, which must be skiff too.
    ///
    /// # Errors
    /// As there.
    pub async fn ensure_from(
        layout: &Layout,
        project: &str,
        program: impl FnOnce() -> io::Result<OwnedFd>,
    ) -> Result<Self, ClientError> {
        if let Some(client) = Self::find(layout, project).await? {
            return Ok(client);
        }
        // Held by whoever starts the pair, then by the pair until it can be
        // talked to, and again while it ends: so never two at once.
        let path = layout.start_lock(project);
        let lock = tokio::task::spawn_blocking(move || Lock::acquire(&path))
            .await
            .map_err(io::Error::other)
            .and_then(|lock| lock)
            .map_err(|error| start_error(project, &error))?;
        if let Some(client) = Self::find(layout, project).await? {
            return Ok(client);
        }
        let words = program()
            .and_then(|program| start(layout, project, &program, lock))
            .map_err(|error| start_error(project, &error))?;
        match Self::find(layout, project).await? {
            Some(client) => Ok(client),
            None => Err(ClientError::Start {
                project: project.to_owned(),
                message: if words.is_empty() {
                    "it ended at once".to_owned()
                } else {
                    words
                },
            }),
        }
    }

    /// Asks and waits for the one answer; events before it are dropped. Where
    /// the supervisor dies meanwhile, what can be asked twice is asked again of
    /// the next one.
    ///
    /// # Errors
    /// The supervisor's reason, or the conversation broke.
    pub async fn call(
        &self,
        request: Request,
        fds: &[BorrowedFd<'_>],
    ) -> Result<Answer, ClientError> {
        let attempts = if fds.is_empty() && is_repeatable(&request) {
            ATTEMPTS
        } else {
            1
        };
        let mut last = None;
        for _ in 0..attempts {
            match self.call_once(request.clone(), fds).await {
                Err(ClientError::Lost { source, .. }) => last = Some(source),
                other => return other,
            }
        }
        Err(self.lost(last.unwrap_or_else(|| io::ErrorKind::UnexpectedEof.into())))
    }

    async fn call_once(
        &self,
        request: Request,
        fds: &[BorrowedFd<'_>],
    ) -> Result<Answer, ClientError> {
        let mut conversation = self.start(request, fds).await?;
        loop {
            let answer = conversation.next().await?;
            if !matches!(answer.reply, Reply::Event(_)) {
                self.free.lock().await.push(conversation.stream);
                return Ok(answer);
            }
        }
    }

    /// Asks something that is answered by many replies (`Subscribe`, `Attach`,
    /// `Exec`).
    ///
    /// # Errors
    /// The conversation broke.
    pub async fn start(
        &self,
        request: Request,
        fds: &[BorrowedFd<'_>],
    ) -> Result<Conversation, ClientError> {
        let free = {
            let mut free = self.free.lock().await;
            // Those of a supervisor that died meanwhile are of no use.
            free.retain(is_open);
            free.pop()
        };
        let stream = match free {
            Some(stream) => stream,
            None => connect(&self.layout, &self.project)
                .await
                .and_then(|stream| stream.ok_or_else(|| io::ErrorKind::NotFound.into()))
                .map_err(|error| self.lost(error))?,
        };
        let call = Call {
            version: WIRE_VERSION,
            request,
        };
        frame::send(&stream, &call, fds)
            .await
            .map_err(|error| self.lost(error))?;
        Ok(Conversation {
            project: self.project.clone(),
            stream,
        })
    }

    /// Waits until a container is in this condition.
    ///
    /// # Errors
    /// [`Failure::Condition`] where it can no longer come true.
    pub async fn wait(&self, id: &ContainerId, condition: Condition) -> Result<(), ClientError> {
        let request = Request::Wait {
            id: id.clone(),
            condition,
        };
        self.call(request, &[]).await.map(drop)
    }

    /// Has keeper and supervisor go on as the running binary, for a supervisor
    /// that answers [`Failure::Version`]. Returns when the new one is there.
    ///
    /// # Errors
    /// They cannot be talked to any more.
    pub async fn upgrade(self) -> Result<Self, ClientError> {
        let program = binary::own().map_err(|error| self.lost(error))?;
        self.upgrade_to(program).await
    }

    /// As [`Client::upgrade`], to this binary.
    ///
    /// # Errors
    /// As there.
    pub async fn upgrade_to(self, program: OwnedFd) -> Result<Self, ClientError> {
        let mut watch = FolderWatch::new(&self.layout.run_project(&self.project))
            .map_err(|error| self.lost(error))?;
        self.call(Request::Upgrade, &[program.as_fd()]).await?;
        // The old one ends, and with it this connection.
        frame::receive(&self.anchor).await.ok();
        loop {
            if let Some(client) = Self::find(&self.layout, &self.project).await? {
                return Ok(client);
            }
            watch.changed().await.map_err(|error| self.lost(error))?;
        }
    }

    /// The error for a conversation that broke on this side.
    pub fn broken(&self, source: io::Error) -> ClientError {
        self.lost(source)
    }

    fn lost(&self, source: io::Error) -> ClientError {
        ClientError::Lost {
            project: self.project.clone(),
            source,
        }
    }
}

/// A call whose answers come one by one.
#[derive(Debug)]
pub struct Conversation {
    project: String,
    stream: UnixStream,
}

impl Conversation {
    /// The next answer.
    ///
    /// # Errors
    /// The supervisor's reason, or the conversation broke; an end without a
    /// last answer is such a break.
    pub async fn next(&mut self) -> Result<Answer, ClientError> {
        let lost = |source| ClientError::Lost {
            project: self.project.clone(),
            source,
        };
        let frame = frame::receive(&self.stream)
            .await
            .map_err(lost)?
            .ok_or_else(|| lost(io::Error::from(io::ErrorKind::UnexpectedEof)))?;
        match frame.parse().map_err(lost)? {
            Reply::Failed(failure) => Err(ClientError::Refused(failure)),
            reply => Ok(Answer {
                reply,
                fds: frame.fds,
            }),
        }
    }

    /// The next change of a subscription.
    ///
    /// # Errors
    /// As [`Conversation::next`]; another kind of answer.
    pub async fn next_change(&mut self) -> Result<Change, ClientError> {
        match self.next().await?.reply {
            Reply::Event(change) => Ok(change),
            reply => Err(self.unfitting(&reply)),
        }
    }

    /// The error for an answer that does not fit the question.
    pub fn unfitting(&self, reply: &Reply) -> ClientError {
        ClientError::Unfitting {
            project: self.project.clone(),
            reply: format!("{reply:?}"),
        }
    }
}

fn start_error(project: &str, error: &io::Error) -> ClientError {
    ClientError::Start {
        project: project.to_owned(),
        message: error.to_string(),
    }
}

/// Starts keeper and supervisor and waits until they can be talked to, or have
/// failed; returns what they said of a failure.
fn start(layout: &Layout, project: &str, program: &OwnedFd, lock: Lock) -> io::Result<String> {
    let identity = Identity {
        project: project.to_owned(),
        layout: layout.clone(),
    };
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

/// Whether a request may be carried out twice.
fn is_repeatable(request: &Request) -> bool {
    match request {
        Request::EnsureNetwork(_)
        | Request::RemoveNetwork { .. }
        | Request::Create(_)
        | Request::Start { .. }
        | Request::Stop { .. }
        | Request::Pause { .. }
        | Request::Unpause { .. }
        | Request::Wait { .. }
        | Request::Resize { .. } => true,
        // A second restart would be one too many, a container that is removed
        // is unknown, and the rest is no single question.
        Request::Restart { .. }
        | Request::Kill { .. }
        | Request::Remove { .. }
        | Request::Exec { .. }
        | Request::Attach { .. }
        | Request::Subscribe
        | Request::Upgrade => false,
    }
}

/// Whether the other end of a connection that is at rest is there.
fn is_open(stream: &UnixStream) -> bool {
    let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
    matches!(
        rustix::net::recv(stream.as_fd(), &mut [0; 1], flags),
        Err(rustix::io::Errno::AGAIN)
    )
}

/// Connects; `None` where nobody runs. Where only the keeper does, its next
/// supervisor is waited for.
async fn connect(layout: &Layout, project: &str) -> io::Result<Option<UnixStream>> {
    if let Some(stream) = connect_now(layout, project)? {
        return Ok(Some(stream));
    }
    let waited = async {
        while let Some(pidfd) = keeper::living(layout, project) {
            let mut watch = FolderWatch::new(&layout.run_project(project))?;
            let end = watched(pidfd, Interest::READABLE)?;
            if let Some(stream) = connect_now(layout, project)? {
                return Ok(Some(stream));
            }
            tokio::select! {
                changed = watch.changed() => changed?,
                end = end.readable() => drop(end?),
            }
        }
        connect_now(layout, project)
    };
    let late = |_| io::Error::new(io::ErrorKind::TimedOut, "its supervisor cannot be started");
    tokio::time::timeout(PATIENCE, waited).await.map_err(late)?
}

/// Connects; `None` where nobody listens: no socket, or one that a dead
/// supervisor left. A local connection is made, or refused, at once.
fn connect_now(layout: &Layout, project: &str) -> io::Result<Option<UnixStream>> {
    let control = layout.control_socket(project);
    let absent = |error: &io::Error| {
        matches!(
            error.kind(),
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
        )
    };
    let connected = fs::File::open(layout.run_project(project)).and_then(|folder| {
        let name = control.file_name().unwrap_or_default();
        std::os::unix::net::UnixStream::connect(short_path(&folder, name))
    });
    match connected {
        Ok(stream) => {
            stream.set_nonblocking(true)?;
            UnixStream::from_std(stream).map(Some)
        }
        Err(error) if absent(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The path of a socket by its folder's descriptor: the address of a socket
/// has room for 107 bytes, which a long run root exceeds.
pub(super) fn short_path(folder: &fs::File, name: impl AsRef<Path>) -> PathBuf {
    Path::new("/proc/self/fd")
        .join(folder.as_raw_fd().to_string())
        .join(name)
}
