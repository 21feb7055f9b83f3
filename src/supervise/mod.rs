//! The two processes of a running project, and how the CLI talks to them.
//!
//! *Keeper*: parent of the containers and store of descriptors; poll loop,
//! no async. *Supervisor*: tokio; control socket, logs, names, proxies,
//! health, restarts. [`wire`] is the protocol between CLI and supervisor,
//! [`record`] what both leave on disk.

use std::ffi::OsString;
use std::process::ExitCode;

mod binary;
pub mod client;
mod door;
mod frame;
pub mod group;
pub mod inspect;
pub mod keeper;
pub mod launch;
pub mod logs;
pub(crate) mod packet;
mod pauses;
mod ready;
pub mod record;
mod removal;
pub(crate) mod roots;
pub mod supervisor;
pub mod sweep;
mod watch;
pub mod wire;

/// Runs a hidden command where the arguments, the program's name among them,
/// ask for one.
pub fn dispatch(args: &[OsString]) -> Option<ExitCode> {
    let (command, rest) = args.get(1..)?.split_first()?;
    let rest = rest.iter().cloned();
    match command.to_str()? {
        keeper::COMMAND => Some(keeper::main(rest)),
        supervisor::COMMAND => Some(supervisor::main(rest)),
        _ => None,
    }
}

/// Points the standard streams at `/dev/null`.
pub(crate) fn streams_to_null() -> std::io::Result<()> {
    use rustix::fs::{Mode, OFlags};
    let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    rustix::stdio::dup2_stderr(&null)?;
    Ok(())
}
