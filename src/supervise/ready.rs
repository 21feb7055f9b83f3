//! Descriptors that a tokio runtime watches.

use std::io;
use std::os::fd::OwnedFd;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Watches a descriptor.
#[expect(
    deprecated,
    reason = "its successor is unsafe for types that may close or change their descriptor; an \
              OwnedFd does neither"
)]
pub(crate) fn watched(fd: OwnedFd, interest: Interest) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(fd, interest)
}
