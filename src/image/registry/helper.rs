//! Credential helpers: `docker-credential-NAME get|store|erase`
//! (docker-credential-helpers' protocol: what is asked for on standard input,
//! JSON on standard output).

use std::process::Stdio;
use std::time::Duration;

use serde::Deserialize;
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;

use super::account::Account;
use super::credentials::Credentials;
use crate::env;

/// A helper may ask its user something; not for longer than this.
const TIMEOUT: Duration = Duration::from_secs(60);
/// The user name with which a helper says that the secret is a token.
const TOKEN_USER: &str = "<token>";
/// Longest output that is read.
const OUTPUT_LIMIT: u64 = 1024 * 1024;
/// How helpers say that they have nothing.
const NOT_FOUND: &str = "credentials not found";

/// A helper program of a user.
#[derive(Debug)]
pub(super) struct Helper<'a> {
    name: &'a str,
    account: Option<&'a Account>,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(rename = "Username")]
    user: String,
    #[serde(rename = "Secret")]
    secret: String,
}

impl<'a> Helper<'a> {
    pub(super) fn new(name: &'a str, account: Option<&'a Account>) -> Self {
        Self { name, account }
    }

    /// The program's name.
    pub(super) fn program(&self) -> String {
        format!("docker-credential-{}", self.name)
    }

    /// Asks for a registry's credentials, and the user's name with them.
    pub(super) async fn get(&self, key: &str) -> Result<Option<Credentials>, String> {
        let output = match self.call("get", key.as_bytes()).await {
            Err(said) if said.contains(NOT_FOUND) => return Ok(None),
            other => other?,
        };
        let answer: Answer = serde_json::from_slice(&output)
            .map_err(|e| format!("its answer is not understood: {e}"))?;
        Ok(match answer {
            Answer { user, secret } if user == TOKEN_USER => Some(Credentials::Identity(secret)),
            Answer { user, secret } if user.is_empty() && secret.is_empty() => None,
            Answer { user, secret } => Some(Credentials::Basic {
                user,
                password: secret,
            }),
        })
    }

    /// Gives a registry's credentials to it.
    pub(super) async fn store(
        &self,
        key: &str,
        user: &str,
        credentials: &Credentials,
    ) -> Result<(), String> {
        let (user, secret) = match credentials {
            Credentials::Basic { password, .. } => (user, password),
            Credentials::Identity(token) | Credentials::Registry(token) => (TOKEN_USER, token),
        };
        let text = json!({"ServerURL": key, "Username": user, "Secret": secret}).to_string();
        self.call("store", text.as_bytes()).await.map(drop)
    }

    /// Takes them away.
    pub(super) async fn erase(&self, key: &str) -> Result<(), String> {
        match self.call("erase", key.as_bytes()).await {
            Err(said) if said.contains(NOT_FOUND) => Ok(()),
            other => other.map(drop),
        }
    }

    async fn call(&self, action: &str, input: &[u8]) -> Result<Vec<u8>, String> {
        // It is looked up in the search path, nowhere else.
        if self.name.contains('/') {
            return Err("its name has a slash".to_owned());
        }
        let mut command = Command::new(self.program());
        command
            .arg(action)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        if let Some(account) = self.account {
            let path = env::read_string(env::PATH).unwrap_or_default();
            account.become_in(&mut command, &path);
        }
        let mut child = command.spawn().map_err(|e| e.to_string())?;
        if let Some(mut pipe) = child.stdin.take() {
            // A helper that ends early has its say in its output.
            pipe.write_all(input).await.ok();
        }
        let (out, err) = (child.stdout.take(), child.stderr.take());
        let finish = async {
            let (out, err) = tokio::join!(read(out), read(err));
            (child.wait().await, out, err)
        };
        let (status, out, err) = tokio::time::timeout(TIMEOUT, finish)
            .await
            .map_err(|_| format!("it did not answer within {} seconds", TIMEOUT.as_secs()))?;
        let status = status.map_err(|e| e.to_string())?;
        if status.success() {
            return Ok(out);
        }
        let text = String::from_utf8_lossy(&out);
        let said = if text.trim().is_empty() {
            String::from_utf8_lossy(&err)
        } else {
            text
        };
        Err(format!("{status}: {}", said.trim()))
    }
}

/// What a program writes, as far as it is of use; the rest is read away, so
/// that it ends.
async fn read(pipe: Option<impl AsyncRead + Unpin>) -> Vec<u8> {
    let mut text = Vec::new();
    if let Some(mut pipe) = pipe {
        (&mut pipe)
            .take(OUTPUT_LIMIT)
            .read_to_end(&mut text)
            .await
            .ok();
        tokio::io::copy(&mut pipe, &mut tokio::io::sink())
            .await
            .ok();
    }
    text
}
