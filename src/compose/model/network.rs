//! `networks`, a service's place on them, and `ports`.

use indexmap::IndexMap;

use super::record::record;
use super::{Labels, OptionsMap};

record! {
    /// A network of the project.
    Network {
        /// Its full name.
        name: Option<String>,
        /// Its driver.
        driver: Option<String>,
        /// Options of the driver.
        driver_opts: OptionsMap,
        /// Its addresses.
        ipam: Ipam,
        /// Made by somebody else.
        external: bool,
        /// Without a way out.
        internal: bool,
        /// Open to single containers.
        attachable: bool,
        /// Labels.
        labels: Labels,
        /// Whether it has IPv4.
        enable_ipv4: Option<bool>,
        /// Whether it has IPv6.
        enable_ipv6: Option<bool>,
    }
}

record! {
    /// The addresses of a network.
    Ipam {
        /// IPAM driver.
        driver: Option<String>,
        /// Pools.
        config: Vec<IpamPool>,
    }
}

record! {
    /// A pool of addresses.
    IpamPool {
        /// CIDR.
        subnet: Option<String>,
        /// The bridge's address.
        gateway: Option<String>,
        /// Part of the subnet that addresses are taken from.
        ip_range: Option<String>,
        /// Addresses in use elsewhere, by name.
        aux_addresses: IndexMap<String, String>,
    }
}

record! {
    /// A service's place on a network.
    ServiceNetwork {
        /// Additional names.
        aliases: Vec<String>,
        /// Options of the endpoint.
        driver_opts: OptionsMap,
        /// The highest gives the default route.
        gw_priority: i64,
        /// Name of the interface inside.
        interface_name: Option<String>,
        /// Static address.
        ipv4_address: Option<String>,
        /// Static address.
        ipv6_address: Option<String>,
        /// Link-local addresses.
        link_local_ips: Vec<String>,
        /// MAC address.
        mac_address: Option<String>,
        /// Order of connection, the highest first.
        priority: i64,
    }
}

record! {
    /// A published port.
    Port {
        /// What it is for.
        name: Option<String>,
        /// `ingress` or `host`.
        mode: Option<String>,
        /// Address on the host.
        host_ip: Option<String>,
        /// Port in the container.
        target: u32,
        /// Port on the host, or a range to choose from (`8000-8010`); absent
        /// for one that is free.
        published: Option<String>,
        /// `tcp`, `udp`, `sctp`.
        protocol: Option<String>,
        /// Protocol above it, `http` for example.
        app_protocol: Option<String>,
    }
}

impl Port {
    /// The first and last port of `published`; `None` where it is absent or
    /// not a port.
    pub fn published_range(&self) -> Option<(u16, u16)> {
        let text = self.published.as_deref()?;
        match text.split_once('-') {
            Some((first, last)) => Some((first.parse().ok()?, last.parse().ok()?)),
            None => text.parse().ok().map(|port| (port, port)),
        }
    }

    /// The protocol, `tcp` by default.
    pub fn protocol(&self) -> &str {
        self.protocol.as_deref().unwrap_or("tcp")
    }
}
