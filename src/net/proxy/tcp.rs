//! TCP: accepted connections are joined to the container's, in the kernel.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::pipe::{PipeFlags, SpliceFlags, pipe_with, splice};
use tokio::io::Interest;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Bytes moved at once: what a pipe holds.
const CHUNK: usize = 64 * 1024;
/// Wait after a failure to accept while no connection is open that could end
/// and give its descriptors back.
const BACK_OFF: Duration = Duration::from_millis(100);

/// Accepts connections and joins each to a new one to `target`; bytes are
/// moved inside the kernel with splice(2). When `closing` becomes true, or its
/// sender goes, the listener is closed, and it returns once the connections have
/// ended, which may never be; where it is dropped, they end with it.
///
/// # Errors
/// The socket is no listener.
pub async fn serve_tcp(
    listener: OwnedFd,
    target: SocketAddr,
    mut closing: watch::Receiver<bool>,
) -> io::Result<()> {
    let listener = std::net::TcpListener::from(listener);
    listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(listener)?;
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            () = is_closing(&mut closing) => break,
            accepted = listener.accept() => match accepted {
                Ok((client, _)) => {
                    connections.spawn(serve_connection(client, target));
                }
                Err(error) if error.raw_os_error() == Some(libc::EINVAL) => return Err(error),
                // A client that gave up, or no descriptor left.
                Err(error) => {
                    tracing::warn!(%error, %target, "cannot accept a connection");
                    if connections.join_next().await.is_none() {
                        tokio::time::sleep(BACK_OFF).await;
                    }
                }
            },
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
    Ok(())
}

async fn is_closing(closing: &mut watch::Receiver<bool>) {
    // Without a sender there is nobody left to serve for.
    closing.wait_for(|closing| *closing).await.map(drop).ok();
}

async fn serve_connection(client: TcpStream, target: SocketAddr) {
    let joined = async {
        let server = TcpStream::connect(target).await?;
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        tokio::try_join!(pump(&client, &server), pump(&server, &client))
    };
    if let Err(error) = joined.await {
        tracing::debug!(%error, %target, "a proxied connection ended early");
    }
}

/// Moves bytes until `from` ends, then tells `to` so.
async fn pump(from: &TcpStream, to: &TcpStream) -> io::Result<()> {
    let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
    // The pipe is made with the first byte: an idle direction holds none.
    from.readable().await?;
    let (output, input) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
    loop {
        // The pipe is empty here, so that "again" can only mean the socket.
        let mut waiting = from
            .async_io(Interest::READABLE, || {
                Ok(splice(from, None, &input, None, CHUNK, flags)?)
            })
            .await?;
        if waiting == 0 {
            rustix::net::shutdown(to, rustix::net::Shutdown::Write)?;
            return Ok(());
        }
        while waiting > 0 {
            waiting -= to
                .async_io(Interest::WRITABLE, || {
                    Ok(splice(&output, None, to, None, waiting, flags)?)
                })
                .await?;
        }
    }
}
