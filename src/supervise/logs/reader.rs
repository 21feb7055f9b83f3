//! Reading logs, merged over several containers by time, and following them
//! by inotify(7); no process is asked.

use std::collections::{HashMap, VecDeque};
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
use crate::state::atomic;
use crate::supervise::ready::watched;
use crate::supervise::record::{RunRecord, RunState};

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
    /// The container's run record: when it says that the container neither
    /// runs nor will be started again, its log is not followed any longer.
    /// `None`: followed until [`LogReader::end`].
    pub record: Option<PathBuf>,
}

/// What [`LogReader::next`] brings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogItem {
    /// One line.
    Line(LogLine),
    /// A container whose log is not followed any longer.
    Ended {
        /// As [`LogReader::add`] numbered it.
        source: usize,
    },
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
    cursor: Cursor,
    record: Option<PathBuf>,
    ready: VecDeque<WholeLine>,
    follow: Follow,
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
    sources: HashMap<i32, Vec<usize>>,
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
                sources: HashMap::new(),
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

    /// Reads this container's log too; answers its number.
    ///
    /// # Errors
    /// Its folder cannot be watched or read.
    pub fn add(&mut self, source: LogSource) -> io::Result<usize> {
        let number = self.sources.len();
        // Watched before it is read, so that nothing falls between.
        if let Some(watches) = &mut self.watches {
            watches.add(&source.folder, number)?;
            if let Some(folder) = source.record.as_deref().and_then(Path::parent) {
                watches.add(folder, number)?;
            }
        }
        let cursor = match self.options.tail {
            Some(count) => Cursor::before_last(&source.folder, count)?,
            None => Cursor::at_beginning(&source.folder)?,
        };
        let follow = if self.options.follow {
            Follow::On
        } else {
            Follow::ToEnd
        };
        self.sources.push(Source {
            cursor,
            record: source.record,
            ready: VecDeque::new(),
            follow,
        });
        Ok(number)
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

    /// The next line of all, by time; `None` at the end, which while following
    /// comes when every source has ended.
    ///
    /// # Errors
    /// A log cannot be read.
    pub async fn next(&mut self) -> io::Result<Option<LogItem>> {
        loop {
            if let Some(item) = self.ready()? {
                return Ok(Some(item));
            }
            if self
                .sources
                .iter()
                .all(|source| source.follow == Follow::Off)
            {
                return Ok(None);
            }
            if let Some(watches) = &mut self.watches {
                watches.wait().await?;
            }
        }
    }

    /// What is there without waiting.
    fn ready(&mut self) -> io::Result<Option<LogItem>> {
        let mut earliest: Option<(usize, &str)> = None;
        for (number, source) in self.sources.iter_mut().enumerate() {
            if source.refill(self.since.as_deref(), self.until.as_deref())? {
                return Ok(Some(LogItem::Ended { source: number }));
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
    /// Reads ahead where nothing is ready; true where the source has ended now.
    fn refill(&mut self, since: Option<&str>, until: Option<&str>) -> io::Result<bool> {
        while self.ready.is_empty() && self.follow != Follow::Off {
            // Asked before the log is read: what it says is then complete.
            let ended = self.follow == Follow::ToEnd || self.has_ended();
            let lines = self.cursor.read()?;
            if lines.is_empty() {
                if ended {
                    self.follow = Follow::Off;
                }
                return Ok(ended);
            }
            self.ready.extend(lines.into_iter().filter(|line| {
                since.is_none_or(|since| line.time.as_str() >= since)
                    && until.is_none_or(|until| line.time.as_str() <= until)
            }));
        }
        Ok(false)
    }

    fn has_ended(&self) -> bool {
        let Some(path) = &self.record else {
            return false;
        };
        match atomic::read_json::<RunRecord>(path) {
            Ok(Some(record)) => matches!(record.state, RunState::Exited | RunState::Created),
            Ok(None) | Err(_) => true,
        }
    }
}

impl Watches {
    fn add(&mut self, folder: &Path, source: usize) -> io::Result<()> {
        let flags = inotify::WatchFlags::MODIFY
            | inotify::WatchFlags::CREATE
            | inotify::WatchFlags::DELETE
            | inotify::WatchFlags::MOVED_TO
            | inotify::WatchFlags::DELETE_SELF;
        match inotify::add_watch(self.inotify.get_ref(), folder, flags) {
            Ok(watch) => {
                self.sources.entry(watch).or_default().push(source);
                Ok(())
            }
            // No such folder: then there is nothing to come either.
            Err(rustix::io::Errno::NOENT) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Waits for any change. Which one does not matter: reading at the end of
    /// a log costs next to nothing.
    async fn wait(&mut self) -> io::Result<()> {
        loop {
            let mut guard = self.inotify.readable().await?;
            let mut seen = false;
            let drained = guard.try_io(|inotify| {
                let mut buffer = [MaybeUninit::uninit(); 4096];
                let mut reader = inotify::Reader::new(inotify.get_ref(), &mut buffer);
                loop {
                    match reader.next() {
                        Ok(_) => seen = true,
                        Err(errno) => return Err::<(), _>(io::Error::from(errno)),
                    }
                }
            });
            match drained {
                Ok(Err(error)) => return Err(error),
                Ok(Ok(())) | Err(_) if seen => return Ok(()),
                Ok(Ok(())) | Err(_) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests;
