//! The steps of a build as data.
//!
//! A step says all that it needs: what it starts from, what it reads, and
//! everything that changes its result. Nothing of it is looked up elsewhere, so
//! a cache's key can be made from the step and the keys of its inputs.

use std::collections::BTreeSet;
use std::sync::Arc;

use oci_spec::runtime::PosixRlimit;

use crate::dockerfile::Span;
use crate::image::{Digest, Platform};

/// A step of a plan: its index in [`super::Plan::steps`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StepId(pub usize);

/// The files that a step starts from: what another one left, or none at all
/// (`FROM scratch`).
pub type Root = Option<StepId>;

/// One step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What is done.
    pub kind: Kind,
    /// As `BuildKit` prints it: `[build 2/5] RUN npm ci`.
    pub name: String,
    /// The instruction that asks for it, of several the first.
    pub at: Span,
    /// What its result is for.
    pub platform: Platform,
    /// A cached result is not to be used (`no_cache`).
    pub ignores_cache: bool,
}

impl Step {
    /// The files that it starts from; of what comes from elsewhere, none.
    pub fn root(&self) -> Root {
        match &self.kind {
            Kind::Source(_) => None,
            Kind::Folder(folder) => folder.root,
            Kind::Copy(copy) => copy.root,
            Kind::Run(run) => run.root,
        }
    }

    /// The steps whose results it needs, each once.
    pub fn inputs(&self) -> BTreeSet<StepId> {
        let mut inputs = BTreeSet::new();
        match &self.kind {
            Kind::Source(_) => {}
            Kind::Folder(folder) => inputs.extend(folder.root),
            Kind::Copy(copy) => {
                inputs.extend(copy.root);
                inputs.extend(copy.sources.iter().filter_map(CopySource::step));
            }
            Kind::Run(run) => {
                inputs.extend(run.root);
                inputs.extend(run.mounts.iter().filter_map(Mount::step));
            }
        }
        inputs
    }
}

impl Step {
    /// The same with other numbers for the steps that it needs.
    pub(super) fn renumbered(mut self, number: &dyn Fn(StepId) -> StepId) -> Self {
        match &mut self.kind {
            Kind::Source(_) => {}
            Kind::Folder(folder) => folder.root = folder.root.map(number),
            Kind::Copy(copy) => {
                copy.root = copy.root.map(number);
                for source in &mut copy.sources {
                    match source {
                        CopySource::Files { from, .. } => *from = from.map(number),
                        CopySource::Inline { .. } => {}
                        CopySource::Download { from, .. } | CopySource::Tree { from } => {
                            *from = number(*from);
                        }
                    }
                }
            }
            Kind::Run(run) => {
                run.root = run.root.map(number);
                for mount in &mut run.mounts {
                    if let MountKind::Bind { from, .. } | MountKind::Cache { from, .. } =
                        &mut mount.kind
                    {
                        *from = from.map(number);
                    }
                }
            }
        }
        self
    }
}

/// What a step does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// Files from elsewhere.
    Source(Source),
    /// `RUN`.
    Run(Run),
    /// `COPY` and `ADD`.
    Copy(Copy),
    /// The folder of a `WORKDIR`.
    Folder(Folder),
}

/// Where files come from.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Source {
    /// An image's root.
    Image {
        /// Normalised, with tag or digest: `docker.io/library/busybox:latest`.
        reference: String,
    },
    /// A folder of the machine.
    Context {
        /// The name of the named context; `None` is the build context.
        name: Option<String>,
        /// What is read of it, relative to it and without `.` and `..`; patterns
        /// with `*`, `?` and `[` among them. Empty is all of it.
        paths: Vec<String>,
    },
    /// The result of another build (a named context of the kind `service:`).
    Build {
        /// Its name, as the named context has it.
        name: String,
    },
    /// An image in a folder of the machine.
    Layout {
        /// `oci-layout://PATH`, as the named context has it.
        layout: String,
    },
    /// What an archive that came as a stream holds.
    Archive {
        /// Of the archive as it came.
        digest: Digest,
    },
    /// A file from a web server, alone in a root.
    Http {
        /// `http://` or `https://`.
        url: String,
        /// What the file is called.
        file: String,
        /// `sha256:…`, which it must have.
        checksum: Option<String>,
        /// It is an archive, and what is in it is meant.
        is_tree: bool,
    },
    /// The work tree of a git repository.
    Git(Git),
}

/// A state of a git repository.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Git {
    /// What to clone: `https://host/a.git`, `git@host:a.git`.
    pub remote: String,
    /// Branch, tag or commit; empty for the remote's HEAD.
    pub reference: String,
    /// The folder of the work tree that is meant; empty for all of it.
    pub folder: String,
    /// Whether `.git` is part of the result.
    pub keeps_git_dir: bool,
    /// The commit it must be.
    pub checksum: Option<String>,
    /// Whether submodules are fetched.
    pub has_submodules: bool,
}

impl Git {
    /// The id of the SSH agent that it is fetched with, where it is by SSH.
    pub fn agent(&self) -> Option<&'static str> {
        let is_ssh = match self.remote.split_once("://") {
            Some((scheme, _)) => scheme.eq_ignore_ascii_case("ssh"),
            None => true,
        };
        is_ssh.then_some("default")
    }
}

/// A folder that is made with those above it, unless it is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder {
    /// Where.
    pub root: Root,
    /// Absolute and clean.
    pub path: String,
    /// Its owner: `USER` as it is then, empty for root.
    pub owner: String,
}

/// The mode of new folders of `WORKDIR`.
pub const FOLDER_MODE: u32 = 0o755;

/// Files that are copied into a root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copy {
    /// What they are copied into.
    pub root: Root,
    /// In this order.
    pub sources: Vec<CopySource>,
    /// Absolute and clean, with a slash at its end where it has to be a folder.
    pub destination: String,
    /// `--chown`, names or numbers, to be looked up in the root; `None` is 0:0.
    pub owner: Option<String>,
    /// `--chmod`.
    pub mode: Option<Mode>,
    /// `--exclude`: patterns as in `.dockerignore`, relative to a source.
    pub excludes: Vec<String>,
    /// `--link`: the files are a layer that depends on nothing below.
    pub is_link: bool,
}

/// What `--chmod` asks for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Mode {
    /// An octal number.
    Bits(u32),
    /// As chmod(1) has it: `u=rwX,go=rX`.
    Symbolic(String),
}

/// One thing that is copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CopySource {
    /// Files of a step's result. Symbolic links on the way are followed, of a
    /// folder its content is copied.
    Files {
        /// Whose; `None` is an empty root.
        from: Root,
        /// Absolute and clean; may be a pattern with `*`, `?` and `[`. A pattern that
        /// matches nothing is no error, a path that is not there is.
        path: String,
        /// `--parents`: the path below `path` that is kept, which may be a pattern.
        parents: Option<String>,
        /// Archives are unpacked.
        unpacks: bool,
        /// The word of the file.
        at: Span,
    },
    /// A here-document.
    Inline {
        /// What the file is called.
        name: String,
        /// What is in it; mode 0644.
        content: String,
    },
    /// The file of an [`Source::Http`].
    Download {
        /// The step.
        from: StepId,
        /// What the file is called; mode 0600.
        file: String,
        /// An archive is unpacked.
        unpacks: bool,
    },
    /// The tree of a [`Source::Git`].
    Tree {
        /// The step.
        from: StepId,
    },
}

impl CopySource {
    fn step(&self) -> Option<StepId> {
        match self {
            Self::Files { from, .. } => *from,
            Self::Inline { .. } => None,
            Self::Download { from, .. } | Self::Tree { from } => Some(*from),
        }
    }
}

/// A command in a root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Where it runs, and what it changes.
    pub root: Root,
    /// The program and its arguments, the shell included.
    pub arguments: Vec<String>,
    /// `ENV` and `ARG`, in the order in which they were first set.
    pub environment: Vec<(String, String)>,
    /// Proxy variables of the build arguments that no `ARG` declares: the command gets
    /// them, but its result is the same without them.
    pub proxies: Vec<(String, String)>,
    /// `USER`; empty for root.
    pub user: String,
    /// `WORKDIR`, absolute.
    pub folder: String,
    /// A script with an interpreter line of its own, at this path for this command only.
    pub script: Option<Script>,
    /// What is mounted, in this order.
    pub mounts: Vec<Mount>,
    /// `--network`, or that of the build.
    pub network: Network,
    /// `--security=insecure`.
    pub is_privileged: bool,
    /// `--device`: names of devices that it can do without, and does.
    pub left_out: Vec<String>,
    /// What is the same for all commands of the build.
    pub sandbox: Arc<Sandbox>,
}

/// A file for one command: mode 0755, its folder is read-only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// Absolute.
    pub path: String,
    /// What is in it.
    pub content: String,
}

/// The network of a command.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub enum Network {
    /// The build's own.
    #[default]
    Default,
    /// No network.
    None,
    /// The machine's.
    Host,
    /// One that the options name.
    Named(String),
}

/// Settings of all commands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sandbox {
    /// Names for `/etc/hosts`: name, address. Part of a result's key.
    pub extra_hosts: Vec<(String, String)>,
    /// The host's name inside; empty for the default. Part of a result's key.
    pub hostname: String,
    /// Size of `/dev/shm` in bytes.
    pub shm_size: Option<u64>,
    /// Limits of resources (getrlimit(2)).
    pub ulimits: Vec<PosixRlimit>,
    /// Memory of a command in bytes.
    pub memory: Option<i64>,
}

/// Something that a command sees beside its root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// What.
    pub kind: MountKind,
    /// Where, absolute; for a secret that is a variable only there may be none.
    pub target: Option<String>,
    /// The flag in the file.
    pub at: Span,
}

impl Mount {
    fn step(&self) -> Option<StepId> {
        match &self.kind {
            MountKind::Bind { from, .. } | MountKind::Cache { from, .. } => *from,
            _ => None,
        }
    }
}

/// Owner and mode of what a mount shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Access {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Permission bits.
    pub mode: u32,
}

/// What is mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MountKind {
    /// Files of a step's result.
    Bind {
        /// Whose; `None` is an empty root.
        from: Root,
        /// The path in it, absolute and clean.
        source: String,
        /// What is written is lost at the end where it is not.
        is_read_only: bool,
    },
    /// A folder that lasts from build to build.
    Cache {
        /// Its name.
        id: String,
        /// Who may use it at the same time.
        sharing: Sharing,
        /// What is in it at first; `None` is an empty root.
        from: Root,
        /// The path in that, absolute and clean.
        source: String,
        /// Owner and mode at first.
        access: Access,
        /// Whether nothing may be written.
        is_read_only: bool,
    },
    /// Memory.
    Tmpfs {
        /// Its size in bytes; `None` has no limit.
        size: Option<u64>,
        /// Whether nothing may be written.
        is_read_only: bool,
    },
    /// A secret as a file, as a variable or as both.
    Secret {
        /// Which.
        id: String,
        /// The variable.
        variable: Option<String>,
        /// Whether it is an error that there is none.
        is_required: bool,
        /// Owner and mode of the file.
        access: Access,
    },
    /// The socket of an SSH agent.
    Ssh {
        /// Which.
        id: String,
        /// Whether it is an error that there is none.
        is_required: bool,
        /// Owner and mode of the socket.
        access: Access,
    },
}

/// Who may use a cache folder at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Sharing {
    /// Everybody.
    #[default]
    Shared,
    /// Each its own copy, where another one uses it.
    Private,
    /// One after the other.
    Locked,
}
