//! `skiff image …`: the images of this machine, whatever project they are for.

pub mod build;
pub mod history;
pub mod inspect;
pub mod ls;
pub mod prune;
pub mod pull;
pub mod push;
pub mod rm;
pub mod save;
pub mod tag;
pub mod verify;

mod build_call;
mod build_refused;
mod build_sandbox;
mod build_secrets;
mod containers;
mod filters;
mod similar;

use clap::{Args, Subcommand};

use crate::causes::with_causes;
use crate::cli::commands::load;
use crate::cli::context::Context;
use crate::cli::error::{CliError, CliResult};
use crate::image::{Image, ImageError, Store};

/// What Docker shows for a name that an image does not have.
const NONE: &str = "<none>";

/// Flags of `skiff image`.
#[derive(Debug, Args)]
pub struct ImageArgs {
    #[command(subcommand)]
    command: ImageCommand,
}

/// The commands, as `docker image` has them.
#[derive(Debug, Subcommand)]
enum ImageCommand {
    /// Build an image of a Dockerfile, without a Compose file
    Build(Box<build::BuildArgs>),
    /// Show how an image came to be
    History(history::HistoryArgs),
    /// Show all that is known of images
    Inspect(inspect::InspectArgs),
    /// Load images from an archive of `docker save` or an OCI archive
    Load(load::LoadArgs),
    /// List images
    #[command(alias = "list")]
    Ls(ls::LsArgs),
    /// Remove unused images
    Prune(prune::PruneArgs),
    /// Download an image from a registry
    Pull(pull::PullArgs),
    /// Upload an image to a registry
    Push(push::PushArgs),
    /// Remove images
    #[command(alias = "remove")]
    Rm(rm::RmArgs),
    /// Write images to an archive that Docker and OCI tools read
    Save(save::SaveArgs),
    /// Give an image a further name
    Tag(tag::TagArgs),
    /// Check what is on disk against the images' digests
    Verify(verify::VerifyArgs),
}

impl ImageArgs {
    /// True where the command changes nothing.
    pub const fn only_reads(&self) -> bool {
        matches!(
            self.command,
            ImageCommand::History(_) | ImageCommand::Inspect(_) | ImageCommand::Ls(_)
        )
    }
}

impl ImageArgs {
    /// `--progress` behind the command.
    pub fn progress(&self) -> Option<&str> {
        match &self.command {
            ImageCommand::Build(args) => args.progress(),
            _ => None,
        }
    }
}

/// Runs one of the commands.
///
/// # Errors
/// Its own.
pub fn run(context: &Context, args: &ImageArgs) -> CliResult {
    match &args.command {
        ImageCommand::Build(args) => build::run(context, args),
        ImageCommand::History(args) => history::run(context, args),
        ImageCommand::Inspect(args) => inspect::run(context, args),
        ImageCommand::Load(args) => load::run(context, args),
        ImageCommand::Ls(args) => ls::run(context, args),
        ImageCommand::Prune(args) => prune::run(context, args),
        ImageCommand::Pull(args) => pull::run(context, args),
        ImageCommand::Push(args) => push::run(context, args),
        ImageCommand::Rm(args) => rm::run(context, args),
        ImageCommand::Save(args) => save::run(context, args),
        ImageCommand::Tag(args) => tag::run(context, args),
        ImageCommand::Verify(args) => verify::run(context, args),
    }
}

/// An error of images with its advice.
pub(super) fn failed(error: &ImageError) -> CliError {
    with_hint(CliError::new(with_causes(error)), error.hint())
}

fn with_hint(failed: CliError, hint: Option<String>) -> CliError {
    match hint {
        Some(hint) => failed.hint(hint),
        None => failed,
    }
}

/// The same, where an image that is not here may have been meant by another name.
fn failed_in(store: &Store, error: &ImageError) -> CliError {
    let ImageError::NoSuchImage(text) = error else {
        return failed(error);
    };
    // What cannot be read now is told by who needs it.
    let images = store.list().unwrap_or_default();
    let names = images.iter().flat_map(|image| &image.names);
    match similar::names(text, names) {
        meant if meant.is_empty() => failed(error),
        meant => failed(error).hint(format!("did you mean {}?", meant.join(" or "))),
    }
}

/// An image that has to be there.
fn find(store: &Store, text: &str) -> Result<Image, CliError> {
    let found = store.find(text).map_err(|error| failed(&error))?;
    found.ok_or_else(|| failed_in(store, &ImageError::NoSuchImage(text.to_owned())))
}
