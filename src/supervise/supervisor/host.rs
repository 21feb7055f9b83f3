//! Where the supervisor meets the other layers: networks, control groups,
//! images, volumes. All calls block for a few milliseconds, so they are made
//! on blocking threads.

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use oci_spec::runtime;

use super::failure;
use super::groups::Groups;
use super::leaving::Leavers;
use super::link::Link;
use crate::engine::caps::CapSet;
use crate::engine::seccomp;
use crate::engine::spec::Seccomp;
use crate::net::dns::NameTable;
use crate::net::{Net, guard};
use crate::state::Layout;
use crate::supervise::keeper::Identity;
use crate::supervise::roots;
use crate::supervise::wire::Failure;

/// The machine, as this project uses it.
#[derive(Debug)]
pub(super) struct Host {
    pub(super) identity: Identity,
    pub(super) net: Arc<Net>,
    pub(super) groups: Arc<Groups>,
    names: OnceLock<Option<Arc<NameTable>>>,
    pub(super) leavers: Leavers,
}

impl Host {
    /// Looks at the machine, in a runtime.
    pub(super) fn open(identity: &Identity, link: &Link) -> Result<Self, Failure> {
        // First of all, as systemd may have to be asked meanwhile.
        let groups = Groups::open(identity, link)?;
        let net = Net::open(&identity.layout, None).map_err(failure::net)?;
        let net = Arc::new(net);
        let leavers = Leavers::new(Arc::clone(&net));
        Ok(Self {
            identity: identity.clone(),
            net,
            groups,
            names: OnceLock::new(),
            leavers,
        })
    }

    /// The paths of this project.
    pub(super) fn layout(&self) -> &Layout {
        &self.identity.layout
    }

    /// The names on all networks; `None` where they cannot be watched. The
    /// first call begins to guard the firewall, too.
    pub(super) fn names(&self) -> Option<Arc<NameTable>> {
        self.names
            .get_or_init(|| {
                let net = Arc::clone(&self.net);
                tokio::spawn(async move {
                    let Err(error) = guard(net).await;
                    tracing::warn!(%error, "the firewall is not watched any longer");
                });
                NameTable::open(self.layout()).map(Arc::new).ok()
            })
            .clone()
    }

    /// Folders of an image's layers, the topmost first.
    pub(super) fn layers(&self, diff_ids: &[String]) -> Result<Vec<PathBuf>, Failure> {
        roots::layers(self.layout(), diff_ids).map_err(|error| failure::other(&error))
    }

    /// A container's compiled system call filter.
    pub(super) fn filter(
        &self,
        wanted: &Seccomp,
        process: Option<&runtime::Process>,
    ) -> Result<Option<OwnedFd>, Failure> {
        let capabilities = process
            .and_then(|process| process.capabilities().as_ref()?.bounding().clone())
            .map(|bounding| CapSet::from_oci(&bounding))
            .unwrap_or_default();
        let cache = self.layout().run().join("seccomp");
        seccomp::filter(wanted, capabilities, &cache).map_err(|error| failure::other(&error))
    }
}
