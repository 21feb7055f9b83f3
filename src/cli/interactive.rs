//! A program in a container on the caller's terminal.
//!
//! The caller's own terminal stays here, in raw mode; the program has one of
//! its container's. Bytes go to and fro between the two.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use super::detach::DetachKeys;
use super::relay;
use super::terminal::{RawMode, copy_size};
use crate::state::ContainerId;
use crate::supervise::client::{Client, ClientError, Conversation};
use crate::supervise::wire::{ChangeKind, Reply, Request};

/// Runs an exec with a terminal; returns its exit code.
///
/// # Errors
/// It cannot be executed, or the conversation broke.
pub async fn exec(client: &Client, request: Request) -> Result<i32, ClientError> {
    let conversation = client.start(request, &[]).await?;
    let code = talk(client, conversation, None).await?;
    Ok(code.unwrap_or(255))
}

/// Shows a container's terminal, to which a conversation was attached before its start,
/// and returns its exit code; 255 where nobody could learn it, `None` where the user left
/// it with the [`DetachKeys`].
///
/// # Errors
/// The conversation broke.
pub async fn show_terminal(
    client: &Client,
    id: &ContainerId,
    attached: Conversation,
) -> Result<Option<i32>, ClientError> {
    talk(client, attached, Some(id)).await
}

async fn talk(
    client: &Client,
    mut conversation: Conversation,
    container: Option<&ContainerId>,
) -> Result<Option<i32>, ClientError> {
    let broken = |error| client.broken(error);
    let mut resized = signal(SignalKind::window_change()).map_err(broken)?;
    let mut terminal: Option<Terminal> = None;
    let mut last = None;
    let (leave, mut left) = mpsc::channel(1);
    let mut leave = container.is_some().then_some(leave);
    loop {
        let answer = tokio::select! {
            answer = conversation.next() => answer?,
            _ = resized.recv() => {
                if let Some(terminal) = &terminal {
                    copy_size(io::stdin(), &terminal.master);
                }
                continue;
            }
            // Without a sender, or where the keys' thread ended, there is
            // nothing to wait for.
            Some(()) = left.recv(), if terminal.is_some() && container.is_some() => return Ok(None),
        };
        if let Some(master) = answer.fds.into_iter().next()
            && terminal.is_none()
        {
            terminal = Some(Terminal::open(master, leave.take()).map_err(broken)?);
        }
        match answer.reply {
            Reply::Output { data, .. } => show(&data).map_err(broken)?,
            Reply::Event(change) if Some(&change.id) == container => {
                if let ChangeKind::Exited { code, .. } = change.kind {
                    last = Some(code.unwrap_or(255));
                }
            }
            Reply::ExecExited { code } => {
                if let Some(terminal) = terminal {
                    terminal.finish().await;
                }
                return Ok(Some(code));
            }
            Reply::Ok => return Ok(Some(last.unwrap_or(255))),
            _ => {}
        }
    }
}

fn show(data: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(data)?;
    out.flush()
}

/// Passes keys on until those come that leave the terminal.
fn pass_keys(mut from: File, mut to: File, leave: &mpsc::Sender<()>) {
    let mut keys = DetachKeys::default();
    let mut buffer = [0_u8; 4096];
    loop {
        let typed = match from.read(&mut buffer) {
            Ok(0) => return,
            Ok(count) => buffer.get(..count).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => return,
        };
        let (passed, left) = keys.pass(typed);
        if to.write_all(&passed).is_err() {
            return;
        }
        if left {
            // It may have ended meanwhile.
            leave.try_send(()).ok();
            return;
        }
    }
}

/// The container's terminal, joined to the caller's.
struct Terminal {
    master: OwnedFd,
    raw: Option<RawMode>,
    output: Option<std::thread::JoinHandle<()>>,
}

impl Terminal {
    /// Joins the two. An exec's is read on this side; for a container, which
    /// the supervisor logs, output comes in the conversation instead, and
    /// `leave` is told of the [`DetachKeys`].
    fn open(master: OwnedFd, leave: Option<mpsc::Sender<()>>) -> io::Result<Self> {
        let reads = leave.is_none();
        let caller = io::stdin();
        let raw = RawMode::enter(caller.as_fd()).ok();
        copy_size(&caller, &master);
        let keys = File::from(caller.as_fd().try_clone_to_owned()?);
        let to = File::from(master.try_clone()?);
        // Ends with the process: nobody may ever press another key.
        drop(std::thread::spawn(move || match leave {
            Some(leave) => pass_keys(keys, to, &leave),
            None => relay::copy(keys, to),
        }));
        let output = if reads {
            let from = File::from(master.try_clone()?);
            let to = File::from(io::stdout().as_fd().try_clone_to_owned()?);
            Some(std::thread::spawn(move || relay::copy(from, to)))
        } else {
            None
        };
        Ok(Self {
            master,
            raw,
            output,
        })
    }

    /// Waits for the last output, then gives the caller's terminal back.
    async fn finish(mut self) {
        if let Some(output) = self.output.take() {
            tokio::task::spawn_blocking(move || output.join())
                .await
                .ok();
        }
        drop(self.raw.take());
    }
}
