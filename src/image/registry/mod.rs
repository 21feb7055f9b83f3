//! A client of the OCI distribution specification 1.1, as far as pulling goes.
//!
//! [`access`] is what is the same for all registries of one command (proxies,
//! certificates, Docker's config); [`Repository`] is one repository of one
//! registry with its tokens; [`manifest`] the documents; `blob` a content's
//! bytes with resumption.

mod access;
mod blob;
mod challenge;
mod credentials;
mod http;
pub(crate) mod manifest;
mod reason;
mod repository;
mod token;

pub use access::{Access, AccessOptions};
pub(crate) use blob::{Blob, Chunk};
pub use reason::Reason;
pub(crate) use repository::Repository;
