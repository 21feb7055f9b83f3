//! [`Net`]: the roots, the root id and the namespace in which bridges live.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Mutex, PoisonError};

use super::error::NetError;
use super::labels::RootId;
use super::namespace;
use super::netlink::{Connection, NETLINK_NETFILTER, NETLINK_ROUTE};
use super::records::Records;
use crate::state::Layout;

/// All of networking for one pair of roots.
///
/// Cheap to make and to share; every call blocks for the time of a few system
/// calls, so async callers use a blocking thread.
#[derive(Debug)]
pub struct Net {
    pub(super) layout: Layout,
    pub(super) root: RootId,
    pub(super) records: Records,
    bridge_netns: Option<OwnedFd>,
    /// Kept open, as closing it after a removal waits for readers of the
    /// kernel's tables, for ten milliseconds and more.
    firewall: Mutex<Option<Connection>>,
}

impl Net {
    /// Opens networking for these roots, which have a root id.
    ///
    /// Bridges and firewall live in `bridge_netns`, or where it is `None` in the
    /// namespace of the calling threads, which has to be one and the same.
    ///
    /// # Errors
    /// The root id cannot be read.
    pub fn open(layout: &Layout, bridge_netns: Option<OwnedFd>) -> Result<Self, NetError> {
        let root = root_id(layout)?;
        Ok(Self {
            layout: layout.clone(),
            records: Records::new(layout),
            root,
            bridge_netns,
            firewall: Mutex::new(None),
        })
    }

    /// The root id: 8 hexadecimal digits in every kernel object's name.
    pub fn root_id(&self) -> &str {
        self.root.as_str()
    }

    /// Runs a function in the bridges' namespace.
    pub(super) fn in_bridge_netns<T: Send>(
        &self,
        work: impl FnOnce() -> Result<T, NetError> + Send,
    ) -> Result<T, NetError> {
        match &self.bridge_netns {
            None => work(),
            Some(namespace) => {
                namespace::within(namespace.as_fd(), || work().map_err(NamespaceError::Work))
                    .map_err(NetError::from)
            }
        }
    }

    /// An rtnetlink socket in the calling thread's namespace.
    pub(super) fn route_socket() -> Result<Connection, NetError> {
        Connection::open(NETLINK_ROUTE).map_err(NetError::kernel("open a socket of", "rtnetlink"))
    }

    /// Uses the netfilter socket; to be called in the bridges' namespace.
    pub(super) fn with_firewall<T>(
        &self,
        work: impl FnOnce(&mut Connection) -> T,
    ) -> Result<T, NetError> {
        let mut kept = self.firewall.lock().unwrap_or_else(PoisonError::into_inner);
        let connection = match kept.take() {
            Some(connection) => connection,
            None => Connection::open(NETLINK_NETFILTER).map_err(|source| {
                if source.raw_os_error() == Some(libc::EPROTONOSUPPORT) {
                    NetError::Missing {
                        feature: super::probe::NF_TABLES,
                        remedy: super::probe::NF_TABLES_REMEDY,
                    }
                } else {
                    NetError::kernel("open a socket of", "netfilter")(source)
                }
            })?,
        };
        Ok(work(kept.insert(connection)))
    }
}

/// What goes wrong on a thread in another namespace: entering it, or the work.
pub(super) enum NamespaceError {
    /// The namespace could not be made or entered.
    Namespace(io::Error),
    /// The work in it failed.
    Work(NetError),
}

impl From<io::Error> for NamespaceError {
    fn from(error: io::Error) -> Self {
        Self::Namespace(error)
    }
}

impl From<NamespaceError> for NetError {
    fn from(error: NamespaceError) -> Self {
        match error {
            NamespaceError::Namespace(source) => Self::Kernel {
                action: "make or enter the",
                object: "network namespace".to_owned(),
                source,
            },
            NamespaceError::Work(error) => error,
        }
    }
}

/// The root id of this data root.
fn root_id(layout: &Layout) -> Result<RootId, NetError> {
    let path = layout.root_id();
    let text = crate::state::root_id(layout).map_err(NetError::record("read", &path))?;
    RootId::parse(&text)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "not 8 hexadecimal digits"))
        .map_err(NetError::record("read", &path))
}
