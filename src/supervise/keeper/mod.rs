//! The keeper: parent of a project's containers and store of descriptors.
//!
//! A single thread around one poll(2). It clones what the supervisor asks
//! for, reaps, writes exits into its journal, and holds what cannot be made
//! again. It reads no spec, no environment and no secret, because what it has
//! read would be in its children's memory. `message` is its language, `store`
//! its memory, `run` its loop, `start` its first steps, `host` its processes.

mod host;
mod journal;
mod message;
mod run;
mod start;
mod store;

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::process::ExitCode;

pub(crate) use journal::{ExitEntry, read as read_journal};
pub(crate) use message::{ChildKind, Ended, FromKeeper, KEEPER_VERSION, ToKeeper};

use self::host::Processes;
use self::run::{Keeper, Supervisor};
use self::store::Store;
use crate::state::Layout;

/// The hidden command that runs a keeper.
pub const COMMAND: &str = "__keeper";

/// How a keeper begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// From a command: leave its session, fork, end.
    Fresh,
    /// The fork of it: standard input is the start lock, output the pipe that
    /// tells when the project can be talked to.
    Detached,
    /// From a supervisor whose keeper died: standard input is the socket.
    Adopted,
    /// The same process as another binary: standard input is its state.
    Resumed,
}

impl Stage {
    /// The word on the command line.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Fresh => "fresh",
            Self::Detached => "detached",
            Self::Adopted => "adopted",
            Self::Resumed => "resumed",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        [Self::Fresh, Self::Detached, Self::Adopted, Self::Resumed]
            .into_iter()
            .find(|stage| stage.word() == word)
    }
}

/// Whose keeper this is.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    /// The project.
    pub(crate) project: String,
    /// Its paths.
    pub(crate) layout: Layout,
}

impl Identity {
    /// Command-line arguments that [`Identity::parse`] understands.
    pub(crate) fn args(&self) -> [OsString; 3] {
        [
            self.project.clone().into(),
            self.layout.data().as_os_str().to_owned(),
            self.layout.run().as_os_str().to_owned(),
        ]
    }

    /// Reads `PROJECT DATA_ROOT RUN_ROOT`.
    pub(crate) fn parse(mut args: impl Iterator<Item = OsString>) -> Option<Self> {
        let project = args.next()?.into_string().ok()?;
        let data = PathBuf::from(args.next()?);
        let run = PathBuf::from(args.next()?);
        Some(Self { project, layout: Layout::new(data, run) })
    }
}

/// Runs a keeper: `skiff __keeper STAGE PROJECT DATA_ROOT RUN_ROOT`, the
/// arguments after the command's name.
pub fn main(args: impl Iterator<Item = OsString>) -> ExitCode {
    let mut args = args;
    let stage = args.next().and_then(|word| Stage::parse(word.to_str()?));
    let (Some(stage), Some(identity)) = (stage, Identity::parse(args)) else {
        return ExitCode::from(2);
    };
    match enter(stage, &identity) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report(&format!("cannot start the keeper of project `{}`: {error}", identity.project));
            ExitCode::FAILURE
        }
    }
}

/// Says why on the pipe that a waiting command reads; elsewhere it is
/// `/dev/null`.
fn report(message: &str) {
    rustix::io::write(rustix::stdio::stdout(), message.as_bytes()).ok();
}

fn enter(stage: Stage, identity: &Identity) -> io::Result<()> {
    if stage == Stage::Fresh {
        start::leave_session()?;
        return host::detach(identity);
    }
    rustix::thread::set_name(c"skiff-keeper").ok();
    if stage == Stage::Adopted {
        start::leave_session()?;
    }
    start::close_inherited()?;
    start::settle()?;
    start::close_to_others()?;
    let input = io::stdin().as_fd().try_clone_to_owned()?;
    let output = io::stdout().as_fd().try_clone_to_owned()?;
    streams_to_null()?;
    let mut processes = Processes::new(identity.clone())?;
    let mut store = Store::open(&identity.layout.exit_journal(&identity.project))?;
    let supervisor = match stage {
        Stage::Fresh | Stage::Detached => {
            processes.first_streams = Some((output, input));
            None
        }
        Stage::Adopted => Some(Supervisor::of_socket(input)?),
        Stage::Resumed => host::resume(&input, &mut store)?,
    };
    let lock = Keeper::new(processes, store, supervisor).run()?;
    clean_up(identity, lock);
    Ok(())
}

/// Removes what only the last process of a project can remove.
fn clean_up(identity: &Identity, lock: Vec<OwnedFd>) {
    host::leave_cgroup(identity);
    drop(lock);
}

/// Points the standard streams at `/dev/null`.
pub(crate) fn streams_to_null() -> io::Result<()> {
    let null = rustix::fs::open(
        "/dev/null",
        rustix::fs::OFlags::RDWR | rustix::fs::OFlags::CLOEXEC,
        rustix::fs::Mode::empty(),
    )?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    rustix::stdio::dup2_stderr(&null)?;
    Ok(())
}
