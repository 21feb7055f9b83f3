//! A place in one container's log that moves forward through its files.

use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use fs_err as fs;

use super::file::{CURRENT, log_path};
use super::line::{Line, Stream};

/// Bytes read in one go.
const BLOCK: usize = 64 * 1024;
/// Where the tag stands in a line: after a time of 30 characters, a blank, the
/// stream's name and a blank.
const TAG_OFFSET: u64 = 38;

/// A whole line of a container's output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct WholeLine {
    pub(super) time: String,
    pub(super) stream: Stream,
    pub(super) text: Vec<u8>,
}

/// A place in a log.
#[derive(Debug)]
pub(super) struct Cursor {
    folder: PathBuf,
    file: Option<(fs::File, u64)>,
    offset: u64,
    open: [Vec<u8>; 2],
}

impl Cursor {
    /// At the beginning of the oldest file.
    pub(super) fn at_beginning(folder: &Path) -> io::Result<Self> {
        let mut cursor = Self {
            folder: folder.to_owned(),
            file: None,
            offset: 0,
            open: [Vec::new(), Vec::new()],
        };
        cursor.advance()?;
        Ok(cursor)
    }

    /// Before the last `count` lines.
    pub(super) fn before_last(folder: &Path, count: usize) -> io::Result<Self> {
        let mut cursor = Self::at_beginning(folder)?;
        let mut left = count;
        for age in ages(folder)?.into_iter().rev() {
            let Some(file) = open(&log_path(folder, age))? else {
                continue;
            };
            if let Some(offset) = start_of_last(&file.0, &mut left)? {
                cursor.file = Some(file);
                cursor.offset = offset;
                break;
            }
        }
        Ok(cursor)
    }

    /// The next lines; none where the log ends for now.
    pub(super) fn read(&mut self) -> io::Result<Vec<WholeLine>> {
        loop {
            let lines = self.read_block()?;
            if !lines.is_empty() {
                return Ok(lines);
            }
            if !self.is_rotated()? {
                return Ok(lines);
            }
            // What was written between the last look and the rotation.
            let lines = self.read_block()?;
            if !lines.is_empty() {
                return Ok(lines);
            }
            if !self.advance()? {
                return Ok(lines);
            }
        }
    }

    fn read_block(&mut self) -> io::Result<Vec<WholeLine>> {
        let mut lines = Vec::new();
        let mut size = BLOCK;
        while lines.is_empty() {
            let Some((file, _)) = &self.file else {
                break;
            };
            let mut block = vec![0; size];
            let count = read_at(file, &mut block, self.offset)?;
            block.truncate(count);
            let Some(end) = block.iter().rposition(|byte| *byte == b'\n') else {
                if count < size {
                    break;
                }
                size *= 2;
                continue;
            };
            block.truncate(end);
            self.offset += u64::try_from(end).unwrap_or(0) + 1;
            for line in block.split(|byte| *byte == b'\n').filter_map(Line::parse) {
                lines.extend(self.join(line));
            }
        }
        Ok(lines)
    }

    fn join(&mut self, line: Line<'_>) -> Option<WholeLine> {
        let open = self.open.get_mut(line.stream.index())?;
        open.extend_from_slice(line.text);
        (!line.partial).then(|| WholeLine {
            time: line.time.to_owned(),
            stream: line.stream,
            text: std::mem::take(open),
        })
    }

    /// Whether the file is no longer the one that is written to.
    fn is_rotated(&self) -> io::Result<bool> {
        let current = match fs::metadata(log_path(&self.folder, 0)) {
            Ok(metadata) => Some(metadata.ino()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        Ok(current.is_some() && current != self.file.as_ref().map(|(_, inode)| *inode))
    }

    /// Goes to the next newer file; false where there is none.
    fn advance(&mut self) -> io::Result<bool> {
        let present = self.file.as_ref().map(|(_, inode)| *inode);
        let mut newer = None;
        for age in ages(&self.folder)?.into_iter().rev() {
            let Some(file) = open(&log_path(&self.folder, age))? else {
                continue;
            };
            if Some(file.1) == present {
                break;
            }
            newer = Some(file);
        }
        let found = newer.is_some();
        if found {
            self.file = newer;
            self.offset = 0;
        }
        Ok(found)
    }
}

/// Ages of the log files that exist, the oldest first.
fn ages(folder: &Path) -> io::Result<Vec<u32>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut ages = Vec::new();
    for entry in entries {
        let name = entry?.file_name();
        let Some(rest) = name.to_str().and_then(|name| name.strip_prefix(CURRENT)) else {
            continue;
        };
        match rest.strip_prefix('.').map(str::parse) {
            None if rest.is_empty() => ages.push(0),
            Some(Ok(age)) => ages.push(age),
            None | Some(Err(_)) => {}
        }
    }
    ages.sort_unstable_by(|a, b| b.cmp(a));
    Ok(ages)
}

/// Opens a log file, and says its inode.
fn open(path: &Path) -> io::Result<Option<(fs::File, u64)>> {
    match fs::File::open(path) {
        Ok(file) => {
            let inode = file.metadata()?.ino();
            Ok(Some((file, inode)))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn read_at(file: &fs::File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    loop {
        match file.file().read_at(buffer, offset) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

/// Goes back from a file's end over as many whole lines as are `left`; answers
/// the place where the first of them begins, or `None` where the file has no
/// more than those, and then `left` is less by what it has.
fn start_of_last(file: &fs::File, left: &mut usize) -> io::Result<Option<u64>> {
    let mut end = file.metadata()?.len();
    // The line that ends at `line_end` begins where the newline before it is.
    let mut line_end = end;
    while end > 0 {
        let start = end.saturating_sub(u64::try_from(BLOCK).unwrap_or(0));
        let mut block = vec![0; usize::try_from(end - start).unwrap_or(0)];
        file.file().read_exact_at(&mut block, start)?;
        for (index, _) in block
            .iter()
            .enumerate()
            .rev()
            .filter(|(_, byte)| **byte == b'\n')
        {
            let line_start = start + u64::try_from(index).unwrap_or(0) + 1;
            if line_start < line_end {
                if is_whole(file, line_start)? {
                    if *left == 0 {
                        return Ok(Some(line_end));
                    }
                    *left -= 1;
                }
                line_end = line_start;
            }
        }
        end = start;
    }
    if line_end > 0 && is_whole(file, 0)? {
        if *left == 0 {
            return Ok(Some(line_end));
        }
        *left -= 1;
    }
    Ok(None)
}

fn is_whole(file: &fs::File, line: u64) -> io::Result<bool> {
    let mut tag = [0];
    Ok(read_at(file, &mut tag, line + TAG_OFFSET)? == 1 && tag == *b"F")
}
