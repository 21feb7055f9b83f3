//! Resource limits, as far as a process may set them. See getrlimit(2).

use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::oci_default::{RlimitValue, default_rlimits};

const NR_OPEN: &str = "/proc/sys/fs/nr_open";
const THREADS_MAX: &str = "/proc/sys/kernel/threads-max";

/// Sets a limit of the calling process; where it is above what the process may
/// have, the highest that it may.
///
/// That is the kernel's ceiling for open files, and for a root without
/// `CAP_SYS_RESOURCE` the hard limit that it came with.
///
/// # Errors
/// What setrlimit(2) has against it otherwise.
pub fn set_within_reach(resource: Resource, limit: Rlimit) -> Result<(), Errno> {
    match setrlimit(resource, limit) {
        Err(Errno::PERM) => {
            let mut ceiling = getrlimit(resource).maximum;
            if resource == Resource::Nofile {
                ceiling = lower(ceiling, read_number(NR_OPEN));
            }
            let reachable = Rlimit {
                current: lower(limit.current, ceiling),
                maximum: lower(limit.maximum, ceiling),
            };
            setrlimit(resource, reachable)
        }
        other => other,
    }
}

/// Docker's default of every limit, whatever the caller's are. Reads the host's
/// `/proc/sys`.
pub fn defaults() -> impl Iterator<Item = (Resource, Rlimit)> {
    default_rlimits().into_iter().map(|(resource, default)| {
        let (current, maximum) = match default {
            RlimitValue::Fixed { soft, hard } => (soft, hard),
            // The kernel's own: half of the threads that it allows.
            RlimitValue::KernelTasks => {
                let tasks = read_number(THREADS_MAX).map(|threads| threads / 2);
                (tasks, tasks)
            }
        };
        (resource, Rlimit { current, maximum })
    })
}

/// The lower of two limits, `None` being unlimited.
fn lower(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

fn read_number(path: &str) -> Option<u64> {
    fs_err::read_to_string(path).ok()?.trim().parse().ok()
}
