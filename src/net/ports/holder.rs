//! Who holds a taken port: from socket tables and descriptors in /proc.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use fs_err as fs;

use crate::net::records::Records;
use crate::net::spec::Protocol;
use crate::state::Layout;

/// State of a listening TCP socket, and of a UDP socket that is bound.
const TCP_LISTEN: &str = "0A";
const UDP_BOUND: &str = "07";

/// Names the holder of an address: one of our containers, or a process.
///
/// Best effort: what cannot be read is as if it were not there, and a process
/// that this one may not look into stays unnamed.
pub(super) fn find(layout: &Layout, wanted: SocketAddr, protocol: Protocol) -> Option<String> {
    container(layout, wanted, protocol).or_else(|| process(wanted, protocol))
}

fn container(layout: &Layout, wanted: SocketAddr, protocol: Protocol) -> Option<String> {
    let published = Records::new(layout).all_published().ok()?;
    published
        .into_iter()
        .find(|published| {
            published.ports.iter().any(|forward| {
                let port = &forward.port;
                port.protocol == protocol
                    && collide(SocketAddr::new(port.host_ip, port.host_port), wanted)
            })
        })
        .map(|published| format!("container `{}`", published.container_name))
}

fn process(wanted: SocketAddr, protocol: Protocol) -> Option<String> {
    let (tables, state) = match protocol {
        Protocol::Tcp => (["tcp", "tcp6"], TCP_LISTEN),
        Protocol::Udp => (["udp", "udp6"], UDP_BOUND),
    };
    let inode = tables.iter().find_map(|table| {
        let text = fs::read_to_string(Path::new("/proc/thread-self/net").join(table)).ok()?;
        inode_in(&text, state, wanted)
    })?;
    let link = format!("socket:[{inode}]");
    let pids = fs::read_dir("/proc").ok()?.filter_map(|entry| {
        let name = entry.ok()?.file_name();
        name.to_str()?.parse::<u32>().ok()
    });
    let mut holders: Vec<u32> = pids.filter(|pid| has_descriptor(*pid, &link)).collect();
    // The parent of a family of workers is the one to stop.
    holders.sort_unstable();
    let pid = *holders.first()?;
    let comm = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    Some(format!("{} (pid {pid})", comm.trim()))
}

fn has_descriptor(pid: u32, link: &str) -> bool {
    let Ok(descriptors) = fs::read_dir(format!("/proc/{pid}/fd")) else {
        return false;
    };
    descriptors
        .flatten()
        .any(|entry| fs::read_link(entry.path()).is_ok_and(|target| target.as_os_str() == link))
}

/// The inode of the socket that is in the way, from a table of /proc/net.
fn inode_in(table: &str, state: &str, wanted: SocketAddr) -> Option<u64> {
    table.lines().skip(1).find_map(|line| {
        let mut words = line.split_whitespace();
        let local = parse_address(words.nth(1)?)?;
        if words.nth(1)? != state || !collide(local, wanted) {
            return None;
        }
        words.nth(5)?.parse().ok()
    })
}

/// True where a socket on one address keeps another from the other.
fn collide(a: SocketAddr, b: SocketAddr) -> bool {
    // A socket on `::` may hold IPv4 too; the tables do not tell.
    let any = |ip: IpAddr| ip.is_unspecified();
    a.port() == b.port()
        && (a.ip() == b.ip()
            || (a.is_ipv4() == b.is_ipv4() && (any(a.ip()) || any(b.ip())))
            || (a.is_ipv6() && any(a.ip())))
}

/// `0100007F:1F90`: the address in words of the machine's byte order, the port
/// in hexadecimal.
fn parse_address(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let mut octets = Vec::new();
    for start in (0..address.len()).step_by(8) {
        let word = u32::from_str_radix(address.get(start..start + 8)?, 16).ok()?;
        octets.extend(word.to_ne_bytes());
    }
    let ip = if let Ok(v4) = <[u8; 4]>::try_from(octets.as_slice()) {
        IpAddr::V4(Ipv4Addr::from(v4))
    } else {
        let v6 = Ipv6Addr::from(<[u8; 16]>::try_from(octets.as_slice()).ok()?);
        v6.to_ipv4_mapped().map_or(IpAddr::V6(v6), IpAddr::V4)
    };
    Some(SocketAddr::new(ip, port))
}

#[cfg(test)]
#[cfg(target_endian = "little")]
mod tests {
    use super::*;

    const TABLE: &str = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4321 1
   1: 00000000:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 777 1
   2: 0100007F:1F91 0100007F:1F90 01 00000000:00000000 00:00000000 00000000     0        0 999 1
";

    #[test]
    fn inode_of_the_socket_in_the_way() {
        let table = [
            ("127.0.0.1:8080", Some(4321)),
            ("0.0.0.0:8080", Some(4321)),
            ("10.0.0.1:8080", None),
            ("10.0.0.1:80", Some(777)),
            ("[::]:80", None),
            ("127.0.0.1:8081", None),
        ];
        for (wanted, expected) in table {
            let found = inode_in(TABLE, TCP_LISTEN, wanted.parse().unwrap());
            assert_eq!(found, expected, "{wanted}");
        }
    }

    #[test]
    fn addresses_of_both_families_are_understood() {
        let table = [
            ("0100007F:1F90", "127.0.0.1:8080"),
            ("00000000000000000000000001000000:0050", "[::1]:80"),
            ("0000000000000000FFFF00000100007F:0050", "127.0.0.1:80"),
        ];
        for (text, expected) in table {
            assert_eq!(
                parse_address(text),
                Some(expected.parse().unwrap()),
                "{text}"
            );
        }
        assert_eq!(parse_address("xyz:1"), None);
    }
}
