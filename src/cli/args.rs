//! What can be typed: flags and commands as `docker compose` has them.

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

use super::commands;

/// Reads a Compose file and runs it, without a daemon.
#[derive(Debug, Parser)]
#[command(
    name = "skiff",
    bin_name = "skiff",
    disable_version_flag = true,
    max_term_width = 100,
    args_override_self = true
)]
pub struct Cli {
    /// Options of every command.
    #[command(flatten)]
    pub global: Global,
    /// Print the version.
    #[arg(short = 'v', long, action = ArgAction::SetTrue)]
    pub version: bool,
    /// What to do.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// Options of every command.
#[derive(Debug, Clone, Args)]
#[expect(clippy::struct_excessive_bools, reason = "one field a flag")]
pub struct Global {
    /// Compose file; several are merged in order, `-` is standard input
    #[arg(short = 'f', long = "file", global = false)]
    pub files: Vec<String>,
    /// Project name
    #[arg(short = 'p', long)]
    pub project_name: Option<String>,
    /// Folder that relative paths start from (default: that of the first file)
    #[arg(long, alias = "workdir")]
    pub project_directory: Option<PathBuf>,
    /// File of variables to read instead of `.env`
    #[arg(long = "env-file")]
    pub env_files: Vec<PathBuf>,
    /// Profile to enable
    #[arg(long = "profile")]
    pub profiles: Vec<String>,
    /// How progress is shown: auto, tty, plain, json or quiet
    #[arg(long)]
    pub progress: Option<String>,
    /// When to use colours and cursor movement: auto, never or always
    #[arg(long)]
    pub ansi: Option<String>,
    /// The same as --ansi never
    #[arg(long, hide = true)]
    pub no_ansi: bool,
    /// How many operations run at once, -1 for no limit
    #[arg(long, allow_hyphen_values = true)]
    pub parallel: Option<i64>,
    /// Keep networks, volumes, configs and secrets that no service uses
    #[arg(long)]
    pub all_resources: bool,
    /// Show more output (accepted, everything is shown)
    #[arg(long, hide = true)]
    pub verbose: bool,
    /// Make names as Compose 1 did, with `_` between their parts
    #[arg(long)]
    pub compatibility: bool,
    /// Show what `up` or `down` would do and do nothing
    #[arg(long, global = true)]
    pub dry_run: bool,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Create and start containers
    Up(commands::up::UpArgs),
    /// Create containers and start none
    Create(commands::create::CreateArgs),
    /// Stop and remove containers and networks
    Down(commands::down::DownArgs),
    /// List containers
    Ps(commands::ps::PsArgs),
    /// View output of containers
    Logs(commands::logs::LogsArgs),
    /// Run a command in a running container
    Exec(commands::exec::ExecArgs),
    /// Run a one-off command on a service
    Run(commands::run::RunArgs),
    /// Carry changed files into running containers, or build and restart them
    Watch(commands::watch::WatchArgs),
    /// Build the services' images
    Build(commands::build::BuildArgs),
    /// Pull the services' images
    Pull(commands::pull::PullArgs),
    /// Push the images that services are built to
    Push(commands::push::PushArgs),
    /// Log in to a registry
    Login(commands::login::LoginArgs),
    /// Log out from a registry
    Logout(commands::login::LogoutArgs),
    /// Load images from an archive of `docker save` or an OCI archive
    Load(commands::load::LoadArgs),
    /// Write images to an archive that Docker and OCI tools read
    Save(commands::image::save::SaveArgs),
    /// Manage the images of this machine
    Image(commands::image::ImageArgs),
    /// List images of the created containers
    Images(commands::images::ImagesArgs),
    /// List projects
    Ls(commands::ls::LsArgs),
    /// Stop services
    Stop(commands::lifecycle::StopArgs),
    /// Start services
    Start(commands::lifecycle::StartArgs),
    /// Restart services
    Restart(commands::lifecycle::RestartArgs),
    /// Send a signal to services' containers
    Kill(commands::lifecycle::KillArgs),
    /// Print the Compose file in canonical form
    #[command(alias = "convert")]
    Config(commands::config::ConfigArgs),
    /// Print the version
    Version(commands::version::VersionArgs),
    /// Check whether this machine can run containers
    Doctor(commands::doctor::DoctorArgs),
}

impl Command {
    /// True where `--dry-run` can be kept: the command plans before it acts, or
    /// changes nothing anyway.
    pub const fn can_be_dry(&self) -> bool {
        match self {
            Self::Image(args) => args.only_reads(),
            Self::Up(_)
            | Self::Create(_)
            | Self::Build(_)
            | Self::Down(_)
            | Self::Ps(_)
            | Self::Logs(_)
            | Self::Images(_)
            | Self::Ls(_)
            | Self::Config(_)
            | Self::Version(_)
            | Self::Doctor(_) => true,
            Self::Exec(_)
            | Self::Run(_)
            | Self::Watch(_)
            | Self::Pull(_)
            | Self::Push(_)
            | Self::Login(_)
            | Self::Logout(_)
            | Self::Load(_)
            | Self::Save(_)
            | Self::Stop(_)
            | Self::Start(_)
            | Self::Restart(_)
            | Self::Kill(_) => false,
        }
    }
}

impl Command {
    /// `--progress` behind the command, which counts before the one in front of it.
    pub fn progress(&self) -> Option<&str> {
        match self {
            Self::Build(args) => args.progress(),
            Self::Image(args) => args.progress(),
            _ => None,
        }
    }
}

/// `table` or `json`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum ListFormat {
    /// Columns.
    #[default]
    Table,
    /// JSON.
    Json,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(line: &str) -> Command {
        let words = ["skiff", "--dry-run"].into_iter().chain(line.split(' '));
        let cli = Cli::try_parse_from(words).expect(line);
        assert!(cli.global.dry_run, "{line}");
        cli.command.expect(line)
    }

    #[test]
    fn a_dry_run_is_for_what_plans_or_only_reads() {
        use clap::CommandFactory as _;
        let table = [
            ("up", true),
            ("down", true),
            ("ps", true),
            ("logs", true),
            ("exec a true", false),
            ("run a", false),
            ("watch", false),
            ("pull", false),
            ("build", true),
            ("push", false),
            ("login", false),
            ("logout a.io", false),
            ("load -i x.tar", false),
            ("save a", false),
            ("image ls", true),
            ("image inspect a", true),
            ("image rm a", false),
            ("images", true),
            ("ls", true),
            ("stop", false),
            ("start", false),
            ("restart", false),
            ("kill", false),
            ("config", true),
            ("version", true),
            ("create", true),
            ("doctor", true),
        ];
        for (line, dry) in table {
            assert_eq!(command(line).can_be_dry(), dry, "{line}");
        }
        for known in Cli::command().get_subcommands() {
            let name = known.get_name();
            let listed = |(line, _): &(&str, bool)| line.split(' ').next() == Some(name);
            assert!(table.iter().any(listed), "{name} is not in the table");
        }
    }

    #[test]
    fn a_switch_may_be_repeated() {
        for line in [
            "run --no-deps --no-deps a",
            "up -d -d --timeout 1 --timeout 2",
            "--progress plain --progress quiet down -v -v",
        ] {
            command(line);
        }
        let lists = Cli::try_parse_from(["skiff", "--profile", "a", "--profile", "b", "ls"]);
        assert_eq!(lists.unwrap().global.profiles, ["a", "b"]);
    }

    #[test]
    fn the_menu_is_known() {
        for line in ["up --menu=false", "up --menu"] {
            command(line);
        }
    }
}
