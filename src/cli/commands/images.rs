//! `skiff images`.

use clap::Args;

use crate::cli::args::ListFormat;

/// Flags of `skiff images`.
#[derive(Debug, Args)]
pub struct ImagesArgs {
    /// Format of the output
    #[arg(long, value_enum, default_value_t)]
    pub format: ListFormat,
    /// Print ids only
    #[arg(short, long)]
    pub quiet: bool,
    /// Only these services
    #[arg(value_name = "SERVICE")]
    pub services: Vec<String>,
}
