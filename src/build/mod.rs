//! Images from Dockerfiles.

pub mod solve;
