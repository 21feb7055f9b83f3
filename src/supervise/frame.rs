//! Frames over a stream socket: a length, JSON, and descriptors on the first
//! byte; see [`super::wire`]. Used by both ends.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::Interest;
use tokio::net::UnixStream;

use super::wire::FRAME_LIMIT;

/// Most descriptors on one frame.
const FD_LIMIT: usize = 8;

/// One received frame.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) bytes: Vec<u8>,
    /// Its descriptors, close-on-exec.
    pub(crate) fds: Vec<OwnedFd>,
}

impl Frame {
    /// Its JSON value.
    pub(crate) fn parse<T: DeserializeOwned>(&self) -> io::Result<T> {
        serde_json::from_slice(&self.bytes).map_err(Into::into)
    }
}

/// Sends a value and descriptors.
pub(crate) async fn send<T: Serialize>(
    stream: &UnixStream,
    value: &T,
    fds: &[BorrowedFd<'_>],
) -> io::Result<()> {
    let mut bytes = vec![0; 4];
    serde_json::to_writer(&mut bytes, value)?;
    let length = u32::try_from(bytes.len() - 4).unwrap_or(u32::MAX);
    if length > FRAME_LIMIT {
        return Err(too_long(length));
    }
    if let Some(head) = bytes.first_chunk_mut() {
        *head = length.to_le_bytes();
    }
    let mut sent = 0;
    let mut fds = fds;
    while let Some(rest) = bytes.get(sent..).filter(|rest| !rest.is_empty()) {
        sent += stream
            .async_io(Interest::WRITABLE, || send_part(stream, rest, fds))
            .await?;
        fds = &[];
    }
    Ok(())
}

fn send_part(stream: &UnixStream, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FD_LIMIT))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    }
    let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
    Ok(rustix::net::sendmsg(
        stream.as_fd(),
        &[IoSlice::new(bytes)],
        &mut control,
        flags,
    )?)
}

/// Receives one frame; `None` at the end of the conversation.
pub(crate) async fn receive(stream: &UnixStream) -> io::Result<Option<Frame>> {
    let mut head = [0; 4];
    let mut fds = Vec::new();
    if !fill(stream, &mut head, &mut fds).await? {
        return Ok(None);
    }
    let length = u32::from_le_bytes(head);
    if length > FRAME_LIMIT {
        return Err(too_long(length));
    }
    let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
    if !fill(stream, &mut bytes, &mut fds).await? {
        return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
    }
    Ok(Some(Frame { bytes, fds }))
}

/// Fills the buffer; false at an end before its first byte.
async fn fill(stream: &UnixStream, buffer: &mut [u8], fds: &mut Vec<OwnedFd>) -> io::Result<bool> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match stream
            .async_io(Interest::READABLE, || receive_part(stream, rest, fds))
            .await?
        {
            0 if filled == 0 => return Ok(false),
            0 => return Err(io::Error::from(io::ErrorKind::UnexpectedEof)),
            count => filled += count,
        }
    }
    Ok(true)
}

fn receive_part(
    stream: &UnixStream,
    buffer: &mut [u8],
    fds: &mut Vec<OwnedFd>,
) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FD_LIMIT))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
    let mut slices = [IoSliceMut::new(buffer)];
    let message = match rustix::net::recvmsg(stream.as_fd(), &mut slices, &mut control, flags) {
        Ok(message) => message,
        // Closed with something of ours unread: an end all the same.
        Err(rustix::io::Errno::CONNRESET) => return Ok(0),
        Err(errno) => return Err(errno.into()),
    };
    for part in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = part {
            fds.extend(rights);
        }
    }
    Ok(message.bytes)
}

fn too_long(length: u32) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("a message of {length} bytes is over the limit of {FRAME_LIMIT}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn long_frames_and_descriptors_cross() {
        let (left, right) = UnixStream::pair().unwrap();
        let (reader, _writer) = std::io::pipe().unwrap();
        let long = "x".repeat(3_000_000);
        let sender = async {
            send(&left, &long, &[reader.as_fd()]).await.unwrap();
            send(&left, &"short", &[]).await.unwrap();
            drop(left);
        };
        let receiver = async {
            let first = receive(&right).await.unwrap().unwrap();
            assert_eq!(first.parse::<String>().unwrap(), long);
            assert_eq!(first.fds.len(), 1);
            let second = receive(&right).await.unwrap().unwrap();
            assert_eq!(second.parse::<String>().unwrap(), "short");
            assert!(second.fds.is_empty());
            assert!(receive(&right).await.unwrap().is_none());
        };
        tokio::join!(sender, receiver);
    }

    #[tokio::test]
    async fn a_length_over_the_limit_is_refused_unread() {
        let (left, right) = UnixStream::pair().unwrap();
        left.try_write(&u32::MAX.to_le_bytes()).unwrap();
        let error = receive(&right).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }
}
