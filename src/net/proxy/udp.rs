//! UDP: a socket towards the container for each client.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, sendmsg, setsockopt,
    sockopt,
};
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

/// The longest datagram.
const DATAGRAM: usize = 65535;
/// A client is forgotten after so long without a datagram either way: that of
/// Docker's proxy.
const IDLE: Duration = Duration::from_secs(90);
/// Clients at once; more are not served.
const CLIENTS: usize = 4096;

/// Whom a datagram came from, and which address of ours it was sent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Peer {
    client: SocketAddr,
    local: Option<IpAddr>,
}

#[derive(Debug)]
struct Session {
    server: UdpSocket,
    started: Instant,
    /// Milliseconds after `started` of the client's last datagram.
    last: AtomicU64,
}

/// Passes datagrams to `target`, one socket a client, and its answers back,
/// from the address that the client had sent to. Runs until it is dropped.
///
/// # Errors
/// The socket fails for good.
pub async fn serve_udp(socket: OwnedFd, target: SocketAddr) -> io::Result<Infallible> {
    let socket = std::net::UdpSocket::from(socket);
    socket.set_nonblocking(true)?;
    if socket.local_addr()?.is_ipv4() {
        setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?;
    } else {
        setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true)?;
    }
    let socket = Arc::new(UdpSocket::from_std(socket)?);
    let mut sessions: HashMap<Peer, Arc<Session>> = HashMap::new();
    let mut tasks = JoinSet::new();
    let mut buffer = vec![0; DATAGRAM];
    loop {
        tokio::select! {
            received = socket.async_io(Interest::READABLE, || receive(&socket, &mut buffer)) => {
                let Some((length, peer)) = received? else { continue };
                let session = match sessions.get(&peer) {
                    Some(session) => Arc::clone(session),
                    None if sessions.len() >= CLIENTS => continue,
                    None => match Session::open(target).await {
                        Ok(session) => {
                            let session = Arc::new(session);
                            sessions.insert(peer, Arc::clone(&session));
                            tasks.spawn(answers(Arc::clone(&socket), Arc::clone(&session), peer));
                            session
                        }
                        Err(error) => {
                            tracing::warn!(%error, %target, "cannot serve a UDP client");
                            continue;
                        }
                    },
                };
                session.touch();
                // A datagram may be lost on any way, and so on this one.
                session.server.send(buffer.get(..length).unwrap_or_default()).await.ok();
            }
            Some(ended) = tasks.join_next(), if !tasks.is_empty() => {
                if let Ok(peer) = ended {
                    sessions.remove(&peer);
                }
            }
        }
    }
}

impl Session {
    async fn open(target: SocketAddr) -> io::Result<Self> {
        let any: IpAddr = if target.is_ipv4() {
            Ipv4Addr::UNSPECIFIED.into()
        } else {
            Ipv6Addr::UNSPECIFIED.into()
        };
        let server = UdpSocket::bind((any, 0)).await?;
        server.connect(target).await?;
        Ok(Self {
            server,
            started: Instant::now(),
            last: AtomicU64::new(0),
        })
    }

    fn touch(&self) {
        let now = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last.store(now, Ordering::Relaxed);
    }

    /// Time since the client's last datagram.
    fn quiet(&self) -> Duration {
        let last = Duration::from_millis(self.last.load(Ordering::Relaxed));
        self.started.elapsed().saturating_sub(last)
    }
}

/// Passes answers back until both sides have been quiet for long.
async fn answers(socket: Arc<UdpSocket>, session: Arc<Session>, peer: Peer) -> Peer {
    let mut buffer = vec![0; DATAGRAM];
    loop {
        match timeout(IDLE, session.server.recv(&mut buffer)).await {
            Ok(Ok(length)) => {
                let answer = buffer.get(..length).unwrap_or_default();
                socket
                    .async_io(Interest::WRITABLE, || send(&socket, answer, peer))
                    .await
                    .ok();
            }
            Err(_) if session.quiet() >= IDLE => return peer,
            // Only the client has been heard of, or nobody listened to its last
            // datagram (ICMP) and may yet do so.
            Ok(Err(_)) | Err(_) => {}
        }
    }
}

/// Reads a datagram, its sender, and the address that it was sent to.
fn receive(socket: &UdpSocket, buffer: &mut [u8]) -> io::Result<Option<(usize, Peer)>> {
    let mut control = nix::cmsg_space!(libc::in_pktinfo, libc::in6_pktinfo);
    let mut slices = [IoSliceMut::new(buffer)];
    let message = recvmsg::<SockaddrStorage>(
        socket.as_raw_fd(),
        &mut slices,
        Some(&mut control),
        MsgFlags::MSG_DONTWAIT,
    )?;
    let local = message.cmsgs()?.find_map(|control| {
        if let ControlMessageOwned::Ipv4PacketInfo(info) = control {
            Some(Ipv4Addr::from(info.ipi_addr.s_addr.to_ne_bytes()).into())
        } else if let ControlMessageOwned::Ipv6PacketInfo(info) = control {
            Some(Ipv6Addr::from(info.ipi6_addr.s6_addr).into())
        } else {
            None
        }
    });
    let client = message.address.as_ref().and_then(socket_address);
    Ok(client.map(|client| (message.bytes, Peer { client, local })))
}

/// Sends a datagram from the address that the client knows.
fn send(socket: &UdpSocket, datagram: &[u8], peer: Peer) -> io::Result<usize> {
    let v4;
    let v6;
    let control = match peer.local {
        Some(IpAddr::V4(local)) => {
            v4 = libc::in_pktinfo {
                ipi_ifindex: 0,
                ipi_spec_dst: libc::in_addr {
                    s_addr: u32::from_ne_bytes(local.octets()),
                },
                ipi_addr: libc::in_addr { s_addr: 0 },
            };
            Some(ControlMessage::Ipv4PacketInfo(&v4))
        }
        Some(IpAddr::V6(local)) => {
            v6 = libc::in6_pktinfo {
                ipi6_addr: libc::in6_addr {
                    s6_addr: local.octets(),
                },
                ipi6_ifindex: 0,
            };
            Some(ControlMessage::Ipv6PacketInfo(&v6))
        }
        None => None,
    };
    Ok(sendmsg(
        socket.as_raw_fd(),
        &[IoSlice::new(datagram)],
        control.as_slice(),
        MsgFlags::MSG_DONTWAIT,
        Some(&SockaddrStorage::from(peer.client)),
    )?)
}

fn socket_address(address: &SockaddrStorage) -> Option<SocketAddr> {
    if let Some(v4) = address.as_sockaddr_in() {
        return Some(SocketAddr::new(v4.ip().into(), v4.port()));
    }
    let v6 = address.as_sockaddr_in6()?;
    Some(SocketAddr::V6((*v6).into()))
}
