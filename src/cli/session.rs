//! From a command's context to the reconciler's session, and its errors back.

use std::sync::Arc;

use super::context::Context;
use super::error::{CliError, chain};
use super::signals::Interrupts;
use super::sudo;
use crate::env;
use crate::event::EventSink;
use crate::image::{Access, AccessOptions};
use crate::reconcile::{Cancel, CancelHandle, ReconcileError, Session};
use crate::toolbox;
use crate::ui;

/// What a session borrows from.
#[expect(missing_debug_implementations, reason = "holds a trait object")]
pub struct Work<'a> {
    context: &'a Context,
    project: &'a str,
    cancel: &'a Cancel,
    never: Cancel,
    sink: Arc<dyn EventSink>,
    registries: Access,
    owner: Option<(u32, u32)>,
}

impl<'a> Work<'a> {
    /// For a project by name; `quiet` shows no progress.
    pub fn new(context: &'a Context, project: &'a str, cancel: &'a Cancel, quiet: bool) -> Self {
        Self {
            context,
            project,
            cancel,
            never: Cancel::never(),
            sink: if quiet {
                ui::progress::silent()
            } else {
                context.sink()
            },
            registries: Access::new(AccessOptions {
                docker_config: sudo::docker_config(),
                ..AccessOptions::from_env()
            }),
            owner: sudo::invoking_user().map(|account| (account.uid, account.gid)),
        }
    }

    /// The session that Ctrl-C cancels.
    pub fn session(&self) -> Session<'_> {
        self.with(self.cancel)
    }

    /// A session that nothing cancels: for what ends an interrupted command.
    pub fn uncancelled(&self) -> Session<'_> {
        self.with(&self.never)
    }

    fn with<'s>(&'s self, cancel: &'s Cancel) -> Session<'s> {
        Session {
            layout: &self.context.layout,
            project: self.project,
            sink: &*self.sink,
            cancel,
            owner: self.owner,
            registries: &self.registries,
            applets: toolbox::APPLETS,
        }
    }
}

/// Runs a flow and asks it to stop at the first signal; it then ends after the
/// operations that are under way.
///
/// # Errors
/// Those of the flow.
pub async fn interruptible<T>(
    flow: impl Future<Output = Result<T, ReconcileError>>,
    handle: &CancelHandle,
    interrupts: &mut Interrupts,
) -> Result<T, ReconcileError> {
    let mut flow = std::pin::pin!(flow);
    loop {
        tokio::select! {
            outcome = &mut flow => return outcome,
            _ = interrupts.next() => handle.cancel(),
        }
    }
}

/// The reconciler's error as the command's.
pub fn error(context: &Context, error: &ReconcileError) -> CliError {
    if error.is_cancelled() {
        return CliError::Interrupted;
    }
    if let ReconcileError::Refused { diagnostics } | ReconcileError::Placed { diagnostics } = error
    {
        return context.refusal(diagnostics.iter());
    }
    let mut failed = CliError::new(chain(error));
    for hint in error.hints() {
        failed = failed.hint(hint);
    }
    failed
}

/// `COMPOSE_REMOVE_ORPHANS`.
pub fn remove_orphans() -> bool {
    env::read_bool(env::COMPOSE_REMOVE_ORPHANS)
}

/// `COMPOSE_IGNORE_ORPHANS`.
pub fn ignore_orphans() -> bool {
    env::read_bool(env::COMPOSE_IGNORE_ORPHANS)
}
