//! What a service waits for. Pure: work that is wanted several times is one.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use crate::compose::WatchAction;

use super::rules::{Rule, Rules};
use super::tree::Change;

/// A change, and the rule that it counts for.
pub type Item = (Arc<Rule>, Change);

/// What is to be done for one service.
#[derive(Debug, Clone, Default)]
pub struct Work {
    /// Files to be carried.
    pub items: Vec<Item>,
    /// Containers are others: what they have not been given, they get.
    pub anew: bool,
    /// What comes after that.
    pub after: After,
    /// When the first change was heard of.
    pub since: Option<Instant>,
}

/// What is done with the service's containers.
#[derive(Debug, Clone, Default)]
pub struct After {
    /// Build the image, and make its containers anew.
    pub rebuild: bool,
    /// Restart them.
    pub restart: bool,
    /// Run these rules' commands in them, by their numbers.
    pub exec: BTreeMap<usize, Arc<Rule>>,
    /// When the first change was heard of.
    pub since: Option<Instant>,
}

impl After {
    pub(super) fn is_nothing(&self) -> bool {
        !self.rebuild && !self.restart && self.exec.is_empty()
    }

    pub(super) fn merge(&mut self, other: Self) {
        self.rebuild |= other.rebuild;
        self.restart |= other.restart;
        self.exec.extend(other.exec);
        self.since = self.since.into_iter().chain(other.since).min();
    }
}

impl Work {
    pub(super) fn merge(&mut self, other: Self) {
        // The later change of a path says what is there now.
        let mut places: HashMap<(usize, PathBuf), usize> = self
            .items
            .iter()
            .enumerate()
            .map(|(at, (rule, change))| ((rule.index, change.path.clone()), at))
            .collect();
        for (rule, mut change) in other.items {
            let key = (rule.index, change.path.clone());
            let earlier = places.get(&key).and_then(|at| self.items.get_mut(*at));
            if let Some(earlier) = earlier {
                change.was_folder |= earlier.1.was_folder;
                *earlier = (rule, change);
            } else {
                places.insert(key, self.items.len());
                self.items.push((rule, change));
            }
        }
        self.anew |= other.anew;
        self.after.merge(other.after);
        self.since = self.since.into_iter().chain(other.since).min();
    }
}

/// What changes lead to, by service.
pub fn of(rules: &Rules, changes: &[Change], since: Instant) -> BTreeMap<String, Work> {
    let mut all: BTreeMap<String, Work> = BTreeMap::new();
    for change in changes {
        for rule in &rules.list {
            if rule.takes(&change.path).is_none() {
                continue;
            }
            let work = all.entry(rule.service.clone()).or_default();
            work.since = Some(since);
            work.after.since = Some(since);
            if rule.copies() {
                work.items.push((Arc::clone(rule), change.clone()));
            }
            match rule.action {
                WatchAction::Sync => {}
                WatchAction::Rebuild => work.after.rebuild = true,
                WatchAction::Restart | WatchAction::SyncRestart => work.after.restart = true,
                WatchAction::SyncExec => {
                    work.after.exec.insert(rule.index, Arc::clone(rule));
                }
            }
        }
    }
    all
}
