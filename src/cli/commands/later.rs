//! Flags of `docker compose` for what skiff cannot do yet: known, so that they
//! are refused by name, and accepted where what they ask for is so anyway.

use clap::Args;

use crate::cli::context::Context;
use crate::cli::error::{CliError, CliResult};
use crate::env;

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
        default_missing_value = "true"
    )]
    menu: Option<bool>,
}

impl LaterArgs {
    /// Refuses what is not there. `COMPOSE_MENU` is a wish for every `up`, so one
    /// that cannot be granted is only told.
    ///
    /// # Errors
    /// One of the flags was given.
    pub fn check(&self, context: &Context) -> CliResult {
        if self.build {
            return no_builder("--build");
        }
        if self.watch {
            return no_builder("--watch");
        }
        match self.menu {
            Some(true) => return Err(CliError::new("--menu: skiff has no menu of shortcuts")),
            None if context.settings.is_set(env::COMPOSE_MENU) => {
                context
                    .ui
                    .warn("COMPOSE_MENU has no effect: skiff has no menu of shortcuts");
            }
            Some(false) | None => {}
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
