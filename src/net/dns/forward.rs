//! Questions about other names: passed to the declared or the host's servers.
//!
//! Messages are passed on as they came, from the supervisor's own namespace, so
//! that a server on the host's loopback (systemd-resolved's 127.0.0.53) is
//! reached too.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::MetadataExt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use fs_err as fs;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

use crate::net::files::{HOST_RESOLV_CONF, ResolvConf};

const PORT: u16 = 53;
/// Time for one server's answer. Resolver libraries ask again after 5 seconds,
/// by when a second server should have had its chance.
const PATIENCE: Duration = Duration::from_millis(2500);
/// Servers asked at most, as in libc.
const SERVERS: usize = 3;

const RCODE_SERVFAIL: u8 = 2;
const RCODE_REFUSED: u8 = 5;

/// Whom to ask.
#[derive(Debug)]
pub(super) struct Upstreams {
    declared: Vec<IpAddr>,
    /// The host's servers and the state of the file that they were read from.
    host: Mutex<(Option<Stamp>, Vec<IpAddr>)>,
}

/// Tells whether a file is still the one that was read.
type Stamp = (u64, i64, i64, u64);

/// How a question came, and is passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transport {
    Udp,
    Tcp,
}

impl Upstreams {
    /// The declared servers; the host's where none are.
    pub(super) fn new(declared: Vec<IpAddr>) -> Self {
        Self {
            declared,
            host: Mutex::default(),
        }
    }

    /// Asks one server after the other; the first real answer counts, else the
    /// last failure that one of them told.
    pub(super) async fn ask(&self, question: &[u8], transport: Transport) -> Option<Vec<u8>> {
        let mut failure = None;
        for server in self.servers().into_iter().take(SERVERS) {
            let server = SocketAddr::new(server, PORT);
            let asked = async {
                match transport {
                    Transport::Udp => ask_udp(server, question).await,
                    Transport::Tcp => ask_tcp(server, question).await,
                }
            };
            match timeout(PATIENCE, asked).await {
                Ok(Ok(answer)) if told_failure(&answer) => failure = Some(answer),
                Ok(Ok(answer)) => return Some(answer),
                Ok(Err(error)) => tracing::debug!(%server, %error, "name server failed"),
                Err(_) => tracing::debug!(%server, "name server did not answer"),
            }
        }
        failure
    }

    fn servers(&self) -> Vec<IpAddr> {
        if !self.declared.is_empty() {
            return self.declared.clone();
        }
        let stamp = fs::metadata(HOST_RESOLV_CONF)
            .ok()
            .map(|meta| (meta.ino(), meta.mtime(), meta.mtime_nsec(), meta.size()));
        let mut host = self.host.lock().unwrap_or_else(PoisonError::into_inner);
        if stamp.is_none() || host.0 != stamp {
            let text = fs::read_to_string(HOST_RESOLV_CONF).unwrap_or_default();
            let mut servers = ResolvConf::parse(&text).servers;
            if servers.is_empty() {
                // What libc does with an empty file.
                servers.push(Ipv4Addr::LOCALHOST.into());
            }
            *host = (stamp, servers);
        }
        host.1.clone()
    }
}

async fn ask_udp(server: SocketAddr, question: &[u8]) -> io::Result<Vec<u8>> {
    let local: IpAddr = if server.is_ipv4() {
        Ipv4Addr::UNSPECIFIED.into()
    } else {
        Ipv6Addr::UNSPECIFIED.into()
    };
    let socket = UdpSocket::bind((local, 0)).await?;
    socket.connect(server).await?;
    socket.send(question).await?;
    let mut answer = vec![0; 65535];
    loop {
        let length = socket.recv(&mut answer).await?;
        // The number of the question is all that tells a late answer to an
        // earlier one on a port that was used before.
        if length >= 12 && answer.get(..2) == question.get(..2) {
            answer.truncate(length);
            return Ok(answer);
        }
    }
}

async fn ask_tcp(server: SocketAddr, question: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(server).await?;
    stream.write_all(&framed(question)?).await?;
    let length = stream.read_u16().await?;
    let mut answer = vec![0; usize::from(length)];
    stream.read_exact(&mut answer).await?;
    Ok(answer)
}

/// A message with its length before it, as TCP has it.
pub(super) fn framed(message: &[u8]) -> io::Result<Vec<u8>> {
    let length = u16::try_from(message.len()).map_err(io::Error::other)?;
    let mut bytes = length.to_be_bytes().to_vec();
    bytes.extend(message);
    Ok(bytes)
}

fn told_failure(answer: &[u8]) -> bool {
    answer
        .get(3)
        .is_none_or(|flags| matches!(flags & 0xf, RCODE_SERVFAIL | RCODE_REFUSED))
}
