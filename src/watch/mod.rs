//! `develop.watch`: a file is saved, and what runs has it.
//!
//! ```text
//! kernel ──files──> changes ──rules──> work of each service ──sync, reconcile──> containers
//! ```
//!
//! [`rules`], [`batch`] and [`work`] are pure. [`files`] is a thread that tells which
//! files have changed, [`sync`] writes into containers, [`session`] is the loop.

mod batch;
mod carry;
mod error;
mod exec;
pub mod files;
mod jobs;
pub mod rules;
mod session;
pub mod sync;
pub mod tree;
mod work;

pub use carry::{built, give};
pub use error::WatchError;
pub use rules::{Rule, Rules};
pub use session::{Report, Watch};
pub use work::{After, Item, Work, of as work_of};
