//! Capabilities, namespaces, resources, devices.

use super::*;

#[test]
#[expect(clippy::too_many_lines, reason = "one table")]
fn security_attributes_have_their_effect() {
    let caps = |service: &str| {
        let launch = launch(service, &plain());
        let mut list: Vec<String> =
            serde_json::from_value(launch["oci"]["process"]["capabilities"]["bounding"].clone())
                .unwrap();
        list.sort();
        list
    };
    assert_eq!(caps("").len(), 14);
    assert!(caps("cap_add: [NET_ADMIN]").contains(&"CAP_NET_ADMIN".to_owned()));
    assert!(!caps("cap_drop: [CAP_CHOWN]").contains(&"CAP_CHOWN".to_owned()));
    assert_eq!(caps("cap_drop: [ALL]\ncap_add: [kill]"), ["CAP_KILL"]);
    assert_eq!(caps("privileged: true"), ["CAP_CHOWN", "CAP_SYS_ADMIN"]);
    let namespaces = |service: &str| {
        let launch = launch(service, &plain());
        let list = launch["oci"]["linux"]["namespaces"]
            .as_array()
            .unwrap()
            .clone();
        list.iter()
            .map(|one| one["type"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let all = namespaces("");
    for kind in ["mount", "network", "uts", "pid", "ipc"] {
        assert!(all.contains(&kind.to_owned()), "{kind}");
    }
    for (service, kind) in [
        ("pid: host", "pid"),
        ("ipc: host", "ipc"),
        ("uts: host", "uts"),
        ("network_mode: host", "network"),
    ] {
        assert!(!namespaces(service).contains(&kind.to_owned()), "{service}");
    }
    check(&[
        ("", "/seccomp", json!("default")),
        ("privileged: true", "/seccomp", json!("unconfined")),
        (
            "security_opt: [seccomp=unconfined]",
            "/seccomp",
            json!("unconfined"),
        ),
        (
            "security_opt: ['seccomp:unconfined']",
            "/seccomp",
            json!("unconfined"),
        ),
        (
            "privileged: true\nsecurity_opt: [seccomp=builtin]",
            "/seccomp",
            json!("default"),
        ),
        (
            "security_opt: ['seccomp:./profile.json']",
            "/seccomp/profile",
            json!(r#"{"defaultAction": "SCMP_ACT_ALLOW"}"#),
        ),
        ("", "/oci/process/noNewPrivileges", json!(false)),
        (
            "security_opt: [no-new-privileges]",
            "/oci/process/noNewPrivileges",
            json!(true),
        ),
        (
            "security_opt: ['no-new-privileges:true']",
            "/oci/process/noNewPrivileges",
            json!(true),
        ),
        (
            "security_opt: [systempaths=unconfined]",
            "/oci/linux/maskedPaths",
            Value::Null,
        ),
        (
            "security_opt: [apparmor=unconfined]",
            "/seccomp",
            json!("default"),
        ),
        ("read_only: true", "/oci/root/readonly", json!(true)),
    ]);
    check_refused(&[
        ("cap_add: [NOPE]", "cap_add", "NOPE"),
        ("cap_drop: [NOPE]", "cap_drop", "NOPE"),
        (
            "security_opt: ['apparmor:mine']",
            "security_opt[0]",
            "cannot be honoured",
        ),
        (
            "security_opt: ['seccomp:./gone.json']",
            "security_opt[0]",
            "cannot read",
        ),
        (
            "security_opt: ['seccomp:./broken.json']",
            "security_opt[0]",
            "not a seccomp profile",
        ),
    ]);
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table")]
fn limits_have_their_effect() {
    let resources = "/oci/linux/resources";
    let at = |rest: &str| format!("{resources}{rest}");
    let (cpu, memory, pids, io) = (at("/cpu"), at("/memory"), at("/pids"), at("/blockIO"));
    check(&[
        ("", &cpu, Value::Null),
        ("", &memory, Value::Null),
        ("", &pids, Value::Null),
        (
            "cpus: 1.5",
            &cpu,
            json!({"quota": 150_000, "period": 100_000}),
        ),
        (
            "deploy: {resources: {limits: {cpus: '0.25', memory: 64m, pids: 7}}}",
            &cpu,
            json!({"quota": 25_000, "period": 100_000}),
        ),
        (
            "deploy: {resources: {limits: {memory: 64m}, reservations: {memory: 32m}}}",
            &memory,
            json!({"limit": 67_108_864, "reservation": 33_554_432, "swap": 134_217_728}),
        ),
        (
            "deploy: {resources: {limits: {pids: 7}}}",
            &pids,
            json!({"limit": 7}),
        ),
        (
            "cpu_shares: 512\ncpu_quota: 5000\ncpu_period: 10000\ncpuset: '0,1'",
            &cpu,
            json!({"shares": 512, "quota": 5000, "period": 10_000, "cpus": "0,1"}),
        ),
        (
            "mem_limit: 64m",
            &memory,
            json!({"limit": 67_108_864, "swap": 134_217_728}),
        ),
        (
            "mem_limit: 64m\nmemswap_limit: -1",
            &memory,
            json!({"limit": 67_108_864, "swap": -1}),
        ),
        (
            "mem_reservation: 32m",
            &memory,
            json!({"reservation": 33_554_432}),
        ),
        ("pids_limit: 50", &pids, json!({"limit": 50})),
        ("pids_limit: -1", &pids, json!({"limit": -1})),
        ("blkio_config: {weight: 300}", &io, json!({"weight": 300})),
        (
            "blkio_config: {device_read_bps: [{path: /dev/sda, rate: 1m}]}",
            &io,
            json!({"throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 1_048_576}]}),
        ),
        (
            "sysctls: {net.core.somaxconn: 1024}",
            "/oci/linux/sysctl/net.core.somaxconn",
            json!("1024"),
        ),
        (
            "",
            "/oci/linux/sysctl/net.ipv4.ip_unprivileged_port_start",
            json!("0"),
        ),
        ("network_mode: host", "/oci/linux/sysctl", Value::Null),
    ]);
    check_refused(&[
        ("cpus: 3", "cpus", "there are 2 processors"),
        ("mem_limit: 1m", "mem_limit", "at least 6m"),
        (
            "deploy: {resources: {limits: {memory: '512'}}}",
            "deploy.resources.limits.memory",
            "write `512m`",
        ),
        (
            "mem_limit: 64m\ndeploy: {resources: {reservations: {memory: 65m}}}",
            "deploy.resources.reservations.memory",
            "above `mem_limit`",
        ),
        ("memswap_limit: 64m", "memswap_limit", "needs `mem_limit`"),
        (
            "mem_limit: 64m\nmemswap_limit: 32m",
            "memswap_limit",
            "below",
        ),
        (
            "sysctls: {vm.swappiness: 1}",
            "sysctls.vm.swappiness",
            "whole host",
        ),
        (
            "network_mode: host\nsysctls: {net.core.somaxconn: 1}",
            "sysctls.net.core.somaxconn",
            "network is not its own",
        ),
        (
            "sysctls: {kernel.foo: 1}",
            "sysctls.kernel.foo",
            "whole host",
        ),
        (
            "sysctls: {net.nosuch: 1}",
            "sysctls.net.nosuch",
            "this kernel has no such parameter",
        ),
        (
            "ipc: host\nsysctls: {kernel.shmmax: 1}",
            "sysctls.kernel.shmmax",
            "`ipc: host`",
        ),
        (
            "uts: host\nsysctls: {kernel.domainname: a}",
            "sysctls.kernel.domainname",
            "`uts: host`",
        ),
        (
            "blkio_config: {weight_device: [{path: /dev/none, weight: 10}]}",
            "blkio_config.weight_device",
            "not a device",
        ),
    ]);
}

#[test]
fn devices_come_with_their_rules() {
    let launch = launch(
        "devices: ['/dev/fuse:/dev/f:r', /dev/snd]\ndevice_cgroup_rules: ['c 1:* rmw']",
        &plain(),
    );
    let linux = &launch["oci"]["linux"];
    assert_eq!(
        linux["devices"],
        json!([
            {"path": "/dev/f", "type": "c", "major": 10, "minor": 229, "fileMode": 0o660, "uid": 0, "gid": 6},
            {"path": "/dev/snd/seq", "type": "c", "major": 116, "minor": 1, "fileMode": 0o660, "uid": 0, "gid": 6},
        ])
    );
    let rules = linux["resources"]["devices"].as_array().unwrap();
    assert_eq!(
        rules[rules.len() - 3..],
        [
            json!({"allow": true, "type": "c", "major": 10, "minor": 229, "access": "r"}),
            json!({"allow": true, "type": "c", "major": 116, "minor": 1, "access": "rwm"}),
            json!({"allow": true, "type": "c", "major": 1, "access": "rmw"}),
        ]
    );
    check_refused(&[
        (
            "devices: [/dev/none]",
            "devices[0]",
            "no device `/dev/none`",
        ),
        ("devices: ['vendor.com/class=all']", "devices[0]", "CDI"),
        (
            "devices: ['/dev/fuse:/dev/fuse:x']",
            "devices[0]",
            "not made of r, w and m",
        ),
        (
            "device_cgroup_rules: ['z 1:2 r']",
            "device_cgroup_rules[0]",
            "not a device rule",
        ),
    ]);
}
