//! From a Compose service to a container's record.

pub mod names;
