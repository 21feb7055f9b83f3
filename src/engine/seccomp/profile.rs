//! Profiles: rules as they are written, and which of them count for one
//! container on one kernel.
//!
//! The JSON is Docker's (docs.docker.com, "Seccomp security profiles for
//! Docker"), which contains what the OCI runtime spec has.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::SeccompError;
use super::arch::Arch;
use crate::engine::caps::CapSet;

/// A kernel's version, as far as rules look at it.
pub(super) type KernelVersion = (u32, u32);

/// What a filter answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Allow,
    /// The call fails with this errno.
    Errno(u16),
    KillThread,
    KillProcess,
    /// Allowed, and noted in the kernel's log.
    Log,
    /// A tracer is told this number.
    Trace(u16),
    /// SIGSYS.
    Trap,
}

/// A test of one argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Test {
    Equal(u64),
    NotEqual(u64),
    Less(u64),
    LessOrEqual(u64),
    Greater(u64),
    GreaterOrEqual(u64),
    /// The argument under the mask is the value.
    Masked {
        mask: u64,
        value: u64,
    },
}

/// A test and the argument it is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Condition {
    /// 0 to 5.
    pub(super) argument: u8,
    pub(super) test: Test,
}

/// Names of architectures as a rule gives them; none means any.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Arches(Vec<String>);

impl Arches {
    pub(super) fn of(names: &[&str]) -> Self {
        Self(names.iter().map(|name| (*name).to_owned()).collect())
    }

    fn name(&self, arch: Arch) -> bool {
        self.0.iter().any(|name| name == arch.docker_name())
    }
}

/// What makes a rule count, or not count. A capability that nobody knows is
/// `None`: no container has it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Needs {
    pub(super) capabilities: Vec<Option<u32>>,
    pub(super) arches: Arches,
    pub(super) min_kernel: Option<KernelVersion>,
}

/// System calls with one answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) names: Vec<String>,
    pub(super) action: Action,
    /// All must hold; but several of one argument are alternatives.
    pub(super) conditions: Vec<Condition>,
    /// The rule counts where all of this holds,
    pub(super) needs: Needs,
    /// and nothing of this.
    pub(super) unless: Needs,
}

impl Rule {
    /// Allows calls named in a text, separated by white space.
    pub(super) fn allow(names: &str) -> Self {
        Self {
            names: names.split_whitespace().map(str::to_owned).collect(),
            action: Action::Allow,
            conditions: Vec::new(),
            needs: Needs::default(),
            unless: Needs::default(),
        }
    }

    pub(super) fn allow_if(names: &str, condition: Condition) -> Self {
        Self {
            conditions: vec![condition],
            ..Self::allow(names)
        }
    }

    /// Whether it counts for a container with these capabilities.
    fn counts(&self, capabilities: CapSet, kernel: KernelVersion, native: Arch) -> bool {
        let has = |number: &Option<u32>| number.is_some_and(|number| capabilities.has(number));
        let (needs, unless) = (&self.needs, &self.unless);
        needs.capabilities.iter().all(has)
            && (needs.arches.0.is_empty() || needs.arches.name(native))
            && needs.min_kernel.is_none_or(|min| kernel >= min)
            && !unless.capabilities.iter().any(has)
            && !unless.arches.name(native)
            && unless.min_kernel.is_none_or(|min| kernel < min)
    }
}

/// A system call filter as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// The answer where no rule counts.
    pub(super) default: Action,
    /// The architectures it is for; those the kernel does not run are harmless.
    pub(super) arches: BTreeSet<Arch>,
    pub(super) rules: Vec<Rule>,
}

impl Profile {
    /// Docker's default profile.
    pub fn docker_default() -> Self {
        super::default::profile()
    }

    /// Reads a profile in Docker's JSON format.
    ///
    /// # Errors
    /// No such JSON, or an action or operator that does not exist, or one
    /// that skiff does not serve (`SCMP_ACT_NOTIFY`).
    pub fn parse(text: &str) -> Result<Self, SeccompError> {
        let raw: RawProfile =
            serde_json::from_str(text).map_err(|source| SeccompError::Syntax { source })?;
        let native = Arch::NATIVE;
        let mut arches = BTreeSet::from([native]);
        match (&raw.arch_map, &raw.architectures) {
            (Some(_), Some(list)) if !list.is_empty() => return Err(SeccompError::TwoArchLists),
            (Some(map), _) => arches.extend(
                map.iter()
                    .filter(|entry| Arch::from_profile(&entry.architecture) == Some(native))
                    .flat_map(|entry| entry.sub_architectures.iter().flatten())
                    .filter_map(|name| Arch::from_profile(name)),
            ),
            (None, Some(list)) => {
                arches.extend(list.iter().filter_map(|name| Arch::from_profile(name)));
            }
            (None, None) => {}
        }
        Ok(Self {
            default: action(&raw.default_action, raw.default_errno_ret)?,
            arches,
            rules: raw
                .syscalls
                .into_iter()
                .flatten()
                .map(RawRule::resolve)
                .collect::<Result<_, _>>()?,
        })
    }

    /// The rules that count for one container.
    pub(super) fn shape(
        &self,
        capabilities: CapSet,
        kernel: KernelVersion,
    ) -> impl Iterator<Item = &Rule> {
        self.rules
            .iter()
            .filter(move |rule| rule.counts(capabilities, kernel, Arch::NATIVE))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawProfile {
    default_action: String,
    default_errno_ret: Option<u16>,
    architectures: Option<Vec<String>>,
    arch_map: Option<Vec<RawArchMap>>,
    syscalls: Option<Vec<RawRule>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawArchMap {
    architecture: String,
    sub_architectures: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawRule {
    name: Option<String>,
    names: Option<Vec<String>>,
    action: String,
    errno_ret: Option<u16>,
    args: Option<Vec<RawCondition>>,
    #[serde(default)]
    includes: RawNeeds,
    #[serde(default)]
    excludes: RawNeeds,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawCondition {
    index: u8,
    value: u64,
    #[serde(default)]
    value_two: u64,
    op: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct RawNeeds {
    caps: Option<Vec<String>>,
    arches: Option<Vec<String>>,
    min_kernel: Option<String>,
}

impl RawRule {
    fn resolve(self) -> Result<Rule, SeccompError> {
        let mut names = self.names.unwrap_or_default();
        names.extend(self.name.filter(|name| !name.is_empty()));
        Ok(Rule {
            names,
            action: action(&self.action, self.errno_ret)?,
            conditions: self
                .args
                .into_iter()
                .flatten()
                .map(RawCondition::resolve)
                .collect::<Result<_, _>>()?,
            needs: self.includes.resolve()?,
            unless: self.excludes.resolve()?,
        })
    }
}

impl RawCondition {
    fn resolve(self) -> Result<Condition, SeccompError> {
        if self.index > 5 {
            return Err(SeccompError::NoSuchArgument { index: self.index });
        }
        let value = self.value;
        let test = match self.op.as_str() {
            "SCMP_CMP_EQ" => Test::Equal(value),
            "SCMP_CMP_NE" => Test::NotEqual(value),
            "SCMP_CMP_LT" => Test::Less(value),
            "SCMP_CMP_LE" => Test::LessOrEqual(value),
            "SCMP_CMP_GT" => Test::Greater(value),
            "SCMP_CMP_GE" => Test::GreaterOrEqual(value),
            "SCMP_CMP_MASKED_EQ" => Test::Masked {
                mask: value,
                value: self.value_two,
            },
            _ => return Err(SeccompError::UnknownOperator { name: self.op }),
        };
        Ok(Condition {
            argument: self.index,
            test,
        })
    }
}

impl RawNeeds {
    fn resolve(self) -> Result<Needs, SeccompError> {
        let min_kernel = self.min_kernel.filter(|text| !text.is_empty());
        Ok(Needs {
            capabilities: self
                .caps
                .into_iter()
                .flatten()
                .map(|name| CapSet::parse_name(&name).ok())
                .collect(),
            arches: Arches(self.arches.unwrap_or_default()),
            min_kernel: min_kernel
                .map(|text| parse_kernel(&text).ok_or(SeccompError::BadKernel { text }))
                .transpose()?,
        })
    }
}

/// The numbers at the head of `4.8`, `6.1.0-18-amd64`.
pub(super) fn parse_kernel(text: &str) -> Option<KernelVersion> {
    let mut numbers = text.split(|c: char| !c.is_ascii_digit());
    let major = numbers.next()?.parse().ok()?;
    let minor = numbers.next()?.parse().ok()?;
    Some((major, minor))
}

/// Errnos are EPERM unless given, as in runc.
fn action(name: &str, errno: Option<u16>) -> Result<Action, SeccompError> {
    let number = errno.unwrap_or(super::EPERM);
    Ok(match name {
        "SCMP_ACT_ALLOW" => Action::Allow,
        "SCMP_ACT_ERRNO" => Action::Errno(number),
        "SCMP_ACT_KILL" | "SCMP_ACT_KILL_THREAD" => Action::KillThread,
        "SCMP_ACT_KILL_PROCESS" => Action::KillProcess,
        "SCMP_ACT_LOG" => Action::Log,
        "SCMP_ACT_TRACE" => Action::Trace(number),
        "SCMP_ACT_TRAP" => Action::Trap,
        "SCMP_ACT_NOTIFY" => return Err(SeccompError::Notify),
        _ => {
            return Err(SeccompError::UnknownAction {
                name: name.to_owned(),
            });
        }
    })
}
