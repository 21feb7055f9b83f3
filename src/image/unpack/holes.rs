//! Files with large holes, as GNU tar's pax format 1.0 writes them: the map in
//! front of the content (GNU tar manual, "PAX Format, Version 1.0").
//!
//! Docker writes holes out as zeros, and so do we for all but the largest: where
//! the holes are is the file system's choice, and two that choose otherwise
//! would give one file two digests. A log of logins that a user number of
//! billions made a terabyte long is read in no time this way, and hours in the
//! other.

use std::io;
use std::os::fd::AsFd;

use rustix::fs::{SeekFrom, seek};
use rustix::io::Errno;

use super::header::Record;
use super::tar::Segment;

/// Holes of less bytes together are written out as zeros.
const LEAST: u64 = 1 << 30;
/// Most pieces of a map, as the reader has it.
const SEGMENTS: usize = 1 << 16;
/// Size of a tar block.
const BLOCK: usize = 512;

/// Where a file's content is, if it has large holes.
///
/// # Errors
/// The file system's.
pub(super) fn segments(
    file: impl AsFd,
    size: u64,
    blocks: u64,
) -> io::Result<Option<Vec<Segment>>> {
    if size.saturating_sub(blocks.saturating_mul(512)) < LEAST {
        return Ok(None);
    }
    let mut segments = Vec::new();
    let mut at = 0;
    while at < size {
        let offset = match seek(&file, SeekFrom::Data(at)) {
            Ok(offset) => offset,
            // Nothing but a hole is left.
            Err(Errno::NXIO) => break,
            Err(errno) => return Err(errno.into()),
        };
        at = seek(&file, SeekFrom::Hole(offset))?.min(size);
        segments.push(Segment {
            offset,
            length: at.saturating_sub(offset),
        });
        if segments.len() > SEGMENTS {
            return Ok(None);
        }
    }
    Ok(Some(segments))
}

/// The map that comes before the content, filled up to whole blocks.
pub(super) fn map(segments: &[Segment]) -> Vec<u8> {
    let mut text = format!("{}\n", segments.len());
    for segment in segments {
        text.push_str(&format!("{}\n{}\n", segment.offset, segment.length));
    }
    let mut bytes = text.into_bytes();
    bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
    bytes
}

/// The pax records that say so.
pub(super) fn records(path: &[u8], size: u64) -> Vec<Record> {
    let record =
        |key: &str, value: &[u8]| (format!("GNU.sparse.{key}").into_bytes(), value.to_vec());
    vec![
        record("major", b"1"),
        record("minor", b"0"),
        record("name", path),
        record("realsize", size.to_string().as_bytes()),
    ]
}

/// The name for readers that do not know of it.
pub(super) fn stand_in(path: &[u8]) -> Vec<u8> {
    let (folder, name) = super::split(path);
    let parts = [folder, b"GNUSparseFile.0", name];
    let parts: Vec<&[u8]> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    parts.join(&b'/')
}
