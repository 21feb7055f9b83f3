//! `skiff load`.

use std::path::PathBuf;

use clap::Args;

/// Flags of `skiff load`.
#[derive(Debug, Args)]
pub struct LoadArgs {
    /// Archive to read (default: standard input)
    #[arg(short, long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// Show no progress
    #[arg(short, long)]
    quiet: bool,
}
