//! Changed files into all containers of a service.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::image::Store;
use crate::state::{ContainerId, Layout};
use crate::supervise::inspect::{self, ContainerView};

use super::error::WatchError;
use super::rules::{Rule, Rules};
use super::sync::{self, SyncError};
use super::tree::{Change, Kind, kind};
use super::work::Item;

/// What the containers of a service have been given in this session. One that is made
/// anew gets all of it: its image may be older.
#[derive(Debug, Clone, Default)]
pub(super) struct Given {
    containers: BTreeSet<ContainerId>,
    items: BTreeMap<(usize, PathBuf), Arc<Rule>>,
}

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Carried {
    /// Containers that have it.
    pub(super) containers: usize,
    /// Files, links and folders that were written, in one of them.
    pub(super) written: usize,
    /// Paths that were taken away, in one of them.
    pub(super) removed: usize,
    /// What went wrong; the first of it.
    pub(super) errors: Vec<SyncError>,
    /// How many more there are.
    pub(super) further: usize,
}

impl Given {
    /// Begins with the containers that are there.
    ///
    /// # Errors
    /// The records cannot be read.
    pub(super) fn begin(layout: &Layout, project: &str, service: &str) -> io::Result<Self> {
        let views = containers(layout, project, service)?;
        Ok(Self {
            containers: views.into_iter().map(|view| view.record.id).collect(),
            items: BTreeMap::new(),
        })
    }

    /// Goes on with other rules: what was carried goes where they say.
    pub(super) fn rebase(&mut self, service: &str, rules: &Rules) {
        let paths: BTreeSet<PathBuf> = self.items.keys().map(|(_, path)| path.clone()).collect();
        self.items.clear();
        // Those that are there have it where the old rules said.
        self.containers.clear();
        for rule in rules.list.iter().filter(|rule| rule.service == service) {
            for path in paths.iter().filter(|_| rule.copies()) {
                if rule.takes(path).is_some() {
                    self.items
                        .insert((rule.index, path.clone()), Arc::clone(rule));
                }
            }
        }
    }

    /// Remembers what is carried.
    fn take(&mut self, items: &[Item]) {
        for (rule, change) in items {
            let key = (rule.index, change.path.clone());
            self.items.insert(key, Arc::clone(rule));
        }
    }

    /// Everything, as it is now.
    fn all(&self) -> Vec<Item> {
        let item = |((_, path), rule): (&(usize, PathBuf), &Arc<Rule>)| {
            let change = Change {
                path: path.clone(),
                kind: kind(path),
                was_folder: false,
            };
            (Arc::clone(rule), change)
        };
        self.items.iter().map(item).collect()
    }

    /// Carries changes to the service's containers, and everything that was carried
    /// before to those that are new. Blocks.
    ///
    /// # Errors
    /// The records cannot be read.
    pub(super) fn carry(
        &mut self,
        layout: &Layout,
        (project, service): (&str, &str),
        items: &[Item],
    ) -> io::Result<Carried> {
        self.take(items);
        let mut all: Option<Vec<Item>> = None;
        let mut carried = Carried::default();
        let views = containers(layout, project, service)?;
        for view in &views {
            let is_known = self.containers.contains(&view.record.id);
            let items = if is_known {
                items
            } else {
                all.get_or_insert_with(|| self.all())
            };
            if items.is_empty() {
                continue;
            }
            match sync::carry(layout, view, items) {
                Ok(done) => {
                    carried.containers += 1;
                    carried.written = carried.written.max(done.written);
                    carried.removed = carried.removed.max(done.removed);
                    carried.errors.extend(done.errors);
                    carried.further += done.further;
                }
                // It went while we looked: its successor gets it.
                Err(_) if is_gone(layout, view) => {}
                Err(error) => carried.errors.push(error),
            }
        }
        self.containers = views.into_iter().map(|view| view.record.id).collect();
        Ok(carried)
    }
}

/// The files of a rule that are newer than the image of the service's containers: the
/// Compose Develop Specification, `initial_sync`.
pub(super) fn image_time(layout: &Layout, project: &str, service: &str) -> Option<(i64, i64)> {
    let views = containers(layout, project, service).ok()?;
    views.iter().map(|view| built(layout, view)).min()
}

/// When a container's image was made, as seconds and nanoseconds of the epoch; one that
/// does not say it may be older than anything.
pub fn built(layout: &Layout, view: &ContainerView) -> (i64, i64) {
    let image = Store::open(layout).find(&view.record.image_id);
    let created = image.ok().flatten().and_then(|image| image.created);
    let created = created.and_then(|text| text.parse::<jiff::Timestamp>().ok());
    created.map_or((0, 0), |time| {
        (time.as_second(), i64::from(time.subsec_nanosecond()))
    })
}

/// The service's containers, those of `run` left out.
fn containers(layout: &Layout, project: &str, service: &str) -> io::Result<Vec<ContainerView>> {
    let mut views = inspect::containers(layout, project)?;
    views.retain(|view| view.record.service == service && !view.record.oneoff);
    Ok(views)
}

fn is_gone(layout: &Layout, view: &ContainerView) -> bool {
    let found = inspect::record(layout, &view.record.project, &view.record.id);
    matches!(found, Ok(None))
}

/// Carries changes into one container. Blocks.
///
/// # Errors
/// The first thing that could not be written.
pub fn give(layout: &Layout, view: &ContainerView, items: &[Item]) -> Result<(), WatchError> {
    let (errors, further) = match sync::carry(layout, view, items) {
        Ok(done) => (done.errors, done.further),
        Err(error) => (vec![error], 0),
    };
    WatchError::of_sync(errors, further).map_or(Ok(()), Err)
}

/// A name may have a line break in it.
fn one_line(text: &str) -> String {
    let escaped = |c: char| {
        let plain = (!c.is_control()).then_some(c);
        let escape = c.is_control().then(|| c.escape_default());
        plain.into_iter().chain(escape.into_iter().flatten())
    };
    text.chars().flat_map(escaped).collect()
}

/// What a batch is called: the file, or how many of them.
pub(super) fn title(items: &[Item], folder: &Path) -> String {
    let short = |path: &Path| {
        let short = path.strip_prefix(folder).unwrap_or(path);
        one_line(&short.display().to_string())
    };
    if let [(rule, change)] = items {
        let to = rule
            .takes(&change.path)
            .and_then(|below| rule.destination(below))
            .unwrap_or_default();
        let (path, to) = (short(&change.path), to.display());
        return match change.kind {
            Kind::Gone => format!("{path} is gone from {to}"),
            _ => format!("{path} to {to}"),
        };
    }
    let targets: BTreeSet<String> = items
        .iter()
        .filter_map(|(rule, _)| rule.target.as_ref())
        .map(|target| target.display().to_string())
        .collect();
    let is_gone = |(_, change): &&Item| change.kind == Kind::Gone;
    let gone = items.iter().filter(is_gone).count();
    let files = |count: usize| match count {
        1 => "1 file".to_owned(),
        count => format!("{count} files"),
    };
    let what = match (items.len() - gone, gone) {
        (count, 0) => files(count),
        (0, gone) => format!("{} gone", files(gone)),
        (count, gone) => format!("{} ({gone} gone)", files(count)),
    };
    let targets: Vec<String> = targets.into_iter().collect();
    format!("{what} to {}", targets.join(", "))
}
