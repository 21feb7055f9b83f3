//! Resource limits, as far as a process may set them. See getrlimit(2).

use oci_spec::runtime::{PosixRlimit, PosixRlimitBuilder, PosixRlimitType};
use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::oci_default::{RlimitValue, default_rlimits};
use crate::similar::similar;

const NR_OPEN: &str = "/proc/sys/fs/nr_open";
const THREADS_MAX: &str = "/proc/sys/kernel/threads-max";

/// What limits are called, as `ulimits` has it: getrlimit(2) without `RLIMIT_`.
const NAMES: [&str; 16] = [
    "as",
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
];

/// A limit by its name, with its soft and hard value; -1 is none.
///
/// # Errors
/// There is no such limit, or the soft one is above the hard one: why, as it fits
/// behind the attribute or the option that says it.
pub fn limit(name: &str, soft: i64, hard: i64) -> Result<PosixRlimit, String> {
    let spelt = format!("RLIMIT_{}", name.to_ascii_uppercase());
    let kind: PosixRlimitType = spelt.parse().map_err(|_| unknown(name))?;
    // -1 is the kernel's spelling of "without limit".
    let number = |value: i64| u64::try_from(value).unwrap_or(u64::MAX);
    let (soft, hard) = (number(soft), number(hard));
    if soft > hard {
        return Err(format!(
            "the soft limit {soft} is above the hard limit {hard}"
        ));
    }
    PosixRlimitBuilder::default()
        .typ(kind)
        .soft(soft)
        .hard(hard)
        .build()
        .map_err(|error| error.to_string())
}

fn unknown(name: &str) -> String {
    let meant = similar(name, NAMES.into_iter());
    let meant = meant.map_or_else(String::new, |known| format!("; did you mean `{known}`?"));
    format!(
        "`{name}` is not a limit of this system; there are {} (getrlimit(2)){meant}",
        NAMES.join(", ")
    )
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_limit_has_a_name() {
        for name in NAMES {
            let limit = limit(name, 1, -1).unwrap();
            assert_eq!((limit.soft(), limit.hard()), (1, u64::MAX), "{name}");
        }
    }

    #[test]
    fn what_is_no_limit_is_told_with_those_that_are() {
        for (name, soft, hard, part) in [
            ("foo", 1, 1, "`foo` is not a limit of this system"),
            ("foo", 1, 1, "there are as, core, cpu"),
            (
                "nofiles",
                1,
                1,
                "stack (getrlimit(2)); did you mean `nofile`?",
            ),
            ("nofile", 3, 2, "the soft limit 3 is above the hard limit 2"),
            ("nofile", -1, 2, "is above the hard limit 2"),
        ] {
            let told = limit(name, soft, hard).unwrap_err();
            assert!(told.contains(part), "{told}");
        }
    }
}
