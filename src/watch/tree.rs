//! What is known of the files that are watched, and what has become of them.
//!
//! Hints of the kernel's say where to look. What is found there is compared with
//! what was there: so a file that came and went is nothing, a renamed one is a
//! deletion and a file, and where hints were lost, all is looked at.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use fs_err as fs;

use super::rules::Rules;

/// What there is at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// A symlink; it is never followed.
    Link,
    /// Nothing any more.
    Gone,
}

/// A path of which something has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Absolute.
    pub path: PathBuf,
    /// What is there now.
    pub kind: Kind,
    /// There was a folder, which this takes the place of.
    pub was_folder: bool,
}

/// What is known of one path: everything that a copy of it has, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    kind: Kind,
    inode: u64,
    mode: u32,
    owner: (u32, u32),
    size: u64,
    modified: (i64, i64),
}

/// Where folders are watched.
pub(super) trait Watches {
    /// Has changes of what is directly in a folder told from now on.
    ///
    /// # Errors
    /// The folder has gone, or the machine's limit is reached.
    fn watch(&mut self, folder: &Path) -> io::Result<()>;
}

/// What is known.
#[derive(Debug, Default)]
pub(super) struct Tree {
    known: BTreeMap<PathBuf, Stamp>,
    /// Files that are no rule's.
    sources: BTreeMap<PathBuf, Option<Stamp>>,
}

impl Tree {
    /// Looks at everything that the rules are about, and has folders watched that are
    /// not yet. Adds what has changed since it was last looked at; what was added before
    /// an error counts, as it is known now.
    pub(super) fn sweep(
        &mut self,
        rules: &Rules,
        watches: &mut dyn Watches,
        changes: &mut Vec<Change>,
    ) -> io::Result<()> {
        for rule in &rules.list {
            arm(&rule.path, watches)?;
            self.look(&rule.path, false, rules, watches, changes)?;
            self.walk(&rule.path, rules, watches, changes)?;
        }
        let known: Vec<PathBuf> = self.known.keys().cloned().collect();
        for path in known {
            if stamp(&path).is_none() {
                self.forget(&path, rules, changes);
            }
        }
        Ok(())
    }

    /// Looks at one path. `is_written`: its content may have changed, whatever its time
    /// and size say.
    pub(super) fn look(
        &mut self,
        path: &Path,
        is_written: bool,
        rules: &Rules,
        watches: &mut dyn Watches,
        changes: &mut Vec<Change>,
    ) -> io::Result<()> {
        let Some(found) = stamp(path) else {
            self.forget(path, rules, changes);
            // Something may be watched for its return.
            for rule in rules.list.iter().filter(|rule| rule.path.starts_with(path)) {
                arm(&rule.path, watches)?;
            }
            return Ok(());
        };
        let before = self.known.get(path).copied();
        let is_other =
            before.is_none_or(|before| (before.kind, before.inode) != (found.kind, found.inode));
        if found.kind != Kind::Folder {
            let was_folder = before.is_some_and(|before| before.kind == Kind::Folder);
            if was_folder {
                self.forget(path, rules, changes);
            }
            if rules.take(path) {
                self.known.insert(path.to_owned(), found);
                if is_written || before != Some(found) {
                    changes.push(Change {
                        was_folder,
                        ..change(path, found.kind)
                    });
                }
            }
            return Ok(());
        }
        if rules.need(path) {
            self.known.insert(path.to_owned(), found);
            let looks = |stamp: Stamp| (stamp.mode, stamp.owner);
            let is_changed = is_other || before.map(looks) != Some(looks(found));
            // The place that a rule copies to is the container's own.
            if is_changed && rules.take(path) && !is_root(path, rules) {
                changes.push(change(path, Kind::Folder));
            }
            if is_other {
                self.walk(path, rules, watches, changes)?;
            }
        } else if is_on_the_way(path, rules) {
            for rule in rules.list.iter().filter(|rule| rule.path.starts_with(path)) {
                arm(&rule.path, watches)?;
                if rule.path.exists() && !self.known.contains_key(&rule.path) {
                    let path = rule.path.clone();
                    self.look(&path, true, rules, watches, changes)?;
                }
            }
        }
        Ok(())
    }

    /// Looks at what is in a folder that is needed, and watches it first: so nothing
    /// that comes meanwhile is missed.
    fn walk(
        &mut self,
        folder: &Path,
        rules: &Rules,
        watches: &mut dyn Watches,
        changes: &mut Vec<Change>,
    ) -> io::Result<()> {
        let mut folders = vec![folder.to_owned()];
        while let Some(folder) = folders.pop() {
            if !rules.need(&folder) || stamp(&folder).is_none_or(|it| it.kind != Kind::Folder) {
                continue;
            }
            match watches.watch(&folder) {
                Err(error) if is_gone(&error) => continue,
                other => other?,
            }
            let Ok(entries) = fs::read_dir(&folder) else {
                // It has gone, or is not ours to read: then nothing in it can be copied.
                continue;
            };
            for entry in entries.filter_map(Result::ok) {
                let path = entry.path();
                let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
                if is_folder && rules.need(&path) {
                    let found = stamp(&path);
                    let before = found.and_then(|found| self.known.insert(path.clone(), found));
                    if before.map(|it| it.kind) != Some(Kind::Folder) && rules.take(&path) {
                        changes.push(change(&path, Kind::Folder));
                    }
                    folders.push(path);
                } else if !is_folder {
                    self.look(&path, false, rules, watches, changes)?;
                }
            }
        }
        Ok(())
    }

    /// What has gone, with all that was in it. Of a folder that a rule is about itself
    /// only what was in it: the place that it is copied to stays.
    fn forget(&mut self, path: &Path, rules: &Rules, changes: &mut Vec<Change>) {
        let below: Vec<PathBuf> = self
            .known
            .range(path.to_owned()..)
            .take_while(|(known, _)| known.starts_with(path))
            .map(|(known, _)| known.clone())
            .collect();
        for known in below {
            let stamp = self.known.remove(&known);
            let is_place =
                stamp.is_some_and(|it| it.kind == Kind::Folder) && is_root(&known, rules);
            if !is_place && rules.take(&known) {
                changes.push(change(&known, Kind::Gone));
            }
        }
    }

    /// Whether files that are no rule's are others than when this was last asked.
    pub(super) fn sources_changed(&mut self, sources: &BTreeSet<PathBuf>) -> bool {
        let now: BTreeMap<PathBuf, Option<Stamp>> = sources
            .iter()
            .map(|path| (path.clone(), stamp(path)))
            .collect();
        std::mem::replace(&mut self.sources, now.clone()) != now
    }

    /// Whether something was there when it was last looked at.
    pub(super) fn knows(&self, path: &Path) -> bool {
        self.known.contains_key(path)
    }

    /// The files and links below a rule's path that are newer than `since`, seconds and
    /// nanoseconds of the epoch.
    pub(super) fn newer(&self, path: &Path, since: (i64, i64)) -> Vec<Change> {
        self.known
            .range(path.to_owned()..)
            .take_while(|(known, _)| known.starts_with(path))
            .filter(|(_, stamp)| stamp.kind != Kind::Folder && stamp.modified >= since)
            .map(|(known, stamp)| change(known, stamp.kind))
            .collect()
    }
}

/// Watches for a rule's path: the folder itself is watched with what is in it, a file
/// by the folder that it is in, and what is not there by the nearest one above.
fn arm(path: &Path, watches: &mut dyn Watches) -> io::Result<()> {
    let mut folders = path.ancestors();
    if path.is_dir() {
        return Ok(());
    }
    folders.next();
    for folder in folders {
        match watches.watch(folder) {
            Err(error) if is_gone(&error) => {}
            other => return other,
        }
    }
    Ok(())
}

/// Whether a rule is about this very path.
fn is_root(path: &Path, rules: &Rules) -> bool {
    rules.list.iter().any(|rule| rule.path == path)
}

/// Whether a rule's path is below this one.
pub(super) fn is_on_the_way(path: &Path, rules: &Rules) -> bool {
    rules.list.iter().any(|rule| rule.path.starts_with(path))
}

fn is_gone(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::PermissionDenied
    )
}

fn change(path: &Path, kind: Kind) -> Change {
    Change {
        path: path.to_owned(),
        kind,
        was_folder: false,
    }
}

/// What is at a path now.
pub(super) fn kind(path: &Path) -> Kind {
    stamp(path).map_or(Kind::Gone, |stamp| stamp.kind)
}

/// What is at a path; devices, pipes and sockets are nothing.
fn stamp(path: &Path) -> Option<Stamp> {
    let found = fs::symlink_metadata(path).ok()?;
    let kind = found.file_type();
    let kind = if kind.is_symlink() {
        Kind::Link
    } else if kind.is_dir() {
        Kind::Folder
    } else if kind.is_fifo() || kind.is_socket() || kind.is_char_device() || kind.is_block_device()
    {
        return None;
    } else {
        Kind::File
    };
    Some(Stamp {
        kind,
        inode: found.ino(),
        mode: found.mode(),
        owner: (found.uid(), found.gid()),
        size: found.size(),
        modified: (found.mtime(), found.mtime_nsec()),
    })
}
