//! The instructions of a Dockerfile as types. Words are as written: variables are
//! replaced by who knows their values.

use std::time::Duration;

use super::heredoc::Heredoc;
use super::lint::LintOptions;
use super::mount::MountFlag;
use super::span::{Source, Span, Word};
use super::words::Pair;

/// A whole file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Dockerfile {
    /// Its text.
    pub source: Source,
    /// `\` or, by directive, a backtick.
    pub escape: char,
    /// `# syntax=…`: the front end that it names; the built-in one serves them all.
    pub syntax: Option<Word>,
    /// `# check=…`.
    pub check: LintOptions,
    /// The `ARG`s before the first `FROM`.
    pub arguments: Vec<Instruction>,
    /// The stages, at least one.
    pub stages: Vec<Stage>,
    /// Places of empty lines among continuations.
    pub empty_continuations: Vec<Span>,
}

/// A `FROM` and what follows it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stage {
    /// `FROM` as it is written.
    pub keyword: Word,
    /// Image or stage.
    pub base: Word,
    /// `AS`, as it is written.
    pub as_keyword: Option<Word>,
    /// Its name, as it is written.
    pub name: Option<Word>,
    /// `--platform`.
    pub platform: Option<Word>,
    /// The whole `FROM`.
    pub at: Span,
    /// The `FROM` in one line.
    pub text: String,
    /// The comments right before it.
    pub comments: Vec<String>,
    /// What is done in it.
    pub instructions: Vec<Instruction>,
}

impl Stage {
    /// Its name in small letters: it may be referred to in any case.
    pub fn key(&self) -> Option<String> {
        self.name.as_ref().map(|name| name.text.to_lowercase())
    }
}

/// One instruction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instruction {
    /// As it is written.
    pub keyword: Word,
    /// All of it, without its here-documents.
    pub at: Span,
    /// In one line.
    pub text: String,
    /// The comments right before it.
    pub comments: Vec<String>,
    /// What it does.
    pub kind: Kind,
}

/// What an instruction does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// `ADD`.
    Add(Add),
    /// `ARG`.
    Arg(Vec<Argument>),
    /// `CMD`.
    Cmd(Command),
    /// `COPY`.
    Copy(Copy),
    /// `ENTRYPOINT`.
    Entrypoint(Command),
    /// `ENV`.
    Env(Vec<Pair>),
    /// `EXPOSE`.
    Expose(Vec<Word>),
    /// `HEALTHCHECK`.
    Healthcheck(Healthcheck),
    /// `LABEL`.
    Label(Vec<Pair>),
    /// `MAINTAINER`.
    Maintainer(Word),
    /// `ONBUILD`: the instruction as one line, here-documents behind it.
    OnBuild(Word),
    /// `RUN`.
    Run(Run),
    /// `SHELL`.
    Shell(Vec<String>),
    /// `STOPSIGNAL`.
    StopSignal(Word),
    /// `USER`.
    User(Word),
    /// `VOLUME`.
    Volume(Vec<Word>),
    /// `WORKDIR`.
    Workdir(Word),
}

/// A command: a line for the shell, or a program with its arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// One line for the shell, or the words of the JSON form.
    pub words: Vec<String>,
    /// Whether the shell runs it.
    pub is_shell: bool,
    /// Where.
    pub at: Span,
}

/// A variable of the build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Argument {
    /// Its name.
    pub name: Word,
    /// Its default.
    pub default: Option<Word>,
}

/// `RUN`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// What runs.
    pub command: Command,
    /// The here-documents of its line.
    pub heredocs: Vec<Heredoc>,
    /// `--mount`.
    pub mounts: Vec<MountFlag>,
    /// `--network`.
    pub network: Network,
    /// `--security`, where it is said.
    pub security: Option<Security>,
    /// `--device`: name, and whether it is required.
    pub devices: Vec<(String, bool)>,
}

/// The confinement of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Security {
    /// That of containers.
    Sandbox,
    /// None: as in a privileged container.
    Insecure,
}

/// The network of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Network {
    /// That of the build.
    #[default]
    Default,
    /// None.
    None,
    /// The machine's.
    Host,
}

/// What `COPY` and `ADD` have in common.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Files {
    /// Paths, patterns, and for `ADD` addresses.
    pub paths: Vec<Word>,
    /// Here-documents among them.
    pub heredocs: Vec<Heredoc>,
    /// Where they go.
    pub destination: Word,
    /// `--chown`.
    pub owner: Option<Word>,
    /// `--chmod`.
    pub mode: Option<Word>,
    /// `--exclude`.
    pub excludes: Vec<Word>,
    /// `--link`.
    pub is_link: bool,
}

/// `COPY`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Copy {
    /// What and where to.
    pub files: Files,
    /// `--from`: a stage, its number, an image or a named context.
    pub from: Option<Word>,
    /// `--parents`.
    pub keeps_parents: bool,
}

/// `ADD`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Add {
    /// What and where to.
    pub files: Files,
    /// `--checksum`.
    pub checksum: Option<Word>,
    /// `--keep-git-dir`.
    pub keeps_git_dir: Option<bool>,
    /// `--unpack`.
    pub unpacks: Option<bool>,
}

/// `HEALTHCHECK`; what is not given means the default.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Healthcheck {
    /// `["NONE"]`, `["CMD", …]` or `["CMD-SHELL", "…"]`.
    pub test: Vec<String>,
    /// `--interval`.
    pub interval: Duration,
    /// `--timeout`.
    pub timeout: Duration,
    /// `--start-period`.
    pub start_period: Duration,
    /// `--start-interval`.
    pub start_interval: Duration,
    /// `--retries`.
    pub retries: u32,
}
