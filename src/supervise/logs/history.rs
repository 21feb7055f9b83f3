//! A run's output so far, as raw bytes again, for whoever attaches late.

use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

use fs_err as fs;

use super::file::log_path;
use super::line::Line;
use super::pump::Chunk;

/// At most so many bytes of log are played back; more are in the log itself.
const LIMIT: u64 = 8 * 1024 * 1024;
/// More rotated files than this are not looked for.
const MOST_FILES: u32 = 1000;

/// Reads from a place in the log that `inode` and `offset` name to `end` in
/// the current file.
pub(super) fn read(folder: &Path, inode: u64, offset: u64, end: u64) -> io::Result<Vec<Chunk>> {
    let mut files = Vec::new();
    for age in 0..MOST_FILES {
        let file = match fs::File::open(log_path(folder, age)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => break,
            Err(error) => return Err(error),
        };
        let metadata = file.metadata()?;
        let to = if age == 0 { end } else { metadata.len() };
        let first = metadata.ino() == inode;
        files.push((file, if first { offset } else { 0 }, to));
        if first {
            break;
        }
    }
    let mut left = LIMIT;
    let mut chunks = Vec::new();
    for (file, from, to) in files {
        let from = from.max(to.saturating_sub(left));
        left -= (to - from).min(left);
        let mut bytes = vec![0; usize::try_from(to.saturating_sub(from)).unwrap_or(0)];
        file.file().read_exact_at(&mut bytes, from)?;
        chunks.push(raw(&bytes));
    }
    // The newest file was read first.
    Ok(chunks.into_iter().rev().flatten().collect())
}

/// Turns log lines back into what the program wrote. A line that was cut off
/// at its beginning is left out.
fn raw(log: &[u8]) -> Vec<Chunk> {
    let mut chunks: Vec<Chunk> = Vec::new();
    for line in log.split(|byte| *byte == b'\n').filter_map(Line::parse) {
        let end: &[u8] = if line.partial { b"" } else { b"\n" };
        match chunks
            .last_mut()
            .filter(|chunk| chunk.stream == line.stream)
        {
            Some(chunk) => chunk.bytes.extend_from_slice(line.text),
            None => chunks.push(Chunk {
                stream: line.stream,
                bytes: line.text.to_vec(),
            }),
        }
        if let Some(chunk) = chunks.last_mut() {
            chunk.bytes.extend_from_slice(end);
        }
    }
    chunks
}
