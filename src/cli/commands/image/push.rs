//! `skiff image push`.

use clap::Args;

use super::{failed, find, with_hint};
use crate::cli::context::Context;
use crate::cli::error::{CliError, CliResult};
use crate::cli::signals::Interrupts;
use crate::cli::{registries, runtime, session};
use crate::image::{self, Image, ImageError, Platform, PushRequest, Reference, Store};
use crate::ui;
use crate::ui::write_out;

/// Flags of `skiff image push`.
#[derive(Debug, Args)]
pub struct PushArgs {
    /// Push all tags of the name
    #[arg(short, long)]
    all_tags: bool,
    /// Push the image for this platform alone, where the name has several
    #[arg(long, value_name = "OS/ARCH")]
    platform: Option<String>,
    /// Show no progress
    #[arg(short, long)]
    quiet: bool,
    /// Nothing is signed anyway
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    disable_content_trust: Option<bool>,
    /// What to push, and where to
    #[arg(value_name = "NAME[:TAG]")]
    name: String,
}

/// Pushes one image, or all that have a name.
///
/// # Errors
/// No such image, or the registry does not take it.
pub fn run(context: &Context, args: &PushArgs) -> CliResult {
    let reference = Reference::parse(&args.name).map_err(|error| CliError::from_error(&error))?;
    let store = Store::open(&context.layout);
    let platform = args.platform.as_deref().map(Platform::parse).transpose();
    let platform = platform.map_err(|error| CliError::from_error(&error))?;
    let wanted = chosen(&store, &reference, args)?;
    let access = registries::access();
    for (reference, image) in wanted {
        let request = PushRequest {
            label: reference.familiar(),
            reference: reference.clone(),
            images: members(&store, &reference, image, platform.as_ref())?,
            access: access.clone(),
        };
        let pushed = runtime::block_on(async {
            let mut interrupts = Interrupts::new()?;
            let sink = if args.quiet {
                ui::progress::silent()
            } else {
                context.sink()
            };
            tokio::select! {
                pushed = image::push(&store, &request, &*sink) => {
                    pushed.map_err(|error| {
                        with_hint(CliError::from_error(&error), error.push_hint())
                    })
                }
                _ = interrupts.next() => {
                    sink.emit(session::interrupted(session::PUSH_NOTE));
                    Err(CliError::Interrupted)
                }
            }
        })?;
        let text = if args.quiet {
            format!("{reference}\n")
        } else {
            let tag = reference.tag().unwrap_or_default();
            format!("{tag}: digest: {} size: {}\n", pushed.digest, pushed.size)
        };
        write_out(&text)?;
    }
    Ok(())
}

/// The images for all platforms that a name means here, or the one for this platform.
fn members(
    store: &Store,
    reference: &Reference,
    image: Image,
    platform: Option<&Platform>,
) -> Result<Vec<Image>, CliError> {
    let mut all = store.with_variants(image).map_err(|error| failed(&error))?;
    let Some(wanted) = platform else {
        return Ok(all);
    };
    let fitting = all
        .iter()
        .enumerate()
        .filter_map(|(index, one)| Some((wanted.fitness(&one.platform)?, index)));
    match fitting.min() {
        Some((_, index)) => Ok(vec![all.swap_remove(index)]),
        None => Err(failed(&ImageError::NoPlatform {
            reference: reference.familiar(),
            wanted: wanted.to_string(),
            available: all.iter().map(|one| one.platform.to_string()).collect(),
        })),
    }
}

/// The names to push, with their images.
fn chosen(
    store: &Store,
    reference: &Reference,
    args: &PushArgs,
) -> Result<Vec<(Reference, Image)>, CliError> {
    if !args.all_tags {
        let image = find(store, &reference.familiar())?;
        return Ok(vec![(reference.clone(), image)]);
    }
    let last = args.name.rsplit('/').next().unwrap_or_default();
    if last.contains([':', '@']) {
        return Err(CliError::new("--all-tags takes a name without a tag"));
    }
    let images = store.list().map_err(|error| failed(&error))?;
    let mut all: Vec<(Reference, Image)> = Vec::new();
    for image in images {
        let names = image
            .names
            .iter()
            .filter(|name| name.name() == reference.name());
        all.extend(names.map(|name| (name.clone(), image.clone())));
    }
    if all.is_empty() {
        return Err(CliError::new(format!("no image `{}` here", args.name)));
    }
    all.sort_by(|(one, _), (other, _)| one.cmp(other));
    Ok(all)
}
