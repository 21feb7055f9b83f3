//! What `net` is given and what it answers: plain serde types.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::state::{ContainerId, NetworkId};

/// A network as wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkSpec {
    /// Full name, `PROJECT_default`.
    pub name: String,
    /// Driver; `bridge` is what exists.
    pub driver: String,
    /// `driver_opts` as given.
    pub driver_opts: BTreeMap<String, String>,
    /// Address pools as given; empty means that one IPv4 subnet is chosen.
    pub pools: Vec<PoolSpec>,
    /// No way out and no published ports.
    pub internal: bool,
    /// IPv6 as well; a ULA subnet is chosen where `pools` has none.
    pub ipv6: bool,
    /// IPv4 wanted (false only where the file says `enable_ipv4: false`).
    pub ipv4: bool,
    /// Labels.
    pub labels: BTreeMap<String, String>,
}

/// One entry of `ipam.config`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolSpec {
    /// CIDR, `172.28.0.0/16`.
    pub subnet: Option<String>,
    /// Addresses are taken from this part of the subnet.
    pub ip_range: Option<String>,
    /// The bridge's address.
    pub gateway: Option<IpAddr>,
    /// Addresses never given to a container.
    pub reserved: Vec<IpAddr>,
}

/// A network as it is: the durable record `networks/<name>.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkRecord {
    /// Its id.
    pub id: NetworkId,
    /// As wanted; a change of it means another network.
    pub spec: NetworkSpec,
    /// Subnets in use: CIDR and the bridge's address.
    pub subnets: Vec<Subnet>,
    /// RFC 3339 time of creation.
    pub created: String,
}

/// A chosen subnet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subnet {
    /// CIDR.
    pub cidr: String,
    /// The bridge's address, containers' default route.
    pub gateway: IpAddr,
    /// Part of the subnet that containers' addresses come from.
    pub ip_range: Option<String>,
    /// Never given to a container.
    pub reserved: Vec<IpAddr>,
}

/// A container's presence on one network, as wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointSpec {
    /// Full network name.
    pub network: String,
    /// Names on this network beside the container's own name and short id.
    pub aliases: Vec<String>,
    /// Static IPv4 address.
    pub ipv4: Option<IpAddr>,
    /// Static IPv6 address.
    pub ipv6: Option<IpAddr>,
    /// Link-local addresses to add.
    pub link_local: Vec<IpAddr>,
    /// Static MAC address, `02:42:…`.
    pub mac: Option<String>,
    /// Interface name inside; `eth0`, `eth1`, … where absent.
    pub interface: Option<String>,
    /// The highest gives the default route; then by network name.
    pub gateway_priority: i64,
    /// `driver_opts` of the endpoint.
    pub driver_opts: BTreeMap<String, String>,
    /// `links`: `alias -> container name`, seen by this container only.
    pub links: BTreeMap<String, String>,
}

/// A container's presence on one network, as it is: the record
/// `networks/<id>/endpoints/<container>.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// The container.
    pub container: ContainerId,
    /// Its full name, which is also a DNS name.
    pub container_name: String,
    /// The network.
    pub network: NetworkId,
    /// Its name.
    pub network_name: String,
    /// All DNS names, the short id included.
    pub names: Vec<String>,
    /// Interface name inside.
    pub interface: String,
    /// MAC address.
    pub mac: String,
    /// Addresses with prefix length, IPv4 first.
    pub addresses: Vec<(IpAddr, u8)>,
    /// Gateways (the bridge's addresses), one a family.
    pub gateways: Vec<IpAddr>,
    /// The network is internal: no default route by it, no published ports.
    #[serde(default)]
    pub internal: bool,
    /// `links`: `alias -> container name`, seen by this container only.
    #[serde(default)]
    pub links: BTreeMap<String, String>,
    /// Place among the container's links; 0 gives the default route.
    #[serde(default)]
    pub order: u32,
}

/// One published port: never a range.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PortSpec {
    /// Address on the host; `None` means all, of both families.
    pub host_ip: Option<IpAddr>,
    /// Port on the host, 0 for one that the kernel chooses.
    pub host_port: u16,
    /// Last port of the range to choose from, where the file gave a range for
    /// one container port.
    pub host_port_end: Option<u16>,
    /// Port in the container.
    pub container_port: u16,
    /// Transport.
    pub protocol: Protocol,
}

/// Transport protocols that can be published.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, Default,
)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP.
    #[default]
    Tcp,
    /// UDP.
    Udp,
}

impl Protocol {
    /// `tcp` or `udp`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

/// A published port as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishedPort {
    /// Address on the host.
    pub host_ip: IpAddr,
    /// Port on the host.
    pub host_port: u16,
    /// Port in the container.
    pub container_port: u16,
    /// Transport.
    pub protocol: Protocol,
}
