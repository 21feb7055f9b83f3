//! `skiff stop`, `start`, `restart` and `kill`.

use clap::Args;

use crate::cli::context::{Context, Target};
use crate::cli::error::CliResult;
use crate::cli::session::{self, Work};
use crate::cli::signals::Interrupts;
use crate::cli::{parse, runtime};
use crate::reconcile::cancel::cancel_pair;
use crate::reconcile::{self, ReconcileError, Session};

/// Flags of `skiff stop`.
#[derive(Debug, Args)]
pub struct StopArgs {
    /// Seconds to wait for a container to stop
    #[arg(short, long, value_name = "SECONDS", allow_negative_numbers = true)]
    timeout: Option<i64>,
    /// Only these services
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
}

/// Flags of `skiff start`.
#[derive(Debug, Args)]
pub struct StartArgs {
    /// Only these services
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
}

/// Flags of `skiff restart`.
#[derive(Debug, Args)]
pub struct RestartArgs {
    /// Seconds to wait for a container to stop
    #[arg(short, long, value_name = "SECONDS", allow_negative_numbers = true)]
    timeout: Option<i64>,
    /// Do not restart services that depend on these
    #[arg(long)]
    no_deps: bool,
    /// Only these services
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
}

/// Flags of `skiff kill`.
#[derive(Debug, Args)]
pub struct KillArgs {
    /// Signal by name or number
    #[arg(short, long, default_value = "SIGKILL")]
    signal: String,
    /// Only these services
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
}

/// Stops services.
///
/// # Errors
/// No project can be told, a named service is unknown, or a container could
/// not be stopped.
pub fn stop(context: &Context, args: StopArgs) -> CliResult {
    let target = target(context, &args.services)?;
    let StopArgs { timeout, services } = args;
    flow(context, &target, async |session| {
        reconcile::stop(session, target.project(), &services, timeout).await
    })
}

/// Starts services that were stopped.
///
/// # Errors
/// As [`stop`].
pub fn start(context: &Context, args: &StartArgs) -> CliResult {
    let target = target(context, &args.services)?;
    flow(context, &target, async |session| {
        reconcile::start(session, target.project(), &args.services).await
    })
}

/// Stops services, if they run, and starts them.
///
/// # Errors
/// As [`stop`].
pub fn restart(context: &Context, args: RestartArgs) -> CliResult {
    let target = target(context, &args.services)?;
    let RestartArgs {
        timeout,
        no_deps,
        services,
    } = args;
    flow(context, &target, async |session| {
        reconcile::restart(session, target.project(), &services, timeout, no_deps).await
    })
}

/// Sends a signal to services' containers.
///
/// # Errors
/// As [`stop`]; no such signal.
pub fn kill(context: &Context, args: &KillArgs) -> CliResult {
    let signal = parse::signal(&args.signal)?;
    let target = target(context, &args.services)?;
    flow(context, &target, async |session| {
        reconcile::kill(session, target.project(), &args.services, signal).await
    })
}

fn target(context: &Context, services: &[String]) -> Result<Target, crate::cli::error::CliError> {
    let target = context.target(&[])?;
    let views = context.containers(target.name())?;
    Context::check_services(&target, &views, services)?;
    Ok(target)
}

fn flow<T>(
    context: &Context,
    target: &Target,
    work: impl AsyncFnOnce(&Session<'_>) -> Result<T, ReconcileError>,
) -> CliResult {
    runtime::block_on(async {
        let mut interrupts = Interrupts::new()?;
        let (handle, cancel) = cancel_pair();
        let holder = Work::new(context, target.name(), &cancel, false);
        let session = holder.session();
        session::interruptible(&*holder.console(), work(&session), &handle, &mut interrupts)
            .await
            .map_err(|error| session::error(context, &error))?;
        Ok(())
    })
}
