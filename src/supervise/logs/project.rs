//! Following a project's output over restarts, recreations and new replicas.
//!
//! All is read from disk: run records tell what runs, the project's lock tells
//! whether a command is at work that may start something.

use std::io;
use std::path::PathBuf;

use jiff::Timestamp;
use tokio::task::JoinHandle;

use super::line::format_time;
use super::reader::{LogItem, LogReader, LogSource, ReadOptions};
use crate::state::lock::Lock;
use crate::state::{ContainerId, Layout};
use crate::supervise::inspect::{self, ContainerView};
use crate::supervise::record::ContainerRecord;

/// What is wanted of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// Its lines; else only its ends.
    pub lines: bool,
    /// Following lasts for as long as it runs.
    pub holds: bool,
}

/// Says what is wanted of a container.
type Choice<'a> = dyn Fn(&ContainerRecord) -> Option<Wanted> + 'a;

/// Whose lines they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Speaker {
    /// The container.
    pub id: ContainerId,
    /// Its full name.
    pub name: String,
    /// Its service.
    pub service: String,
    /// Its lines are wanted.
    pub lines: bool,
}

/// The logs of a project's containers, those that come later included.
#[expect(missing_debug_implementations, reason = "holds a function")]
pub struct ProjectLogs<'a> {
    layout: &'a Layout,
    project: &'a str,
    wanted: Box<Choice<'a>>,
    follow: bool,
    begun: String,
    reader: LogReader,
    /// As the reader numbers its sources.
    speakers: Vec<Speaker>,
    /// Containers that were not added are looked for.
    discovers: bool,
    /// Where nothing runs, something may be started: that is waited for.
    stays: bool,
    /// No command was at work the last time that nothing ran.
    quiet: bool,
    /// Waits for the command that is at work.
    at_work: Option<JoinHandle<io::Result<()>>>,
}

impl<'a> ProjectLogs<'a> {
    /// Without a container yet. `wanted` says which are followed, and how;
    /// new ones are looked for after [`ProjectLogs::discover`].
    ///
    /// # Errors
    /// No inotify instance to be had.
    pub fn new(
        layout: &'a Layout,
        project: &'a str,
        options: ReadOptions,
        wanted: impl Fn(&ContainerRecord) -> Option<Wanted> + 'a,
    ) -> io::Result<Self> {
        Ok(Self {
            layout,
            project,
            wanted: Box::new(wanted),
            follow: options.follow,
            begun: format_time(Timestamp::now()),
            reader: LogReader::new(options)?,
            speakers: Vec::new(),
            discovers: false,
            stays: false,
            quiet: false,
            at_work: None,
        })
    }

    /// Takes in a container that is there, if it is wanted; a second time
    /// changes nothing. `just_started` as in [`LogSource`].
    ///
    /// # Errors
    /// Its log cannot be read or watched.
    pub fn add(&mut self, record: &ContainerRecord, just_started: bool) -> io::Result<()> {
        if self.knows(&record.id) {
            return Ok(());
        }
        let Some(wanted) = (self.wanted)(record) else {
            return Ok(());
        };
        self.reader.watch(&self.records())?;
        self.reader.add(LogSource {
            folder: inspect::log_folder(self.layout, self.project, &record.id),
            record: Some(self.layout.run_record(self.project, &record.id)),
            lines: wanted.lines,
            holds: wanted.holds,
            just_started,
        })?;
        self.speakers.push(Speaker {
            id: record.id.clone(),
            name: record.name.clone(),
            service: record.service.clone(),
            lines: wanted.lines,
        });
        Ok(())
    }

    /// Takes in containers that others start, from now on, and those that were
    /// started since the beginning.
    ///
    /// # Errors
    /// Records or a log cannot be read.
    pub fn discover(&mut self) -> io::Result<()> {
        self.discovers = true;
        self.look_around()
    }

    /// As [`ProjectLogs::discover`], and goes on where nothing runs any more.
    ///
    /// # Errors
    /// Records or a log cannot be read.
    pub fn stay(&mut self) -> io::Result<()> {
        self.stays = true;
        self.reader.watch(&self.records())?;
        self.discover()
    }

    /// Who it is that [`LogItem`] gives the number of.
    pub fn speaker(&self, source: usize) -> Option<&Speaker> {
        self.speakers.get(source)
    }

    /// Whether a container that holds runs, or will by itself.
    pub fn is_live(&self) -> bool {
        self.stays || self.reader.is_live()
    }

    /// The next line or end; [`LogItem::Stirred`] only after [`ProjectLogs::stay`], where
    /// a container has joined. `None` at the end,
    /// which while following is where nothing that holds runs and no command
    /// is at work on the project. May be dropped and called again.
    ///
    /// # Errors
    /// A log or record cannot be read.
    pub async fn next(&mut self) -> io::Result<Option<LogItem>> {
        loop {
            match self.reader.next().await? {
                Some(LogItem::Stirred) => {
                    let known = self.speakers.len();
                    self.look_around()?;
                    if self.stays && self.speakers.len() > known {
                        return Ok(Some(LogItem::Stirred));
                    }
                }
                Some(item) => {
                    self.quiet = false;
                    return Ok(Some(item));
                }
                // Looked at again after no command was at work.
                None if self.stays => {
                    let known = self.speakers.len();
                    if self.reader.stirred().await? {
                        self.look_around()?;
                    }
                    if self.speakers.len() > known {
                        return Ok(Some(LogItem::Stirred));
                    }
                }
                None if !self.follow || self.quiet => return Ok(None),
                None => self.rest().await?,
            }
        }
    }

    /// Nothing runs: waits until something may have changed.
    async fn rest(&mut self) -> io::Result<()> {
        let path = self.layout.project_lock(self.project);
        if self.at_work.is_none() && is_free(&path)? {
            self.quiet = true;
            return self.look_around();
        }
        let at_work = self.at_work.get_or_insert_with(|| {
            tokio::task::spawn_blocking(move || Lock::acquire(&path).map(drop))
        });
        tokio::select! {
            told = self.reader.stirred() => {
                if told? {
                    self.look_around()?;
                }
            }
            done = at_work => {
                self.at_work = None;
                done.map_err(io::Error::other)??;
            }
        }
        Ok(())
    }

    /// Takes in containers that were started since the beginning.
    fn look_around(&mut self) -> io::Result<()> {
        if !self.discovers {
            return Ok(());
        }
        let boot_id = inspect::boot_id()?;
        for id in inspect::container_ids(self.layout, self.project)? {
            if self.knows(&id) {
                continue;
            }
            let view = inspect::container(self.layout, self.project, &id, &boot_id)?;
            let is_new = |view: &ContainerView| {
                let started = view.run.as_ref().map(|run| &run.started);
                view.is_live() || started.is_some_and(|started| *started >= self.begun)
            };
            if let Some(view) = view.filter(is_new) {
                self.add(&view.record, true)?;
            }
        }
        Ok(())
    }

    fn knows(&self, id: &ContainerId) -> bool {
        self.speakers.iter().any(|speaker| speaker.id == *id)
    }

    /// The folder of the run records.
    fn records(&self) -> PathBuf {
        self.layout.run_project(self.project).join("containers")
    }
}

/// Whether no command changes the project just now. One that nobody ever ran a
/// command on has no lock, and gets none by being looked at.
fn is_free(path: &std::path::Path) -> io::Result<bool> {
    Ok(!path.exists() || Lock::try_acquire(path)?.is_some())
}
