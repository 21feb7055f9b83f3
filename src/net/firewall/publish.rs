//! Published ports in the firewall.

use std::net::SocketAddr;

use crate::net::error::NetError;
use crate::net::handle::Net;
use crate::net::spec::PublishedPort;
use crate::state::ContainerId;

/// Answer of [`Net::publish`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publication {
    /// For each port, in order: where its proxy sends what arrives at the
    /// socket. `None` where the container has no network that is not internal;
    /// such a port stays closed, as Docker has it.
    pub targets: Vec<Option<SocketAddr>>,
    /// What the user should know; one line each.
    pub notes: Vec<String>,
}

impl Net {
    /// Sends a container's published ports to it: by DNAT for the host's own
    /// addresses, remote clients and other containers, while what remains
    /// (127.0.0.1, and everything where another firewall filters what comes
    /// in) is for the caller's proxy on the bound socket.
    ///
    /// To be called after [`Net::attach`]; [`Net::detach`] takes it back.
    ///
    /// # Errors
    /// A kernel that refuses.
    pub fn publish(
        &self,
        _container: &ContainerId,
        _ports: &[PublishedPort],
    ) -> Result<Publication, NetError> {
        unimplemented!()
    }

    /// Takes back what [`Net::publish`] did, for many containers at once.
    pub(in crate::net) fn unpublish_many(&self, _: &[ContainerId]) -> Result<(), NetError> {
        unimplemented!()
    }
}
