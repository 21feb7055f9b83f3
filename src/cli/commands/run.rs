//! `skiff run`.

use std::path::PathBuf;

use clap::Args;

/// Flags of `skiff run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Run in the background and print the container's name
    #[arg(short, long)]
    pub detach: bool,
    /// Remove the container when it ends
    #[arg(long)]
    pub rm: bool,
    /// Set a variable; NAME alone takes the caller's
    #[arg(short, long, value_name = "NAME[=VALUE]")]
    pub env: Vec<String>,
    /// Set variables from a file
    #[arg(long, value_name = "FILE")]
    pub env_from_file: Vec<PathBuf>,
    /// Instead of the image's entrypoint
    #[arg(long)]
    pub entrypoint: Option<String>,
    /// Keep standard input open (the default)
    #[arg(short, long)]
    pub interactive: bool,
    /// A terminal; the default where there is one
    #[arg(short, long, hide = true)]
    pub tty: bool,
    /// No terminal (default: one where standard input and output are terminals)
    #[arg(short = 'T', long = "no-TTY", alias = "no-tty")]
    pub no_tty: bool,
    /// Add a label
    #[arg(short, long, value_name = "NAME=VALUE")]
    pub label: Vec<String>,
    /// The container's name
    #[arg(long)]
    pub name: Option<String>,
    /// Leave dependencies alone
    #[arg(long)]
    pub no_deps: bool,
    /// Publish a port
    #[arg(short, long)]
    pub publish: Vec<String>,
    /// Publish the service's ports
    #[arg(short = 'P', long)]
    pub service_ports: bool,
    /// Use the service's names on its networks
    #[arg(long)]
    pub use_aliases: bool,
    /// User or user:group
    #[arg(short, long)]
    pub user: Option<String>,
    /// Mount a volume
    #[arg(short, long)]
    pub volume: Vec<String>,
    /// Working folder
    #[arg(short, long)]
    pub workdir: Option<String>,
    /// Add a capability
    #[arg(long)]
    pub cap_add: Vec<String>,
    /// Drop a capability
    #[arg(long)]
    pub cap_drop: Vec<String>,
    /// When to pull images: always, missing, never, or as the file says
    #[arg(long, default_value = "policy")]
    pub pull: String,
    /// Pull without showing progress
    #[arg(long)]
    pub quiet_pull: bool,
    /// Show no progress
    #[arg(short, long)]
    pub quiet: bool,
    /// Remove containers of services that the file no longer has
    #[arg(long)]
    pub remove_orphans: bool,
    /// Service
    pub service: String,
    /// Command and arguments instead of the service's
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub command: Vec<String>,
}
