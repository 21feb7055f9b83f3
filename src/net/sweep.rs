//! What was left behind by operations that died half-way.

use super::error::NetError;
use super::handle::Net;

/// What [`Net::sweep`] removed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Swept {
    /// Links, by name.
    pub links: Vec<String>,
    /// Pinned namespaces of containers that no longer exist, by id.
    pub namespaces: Vec<String>,
    /// Records of endpoints, addresses and ports.
    pub records: usize,
}

impl Net {
    /// Removes every link, pin and record of this root that belongs to a
    /// container or network that no longer exists, and puts the firewall's
    /// table right. A container exists while a project has its folder.
    ///
    /// # Errors
    /// The first failure; what can be removed beside is removed all the same.
    pub fn sweep(&self) -> Result<Swept, NetError> {
        unimplemented!()
    }
}
