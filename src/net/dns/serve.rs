//! x
use std::convert::Infallible;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use super::sockets::DnsSockets;
use super::table::NameTable;
use crate::state::ContainerId;

/// Whose questions are answered.
#[derive(Debug, Clone)]
pub struct Client {
    /// The container: it sees the names of its own networks, and its links.
    pub container: ContainerId,
    /// Declared servers for all other names; empty means the host's.
    pub servers: Vec<IpAddr>,
}

/// Answers one container's questions. Runs until it is dropped.
///
/// # Errors
/// A socket fails for good.
pub async fn serve(
    _sockets: DnsSockets,
    _names: Arc<NameTable>,
    _client: Client,
) -> io::Result<Infallible> {
    unimplemented!()
}
