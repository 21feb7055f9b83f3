//! Tracked connections of containers that are gone.
//!
//! A UDP client that goes on sending would otherwise keep its old entry alive
//! and never reach the container that took over the port or the address.

use std::collections::HashSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::nft::Family;
use crate::net::netlink::attributes::{self, Writer};
use crate::net::netlink::{Connection, Request};
use crate::net::sysctl;

const SUBSYSTEM: u16 = 1 << 8;
const GET: u16 = 1;
const DELETE: u16 = 2;
const FAMILY_HEADER: usize = 4;
const TUPLE_ORIGINAL: u16 = 1;
const TUPLE_REPLY: u16 = 2;
const ID: u16 = 12;
const ZONE: u16 = 18;

/// Deletes every entry that these addresses have a part in, as the kernel
/// lists them now.
pub(in crate::net) fn forget(connection: &mut Connection, addresses: &[IpAddr]) -> io::Result<()> {
    // A walk through the kernel's table takes milliseconds, however few there are.
    if matches!(sysctl::read("netfilter/nf_conntrack_count"), Ok(Some(count)) if count == "0") {
        return Ok(());
    }
    for family in [Family::Ip, Family::Ip6] {
        let wanted: HashSet<IpAddr> = addresses
            .iter()
            .copied()
            .filter(|address| address.is_ipv4() == (family == Family::Ip))
            .collect();
        if wanted.is_empty() {
            continue;
        }
        let header = [family.number(), 0, 0, 0];
        let list = Request {
            kind: SUBSYSTEM | GET,
            flags: 0,
            body: header.to_vec(),
        };
        let entries = match connection.dump(&list) {
            Ok(entries) => entries,
            // Nothing is tracked where the kernel cannot.
            Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => return Ok(()),
            Err(error) => return Err(error),
        };
        let deletions: Vec<Request> = entries
            .iter()
            .filter_map(|(_, body)| deletion(&header, body.get(FAMILY_HEADER..)?, &wanted))
            .collect();
        match connection.run(&deletions) {
            // It ended by itself meanwhile.
            Err(error) if error.raw_os_error() != Some(libc::ENOENT) => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// The request that deletes an entry, where it is one of the wanted addresses'.
fn deletion(header: &[u8], entry: &[u8], wanted: &HashSet<IpAddr>) -> Option<Request> {
    let original = attributes::find(entry, TUPLE_ORIGINAL)?;
    let reply = attributes::find(entry, TUPLE_REPLY)?;
    let concerned = [original, reply]
        .into_iter()
        .flat_map(tuple_addresses)
        .any(|address| wanted.contains(&address));
    if !concerned {
        return None;
    }
    let mut message = Writer::after(header).bytes(TUPLE_ORIGINAL | 0x8000, original);
    for kind in [ID, ZONE] {
        if let Some(value) = attributes::find(entry, kind) {
            message = message.bytes(kind, value);
        }
    }
    Some(Request {
        kind: SUBSYSTEM | DELETE,
        flags: 0,
        body: message.finish(),
    })
}

/// Source and destination of a tuple.
fn tuple_addresses(tuple: &[u8]) -> impl Iterator<Item = IpAddr> {
    const TUPLE_IP: u16 = 1;
    let addresses = attributes::find(tuple, TUPLE_IP).unwrap_or_default();
    attributes::read(addresses).filter_map(|(_, value)| match value.len() {
        4 => <[u8; 4]>::try_from(value)
            .ok()
            .map(|v| Ipv4Addr::from(v).into()),
        16 => <[u8; 16]>::try_from(value)
            .ok()
            .map(|v| Ipv6Addr::from(v).into()),
        _ => None,
    })
}
