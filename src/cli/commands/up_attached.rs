//! An attached `up`: the containers' output, keys, and the end of all.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::up::Up;
use crate::cli::attach::{Ended, News, Reporter, Screen, Style};
use crate::cli::error::{CliError, CliResult};
use crate::cli::keys::Keys;
use crate::cli::session::{self, Work};
use crate::cli::signals::Interrupts;
use crate::cli::watching::{self, Next, Watching};
use crate::reconcile::{self, CancelHandle, Member, UpChoices, cancel_pair};
use crate::supervise::record::ContainerRecord;
use crate::ui;
use crate::watch::Rules;

impl Up<'_> {
    /// Shows the containers' output until all have ended, or are stopped.
    ///
    /// # Errors
    /// As of `up`; Ctrl-C (130), or the exit code that the flags ask for.
    pub(super) async fn attached(&self, choices: UpChoices, rules: Option<Rules>) -> CliResult {
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
