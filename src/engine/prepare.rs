//! What the supervisor makes ready before it asks for a launch.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{
    MemfdFlags, Mode, OFlags, SealFlags, StatVfsMountFlags, fcntl_add_seals, fstatvfs,
    memfd_create, sendfile,
};
use rustix::mount::{MountAttrFlags, MountPropagationFlags};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use serde::Serialize;

use super::sys::helpers::{self, Depth};
use super::sys::{self, MountChange};

const OWN_PROGRAM: &str = "/proc/self/exe";

/// A spec as JSON in a memfd that nobody can change any more.
///
/// # Errors
/// `memfd_create(2)` or the write failed.
pub fn memfd_spec(spec: &impl Serialize) -> io::Result<OwnedFd> {
    sealed_memfd("spec", &serde_json::to_vec(spec)?)
}

/// Any bytes (a compiled filter, say) in a memfd that nobody can change.
///
/// # Errors
/// `memfd_create(2)` or the write failed.
pub fn sealed_memfd(name: &str, content: &[u8]) -> io::Result<OwnedFd> {
    use std::io::Write as _;
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    // NOEXEC_SEAL came with Linux 6.3.
    let memfd = match memfd_create(name, flags | MemfdFlags::NOEXEC_SEAL) {
        Err(rustix::io::Errno::INVAL) => memfd_create(name, flags)?,
        other => other?,
    };
    let mut file = std::fs::File::from(memfd);
    file.write_all(content)?;
    let memfd = OwnedFd::from(file);
    seal(&memfd)?;
    Ok(memfd)
}

/// The two ends of [`LaunchFds::sync`](super::launch::LaunchFds::sync): the
/// parent's, for [`receive`](super::launch::receive), and the child's.
///
/// # Errors
/// socketpair(2) failed.
pub fn sync_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(socketpair(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    )?)
}

/// The running program as a descriptor to be executed, which nothing in a
/// container can overwrite: on a detached read-only mount (`open_tree` and
/// `mount_setattr`, Linux 5.12; needs `CAP_SYS_ADMIN`), else a sealed copy.
///
/// # Errors
/// Neither can be made.
pub fn sealed_exe() -> io::Result<OwnedFd> {
    let program = rustix::fs::open(OWN_PROGRAM, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    // As it is where this process was itself started from such a one.
    if fstatvfs(&program)?
        .f_flag
        .contains(StatVfsMountFlags::RDONLY)
    {
        return Ok(program);
    }
    on_read_only_mount(&program).or_else(|_| exe_copy())
}

fn on_read_only_mount(program: &OwnedFd) -> io::Result<OwnedFd> {
    let mount = helpers::clone_mount(program.as_fd(), "".as_ref(), Depth::Single)?;
    let change = MountChange {
        set: MountAttrFlags::MOUNT_ATTR_RDONLY,
        propagation: MountPropagationFlags::PRIVATE,
        ..MountChange::default()
    };
    sys::mount_setattr(mount.as_fd(), c"", change)?;
    Ok(mount)
}

fn exe_copy() -> io::Result<OwnedFd> {
    let program = rustix::fs::open(OWN_PROGRAM, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    // EXEC came with Linux 6.3.
    let memfd = match memfd_create("skiff", flags | MemfdFlags::EXEC) {
        Err(rustix::io::Errno::INVAL) => memfd_create("skiff", flags)?,
        other => other?,
    };
    let length = rustix::fs::fstat(&program)?.st_size;
    let mut rest = usize::try_from(length).unwrap_or(usize::MAX);
    while rest > 0 {
        let sent = rustix::io::retry_on_intr(|| sendfile(&memfd, &program, None, rest))?;
        if sent == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        rest -= sent;
    }
    seal(&memfd)?;
    Ok(memfd)
}

fn seal(memfd: &OwnedFd) -> io::Result<()> {
    Ok(fcntl_add_seals(
        memfd,
        SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE,
    )?)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn memfd_spec_can_be_read_and_not_changed() {
        let memfd = memfd_spec(&[1, 2, 3]).unwrap();
        assert_eq!(
            rustix::io::write(&memfd, b"x").unwrap_err(),
            rustix::io::Errno::PERM
        );
        let mut text = String::new();
        let mut file = std::fs::File::from(memfd);
        std::io::Seek::rewind(&mut file).unwrap();
        file.read_to_string(&mut text).unwrap();
        assert_eq!(text, "[1,2,3]");
    }

    #[test]
    fn exe_copy_is_the_whole_program_and_sealed() {
        let copy = exe_copy().unwrap();
        let original = fs_err::metadata(OWN_PROGRAM).unwrap().len();
        let copied = rustix::fs::fstat(&copy).unwrap().st_size;
        assert_eq!(u64::try_from(copied).unwrap(), original);
        assert_eq!(
            rustix::fs::ftruncate(&copy, 0).unwrap_err(),
            rustix::io::Errno::PERM
        );
    }
}
