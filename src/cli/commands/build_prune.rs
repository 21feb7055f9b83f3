//! `skiff build prune`.

use std::time::Duration;

use clap::Args;

use crate::causes::with_causes;
use crate::cli::context::Context;
use crate::cli::error::{CliError, CliResult};
use crate::compose::parse_bytes;
use crate::image::Store;
use crate::reconcile::garbage::{self, Prune};
use crate::ui::units::human_size;
use crate::ui::write_out;

/// Flags of `skiff build prune`.
#[derive(Debug, Args)]
pub struct PruneArgs {
    /// All that builds keep, also what images have and the folders of
    /// `RUN --mount=type=cache`
    #[arg(short, long)]
    all: bool,
    /// Only what was not used for so long: until=24h
    #[arg(long, value_name = "until=DURATION")]
    filter: Vec<String>,
    /// Do not ask (nothing is asked)
    #[arg(short, long, hide = true)]
    force: bool,
    /// So much may stay: 10GB
    #[arg(long, value_name = "BYTES", aliases = ["reserved-space", "max-used-space"])]
    keep_storage: Option<String>,
    /// So much of the disk is to be free afterwards
    #[arg(long, hide = true)]
    min_free_space: Option<String>,
    /// Tell more (all is told)
    #[arg(long, hide = true)]
    verbose: bool,
    /// Name of a builder (there is one)
    #[arg(long, hide = true)]
    builder: Option<String>,
}

/// Removes what builds keep and nobody needs.
///
/// # Errors
/// A flag is wrong, a build is at work, or the store cannot be written.
pub fn run(context: &Context, args: &PruneArgs) -> CliResult {
    let mut wanted = Prune {
        all: args.all,
        ..Prune::default()
    };
    if args.min_free_space.is_some() {
        return Err(CliError::new(
            "--min-free-space: what is free is other programs' doing, too",
        )
        .hint("--keep-storage says how much builds may keep, SKIFF_DISK_BUDGET how much all of it may take"));
    }
    for filter in &args.filter {
        let age = filter.strip_prefix("until=").and_then(duration);
        wanted.unused_for = Some(age.ok_or_else(|| {
            CliError::new(format!(
                "--filter takes `until=24h` and the like, not `{filter}`"
            ))
        })?);
    }
    if let Some(text) = &args.keep_storage {
        let bytes = parse_bytes(text)
            .and_then(|bytes| u64::try_from(bytes).ok())
            .ok_or_else(|| {
                CliError::new(format!(
                    "--keep-storage takes `10GB` and the like, not `{text}`"
                ))
            })?;
        wanted.keep = Some(bytes);
    }
    let failed = |error: &dyn std::error::Error| CliError::new(with_causes(error));
    // Held against builds and pulls, and let go before garbage is collected.
    let busy = "a build or a pull is at work; try again when it has ended";
    let store = Store::open(&context.layout);
    let usage = store.try_use_alone().map_err(|error| failed(&error))?;
    let usage = usage.ok_or_else(|| CliError::new(busy))?;
    let pruned = garbage::prune_builds(&context.layout, &wanted).map_err(|error| failed(&error))?;
    drop(usage);
    let collected = garbage::collect_all(&context.layout).map_err(|error| failed(&error))?;
    let mut text = String::new();
    for (name, size) in &pruned.steps {
        text.push_str(&format!("{}\t{name}\n", human_size(*size)));
    }
    let freed = collected.map_or(0, |collected| collected.bytes) + pruned.folders;
    text.push_str(&format!("Total reclaimed space: {}\n", human_size(freed)));
    Ok(write_out(&text)?)
}

/// `24h`, `1h30m`, `90s`.
fn duration(text: &str) -> Option<Duration> {
    let span: jiff::SignedDuration = text.parse().ok()?;
    span.try_into().ok()
}
