//! A resolver's sockets in a container's namespace.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::fd::{BorrowedFd, OwnedFd};

use crate::net::error::NetError;
use crate::net::firewall::nft::{self, Family, Hook, Meta, Rule, Table};
use crate::net::netlink::{Connection, NETLINK_NETFILTER};
use crate::net::{namespace, probe};

/// The address that containers ask.
const RESOLVER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 11);
const PORT: u16 = 53;
/// Priority of destination NAT.
const DSTNAT: i32 = -100;

/// The two sockets of a container's resolver, in the container's namespace.
#[derive(Debug)]
pub struct DnsSockets {
    /// UDP, bound on a high port of 127.0.0.11.
    pub udp: OwnedFd,
    /// TCP, listening on a high port of 127.0.0.11.
    pub tcp: OwnedFd,
}

/// Makes the sockets in a container's namespace, and the rules there that lead
/// 127.0.0.11:53 to them; both are close-on-exec and non-blocking.
///
/// # Errors
/// The kernel refuses.
pub fn sockets_in(netns: BorrowedFd<'_>) -> Result<DnsSockets, NetError> {
    namespace::within(netns, make).map_err(|source: io::Error| match source.raw_os_error() {
        Some(libc::EOPNOTSUPP | libc::EPROTONOSUPPORT | libc::ENOENT) => NetError::Missing {
            feature: probe::NF_TABLES,
            remedy: probe::NF_TABLES_REMEDY,
        },
        _ => NetError::Kernel {
            action: "make the resolver's sockets in a container's",
            object: "network namespace".to_owned(),
            source,
        },
    })
}

fn make() -> io::Result<DnsSockets> {
    let any = SocketAddr::from((RESOLVER, 0));
    let udp = UdpSocket::bind(any)?;
    let tcp = TcpListener::bind(any)?;
    udp.set_nonblocking(true)?;
    tcp.set_nonblocking(true)?;
    redirect(udp.local_addr()?.port(), tcp.local_addr()?.port())?;
    Ok(DnsSockets {
        udp: udp.into(),
        tcp: tcp.into(),
    })
}

/// A supervisor that lost its sockets makes new ones, and the rules anew.
fn redirect(udp: u16, tcp: u16) -> io::Result<()> {
    let table = Table {
        family: Family::Ip,
        name: "skiff-dns".to_owned(),
    };
    let mut requests = vec![
        table.create_new(),
        table.base_chain("output", "nat", Hook::Output, DSTNAT),
    ];
    let protocols = [(libc::IPPROTO_UDP, udp), (libc::IPPROTO_TCP, tcp)];
    requests.extend(protocols.into_iter().map(|(protocol, port)| {
        let protocol = u8::try_from(protocol).unwrap_or_default();
        let rule = Rule::default()
            .load_network(16, 4, 1)
            .equals(&RESOLVER.octets())
            .load_meta(Meta::TransportProtocol, 1)
            .equals(&[protocol])
            .load_port(1)
            .equals(&PORT.to_be_bytes())
            .constant(&RESOLVER.octets(), 1)
            .constant(&port.to_be_bytes(), 9)
            .destination_nat(Family::Ip, 9);
        table.append_rule("output", rule)
    }));
    let mut connection = Connection::open(NETLINK_NETFILTER)?;
    match nft::transact(&mut connection, &requests) {
        Err(error) if error.raw_os_error() == Some(libc::EEXIST) => {}
        other => return other,
    }
    // Not done at once: after a removal, closing the socket waits for readers
    // of the kernel's tables, for ten milliseconds and more.
    requests.insert(0, table.delete());
    nft::transact(&mut connection, &requests)
}
