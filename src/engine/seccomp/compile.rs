//! From rules to a classic BPF program (the kernel's `seccomp_filter.rst`).
//!
//! A program per architecture, and in it a binary search over *runs*: ranges of
//! numbers with the same answer. A call costs some ten instructions, whatever
//! its number. Calls newer than every one that the profile names get ENOSYS
//! instead of a refusal, as in runc, so that libraries fall back.

use std::collections::BTreeMap;

use super::arch::{Arch, X32_BIT};
use super::numbers::number;
use super::profile::{Action, Condition, Profile, Rule, Test};
use super::{ENOSYS, SeccompError};

/// The kernel's limit (`BPF_MAXINSNS`).
const MAX_INSTRUCTIONS: usize = 4096;

/// Private calls of 32-bit Arm begin here; they say nothing of how new a
/// profile is.
const ARM_PRIVATE: u32 = 0x0f_0000;

/// `struct sock_filter`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Instruction {
    pub(super) code: u16,
    pub(super) jump_true: u8,
    pub(super) jump_false: u8,
    pub(super) k: u32,
}

// Codes of linux/bpf_common.h.
pub(super) const LOAD: u16 = 0x20;
pub(super) const AND: u16 = 0x54;
pub(super) const JUMP: u16 = 0x05;
pub(super) const JUMP_EQUAL: u16 = 0x15;
pub(super) const JUMP_GREATER: u16 = 0x25;
pub(super) const JUMP_GREATER_EQUAL: u16 = 0x35;
pub(super) const JUMP_SET: u16 = 0x45;
pub(super) const RETURN: u16 = 0x06;

/// Offsets in `struct seccomp_data`.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const ARGUMENTS: u32 = 16;

/// `SECCOMP_RET_*`.
const RET_KILL_PROCESS: u32 = 0x8000_0000;
const RET_KILL_THREAD: u32 = 0;
const RET_TRAP: u32 = 0x0003_0000;
const RET_ERRNO: u32 = 0x0005_0000;
const RET_TRACE: u32 = 0x7ff0_0000;
const RET_LOG: u32 = 0x7ffc_0000;
const RET_ALLOW: u32 = 0x7fff_0000;

impl Action {
    fn value(self) -> u32 {
        match self {
            Self::Allow => RET_ALLOW,
            Self::Errno(errno) => RET_ERRNO | u32::from(errno),
            Self::KillThread => RET_KILL_THREAD,
            Self::KillProcess => RET_KILL_PROCESS,
            Self::Log => RET_LOG,
            Self::Trace(number) => RET_TRACE | u32::from(number),
            Self::Trap => RET_TRAP,
        }
    }

    /// Whether a call that no rule names is kept from happening.
    fn refuses(self) -> bool {
        match self {
            Self::Errno(errno) => errno != ENOSYS,
            Self::KillThread | Self::KillProcess | Self::Trap => true,
            Self::Allow | Self::Log | Self::Trace(_) => false,
        }
    }
}

const fn statement(code: u16, k: u32) -> Instruction {
    branch(code, k, 0, 0)
}

const fn branch(code: u16, k: u32, jump_true: u8, jump_false: u8) -> Instruction {
    Instruction {
        code,
        jump_true,
        jump_false,
        k,
    }
}

const fn ret(value: u32) -> Instruction {
    statement(RETURN, value)
}

/// A jump over code of any length.
fn over(code: &[Instruction]) -> Instruction {
    // Programs have 4096 instructions at most, so the length fits.
    statement(JUMP, u32::try_from(code.len()).unwrap_or(u32::MAX))
}

/// Compiles the rules that count.
pub(super) fn compile(
    profile: &Profile,
    rules: &[&Rule],
) -> Result<Vec<Instruction>, SeccompError> {
    let has_x32 = profile.arches.contains(&Arch::X32);
    let mut program = vec![statement(LOAD, ARCHITECTURE)];
    for arch in profile
        .arches
        .iter()
        .copied()
        .filter(|arch| *arch != Arch::X32)
    {
        let mut section = vec![statement(LOAD, NUMBER)];
        let search = search(profile.default, rules, arch);
        if arch == Arch::X86_64 {
            section.push(branch(JUMP_SET, X32_BIT, 0, 1));
            section.push(over(&search));
            section.extend(search);
            if has_x32 {
                section.push(statement(AND, !X32_BIT));
                section.extend(self::search(profile.default, rules, Arch::X32));
            } else {
                section.push(ret(RET_KILL_PROCESS));
            }
        } else {
            section.extend(search);
        }
        program.push(branch(JUMP_EQUAL, arch.audit(), 1, 0));
        program.push(over(&section));
        program.extend(section);
    }
    program.push(ret(RET_KILL_PROCESS));
    if program.len() > MAX_INSTRUCTIONS {
        return Err(SeccompError::TooLong {
            instructions: program.len(),
        });
    }
    Ok(program)
}

/// What is answered to one number.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Answer {
    Always(Action),
    /// The first whose conditions hold, else the profile's default.
    Depends(Vec<(Vec<Condition>, Action)>),
}

/// Code that finds the answer to the number in the accumulator.
fn search(default: Action, rules: &[&Rule], arch: Arch) -> Vec<Instruction> {
    let mut answers = BTreeMap::new();
    let mut newest = None;
    for rule in rules {
        for number in rule.names.iter().filter_map(|name| number(arch, name)) {
            if number < ARM_PRIVATE {
                newest = newest.max(Some(number));
            }
            if rule.action != default {
                add(&mut answers, number, rule);
            }
        }
    }
    let runs = runs(default, &answers, newest);
    tree(&runs, default, arch)
}

/// A rule without conditions settles a number, whatever came before; of two of
/// these the first counts (as libseccomp has it).
fn add(answers: &mut BTreeMap<u32, Answer>, number: u32, rule: &Rule) {
    let answer = answers
        .entry(number)
        .or_insert_with(|| Answer::Depends(Vec::new()));
    let Answer::Depends(list) = answer else {
        return;
    };
    if rule.conditions.is_empty() {
        *answer = Answer::Always(rule.action);
        return;
    }
    let mut arguments: Vec<_> = rule.conditions.iter().map(|c| c.argument).collect();
    arguments.sort_unstable();
    let repeated = arguments
        .windows(2)
        .any(|pair| matches!(pair, [a, b] if a == b));
    if repeated {
        let each = rule.conditions.iter().map(|c| (vec![*c], rule.action));
        list.extend(each);
    } else {
        list.push((rule.conditions.clone(), rule.action));
    }
}

/// All numbers, as starts of ranges with the same answer.
fn runs(
    default: Action,
    answers: &BTreeMap<u32, Answer>,
    newest: Option<u32>,
) -> Vec<(u32, Answer)> {
    let rest = |start: u32| {
        let too_new = newest.is_some_and(|newest| start > newest) && default.refuses();
        Answer::Always(if too_new {
            Action::Errno(ENOSYS)
        } else {
            default
        })
    };
    let gaps = std::iter::once(0)
        .chain(newest.map(|newest| newest + 1))
        .chain(answers.keys().map(|number| number + 1));
    let mut points: BTreeMap<u32, Answer> = gaps.map(|start| (start, rest(start))).collect();
    points.extend(
        answers
            .iter()
            .map(|(number, answer)| (*number, answer.clone())),
    );
    let mut runs: Vec<_> = points.into_iter().collect();
    runs.dedup_by(|later, earlier| later.1 == earlier.1);
    runs
}

/// A binary search over runs.
fn tree(runs: &[(u32, Answer)], default: Action, arch: Arch) -> Vec<Instruction> {
    let (low, high) = runs.split_at(runs.len() / 2);
    let Some((start, answer)) = high.first() else {
        return vec![ret(default.value())];
    };
    if low.is_empty() {
        return leaf(answer, default, arch);
    }
    let (low, high) = (tree(low, default, arch), tree(high, default, arch));
    let mut code = match u8::try_from(low.len()) {
        Ok(length) => vec![branch(JUMP_GREATER_EQUAL, *start, length, 0)],
        Err(_) => vec![branch(JUMP_GREATER_EQUAL, *start, 0, 1), over(&low)],
    };
    code.extend(low);
    code.extend(high);
    code
}

fn leaf(answer: &Answer, default: Action, arch: Arch) -> Vec<Instruction> {
    match answer {
        Answer::Always(action) => vec![ret(action.value())],
        Answer::Depends(list) => {
            let mut code = Vec::new();
            for (conditions, action) in list {
                code.extend(check(conditions, *action, arch));
            }
            code.push(ret(default.value()));
            code
        }
    }
}

/// Returns the action if all conditions hold, else runs on after itself. Six
/// conditions of six instructions at most, so short jumps reach.
fn check(conditions: &[Condition], action: Action, arch: Arch) -> Vec<Instruction> {
    let mut code = vec![ret(action.value())];
    for condition in conditions.iter().rev() {
        let failed = u8::try_from(code.len()).unwrap_or(u8::MAX);
        let mut test = test(*condition, arch, failed);
        test.extend(code);
        code = test;
    }
    code
}

/// Where a jump of a [`test`] goes.
#[derive(Clone, Copy)]
enum Target {
    /// The next instruction.
    Next,
    /// After the test: it holds.
    Holds,
    /// It does not.
    Fails,
}

/// Code for one condition. It runs on where the condition holds, else jumps
/// over `failed` further instructions.
fn test(condition: Condition, arch: Arch, failed: u8) -> Vec<Instruction> {
    use Target::{Fails, Holds, Next};
    let low_at = ARGUMENTS + 8 * u32::from(condition.argument);
    let high = |value: u64| u32::try_from(value >> 32).unwrap_or(u32::MAX);
    let low = |value: u64| u32::try_from(value & 0xffff_ffff).unwrap_or(u32::MAX);
    // Each line: a jump on the word loaded last, and both its targets.
    let (mask, first, second) = match condition.test {
        Test::Equal(v) => (
            None,
            vec![(JUMP_EQUAL, high(v), Next, Fails)],
            (JUMP_EQUAL, low(v), Holds, Fails),
        ),
        Test::NotEqual(v) => (
            None,
            vec![(JUMP_EQUAL, high(v), Next, Holds)],
            (JUMP_EQUAL, low(v), Fails, Holds),
        ),
        Test::Greater(v) => (None, above(high(v)), (JUMP_GREATER, low(v), Holds, Fails)),
        Test::GreaterOrEqual(v) => (
            None,
            above(high(v)),
            (JUMP_GREATER_EQUAL, low(v), Holds, Fails),
        ),
        Test::Less(v) => (
            None,
            below(high(v)),
            (JUMP_GREATER_EQUAL, low(v), Fails, Holds),
        ),
        Test::LessOrEqual(v) => (None, below(high(v)), (JUMP_GREATER, low(v), Fails, Holds)),
        Test::Masked { mask, value } => (
            Some((high(mask), low(mask))),
            vec![(JUMP_EQUAL, high(value), Next, Fails)],
            (JUMP_EQUAL, low(value), Holds, Fails),
        ),
    };
    let mut lines: Vec<(Instruction, Target, Target)> = Vec::new();
    // The words of an argument lie low first on the machines skiff runs on.
    if arch.is_64_bit() {
        lines.push((statement(LOAD, low_at + 4), Next, Next));
        if let Some((mask, _)) = mask {
            lines.push((statement(AND, mask), Next, Next));
        }
        lines.extend(
            first
                .into_iter()
                .map(|(code, k, t, f)| (statement(code, k), t, f)),
        );
    }
    lines.push((statement(LOAD, low_at), Next, Next));
    if let Some((_, mask)) = mask {
        lines.push((statement(AND, mask), Next, Next));
    }
    let (code, k, on_true, on_false) = second;
    lines.push((statement(code, k), on_true, on_false));
    let count = lines.len();
    let distance = |target: Target, index: usize| {
        let to_end = u8::try_from(count - index - 1).unwrap_or(u8::MAX);
        match target {
            Next => 0,
            Holds => to_end,
            Fails => to_end + failed,
        }
    };
    lines
        .into_iter()
        .enumerate()
        .map(|(index, (line, on_true, on_false))| {
            branch(
                line.code,
                line.k,
                distance(on_true, index),
                distance(on_false, index),
            )
        })
        .collect()
}

type Line = (u16, u32, Target, Target);

/// The high word decides unless it is equal.
fn above(high: u32) -> Vec<Line> {
    vec![
        (JUMP_GREATER, high, Target::Holds, Target::Next),
        (JUMP_EQUAL, high, Target::Next, Target::Fails),
    ]
}

fn below(high: u32) -> Vec<Line> {
    vec![
        (JUMP_GREATER, high, Target::Fails, Target::Next),
        (JUMP_EQUAL, high, Target::Next, Target::Holds),
    ]
}
