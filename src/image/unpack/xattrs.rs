//! Reading the extended attributes of a file (listxattr(2), getxattr(2)).

use std::io;

use rustix::io::Errno;
use rustix::path::Arg;

/// Room that is enough for most lists and values.
const ROOM: usize = 1024;
/// Longest list and longest value that the kernel gives.
const LIMIT: usize = 64 * 1024;

/// All attributes of a name, which is not followed, sorted by their own names.
///
/// # Errors
/// The file system's; one that has no attributes has none of this file.
pub(crate) fn xattrs(path: impl Arg + Copy) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let names = match with_room(|room| rustix::fs::llistxattr(path, room)) {
        Err(Errno::NOTSUP) => Vec::new(),
        other => other?,
    };
    let mut found = Vec::new();
    let named = names.split(|byte| *byte == 0);
    for name in named.filter(|name| !name.is_empty()) {
        let value = with_room(|room| rustix::fs::lgetxattr(path, name, room))?;
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
