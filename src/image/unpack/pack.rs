//! From the upper directory of an overlay to a layer: the other way round than
//! [`super::extract`].
//!
//! The archive that the folder stands for is hashed and its recipe kept; the
//! archive itself is written when somebody asks for it. It is what Docker
//! writes of the same folder (moby's `archive.TarWithOptions` with overlay
//! whiteouts): names in order, every folder stated, the root left out, owners
//! by number, whole seconds. Three things are otherwise: Docker keeps the attribute
//! `security.capability` only, here all are kept that are no label of this host;
//! Docker gives a whiteout that overlayfs has linked to another (one inode for
//! many of them) the other's name as a link target that means nothing; and it
//! writes out holes of any size (see [`super::holes`]).
//!
//! **The folder is made equal to its archive** while it is read, for it becomes
//! the layer: times lose their fractions, sockets and overlayfs's own attributes
//! go. So a layer built here and the same one pulled are the same.

use std::collections::HashMap;
use std::io::{self, Read as _, Seek as _, Write};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Stat, Uid};

use super::header::{END, Header, Record, encode, padding, xattr_record};
use super::holes;
use super::names::{OPAQUE, WHITEOUT, printable};
use super::place::{OPAQUE_XATTR, set_times};
use super::recipe::Recipe;
use super::tar::{Frame as _, Segment};
use super::xattrs::xattrs;
use crate::image::digest::{Digest, Hasher};

/// Bytes of a file that are read at once.
const CHUNK: usize = 256 * 1024;
/// Attributes of overlayfs begin with it.
const OVERLAY: &[u8] = b"trusted.overlay.";
/// Those that say that a file's content is elsewhere: the overlay was mounted
/// with options that a build's never is.
const ELSEWHERE: [&[u8]; 2] = [b"trusted.overlay.redirect", b"trusted.overlay.metacopy"];

/// A folder that is a layer now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Packed {
    /// Digest of the archive.
    pub(crate) diff_id: Digest,
    /// Bytes of its files.
    pub(crate) size: u64,
}

/// A folder that cannot become a layer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PackError {
    /// The name is that of a whiteout.
    #[error(
        "a file named `{0}` cannot be in an image: names that begin with `.wh.` mark removed files"
    )]
    Reserved(String),
    /// It is only half there.
    #[error("the content of `{0}` is not in this folder")]
    Elsewhere(String),
    /// The system's answer.
    #[error("cannot {step} `{path}`: {source}")]
    File {
        /// What was tried.
        step: &'static str,
        /// Relative to the folder.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// The recipe cannot be written.
    #[error("cannot write the layer's recipe: {0}")]
    Recipe(io::Error),
}

/// Reads the upper directory of an overlay that nobody uses any more, and
/// writes its recipe. No time in the archive is after `latest` (seconds since
/// 1970). `None` for a folder that has nothing in it. Blocks.
pub(crate) fn pack(
    root: &Path,
    recipe: impl Write,
    latest: Option<i64>,
) -> Result<Option<Packed>, PackError> {
    let opened = fs_err::File::open(root).map_err(fail("open", b""))?;
    let mut packer = Packer {
        root: opened.into_parts().0.into(),
        hasher: Hasher::new(),
        recipe: Recipe::new(recipe).map_err(PackError::Recipe)?,
        first_names: HashMap::new(),
        latest,
        size: 0,
        buffer: vec![0; CHUNK],
        empty: true,
    };
    packer.folder(b"")?;
    if packer.empty {
        return Ok(None);
    }
    packer.settle_root()?;
    packer.frame(&END)?;
    packer.recipe.finish().map_err(PackError::Recipe)?;
    Ok(Some(Packed {
        diff_id: packer.hasher.finish(),
        size: packer.size,
    }))
}

struct Packer<W: Write> {
    root: OwnedFd,
    hasher: Hasher,
    recipe: Recipe<W>,
    /// Files of several names, by the one that came first.
    first_names: HashMap<(u64, u64), Vec<u8>>,
    latest: Option<i64>,
    size: u64,
    buffer: Vec<u8>,
    empty: bool,
}

/// What the system says of an entry, before its kind is looked at.
struct Seen<'a> {
    path: &'a [u8],
    stat: &'a Stat,
    mtime: i64,
}

impl<W: Write> Packer<W> {
    /// The entries of a folder, in the order of their names' bytes.
    fn folder(&mut self, path: &[u8]) -> Result<(), PackError> {
        for name in self.names(path)? {
            let below = if path.is_empty() {
                name
            } else {
                [path, b"/", &name].concat()
            };
            self.entry(&below)?;
        }
        Ok(())
    }

    fn names(&self, path: &[u8]) -> Result<Vec<Vec<u8>>, PackError> {
        let read = || -> io::Result<Vec<Vec<u8>>> {
            let at: &[u8] = if path.is_empty() { b"." } else { path };
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let folder = rustix::fs::openat(&self.root, at, flags, Mode::empty())?;
            let mut names = Vec::new();
            for entry in rustix::fs::Dir::new(folder)? {
                let entry = entry?;
                let name = entry.file_name().to_bytes();
                if !matches!(name, b"." | b"..") {
                    names.push(name.to_vec());
                }
            }
            names.sort();
            Ok(names)
        };
        read().map_err(fail("read the folder", path))
    }

    fn entry(&mut self, path: &[u8]) -> Result<(), PackError> {
        let stat = rustix::fs::statat(&self.root, path, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(fail("look at", path))?;
        let seen = Seen {
            path,
            stat: &stat,
            mtime: self
                .latest
                .map_or(stat.st_mtime, |latest| stat.st_mtime.min(latest)),
        };
        let (folder, name) = super::split(path);
        let kind = FileType::from_raw_mode(stat.st_mode);
        if kind == FileType::Socket {
            return rustix::fs::unlinkat(&self.root, path, AtFlags::empty())
                .map_err(fail("remove the socket", path));
        }
        if name.starts_with(WHITEOUT) {
            return Err(PackError::Reserved(printable(path)));
        }
        self.empty = false;
        if kind == FileType::CharacterDevice && stat.st_rdev == 0 {
            return self.whiteout(&seen, folder, name);
        }
        if kind == FileType::Directory {
            return self.directory(&seen);
        }
        if stat.st_nlink > 1 {
            let inode = (stat.st_dev, stat.st_ino);
            if let Some(first) = self.first_names.get(&inode) {
                let first = first.clone();
                let records = self.attributes(path)?.records;
                return self.header(&seen, b'1', path, &first, records);
            }
            self.first_names.insert(inode, path.to_vec());
        }
        let records = self.attributes(path)?.records;
        match kind {
            FileType::RegularFile => self.file(&seen, records)?,
            FileType::Symlink => {
                let link = rustix::fs::readlinkat(&self.root, path, Vec::new())
                    .map_err(fail("read the link", path))?;
                self.header(&seen, b'2', path, link.as_bytes(), records)?;
            }
            FileType::CharacterDevice => self.header(&seen, b'3', path, b"", records)?,
            FileType::BlockDevice => self.header(&seen, b'4', path, b"", records)?,
            _ => self.header(&seen, b'6', path, b"", records)?,
        }
        self.settle_time(&seen)
    }

    fn whiteout(&mut self, seen: &Seen<'_>, folder: &[u8], name: &[u8]) -> Result<(), PackError> {
        let slash: &[u8] = if folder.is_empty() { b"" } else { b"/" };
        let path = [folder, slash, WHITEOUT, name].concat();
        self.frame(&encode(&Header {
            mode: 0o600,
            ..header_of(seen, b'0', &path)
        }))
    }

    fn directory(&mut self, seen: &Seen<'_>) -> Result<(), PackError> {
        let path = seen.path;
        let attributes = self.attributes(path)?;
        let with_slash = [path, b"/"].concat();
        self.header(seen, b'5', &with_slash, b"", attributes.records)?;
        if attributes.opaque {
            let mark = [&with_slash, OPAQUE].concat();
            self.frame(&encode(&Header {
                mode: seen.stat.st_mode & 0o777,
                mtime: 0,
                ..header_of(seen, b'0', &mark)
            }))?;
        }
        self.folder(path)?;
        self.settle_time(seen)
    }

    fn file(&mut self, seen: &Seen<'_>, mut records: Vec<Record>) -> Result<(), PackError> {
        let path = seen.path;
        let size = u64::try_from(seen.stat.st_size).unwrap_or_default();
        if size == 0 {
            return self.header(seen, b'0', path, b"", records);
        }
        let blocks = u64::try_from(seen.stat.st_blocks).unwrap_or_default();
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.root, path, flags, Mode::empty());
        let file = std::fs::File::from(file.map_err(fail("open", path))?);
        let holes =
            holes::segments(&file, size, blocks).map_err(fail("find the holes of", path))?;
        let Some(segments) = holes else {
            self.frame(&encode(&Header {
                size,
                records,
                ..header_of(seen, b'0', path)
            }))?;
            return self.content(
                path,
                &file,
                &[Segment {
                    offset: 0,
                    length: size,
                }],
            );
        };
        let map = holes::map(&segments);
        let content: u64 = segments.iter().map(|segment| segment.length).sum();
        records.extend(holes::records(path, size));
        let stand_in = holes::stand_in(path);
        self.frame(&encode(&Header {
            size: content + map.len() as u64,
            records,
            ..header_of(seen, b'0', &stand_in)
        }))?;
        self.frame(&map)?;
        self.content(path, &file, &segments)
    }

    fn content(
        &mut self,
        path: &[u8],
        file: &std::fs::File,
        segments: &[Segment],
    ) -> Result<(), PackError> {
        let mut all = 0;
        for Segment { offset, length } in segments.iter().copied() {
            self.recipe
                .piece(path, offset, length)
                .map_err(PackError::Recipe)?;
            self.hash(file, offset, length)
                .map_err(fail("read", path))?;
            all += length;
        }
        self.size += all;
        self.frame(&padding(all))
    }

    fn hash(&mut self, mut file: &std::fs::File, offset: u64, length: u64) -> io::Result<()> {
        file.seek(io::SeekFrom::Start(offset))?;
        let mut content = file.take(length);
        let mut left = length;
        while left > 0 {
            let count = content.read(&mut self.buffer)?;
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.hasher
                .update(self.buffer.get(..count).unwrap_or_default());
            left -= count as u64;
        }
        Ok(())
    }

    fn header(
        &mut self,
        seen: &Seen<'_>,
        flag: u8,
        path: &[u8],
        link: &[u8],
        records: Vec<Record>,
    ) -> Result<(), PackError> {
        let device = match flag {
            b'3' | b'4' => {
                let device = seen.stat.st_rdev;
                (rustix::fs::major(device), rustix::fs::minor(device))
            }
            _ => (0, 0),
        };
        self.frame(&encode(&Header {
            link,
            device,
            records,
            ..header_of(seen, flag, path)
        }))
    }

    fn frame(&mut self, bytes: &[u8]) -> Result<(), PackError> {
        self.hasher.update(bytes);
        self.recipe.frame(bytes).map_err(PackError::Recipe)
    }

    /// Reads what a name's extended attributes say, and removes those that are
    /// overlayfs's own.
    fn attributes(&self, path: &[u8]) -> Result<Attributes, PackError> {
        // No call takes a descriptor and a name before Linux 6.13.
        let mut full = format!("/proc/self/fd/{}/", self.root.as_raw_fd()).into_bytes();
        full.extend_from_slice(path);
        let all = xattrs(&*full).map_err(fail("read attributes of", path))?;
        let mut attributes = Attributes::default();
        for (name, value) in all {
            if ELSEWHERE.contains(&name.as_slice()) {
                return Err(PackError::Elsewhere(printable(path)));
            } else if name == OPAQUE_XATTR.as_bytes() {
                attributes.opaque = value == b"y";
            } else if name.starts_with(OVERLAY) {
                rustix::fs::lremovexattr(&*full, name.as_slice())
                    .map_err(fail("remove an attribute of overlayfs from", path))?;
            } else if is_content(&name) {
                attributes.records.push(xattr_record(&name, &value));
            }
        }
        Ok(attributes)
    }

    fn settle_time(&self, seen: &Seen<'_>) -> Result<(), PackError> {
        use std::os::fd::AsFd as _;
        set_times(self.root.as_fd(), seen.path, (seen.mtime, 0))
            .map_err(fail("set the time of", seen.path))
    }

    /// The root is in no archive, so it is as an unpacked layer's is.
    fn settle_root(&self) -> Result<(), PackError> {
        self.attributes(b".")?;
        let settle = || {
            rustix::fs::fchown(&self.root, Some(Uid::ROOT), Some(Gid::ROOT))?;
            rustix::fs::fchmod(&self.root, Mode::from(0o755))
        };
        settle().map_err(fail("set attributes of", b"/"))
    }
}

#[derive(Default)]
struct Attributes {
    opaque: bool,
    records: Vec<Record>,
}

/// Whether an attribute belongs to the file: not a label, measurement or
/// signature that this host gave it, nor what a pax record cannot name.
fn is_content(name: &[u8]) -> bool {
    let of_host = name.starts_with(b"security.") && name != b"security.capability";
    !of_host && !name.contains(&b'=')
}

fn header_of<'a>(seen: &Seen<'_>, flag: u8, path: &'a [u8]) -> Header<'a> {
    Header {
        mode: seen.stat.st_mode & 0o7777,
        uid: seen.stat.st_uid,
        gid: seen.stat.st_gid,
        mtime: seen.mtime,
        ..Header::plain(flag, path, 0, 0)
    }
}

fn fail<E: Into<io::Error>>(step: &'static str, path: &[u8]) -> impl FnOnce(E) -> PackError {
    let path = printable(path);
    move |error| PackError::File {
        step,
        path,
        source: error.into(),
    }
}

#[cfg(test)]
#[path = "pack_tests.rs"]
mod tests;
