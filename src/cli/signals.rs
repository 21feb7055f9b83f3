//! Ctrl-C and SIGTERM.

use std::io;

use nix::sys::signal::SigSet;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::error::CliError;
use crate::engine::sys;

/// Has the ends of children reported to this process, whose caller may have
/// ignored or blocked them: the kernel would throw their exit codes away.
pub fn expect_children() {
    sys::reset_signal(libc::SIGCHLD);
    let mut children = SigSet::empty();
    children.add(nix::sys::signal::Signal::SIGCHLD);
    children.thread_unblock().ok(); // fails for no set of valid signals
}

/// The signals that ask a command to end.
#[derive(Debug)]
pub struct Interrupts {
    interrupt: Signal,
    terminate: Signal,
}

impl Interrupts {
    /// Takes the signals over from their default, which would end the process.
    ///
    /// # Errors
    /// The handler cannot be installed.
    pub fn new() -> Result<Self, CliError> {
        let take = |kind| {
            signal(kind).map_err(|error: io::Error| {
                CliError::new(format!("cannot take over signals: {error}"))
            })
        };
        Ok(Self {
            interrupt: take(SignalKind::interrupt())?,
            terminate: take(SignalKind::terminate())?,
        })
    }

    /// Waits for the next one and gives its number. May be dropped and called
    /// again without losing any.
    pub async fn next(&mut self) -> i32 {
        tokio::select! {
            _ = self.interrupt.recv() => libc::SIGINT,
            _ = self.terminate.recv() => libc::SIGTERM,
        }
    }
}
