//! `skiff watch`.

use std::sync::Arc;

use clap::Args;

use crate::cli::attach::{Screen, Style};
use crate::cli::context::Context;
use crate::cli::error::CliResult;
use crate::cli::keys::Keys;
use crate::cli::runtime;
use crate::cli::session::{self, Work};
use crate::cli::signals::Interrupts;
use crate::cli::watching::{self, Next, Watching};
use crate::compose::Project;
use crate::reconcile::{
    self, BuildChoices, BuildMode, ReconcileError, Session, UpChoices, UpOptions, cancel_pair,
};
use crate::supervise::logs::project::Wanted;
use crate::supervise::record::ContainerRecord;
use crate::ui;
use crate::ui::progress::Quiet;
use crate::watch::Rules;

/// Flags of `skiff watch`.
#[derive(Debug, Args)]
pub struct WatchArgs {
    /// Do not build and start services first
    #[arg(long)]
    no_up: bool,
    /// Remove images that lose their name to a rebuilt one; they go in any case
    #[arg(
        long,
        num_args = 0..=1,
        require_equals = true,
        default_value_t = true,
        default_missing_value = "true",
        action = clap::ArgAction::Set,
        value_name = "BOOL"
    )]
    prune: bool,
    /// Hide the output of builds
    #[arg(long)]
    quiet: bool,
    /// No colours in log prefixes
    #[arg(long)]
    no_color: bool,
    /// No prefix before log lines
    #[arg(long)]
    no_log_prefix: bool,
    /// Services to watch (default: all)
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
}

/// Brings a project up, and carries changed files to it until it is ended.
///
/// # Errors
/// The file is wrong or has nothing to watch; the project does not come up.
pub fn run(context: &Context, args: &WatchArgs) -> CliResult {
    let options = context.load_options(&args.services)?;
    let project = context.load_by(&options)?;
    context.check_known(&project, &args.services)?;
    let rules = watching::rules(context, &project, BuildMode::Missing)?;
    if !args.prune {
        context
            .ui
            .warn("--prune=false has no effect: images without a name are never kept");
    }
    let project = Arc::new(project);
    runtime::block_on(async {
        let mut interrupts = Interrupts::new()?;
        let (handle, cancel) = cancel_pair();
        let quiet = Quiet {
            builds: args.quiet,
            pulls: args.quiet,
        };
        let console = ui::progress::muted(context.sink(), quiet);
        let work = Work::showing(context, &project.name, &cancel, console);
        let session = work.session();
        let wanted = |record: &ContainerRecord| wanted(&project, record);
        let style = Style {
            color: context.ui.color_out && !args.no_color,
            prefix: !args.no_log_prefix,
            timestamps: false,
        };
        let mut screen = Screen::new(
            &context.layout,
            &project.name,
            style,
            work.console(),
            wanted,
        )?;
        if !args.no_up {
            let up = bring_up(&session, &project, &rules, &args.services);
            session::interruptible(&*work.console(), up, &handle, &mut interrupts)
                .await
                .map_err(|error| session::error(context, &error))?;
        }
        screen.stay()?;
        let mut watching = Watching::start(
            context,
            &work,
            (Arc::clone(&project), rules),
            options,
            UpChoices {
                services: args.services.clone(),
                ..UpChoices::default()
            },
        )?;
        let joined = screen.joined();
        let mut keys = Keys::listen();
        watching.show_menu(keys.as_ref());
        loop {
            let next = tokio::select! {
                next = watching.next() => next?,
                ended = screen.run() => {
                    ended?;
                    Next::Nothing
                }
                () = joined.notified() => {
                    watching.look_again();
                    Next::Nothing
                }
                key = Keys::next(keys.as_mut()) => watching.press(key),
                _ = interrupts.next() => Next::Quit,
            };
            match next {
                Next::Nothing => {}
                Next::Discover => screen.discover()?,
                Next::Quit => break,
            }
        }
        handle.cancel();
        tokio::select! {
            () = watching.settle() => {}
            _ = interrupts.next() => {}
        }
        Ok(())
    })
}

/// Builds what is watched and can be built, and brings the services up.
async fn bring_up(
    session: &Session<'_>,
    project: &Project,
    rules: &Rules,
    services: &[String],
) -> Result<(), ReconcileError> {
    let built: Vec<String> = rules
        .services()
        .into_iter()
        .filter(|name| {
            let service = project.services.get(*name);
            service.is_some_and(|service| service.build.is_some())
        })
        .map(str::to_owned)
        .collect();
    if !built.is_empty() {
        let choices = BuildChoices {
            services: built,
            ..BuildChoices::default()
        };
        let requests = reconcile::build::requests(project, &choices)?;
        reconcile::build::build(session, &requests).await?;
    }
    let options = UpOptions {
        choices: UpChoices {
            services: services.to_vec(),
            ignore_orphans: session::ignore_orphans(project),
            ..UpChoices::default()
        },
        ..UpOptions::default()
    };
    reconcile::up(session, project, options).await.map(drop)
}

fn wanted(project: &Project, record: &ContainerRecord) -> Option<Wanted> {
    let service = project.services.get(&record.service);
    let lines = service.is_none_or(|service| service.attach.unwrap_or(true));
    (!record.oneoff && lines).then_some(Wanted { lines, holds: true })
}
