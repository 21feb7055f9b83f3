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

use super::number::{bad, decimal, ended, number, slice, unsigned, until_nul};
use super::pax::{self, Extensions, PaxSparse};

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
    /// The mark of the end was read.
    complete: bool,
}

impl<R: BufRead, F: Frame> Archive<R, F> {
    pub(crate) fn new(input: R, frame: F) -> Self {
        Self {
            input,
            frame,
            content: 0,
            padding: 0,
            complete: false,
        }
    }

    /// Whether the stream's end was marked as one, and not just where it stopped.
    pub(crate) fn is_complete(&self) -> bool {
        self.complete
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
                    pax::parse(&text, &mut extensions)?;
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
        // Not by the next multiple: there may be none.
        self.padding = (BLOCK as u64 - size % BLOCK as u64) % BLOCK as u64;
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
            self.complete = true;
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
        let size = extensions.size.unwrap_or(header_size);
        let ustar = slice(header, 257, 6) == b"ustar\0";
        let name = extensions.sparse.name.as_ref().or(extensions.path.as_ref());
        let path = match name {
            Some(name) => name.clone(),
            None => header_path(header, ustar),
        };
        let kind = kind_of(flag, &path)?;
        // Links state their target's size without having its content.
        let links = matches!(kind, Kind::HardLink | Kind::Symlink);
        let content = if links { 0 } else { size };
        let (real_size, sparse) = if kind == Kind::Regular {
            self.begin_file(header, flag, content, &extensions.sparse)?
        } else {
            self.begin_content(content);
            (size, None)
        };
        let id = |given: Option<u32>, at: usize| match given {
            Some(id) => Ok(id),
            None => u32::try_from(number(slice(header, at, 8))?)
                .map_err(|_| bad("an owner out of range")),
        };
        Ok(Entry {
            kind,
            path,
            link: extensions
                .link
                .unwrap_or_else(|| until_nul(slice(header, 157, 100)).to_vec()),
            mode: u32::try_from(number(slice(header, 100, 8))? & 0o7777).unwrap_or_default(),
            uid: id(extensions.uid, 108)?,
            gid: id(extensions.gid, 116)?,
            mtime: match extensions.mtime {
                Some(time) => time,
                None => (number(slice(header, 136, 12))?, 0),
            },
            device: device(kind, header)?,
            size: real_size,
            sparse,
            xattrs: extensions.xattrs,
        })
    }

    /// Goes to a file's content, past a sparse map where one is in front of it.
    /// Gives the file's length and its map.
    fn begin_file(
        &mut self,
        header: &[u8; BLOCK],
        flag: u8,
        content: u64,
        pax: &PaxSparse,
    ) -> io::Result<(u64, Option<Vec<Segment>>)> {
        let gnu = slice(header, 257, 8) == b"ustar  \0";
        let old_map = if flag == b'S' && gnu {
            Some(self.old_gnu_map(header)?)
        } else {
            None
        };
        self.begin_content(content);
        let pax_size = || {
            pax.real_size
                .ok_or_else(|| bad("a sparse file without a size"))
        };
        let (size, segments) = if let Some(segments) = old_map {
            (unsigned(slice(header, 483, 12))?, segments)
        } else if pax.leading_map {
            (pax_size()?, self.leading_map()?)
        } else if let Some(numbers) = &pax.numbers {
            (pax_size()?, pairs(numbers)?)
        } else {
            return Ok((content, None));
        };
        check_segments(&segments, size, self.content)?;
        Ok((size, Some(segments)))
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

/// What a type flag means. Old archives tell folders by a slash at the end.
fn kind_of(flag: u8, path: &[u8]) -> io::Result<Kind> {
    Ok(match flag {
        b'0' | 0 if path.ends_with(b"/") => Kind::Directory,
        b'0' | 0 | b'7' | b'S' => Kind::Regular,
        b'1' => Kind::HardLink,
        b'2' => Kind::Symlink,
        b'3' => Kind::Character,
        b'4' => Kind::Block,
        b'5' | b'D' => Kind::Directory,
        b'6' => Kind::Fifo,
        other => {
            let name = char::from(other);
            return Err(bad(&format!("an entry of unknown type {name:?}")));
        }
    })
}

fn device(kind: Kind, header: &[u8; BLOCK]) -> io::Result<(u32, u32)> {
    if !matches!(kind, Kind::Character | Kind::Block) {
        return Ok((0, 0));
    }
    let part =
        |at| u32::try_from(number(slice(header, at, 8))?).map_err(|_| bad("a device out of range"));
    Ok((part(329)?, part(337)?))
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

#[cfg(test)]
#[path = "tar_tests.rs"]
mod tests;
