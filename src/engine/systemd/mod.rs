//! Asking systemd for a scope: a unit around processes that are there already,
//! whose control group belongs to whoever asked (systemd.scope(5),
//! `Delegate=` in systemd.resource-control(5)).
//!
//! A D-Bus client for exactly these calls, over the socket that systemctl uses
//! as root: no broker is needed, and none has to run. `value` and `message`
//! are the wire format, `connection` the socket with its deadline, `unit` the
//! names, `scope` what is asked.

mod connection;
mod error;
mod message;
mod scope;
mod unit;
mod value;

use std::path::Path;

pub use connection::{Connection, LIMIT};
pub use error::SystemdError;
pub use scope::{STOP_SIGNAL, Scope, start_scope, version};
pub use unit::{SLICE, scope_name, scope_project};

/// Where systemd's own run-time files are.
pub const RUN: &str = "/run/systemd";

/// Whether systemd is the service manager of this machine: `sd_booted(3)`. One
/// stat(2).
pub fn is_booted(run: &Path) -> bool {
    run.join("system").is_dir()
}
