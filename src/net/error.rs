//! Why networking failed, and what to do about it.

use std::io;
use std::net::IpAddr;
use std::path::PathBuf;

/// A failure of [`crate::net`], except for taken ports ([`crate::net::ports::PortError`]).
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// The kernel cannot do something that every network needs.
    #[error("this kernel has no {feature}")]
    Missing {
        /// `nf_tables with NAT`, `bridge links`, `veth links`.
        feature: &'static str,
        /// What to do.
        remedy: &'static str,
    },
    /// A request to the kernel failed.
    #[error("cannot {action} `{object}`")]
    Kernel {
        /// What was tried, as it fits after "cannot".
        action: &'static str,
        /// On what.
        object: String,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
    /// A record or lock could not be read or written.
    #[error("cannot {action} `{}`", path.display())]
    Record {
        /// `read`, `write`, `lock`, …
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A value of a specification makes no sense.
    #[error("network `{network}`: {problem}")]
    Spec {
        /// The network.
        network: String,
        /// What is wrong with which value.
        problem: String,
    },
    /// A driver that does not exist here.
    #[error("network `{network}`: driver `{driver}` is not supported, only `bridge` is")]
    Driver {
        /// The network.
        network: String,
        /// The driver asked for.
        driver: String,
    },
    /// No such network.
    #[error("there is no network `{network}`")]
    NoNetwork {
        /// Its name.
        network: String,
    },
    /// The network has endpoints and cannot be removed.
    #[error("network `{network}` is in use by {}", users.join(", "))]
    InUse {
        /// The network.
        network: String,
        /// Names of the containers on it.
        users: Vec<String>,
    },
    /// An explicit subnet overlaps something that exists.
    #[error("network `{network}`: subnet `{subnet}` overlaps {with}")]
    Overlap {
        /// The network.
        network: String,
        /// The wanted subnet.
        subnet: String,
        /// `network other (172.18.0.0/16)`, `a route to 172.18.0.0/16`.
        with: String,
    },
    /// Every default pool is taken.
    #[error("network `{network}`: all of the predefined subnets are taken")]
    NoSubnet {
        /// The network.
        network: String,
    },
    /// A subnet has no free address left.
    #[error("network `{network}`: no free address is left in `{range}`")]
    Exhausted {
        /// The network.
        network: String,
        /// Subnet or `ip_range`.
        range: String,
    },
    /// A static address is taken.
    #[error("network `{network}`: address {address} is taken by {holder}")]
    AddressTaken {
        /// The network.
        network: String,
        /// The address.
        address: IpAddr,
        /// `container web-1`, `the gateway`.
        holder: String,
    },
    /// A static address that the network cannot give.
    #[error("network `{network}`: address {address} is not in {subnets}")]
    AddressOutside {
        /// The network.
        network: String,
        /// The address.
        address: IpAddr,
        /// The network's subnets.
        subnets: String,
    },
}

impl NetError {
    /// What to do about it, where there is something; one line, no period.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Missing { remedy, .. } => Some((*remedy).to_owned()),
            Self::Driver { .. } => Some("remove `driver:`, or set it to `bridge`".to_owned()),
            Self::InUse { .. } => Some("stop and remove these containers first".to_owned()),
            Self::Overlap { .. } => {
                Some("choose another `ipam.config.subnet`, or leave it out".to_owned())
            }
            Self::NoSubnet { .. } => {
                Some("remove networks that are not needed, or set `ipam.config.subnet`".to_owned())
            }
            Self::Exhausted { .. } => {
                Some("use a larger `ipam.config.subnet` or `ip_range`".to_owned())
            }
            Self::AddressTaken { .. } => Some("choose another address".to_owned()),
            Self::AddressOutside { .. } => {
                Some("set `ipam.config.subnet` so that it contains the address".to_owned())
            }
            Self::Kernel { source, .. } if source.raw_os_error() == Some(libc::EPERM) => {
                Some("networks need root; run the command with sudo".to_owned())
            }
            Self::Kernel { .. }
            | Self::Record { .. }
            | Self::Spec { .. }
            | Self::NoNetwork { .. } => None,
        }
    }

    pub(super) fn kernel(
        action: &'static str,
        object: impl Into<String>,
    ) -> impl FnOnce(io::Error) -> Self {
        let object = object.into();
        move |source| Self::Kernel {
            action,
            object,
            source,
        }
    }

    pub(super) fn record(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Record {
            action,
            path,
            source,
        }
    }
}
