//! Reading logs, merged over several containers by time, and following them
//! by inotify(7); no process is asked.

use std::collections::VecDeque;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rustix::fs::inotify;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::cursor::{Cursor, WholeLine};
use super::line::{Stream, format_time};
use super::runs::{Phase, Run};
use crate::supervise::ready::watched;

/// Which lines are read.
#[derive(Debug, Clone, Default)]
pub struct ReadOptions {
    /// Only so many lines of each container.
    pub tail: Option<usize>,
    /// None from before this time.
    pub since: Option<Timestamp>,
    /// None from after this time.
    pub until: Option<Timestamp>,
    /// Wait for more at the end.
    pub follow: bool,
}

/// One container's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSource {
    /// The folder of the log files.
    pub folder: PathBuf,
    /// The container's run record, which tells of its runs. `None`: one run,
    /// which lasts until [`LogReader::end`].
    pub record: Option<PathBuf>,
    /// Whether its lines are read, or only its ends are looked for.
    pub lines: bool,
    /// Whether following lasts for as long as it runs.
    pub holds: bool,
    /// It was started a moment ago: it is read from its beginning whatever
    /// [`ReadOptions::tail`] says, and an end that is there already is told.
    pub just_started: bool,
}

impl LogSource {
    /// The log of a container that has been there for a while.
    pub fn new(folder: PathBuf, record: Option<PathBuf>) -> Self {
        Self {
            folder,
            record,
            lines: true,
            holds: true,
            just_started: false,
        }
    }
}

/// What [`LogReader::next`] brings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogItem {
    /// One line.
    Line(LogLine),
    /// A container's run has ended, and its lines have all been brought; or,
    /// without following, its log.
    Ended {
        /// As [`LogReader::add`] numbered it.
        source: usize,
        /// It runs again, or will by itself.
        restarts: bool,
    },
    /// Something happened in the folder of [`LogReader::watch`].
    Stirred,
}

/// One line of output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// As [`LogReader::add`] numbered it.
    pub source: usize,
    /// Which stream.
    pub stream: Stream,
    /// RFC 3339 in UTC, nine digits of fraction.
    pub time: String,
    /// Without the newline.
    pub text: Vec<u8>,
}

/// Reads the logs of several containers as one.
#[derive(Debug)]
pub struct LogReader {
    options: ReadOptions,
    since: Option<String>,
    until: Option<String>,
    sources: Vec<Source>,
    watches: Option<Watches>,
}

#[derive(Debug)]
struct Source {
    folder: PathBuf,
    /// The folder of a container that has never run comes with its first run.
    watched: bool,
    cursor: Cursor,
    record: Option<PathBuf>,
    lines: bool,
    holds: bool,
    ready: VecDeque<WholeLine>,
    /// Lines of a new run, until the end of the one before has been told.
    next_run: Vec<WholeLine>,
    follow: Follow,
    run: Run,
}

/// How long a source is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Follow {
    /// There may be more.
    On,
    /// To the present end of its log, then [`LogItem::Ended`].
    ToEnd,
    /// Not any more.
    Off,
}

#[derive(Debug)]
struct Watches {
    inotify: AsyncFd<OwnedFd>,
    told: Option<Told>,
}

/// The folder whose changes are told.
#[derive(Debug)]
struct Told {
    folder: PathBuf,
    /// `None` where it is not there.
    watch: Option<i32>,
    /// Of the nearest folder above it meanwhile, in which it may come back.
    above: Option<i32>,
}

impl LogReader {
    /// A reader without sources. Following needs a tokio runtime.
    ///
    /// # Errors
    /// No inotify instance to be had (`fs.inotify.max_user_instances`).
    pub fn new(options: ReadOptions) -> io::Result<Self> {
        let watches = if options.follow {
            let flags = inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK;
            let inotify = watched(inotify::init(flags)?, Interest::READABLE)?;
            Some(Watches {
                inotify,
                told: None,
            })
        } else {
            None
        };
        let since = options.since.map(format_time);
        let until = options.until.map(format_time);
        Ok(Self {
            options,
            since,
            until,
            sources: Vec::new(),
            watches,
        })
    }

    /// Tells of every change in this folder from now on, while following; of its
    /// coming, too, where it is not there, or goes and comes back.
    ///
    /// # Errors
    /// It cannot be watched.
    pub fn watch(&mut self, folder: &Path) -> io::Result<()> {
        if let Some(watches) = &mut self.watches {
            if watches
                .told
                .as_ref()
                .is_none_or(|told| told.folder != folder)
            {
                watches.told = Some(Told {
                    folder: folder.to_owned(),
                    watch: None,
                    above: None,
                });
            }
            watches.arm()?;
        }
        Ok(())
    }

    /// Reads this container's log too; answers its number.
    ///
    /// # Errors
    /// Its folder cannot be watched or read.
    pub fn add(&mut self, source: LogSource) -> io::Result<usize> {
        // Watched before it is read, so that nothing falls between.
        let mut watched = !source.lines;
        if let Some(watches) = &mut self.watches {
            if source.lines {
                watched = watches.add(&source.folder)?.is_some();
            }
            if let Some(folder) = source.record.as_deref().and_then(Path::parent) {
                watches.add(folder)?;
            }
        }
        let cursor = match self.options.tail {
            Some(count) if !source.just_started => Cursor::before_last(&source.folder, count)?,
            Some(_) | None => Cursor::at_beginning(&source.folder)?,
        };
        let follow = if self.options.follow {
            Follow::On
        } else {
            Follow::ToEnd
        };
        let run = if source.just_started {
            Run::unknown()
        } else {
            Run::look(source.record.as_deref())
        };
        self.sources.push(Source {
            folder: source.folder,
            watched,
            cursor,
            record: source.record,
            lines: source.lines,
            holds: source.holds,
            ready: VecDeque::new(),
            next_run: Vec::new(),
            follow,
            run,
        });
        Ok(self.sources.len() - 1)
    }

    /// Follows a container's log no further than to its present end: it has
    /// ended, and its log is complete.
    pub fn end(&mut self, source: usize) {
        if let Some(source) = self.sources.get_mut(source)
            && source.follow == Follow::On
        {
            source.follow = Follow::ToEnd;
        }
    }

    /// Whether a container that holds runs, or will by itself, as of what was
    /// brought so far.
    pub fn is_live(&self) -> bool {
        self.sources.iter().any(Source::is_live)
    }

    /// The next line of all, by time, or what happened. `None` at the end,
    /// which while following is where no container that holds runs: more may
    /// come when one is started again. May be dropped and called again.
    ///
    /// # Errors
    /// A log cannot be read.
    pub async fn next(&mut self) -> io::Result<Option<LogItem>> {
        loop {
            if let Some(item) = self.ready()? {
                return Ok(Some(item));
            }
            if !self.is_live() {
                return Ok(None);
            }
            if self.stirred().await? {
                return Ok(Some(LogItem::Stirred));
            }
        }
    }

    /// Waits until something changes that is followed; true where it is the
    /// folder of [`LogReader::watch`]. For ever, where nothing is followed.
    ///
    /// # Errors
    /// The changes cannot be read.
    pub async fn stirred(&mut self) -> io::Result<bool> {
        let Some(watches) = &mut self.watches else {
            return std::future::pending().await;
        };
        for source in self.sources.iter_mut().filter(|source| !source.watched) {
            if watches.add(&source.folder)?.is_some() {
                source.watched = true;
                return Ok(false);
            }
        }
        watches.wait().await
    }

    /// What is there without waiting.
    fn ready(&mut self) -> io::Result<Option<LogItem>> {
        let mut earliest: Option<(usize, &str)> = None;
        for (number, source) in self.sources.iter_mut().enumerate() {
            if let Some(restarts) = source.refill(self.since.as_deref(), self.until.as_deref())? {
                return Ok(Some(LogItem::Ended {
                    source: number,
                    restarts,
                }));
            }
            let Some(line) = source.ready.front() else {
                continue;
            };
            if earliest.is_none_or(|(_, time)| line.time.as_str() < time) {
                earliest = Some((number, &line.time));
            }
        }
        let Some((number, _)) = earliest else {
            return Ok(None);
        };
        let line = self
            .sources
            .get_mut(number)
            .and_then(|source| source.ready.pop_front());
        Ok(line.map(|line| {
            LogItem::Line(LogLine {
                source: number,
                stream: line.stream,
                time: line.time,
                text: line.text,
            })
        }))
    }
}

impl Source {
    fn is_live(&self) -> bool {
        match self.follow {
            Follow::On => self.holds && self.run.phase.is_live(),
            // Its rest is still to be read.
            Follow::ToEnd => true,
            Follow::Off => false,
        }
    }

    /// Reads ahead where nothing is ready. Where a run has ended: whether the
    /// container runs again, or will.
    fn refill(&mut self, since: Option<&str>, until: Option<&str>) -> io::Result<Option<bool>> {
        while self.ready.is_empty() && self.follow != Follow::Off {
            // Looked at before the log is read: what it says is then complete.
            let now = Run::look(self.record.as_deref());
            let mut lines = if self.lines {
                self.cursor.read()?
            } else {
                Vec::new()
            };
            lines.retain(|line| {
                since.is_none_or(|since| line.time.as_str() >= since)
                    && until.is_none_or(|until| line.time.as_str() <= until)
            });
            // Held back until the end of the run before them is told.
            let is_next = self.run.phase == Phase::Live && self.run.is_before(&now);
            if self.follow == Follow::On && is_next {
                let is_new = |line: &WholeLine| line.time >= now.started;
                let old = lines.iter().position(is_new).unwrap_or(lines.len());
                self.next_run.extend(lines.drain(old..));
            }
            if !lines.is_empty() {
                self.ready.extend(lines);
                return Ok(None);
            }
            if self.follow == Follow::ToEnd {
                self.follow = Follow::Off;
                return Ok(Some(false));
            }
            let ended = self.run.has_ended_by(&now);
            let restarts = is_next || now.phase.is_live();
            // One that began and ended meanwhile ends behind its lines.
            self.run = if is_next {
                Run {
                    phase: Phase::Live,
                    started: now.started,
                }
            } else {
                now
            };
            self.ready.extend(self.next_run.drain(..));
            if ended {
                return Ok(Some(restarts));
            }
            if self.ready.is_empty() {
                return Ok(None);
            }
        }
        Ok(None)
    }
}

impl Watches {
    fn add(&self, folder: &Path) -> io::Result<Option<i32>> {
        let flags = inotify::WatchFlags::MODIFY
            | inotify::WatchFlags::CREATE
            | inotify::WatchFlags::DELETE
            | inotify::WatchFlags::MOVED_TO
            | inotify::WatchFlags::DELETE_SELF;
        match inotify::add_watch(self.inotify.get_ref(), folder, flags) {
            Ok(watch) => Ok(Some(watch)),
            // No such folder: then there is nothing to come either.
            Err(rustix::io::Errno::NOENT) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Watches the folder that is told of, or what is nearest above it; true where it
    /// is there and was not.
    fn arm(&mut self) -> io::Result<bool> {
        let Some(told) = self.told.as_ref().filter(|told| told.watch.is_none()) else {
            return Ok(false);
        };
        let mut above = told.above;
        let watch = loop {
            if let Some(watch) = self.add(&told.folder)? {
                break Some(watch);
            }
            let folders = told.folder.ancestors().skip(1);
            let mut nearest = folders
                .map(|folder| self.add(folder))
                .filter_map(Result::transpose);
            let nearest = nearest.next().transpose()?;
            if nearest == above {
                // It has not come since that is watched.
                break None;
            }
            self.forget(above);
            above = nearest;
        };
        if watch.is_some() {
            self.forget(above.take());
        }
        if let Some(told) = &mut self.told {
            (told.watch, told.above) = (watch, above);
        }
        Ok(watch.is_some())
    }

    /// Ends a watch, which may have gone with its folder.
    fn forget(&self, watch: Option<i32>) {
        if let Some(watch) = watch {
            inotify::remove_watch(self.inotify.get_ref(), watch).ok();
        }
    }

    /// Waits for any change; true where it is in the folder that is told of.
    /// Which other one it is does not matter: reading at the end of a log costs
    /// next to nothing.
    async fn wait(&mut self) -> io::Result<bool> {
        loop {
            let mut guard = self.inotify.readable().await?;
            let (mut seen, mut told, mut gone) = (false, false, false);
            let wanted = self.told.as_ref().and_then(|told| told.watch);
            let drained = guard.try_io(|inotify| {
                let mut buffer = [MaybeUninit::uninit(); 4096];
                let mut reader = inotify::Reader::new(inotify.get_ref(), &mut buffer);
                loop {
                    match reader.next() {
                        Ok(event) => {
                            seen = true;
                            let is_told = Some(event.wd()) == wanted;
                            told |= is_told;
                            gone |= is_told && event.events().contains(inotify::ReadFlags::IGNORED);
                        }
                        Err(errno) => return Err::<(), _>(io::Error::from(errno)),
                    }
                }
            });
            drop(guard);
            if let Ok(Err(error)) = drained {
                return Err(error);
            }
            if gone && let Some(told) = &mut self.told {
                told.watch = None;
            }
            if seen {
                return Ok(self.arm()? || told);
            }
        }
    }
}

#[cfg(test)]
mod tests;
