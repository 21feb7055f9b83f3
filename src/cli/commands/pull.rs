//! `skiff pull`.

use clap::Args;

use crate::cli::context::Context;
use crate::cli::error::CliResult;
use crate::cli::session::{self, Work};
use crate::cli::signals::Interrupts;
use crate::cli::{parse, runtime};
use crate::image::KEPT_OF_A_PULL;
use crate::reconcile::cancel::cancel_pair;
use crate::reconcile::{self, PullChoices};

/// Flags of `skiff pull`.
#[derive(Debug, Args)]
pub struct PullArgs {
    /// Skip images of services with a build section
    #[arg(long)]
    ignore_buildable: bool,
    /// Go on where an image cannot be pulled
    #[arg(long)]
    ignore_pull_failures: bool,
    /// Dependencies' images too
    #[arg(long)]
    include_deps: bool,
    /// `missing` or `always`
    #[arg(long, default_value = "policy", hide_default_value = true)]
    policy: String,
    /// Show no progress
    #[arg(short, long)]
    quiet: bool,
    /// Only these services
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
}

/// Pulls the images of a project's services.
///
/// # Errors
/// The file is wrong, a named service is unknown, or an image cannot be had.
pub fn run(context: &Context, args: PullArgs) -> CliResult {
    let project = context.load(&args.services)?;
    context.check_known(&project, &args.services)?;
    let choices = PullChoices {
        services: args.services,
        include_deps: args.include_deps,
        ignore_buildable: args.ignore_buildable,
        ignore_failures: args.ignore_pull_failures,
        policy: parse::pull(&args.policy)?,
    };
    runtime::block_on(async {
        let mut interrupts = Interrupts::new()?;
        let (handle, cancel) = cancel_pair();
        let work = Work::new(context, &project.name, &cancel, args.quiet);
        let session = work.session();
        let pull = reconcile::pull(&session, &project, &choices);
        let console = work.console();
        session::interruptible_telling(KEPT_OF_A_PULL, &*console, pull, &handle, &mut interrupts)
            .await
            .map_err(|error| session::error(context, &error))
    })
}
