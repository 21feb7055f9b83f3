//! When changes are acted upon: the first one at once, storms in one piece. Pure.
//!
//! A single save is let through as soon as its file was closed and nothing
//! else happened for [`ALONE`]. The more paths change together, the longer nothing may
//! happen before they are taken for all: `git checkout` writes thousands, and is
//! one change for whoever looks at it.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Quiet after a change that is alone.
const ALONE: Duration = Duration::from_millis(2);
/// Quiet after a few that came together: "save all".
const FEW: Duration = Duration::from_millis(15);
/// Quiet after many.
const MANY: Duration = Duration::from_millis(80);
/// From here on they are many.
const MANY_ARE: usize = 8;
/// A file that is written and not closed may be half a file for so long.
const OPEN: Duration = Duration::from_millis(20);
/// A log is never closed: it is taken as it is after so long.
const OPEN_AT_MOST: Duration = Duration::from_millis(200);
/// A file that has gone may be about to come back: editors rename and write anew.
const GONE: Duration = Duration::from_millis(25);
/// A storm that does not end is cut.
const AT_MOST: Duration = Duration::from_secs(2);

/// What a hint says of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hint {
    /// It is as it is meant: closed after writing, renamed to its place.
    Whole,
    /// Its attributes may have changed.
    Touched,
    /// It is being written.
    Open,
    /// It has gone.
    Gone,
}

#[derive(Debug, Clone, Copy)]
struct Pending {
    hint: Hint,
    first: Instant,
    last: Instant,
    /// Its content may have changed, whatever its time and size say.
    is_written: bool,
}

impl Pending {
    /// When it may be taken, as far as it alone is concerned.
    fn due(&self) -> Instant {
        match self.hint {
            Hint::Whole | Hint::Touched => self.first,
            Hint::Open => (self.last + OPEN).min(self.first + OPEN_AT_MOST),
            Hint::Gone => self.last + GONE,
        }
    }
}

/// Changes that wait.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pending: HashMap<PathBuf, Pending>,
    first: Option<Instant>,
    /// When the last further path came.
    last: Option<Instant>,
    /// When anything was last heard of.
    heard: Option<Instant>,
}

impl Batch {
    /// Takes a hint.
    pub(super) fn note(&mut self, now: Instant, path: PathBuf, hint: Hint) {
        self.first.get_or_insert(now);
        self.heard = Some(now);
        let entry = self.pending.entry(path);
        let is_new = matches!(entry, Entry::Vacant(_));
        if is_new {
            self.last = Some(now);
        }
        let pending = entry.or_insert(Pending {
            hint,
            first: now,
            last: now,
            is_written: false,
        });
        pending.is_written |= hint != Hint::Touched;
        pending.last = now;
        // `chmod` of a file that is open says nothing about its end.
        if hint != Hint::Touched || pending.hint == Hint::Gone {
            pending.hint = hint;
        }
    }

    /// Whether a path waits.
    pub(super) fn has(&self, path: &Path) -> bool {
        self.pending.contains_key(path)
    }

    /// When they are to be acted upon; `None` where nothing waits.
    pub(super) fn due(&self) -> Option<Instant> {
        let (first, last, heard) = (self.first?, self.last?, self.heard?);
        // Of many, each by itself is not looked at: all of them wait longer than any would.
        let due = if self.pending.len() >= MANY_ARE {
            heard + MANY
        } else {
            let quiet = if self.pending.len() > 1 { FEW } else { ALONE };
            let each = self.pending.values().map(Pending::due);
            each.fold(last + quiet, Instant::max)
        };
        Some(due.min(first + AT_MOST))
    }

    /// Gives all of them where they are due, each with whether its content may have
    /// changed whatever its times say.
    pub(super) fn take(&mut self, now: Instant) -> Vec<(PathBuf, bool)> {
        if self.due().is_none_or(|due| due > now) {
            return Vec::new();
        }
        self.first = None;
        self.last = None;
        self.heard = None;
        let mut taken: Vec<(PathBuf, bool)> = std::mem::take(&mut self.pending)
            .into_iter()
            .map(|(path, pending)| (path, pending.is_written))
            .collect();
        // Folders before what is in them.
        taken.sort();
        taken
    }

    /// When the first of them came.
    pub(super) const fn since(&self) -> Option<Instant> {
        self.first
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is given, at which milliseconds, for hints at which milliseconds.
    fn play(hints: &[(u64, &str, Hint)]) -> Vec<(u64, Vec<String>)> {
        let start = Instant::now();
        let mut batch = Batch::default();
        let mut given = Vec::new();
        let mut heard = start;
        let mut flush = |batch: &mut Batch, heard: Instant, until: Option<Instant>| {
            while let Some(due) = batch
                .due()
                .filter(|due| until.is_none_or(|end| *due <= end))
            {
                let paths = batch.take(due);
                let paths = paths.iter().map(|(path, _)| path.display().to_string());
                let at = due.max(heard).duration_since(start).as_millis();
                given.push((u64::try_from(at).unwrap(), paths.collect()));
            }
        };
        for (at, path, hint) in hints {
            let now = start + Duration::from_millis(*at);
            flush(&mut batch, heard, Some(now));
            heard = now;
            batch.note(now, PathBuf::from(path), *hint);
        }
        flush(&mut batch, heard, None);
        given
    }

    fn at(at: u64, paths: &[&str]) -> (u64, Vec<String>) {
        (at, paths.iter().map(|path| (*path).to_owned()).collect())
    }

    #[test]
    fn one_save_goes_at_once() {
        let hints = [
            (0, "a", Hint::Open),
            (1, "a", Hint::Open),
            (3, "a", Hint::Whole),
        ];
        assert_eq!(play(&hints), [at(3, &["a"])]);
        assert_eq!(play(&[(0, "a", Hint::Whole)]), [at(2, &["a"])]);
    }

    #[test]
    fn a_file_that_is_not_closed_is_waited_for_and_not_for_ever() {
        assert_eq!(play(&[(0, "a", Hint::Open)]), [at(20, &["a"])]);
        let log: Vec<_> = (0..50).map(|i| (i * 10, "log", Hint::Open)).collect();
        assert_eq!(
            play(&log).iter().map(|given| given.0).collect::<Vec<_>>(),
            // 200 after the first hint of each.
            [200, 400, 510]
        );
    }

    #[test]
    fn a_save_by_renaming_is_no_deletion() {
        // vim: the file goes to its backup, and comes back.
        let hints = [
            (0, "a", Hint::Gone),
            (1, "a", Hint::Open),
            (4, "a", Hint::Whole),
        ];
        assert_eq!(play(&hints), [at(4, &["a"])]);
        assert_eq!(play(&[(0, "a", Hint::Gone)]), [at(25, &["a"])]);
    }

    #[test]
    fn a_storm_is_one_batch() {
        let names: Vec<String> = (0..1000).map(|i| format!("{i:04}")).collect();
        let hints: Vec<_> = names
            .iter()
            .zip(0..)
            .map(|(name, i)| (i, name.as_str(), Hint::Whole))
            .collect();
        let given = play(&hints);
        assert_eq!(given.len(), 1);
        assert_eq!((given[0].0, given[0].1.len()), (999 + 80, 1000));
    }

    #[test]
    fn a_storm_without_end_is_cut() {
        let names: Vec<String> = (0..5000).map(|i| format!("{i:04}")).collect();
        let hints: Vec<_> = names
            .iter()
            .zip(0..)
            .map(|(name, i)| (i, name.as_str(), Hint::Whole))
            .collect();
        let times: Vec<u64> = play(&hints).iter().map(|given| given.0).collect();
        assert_eq!(times, [2000, 4000, 5079]);
    }

    #[test]
    fn what_was_only_touched_is_told_apart() {
        let now = Instant::now();
        let mut batch = Batch::default();
        batch.note(now, "a".into(), Hint::Touched);
        batch.note(now, "b".into(), Hint::Whole);
        batch.note(now, "b".into(), Hint::Touched);
        let taken = batch.take(now + FEW);
        assert_eq!(taken, [("a".into(), false), ("b".into(), true)]);
        assert_eq!(batch.due(), None);
    }
}
