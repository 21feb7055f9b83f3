//! Networks: links, addresses, firewall, published ports, names.
//!
//! Plain specs in ([`spec`]), kernel objects out. Knows nothing of Compose.

pub mod spec;
