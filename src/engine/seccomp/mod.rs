//! System call filters: Docker's profile format to classic BPF, without any
//! library.
//!
//! [`Profile`] is what is written, [`compile()`] makes the program for one
//! container on this kernel, [`filter`] does both through a cache on disk, and
//! [`install`] puts it in force for the calling thread.

mod arch;
mod compile;
mod default;
mod numbers;
mod profile;

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use fs_err as fs;
use rustix::fs::MemfdFlags;
use sha2::{Digest, Sha256};

pub use profile::Profile;

use crate::engine::caps::CapSet;
use crate::engine::spec::Seccomp;
use crate::engine::sys_bpf;
use crate::engine::tiny_init::sealed_memfd;
use crate::state::atomic;

/// The errnos that filters are about; libc has them as `i32`.
const EPERM: u16 = 1;
const ENOSYS: u16 = 38;

/// Changed when the same profile is compiled into another program.
const GENERATOR: &str = "1";

/// Why there is no filter.
#[derive(Debug, thiserror::Error)]
pub enum SeccompError {
    /// The text is no profile.
    #[error("cannot understand the seccomp profile: {source}")]
    Syntax {
        /// What is wrong, with line and column.
        source: serde_json::Error,
    },
    /// Both lists are given.
    #[error("the seccomp profile has both `architectures` and `archMap`; use one of them")]
    TwoArchLists,
    /// No such action.
    #[error("the seccomp profile has an unknown action `{name}`")]
    UnknownAction {
        /// As written.
        name: String,
    },
    /// An action that needs an agent which nobody runs.
    #[error("the seccomp profile uses `SCMP_ACT_NOTIFY`, which skiff does not serve")]
    Notify,
    /// No such operator.
    #[error("the seccomp profile has an unknown operator `{name}`")]
    UnknownOperator {
        /// As written.
        name: String,
    },
    /// System calls have six arguments.
    #[error("the seccomp profile tests argument {index}, but system calls have 0 to 5")]
    NoSuchArgument {
        /// As written.
        index: u8,
    },
    /// No kernel version.
    #[error("`minKernel` of the seccomp profile is `{text}`, which is no kernel version")]
    BadKernel {
        /// As written.
        text: String,
    },
    /// The kernel takes 4096 instructions.
    #[error("the seccomp profile compiles to {instructions} instructions, the kernel takes 4096")]
    TooLong {
        /// Its length.
        instructions: usize,
    },
    /// The cache or the memfd.
    #[error("cannot keep the compiled seccomp filter")]
    Keep {
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Compiles a profile for a container with this bounding set, on the running
/// kernel: an array of `struct sock_filter`.
///
/// # Errors
/// [`SeccompError::TooLong`].
pub fn compile(profile: &Profile, capabilities: CapSet) -> Result<Vec<u8>, SeccompError> {
    let release = rustix::system::uname();
    let kernel = profile::parse_kernel(&release.release().to_string_lossy()).unwrap_or_default();
    let rules: Vec<_> = profile.shape(capabilities, kernel).collect();
    let program = compile::compile(profile, &rules)?;
    let mut bytes = Vec::with_capacity(program.len() * 8);
    for instruction in program {
        bytes.extend(instruction.code.to_ne_bytes());
        bytes.extend([instruction.jump_true, instruction.jump_false]);
        bytes.extend(instruction.k.to_ne_bytes());
    }
    Ok(bytes)
}

/// The compiled filter of a container as a sealed memfd, for `LaunchFds`;
/// `None` for an unconfined one. Compiled filters are kept in the folder, by
/// the hash of what they were made of.
///
/// # Errors
/// The profile is none, or the memfd cannot be made.
pub fn filter(
    wanted: &Seccomp,
    capabilities: CapSet,
    cache: &Path,
) -> Result<Option<OwnedFd>, SeccompError> {
    let text = match wanted {
        Seccomp::Unconfined => return Ok(None),
        Seccomp::Default => None,
        Seccomp::Profile(text) => Some(text.as_str()),
    };
    let file = cache.join(cache_name(text, capabilities));
    let keep = |source| SeccompError::Keep { source };
    let program = match fs::read(&file) {
        Ok(program) if !program.is_empty() && program.len() % 8 == 0 => program,
        _ => {
            let profile = text.map_or_else(|| Ok(Profile::docker_default()), Profile::parse)?;
            let program = compile(&profile, capabilities)?;
            atomic::write(&file, &program, atomic::Durability::ThisBoot).map_err(keep)?;
            program
        }
    };
    sealed_memfd("seccomp", &program, MemfdFlags::NOEXEC_SEAL)
        .map(Some)
        .map_err(keep)
}

/// Everything that the program depends on.
fn cache_name(profile: Option<&str>, capabilities: CapSet) -> String {
    let mut hash = Sha256::new();
    let release = rustix::system::uname()
        .release()
        .to_string_lossy()
        .into_owned();
    let bits = capabilities.bits().to_string();
    let version = concat!(env!("CARGO_PKG_VERSION"), "/").to_owned() + GENERATOR;
    for part in [profile.unwrap_or_default(), &bits, &release, &version] {
        hash.update(part.len().to_le_bytes());
        hash.update(part);
    }
    format!("{:x}", hash.finalize())
}

/// Puts a compiled filter in force for the calling thread and what it executes.
/// Needs `CAP_SYS_ADMIN` or `no_new_privs`. Speculation mitigations are left as
/// they are, as runc does (`SECCOMP_FILTER_FLAG_SPEC_ALLOW`, Linux 4.17).
///
/// # Errors
/// seccomp(2) (Linux 3.17) failed.
pub fn install(filter: &[u8]) -> io::Result<()> {
    sys_bpf::install_filter(filter)
}

#[cfg(test)]
mod tests;
