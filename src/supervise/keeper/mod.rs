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
mod sign;
mod start;
mod store;

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

pub(crate) use journal::read as read_journal;
pub(crate) use message::{ChildKind, Ended, FromKeeper, KEEPER_VERSION, ToKeeper};
pub(crate) use sign::{is_dead, living, present};

use self::host::Processes;
use self::run::{Keeper, Supervisor};
use self::store::Store;
use crate::engine::cgroup::Host;
use crate::engine::systemd;
use crate::state::Layout;
use crate::state::sweep::sweep_locks;
use crate::supervise::inspect::is_build;
use crate::supervise::{group, streams_to_null};

/// The hidden command that runs a keeper.
pub const COMMAND: &str = "__keeper";

/// How a keeper begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// From a command: standard input is the start lock, standard output the
    /// pipe that tells when the project can be talked to.
    Fresh,
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
            Self::Adopted => "adopted",
            Self::Resumed => "resumed",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        [Self::Fresh, Self::Adopted, Self::Resumed]
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
        Some(Self {
            project,
            layout: Layout::new(data, run),
        })
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
        Err(_) => ExitCode::FAILURE,
    }
}

fn enter(stage: Stage, identity: &Identity) -> io::Result<()> {
    if stage != Stage::Resumed {
        start::leave_session()?;
    }
    // Known to the end: with the last container the data root may be gone, from
    // which it comes.
    let leaf = group::leaf(identity).inspect_err(|error| tell(identity, io::stdout(), error))?;
    // What fails here, on a machine that cannot run containers, leaves nothing.
    if stage == Stage::Fresh
        && !host::detach(identity).inspect_err(|error| tell(identity, io::stdout(), error))?
    {
        return Ok(());
    }
    rustix::thread::set_name(c"skiff-keeper").ok();
    start::close_inherited()?;
    let input = io::stdin().as_fd().try_clone_to_owned()?;
    let output = io::stdout().as_fd().try_clone_to_owned()?;
    let told = output.try_clone()?;
    streams_to_null()?;
    let keeper =
        begin(stage, identity, input, output).inspect_err(|error| tell(identity, &told, error))?;
    drop(told);
    let locks = keeper.run()?;
    group::leave(&leaf);
    sign::take_down(identity);
    // Whoever waits to start the project anew may do so now.
    drop(locks);
    if is_build(&identity.project) {
        // Nobody comes back to it. What is left, another sweep finds.
        sweep_locks(&identity.layout, &identity.project).ok();
    }
    Ok(())
}

/// Does the last steps of a keeper that was killed over them; returns whether
/// it did. The caller holds the project's start lock.
///
/// Where systemd is asked for a place nobody can tell whether a supervisor is
/// about to start the next keeper, and there is no group to be removed either.
///
/// # Errors
/// Its control groups cannot be removed.
pub(crate) fn bury(identity: &Identity) -> io::Result<bool> {
    if !is_dead(identity) {
        return Ok(false);
    }
    let host = Host::detect().map_err(io::Error::other)?;
    let is_over = !group::wants_scope(Path::new(systemd::RUN), &host)
        && group::remove_idle(&host, &group::leaf(identity)?).map_err(io::Error::other)?;
    if is_over {
        sign::take_down(identity);
    }
    Ok(is_over)
}

/// Says why there is no keeper. Elsewhere than from a command it goes to
/// `/dev/null`.
fn tell(identity: &Identity, to: impl AsFd, error: &io::Error) {
    let project = &identity.project;
    let message = format!("cannot start the keeper of project `{project}`: {error}");
    rustix::io::write(to, message.as_bytes()).ok();
}

fn begin(
    stage: Stage,
    identity: &Identity,
    input: OwnedFd,
    output: OwnedFd,
) -> io::Result<Keeper<Processes>> {
    start::settle()?;
    start::close_to_others()?;
    let mut store = Store::open(&identity.layout.exit_journal(&identity.project))?;
    sign::put_up(identity)?;
    let mut processes = Processes::new(identity.clone())?;
    let supervisor = match stage {
        Stage::Fresh => {
            processes.first_streams = Some((output, input));
            None
        }
        Stage::Adopted => Some(Supervisor::of_socket(input)?),
        Stage::Resumed => host::resume(&input, &mut store)?,
    };
    Ok(Keeper::new(processes, store, supervisor))
}
