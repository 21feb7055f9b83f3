//! `skiff push`.

use clap::Args;

use crate::cli::context::Context;
use crate::cli::error::CliResult;
use crate::cli::runtime;
use crate::cli::session::{self, PUSH_NOTE, Work};
use crate::cli::signals::Interrupts;
use crate::reconcile::cancel::cancel_pair;
use crate::reconcile::{self, PushChoices};

/// Flags of `skiff push`.
#[derive(Debug, Args)]
pub struct PushArgs {
    /// Go on where an image cannot be pushed
    #[arg(long)]
    ignore_push_failures: bool,
    /// Dependencies' images too
    #[arg(long)]
    include_deps: bool,
    /// Show no progress
    #[arg(short, long)]
    quiet: bool,
    /// Only these services
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
}

/// Pushes the images that a project's services are built to.
///
/// # Errors
/// The file is wrong, a named service is unknown, or an image cannot be pushed.
pub fn run(context: &Context, args: PushArgs) -> CliResult {
    let project = context.load(&args.services)?;
    context.check_known(&project, &args.services)?;
    let choices = PushChoices {
        services: args.services,
        include_deps: args.include_deps,
        ignore_failures: args.ignore_push_failures,
    };
    runtime::block_on(async {
        let mut interrupts = Interrupts::new()?;
        let (handle, cancel) = cancel_pair();
        let work = Work::new(context, &project.name, &cancel, args.quiet);
        let session = work.session();
        let push = reconcile::push(&session, &project, &choices);
        let console = work.console();
        session::interruptible_telling(PUSH_NOTE, &*console, push, &handle, &mut interrupts)
            .await
            .map_err(|error| session::error(context, &error))
    })
}
