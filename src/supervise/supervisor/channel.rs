//! The packets of [`crate::supervise::packet`], awaited.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use serde::Serialize;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::supervise::packet::{self, Packet};
use crate::supervise::ready::watched;

/// One end of a `SOCK_SEQPACKET` pair.
#[derive(Debug)]
pub(super) struct Channel {
    socket: AsyncFd<OwnedFd>,
}

impl Channel {
    pub(super) fn new(socket: OwnedFd) -> io::Result<Self> {
        let interest = Interest::READABLE.add(Interest::WRITABLE);
        Ok(Self {
            socket: watched(socket, interest)?,
        })
    }

    /// Sends a value and descriptors, which are closed here afterwards.
    pub(super) async fn send<T: Serialize>(&self, value: &T, fds: Vec<OwnedFd>) -> io::Result<()> {
        let bytes = packet::encode(value)?;
        let send = |socket: &OwnedFd| {
            let fds: Vec<_> = fds.iter().map(AsFd::as_fd).collect();
            packet::send_bytes(socket, &bytes, &fds)
        };
        self.socket.async_io(Interest::WRITABLE, send).await
    }

    /// Receives a packet; `None` when the other end is gone.
    pub(super) async fn receive(&self) -> io::Result<Option<Packet>> {
        self.socket
            .async_io(Interest::READABLE, |socket| packet::receive(socket))
            .await
    }
}
