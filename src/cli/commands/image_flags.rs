//! Whether and how `up`, `create` and `run` build and pull the images that they need.

use clap::Args;

use crate::cli::error::CliError;
use crate::cli::parse;
use crate::image::PullPolicy;
use crate::reconcile::BuildMode;
use crate::ui::progress::Quiet;

/// Flags of such a command.
#[derive(Debug, Args)]
pub struct ImageFlags {
    /// When to pull images: always, missing, never, or as the file says
    #[arg(long, default_value = "policy")]
    pull: String,
    /// Pull without showing progress
    #[arg(long)]
    quiet_pull: bool,
    /// Build images before anything else
    #[arg(long)]
    build: bool,
    /// Do not build images, not even missing ones
    #[arg(long, conflicts_with = "build")]
    no_build: bool,
    /// Build without showing progress
    #[arg(long)]
    quiet_build: bool,
}

impl ImageFlags {
    /// `--pull`: `None` is as each service says.
    ///
    /// # Errors
    /// Another word than those that there are.
    pub fn pull(&self) -> Result<Option<PullPolicy>, CliError> {
        parse::pull(&self.pull)
    }

    /// `--build`, `--no-build`
    pub const fn build(&self) -> BuildMode {
        match (self.build, self.no_build) {
            (true, _) => BuildMode::Always,
            (_, true) => BuildMode::Never,
            _ => BuildMode::Missing,
        }
    }

    /// What of it is not shown.
    pub const fn quiet(&self) -> Quiet {
        Quiet {
            pulls: self.quiet_pull,
            builds: self.quiet_build,
        }
    }
}
