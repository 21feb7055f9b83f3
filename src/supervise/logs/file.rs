//! A container's log files: `0.log` is written to, `0.log.1` is the one
//! before, and so on.

use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use fs_err as fs;

use crate::supervise::launch::LogOptions;

/// The file that is written to.
pub(crate) const CURRENT: &str = "0.log";

/// The path of a log file by age, 0 being the one that is written to.
pub(crate) fn log_path(folder: &Path, age: u32) -> PathBuf {
    match age {
        0 => folder.join(CURRENT),
        _ => folder.join(format!("{CURRENT}.{age}")),
    }
}

/// The log that is written to.
#[derive(Debug)]
pub(crate) struct LogFile {
    folder: PathBuf,
    options: LogOptions,
    file: fs::File,
    inode: u64,
    offset: u64,
}

impl LogFile {
    /// Opens the current file, making it where it is missing.
    pub(crate) fn open(folder: &Path, options: LogOptions) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let file = open(&log_path(folder, 0))?;
        let metadata = file.metadata()?;
        Ok(Self {
            folder: folder.to_owned(),
            options,
            file,
            inode: metadata.ino(),
            offset: metadata.len(),
        })
    }

    /// Its inode.
    pub(crate) fn inode(&self) -> u64 {
        self.inode
    }

    /// Where the next line goes.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// Goes back to a place that a checkpoint names. What is beyond it will be
    /// written again byte for byte, so it is left for readers to see.
    pub(crate) fn rewind(&mut self, offset: u64) {
        self.offset = offset.min(self.offset);
    }

    /// Cuts off what is beyond the present place.
    pub(crate) fn truncate(&self) -> io::Result<()> {
        if self.file.metadata()?.len() > self.offset {
            self.file.set_len(self.offset)?;
        }
        Ok(())
    }

    /// Appends lines.
    pub(crate) fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        self.file.file().write_all_at(lines, self.offset)?;
        self.offset += u64::try_from(lines.len()).unwrap_or(0);
        Ok(())
    }

    /// Bytes before it is time for [`LogFile::rotate`], of a full file those of
    /// the next; `None`: it never is.
    pub(crate) fn room(&self) -> Option<u64> {
        let limit = self.options.max_size.filter(|_| self.options.enabled)?;
        Some(if self.is_full() {
            limit
        } else {
            limit - self.offset
        })
    }

    /// Whether it is time for [`LogFile::rotate`].
    pub(crate) fn is_full(&self) -> bool {
        self.options
            .max_size
            .is_some_and(|limit| self.offset >= limit)
    }

    /// Begins a new file. Each rename is complete in itself; a rotation that
    /// was cut short leaves a gap in the numbers, which readers pass over.
    pub(crate) fn rotate(&mut self) -> io::Result<()> {
        let kept = self.options.max_files.max(1);
        if kept == 1 {
            fs::remove_file(log_path(&self.folder, 0))?;
        } else {
            for age in (0..kept - 1).rev() {
                match fs::rename(log_path(&self.folder, age), log_path(&self.folder, age + 1)) {
                    Ok(()) => {}
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => return Err(error),
                }
            }
        }
        self.file = open(&log_path(&self.folder, 0))?;
        self.inode = self.file.metadata()?.ino();
        self.offset = 0;
        Ok(())
    }
}

fn open(path: &Path) -> io::Result<fs::File> {
    fs::OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(path)
}
