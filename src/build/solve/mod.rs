//! From a plan to an image: steps in parallel, each looked up by what goes into
//! it and carried out where that is new.

mod cache;
mod copy;
mod digest;
mod error;
mod hashes;
mod layer;
mod mode;
mod run;
mod scan;
mod stubs;
mod worker;

pub use cache::layers_in_use;
pub use error::BuildError;
