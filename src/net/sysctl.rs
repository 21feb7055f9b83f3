//! Network sysctls of the calling thread's namespace.
//!
//! /proc/sys/net shows the namespace of the thread that opens a file in it.

use std::io;
use std::path::PathBuf;

use fs_err as fs;

fn path(name: &str) -> PathBuf {
    PathBuf::from("/proc/sys/net").join(name)
}

/// Reads a sysctl named by its path below `net`; `None` where this kernel has
/// no such one.
pub(super) fn read(name: &str) -> io::Result<Option<String>> {
    match fs::read_to_string(path(name)) {
        Ok(text) => Ok(Some(text.trim().to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Writes a sysctl; a kernel without it is no error.
pub(super) fn write(name: &str, value: &str) -> io::Result<()> {
    // The file exists or the kernel lacks it, so it is never made anew; and
    // the write is one system call, as the kernel takes each as a whole value.
    match fs::OpenOptions::new().write(true).open(path(name)) {
        Ok(mut file) => io::Write::write_all(&mut file, value.as_bytes()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Names of the links that have sysctls of an address family.
pub(super) fn links(family: &str) -> io::Result<Vec<String>> {
    match fs::read_dir(path(family).join("conf")) {
        Ok(entries) => entries
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}
