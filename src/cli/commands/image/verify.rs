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
    let mut damaged = 0;
    for image in &found {
        write_out(&report(image, args.quiet))?;
        if image.problems.is_empty() {
            continue;
        }
        if !args.repair || !repair(context, &store, image, args.quiet)? {
            damaged += 1;
        }
    }
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

/// Pulls an image's damaged parts anew. False where that cannot be.
fn repair(
    context: &Context,
    store: &Store,
    damaged: &Verified,
    quiet: bool,
) -> Result<bool, CliError> {
    let name = name(damaged);
    let Some(from) = damaged.repo_digests.first() else {
        context.ui.warn(&format!(
            "`{name}` came from no registry, so it cannot be pulled anew"
        ));
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
    let again = store.verify(&[damaged.id.to_string()]);
    let again = again.map_err(|error| failed(&error))?;
    let whole = again.iter().all(|image| image.problems.is_empty());
    if whole && !quiet {
        write_out(&format!("{name}: repaired\n"))?;
    }
    Ok(whole)
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
