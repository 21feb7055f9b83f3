//! Networks: made, found again, listed and removed.

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;

use jiff::Timestamp;

use super::cidr::Cidr;
use super::detach::Withdrawn;
use super::error::NetError;
use super::handle::Net;
use super::labels::Owner;
use super::netlink::{Connection, route};
use super::spec::{Endpoint, NetworkRecord, NetworkSpec};
use super::subnets::{self, Taken};
use super::{files, sysctl};
use crate::state::{ContainerId, NetworkId};

/// Driver options of a network that have an effect.
pub(super) const OPT_MTU: &str = "com.docker.network.driver.mtu";
pub(super) const OPT_BRIDGE_NAME: &str = "com.docker.network.bridge.name";
pub(super) const OPT_MASQUERADE: &str = "com.docker.network.bridge.enable_ip_masquerade";
pub(super) const OPT_ICC: &str = "com.docker.network.bridge.enable_icc";
pub(super) const OPT_PREFIX: &str = "com.docker.network.container_iface_prefix";

/// The longest name of a link, bytes.
const LINK_NAME_LIMIT: usize = 15;

/// Answer of [`Net::ensure_network`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ensured {
    /// The network as it is.
    pub record: NetworkRecord,
    /// False where it existed.
    pub created: bool,
    /// What was changed on the host beside, and what has no effect; one line each.
    pub notes: Vec<String>,
}

impl Net {
    /// Makes a network, or finds it by its name.
    ///
    /// A network that exists is returned as it is, whatever `spec` says: the
    /// caller compares [`NetworkRecord::spec`]. What is missing of it in the
    /// kernel, as after a reboot, is made again.
    ///
    /// # Errors
    /// A wish that makes no sense, no free subnet, or a kernel that refuses.
    pub fn ensure_network(&self, spec: &NetworkSpec) -> Result<Ensured, NetError> {
        check(spec)?;
        let _lock = self.records.lock_networks()?;
        self.in_bridge_netns(|| {
            let mut host = Self::route_socket()?;
            let (record, created) = match self.records.network(&spec.name)? {
                Some(record) => (record, false),
                None => (self.new_record(spec, &mut host)?, true),
            };
            let mut notes = unused_options(&record.spec);
            notes.extend(self.realize(&record, created, &mut host)?);
            Ok(Ensured {
                record,
                created,
                notes,
            })
        })
    }

    /// Makes what a network has in the kernel, where it is missing, and writes
    /// the record of a new one. The lock of networks is held.
    fn realize(
        &self,
        record: &NetworkRecord,
        created: bool,
        host: &mut Connection,
    ) -> Result<Vec<String>, NetError> {
        let made = self.make_bridge(record, host)?;
        let rest = |host: &mut Connection| {
            if made && !created {
                self.plug_in(record, host)?;
            }
            let mut notes = enable_forwarding(record)?;
            // Whoever writes the firewall anew reads the records.
            if created {
                self.records.write_network(record)?;
            }
            notes.extend(self.admit_network(record)?);
            Ok(notes)
        };
        let result = rest(host);
        if result.is_err() {
            // The first error is the one to tell; a sweep finds the rest.
            if made {
                let bridge = self.bridge_name(record);
                host.run(&[route::delete_link(&bridge)]).ok();
            }
            if created {
                self.records.remove_network(record).ok();
            }
        }
        result
    }

    /// Makes a network's bridge again where it is gone, as after a reboot or
    /// by somebody's hand; in the bridges' namespace. What was changed on the
    /// host beside is returned, one line each.
    pub(super) fn bring_back(
        &self,
        record: &NetworkRecord,
        host: &mut Connection,
    ) -> Result<Vec<String>, NetError> {
        if self.has_bridge(record, host)? {
            return Ok(Vec::new());
        }
        let _lock = self.records.lock_networks()?;
        let name = &record.spec.name;
        let record = self.records.network(name)?;
        let record = record.ok_or_else(|| no_network(name))?;
        self.realize(&record, false, host)
    }

    /// Which of these networks have no bridge in the kernel, by name, as after
    /// a reboot.
    ///
    /// # Errors
    /// The kernel cannot be asked.
    pub fn without_bridge<'r>(
        &self,
        records: impl IntoIterator<Item = &'r NetworkRecord, IntoIter: Send>,
    ) -> Result<BTreeSet<String>, NetError> {
        let mut records = records.into_iter().peekable();
        if records.peek().is_none() {
            return Ok(BTreeSet::new());
        }
        self.in_bridge_netns(|| {
            let mut host = Self::route_socket()?;
            let mut names = BTreeSet::new();
            for record in records {
                if !self.has_bridge(record, &mut host)? {
                    names.insert(record.spec.name.clone());
                }
            }
            Ok(names)
        })
    }

    fn has_bridge(&self, record: &NetworkRecord, host: &mut Connection) -> Result<bool, NetError> {
        let name = self.bridge_name(record);
        let found = route::find_link(host, &name).map_err(NetError::kernel("look for", name))?;
        Ok(found.is_some())
    }

    /// Puts the links of those who are on a network into its new bridge.
    fn plug_in(&self, record: &NetworkRecord, host: &mut Connection) -> Result<(), NetError> {
        let bridge = self.bridge_name(record);
        let found = route::find_link(host, &bridge)
            .and_then(|link| link.ok_or_else(|| io::Error::from_raw_os_error(libc::ENODEV)))
            .map_err(NetError::kernel("find the bridge", bridge))?;
        for endpoint in self.records.endpoints(&record.id)? {
            let name = self.root.veth(&endpoint.container, &record.id);
            let requests = [
                route::set_master(&name, found.index),
                route::set_port(&name, port_options(record)),
            ];
            match host.run(&requests) {
                // It went with its container.
                Err(error) if error.raw_os_error() == Some(libc::ENODEV) => {}
                other => other.map_err(NetError::kernel("connect the link", name))?,
            }
        }
        Ok(())
    }

    /// Removes a network and everything of it.
    ///
    /// # Errors
    /// [`NetError::NoNetwork`], and [`NetError::InUse`] while a container is on it.
    pub fn remove_network(&self, name: &str) -> Result<(), NetError> {
        let record = self.retire(name, &[])?;
        self.clear(&Withdrawn::default(), &[record])
    }

    /// A network's record; `None` where there is no such network.
    ///
    /// # Errors
    /// The record cannot be read.
    pub fn network(&self, name: &str) -> Result<Option<NetworkRecord>, NetError> {
        self.records.network(name)
    }

    /// All networks, by name.
    ///
    /// # Errors
    /// A record cannot be read.
    pub fn networks(&self) -> Result<Vec<NetworkRecord>, NetError> {
        self.records.networks()
    }

    /// Everything that is on a network now, by container name.
    ///
    /// # Errors
    /// A record cannot be read.
    pub fn endpoints(&self, network: &NetworkId) -> Result<Vec<Endpoint>, NetError> {
        self.records.endpoints(network)
    }

    /// The name of a network's bridge.
    pub(super) fn bridge_name(&self, record: &NetworkRecord) -> String {
        match record.spec.driver_opts.get(OPT_BRIDGE_NAME) {
            Some(name) => name.clone(),
            None => self.root.bridge(&record.id),
        }
    }

    /// Fails where a container is on the network, but for these.
    pub(super) fn refuse_in_use(
        &self,
        record: &NetworkRecord,
        but: &[ContainerId],
    ) -> Result<(), NetError> {
        let mut users: Vec<String> = self
            .records
            .endpoints(&record.id)?
            .into_iter()
            .map(|endpoint| endpoint.container_name)
            .collect();
        if users.is_empty() {
            // An address without an endpoint is a container about to start.
            users = self
                .records
                .addresses(&record.id)?
                .into_iter()
                .filter(|(_, container)| !but.contains(container))
                .map(|(_, container)| container.short().to_owned())
                .collect();
        }
        if users.is_empty() {
            return Ok(());
        }
        Err(NetError::InUse {
            network: record.spec.name.clone(),
            users,
        })
    }

    fn new_record(
        &self,
        spec: &NetworkSpec,
        host: &mut Connection,
    ) -> Result<NetworkRecord, NetError> {
        let id = NetworkId::random();
        let taken = self.taken(host)?;
        let ula = (0..).map(|attempt| self.root.ula(&id, attempt));
        let subnets = subnets::choose(spec, &taken, ula)?;
        Ok(NetworkRecord {
            id,
            spec: spec.clone(),
            subnets,
            created: Timestamp::now().to_string(),
        })
    }

    /// What a new subnet should stay away from: other networks, routes,
    /// addresses (those of Docker's bridges among them) and name servers.
    fn taken(&self, host: &mut Connection) -> Result<Vec<Taken>, NetError> {
        let list = NetError::kernel("list", "routes and addresses");
        let live = route::address_subnets(host)
            .and_then(|mut found| {
                found.extend(route::route_subnets(host)?);
                Ok(found)
            })
            .map_err(list)?;
        let mut taken = Vec::new();
        for record in self.records.networks()? {
            let by = format!("network {}", record.spec.name);
            let cidrs = record.subnets.iter().filter_map(|s| s.cidr.parse().ok());
            taken.extend(cidrs.map(|cidr| Taken {
                cidr,
                by: by.clone(),
                strict: true,
            }));
        }
        taken.extend(live.into_iter().map(|cidr| Taken {
            cidr,
            by: "a route or address of this host".to_owned(),
            strict: false,
        }));
        let servers = files::host_resolv_conf().servers;
        taken.extend(servers.into_iter().filter_map(|server| {
            Some(Taken {
                cidr: Cidr::of(server, if server.is_ipv4() { 32 } else { 128 })?,
                by: "a name server".to_owned(),
                strict: false,
            })
        }));
        Ok(taken)
    }

    /// Makes the bridge where it is missing; true where it was.
    fn make_bridge(&self, record: &NetworkRecord, host: &mut Connection) -> Result<bool, NetError> {
        let name = self.bridge_name(record);
        let alias = self.root.alias(&Owner::Network(record.id.clone()));
        let failed = |action| NetError::kernel(action, name.clone());
        let find = |host: &mut Connection| route::find_link(host, &name);
        if let Some(link) = find(host).map_err(failed("look for"))? {
            if link.alias.as_deref() == Some(&alias) {
                return Ok(false);
            }
            return Err(NetError::Spec {
                network: record.spec.name.clone(),
                problem: format!("a link named `{name}` exists and is not skiff's"),
            });
        }
        let mac = self.root.bridge_mac(&record.id);
        host.run(&[
            route::new_bridge(&name, mac, mtu(&record.spec)),
            route::set_alias(&name, &alias),
        ])
        .map_err(|error| match error.raw_os_error() {
            Some(libc::EOPNOTSUPP) => NetError::Missing {
                feature: super::probe::BRIDGE,
                remedy: super::probe::BRIDGE_REMEDY,
            },
            _ => failed("make the bridge")(error),
        })?;
        let configure = |host: &mut Connection| {
            let vanished = || io::Error::from_raw_os_error(libc::ENODEV);
            let link = find(host)?.ok_or_else(vanished)?;
            // A container must not become the host's router by advertising
            // itself (CVE-2020-13401).
            sysctl::write(&format!("ipv6/conf/{name}/accept_ra"), "0")?;
            // The kernel asks for a container's hardware address from a
            // link-local address, and would for two seconds hold that one for
            // a duplicate.
            sysctl::write(&format!("ipv6/conf/{name}/accept_dad"), "0")?;
            if !record.spec.ipv6 {
                sysctl::write(&format!("ipv6/conf/{name}/disable_ipv6"), "1")?;
            }
            let mut requests = vec![route::set_up(&name)];
            requests.extend(
                gateways(record)
                    .map(|(address, prefix)| route::add_address(link.index, address, prefix)),
            );
            host.run(&requests)
        };
        if let Err(error) = configure(host) {
            host.run(&[route::delete_link(&name)]).ok();
            return Err(failed("give addresses to the bridge")(error));
        }
        Ok(true)
    }
}

/// How a network's bridge treats the links of containers.
pub(super) fn port_options(record: &NetworkRecord) -> route::PortOptions {
    route::PortOptions {
        // Where the firewall sees bridged frames, it rewrites a container's
        // call of its own published port while still on the bridge, and the
        // frame goes back to the port it came from.
        hairpin: bridges_are_filtered(),
        isolated: !option_on(&record.spec, OPT_ICC),
    }
}

/// True where bridged frames go through the firewall (`br_netfilter`).
fn bridges_are_filtered() -> bool {
    [
        "bridge/bridge-nf-call-iptables",
        "bridge/bridge-nf-call-ip6tables",
    ]
    .iter()
    .any(|name| matches!(sysctl::read(name), Ok(Some(value)) if value == "1"))
}

/// MTU of a network's links, where it is not the kernel's default.
pub(super) fn mtu(spec: &NetworkSpec) -> Option<u32> {
    spec.driver_opts.get(OPT_MTU)?.parse().ok()
}

/// True unless an option is set to something false.
pub(super) fn option_on(spec: &NetworkSpec, option: &str) -> bool {
    spec.driver_opts
        .get(option)
        .is_none_or(|value| !matches!(value.to_lowercase().as_str(), "false" | "0" | "f"))
}

pub(super) fn no_network(name: &str) -> NetError {
    NetError::NoNetwork {
        network: name.to_owned(),
    }
}

/// The bridge's addresses with their prefix lengths.
fn gateways(record: &NetworkRecord) -> impl Iterator<Item = (IpAddr, u8)> {
    record.subnets.iter().filter_map(|subnet| {
        let cidr: Cidr = subnet.cidr.parse().ok()?;
        Some((subnet.gateway, cidr.prefix()))
    })
}

fn check(spec: &NetworkSpec) -> Result<(), NetError> {
    let problem = |problem: String| {
        Err(NetError::Spec {
            network: spec.name.clone(),
            problem,
        })
    };
    // The name becomes a file name.
    let letter = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    if !spec.name.starts_with(|c: char| c.is_ascii_alphanumeric()) || !spec.name.chars().all(letter)
    {
        return problem("a name consists of letters, digits, `_`, `.` and `-`".to_owned());
    }
    if spec.driver != "bridge" {
        return Err(NetError::Driver {
            network: spec.name.clone(),
            driver: spec.driver.clone(),
        });
    }
    if !spec.ipv4 && !spec.ipv6 {
        return problem("neither IPv4 nor IPv6 is enabled".to_owned());
    }
    if let Some(value) = spec.driver_opts.get(OPT_MTU)
        && !matches!(value.parse::<u32>(), Ok(68..=65535))
    {
        return problem(format!(
            "`driver_opts.{OPT_MTU}` is `{value}`, not 68 to 65535"
        ));
    }
    if let Some(name) = spec.driver_opts.get(OPT_BRIDGE_NAME)
        && (name.is_empty()
            || name.len() > LINK_NAME_LIMIT
            || name.contains(|c: char| c.is_whitespace() || c == '/' || c == ':'))
    {
        return problem(format!(
            "`driver_opts.{OPT_BRIDGE_NAME}` is `{name}`, which no link can be called"
        ));
    }
    Ok(())
}

fn unused_options(spec: &NetworkSpec) -> Vec<String> {
    let known = [
        OPT_MTU,
        OPT_BRIDGE_NAME,
        OPT_MASQUERADE,
        OPT_ICC,
        OPT_PREFIX,
    ];
    spec.driver_opts
        .keys()
        .filter(|option| !known.contains(&option.as_str()))
        .map(|option| {
            format!(
                "network `{}`: driver option `{option}` has no effect",
                spec.name
            )
        })
        .collect()
}

/// Lets the host route between links, where the network needs it and it is off.
fn enable_forwarding(record: &NetworkRecord) -> Result<Vec<String>, NetError> {
    let mut notes = Vec::new();
    if record.spec.internal {
        return Ok(notes);
    }
    let mut enable = |name: &str| -> io::Result<()> {
        if sysctl::read(name)?.is_some_and(|value| value == "0") {
            if name.starts_with("ipv6") {
                keep_router_advertisements()?;
            }
            sysctl::write(name, "1")?;
            let name = name.replace('/', ".");
            notes.push(format!(
                "set net.{name} to 1, containers need it to reach out"
            ));
        }
        Ok(())
    };
    let forwarding = "ipv4/ip_forward";
    if record.spec.ipv4 {
        enable(forwarding).map_err(NetError::kernel("set the sysctl", forwarding))?;
    }
    let forwarding = "ipv6/conf/all/forwarding";
    if record.spec.ipv6 {
        enable(forwarding).map_err(NetError::kernel("set the sysctl", forwarding))?;
    }
    Ok(notes)
}

/// A link with `accept_ra` 1 ignores router advertisements once forwarding is
/// on, and the host would lose its IPv6 address; 2 means "even so".
fn keep_router_advertisements() -> io::Result<()> {
    for link in sysctl::links("ipv6")? {
        let name = format!("ipv6/conf/{link}/accept_ra");
        if link != "all" && sysctl::read(&name)?.is_some_and(|value| value == "1") {
            sysctl::write(&name, "2")?;
        }
    }
    Ok(())
}
