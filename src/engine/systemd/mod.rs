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

/// The name of the first process: `proc_pid_comm(5)`.
const FIRST: &str = "/proc/1/comm";

/// Whether systemd is the service manager here: of the machine (`sd_booted(3)`,
/// one stat(2)), and of this pid namespace, as it is asked by process ids.
pub fn is_booted(run: &Path) -> bool {
    run.join("system").is_dir()
        && fs_err::read_to_string(FIRST).is_ok_and(|name| name.trim_end() == "systemd")
}
