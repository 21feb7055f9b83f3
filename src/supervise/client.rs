//! The CLI's side of the conversation with a supervisor.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::net::RecvFlags;
use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::sync::Mutex;

use super::door::Door;
use super::keeper::Identity;
use super::ready::watched;
use super::wire::{Call, Change, Condition, Failure, Hello, Reply, Request, WIRE_VERSION};
use super::{frame, inspect, keeper};
use crate::state::lock::Lock;
use crate::state::{ContainerId, Layout};

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

/// Waits until the project's keeper and supervisor have ended, which they do by
/// themselves when nothing is left to be done and nobody is connected; at once
/// where there are none. What a keeper could not do any more that was killed at
/// its end is done here.
///
/// # Errors
/// The keeper cannot be watched, or its control groups not be removed.
pub async fn ended(layout: &Layout, project: &str) -> io::Result<()> {
    while let Some(pidfd) = keeper::living(layout, project) {
        drop(watched(pidfd, Interest::READABLE)?.readable().await?);
    }
    // Held to the last thing that they do.
    let path = layout.start_lock(project);
    let identity = Identity {
        project: project.to_owned(),
        layout: layout.clone(),
    };
    let buried = tokio::task::spawn_blocking(move || {
        let lock = Lock::acquire_existing(&path)?;
        lock.map_or(Ok(false), |_lock| keeper::bury(&identity))
    });
    buried.await.map_err(io::Error::other)?.map(drop)
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
    door: Door,
    free: Mutex<Vec<UnixStream>>,
    notes: Vec<String>,
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
        let door = Door::new(layout, project, None);
        if let Some((anchor, hello)) = door.knock().await? {
            return Ok(Some(Self::new(door, anchor, hello)));
        }
        let lives = inspect::containers(layout, project)
            .is_ok_and(|views| views.iter().any(inspect::ContainerView::is_live));
        if lives {
            Self::through(door).await.map(Some)
        } else {
            Ok(None)
        }
    }

    /// The supervisor of a project, which is started where none runs.
    ///
    /// # Errors
    /// It cannot be started, with its own words for why.
    pub async fn ensure(layout: &Layout, project: &str) -> Result<Self, ClientError> {
        Self::through(Door::new(layout, project, None)).await
    }

    /// As [`Client::ensure`], where they are to run from this binary instead of
    /// the caller's.
    ///
    /// # Errors
    /// As there.
    pub async fn ensure_from(
        layout: &Layout,
        project: &str,
        program: OwnedFd,
    ) -> Result<Self, ClientError> {
        Self::through(Door::new(layout, project, Some(program))).await
    }

    async fn through(door: Door) -> Result<Self, ClientError> {
        let (anchor, hello) = door.open().await?;
        Ok(Self::new(door, anchor, hello))
    }

    fn new(door: Door, anchor: UnixStream, hello: Hello) -> Self {
        Self {
            door,
            free: Mutex::new(Vec::new()),
            notes: hello.notes,
            anchor,
        }
    }

    /// What is not as it should be since the supervisor took over.
    pub fn notes(&self) -> &[String] {
        &self.notes
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
        let attempts = if is_repeatable(&request) { ATTEMPTS } else { 1 };
        let mut last = None;
        for _ in 0..attempts {
            match self.call_once(request.clone(), fds).await {
                Err(ClientError::Lost { source, .. }) => last = Some(source),
                // Whoever was asked first has done it.
                Err(ClientError::Refused(Failure::NoContainer { .. }))
                    if last.is_some() && matches!(request, Request::Remove { .. }) =>
                {
                    return Ok(Answer {
                        reply: Reply::Ok,
                        fds: Vec::new(),
                    });
                }
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

    /// Attaches to a container's output ([`Request::Attach`]); returns when nothing of what
    /// it writes from now on is missed.
    ///
    /// # Errors
    /// No such container, or the conversation broke.
    pub async fn attach(&self, id: &ContainerId) -> Result<Conversation, ClientError> {
        let mut conversation = self.start(Request::Attach { id: id.clone() }, &[]).await?;
        conversation.next().await?;
        Ok(conversation)
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
            None => self.door.open().await?.0,
        };
        let call = Call {
            version: WIRE_VERSION,
            request,
        };
        frame::send(&stream, &call, fds)
            .await
            .map_err(|error| self.lost(error))?;
        Ok(Conversation {
            project: self.door.project().to_owned(),
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

    /// Has keeper and supervisor go on as this binary. Returns when the new one
    /// is there.
    ///
    /// # Errors
    /// They cannot be talked to any more.
    pub async fn upgrade_to(self, program: OwnedFd) -> Result<Self, ClientError> {
        self.call(Request::Upgrade, &[program.as_fd()]).await?;
        // The old one ends, and with it this connection.
        frame::receive(&self.anchor).await.ok();
        Self::through(self.door).await
    }

    /// The error for a conversation that broke on this side.
    pub fn broken(&self, source: io::Error) -> ClientError {
        self.lost(source)
    }

    fn lost(&self, source: io::Error) -> ClientError {
        self.door.lost(source)
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

/// The supervisor of a project, or its keeper, where it says nothing within
/// `limit`. `None` where both answer, or where there is none.
pub async fn silent(layout: &Layout, project: &str, limit: Duration) -> Option<Silent> {
    Door::new(layout, project, None).silent(limit).await
}

/// A process that is there and does not answer: it is stopped, or hangs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Silent {
    /// `supervisor` or `keeper`.
    pub what: &'static str,
    /// Its process id.
    pub pid: i32,
}

/// Whether a request may be carried out twice.
fn is_repeatable(request: &Request) -> bool {
    match request {
        Request::EnsureNetwork(_)
        | Request::RemoveNetwork { .. }
        | Request::Create(_)
        | Request::Replace { .. }
        | Request::Start { stdio: false, .. }
        | Request::Stop { .. }
        | Request::Remove { .. }
        | Request::Pause { .. }
        | Request::Unpause { .. }
        | Request::Settle
        | Request::Wait { .. }
        | Request::Resize { .. } => true,
        // Streams are given away once, a second restart would be one too many,
        // and the rest is no single question.
        Request::Start { stdio: true, .. }
        | Request::Restart { .. }
        | Request::Kill { .. }
        | Request::Run(_)
        | Request::Exec { .. }
        | Request::Attach { .. }
        | Request::Subscribe
        | Request::Ping
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
