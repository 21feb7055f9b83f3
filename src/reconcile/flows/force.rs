//! The second Ctrl-C: containers are killed at once.

use futures_util::future::join_all;

use crate::supervise::client::{Client, ClientError};
use crate::supervise::inspect;
use crate::supervise::wire::Request;

use super::super::backend::BackendError;
use super::super::session::{ReconcileError, Session};

/// Kills what runs of these services, or of the whole project where none is
/// named, without waiting for whoever holds its lock: that is the stop that
/// takes too long.
///
/// # Errors
/// The records cannot be read, or the supervisor not be asked.
pub async fn kill_now(session: &Session<'_>, services: &[String]) -> Result<(), ReconcileError> {
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
    let chosen = |service: &String| services.is_empty() || services.contains(service);
    let kills = views
        .into_iter()
        .filter(|view| view.is_live() && !view.record.oneoff && chosen(&view.record.service))
        .map(|view| {
            let request = Request::Kill {
                id: view.record.id,
                signal: libc::SIGKILL,
            };
            client.call(request, &[])
        });
    for killed in join_all(kills).await {
        match killed {
            Err(error) if error.failure().is_none() => return Err(unreachable(error).into()),
            // One that ended meanwhile is as dead as it should be.
            Ok(_) | Err(_) => {}
        }
    }
    Ok(())
}
