//! The loop: changes come in, work goes out, and nothing that comes while something is
//! under way is lost.
//!
//! Files of one service are carried one batch after the other, at once, whatever else
//! is under way. Builds, restarts and commands of one service follow each other; those
//! of several do not wait for each other.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, RwLock};
use std::time::Instant;

use futures_util::StreamExt as _;
use futures_util::future::{FutureExt as _, LocalBoxFuture};
use futures_util::stream::FuturesUnordered;
use tokio::sync::{Mutex, mpsc};

use crate::compose::Project;
use crate::event::{Event, WatchNews};
use crate::reconcile::{Session, UpChoices};

use super::carry::{Given, image_time};
use super::error::WatchError;
use super::files::{Files, News, Watched};
use super::jobs::{Finished, Ground};
use super::rules::Rules;
use super::tree::Change;
use super::work::{After, Work, of};

/// Watches a project's files and does what its rules say.
#[expect(missing_debug_implementations, reason = "holds futures")]
pub struct Watch<'a> {
    ground: Ground<'a>,
    rules: Rules,
    files: Files,
    news: mpsc::UnboundedReceiver<News>,
    jobs: FuturesUnordered<LocalBoxFuture<'a, Finished>>,
    /// What each service has been given; absent while it is being given something.
    given: BTreeMap<String, (u64, Given)>,
    /// Services that are being given something.
    syncing: BTreeSet<String>,
    /// Goes up with each change of the rules.
    generation: u64,
    /// Files that wait to be carried, and what comes after that.
    waiting: BTreeMap<String, Work>,
    /// What waits to be done with containers.
    pending: BTreeMap<String, After>,
    /// Services with whose containers something is being done.
    busy: BTreeSet<String>,
    /// What has changed while nothing is to be done.
    paused: Option<BTreeMap<String, Work>>,
    has_begun: bool,
    /// The project's own files have changed while nothing is to be done.
    sources_wait: bool,
}

/// What somebody has to be told, beside the events.
#[derive(Debug)]
pub enum Report {
    /// Something failed; watching goes on.
    Failed(WatchError),
    /// The project's own files have changed: load it, and [`Watch::apply`] it.
    Sources,
    /// Containers may be others now.
    Settled,
    /// Nothing is watched any more.
    Ended(WatchError),
}

impl<'a> Watch<'a> {
    /// Begins to watch the files of a project's services, by the rules that were read
    /// from it. `sessions`: one that can be interrupted, and the same that cannot.
    ///
    /// # Errors
    /// No service has a rule; records cannot be read.
    pub fn start(
        sessions: (Session<'a>, Session<'a>),
        project: Arc<Project>,
        rules: Rules,
        choices: UpChoices,
    ) -> Result<Self, WatchError> {
        let (session, calm) = sessions;
        if rules.list.is_empty() {
            return Err(WatchError::Nothing);
        }
        let (sender, news) = mpsc::unbounded_channel();
        let watched = Watched::of(&project, &rules);
        let files = Files::start(watched, sender).map_err(|source| WatchError::Io {
            action: "watch files",
            source,
        })?;
        let mut watch = Self {
            ground: Ground {
                session,
                calm,
                current: Arc::new(RwLock::new(project)),
                choices: Arc::new(choices),
                gate: Arc::new(Mutex::new(())),
            },
            rules,
            files,
            news,
            jobs: FuturesUnordered::new(),
            given: BTreeMap::new(),
            syncing: BTreeSet::new(),
            generation: 0,
            waiting: BTreeMap::new(),
            pending: BTreeMap::new(),
            busy: BTreeSet::new(),
            paused: None,
            has_begun: false,
            sources_wait: false,
        };
        watch.meet()?;
        Ok(watch)
    }

    /// Gets to know the containers of services that are new.
    fn meet(&mut self) -> Result<(), WatchError> {
        let session = &self.ground.session;
        for service in self.rules.services() {
            if self.given.contains_key(service) || self.syncing.contains(service) {
                continue;
            }
            let given = Given::begin(session.layout, session.project, service);
            let given = given.map_err(|source| WatchError::Io {
                action: "read the project's containers",
                source,
            })?;
            self.given
                .insert(service.to_owned(), (self.generation, given));
        }
        Ok(())
    }

    /// Works until something is to be told. May be dropped and called again.
    pub async fn next(&mut self) -> Report {
        loop {
            self.launch();
            tokio::select! {
                biased;
                Some(finished) = self.jobs.next(), if !self.jobs.is_empty() => {
                    if let Some(report) = self.finish(finished) {
                        return report;
                    }
                }
                news = self.news.recv() => {
                    if let Some(report) = self.hear(news) {
                        return report;
                    }
                }
            }
        }
    }

    fn hear(&mut self, news: Option<News>) -> Option<Report> {
        match news {
            Some(News::Watching { folders }) => {
                self.begun(folders);
                None
            }
            Some(News::Changed {
                changes,
                sources,
                since,
            }) => {
                self.take(&changes, since);
                let waits = self.paused.is_some();
                self.sources_wait |= sources && waits;
                (sources && !waits).then_some(Report::Sources)
            }
            Some(News::Limited { message }) => {
                self.ground.session.sink.emit(Event::Warning { message });
                None
            }
            Some(News::Failed { message }) => Some(Report::Ended(WatchError::Ended(message))),
            None => Some(Report::Ended(WatchError::Ended(
                "the thread that watches has ended".to_owned(),
            ))),
        }
    }

    /// Everything is watched: what was to be synced at the start is.
    fn begun(&mut self, folders: usize) {
        let paths = self.rules.list.len();
        let paths = match paths {
            1 => "1 rule".to_owned(),
            paths => format!("{paths} rules"),
        };
        let folders = match folders {
            1 => "1 folder".to_owned(),
            folders => format!("{folders} folders"),
        };
        let is_first = !std::mem::replace(&mut self.has_begun, true);
        let services = self.rules.services().into_iter().map(str::to_owned);
        self.tell(
            "watch",
            services.collect(),
            format!("watching {folders} for {paths}"),
        );
        if !is_first {
            return;
        }
        let session = self.ground.session;
        for rule in self.rules.list.clone() {
            if !rule.initial_sync || !rule.copies() {
                continue;
            }
            let Some(since) = image_time(session.layout, session.project, &rule.service) else {
                continue;
            };
            let items = self.files.newer(&rule, since);
            if items.is_empty() {
                continue;
            }
            let work = Work {
                items,
                since: Some(Instant::now()),
                ..Work::default()
            };
            let waiting = self.waiting.entry(rule.service.clone());
            waiting.or_default().merge(work);
        }
    }

    fn take(&mut self, changes: &[Change], since: Instant) {
        let target = self.paused.as_mut().unwrap_or(&mut self.waiting);
        for (service, work) in of(&self.rules, changes, since) {
            target.entry(service).or_default().merge(work);
        }
    }

    /// Begins what can begin.
    fn launch(&mut self) {
        for (service, work) in std::mem::take(&mut self.waiting) {
            // Absent: it is being given something.
            let Some((generation, mut given)) = self.given.remove(&service) else {
                self.waiting.insert(service, work);
                continue;
            };
            if generation != self.generation {
                given.rebase(&service, &self.rules);
            }
            if work.items.is_empty() && !work.anew {
                self.given.insert(service.clone(), (self.generation, given));
                if !work.after.is_nothing() {
                    self.pending.entry(service).or_default().merge(work.after);
                }
                continue;
            }
            self.syncing.insert(service.clone());
            let job = self
                .ground
                .clone()
                .sync(service, (self.generation, given), work);
            self.jobs.push(job.boxed_local());
        }
        let ready: Vec<String> = self
            .pending
            .keys()
            .filter(|service| !self.busy.contains(*service))
            .cloned()
            .collect();
        for service in ready {
            if let Some(after) = self.pending.remove(&service) {
                self.busy.insert(service.clone());
                // Each by itself: a build that fails or takes its time is no other's.
                let job = self.ground.clone().settle(service, after);
                self.jobs.push(job.boxed_local());
            }
        }
    }

    /// Containers may have been made anew by somebody else: they get what they lack.
    pub fn look_again(&mut self) {
        for service in self.rules.services() {
            self.waiting.entry(service.to_owned()).or_default().anew = true;
        }
    }

    fn finish(&mut self, finished: Finished) -> Option<Report> {
        match finished {
            Finished::Synced {
                service,
                given: (generation, given),
                after,
                error,
            } => {
                self.syncing.remove(&service);
                // Of the rules that it was begun with.
                self.given.insert(service.clone(), (generation, given));
                if !after.is_nothing() {
                    self.pending.entry(service).or_default().merge(after);
                }
                error.map(Report::Failed)
            }
            Finished::Settled {
                service,
                anew,
                rest,
                errors,
            } => {
                self.busy.remove(&service);
                if anew || !rest.is_nothing() {
                    let work = Work {
                        anew,
                        after: rest,
                        ..Work::default()
                    };
                    self.waiting.entry(service).or_default().merge(work);
                }
                let mut errors = errors.into_iter();
                let first = errors.next();
                // The others come next.
                for error in errors {
                    let told = async move { Finished::Told(error) };
                    self.jobs.push(told.boxed_local());
                }
                Some(first.map_or(Report::Settled, Report::Failed))
            }
            Finished::Applied(error) => {
                let met = self.meet();
                for service in self.given.keys().chain(&self.busy) {
                    self.waiting.entry(service.clone()).or_default().anew = true;
                }
                let error = error.or_else(|| met.err());
                Some(error.map_or(Report::Settled, Report::Failed))
            }
            Finished::Told(error) => Some(Report::Failed(error)),
        }
    }

    fn tell(&self, action: &'static str, services: Vec<String>, message: impl Into<String>) {
        let news = WatchNews::new(action, services, message);
        self.ground.session.sink.emit(Event::Watch(news));
    }

    /// Does nothing about changes until it goes on; they are kept. A second time goes on.
    /// True where the project's own files are among them: load it.
    pub fn pause_or_resume(&mut self) -> bool {
        let Some(kept) = self.paused.take() else {
            self.paused = Some(BTreeMap::new());
            self.tell("pause", Vec::new(), "paused: changes wait");
            return false;
        };
        self.tell("resume", Vec::new(), "going on");
        for (service, work) in kept {
            self.waiting.entry(service).or_default().merge(work);
        }
        std::mem::take(&mut self.sources_wait)
    }

    /// Builds the services that are watched and can be built, as if something had changed.
    pub fn rebuild(&mut self) {
        self.ask(|after, can_build| after.rebuild = can_build);
    }

    /// Restarts the services that are watched.
    pub fn restart(&mut self) {
        self.ask(|after, _| after.restart = true);
    }

    fn ask(&mut self, ask: impl Fn(&mut After, bool)) {
        let project = self.ground.project();
        for service in self.rules.services() {
            let declared = project.services.get(service);
            let can_build = declared.is_some_and(|declared| declared.build.is_some());
            let mut after = After {
                since: Some(Instant::now()),
                ..After::default()
            };
            ask(&mut after, can_build);
            if !after.is_nothing() {
                self.pending
                    .entry(service.to_owned())
                    .or_default()
                    .merge(after);
            }
        }
    }

    /// Brings the project to what its files say now, and goes on with its rules.
    /// `services`: the ones that are chosen; empty: all.
    pub fn apply(&mut self, project: Arc<Project>, rules: Rules, services: Vec<String>) {
        // What is made anew meanwhile is given its files by the new rules.
        self.files.watch(Watched::of(&project, &rules));
        self.rules = rules;
        self.generation += 1;
        let job = self.ground.clone();
        let job = job.apply(project, services, Instant::now());
        self.jobs.push(job.boxed_local());
    }

    /// Waits until nothing is under way any more, and begins nothing.
    pub async fn settle(&mut self) {
        while self.jobs.next().await.is_some() {}
    }
}
