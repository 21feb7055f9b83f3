//! Our table as data: what is written once, and what is an element.
//!
//! ```text
//! prerouting   to an address of this host             -> publish
//! output       the same, but 127.0.0.0/8 and ::1      -> publish
//! publish      protocol and port are in a map         -> DNAT to a container
//! postrouting  DNAT back to the bridge it came from   -> masquerade (hairpin)
//!              DNAT back to the very container        -> masquerade
//!              from a network that masquerades to no bridge of ours -> masquerade
//! forward      to or from a bridge of ours            -> guard
//! guard        known connection, within one bridge    -> accept
//!              to or from an internal network         -> drop
//!              DNAT                                   -> accept
//!              from one bridge to another, or from outside -> drop
//! ```
//!
//! `postrouting` matches the input link, which needs Linux 5.7.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use super::nft::{
    DataType, Element, Family, Hook, Meta, Rule, STATE_KNOWN, STATUS_DNAT, Table, Tracked, Verdict,
};
use crate::net::netlink::Request;
use crate::net::records::{Forward, Published};
use crate::net::spec::Protocol;
use crate::state::{ContainerId, NetworkId};

const PUBLISH: &str = "publish";
const GUARD: &str = "guard";
/// The register of 4 bytes that begins where register 1 does.
const FIRST_QUARTER: u32 = 8;

/// A set or map of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Set {
    /// All bridges of ours.
    Bridges,
    /// Each bridge twice: packets that stay on it.
    Same,
    /// Bridges of internal networks.
    Internal,
    /// Bridges whose packets leave with the host's address.
    Masquerade,
    /// Ports published on every IPv4 address.
    Dnat4,
    /// Ports published on one IPv4 address.
    Dnat4On,
    /// Ports published on every IPv6 address.
    Dnat6,
    /// Ports published on one IPv6 address.
    Dnat6On,
    /// Targets twice: a container that calls its own published port.
    Self4,
    /// The same of IPv6.
    Self6,
}

const SETS: [Set; 10] = [
    Set::Bridges,
    Set::Same,
    Set::Internal,
    Set::Masquerade,
    Set::Dnat4,
    Set::Dnat4On,
    Set::Dnat6,
    Set::Dnat6On,
    Set::Self4,
    Set::Self6,
];

impl Set {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Bridges => "bridges",
            Self::Same => "same",
            Self::Internal => "internal",
            Self::Masquerade => "masquerade",
            Self::Dnat4 => "dnat4",
            Self::Dnat4On => "dnat4-on",
            Self::Dnat6 => "dnat6",
            Self::Dnat6On => "dnat6-on",
            Self::Self4 => "self4",
            Self::Self6 => "self6",
        }
    }

    fn types(self) -> (DataType, Option<DataType>) {
        const PORT: DataType = DataType::PROTOCOL.then(DataType::PORT);
        let target4 = DataType::IPV4.then(DataType::PORT);
        let target6 = DataType::IPV6.then(DataType::PORT);
        match self {
            Self::Bridges | Self::Internal | Self::Masquerade => (DataType::IFNAME, None),
            Self::Same => (DataType::IFNAME.then(DataType::IFNAME), None),
            Self::Dnat4 => (PORT, Some(target4)),
            Self::Dnat4On => (
                DataType::IPV4.then(DataType::PROTOCOL).then(DataType::PORT),
                Some(target4),
            ),
            Self::Dnat6 => (PORT, Some(target6)),
            Self::Dnat6On => (
                DataType::IPV6.then(DataType::PROTOCOL).then(DataType::PORT),
                Some(target6),
            ),
            Self::Self4 => (DataType::IPV4.then(DataType::IPV4), None),
            Self::Self6 => (DataType::IPV6.then(DataType::IPV6), None),
        }
    }
}

/// A set and an element of it.
pub(super) type Entry = (Set, Element);

/// What a network puts into the table.
#[derive(Debug, Clone, Copy)]
pub(super) struct BridgeRules<'a> {
    pub(super) network: &'a NetworkId,
    pub(super) bridge: &'a str,
    pub(super) internal: bool,
    pub(super) masquerade: bool,
}

impl BridgeRules<'_> {
    pub(super) fn entries(&self) -> Vec<Entry> {
        let name = ifname(self.bridge);
        let element = |key: Vec<u8>| Element {
            key,
            data: None,
            comment: self.network.to_string(),
        };
        let mut entries = vec![
            (Set::Bridges, element(name.clone())),
            (Set::Same, element([name.clone(), name.clone()].concat())),
        ];
        if self.internal {
            entries.push((Set::Internal, element(name)));
        } else if self.masquerade {
            entries.push((Set::Masquerade, element(name)));
        }
        entries
    }
}

/// What a published port puts into the table; `None` where it is left to the
/// proxy: a target of the other family, a loopback address.
fn port_entry(container: &ContainerId, forward: &Forward) -> Option<Entry> {
    let port = &forward.port;
    let rewritable = forward.rewritten
        && port.host_ip.is_ipv4() == forward.target.is_ipv4()
        && !port.host_ip.is_loopback();
    if !rewritable {
        return None;
    }
    let wide = port.host_ip.is_unspecified();
    let set = match (port.host_ip.is_ipv4(), wide) {
        (true, true) => Set::Dnat4,
        (true, false) => Set::Dnat4On,
        (false, true) => Set::Dnat6,
        (false, false) => Set::Dnat6On,
    };
    let protocol = match port.protocol {
        Protocol::Tcp => 6,
        Protocol::Udp => 17,
    };
    let mut key = if wide {
        Vec::new()
    } else {
        octets(port.host_ip)
    };
    key.extend([protocol, 0, 0, 0]);
    key.extend(port_bytes(port.host_port));
    Some((
        set,
        Element {
            key,
            data: Some(target(forward.target)),
            comment: container.to_string(),
        },
    ))
}

/// What a container's published ports put into the table.
pub(super) fn port_entries(published: &Published) -> Vec<Entry> {
    let container = &published.container;
    let mut entries = Vec::new();
    let mut targets = BTreeSet::new();
    for forward in &published.ports {
        if let Some(entry) = port_entry(container, forward) {
            entries.push(entry);
            targets.insert(forward.target.ip());
        }
    }
    entries.extend(targets.into_iter().map(|target| {
        let set = if target.is_ipv4() {
            Set::Self4
        } else {
            Set::Self6
        };
        let element = Element {
            key: octets(target).repeat(2),
            data: None,
            comment: container.to_string(),
        };
        (set, element)
    }));
    entries
}

/// The table with everything that is written once, and these elements.
pub(super) fn whole(table: &Table, entries: &[Entry]) -> Vec<Request> {
    // Made first, so that removing it cannot fail; in one transaction the
    // packets never meet the gap.
    let mut requests = vec![table.create(), table.delete(), table.create()];
    for (id, set) in (1..).zip(SETS) {
        let (key, data) = set.types();
        requests.push(table.set(set.name(), id, key, data));
    }
    requests.extend(chains(table));
    requests.extend(
        rules()
            .into_iter()
            .map(|(chain, rule)| table.append_rule(chain, rule)),
    );
    requests
        .extend(grouped(entries).map(|(set, elements)| table.add_elements(set.name(), &elements)));
    requests
}

/// How many rules the whole table has.
pub(super) fn rule_count() -> usize {
    rules().len()
}

/// Entries by set.
pub(super) fn grouped(entries: &[Entry]) -> impl Iterator<Item = (Set, Vec<Element>)> {
    SETS.into_iter().filter_map(|set| {
        let elements: Vec<Element> = entries
            .iter()
            .filter(|(of, _)| *of == set)
            .map(|(_, element)| element.clone())
            .collect();
        (!elements.is_empty()).then_some((set, elements))
    })
}

fn chains(table: &Table) -> Vec<Request> {
    const DSTNAT: i32 = -100;
    const SRCNAT: i32 = 100;
    const FILTER: i32 = 0;
    vec![
        table.chain(PUBLISH),
        table.chain(GUARD),
        table.base_chain("prerouting", "nat", Hook::Prerouting, DSTNAT),
        table.base_chain("output", "nat", Hook::Output, DSTNAT),
        table.base_chain("postrouting", "nat", Hook::Postrouting, SRCNAT),
        table.base_chain("forward", "filter", Hook::Forward, FILTER),
    ]
}

/// All rules, each with its chain, in order.
fn rules() -> Vec<(&'static str, Rule)> {
    let prerouting = [Rule::default()
        .destination_is_local()
        .verdict(&jump(PUBLISH))];
    let chains: [(&str, Vec<Rule>); 6] = [
        ("prerouting", prerouting.into()),
        ("output", output_rules()),
        ("postrouting", postrouting_rules()),
        ("forward", forward_rules()),
        (GUARD, guard_rules()),
        (PUBLISH, publish_rules()),
    ];
    let rules = chains.into_iter();
    rules
        .flat_map(|(chain, rules)| rules.into_iter().map(move |rule| (chain, rule)))
        .collect()
}

fn jump(chain: &str) -> Verdict {
    Verdict::Jump(chain.to_owned())
}

fn output_rules() -> Vec<Rule> {
    let rule = Rule::default;
    vec![
        rule()
            .family(Family::Ip)
            .load_network(16, 1, 1)
            .equals(&[127])
            .verdict(&Verdict::Return),
        rule()
            .family(Family::Ip6)
            .load_network(24, 16, 1)
            .equals(&Ipv6Addr::LOCALHOST.octets())
            .verdict(&Verdict::Return),
        rule().destination_is_local().verdict(&jump(PUBLISH)),
    ]
}

fn postrouting_rules() -> Vec<Rule> {
    let from_masquerading = || Rule::default().input_in(Set::Masquerade.name());
    vec![
        within_bridge()
            .tracked(Tracked::Status, STATUS_DNAT)
            .masquerade(),
        from_masquerading()
            .output_in(Set::Bridges.name())
            .verdict(&Verdict::Return),
        from_masquerading().masquerade(),
        // Where br_netfilter rewrites a call while still on the bridge, there
        // is no input link here, and only a call of oneself goes wrong.
        from_self(Family::Ip, (12, 16, 4), Set::Self4),
        from_self(Family::Ip6, (8, 24, 16), Set::Self6),
    ]
}

fn forward_rules() -> Vec<Rule> {
    let rule = Rule::default;
    vec![
        rule().input_in(Set::Bridges.name()).verdict(&jump(GUARD)),
        rule().output_in(Set::Bridges.name()).verdict(&jump(GUARD)),
    ]
}

fn guard_rules() -> Vec<Rule> {
    let rule = Rule::default;
    let internal = Set::Internal.name();
    vec![
        rule()
            .tracked(Tracked::State, STATE_KNOWN)
            .verdict(&Verdict::Accept),
        within_bridge().verdict(&Verdict::Accept),
        rule().input_in(internal).verdict(&Verdict::Drop),
        rule().output_in(internal).verdict(&Verdict::Drop),
        rule()
            .tracked(Tracked::Status, STATUS_DNAT)
            .verdict(&Verdict::Accept),
        rule()
            .output_in(Set::Bridges.name())
            .verdict(&Verdict::Drop),
    ]
}

/// `iifname . oifname @same`; a name fills one register of 16 bytes.
fn within_bridge() -> Rule {
    Rule::default()
        .load_meta(Meta::InputName, 1)
        .load_meta(Meta::OutputName, 2)
        .in_set(Set::Same.name())
}

/// Masquerades what has one address as source and destination; offsets of the
/// two and their length.
fn from_self(family: Family, (source, destination, length): (u32, u32, u32), set: Set) -> Rule {
    Rule::default()
        .family(family)
        .load_network(source, length, 1)
        .load_network(destination, length, FIRST_QUARTER + length / 4)
        .in_set(set.name())
        .masquerade()
}

/// Exact addresses before all addresses, in both families.
fn publish_rules() -> Vec<Rule> {
    // Family, offset and length of the destination address, sets.
    let families = [
        (Family::Ip, (16, 4), Set::Dnat4On, Set::Dnat4),
        (Family::Ip6, (24, 16), Set::Dnat6On, Set::Dnat6),
    ];
    families
        .into_iter()
        .flat_map(|(family, (offset, length), on, wide)| {
            let behind_address = FIRST_QUARTER + length / 4;
            let exact = Rule::default()
                .family(family)
                .load_network(offset, length, 1)
                .load_meta(Meta::TransportProtocol, behind_address)
                .load_port(behind_address + 1)
                .in_map(on.name())
                .destination_nat(family, behind_address);
            let any = Rule::default()
                .family(family)
                .load_meta(Meta::TransportProtocol, FIRST_QUARTER)
                .load_port(FIRST_QUARTER + 1)
                .in_map(wide.name())
                .destination_nat(family, behind_address);
            [exact, any]
        })
        .collect()
}

/// A link's name as the kernel compares it.
fn ifname(name: &str) -> Vec<u8> {
    let mut bytes = name.as_bytes().to_vec();
    bytes.resize(16, 0);
    bytes
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

/// A port in network byte order, padded to a register.
fn port_bytes(port: u16) -> [u8; 4] {
    let [high, low] = port.to_be_bytes();
    [high, low, 0, 0]
}

fn target(address: SocketAddr) -> Vec<u8> {
    let mut data = octets(address.ip());
    data.extend(port_bytes(address.port()));
    data
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::spec::PublishedPort;

    fn forward(host: &str, target: &str) -> Forward {
        let host: SocketAddr = host.parse().unwrap();
        Forward {
            port: PublishedPort {
                host_ip: host.ip(),
                host_port: host.port(),
                container_port: 80,
                protocol: Protocol::Tcp,
            },
            target: target.parse().unwrap(),
            rewritten: true,
        }
    }

    #[test]
    fn port_entry_chooses_the_map_by_address() {
        let id = ContainerId::random();
        let set =
            |host: &str, target: &str| port_entry(&id, &forward(host, target)).map(|(set, _)| set);
        assert_eq!(set("0.0.0.0:80", "10.0.0.2:80"), Some(Set::Dnat4));
        assert_eq!(set("10.1.1.1:80", "10.0.0.2:80"), Some(Set::Dnat4On));
        assert_eq!(set("[::]:80", "[fd00::2]:80"), Some(Set::Dnat6));
        assert_eq!(set("[fd01::1]:80", "[fd00::2]:80"), Some(Set::Dnat6On));
        assert_eq!(set("127.0.0.1:80", "10.0.0.2:80"), None);
        assert_eq!(set("[::1]:80", "[fd00::2]:80"), None);
        assert_eq!(set("[::]:80", "10.0.0.2:80"), None);
    }

    #[test]
    fn port_entry_is_padded_to_registers() {
        let forward = forward("10.1.1.1:8080", "10.0.0.2:80");
        let (_, element) = port_entry(&ContainerId::random(), &forward).unwrap();
        assert_eq!(element.key, [10, 1, 1, 1, 6, 0, 0, 0, 0x1f, 0x90, 0, 0]);
        assert_eq!(element.data, Some(vec![10, 0, 0, 2, 0, 80, 0, 0]));
    }

    #[test]
    fn internal_network_never_masquerades() {
        let sets = |internal, masquerade| {
            let rules = BridgeRules {
                network: &NetworkId::random(),
                bridge: "skb",
                internal,
                masquerade,
            };
            rules
                .entries()
                .into_iter()
                .map(|(set, _)| set)
                .collect::<Vec<_>>()
        };
        assert_eq!(
            sets(false, true),
            [Set::Bridges, Set::Same, Set::Masquerade]
        );
        assert_eq!(sets(false, false), [Set::Bridges, Set::Same]);
        assert_eq!(sets(true, true), [Set::Bridges, Set::Same, Set::Internal]);
    }
}
