//! The `git` program, cut off from the user's settings: what a repository gives does
//! not depend on who asks, and it runs no program of the repository's or the user's.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use base64::Engine as _;
use tokio::process::Command;

use super::git::GitError;
use crate::env;
use crate::image::{Access, Account};

/// Longest part of what git says that is told.
const TOLD_LINES: usize = 5;

/// The variable in which git finds an `Authorization`.
const HEADER: &str = "SKIFF_GIT_HEADER";

/// Settings of every call (git-config(1)).
const SETTINGS: [(&str, &str); 10] = [
    ("core.hooksPath", "/dev/null"),
    ("core.fsmonitor", "false"),
    ("core.autocrlf", "false"),
    ("init.defaultBranch", "main"),
    ("advice.detachedHead", "false"),
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
    // A transfer that stands still is given up.
    ("http.lowSpeedLimit", "1"),
    ("http.lowSpeedTime", "60"),
    ("uploadpack.allowAnySHA1InWant", "true"),
];

/// How git reaches remote repositories, and as whom.
#[derive(Debug)]
pub(in crate::build) struct GitAccess<'a> {
    /// Proxies and certificates.
    pub(in crate::build) access: &'a Access,
    /// Whom git runs as; absent: who we are.
    pub(in crate::build) account: Option<&'a Account>,
    /// Socket of the SSH agent.
    pub(in crate::build) agent: Option<&'a Path>,
    /// `Authorization` for a server of https: its address, and the header's value.
    pub(in crate::build) authorization: Option<(String, String)>,
    /// A folder of the user's for what goes with the call.
    pub(in crate::build) folder: &'a Path,
}

/// The header that a token of `GIT_AUTH_TOKEN` makes: as the password of a user
/// whose name servers do not look at.
pub(in crate::build) fn token_header(token: &str) -> String {
    let text = format!("x-access-token:{token}");
    let encoded = base64::engine::general_purpose::STANDARD.encode(text);
    format!("basic {encoded}")
}

/// Which transports a call may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transports {
    /// Those to other machines.
    Remote,
    /// Repositories on this one.
    Local,
}

impl GitAccess<'_> {
    /// Runs git in a folder; gives back what it writes to standard output.
    ///
    /// # Errors
    /// There is no git, or it ends with a code other than 0.
    pub(super) async fn run(
        &self,
        folder: &Path,
        transports: Transports,
        arguments: &[&OsStr],
    ) -> Result<String, GitError> {
        let path = env::read(env::PATH).unwrap_or_default();
        let mut command = Command::new("git");
        command.env_clear();
        for (name, value) in SETTINGS {
            command.arg("-c").arg(format!("{name}={value}"));
        }
        // Not as an argument: those are for everybody to see.
        if let Some((server, value)) = &self.authorization {
            command
                .arg(format!("--config-env=http.{server}.extraHeader={HEADER}"))
                .env(HEADER, format!("Authorization: {value}"));
        }
        command
            .args(arguments)
            .current_dir(folder)
            .env("PATH", &path)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        if let Some(account) = self.account {
            account.become_in(&mut command, &path.to_string_lossy());
        }
        command.envs(self.environment(transports));
        let output = command.output().await.map_err(|error| {
            if error.kind() == std::io::ErrorKind::NotFound {
                GitError::Absent
            } else {
                GitError::Started(error)
            }
        })?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        Err(GitError::Failed {
            doing: arguments
                .first()
                .map(|first| first.to_string_lossy().into_owned())
                .unwrap_or_default(),
            said: said(&String::from_utf8_lossy(&output.stderr)),
        })
    }

    fn environment(&self, transports: Transports) -> Vec<(&'static str, OsString)> {
        let text = |text: &str| OsString::from(text);
        let allowed = match transports {
            Transports::Remote => "http:https:ssh:git",
            Transports::Local => "file",
        };
        let mut all = vec![
            ("HOME", text("/dev/null")),
            ("XDG_CONFIG_HOME", text("/dev/null")),
            ("GIT_CONFIG_NOSYSTEM", text("1")),
            ("GIT_CONFIG_GLOBAL", text("/dev/null")),
            ("GIT_TERMINAL_PROMPT", text("0")),
            ("GIT_ASKPASS", text("/bin/false")),
            ("SSH_ASKPASS_REQUIRE", text("never")),
            ("GIT_ALLOW_PROTOCOL", text(allowed)),
            ("GIT_SSH_COMMAND", self.ssh()),
            // What git says is told, and some of it understood.
            ("LC_ALL", text("C")),
        ];
        all.extend(self.access.environment());
        if let Some(agent) = self.agent {
            all.push(("SSH_AUTH_SOCK", agent.into()));
        }
        all
    }

    /// ssh(1) without the user's settings. Hosts that the user knows have to be who
    /// they were; others are taken as they are, for this call alone.
    fn ssh(&self) -> OsString {
        let mut known = vec![self.folder.join("known_hosts")];
        let home = match self.access.account() {
            Some(account) => account.home.clone(),
            None => env::read_path(env::HOME),
        };
        known.extend(home.map(|home| home.join(".ssh/known_hosts")));
        // ssh(1) takes several, separated by spaces, quoted as in ssh_config(5).
        let files: Vec<String> = known
            .iter()
            .map(PathBuf::as_path)
            .map(|path| format!("\"{}\"", path.display()))
            .collect();
        let option = quoted(&format!("UserKnownHostsFile={}", files.join(" ")));
        format!(
            "ssh -F /dev/null -o BatchMode=yes -o ConnectTimeout=20 -o ServerAliveInterval=20 \
             -o StrictHostKeyChecking=accept-new -o {option}"
        )
        .into()
    }
}

/// As sh(1) reads it back.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// The lines in which git says why, without its prefixes.
fn said(stderr: &str) -> String {
    let plain = |line: &str| -> String { line.chars().filter(|c| !c.is_control()).collect() };
    let telling: Vec<String> = stderr
        .lines()
        .map(|line| plain(line.rsplit('\r').next().unwrap_or(line)))
        .filter(|line| !line.trim().is_empty())
        .collect();
    let first = telling
        .iter()
        .position(|line| {
            ["fatal: ", "error: ", "remote: "]
                .iter()
                .any(|prefix| line.starts_with(prefix))
        })
        .unwrap_or_else(|| telling.len().saturating_sub(TOLD_LINES));
    // What ssh says stands before what git makes of it.
    let ssh = telling.iter().take(first).filter(|line| {
        line.contains("ermission denied")
            || line.contains("verification failed")
            || line.starts_with("ssh: ")
    });
    let lines = ssh.chain(telling.iter().skip(first)).take(TOLD_LINES);
    let lines: Vec<&str> = lines
        .map(|line| {
            let line = line.strip_prefix("fatal: ").unwrap_or(line);
            line.strip_prefix("error: ").unwrap_or(line).trim()
        })
        .collect();
    lines.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_git_says_is_told_without_its_decoration() {
        for (stderr, told) in [
            (
                "Cloning into 'x'...\nfatal: no \u{1b}[31mway\n",
                "no [31mway",
            ),
            (
                "Warning: Permanently added 'h'.\ngit@h: Permission denied (publickey).\n\
                 fatal: Could not read from remote repository.\n\nPlease make sure you have the correct access rights\nand the repository exists.\n",
                "git@h: Permission denied (publickey).; Could not read from remote repository.; \
                 Please make sure you have the correct access rights; and the repository exists.",
            ),
            ("a\nb\n", "a; b"),
            ("", ""),
        ] {
            assert_eq!(said(stderr), told);
        }
    }

    #[test]
    fn a_token_is_a_password() {
        assert_eq!(token_header("t"), "basic eC1hY2Nlc3MtdG9rZW46dA==");
        assert_eq!(quoted("it's"), "'it'\\''s'");
    }
}
