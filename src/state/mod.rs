//! What is on disk: paths, records, locks and atomic writes.
//!
//! Durable facts live under the data root, facts that are true for this boot
//! only under the run root. Everything is a plain JSON file that was written
//! whole; a half-done operation leaves what [`layout`] can recognise as garbage.

pub mod atomic;
pub mod id;
pub mod layout;
pub mod lock;
pub mod names;
mod root;
pub mod space;
pub mod sweep;
pub mod volume;

pub use id::{ContainerId, NetworkId};
pub use layout::Layout;
pub use root::{close_roots, make_root_id, root_id};
