//! The tiny static program that is process 1 of a container with `init: true`.
//!
//! Its source is `src/tiny_init`; `build.rs` compiles it and it is carried
//! inside skiff. It is executed from a sealed memfd, so nothing inside the
//! container can reach, let alone change, a file of the host.

use std::io::{self, Write};
use std::os::fd::OwnedFd;

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use rustix::io::Errno;

/// The program: an ELF file of some four kilobytes.
pub const PROGRAM: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/tiny-init"));

/// Its argv[0], as `ps` inside the container shows it.
pub const NAME: &str = "skiff-init";

/// A sealed, executable, close-on-exec memfd that holds the program.
///
/// Execute it with execveat(2) and AT_EMPTY_PATH; the arguments are
/// [`NAME`], `--`, then the container's program with its own arguments. The
/// program is looked up in the environment's `PATH` where it has no slash.
///
/// # Errors
/// memfd_create(2) (Linux 3.17) or a write failed.
pub fn memfd() -> io::Result<OwnedFd> {
    sealed_memfd(NAME, PROGRAM, MemfdFlags::EXEC)
}

/// A close-on-exec memfd with this content that nobody can change any more.
///
/// `EXEC` and `NOEXEC_SEAL` came with Linux 6.3 and are left out before it.
pub(super) fn sealed_memfd(name: &str, content: &[u8], access: MemfdFlags) -> io::Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let fd = match memfd_create(name, flags | access) {
        Err(Errno::INVAL) => memfd_create(name, flags),
        other => other,
    }?;
    let mut file = std::fs::File::from(fd);
    file.write_all(content)?;
    let fd = OwnedFd::from(file);
    fcntl_add_seals(
        &fd,
        SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE | SealFlags::SEAL,
    )?;
    Ok(fd)
}
