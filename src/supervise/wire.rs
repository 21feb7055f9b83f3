//! The protocol between CLI and supervisor.
//!
//! A connection to `control.sock` (`SOCK_STREAM`, 0600, peer's uid checked)
//! carries frames: a little-endian u32 length, then that many bytes of JSON.
//! Descriptors ride on the first byte of a frame with `SCM_RIGHTS`. The
//! supervisor begins with a [`Hello`]. Then the client sends one [`Request`] in
//! a [`Call`]; the supervisor answers with any number of [`Reply::Event`] and
//! one final other reply, then the connection may carry the next call. Several
//! connections may be open at once.

use serde::{Deserialize, Serialize};

use super::record::{ContainerRecord, Health};
use crate::engine::spec::ExecSpec;
use crate::net::spec::NetworkSpec;
use crate::state::ContainerId;

/// Raised when a message changes its meaning. A supervisor answers a call of
/// another version with [`Failure::Version`], and the CLI then asks the keeper
/// to take up the newer binary.
pub const WIRE_VERSION: u32 = 7;

/// The longest frame, bytes.
pub const FRAME_LIMIT: u32 = 16 * 1024 * 1024;

/// The first frame on a connection, from the supervisor: it lives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// [`WIRE_VERSION`] of the supervisor.
    pub version: u32,
    /// What is not as it should be since it took over, one line each.
    #[serde(default)]
    pub notes: Vec<String>,
}

/// A request and the version of who sends it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Call {
    /// [`WIRE_VERSION`] of the sender.
    pub version: u32,
    /// What is asked.
    pub request: Request,
}

/// What the CLI can ask of a supervisor. With what changes the project comes
/// the descriptor of the project's lock: it is held until the request has been
/// carried out, even where the CLI is killed meanwhile, so that the next
/// command does not look around in the middle of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// Makes the network, or finds it as it is. Answer: [`Reply::Done`].
    EnsureNetwork(Box<NetworkSpec>),
    /// Removes a network that no container uses.
    RemoveNetwork {
        /// Full name.
        name: String,
    },
    /// Writes the container's record and reserves its name.
    Create(Box<ContainerRecord>),
    /// Makes a container that lives no longer than this connection, and starts
    /// it on the three descriptors that come along (pipes only). The replies
    /// are the events of its start and of its end; when the connection is
    /// closed it is removed, and killed where it still runs.
    Run(Box<ContainerRecord>),
    /// Answered when no container of [`Request::Run`] is left, and nothing of them.
    Settle,
    /// Starts a created or ended container; done when its program was executed.
    /// Answer: [`Reply::Done`].
    Start {
        /// The container.
        id: ContainerId,
        /// Three descriptors come along: standard input, output and error of
        /// a container without a terminal (pipes only).
        stdio: bool,
    },
    /// Asks it to end, kills it after the grace time, waits for the end.
    Stop {
        /// The container.
        id: ContainerId,
        /// Seconds instead of its own grace time; negative waits for ever.
        timeout: Option<i64>,
    },
    /// Stop, if running, then start.
    Restart {
        /// The container.
        id: ContainerId,
        /// As in `Stop`.
        timeout: Option<i64>,
    },
    /// Sends a signal to process 1; SIGKILL to all processes, and then waits
    /// for the end.
    Kill {
        /// The container.
        id: ContainerId,
        /// Signal number.
        signal: i32,
    },
    /// Freezes all its processes.
    Pause {
        /// The container.
        id: ContainerId,
    },
    /// Lets them run again.
    Unpause {
        /// The container.
        id: ContainerId,
    },
    /// Removes the container.
    Remove {
        /// The container.
        id: ContainerId,
        /// Kill it first where it runs; else a running one is an error.
        force: bool,
        /// Remove its anonymous volumes too.
        volumes: bool,
    },
    /// Removes the container for a new one that takes its name and volumes. The
    /// new record is written before the old container goes, so that anonymous
    /// volumes belong to somebody at any moment.
    Replace {
        /// The old container; one that is gone already is no error.
        id: ContainerId,
        /// Remove those of its anonymous volumes that the new one does not take.
        volumes: bool,
        /// The new container, as for `Create`.
        successor: Box<ContainerRecord>,
    },
    /// Runs a further process. Without `tty` three descriptors come along
    /// (pipes); with it, the answer [`Reply::ExecStarted`] brings the master.
    /// The last reply is [`Reply::ExecExited`].
    Exec {
        /// The container.
        id: ContainerId,
        /// What to run; an empty `env` means the container's own plus `extra_env`.
        spec: Box<ExecSpec>,
        /// A terminal is wanted.
        tty: bool,
        /// In the background: no descriptors come along, nothing is read or
        /// kept of what it writes, and the last reply is
        /// [`Reply::ExecStarted`].
        detach: bool,
    },
    /// Streams a container's raw output from the first byte of this run
    /// ([`Reply::Output`]), then [`Reply::Event`] with its exit, then `Ok`. The first
    /// reply is the event that it was created, from which on nothing is missed: of a
    /// program that ends at once, only who asks before the start sees anything. The next is
    /// the event that it runs; a terminal's master, or the writing end of a standard input
    /// that is kept open, comes with it. Of a container whose run is over, `Ok` comes alone.
    Attach {
        /// The container.
        id: ContainerId,
    },
    /// The state of every container, then every change of it, until the
    /// connection is closed.
    Subscribe,
    /// Waits until the container is in this condition. Answer: `Ok`, or
    /// [`Failure::Condition`] when it can no longer come true.
    Wait {
        /// The container.
        id: ContainerId,
        /// What is waited for.
        condition: Condition,
    },
    /// Sets the size of a container's terminal or of an exec's.
    Resize {
        /// The container.
        id: ContainerId,
        /// Columns and rows.
        size: (u16, u16),
    },
    /// Whether the keeper lives. Answer: `Ok`, as soon as it has said so.
    Ping,
    /// Has keeper and supervisor go on as the binary that comes along as a
    /// descriptor. The one request that is understood whatever its version.
    Upgrade,
}

/// What [`Request::Wait`] can wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// Its program was executed.
    Started,
    /// The probe succeeded.
    Healthy,
    /// It ended with code 0.
    CompletedSuccessfully,
    /// It ended.
    Exited,
    /// Running, and healthy where it has a probe (`up --wait`).
    RunningOrHealthy,
}

/// What a supervisor answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// Done.
    Ok,
    /// Done, and this is worth telling: what was changed on the host beside,
    /// and what has no effect; one line each.
    Done {
        /// The lines.
        notes: Vec<String>,
    },
    /// A change of some container's state.
    Event(Change),
    /// Raw output of an attached container.
    Output {
        /// 1 or 2.
        stream: u8,
        /// The bytes as they came.
        #[serde(with = "base64_bytes")]
        data: Vec<u8>,
    },
    /// The exec's process runs; its terminal's master may come along.
    ExecStarted {
        /// As the host sees it.
        pid: i32,
    },
    /// The exec's process ended.
    ExecExited {
        /// Exit code, 128 + N for signal N.
        code: i32,
    },
    /// It failed.
    Failed(Failure),
}

/// A change in a container's life.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The container.
    pub id: ContainerId,
    /// Its full name.
    pub name: String,
    /// The service.
    pub service: String,
    /// What happened.
    pub kind: ChangeKind,
}

/// What can happen to a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// Its record was written.
    Created,
    /// Its program was executed.
    Started,
    /// It ended; its log is complete.
    Exited {
        /// Exit code, `None` where nobody could learn it.
        code: Option<i32>,
        /// The restart policy will start it again.
        will_restart: bool,
    },
    /// The health verdict changed.
    Health(Health),
    /// It is gone.
    Removed,
}

/// Why a request failed, as data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Failure {
    /// Supervisor and CLI speak different versions.
    #[error("the running supervisor speaks protocol {theirs}, this skiff {ours}", ours = WIRE_VERSION)]
    Version {
        /// The supervisor's.
        theirs: u32,
    },
    /// No such container.
    #[error("no container `{id}` in this project")]
    NoContainer {
        /// The id asked for.
        id: String,
    },
    /// The container is not in the state that the request needs.
    #[error("container `{name}` is {state}")]
    State {
        /// Its name.
        name: String,
        /// Docker's word.
        state: String,
    },
    /// The waited-for condition can no longer come true.
    #[error("container `{name}` {what}")]
    Condition {
        /// Its name.
        name: String,
        /// `exited (1)`, `is unhealthy`.
        what: String,
        /// Its exit code, where it ended.
        code: Option<i32>,
    },
    /// A host port is taken.
    #[error("port {address} is taken{}", holder.as_ref().map(|h| format!(" by {h}")).unwrap_or_default())]
    PortTaken {
        /// `0.0.0.0:8080/tcp`.
        address: String,
        /// `nginx (pid 4711)`, `container shop-web-1 of project shop`.
        holder: Option<String>,
    },
    /// A name is taken by another container.
    #[error("the container name `{name}` is taken by a container of project `{project}`")]
    NameTaken {
        /// The name.
        name: String,
        /// Whose it is.
        project: String,
    },
    /// A static address cannot be had.
    #[error("{message}")]
    Address {
        /// The address.
        address: std::net::IpAddr,
        /// Why, with network and holder.
        message: String,
        /// What to do, where known.
        hint: Option<String>,
    },
    /// A limit that the host's control groups cannot keep.
    #[error("{message}")]
    Limit {
        /// What is limited, one of [`crate::engine::cgroup::limit`].
        limit: String,
        /// Why not.
        message: String,
        /// What to do, where known.
        hint: Option<String>,
    },
    /// The program could not be executed or the root not be set up.
    #[error("cannot start container `{name}`: {error}")]
    Init {
        /// Its name.
        name: String,
        /// The failing step.
        #[source]
        error: crate::engine::spec::InitError,
    },
    /// Anything else, in one or more lines.
    #[error("{message}")]
    Other {
        /// What was tried, on what, and why it failed.
        message: String,
        /// What to do, where known.
        hint: Option<String>,
    },
}

/// What to do about a program that the kernel cannot execute.
const EMULATOR: &str = "a script needs a first line such as `#!/bin/sh`; a program for another \
    machine needs an emulator: sudo apt-get install qemu-user-static";

impl Failure {
    /// What to do about it, where that is known.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Address { hint, .. } | Self::Limit { hint, .. } | Self::Other { hint, .. } => {
                hint.clone()
            }
            Self::Init { error, .. } => {
                let says = |word| {
                    error
                        .message
                        .as_ref()
                        .is_some_and(|text| text.contains(word))
                };
                if error.errno == libc::ENOEXEC {
                    return Some(EMULATOR.to_owned());
                }
                says("not supported as upperdir").then(|| {
                    format!(
                        "the file system of the data root cannot hold containers' layers: set \
                         {} to a folder on another one (ext4, xfs, btrfs)",
                        crate::env::SKIFF_DATA_ROOT
                    )
                })
            }
            Self::Version { .. }
            | Self::NoContainer { .. }
            | Self::State { .. }
            | Self::Condition { .. }
            | Self::PortTaken { .. }
            | Self::NameTaken { .. } => None,
        }
    }
}

mod base64_bytes {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&STANDARD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<u8>, D::Error> {
        STANDARD
            .decode(String::deserialize(d)?)
            .map_err(D::Error::custom)
    }
}
