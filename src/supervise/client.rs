//! The CLI's end of the control socket.

use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::{Path, PathBuf};

use fs_err as fs;
use tokio::net::UnixStream;

use super::keeper::{self, Identity, Stage};
use super::wire::{Call, Change, Condition, Failure, Reply, Request, WIRE_VERSION};
use super::{binary, frame, start_lock};
use crate::engine::spec::ExecSpec;
use crate::state::{ContainerId, Layout};

/// Why a call came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The supervisor says so.
    #[error(transparent)]
    Failed(#[from] Failure),
    /// Keeper and supervisor could not be started.
    #[error("cannot start the supervisor of project `{project}`: {reason}")]
    Start {
        /// The project.
        project: String,
        /// What they said.
        reason: String,
    },
    /// The connection broke.
    #[error("lost the supervisor of project `{project}`")]
    Connection {
        /// The project.
        project: String,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// A supervisor that can be asked.
///
/// It stays for as long as this value lives, whether anything runs or not.
/// Each call has a connection of its own, so calls may be made at the same
/// time.
#[derive(Debug)]
pub struct Client {
    layout: Layout,
    project: String,
    /// An open connection keeps the supervisor from ending.
    anchor: UnixStream,
}

impl Client {
    /// The supervisor of a project; `None` where none runs.
    ///
    /// # Errors
    /// There is one, and it cannot be talked to.
    pub async fn connect(layout: &Layout, project: &str) -> Result<Option<Self>, ClientError> {
        match connect(layout, project).await {
            Ok(Some(anchor)) => Ok(Some(Self {
                layout: layout.clone(),
                project: project.to_owned(),
                anchor,
            })),
            Ok(None) => Ok(None),
            Err(source) => Err(ClientError::Connection {
                project: project.to_owned(),
                source,
            }),
        }
    }

    /// The supervisor of a project, started with its keeper where none runs.
    ///
    /// # Errors
    /// They cannot be started.
    pub async fn ensure(layout: &Layout, project: &str) -> Result<Self, ClientError> {
        if let Some(client) = Self::connect(layout, project).await? {
            return Ok(client);
        }
        let failed = |reason: String| ClientError::Start {
            project: project.to_owned(),
            reason,
        };
        let identity = Identity {
            project: project.to_owned(),
            layout: layout.clone(),
        };
        let path = start_lock::path(&identity);
        let lock = tokio::task::spawn_blocking(move || start_lock::acquire(&path))
            .await
            .map_err(|error| failed(error.to_string()))?
            .map_err(|error| failed(error.to_string()))?;
        // Another command may have done it while this one waited.
        if let Some(client) = Self::connect(layout, project).await? {
            return Ok(client);
        }
        tokio::task::spawn_blocking(move || start(&identity, lock))
            .await
            .map_err(|error| failed(error.to_string()))?
            .map_err(|error| failed(error.to_string()))?;
        Self::connect(layout, project)
            .await?
            .ok_or_else(|| failed("it ended at once".to_owned()))
    }

    /// The project.
    pub fn project(&self) -> &str {
        &self.project
    }

    /// Asks, and waits for the last reply; events before it are dropped.
    ///
    /// # Errors
    /// [`ClientError::Failed`] with what the supervisor says.
    pub async fn call(
        &self,
        request: Request,
        fds: &[BorrowedFd<'_>],
    ) -> Result<Reply, ClientError> {
        let mut replies = self.send(request, fds).await?;
        loop {
            match replies.next().await? {
                Some((Reply::Event(_) | Reply::Output { .. }, _)) => {}
                Some((reply, _)) => return Ok(reply),
                None => return Err(self.lost(io::ErrorKind::UnexpectedEof.into())),
            }
        }
    }

    /// Asks; the replies are read one by one.
    ///
    /// # Errors
    /// The connection cannot be made.
    pub async fn send(
        &self,
        request: Request,
        fds: &[BorrowedFd<'_>],
    ) -> Result<Replies, ClientError> {
        let stream = connect(&self.layout, &self.project)
            .await
            .and_then(|stream| stream.ok_or_else(|| io::ErrorKind::NotFound.into()))
            .map_err(|error| self.lost(error))?;
        let call = Call {
            version: WIRE_VERSION,
            request,
        };
        frame::send(&stream, &call, fds)
            .await
            .map_err(|error| self.lost(error))?;
        Ok(Replies {
            stream,
            project: self.project.clone(),
        })
    }

    /// The state of every container, then every change of it.
    ///
    /// # Errors
    /// The connection cannot be made.
    pub async fn subscribe(&self) -> Result<Changes, ClientError> {
        Ok(Changes {
            replies: self.send(Request::Subscribe, &[]).await?,
        })
    }

    /// Waits until a container is in this condition.
    ///
    /// # Errors
    /// [`Failure::Condition`] where it can no longer come true.
    pub async fn wait(&self, id: &ContainerId, condition: Condition) -> Result<(), ClientError> {
        self.call(
            Request::Wait {
                id: id.clone(),
                condition,
            },
            &[],
        )
        .await
        .map(|_| ())
    }

    /// Runs a further process. Without `stdio`, which must be pipes, it gets a
    /// terminal, whose master comes with the answer.
    ///
    /// # Errors
    /// It could not be executed.
    pub async fn exec(
        &self,
        id: &ContainerId,
        spec: ExecSpec,
        stdio: Option<[BorrowedFd<'_>; 3]>,
    ) -> Result<Exec, ClientError> {
        let request = Request::Exec {
            id: id.clone(),
            spec: Box::new(spec),
            tty: stdio.is_none(),
        };
        let fds = stdio.as_ref().map_or(&[][..], |stdio| stdio.as_slice());
        let mut replies = self.send(request, fds).await?;
        match replies.next().await? {
            Some((Reply::ExecStarted { pid }, fds)) => Ok(Exec {
                pid,
                master: fds.into_iter().next(),
                replies,
            }),
            Some(_) | None => Err(self.lost(io::ErrorKind::InvalidData.into())),
        }
    }

    /// Raw output of a container, from the first byte of its present run or,
    /// where it does not run, of its next. Returns when the request was sent.
    ///
    /// # Errors
    /// The connection cannot be made.
    pub async fn attach(&self, id: &ContainerId) -> Result<Attached, ClientError> {
        let replies = self.send(Request::Attach { id: id.clone() }, &[]).await?;
        Ok(Attached { replies })
    }

    /// Has keeper and supervisor go on as the running binary: for a supervisor
    /// that answers [`Failure::Version`]. Returns when the new one is there.
    ///
    /// # Errors
    /// They cannot be talked to any more.
    pub async fn upgrade(self) -> Result<Self, ClientError> {
        let binary = binary::own().map_err(|error| self.lost(error))?;
        self.call(Request::Upgrade, &[binary.as_fd()]).await?;
        // It ends, and with it this connection.
        frame::receive(&self.anchor).await.ok();
        let Self {
            layout, project, ..
        } = self;
        Self::reconnect(&layout, &project).await
    }

    /// Waits for the socket of a supervisor that is being started anew.
    async fn reconnect(layout: &Layout, project: &str) -> Result<Self, ClientError> {
        let lost = |source| ClientError::Connection {
            project: project.to_owned(),
            source,
        };
        let mut watch =
            super::watch::FolderWatch::new(&layout.run_project(project)).map_err(lost)?;
        loop {
            match connect(layout, project).await {
                Ok(Some(anchor)) => {
                    let (layout, project) = (layout.clone(), project.to_owned());
                    return Ok(Self {
                        layout,
                        project,
                        anchor,
                    });
                }
                Ok(None) => watch.changed().await.map_err(lost)?,
                Err(error) => return Err(lost(error)),
            }
        }
    }

    fn lost(&self, source: io::Error) -> ClientError {
        ClientError::Connection {
            project: self.project.clone(),
            source,
        }
    }
}

/// The replies to one request.
#[derive(Debug)]
pub struct Replies {
    stream: UnixStream,
    project: String,
}

impl Replies {
    /// The next reply and its descriptors; `None` at the end.
    ///
    /// # Errors
    /// [`ClientError::Failed`] where the reply is one.
    pub async fn next(&mut self) -> Result<Option<(Reply, Vec<OwnedFd>)>, ClientError> {
        let lost = |source| ClientError::Connection {
            project: self.project.clone(),
            source,
        };
        let Some(frame) = frame::receive(&self.stream).await.map_err(lost)? else {
            return Ok(None);
        };
        match frame.parse().map_err(lost)? {
            Reply::Failed(failure) => Err(failure.into()),
            reply => Ok(Some((reply, frame.fds))),
        }
    }
}

/// Changes of a project's containers.
#[derive(Debug)]
pub struct Changes {
    replies: Replies,
}

impl Changes {
    /// The next change; `None` where the supervisor has ended.
    ///
    /// # Errors
    /// The connection broke.
    pub async fn next(&mut self) -> Result<Option<Change>, ClientError> {
        loop {
            match self.replies.next().await? {
                Some((Reply::Event(change), _)) => return Ok(Some(change)),
                Some(_) => {}
                None => return Ok(None),
            }
        }
    }
}

/// A process that was started in a container.
#[derive(Debug)]
pub struct Exec {
    /// As the host sees it.
    pub pid: i32,
    /// The master of its terminal, where it has one.
    pub master: Option<OwnedFd>,
    replies: Replies,
}

impl Exec {
    /// Waits for its end: exit code, 128 + N for signal N.
    ///
    /// # Errors
    /// The connection broke, or nobody could learn the code.
    pub async fn wait(mut self) -> Result<i32, ClientError> {
        while let Some((reply, _)) = self.replies.next().await? {
            if let Reply::ExecExited { code } = reply {
                return Ok(code);
            }
        }
        Err(ClientError::Connection {
            project: self.replies.project,
            source: io::ErrorKind::UnexpectedEof.into(),
        })
    }
}

/// A container's raw output.
#[derive(Debug)]
pub struct Attached {
    replies: Replies,
}

/// What comes from an attached container.
#[derive(Debug)]
pub enum AttachedItem {
    /// It runs. For input: a terminal's master, or the writing end of its
    /// standard input, where there is one.
    Started(Option<OwnedFd>),
    /// Output.
    Output {
        /// 1 or 2.
        stream: u8,
        /// The bytes as they came.
        data: Vec<u8>,
    },
    /// It ended.
    Exited {
        /// Exit code, `None` where nobody could learn it.
        code: Option<i32>,
    },
}

impl Attached {
    /// The next item; `None` at the end.
    ///
    /// # Errors
    /// The connection broke.
    pub async fn next(&mut self) -> Result<Option<AttachedItem>, ClientError> {
        use super::wire::ChangeKind;
        loop {
            let Some((reply, fds)) = self.replies.next().await? else {
                return Ok(None);
            };
            match reply {
                Reply::Output { stream, data } => {
                    return Ok(Some(AttachedItem::Output { stream, data }));
                }
                Reply::Event(change) => match change.kind {
                    ChangeKind::Started => {
                        return Ok(Some(AttachedItem::Started(fds.into_iter().next())));
                    }
                    ChangeKind::Exited { code, .. } => {
                        return Ok(Some(AttachedItem::Exited { code }));
                    }
                    ChangeKind::Created | ChangeKind::Health(_) | ChangeKind::Removed => {}
                },
                Reply::Ok => return Ok(None),
                Reply::Network(_)
                | Reply::Container(_)
                | Reply::ExecStarted { .. }
                | Reply::ExecExited { .. }
                | Reply::Failed(_) => {}
            }
        }
    }
}

/// Starts keeper and supervisor and waits until they can be talked to.
fn start(identity: &Identity, lock: OwnedFd) -> io::Result<()> {
    let binary = binary::own()?;
    let (mut ready, told) = io::pipe()?;
    let mut child = binary::command(&binary, keeper::COMMAND)
        .arg(Stage::Fresh.word())
        .args(identity.args())
        .stdin(lock)
        .stdout(told)
        .stderr(std::process::Stdio::null())
        .spawn()?;
    // It forks and ends; the pipe stays open in what follows it.
    child.wait()?;
    let mut answer = String::new();
    ready.read_to_string(&mut answer)?;
    match answer.as_str() {
        "ok" => Ok(()),
        "" => Err(io::Error::other(
            "keeper or supervisor ended without a word",
        )),
        reason => Err(io::Error::other(reason.to_owned())),
    }
}

/// Connects; `None` where nobody listens.
async fn connect(layout: &Layout, project: &str) -> io::Result<Option<UnixStream>> {
    let folder = match fs::File::open(layout.run_project(project)) {
        Ok(folder) => folder,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let control = layout.control_socket(project);
    let Some(name) = control.file_name().and_then(|name| name.to_str()) else {
        return Ok(None);
    };
    // A local connection is made, or refused, at once.
    match StdUnixStream::connect(short_path(&folder, name)) {
        Ok(stream) => {
            stream.set_nonblocking(true)?;
            UnixStream::from_std(stream).map(Some)
        }
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
            ) =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// The path of a socket by its folder's descriptor: the address of a socket
/// has room for 107 bytes, which a long run root exceeds.
pub(super) fn short_path(folder: &fs::File, name: &str) -> PathBuf {
    Path::new("/proc/self/fd")
        .join(folder.as_raw_fd().to_string())
        .join(name)
}
