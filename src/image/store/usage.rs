//! Who uses the store: adding is shared, collecting garbage is exclusive.
//!
//! A pull holds layers that no image names yet, and a command that makes
//! containers holds images that no container uses yet; the lock keeps a
//! collection from taking them for garbage.

use std::fs::{File, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use fs_err as fs;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::Store;
use crate::image::error::{ImageError, StoreContext as _};

/// A right to use the store in one way, until dropped.
#[derive(Debug)]
pub struct Usage {
    _file: File,
}

impl Store {
    /// Waits for the right to add layers and images, and to rely on those that
    /// are there until a container's record names them. Blocks while another
    /// process collects garbage.
    ///
    /// # Errors
    /// The store cannot be written.
    pub fn use_shared(&self) -> Result<Usage, ImageError> {
        self.usage(FlockOperation::LockShared)?
            .ok_or_else(|| ImageError::Interrupted {
                what: "the store's lock".to_owned(),
            })
    }

    /// The store alone: nobody pulls or builds meanwhile; `None` where somebody does.
    ///
    /// # Errors
    /// The store cannot be written.
    pub fn try_use_alone(&self) -> Result<Option<Usage>, ImageError> {
        self.try_use_exclusive()
    }

    /// The right to collect garbage, if nobody is adding.
    pub(super) fn try_use_exclusive(&self) -> Result<Option<Usage>, ImageError> {
        self.usage(FlockOperation::NonBlockingLockExclusive)
    }

    /// Makes the store's folder. Setuid programs of images must not be within
    /// reach of the host's users (CVE-2021-41091 was that, in Docker).
    fn make_root(&self) -> Result<(), ImageError> {
        if self.root.is_dir() {
            return Ok(());
        }
        fs::create_dir_all(&**self.root).store("make", &self.root)?;
        fs::set_permissions(&**self.root, Permissions::from_mode(0o700))
            .store("set the mode of", &self.root)
    }

    fn usage(&self, operation: FlockOperation) -> Result<Option<Usage>, ImageError> {
        let path = self.root.join("usage.lock");
        self.make_root()?;
        let file = fs::OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&path)
            .store("open", &path)?
            .into_parts()
            .0;
        loop {
            match flock(&file, operation) {
                Ok(()) => return Ok(Some(Usage { _file: file })),
                Err(Errno::INTR) => {}
                Err(Errno::WOULDBLOCK) => return Ok(None),
                Err(errno) => return Err(errno).store("lock", &path),
            }
        }
    }
}
