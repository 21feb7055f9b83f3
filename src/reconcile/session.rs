//! What every entry point starts from, and what it gives back.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::compose::Diagnostic;
use crate::event::EventSink;
use crate::image::{Access, ImageError, PullPolicy};
use crate::net::ports::PortError;
use crate::state::{ContainerId, Layout};

use super::backend::BackendError;
use super::cancel::Cancel;
use super::executor::{ExecuteError, OpFailure};
use super::images::BuildMode;
use super::plan::{Op, Plan, Target};
use super::planner::{PlanError, UpChoices};

/// One command's view of the machine.
#[derive(Clone, Copy)]
#[expect(missing_debug_implementations, reason = "holds a trait object")]
pub struct Session<'a> {
    /// The roots.
    pub layout: &'a Layout,
    /// The project's name.
    pub project: &'a str,
    /// Where progress goes.
    pub sink: &'a dyn EventSink,
    /// Asked on Ctrl-C.
    pub cancel: &'a Cancel,
    /// User and group that own what is made outside the data root (missing
    /// bind sources): those of whoever called sudo.
    pub owner: Option<(u32, u32)>,
    /// How registries are reached.
    pub registries: &'a Access,
    /// `--parallel`: how many pulls, or operations on containers, at once.
    pub parallel: Option<usize>,
    /// Names of the links in the built-in image (`toolbox::applets`).
    pub applets: &'a [&'a str],
}

/// Who follows an `up`: an attached one prints who it attaches to, then follows
/// each container from its start.
pub trait Watcher: Send + Sync {
    /// Before the first operation: the containers that will run, those that
    /// run already included.
    fn planned(&self, containers: &[Member]);
    /// The container was started just now.
    fn started(&self, container: &Member);
}

/// A container that a command was about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its id.
    pub id: ContainerId,
    /// Its full name.
    pub name: String,
    /// Its service.
    pub service: String,
    /// Replica number.
    pub number: u32,
}

/// What `up` and `create` can be told.
#[derive(Default, Clone)]
#[expect(missing_debug_implementations, reason = "holds a trait object")]
pub struct UpOptions<'a> {
    /// What the planner needs to know.
    pub choices: UpChoices,
    /// `--pull`; absent: as each service says.
    pub pull: Option<PullPolicy>,
    /// `--build`, `--no-build`
    pub build: BuildMode,
    /// `--wait-timeout`
    pub wait_timeout: Option<Duration>,
    /// Plan, and do nothing.
    pub dry_run: bool,
    /// Follows it.
    pub watcher: Option<&'a dyn Watcher>,
}

/// What came of `up` or `create`.
#[derive(Debug, Clone, Default)]
pub struct UpOutcome {
    /// The plan that was walked; its text is what `--dry-run` prints.
    pub plan: Plan,
    /// The services' containers, in dependency order.
    pub containers: Vec<Member>,
}

/// What `run` asks for, beside the service as declared.
#[derive(Debug, Default, Clone)]
pub struct RunOptions {
    /// Dependencies, `--pull` and such, as for `up`; its `services` is not read.
    pub choices: UpChoices,
    /// `--pull`
    pub pull: Option<PullPolicy>,
    /// `--build`
    pub build: BuildMode,
    /// Changes to the service.
    pub overrides: super::translate::oneoff::Overrides,
}

/// A one-off, created and not started.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// The container; start it with its streams at hand.
    pub container: Member,
    /// It has a terminal.
    pub tty: bool,
    /// What was done for it.
    pub plan: Plan,
}

impl Prepared {
    /// The services that were started for it.
    pub fn dependencies(&self) -> impl Iterator<Item = String> + '_ {
        self.plan.steps().filter_map(|(_, step)| match &step.op {
            Op::StartContainer { target } => Some(target.service.clone()),
            _ => None,
        })
    }
}

/// Why a command did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// The file asks for what the engine cannot do, all of it at once.
    #[error("{}", first_line(diagnostics))]
    Refused {
        /// Each with service, attribute and position.
        diagnostics: Vec<Diagnostic>,
    },
    /// Something else went wrong for which an attribute of the file accounts.
    #[error("{}", first_line(diagnostics))]
    Placed {
        /// Each with service, attribute and position, where it has one.
        diagnostics: Vec<Diagnostic>,
    },
    /// There is no way from what is to what is declared.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The walk over the plan failed or was interrupted.
    #[error(transparent)]
    Execute(#[from] ExecuteError),
    /// An image could not be had.
    #[error("cannot get the image `{image}` of service `{service}`")]
    Image {
        /// The service.
        service: String,
        /// As named.
        image: String,
        /// Why.
        #[source]
        source: Box<ImageError>,
    },
    /// An image could not be pushed.
    #[error("cannot push the image `{image}` of service `{service}`")]
    Push {
        /// The service.
        service: String,
        /// As named.
        image: String,
        /// Why.
        #[source]
        source: Box<ImageError>,
    },
    /// A port cannot be published, found out before anything was started.
    #[error("cannot publish a port of service `{service}`")]
    Port {
        /// The service.
        service: String,
        /// Why, with the holder of a taken one.
        #[source]
        source: PortError,
    },
    /// A record could not be read or written.
    #[error("cannot {action}")]
    State {
        /// `read the volumes`, say.
        action: String,
        /// What the file system said.
        #[source]
        source: std::io::Error,
    },
    /// The engine could not be reached.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// The user asked to stop before anything was changed.
    #[error("interrupted")]
    Cancelled,
}

fn first_line(diagnostics: &[Diagnostic]) -> String {
    diagnostics
        .first()
        .map(|one| one.message.clone())
        .unwrap_or_default()
}

impl ReconcileError {
    /// Whether the user asked for it (exit code 130).
    pub fn is_cancelled(&self) -> bool {
        matches!(
            self,
            Self::Cancelled | Self::Execute(ExecuteError::Cancelled { .. })
        )
    }

    /// What to do about it, where that is known.
    pub fn hints(&self) -> Vec<String> {
        let own = match self {
            Self::Backend(error) => error.hint(),
            Self::Image { source, .. } => source.hint(),
            Self::Push { source, .. } => source.push_hint(),
            Self::Port { source, .. } => source.hint().map(str::to_owned),
            Self::Refused { .. }
            | Self::Placed { .. }
            | Self::Plan(_)
            | Self::Execute(_)
            | Self::State { .. }
            | Self::Cancelled => None,
        };
        let failed = self.failures().iter().filter_map(OpFailure::hint);
        let mut hints: Vec<String> = own.into_iter().chain(failed).collect();
        hints.dedup();
        hints
    }

    /// The operations that failed, where that is what happened.
    pub fn failures(&self) -> &[OpFailure] {
        match self {
            Self::Execute(
                ExecuteError::Failed { failures } | ExecuteError::Cancelled { failures },
            ) => failures,
            Self::Refused { .. }
            | Self::Placed { .. }
            | Self::Plan(_)
            | Self::Port { .. }
            | Self::Image { .. }
            | Self::Push { .. }
            | Self::State { .. }
            | Self::Backend(_)
            | Self::Cancelled => &[],
        }
    }
}

/// A target as a member, its id looked up among those that were just made.
pub(super) fn member(target: &Target, made: &BTreeMap<String, ContainerId>) -> Option<Member> {
    let id = target
        .id
        .clone()
        .or_else(|| made.get(&target.name).cloned())?;
    Some(Member {
        id,
        name: target.name.clone(),
        service: target.service.clone(),
        number: target.number,
    })
}
