//! Capabilities (capabilities(7)): names, Docker's default list, its rules for
//! `cap_add` and `cap_drop`, and giving the sets to the calling thread.
//!
//! When to change which set in relation to setuid(2) and the system call
//! filter is `init`'s business; [`limit_bounding`] comes before the change of
//! user, [`apply`] after it.

use fs_err as fs;
use oci_spec::runtime;
use rustix::thread::{self, CapabilitySet, CapabilitySets};

use crate::similar::similar_within;

/// Capabilities by number, as in `linux/capability.h`.
const NAMES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// The number of the last name above.
const LAST_KNOWN: u32 = 40;

/// What a container has unless its service says otherwise, as in Docker.
const DOCKER_DEFAULT: [&str; 14] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "FSETID",
    "FOWNER",
    "MKNOD",
    "NET_RAW",
    "SETGID",
    "SETUID",
    "SETFCAP",
    "SETPCAP",
    "NET_BIND_SERVICE",
    "SYS_CHROOT",
    "KILL",
    "AUDIT_WRITE",
];

/// The highest capability the running kernel knows.
const CAP_LAST_CAP: &str = "/proc/sys/kernel/cap_last_cap";

/// Why capabilities could not be understood or set.
#[derive(Debug, thiserror::Error)]
pub enum CapsError {
    /// No capability has this name.
    #[error("unknown capability `{name}`{}", suggestion.map(|s| format!(", did you mean `{s}`?")).unwrap_or_default())]
    Unknown {
        /// The name as given.
        name: String,
        /// A known name close to it.
        suggestion: Option<&'static str>,
    },
    /// The running kernel is older than the capability.
    #[error("the running kernel does not have capability `{name}`")]
    Unsupported {
        /// The name, with `CAP_`.
        name: String,
    },
    /// The kernel refused a change.
    #[error("cannot set the {what} capabilities")]
    Set {
        /// `bounding`, `ambient`, `effective, permitted and inheritable`.
        what: &'static str,
        /// The kernel's answer.
        #[source]
        source: rustix::io::Errno,
    },
}

/// A set of capabilities.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CapSet(u64);

impl CapSet {
    /// None.
    pub const EMPTY: Self = Self(0);

    /// Docker's default list.
    pub fn docker_default() -> Self {
        DOCKER_DEFAULT
            .iter()
            .filter_map(|name| number(name))
            .collect()
    }

    /// Everything that the running kernel has and that this process may pass
    /// on: within a container or a sandbox, root itself lacks some.
    pub fn all() -> Self {
        let last = fs::read_to_string(CAP_LAST_CAP)
            .ok()
            .and_then(|text| text.trim().parse::<u32>().ok())
            .unwrap_or(LAST_KNOWN);
        let may = |number: &u32| {
            let one = CapabilitySet::from_bits_retain(1 << number);
            thread::capability_is_in_bounding_set(one).unwrap_or(false)
        };
        (0..=last.min(63)).filter(may).collect()
    }

    /// Takes a name (`CAP_SYS_ADMIN`, `sys_admin`) into a number.
    ///
    /// # Errors
    /// [`CapsError::Unknown`].
    pub fn parse_name(name: &str) -> Result<u32, CapsError> {
        let upper = name.trim().to_ascii_uppercase();
        let bare = upper.strip_prefix("CAP_").unwrap_or(&upper);
        number(bare).ok_or_else(|| CapsError::Unknown {
            name: name.to_owned(),
            suggestion: closest(bare),
        })
    }

    /// What a container gets for `cap_add` and `cap_drop`, by Docker's rules:
    /// `ALL` added means everything but what is dropped by name; `ALL` dropped
    /// means what is added alone; otherwise drops come before additions.
    ///
    /// # Errors
    /// A name that nobody, or not the running kernel, knows.
    pub fn compute(add: &[String], drop: &[String]) -> Result<Self, CapsError> {
        let all = Self::all();
        let (add_all, add) = parse_list(add, all)?;
        let (drop_all, drop) = parse_list(drop, all)?;
        Ok(if add_all {
            all.without(drop)
        } else if drop_all {
            add
        } else {
            Self::docker_default().without(drop).with(add)
        })
    }

    /// Whether the capability of this number is in it.
    pub const fn has(self, number: u32) -> bool {
        number < 64 && self.0 & (1 << number) != 0
    }

    /// Both together.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Less those of the other.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// As the kernel has it: bit N is capability N.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// Names with `CAP_`, by number; a number without a name is left out.
    pub fn names(self) -> impl Iterator<Item = String> {
        (0_u32..)
            .zip(NAMES)
            .filter(move |(number, _)| self.has(*number))
            .map(|(_, name)| format!("CAP_{name}"))
    }

    /// As the OCI runtime spec has it.
    pub fn to_oci(self) -> runtime::Capabilities {
        (0_u32..)
            .zip(NAMES)
            .filter(|(number, _)| self.has(*number))
            .filter_map(|(_, name)| name.parse().ok())
            .collect()
    }

    /// From the OCI runtime spec's form.
    pub fn from_oci(capabilities: &runtime::Capabilities) -> Self {
        capabilities
            .iter()
            .filter_map(|capability| number(&capability.to_string()))
            .collect()
    }
}

impl FromIterator<u32> for CapSet {
    fn from_iter<I: IntoIterator<Item = u32>>(numbers: I) -> Self {
        numbers
            .into_iter()
            .filter(|number| *number < 64)
            .fold(Self::EMPTY, |set, number| Self(set.0 | 1 << number))
    }
}

/// The five sets of a thread.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sets {
    /// What can ever be gained by an exec.
    pub bounding: CapSet,
    /// What counts now.
    pub effective: CapSet,
    /// What can be made to count.
    pub permitted: CapSet,
    /// What a file's own inheritable set is combined with.
    pub inheritable: CapSet,
    /// What is kept over an exec of an ordinary program.
    pub ambient: CapSet,
}

impl Sets {
    /// From the OCI runtime spec's form; an absent set is empty.
    pub fn from_oci(spec: &runtime::LinuxCapabilities) -> Self {
        let set = |set: &Option<runtime::Capabilities>| {
            set.as_ref().map_or(CapSet::EMPTY, CapSet::from_oci)
        };
        Self {
            bounding: set(spec.bounding()),
            effective: set(spec.effective()),
            permitted: set(spec.permitted()),
            inheritable: set(spec.inheritable()),
            ambient: set(spec.ambient()),
        }
    }
}

/// Drops everything but `keep` from the calling thread's bounding set. Needs
/// `CAP_SETPCAP`, so it comes before the change of user.
///
/// # Errors
/// [`CapsError::Set`].
pub fn limit_bounding(keep: CapSet) -> Result<(), CapsError> {
    for number in (0..64).filter(|number| !keep.has(*number)) {
        let one = CapabilitySet::from_bits_retain(1 << number);
        match thread::remove_capability_from_bounding_set(one) {
            Ok(()) => {}
            // The first number that the running kernel does not know.
            Err(rustix::io::Errno::INVAL) => break,
            Err(source) => {
                return Err(CapsError::Set {
                    what: "bounding",
                    source,
                });
            }
        }
    }
    Ok(())
}

/// Gives the calling thread its effective, permitted, inheritable and ambient
/// sets. The bounding set is left as [`limit_bounding`] made it.
///
/// # Errors
/// [`CapsError::Set`]; asking for more than the thread is permitted is one.
pub fn apply(sets: &Sets) -> Result<(), CapsError> {
    let ambient_error = |source| CapsError::Set {
        what: "ambient",
        source,
    };
    thread::clear_ambient_capability_set().map_err(ambient_error)?;
    thread::set_capabilities(
        None,
        CapabilitySets {
            effective: CapabilitySet::from_bits_retain(sets.effective.0),
            permitted: CapabilitySet::from_bits_retain(sets.permitted.0),
            inheritable: CapabilitySet::from_bits_retain(sets.inheritable.0),
        },
    )
    .map_err(|source| CapsError::Set {
        what: "effective, permitted and inheritable",
        source,
    })?;
    for number in (0..64).filter(|number| sets.ambient.has(*number)) {
        thread::configure_capability_in_ambient_set(
            CapabilitySet::from_bits_retain(1 << number),
            true,
        )
        .map_err(ambient_error)?;
    }
    Ok(())
}

fn number(bare: &str) -> Option<u32> {
    let index = NAMES.iter().position(|name| *name == bare)?;
    u32::try_from(index).ok()
}

/// A known name that `bare` is surely a slip of: what is suggested gives rights away.
fn closest(bare: &str) -> Option<&'static str> {
    let most = match bare.len() {
        0..=2 => 0,
        3..=8 => 1,
        _ => 2,
    };
    similar_within(bare, NAMES.into_iter(), most)
}

/// Splits `ALL` from the named ones.
fn parse_list(names: &[String], all: CapSet) -> Result<(bool, CapSet), CapsError> {
    let mut everything = false;
    let mut set = CapSet::EMPTY;
    for name in names {
        let upper = name.trim().to_ascii_uppercase();
        if matches!(upper.as_str(), "ALL" | "CAP_ALL") {
            everything = true;
            continue;
        }
        let number = CapSet::parse_name(name)?;
        if !all.has(number) {
            return Err(CapsError::Unsupported {
                name: format!("CAP_{}", upper.trim_start_matches("CAP_")),
            });
        }
        set = set.with(std::iter::once(number).collect());
    }
    Ok((everything, set))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compute(add: &[&str], drop: &[&str]) -> Vec<String> {
        let owned = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
        CapSet::compute(&owned(add), &owned(drop))
            .unwrap()
            .names()
            .collect()
    }

    #[test]
    fn compute_follows_dockers_rules() {
        let default: Vec<String> = CapSet::docker_default().names().collect();
        assert_eq!(default.len(), 14);
        assert_eq!(compute(&[], &[]), default);
        assert_eq!(compute(&[], &["all"]), Vec::<String>::new());
        assert_eq!(compute(&["NET_ADMIN"], &["ALL"]), ["CAP_NET_ADMIN"]);
        // An addition wins over a drop of the same name.
        assert_eq!(compute(&["cap_chown"], &["CHOWN"]), default);
        assert!(!compute(&[], &["CHOWN"]).contains(&"CAP_CHOWN".to_owned()));
        let all: Vec<String> = CapSet::all().names().collect();
        assert_eq!(compute(&["ALL"], &["ALL"]), all);
        assert_eq!(compute(&["ALL"], &["CAP_SYS_ADMIN"]).len(), all.len() - 1);
    }

    #[test]
    fn unknown_names_are_refused_with_a_suggestion() {
        let error = CapSet::compute(&["NET_ADMN".to_owned()], &[]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "unknown capability `NET_ADMN`, did you mean `NET_ADMIN`?"
        );
    }

    #[test]
    fn what_is_suggested_is_one_slip_away() {
        for (name, meant) in [
            ("ONE", None),
            ("NOPE", None),
            ("B", None),
            ("BFP", Some("BPF")),
            ("KIL", Some("KILL")),
            ("SYSADMIN", Some("SYS_ADMIN")),
            ("DAC_OVERIDDE", Some("DAC_OVERRIDE")),
            ("SYS_FOO", None),
        ] {
            assert_eq!(closest(name), meant, "{name}");
        }
    }

    #[test]
    fn oci_form_and_back_is_the_same() {
        let all = CapSet::all();
        assert_eq!(CapSet::from_oci(&all.to_oci()), all);
        let default = CapSet::docker_default();
        assert_eq!(CapSet::from_oci(&default.to_oci()), default);
    }

    /// Capabilities belong to a thread, so one made for the purpose is enough.
    #[test]
    fn apply_sets_what_the_kernel_then_reports() {
        assert!(rustix::process::geteuid().is_root(), "this test needs root");
        let status = std::thread::spawn(|| {
            let list = CapSet::docker_default();
            limit_bounding(list).unwrap();
            apply(&Sets {
                bounding: list,
                effective: list,
                permitted: list,
                ..Sets::default()
            })
            .unwrap();
            fs::read_to_string("/proc/thread-self/status").unwrap()
        })
        .join()
        .unwrap();
        let line = |name: &str| {
            let start = status.lines().find(|l| l.starts_with(name)).unwrap();
            u64::from_str_radix(start.split_whitespace().nth(1).unwrap(), 16).unwrap()
        };
        let list = CapSet::docker_default().bits();
        for (name, want) in [
            ("CapInh", 0),
            ("CapPrm", list),
            ("CapEff", list),
            ("CapBnd", list),
            ("CapAmb", 0),
        ] {
            assert_eq!(line(name), want, "{name}");
        }
    }
}
