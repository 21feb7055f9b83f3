//! Flags of `docker compose` for what skiff cannot do yet: known, so that they
//! are refused by name, and accepted where what they ask for is so anyway.

use clap::Args;

use crate::cli::error::{CliError, CliResult};

/// Flags that wait for the builder and for `watch`.
#[derive(Debug, Args)]
pub struct LaterArgs {
    /// Build images before starting containers (there is no builder yet)
    #[arg(long, hide = true)]
    build: bool,
    /// Do not build (nothing is built)
    #[arg(long, hide = true, conflicts_with = "build")]
    no_build: bool,
    /// Watch the source and rebuild (there is no builder yet)
    #[arg(short = 'w', long, hide = true)]
    watch: bool,
    /// The shortcuts of an attached `up` (there is no menu)
    #[arg(
        long,
        hide = true,
        num_args = 0..=1,
        require_equals = true,
        default_value_t = false,
        default_missing_value = "true",
        action = clap::ArgAction::Set
    )]
    menu: bool,
}

impl LaterArgs {
    /// Refuses what is not there.
    ///
    /// # Errors
    /// One of the flags was given.
    pub fn check(&self) -> CliResult {
        if self.build {
            return no_builder("--build");
        }
        if self.watch {
            return no_builder("--watch");
        }
        if self.menu {
            return Err(CliError::new("--menu: skiff has no menu of shortcuts"));
        }
        Ok(())
    }
}

/// The error of a flag that needs the builder.
///
/// # Errors
/// Always.
pub fn no_builder(flag: &str) -> CliResult {
    Err(CliError::new(format!("{flag}: skiff has no builder yet"))
        .hint("build the image elsewhere and load it: docker save IMAGE | sudo skiff load"))
}
