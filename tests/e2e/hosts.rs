//! Machines that lack something: an error that says what and what to do, and
//! `doctor` agrees. What needs another kernel is in `tests/vm`.

use std::os::unix::fs::MetadataExt;
use std::time::Instant;

use crate::support::{DEADLINE, Output, Project, Sandbox, isolated, processes, program, wait_exit};

fn start(sandbox: &Sandbox) -> Project<'_> {
    let compose = "services:\n  a: {image: skiff/toolbox, command: [sleep, \"1000\"], ports: [\"18080:80\"]}\n";
    sandbox.project("host", compose)
}

/// Runs the rest of its arguments with `socket(AF_NETLINK, …, protocol)` refused
/// by a system call filter, as a kernel without that protocol refuses it.
const REFUSE_NETLINK: &str = r#"
    use strict;
    my $protocol = shift @ARGV;
    my ($socket) = map { /x86_64/ ? 41 : 198 } (qx(uname -m));
    my ($prctl, $seccomp) = map { /x86_64/ ? (157, 317) : (167, 277) } (qx(uname -m));
    my $load = 0x20; my $equal = 0x15; my $return = 0x06;
    my @filter = (
        [$load, 0, 0, 0], [$equal, 0, 5, $socket],
        [$load, 0, 0, 16], [$equal, 0, 3, 16],
        [$load, 0, 0, 32], [$equal, 0, 1, $protocol],
        [$return, 0, 0, 0x00050000 | 93],
        [$return, 0, 0, 0x7fff0000],
    );
    my $code = join '', map { pack 'SCCL', @$_ } @filter;
    my $program = pack 'Sx6P', scalar(@filter), $code;
    syscall($prctl, 38, 1, 0, 0, 0) == 0 or die "no_new_privs: $!";
    syscall($seccomp, 1, 0, $program) == 0 or die "seccomp: $!";
    exec @ARGV or die "exec: $!";
"#;

/// The self-test tells the step at which it failed, and then what to do.
fn assert_self_test_failed(doctor: &Output, step: &str) {
    let mut lines = doctor.lines().into_iter();
    let failed = lines.find(|line| line.starts_with("missing self-test"));
    let failed = failed.unwrap_or_else(|| panic!("no self-test\n{doctor}"));
    assert!(
        failed.contains(&format!("failed at `{step}`: ")),
        "{doctor}"
    );
    let remedy = lines.next().unwrap_or_default();
    assert!(remedy.trim_start().starts_with("remedy: "), "{doctor}");
}

#[test]
fn without_root_the_sudo_command_is_printed() {
    isolated(|sandbox| {
        let project = start(sandbox);
        project.write(
            "variables.yaml",
            "services:\n  a:\n    image: \"x:${TAG:-1}\"\n    ports: [\"${PORT:-8080}:80\"]\n    \
             environment: [TOKEN, HOME]\n    labels: {l: \"${UNSET:-}\"}\n",
        );
        sandbox
            .shell("chmod 755 \"$HOME/..\"; chmod -R a+rX \"$HOME/../work\"")
            .run()
            .succeeds()
            .whatever();
        let as_nobody = |args: &[&str]| {
            let setpriv = [
                "--reuid",
                "65534",
                "--regid",
                "65534",
                "--clear-groups",
                env!("CARGO_BIN_EXE_skiff"),
            ];
            sandbox
                .command(&program("setpriv"))
                .args(setpriv)
                .args(args)
                .dir(&project.dir)
                .env("PORT", "9")
        };
        let refused = as_nobody(&["up", "-d"]).run().fails();
        let line = refused.stderr.lines().find(|line| line.contains("sudo"));
        let line = line.unwrap_or_else(|| panic!("no sudo command\n{refused}"));
        assert!(line.contains("up -d"), "{refused}");
        assert!(
            !line.contains("PORT"),
            "the file has no such variable\n{refused}"
        );
        let refused = as_nobody(&["-f", "variables.yaml", "up", "-d"])
            .env("TOKEN", "t")
            .env("COMPOSE_PROFILES", "p")
            .run()
            .fails();
        let skiff = env!("CARGO_BIN_EXE_skiff");
        let line = format!(
            "type: sudo --preserve-env=COMPOSE_PROFILES,PORT,SKIFF_DATA_ROOT,SKIFF_RUN_ROOT,TOKEN \
             {skiff} -f variables.yaml up -d"
        );
        assert!(refused.stderr.contains(&line), "{line}\n{refused}");
        for command in [
            "down", "exec", "images", "kill", "load", "logs", "ls", "ps", "pull", "restart", "run",
            "start", "stop",
        ] {
            let operands: &[&str] = match command {
                "exec" | "run" => &["a", "true"],
                _ => &[],
            };
            let args: Vec<&str> = std::iter::once(command)
                .chain(operands.iter().copied())
                .collect();
            let refused = as_nobody(&args).run().fails();
            let line = format!("{skiff} {}", args.join(" "));
            assert!(refused.stderr.contains(&line), "{line}\n{refused}");
        }
        for args in [["config", "-q"].as_slice(), ["version"].as_slice()] {
            as_nobody(args).run().succeeds().whatever();
        }
        let doctor = as_nobody(&["doctor"]).run();
        assert!(doctor.stdout.contains("root"), "{doctor}");
        let not_run = "note    self-test: was not run, as it needs root";
        assert!(doctor.stdout.contains(not_run), "{doctor}");
    });
}

#[test]
fn without_a_cgroup_hierarchy_nothing_starts() {
    isolated(|sandbox| {
        let project = start(sandbox);
        sandbox
            .shell("umount -l -R /sys/fs/cgroup")
            .run()
            .succeeds()
            .whatever();
        let refused = project.skiff(["up", "-d"]).run().fails();
        assert!(refused.stderr.contains("control group"), "{refused}");
        let doctor = sandbox.skiff(["doctor"]).run().fails();
        assert!(doctor.stdout.contains("missing control groups"), "{doctor}");
        let remedy = "remedy: mount it: mount -t cgroup2";
        assert!(doctor.stdout.contains(remedy), "{doctor}");
        project
            .skiff(["ps", "-a", "-q"])
            .run()
            .succeeds()
            .prints("")
            .whatever();
        project.down();
    });
}

/// A limit that no controller keeps is refused where it stands, and what ran
/// before runs on.
#[test]
fn without_a_controller_its_limit_is_refused_where_it_stands() {
    isolated(|sandbox| {
        let earlier = sandbox.project(
            "earlier",
            "services:\n  a: {image: skiff/toolbox, command: [sleep, \"1000\"], volumes: [\"kept:/v\"]}\n\
             volumes: {kept: {}}\n",
        );
        earlier.up().whatever();
        let id = earlier.container_field("a", "ID");
        // Version 1: the hierarchy goes; version 2: the root says that it has none.
        let script = r#"
            mount=$(awk '$3 == "cgroup" && $4 ~ /(^|,)memory(,|$)/ { print $2 }' /proc/mounts)
            if [ -n "$mount" ]; then umount -l $mount; echo $mount >hierarchy; else
                tr ' ' '\n' </sys/fs/cgroup/cgroup.controllers | grep -v memory | xargs >without
                mount --bind without /sys/fs/cgroup/cgroup.controllers
            fi"#;
        sandbox.shell(script).run().succeeds().whatever();
        let project = start(sandbox);
        project.write(
            "compose.yaml",
            "services:\n  a:\n    image: skiff/toolbox\n    command: [sleep, \"1000\"]\n    deploy:\n      \
             resources:\n        limits:\n          memory: 64M\n",
        );
        let refused = project.skiff(["up", "-d"]).run().fails();
        let text = "cannot limit memory: this host has no `memory` control group controller";
        assert!(refused.stderr.contains(text), "{refused}");
        assert!(refused.stderr.contains("compose.yaml:8:11"), "{refused}");
        assert!(
            refused.stderr.contains("remove the limit, or enable"),
            "{refused}"
        );
        let doctor = sandbox.skiff(["doctor"]).run();
        assert!(doctor.stdout.contains("limits: no memory"), "{doctor}");
        project.down();
        assert_eq!(earlier.container_field("a", "ID"), id);
        assert_eq!(earlier.container_field("a", "State"), "running");
        // Its groups there go with it.
        let script = "if [ -f hierarchy ]; then mount -t cgroup -o memory memory $(cat hierarchy); \
                      else umount /sys/fs/cgroup/cgroup.controllers; fi";
        sandbox.shell(script).run().succeeds().whatever();
        earlier.skiff(["down", "-v"]).run().succeeds().whatever();
    });
}

/// Overlay cannot have its upper layer on another overlay: what skiff finds
/// inside most containers.
#[test]
fn where_overlay_cannot_be_mounted_the_data_root_is_named() {
    isolated(|sandbox| {
        let project = start(sandbox);
        let script = "cd \"$HOME/..\" && mkdir -p low up work2 data && \
                      mount -t overlay overlay -o lowerdir=low,upperdir=up,workdir=work2 data";
        sandbox.shell(script).run().succeeds().whatever();
        let refused = project.skiff(["up", "-d"]).run().fails();
        assert!(refused.stderr.contains("overlay"), "{refused}");
        assert!(
            refused.stderr.contains("SKIFF_DATA_ROOT"),
            "what to do\n{refused}"
        );
        let doctor = sandbox.skiff(["doctor"]).run().fails();
        assert!(doctor.stdout.contains("overlay"), "{doctor}");
        assert_self_test_failed(&doctor, "Container doctor-trial-1 Starting");
        project.down();
        // Keeper and supervisor end on their own, and use it until then.
        for process in processes() {
            assert!(wait_exit(process.pid, Instant::now() + *DEADLINE));
        }
        sandbox
            .shell("umount -l \"$SKIFF_DATA_ROOT\"")
            .run()
            .succeeds()
            .whatever();
    });
}

#[test]
fn without_nf_tables_the_module_is_named() {
    isolated(|sandbox| {
        let project = start(sandbox);
        let without = |args: &[&str]| {
            let perl = sandbox
                .command(&program("perl"))
                .args(["-e", REFUSE_NETLINK, "12"]);
            perl.args([env!("CARGO_BIN_EXE_skiff")])
                .args(args)
                .dir(&project.dir)
        };
        let refused = without(&["up", "-d"]).run().fails();
        assert!(refused.stderr.contains("nf_tables"), "{refused}");
        let doctor = without(&["doctor"]).run().fails();
        assert!(doctor.stdout.contains("nf_tables"), "{doctor}");
        assert_self_test_failed(&doctor, "Network doctor_alone Creating");
        project.down();
    });
}

#[test]
fn without_route_netlink_the_network_is_named() {
    isolated(|sandbox| {
        let project = start(sandbox);
        let perl = sandbox
            .command(&program("perl"))
            .args(["-e", REFUSE_NETLINK, "0"]);
        let refused = perl
            .args([env!("CARGO_BIN_EXE_skiff"), "up", "-d"])
            .dir(&project.dir)
            .run()
            .fails();
        assert!(refused.stderr.contains("host_default"), "{refused}");
        project.down();
    });
}

/// `~`, `$HOME` and `$USER` are those of the user who typed `sudo`.
fn assert_home_and_user_are_the_callers(project: &Project<'_>, home: &std::path::Path) {
    let own = "services:\n  a: {image: \"x:${USER}\", volumes: [\"${HOME}/x:/x\", \"~/y:/y\"]}\n";
    project.write("own.yaml", own);
    let seen = project.skiff(["-f", "own.yaml", "config"]);
    let seen = seen
        .env("SUDO_USER", "ann")
        .env("SUDO_UID", "1234")
        .env("SUDO_GID", "1234");
    let seen = seen
        .env("HOME", "/root")
        .env("USER", "root")
        .run()
        .succeeds();
    for (what, text) in [
        ("$USER", "image: x:ann".to_owned()),
        ("$HOME", format!("source: {}/x\n", home.display())),
        ("~", format!("source: {}/y\n", home.display())),
    ] {
        assert!(seen.stdout.contains(&text), "{what}\n{seen}");
    }
}

#[test]
fn under_sudo_the_files_belong_to_the_caller() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let compose = "services:\n  a: {image: test/busybox, command: [\"true\"], volumes: [\"./made:/made\", \"~/home-made:/h\"]}\n";
        let project = sandbox.project("sudo", compose);
        let home = sandbox.work().join("people/ann");
        fs_err::create_dir_all(&home).expect("a home");
        let passwd = sandbox.work().join("passwd");
        fs_err::write(
            &passwd,
            format!(
                "root:x:0:0::/root:/bin/sh\nann:x:1234:1234::{}:/bin/sh\n",
                home.display()
            ),
        )
        .expect("written");
        sandbox
            .shell("mount --bind passwd /etc/passwd")
            .run()
            .succeeds()
            .whatever();
        let up = project.skiff(["up", "-d"]);
        let up = up
            .env("SUDO_USER", "ann")
            .env("SUDO_UID", "1234")
            .env("SUDO_GID", "1234")
            .env("HOME", "/root");
        up.run().succeeds().whatever();
        let unset = "services:\n  a: {image: test/busybox, command: [\"echo\", \"$GONE\"]}\n";
        project.write("unset.yaml", unset);
        project
            .skiff(["-f", "unset.yaml", "config", "-q"])
            .env("SUDO_USER", "ann")
            .run()
            .succeeds()
            .warns("sudo --preserve-env=NAME")
            .whatever();
        assert_home_and_user_are_the_callers(&project, &home);
        let config = ["config", "-o", "made/out.yaml"];
        let config = project.skiff(config).env("SUDO_UID", "1234");
        config.run().succeeds().whatever();
        // Somebody whom only another service of names knows.
        let config = |home: Option<&str>| {
            let config = project.skiff(["config"]).env("SUDO_UID", "4321");
            let config = config.env("SUDO_GID", "4321").env("SUDO_USER", "bea");
            let config = config.env("HOME", "/root");
            let config = home
                .into_iter()
                .fold(config, |c, home| c.env("SUDO_HOME", home));
            config.run().succeeds()
        };
        config(None)
            .warns("SUDO_HOME")
            .says("/root/home-made")
            .whatever();
        config(Some("/people/bea"))
            .says("/people/bea/home-made")
            .whatever();
        for made in [
            project.dir.join("made"),
            home.join("home-made"),
            project.dir.join("made/out.yaml"),
        ] {
            let owner = fs_err::metadata(&made).expect("made").uid();
            assert_eq!(owner, 1234, "{}", made.display());
        }
        project.down();
        sandbox
            .shell("umount /etc/passwd")
            .run()
            .succeeds()
            .whatever();
    });
}
