//! `skiff version`.

use clap::{Args, ValueEnum};

use crate::cli::error::CliResult;
use crate::ui::write_out;

/// This build's version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Flags of `skiff version`.
#[derive(Debug, Default, Args)]
pub struct VersionArgs {
    /// Print the number alone
    #[arg(long)]
    short: bool,
    /// Format of the output
    #[arg(short, long, value_enum, default_value_t)]
    format: VersionFormat,
}

/// How the version is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum VersionFormat {
    /// A sentence.
    #[default]
    Pretty,
    /// A JSON object.
    Json,
}

/// Prints the version.
///
/// # Errors
/// Standard output is closed.
pub fn run(args: &VersionArgs) -> CliResult {
    let text = match (args.short, args.format) {
        (true, _) => format!("{VERSION}\n"),
        (false, VersionFormat::Pretty) => format!("skiff version {VERSION}\n"),
        (false, VersionFormat::Json) => {
            format!("{}\n", serde_json::json!({ "version": VERSION }))
        }
    };
    Ok(write_out(&text)?)
}
