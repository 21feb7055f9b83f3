//! The resolver of one container: its two sockets, served until dropped.

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hickory_proto::op::{Message, ResponseCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::answer::{self, Reply};
use super::forward::{Transport, Upstreams, framed};
use super::sockets::DnsSockets;
use super::table::NameTable;
use crate::state::ContainerId;

/// Questions passed on at once, and TCP connections, for one container.
const CONCURRENT: usize = 512;
/// An idle TCP connection is closed after this time.
const IDLE: Duration = Duration::from_secs(30);

/// Whose questions are answered.
#[derive(Debug, Clone)]
pub struct Client {
    /// The container: it sees the names of its own networks, and its links.
    pub container: ContainerId,
    /// Declared servers for all other names; empty means the host's.
    pub servers: Vec<IpAddr>,
}

/// What every question of one container needs.
#[derive(Debug)]
struct Context {
    names: Arc<NameTable>,
    container: ContainerId,
    upstreams: Upstreams,
}

/// Answers one container's questions. Runs until it is dropped.
///
/// # Errors
/// A socket fails for good.
pub async fn serve(
    sockets: DnsSockets,
    names: Arc<NameTable>,
    client: Client,
) -> io::Result<Infallible> {
    let udp = std::net::UdpSocket::from(sockets.udp);
    let tcp = std::net::TcpListener::from(sockets.tcp);
    udp.set_nonblocking(true)?;
    tcp.set_nonblocking(true)?;
    let udp = Arc::new(UdpSocket::from_std(udp)?);
    let tcp = TcpListener::from_std(tcp)?;
    let context = Arc::new(Context {
        names,
        container: client.container,
        upstreams: Upstreams::new(client.servers),
    });
    // Ends with this function, and every task in it.
    let mut tasks = JoinSet::new();
    let mut buffer = vec![0; 65535];
    loop {
        let room = tasks.len() < CONCURRENT;
        tokio::select! {
            received = udp.peek_from(&mut buffer), if room => {
                let (length, from) = received?;
                let question = buffer.get(..length).unwrap_or_default();
                if let Some(passed) = datagram(&context, &udp, question, from).await {
                    tasks.spawn(passed);
                }
                // Taken out only now: where we are killed over it, it is there
                // for whoever serves the socket next. Asked again it would be
                // seconds later.
                udp.try_recv_from(&mut [])?;
            }
            accepted = tcp.accept(), if room => {
                // A client that is gone already, or too many descriptors: the
                // next one may fare better.
                if let Ok((stream, _)) = accepted {
                    tasks.spawn(connection(Arc::clone(&context), stream));
                } else if tasks.join_next().await.is_none() {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
            Some(_) = tasks.join_next(), if !tasks.is_empty() => {}
        }
    }
}

/// Answers a datagram at once where the table knows; else returns the work of
/// passing it on.
async fn datagram(
    context: &Arc<Context>,
    udp: &Arc<UdpSocket>,
    question: &[u8],
    from: SocketAddr,
) -> Option<impl Future<Output = ()> + use<>> {
    let message = Message::from_vec(question).ok()?;
    match context.reply(&message) {
        Reply::Answer(answer) => {
            let bytes = answer::encode_udp(answer, &message)?;
            // A client that is gone needs no answer.
            udp.send_to(&bytes, from).await.ok();
            None
        }
        Reply::Forward => {
            let (context, udp) = (Arc::clone(context), Arc::clone(udp));
            let question = question.to_vec();
            Some(async move {
                let answer = context.pass_on(&question, &message, Transport::Udp).await;
                udp.send_to(&answer, from).await.ok();
            })
        }
    }
}

/// Answers the questions of one TCP connection, one after the other.
async fn connection(context: Arc<Context>, mut stream: TcpStream) {
    let mut serve = async || -> io::Result<()> {
        loop {
            let length = timeout(IDLE, stream.read_u16()).await??;
            let mut question = vec![0; usize::from(length)];
            timeout(IDLE, stream.read_exact(&mut question)).await??;
            let message = Message::from_vec(&question).map_err(io::Error::other)?;
            let answer = match context.reply(&message) {
                Reply::Answer(answer) => answer.to_vec().map_err(io::Error::other)?,
                Reply::Forward => context.pass_on(&question, &message, Transport::Tcp).await,
            };
            stream.write_all(&framed(&answer)?).await?;
        }
    };
    // The client closed, or sent what is no question.
    serve().await.ok();
}

impl Context {
    fn reply(&self, question: &Message) -> Reply {
        match answer::reply(question, &self.names, &self.container) {
            Ok(reply) => reply,
            Err(error) => {
                tracing::warn!(%error, container = %self.container, "cannot read names");
                Reply::Answer(answer::refusal(question, ResponseCode::ServFail))
            }
        }
    }

    async fn pass_on(&self, bytes: &[u8], question: &Message, transport: Transport) -> Vec<u8> {
        match self.upstreams.ask(bytes, transport).await {
            Some(answer) => answer,
            None => answer::refusal(question, ResponseCode::ServFail)
                .to_vec()
                .unwrap_or_default(),
        }
    }
}
