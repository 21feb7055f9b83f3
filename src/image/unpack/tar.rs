//! Reading a tar stream, entry by entry (POSIX ustar and pax, GNU).
//!
//! The `tar` crate splits pax records at newlines, which breaks binary values
//! such as a `security.capability` with a byte 10 in it, and gives no access
//! to the bytes between contents, which [`super::recipe`] keeps. So the stream
//! is read here: every length is bounded, nothing is trusted.
//!
//! Global pax headers (`g`) are skipped, as Go's reader, and thereby Docker,
//! does. Owners by name are not used: layers name them by number.

use std::io::{self, BufRead};

/// Size of a tar block.
const BLOCK: usize = 512;
/// Longest pax header or GNU long name, as Go's reader has it.
const EXTENSION_LIMIT: u64 = 1 << 20;
/// Most segments of one sparse file.
const SEGMENT_LIMIT: usize = 1 << 16;

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Regular,
    HardLink,
    Symlink,
    Character,
    Block,
    Directory,
    Fifo,
}

/// A piece of a sparse file that is not a hole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) offset: u64,
    pub(crate) length: u64,
}

/// One entry, without its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) kind: Kind,
    pub(crate) path: Vec<u8>,
    pub(crate) link: Vec<u8>,
    /// Permission bits, setuid, setgid and sticky included.
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// Seconds and nanoseconds since 1970.
    pub(crate) mtime: (i64, u32),
    pub(crate) device: (u32, u32),
    /// Length of the file, holes included.
    pub(crate) size: u64,
    /// Where the content belongs, if not at one piece from 0.
    pub(crate) sparse: Option<Vec<Segment>>,
    pub(crate) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

/// Takes every byte of the stream that is not content of a regular file.
pub(crate) trait Frame {
    /// Some bytes of it, in order.
    fn frame(&mut self, bytes: &[u8]) -> io::Result<()>;
}

impl Frame for () {
    fn frame(&mut self, _bytes: &[u8]) -> io::Result<()> {
        Ok(())
    }
}

/// A tar stream.
pub(crate) struct Archive<R, F> {
    input: R,
    frame: F,
    /// Content of the current entry that was not read yet.
    content: u64,
    /// Padding after it.
    padding: u64,
}

/// What precedes an entry and belongs to it.
#[derive(Default)]
struct Extensions {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    uid: Option<u32>,
    gid: Option<u32>,
    mtime: Option<(i64, u32)>,
    xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    sparse: PaxSparse,
}

/// The three ways in which pax headers describe sparse files.
#[derive(Default)]
struct PaxSparse {
    name: Option<Vec<u8>>,
    real_size: Option<u64>,
    /// Format 1.0: the map is in front of the content.
    leading_map: bool,
    /// Formats 0.0 and 0.1: offsets and lengths in turn.
    numbers: Option<Vec<u64>>,
}

impl<R: BufRead, F: Frame> Archive<R, F> {
    pub(crate) fn new(input: R, frame: F) -> Self {
        Self {
            input,
            frame,
            content: 0,
            padding: 0,
        }
    }

    /// The next entry; what was not read of the last one's content is skipped.
    pub(crate) fn next_entry(&mut self) -> io::Result<Option<Entry>> {
        self.skip_content()?;
        let mut extensions = Extensions::default();
        loop {
            let Some(header) = self.header()? else {
                return Ok(None);
            };
            let header_size = number(slice(&header, 124, 12))?;
            let header_size = u64::try_from(header_size).map_err(|_| bad("a negative size"))?;
            let flag = header.get(156).copied().unwrap_or_default();
            match flag {
                b'x' | b'X' => {
                    let text = self.extension(header_size)?;
                    parse_pax(&text, &mut extensions)?;
                }
                b'g' => {
                    self.extension(header_size)?;
                }
                b'L' => extensions.path = Some(until_nul(&self.extension(header_size)?).to_vec()),
                b'K' => extensions.link = Some(until_nul(&self.extension(header_size)?).to_vec()),
                // A GNU volume label.
                b'V' => self.begin_content(header_size),
                _ => return self.entry(&header, flag, header_size, extensions).map(Some),
            }
            self.skip_content()?;
        }
    }

    /// Some of the current entry's content; empty at its end.
    pub(crate) fn fill_content(&mut self) -> io::Result<&[u8]> {
        if self.content == 0 {
            return Ok(&[]);
        }
        let available = self.input.fill_buf()?;
        if available.is_empty() {
            return Err(ended());
        }
        let limit = usize::try_from(self.content).unwrap_or(usize::MAX);
        Ok(available
            .get(..available.len().min(limit))
            .unwrap_or(available))
    }

    /// Marks so much of the content as read.
    pub(crate) fn consume_content(&mut self, count: usize) {
        self.input.consume(count);
        self.content = self.content.saturating_sub(count as u64);
    }

    /// What was given as the frame's taker.
    pub(crate) fn frame_mut(&mut self) -> &mut F {
        &mut self.frame
    }

    /// Reads to the end of the stream, past the end marker, and gives the
    /// frame back.
    pub(crate) fn finish(mut self) -> io::Result<F> {
        self.skip_content()?;
        loop {
            let rest = self.input.fill_buf()?;
            if rest.is_empty() {
                return Ok(self.frame);
            }
            self.frame.frame(rest)?;
            let count = rest.len();
            self.input.consume(count);
        }
    }

    /// Where the current entry's content begins in the input; the content is
    /// jumped over.
    pub(crate) fn skip_to_next(&mut self) -> io::Result<u64>
    where
        R: io::Seek,
    {
        let offset = self.input.stream_position()?;
        let left = self.content.saturating_add(self.padding);
        self.content = 0;
        self.padding = 0;
        let left = i64::try_from(left).map_err(|_| bad("a size out of range"))?;
        self.input.seek_relative(left)?;
        Ok(offset)
    }

    fn begin_content(&mut self, size: u64) {
        self.content = size;
        self.padding = size.next_multiple_of(BLOCK as u64).saturating_sub(size);
    }

    fn skip_content(&mut self) -> io::Result<()> {
        let mut left = self.content.saturating_add(self.padding);
        self.content = 0;
        self.padding = 0;
        while left > 0 {
            let available = self.input.fill_buf()?;
            if available.is_empty() {
                return Err(ended());
            }
            let count = available
                .len()
                .min(usize::try_from(left).unwrap_or(usize::MAX));
            self.frame
                .frame(available.get(..count).unwrap_or_default())?;
            self.input.consume(count);
            left -= count as u64;
        }
        Ok(())
    }

    /// Reads a block; `None` at the end of the stream.
    fn block(&mut self) -> io::Result<Option<[u8; BLOCK]>> {
        let mut block = [0; BLOCK];
        let mut filled = 0;
        while let Some(space) = block.get_mut(filled..).filter(|s| !s.is_empty()) {
            let count = self.input.read(space)?;
            if count == 0 && filled == 0 {
                return Ok(None);
            }
            if count == 0 {
                return Err(ended());
            }
            filled += count;
        }
        self.frame.frame(&block)?;
        Ok(Some(block))
    }

    /// Reads a header whose checksum is right; `None` at the end marker.
    fn header(&mut self) -> io::Result<Option<[u8; BLOCK]>> {
        let Some(header) = self.block()? else {
            return Ok(None);
        };
        if header.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        let stated = number(slice(&header, 148, 8))?;
        let blank = |index: usize| (148..156).contains(&index);
        let (mut unsigned, mut signed) = (0_i64, 0_i64);
        for (index, byte) in header.iter().enumerate() {
            let byte = if blank(index) { b' ' } else { *byte };
            unsigned += i64::from(byte);
            signed += i64::from(byte.cast_signed());
        }
        if stated != unsigned && stated != signed {
            return Err(bad("a header with a wrong checksum; this is no tar stream"));
        }
        Ok(Some(header))
    }

    /// Reads the content of an extension header.
    fn extension(&mut self, size: u64) -> io::Result<Vec<u8>> {
        if size > EXTENSION_LIMIT {
            return Err(bad("an extension header over 1 MiB"));
        }
        let blocks = size.div_ceil(BLOCK as u64);
        let mut text = Vec::new();
        for _ in 0..blocks {
            text.extend_from_slice(&self.block()?.ok_or_else(ended)?);
        }
        text.truncate(usize::try_from(size).unwrap_or(usize::MAX));
        Ok(text)
    }

    fn entry(
        &mut self,
        header: &[u8; BLOCK],
        flag: u8,
        header_size: u64,
        extensions: Extensions,
    ) -> io::Result<Entry> {
        let gnu = slice(header, 257, 8) == b"ustar  \0";
        let ustar = slice(header, 257, 6) == b"ustar\0";
        let size = extensions.size.unwrap_or(header_size);
        let Extensions {
            path,
            link,
            uid,
            gid,
            mtime,
            xattrs,
            sparse: pax_sparse,
            ..
        } = extensions;
        let path = pax_sparse
            .name
            .clone()
            .or(path)
            .unwrap_or_else(|| header_path(header, ustar));
        let kind = match flag {
            b'0' | 0 if path.ends_with(b"/") => Kind::Directory,
            b'0' | 0 | b'7' | b'S' => Kind::Regular,
            b'1' => Kind::HardLink,
            b'2' => Kind::Symlink,
            b'3' => Kind::Character,
            b'4' => Kind::Block,
            b'5' | b'D' => Kind::Directory,
            b'6' => Kind::Fifo,
            other => {
                return Err(bad(&format!(
                    "an entry of unknown type {:?}",
                    char::from(other)
                )));
            }
        };
        // Links state their target's size without having its content.
        let content = if matches!(kind, Kind::HardLink | Kind::Symlink) {
            0
        } else {
            size
        };
        let (mut real_size, mut sparse) = (size, None);
        if flag == b'S' && gnu {
            real_size = unsigned(slice(header, 483, 12))?;
            sparse = Some(self.old_gnu_map(header)?);
        }
        self.begin_content(content);
        if kind == Kind::Regular && pax_sparse.leading_map {
            sparse = Some(self.leading_map()?);
            real_size = pax_sparse
                .real_size
                .ok_or_else(|| bad("a sparse file without a size"))?;
        } else if let Some(numbers) = pax_sparse.numbers.filter(|_| kind == Kind::Regular) {
            sparse = Some(pairs(&numbers)?);
            real_size = pax_sparse
                .real_size
                .ok_or_else(|| bad("a sparse file without a size"))?;
        }
        if let Some(segments) = &sparse {
            check_segments(segments, real_size, self.content)?;
        }
        let id = |given: Option<u32>, at: usize| match given {
            Some(id) => Ok(id),
            None => u32::try_from(number(slice(header, at, 8))?)
                .map_err(|_| bad("an owner out of range")),
        };
        Ok(Entry {
            kind,
            path,
            link: link.unwrap_or_else(|| until_nul(slice(header, 157, 100)).to_vec()),
            mode: u32::try_from(number(slice(header, 100, 8))? & 0o7777).unwrap_or_default(),
            uid: id(uid, 108)?,
            gid: id(gid, 116)?,
            mtime: match mtime {
                Some(time) => time,
                None => (number(slice(header, 136, 12))?, 0),
            },
            device: match kind {
                Kind::Character | Kind::Block => (
                    u32::try_from(number(slice(header, 329, 8))?).unwrap_or(u32::MAX),
                    u32::try_from(number(slice(header, 337, 8))?).unwrap_or(u32::MAX),
                ),
                _ => (0, 0),
            },
            size: real_size,
            sparse,
            xattrs,
        })
    }

    /// The map of GNU's old format: four pairs in the header, then blocks of 21.
    fn old_gnu_map(&mut self, header: &[u8; BLOCK]) -> io::Result<Vec<Segment>> {
        let mut segments = Vec::new();
        add_old_gnu_pairs(slice(header, 386, 96), &mut segments)?;
        let mut more = header.get(482) == Some(&1);
        while more {
            let block = self.block()?.ok_or_else(ended)?;
            add_old_gnu_pairs(slice(&block, 0, 504), &mut segments)?;
            more = block.get(504) == Some(&1);
        }
        Ok(segments)
    }

    /// The map of pax format 1.0: decimal lines in front of the content,
    /// filled up to a whole block.
    fn leading_map(&mut self) -> io::Result<Vec<Segment>> {
        let mut numbers: Vec<u64> = Vec::new();
        let mut digits = Vec::new();
        loop {
            if self.content < BLOCK as u64 {
                return Err(bad("a sparse map that does not end"));
            }
            let block = self.block()?.ok_or_else(ended)?;
            self.content -= BLOCK as u64;
            for byte in block {
                if byte != b'\n' {
                    digits.push(byte);
                    if digits.len() > 20 {
                        return Err(bad("a sparse map that is no list of numbers"));
                    }
                    continue;
                }
                numbers.push(decimal(&digits)?);
                digits.clear();
                let wanted = numbers.first().copied().unwrap_or_default();
                if wanted > SEGMENT_LIMIT as u64 {
                    return Err(bad("a sparse file of too many pieces"));
                }
                if numbers.len() as u64 == 1 + 2 * wanted {
                    return pairs(numbers.get(1..).unwrap_or_default());
                }
            }
        }
    }
}

fn add_old_gnu_pairs(bytes: &[u8], segments: &mut Vec<Segment>) -> io::Result<()> {
    for pair in bytes.chunks_exact(24) {
        if pair.first() == Some(&0) {
            break;
        }
        segments.push(Segment {
            offset: unsigned(slice(pair, 0, 12))?,
            length: unsigned(slice(pair, 12, 12))?,
        });
        if segments.len() > SEGMENT_LIMIT {
            return Err(bad("a sparse file of too many pieces"));
        }
    }
    Ok(())
}

fn pairs(numbers: &[u64]) -> io::Result<Vec<Segment>> {
    if !numbers.len().is_multiple_of(2) || numbers.len() > 2 * SEGMENT_LIMIT {
        return Err(bad("a sparse map of an odd or too large size"));
    }
    Ok(numbers
        .chunks_exact(2)
        .filter_map(|pair| match pair {
            [offset, length] => Some(Segment {
                offset: *offset,
                length: *length,
            }),
            _ => None,
        })
        .collect())
}

/// Segments must be in order, within the file, and as long as the content.
fn check_segments(segments: &[Segment], size: u64, content: u64) -> io::Result<()> {
    let mut end = 0_u64;
    let mut sum = 0_u64;
    for segment in segments {
        let next = segment.offset.checked_add(segment.length);
        match next.filter(|next| segment.offset >= end && *next <= size) {
            Some(next) => end = next,
            None => return Err(bad("a sparse map out of order")),
        }
        sum = sum.saturating_add(segment.length);
    }
    if sum != content {
        return Err(bad("a sparse map that does not fit its content"));
    }
    Ok(())
}

/// Name and, in ustar, the prefix before it.
fn header_path(header: &[u8; BLOCK], ustar: bool) -> Vec<u8> {
    let name = until_nul(slice(header, 0, 100));
    let prefix = until_nul(slice(header, 345, 155));
    if !ustar || prefix.is_empty() {
        return name.to_vec();
    }
    [prefix, b"/", name].concat()
}

/// Reads pax records: `length key=value\n`, the value of any bytes.
fn parse_pax(text: &[u8], extensions: &mut Extensions) -> io::Result<()> {
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

fn decimal(digits: &[u8]) -> io::Result<u64> {
    std::str::from_utf8(digits)
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| bad("a number that is none"))
}

fn unsigned(field: &[u8]) -> io::Result<u64> {
    u64::try_from(number(field)?).map_err(|_| bad("a negative size"))
}

/// A numeric header field: octal text, or GNU's base 256 where the first bit
/// is set.
fn number(field: &[u8]) -> io::Result<i64> {
    let first = field.first().copied().unwrap_or_default();
    if first & 0x80 != 0 {
        let negative = first & 0x40 != 0;
        let mut value: i128 = i128::from(first & 0x3f) - if negative { 0x40 } else { 0 };
        for byte in field.iter().skip(1) {
            value = value
                .checked_mul(256)
                .and_then(|v| v.checked_add(i128::from(*byte)))
                .ok_or_else(|| bad("a number out of range"))?;
        }
        return i64::try_from(value).map_err(|_| bad("a number out of range"));
    }
    let text = field
        .split(|byte| *byte == 0)
        .next()
        .unwrap_or_default()
        .trim_ascii();
    let mut value = 0_i64;
    for byte in text {
        let digit = char::from(*byte)
            .to_digit(8)
            .ok_or_else(|| bad("a number that is not octal"))?;
        value = value
            .checked_mul(8)
            .and_then(|v| v.checked_add(i64::from(digit)))
            .ok_or_else(|| bad("a number out of range"))?;
    }
    Ok(value)
}

fn slice(bytes: &[u8], start: usize, length: usize) -> &[u8] {
    bytes.get(start..start + length).unwrap_or_default()
}

fn until_nul(bytes: &[u8]) -> &[u8] {
    bytes.split(|byte| *byte == 0).next().unwrap_or_default()
}

fn bad(what: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("the archive has {what}"),
    )
}

fn ended() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the archive ends too early")
}

#[cfg(test)]
#[path = "tar_tests.rs"]
mod tests;
