//! `skiff up`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use tokio::sync::mpsc;

use crate::cli::attach::{Ended, News, Reporter, Screen, Style};
use crate::cli::commands::image_flags::ImageFlags;
use crate::cli::context::Context;
use crate::cli::error::{CliError, CliResult};
use crate::cli::keys::Keys;
use crate::cli::session::{self, Work};
use crate::cli::signals::Interrupts;
use crate::cli::watching::{self, Next, Watching};
use crate::cli::{parse, runtime};
use crate::compose::{LoadOptions, Project};
use crate::env;
use crate::image::PullPolicy;
use crate::reconcile::{self, CancelHandle, Member, Recreate, UpChoices, UpOptions, cancel_pair};
use crate::supervise::logs::project::Wanted;
use crate::supervise::record::ContainerRecord;
use crate::ui::progress::Quiet;
use crate::ui::{self, write_out};
use crate::watch::Rules;

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
    images: ImageFlags,
    /// Seconds to wait for a container to stop
    #[arg(short, long, value_name = "SECONDS", allow_negative_numbers = true)]
    timeout: Option<i64>,
    /// Stop all containers when one ends
    #[arg(long, conflicts_with_all = ["detach", "wait"])]
    abort_on_container_exit: bool,
    /// Stop all containers when one fails
    #[arg(long, conflicts_with_all = ["detach", "wait"])]
    abort_on_container_failure: bool,
    /// End with this service's exit code; implies --abort-on-container-exit
    #[arg(long, value_name = "SERVICE", conflicts_with_all = ["detach", "wait"])]
    exit_code_from: Option<String>,
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
    no_color: bool,
    /// No prefix before log lines
    #[arg(long)]
    no_log_prefix: bool,
    /// Show timestamps
    #[arg(long)]
    timestamps: bool,
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
    services: Vec<String>,
}

/// Creates and starts a project's containers.
///
/// # Errors
/// The file is wrong, asks for what cannot be done, or an operation failed;
/// with containers' exit codes where the flags say so.
pub fn run(context: &Context, args: &UpArgs) -> CliResult {
    let load = context.load_options(&args.services)?;
    let project = context.load_by(&load)?;
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
        return Err(CliError::new(
            "cannot combine COMPOSE_IGNORE_ORPHANS and --remove-orphans",
        ));
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

struct Up<'a> {
    context: &'a Context,
    args: &'a UpArgs,
    /// How the project was loaded.
    load: LoadOptions,
    project: &'a Arc<Project>,
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
    fn options<'w>(&self, choices: UpChoices, watcher: Option<&'w Reporter>) -> UpOptions<'w> {
        UpOptions {
            choices,
            pull: self.pull,
            build: self.args.images.build(),
            wait_timeout: self.args.wait_timeout.map(Duration::from_secs),
            dry_run: self.context.global.dry_run,
            watcher: watcher.map(|reporter| reporter as &dyn reconcile::Watcher),
        }
    }

    async fn attached(&self, choices: UpChoices, rules: Option<Rules>) -> CliResult {
        let (handle, cancel) = cancel_pair();
        let (sender, news) = mpsc::unbounded_channel();
        let reporter = Reporter(sender);
        let console = ui::progress::muted(self.context.sink(), self.args.images.quiet());
        let work = Work::showing(self.context, &self.project.name, &cancel, console);
        let session = work.session();
        let style = Style {
            color: self.context.ui.color_out && !self.args.no_color,
            prefix: !self.args.no_log_prefix,
            timestamps: self.args.timestamps,
        };
        let wanted = |record: &ContainerRecord| self.wanted(record);
        let mut attached = Attached {
            up: self,
            screen: Screen::new(
                &self.context.layout,
                &self.project.name,
                style,
                work.console(),
                wanted,
            )?,
            interrupts: Interrupts::new()?,
            news,
            handle,
            selected: self.args.services.clone(),
            interrupted: false,
            result: None,
            is_final: false,
            keys: None,
            choices: choices.clone(),
            watching: None,
        };
        let options = self.options(choices, Some(&reporter));
        let up = reconcile::up(&session, self.project, options);
        let mut up = std::pin::pin!(up);
        loop {
            tokio::select! {
                // News first: a container is followed before its end is told.
                biased;
                Some(news) = attached.news.recv() => attached.take(news)?,
                _ = attached.interrupts.next() => { attached.interrupt()?; break; }
                outcome = &mut up => {
                    outcome.map_err(|error| session::error(self.context, &error))?;
                    break;
                }
                ended = attached.screen.run(), if attached.screen.is_live() => attached.note(ended?),
            }
        }
        if attached.interrupted {
            // The walk ends in a moment; then what it has started is stopped.
            up.await.ok();
        }
        while let Ok(news) = attached.news.try_recv() {
            attached.take(news)?;
        }
        attached.screen.discover()?;
        if !attached.interrupted {
            attached.keys = self.keys();
            if let Some(rules) = rules {
                attached.watch(&work, rules)?;
            }
            attached.show_menu(&work);
        }
        if attached.interrupted || !attached.follow_to_the_end(&work).await? {
            attached.leave().await;
            attached.stop(&work).await?;
        }
        attached.exit()
    }

    /// How a container is followed: those that are shown, and where an end is
    /// the end of all, those whose end counts.
    fn wanted(&self, record: &ContainerRecord) -> Option<Wanted> {
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
    fn aborts(&self) -> bool {
        let args = self.args;
        args.abort_on_container_exit
            || args.abort_on_container_failure
            || args.exit_code_from.is_some()
    }

    /// The keys, where somebody can press them and they mean something.
    fn keys(&self) -> Option<Keys> {
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
    fn is_shown(&self, service: &str) -> bool {
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

/// What the lower end of the terminal says while nothing is watched.
const MENU: &str = "w watch   q stop";

/// An `up` that shows its containers' output.
struct Attached<'a> {
    up: &'a Up<'a>,
    keys: Option<Keys>,
    /// What the flags say.
    choices: UpChoices,
    /// Files are watched.
    watching: Option<Watching<'a>>,
    screen: Screen<'a>,
    interrupts: Interrupts,
    news: mpsc::UnboundedReceiver<News>,
    handle: CancelHandle,
    /// The services that a Ctrl-C stops: those that were named, and what this
    /// `up` starts for them. Empty: all.
    selected: Vec<String>,
    /// A signal ended it.
    interrupted: bool,
    /// The exit code, once an end is the end of all.
    result: Option<i32>,
    /// It is that of the service that the flags name.
    is_final: bool,
}

/// What `watch` has to say; nothing where nothing is watched.
async fn watched(watching: Option<&mut Watching<'_>>) -> Result<Next, CliError> {
    match watching {
        Some(watching) => watching.next().await,
        None => std::future::pending().await,
    }
}

impl<'a> Attached<'a> {
    fn take(&mut self, news: News) -> CliResult {
        match news {
            News::Planned(members) => {
                let shown: Vec<&Member> = members
                    .iter()
                    .filter(|member| self.up.is_shown(&member.service))
                    .collect();
                self.screen.announce(&shown)?;
                for member in &members {
                    if !self.screen.follow_running(member)? {
                        self.select(&member.service);
                    }
                }
            }
            News::Started(member) => self.screen.follow_started(&member)?,
        }
        Ok(())
    }

    /// Adds a service that will be started to those that were named.
    fn select(&mut self, service: &String) {
        if !self.selected.is_empty() && !self.selected.contains(service) {
            self.selected.push(service.clone());
        }
    }

    /// Sets the exit code where the flags make this end the end of all.
    fn note(&mut self, ended: Option<Ended>) {
        let Some(ended) = ended else { return };
        let args = self.up.args;
        let is_named = args.exit_code_from.as_ref() == Some(&ended.service);
        let aborts = if args.abort_on_container_failure {
            ended.code != 0
        } else {
            self.up.aborts()
        };
        if (is_named && !self.is_final) || (aborts && self.result.is_none()) {
            self.result = Some(ended.code);
            self.is_final = is_named;
        }
    }

    fn interrupt(&mut self) -> CliResult {
        self.interrupted = true;
        self.handle.cancel();
        self.screen
            .say("Gracefully Stopping... press Ctrl+C again to force")?;
        Ok(())
    }

    /// Begins to watch files.
    fn watch(&mut self, work: &'a Work<'a>, rules: Rules) -> CliResult {
        let up = self.up;
        self.watching = Some(Watching::start(
            up.context,
            work,
            (Arc::clone(up.project), rules),
            up.load.clone(),
            self.choices.clone(),
        )?);
        // What ended may be started again by a change.
        Ok(self.screen.stay()?)
    }

    fn show_menu(&self, work: &Work<'_>) {
        match &self.watching {
            Some(watching) => watching.show_menu(self.keys.as_ref()),
            None => work.console().footer(self.keys.as_ref().map(|_| MENU)),
        }
    }

    /// What a key means.
    fn press(&mut self, key: u8, work: &'a Work<'a>) -> Next {
        match (&mut self.watching, key) {
            (Some(watching), key) => watching.press(key),
            (None, b'w') => {
                let up = self.up;
                let rules = watching::rules(up.context, up.project, up.args.images.build());
                match rules.and_then(|rules| self.watch(work, rules)) {
                    Ok(()) => {
                        if let Some(watching) = &self.watching {
                            watching.show_menu(self.keys.as_ref());
                        }
                    }
                    // What runs goes on.
                    Err(error) => self.tell(error),
                }
                Next::Nothing
            }
            (None, b'q') => Next::Quit,
            (None, _) => Next::Nothing,
        }
    }

    /// Tells of an error that is not the end.
    fn tell(&self, error: CliError) {
        let mut error = Some(error);
        let told = self.screen.console().beside(&mut || {
            if let Some(error) = error.take() {
                let _ = error.report(self.up.context.ui);
            }
            Ok(())
        });
        // It goes to standard error, whose end is nobody's loss.
        told.ok();
    }

    /// Ends what `watch` has under way.
    async fn leave(&mut self) {
        self.screen.console().footer(None);
        if let Some(mut watching) = self.watching.take() {
            self.handle.cancel();
            tokio::select! {
                () = watching.settle() => {}
                _ = self.interrupts.next() => {}
            }
        }
        self.keys = None;
    }

    /// Shows output until all containers have ended (true), or all are to be
    /// stopped (false). While files are watched, a container that ended may be made anew.
    async fn follow_to_the_end(&mut self, work: &'a Work<'a>) -> Result<bool, CliError> {
        let joined = self.screen.joined();
        loop {
            // It may be known since before all were started.
            if self.result.is_some() {
                self.screen.say_aside("Aborting on container exit...")?;
                return Ok(false);
            }
            let next = tokio::select! {
                ended = self.screen.run() => match ended? {
                    None => return Ok(true),
                    ended => {
                        self.note(ended);
                        Next::Nothing
                    }
                },
                next = watched(self.watching.as_mut()) => match next {
                    Ok(next) => next,
                    // What runs goes on without.
                    Err(error) => {
                        self.tell(error);
                        self.watching = None;
                        Next::Nothing
                    }
                },
                () = joined.notified() => {
                    if let Some(watching) = &mut self.watching {
                        watching.look_again();
                    }
                    Next::Nothing
                }
                key = Keys::next(self.keys.as_mut()) => self.press(key, work),
                _ = self.interrupts.next() => Next::Quit,
            };
            match next {
                Next::Nothing => {}
                Next::Discover => self.screen.discover()?,
                Next::Quit => {
                    self.interrupt()?;
                    return Ok(false);
                }
            }
        }
    }

    /// Stops what was selected. A further signal kills it, and one that comes
    /// while that takes its time ends the command.
    async fn stop(&mut self, work: &Work<'_>) -> CliResult {
        let session = work.uncancelled();
        let project = Some(&**self.up.project);
        let services = self.selected.clone();
        let stop = reconcile::stop_own(&session, project, &services, self.up.args.timeout);
        let mut stop = std::pin::pin!(stop);
        loop {
            tokio::select! {
                outcome = &mut stop => {
                    outcome.map_err(|error| session::error(self.up.context, &error))?;
                    break;
                }
                _ = self.interrupts.next() => {
                    let context = self.up.context;
                    let killed = tokio::select! {
                        killed = reconcile::kill_now(&session, &services) => killed,
                        silent = session::unanswered(&context.layout, session.project) => {
                            work.console().emit(session::left_alone(session.project, &silent));
                            return Err(CliError::Interrupted);
                        }
                        _ = self.interrupts.next() => return Err(CliError::Interrupted),
                    };
                    killed.map_err(|error| session::error(self.up.context, &error))?;
                }
                ended = self.screen.run(), if self.screen.is_live() => self.note(ended?),
            }
        }
        // The last lines and exits are in the logs by now.
        for ended in self.screen.catch_up().await? {
            self.note(Some(ended));
        }
        Ok(())
    }

    fn exit(&self) -> CliResult {
        if self.interrupted {
            return Err(CliError::Interrupted);
        }
        match self.result {
            None | Some(0) => Ok(()),
            Some(code) => Err(CliError::Exit(u8::try_from(code).unwrap_or(1))),
        }
    }
}
