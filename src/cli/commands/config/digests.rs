//! `config --resolve-image-digests` and `--lock-image-digests`.

use std::collections::BTreeMap;

use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::signals::Interrupts;
use crate::cli::{registries, runtime};
use crate::image::{self, Reference};

/// Gives an image the digest that its registry has for it now, each image asked
/// for once. As with Docker Compose the name comes out in full, and a tag
/// beside a digest goes.
pub(super) fn pin(context: &Context) -> impl FnMut(&str) -> Result<String, CliError> {
    let access = registries::access();
    let sink = context.sink();
    let mut known: BTreeMap<Reference, String> = BTreeMap::new();
    move |text| {
        let reference = Reference::parse(text).map_err(|error| CliError::from_error(&error))?;
        if let Some(pinned) = known.get(&reference) {
            return Ok(pinned.clone());
        }
        let digest = runtime::block_on(async {
            let mut interrupts = Interrupts::new()?;
            tokio::select! {
                found = image::resolve(&access, &reference, &*sink) => {
                    found.map_err(|error| failed(text, &error))
                }
                _ = interrupts.next() => Err(CliError::Interrupted),
            }
        })?;
        let name = match reference.tag().filter(|_| reference.digest().is_none()) {
            Some(tag) => format!("{}:{tag}", reference.name()),
            None => reference.name(),
        };
        let pinned = format!("{name}@{digest}");
        known.insert(reference, pinned.clone());
        Ok(pinned)
    }
}

fn failed(image: &str, error: &image::ImageError) -> CliError {
    let failed = CliError::new(format!("cannot tell the digest of `{image}`: {error}"));
    match error.hint() {
        Some(hint) => failed.hint(hint),
        None => failed,
    }
}
