//! The project's lock, taken without stopping the event loop.

use crate::event::Event;
use crate::state::lock::Lock;

use super::session::{ReconcileError, Session};

/// Waits until no other command changes the project; says so when it has to.
pub(super) async fn lock(session: &Session<'_>) -> Result<Lock, ReconcileError> {
    let path = session.layout.project_lock(session.project);
    let fail = |source| ReconcileError::State {
        action: format!("lock project `{}`", session.project),
        source,
    };
    if let Some(lock) = Lock::try_acquire(&path).map_err(fail)? {
        return Ok(lock);
    }
    session.sink.emit(Event::Note {
        message: format!(
            "waiting for another skiff command on project `{}`",
            session.project
        ),
    });
    let waiting = tokio::task::spawn_blocking(move || Lock::acquire(&path));
    tokio::select! {
        biased;
        () = session.cancel.cancelled() => Err(ReconcileError::Cancelled),
        lock = waiting => match lock {
            Ok(lock) => lock.map_err(fail),
            Err(error) => Err(fail(std::io::Error::other(error))),
        },
    }
}
