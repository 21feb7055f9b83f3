//! Networks: links, addresses, firewall, published ports, names.
//!
//! Plain specs in ([`spec`]), kernel objects out. Knows nothing of Compose.
//!
//! [`Net`] is the door: it makes networks, gives containers a namespace with
//! links and addresses, and publishes ports. Its calls block for a few
//! milliseconds at most and may be made from many threads at once; what several
//! processes could change at the same time is guarded by flock(2). Only names
//! ([`dns`]) and the socket half of published ports ([`proxy`]) are async.
//!
//! Every kernel object carries the root id of its data root and the id of its
//! network or container, so that [`Net::sweep`] finds it without any record.

mod allocate;
mod cidr;
mod detach;
pub mod dns;
mod endpoint;
mod error;
pub mod files;
mod firewall;
mod handle;
mod labels;
mod namespace;
mod netlink;
mod network;
pub mod ports;
mod probe;
pub mod proxy;
mod records;
pub mod spec;
mod subnets;
mod sweep;
mod sysctl;

pub use cidr::Cidr;
pub use detach::Withdrawn;
pub use endpoint::{AttachRequest, Attached};
pub use error::NetError;
pub use firewall::guard::guard;
pub use firewall::publish::Publication;
pub use handle::Net;
pub use network::Ensured;
pub use probe::{Capability, probe};
pub use subnets::declared as declared_subnets;
pub use sweep::Swept;
