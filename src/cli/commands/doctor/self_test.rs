//! A container run for trial: with roots of its own, which go with it.

use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tempfile::TempDir;

use super::{Check, Verdict};
use crate::causes::with_causes;
use crate::cli::error::CliError;
use crate::cli::runtime;
use crate::cli::session;
use crate::cli::signals::Interrupts;
use crate::compose::{self, FileArg, Host, LoadOptions, Project};
use crate::event::{Event, EventSink};
use crate::image::{Access, AccessOptions};
use crate::reconcile::{
    self, Cancel, DownChoices, ReconcileError, Session, UpChoices, UpOptions, cancel_pair,
};
use crate::state::Layout;
use crate::supervise::client;
use crate::toolbox;

/// The project: healthy once the container's own server answers by its name,
/// which takes an image, a root, a network, the resolver and an exec.
/// Without a way out, so that nothing of the machine is changed for it.
const COMPOSE: &str = r#"
name: doctor
services:
  trial:
    image: skiff/toolbox
    command: [serve, --listen, ":80"]
    stop_grace_period: 1s
    networks: [alone]
    healthcheck:
      test: [CMD, probe, "http://trial/"]
networks:
  alone:
    internal: true
"#;

/// The container is healthy in a moment, or never.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a failure leaves to be done where the failure itself does not say.
const REMEDY: &str = "mend what is reported above first; if that is nothing, report this line with the output of `uname -a`";

/// Runs the container and takes everything down again.
pub(super) fn run(layout: &Layout) -> Result<Check, CliError> {
    let subject = "self-test: a container that answers by its name";
    let verdict = match scratch(layout) {
        Ok([data, run]) => {
            let verdict = tried(&Layout::new(data.path().into(), run.path().into()))?;
            data.close()?;
            run.close()?;
            verdict
        }
        Err(error) => Verdict::Missing(
            format!("a folder for it: {error}"),
            "set SKIFF_DATA_ROOT and SKIFF_RUN_ROOT to folders that can be written".to_owned(),
        ),
    };
    Ok(Check::new(subject, verdict))
}

/// Roots on the file systems of the real ones.
fn scratch(layout: &Layout) -> std::io::Result<[TempDir; 2]> {
    let below = |root: &Path| {
        let existing = root.ancestors().find(|path| path.is_dir());
        tempfile::Builder::new()
            .prefix(".skiff-doctor-")
            .tempdir_in(existing.unwrap_or_else(|| Path::new("/")))
    };
    Ok([below(layout.data())?, below(layout.run())?])
}

fn tried(layout: &Layout) -> Result<Verdict, CliError> {
    let project = project(layout.data())?;
    let mut verdict = Verdict::Good;
    runtime::block_on(async {
        verdict = up_and_down(layout, &project).await?;
        Ok(())
    })?;
    Ok(verdict)
}

fn project(folder: &Path) -> Result<Project, CliError> {
    let options = LoadOptions {
        files: vec![FileArg::Stdin(COMPOSE.to_owned())],
        cwd: folder.to_owned(),
        ..LoadOptions::default()
    };
    match compose::load(&options, &Host) {
        Ok(loaded) => Ok(loaded.project),
        Err(diagnostics) => Err(CliError::new(diagnostics.to_string())),
    }
}

async fn up_and_down(layout: &Layout, project: &Project) -> Result<Verdict, CliError> {
    let mut interrupts = Interrupts::new()?;
    let (handle, cancel) = cancel_pair();
    let never = Cancel::never();
    let steps = Steps::default();
    let registries = Access::new(AccessOptions::default());
    let session = |cancel| Session {
        layout,
        project: &project.name,
        sink: &steps,
        cancel,
        owner: None,
        registries: &registries,
        parallel: None,
        applets: toolbox::APPLETS,
    };
    let (upward, downward) = (session(&cancel), session(&never));
    let options = UpOptions {
        choices: UpChoices {
            wait: true,
            ..UpChoices::default()
        },
        wait_timeout: Some(PATIENCE),
        ..UpOptions::default()
    };
    let up = reconcile::up(&upward, project, options);
    let up = session::interruptible(&steps, up, &handle, &mut interrupts).await;
    let failed = steps.last();
    let choices = DownChoices {
        volumes: true,
        ..DownChoices::default()
    };
    let down = reconcile::down(&downward, Some(project), choices, false).await;
    client::ended(layout, &project.name).await?;
    if cancel.is_cancelled() {
        return Err(CliError::Interrupted);
    }
    let failure = match (up, down) {
        (Err(error), _) => (failed, error),
        (Ok(_), Err(error)) => (steps.last(), error),
        (Ok(_), Ok(_)) => return Ok(Verdict::Good),
    };
    Ok(missing(failure.0.as_deref(), &failure.1))
}

fn missing(step: Option<&str>, error: &ReconcileError) -> Verdict {
    let why = match step {
        Some(step) => format!("failed at `{step}`: {}", with_causes(error)),
        None => with_causes(error),
    };
    let hints = error.hints();
    let remedy = if hints.is_empty() {
        REMEDY.to_owned()
    } else {
        hints.join("; ")
    };
    Verdict::Missing(why, remedy)
}

/// Notes what is under way.
#[derive(Debug, Default)]
struct Steps(Mutex<Option<String>>);

impl Steps {
    fn last(&self) -> Option<String> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl EventSink for Steps {
    fn emit(&self, event: Event) {
        if let Event::Started { resource, action } = event {
            let step = format!("{} {} {action}", resource.kind, resource.name);
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(step);
        }
    }
}
