//! Links, addresses and routes: rtnetlink(7) requests as values.

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Instant;

use netlink_packet_core::{Emitable, Parseable};
use netlink_packet_route::AddressFamily;
use netlink_packet_route::address::{
    AddressAttribute, AddressHeaderFlags, AddressMessage, AddressScope,
};
use netlink_packet_route::link::{
    InfoBridgePort, InfoData, InfoKind, InfoPortData, InfoPortKind, InfoVeth, LinkAttribute,
    LinkFlags, LinkInfo, LinkMessage,
};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType,
};

use super::{Connection, NETLINK_ROUTE, NLM_F_CREATE, NLM_F_EXCL, Request};
use crate::net::cidr::Cidr;

const RTM_NEWLINK: u16 = 16;
const RTM_DELLINK: u16 = 17;
const RTM_GETLINK: u16 = 18;
const RTM_NEWADDR: u16 = 20;
const RTM_GETADDR: u16 = 22;
const RTM_NEWROUTE: u16 = 24;
const RTM_GETROUTE: u16 = 26;

/// Length of `struct ifinfomsg`; the index stands at byte 4.
const LINK_HEADER: usize = 16;
const IFLA_IFNAME: u16 = 3;

/// A link as the kernel lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::net) struct Link {
    /// Its index in its namespace.
    pub(in crate::net) index: u32,
    /// Its name.
    pub(in crate::net) name: String,
    /// `ifalias`, where set.
    pub(in crate::net) alias: Option<String>,
    /// Whether a packet has come in or gone out by it. True where the kernel does
    /// not say.
    pub(in crate::net) was_used: bool,
}

/// A pair of veth links to be made.
#[derive(Debug, Clone, Copy)]
pub(in crate::net) struct VethPair<'a> {
    /// Name of the end that stays.
    pub(in crate::net) name: &'a str,
    /// Index of the bridge that it joins.
    pub(in crate::net) master: u32,
    /// Name of the end that goes.
    pub(in crate::net) peer_name: &'a str,
    /// Where it goes.
    pub(in crate::net) peer_namespace: BorrowedFd<'a>,
    /// Its hardware address.
    pub(in crate::net) peer_mac: [u8; 6],
    /// Of both ends.
    pub(in crate::net) mtu: Option<u32>,
}

/// A veth pair uses one queue in each direction unless it is told otherwise. The
/// kernel makes one for each processor all the same where no number is given, and
/// waits for a grace period to take the others out of use.
const ONE_QUEUE: [LinkAttribute; 2] =
    [LinkAttribute::NumTxQueues(1), LinkAttribute::NumRxQueues(1)];

fn request(kind: u16, flags: u16, message: &impl Emitable) -> Request {
    let mut body = vec![0; message.buffer_len()];
    message.emit(&mut body);
    Request { kind, flags, body }
}

/// Makes a bridge that is down and has a hardware address of its own, which
/// does not change with its ports.
pub(in crate::net) fn new_bridge(name: &str, mac: [u8; 6], mtu: Option<u32>) -> Request {
    let mut message = LinkMessage::default();
    message.attributes.extend([
        LinkAttribute::IfName(name.to_owned()),
        LinkAttribute::Address(mac.to_vec()),
        LinkAttribute::LinkInfo(vec![LinkInfo::Kind(InfoKind::Bridge)]),
    ]);
    message.attributes.extend(mtu.map(LinkAttribute::Mtu));
    request(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &message)
}

/// Makes a veth pair: one end up and in its bridge, the other in another
/// namespace, in one message.
pub(in crate::net) fn new_veth(pair: &VethPair<'_>) -> Request {
    let mut peer = LinkMessage::default();
    peer.attributes.extend([
        LinkAttribute::IfName(pair.peer_name.to_owned()),
        LinkAttribute::Address(pair.peer_mac.to_vec()),
        LinkAttribute::NetNsFd(pair.peer_namespace.as_raw_fd()),
    ]);
    peer.attributes.extend(ONE_QUEUE);
    peer.attributes.extend(pair.mtu.map(LinkAttribute::Mtu));
    let mut message = LinkMessage::default();
    message.header.flags = LinkFlags::Up;
    message.header.change_mask = LinkFlags::Up;
    message.attributes.extend([
        LinkAttribute::IfName(pair.name.to_owned()),
        LinkAttribute::Controller(pair.master),
        LinkAttribute::LinkInfo(vec![
            LinkInfo::Kind(InfoKind::Veth),
            LinkInfo::Data(InfoData::Veth(InfoVeth::Peer(peer))),
        ]),
    ]);
    message.attributes.extend(ONE_QUEUE);
    message.attributes.extend(pair.mtu.map(LinkAttribute::Mtu));
    request(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &message)
}

/// Makes a veth pair with both ends here.
pub(in crate::net) fn new_plain_veth(name: &str, peer_name: &str) -> Request {
    let mut peer = LinkMessage::default();
    peer.attributes
        .push(LinkAttribute::IfName(peer_name.to_owned()));
    let mut message = LinkMessage::default();
    message.attributes.extend([
        LinkAttribute::IfName(name.to_owned()),
        LinkAttribute::LinkInfo(vec![
            LinkInfo::Kind(InfoKind::Veth),
            LinkInfo::Data(InfoData::Veth(InfoVeth::Peer(peer))),
        ]),
    ]);
    request(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &message)
}

/// Gives a link its alias, by name.
pub(in crate::net) fn set_alias(name: &str, alias: &str) -> Request {
    let mut message = LinkMessage::default();
    message.attributes.extend([
        LinkAttribute::IfName(name.to_owned()),
        LinkAttribute::IfAlias(alias.to_owned()),
    ]);
    request(RTM_NEWLINK, 0, &message)
}

/// Puts a link into a group, by name, so that a whole group can be removed at once.
pub(in crate::net) fn set_group(name: &str, group: u32) -> Request {
    let mut message = LinkMessage::default();
    message.attributes.extend([
        LinkAttribute::IfName(name.to_owned()),
        LinkAttribute::Group(group),
    ]);
    request(RTM_NEWLINK, 0, &message)
}

/// Puts a link into a bridge, by name.
pub(in crate::net) fn set_master(name: &str, bridge: u32) -> Request {
    let mut message = LinkMessage::default();
    message.attributes.extend([
        LinkAttribute::IfName(name.to_owned()),
        LinkAttribute::Controller(bridge),
    ]);
    request(RTM_NEWLINK, 0, &message)
}

/// How a bridge treats one of its ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::net) struct PortOptions {
    /// A frame may go out by the port that it came in by.
    pub(in crate::net) hairpin: bool,
    /// No frame passes between this and other isolated ports (Linux 4.18).
    pub(in crate::net) isolated: bool,
}

/// Sets how its bridge treats a port, by name.
pub(in crate::net) fn set_port(name: &str, options: PortOptions) -> Request {
    let mut message = LinkMessage::default();
    message.attributes.extend([
        LinkAttribute::IfName(name.to_owned()),
        LinkAttribute::LinkInfo(vec![
            LinkInfo::PortKind(InfoPortKind::Bridge),
            LinkInfo::PortData(InfoPortData::BridgePort(vec![
                InfoBridgePort::HairpinMode(options.hairpin),
                InfoBridgePort::Isolated(options.isolated),
            ])),
        ]),
    ]);
    request(RTM_NEWLINK, 0, &message)
}

/// Sets a link up, by name.
pub(in crate::net) fn set_up(name: &str) -> Request {
    let mut message = LinkMessage::default();
    message.header.flags = LinkFlags::Up;
    message.header.change_mask = LinkFlags::Up;
    message
        .attributes
        .push(LinkAttribute::IfName(name.to_owned()));
    request(RTM_NEWLINK, 0, &message)
}

/// Removes a link, by name.
pub(in crate::net) fn delete_link(name: &str) -> Request {
    let mut message = LinkMessage::default();
    message
        .attributes
        .push(LinkAttribute::IfName(name.to_owned()));
    request(RTM_DELLINK, 0, &message)
}

/// Removes every link of a group: one wait for the kernel's readers in all,
/// instead of one for each link.
pub(in crate::net) fn delete_group(group: u32) -> Request {
    let mut message = LinkMessage::default();
    message.attributes.push(LinkAttribute::Group(group));
    request(RTM_DELLINK, 0, &message)
}

/// Gives a link an address. IPv6 addresses are usable at once: they were
/// given out by us, so nobody needs to be asked for duplicates.
pub(in crate::net) fn add_address(link: u32, address: IpAddr, prefix: u8) -> Request {
    let mut message = AddressMessage::default();
    message.header.family = family(address.is_ipv4());
    message.header.prefix_len = prefix;
    message.header.index = link;
    message.header.scope = match address {
        IpAddr::V4(v4) if v4.is_link_local() => AddressScope::Link,
        IpAddr::V6(v6) if v6.is_unicast_link_local() => AddressScope::Link,
        IpAddr::V4(_) | IpAddr::V6(_) => AddressScope::Universe,
    };
    if address.is_ipv6() {
        message.header.flags = AddressHeaderFlags::Nodad;
    }
    message.attributes.extend([
        AddressAttribute::Local(address),
        AddressAttribute::Address(address),
    ]);
    if let (IpAddr::V4(_), Some(IpAddr::V4(last))) =
        (address, Cidr::of(address, prefix).map(|cidr| cidr.last()))
        && prefix < 31
    {
        message.attributes.push(AddressAttribute::Broadcast(last));
    }
    request(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, &message)
}

/// Sends what has no better route to this gateway.
pub(in crate::net) fn add_default_route(link: u32, gateway: IpAddr) -> Request {
    let mut message = RouteMessage::default();
    message.header.address_family = family(gateway.is_ipv4());
    message.header.table = RouteHeader::RT_TABLE_MAIN;
    message.header.protocol = RouteProtocol::Boot;
    message.header.scope = RouteScope::Universe;
    message.header.kind = RouteType::Unicast;
    message.attributes.extend([
        RouteAttribute::Gateway(match gateway {
            IpAddr::V4(v4) => RouteAddress::Inet(v4),
            IpAddr::V6(v6) => RouteAddress::Inet6(v6),
        }),
        RouteAttribute::Oif(link),
    ]);
    request(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, &message)
}

/// Waits until links are in use.
///
/// A link that is up carries nothing, and its bridge passes nothing to it, before
/// the kernel has taken note of its peer, which happens later on a thread of the
/// kernel's own. What is sent before is lost, and tried again only after a second.
#[derive(Debug)]
pub(in crate::net) struct LinkWatch {
    connection: Connection,
}

impl LinkWatch {
    /// Begins to listen; before the links are made, so that nothing is missed.
    pub(in crate::net) fn begin() -> io::Result<Self> {
        /// `RTNLGRP_LINK`.
        const CHANGES_OF_LINKS: u32 = 1;
        let connection = Connection::subscribe(NETLINK_ROUTE, CHANGES_OF_LINKS)?;
        Ok(Self { connection })
    }

    /// Waits for the links of these names; false where they are not all in use
    /// at the deadline.
    pub(in crate::net) fn wait(
        mut self,
        mut names: BTreeSet<String>,
        deadline: Instant,
    ) -> io::Result<bool> {
        self.connection.watch(deadline, |message| {
            if message.kind == RTM_NEWLINK
                && let Some(name) = name_in_use(message.body)
            {
                names.remove(&name);
            }
            names.is_empty()
        })
    }
}

/// The name of a link that is in use (RFC 2863: operationally up).
fn name_in_use(body: &[u8]) -> Option<String> {
    const IFLA_OPERSTATE: u16 = 16;
    const UP: u8 = 6;
    let attributes = body.get(LINK_HEADER..)?;
    let state = super::attributes::find(attributes, IFLA_OPERSTATE)?;
    let name = super::attributes::find(attributes, IFLA_IFNAME)?;
    (state == [UP]).then(|| super::attributes::as_text(name))
}

/// Finds a link by its name.
pub(in crate::net) fn find_link(
    connection: &mut Connection,
    name: &str,
) -> io::Result<Option<Link>> {
    let mut message = LinkMessage::default();
    message
        .attributes
        .push(LinkAttribute::IfName(name.to_owned()));
    let answer = connection.query(&request(RTM_GETLINK, 0, &message))?;
    answer.as_deref().map(parse_link).transpose()
}

/// Lists all links.
pub(in crate::net) fn links(connection: &mut Connection) -> io::Result<Vec<Link>> {
    let answers = connection.dump(&request(RTM_GETLINK, 0, &LinkMessage::default()))?;
    answers.iter().map(|(_, body)| parse_link(body)).collect()
}

/// Lists the subnets of all addresses on the host.
pub(in crate::net) fn address_subnets(connection: &mut Connection) -> io::Result<Vec<Cidr>> {
    let answers = connection.dump(&request(RTM_GETADDR, 0, &AddressMessage::default()))?;
    let mut found = Vec::new();
    for (_, body) in &answers {
        let message = AddressMessage::parse(body.as_slice()).map_err(io::Error::other)?;
        let prefix = message.header.prefix_len;
        found.extend(message.attributes.iter().filter_map(|attribute| {
            if let AddressAttribute::Address(address) = attribute {
                Cidr::of(*address, prefix)
            } else {
                None
            }
        }));
    }
    Ok(found)
}

/// Lists the destinations of all routes but default routes.
pub(in crate::net) fn route_subnets(connection: &mut Connection) -> io::Result<Vec<Cidr>> {
    let answers = connection.dump(&request(RTM_GETROUTE, 0, &RouteMessage::default()))?;
    let mut found = Vec::new();
    for (_, body) in &answers {
        let message = RouteMessage::parse(body.as_slice()).map_err(io::Error::other)?;
        // Local, broadcast and multicast routes follow from addresses.
        if message.header.kind != RouteType::Unicast {
            continue;
        }
        let prefix = message.header.destination_prefix_length;
        let destination = message.attributes.iter().find_map(|attribute| {
            if let RouteAttribute::Destination(RouteAddress::Inet(v4)) = attribute {
                Some(IpAddr::V4(*v4))
            } else if let RouteAttribute::Destination(RouteAddress::Inet6(v6)) = attribute {
                Some(IpAddr::V6(*v6))
            } else {
                None
            }
        });
        found.extend(destination.and_then(|address| Cidr::of(address, prefix)));
    }
    Ok(found)
}

fn family(v4: bool) -> AddressFamily {
    if v4 {
        AddressFamily::Inet
    } else {
        AddressFamily::Inet6
    }
}

/// Reads little alone: the crate's parser would go through all statistics and
/// settings of each link too.
fn parse_link(body: &[u8]) -> io::Result<Link> {
    const IFLA_IFALIAS: u16 = 20;
    /// `struct rtnl_link_stats64`: it begins with the packets received, then sent.
    const IFLA_STATS64: u16 = 23;

    let short = || io::Error::new(io::ErrorKind::InvalidData, "a link without a name");
    let attributes = body.get(LINK_HEADER..).ok_or_else(short)?;
    Ok(Link {
        index: super::attributes::native_u32(body, 4).ok_or_else(short)?,
        name: super::attributes::find(attributes, IFLA_IFNAME)
            .map(super::attributes::as_text)
            .ok_or_else(short)?,
        alias: super::attributes::find(attributes, IFLA_IFALIAS).map(super::attributes::as_text),
        was_used: super::attributes::find(attributes, IFLA_STATS64)
            .and_then(|counters| counters.first_chunk::<16>())
            .is_none_or(|packets| packets.iter().any(|byte| *byte != 0)),
    })
}
