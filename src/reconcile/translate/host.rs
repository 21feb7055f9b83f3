//! What translation asks of the host.

use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use fs_err as fs;
use oci_spec::runtime::{Capabilities, LinuxDevice, LinuxDeviceType};

use sha2::{Digest as _, Sha256};

use super::identity::hex;
use crate::engine::caps::CapSet;

/// What a path is, links followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileKind {
    /// A folder.
    Folder,
    /// A regular file.
    File,
    /// A device node.
    Device {
        /// Block or character.
        kind: LinuxDeviceType,
        /// Major number.
        major: i64,
        /// Minor number.
        minor: i64,
        /// Permission bits.
        mode: u32,
        /// Owner.
        uid: u32,
        /// Group.
        gid: u32,
    },
    /// A socket, a pipe.
    Other,
}

/// The host, as far as translation looks at it.
pub trait HostFiles: Send + Sync {
    /// What a path is; `None` where nothing is there.
    fn kind(&self, path: &Path) -> Option<FileKind>;
    /// A file's text.
    fn read(&self, path: &Path) -> io::Result<String>;
    /// SHA-256 of a file's bytes, in hexadecimal.
    fn digest(&self, path: &Path) -> io::Result<String>;
    /// What is in a folder.
    fn entries(&self, folder: &Path) -> Vec<PathBuf>;
    /// Every device node of the host, for `privileged`.
    fn devices(&self) -> Vec<LinuxDevice>;
    /// Every capability of the kernel.
    fn all_capabilities(&self) -> Capabilities;
    /// Number of processors.
    fn processors(&self) -> usize;
    /// The host's name.
    fn hostname(&self) -> String;
    /// Makes up the name of an anonymous volume.
    fn new_name(&self) -> String;
}

/// This machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct Host;

impl HostFiles for Host {
    fn kind(&self, path: &Path) -> Option<FileKind> {
        let found = fs::metadata(path).ok()?;
        let kind = found.file_type();
        let device = |kind| {
            let number = found.rdev();
            FileKind::Device {
                kind,
                major: i64::from(rustix::fs::major(number)),
                minor: i64::from(rustix::fs::minor(number)),
                mode: found.mode() & 0o7777,
                uid: found.uid(),
                gid: found.gid(),
            }
        };
        Some(if kind.is_dir() {
            FileKind::Folder
        } else if kind.is_file() {
            FileKind::File
        } else if kind.is_char_device() {
            device(LinuxDeviceType::C)
        } else if kind.is_block_device() {
            device(LinuxDeviceType::B)
        } else {
            FileKind::Other
        })
    }

    fn read(&self, path: &Path) -> io::Result<String> {
        fs::read_to_string(path)
    }

    fn digest(&self, path: &Path) -> io::Result<String> {
        let mut file = fs::File::open(path)?;
        let mut hash = Sha256::new();
        io::copy(&mut file, &mut hash)?;
        Ok(hex(&hash.finalize()))
    }

    fn entries(&self, folder: &Path) -> Vec<PathBuf> {
        let Ok(entries) = fs::read_dir(folder) else {
            return Vec::new();
        };
        let mut found: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        found.sort();
        found
    }

    fn devices(&self) -> Vec<LinuxDevice> {
        // A folder that cannot be read has no devices that could be given away.
        crate::engine::mounts::host_devices().unwrap_or_default()
    }

    fn all_capabilities(&self) -> Capabilities {
        CapSet::all().to_oci()
    }

    fn processors(&self) -> usize {
        std::thread::available_parallelism().map_or(1, usize::from)
    }

    fn hostname(&self) -> String {
        rustix::system::uname()
            .nodename()
            .to_string_lossy()
            .into_owned()
    }

    fn new_name(&self) -> String {
        crate::state::id::random_hex(32)
    }
}
