//! What a new supervisor needs to go on with a half-formatted log.
//!
//! One record of fixed size, overwritten in place in one write that a kill
//! cannot divide. It is written *before* each batch of lines goes into the
//! log, with the batch's length and time: whoever finds it writes the same
//! bytes to the same place again, so that a reader never sees a line twice or
//! a line that later changes.

use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use fs_err as fs;
use serde::{Deserialize, Serialize};

/// Bytes of the record.
const SIZE: usize = 512;
/// The file's name in the spool folder.
const NAME: &str = "checkpoint";

/// How far a stream is in the log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Position {
    /// Generation of the spool.
    pub(crate) generation: u64,
    /// Bytes of it that are in the log, the batch under way not counted.
    pub(crate) offset: u64,
}

/// A batch of lines on its way into the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Batch {
    /// 0 for standard output, 1 for standard error.
    pub(crate) stream: usize,
    /// Bytes of the spool.
    pub(crate) length: u64,
    /// Nanoseconds since the epoch.
    pub(crate) time: i64,
}

/// The record.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Checkpoint {
    /// Inode of the log file that is written to.
    pub(crate) log_inode: u64,
    /// Its length before the batch.
    pub(crate) log_offset: u64,
    /// Both streams.
    pub(crate) streams: [Position; 2],
    /// The batch under way.
    pub(crate) batch: Option<Batch>,
    /// The log file in which this run's output begins.
    pub(crate) run_inode: u64,
    /// And where in it.
    pub(crate) run_offset: u64,
}

/// The record's file.
#[derive(Debug)]
pub(crate) struct CheckpointFile {
    file: fs::File,
}

impl CheckpointFile {
    /// Opens a container's checkpoint and reads it, where there is one.
    pub(crate) fn open(folder: &Path) -> io::Result<(Self, Option<Checkpoint>)> {
        fs::create_dir_all(folder)?;
        let path = folder.join(NAME);
        let file = fs::OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&path)?;
        let found = serde_json::from_slice(&fs::read(&path)?).ok();
        Ok((Self { file }, found))
    }

    /// Overwrites the record.
    pub(crate) fn write(&self, checkpoint: &Checkpoint) -> io::Result<()> {
        let mut text = serde_json::to_vec(checkpoint)?;
        text.resize(SIZE - 1, b' ');
        text.push(b'\n');
        self.file.file().write_all_at(&text, 0)
    }
}
