//! Flags of `docker compose` for what skiff cannot do yet: known, so that they
//! are refused by name.

use clap::Args;

use crate::cli::context::Context;
use crate::cli::error::{CliError, CliResult};
use crate::env;

/// Flags that wait for `watch`.
#[derive(Debug, Args)]
pub struct LaterArgs {
    /// Watch the source and rebuild (nothing is watched yet)
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
        if self.watch {
            return Err(CliError::new("--watch: skiff does not watch files yet"));
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
