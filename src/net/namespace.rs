//! Network namespaces: made, pinned under /run, entered by a thread of their own.
//!
//! A thread that calls setns(2) or unshare(2) is made for that and ends after;
//! no other thread of the process ever changes its namespace.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::thread;

use fs_err as fs;
use fs_err::os::unix::fs::OpenOptionsExt;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, setns, unshare};

/// Path of the calling thread's namespace; `/proc/self` would be the process's
/// first thread.
const OWN: &str = "/proc/thread-self/ns/net";

/// Runs a function on a new thread, in a new network namespace that is pinned
/// at `pin`; the function is given a descriptor of it.
///
/// Nothing is left where the function fails.
pub(super) fn create<T: Send, E: From<io::Error> + Send>(
    pin: &Path,
    work: impl FnOnce(BorrowedFd<'_>) -> Result<T, E> + Send,
) -> Result<(OwnedFd, T), E> {
    on_thread(|| {
        if let Some(folder) = pin.parent() {
            fs::create_dir_all(folder)?;
        }
        unshare(CloneFlags::CLONE_NEWNET).map_err(io::Error::from)?;
        fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(pin)?;
        let made = mount(Some(OWN), pin, None::<&str>, MsFlags::MS_BIND, None::<&str>)
            .map_err(io::Error::from)
            .and_then(|()| open(pin));
        let result = match made {
            Ok(namespace) => work(namespace.as_fd()).map(|value| (namespace, value)),
            Err(error) => Err(error.into()),
        };
        if result.is_err() {
            // The first error is the one to tell.
            unpin(pin).ok();
        }
        result
    })
}

/// Opens a pinned namespace.
pub(super) fn open(pin: &Path) -> io::Result<OwnedFd> {
    Ok(fs::File::open(pin)?.into_parts().0.into())
}

/// Drops a pin; a missing one is no error. The namespace ends with its last
/// process and descriptor.
pub(super) fn unpin(pin: &Path) -> io::Result<()> {
    match umount2(pin, MntFlags::MNT_DETACH) {
        Ok(()) | Err(nix::errno::Errno::EINVAL | nix::errno::Errno::ENOENT) => {}
        Err(errno) => return Err(errno.into()),
    }
    match fs::remove_file(pin) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Runs a function on a new thread inside a namespace.
pub(super) fn within<T: Send, E: From<io::Error> + Send>(
    namespace: BorrowedFd<'_>,
    work: impl FnOnce() -> Result<T, E> + Send,
) -> Result<T, E> {
    on_thread(|| {
        setns(namespace, CloneFlags::CLONE_NEWNET).map_err(io::Error::from)?;
        work()
    })
}

/// Runs a function on a new thread in a namespace that ends with it.
pub(super) fn scratch<T: Send, E: From<io::Error> + Send>(
    work: impl FnOnce() -> Result<T, E> + Send,
) -> Result<T, E> {
    on_thread(|| {
        unshare(CloneFlags::CLONE_NEWNET).map_err(io::Error::from)?;
        work()
    })
}

fn on_thread<T: Send, E: From<io::Error> + Send>(
    work: impl FnOnce() -> Result<T, E> + Send,
) -> Result<T, E> {
    thread::scope(|scope| {
        let thread = thread::Builder::new()
            .name("skiff-netns".to_owned())
            .stack_size(256 * 1024)
            .spawn_scoped(scope, work)?;
        thread
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}
