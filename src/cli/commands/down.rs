//! `skiff down`.

use clap::{Args, ValueEnum};

use crate::cli::context::Context;
use crate::cli::error::CliResult;
use crate::cli::runtime;
use crate::cli::session::{self, Work};
use crate::cli::signals::Interrupts;
use crate::compose::is_true;
use crate::env;
use crate::reconcile::cancel::cancel_pair;
use crate::reconcile::{self, DownChoices, ImageChoice};
use crate::ui::write_out;

/// Flags of `skiff down`.
#[derive(Debug, Args)]
pub struct DownArgs {
    /// Remove named volumes of the file, and anonymous ones, too
    #[arg(short, long)]
    volumes: bool,
    /// Remove containers of services that the file does not have, and of `run`
    #[arg(
        long,
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        value_name = "BOOL"
    )]
    remove_orphans: Option<bool>,
    /// Remove the services' images: `all`, or `local` for those without a name of their own
    #[arg(long, value_enum, value_name = "all|local")]
    rmi: Option<Rmi>,
    /// Seconds to wait for a container to stop
    #[arg(short, long, value_name = "SECONDS", allow_negative_numbers = true)]
    timeout: Option<i64>,
    /// Only these services
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
}

/// What `--rmi` takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Rmi {
    All,
    Local,
}

/// Stops and removes a project's containers and networks.
///
/// # Errors
/// No project can be told, a named service is unknown, or something could not
/// be removed.
pub fn run(context: &Context, args: DownArgs) -> CliResult {
    let target = context.target(&[])?;
    let views = context.containers(target.name())?;
    Context::check_services(&target, &views, &args.services)?;
    let images = args.rmi.map(|rmi| {
        let choice = match rmi {
            Rmi::All => ImageChoice::All,
            Rmi::Local => ImageChoice::Local,
        };
        reconcile::images_of(target.project(), &views, choice)
    });
    runtime::block_on(async {
        let mut interrupts = Interrupts::new()?;
        let (handle, cancel) = cancel_pair();
        let work = Work::new(context, target.name(), &cancel, false);
        let choices = DownChoices {
            services: args.services,
            volumes: args.volumes,
            remove_orphans: args.remove_orphans.unwrap_or_else(|| {
                // As with Docker, `.env` has no say here.
                let shell = env::read_string(env::COMPOSE_REMOVE_ORPHANS);
                shell.is_some_and(|text| is_true(&text))
            }),
            timeout: args.timeout,
        };
        let session = work.session();
        let down = reconcile::down(&session, target.project(), choices, context.global.dry_run);
        let plan = session::interruptible(&*work.console(), down, &handle, &mut interrupts)
            .await
            .map_err(|error| session::error(context, &error))?;
        if context.global.dry_run {
            write_out(&plan.to_string())?;
        } else if let Some(images) = images {
            reconcile::remove_images(&session, &images)
                .map_err(|error| session::error(context, &error))?;
        }
        Ok(())
    })
}
