//! System calls for which neither rustix nor nix has a safe function, and the
//! small compositions of several calls that the rest of the engine uses.
//!
//! Beside `sys_bpf`, this is the only module of the crate with unsafe code. `raw` holds one
//! function per call and names the kernel that brought it; [`helpers`] holds
//! what is built from them, with the ways round what is newer than Linux 5.15.
#![expect(
    unsafe_code,
    reason = "the one place for system calls without a safe wrapper"
)]

pub mod helpers;
mod pidfd;
mod raw;

pub use pidfd::pidfd_exit_status;
pub(crate) use raw::{CloneFlags, Cloned, clone_process};
pub use raw::{
    MountChange, close_on_exec_from, close_range, exit_now, join_new_session_keyring,
    mount_setattr, reset_scheduling, reset_signal, reset_signals, set_seccomp_filter,
};
