//! Images from Dockerfiles.

pub mod graph;
pub mod solve;
