//! Programs are run by a small interpreter of eBPF; that the kernel takes them
//! is tested in `super::super::tests`.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the kernel's arithmetic on registers"
)]

use super::*;
use crate::engine::oci_default::default_device_rules;

fn rules(json: serde_json::Value) -> Vec<Rule> {
    parse(&serde_json::from_value::<Vec<LinuxDeviceCgroup>>(json).unwrap()).unwrap()
}

/// Runs a program on `struct bpf_cgroup_dev_ctx`.
fn run(program: &[Instruction], access: i32, kind: i32, major: i32, minor: i32) -> bool {
    let context = [
        u64::from((access << 16 | kind) as u32),
        major as u64,
        minor as u64,
    ];
    let mut registers = [0_u64; 11];
    let mut at = 0;
    loop {
        let Instruction {
            code,
            registers: pair,
            offset,
            immediate,
        } = program[at];
        let (to, from) = (usize::from(pair & 15), usize::from(pair >> 4));
        at += 1;
        let low = |value: u64| u64::from(value as u32);
        match code {
            LOAD_WORD => registers[to] = context[offset as usize / 4],
            MOVE => registers[to] = low(immediate as u64),
            MOVE_REGISTER => registers[to] = low(registers[from]),
            AND => registers[to] = low(registers[to] & immediate as u64),
            SHIFT_RIGHT => registers[to] = low(registers[to]) >> immediate,
            JUMP_UNEQUAL if registers[to] != i64::from(immediate) as u64 => at += offset as usize,
            JUMP_EQUAL if registers[to] == i64::from(immediate) as u64 => at += offset as usize,
            JUMP_UNEQUAL | JUMP_EQUAL => {}
            EXIT => return registers[0] == 1,
            other => panic!("unknown code {other:#x}"),
        }
    }
}

#[test]
fn docker_rules_allow_the_usual_devices_only() {
    let program = compile(&parse(&default_device_rules()).unwrap());
    let may = |access, kind, major, minor| run(&program, access, kind, major, minor);
    for (major, minor) in [
        (1, 3),
        (1, 5),
        (1, 7),
        (1, 8),
        (1, 9),
        (5, 0),
        (5, 1),
        (5, 2),
        (10, 200),
        (136, 77),
    ] {
        assert!(
            may(READ | WRITE, CHARACTER, major, minor),
            "{major}:{minor}"
        );
    }
    // kmem, a disk, fuse, and the block device with null's number.
    for (kind, major, minor) in [
        (CHARACTER, 1, 1),
        (BLOCK, 8, 0),
        (CHARACTER, 10, 229),
        (BLOCK, 1, 3),
    ] {
        assert!(!may(READ, kind, major, minor), "{major}:{minor}");
        assert!(!may(WRITE | READ, kind, major, minor));
        assert!(may(MAKE, kind, major, minor), "any node may be made");
        assert!(!may(MAKE | READ, kind, major, minor));
    }
}

#[test]
fn last_rule_decides_each_kind_of_access() {
    let program = compile(&rules(serde_json::json!([
        {"allow": false, "access": "rwm"},
        {"allow": true, "type": "c", "major": 10, "access": "rwm"},
        {"allow": false, "type": "c", "major": 10, "minor": 229, "access": "w"},
        {"allow": true, "type": "b", "major": 8, "minor": 0, "access": "r"},
        {"allow": true, "type": "b", "major": 8, "access": "w"}
    ])));
    let may = |access, kind, major, minor| run(&program, access, kind, major, minor);
    assert!(may(READ | MAKE, CHARACTER, 10, 229));
    assert!(!may(WRITE, CHARACTER, 10, 229));
    assert!(!may(READ | WRITE, CHARACTER, 10, 229));
    assert!(may(READ | WRITE, CHARACTER, 10, 1));
    // Two rules together cover the access.
    assert!(may(READ | WRITE, BLOCK, 8, 0));
    assert!(!may(READ, BLOCK, 8, 1));
    assert!(may(WRITE, BLOCK, 8, 1));
}

#[test]
fn privileged_container_may_use_everything() {
    let program = compile(&rules(serde_json::json!([
        {"allow": false, "access": "rwm"},
        {"allow": true, "access": "rwm"}
    ])));
    assert!(run(&program, EVERY_ACCESS, BLOCK, 8, 0));
    assert_eq!(program.len(), 8, "rules before a total one are left out");
}

#[test]
fn rules_become_lines_of_version_1() {
    let lines: Vec<_> = plan_v1(&rules(serde_json::json!([
        {"allow": true, "type": "c", "major": 1, "minor": 3, "access": "rwm"},
        {"allow": false, "access": "rwm"},
        {"allow": true, "type": "c", "major": 136, "access": "rw"},
        {"allow": false, "type": "a", "major": 8, "access": "m"},
        {"allow": true, "type": "b", "major": -1, "minor": -1, "access": "m"}
    ])))
    .into_iter()
    .map(|(file, value)| format!("{file} {value}"))
    .collect();
    assert_eq!(
        lines,
        [
            "devices.deny a",
            "devices.allow c 136:* rw",
            "devices.deny b 8:* m",
            "devices.deny c 8:* m",
            "devices.allow b *:* m",
        ]
    );
}

#[test]
fn nonsense_is_refused() {
    let error = |json| {
        parse(&serde_json::from_value::<Vec<LinuxDeviceCgroup>>(json).unwrap())
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        error(serde_json::json!([{"allow": true, "type": "c", "access": "rx"}])),
        "cannot limit access to devices: `x` is none of `r`, `w` and `m`"
    );
    assert_eq!(
        error(serde_json::json!([{"allow": true, "type": "p", "access": "r"}])),
        "cannot limit access to devices: a FIFO is no device"
    );
}
