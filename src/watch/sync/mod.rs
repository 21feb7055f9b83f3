//! Files of the machine's into a container, by descriptors: nothing runs in the
//! container for it, and no archive is made.

mod copy;
mod place;
mod remove;

use std::io;
use std::path::{Path, PathBuf};

use crate::engine::inroot::Root;
use crate::state::Layout;
use crate::supervise::inspect::ContainerView;

use super::tree::Kind;
use super::work::Item;
use copy::{Copier, What};
pub(super) use place::Place;

/// Errors that are told one by one; of a storm of them, the first say it all.
const TOLD: usize = 3;

/// Why something could not be written.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    /// The container's files cannot be reached.
    #[error("cannot reach the files of container `{container}`")]
    Reach {
        /// Its name.
        container: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// One file could not be read or written.
    #[error("cannot {action} `{}` in container `{container}`", path.display())]
    File {
        /// Its name.
        container: String,
        /// `write`, `remove`, …
        action: &'static str,
        /// In the container.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl SyncError {
    /// What to do about it.
    pub fn hint(&self) -> Option<&'static str> {
        let Self::File { source, .. } = self else {
            return None;
        };
        match source.raw_os_error() {
            Some(libc::EROFS) => Some(
                "it is read-only there: mount a volume or a tmpfs at the rule's `target`, or take \
                 `read_only` away",
            ),
            Some(libc::EBUSY) => Some("something is mounted there, which is not taken away"),
            Some(libc::ENOTDIR) => Some("a file is where a folder has to be"),
            Some(libc::EISDIR) => Some(
                "the container has a folder of its own there, which is not taken away; a `/` at the \
                 target's end puts a file into it",
            ),
            _ => None,
        }
    }
}

/// What was done.
#[derive(Debug, Default)]
pub(super) struct Done {
    /// Files, links and folders that were written.
    pub(super) written: usize,
    /// Paths that were taken away.
    pub(super) removed: usize,
    /// What could not be done; the first of it.
    pub(super) errors: Vec<SyncError>,
    /// How many more there are.
    pub(super) further: usize,
}

/// Carries changes into a container: what is new first, what has gone last, so that a
/// renamed file is at one of its places at any time. Blocks.
pub(super) fn carry(
    layout: &Layout,
    view: &ContainerView,
    work: &[Item],
) -> Result<Done, SyncError> {
    let container = || view.record.name.clone();
    let place = Place::open(layout, view).map_err(|source| SyncError::Reach {
        container: container(),
        source,
    })?;
    let mut done = Done::default();
    let mut failed = |action, path: &Path, source: io::Error| {
        if done.errors.len() < TOLD {
            done.errors.push(SyncError::File {
                container: container(),
                action,
                path: path.to_owned(),
                source,
            });
        } else {
            done.further += 1;
        }
    };
    let (mut written, mut removed) = (0, 0);
    let mut source: Option<(&Path, Root)> = None;
    let mut copier = Copier::new(&place);
    for (rule, change) in work.iter().filter(|(_, change)| change.kind != Kind::Gone) {
        let Some(below) = rule.takes(&change.path) else {
            continue;
        };
        let Some(to) = rule.destination(below) else {
            continue;
        };
        // A file is read from the folder that it is in.
        let is_itself = below.as_os_str().is_empty() && change.kind != Kind::Folder;
        let base = if is_itself {
            rule.path.parent().unwrap_or(&rule.path)
        } else {
            &rule.path
        };
        if source.as_ref().is_none_or(|(path, _)| *path != base) {
            match Root::at(base) {
                Ok(root) => source = Some((base, root)),
                // Gone since; the next change says so.
                Err(_) => continue,
            }
        }
        let Some((_, root)) = &source else { continue };
        let from = if is_itself {
            Path::new(rule.path.file_name().unwrap_or_default())
        } else {
            below
        };
        let what = What {
            kind: change.kind,
            may_replace_folder: change.was_folder,
        };
        match copier.put(root, from, &to, what) {
            Ok(true) => written += 1,
            Ok(false) => {}
            Err(errno) => failed("write", &to, errno.into()),
        }
    }
    drop(copier);
    for (rule, change) in work.iter().rev() {
        let Some(below) = rule.takes(&change.path) else {
            continue;
        };
        let Some(to) = rule
            .destination(below)
            .filter(|_| change.kind == Kind::Gone)
        else {
            continue;
        };
        match remove::at(&place, &to, below) {
            Ok(true) => removed += 1,
            Ok(false) => {}
            Err(errno) => failed("remove", &to, errno.into()),
        }
    }
    done.written = written;
    done.removed = removed;
    Ok(done)
}

#[cfg(test)]
mod tests;
