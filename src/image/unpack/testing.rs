//! Archives for tests, honest and hostile ones.

use std::fmt::Write as _;

/// Writes a tar, entry by entry.
pub(crate) struct Tar {
    bytes: Vec<u8>,
    /// Where the last entry's own header is.
    last: usize,
}

impl Tar {
    pub(crate) fn new() -> Self {
        Self {
            bytes: Vec::new(),
            last: 0,
        }
    }

    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.bytes.extend_from_slice(&[0; 1024]);
        self.bytes
    }

    fn header(&mut self, kind: u8, name: &[u8], mode: u32, size: u64, link: &[u8]) -> &mut Self {
        let mut header = tar::Header::new_gnu();
        {
            let old = header.as_old_mut();
            assert!(name.len() <= 100 && link.len() <= 100);
            old.name[..name.len()].copy_from_slice(name);
            old.linkname[..link.len()].copy_from_slice(link);
        }
        header.set_entry_type(tar::EntryType::new(kind));
        header.set_mode(mode);
        header.set_size(size);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1_000_000_000);
        header.set_cksum();
        self.last = self.bytes.len();
        self.bytes.extend_from_slice(header.as_bytes());
        self
    }

    fn content(&mut self, content: &[u8]) {
        self.bytes.extend_from_slice(content);
        let length = self.bytes.len().next_multiple_of(512);
        self.bytes.resize(length, 0);
    }

    fn change(mut self, change: impl FnOnce(&mut tar::Header)) -> Self {
        let block = &mut self.bytes[self.last..self.last + 512];
        let mut header = tar::Header::from_byte_slice(block).clone();
        change(&mut header);
        header.set_cksum();
        block.copy_from_slice(header.as_bytes());
        self
    }

    /// Of the last entry.
    pub(crate) fn owner(self, uid: u64, gid: u64) -> Self {
        self.change(|header| {
            header.set_uid(uid);
            header.set_gid(gid);
        })
    }

    /// Of the last entry.
    pub(crate) fn time(self, seconds: u64) -> Self {
        self.change(|header| header.set_mtime(seconds))
    }

    pub(crate) fn raw_name(mut self, name: &[u8], mode: u32, content: &[u8]) -> Self {
        self.header(b'0', name, mode, content.len() as u64, b"");
        self.content(content);
        self
    }

    pub(crate) fn file(self, name: &str, mode: u32, content: &[u8]) -> Self {
        self.raw_name(name.as_bytes(), mode, content)
    }

    pub(crate) fn dir(mut self, name: &str, mode: u32) -> Self {
        self.header(b'5', name.as_bytes(), mode, 0, b"");
        self
    }

    pub(crate) fn symlink(mut self, name: &str, target: &str) -> Self {
        self.header(b'2', name.as_bytes(), 0o777, 0, target.as_bytes());
        self
    }

    pub(crate) fn link(mut self, name: &str, target: &str) -> Self {
        self.header(b'1', name.as_bytes(), 0o644, 0, target.as_bytes());
        self
    }

    pub(crate) fn fifo(mut self, name: &str, mode: u32) -> Self {
        self.header(b'6', name.as_bytes(), mode, 0, b"");
        self
    }

    pub(crate) fn device(mut self, name: &str, mode: u32, (major, minor): (u32, u32)) -> Self {
        self.header(b'3', name.as_bytes(), mode, 0, b"");
        self.change(|header| {
            header.set_device_major(major).unwrap();
            header.set_device_minor(minor).unwrap();
        })
    }

    pub(crate) fn unknown_type(mut self, kind: u8) -> Self {
        self.header(kind, b"what", 0o644, 0, b"");
        self
    }

    /// For the entry that follows.
    pub(crate) fn pax(mut self, records: &[(&str, &[u8])]) -> Self {
        let mut text = Vec::new();
        for (key, value) in records {
            let rest = key.len() + value.len() + 3;
            let mut length = rest + rest.to_string().len();
            if rest + length.to_string().len() > length {
                length += 1;
            }
            text.extend_from_slice(format!("{length} {key}=").as_bytes());
            text.extend_from_slice(value);
            text.push(b'\n');
        }
        self.header(b'x', b"pax", 0o644, text.len() as u64, b"");
        self.content(&text);
        self
    }

    /// A pax header that claims a size without having it.
    pub(crate) fn pax_of_size(mut self, size: u64) -> Self {
        self.header(b'x', b"pax", 0o644, size, b"");
        self
    }

    /// For the entry that follows.
    pub(crate) fn gnu_long(mut self, name: &str) -> Self {
        self.header(b'L', b"././@LongLink", 0o644, name.len() as u64 + 1, b"");
        let name = [name.as_bytes(), b"\0"].concat();
        self.content(&name);
        self
    }

    pub(crate) fn sparse_old_gnu(mut self, name: &str, parts: &[(u64, &[u8])], size: u64) -> Self {
        let stored: usize = parts.iter().map(|(_, content)| content.len()).sum();
        self.header(b'S', name.as_bytes(), 0o644, stored as u64, b"");
        let mut tar = self.change(|header| {
            let gnu = header.as_gnu_mut().unwrap();
            gnu.set_real_size(size);
            for ((offset, content), slot) in parts.iter().zip(&mut gnu.sparse) {
                slot.set_offset(*offset);
                slot.set_length(content.len() as u64);
            }
        });
        tar.content(&joined(parts));
        tar
    }

    pub(crate) fn sparse_pax_0(self, name: &str, parts: &[(u64, &[u8])], size: u64) -> Self {
        let map: Vec<String> = parts
            .iter()
            .map(|(offset, content)| format!("{offset},{}", content.len()))
            .collect();
        self.pax(&[
            ("GNU.sparse.size", size.to_string().as_bytes()),
            ("GNU.sparse.numblocks", parts.len().to_string().as_bytes()),
            ("GNU.sparse.map", map.join(",").as_bytes()),
            ("GNU.sparse.name", name.as_bytes()),
        ])
        .file("GNUSparseFile.1/x", 0o644, &joined(parts))
    }

    pub(crate) fn sparse_pax_1(self, name: &str, parts: &[(u64, &[u8])], size: u64) -> Self {
        let mut map = format!("{}\n", parts.len());
        for (offset, content) in parts {
            write!(map, "{offset}\n{}\n", content.len()).unwrap();
        }
        let mut content = map.into_bytes();
        content.resize(512, 0);
        content.extend_from_slice(&joined(parts));
        self.pax(&[
            ("GNU.sparse.major", b"1"),
            ("GNU.sparse.minor", b"0"),
            ("GNU.sparse.name", name.as_bytes()),
            ("GNU.sparse.realsize", size.to_string().as_bytes()),
        ])
        .file("GNUSparseFile.1/x", 0o644, &content)
    }
}

fn joined(parts: &[(u64, &[u8])]) -> Vec<u8> {
    parts
        .iter()
        .flat_map(|(_, content)| content.to_vec())
        .collect()
}
