//! Talking to the kernel over netlink(7): one socket, requests and answers.
//!
//! [`route`] makes links, addresses and routes; the firewall brings its own
//! messages, written with [`attributes`]. A socket belongs to the namespace in
//! which it was opened, whatever thread uses it later.

pub(super) mod attributes;
pub(super) mod route;

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Instant;

use netlink_sys::{Socket, SocketAddr};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

pub(super) use netlink_sys::protocols::{NETLINK_NETFILTER, NETLINK_ROUTE};

/// Length of `struct nlmsghdr`.
pub(super) const HEADER: usize = 16;
/// Room for one read; the kernel never puts more than 32 KiB into a dump's part.
const BUFFER: usize = 64 * 1024;

const NLM_F_REQUEST: u16 = 0x1;
const NLM_F_ACK: u16 = 0x4;
pub(super) const NLM_F_EXCL: u16 = 0x200;
pub(super) const NLM_F_CREATE: u16 = 0x400;
pub(super) const NLM_F_APPEND: u16 = 0x800;
const NLM_F_DUMP: u16 = 0x300;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;

/// One request without its header: type, flags and what follows the header.
#[derive(Debug, Clone)]
pub(super) struct Request {
    /// `nlmsg_type`.
    pub(super) kind: u16,
    /// `nlmsg_flags` beside REQUEST and ACK.
    pub(super) flags: u16,
    /// Family header and attributes.
    pub(super) body: Vec<u8>,
}

/// A netlink socket and its sequence numbers.
#[derive(Debug)]
pub(super) struct Connection {
    socket: Socket,
    sequence: u32,
    buffer: Vec<u8>,
}

impl Connection {
    /// Opens a socket in the calling thread's network namespace.
    pub(super) fn open(protocol: isize) -> io::Result<Self> {
        let mut socket = Socket::new(protocol)?;
        socket.bind_auto()?;
        // A long batch is answered by as many messages at once.
        socket.set_rx_buf_sz(1024 * 1024_i32)?;
        Ok(Self {
            socket,
            sequence: 1,
            buffer: Vec::with_capacity(BUFFER),
        })
    }

    /// Opens a socket that is told of changes, by group number.
    pub(super) fn subscribe(protocol: isize, group: u32) -> io::Result<Self> {
        let connection = Self::open(protocol)?;
        connection.socket.add_membership(group)?;
        Ok(connection)
    }

    /// Shows every change that is told until `each` answers true; false where
    /// the time is over before.
    pub(super) fn watch(
        &mut self,
        deadline: Instant,
        mut each: impl FnMut(&Message<'_>) -> bool,
    ) -> io::Result<bool> {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let left = Timespec::try_from(left).map_err(io::Error::other)?;
            let mut waiting = [PollFd::new(&self.socket, PollFlags::IN)];
            match poll(&mut waiting, Some(&left)) {
                Ok(0) => return Ok(false),
                Ok(_) => {}
                Err(rustix::io::Errno::INTR) => continue,
                Err(errno) => return Err(errno.into()),
            }
            if self.receive(libc::MSG_DONTWAIT, |message| Ok(each(message)))? {
                return Ok(true);
            }
        }
    }

    /// Sends the requests in one system call, and reads the answers.
    ///
    /// rtnetlink carries out every one even after a failure; the first failure
    /// is returned.
    pub(super) fn run(&mut self, requests: &[Request]) -> io::Result<()> {
        self.send_all(&[], requests, &[])
    }

    /// Sends a transaction: `begin`, the requests, `end`. nfnetlink carries out
    /// all of them or none; the first failure is returned.
    pub(super) fn transact(
        &mut self,
        begin: &Request,
        requests: &[Request],
        end: &Request,
    ) -> io::Result<()> {
        self.send_all(
            std::slice::from_ref(begin),
            requests,
            std::slice::from_ref(end),
        )
    }

    /// The requests proper are numbered from `self.sequence`, what frames them
    /// has number 0. A failure is told unasked, so that only the last request
    /// asks for an answer.
    fn send_all(
        &mut self,
        before: &[Request],
        requests: &[Request],
        after: &[Request],
    ) -> io::Result<()> {
        let Some(last) = requests.len().checked_sub(1) else {
            return Ok(());
        };
        let mut bytes = Vec::new();
        for frame in before {
            push(&mut bytes, frame, 0, 0);
        }
        let first = self.sequence;
        for (index, request) in requests.iter().enumerate() {
            let flags = if index == last { NLM_F_ACK } else { 0 };
            push(&mut bytes, request, flags, self.sequence);
            self.sequence += 1;
        }
        for frame in after {
            push(&mut bytes, frame, 0, 0);
        }
        self.send(&bytes)?;
        self.acknowledged(first, last)
    }

    /// Sends one request whose answer is a list, and returns each answer's type
    /// and body.
    pub(super) fn dump(&mut self, request: &Request) -> io::Result<Vec<(u16, Vec<u8>)>> {
        let sequence = self.sequence;
        self.sequence += 1;
        let mut bytes = Vec::new();
        push(&mut bytes, request, NLM_F_DUMP, sequence);
        self.send(&bytes)?;
        let mut answers = Vec::new();
        loop {
            let done = self.receive(0, |message| {
                if message.sequence != sequence {
                    return Ok(false);
                }
                match message.kind {
                    NLMSG_DONE => message.status().map(|()| true),
                    NLMSG_ERROR => message.status().map(|()| true),
                    kind => {
                        answers.push((kind, message.body.to_vec()));
                        Ok(false)
                    }
                }
            })?;
            if done {
                return Ok(answers);
            }
        }
    }

    /// Sends one request whose answer is one message; `None` where the kernel
    /// knows no such object.
    pub(super) fn query(&mut self, request: &Request) -> io::Result<Option<Vec<u8>>> {
        let sequence = self.sequence;
        self.sequence += 1;
        let mut bytes = Vec::new();
        push(&mut bytes, request, NLM_F_ACK, sequence);
        self.send(&bytes)?;
        let mut answer = None;
        loop {
            let done = self.receive(0, |message| {
                if message.sequence != sequence {
                    return Ok(false);
                }
                if message.kind == NLMSG_ERROR {
                    return message.status().map(|()| true);
                }
                answer = Some(message.body.to_vec());
                Ok(false)
            });
            match done {
                Ok(false) => {}
                Ok(true) => return Ok(answer),
                Err(error)
                    if matches!(
                        error.raw_os_error(),
                        Some(libc::ENODEV | libc::ENOENT | libc::ENXIO)
                    ) =>
                {
                    return Ok(None);
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.socket.send_to(bytes, &SocketAddr::new(0, 0), 0)?;
        Ok(())
    }

    /// Reads the answers to requests, all of which are there when the call that
    /// sent the requests has returned.
    fn acknowledged(&mut self, first: u32, last: usize) -> io::Result<()> {
        let mut failure: Option<io::Error> = None;
        let mut confirmed = false;
        loop {
            let read = self.receive(libc::MSG_DONTWAIT, |message| {
                let index = message.sequence.checked_sub(first).map(|i| i as usize);
                let ours = message.sequence == 0 || index.is_some_and(|index| index <= last);
                if message.kind != NLMSG_ERROR || !ours {
                    return Ok(false);
                }
                match message.status() {
                    Ok(()) => confirmed |= index == Some(last),
                    Err(error) => {
                        failure.get_or_insert(error);
                    }
                }
                Ok(false)
            });
            match read {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        match failure {
            Some(error) => Err(error),
            None if confirmed => Ok(()),
            None => Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the kernel did not answer",
            )),
        }
    }

    /// Reads one datagram and shows every message in it to `each`; stops at the
    /// first error. True where `each` said so of any.
    fn receive(
        &mut self,
        flags: libc::c_int,
        mut each: impl FnMut(&Message<'_>) -> io::Result<bool>,
    ) -> io::Result<bool> {
        self.buffer.clear();
        loop {
            match self.socket.recv(&mut self.buffer, flags) {
                Ok(_) => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        let mut done = false;
        for message in messages(&self.buffer) {
            done |= each(&message)?;
        }
        Ok(done)
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// A message as it came.
#[derive(Debug, Clone, Copy)]
pub(super) struct Message<'a> {
    /// `nlmsg_type`.
    pub(super) kind: u16,
    /// `nlmsg_seq`.
    pub(super) sequence: u32,
    /// What follows the header.
    pub(super) body: &'a [u8],
}

impl Message<'_> {
    /// The errno at the start of an error, acknowledgement or end-of-dump.
    fn status(&self) -> io::Result<()> {
        match attributes::native_i32(self.body, 0) {
            Some(code) if code < 0 => Err(io::Error::from_raw_os_error(-code)),
            _ => Ok(()),
        }
    }
}

/// Walks the messages of one datagram; ends at the first that is malformed.
pub(super) fn messages(mut bytes: &[u8]) -> impl Iterator<Item = Message<'_>> {
    std::iter::from_fn(move || {
        let length = attributes::native_u32(bytes, 0)? as usize;
        let message = Message {
            kind: attributes::native_u16(bytes, 4)?,
            sequence: attributes::native_u32(bytes, 8)?,
            body: bytes.get(HEADER..length)?,
        };
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(message)
    })
}

fn push(bytes: &mut Vec<u8>, request: &Request, flags: u16, sequence: u32) {
    let length = u32::try_from(HEADER + request.body.len()).unwrap_or(u32::MAX);
    bytes.extend(length.to_ne_bytes());
    bytes.extend(request.kind.to_ne_bytes());
    bytes.extend((request.flags | flags | NLM_F_REQUEST).to_ne_bytes());
    bytes.extend(sequence.to_ne_bytes());
    bytes.extend(0_u32.to_ne_bytes());
    bytes.extend(&request.body);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
}
