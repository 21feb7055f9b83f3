//! The two processes of a running project, and how the CLI talks to them.
//!
//! *Keeper*: parent of the containers and store of descriptors; poll loop,
//! no async. *Supervisor*: tokio; control socket, logs, names, proxies,
//! health, restarts. [`wire`] is the protocol between CLI and supervisor,
//! [`record`] what both leave on disk.

pub mod inspect;
pub mod launch;
pub mod logs;
pub(crate) mod packet;
pub mod record;
pub mod wire;
