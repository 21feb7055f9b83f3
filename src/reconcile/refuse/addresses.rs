//! Addresses that the file's networks cannot have, and those that they cannot
//! give. Docker finds out when the network is made or the container starts; the
//! file says it before.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use super::super::translate::project::{ignores_ipv6, network_name, network_spec};
use super::super::translate::values::parse_address;
use super::replicas;
use crate::compose::{Diagnostic, Network, Project, ServiceNetwork};
use crate::net::{Cidr, declared_subnets};

/// Subnets that make no sense or overlap, and static addresses that are not in
/// their network's subnet or given twice. `scale` has numbers of replicas that
/// are others than the file's.
pub fn wrong_addresses(
    project: &Project,
    services: &[&String],
    scale: &BTreeMap<String, u32>,
) -> Vec<Diagnostic> {
    let mut check = Check {
        project,
        subnets: Vec::new(),
        given: HashMap::new(),
        found: Vec::new(),
    };
    let on_networks: Vec<_> = project
        .services
        .iter()
        .filter(|(name, service)| services.contains(name) && service.network_mode.is_none())
        .collect();
    for (key, network) in &project.networks {
        let is_used = on_networks
            .iter()
            .any(|(_, service)| service.networks.contains_key(key));
        if is_used && !network.external {
            check.addresses_of(key, network);
            check.subnets_of(key, network);
        }
    }
    for (name, service) in on_networks {
        let replicas = replicas::of(name, service, scale);
        for (key, place) in &service.networks {
            if let (Some(network), Some(place)) = (project.networks.get(key), place)
                && replicas > 0
            {
                let path = format!("services.{name}.networks.{key}");
                check.place(&path, (key, network), place, replicas);
            }
        }
    }
    check.found
}

/// A subnet of the file.
struct Declared<'p> {
    key: &'p str,
    path: String,
    cidr: Cidr,
    gateway: IpAddr,
}

struct Check<'p> {
    project: &'p Project,
    subnets: Vec<Declared<'p>>,
    /// Static addresses by the network's full name, and who has them.
    given: HashMap<(String, IpAddr), String>,
    found: Vec<Diagnostic>,
}

impl<'p> Check<'p> {
    fn error(&mut self, path: &str, message: String) {
        self.found.push(self.project.diagnostic(path, message));
    }

    fn addresses_of(&mut self, key: &str, network: &Network) {
        for (index, pool) in network.ipam.config.iter().enumerate() {
            let pool_path = format!("networks.{key}.ipam.config[{index}]");
            let gateway = pool.gateway.iter().map(|text| ("gateway".to_owned(), text));
            let reserved = pool.aux_addresses.iter();
            let reserved = reserved.map(|(name, text)| (format!("aux_addresses.{name}"), text));
            for (attribute, text) in gateway.chain(reserved) {
                if !text.is_empty() && text.parse::<IpAddr>().is_err() {
                    let message = format!("`{text}` is not an address");
                    self.error(&format!("{pool_path}.{attribute}"), message);
                }
            }
        }
    }

    fn subnets_of(&mut self, key: &'p str, network: &Network) {
        let spec = network_spec(self.project, key, network);
        for (index, declared) in declared_subnets(&spec) {
            let path = format!("networks.{key}.ipam.config[{index}]");
            let (cidr, gateway) = match declared {
                Ok((cidr, subnet)) => (cidr, subnet.gateway),
                Err(message) => {
                    self.error(&path, message);
                    continue;
                }
            };
            let clash = |other: &&Declared<'_>| {
                // Two keys may stand for one network.
                let same = other.key != key && network_name(self.project, other.key) == spec.name;
                !same && other.cidr.overlaps(&cidr)
            };
            if let Some(other) = self.subnets.iter().find(clash) {
                let message = format!("`{cidr}` overlaps `{}` of `{}`", other.cidr, other.path);
                self.error(&format!("{path}.subnet"), message);
            }
            self.subnets.push(Declared {
                key,
                path,
                cidr,
                gateway,
            });
        }
    }

    /// A service's place on a network.
    fn place(
        &mut self,
        path: &str,
        (key, network): (&str, &Network),
        place: &ServiceNetwork,
        replicas: u32,
    ) {
        let families = [
            ("ipv4_address", &place.ipv4_address, true),
            ("ipv6_address", &place.ipv6_address, false),
        ];
        for (attribute, text, is_ipv4) in families {
            let address = text.as_deref().and_then(parse_address);
            // One of the other family is told elsewhere.
            let Some(address) = address.filter(|address| address.is_ipv4() == is_ipv4) else {
                continue;
            };
            if !is_ipv4 && ignores_ipv6(network) {
                continue;
            }
            let path = format!("{path}.{attribute}");
            if replicas > 1 {
                let message = format!("{replicas} replicas cannot share the address {address}");
                self.error(&path, message);
            } else if !network.external
                && let Some(diagnostic) = self.cannot_give(&path, key, address)
            {
                self.found.push(diagnostic);
            } else {
                let place = (network_name(self.project, key), address);
                match self.given.get(&place) {
                    Some(earlier) => {
                        let message = format!("{address} is given by `{earlier}` already");
                        self.error(&path, message);
                    }
                    None => drop(self.given.insert(place, path)),
                }
            }
        }
    }

    /// Why a network of the project cannot give this address.
    fn cannot_give(&self, path: &str, key: &str, address: IpAddr) -> Option<Diagnostic> {
        let of_family: Vec<&Declared<'_>> = self
            .subnets
            .iter()
            .filter(|one| one.key == key && one.cidr.is_ipv4() == address.is_ipv4())
            .collect();
        let project = self.project;
        if of_family.is_empty() {
            let (family, more) = if address.is_ipv4() {
                ("IPv4", "")
            } else {
                ("IPv6", " and `enable_ipv6: true`")
            };
            let message = format!("the network `{key}` has no {family} subnet that the file names");
            let help = format!("set `networks.{key}.ipam.config[0].subnet`{more}");
            return Some(project.diagnostic(path, message).suggest(help));
        }
        match of_family.iter().find(|one| one.cidr.contains(address)) {
            Some(subnet) if subnet.gateway == address => {
                let message = format!("{address} is the gateway of the network `{key}`");
                Some(project.diagnostic(path, message))
            }
            Some(_) => None,
            None => {
                let subnets: Vec<String> =
                    of_family.iter().map(|one| one.cidr.to_string()).collect();
                let message = format!("{address} is not in the subnet of the network `{key}`");
                let expected = format!("an address of {}", subnets.join(" or "));
                Some(project.diagnostic(path, message).expected(expected))
            }
        }
    }
}
