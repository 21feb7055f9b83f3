//! Root file systems, names, namespaces.

use fs_err as fs;
use skiff::engine::spec::RootSpec;

use crate::harness::{Machine, isolated};

#[test]
fn container_of_defaults_has_names_root_and_pid_1() {
    isolated(|| {
        let mut machine = Machine::new();
        machine.oci().set_domainname(Some("example".to_owned()));
        let output = machine
            .sh("hostname; cat /proc/sys/kernel/domainname; pwd; echo $$; ls /")
            .ok();
        assert_eq!(
            output.lines().collect::<Vec<_>>(),
            [
                "box", "example", "/", "1", "bin", "dev", "etc", "proc", "sys"
            ]
        );
    });
}
