//! `skiff create`: `up` that starts nothing.

use clap::Args;

use super::image_flags::ImageFlags;
use super::up;
use crate::cli::context::Context;
use crate::cli::error::CliResult;
use crate::cli::runtime;
use crate::reconcile::{UpChoices, UpOptions};

/// Flags of `skiff create`.
#[derive(Debug, Args)]
pub struct CreateArgs {
    /// Recreate containers even where nothing changed
    #[arg(long, conflicts_with = "no_recreate")]
    force_recreate: bool,
    /// Keep existing containers even where something changed
    #[arg(long)]
    no_recreate: bool,
    /// Images.
    #[command(flatten)]
    images: ImageFlags,
    /// Remove containers of services that the file no longer has
    #[arg(long)]
    remove_orphans: bool,
    /// Create so many replicas of a service
    #[arg(long, value_name = "SERVICE=NUM")]
    scale: Vec<String>,
    /// Answer yes to every question (nothing is asked)
    #[arg(short = 'y', long, hide = true)]
    yes: bool,
    /// Services to create containers of (default: all)
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
}

/// Creates a project's containers.
///
/// # Errors
/// As of `up`.
pub fn run(context: &Context, args: &CreateArgs) -> CliResult {
    let load = context.load_options(&args.services)?;
    let project = context.load_to_start(&load)?;
    context.check_known(&project, &args.services)?;
    let remove = args.remove_orphans.then_some(true);
    let (remove_orphans, ignore_orphans) = up::orphans(context, &project, remove)?;
    let options = UpOptions {
        choices: UpChoices {
            services: args.services.clone(),
            recreate: up::recreate(args.force_recreate, args.no_recreate),
            remove_orphans,
            ignore_orphans,
            no_start: true,
            scale: up::scales(&args.scale)?,
            ..UpChoices::default()
        },
        pull: args.images.pull()?,
        build: args.images.build(),
        dry_run: context.global.dry_run,
        ..UpOptions::default()
    };
    runtime::block_on(up::detached(
        context,
        &project,
        options,
        args.images.quiet(),
    ))
}
