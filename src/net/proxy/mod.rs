//! The socket half of published ports.
//!
//! What the firewall does not rewrite arrives at the bound socket: calls to
//! 127.0.0.1, IPv6 calls of an IPv4-only container, and everything where
//! another firewall filters what comes in. The functions run until they are
//! dropped, and their connections end with them; TCP can be closed more gently.
//! The sockets are given as duplicates, so that the listener outlives them.

mod tcp;
mod udp;

pub use tcp::serve_tcp;
pub use udp::serve_udp;
