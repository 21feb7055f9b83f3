//! Published ports on the host's side: bound before anything is started.
//!
//! A taken port is found here, while nothing has been done yet, and its holder
//! is named. The sockets are kept by whoever outlives a supervisor, so that
//! nobody is refused while one is started anew; see [`super::proxy`].

mod holder;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind as bind_socket, sockopt};

use super::spec::{PortSpec, Protocol, PublishedPort};
use crate::state::Layout;

/// Connections that wait while nobody accepts; the kernel lowers it to
/// `net.core.somaxconn`.
const BACKLOG: i32 = 4096;
/// Attempts to find one port that is free in both families.
const ATTEMPTS: u32 = 32;

/// A bound port and its socket: a listening TCP or a bound UDP socket.
#[derive(Debug)]
pub struct Bound {
    /// Address and port as bound.
    pub port: PublishedPort,
    /// Close-on-exec, non-blocking.
    pub socket: OwnedFd,
}

/// Why a port could not be bound.
#[derive(Debug, thiserror::Error)]
pub enum PortError {
    /// Somebody else has it.
    #[error("port {address} is taken{}", holder.as_ref().map(|h| format!(" by {h}")).unwrap_or_default())]
    Taken {
        /// `0.0.0.0:8080/tcp`, for a range `0.0.0.0:8080-8090/tcp`.
        address: String,
        /// `nginx (pid 4711)`, `container shop-web-1`.
        holder: Option<String>,
    },
    /// The address is not one of this host's.
    #[error("cannot publish on {address}: this host has no such address")]
    NoAddress {
        /// `10.1.2.3:8080/tcp`.
        address: String,
    },
    /// Anything else.
    #[error("cannot publish on {address}")]
    Failed {
        /// `0.0.0.0:8080/tcp`.
        address: String,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
}

impl PortError {
    /// What to do about it, where there is something; one line, no period.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Taken { .. } => Some("stop what holds it, or publish another host port"),
            Self::NoAddress { .. } => {
                Some("publish on an address that `ip address` lists, or on none in particular")
            }
            Self::Failed { .. } => None,
        }
    }
}

/// Binds all ports in the calling thread's namespace, or none.
///
/// A port without a host address is bound on `0.0.0.0` and, where the host has
/// IPv6, on `::`, with the same number. Of a range the first is taken that is
/// free in every family.
///
/// # Errors
/// The first port that cannot be bound, with its holder where that can be found.
pub fn bind(layout: &Layout, ports: &[PortSpec]) -> Result<Vec<Bound>, PortError> {
    let mut bound = Vec::new();
    for port in ports {
        bound.extend(bind_port(layout, port)?);
    }
    Ok(bound)
}

/// Binds a port again as it was bound before.
///
/// # Errors
/// Somebody else has it by now.
pub fn bind_again(layout: &Layout, port: &PublishedPort) -> Result<OwnedFd, PortError> {
    let spec = PortSpec {
        host_ip: Some(port.host_ip),
        host_port: port.host_port,
        host_port_end: None,
        container_port: port.container_port,
        protocol: port.protocol,
    };
    let address = SocketAddr::new(port.host_ip, port.host_port);
    let bound = bind_port(layout, &spec)?.into_iter().next();
    bound
        .map(|bound| bound.socket)
        .ok_or_else(|| failure(&spec, address, Errno::ADDRNOTAVAIL))
}

fn bind_port(layout: &Layout, spec: &PortSpec) -> Result<Vec<Bound>, PortError> {
    let addresses = match spec.host_ip {
        Some(address) => vec![address],
        None => vec![
            IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        ],
    };
    let last = spec.host_port_end.unwrap_or(spec.host_port);
    let attempts = if spec.host_port == 0 { ATTEMPTS } else { 1 };
    let mut taken = None;
    for port in spec.host_port..=last.max(spec.host_port) {
        for _ in 0..attempts {
            match bind_families(spec, &addresses, port) {
                Ok(bound) => return Ok(bound),
                Err((address, Errno::ADDRINUSE)) => taken = Some(address),
                Err((address, errno)) => return Err(failure(spec, address, errno)),
            }
        }
    }
    let first = addresses.first().copied();
    let taken = taken.unwrap_or_else(|| {
        SocketAddr::new(first.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)), last)
    });
    let mut address = text(spec, taken);
    if spec.host_port_end.is_some_and(|end| end > spec.host_port) {
        let range = format!("{}-{last}", spec.host_port);
        let ip = bracketed(taken.ip());
        address = format!("{ip}:{range}/{}", spec.protocol.as_str());
    }
    Err(PortError::Taken {
        address,
        holder: holder::find(layout, taken, spec.protocol),
    })
}

/// Binds one port number on every address.
fn bind_families(
    spec: &PortSpec,
    addresses: &[IpAddr],
    port: u16,
) -> Result<Vec<Bound>, (SocketAddr, Errno)> {
    let mut bound: Vec<Bound> = Vec::new();
    for ip in addresses {
        // Where the kernel chose a port for the first family, the second has
        // to take the same.
        let port = bound.first().map_or(port, |first| first.port.host_port);
        let address = SocketAddr::new(*ip, port);
        match open(address, spec.protocol) {
            Ok((socket, host_port)) => bound.push(Bound {
                port: PublishedPort {
                    host_ip: *ip,
                    host_port,
                    container_port: spec.container_port,
                    protocol: spec.protocol,
                },
                socket,
            }),
            // No IPv6 on this host, and none asked for by name.
            Err(Errno::AFNOSUPPORT | Errno::ADDRNOTAVAIL)
                if ip.is_ipv6() && spec.host_ip.is_none() => {}
            Err(errno) => return Err((address, errno)),
        }
    }
    Ok(bound)
}

fn open(address: SocketAddr, protocol: Protocol) -> Result<(OwnedFd, u16), Errno> {
    let family = if address.is_ipv4() {
        AddressFamily::INET
    } else {
        AddressFamily::INET6
    };
    let kind = match protocol {
        Protocol::Tcp => SocketType::STREAM,
        Protocol::Udp => SocketType::DGRAM,
    };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(family, kind, flags, None)?;
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    if protocol == Protocol::Tcp {
        // Connections of an earlier life in TIME_WAIT do not hold the port.
        // For UDP the option would let two listeners share one port.
        sockopt::set_socket_reuseaddr(&socket, true)?;
    }
    bind_socket(&socket, &address)?;
    if protocol == Protocol::Tcp {
        rustix::net::listen(&socket, BACKLOG)?;
    }
    let name = SocketAddr::try_from(rustix::net::getsockname(&socket)?)?;
    Ok((socket, name.port()))
}

fn failure(spec: &PortSpec, address: SocketAddr, errno: Errno) -> PortError {
    let address = text(spec, address);
    if errno == Errno::ADDRNOTAVAIL {
        return PortError::NoAddress { address };
    }
    PortError::Failed {
        address,
        source: errno.into(),
    }
}

fn text(spec: &PortSpec, address: SocketAddr) -> String {
    format!("{address}/{}", spec.protocol.as_str())
}

fn bracketed(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => format!("[{v6}]"),
    }
}
