//! The second Ctrl-C: every container of the project is killed at once.

use crate::supervise::client::{Client, ClientError};
use crate::supervise::inspect;
use crate::supervise::wire::Request;

use super::super::backend::BackendError;
use super::super::session::{ReconcileError, Session};

/// Kills what runs of the project, without waiting for whoever holds its lock:
/// that is the stop that takes too long.
///
/// # Errors
/// The records cannot be read, or the supervisor not be asked.
pub async fn kill_now(session: &Session<'_>) -> Result<(), ReconcileError> {
    let views = inspect::containers(session.layout, session.project).map_err(|source| {
        ReconcileError::State {
            action: format!("read the containers of project `{}`", session.project),
            source,
        }
    })?;
    let unreachable = |error: ClientError| BackendError::Unreachable {
        message: error.to_string(),
    };
    let Some(client) = Client::connect(session.layout, session.project)
        .await
        .map_err(unreachable)?
    else {
        return Ok(());
    };
    for view in views
        .into_iter()
        .filter(|view| view.is_live() && !view.record.oneoff)
    {
        let request = Request::Kill {
            id: view.record.id,
            signal: libc::SIGKILL,
        };
        // One that ended meanwhile is as dead as it should be.
        match client.call(request, &[]).await {
            Err(error) if error.failure().is_none() => return Err(unreachable(error).into()),
            _ => {}
        }
    }
    Ok(())
}
