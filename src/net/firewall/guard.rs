//! Watches the firewall, and puts back what others removed.

use std::convert::Infallible;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::sync::Arc;

use netlink_sys::{Socket, SocketAddr};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::task::spawn_blocking;

use super::nft;
use crate::net::error::NetError;
use crate::net::handle::Net;
use crate::net::netlink::{NETLINK_NETFILTER, messages};

/// Changes of `nf_tables` (`NFNLGRP_NFTABLES`).
const GROUP: u32 = 7;

/// Watches changes of the firewall by others (`nft flush ruleset`, a restarted
/// Docker, a reloaded ufw) and puts our table and admissions back at once.
/// Runs until it is dropped; one is enough for a supervisor.
///
/// # Errors
/// The socket that tells of changes fails. A repair that fails is logged, and
/// tried again with the next change.
pub async fn guard(net: Arc<Net>) -> Result<Infallible, NetError> {
    let opened = Arc::clone(&net);
    let failed = || NetError::kernel("watch", "the firewall");
    let socket = spawn_blocking(move || opened.in_bridge_netns(|| watch().map_err(failed())))
        .await
        .map_err(|error| failed()(io::Error::other(error)))??;
    let socket = register(socket).map_err(failed())?;
    // What changed before the socket was open is seen by a first look.
    repair(&net).await;
    loop {
        let concerning = socket
            .async_io(Interest::READABLE, |socket| read(&socket.0))
            .await
            .map_err(failed())?;
        if concerning {
            repair(&net).await;
        }
    }
}

async fn repair(net: &Arc<Net>) {
    let net = Arc::clone(net);
    let outcome = spawn_blocking(move || net.repair()).await;
    if let Ok(Err(error)) = outcome {
        tracing::warn!(%error, "cannot put the firewall right");
    }
}

/// A netlink socket that tokio can wait for.
#[derive(Debug)]
struct Watch(Socket);

impl AsFd for Watch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for Watch {
    fn as_raw_fd(&self) -> i32 {
        self.0.as_raw_fd()
    }
}

#[expect(
    deprecated,
    reason = "its successor is unsafe for types that may change their descriptor; a `Watch` owns one"
)]
fn register(socket: Watch) -> io::Result<AsyncFd<Watch>> {
    AsyncFd::with_interest(socket, Interest::READABLE)
}

fn watch() -> io::Result<Watch> {
    let mut socket = Socket::new(NETLINK_NETFILTER)?;
    socket.bind(&SocketAddr::new(0, 0))?;
    socket.add_membership(GROUP)?;
    socket.set_non_blocking(true)?;
    Ok(Watch(socket))
}

/// Reads one datagram: true where it tells of something removed.
fn read(socket: &Socket) -> io::Result<bool> {
    let mut buffer = Vec::with_capacity(64 * 1024);
    match socket.recv(&mut buffer, 0) {
        Ok(_) => Ok(messages(&buffer).any(|message| nft::REMOVALS.contains(&message.kind))),
        // More changed than the socket could hold.
        Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => Ok(true),
        Err(error) => Err(error),
    }
}
