//! The commands of `sync+exec`, in every running container of a service.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};

use futures_util::future::{FutureExt as _, join_all};
use rustix::pipe::{PipeFlags, pipe_with};
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe::Receiver;

use crate::causes::with_causes;
use crate::compose::Hook;
use crate::event::{Event, WatchNews};
use crate::reconcile::Session;
use crate::reconcile::exec::{ExecOptions, exec_spec};
use crate::supervise::client::{Client, ClientError};
use crate::supervise::inspect::{self, ContainerView};
use crate::supervise::wire::{Reply, Request};

use super::error::WatchError;

/// Runs a rule's command in all running containers of a service at the same time, and
/// shows what it writes. Gives the number of containers.
///
/// # Errors
/// It cannot be run, or ended with another code than 0.
pub(super) async fn run(
    session: &Session<'_>,
    service: &str,
    hook: &Hook,
) -> Result<usize, WatchError> {
    let fail = |message: String| WatchError::Exec {
        service: service.to_owned(),
        message,
    };
    let mut views = inspect::containers(session.layout, session.project)
        .map_err(|error| fail(error.to_string()))?;
    views.retain(|view| view.record.service == service && !view.record.oneoff && view.is_live());
    if views.is_empty() {
        return Ok(0);
    }
    let client = Client::connect(session.layout, session.project)
        .await
        .map_err(|error| fail(with_causes(&error)))?;
    let Some(client) = client else { return Ok(0) };
    let runs = views.iter().map(|view| one(session, &client, view, hook));
    for code in join_all(runs).await {
        let code = code.map_err(|error| fail(with_causes(&error)))?;
        if code != 0 {
            return Err(WatchError::Command {
                service: service.to_owned(),
                command: words(hook),
                code,
            });
        }
    }
    Ok(views.len())
}

/// A command as it is told.
pub(super) fn words(hook: &Hook) -> String {
    let words = hook.command.as_ref().map(|command| command.join(" "));
    words.unwrap_or_default()
}

async fn one(
    session: &Session<'_>,
    client: &Client,
    view: &ContainerView,
    hook: &Hook,
) -> Result<i32, ClientError> {
    let options = ExecOptions {
        command: hook
            .command
            .as_ref()
            .map(|it| it.0.clone())
            .unwrap_or_default(),
        environment: hook
            .environment
            .iter()
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect(),
        user: hook.user.clone(),
        working_dir: hook.working_dir.clone(),
        privileged: hook.privileged,
        tty: false,
    };
    let request = Request::Exec {
        id: view.record.id.clone(),
        spec: Box::new(exec_spec(&view.record, options, &[])),
        tty: false,
        detach: false,
    };
    let pipes = Pipes::new().map_err(|error| client.broken(error))?;
    let ends = pipes.ends.each_ref().map(|end| end.as_fd());
    let mut conversation = client.start(request, &ends).await?;
    drop(pipes.ends);
    let mut output = Lines {
        pipe: Some(pipes.output),
        rest: Vec::new(),
    };
    let tell = |line: String| {
        let services = vec![view.record.service.clone()];
        let news = WatchNews::new("output", services, line);
        session.sink.emit(Event::Watch(news));
    };
    let code = loop {
        tokio::select! {
            biased;
            line = output.next() => tell(line),
            answer = conversation.next() => match answer?.reply {
                Reply::ExecStarted { .. } | Reply::Event(_) => {}
                Reply::ExecExited { code } => break code,
                other => return Err(conversation.unfitting(&other)),
            },
        }
    };
    // What it left in the background may hold the pipe for ever: what is there is told.
    while let Some(line) = output.next().now_or_never() {
        tell(line);
    }
    if let Some(line) = output.last() {
        tell(line);
    }
    Ok(code)
}

/// The longest line that is told in one.
const LONGEST: usize = 16 * 1024;

/// What a command writes, line by line.
struct Lines {
    pipe: Option<Receiver>,
    rest: Vec<u8>,
}

impl Lines {
    /// The next line; never once all is told. May be dropped and called again.
    async fn next(&mut self) -> String {
        loop {
            if let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.rest.drain(..=end).collect();
                return text(line.strip_suffix(b"\n").unwrap_or(&line));
            }
            if self.rest.len() >= LONGEST {
                return text(&std::mem::take(&mut self.rest));
            }
            let Some(pipe) = &mut self.pipe else {
                return std::future::pending().await;
            };
            match pipe.read_buf(&mut self.rest).await {
                Ok(0) | Err(_) => self.pipe = None,
                Ok(_) => {}
            }
        }
    }

    /// What stands behind the last line break.
    fn last(&mut self) -> Option<String> {
        let rest = std::mem::take(&mut self.rest);
        (!rest.is_empty()).then(|| text(&rest))
    }
}

fn text(line: &[u8]) -> String {
    String::from_utf8_lossy(line).into_owned()
}

/// Standard input that is at its end, and one pipe for both outputs.
struct Pipes {
    ends: [OwnedFd; 3],
    output: Receiver,
}

impl Pipes {
    fn new() -> io::Result<Self> {
        let (stdin, _) = pipe_with(PipeFlags::CLOEXEC)?;
        let (output, stdout) = pipe_with(PipeFlags::CLOEXEC)?;
        let stderr = stdout.try_clone()?;
        rustix::io::ioctl_fionbio(&output, true)?;
        Ok(Self {
            ends: [stdin, stdout, stderr],
            output: Receiver::from_owned_fd(output)?,
        })
    }
}
