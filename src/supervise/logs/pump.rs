//! One container's output, from its pipes through the spools into its log.
//!
//! No waiting and no event loop here: `thread` calls [`Pump::pump`] when a
//! pipe is readable. [`Pump::resume`] goes on where another supervisor was
//! killed.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rustix::pipe::{SpliceFlags, splice};

use super::checkpoint::{Batch, Checkpoint, CheckpointFile, Position};
use super::file::LogFile;
use super::history;
use super::line::{self, Stream};
use super::spool::{Filled, Spool};
use crate::supervise::launch::LogOptions;

/// Where a container's output comes from.
#[derive(Debug)]
pub(crate) enum Sources {
    /// Two pipes, the read ends.
    Pipes([OwnedFd; 2]),
    /// A terminal's master, and a pipe (open for reading and writing) between
    /// it and the spool: bytes can be moved without loss only from pipes.
    Terminal {
        /// The master, non-blocking.
        master: OwnedFd,
        /// The pipe.
        pipe: OwnedFd,
    },
}

/// Raw output as it came, for whoever is attached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Chunk {
    /// Which stream.
    pub(crate) stream: Stream,
    /// The bytes.
    pub(crate) bytes: Vec<u8>,
}

/// What [`Pump::pump`] did.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Pumped {
    /// These bytes came.
    Bytes(Chunk),
    /// Nothing to be had now.
    Empty,
    /// This stream will bring nothing more.
    End,
}

/// One container's output.
#[derive(Debug)]
pub(crate) struct Pump {
    sources: Sources,
    spools: [Spool; 2],
    offsets: [u64; 2],
    log: LogFile,
    log_folder: PathBuf,
    enabled: bool,
    checkpoint: CheckpointFile,
    run: (u64, u64),
}

impl Pump {
    /// Begins a run: spools of an earlier one are dropped, the log goes on.
    pub(crate) fn begin(
        spool: &Path,
        log: &Path,
        options: LogOptions,
        sources: Sources,
    ) -> io::Result<Self> {
        let (checkpoint, earlier) = CheckpointFile::open(spool)?;
        // One generation beyond whatever there was, so that nothing of it is
        // taken for this run's.
        let [out, err] = earlier.unwrap_or_default().streams;
        let spools = [
            Spool::open(spool, Stream::Stdout, out.generation + 1)?,
            Spool::open(spool, Stream::Stderr, err.generation + 1)?,
        ];
        let log_file = LogFile::open(log, options)?;
        let run = (log_file.inode(), log_file.offset());
        let pump = Self {
            sources,
            spools,
            offsets: [0, 0],
            log: log_file,
            log_folder: log.to_owned(),
            enabled: options.enabled,
            checkpoint,
            run,
        };
        pump.save(None)?;
        Ok(pump)
    }

    /// Goes on with a run that another supervisor began.
    pub(crate) fn resume(
        spool: &Path,
        log: &Path,
        options: LogOptions,
        sources: Sources,
    ) -> io::Result<Self> {
        let (checkpoint, found) = CheckpointFile::open(spool)?;
        let mut log_file = LogFile::open(log, options)?;
        let state = found.unwrap_or_else(|| Checkpoint {
            log_inode: log_file.inode(),
            log_offset: log_file.offset(),
            ..Checkpoint::default()
        });
        let [out, err] = state.streams;
        let spools = [
            Spool::open(spool, Stream::Stdout, out.generation)?,
            Spool::open(spool, Stream::Stderr, err.generation)?,
        ];
        // Another inode: the rotation was done, its checkpoint not yet.
        let offset = if log_file.inode() == state.log_inode {
            state.log_offset
        } else {
            0
        };
        log_file.rewind(offset);
        let mut pump = Self {
            sources,
            spools,
            offsets: [out.offset, err.offset],
            log: log_file,
            log_folder: log.to_owned(),
            enabled: options.enabled,
            checkpoint,
            run: (state.run_inode, state.run_offset),
        };
        if let Some(batch) = state.batch {
            pump.write_batch(batch)?;
        }
        pump.log.truncate()?;
        pump.save(None)?;
        for stream in Stream::BOTH {
            pump.format_ready(stream)?;
        }
        Ok(pump)
    }

    /// The descriptors to be watched, each with the stream it brings.
    pub(crate) fn descriptors(&self) -> Vec<(Stream, BorrowedFd<'_>)> {
        match &self.sources {
            Sources::Pipes([out, err]) => {
                vec![(Stream::Stdout, out.as_fd()), (Stream::Stderr, err.as_fd())]
            }
            Sources::Terminal { master, .. } => vec![(Stream::Stdout, master.as_fd())],
        }
    }

    /// Moves what one stream has, at most a chunk of it, into spool and log.
    pub(crate) fn pump(&mut self, stream: Stream) -> io::Result<Pumped> {
        let from = self.spool(stream).length();
        let filled = match &self.sources {
            Sources::Pipes([out, err]) => {
                let pipe = if stream == Stream::Stdout { out } else { err };
                let [out_spool, err_spool] = &mut self.spools;
                let spool = if stream == Stream::Stdout {
                    out_spool
                } else {
                    err_spool
                };
                spool.fill(pipe)?
            }
            Sources::Terminal { master, pipe } => {
                let moved = from_terminal(master, pipe)?;
                let [spool, _] = &mut self.spools;
                match spool.fill(pipe)? {
                    // The pipe has a writer: us. Its end is the terminal's.
                    Filled::Empty | Filled::End => moved,
                    bytes @ Filled::Bytes(_) => bytes,
                }
            }
        };
        match filled {
            Filled::Empty => Ok(Pumped::Empty),
            Filled::End => Ok(Pumped::End),
            Filled::Bytes(_) => {
                let bytes = self.spool(stream).read_from(from)?;
                self.format_ready(stream)?;
                Ok(Pumped::Bytes(Chunk { stream, bytes }))
            }
        }
    }

    /// The run is over: takes what is left in the pipes and writes what waits
    /// for its newline. Answers the last raw bytes.
    pub(crate) fn finish(&mut self) -> io::Result<Vec<Chunk>> {
        let mut last = Vec::new();
        for stream in Stream::BOTH {
            if stream == Stream::Stderr && matches!(self.sources, Sources::Terminal { .. }) {
                continue;
            }
            while let Pumped::Bytes(chunk) = self.pump(stream)? {
                last.push(chunk);
            }
            let rest = self.spool(stream).length() - self.offset(stream);
            self.format_batch(stream, rest)?;
        }
        Ok(last)
    }

    /// Everything of this run so far: from the log, then what is not in it yet.
    pub(crate) fn history(&self) -> io::Result<Vec<Chunk>> {
        let (inode, offset) = self.run;
        let mut chunks = if self.enabled {
            history::read(&self.log_folder, inode, offset, self.log.offset())?
        } else {
            Vec::new()
        };
        for stream in Stream::BOTH {
            let bytes = self.spool(stream).read_from(self.offset(stream))?;
            if !bytes.is_empty() {
                chunks.push(Chunk { stream, bytes });
            }
        }
        Ok(chunks)
    }

    fn spool(&self, stream: Stream) -> &Spool {
        let [out, err] = &self.spools;
        if stream == Stream::Stdout { out } else { err }
    }

    fn offset(&self, stream: Stream) -> u64 {
        let [out, err] = self.offsets;
        if stream == Stream::Stdout { out } else { err }
    }

    fn offset_mut(&mut self, stream: Stream) -> &mut u64 {
        let [out, err] = &mut self.offsets;
        if stream == Stream::Stdout { out } else { err }
    }

    /// Formats a stream's complete lines, then renews a spool that is full.
    fn format_ready(&mut self, stream: Stream) -> io::Result<()> {
        let waiting = self.spool(stream).read_from(self.offset(stream))?;
        let mut lines = waiting.get(..line::complete(&waiting)).unwrap_or_default();
        while !lines.is_empty() {
            // A full file is followed by the next within a flood of lines, too.
            let (batch, rest) = lines.split_at(line::fitting(lines, self.log.room()));
            self.format_batch(stream, u64::try_from(batch.len()).unwrap_or(0))?;
            lines = rest;
        }
        if self.spool(stream).is_full() {
            let offset = std::mem::take(self.offset_mut(stream));
            let [out, err] = &mut self.spools;
            let spool = if stream == Stream::Stdout { out } else { err };
            spool.renew(offset)?;
            self.save(None)?;
            self.spool(stream).remove_others()?;
        }
        Ok(())
    }

    fn format_batch(&mut self, stream: Stream, length: u64) -> io::Result<()> {
        if length == 0 {
            return Ok(());
        }
        if self.enabled && self.log.is_full() {
            // The batch before this one is in the old file: a kill within the
            // rotation must not write it into the new one.
            self.save(None)?;
            self.log.rotate()?;
        }
        let time = i64::try_from(Timestamp::now().as_nanosecond()).unwrap_or(i64::MAX);
        let batch = Batch {
            stream: stream.index(),
            length,
            time,
        };
        self.save(Some(batch))?;
        self.write_batch(batch)
    }

    fn write_batch(&mut self, batch: Batch) -> io::Result<()> {
        let stream = if batch.stream == 0 {
            Stream::Stdout
        } else {
            Stream::Stderr
        };
        let offset = self.offset(stream);
        if self.enabled {
            let mut bytes = self.spool(stream).read_from(offset)?;
            bytes.truncate(usize::try_from(batch.length).unwrap_or(usize::MAX));
            let time =
                Timestamp::from_nanosecond(batch.time.into()).unwrap_or(Timestamp::UNIX_EPOCH);
            let mut lines = Vec::with_capacity(bytes.len() + bytes.len() / 2);
            line::format(&bytes, stream, &line::format_time(time), &mut lines);
            self.log.append(&lines)?;
        }
        *self.offset_mut(stream) = offset + batch.length;
        Ok(())
    }

    fn save(&self, batch: Option<Batch>) -> io::Result<()> {
        let [out, err] = &self.spools;
        let [out_offset, err_offset] = self.offsets;
        self.checkpoint.write(&Checkpoint {
            log_inode: self.log.inode(),
            log_offset: self.log.offset(),
            streams: [
                Position {
                    generation: out.generation(),
                    offset: out_offset,
                },
                Position {
                    generation: err.generation(),
                    offset: err_offset,
                },
            ],
            batch,
            run_inode: self.run.0,
            run_offset: self.run.1,
        })
    }
}

/// Moves what a terminal has into the pipe (splice from a terminal: Linux
/// 5.11, and before 5.10).
fn from_terminal(master: &OwnedFd, pipe: &OwnedFd) -> io::Result<Filled> {
    match splice(master, None, pipe, None, 64 * 1024, SpliceFlags::NONBLOCK) {
        // EIO: no process has the other side open any more.
        Ok(0) | Err(rustix::io::Errno::IO) => Ok(Filled::End),
        Ok(count) => Ok(Filled::Bytes(count)),
        Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => Ok(Filled::Empty),
        Err(errno) => Err(errno.into()),
    }
}

#[cfg(test)]
mod tests;
