//! x
use std::os::fd::{BorrowedFd, OwnedFd};

use crate::net::error::NetError;

/// The two sockets of a container's resolver, in the container's namespace.
#[derive(Debug)]
pub struct DnsSockets {
    /// UDP, bound on a high port of 127.0.0.11.
    pub udp: OwnedFd,
    /// TCP, listening on a high port of 127.0.0.11.
    pub tcp: OwnedFd,
}

/// Makes the sockets in a container's namespace, and the rules there that lead
/// 127.0.0.11:53 to them.
///
/// # Errors
/// The kernel refuses.
pub fn sockets_in(_netns: BorrowedFd<'_>) -> Result<DnsSockets, NetError> {
    unimplemented!()
}
