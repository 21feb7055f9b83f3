//! Messages with descriptors over a `SOCK_SEQPACKET` pair (unix(7)).
//!
//! One packet is one JSON value and up to [`FD_LIMIT`] descriptors. Nothing
//! here waits: both ends use `MSG_DONTWAIT`.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags,
    SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Descriptors in one packet; the kernel takes 253 (`SCM_MAX_FD`).
pub(crate) const FD_LIMIT: usize = 250;
/// Bytes in one packet.
const PACKET_LIMIT: usize = 64 * 1024;

/// One received packet.
#[derive(Debug)]
pub(crate) struct Packet {
    bytes: Vec<u8>,
    /// Its descriptors, close-on-exec.
    pub(crate) fds: Vec<OwnedFd>,
}

impl Packet {
    /// Its JSON value.
    pub(crate) fn parse<T: DeserializeOwned>(&self) -> io::Result<T> {
        serde_json::from_slice(&self.bytes).map_err(Into::into)
    }
}

/// Makes a connected pair, close-on-exec.
pub(crate) fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(rustix::net::socketpair(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    )?)
}

/// Encodes a value for [`send_bytes`].
pub(crate) fn encode<T: Serialize>(value: &T) -> io::Result<Vec<u8>> {
    let bytes = serde_json::to_vec(value)?;
    if bytes.len() > PACKET_LIMIT {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!(
                "a packet of {} bytes is over the limit of {PACKET_LIMIT}",
                bytes.len()
            ),
        ));
    }
    Ok(bytes)
}

/// Sends an encoded packet; `WouldBlock` where the other end's queue is full.
pub(crate) fn send_bytes(
    socket: impl AsFd,
    bytes: &[u8],
    fds: &[BorrowedFd<'_>],
) -> io::Result<()> {
    let mut space = vec![MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(fds.len()))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("{} descriptors do not fit into one packet", fds.len()),
        ));
    }
    loop {
        match rustix::net::sendmsg(
            &socket,
            &[IoSlice::new(bytes)],
            &mut control,
            SendFlags::DONTWAIT | SendFlags::NOSIGNAL,
        ) {
            Ok(_) => return Ok(()),
            Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// Sends a value; `WouldBlock` where the other end's queue is full.
pub(crate) fn send<T: Serialize>(
    socket: impl AsFd,
    value: &T,
    fds: &[BorrowedFd<'_>],
) -> io::Result<()> {
    send_bytes(socket, &encode(value)?, fds)
}

/// Receives one packet; `None` at the end of the conversation, `WouldBlock`
/// where none is there.
pub(crate) fn receive(socket: impl AsFd) -> io::Result<Option<Packet>> {
    let mut bytes = vec![0_u8; PACKET_LIMIT];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(253))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let message = loop {
        match rustix::net::recvmsg(
            &socket,
            &mut [IoSliceMut::new(&mut bytes)],
            &mut control,
            RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC,
        ) {
            Ok(message) => break message,
            Err(rustix::io::Errno::INTR) => {}
            // The other end died with packets of ours unread.
            Err(rustix::io::Errno::CONNRESET) => return Ok(None),
            Err(errno) => return Err(errno.into()),
        }
    };
    let mut fds = Vec::new();
    for part in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = part {
            fds.extend(rights);
        }
    }
    if message.bytes == 0 {
        return Ok(None);
    }
    if message
        .flags
        .intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC)
    {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "a packet was cut short by the kernel",
        ));
    }
    bytes.truncate(message.bytes);
    Ok(Some(Packet { bytes, fds }))
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    #[test]
    fn a_packet_carries_value_and_descriptors() {
        let (left, right) = pair().unwrap();
        let (reader, writer) = std::io::pipe().unwrap();
        send(&left, &("key", 7), &[writer.as_fd()]).unwrap();
        drop(writer);
        let packet = receive(&right).unwrap().unwrap();
        assert_eq!(packet.parse::<(String, i32)>().unwrap(), ("key".into(), 7));
        let [fd] = <[OwnedFd; 1]>::try_from(packet.fds).unwrap();
        let mut writer = std::fs::File::from(fd);
        writer.write_all(b"through").unwrap();
        drop(writer);
        let mut text = String::new();
        { reader }.read_to_string(&mut text).unwrap();
        assert_eq!(text, "through");
    }

    #[test]
    fn an_empty_queue_would_block_and_a_closed_end_is_none() {
        let (left, right) = pair().unwrap();
        assert_eq!(
            receive(&right).unwrap_err().kind(),
            io::ErrorKind::WouldBlock
        );
        drop(left);
        assert!(receive(&right).unwrap().is_none());
    }
}
