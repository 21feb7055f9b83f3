//! `skiff pull`.

use clap::Args;

/// Flags of `skiff pull`.
#[derive(Debug, Args)]
pub struct PullArgs {
    /// Skip images of services with a build section
    #[arg(long)]
    pub ignore_buildable: bool,
    /// Go on where an image cannot be pulled
    #[arg(long)]
    pub ignore_pull_failures: bool,
    /// Dependencies' images too
    #[arg(long)]
    pub include_deps: bool,
    /// `missing` or `always`
    #[arg(long)]
    pub policy: Option<String>,
    /// Show no progress
    #[arg(short, long)]
    pub quiet: bool,
    /// Only these services
    #[arg(value_name = "SERVICE")]
    pub services: Vec<String>,
}
