//! Watches the firewall, and puts back what others removed.

use std::convert::Infallible;
use std::sync::Arc;

use crate::net::error::NetError;
use crate::net::handle::Net;

/// Watches changes of the firewall by others (`nft flush ruleset`, a restarted
/// Docker, a reloaded ufw) and puts our table and admissions back at once.
/// Runs until it is dropped; one is enough for a supervisor.
///
/// # Errors
/// The socket that tells of changes fails.
pub async fn guard(_net: Arc<Net>) -> Result<Infallible, NetError> {
    unimplemented!()
}
