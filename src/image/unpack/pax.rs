//! Extended headers of pax archives (POSIX, "pax Interchange Format"): records
//! of any bytes that precede an entry, with the extensions for attributes and
//! sparse files.

use std::io;

use super::number::{bad, decimal, slice};

/// What precedes an entry and belongs to it.
#[derive(Default)]
pub(super) struct Extensions {
    pub(super) path: Option<Vec<u8>>,
    pub(super) link: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    pub(super) uid: Option<u32>,
    pub(super) gid: Option<u32>,
    pub(super) mtime: Option<(i64, u32)>,
    pub(super) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    pub(super) sparse: PaxSparse,
}

/// The three ways in which pax headers describe sparse files.
#[derive(Default)]
pub(super) struct PaxSparse {
    pub(super) name: Option<Vec<u8>>,
    pub(super) real_size: Option<u64>,
    /// Format 1.0: the map is in front of the content.
    pub(super) leading_map: bool,
    /// Formats 0.0 and 0.1: offsets and lengths in turn.
    pub(super) numbers: Option<Vec<u64>>,
}

/// Reads pax records: `length key=value\n`, the value of any bytes.
pub(super) fn parse(text: &[u8], extensions: &mut Extensions) -> io::Result<()> {
    let mut rest = text;
    while !rest.is_empty() {
        // Some writers fill the header up with NULs.
        if rest.iter().all(|byte| *byte == 0) {
            break;
        }
        let space = rest
            .iter()
            .position(|byte| *byte == b' ')
            .ok_or_else(|| bad("a pax record without a length"))?;
        let length = decimal(slice(rest, 0, space))?;
        let length = usize::try_from(length)
            .ok()
            .filter(|n| *n > space + 1 && *n <= rest.len())
            .ok_or_else(|| bad("a pax record of a wrong length"))?;
        let (record, tail) = rest.split_at(length);
        rest = tail;
        let record = slice(record, space + 1, length - space - 1)
            .strip_suffix(b"\n")
            .ok_or_else(|| bad("a pax record without an end"))?;
        let equals = record
            .iter()
            .position(|byte| *byte == b'=')
            .ok_or_else(|| bad("a pax record without `=`"))?;
        let (key, value) = record.split_at(equals);
        apply_pax(key, value.get(1..).unwrap_or_default(), extensions)?;
    }
    Ok(())
}

fn apply_pax(key: &[u8], value: &[u8], extensions: &mut Extensions) -> io::Result<()> {
    if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
        extensions.xattrs.push((name.to_vec(), value.to_vec()));
        return Ok(());
    }
    // An empty value takes back what the header says; as good as absent here.
    if value.is_empty() {
        return Ok(());
    }
    let id = || u32::try_from(decimal(value)?).map_err(|_| bad("an owner out of range"));
    let sparse = &mut extensions.sparse;
    match key {
        b"path" => extensions.path = Some(value.to_vec()),
        b"linkpath" => extensions.link = Some(value.to_vec()),
        b"size" => extensions.size = Some(decimal(value)?),
        b"uid" => extensions.uid = Some(id()?),
        b"gid" => extensions.gid = Some(id()?),
        b"mtime" => extensions.mtime = Some(time(value)?),
        b"GNU.sparse.name" => sparse.name = Some(value.to_vec()),
        b"GNU.sparse.realsize" | b"GNU.sparse.size" => sparse.real_size = Some(decimal(value)?),
        b"GNU.sparse.major" => sparse.leading_map = value == b"1",
        b"GNU.sparse.numblocks" => {
            sparse.numbers.get_or_insert_default();
        }
        b"GNU.sparse.offset" | b"GNU.sparse.numbytes" => {
            let numbers = sparse.numbers.get_or_insert_default();
            numbers.push(decimal(value)?);
        }
        b"GNU.sparse.map" => {
            let numbers: io::Result<Vec<u64>> =
                value.split(|byte| *byte == b',').map(decimal).collect();
            sparse.numbers = Some(numbers?);
        }
        _ => {}
    }
    Ok(())
}

/// Seconds with an optional fraction, perhaps negative.
fn time(value: &[u8]) -> io::Result<(i64, u32)> {
    let wrong = || bad("a time that is no number");
    let text = std::str::from_utf8(value).map_err(|_| wrong())?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let seconds: i64 = whole.parse().map_err(|_| wrong())?;
    let mut nanoseconds = 0_u32;
    for position in 0..9 {
        let digit = match fraction.as_bytes().get(position) {
            Some(byte) => char::from(*byte).to_digit(10).ok_or_else(wrong)?,
            None => 0,
        };
        nanoseconds = nanoseconds * 10 + digit;
    }
    if whole.starts_with('-') && nanoseconds > 0 {
        return Ok((seconds.saturating_sub(1), 1_000_000_000 - nanoseconds));
    }
    Ok((seconds, nanoseconds))
}
