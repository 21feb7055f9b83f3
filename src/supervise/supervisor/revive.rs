//! Starting a new keeper when the old one died.

use std::io;
use std::os::fd::OwnedFd;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use super::channel::Channel;
use crate::supervise::keeper::{self, Identity, Stage};
use crate::supervise::{binary, packet};

/// First pause after a keeper that could not be started.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
/// Longest pause.
const LAST_PAUSE: Duration = Duration::from_secs(10);

/// Starts a keeper that has this supervisor for its own; tries until it works,
/// as containers without one cannot be reaped or started.
pub(super) async fn keeper(identity: &Identity) -> Channel {
    let mut pause = FIRST_PAUSE;
    loop {
        match start(identity) {
            Ok(channel) => return channel,
            Err(error) => tracing::warn!(%error, "cannot start a keeper"),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LAST_PAUSE);
    }
}

fn start(identity: &Identity) -> io::Result<Channel> {
    let (ours, theirs): (OwnedFd, OwnedFd) = packet::pair()?;
    let channel = Channel::new(ours)?;
    let mut command = Command::from(binary::command(&binary::own()?, keeper::COMMAND));
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
