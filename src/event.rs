//! What happens while a command works, as data.
//!
//! The lower layers report here and never print; `ui` alone decides how an
//! event looks on a terminal, in a pipe or as JSON.

use std::fmt;
use std::time::{Duration, Instant};

/// The kind of thing an [`Event`] is about, as `docker compose` names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ResourceKind {
    /// A network of the project.
    Network,
    /// A named volume.
    Volume,
    /// A container.
    Container,
    /// An image being pulled, loaded or built.
    Image,
    /// One layer of an image.
    Layer,
    /// One step of a build.
    Step,
}

impl fmt::Display for ResourceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Network => "Network",
            Self::Volume => "Volume",
            Self::Container => "Container",
            Self::Image => "Image",
            Self::Layer => "Layer",
            Self::Step => "Step",
        })
    }
}

/// A named resource, for example container `shop-web-1`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Resource {
    /// What it is.
    pub kind: ResourceKind,
    /// Its full name (`PROJECT-SERVICE-1`, a short digest), for an image that
    /// is pulled the service that it is for.
    pub name: String,
}

/// One report of progress.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Work on a resource begins; `action` is the verb as shown (`Creating`).
    Started {
        /// What is worked on.
        resource: Resource,
        /// Present participle: `Creating`, `Starting`, `Pulling`, `Waiting`.
        action: &'static str,
    },
    /// Bytes moved so far.
    Progress {
        /// What is worked on.
        resource: Resource,
        /// `Downloading` or `Extracting`.
        action: &'static str,
        /// Bytes done.
        current: u64,
        /// Bytes in all, where known.
        total: Option<u64>,
    },
    /// Work ended well; `outcome` is the participle as shown (`Created`).
    Done {
        /// What was worked on.
        resource: Resource,
        /// Past participle: `Created`, `Started`, `Running`, `Healthy`, `Removed`.
        outcome: &'static str,
    },
    /// Work failed; the error itself is returned to the caller as well.
    Failed {
        /// What was worked on.
        resource: Resource,
        /// The error's first line.
        message: String,
    },
    /// A step of a build goes on.
    Build {
        /// Its number, as it is shown: from 1, in the order of beginnings.
        step: u32,
        /// What happened.
        news: BuildNews,
    },
    /// What was longest unused is gone, as there was no room for it.
    MadeRoom {
        /// Steps of builds.
        steps: usize,
        /// Folders that builds kept.
        folders: usize,
        /// Images.
        images: usize,
        /// Bytes that became free.
        bytes: u64,
        /// Bytes that images and builds may take.
        budget: u64,
    },
    /// Something that `watch` did.
    Watch(WatchNews),
    /// Something to tell that is no failure: `web recreated: image changed`.
    Note {
        /// One line, no final period.
        message: String,
    },
    /// Something the user should change or know.
    Warning {
        /// One line, no final period.
        message: String,
    },
}

/// What `watch` has to tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchNews {
    /// `watch`, `pause`, `resume`, `sync`, `rebuild`, `restart`, `exec`, `reload`.
    pub action: &'static str,
    /// The services that it is about.
    pub services: Vec<String>,
    /// One line, no final period.
    pub message: String,
    /// Files that were written, and that were taken away.
    pub files: Option<(usize, usize)>,
    /// From the change to here.
    pub elapsed: Option<Duration>,
    /// It failed; why is told beside.
    pub failed: bool,
}

impl WatchNews {
    /// A line about services; `action` as in [`WatchNews::action`].
    pub fn new(action: &'static str, services: Vec<String>, message: impl Into<String>) -> Self {
        Self {
            action,
            services,
            message: message.into(),
            files: None,
            elapsed: None,
            failed: false,
        }
    }

    /// With the time that has passed since then.
    #[must_use]
    pub fn since(mut self, begun: Option<Instant>) -> Self {
        self.elapsed = begun.map(|begun| begun.elapsed());
        self
    }

    /// With whether it failed.
    #[must_use]
    pub const fn failed(mut self, failed: bool) -> Self {
        self.failed = failed;
        self
    }
}

/// What happens to a step of a build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BuildNews {
    /// It begins, or is found to be cached.
    Named {
        /// `[web 2/5] RUN npm ci`
        name: String,
    },
    /// It says how far it is: `transferring context: 2.3MB`.
    Status {
        /// One line.
        line: String,
    },
    /// Its command wrote a line.
    Output {
        /// The line, as text that is safe to be shown.
        line: String,
        /// Time since it began.
        elapsed: Duration,
    },
    /// It is done.
    Done {
        /// Time that it took.
        elapsed: Duration,
    },
    /// An earlier build did it.
    Cached,
    /// It failed; the error itself is returned to the caller as well.
    Failed {
        /// The error's first line.
        message: String,
    },
    /// It was ended because another failed, or the user asked to stop.
    Canceled,
}

/// Where events go. Implementations must be quick and must not fail.
pub trait EventSink: Send + Sync {
    /// Takes one event.
    fn emit(&self, event: Event);
}

/// A sink that drops everything, for `-q` and for tests.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl EventSink for Silent {
    fn emit(&self, _event: Event) {}
}
