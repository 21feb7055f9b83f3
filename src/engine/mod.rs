//! Containers: namespaces, mounts, cgroups, capabilities, seccomp, exec.
//!
//! The engine knows nothing of Compose. It takes an [`spec::InitSpec`], which
//! is an OCI runtime spec and what that format has no field for, and turns it
//! into processes. Its parts run in three places: [`cgroup`] and [`prepare`]
//! in the supervisor, [`launch`] in the single-threaded keeper, and `init` in
//! the new child between clone and exec.

pub mod caps;
pub mod cgroup;
mod init;
pub(crate) use init::identity;
pub(crate) mod inroot;
pub mod launch;
pub mod mounts;
pub mod oci_default;
pub mod prepare;
pub mod probe;
pub mod process;
pub mod rlimits;
pub(crate) mod rootfs;
pub mod seccomp;
pub mod spec;
pub mod sys;
mod sys_bpf;
pub mod systemd;
pub mod tiny_init;
pub(crate) mod tree;
