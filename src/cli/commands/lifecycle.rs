//! `skiff stop`, `start`, `restart` and `kill`.

use clap::Args;

/// Flags of `skiff stop`.
#[derive(Debug, Args)]
pub struct StopArgs {
    /// Seconds to wait for a container to stop
    #[arg(short, long, value_name = "SECONDS")]
    pub timeout: Option<i64>,
    /// Only these services
    #[arg(value_name = "SERVICE")]
    pub services: Vec<String>,
}

/// Flags of `skiff start`.
#[derive(Debug, Args)]
pub struct StartArgs {
    /// Only these services
    #[arg(value_name = "SERVICE")]
    pub services: Vec<String>,
}

/// Flags of `skiff restart`.
#[derive(Debug, Args)]
pub struct RestartArgs {
    /// Seconds to wait for a container to stop
    #[arg(short, long, value_name = "SECONDS")]
    pub timeout: Option<i64>,
    /// Do not restart services that depend on these
    #[arg(long)]
    pub no_deps: bool,
    /// Only these services
    #[arg(value_name = "SERVICE")]
    pub services: Vec<String>,
}

/// Flags of `skiff kill`.
#[derive(Debug, Args)]
pub struct KillArgs {
    /// Signal by name or number
    #[arg(short, long, default_value = "SIGKILL")]
    pub signal: String,
    /// Also containers of services that the file does not have
    #[arg(long)]
    pub remove_orphans: bool,
    /// Only these services
    #[arg(value_name = "SERVICE")]
    pub services: Vec<String>,
}
