//! Advisory locks between skiff processes (flock(2)).

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use fs_err as fs;
use rustix::fs::{FlockOperation, flock};

/// A lock that is held until this value is dropped or the process ends.
#[derive(Debug)]
pub struct Lock {
    file: File,
}

impl Lock {
    /// Waits for the lock at `path`, making the file where it is missing.
    ///
    /// A file that was removed while it was waited for is no lock any more;
    /// then the one that is there now is taken.
    ///
    /// # Errors
    /// The file cannot be made or opened.
    pub fn acquire(path: &Path) -> io::Result<Self> {
        let taken = take(path, make, FlockOperation::LockExclusive)?.taken();
        // What makes its file and waits is neither held off nor without one.
        taken.ok_or_else(|| io::ErrorKind::WouldBlock.into())
    }

    /// Waits for the lock at `path`, and makes nothing: `None` where the file is
    /// missing, or was removed while it was waited for. For what runs in the
    /// background, which may outlive the roots.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub fn acquire_existing(path: &Path) -> io::Result<Option<Self>> {
        take(path, open_existing, FlockOperation::LockExclusive).map(Tried::taken)
    }

    /// Takes the lock if it is there and free, and makes nothing.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub fn try_acquire_existing(path: &Path) -> io::Result<Tried> {
        take(
            path,
            open_existing,
            FlockOperation::NonBlockingLockExclusive,
        )
    }

    /// Takes the lock if it is free; `None` where another holds it.
    ///
    /// # Errors
    /// The file cannot be made or opened.
    pub fn try_acquire(path: &Path) -> io::Result<Option<Self>> {
        take(path, make, FlockOperation::NonBlockingLockExclusive).map(Tried::taken)
    }

    /// Lets the lock go even where copies of its descriptor are held elsewhere.
    ///
    /// # Errors
    /// What flock(2) says.
    pub fn release(&self) -> io::Result<()> {
        flock(&self.file, FlockOperation::Unlock)?;
        Ok(())
    }
}

/// What came of a try to take a lock without making its file.
#[derive(Debug)]
pub enum Tried {
    /// It was free.
    Taken(Lock),
    /// Another holds it.
    Held,
    /// There is no such file: nobody has anything to lock.
    Missing,
}

impl Tried {
    fn taken(self) -> Option<Lock> {
        match self {
            Self::Taken(lock) => Some(lock),
            Self::Held | Self::Missing => None,
        }
    }
}

/// Locks the file that `open` finds, and that is at the path still.
fn take(
    path: &Path,
    open: fn(&Path) -> io::Result<Option<File>>,
    operation: FlockOperation,
) -> io::Result<Tried> {
    loop {
        let Some(file) = open(path)? else {
            return Ok(Tried::Missing);
        };
        match flock(&file, operation) {
            Ok(()) if is_at(&file, path) => return Ok(Tried::Taken(Lock { file })),
            Ok(()) | Err(rustix::io::Errno::INTR) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Ok(Tried::Held),
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// Whether this open file is the one that the path names now.
fn is_at(file: &File, path: &Path) -> bool {
    match (rustix::fs::fstat(file), rustix::fs::stat(path)) {
        (Ok(open), Ok(named)) => (open.st_dev, open.st_ino) == (named.st_dev, named.st_ino),
        _ => false,
    }
}

impl AsFd for Lock {
    /// The descriptor that holds the lock; a copy of it holds it too.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

fn open_existing(path: &Path) -> io::Result<Option<File>> {
    match fs::File::open(path) {
        Ok(file) => Ok(Some(file.into_parts().0)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn make(path: &Path) -> io::Result<Option<File>> {
    loop {
        let opened = fs::OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(path);
        match (opened, path.parent()) {
            (Ok(file), _) => return Ok(Some(file.into_parts().0)),
            // Its folder is made, again where a sweep removes it at this moment.
            (Err(error), Some(folder)) if error.kind() == io::ErrorKind::NotFound => {
                match fs::create_dir_all(folder) {
                    // It was there, and is gone again.
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                    made => made?,
                }
            }
            (Err(error), _) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_held_lock_is_not_given_twice() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sub/lock");
        let lock = Lock::acquire(&path).unwrap();
        assert!(Lock::try_acquire(&path).unwrap().is_none());
        drop(lock);
        assert!(Lock::try_acquire(&path).unwrap().is_some());
    }

    #[test]
    fn a_copy_holds_a_lock_that_is_dropped_and_none_that_is_released() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let lock = Lock::acquire(&path).unwrap();
        let copy = lock.as_fd().try_clone_to_owned().unwrap();
        drop(lock);
        assert!(Lock::try_acquire(&path).unwrap().is_none());
        drop(copy);
        let lock = Lock::acquire(&path).unwrap();
        let _copy = lock.as_fd().try_clone_to_owned().unwrap();
        lock.release().unwrap();
        assert!(Lock::try_acquire(&path).unwrap().is_some());
    }

    #[test]
    fn a_lock_that_must_be_there_is_not_made() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sub/lock");
        assert!(Lock::acquire_existing(&path).unwrap().is_none());
        let tried = Lock::try_acquire_existing(&path).unwrap();
        assert!(matches!(tried, Tried::Missing));
        assert!(!folder.path().join("sub").exists());
        let lock = Lock::acquire(&path).unwrap();
        let tried = Lock::try_acquire_existing(&path).unwrap();
        assert!(matches!(tried, Tried::Held));
        // Removed while it is waited for.
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| Lock::acquire_existing(&path).unwrap());
            fs::remove_dir_all(folder.path().join("sub")).unwrap();
            drop(lock);
            assert!(waiting.join().unwrap().is_none());
        });
        assert!(!folder.path().join("sub").exists());
    }

    #[test]
    fn a_removed_file_is_no_lock() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let old = Lock::acquire(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let new = Lock::acquire(&path).unwrap();
        assert!(!is_at(&old.file, &path));
        assert!(is_at(&new.file, &path));
    }
}
