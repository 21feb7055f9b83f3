//! `skiff up`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use crate::cli::attach::Reporter;
use crate::cli::commands::image_flags::ImageFlags;
use crate::cli::context::Context;
use crate::cli::error::{CliError, CliResult};
use crate::cli::keys::Keys;
use crate::cli::session::{self, Work};
use crate::cli::signals::Interrupts;
use crate::cli::watching;
use crate::cli::{parse, runtime};
use crate::compose::{Diagnostic, LoadOptions, Project, SetPart};
use crate::env;
use crate::image::PullPolicy;
use crate::reconcile::{self, Recreate, UpChoices, UpOptions, cancel_pair};
use crate::supervise::logs::project::Wanted;
use crate::supervise::record::ContainerRecord;
use crate::ui::progress::Quiet;
use crate::ui::{self, write_out};

/// Flags of `skiff up`.
#[derive(Debug, Args)]
pub struct UpArgs {
    /// Run in the background
    #[arg(short, long)]
    detach: bool,
    /// Wait until services run, and are healthy where they have a probe; implies -d
    #[arg(long)]
    wait: bool,
    /// Give up waiting after so many seconds
    #[arg(long, value_name = "SECONDS")]
    wait_timeout: Option<u64>,
    /// Recreate containers even where nothing changed
    #[arg(long, conflicts_with = "no_recreate")]
    force_recreate: bool,
    /// Keep existing containers even where something changed
    #[arg(long)]
    no_recreate: bool,
    /// Recreate dependencies as well
    #[arg(long, conflicts_with = "no_recreate")]
    always_recreate_deps: bool,
    /// Leave dependencies alone
    #[arg(long)]
    no_deps: bool,
    /// Create containers and do not start them
    #[arg(long, conflicts_with_all = ["wait", "detach"])]
    no_start: bool,
    /// Remove containers of services that the file no longer has
    #[arg(
        long,
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        value_name = "BOOL"
    )]
    remove_orphans: Option<bool>,
    /// Make new anonymous volumes instead of keeping the old ones
    #[arg(short = 'V', long)]
    renew_anon_volumes: bool,
    /// Run so many replicas of a service
    #[arg(long, value_name = "SERVICE=NUM")]
    scale: Vec<String>,
    /// Images.
    #[command(flatten)]
    pub(super) images: ImageFlags,
    /// Seconds to wait for a container to stop
    #[arg(short, long, value_name = "SECONDS", allow_negative_numbers = true)]
    pub(super) timeout: Option<i64>,
    /// Stop all containers when one ends
    #[arg(long, conflicts_with_all = ["detach", "wait"])]
    abort_on_container_exit: bool,
    /// Stop all containers when one fails
    #[arg(long, conflicts_with_all = ["detach", "wait"])]
    pub(super) abort_on_container_failure: bool,
    /// End with this service's exit code; implies --abort-on-container-exit
    #[arg(long, value_name = "SERVICE", conflicts_with_all = ["detach", "wait"])]
    pub(super) exit_code_from: Option<String>,
    /// Show only these services' output
    #[arg(long, value_name = "SERVICE")]
    attach: Vec<String>,
    /// Do not show these services' output
    #[arg(long, value_name = "SERVICE")]
    no_attach: Vec<String>,
    /// Show the output of dependencies too
    #[arg(long, conflicts_with = "attach")]
    attach_dependencies: bool,
    /// No colours in log prefixes
    #[arg(long)]
    pub(super) no_color: bool,
    /// No prefix before log lines
    #[arg(long)]
    pub(super) no_log_prefix: bool,
    /// Show timestamps
    #[arg(long)]
    pub(super) timestamps: bool,
    /// Answer yes to every question
    #[arg(short = 'y', long)]
    yes: bool,
    /// Watch files, as `watch` does
    #[arg(short, long, conflicts_with_all = ["detach", "wait", "no_start"])]
    watch: bool,
    /// Keys that watch, rebuild and restart (default: where there is a terminal and
    /// something to watch)
    #[arg(
        long,
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        value_name = "BOOL"
    )]
    menu: Option<bool>,
    /// Services to start (default: all)
    #[arg(value_name = "SERVICE")]
    pub(super) services: Vec<String>,
}

/// Creates and starts a project's containers.
///
/// # Errors
/// The file is wrong, asks for what cannot be done, or an operation failed;
/// with containers' exit codes where the flags say so.
pub fn run(context: &Context, args: &UpArgs) -> CliResult {
    let load = context.load_options(&args.services)?;
    let project = if args.no_deps {
        context.load_by(&load)?
    } else {
        context.load_to_start(&load)?
    };
    context.check_known(&project, &args.services)?;
    let named = args.attach.iter().chain(&args.no_attach);
    let named: Vec<String> = named.chain(&args.exit_code_from).cloned().collect();
    context.check_known(&project, &named)?;
    let in_background = args.detach || args.wait || args.no_start || context.global.dry_run;
    let pull = args.images.pull()?;
    let choices = choices(context, &project, args)?;
    let rules = if args.watch {
        Some(watching::rules(context, &project, args.images.build())?)
    } else {
        None
    };
    let project = Arc::new(project);
    runtime::block_on(async {
        let up = Up {
            context,
            args,
            load,
            project: &project,
            pull,
        };
        if in_background {
            let options = up.options(choices, None);
            detached(context, &project, options, args.images.quiet()).await
        } else {
            up.attached(choices, rules).await
        }
    })
}

fn choices(context: &Context, project: &Project, args: &UpArgs) -> Result<UpChoices, CliError> {
    let (remove_orphans, ignore_orphans) = orphans(context, project, args.remove_orphans)?;
    Ok(UpChoices {
        services: args.services.clone(),
        no_deps: args.no_deps,
        recreate: recreate(args.force_recreate, args.no_recreate),
        always_recreate_deps: args.always_recreate_deps,
        renew_anonymous_volumes: args.renew_anon_volumes,
        remove_orphans,
        ignore_orphans,
        no_start: args.no_start,
        wait: args.wait,
        timeout: args.timeout,
        scale: scales(&args.scale)?,
    })
}

/// Whether containers of services that the file no longer has are removed, and
/// whether they are ignored.
pub(super) fn orphans(
    context: &Context,
    project: &Project,
    flag: Option<bool>,
) -> Result<(bool, bool), CliError> {
    let remove = flag.unwrap_or_else(|| context.settings.is_set(env::COMPOSE_REMOVE_ORPHANS));
    let ignore = session::ignore_orphans(project);
    if remove && ignore {
        let ignored = env::COMPOSE_IGNORE_ORPHANS;
        let message = format!("cannot combine {ignored} and --remove-orphans");
        let found = Diagnostic::error(message);
        let found = project.of_variable(ignored, SetPart::Value, found);
        return Err(context.refusal(std::iter::once(&found)));
    }
    Ok((remove, ignore))
}

/// `--force-recreate` and `--no-recreate`.
pub(super) const fn recreate(force: bool, never: bool) -> Recreate {
    match (force, never) {
        (true, _) => Recreate::Always,
        (_, true) => Recreate::Never,
        _ => Recreate::Changed,
    }
}

/// All `--scale`.
pub(super) fn scales(flags: &[String]) -> Result<BTreeMap<String, u32>, CliError> {
    flags.iter().map(|text| parse::scale(text)).collect()
}

/// An `up`, as it was asked for.
pub(super) struct Up<'a> {
    pub(super) context: &'a Context,
    pub(super) args: &'a UpArgs,
    /// How the project was loaded.
    pub(super) load: LoadOptions,
    pub(super) project: &'a Arc<Project>,
    pull: Option<PullPolicy>,
}

/// Brings a project to what is asked, and ends.
pub(super) async fn detached(
    context: &Context,
    project: &Project,
    options: UpOptions<'_>,
    quiet: Quiet,
) -> CliResult {
    let mut interrupts = Interrupts::new()?;
    let (handle, cancel) = cancel_pair();
    let console = ui::progress::muted(context.sink(), quiet);
    let work = Work::showing(context, &project.name, &cancel, console);
    let session = work.session();
    let up = reconcile::up(&session, project, options);
    let outcome = session::interruptible(&*work.console(), up, &handle, &mut interrupts).await;
    let outcome = outcome.map_err(|error| session::error(context, &error))?;
    if context.global.dry_run {
        write_out(&outcome.plan.to_string())?;
    }
    Ok(())
}

impl Up<'_> {
    pub(super) fn options<'w>(
        &self,
        choices: UpChoices,
        watcher: Option<&'w Reporter>,
    ) -> UpOptions<'w> {
        UpOptions {
            choices,
            pull: self.pull,
            build: self.args.images.build(),
            wait_timeout: self.args.wait_timeout.map(Duration::from_secs),
            dry_run: self.context.global.dry_run,
            watcher: watcher.map(|reporter| reporter as &dyn reconcile::Watcher),
        }
    }

    /// How a container is followed: those that are shown, and where an end is
    /// the end of all, those whose end counts.
    pub(super) fn wanted(&self, record: &ContainerRecord) -> Option<Wanted> {
        let args = self.args;
        let service = &record.service;
        let lines = self.is_shown(service);
        let watched = args.exit_code_from.as_ref() == Some(service)
            || self.aborts()
                && (args.services.is_empty() || args.services.contains(service))
                && self.project.services.contains_key(service);
        (!record.oneoff && (lines || watched)).then_some(Wanted { lines, holds: true })
    }

    /// Whether some end is the end of all.
    pub(super) fn aborts(&self) -> bool {
        let args = self.args;
        args.abort_on_container_exit
            || args.abort_on_container_failure
            || args.exit_code_from.is_some()
    }

    /// The keys, where somebody can press them and they mean something.
    pub(super) fn keys(&self) -> Option<Keys> {
        let has_rules = || {
            let mut services = self.project.services.values();
            services.any(|service| {
                let develop = service.develop.as_ref();
                develop.is_some_and(|develop| !develop.watch.is_empty())
            })
        };
        let settings = &self.context.settings;
        let wished = match self.args.menu {
            Some(flag) => flag,
            None if settings.get(env::COMPOSE_MENU).is_some() => settings.is_set(env::COMPOSE_MENU),
            None => has_rules(),
        };
        (wished || self.args.watch).then(Keys::listen).flatten()
    }

    /// Whether a service's output is shown.
    pub(super) fn is_shown(&self, service: &str) -> bool {
        let args = self.args;
        let is_in = |list: &[String]| list.iter().any(|name| name == service);
        if is_in(&args.no_attach) {
            return false;
        }
        if !args.attach.is_empty() {
            return is_in(&args.attach);
        }
        if !args.services.is_empty() && !args.attach_dependencies {
            return is_in(&args.services);
        }
        self.project
            .services
            .get(service)
            .is_none_or(|service| service.attach.unwrap_or(true))
    }
}
