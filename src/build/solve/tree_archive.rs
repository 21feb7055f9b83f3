//! A tree of files as an archive, which names all of it: hard links, devices and
//! attributes too.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read as _, Write};
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags, major, minor, openat, readlinkat};

use super::error::BuildError;
use super::scan::{Item, Selected};
use crate::image::tar::{END, Header, Record, encode, padding, xattr_record, xattrs};

/// Writes everything below a folder, under names that begin with `prefix`; sockets are
/// left out.
///
/// # Errors
/// A file cannot be read, or changes meanwhile; the output cannot be written.
pub(super) fn write(
    tree: &Selected,
    prefix: &[u8],
    output: &mut dyn Write,
) -> Result<(), BuildError> {
    let mut first_names: HashMap<(u64, u64), Vec<u8>> = HashMap::new();
    for item in tree
        .items
        .iter()
        .filter(|item| !item.path.as_os_str().is_empty())
    {
        let mut name = prefix.to_vec();
        if !name.is_empty() {
            name.push(b'/');
        }
        name.extend_from_slice(item.path.as_os_str().as_bytes());
        let entry = Entry {
            root: &tree.found,
            item,
        };
        entry
            .write(name, &mut first_names, output)
            .map_err(BuildError::files("archive", &item.path))?;
    }
    Ok(())
}

/// Ends the archive.
///
/// # Errors
/// The output cannot be written.
pub(super) fn end(output: &mut dyn Write) -> Result<(), BuildError> {
    output
        .write_all(&END)
        .map_err(BuildError::files("archive", Path::new("/")))
}

struct Entry<'a> {
    root: &'a OwnedFd,
    item: &'a Item,
}

impl Entry<'_> {
    fn write(
        &self,
        mut name: Vec<u8>,
        first_names: &mut HashMap<(u64, u64), Vec<u8>>,
        output: &mut dyn Write,
    ) -> io::Result<()> {
        let status = &self.item.status;
        let path = self.item.path.as_path();
        let mut link = Vec::new();
        let mut device = (0, 0);
        let mut size = 0;
        let kind = self.item.kind();
        let mut flag = match kind {
            FileType::Directory => {
                name.push(b'/');
                b'5'
            }
            FileType::RegularFile => {
                size = u64::try_from(status.st_size).unwrap_or_default();
                b'0'
            }
            FileType::Symlink => {
                link = readlinkat(self.root, path, Vec::new())?.into_bytes();
                b'2'
            }
            FileType::CharacterDevice | FileType::BlockDevice => {
                device = (major(status.st_rdev), minor(status.st_rdev));
                if kind == FileType::BlockDevice {
                    b'4'
                } else {
                    b'3'
                }
            }
            FileType::Fifo => b'6',
            FileType::Socket | FileType::Unknown => return Ok(()),
        };
        if kind != FileType::Directory && status.st_nlink > 1 {
            let inode = (status.st_dev, status.st_ino);
            if let Some(first) = first_names.get(&inode) {
                (flag, size) = (b'1', 0);
                link.clone_from(first);
            } else {
                first_names.insert(inode, name.clone());
            }
        }
        let header = Header {
            link: &link,
            mode: status.st_mode & 0o7777,
            uid: status.st_uid,
            gid: status.st_gid,
            mtime: status.st_mtime,
            device,
            records: self.attributes(path)?,
            ..Header::plain(flag, &name, 0, size)
        };
        output.write_all(&encode(&header))?;
        if size > 0 {
            self.content(path, size, output)?;
        }
        Ok(())
    }

    fn attributes(&self, path: &Path) -> io::Result<Vec<Record>> {
        // No call takes a descriptor and a name before Linux 6.13.
        let mut full = format!("/proc/self/fd/{}/", self.root.as_raw_fd()).into_bytes();
        full.extend_from_slice(path.as_os_str().as_bytes());
        let all = xattrs(&*full)?.into_iter();
        // A pax record cannot name those.
        let all = all.filter(|(name, _)| !name.contains(&b'='));
        Ok(all
            .map(|(name, value)| xattr_record(&name, &value))
            .collect())
    }

    fn content(&self, path: &Path, size: u64, output: &mut dyn Write) -> io::Result<()> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = File::from(openat(self.root.as_fd(), path, flags, Mode::empty())?);
        let copied = io::copy(&mut file.take(size), output)?;
        if copied < size {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        output.write_all(&padding(size))
    }
}
