//! `skiff image rm`.

use clap::Args;

use super::containers::{User, users};
use super::{failed, find};
use crate::cli::context::Context;
use crate::cli::error::{CliError, CliResult};
use crate::image::{Image, Reference, Removed, Store};
use crate::reconcile::garbage;
use crate::ui::write_out;

/// Flags of `skiff image rm`.
#[derive(Debug, Args)]
pub struct RmArgs {
    /// Also images that stopped containers were made of, and all names of an id
    #[arg(short, long)]
    force: bool,
    /// Keep layers that nothing needs any more (accepted; the next command removes them)
    #[arg(long)]
    no_prune: bool,
    /// The image has to be for this platform
    #[arg(long, value_name = "OS/ARCH")]
    platform: Option<String>,
    /// Images by name or id
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<String>,
}

/// Takes names away, images with their last one, and then layers that nothing
/// needs. Goes on where an image cannot be removed.
///
/// # Errors
/// No such image, one that a container was made of, an id of several names; the
/// store or the records cannot be read or written.
pub fn run(context: &Context, args: &RmArgs) -> CliResult {
    let store = Store::open(&context.layout);
    let mut errors = Vec::new();
    for text in &args.images {
        let removed = store.remove_chosen(|| {
            let image = find(&store, text)?;
            super::history::check_platform(&image, args.platform.as_deref())?;
            check(&image, text, &users(context)?, args.force)?;
            Ok(vec![text.clone()])
        });
        match removed.map_err(|error| failed(&error)).flatten() {
            Ok(removed) => {
                for removed in removed {
                    write_out(&report(&removed, ["Untagged", "Deleted"]))?;
                }
            }
            // As for rm(1): what is gone is what was asked for.
            Err(_) if args.force && store.find(text).is_ok_and(|found| found.is_none()) => {}
            Err(error) => errors.push(error),
        }
    }
    if !args.no_prune {
        garbage::collect_all(&context.layout).map_err(|error| failed(&error))?;
    }
    all_or_last(context, errors)
}

/// Docker's lines: names that are gone, then the image, then its digests.
pub(super) fn report(removed: &Removed, [untagged, deleted]: [&str; 2]) -> String {
    let mut text = String::new();
    for name in &removed.untagged {
        text.push_str(&format!("{untagged}: {}\n", name.familiar()));
    }
    if let Some(id) = &removed.deleted {
        text.push_str(&format!("{deleted}: {id}\n"));
    }
    text
}

/// All but the last of several errors are shown; the last one ends the command.
pub(super) fn all_or_last(context: &Context, mut errors: Vec<CliError>) -> CliResult {
    let last = errors.pop();
    for error in errors {
        error.report(context.ui);
    }
    last.map_or(Ok(()), Err)
}

/// Docker's rules: an id stands for all its names only where they are of one
/// repository; a name may go unless it is the last one of an image in use.
fn check(image: &Image, text: &str, users: &[User], force: bool) -> CliResult {
    let reference = Reference::parse(text).ok();
    let by_name = reference.is_some_and(|reference| image.names.contains(&reference));
    if by_name && image.names.len() > 1 {
        return Ok(());
    }
    let mut using = users.iter().filter(|user| user.image == image.id.as_str());
    let (live, any) = (using.clone().find(|user| user.live), using.next());
    if let Some(user) = live {
        return Err(CliError::new(format!(
            "image `{text}` cannot be removed: container `{}` runs of it",
            user.name
        ))
        .hint("stop that container first"));
    }
    if let Some(user) = any.filter(|_| !force) {
        return Err(CliError::new(format!(
            "image `{text}` cannot be removed: container `{}` was made of it",
            user.name
        ))
        .hint("remove that container first, or use --force"));
    }
    let mut repositories: Vec<String> = image.names.iter().map(Reference::name).collect();
    repositories.dedup();
    if !by_name && repositories.len() > 1 && !force {
        return Err(CliError::new(format!(
            "image {} cannot be removed by its id: it has names of several repositories",
            image.id.short()
        ))
        .hint("remove it by its names, or use --force for all of them"));
    }
    Ok(())
}
