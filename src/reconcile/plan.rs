//! A plan: operations, why each is done, and what each must wait for.
//!
//! `Display` is the text that `--dry-run` prints and that the planner's tests
//! compare: one numbered line an operation, in an order that respects the
//! edges and is otherwise that in which the planner made them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use petgraph::Direction;
use petgraph::graph::{DiGraph, NodeIndex};

use crate::event::{Resource, ResourceKind};
use crate::net::spec::NetworkSpec;
use crate::state::ContainerId;
use crate::supervise::wire::Condition;

use super::desired::VolumeSpec;
use super::diff::Difference;

/// Index of an operation in a plan.
pub type StepId = NodeIndex<u32>;

/// A container that an operation is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Its full name.
    pub name: String,
    /// Its service.
    pub service: String,
    /// Replica number.
    pub number: u32,
    /// Its id; `None` for one that an earlier operation of the plan creates.
    pub id: Option<ContainerId>,
}

/// One operation.
#[derive(Debug, Clone, PartialEq)]
pub enum Op {
    /// Makes a network.
    EnsureNetwork(Box<NetworkSpec>),
    /// Removes a network.
    RemoveNetwork {
        /// Full name.
        name: String,
    },
    /// Makes a volume.
    EnsureVolume(Box<VolumeSpec>),
    /// Removes a volume with its content.
    RemoveVolume {
        /// Full name.
        name: String,
    },
    /// Makes a container, in place of another where `replaces` says so.
    CreateContainer {
        /// The new one.
        target: Target,
        /// The one whose anonymous volumes it takes over.
        replaces: Option<ContainerId>,
    },
    /// Starts a container.
    StartContainer {
        /// Which.
        target: Target,
    },
    /// Ends a container.
    StopContainer {
        /// Which.
        target: Target,
        /// Seconds instead of its own grace time; negative waits for ever.
        timeout: Option<i64>,
        /// What it is a part of.
        part_of: PartOf,
    },
    /// Stops and starts a container.
    RestartContainer {
        /// Which.
        target: Target,
        /// As above.
        timeout: Option<i64>,
    },
    /// Sends a signal.
    KillContainer {
        /// To which.
        target: Target,
        /// Signal number.
        signal: i32,
    },
    /// Removes an ended container.
    RemoveContainer {
        /// Which.
        target: Target,
        /// Its anonymous volumes, too.
        volumes: bool,
        /// What it is a part of.
        part_of: PartOf,
    },
    /// Waits for a container's state.
    WaitCondition {
        /// For which.
        target: Target,
        /// What state.
        condition: Condition,
        /// What happens when it can no longer come true.
        otherwise: Otherwise,
    },
}

/// What stopping or removing a container is a part of; decides how it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartOf {
    /// Nothing more.
    Itself,
    /// It is recreated.
    Recreation,
}

/// What an unfulfilled wait means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Otherwise {
    /// A dependency failed: what depends on it cannot start.
    DependencyFailed,
    /// An optional dependency failed: a warning, and on.
    Warn,
    /// What was started did not come up (`--wait`).
    NotUp,
}

/// Why an operation is done.
#[derive(Debug, Clone, PartialEq)]
pub enum Cause {
    /// There is none yet.
    Missing,
    /// The user asked for just this.
    Asked,
    /// It follows from the operation before it.
    Follows,
    /// It had ended, or was never started.
    NotRunning,
    /// The service's definition is another.
    Changed(Vec<Difference>),
    /// The hash differs and the reason is not known (another version's record).
    HashDiffers,
    /// The name of the image now means another image.
    ImageChanged {
        /// As named.
        image: String,
        /// Digest it had.
        from: String,
        /// Digest it has.
        to: String,
    },
    /// `--force-recreate`
    Forced,
    /// A network of it is another, or it is not on one it belongs to.
    NetworkChanged(String),
    /// A service whose namespaces it joins has a new container.
    Joined(String),
    /// `depends_on.restart` of a service that is restarted or recreated.
    RestartsWith(String),
    /// More containers than replicas.
    Excess(u32),
    /// Its service is not in the file any more.
    Orphan,
    /// A finished one-off.
    FinishedOneOff,
    /// What waits for it.
    Gates(BTreeSet<String>),
}

/// An operation and its reason.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// What.
    pub op: Op,
    /// Why.
    pub cause: Cause,
}

/// A container that is already as declared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Which.
    pub target: Target,
    /// Docker's word for its state: `Running`, `Created`, `Stopped`.
    pub state: &'static str,
}

/// What is to be done.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    graph: DiGraph<Step, (), u32>,
    /// Images to be had first, as named.
    pub images: Vec<String>,
    /// Services whose images are built before.
    pub builds: Vec<String>,
    /// Containers that stay as they are.
    pub kept: Vec<Kept>,
    /// To be told, no failure: reasons of recreations.
    pub notes: Vec<String>,
    /// To be told, and to be changed by the user.
    pub warnings: Vec<String>,
}

impl Plan {
    /// Whether nothing is to be done.
    pub fn is_empty(&self) -> bool {
        self.graph.node_count() == 0 && self.images.is_empty() && self.builds.is_empty()
    }

    /// Adds an operation.
    pub fn add(&mut self, op: Op, cause: Cause) -> StepId {
        self.graph.add_node(Step { op, cause })
    }

    /// Makes `later` wait for `earlier`.
    pub fn order(&mut self, earlier: StepId, later: StepId) {
        if earlier != later {
            self.graph.update_edge(earlier, later, ());
        }
    }

    /// One operation.
    pub fn step(&self, id: StepId) -> Option<&Step> {
        self.graph.node_weight(id)
    }

    /// Replaces an operation's reason.
    pub fn set_cause(&mut self, id: StepId, cause: Cause) {
        if let Some(step) = self.graph.node_weight_mut(id) {
            step.cause = cause;
        }
    }

    /// All operations.
    pub fn steps(&self) -> impl Iterator<Item = (StepId, &Step)> {
        self.graph
            .node_indices()
            .filter_map(|id| Some((id, self.graph.node_weight(id)?)))
    }

    /// What must end before `id` begins.
    pub fn before(&self, id: StepId) -> impl Iterator<Item = StepId> + '_ {
        self.graph.neighbors_directed(id, Direction::Incoming)
    }

    /// What waits for `id`.
    pub fn after(&self, id: StepId) -> impl Iterator<Item = StepId> + '_ {
        self.graph.neighbors_directed(id, Direction::Outgoing)
    }

    /// The containers to be created.
    pub fn creations(&self) -> impl Iterator<Item = (&Target, Option<&ContainerId>)> {
        self.steps().filter_map(|(_, step)| {
            if let Op::CreateContainer { target, replaces } = &step.op {
                Some((target, replaces.as_ref()))
            } else {
                None
            }
        })
    }

    /// The operations in an order that respects the edges; of those that are
    /// free, the one made first comes first. Steps of a cycle, which no planner
    /// makes, are missing.
    pub fn sorted(&self) -> Vec<StepId> {
        let mut waiting: BTreeMap<StepId, usize> = self
            .graph
            .node_indices()
            .map(|id| (id, self.before(id).count()))
            .collect();
        let mut free: BTreeSet<StepId> = waiting
            .iter()
            .filter(|(_, count)| **count == 0)
            .map(|(id, _)| *id)
            .collect();
        let mut sorted = Vec::with_capacity(waiting.len());
        while let Some(id) = free.pop_first() {
            sorted.push(id);
            for next in self.after(id) {
                if let Some(count) = waiting.get_mut(&next) {
                    *count -= 1;
                    if *count == 0 {
                        free.insert(next);
                    }
                }
            }
        }
        sorted
    }
}

impl Op {
    /// The container it is about; `None` for networks and volumes.
    pub fn target(&self) -> Option<&Target> {
        match self {
            Self::EnsureNetwork(_)
            | Self::RemoveNetwork { .. }
            | Self::EnsureVolume(_)
            | Self::RemoveVolume { .. } => None,
            Self::CreateContainer { target, .. }
            | Self::StartContainer { target }
            | Self::StopContainer { target, .. }
            | Self::RestartContainer { target, .. }
            | Self::KillContainer { target, .. }
            | Self::RemoveContainer { target, .. }
            | Self::WaitCondition { target, .. } => Some(target),
        }
    }

    /// What the operation is about, for events.
    pub fn resource(&self) -> Resource {
        let (kind, name) = match self {
            Self::EnsureNetwork(spec) => (ResourceKind::Network, &spec.name),
            Self::RemoveNetwork { name } => (ResourceKind::Network, name),
            Self::EnsureVolume(spec) => (ResourceKind::Volume, &spec.name),
            Self::RemoveVolume { name } => (ResourceKind::Volume, name),
            Self::CreateContainer { target, .. }
            | Self::StartContainer { target }
            | Self::StopContainer { target, .. }
            | Self::RestartContainer { target, .. }
            | Self::KillContainer { target, .. }
            | Self::RemoveContainer { target, .. }
            | Self::WaitCondition { target, .. } => (ResourceKind::Container, &target.name),
        };
        Resource {
            kind,
            name: name.clone(),
        }
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.resource().name;
        match self {
            Self::EnsureNetwork(_) => write!(f, "network {name}: create"),
            Self::RemoveNetwork { .. } => write!(f, "network {name}: remove"),
            Self::EnsureVolume(_) => write!(f, "volume {name}: create"),
            Self::RemoveVolume { .. } => write!(f, "volume {name}: remove"),
            Self::CreateContainer { .. } => write!(f, "container {name}: create"),
            Self::StartContainer { .. } => write!(f, "container {name}: start"),
            Self::StopContainer { .. } => write!(f, "container {name}: stop"),
            Self::RestartContainer { .. } => write!(f, "container {name}: restart"),
            Self::KillContainer { signal, .. } => {
                write!(f, "container {name}: send signal {signal}")
            }
            Self::RemoveContainer { volumes: true, .. } => {
                write!(f, "container {name}: remove with its anonymous volumes")
            }
            Self::RemoveContainer { .. } => write!(f, "container {name}: remove"),
            Self::WaitCondition { condition, .. } => {
                let what = match condition {
                    Condition::Started => "started",
                    Condition::Healthy => "healthy",
                    Condition::CompletedSuccessfully => "completed successfully",
                    Condition::Exited => "ended",
                    Condition::RunningOrHealthy => "running or healthy",
                };
                write!(f, "container {name}: wait until {what}")
            }
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("missing"),
            Self::Asked => f.write_str("asked for"),
            Self::Follows => Ok(()),
            Self::NotRunning => f.write_str("not running"),
            Self::Changed(differences) => {
                let shown: Vec<String> = differences
                    .iter()
                    .take(3)
                    .map(Difference::to_string)
                    .collect();
                f.write_str(&shown.join(", "))?;
                match differences.len().saturating_sub(3) {
                    0 => Ok(()),
                    more => write!(f, " and {more} more"),
                }
            }
            Self::HashDiffers => f.write_str("the recorded configuration differs"),
            Self::ImageChanged { image, from, to } => write!(
                f,
                "image {image} changed from {} to {}",
                short_digest(from),
                short_digest(to)
            ),
            Self::Forced => f.write_str("--force-recreate"),
            Self::NetworkChanged(name) => write!(f, "network {name} changed"),
            Self::Joined(service) => write!(f, "joins {service}, which has a new container"),
            Self::RestartsWith(service) => write!(f, "restarts with {service}"),
            Self::Excess(replicas) => write!(f, "more than {replicas}"),
            Self::Orphan => f.write_str("orphan"),
            Self::FinishedOneOff => f.write_str("finished one-off"),
            Self::Gates(who) => {
                let who: Vec<&str> = who.iter().map(String::as_str).collect();
                write!(f, "gates {}", who.join(", "))
            }
        }
    }
}

/// `sha256:` and twelve digits.
fn short_digest(digest: &str) -> &str {
    digest.get(..19).unwrap_or(digest)
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for warning in &self.warnings {
            writeln!(f, "warning: {warning}")?;
        }
        for note in &self.notes {
            writeln!(f, "note: {note}")?;
        }
        for image in &self.images {
            writeln!(f, "image {image}: pull")?;
        }
        for service in &self.builds {
            writeln!(f, "image of {service}: build")?;
        }
        for kept in &self.kept {
            writeln!(
                f,
                "container {}: keep ({})",
                kept.target.name,
                kept.state.to_lowercase()
            )?;
        }
        let sorted = self.sorted();
        let numbers: BTreeMap<StepId, usize> = sorted
            .iter()
            .enumerate()
            .map(|(index, id)| (*id, index + 1))
            .collect();
        for id in &sorted {
            let Some(step) = self.step(*id) else { continue };
            let number = numbers.get(id).copied().unwrap_or_default();
            write!(f, "{number} {}", step.op)?;
            if step.cause != Cause::Follows {
                write!(f, " ({})", step.cause)?;
            }
            let mut before: Vec<usize> = self
                .before(*id)
                .filter_map(|id| numbers.get(&id).copied())
                .collect();
            before.sort_unstable();
            if !before.is_empty() {
                let before: Vec<String> = before.iter().map(usize::to_string).collect();
                write!(f, " after {}", before.join(", "))?;
            }
            writeln!(f)?;
        }
        if self.is_empty() {
            writeln!(f, "nothing to do")?;
        }
        Ok(())
    }
}
