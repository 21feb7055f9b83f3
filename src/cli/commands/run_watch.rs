//! `skiff run --watch`: a command that is run again at each change.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::mpsc;

use super::run::OneOff;
use crate::cli::context::Context;
use crate::cli::error::{CliError, CliResult};
use crate::cli::relay::{Input, Streams};
use crate::cli::session::{self, Work};
use crate::cli::signals::Interrupts;
use crate::cli::watching;
use crate::compose::{LoadOptions, Project};
use crate::event::{Event, WatchNews};
use crate::reconcile::{self, BuildMode, Cancel, Prepared, RunOptions, cancel_pair};
use crate::supervise::client::{Client, ClientError, Conversation};
use crate::supervise::inspect;
use crate::supervise::wire::{ChangeKind, Reply, Request};
use crate::ui::progress::{Console, Quiet};
use crate::ui::{self, write_out};
use crate::watch::files::{Files, News, Watched};
use crate::watch::tree::Change;
use crate::watch::{Item, Rule, Rules, WatchError, built, give, work_of};

/// Seconds that a command has to end after a change, where the service does not say:
/// somebody waits for the next run, and most programs take no notice of SIGTERM as
/// process 1.
const GRACE: i64 = 1;

/// What is run again and again.
pub(super) struct Again<'a> {
    pub(super) context: &'a Context,
    pub(super) service: &'a str,
    /// How the project was loaded.
    pub(super) load: LoadOptions,
    pub(super) options: RunOptions,
    /// `--quiet`, and what else is not shown.
    pub(super) quiet: (bool, Quiet),
    /// The terminal is cleared before each run.
    pub(super) clears: bool,
}

/// Why a run is over.
enum Over {
    /// The command ended, with this code.
    Ended(i32),
    /// Something has changed.
    Changed,
    /// The user has enough.
    Interrupted,
}

/// What is watched, and what has changed.
struct Watcher {
    files: Files,
    news: mpsc::UnboundedReceiver<News>,
    rules: Rules,
    /// What has changed since the beginning, as it is now.
    changed: BTreeMap<(usize, PathBuf), Item>,
    /// The image is another one now.
    rebuild: bool,
    /// So is the project.
    reload: bool,
}

impl Again<'_> {
    /// Runs until Ctrl-C.
    ///
    /// # Errors
    /// Nothing can be watched; Ctrl-C (130).
    pub(super) async fn run(mut self, mut project: Project) -> CliResult {
        let mut interrupts = Interrupts::new()?;
        let mut watcher = self.watcher(&project)?;
        let mut started = BTreeSet::new();
        let ended = self
            .again(&mut project, &mut watcher, &mut started, &mut interrupts)
            .await;
        // What it was started for has ended, too.
        let services: Vec<String> = started.into_iter().collect();
        if !services.is_empty() {
            let cancel = Cancel::never();
            let work = Work::showing(self.context, &project.name, &cancel, self.console());
            let session = work.session();
            let stop = reconcile::stop_own(&session, Some(&project), &services, None);
            tokio::select! {
                stopped = stop => {
                    stopped.map_err(|error| session::error(self.context, &error))?;
                }
                _ = interrupts.next() => {}
            }
        }
        ended
    }

    async fn again(
        &mut self,
        project: &mut Project,
        watcher: &mut Watcher,
        started: &mut BTreeSet<String>,
        interrupts: &mut Interrupts,
    ) -> CliResult {
        loop {
            if self.clears {
                write_out("\u{1b}[H\u{1b}[2J\u{1b}[3J")?;
            }
            // What has come while the last run was ended is in the next one.
            watcher.catch_up();
            if std::mem::take(&mut watcher.reload) {
                self.reload(project, watcher);
            }
            let begun = Instant::now();
            let over = self.once(project, watcher, started, interrupts).await;
            let waits = match over {
                Ok(Over::Interrupted) | Err(CliError::Interrupted) => {
                    return Err(CliError::Interrupted);
                }
                Ok(Over::Changed) => false,
                Ok(Over::Ended(code)) => {
                    let message = format!("ended with code {code}: waiting for changes");
                    self.tell(message, Some(begun), code != 0);
                    true
                }
                Err(error) => {
                    let _ = error.report(self.context.ui);
                    self.tell("waiting for changes", None, true);
                    true
                }
            };
            if waits {
                tokio::select! {
                    changed = watcher.changed(self) => changed?,
                    _ = interrupts.next() => return Err(CliError::Interrupted),
                }
            }
            if std::mem::take(&mut watcher.reload) {
                self.reload(project, watcher);
            }
            // Asked for once is asked for at every build that a change leads to.
            self.options.build = if std::mem::take(&mut watcher.rebuild) {
                BuildMode::Always
            } else {
                BuildMode::Missing
            };
            self.options.overrides.name = None;
        }
    }

    fn console(&self) -> Arc<dyn Console> {
        let (is_quiet, quiet) = self.quiet;
        if is_quiet {
            ui::progress::silent()
        } else {
            ui::progress::muted(self.context.sink(), quiet)
        }
    }

    /// Says something beside the command's output.
    fn tell(&self, message: impl Into<String>, begun: Option<Instant>, failed: bool) {
        let news = WatchNews::new("run", vec![self.service.to_owned()], message);
        let news = news.since(begun).failed(failed);
        self.console().emit(Event::Watch(news));
    }

    fn rules(&self, project: &Project) -> Result<Rules, CliError> {
        let rules = Rules::of_command(project, self.service);
        let rules = rules.map_err(|errors| self.context.refusal(errors.iter()))?;
        if rules.list.is_empty() {
            return Err(CliError::new(format!(
                "service `{}` has nothing to watch: no `develop.watch`, no mounted folder, no `build`",
                self.service
            )));
        }
        Ok(rules)
    }

    fn watcher(&self, project: &Project) -> Result<Watcher, CliError> {
        let rules = self.rules(project)?;
        let (sender, news) = mpsc::unbounded_channel();
        Ok(Watcher {
            files: Files::start(Watched::of(project, &rules), sender)?,
            news,
            rules,
            changed: BTreeMap::new(),
            rebuild: false,
            reload: false,
        })
    }

    /// Takes up a project that is another one now; where it is wrong, the old one counts.
    fn reload(&self, project: &mut Project, watcher: &mut Watcher) {
        let loaded = self.context.load_with(&self.load);
        let loaded = loaded.and_then(|loaded| Ok((self.rules(&loaded)?, loaded)));
        match loaded {
            Ok((rules, loaded)) => {
                watcher.files.watch(Watched::of(&loaded, &rules));
                watcher.rules = rules;
                *project = loaded;
            }
            Err(error) => drop(error.report(self.context.ui)),
        }
    }

    /// One run: the container is made, gets what has changed, and is started; it is
    /// removed at the end of the run.
    async fn once(
        &self,
        project: &Project,
        watcher: &mut Watcher,
        started: &mut BTreeSet<String>,
        interrupts: &mut Interrupts,
    ) -> Result<Over, CliError> {
        let context = self.context;
        let (handle, cancel) = cancel_pair();
        // Its lines are settled before the command's begin.
        let work = Work::showing(context, &project.name, &cancel, self.console());
        let prepare = {
            let session = work.session();
            let options = self.options.clone();
            let prepare = reconcile::run_prepare(&session, project, self.service, options);
            session::interruptible(&*work.console(), prepare, &handle, interrupts)
                .await
                .map_err(|error| session::error(context, &error))
        };
        let prepared = prepare?;
        started.extend(prepared.dependencies());
        drop(work);
        let client = Client::ensure(&context.layout, &project.name).await;
        let client = client.map_err(|error| CliError::from_error(&error))?;
        let run = OneOff {
            context,
            project,
            client: &client,
            overrides: &self.options.overrides,
            prepared: &prepared,
            removed_at_end: true,
        };
        let over = async {
            watcher.give(context, project, &prepared).await?;
            let mut follow = std::pin::pin!(follow(&run));
            tokio::select! {
                code = &mut follow => match code {
                    Ok(code) => Ok(Over::Ended(code)),
                    Err(error) => Err(run.error(&error)),
                },
                changed = watcher.changed(self) => changed.map(|()| Over::Changed),
                _ = interrupts.next() => Ok(Over::Interrupted),
            }
        };
        let over = over.await;
        let declared = project.services.get(self.service);
        let declares_grace = declared.is_some_and(|it| it.stop_grace_period.is_some());
        let grace = if declares_grace { None } else { Some(GRACE) };
        tokio::select! {
            () = clear(&client, &prepared, grace) => {}
            // Nobody waits for it: it is killed and removed in any case.
            _ = interrupts.next() => {}
        }
        over
    }
}

/// Starts the container and shows what it writes; its exit code.
async fn follow(run: &OneOff<'_>) -> Result<i32, ClientError> {
    let id = &run.prepared.container.id;
    let mut changes = run.client.start(Request::Subscribe, &[]).await?;
    if run.prepared.tty {
        let attached = run.client.attach(id).await?;
        run.start(&[]).await?;
        return on_terminal(run, attached).await;
    }
    // Nobody types into a command that may be another one at the next key.
    let streams = Streams::new(Input::Empty).map_err(|error| run.client.broken(error))?;
    let (ends, outputs) = streams.into_parts();
    run.start(&ends.each_ref().map(std::os::fd::AsFd::as_fd))
        .await?;
    drop(ends);
    let code = loop {
        let change = changes.next_change().await?;
        if change.id == *id
            && let ChangeKind::Exited { code, .. } = change.kind
        {
            break code.unwrap_or(255);
        }
    };
    tokio::task::spawn_blocking(move || outputs.finish())
        .await
        .ok();
    Ok(code)
}

/// What a terminal of the container shows. The caller's own stays as it is, so that
/// Ctrl-C ends all.
async fn on_terminal(run: &OneOff<'_>, mut output: Conversation) -> Result<i32, ClientError> {
    let id = &run.prepared.container.id;
    let mut code = 255;
    loop {
        let answer = output.next().await?;
        for master in &answer.fds {
            crate::cli::terminal::copy_size(std::io::stdout(), master);
        }
        match answer.reply {
            Reply::Output { data, .. } => {
                let mut out = std::io::stdout().lock();
                let written = out.write_all(&data).and_then(|()| out.flush());
                written.map_err(|error| run.client.broken(error))?;
            }
            Reply::Event(change) if change.id == *id => {
                if let ChangeKind::Exited { code: ended, .. } = change.kind {
                    code = ended.unwrap_or(255);
                }
            }
            Reply::Ok => return Ok(code),
            _ => {}
        }
    }
}

/// Ends and removes a run's container.
async fn clear(client: &Client, prepared: &Prepared, grace: Option<i64>) {
    let id = &prepared.container.id;
    let stop = Request::Stop {
        id: id.clone(),
        timeout: grace,
    };
    // It may have ended by itself, and then it is gone.
    client.call(stop, &[]).await.ok();
    let remove = Request::Remove {
        id: id.clone(),
        force: true,
        volumes: true,
    };
    client.call(remove, &[]).await.ok();
}

impl Watcher {
    /// Waits for a change that counts.
    async fn changed(&mut self, again: &Again<'_>) -> CliResult {
        let context = again.context;
        loop {
            match self.news.recv().await {
                Some(News::Changed {
                    changes, sources, ..
                }) => {
                    self.reload |= sources;
                    if self.take(&changes) || sources {
                        return Ok(());
                    }
                }
                Some(News::Watching { .. }) => {}
                Some(News::Limited { message }) => {
                    again.console().emit(Event::Warning { message });
                }
                Some(News::Failed { message }) => {
                    return Err(watching::error(context, &WatchError::Ended(message)));
                }
                None => {
                    let message = "the thread that watches has ended".to_owned();
                    return Err(watching::error(context, &WatchError::Ended(message)));
                }
            }
        }
    }

    /// Takes what has come without being waited for.
    fn catch_up(&mut self) {
        while let Ok(news) = self.news.try_recv() {
            if let News::Changed {
                changes, sources, ..
            } = news
            {
                self.reload |= sources;
                self.take(&changes);
            }
        }
    }

    /// Whether any of it counts.
    fn take(&mut self, changes: &[Change]) -> bool {
        let works = work_of(&self.rules, changes, Instant::now());
        let counts = !works.is_empty();
        for work in works.into_values() {
            self.rebuild |= work.after.rebuild;
            for (rule, change) in work.items {
                let key = (rule.index, change.path.clone());
                self.changed.insert(key, (rule, change));
            }
        }
        counts
    }

    /// Gives a new container what is newer than its image, and what has changed since.
    async fn give(&self, context: &Context, project: &Project, prepared: &Prepared) -> CliResult {
        let copying: Vec<&Arc<Rule>> = self.rules.list.iter().filter(|it| it.copies()).collect();
        if copying.is_empty() {
            return Ok(());
        }
        let layout = context.layout.clone();
        let boot_id = inspect::boot_id()?;
        let id = &prepared.container.id;
        let Some(view) = inspect::container(&layout, &project.name, id, &boot_id)? else {
            return Ok(());
        };
        let since = built(&layout, &view);
        let newer = copying
            .into_iter()
            .flat_map(|rule| self.files.newer(rule, since));
        let mut items: Vec<Item> = newer.collect();
        items.extend(self.changed.values().cloned());
        let given = tokio::task::spawn_blocking(move || give(&layout, &view, &items));
        let given = given.await.map_err(std::io::Error::other)?;
        given.map_err(|error| watching::error(context, &error))
    }
}
