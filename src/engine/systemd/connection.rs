//! The socket to systemd, every wait on which ends at one deadline.
//!
//! "Authentication Protocol" of the D-Bus specification: a zero byte that may
//! carry credentials, then the mechanism EXTERNAL, for which the socket itself
//! tells who is calling. This is a connection between two, without a broker, so
//! neither `Hello` nor a match rule is needed: systemd sends its signals to
//! everyone who is connected this way.

use std::io::{self, ErrorKind, Read};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, SendFlags, SocketAddrUnix, SocketFlags, SocketType, connect, send, socket_with,
};

use super::error::SystemdError;
use super::message::{Call, FIXED, Incoming, Kind, decode, lengths};

/// The socket below systemd's run-time folder; root's alone.
const SOCKET: &str = "private";

/// How long an answer is waited for. systemd answers in milliseconds, but for
/// the seconds of a `daemon-reload` on a slow machine.
pub const LIMIT: Duration = Duration::from_secs(10);

/// The longest line of the authentication.
const LONGEST_LINE: usize = 1024;

/// A conversation.
#[derive(Debug)]
pub struct Connection {
    stream: UnixStream,
    limit: Duration,
    deadline: Instant,
    serial: u32,
}

impl Connection {
    /// Connects to the systemd whose run-time folder this is. All that follows
    /// has to be over within the limit.
    ///
    /// # Errors
    /// Nobody is there, nobody answers, or it refuses this user.
    pub fn open(run: &Path, limit: Duration) -> Result<Self, SystemdError> {
        let deadline = Instant::now() + limit;
        let path = run.join(SOCKET);
        let connected = (|| {
            let socket = socket_with(
                AddressFamily::UNIX,
                SocketType::STREAM,
                SocketFlags::CLOEXEC,
                None,
            )?;
            // A connect waits for as long where the queue is full (unix(7)).
            set_socket_timeout(&socket, Timeout::Send, Some(limit))?;
            connect(&socket, &SocketAddrUnix::new(&path)?)?;
            Ok(UnixStream::from(socket))
        })();
        let stream = match connected {
            Ok(stream) => stream,
            Err(rustix::io::Errno::AGAIN) => return Err(SystemdError::Late { limit }),
            Err(errno) => {
                let source = io::Error::from(errno);
                return Err(SystemdError::Connect { path, source });
            }
        };
        let mut connection = Self {
            stream,
            limit,
            deadline,
            serial: 0,
        };
        connection.authenticate()?;
        Ok(connection)
    }

    fn authenticate(&mut self) -> Result<(), SystemdError> {
        // The user's number, its digits as hexadecimal bytes.
        let user: String = rustix::process::geteuid()
            .as_raw()
            .to_string()
            .bytes()
            .map(|digit| format!("{digit:02x}"))
            .collect();
        // `BEGIN` goes along, as systemctl has it: systemd takes in what has come
        // when it reads that line, and a call among it would lie there until
        // another one comes. So nothing follows before the `OK`.
        self.write(format!("\0AUTH EXTERNAL {user}\r\nBEGIN\r\n").as_bytes())?;
        let line = self.line()?;
        if line.starts_with("OK ") {
            return Ok(());
        }
        Err(SystemdError::Refused {
            name: "AUTH EXTERNAL".to_owned(),
            message: line.trim_end().to_owned(),
        })
    }

    /// Whether the other end is process 1 as this process counts: then both mean
    /// the same process by a number (`SO_PEERCRED`, unix(7)).
    pub fn is_with_first_process(&self) -> bool {
        rustix::net::sockopt::socket_peercred(&self.stream)
            .is_ok_and(|peer| peer.pid == rustix::process::Pid::INIT)
    }

    /// One line, byte by byte: what follows it belongs to nobody else.
    fn line(&mut self) -> Result<String, SystemdError> {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            if line.len() > LONGEST_LINE {
                return Err(SystemdError::Protocol("a line without an end"));
            }
            let mut byte = [0];
            self.read(&mut byte)?;
            line.extend(byte);
        }
        String::from_utf8(line).map_err(|_| SystemdError::Protocol("a line that is not UTF-8"))
    }

    /// Calls a method and waits for its answer; signals that come meanwhile go
    /// to `signal`.
    pub(super) fn call(
        &mut self,
        call: &Call<'_>,
        mut signal: impl FnMut(Incoming),
    ) -> Result<Incoming, SystemdError> {
        self.serial += 1;
        self.write(&call.encode(self.serial))?;
        loop {
            let incoming = self.receive()?;
            match incoming.kind {
                Kind::Return if incoming.reply_to == Some(self.serial) => return Ok(incoming),
                Kind::Error if incoming.reply_to == Some(self.serial) => {
                    let message = if incoming.signature.starts_with('s') {
                        incoming.arguments().text()?.to_owned()
                    } else {
                        String::new()
                    };
                    let name = incoming.error;
                    return Err(SystemdError::Refused { name, message });
                }
                Kind::Signal => signal(incoming),
                Kind::Return | Kind::Error | Kind::Call | Kind::Other => {}
            }
        }
    }

    /// The next message, whatever it is.
    pub(super) fn receive(&mut self) -> Result<Incoming, SystemdError> {
        let mut fixed = [0; FIXED];
        self.read(&mut fixed)?;
        let (whole, _) = lengths(&fixed)?;
        let mut bytes = fixed.to_vec();
        bytes.resize(whole, 0);
        self.read(bytes.get_mut(FIXED..).unwrap_or_default())?;
        decode(&bytes)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), SystemdError> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let left = self.left()?;
            let written = self
                .stream
                .set_write_timeout(Some(left))
                .and_then(|()| Ok(send(&self.stream, rest, SendFlags::NOSIGNAL)?));
            let count = self.moved(written)?;
            rest = rest.get(count..).unwrap_or_default();
        }
        Ok(())
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<(), SystemdError> {
        let mut filled = 0;
        while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            let left = self.left()?;
            let read = self
                .stream
                .set_read_timeout(Some(left))
                .and_then(|()| self.stream.read(rest));
            filled += self.moved(read)?;
        }
        Ok(())
    }

    /// Bytes that went through; a call that was interrupted moved none.
    fn moved(&self, result: io::Result<usize>) -> Result<usize, SystemdError> {
        match result {
            Ok(0) => Err(SystemdError::Broken(ErrorKind::UnexpectedEof.into())),
            Ok(count) => Ok(count),
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(0),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                Err(SystemdError::Late { limit: self.limit })
            }
            Err(error) => Err(SystemdError::Broken(error)),
        }
    }

    /// The time that is left, never zero, which would mean for ever.
    fn left(&self) -> Result<Duration, SystemdError> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(SystemdError::Late { limit: self.limit });
        }
        // Below a microsecond the kernel's clock rounds to zero.
        Ok(left.max(Duration::from_millis(1)))
    }
}
