//! From a command's context to the reconciler's session, and its errors back.

use std::sync::Arc;
use std::time::Duration;

use super::context::Context;
use super::error::CliError;
use super::signals::Interrupts;
use super::{registries, sudo};
use crate::causes::with_causes;
use crate::compose::{Project, is_true};
use crate::env;
use crate::event::{Event, EventSink};
use crate::image::Access;
use crate::reconcile::{Cancel, CancelHandle, ReconcileError, Session};
use crate::state::Layout;
use crate::supervise::client::{self, Silent};
use crate::toolbox;
use crate::ui;
use crate::ui::progress::Console;

/// How long a command takes before supervisor and keeper are asked whether they
/// live.
const PATIENCE: Duration = Duration::from_secs(3);

/// How long that answer may take.
const ANSWER: Duration = Duration::from_secs(2);

/// What a session borrows from.
#[expect(missing_debug_implementations, reason = "holds a trait object")]
pub struct Work<'a> {
    context: &'a Context,
    project: &'a str,
    cancel: &'a Cancel,
    never: Cancel,
    console: Arc<dyn Console>,
    registries: Access,
    owner: Option<(u32, u32)>,
    _watch: Watch,
}

impl<'a> Work<'a> {
    /// For a project by name, in a runtime; `quiet` shows no progress.
    pub fn new(context: &'a Context, project: &'a str, cancel: &'a Cancel, quiet: bool) -> Self {
        let console = if quiet {
            ui::progress::silent()
        } else {
            context.sink()
        };
        Self::showing(context, project, cancel, console)
    }

    /// The same, with the progress shown there.
    pub fn showing(
        context: &'a Context,
        project: &'a str,
        cancel: &'a Cancel,
        console: Arc<dyn Console>,
    ) -> Self {
        Self {
            context,
            project,
            cancel,
            never: Cancel::never(),
            _watch: watch(&context.layout, project, Arc::clone(&console)),
            console,
            registries: registries::access(),
            owner: sudo::invoking_user().map(|account| (account.uid, account.gid)),
        }
    }

    /// Where its progress is shown, for whoever prints beside it.
    pub fn console(&self) -> Arc<dyn Console> {
        Arc::clone(&self.console)
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
            sink: &*self.console,
            cancel,
            owner: self.owner,
            registries: &self.registries,
            parallel: self.context.settings.parallel,
            applets: toolbox::APPLETS,
        }
    }
}

/// Ends when it is dropped.
#[derive(Debug)]
pub struct Watch(tokio::task::AbortHandle);

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Says what a command waits for that takes long because the project's
/// supervisor or keeper does not answer (it is stopped, or hangs).
pub fn watch(layout: &Layout, project: &str, console: Arc<dyn Console>) -> Watch {
    let (layout, project) = (layout.clone(), project.to_owned());
    let task = tokio::spawn(async move {
        tokio::time::sleep(PATIENCE).await;
        if let Some(Silent { what, pid }) = client::silent(&layout, &project, ANSWER).await {
            console.emit(Event::Warning {
                message: format!(
                    "waiting for the {what} of project `{project}`, process {pid}, which does not \
                     answer"
                ),
            });
        }
    });
    Watch(task.abort_handle())
}

/// Ends when it turns out that supervisor or keeper does not answer, so that
/// nothing can be asked of them; never where both do.
pub async fn unanswered(layout: &Layout, project: &str) -> Silent {
    match client::silent(layout, project, ANSWER).await {
        Some(silent) => silent,
        None => std::future::pending().await,
    }
}

/// What is told by who gives up, as nobody can be asked what became of a kill.
pub fn left_alone(project: &str, Silent { what, pid }: &Silent) -> Event {
    Event::Warning {
        message: format!(
            "the {what} of project `{project}`, process {pid}, does not answer: its containers \
             may still run"
        ),
    }
}

/// What is told where a push is interrupted.
pub const PUSH_NOTE: &str = "what the registry has by now is not sent again";

/// Runs a flow and asks it to stop at the first signal; it then ends in a
/// moment, and at a second signal at once. What containers were asked already
/// goes on in the engine's hands, as with Docker.
///
/// # Errors
/// Those of the flow.
pub fn interruptible<T>(
    sink: &dyn EventSink,
    flow: impl Future<Output = Result<T, ReconcileError>>,
    handle: &CancelHandle,
    interrupts: &mut Interrupts,
) -> impl Future<Output = Result<T, ReconcileError>> {
    let note = "nothing new is begun; what containers were asked already goes on";
    interruptible_telling(note, sink, flow, handle, interrupts)
}

/// The same for what is about no containers; `note` is told at the first signal.
///
/// # Errors
/// Those of the flow.
pub async fn interruptible_telling<T>(
    note: &str,
    sink: &dyn EventSink,
    flow: impl Future<Output = Result<T, ReconcileError>>,
    handle: &CancelHandle,
    interrupts: &mut Interrupts,
) -> Result<T, ReconcileError> {
    let mut flow = std::pin::pin!(flow);
    tokio::select! {
        outcome = &mut flow => return outcome,
        _ = interrupts.next() => handle.cancel(),
    }
    sink.emit(interrupted(note));
    tokio::select! {
        outcome = &mut flow => outcome,
        _ = interrupts.next() => Err(ReconcileError::Cancelled),
    }
}

/// What is told at the first signal.
pub fn interrupted(note: &str) -> Event {
    Event::Note {
        message: format!("Interrupted: {note}"),
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
    let mut failed = CliError::new(with_causes(error));
    for hint in error.hints() {
        failed = failed.hint(hint);
    }
    failed
}

/// `COMPOSE_IGNORE_ORPHANS`, of the shell or of `.env`.
pub fn ignore_orphans(project: &Project) -> bool {
    let variable = project.environment.get(env::COMPOSE_IGNORE_ORPHANS);
    variable.is_some_and(|text| is_true(text))
}
