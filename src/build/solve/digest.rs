//! What a COPY brings, as one hash: names, kinds, modes, owners where they are
//! kept, extended attributes, link targets and contents; never times.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, openat, openat2, readlinkat};
use sha2::{Digest as _, Sha256};

use super::hashes::{Hash, Hashes};
use super::scan::{Item, Selected};
use crate::engine::sys::helpers;
use crate::engine::tree::attributes;

/// Hashes everything that was selected. Files that are new to `hashes` are read,
/// by as many threads as there are processors. Blocks.
///
/// # Errors
/// Something cannot be read, or went away meanwhile.
pub(crate) fn digest(
    selected: &[Selected],
    hashes: &Hashes,
    keeps_owner: bool,
) -> io::Result<Hash> {
    let all: Vec<(&Selected, &Item)> = selected
        .iter()
        .flat_map(|one| one.items.iter().map(move |item| (one, item)))
        .collect();
    let contents = contents(&all, hashes)?;
    let mut hasher = Sha256::new();
    for ((one, item), content) in all.iter().zip(contents) {
        let mut field = |bytes: &[u8]| {
            hasher.update(u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_le_bytes());
            hasher.update(bytes);
        };
        let name = if item.path.as_os_str().is_empty() && !one.is_folder() {
            one.name.as_bytes()
        } else {
            item.path.as_os_str().as_bytes()
        };
        field(name);
        field(&item.status.st_mode.to_le_bytes());
        if keeps_owner {
            field(&item.status.st_uid.to_le_bytes());
            field(&item.status.st_gid.to_le_bytes());
        }
        field(&content);
    }
    Ok(hasher.finalize().into())
}

/// The hash of each item's content, in their order.
fn contents(all: &[(&Selected, &Item)], hashes: &Hashes) -> io::Result<Vec<Hash>> {
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let next = AtomicUsize::new(0);
    let done = Mutex::new(vec![Hash::default(); all.len()]);
    let work = || -> io::Result<()> {
        let mut own = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some((one, item)) = all.get(index) else {
                break;
            };
            own.push((index, content(one, item, hashes)?));
        }
        let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
        for (index, hash) in own {
            if let Some(place) = done.get_mut(index) {
                *place = hash;
            }
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads.min(all.len()))
            .map(|_| scope.spawn(work))
            .collect();
        let mut result = work();
        for other in others {
            let other = other.join();
            let other = other.unwrap_or_else(|_| Err(io::Error::other("a thread panicked")));
            result = result.and(other);
        }
        result
    })?;
    Ok(done.into_inner().unwrap_or_else(PoisonError::into_inner))
}

fn content(one: &Selected, item: &Item, hashes: &Hashes) -> io::Result<Hash> {
    match item.kind() {
        FileType::RegularFile => hashes.of(&item.status, || {
            let file = open(one, item, OFlags::RDONLY)?;
            let attributes = attributes(&file)?;
            Ok(io::Cursor::new(attributes).chain(File::from(file)))
        }),
        FileType::Symlink => {
            let link = open(one, item, OFlags::PATH)?;
            let target = readlinkat(&link, c"", Vec::new())?;
            Ok(Sha256::digest(target.as_bytes()).into())
        }
        FileType::CharacterDevice | FileType::BlockDevice => {
            Ok(Sha256::digest(item.status.st_rdev.to_le_bytes()).into())
        }
        FileType::Directory | FileType::Fifo | FileType::Socket | FileType::Unknown => {
            Ok(Hash::default())
        }
    }
}

/// Opens an item, whatever was put in its place meanwhile.
fn open(one: &Selected, item: &Item, flags: OFlags) -> io::Result<OwnedFd> {
    // Of a device or a pipe nothing is waited for; with `O_PATH` nothing is opened.
    let flags = if flags.contains(OFlags::PATH) {
        flags | OFlags::CLOEXEC
    } else {
        flags | OFlags::NONBLOCK | OFlags::CLOEXEC
    };
    if item.path.as_os_str().is_empty() {
        let path = helpers::descriptor_path(one.found.as_fd());
        return Ok(openat(CWD, path, flags, Mode::empty())?);
    }
    let flags = flags | OFlags::NOFOLLOW;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    Ok(openat2(
        &one.found,
        &item.path,
        flags,
        Mode::empty(),
        resolve,
    )?)
}
