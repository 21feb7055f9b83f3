//! Names: the resolver that every container on a network asks.
//!
//! A container asks 127.0.0.11:53; rules in its own namespace lead that to
//! sockets on high ports there ([`sockets_in`]), which a supervisor serves
//! ([`serve`]). Names of containers come from the endpoint records under the
//! run root ([`NameTable`]), everything else from the host's resolvers.

mod answer;
mod forward;
mod serve;
mod sockets;
mod table;

pub use serve::{Client, serve};
pub use sockets::{DnsSockets, sockets_in};
pub use table::NameTable;
