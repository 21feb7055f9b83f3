//! Where a fault stands that shows only when a project starts: as early as it
//! can be known, and with file, line and column.

use std::fmt::Write as _;

use crate::support::{SLEEPER, isolated};

/// What is on line 4 of a service, what stands beside the services, where the
/// fault is, and what is said of it.
type Fault = (&'static str, &'static str, &'static str, &'static str);

/// The rest of the file is the same: a first service without a fault.
fn file(line: &str, beside: &str) -> String {
    format!(
        "services:\n  bad:\n    image: test/busybox\n    {line}\n  good: {{image: test/busybox, {SLEEPER}}}\n{beside}"
    )
}

/// Known from the file and the host: nothing at all is made.
const EARLY: &[Fault] = &[
    (
        "networks: {m: {ipv4_address: 10.9.9.9}}",
        "networks: {m: {ipam: {config: [{subnet: 10.8.0.0/24}]}}}\n",
        "4:20",
        "10.9.9.9 is not in the subnet of the network `m`",
    ),
    (
        "networks: {m: {ipv4_address: 10.8.0.9}, o: }",
        "networks:\n  m: {ipam: {config: [{subnet: 10.8.0.0/24}]}}\n  o: {ipam: {config: [{subnet: 10.8.0.0/16}]}}\n",
        "8:32",
        "`10.8.0.0/16` overlaps `10.8.0.0/24`",
    ),
    (
        "networks: {m: {ipv4_address: 10.8.0.9}}",
        "  c: {image: test/busybox, networks: {m: {ipv4_address: 10.8.0.9}}}\nnetworks: {m: {ipam: {config: [{subnet: 10.8.0.0/24}]}}}\n",
        "6:43",
        "10.8.0.9 is given by `services.bad.networks.m.ipv4_address` already",
    ),
    ("tmpfs: rel", "", "4:5", "`rel` is not an absolute path"),
    ("sysctls: {kernel.foo: 1}", "", "4:15", "whole host"),
    ("sysctls: {net.nosuch: 1}", "", "4:15", "no such parameter"),
    ("ulimits: {nofile: 4294967295}", "", "4:15", "fs.nr_open"),
    ("expose: [x]", "", "4:14", "`x` is not a port"),
    (
        "ports: [\"80:80/sctp\"]",
        "",
        "4:20",
        "`sctp` cannot be honoured",
    ),
];

#[test]
fn what_can_be_known_before_is_refused_before_anything_is_made() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let mut wrong = String::new();
        for (number, (line, beside, place, words)) in EARLY.iter().enumerate() {
            let project = sandbox.project(&format!("early{number}"), &file(line, beside));
            project.skiff(["config", "-q"]).run().succeeds().whatever();
            let up = project.skiff(["up", "-d"]).run().ends_with(1);
            let place = format!("compose.yaml:{place}\n");
            let told = up.stderr.matches("error: ").count();
            if told != 1 || !up.stderr.contains(&place) || !up.stderr.contains(words) {
                writeln!(wrong, "{line}: not once `{words}` at {place}{up}").expect("memory");
            }
            if up.stderr.contains("Creat") {
                writeln!(wrong, "{line}: something was made\n{up}").expect("memory");
            }
        }
        assert!(wrong.is_empty(), "{wrong}");
    });
}

#[test]
fn the_hosts_name_is_not_the_services_to_choose() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let lines = "uts: host\n    hostname: other";
        let project = sandbox.project("uts", &file(lines, ""));
        let up = project.skiff(["up", "-d"]).run().ends_with(1);
        up.warns("services.bad.hostname: cannot be set with `uts: host`")
            .warns("compose.yaml:5:5\n")
            .whatever();
    });
}

/// Known only to who sets the container up.
const LATE: &[Fault] = &[
    (
        "volumes: [{type: volume, source: v, target: /v, volume: {subpath: no/such}}]",
        "volumes: {v: }\n",
        "4:62",
        "services.bad.volumes[0].volume.subpath: cannot start container",
    ),
    (
        "sysctls: {net.ipv4.conf.nosuch.rp_filter: 1}",
        "",
        "4:15",
        "services.bad.sysctls.net.ipv4.conf.nosuch.rp_filter: ",
    ),
    (
        "tmpfs: [/ok, \"/t:size=abc\"]",
        "",
        "4:18",
        "services.bad.tmpfs[1]: ",
    ),
    (
        "volumes: [\"./:/etc/passwd\"]",
        "",
        "4:15",
        "the source is a folder and the target is a file",
    ),
];

#[test]
fn what_shows_at_the_start_is_told_with_its_place() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let mut wrong = String::new();
        for (number, (line, beside, place, words)) in LATE.iter().enumerate() {
            let project = sandbox.project(&format!("late{number}"), &file(line, beside));
            let place = format!("compose.yaml:{place}\n");
            for command in [
                ["up", "-d"].as_slice(),
                &["run", "--rm", "-T", "bad", "true"],
            ] {
                let output = project.skiff(command).run().ends_with(1);
                if !output.stderr.contains(&place) || !output.stderr.contains(words) {
                    writeln!(wrong, "{line}: no `{words}` at {place}{output}").expect("memory");
                }
            }
            project.skiff(["down", "-v"]).run().succeeds().whatever();
        }
        assert!(wrong.is_empty(), "{wrong}");
    });
}

/// What another project has: its subnet, its address on a shared network.
#[test]
fn what_another_project_has_is_told_with_its_place() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let own = "networks: {n: {ipam: {config: [{subnet: 10.66.0.0/24}]}}}\n";
        let service = |line: &str| {
            format!("services:\n  a:\n    image: test/busybox\n    {SLEEPER}\n    {line}\n")
        };
        let fixed = service("networks: {n: {ipv4_address: 10.66.0.9}}");
        let first = sandbox.project("first", &format!("{fixed}{own}"));
        first.up().whatever();
        let external = "networks: {n: {external: true, name: first_n}}\n";
        let second = sandbox.project("second", &format!("{fixed}{external}"));
        let up = second.skiff(["up", "-d"]).run().ends_with(1);
        up.warns("services.a.networks.n.ipv4_address: ")
            .warns("10.66.0.9 is taken by container `first-a-1`")
            .warns("compose.yaml:5:20\n")
            .whatever();
        second.down();
        let third = sandbox.project("third", &format!("{}{own}", service("networks: [n]")));
        let up = third.skiff(["up", "-d"]).run().ends_with(1);
        up.warns("networks.n: ")
            .warns("overlaps network first_n")
            .warns("compose.yaml:6:12\n")
            .whatever();
        third.down();
        // A one-off of the service itself asks for the same address.
        let run = first.skiff(["run", "--rm", "-T", "a", "true"]).run();
        run.ends_with(1)
            .warns("services.a.networks.n.ipv4_address: ")
            .warns("compose.yaml:5:20\n")
            .whatever();
        first.down();
    });
}

#[test]
fn a_one_offs_start_is_told_as_the_services_is() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let lines = format!(
            "{SLEEPER}\n    ports: [\"127.0.0.1:18080:80\"]\n  prog:\n    image: test/busybox\n    command: nosuchprogram"
        );
        let project = sandbox.project("once", &file(&lines, ""));
        project
            .skiff(["up", "-d", "bad"])
            .run()
            .succeeds()
            .whatever();
        let run = |args: &[&str]| {
            let run = project.skiff([&["run", "--rm", "-T"], args].concat()).run();
            run.ends_with(1)
        };
        run(&["--service-ports", "bad", "true"])
            .warns("services.bad.ports[0]: port 127.0.0.1:18080/tcp is taken")
            .warns("compose.yaml:5:13\n")
            .whatever();
        run(&["prog"])
            .warns("services.prog.command: cannot start container")
            .warns("compose.yaml:8:5\n")
            .whatever();
        // What only the command line says has no place in the file.
        for args in [
            ["-p", "127.0.0.1:18080:80", "good", "true"].as_slice(),
            &["good", "nosuchprogram"],
            &["-u", "nosuch", "good", "true"],
        ] {
            let refused = run(args);
            assert!(!refused.stderr.contains("compose.yaml"), "{refused}");
        }
        let exec = |program: &str| project.skiff(["exec", "-T", "bad", program]).run();
        exec("nosuchprogram")
            .ends_with(127)
            .warns("container `once-bad-1`: cannot start the program: exec: \"nosuchprogram\": executable file not found in $PATH")
            .whatever();
        exec("/etc/passwd")
            .ends_with(126)
            .warns("container `once-bad-1`: cannot start the program: exec: \"/etc/passwd\": permission denied")
            .whatever();
        project.down();
    });
}
