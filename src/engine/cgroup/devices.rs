//! Which devices a container may use: the OCI spec's `linux.resources.devices`.
//!
//! The last rule that names a device and a kind of access decides. Version 1
//! has files for that; on version 2 a program answers (the kernel's
//! `cgroup-v2.rst`, "Device controller"), which is made here.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use oci_spec::runtime::{LinuxDeviceCgroup, LinuxDeviceType};

use super::error::CgroupError;
use super::files;
use crate::engine::sys_bpf::{self, Instruction};

const DEVICES: &str = "access to devices";

/// Read, write and make, as the kernel's `BPF_DEVCG_ACC_*`.
const MAKE: i32 = 1;
const READ: i32 = 2;
const WRITE: i32 = 4;
const EVERY_ACCESS: i32 = MAKE | READ | WRITE;

/// `BPF_DEVCG_DEV_*`.
const BLOCK: i32 = 1;
const CHARACTER: i32 = 2;

/// One rule, checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rule {
    allow: bool,
    /// [`BLOCK`], [`CHARACTER`], or both.
    kind: Option<i32>,
    major: Option<i32>,
    minor: Option<i32>,
    access: i32,
}

impl Rule {
    /// Whether it is about everything, so that rules before it do not count.
    fn is_total(&self) -> bool {
        self.kind.is_none()
            && self.major.is_none()
            && self.minor.is_none()
            && self.access == EVERY_ACCESS
    }

    /// As `devices.allow` and `devices.deny` take it.
    fn v1_text(&self, kind: char) -> String {
        let number = |n: Option<i32>| n.map_or_else(|| "*".to_owned(), |n| n.to_string());
        let access: String = [(READ, 'r'), (WRITE, 'w'), (MAKE, 'm')]
            .into_iter()
            .filter(|(bit, _)| self.access & bit != 0)
            .map(|(_, letter)| letter)
            .collect();
        format!(
            "{kind} {}:{} {access}",
            number(self.major),
            number(self.minor)
        )
    }
}

/// Checks the rules of a spec.
pub(super) fn parse(rules: &[LinuxDeviceCgroup]) -> Result<Vec<Rule>, CgroupError> {
    rules.iter().map(parse_rule).collect()
}

fn parse_rule(rule: &LinuxDeviceCgroup) -> Result<Rule, CgroupError> {
    let invalid = |reason: String| CgroupError::Invalid {
        limit: DEVICES,
        reason,
    };
    let kind = match rule.typ() {
        None | Some(LinuxDeviceType::A) => None,
        Some(LinuxDeviceType::B) => Some(BLOCK),
        Some(LinuxDeviceType::C | LinuxDeviceType::U) => Some(CHARACTER),
        Some(LinuxDeviceType::P) => return Err(invalid("a FIFO is no device".to_owned())),
    };
    // A negative number, in Docker's specs, is any number.
    let number = |n: Option<i64>| {
        n.filter(|n| *n >= 0)
            .map(|n| i32::try_from(n).map_err(|_| invalid(format!("`{n}` is no device number"))))
            .transpose()
    };
    let mut access = 0;
    for letter in rule
        .access()
        .as_deref()
        .filter(|text| !text.is_empty())
        .unwrap_or("rwm")
        .chars()
    {
        access |= match letter {
            'r' => READ,
            'w' => WRITE,
            'm' => MAKE,
            other => return Err(invalid(format!("`{other}` is none of `r`, `w` and `m`"))),
        };
    }
    Ok(Rule {
        allow: rule.allow(),
        kind,
        major: number(rule.major())?,
        minor: number(rule.minor())?,
        access,
    })
}

/// Writes the rules to a version 1 group, in their order.
pub(super) fn write_v1(folder: &Path, rules: &[Rule]) -> Result<(), CgroupError> {
    for (file, value) in plan_v1(rules) {
        files::write(&folder.join(file), &value)?;
    }
    Ok(())
}

fn plan_v1(rules: &[Rule]) -> Vec<(&'static str, String)> {
    let from = rules.iter().rposition(Rule::is_total).unwrap_or(0);
    let mut lines = Vec::new();
    for rule in rules.get(from..).unwrap_or_default() {
        let file = if rule.allow {
            "devices.allow"
        } else {
            "devices.deny"
        };
        match rule.kind {
            _ if rule.is_total() => lines.push((file, "a".to_owned())),
            // The kernel reads `a` as everything, whatever numbers follow.
            None => lines.extend([(file, rule.v1_text('b')), (file, rule.v1_text('c'))]),
            Some(BLOCK) => lines.push((file, rule.v1_text('b'))),
            Some(_) => lines.push((file, rule.v1_text('c'))),
        }
    }
    lines
}

/// Attaches the rules to a version 2 group.
pub(super) fn attach_v2(group: &OwnedFd, rules: &[Rule]) -> Result<(), CgroupError> {
    let program = sys_bpf::load_device_program(&compile(rules)).map_err(|source| {
        CgroupError::DeviceProgram {
            step: "load",
            source,
        }
    })?;
    sys_bpf::attach_device_program(group.as_fd(), program.as_fd()).map_err(|source| {
        CgroupError::DeviceProgram {
            step: "attach",
            source,
        }
    })
}

// Registers of the program. The kernel passes `struct bpf_cgroup_dev_ctx`
// (three words: access and type, major, minor) in the first argument.
const RESULT: u8 = 0;
const CONTEXT: u8 = 1;
const KIND: u8 = 2;
/// Bits of access that no rule has decided yet.
const OPEN: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;
const SCRATCH: u8 = 6;

// Instruction codes of linux/bpf.h: class | operation | source.
const LOAD_WORD: u8 = 0x61;
const MOVE: u8 = 0xb4;
const MOVE_REGISTER: u8 = 0xbc;
const AND: u8 = 0x54;
const SHIFT_RIGHT: u8 = 0x74;
const JUMP_UNEQUAL: u8 = 0x55;
const JUMP_EQUAL: u8 = 0x15;
const EXIT: u8 = 0x95;

const fn instruction(code: u8, registers: u8, offset: i16, immediate: i32) -> Instruction {
    Instruction {
        code,
        registers,
        offset,
        immediate,
    }
}

/// Compiles rules into a program that answers 1 where every bit of the access
/// asked for is allowed. Rules are tried from the last to the first; what none
/// decides is refused.
fn compile(rules: &[Rule]) -> Vec<Instruction> {
    let load = |to: u8, offset| instruction(LOAD_WORD, CONTEXT << 4 | to, offset, 0);
    let mut program = vec![
        load(KIND, 0),
        instruction(MOVE_REGISTER, KIND << 4 | OPEN, 0, 0),
        instruction(AND, KIND, 0, 0xffff),
        instruction(SHIFT_RIGHT, OPEN, 0, 16),
        load(MAJOR, 4),
        load(MINOR, 8),
    ];
    let answer = |allow: bool| {
        [
            instruction(MOVE, RESULT, 0, i32::from(allow)),
            instruction(EXIT, 0, 0, 0),
        ]
    };
    for rule in rules.iter().rev() {
        if rule.is_total() {
            program.extend(answer(rule.allow));
            return program;
        }
        let mut body = Vec::new();
        if rule.allow {
            // Settled bits are closed; when none is left, all are allowed.
            body.push(instruction(AND, OPEN, 0, !rule.access));
            body.push(instruction(JUMP_UNEQUAL, OPEN, 2, 0));
        } else {
            body.push(instruction(MOVE_REGISTER, OPEN << 4 | SCRATCH, 0, 0));
            body.push(instruction(AND, SCRATCH, 0, rule.access));
            body.push(instruction(JUMP_EQUAL, SCRATCH, 2, 0));
        }
        body.extend(answer(rule.allow));
        let tests: Vec<_> = [(KIND, rule.kind), (MAJOR, rule.major), (MINOR, rule.minor)]
            .into_iter()
            .filter_map(|(register, wanted)| Some((register, wanted?)))
            .collect();
        for (index, (register, wanted)) in tests.iter().enumerate() {
            let over = tests.len() - index - 1 + body.len();
            let over = i16::try_from(over).unwrap_or(i16::MAX);
            program.push(instruction(JUMP_UNEQUAL, *register, over, *wanted));
        }
        program.extend(body);
    }
    program.extend(answer(false));
    program
}

#[cfg(test)]
#[path = "devices_tests.rs"]
mod tests;
