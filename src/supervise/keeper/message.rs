//! What keeper and supervisor say to each other.
//!
//! JSON in packets of a `SOCK_SEQPACKET` pair. The two may come from different
//! binaries for a while (the keeper outlives many supervisors), so a change of
//! meaning raises [`KEEPER_VERSION`].

use serde::{Deserialize, Serialize};

use crate::engine::launch::Shape;

/// Raised when a message changes its meaning.
pub(crate) const KEEPER_VERSION: u32 = 1;

/// Whether a process is a container's first or a further one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ChildKind {
    /// Process 1 of a container.
    Container,
    /// A process that joins a container.
    Exec,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ended {
    /// Exit code, 128 + N for signal N; `None` where nobody could learn it.
    pub(crate) code: Option<i32>,
    /// Nanoseconds since the epoch.
    pub(crate) at: i64,
}

/// Supervisor to keeper.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ToKeeper {
    /// It can be talked to: its start has not failed.
    Ready,
    /// Asks for everything that is held. Answer: any number of
    /// [`FromKeeper::Held`] and [`FromKeeper::Child`], then `Adopted`.
    Adopt,
    /// Starts a process; its descriptors come along as `shape` says.
    Launch {
        /// Names the child from now on.
        key: String,
        /// What it is.
        kind: ChildKind,
        /// Which descriptor is which.
        shape: Shape,
    },
    /// Keeps the descriptor that comes along, in place of one of that name.
    Hold {
        /// Its name.
        key: String,
    },
    /// Closes the descriptor of this name and those below it (`name/…`).
    Release {
        /// The name.
        prefix: String,
    },
    /// The exit of this child is dealt with.
    Ack {
        /// The child.
        key: String,
    },
    /// Asks for a sign of life. Answer: [`FromKeeper::Pong`].
    Ping,
    /// Go on as the binary that comes along.
    Reexec,
    /// Nothing is left: end when the supervisor has ended. A lock may come
    /// along, held until then.
    Finish,
}

/// Keeper to supervisor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum FromKeeper {
    /// Names of the descriptors that come along.
    Held {
        /// In the descriptors' order.
        keys: Vec<String>,
    },
    /// A child, or a child's exit that nobody has acknowledged. The pidfd of a
    /// living one comes along.
    Child {
        /// Its name.
        key: String,
        /// What it is.
        kind: ChildKind,
        /// As the host sees it.
        pid: i32,
        /// Where it has ended.
        ended: Option<Ended>,
    },
    /// The end of the list.
    Adopted {
        /// [`KEEPER_VERSION`] of the keeper.
        version: u32,
        /// The keeper.
        pid: i32,
    },
    /// It lives.
    Pong,
    /// The child runs its set-up code; its pidfd comes along.
    Launched {
        /// Its name.
        key: String,
        /// As the host sees it.
        pid: i32,
    },
    /// No process was made.
    LaunchFailed {
        /// Its name.
        key: String,
        /// Why.
        message: String,
    },
    /// A child ended; written to the journal before.
    Exited {
        /// Its name.
        key: String,
        /// As the host saw it.
        pid: i32,
        /// How.
        ended: Ended,
    },
}
