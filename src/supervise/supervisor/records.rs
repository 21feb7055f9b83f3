//! What the supervisor writes about containers.
//!
//! Run records and exits are seen at once, as whole files; what must last is
//! synced right after, many at a time, off everybody's way.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use fs_err as fs;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;

use crate::state::atomic::{Durability, read_json, write_json};
use crate::state::{ContainerId, Layout};
use crate::supervise::inspect::{CONFIG_FILE, EXIT_FILE, START_FILE};
use crate::supervise::record::{ContainerRecord, ExitRecord, RunRecord};

/// What the next supervisor needs to know of a run and nobody else does.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Notes {
    /// Its end was asked for.
    pub(super) stop_requested: bool,
    /// The pause before this run.
    pub(super) pause: Option<Duration>,
    /// Nanoseconds since the epoch.
    pub(super) started: i64,
}

/// Writes records of one project.
#[derive(Debug)]
pub(super) struct Records {
    layout: Layout,
    project: String,
    queue: UnboundedSender<Sync>,
}

#[derive(Debug)]
enum Sync {
    File(PathBuf),
    Barrier(oneshot::Sender<()>),
}

impl Records {
    /// Begins, in a runtime.
    pub(super) fn new(layout: &Layout, project: &str) -> Self {
        let (queue, inbox) = unbounded_channel();
        tokio::spawn(sync_together(inbox));
        Self {
            layout: layout.clone(),
            project: project.to_owned(),
            queue,
        }
    }

    /// Writes a new container's record.
    pub(super) fn write_config(&self, record: &ContainerRecord) -> io::Result<()> {
        self.write_lasting(&record.id, CONFIG_FILE, record)
    }

    /// Writes how a run ended.
    pub(super) fn write_exit(&self, id: &ContainerId, exit: &ExitRecord) -> io::Result<()> {
        self.write_lasting(id, EXIT_FILE, exit)
    }

    /// Notes that a run began, for after a reboot. Not synced: a power cut
    /// within seconds of a start may make the container look as if it had
    /// never been started.
    pub(super) fn write_start(&self, id: &ContainerId, started: Timestamp) -> io::Result<()> {
        let path = self.layout.container(&self.project, id).join(START_FILE);
        fs::write(path, text(started))
    }

    /// Writes a container's state.
    pub(super) fn write_run(&self, id: &ContainerId, run: &RunRecord) -> io::Result<()> {
        write_json(
            &self.layout.run_record(&self.project, id),
            run,
            Durability::ThisBoot,
        )
    }

    /// Reads a container's state.
    pub(super) fn run(&self, id: &ContainerId) -> Option<RunRecord> {
        read_json(&self.layout.run_record(&self.project, id)).unwrap_or_default()
    }

    /// Writes notes for the next supervisor.
    pub(super) fn write_notes(&self, id: &ContainerId, notes: &Notes) -> io::Result<()> {
        write_json(&self.notes_path(id), notes, Durability::ThisBoot)
    }

    /// Reads the notes of an earlier supervisor.
    pub(super) fn notes(&self, id: &ContainerId) -> Notes {
        read_json(&self.notes_path(id))
            .ok()
            .flatten()
            .unwrap_or_default()
    }

    /// Returns when everything written so far would survive a power cut.
    pub(super) async fn flush(&self) {
        let (done, wait) = oneshot::channel();
        if self.queue.send(Sync::Barrier(done)).is_ok() {
            wait.await.ok();
        }
    }

    fn notes_path(&self, id: &ContainerId) -> PathBuf {
        self.layout
            .run_container(&self.project, id)
            .join("notes.json")
    }

    fn write_lasting<T: Serialize>(
        &self,
        id: &ContainerId,
        name: &str,
        value: &T,
    ) -> io::Result<()> {
        let path = self.layout.container(&self.project, id).join(name);
        write_json(&path, value, Durability::ThisBoot)?;
        // The reader of the queue lives as long as the runtime.
        self.queue.send(Sync::File(path)).ok();
        Ok(())
    }
}

/// RFC 3339.
pub(super) fn text(time: Timestamp) -> String {
    crate::supervise::logs::line::format_time(time)
}

/// A time from a journal.
pub(super) fn time(nanoseconds: i64) -> Timestamp {
    Timestamp::from_nanosecond(nanoseconds.into()).unwrap_or(Timestamp::UNIX_EPOCH)
}

async fn sync_together(mut inbox: UnboundedReceiver<Sync>) {
    let mut batch = Vec::new();
    while inbox.recv_many(&mut batch, 1024).await > 0 {
        let mut paths = BTreeSet::new();
        let mut barriers = Vec::new();
        for item in batch.drain(..) {
            match item {
                Sync::File(path) => drop(paths.insert(path)),
                Sync::Barrier(done) => barriers.push(done),
            }
        }
        if !paths.is_empty() {
            // A container that is removed meanwhile needs no sync.
            tokio::task::spawn_blocking(move || sync_all(&paths))
                .await
                .ok();
        }
        for done in barriers {
            done.send(()).ok();
        }
    }
}

fn sync_all(paths: &BTreeSet<PathBuf>) {
    let mut folders = BTreeSet::new();
    for path in paths {
        fs::File::open(path).and_then(|file| file.sync_all()).ok();
        // The file's name, and that of its folder.
        folders.extend(path.ancestors().skip(1).take(2));
    }
    for folder in folders {
        fs::File::open(folder).and_then(|file| file.sync_all()).ok();
    }
}
