//! `skiff down`.

use clap::Args;

/// Flags of `skiff down`.
#[derive(Debug, Args)]
pub struct DownArgs {
    /// Remove named volumes of the file, and anonymous ones, too
    #[arg(short, long)]
    pub volumes: bool,
    /// Remove containers of services that the file does not have, and of `run`
    #[arg(long)]
    pub remove_orphans: bool,
    /// Seconds to wait for a container to stop
    #[arg(short, long, value_name = "SECONDS")]
    pub timeout: Option<i64>,
    /// Only these services
    #[arg(value_name = "SERVICE")]
    pub services: Vec<String>,
}
