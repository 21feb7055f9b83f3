//! `skiff image tag`.

use clap::Args;

use super::failed_in;
use crate::cli::context::Context;
use crate::cli::error::{CliError, CliResult};
use crate::image::{Reference, Store};

/// Arguments of `skiff image tag`.
#[derive(Debug, Args)]
pub struct TagArgs {
    /// An image by name or id
    source: String,
    /// Its further name; without a tag it gets `latest`
    target: String,
}

/// Gives an image a further name, and takes it from whichever had it.
///
/// # Errors
/// No such image; the name is none, or has a digest; the store cannot be
/// written.
pub fn run(context: &Context, args: &TagArgs) -> CliResult {
    let name = Reference::parse(&args.target).map_err(|error| CliError::from_error(&error))?;
    if name.digest().is_some() {
        return Err(CliError::new(format!(
            "an image cannot be given the name `{}`: a digest is its content's",
            args.target
        )));
    }
    let store = Store::open(&context.layout);
    let tagged = store.tag(&args.source, &name);
    tagged.map_err(|error| failed_in(&store, &error))
}
