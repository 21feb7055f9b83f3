//! Flags of `skiff image build` that are about what commands run in.

use clap::Args;

use crate::build::graph::Sandbox;
use crate::cli::building;
use crate::cli::error::CliError;
use crate::compose::parse_bytes;
use crate::engine::rlimits;

/// The same for all commands.
#[derive(Debug, Args)]
pub(super) struct SandboxArgs {
    /// A name for /etc/hosts: NAME:ADDRESS, the address may be `host-gateway`
    #[arg(long, value_name = "NAME:ADDRESS", value_delimiter = ',')]
    add_host: Vec<String>,
    /// Most memory of each command: 512m
    #[arg(short, long, value_name = "BYTES")]
    memory: Option<String>,
    /// Size of /dev/shm: 64m
    #[arg(long, value_name = "BYTES")]
    shm_size: Option<String>,
    /// A limit of commands: nofile=1024:2048
    #[arg(long, value_name = "NAME=SOFT[:HARD]")]
    ulimit: Vec<String>,
}

impl SandboxArgs {
    /// # Errors
    /// One is written wrong.
    pub(super) fn read(&self) -> Result<Sandbox, CliError> {
        let mut sandbox = Sandbox {
            memory: self.memory.as_deref().map(building::memory).transpose()?,
            ..Sandbox::default()
        };
        for text in &self.add_host {
            let parts = text.split_once(['=', ':']);
            let (name, address) = parts.ok_or_else(|| {
                CliError::new(format!("--add-host takes NAME:ADDRESS, not `{text}`"))
            })?;
            let address = address.trim_start_matches('[').trim_end_matches(']');
            if address != "host-gateway" && address.parse::<std::net::IpAddr>().is_err() {
                return Err(CliError::new(format!(
                    "--add-host {text}: `{address}` is neither an address nor `host-gateway`"
                )));
            }
            sandbox
                .extra_hosts
                .push((name.to_owned(), address.to_owned()));
        }
        if let Some(text) = &self.shm_size {
            let bytes = parse_bytes(text).and_then(|bytes| u64::try_from(bytes).ok());
            sandbox.shm_size = Some(bytes.ok_or_else(|| {
                CliError::new(format!("--shm-size takes `64m` and the like, not `{text}`"))
            })?);
        }
        for text in &self.ulimit {
            let (name, soft, hard) = ulimit(text).ok_or_else(|| {
                CliError::new(format!(
                    "--ulimit takes `nofile=1024:2048` and the like, not `{text}`"
                ))
            })?;
            let limit = rlimits::limit(&name, soft, hard)
                .map_err(|why| CliError::new(format!("--ulimit {text}: {why}")))?;
            sandbox.ulimits.push(limit);
        }
        Ok(sandbox)
    }
}

/// `nofile=1024` or `nofile=1024:2048`: name, soft and hard limit; -1 is none.
fn ulimit(text: &str) -> Option<(String, i64, i64)> {
    let (name, limits) = text.split_once('=')?;
    let (soft, hard) = limits.split_once(':').unwrap_or((limits, limits));
    let is_word = !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase());
    is_word.then_some((name.to_owned(), soft.parse().ok()?, hard.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_have_a_name_and_one_or_two_numbers() {
        assert_eq!(ulimit("nofile=1:2"), Some(("nofile".to_owned(), 1, 2)));
        assert_eq!(ulimit("nofile=-1"), Some(("nofile".to_owned(), -1, -1)));
        for text in ["nofile", "nofile=x", "=1", "NoFile=1"] {
            assert_eq!(ulimit(text), None, "{text}");
        }
    }
}
