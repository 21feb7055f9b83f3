//! From a plan to an image: steps in parallel, each looked up by what goes into
//! it and carried out where that is new.

mod agent;
mod archive;
mod cache;
mod context;
mod copy;
mod digest;
mod download;
mod error;
mod export;
mod files;
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
mod shown;
mod solver;
mod source;
mod stubs;
mod worker;

pub use cache::layers_in_use;
pub use context::ContextFolder;
pub use copy::CopyError;
pub use error::{BuildError, StepError};
pub use export::BuildFailure;
pub(super) use key_agent::KeyAgent;
pub use output::OutputLine;
pub use prune::{Prune, Pruned, prune};
pub use solver::{Builder, Given};
pub use source::{Keys, Remote};
