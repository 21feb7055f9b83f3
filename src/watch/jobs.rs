//! What takes its time: files into containers, builds, restarts, commands. Each is a
//! future of its own; which may run at the same time, the loop decides.

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
        service: String,
        /// Its containers are others now, which have not been given anything.
        anew: bool,
        /// What comes after that.
        rest: After,
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

    fn tell(&self, news: WatchNews) {
        self.session.sink.emit(Event::Watch(news));
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
        let about = |message: String| WatchNews::new("sync", vec![service.to_owned()], message);
        if carried.written + carried.removed > 0 {
            let mut message = title.to_owned();
            if carried.containers > 1 {
                message.push_str(&format!(" in {} containers", carried.containers));
            }
            let mut news = about(message).since(since);
            news.files = Some((carried.written, carried.removed));
            self.tell(news);
        } else if carried.containers == 0 && carried.errors.is_empty() {
            self.tell(about(format!("{title}: no container is there")).failed(true));
        }
        WatchError::of_sync(carried.errors, carried.further)
    }

    /// Builds the service's image, if that is asked for; else restarts it, then runs
    /// commands. So what is made anew gets its files before a command runs in it.
    pub(super) async fn settle(self, service: String, mut wanted: After) -> Finished {
        let mut errors = Vec::new();
        if !std::mem::take(&mut wanted.rebuild) {
            self.stir(&service, &wanted, &mut errors).await;
            return Finished::Settled {
                service,
                anew: false,
                rest: After::default(),
                errors,
            };
        }
        let anew = match self.rebuild(&service, wanted.since).await {
            Ok(anew) => anew,
            Err(error) => {
                errors.push(error);
                false
            }
        };
        // It has just been started.
        wanted.restart &= !anew;
        Finished::Settled {
            service,
            anew,
            rest: wanted,
            errors,
        }
    }

    async fn stir(&self, service: &str, wanted: &After, errors: &mut Vec<WatchError>) {
        if wanted.restart
            && let Err(error) = self.restart(service, wanted.since).await
        {
            errors.push(error);
        }
        for rule in wanted.exec.values() {
            match exec::run(&self.session, service, &rule.exec).await {
                Ok(0) => {}
                Ok(_) => {
                    let message = format!("ran {}", exec::words(&rule.exec));
                    let news = WatchNews::new("exec", vec![service.to_owned()], message);
                    self.tell(news.since(wanted.since));
                }
                Err(error) => errors.push(error),
            }
        }
    }

    /// Builds the service's image and makes its containers anew where the image is another
    /// one (true): while it is built, and where that fails, the old ones run.
    async fn rebuild(&self, service: &str, since: Option<Instant>) -> Result<bool, WatchError> {
        let services = vec![service.to_owned()];
        let about = |message: &str| WatchNews::new("rebuild", services.clone(), message);
        self.tell(about("rebuilding"));
        let choices = BuildChoices {
            services: services.clone(),
            ..BuildChoices::default()
        };
        let requests = reconcile::build::requests(&self.project(), &choices)?;
        let built = reconcile::build::build(&self.session, &requests).await;
        built.inspect_err(|error| {
            if !error.is_cancelled() {
                self.tell(about("the build failed: what runs stays as it is").failed(true));
            }
        })?;
        let options = UpOptions {
            choices: self.choices(services.clone(), true),
            ..UpOptions::default()
        };
        let held = self.gate.lock().await;
        // It may be another one since the build began.
        let project = self.project();
        let outcome = reconcile::up(&self.session, &project, options).await?;
        drop(held);
        let anew = outcome.plan.creations().next().is_some();
        let message = if anew {
            "rebuilt and running"
        } else {
            "rebuilt: the image is as it was"
        };
        self.tell(about(message).since(since));
        Ok(anew)
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
        let before = self.project();
        self.become_other(project);
        for gone in before
            .services
            .keys()
            .filter(|name| !project.services.contains_key(*name))
        {
            let message = "is no service any more: its containers stay until `skiff up \
                           --remove-orphans`";
            self.tell(WatchNews::new("reload", vec![gone.clone()], message));
        }
        let plan = reconcile::up(&self.session, project, options(true))
            .await?
            .plan;
        let about = |message: &str| WatchNews::new("reload", Vec::new(), message);
        if plan.is_empty() {
            self.tell(about("the project's files have changed: nothing to do"));
            return Ok(());
        }
        self.tell(about("the project's files have changed:"));
        for line in plan.to_string().lines() {
            self.tell(WatchNews::new("plan", Vec::new(), line));
        }
        reconcile::up(&self.session, project, options(false)).await?;
        drop(held);
        self.tell(about("done").since(Some(since)));
        Ok(())
    }

    async fn restart(&self, service: &str, since: Option<Instant>) -> Result<(), WatchError> {
        let services = [service.to_owned()];
        let held = self.gate.lock().await;
        let project = self.project();
        let timeout = self.choices.timeout;
        reconcile::restart(&self.calm, Some(&project), &services, timeout, false).await?;
        drop(held);
        let news = WatchNews::new("restart", services.to_vec(), "restarted");
        self.tell(news.since(since));
        Ok(())
    }
}
