//! Starting a new keeper when the old one died.

use std::io;
use std::os::fd::OwnedFd;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::Instant;

use super::channel::Channel;
use crate::supervise::keeper::{self, Identity, Stage};
use crate::supervise::{binary, packet};

/// First pause before a keeper that follows one which died young.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
/// Longest pause.
const LAST_PAUSE: Duration = Duration::from_secs(10);
/// A keeper that lived this long did not die of its start.
const GOOD_LIFE: Duration = Duration::from_secs(10);

/// The pauses between keepers: none after one that lived, then growing ones.
#[derive(Debug, Default)]
pub(super) struct Pauses {
    last: Option<Instant>,
    pause: Duration,
}

impl Pauses {
    async fn wait(&mut self) {
        if self.last.is_some_and(|last| last.elapsed() < GOOD_LIFE) {
            tokio::time::sleep(self.pause).await;
            self.pause = (self.pause * 2).clamp(FIRST_PAUSE, LAST_PAUSE);
        } else {
            self.pause = Duration::ZERO;
        }
        self.last = Some(Instant::now());
    }
}

/// Starts a keeper that has this supervisor for its own; tries until it works,
/// as containers without one cannot be reaped or started.
pub(super) async fn keeper(identity: &Identity, pauses: &mut Pauses) -> Channel {
    loop {
        pauses.wait().await;
        match start(identity) {
            Ok(channel) => return channel,
            Err(error) => tracing::warn!(%error, "cannot start a keeper"),
        }
    }
}

fn start(identity: &Identity) -> io::Result<Channel> {
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
    let mut child = command.spawn()?;
    // It is a child of ours: its end must be collected.
    tokio::spawn(async move { child.wait().await });
    Ok(channel)
}
