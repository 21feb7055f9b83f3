//! `RUN --mount=type=ssh`: a socket that the step's user may use, which leads to
//! the agent of whoever called.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use fs_err as fs;
use tokio::net::{UnixListener, UnixStream};
use tokio::task::AbortHandle;

use super::error::BuildError;
use crate::build::graph::Access;

/// Relays until it is dropped.
#[derive(Debug)]
pub(super) struct Relay {
    task: AbortHandle,
    _folder: tempfile::TempDir,
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A socket of this owner and mode, each connection to which is one to the agent.
///
/// # Errors
/// The socket cannot be made.
pub(super) fn relay(agent: &Path, access: Access) -> Result<(PathBuf, Relay), BuildError> {
    let folder = tempfile::tempdir().map_err(BuildError::files("make a folder in", "/tmp"))?;
    let path = folder.path().join("agent");
    let failed = |error| BuildError::files("make", &path)(error);
    let listener = UnixListener::bind(&path).map_err(failed)?;
    std::os::unix::fs::chown(&path, Some(access.uid), Some(access.gid)).map_err(failed)?;
    fs::set_permissions(&path, std::fs::Permissions::from_mode(access.mode)).map_err(failed)?;
    let agent = agent.to_owned();
    let task = tokio::spawn(async move {
        while let Ok((mut theirs, _)) = listener.accept().await {
            let agent = agent.clone();
            tokio::spawn(async move {
                if let Ok(mut ours) = UnixStream::connect(&agent).await {
                    // Either side may end it.
                    tokio::io::copy_bidirectional(&mut theirs, &mut ours)
                        .await
                        .ok();
                }
            });
        }
    });
    let relay = Relay {
        task: task.abort_handle(),
        _folder: folder,
    };
    Ok((path, relay))
}
