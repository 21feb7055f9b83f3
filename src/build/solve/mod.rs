//! From a plan to an image: steps in parallel, each looked up by what goes into
//! it and carried out where that is new.

mod agent;
mod archive;
mod cache;
mod caches;
mod context;
mod copy;
mod digest;
mod download;
mod error;
mod export;
mod files;
mod full;
mod hashes;
mod key;
mod key_agent;
mod layer;
mod mode;
mod mounts;
mod output;
mod owner;
mod prune;
mod remote;
mod repository;
mod run;
mod scan;
mod share;
mod shown;
mod solver;
mod source;
mod stubs;
mod warm_up;
mod worker;

pub use cache::layers_in_use;
pub use context::ContextFolder;
pub use copy::CopyError;
pub use error::{BuildError, StepError};
pub use export::BuildFailure;
pub(crate) use hashes::{Hash, hex, unhex};
pub(super) use key_agent::KeyAgent;
pub use output::OutputLine;
pub use prune::{Kept, Prune, Pruned, forget, kept, prune};
pub use solver::{Builder, Given, Outside};
pub use source::{Keys, Remote};
