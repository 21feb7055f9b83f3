//! Reading the extended attributes of a file (listxattr(2), getxattr(2)).

use std::io;
use std::os::fd::{AsFd, AsRawFd as _};

use rustix::io::Errno;
use rustix::path::Arg;

/// Room that is enough for most lists and values.
const ROOM: usize = 1024;
/// Longest list and longest value that the kernel gives.
const LIMIT: usize = 64 * 1024;

/// Names with their values.
pub(crate) type Xattrs = Vec<(Vec<u8>, Vec<u8>)>;

/// All attributes of a name, which is not followed, sorted by their own names.
///
/// # Errors
/// The file system's; one that knows no attributes has none.
pub(crate) fn xattrs(path: impl Arg + Copy) -> io::Result<Xattrs> {
    read(
        |room| rustix::fs::llistxattr(path, room),
        |name, room| rustix::fs::lgetxattr(path, name, room),
    )
}

/// The same of an open file, also of one that was opened with `O_PATH`.
///
/// # Errors
/// The file system's.
pub(super) fn xattrs_of(file: impl AsFd) -> io::Result<Xattrs> {
    // The link of an open symbolic link leads to that, and no further.
    let path = format!("/proc/self/fd/{}", file.as_fd().as_raw_fd());
    read(
        |room| rustix::fs::listxattr(&*path, room),
        |name, room| rustix::fs::getxattr(&*path, name, room),
    )
}

fn read(
    list: impl Fn(&mut [u8]) -> Result<usize, Errno>,
    get: impl Fn(&[u8], &mut [u8]) -> Result<usize, Errno>,
) -> io::Result<Xattrs> {
    let names = match with_room(list) {
        Err(Errno::NOTSUP) => Vec::new(),
        other => other?,
    };
    let mut found = Vec::new();
    let named = names.split(|byte| *byte == 0);
    for name in named.filter(|name| !name.is_empty()) {
        let value = with_room(|room| get(name, room))?;
        found.push((name.to_vec(), value));
    }
    found.sort();
    Ok(found)
}

fn with_room(read: impl Fn(&mut [u8]) -> Result<usize, Errno>) -> Result<Vec<u8>, Errno> {
    let mut room = [0; ROOM];
    match read(&mut room) {
        Ok(length) => Ok(room.get(..length).unwrap_or_default().to_vec()),
        Err(Errno::RANGE) => {
            let mut room = vec![0; LIMIT];
            let length = read(&mut room)?;
            room.truncate(length);
            Ok(room)
        }
        Err(errno) => Err(errno),
    }
}
