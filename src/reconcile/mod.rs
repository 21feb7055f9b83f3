//! From a Compose project to what runs: observe, plan, execute.
//!
//! ```text
//! Project ──project──> Desired ─┐
//! records ──observe──> Observed ─┴─planner─> Plan ──executor──> Backend
//! Service ─translate─> ContainerRecord ──────────────┘
//! ```
//!
//! [`planner`], [`translate`] and [`refuse`] are pure; [`executor`] decides
//! nothing. The commands ([`up`], [`down`], [`stop`], [`start`], [`restart`],
//! [`kill`], [`run_prepare`]) put them together.

pub mod backend;
mod budget;
pub mod build;
pub mod cancel;
mod chosen;
pub mod desired;
pub mod diff;
pub mod embedded;
pub mod exec;
pub mod executor;
mod flows;
pub mod garbage;
pub mod images;
mod locking;
pub mod observe;
pub mod observed;
mod place;
pub mod plan;
pub mod planner;
mod prepare;
mod record;
pub mod refuse;
pub mod session;
#[cfg(test)]
mod testing;
pub mod translate;
pub mod words;

pub use build::BuildChoices;
pub use cancel::{Cancel, CancelHandle, cancel_pair};
pub use flows::{
    ImageChoice, PullChoices, PushChoices, down, images_of, kill, kill_now, not_refused, pull,
    push, push_names, remove_images, restart, run_prepare, start, stop, stop_own, tell_of_groups,
    up,
};
pub use images::BuildMode;
pub use place::start_failure;
pub use planner::{DownChoices, Recreate, UpChoices};
pub use session::{
    Member, Prepared, ReconcileError, RunOptions, Session, UpOptions, UpOutcome, Watcher,
};
pub use translate::oneoff::Overrides;
