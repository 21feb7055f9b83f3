//! The thread that watches: hints of the kernel's in, changes out.
//!
//! Each folder is watched by itself, so that one that is left out is never looked at
//! (`inotify(7)` would need a watch for each folder in `node_modules`). Where the
//! machine's limit of watches is reached, folders are looked at again and again
//! instead.

use std::collections::{BTreeSet, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use notify::event::{AccessKind, AccessMode, ModifyKind, RenameMode};
use notify::{ErrorKind, Event, EventKind, RecursiveMode, Watcher};
use tokio::sync::mpsc::UnboundedSender;

use super::batch::{Batch, Hint};
use super::rules::{Rule, Rules};
use super::tree::{Change, Tree, Watches, is_on_the_way};
use super::work::Item;
use crate::compose::Project;

/// How often folders are looked at where they cannot be watched.
const POLL: Duration = Duration::from_millis(500);

/// What is watched.
#[derive(Debug, Clone, Default)]
pub struct Watched {
    /// The rules.
    pub rules: Rules,
    /// Files beside them: what the project was read from.
    pub sources: BTreeSet<PathBuf>,
}

impl Watched {
    /// A project's files by these rules, and what it and they are read from.
    pub fn of(project: &Project, rules: &Rules) -> Self {
        let mut sources = project.files();
        sources.extend(rules.sources.iter().cloned());
        Self {
            rules: rules.clone(),
            sources,
        }
    }
}

/// What the thread tells.
#[derive(Debug)]
pub enum News {
    /// Everything is watched from here on.
    Watching {
        /// Folders.
        folders: usize,
    },
    /// These have changed together.
    Changed {
        /// Of the rules' paths, in order; each once.
        changes: Vec<Change>,
        /// Some of the project's own files.
        sources: bool,
        /// When the first of it was heard of.
        since: Instant,
    },
    /// Folders are looked at every half second from here on.
    Limited {
        /// Which limit, and what to do.
        message: String,
    },
    /// Nothing is watched any more.
    Failed {
        /// Why.
        message: String,
    },
}

enum Input {
    Hint(notify::Result<Event>),
    Watch(Box<Watched>),
    /// Files that are newer than this, of the paths of these rules.
    Newer(PathBuf, (i64, i64), mpsc::Sender<Vec<Change>>),
    End,
}

/// A thread that watches until it is dropped.
#[derive(Debug)]
pub struct Files {
    input: mpsc::Sender<Input>,
}

impl Drop for Files {
    fn drop(&mut self) {
        self.input.send(Input::End).ok();
    }
}

impl Files {
    /// Begins to watch. The first news is [`News::Watching`].
    ///
    /// # Errors
    /// No thread can be made.
    pub fn start(watched: Watched, news: UnboundedSender<News>) -> io::Result<Self> {
        Self::start_with(watched, news, Folders::new)
    }

    fn start_with(
        watched: Watched,
        news: UnboundedSender<News>,
        folders: impl FnOnce(mpsc::Sender<Input>) -> Folders,
    ) -> io::Result<Self> {
        let (input, inputs) = mpsc::channel();
        let thread = Thread {
            watches: folders(input.clone()),
            watched: Watched::default(),
            tree: Tree::default(),
            batch: Batch::default(),
            rescan: None,
            news,
        };
        std::thread::Builder::new()
            .name("watch".to_owned())
            .spawn(move || thread.run(watched, &inputs))?;
        Ok(Self { input })
    }

    /// Goes on with other rules.
    pub fn watch(&self, watched: Watched) {
        // A thread that has ended has said why.
        self.input.send(Input::Watch(Box::new(watched))).ok();
    }

    /// The files and links that a rule takes and that are not older than `since` (seconds
    /// and nanoseconds of the epoch), as they are known. Blocks for a moment.
    pub fn newer(&self, rule: &Arc<Rule>, since: (i64, i64)) -> Vec<Item> {
        let (sender, answer) = mpsc::channel();
        let asked = Input::Newer(rule.path.clone(), since, sender);
        self.input.send(asked).ok();
        let found = answer.recv().unwrap_or_default().into_iter();
        let taken = found.filter(|change| rule.takes(&change.path).is_some());
        taken.map(|change| (Arc::clone(rule), change)).collect()
    }
}

struct Thread {
    watches: Folders,
    watched: Watched,
    tree: Tree,
    batch: Batch,
    /// When all is looked at anew, as hints were lost.
    rescan: Option<Instant>,
    news: UnboundedSender<News>,
}

/// Nobody listens any more.
struct Left;

impl Thread {
    fn run(mut self, watched: Watched, inputs: &mpsc::Receiver<Input>) {
        self.begin(watched, true).ok();
        loop {
            let due = self.batch.due().into_iter().chain(self.rescan).min();
            // What has come already is heard before anything is decided.
            let input = match due {
                None => inputs.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(due) => inputs.recv_timeout(due.saturating_duration_since(Instant::now())),
            };
            let done = match input {
                Ok(Input::Hint(Ok(hint))) => {
                    self.note(&hint);
                    Ok(())
                }
                // Something was not heard: all is looked at.
                Ok(Input::Hint(Err(_))) => {
                    self.rescan = Some(Instant::now() + POLL / 10);
                    Ok(())
                }
                Ok(Input::Watch(watched)) => self.begin(*watched, false),
                Ok(Input::Newer(path, since, answer)) => {
                    answer.send(self.tree.newer(&path, since)).ok();
                    Ok(())
                }
                Err(RecvTimeoutError::Timeout) => self.flush(),
                Ok(Input::End) | Err(RecvTimeoutError::Disconnected) => return,
            };
            if done.is_err() {
                return;
            }
        }
    }

    fn tell(&self, news: News) -> Result<(), Left> {
        self.news.send(news).map_err(|_| Left)
    }

    /// Looks at everything. What other rules bring in new is no change.
    fn begin(&mut self, watched: Watched, is_first: bool) -> Result<(), Left> {
        let before = std::mem::replace(&mut self.watched, watched);
        if let Some(message) = self.watches.limited.take() {
            self.tell(News::Limited { message })?;
        }
        let changes = self.sweep()?;
        let old: Vec<Change> = changes
            .into_iter()
            .filter(|change| !is_first && before.rules.take(&change.path))
            .collect();
        self.tree.sources_changed(&self.watched.sources);
        self.rescan = self.watches.is_polling().then(|| Instant::now() + POLL);
        let folders = self.watches.seen.len();
        self.tell(News::Watching { folders })?;
        self.changed(old, false, Instant::now())
    }

    fn sweep(&mut self) -> Result<Vec<Change>, Left> {
        let mut changes = Vec::new();
        while let Err(error) = self.sweep_into(&mut changes) {
            self.recover(&error)?;
        }
        Ok(changes)
    }

    fn sweep_into(&mut self, changes: &mut Vec<Change>) -> io::Result<()> {
        let rules = &self.watched.rules;
        self.tree.sweep(rules, &mut self.watches, changes)?;
        let folders = self.watched.sources.iter().filter_map(|file| file.parent());
        for folder in folders {
            self.watches.watch(folder)?;
        }
        Ok(())
    }

    /// Where the limit is reached, goes on without the kernel's help.
    fn recover(&mut self, error: &io::Error) -> Result<(), Left> {
        if self.watches.is_polling() {
            self.tell(News::Failed {
                message: error.to_string(),
            })?;
            return Err(Left);
        }
        let message = limited(error);
        self.watches.poll();
        self.rescan = Some(Instant::now() + POLL);
        self.tell(News::Limited { message })
    }

    fn note(&mut self, event: &Event) {
        if event.need_rescan() {
            self.rescan = Some(Instant::now() + POLL / 10);
            return;
        }
        let Some(hint) = hint(event.kind) else {
            return;
        };
        let now = Instant::now();
        for path in &event.paths {
            if self.batch.has(path) || self.is_wanted(path) {
                self.batch.note(now, path.clone(), hint);
            }
            if hint == Hint::Gone {
                self.watches.forget(path);
            }
        }
    }

    fn is_wanted(&self, path: &Path) -> bool {
        let rules = &self.watched.rules;
        rules.take(path)
            || self.watched.sources.contains(path)
            || is_on_the_way(path, rules)
            || self.tree.knows(path)
            // A folder whose name no pattern takes may have files that are taken.
            || (rules.need(path) && path.is_dir())
    }

    fn flush(&mut self) -> Result<(), Left> {
        let now = Instant::now();
        if self.rescan.is_some_and(|due| due <= now) {
            self.rescan = self.watches.is_polling().then(|| now + POLL);
            let changes = self.sweep()?;
            let sources = self.tree.sources_changed(&self.watched.sources);
            return self.changed(changes, sources, now);
        }
        let since = self.batch.since().unwrap_or(now);
        let taken = self.batch.take(now);
        if taken.is_empty() {
            return Ok(());
        }
        let mut changes = Vec::new();
        let mut sources = false;
        for (path, is_written) in taken {
            sources |= self.watched.sources.contains(&path);
            let rules = &self.watched.rules;
            let watches = &mut self.watches;
            let looked = self
                .tree
                .look(&path, is_written, rules, watches, &mut changes);
            if let Err(error) = looked {
                self.recover(&error)?;
                let further = self.sweep()?;
                changes.extend(further);
            }
        }
        if sources {
            // They are told now; a later look at everything has nothing new in them.
            self.tree.sources_changed(&self.watched.sources);
        }
        self.changed(changes, sources, since)
    }

    fn changed(&self, changes: Vec<Change>, sources: bool, since: Instant) -> Result<(), Left> {
        if changes.is_empty() && !sources {
            return Ok(());
        }
        self.tell(News::Changed {
            changes: last_words(changes),
            sources,
            since,
        })
    }
}

/// Each path once, as the last change of it says: a folder that became a file has gone
/// first.
fn last_words(mut changes: Vec<Change>) -> Vec<Change> {
    let mut seen = HashSet::new();
    changes.reverse();
    changes.retain(|change| seen.insert(change.path.clone()));
    changes.reverse();
    changes
}

/// What an event says of its paths; `None` where it says nothing of interest.
const fn hint(kind: EventKind) -> Option<Hint> {
    Some(match kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write))
        | EventKind::Modify(ModifyKind::Name(RenameMode::To)) => Hint::Whole,
        // A new folder is mostly not left empty.
        EventKind::Create(_) | EventKind::Modify(ModifyKind::Data(_)) => Hint::Open,
        EventKind::Modify(ModifyKind::Metadata(_)) => Hint::Touched,
        EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(RenameMode::From)) => Hint::Gone,
        _ => return None,
    })
}

/// The folders that are watched.
struct Folders {
    /// `None`: they are looked at again and again.
    watcher: Option<Box<dyn Watcher + Send>>,
    /// Why the kernel does not do it.
    limited: Option<String>,
    seen: HashSet<PathBuf>,
    input: mpsc::Sender<Input>,
}

impl Folders {
    /// Watched by the kernel (inotify(7)), where it has a watcher left.
    fn new(input: mpsc::Sender<Input>) -> Self {
        let mut folders = Self::with(None, input);
        match notify::recommended_watcher(folders.handler()) {
            Ok(watcher) => folders.watcher = Some(Box::new(watcher)),
            Err(error) => folders.limited = Some(limited(&as_io(error))),
        }
        folders
    }

    fn with(watcher: Option<Box<dyn Watcher + Send>>, input: mpsc::Sender<Input>) -> Self {
        Self {
            watcher,
            limited: None,
            seen: HashSet::new(),
            input,
        }
    }

    fn handler(&self) -> impl Fn(notify::Result<Event>) + Send + 'static {
        let input = self.input.clone();
        move |event| {
            // Reading a file is told, too.
            let is_noise = |event: &Event| {
                matches!(event.kind, EventKind::Access(kind)
                    if kind != AccessKind::Close(AccessMode::Write))
            };
            if !event.as_ref().is_ok_and(is_noise) {
                input.send(Input::Hint(event)).ok();
            }
        }
    }

    const fn is_polling(&self) -> bool {
        self.watcher.is_none()
    }

    fn poll(&mut self) {
        self.seen.clear();
        self.watcher = None;
    }

    /// A folder that has gone is watched anew when it comes back.
    fn forget(&mut self, folder: &Path) {
        if self.seen.remove(folder) {
            self.seen.retain(|seen| !seen.starts_with(folder));
        }
    }
}

impl Watches for Folders {
    fn watch(&mut self, folder: &Path) -> io::Result<()> {
        if self.seen.contains(folder) {
            return Ok(());
        }
        if let Some(watcher) = &mut self.watcher {
            watcher
                .watch(folder, RecursiveMode::NonRecursive)
                .map_err(as_io)?;
        }
        self.seen.insert(folder.to_owned());
        Ok(())
    }
}

fn as_io(error: notify::Error) -> io::Error {
    match error.kind {
        ErrorKind::Io(error) => error,
        ErrorKind::MaxFilesWatch => io::ErrorKind::StorageFull.into(),
        ErrorKind::PathNotFound => io::ErrorKind::NotFound.into(),
        other => io::Error::other(notify::Error::new(other).to_string()),
    }
}

/// The limit that was reached, and what raises it: inotify(7).
fn limited(error: &io::Error) -> String {
    let instances = error.raw_os_error() == Some(libc::EMFILE);
    if !instances && error.kind() != io::ErrorKind::StorageFull {
        return format!(
            "files cannot be watched ({error}): they are looked at every half second instead"
        );
    }
    let (what, name) = if instances {
        ("watchers", "max_user_instances")
    } else {
        ("watched folders", "max_user_watches")
    };
    let path = format!("/proc/sys/fs/inotify/{name}");
    let now: u64 = fs_err::read_to_string(path)
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(8192);
    let better = if instances {
        (now * 4).max(512)
    } else {
        (now * 4).max(524_288)
    };
    format!(
        "this machine's limit of {what} ({now}) is reached: files are looked at every half second \
         instead; raise it with: sudo sysctl fs.inotify.{name}={better}"
    )
}

#[cfg(test)]
#[path = "files_tests.rs"]
mod tests;
