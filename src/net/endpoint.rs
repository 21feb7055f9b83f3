//! Containers on networks: a namespace, links, addresses and routes.

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use super::error::NetError;
use super::handle::{NamespaceError, Net};
use super::labels::Owner;
use super::netlink::{Connection, Request, route};
use super::network::{OPT_PREFIX, mtu, no_network, port_options};
use super::spec::{Endpoint, EndpointSpec, NetworkRecord};
use super::{namespace, sysctl};
use crate::state::ContainerId;

/// Endpoint option: sysctls of the link, `net.ipv4.conf.IFNAME.name=value,…`.
const OPT_SYSCTLS: &str = "com.docker.network.endpoint.sysctls";
/// Endpoint option: name of the link.
const OPT_IFNAME: &str = "com.docker.network.endpoint.ifname";

/// Time for a new link to be in use; a container starts all the same after it.
const LINK_PATIENCE: Duration = Duration::from_secs(1);

/// What [`Net::attach`] is asked.
#[derive(Debug, Clone, Copy)]
pub struct AttachRequest<'a> {
    /// The container.
    pub container: &'a ContainerId,
    /// Its full name, a DNS name on every network.
    pub name: &'a str,
    /// Its host name, a DNS name too, as Docker has it.
    pub hostname: &'a str,
    /// Its networks; none means loopback only.
    pub endpoints: &'a [EndpointSpec],
}

/// A container's namespace and its presence on networks.
#[derive(Debug)]
pub struct Attached {
    /// The namespace.
    pub netns: OwnedFd,
    /// In the order of their links; the first gives the default route.
    pub endpoints: Vec<Endpoint>,
    /// Endpoint options that have no effect; one line each.
    pub notes: Vec<String>,
}

/// An endpoint that has its addresses but no link yet.
#[derive(Debug)]
struct Planned<'a> {
    spec: &'a EndpointSpec,
    network: NetworkRecord,
    endpoint: Endpoint,
    mac: [u8; 6],
}

impl Net {
    /// Makes a namespace for a container, pinned under the run root, with a
    /// link on each of its networks; loopback is up.
    ///
    /// What an earlier life of the same container left is removed first.
    /// Nothing is left where it fails.
    ///
    /// # Errors
    /// No such network, no free address, a static address that is taken or
    /// outside, or a kernel that refuses.
    pub fn attach(&self, request: &AttachRequest<'_>) -> Result<Attached, NetError> {
        let pin = self.layout.netns(request.container);
        if pin.exists() {
            self.detach(request.container)?;
        }
        let mut planned = Vec::new();
        let mut notes = unused_options(request.endpoints);
        let result = self
            .plan(request, &mut planned)
            .and_then(|()| {
                self.in_bridge_netns(|| {
                    let mut host = Self::route_socket()?;
                    for planned in &planned {
                        notes.extend(self.bring_back(&planned.network, &mut host)?);
                    }
                    let watch =
                        route::LinkWatch::begin().map_err(NetError::kernel("watch", "links"))?;
                    let made = namespace::create(&pin, |netns| {
                        self.connect(netns, &mut host, &planned)
                            .map_err(NamespaceError::Work)
                    });
                    let (netns, ()) = made?;
                    self.await_links(watch, &planned)?;
                    Ok(netns)
                })
            })
            .and_then(|netns| {
                for planned in &planned {
                    self.records.write_endpoint(&planned.endpoint)?;
                }
                Ok(netns)
            });
        let endpoints = planned.into_iter().map(|planned| planned.endpoint);
        match result {
            Ok(netns) => Ok(Attached {
                netns,
                endpoints: endpoints.collect(),
                notes,
            }),
            Err(error) => {
                // The first error is the one to tell; a sweep finds the rest.
                namespace::unpin(&pin).ok();
                for endpoint in endpoints {
                    self.forget(&endpoint).ok();
                }
                Err(error)
            }
        }
    }

    /// The namespace and endpoints of a container that is attached, for a
    /// supervisor that was started anew; `None` where it is not.
    ///
    /// # Errors
    /// A record or the pin cannot be read.
    pub fn attached(&self, container: &ContainerId) -> Result<Option<Attached>, NetError> {
        let pin = self.layout.netns(container);
        let netns = match namespace::open(&pin) {
            Ok(netns) => netns,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(NetError::record("open", pin)(error)),
        };
        let endpoints = self.endpoints_of(container)?;
        Ok(Some(Attached {
            netns,
            endpoints,
            notes: Vec::new(),
        }))
    }

    /// A container's presence on all networks, in the order of its links.
    pub(super) fn endpoints_of(&self, container: &ContainerId) -> Result<Vec<Endpoint>, NetError> {
        let mut endpoints = Vec::new();
        for network in self.records.run_networks()? {
            endpoints.extend(self.records.endpoint(&network, container)?);
        }
        endpoints.sort_by(|a, b| (a.order, &a.network_name).cmp(&(b.order, &b.network_name)));
        Ok(endpoints)
    }

    /// Takes back an endpoint's addresses and its record.
    pub(super) fn forget(&self, endpoint: &Endpoint) -> Result<(), NetError> {
        self.records
            .remove_endpoint(&endpoint.network, &endpoint.container)?;
        for (address, _) in &endpoint.addresses {
            if self.records.holder(&endpoint.network, *address).as_ref()
                == Some(&endpoint.container)
            {
                self.records.free_address(&endpoint.network, *address)?;
            }
        }
        Ok(())
    }

    /// Finds networks and gives addresses. What was given stands in `planned`
    /// even where a later one fails.
    fn plan<'a>(
        &self,
        request: &AttachRequest<'a>,
        planned: &mut Vec<Planned<'a>>,
    ) -> Result<(), NetError> {
        let mut ordered: Vec<&EndpointSpec> = request.endpoints.iter().collect();
        ordered.sort_by(|a, b| {
            (-a.gateway_priority, &a.network).cmp(&(-b.gateway_priority, &b.network))
        });
        let mut interfaces = BTreeSet::new();
        for (place, spec) in ordered.into_iter().enumerate() {
            if planned.iter().any(|p| p.spec.network == spec.network) {
                return Err(NetError::Spec {
                    network: spec.network.clone(),
                    problem: "a container cannot be on it twice".to_owned(),
                });
            }
            let network = self
                .records
                .network(&spec.network)?
                .ok_or_else(|| no_network(&spec.network))?;
            let interface = interface_name(spec, &network, &mut interfaces)?;
            planned.push(self.plan_endpoint(request, spec, network, (place, interface))?);
        }
        Ok(())
    }

    fn plan_endpoint<'a>(
        &self,
        request: &AttachRequest<'a>,
        spec: &'a EndpointSpec,
        network: NetworkRecord,
        (place, interface): (usize, String),
    ) -> Result<Planned<'a>, NetError> {
        let static_mac = spec
            .mac
            .as_deref()
            .map(|text| {
                parse_mac(text).ok_or_else(|| NetError::Spec {
                    network: spec.network.clone(),
                    problem: format!("`mac_address` is `{text}`, not like `02:42:ac:11:00:02`"),
                })
            })
            .transpose()?;
        let given = self.give_addresses(request.container, spec, &network)?;
        let mac = static_mac.unwrap_or_else(|| derive_mac(request.container, &given));
        let mut addresses = given;
        addresses.extend(spec.link_local.iter().map(|address| {
            let prefix = if address.is_ipv4() { 16 } else { 64 };
            (*address, prefix)
        }));
        let endpoint = Endpoint {
            container: request.container.clone(),
            container_name: request.name.to_owned(),
            network: network.id.clone(),
            network_name: spec.network.clone(),
            names: names(request, spec),
            interface,
            mac: mac_text(mac),
            addresses,
            gateways: network.subnets.iter().map(|s| s.gateway).collect(),
            internal: network.spec.internal,
            links: spec.links.clone(),
            order: u32::try_from(place).unwrap_or(u32::MAX),
        };
        Ok(Planned {
            spec,
            network,
            endpoint,
            mac,
        })
    }

    /// Makes the links and sets them up; runs on a thread in the new namespace.
    fn connect(
        &self,
        netns: BorrowedFd<'_>,
        host: &mut Connection,
        planned: &[Planned<'_>],
    ) -> Result<(), NetError> {
        let mut inside = Self::route_socket()?;
        // A link without IPv6 addresses has no IPv6 at all, as Docker has it. It
        // is born so: writing to the sysctl of one that exists spins in the
        // kernel while another process changes links.
        let without_v6 = !planned.iter().any(has_v6);
        let v6_by_default = |on: bool| {
            let name = "ipv6/conf/default/disable_ipv6";
            let value = if on { "0" } else { "1" };
            sysctl::write(name, value).map_err(NetError::kernel("set the sysctl", name))
        };
        if !planned.is_empty() {
            if without_v6 {
                v6_by_default(false)?;
            }
            self.make_links(netns, host, planned)?;
            if without_v6 {
                v6_by_default(true)?;
            }
        }
        let mut requests = vec![route::set_up("lo")];
        let mut routed = (false, false);
        for planned in planned {
            let endpoint = &planned.endpoint;
            let name = endpoint.interface.as_str();
            let failed = |action| NetError::kernel(action, name);
            let link = route::find_link(&mut inside, name)
                .and_then(|link| link.ok_or_else(|| io::Error::from_raw_os_error(libc::ENODEV)))
                .map_err(failed("find the link"))?;
            if !has_v6(planned) && !without_v6 {
                sysctl::write(&format!("ipv6/conf/{name}/disable_ipv6"), "1")
                    .map_err(failed("disable IPv6 of the link"))?;
            }
            set_sysctls(planned).map_err(failed("set sysctls of the link"))?;
            requests.push(route::set_up(name));
            let addresses = endpoint.addresses.iter();
            requests.extend(
                addresses
                    .map(|(address, prefix)| route::add_address(link.index, *address, *prefix)),
            );
            requests.extend(default_routes(endpoint, link.index, &mut routed));
        }
        inside
            .run(&requests)
            .map_err(|error| NetError::kernel("configure", "the container's links")(error))
    }

    /// Waits until what the container sends arrives.
    fn await_links(
        &self,
        watch: route::LinkWatch,
        planned: &[Planned<'_>],
    ) -> Result<(), NetError> {
        if planned.is_empty() {
            return Ok(());
        }
        let names = planned
            .iter()
            .map(|p| self.root.veth(&p.endpoint.container, &p.network.id));
        match watch.wait(names.collect(), Instant::now() + LINK_PATIENCE) {
            Ok(true) => {}
            Ok(false) => tracing::warn!("links are not in use after {LINK_PATIENCE:?}"),
            // More changed than the socket could hold.
            Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                tracing::debug!("lost track of links");
            }
            Err(error) => return Err(NetError::kernel("watch", "links")(error)),
        }
        Ok(())
    }

    fn make_links(
        &self,
        netns: BorrowedFd<'_>,
        host: &mut Connection,
        planned: &[Planned<'_>],
    ) -> Result<(), NetError> {
        let mut requests = Vec::new();
        for planned in planned {
            let network = &planned.network;
            let bridge = self.bridge_name(network);
            let master = route::find_link(host, &bridge)
                .and_then(|link| link.ok_or_else(|| io::Error::from_raw_os_error(libc::ENODEV)))
                .map_err(NetError::kernel("find the bridge", bridge))?;
            let container = &planned.endpoint.container;
            let name = self.root.veth(container, &network.id);
            requests.push(route::new_veth(&route::VethPair {
                name: &name,
                master: master.index,
                peer_name: &planned.endpoint.interface,
                peer_namespace: netns,
                peer_mac: planned.mac,
                mtu: mtu(&network.spec),
            }));
            let owner = Owner::Endpoint(container.clone(), network.id.clone());
            requests.push(route::set_alias(&name, &self.root.alias(&owner)));
            let options = port_options(network);
            if options.hairpin || options.isolated {
                requests.push(route::set_port(&name, options));
            }
        }
        self.run_fresh(host, &requests, planned)
    }

    /// Runs the requests that make links; where a link of the same name is
    /// still there, left by a namespace that the kernel has not quite taken
    /// down, removes it and tries once more.
    fn run_fresh(
        &self,
        host: &mut Connection,
        requests: &[Request],
        planned: &[Planned<'_>],
    ) -> Result<(), NetError> {
        let Err(error) = host.run(requests) else {
            return Ok(());
        };
        let error = match error.raw_os_error() {
            Some(libc::EOPNOTSUPP) => {
                return Err(NetError::Missing {
                    feature: super::probe::VETH,
                    remedy: super::probe::VETH_REMEDY,
                });
            }
            Some(libc::EEXIST) => {
                let names = planned
                    .iter()
                    .map(|p| self.root.veth(&p.endpoint.container, &p.network.id));
                let removals: Vec<_> = names.map(|name| route::delete_link(&name)).collect();
                // Those that were not there are no failure.
                host.run(&removals).ok();
                match host.run(requests) {
                    Ok(()) => return Ok(()),
                    Err(error) => error,
                }
            }
            _ => error,
        };
        Err(NetError::kernel(
            "make links of container",
            container_of(planned),
        )(error))
    }
}

fn container_of(planned: &[Planned<'_>]) -> String {
    planned
        .first()
        .map(|planned| planned.endpoint.container_name.clone())
        .unwrap_or_default()
}

fn unused_options(endpoints: &[EndpointSpec]) -> Vec<String> {
    let known = [OPT_SYSCTLS, OPT_IFNAME];
    let options = endpoints.iter().flat_map(|spec| {
        spec.driver_opts
            .keys()
            .map(move |option| (&spec.network, option))
    });
    options
        .filter(|(_, option)| !known.contains(&option.as_str()))
        .map(|(network, option)| {
            format!("endpoint on network `{network}`: driver option `{option}` has no effect")
        })
        .collect()
}

/// Default routes that this endpoint gives, one a family and only where no
/// earlier one did.
fn default_routes(endpoint: &Endpoint, link: u32, routed: &mut (bool, bool)) -> Vec<Request> {
    let mut requests = Vec::new();
    if endpoint.internal {
        return requests;
    }
    for gateway in &endpoint.gateways {
        let done = match gateway {
            IpAddr::V4(_) => &mut routed.0,
            IpAddr::V6(_) => &mut routed.1,
        };
        if !std::mem::replace(done, true) {
            requests.push(route::add_default_route(link, *gateway));
        }
    }
    requests
}

fn has_v6(planned: &Planned<'_>) -> bool {
    planned.endpoint.addresses.iter().any(|(a, _)| a.is_ipv6())
}

/// Sets what the endpoint's options ask for.
fn set_sysctls(planned: &Planned<'_>) -> io::Result<()> {
    let interface = &planned.endpoint.interface;
    if has_v6(planned) {
        // Its link-local address is made of a hardware address that we gave.
        sysctl::write(&format!("ipv6/conf/{interface}/accept_dad"), "0")?;
    }
    let wanted = planned.spec.driver_opts.get(OPT_SYSCTLS);
    for setting in wanted.map(String::as_str).unwrap_or_default().split(',') {
        let Some((name, value)) = setting.split_once('=') else {
            continue;
        };
        let name = name.strip_prefix("net.").unwrap_or(name);
        let path = name.replace('.', "/").replace("IFNAME", interface);
        if path.split('/').any(|part| part == "..") {
            continue;
        }
        sysctl::write(&path, value)?;
    }
    Ok(())
}

fn interface_name(
    spec: &EndpointSpec,
    network: &NetworkRecord,
    used: &mut BTreeSet<String>,
) -> Result<String, NetError> {
    let prefix = network
        .spec
        .driver_opts
        .get(OPT_PREFIX)
        .map_or("eth", String::as_str);
    let asked = spec.interface.as_ref();
    let name = match asked.or_else(|| spec.driver_opts.get(OPT_IFNAME)) {
        Some(name) => name.clone(),
        // One more number than names are used is always enough.
        None => (0..=used.len())
            .map(|number| format!("{prefix}{number}"))
            .find(|name| !used.contains(name))
            .unwrap_or_default(),
    };
    let bad = name.is_empty() || name.len() > 15 || name.contains(['/', ' ', ':']);
    if bad || !used.insert(name.clone()) {
        return Err(NetError::Spec {
            network: spec.network.clone(),
            problem: format!("`interface_name` `{name}` is taken or no name for a link"),
        });
    }
    Ok(name)
}

/// All names of a container on a network, each once, its full name first.
fn names(request: &AttachRequest<'_>, spec: &EndpointSpec) -> Vec<String> {
    let own = [request.name.to_owned()];
    let last = [
        request.container.short().to_owned(),
        request.hostname.to_owned(),
    ];
    let mut names: Vec<String> = Vec::new();
    for name in own
        .into_iter()
        .chain(spec.aliases.iter().cloned())
        .chain(last)
    {
        if !name.is_empty() && !names.iter().any(|known| known.eq_ignore_ascii_case(&name)) {
            names.push(name);
        }
    }
    names
}

/// The hardware address that follows from the IPv4 address, so that a
/// neighbour's table stays right when an address goes to another container.
fn derive_mac(container: &ContainerId, addresses: &[(IpAddr, u8)]) -> [u8; 6] {
    let v4 = addresses.iter().find_map(|(address, _)| match address {
        IpAddr::V4(v4) => Some(v4.octets()),
        IpAddr::V6(_) => None,
    });
    let [a, b, c, d] = v4.unwrap_or_else(|| {
        let digits = container.as_str().get(..8).unwrap_or_default();
        u32::from_str_radix(digits, 16).unwrap_or(1).to_be_bytes()
    });
    [0x02, 0x42, a, b, c, d]
}

fn parse_mac(text: &str) -> Option<[u8; 6]> {
    let mut bytes = text.split([':', '-']).map(|byte| {
        (byte.len() == 2)
            .then(|| u8::from_str_radix(byte, 16).ok())
            .flatten()
    });
    let mut mac = [0; 6];
    for byte in &mut mac {
        *byte = bytes.next()??;
    }
    // The lowest bit of the first byte marks a group of stations.
    (bytes.next().is_none() && mac[0] & 1 == 0).then_some(mac)
}

fn mac_text(mac: [u8; 6]) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}
