//! `skiff image prune`.

use std::collections::BTreeSet;
use std::io::{BufRead as _, IsTerminal as _};

use clap::Args;
use jiff::Timestamp;

use super::containers::users;
use super::failed;
use super::filters::Filters;
use super::rm::report;
use crate::cli::context::Context;
use crate::cli::error::{CliError, CliResult};
use crate::image::toolbox::is_toolbox;
use crate::image::{Image, Store};
use crate::reconcile::garbage;
use crate::ui::units::human_size;
use crate::ui::{write_err, write_out};

/// Filters of `docker image prune`.
const FILTERS: [&str; 4] = ["dangling", "label", "label!", "until"];

/// Flags of `skiff image prune`.
#[derive(Debug, Args)]
pub struct PruneArgs {
    /// All images that no container was made of, not only those without a name
    #[arg(short, long)]
    all: bool,
    /// Only images for which this holds: until=, label=, label!=
    #[arg(long, value_name = "KEY=VALUE")]
    filter: Vec<String>,
    /// Do not ask
    #[arg(short, long)]
    force: bool,
}

/// Removes images that nothing uses.
///
/// # Errors
/// A filter is wrong; there is nobody to ask; the store or the records cannot
/// be read or written.
pub fn run(context: &Context, args: &PruneArgs) -> CliResult {
    let store = Store::open(&context.layout);
    let filters = Filters::parse(&args.filter, &FILTERS, &store, Timestamp::now())?;
    let only_dangling = filters.dangling().unwrap_or(!args.all);
    if !args.force && !agreed(only_dangling)? {
        return Err(CliError::new("nothing was removed"));
    }
    let goes = |image: &Image, used: &BTreeSet<String>| {
        let built_in = image.names.iter().any(is_toolbox);
        !used.contains(image.id.as_str())
            && !built_in
            && (image.names.is_empty() || !only_dangling)
            && filters.fits_but_dangling(image)
    };
    let removed = store.remove_chosen(|| {
        let users = users(context)?.into_iter();
        let used = users.map(|user| user.image).collect();
        let images = store.list_own().map_err(|error| failed(&error))?;
        let chosen = images.into_iter().filter(|image| goes(image, &used));
        Ok(chosen.map(|image| image.id.to_string()).collect())
    });
    let mut text = String::new();
    for removed in removed.map_err(|error| failed(&error)).flatten()? {
        text.push_str(&report(&removed, ["untagged", "deleted"]));
    }
    let collected = garbage::collect_all(&context.layout).map_err(|error| failed(&error))?;
    if collected.is_none() {
        context
            .ui
            .warn("another command uses the store; the layers go with the next one");
    }
    if !text.is_empty() {
        text = format!("Deleted Images:\n{text}\n");
    }
    let bytes = collected.map_or(0, |collected| collected.bytes);
    text.push_str(&format!("Total reclaimed space: {}\n", human_size(bytes)));
    Ok(write_out(&text)?)
}

/// Asks as Docker does.
fn agreed(only_dangling: bool) -> Result<bool, CliError> {
    let what = if only_dangling {
        "all dangling images."
    } else {
        "all images without at least one container associated to them."
    };
    let input = std::io::stdin();
    if !input.is_terminal() {
        return Err(
            CliError::new("there is nobody to ask whether to remove images")
                .hint("use --force to remove them unasked"),
        );
    }
    write_err(&format!(
        "WARNING! This will remove {what}\nAre you sure you want to continue? [y/N] "
    ));
    let mut answer = String::new();
    input.lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
