//! `skiff image verify`.

use clap::Args;

use super::{failed, pull};
use crate::cli::context::Context;
use crate::cli::error::{CliError, CliResult};
use crate::cli::runtime;
use crate::cli::signals::Interrupts;
use crate::image::store::{Part, Problem, Verified};
use crate::image::{self, ImageError, Reference, Store};
use crate::ui::progress::Console;
use crate::ui::{self, write_out};

/// Flags of `skiff image verify`.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// Pull anew what is damaged, from where the image came from
    #[arg(long)]
    repair: bool,
    /// Print nothing but what is wrong
    #[arg(short, long)]
    quiet: bool,
    /// Only these images, by name or id
    #[arg(value_name = "IMAGE")]
    images: Vec<String>,
}

/// Reads images whole and says what is wrong with them.
///
/// # Errors
/// Something is wrong and was not repaired; no such image; the store cannot be
/// read or written.
pub fn run(context: &Context, args: &VerifyArgs) -> CliResult {
    let store = Store::open(&context.layout);
    let found = store.verify(&args.images).map_err(|error| failed(&error))?;
    for image in &found {
        write_out(&report(image, args.quiet))?;
    }
    let broken: Vec<&Verified> = found
        .iter()
        .filter(|image| !image.problems.is_empty())
        .collect();
    let damaged = if args.repair {
        repair_all(context, &store, &broken, args.quiet)?
    } else {
        broken.len()
    };
    if damaged == 0 {
        return Ok(());
    }
    let failed = CliError::new(format!(
        "{damaged} of {} images {} damaged",
        found.len(),
        if damaged == 1 { "is" } else { "are" }
    ));
    Err(if args.repair {
        failed.hint("remove them with `skiff image rm`, then load or build them again")
    } else {
        failed.hint("`skiff image verify --repair` pulls anew what came from a registry")
    })
}

fn report(image: &Verified, quiet: bool) -> String {
    let name = name(image);
    if image.problems.is_empty() {
        return if quiet {
            String::new()
        } else {
            format!("{name}: OK\n")
        };
    }
    let lines = image.problems.iter().map(|Problem { part, reason }| {
        let part = match part {
            Part::Document(digest) if *digest == image.id => "config".to_owned(),
            Part::Document(digest) => format!("manifest {}", digest.short()),
            Part::Layer(layer) => format!("layer {}", layer.short()),
        };
        format!("{name}: {part}: {reason}\n")
    });
    lines.collect()
}

fn name(image: &Verified) -> String {
    let first = image.names.first();
    first.map_or_else(|| image.id.short().to_owned(), Reference::familiar)
}

/// Repairs what can be, and says how many images are still damaged. Images share
/// layers: what was pulled for one may be all that another one lacked, so those
/// that no registry has come last, and each is looked at anew once something was
/// repaired.
fn repair_all(
    context: &Context,
    store: &Store,
    broken: &[&Verified],
    quiet: bool,
) -> Result<usize, CliError> {
    let mut still: Vec<&Verified> = Vec::new();
    let mut is_any_repaired = false;
    let (pulled, made): (Vec<&Verified>, Vec<&Verified>) = broken
        .iter()
        .partition(|image| !image.repo_digests.is_empty());
    for image in pulled {
        let now = if is_any_repaired {
            looked_at(store, image)?
        } else {
            image.clone()
        };
        let is_whole = now.problems.is_empty() || repair(context, store, &now, quiet)?;
        if is_whole {
            tell_repaired(image, quiet)?;
            is_any_repaired = true;
        } else {
            still.push(image);
        }
    }
    let mut damaged = 0;
    for image in still.into_iter().chain(made) {
        if is_any_repaired && looked_at(store, image)?.problems.is_empty() {
            tell_repaired(image, quiet)?;
            continue;
        }
        damaged += 1;
        if image.repo_digests.is_empty() {
            context.ui.warn(&format!(
                "`{}` came from no registry, so it cannot be pulled anew",
                name(image)
            ));
        }
    }
    Ok(damaged)
}

/// An image as it is now.
fn looked_at(store: &Store, image: &Verified) -> Result<Verified, CliError> {
    let found = store.verify(&[image.id.to_string()]);
    let found = found.map_err(|error| failed(&error))?;
    Ok(found.into_iter().next().unwrap_or_else(|| image.clone()))
}

fn tell_repaired(image: &Verified, quiet: bool) -> CliResult {
    if quiet {
        return Ok(());
    }
    Ok(write_out(&format!("{}: repaired\n", name(image)))?)
}

/// Pulls an image's damaged parts anew. False where that cannot be.
fn repair(
    context: &Context,
    store: &Store,
    damaged: &Verified,
    quiet: bool,
) -> Result<bool, CliError> {
    let Some(from) = damaged.repo_digests.first() else {
        return Ok(false);
    };
    let sink = if quiet {
        ui::progress::silent()
    } else {
        context.sink()
    };
    let usage = store.use_shared().map_err(|error| failed(&error))?;
    let parts: Vec<Part> = damaged
        .problems
        .iter()
        .map(|one| one.part.clone())
        .collect();
    let aside = store.set_aside(&usage, &parts);
    let aside = aside.map_err(|error| failed(&error))?;
    let pulled = pull_again(store, from, damaged, &*sink);
    drop(sink);
    let settled = match &pulled {
        Ok(()) => store.drop_aside(&usage, aside),
        Err(_) => store.put_back(&usage, aside),
    };
    drop(usage);
    settled.map_err(|error| failed(&error))?;
    if let Err(error) = pulled {
        error.report(context.ui);
        return Ok(false);
    }
    Ok(looked_at(store, damaged)?.problems.is_empty())
}

fn pull_again(
    store: &Store,
    from: &Reference,
    damaged: &Verified,
    sink: &dyn Console,
) -> CliResult {
    let request = pull::request(from.clone(), Some(damaged.platform.clone()));
    runtime::block_on(async {
        let mut interrupts = Interrupts::new()?;
        tokio::select! {
            pulled = image::pull(store, &request, sink) => {
                let image = pulled.map_err(|error| failed(&error))?;
                if image.id != damaged.id {
                    return Err(failed(&ImageError::WrongDigest {
                        what: format!("the config of `{}`", from.familiar()),
                        expected: damaged.id.clone(),
                        found: image.id,
                    }));
                }
                Ok(())
            }
            _ = interrupts.next() => Err(CliError::Interrupted),
        }
    })
}
