//! What takes its time: files into containers, builds, restarts, commands. Each is a
//! future of its own; which may run at the same time, the loop decides.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;

use tokio::sync::Mutex;

use crate::compose::Project;
use crate::event::{Event, WatchNews};
use crate::reconcile::{self, BuildChoices, Session, UpChoices, UpOptions};

use super::carry::{Carried, Given, title};
use super::error::WatchError;
use super::exec;
use super::work::{After, Work};

/// What every job starts from.
#[derive(Clone)]
pub(super) struct Ground<'a> {
    pub(super) session: Session<'a>,
    /// The same, which nobody can interrupt: a restart that is given up half-way leaves a
    /// container that is started behind everybody's back.
    pub(super) calm: Session<'a>,
    /// As it is now: it may become another one while a job is under way.
    pub(super) current: Arc<RwLock<Arc<Project>>>,
    /// What the command was told: numbers of replicas, time to stop.
    pub(super) choices: Arc<UpChoices>,
    /// Held by whoever changes containers: one of our own is nothing to wait for aloud.
    pub(super) gate: Arc<Mutex<()>>,
}

/// What a job came to.
pub(super) enum Finished {
    /// Files were carried.
    Synced {
        service: String,
        /// With the number of the rules that it was carried by.
        given: (u64, Given),
        /// What was asked for after that.
        after: After,
        error: Option<WatchError>,
    },
    /// Containers were dealt with.
    Settled {
        services: BTreeSet<String>,
        /// Those whose containers are others now, which have not been given anything.
        anew: BTreeSet<String>,
        /// What comes after that.
        rest: BTreeMap<String, After>,
        errors: Vec<WatchError>,
    },
    /// The project is another one.
    Applied(Option<WatchError>),
    /// One more thing to tell.
    Told(WatchError),
}

impl Ground<'_> {
    /// The project as it is now.
    pub(super) fn project(&self) -> Arc<Project> {
        let current = self.current.read();
        Arc::clone(&current.unwrap_or_else(PoisonError::into_inner))
    }

    fn become_other(&self, project: &Arc<Project>) {
        let current = self.current.write();
        *current.unwrap_or_else(PoisonError::into_inner) = Arc::clone(project);
    }

    fn choices(&self, services: Vec<String>, no_deps: bool) -> UpChoices {
        UpChoices {
            services,
            no_deps,
            ignore_orphans: true,
            scale: self.choices.scale.clone(),
            timeout: self.choices.timeout,
            ..UpChoices::default()
        }
    }

    fn tell(
        &self,
        action: &'static str,
        services: Vec<String>,
        message: impl Into<String>,
    ) -> Tell<'_> {
        Tell {
            session: &self.session,
            news: WatchNews {
                action,
                services,
                message: message.into(),
                files: None,
                elapsed: None,
                failed: false,
            },
        }
    }

    /// Carries files into a service's containers.
    pub(super) async fn sync(
        self,
        service: String,
        (generation, mut given): (u64, Given),
        work: Work,
    ) -> Finished {
        let layout = self.session.layout.clone();
        let names = (self.session.project.to_owned(), service.clone());
        let Work {
            items,
            after,
            since,
            anew: _,
        } = work;
        let title = match items.as_slice() {
            [] => "what was synced before, for what is new".to_owned(),
            items => title(items, &self.project().working_dir),
        };
        let is_empty = items.is_empty();
        let kept = given.clone();
        let done = tokio::task::spawn_blocking(move || {
            let carried = given.carry(&layout, (&names.0, &names.1), &items);
            (given, carried)
        })
        .await;
        let (given, carried) = match done {
            Ok((given, carried)) => (given, carried),
            Err(error) => (kept, Err(std::io::Error::other(error))),
        };
        let error = match carried {
            Ok(carried) if is_empty && carried.containers == 0 => None,
            Ok(carried) => self.carried(&service, &title, carried, since),
            Err(source) => Some(WatchError::Io {
                action: "read the project's containers",
                source,
            }),
        };
        Finished::Synced {
            service,
            given: (generation, given),
            after,
            error,
        }
    }

    fn carried(
        &self,
        service: &str,
        title: &str,
        carried: Carried,
        since: Option<Instant>,
    ) -> Option<WatchError> {
        let services = vec![service.to_owned()];
        if carried.written + carried.removed > 0 {
            let mut message = title.to_owned();
            if carried.containers > 1 {
                message.push_str(&format!(" in {} containers", carried.containers));
            }
            let mut told = self.tell("sync", services, message);
            told.news.files = Some((carried.written, carried.removed));
            told.since(since);
        } else if carried.containers == 0 && carried.errors.is_empty() {
            self.tell("sync", services, format!("{title}: no container is there"))
                .failed();
        }
        let mut errors = carried.errors.into_iter();
        let first = Box::new(errors.next()?);
        let further = errors.count() + carried.further;
        Some(WatchError::Sync { first, further })
    }

    /// Builds images, if any are to be built; else restarts, then runs commands. So what
    /// is made anew gets its files before a command runs in it.
    pub(super) async fn settle(self, wanted: BTreeMap<String, After>) -> Finished {
        let services: BTreeSet<String> = wanted.keys().cloned().collect();
        let since = wanted.values().filter_map(|after| after.since).min();
        let mut errors = Vec::new();
        let rebuilt = chosen(&wanted, |after| after.rebuild);
        if rebuilt.is_empty() {
            self.stir(&wanted, since, &mut errors).await;
            return Finished::Settled {
                services,
                anew: BTreeSet::new(),
                rest: BTreeMap::new(),
                errors,
            };
        }
        let anew = match self.rebuild(&rebuilt, since).await {
            Ok(anew) => anew,
            Err(error) => {
                errors.push(error);
                BTreeSet::new()
            }
        };
        let mut rest = wanted;
        for (service, after) in &mut rest {
            after.rebuild = false;
            // It has just been started.
            after.restart &= !anew.contains(service);
        }
        rest.retain(|_, after| !after.is_nothing());
        Finished::Settled {
            services,
            anew,
            rest,
            errors,
        }
    }

    async fn stir(
        &self,
        wanted: &BTreeMap<String, After>,
        since: Option<Instant>,
        errors: &mut Vec<WatchError>,
    ) {
        let restarted = chosen(wanted, |after| after.restart);
        if !restarted.is_empty()
            && let Err(error) = self.restart(&restarted, since).await
        {
            errors.push(error);
        }
        for (service, after) in wanted {
            for rule in after.exec.values() {
                match exec::run(&self.session, service, &rule.exec).await {
                    Ok(0) => {}
                    Ok(_) => {
                        let words = exec::words(&rule.exec);
                        self.tell("exec", vec![service.clone()], format!("ran {words}"))
                            .since(after.since);
                    }
                    Err(error) => errors.push(error),
                }
            }
        }
    }

    /// Builds the services' images and makes their containers anew where the image is
    /// another one: while it is built, and where that fails, the old ones run.
    async fn rebuild(
        &self,
        services: &[String],
        since: Option<Instant>,
    ) -> Result<BTreeSet<String>, WatchError> {
        self.tell("rebuild", services.to_vec(), "rebuilding").now();
        let choices = BuildChoices {
            services: services.to_vec(),
            ..BuildChoices::default()
        };
        let requests = reconcile::build::requests(&self.project(), &choices)?;
        let built = reconcile::build::build(&self.session, &requests).await;
        built.inspect_err(|_| {
            self.tell(
                "rebuild",
                services.to_vec(),
                "the build failed: what runs stays as it is",
            )
            .failed();
        })?;
        let options = UpOptions {
            choices: self.choices(services.to_vec(), true),
            ..UpOptions::default()
        };
        let held = self.gate.lock().await;
        // It may be another one since the build began.
        let project = self.project();
        let outcome = reconcile::up(&self.session, &project, options).await?;
        drop(held);
        let changed: BTreeSet<String> = outcome
            .plan
            .creations()
            .map(|(target, _)| target.service.clone())
            .collect();
        let message = if changed.is_empty() {
            "rebuilt: the image is as it was"
        } else {
            "rebuilt and running"
        };
        self.tell("rebuild", services.to_vec(), message)
            .since(since);
        Ok(changed)
    }

    /// Brings the project to what its files say now, after saying what that means.
    pub(super) async fn apply(
        self,
        project: Arc<Project>,
        services: Vec<String>,
        since: Instant,
    ) -> Finished {
        let error = self.applied(&project, services, since).await.err();
        Finished::Applied(error)
    }

    async fn applied(
        &self,
        project: &Arc<Project>,
        services: Vec<String>,
        since: Instant,
    ) -> Result<(), WatchError> {
        let options = |dry_run| UpOptions {
            choices: self.choices(services.clone(), self.choices.no_deps),
            dry_run,
            ..UpOptions::default()
        };
        let held = self.gate.lock().await;
        self.become_other(project);
        let plan = reconcile::up(&self.session, project, options(true))
            .await?
            .plan;
        if plan.is_empty() {
            self.tell(
                "reload",
                Vec::new(),
                "the project's files have changed: nothing to do",
            )
            .now();
            return Ok(());
        }
        self.tell("reload", Vec::new(), "the project's files have changed:")
            .now();
        for line in plan.to_string().lines() {
            self.tell("plan", Vec::new(), line).now();
        }
        reconcile::up(&self.session, project, options(false)).await?;
        drop(held);
        self.tell("reload", Vec::new(), "done").since(Some(since));
        Ok(())
    }

    async fn restart(&self, services: &[String], since: Option<Instant>) -> Result<(), WatchError> {
        let held = self.gate.lock().await;
        let project = self.project();
        let timeout = self.choices.timeout;
        reconcile::restart(&self.calm, Some(&project), services, timeout, false).await?;
        drop(held);
        self.tell("restart", services.to_vec(), "restarted")
            .since(since);
        Ok(())
    }
}

fn chosen(wanted: &BTreeMap<String, After>, choose: impl Fn(&After) -> bool) -> Vec<String> {
    let chosen = wanted.iter().filter(|(_, after)| choose(after));
    chosen.map(|(service, _)| service.clone()).collect()
}

/// A line that is about to be told.
struct Tell<'s> {
    session: &'s Session<'s>,
    news: WatchNews,
}

impl Tell<'_> {
    fn now(self) {
        self.session.sink.emit(Event::Watch(self.news));
    }

    fn since(mut self, begun: Option<Instant>) {
        self.news.elapsed = begun.map(|begun| begun.elapsed());
        self.now();
    }

    fn failed(mut self) {
        self.news.failed = true;
        self.now();
    }
}
