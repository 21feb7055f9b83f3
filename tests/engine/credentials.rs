//! Users, groups, capabilities, seccomp, `no_new_privs`.

use std::collections::HashSet;

use fs_err as fs;
use oci_spec::runtime::Capability;
use skiff::engine::oci_default::capabilities;

use crate::harness::{Machine, isolated};

const STATUS: &str = "grep -E '^(Cap|Seccomp:|NoNewPrivs|Groups|Uid|Gid)' /proc/self/status";

fn field(status: &str, name: &str) -> String {
    let prefix = format!("{name}:");
    let line = status.lines().find(|line| line.starts_with(&prefix));
    line.unwrap_or_else(|| panic!("no {name} in {status}"))[prefix.len()..]
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}

#[test]
fn root_by_default_has_dockers_capabilities() {
    isolated(|| {
        let status = Machine::new().sh(STATUS).ok();
        for set in ["CapPrm", "CapEff", "CapBnd"] {
            assert_eq!(field(&status, set), "00000000a80425fb", "{set}");
        }
        for set in ["CapInh", "CapAmb"] {
            assert_eq!(field(&status, set), "0000000000000000", "{set}");
        }
        assert_eq!(field(&status, "NoNewPrivs"), "0");
        assert_eq!(field(&status, "Seccomp"), "0");
        assert_eq!(field(&status, "Groups"), "0");
    });
}

#[test]
fn user_by_name_has_its_groups_home_and_no_capabilities() {
    isolated(|| {
        let mut machine = Machine::new();
        machine.spec.user = Some("app".to_owned());
        machine.spec.groups = vec!["more".to_owned(), "77".to_owned()];
        let output = machine.sh(&format!("echo $HOME; {STATUS}")).ok();
        assert!(output.starts_with("/srv/app\n"));
        assert_eq!(field(&output, "Uid"), "1000 1000 1000 1000");
        assert_eq!(field(&output, "Gid"), "1001 1001 1001 1001");
        assert_eq!(field(&output, "Groups"), "77 1001 1002 1003");
        assert_eq!(field(&output, "CapEff"), "0000000000000000");
        assert_eq!(field(&output, "CapPrm"), "0000000000000000");
        assert_eq!(field(&output, "CapBnd"), "00000000a80425fb");
    });
}

#[test]
fn user_that_the_image_does_not_know_is_named_in_the_error() {
    isolated(|| {
        let mut machine = Machine::new();
        machine.spec.user = Some("ghost".to_owned());
        let outcome = machine.run(&["true"]);
        assert_eq!(outcome.code, 125);
        assert_eq!(
            outcome.error().to_string(),
            "cannot find the user `ghost`: the container's /etc/passwd has no such entry"
        );
    });
}

#[test]
fn home_of_the_environment_wins_over_passwd() {
    isolated(|| {
        let mut machine = Machine::new();
        machine
            .process()
            .env_mut()
            .as_mut()
            .unwrap()
            .push("HOME=/elsewhere".to_owned());
        assert_eq!(machine.sh("echo $HOME").ok(), "/elsewhere\n");
    });
}

#[test]
fn no_new_privileges_and_ambient_capabilities_are_as_asked() {
    isolated(|| {
        let mut machine = Machine::new();
        machine.spec.user = Some("app".to_owned());
        let mut sets = capabilities(HashSet::from([Capability::NetRaw]));
        sets.set_inheritable(sets.bounding().clone());
        sets.set_ambient(sets.bounding().clone());
        machine.process().set_capabilities(Some(sets));
        machine.process().set_no_new_privileges(Some(true));
        let status = machine.sh(STATUS).ok();
        assert_eq!(field(&status, "NoNewPrivs"), "1");
        for set in ["CapAmb", "CapEff", "CapBnd"] {
            assert_eq!(field(&status, set), "0000000000002000", "{set}");
        }
    });
}

/// A filter that answers mkdir(2) with ENOSYS (x86-64 only: number 83) and
/// mkdirat(2) as well, and allows all else.
fn filter() -> Vec<u8> {
    const LOAD_NUMBER: (u16, u8, u8, u32) = (0x20, 0, 0, 0);
    const REFUSE: (u16, u8, u8, u32) = (0x06, 0, 0, 0x0005_0026);
    const ALLOW: (u16, u8, u8, u32) = (0x06, 0, 0, 0x7fff_0000);
    let number = |number: i64| u32::try_from(number).unwrap();
    [
        LOAD_NUMBER,
        (0x15, 1, 0, number(libc::SYS_mkdirat)),
        (0x15, 0, 1, number(libc::SYS_mkdir)),
        REFUSE,
        ALLOW,
    ]
    .iter()
    .flat_map(|(code, jt, jf, k)| {
        let mut bytes = code.to_ne_bytes().to_vec();
        bytes.extend([*jt, *jf]);
        bytes.extend(k.to_ne_bytes());
        bytes
    })
    .collect()
}

#[test]
fn filter_binds_every_user_with_and_without_no_new_privileges() {
    isolated(|| {
        for user in ["root", "app"] {
            for no_new_privileges in [false, true] {
                let mut machine = Machine::new();
                machine.filter = Some(filter());
                machine.spec.user = Some(user.to_owned());
                machine
                    .process()
                    .set_no_new_privileges(Some(no_new_privileges));
                let outcome = machine.sh(&format!("{STATUS}; mkdir /tmpdir"));
                assert_eq!(outcome.error, None);
                assert_eq!(outcome.code, 1, "mkdir must fail");
                assert!(
                    outcome.stderr.contains("Function not implemented"),
                    "{user}: {}",
                    outcome.stderr
                );
                assert_eq!(field(&outcome.stdout, "Seccomp"), "2");
                let nnp = field(&outcome.stdout, "NoNewPrivs");
                assert_eq!(nnp, u8::from(no_new_privileges).to_string());
                // CAP_SYS_ADMIN, lent for the installation, is gone.
                let expected = if user == "root" {
                    "00000000a80425fb"
                } else {
                    "0000000000000000"
                };
                assert_eq!(field(&outcome.stdout, "CapPrm"), expected);
                assert_eq!(field(&outcome.stdout, "CapBnd"), "00000000a80425fb");
            }
        }
    });
}

#[test]
fn streams_can_be_opened_anew_by_the_user() {
    isolated(|| {
        let mut machine = Machine::new();
        machine.spec.user = Some("app".to_owned());
        let output = machine
            .sh("echo one > /dev/stdout; echo two > /dev/stderr; stat -L -c %u /dev/stdout")
            .ok();
        assert_eq!(output, "one\n1000\n");
    });
}

#[test]
fn passwd_that_is_a_link_out_of_the_root_is_read_inside() {
    isolated(|| {
        let mut machine = Machine::new();
        let passwd = machine.image("etc/passwd");
        fs::remove_file(&passwd).unwrap();
        let outside = machine.path("outside");
        fs::write(&outside, "evil:x:0:0::/:/bin/sh\n").unwrap();
        std::os::unix::fs::symlink(&outside, &passwd).unwrap();
        machine.spec.user = Some("evil".to_owned());
        assert_eq!(
            machine.run(&["true"]).error().step,
            "find the user",
            "a file of the host was read"
        );
    });
}
