//! SSH keys that are given as files: an `ssh-agent` of the build's own has them, so
//! that a step can sign with a key and never reads it.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::{Child, Command};

use super::error::BuildError;

/// What runs below the agent: it says who the agent is, enters the keys, says that
/// they are, and lives for as long as its standard input is open. The agent ends when
/// it is gone, so that neither outlives a build that was killed.
const SCRIPT: &str =
    "echo \"$SSH_AGENT_PID\"; ssh-add -q -- \"$@\" </dev/null && echo ready && exec cat";

/// Most bytes of an answer that are read.
const MOST: u64 = 64 * 1024;

/// An agent with keys, for as long as it is kept.
#[derive(Debug)]
pub(crate) struct KeyAgent {
    socket: PathBuf,
    agent: Option<std::os::fd::OwnedFd>,
    _holder: Child,
    _folder: tempfile::TempDir,
}

impl KeyAgent {
    /// Starts one, with OpenSSH's `ssh-agent` (ssh-agent(1), "command").
    ///
    /// # Errors
    /// The program is not there, or does not take one of the keys.
    pub(crate) async fn start(keys: &[PathBuf]) -> Result<Self, BuildError> {
        let folder = tempfile::tempdir().map_err(BuildError::files("make a folder in", "/tmp"))?;
        let socket = folder.path().join("agent");
        let mut command = Command::new("ssh-agent");
        command
            .arg("-a")
            .arg(&socket)
            .args(["sh", "-c", SCRIPT, "ssh-add"])
            .args(keys)
            // A passphrase is asked of this program, which knows none: nobody is
            // at the terminal of a build.
            .env("SSH_ASKPASS", "/bin/false")
            .env("SSH_ASKPASS_REQUIRE", "force")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut holder = command.spawn().map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => BuildError::NoProgram {
                program: "ssh-agent",
                package: "openssh-client",
            },
            _ => BuildError::files("execute", "ssh-agent")(error),
        })?;
        let refused = |said: &str| BuildError::Keys {
            keys: keys.to_vec(),
            said: said.trim().to_owned(),
        };
        let (Some(out), Some(err)) = (holder.stdout.take(), holder.stderr.take()) else {
            return Err(refused(""));
        };
        let mut lines = BufReader::new(out.take(MOST)).lines();
        let mut line = async || {
            let line = lines.next_line().await;
            line.map_err(BuildError::files("read from", "ssh-agent"))
        };
        let pid = line().await?.and_then(|line| line.trim().parse().ok());
        let agent = Self {
            socket,
            agent: pid
                .and_then(Pid::from_raw)
                .and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok()),
            _holder: holder,
            _folder: folder,
        };
        if line().await?.is_none() {
            let mut said = String::new();
            err.take(MOST).read_to_string(&mut said).await.ok();
            return Err(refused(&said));
        }
        Ok(agent)
    }

    /// Where it listens.
    pub(crate) fn socket(&self) -> &Path {
        &self.socket
    }
}

impl Drop for KeyAgent {
    fn drop(&mut self) {
        // It looks for the end of its command every ten seconds only.
        if let Some(agent) = &self.agent {
            pidfd_send_signal(agent, Signal::TERM).ok();
        }
    }
}
