//! One stream's spool: bytes go from the container's pipe into a file under
//! the run root with splice(2), so that a kill finds each byte either in the
//! pipe or in the file and never in neither.
//!
//! The file's length is the record of what was consumed. A spool that has
//! grown over its bound is followed by the next generation of it: the new file
//! first gets the bytes that are not in the log yet, then the checkpoint names
//! it, then the old one goes.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use fs_err as fs;
use rustix::pipe::{SpliceFlags, splice};

use super::line::Stream;

/// A spool over this many bytes is followed by a new one.
const BOUND: u64 = 256 * 1024;
/// Bytes moved in one go: a pipe's default capacity.
const CHUNK: usize = 64 * 1024;

/// What [`Spool::fill`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Filled {
    /// So many bytes came.
    Bytes(usize),
    /// Nothing to be had now.
    Empty,
    /// Nobody has the pipe open for writing any more.
    End,
}

/// One stream's spool.
#[derive(Debug)]
pub(crate) struct Spool {
    folder: PathBuf,
    stream: Stream,
    generation: u64,
    file: fs::File,
    length: u64,
}

impl Spool {
    /// Opens this generation of a stream's spool, making it where it is
    /// missing, and removes other generations.
    pub(crate) fn open(folder: &Path, stream: Stream, generation: u64) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let file = fs::OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(path(folder, stream, generation))?;
        let length = file.metadata()?.len();
        let spool = Self {
            folder: folder.to_owned(),
            stream,
            generation,
            file,
            length,
        };
        spool.remove_others()?;
        Ok(spool)
    }

    /// The generation in use.
    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    /// Bytes consumed into it.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// Whether it is time for [`Spool::renew`].
    pub(crate) fn is_full(&self) -> bool {
        self.length >= BOUND
    }

    /// Moves what the pipe has, at most one chunk, without waiting.
    pub(crate) fn fill(&mut self, pipe: impl AsFd) -> io::Result<Filled> {
        let mut offset = self.length;
        let moved = splice(
            pipe.as_fd(),
            None,
            &self.file,
            Some(&mut offset),
            CHUNK,
            SpliceFlags::NONBLOCK | SpliceFlags::MOVE,
        );
        match moved {
            Ok(0) => Ok(Filled::End),
            Ok(count) => {
                self.length = offset;
                Ok(Filled::Bytes(count))
            }
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => Ok(Filled::Empty),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Reads what was consumed from `offset` on.
    pub(crate) fn read_from(&self, offset: u64) -> io::Result<Vec<u8>> {
        let count = usize::try_from(self.length.saturating_sub(offset)).unwrap_or(0);
        let mut bytes = vec![0; count];
        self.file.file().read_exact_at(&mut bytes, offset)?;
        Ok(bytes)
    }

    /// Begins the next generation with the bytes from `offset` on. The old
    /// file stays until [`Spool::remove_others`].
    pub(crate) fn renew(&mut self, offset: u64) -> io::Result<()> {
        let rest = self.read_from(offset)?;
        let generation = self.generation + 1;
        let file = fs::OpenOptions::new()
            .create(true)
            .truncate(true)
            .read(true)
            .write(true)
            .open(path(&self.folder, self.stream, generation))?;
        file.file().write_all_at(&rest, 0)?;
        self.length = u64::try_from(rest.len()).unwrap_or(0);
        self.generation = generation;
        self.file = file;
        Ok(())
    }

    /// Removes every generation but the present one.
    pub(crate) fn remove_others(&self) -> io::Result<()> {
        let prefix = format!("{}.", self.stream.word());
        let current = format!("{prefix}{}", self.generation);
        for entry in fs::read_dir(&self.folder)? {
            let name = entry?.file_name();
            let Some(name) = name.to_str() else { continue };
            if name.starts_with(&prefix) && name != current {
                fs::remove_file(self.folder.join(name))?;
            }
        }
        Ok(())
    }
}

fn path(folder: &Path, stream: Stream, generation: u64) -> PathBuf {
    folder.join(format!("{}.{generation}", stream.word()))
}
