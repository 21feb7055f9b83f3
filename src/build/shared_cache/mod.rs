//! Caches that other machines share: what steps made, in a registry or a folder.
//!
//! ```text
//! spec      what `cache_from` and `cache_to` say
//! document  what such a cache says of its steps
//! ```
//!
//! A cache is an OCI artifact: its config lists steps by key, its layers are theirs.
//! Keys are skiff's own, so that `BuildKit` and skiff find nothing in each other's.

pub(crate) mod document;
mod spec;

pub use spec::{CacheFrom, CacheTo, Extent, SpecError, Target};
