//! Writing tar headers, byte for byte as Go's `archive/tar` does where it may
//! choose between ustar and pax (`Header.allowedFormats`): a layer made here has
//! the digest that Docker would give the same files.
//!
//! pax records are written for what the ustar header has no room for, and for
//! extended attributes. A long path alone is split as ustar has it.

/// Size of a tar block.
const BLOCK: usize = 512;
/// Room for a name in a header.
const NAME: usize = 100;
/// Room for the folders before it.
const PREFIX: usize = 155;
/// Keys of pax records of extended attributes begin with it.
const XATTR: &[u8] = b"SCHILY.xattr.";

/// One entry, ready to be written.
pub(crate) struct Header<'a> {
    /// Type flag of POSIX ustar.
    pub(crate) flag: u8,
    /// Folders have a slash at the end.
    pub(crate) path: &'a [u8],
    pub(crate) link: &'a [u8],
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// Of the content that follows.
    pub(crate) size: u64,
    pub(crate) mtime: i64,
    pub(crate) device: (u32, u32),
    /// Further pax records.
    pub(crate) records: Vec<Record>,
}

impl<'a> Header<'a> {
    /// An entry of root's that anybody may read, of 1970.
    pub(crate) fn plain(flag: u8, path: &'a [u8], mode: u32, size: u64) -> Self {
        Self {
            flag,
            path,
            link: b"",
            mode,
            uid: 0,
            gid: 0,
            size,
            mtime: 0,
            device: (0, 0),
            records: Vec::new(),
        }
    }
}

/// Key and value of a pax record.
pub(crate) type Record = (Vec<u8>, Vec<u8>);

/// The record of an extended attribute.
pub(crate) fn xattr_record(name: &[u8], value: &[u8]) -> Record {
    ([XATTR, name].concat(), value.to_vec())
}

/// The end of an archive.
pub(crate) const END: [u8; 2 * BLOCK] = [0; 2 * BLOCK];

/// NULs that fill a content up to a whole block.
pub(crate) fn padding(size: u64) -> Vec<u8> {
    let over = usize::try_from(size % BLOCK as u64).unwrap_or_default();
    vec![0; (BLOCK - over) % BLOCK]
}

/// The blocks of a header, with a pax header before it where one is needed.
pub(crate) fn encode(header: &Header<'_>) -> Vec<u8> {
    let records = records(header);
    let split = split_path(header.path).filter(|_| records.is_empty());
    let mut blocks = Vec::with_capacity(BLOCK);
    let mut block = Block::new();
    if let Some((prefix, name)) = split {
        block.text(0, NAME, name);
        block.text(345, PREFIX, prefix);
    } else {
        if !records.is_empty() || !fits_text(header.path) {
            write_extension(&mut blocks, header.path, records);
        }
        block.text(0, NAME, header.path);
    }
    block.octal(100, 8, header.mode.into());
    block.octal(108, 8, header.uid.into());
    block.octal(116, 8, header.gid.into());
    block.octal(124, 12, i64::try_from(header.size).unwrap_or(i64::MAX));
    block.octal(136, 12, header.mtime);
    block.put(156, &[header.flag]);
    block.text(157, NAME, header.link);
    block.octal(329, 8, header.device.0.into());
    block.octal(337, 8, header.device.1.into());
    blocks.extend_from_slice(&block.finish());
    blocks
}

/// What a ustar header cannot say of an entry, its path left out.
fn records(header: &Header<'_>) -> Vec<Record> {
    let mut records = header.records.clone();
    let mut need = |key: &[u8], value: Vec<u8>| records.push((key.to_vec(), value));
    if !fits_text(header.link) {
        need(b"linkpath", header.link.to_vec());
    }
    if !fits_octal(8, header.uid.into()) {
        need(b"uid", header.uid.to_string().into_bytes());
    }
    if !fits_octal(8, header.gid.into()) {
        need(b"gid", header.gid.to_string().into_bytes());
    }
    if !i64::try_from(header.size).is_ok_and(|size| fits_octal(12, size)) {
        need(b"size", header.size.to_string().into_bytes());
    }
    if !fits_octal(12, header.mtime) {
        need(b"mtime", header.mtime.to_string().into_bytes());
    }
    records
}

/// A path that is too long for a header's name, as prefix and name.
fn split_path(path: &[u8]) -> Option<(&[u8], &[u8])> {
    if path.len() <= NAME || !is_plain(path) {
        return None;
    }
    // The slash at a folder's end is part of its name.
    let searched = path.len().min(PREFIX + 1);
    let searched = path.get(..searched)?;
    let searched = match searched.strip_suffix(b"/") {
        Some(shorter) if path.len() <= PREFIX + 1 => shorter,
        _ => searched,
    };
    let slash = searched.iter().rposition(|byte| *byte == b'/')?;
    let (prefix, name) = (path.get(..slash)?, path.get(slash + 1..)?);
    (slash > 0 && !name.is_empty() && name.len() <= NAME).then_some((prefix, name))
}

/// A pax header with its records.
fn write_extension(blocks: &mut Vec<u8>, path: &[u8], mut records: Vec<Record>) {
    if !fits_text(path) {
        records.push((b"path".to_vec(), path.to_vec()));
    }
    records.sort();
    let mut text = Vec::new();
    for (key, value) in &records {
        write_record(&mut text, key, value);
    }
    let (folder, name) =
        path.split_at(path.iter().rposition(|b| *b == b'/').map_or(0, |at| at + 1));
    let folder = folder.strip_suffix(b"/").unwrap_or(folder);
    let parts = [folder, b"PaxHeaders.0", name];
    let parts: Vec<&[u8]> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    let mut name = ascii(&parts.join(&b'/'));
    name.truncate(NAME);
    while name.last() == Some(&b'/') {
        name.pop();
    }
    let mut block = Block::new();
    block.text(0, NAME, &name);
    block.octal(100, 8, 0);
    block.octal(108, 8, 0);
    block.octal(116, 8, 0);
    block.octal(124, 12, i64::try_from(text.len()).unwrap_or(i64::MAX));
    block.octal(136, 12, 0);
    block.put(156, b"x");
    blocks.extend_from_slice(&block.finish());
    let padding = padding(text.len() as u64);
    blocks.extend_from_slice(&text);
    blocks.extend_from_slice(&padding);
}

/// `length key=value\n`, where the length counts its own digits.
fn write_record(text: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + rest.to_string().len();
    if rest + length.to_string().len() > length {
        length += 1;
    }
    text.extend_from_slice(length.to_string().as_bytes());
    text.push(b' ');
    text.extend_from_slice(key);
    text.push(b'=');
    text.extend_from_slice(value);
    text.push(b'\n');
}

fn fits_text(text: &[u8]) -> bool {
    text.len() <= NAME && is_plain(text)
}

fn is_plain(text: &[u8]) -> bool {
    text.iter().all(|byte| byte.is_ascii() && *byte != 0)
}

/// Whether a number fits into an octal field of this width, with a NUL.
fn fits_octal(width: usize, value: i64) -> bool {
    value >= 0 && value < 1_i64 << ((width - 1) * 3)
}

fn ascii(text: &[u8]) -> Vec<u8> {
    let kept = |byte: &u8| byte.is_ascii() && *byte != 0;
    text.iter().copied().filter(kept).collect()
}

struct Block([u8; BLOCK]);

impl Block {
    fn new() -> Self {
        let mut block = Self([0; BLOCK]);
        block.put(257, b"ustar\x0000");
        block
    }

    fn put(&mut self, at: usize, bytes: &[u8]) {
        if let Some(room) = self.0.get_mut(at..at + bytes.len()) {
            room.copy_from_slice(bytes);
        }
    }

    /// What of a text fits. A slash where it is cut is left out: readers that
    /// know no pax would take a file for a folder.
    fn text(&mut self, at: usize, width: usize, text: &[u8]) {
        let text = ascii(text);
        let mut kept = text.get(..width).unwrap_or(&text);
        if text.len() > width {
            while let Some(shorter) = kept.strip_suffix(b"/") {
                kept = shorter;
            }
        }
        self.put(at, kept);
    }

    /// A number that does not fit is in a pax record, and zero here.
    fn octal(&mut self, at: usize, width: usize, value: i64) {
        let value = if fits_octal(width, value) { value } else { 0 };
        let digits = format!("{value:0>width$o}", width = width - 1);
        self.put(at, digits.as_bytes());
    }

    fn finish(mut self) -> [u8; BLOCK] {
        self.put(148, b"        ");
        let sum: u32 = self.0.iter().map(|byte| u32::from(*byte)).sum();
        self.put(148, format!("{sum:06o}\0 ").as_bytes());
        self.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::image::unpack::{Archive, Kind};

    fn plain(path: &[u8]) -> Header<'_> {
        Header::plain(b'0', path, 0o644, 0)
    }

    #[test]
    fn an_ordinary_file_takes_one_block() {
        let block = encode(&plain(b"etc/hostname"));
        assert_eq!(block.len(), 512);
        assert_eq!(&block[..13], b"etc/hostname\0");
        assert_eq!(&block[100..108], b"0000644\0");
        assert_eq!(&block[257..265], b"ustar\x0000");
        assert_eq!(&block[329..345], b"0000000\x000000000\0");
    }

    #[test]
    fn what_has_no_room_is_in_a_pax_header() {
        let blocks = encode(&Header {
            uid: 3_000_000,
            ..plain(&b"d/".repeat(60))
        });
        let text = String::from_utf8_lossy(&blocks[512..1024]);
        assert!(text.starts_with("130 path=d/d/"), "{text}");
        assert!(text.contains("\n15 uid=3000000\n"), "{text}");
        // Where a name is cut at a slash, that goes.
        assert_eq!(&blocks[1024 + 98..1024 + 100], b"d\0");
    }

    #[test]
    fn a_long_path_is_split_where_that_suffices() {
        let [a, b] = ["a", "b"].map(|name| name.repeat(90));
        let (prefix, name) = (format!("{a}/x"), format!("{b}/"));
        for (path, expected) in [
            (format!("{a}/{b}"), Some((&*a, &*b))),
            (format!("{a}/x/{b}/"), Some((&*prefix, &*name))),
            (format!("/{a}{b}"), None),
            (format!("{a}{b}"), None),
            (format!("{a}{b}/{a}"), None),
            (format!("{a}/\u{e9}/{b}"), None),
        ] {
            let expected = expected.map(|(prefix, name)| (prefix.as_bytes(), name.as_bytes()));
            assert_eq!(split_path(path.as_bytes()), expected, "{path}");
            let blocks = encode(&plain(path.as_bytes()));
            assert_eq!(blocks.len() == 512, expected.is_some(), "{path}");
        }
    }

    proptest! {
        /// Whatever is written is read as it was.
        #[test]
        fn the_reader_reads_what_is_written(
            path in "[^\0/]{1,150}(/[^\0/]{1,150}){0,3}",
            link in "[^\0]{0,250}",
            ids in any::<(u32, u32)>(),
            mode in 0_u32..0o10000,
            mtime in any::<i64>(),
            device in (0_u32..1 << 12, 0_u32..1 << 20),
            value in proptest::collection::vec(any::<u8>(), 0..300),
        ) {
            let mut bytes = encode(&Header {
                flag: b'3', path: path.as_bytes(), link: link.as_bytes(), mode,
                uid: ids.0, gid: ids.1, size: 0, mtime, device,
                records: vec![xattr_record(b"user.a", &value)],
            });
            bytes.extend_from_slice(&END);
            let mut archive = Archive::new(bytes.as_slice(), ());
            let entry = archive.next_entry().unwrap().unwrap();
            prop_assert_eq!(entry.kind, Kind::Character);
            prop_assert_eq!(entry.path, path.as_bytes());
            prop_assert_eq!(entry.link, link.as_bytes());
            prop_assert_eq!((entry.mode, entry.uid, entry.gid), (mode, ids.0, ids.1));
            prop_assert_eq!((entry.mtime, entry.device), ((mtime, 0), device));
            prop_assert_eq!(entry.xattrs, vec![(b"user.a".to_vec(), value)]);
            prop_assert!(archive.next_entry().unwrap().is_none());
        }
    }
}
