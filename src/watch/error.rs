//! Why `watch` could not do something.

use std::io;

use crate::compose::Diagnostic;
use crate::reconcile::ReconcileError;

use super::sync::SyncError;

/// An error of `watch`.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// Rules that cannot be carried out, by their places.
    #[error("{}", diagnostics.first().map(|one| one.message.clone()).unwrap_or_default())]
    Rules {
        /// All of them.
        diagnostics: Vec<Diagnostic>,
    },
    /// No service has a rule.
    #[error(
        "none of the selected services is configured for watch, consider setting a 'develop' section"
    )]
    Nothing,
    /// Files could not be written into a container.
    #[error("{}", crate::causes::with_causes(first))]
    Sync {
        /// The first that failed.
        first: Box<SyncError>,
        /// How many more did.
        further: usize,
    },
    /// A build, a restart, …
    #[error(transparent)]
    Reconcile(#[from] ReconcileError),
    /// A command of `sync+exec` ended with another code than 0.
    #[error("the command of service `{service}` ended with code {code}: {command}")]
    Command {
        /// The service.
        service: String,
        /// Its words.
        command: String,
        /// The exit code.
        code: i32,
    },
    /// It could not be run.
    #[error("cannot run the command of service `{service}`: {message}")]
    Exec {
        /// The service.
        service: String,
        /// Why.
        message: String,
    },
    /// Records, or what is watched, cannot be read.
    #[error("cannot {action}")]
    Io {
        /// `watch files`.
        action: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Files are not watched any more.
    #[error("files cannot be watched any longer: {0}")]
    Ended(String),
}

impl WatchError {
    /// What could not be written, where there is any of it; `further` is how much more there
    /// is than these.
    pub(super) fn of_sync(errors: Vec<SyncError>, further: usize) -> Option<Self> {
        let mut errors = errors.into_iter();
        Some(Self::Sync {
            first: Box::new(errors.next()?),
            further: errors.count() + further,
        })
    }

    /// What to do about it.
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::Sync { first, .. } => first.hint().map(str::to_owned).into_iter().collect(),
            Self::Reconcile(error) => error.hints(),
            Self::Nothing => vec![
                "for example: develop: {watch: [{path: ./src, action: sync, target: /app}]}"
                    .to_owned(),
            ],
            Self::Rules { .. }
            | Self::Command { .. }
            | Self::Exec { .. }
            | Self::Io { .. }
            | Self::Ended(_) => Vec::new(),
        }
    }
}
