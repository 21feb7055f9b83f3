//! Starting a new keeper when the old one died.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::{Child, Command};
use tokio::time::Instant;

use super::channel::Channel;
use crate::supervise::keeper::{self, Identity, Stage};
use crate::supervise::pauses::Pauses;
use crate::supervise::{binary, packet};

/// The present keeper's end, and those that were before.
#[derive(Debug)]
pub(super) struct Keepers {
    pauses: Pauses,
    /// `None` for the one that started this process.
    present: Option<(Instant, Child)>,
}

impl Keepers {
    /// With the one that started this process.
    pub(super) const fn new() -> Self {
        Self {
            pauses: Pauses::new(),
            present: None,
        }
    }

    /// Starts a keeper, the present one having ended, that has this supervisor
    /// for its own; tries until it works, as containers without one cannot be
    /// reaped or started.
    pub(super) async fn next(&mut self, identity: &Identity) -> Channel {
        let mut pause = match self.present.take() {
            Some((since, mut child)) => {
                let age = since.elapsed();
                // Where it lives, and cannot be talked to, it is of no use.
                child.start_kill().ok();
                let signal = child.wait().await.ok().and_then(|status| status.signal());
                self.pauses.after(signal == Some(libc::SIGKILL), true, age)
            }
            None => Duration::ZERO,
        };
        loop {
            tokio::time::sleep(pause).await;
            match start(identity) {
                Ok((channel, child)) => {
                    self.present = Some((Instant::now(), child));
                    return channel;
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot start a keeper");
                    pause = self.pauses.after_failure();
                }
            }
        }
    }
}

fn start(identity: &Identity) -> io::Result<(Channel, Child)> {
    let (ours, theirs): (OwnedFd, OwnedFd) = packet::pair()?;
    let channel = Channel::new(ours)?;
    // Open until the child has executed it.
    let program = binary::own()?;
    let mut command = Command::from(binary::command(&program, keeper::COMMAND));
    command
        .arg(Stage::Adopted.word())
        .args(identity.args())
        .stdin(theirs)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    Ok((channel, command.spawn()?))
}
