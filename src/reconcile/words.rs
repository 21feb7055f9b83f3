//! Docker's words for operations and their failures.

use std::time::Duration;

use crate::event::{Resource, ResourceKind};
use crate::supervise::wire::{Condition, Failure};

use super::backend::BackendError;
use super::plan::{Op, Otherwise, PartOf};

/// How an operation is shown; what is absent is not shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Words {
    /// While it runs.
    pub started: Option<&'static str>,
    /// When it is done.
    pub done: Option<&'static str>,
}

impl Words {
    /// The words for an operation.
    pub fn of(op: &Op) -> Self {
        let (started, done) = match op {
            Op::EnsureNetwork(_)
            | Op::EnsureVolume(_)
            | Op::CreateContainer { replaces: None, .. } => (Some("Creating"), Some("Created")),
            Op::RemoveNetwork { .. } | Op::RemoveVolume { .. } => {
                (Some("Removing"), Some("Removed"))
            }
            // Stopping the old one was announced already.
            Op::CreateContainer { .. } => (None, Some("Recreated")),
            Op::StartContainer { .. } => (Some("Starting"), Some("Started")),
            Op::StopContainer { part_of, .. } => match part_of {
                PartOf::Itself => (Some("Stopping"), Some("Stopped")),
                PartOf::Recreation => (Some("Recreate"), None),
            },
            Op::RestartContainer { .. } => (Some("Restarting"), Some("Started")),
            Op::KillContainer { .. } => (Some("Killing"), Some("Killed")),
            Op::RemoveContainer { part_of, .. } => match part_of {
                PartOf::Itself => (Some("Removing"), Some("Removed")),
                PartOf::Recreation => (None, None),
            },
            Op::WaitCondition { condition, .. } => (
                Some("Waiting"),
                Some(match condition {
                    Condition::Started => "Started",
                    Condition::Healthy | Condition::RunningOrHealthy => "Healthy",
                    Condition::CompletedSuccessfully | Condition::Exited => "Exited",
                }),
            ),
        };
        Self { started, done }
    }
}

/// What is told before the state of a container that is left as it is: Docker
/// asks one to stop, whether it runs or not.
pub(crate) fn kept_action(state: &str) -> Option<&'static str> {
    (state == "Stopped").then_some("Stopping")
}

/// A container as the subject of an event.
pub(crate) fn container(name: &str) -> Resource {
    Resource {
        kind: ResourceKind::Container,
        name: name.to_owned(),
    }
}

/// What is told of a failed operation.
pub(crate) fn failure_text(
    op: &Op,
    error: Option<&BackendError>,
    limit: Option<Duration>,
) -> String {
    let Some(error) = error else {
        let seconds = limit.unwrap_or_default().as_secs();
        return format!("application not healthy after {seconds}s");
    };
    let Op::WaitCondition {
        target,
        condition,
        otherwise,
    } = op
    else {
        if let BackendError::Unreachable { message } = error {
            return message.clone();
        }
        let (resource, text) = (op.resource(), error.to_string());
        if text.contains(&resource.name) {
            return text;
        }
        return format!("{} {}: {text}", resource.kind, resource.name);
    };
    let code = match error.failure() {
        Some(Failure::Condition { code, .. }) => *code,
        Some(_) | None => None,
    };
    let what = match (condition, error.failure()) {
        (Condition::CompletedSuccessfully, Some(Failure::Condition { .. })) => {
            let code = code.map_or_else(|| "unknown".to_owned(), |code| code.to_string());
            return format!(
                "service {:?} didn't complete successfully: exit {code}",
                target.service
            );
        }
        (_, Some(Failure::Condition { what, .. })) => {
            format!("container {} {what}", target.name)
        }
        _ => format!("container {}: {error}", target.name),
    };
    match otherwise {
        Otherwise::DependencyFailed | Otherwise::Warn => {
            format!("dependency failed to start: {what}")
        }
        Otherwise::NotUp => what,
    }
}
