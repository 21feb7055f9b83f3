//! Networks, names, published ports.

use std::collections::BTreeMap;
use std::net::IpAddr;

use oci_spec::runtime::Spec;

use crate::compose::{Port, ServiceNetwork};
use crate::engine::oci_default;
use crate::net::spec::{EndpointSpec, PortSpec, Protocol};
use crate::supervise::launch::{DnsOptions, HostAddress, NetworkMode};

use super::Work;
use super::project::{ignores_ipv6, network_name};
use super::values::parse_address;

impl Work<'_> {
    /// The container's network; its namespace is made by `net`, so the spec
    /// keeps its entry without a path, or loses it for the host's.
    pub(super) fn network(&mut self, spec: &mut Spec) -> NetworkMode {
        let mode = self.network_mode();
        if mode == NetworkMode::Host {
            oci_default::join_host_network(spec);
        }
        mode
    }

    fn network_mode(&mut self) -> NetworkMode {
        match self.service.network_mode.as_deref() {
            None => NetworkMode::Networks(self.endpoints()),
            Some("none") => NetworkMode::None,
            Some("host") => NetworkMode::Host,
            Some(mode) => match self.joined(mode) {
                Ok(mode) => mode,
                Err(message) => {
                    self.issues.error("network_mode", message);
                    NetworkMode::None
                }
            },
        }
    }

    fn joined(&self, mode: &str) -> Result<NetworkMode, String> {
        if let Some(name) = mode.strip_prefix("service:") {
            let peers = self
                .context
                .peers
                .get(name)
                .map(Vec::as_slice)
                .unwrap_or_default();
            // With replicas on both sides they pair up as far as they go.
            let peer = peers
                .iter()
                .find(|peer| peer.number == self.instance.number)
                .or_else(|| peers.first());
            return peer
                .map(|peer| NetworkMode::Container(peer.id.clone()))
                .ok_or_else(|| {
                    format!("service `{name}` has no container to share the network of")
                });
        }
        if let Some(name) = mode.strip_prefix("container:") {
            return self
                .context
                .containers
                .get(name)
                .map(|id| NetworkMode::Container(id.clone()))
                .ok_or_else(|| format!("there is no container `{name}` to share the network of"));
        }
        Err(format!(
            "`{mode}` is none of none, host, service:NAME and container:NAME"
        ))
    }

    /// One endpoint a network, the highest priority first.
    fn endpoints(&mut self) -> Vec<EndpointSpec> {
        let service = self.service;
        let mut list: Vec<(&String, ServiceNetwork)> = service
            .networks
            .iter()
            .map(|(key, place)| (key, place.clone().unwrap_or_default()))
            .collect();
        list.sort_by(|a, b| b.1.priority.cmp(&a.1.priority).then_with(|| a.0.cmp(b.0)));
        let links = self.links();
        let mut endpoints: Vec<EndpointSpec> = list
            .into_iter()
            .map(|(key, place)| self.endpoint(key, place, links.clone()))
            .collect();
        if let (Some(mac), Some(first)) = (&service.mac_address, endpoints.first_mut()) {
            first.mac.get_or_insert_with(|| mac.clone());
        }
        endpoints
    }

    fn endpoint(
        &mut self,
        key: &str,
        place: ServiceNetwork,
        links: BTreeMap<String, String>,
    ) -> EndpointSpec {
        let mut address = |name: &str, text: &str, what: &str, fits: fn(&IpAddr) -> bool| {
            let parsed = parse_address(text).filter(fits);
            if parsed.is_none() && !text.is_empty() {
                self.issues.error(
                    &format!("networks.{key}.{name}"),
                    format!("`{text}` is not an {what}"),
                );
            }
            parsed
        };
        let own = place.ipv4_address.as_deref().unwrap_or_default();
        let ipv4 = address("ipv4_address", own, "IPv4 address", IpAddr::is_ipv4);
        let own = place.ipv6_address.as_deref().unwrap_or_default();
        let ipv6 = address("ipv6_address", own, "IPv6 address", IpAddr::is_ipv6).filter(|_| {
            !self
                .context
                .project
                .networks
                .get(key)
                .is_some_and(ignores_ipv6)
        });
        let link_local: Vec<IpAddr> = place
            .link_local_ips
            .iter()
            .filter_map(|text| address("link_local_ips", text, "address", |_| true))
            .collect();
        EndpointSpec {
            network: network_name(self.context.project, key),
            aliases: self.aliases(&place),
            ipv4,
            ipv6,
            link_local,
            mac: place.mac_address,
            interface: place.interface_name,
            gateway_priority: place.gw_priority,
            driver_opts: place.driver_opts.0.into_iter().collect(),
            links,
        }
    }

    /// The service's name and its aliases; a one-off has them on request only,
    /// so that it gets none of the service's traffic.
    fn aliases(&self, place: &ServiceNetwork) -> Vec<String> {
        if self
            .instance
            .oneoff
            .as_ref()
            .is_some_and(|oneoff| !oneoff.use_aliases)
        {
            return Vec::new();
        }
        let mut names = vec![self.name.to_owned()];
        for alias in &place.aliases {
            if !names.contains(alias) {
                names.push(alias.clone());
            }
        }
        names
    }

    /// `links` and `external_links`: names that only this container sees. As
    /// Compose has it, each linked container goes by the alias, by
    /// `SERVICE-NUMBER` and by its full name.
    fn links(&self) -> BTreeMap<String, String> {
        let mut links = BTreeMap::new();
        for link in &self.service.links {
            let (name, alias) = link.split_once(':').unwrap_or((link, link));
            for peer in self.context.peers.get(name).into_iter().flatten() {
                links
                    .entry(alias.to_owned())
                    .or_insert_with(|| peer.name.clone());
                links.insert(format!("{name}-{}", peer.number), peer.name.clone());
                links.insert(peer.name.clone(), peer.name.clone());
            }
        }
        for link in &self.service.external_links {
            let (name, alias) = link.split_once(':').unwrap_or((link, link));
            links.insert(alias.to_owned(), name.to_owned());
        }
        links
    }

    /// Published ports, one a container port.
    pub(super) fn ports(&mut self, network: &NetworkMode) -> Vec<PortSpec> {
        if self.service.ports.is_empty() {
            return Vec::new();
        }
        match network {
            NetworkMode::Networks(_) => {}
            NetworkMode::Host => {
                self.issues
                    .warn("ports", "have no effect with `network_mode: host`");
                return Vec::new();
            }
            NetworkMode::None => {
                self.issues
                    .warn("ports", "have no effect with `network_mode: none`");
                return Vec::new();
            }
            NetworkMode::Container(_) => {
                self.issues.error(
                    "ports",
                    "cannot be published with the network of another container; \
                     publish them there",
                );
                return Vec::new();
            }
        }
        let mut ports: Vec<PortSpec> = Vec::new();
        for (index, port) in self.service.ports.iter().enumerate() {
            let protocol = match port.protocol() {
                "tcp" => Protocol::Tcp,
                "udp" => Protocol::Udp,
                // Refused before; see `refuse`.
                _ => continue,
            };
            match port_spec(port, protocol) {
                Ok(spec) if ports.contains(&spec) => {}
                Ok(spec) => ports.push(spec),
                Err(message) => self.issues.error(&format!("ports[{index}]"), message),
            }
        }
        ports
    }

    /// Lines of `/etc/hosts`, in the order of the file.
    pub(super) fn extra_hosts(&mut self) -> Vec<(String, HostAddress)> {
        let mut lines = Vec::new();
        for (host, addresses) in self.service.extra_hosts.iter() {
            for text in addresses {
                match (text.as_str(), parse_address(text)) {
                    ("host-gateway", _) => lines.push((host.clone(), HostAddress::Gateway)),
                    (_, Some(ip)) => lines.push((host.clone(), HostAddress::Ip(ip))),
                    (_, None) => self.issues.error(
                        &format!("extra_hosts.{host}"),
                        format!("`{text}` is neither an address nor `host-gateway`"),
                    ),
                }
            }
        }
        lines
    }

    /// resolv.conf as declared.
    pub(super) fn dns(&mut self) -> DnsOptions {
        let mut servers = Vec::new();
        for (index, text) in self.service.dns.iter().enumerate() {
            match parse_address(text) {
                Some(address) => servers.push(address),
                None => self.issues.error(
                    &format!("dns[{index}]"),
                    format!("`{text}` is not an address"),
                ),
            }
        }
        DnsOptions {
            servers,
            search: self.service.dns_search.clone(),
            options: self.service.dns_opt.clone(),
        }
    }
}

fn port_spec(port: &Port, protocol: Protocol) -> Result<PortSpec, String> {
    let container_port = u16::try_from(port.target)
        .ok()
        .filter(|target| *target > 0)
        .ok_or_else(|| format!("{} is not a port", port.target))?;
    let host_ip = match port.host_ip.as_deref().filter(|text| !text.is_empty()) {
        None => None,
        Some(text) => {
            Some(parse_address(text).ok_or_else(|| format!("`{text}` is not an address"))?)
        }
    };
    let published = port.published.as_deref().filter(|text| !text.is_empty());
    let (host_port, last) = match published {
        None => (0, 0),
        Some(text) => port
            .published_range()
            .filter(|(first, last)| first <= last)
            .ok_or_else(|| format!("`{text}` is not a port or range of ports"))?,
    };
    Ok(PortSpec {
        host_ip,
        host_port,
        host_port_end: (last > host_port).then_some(last),
        container_port,
        protocol,
    })
}
