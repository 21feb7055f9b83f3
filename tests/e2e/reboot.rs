//! The machine is started again: processes, links, rules, control groups and
//! the run root are gone, and the boot id is another one.

use std::time::Instant;

use fs_err as fs;
use rustix::process::{Pid, Signal, kill_process};

use crate::support::{DEADLINE, Project, Sandbox, isolated, processes, wait_exit};

/// Another boot id lies over the kernel's as long as this value lives.
struct Reboot<'a>(&'a Sandbox);

impl<'a> Reboot<'a> {
    /// Ends everything that a reboot ends.
    fn new(sandbox: &'a Sandbox) -> Self {
        let all = processes();
        // Stopped first, so that nobody starts somebody else anew meanwhile.
        for signal in [Signal::STOP, Signal::KILL] {
            for process in &all {
                let raw = i32::try_from(process.pid).expect("a pid");
                kill_process(Pid::from_raw(raw).expect("a pid"), signal).ok();
            }
        }
        for process in &all {
            assert!(wait_exit(process.pid, Instant::now() + *DEADLINE));
        }
        let script = r#"
            set -e
            for pin in "$SKIFF_RUN_ROOT"/netns/*; do [ ! -e "$pin" ] || umount "$pin"; done
            rm -r "$SKIFF_RUN_ROOT"
            for link in $(ip -o link | sed -n 's/^[0-9]*: \(sk[^:@]*\).*/\1/p'); do
                ip link del "$link" 2>/dev/null || :
            done
            nft flush ruleset
            find /sys/fs/cgroup -depth -type d -path "*$(cat "$SKIFF_DATA_ROOT/id")*" -exec rmdir {} + 2>/dev/null || :
            echo 00000000-1111-2222-3333-444444444444 >"$HOME/boot_id"
            mount --bind "$HOME/boot_id" /proc/sys/kernel/random/boot_id
        "#;
        sandbox.shell(script).run().succeeds().whatever();
        Self(sandbox)
    }
}

impl Drop for Reboot<'_> {
    fn drop(&mut self) {
        let unmount = self.0.shell("umount /proc/sys/kernel/random/boot_id");
        // The assertions of a failed test are what is to be told.
        drop(unmount.run());
    }
}

const COMPOSE: &str = r#"
services:
  web:
    image: test/busybox
    init: true
    restart: unless-stopped
    command: ["sh", "-c", "mkdir -p /www; echo page >/www/index.html; exec httpd -f -p 80 -h /www"]
    ports: ["127.0.0.1:18080:80"]
    volumes: ["data:/data", "/anonymous"]
    healthcheck: {test: ["CMD", "wget", "-qO-", "http://127.0.0.1/"], interval: 10s}
  user:
    image: test/busybox
    init: true
    command: sleep 1000
    depends_on: {web: {condition: service_healthy}}
  job:
    image: test/busybox
    command: ["sh", "-c", "exit 3"]
volumes:
  data:
"#;

/// Starts the project, writes into its volumes, and restarts the machine.
fn rebooted(sandbox: &Sandbox) -> (Project<'_>, Reboot<'_>) {
    sandbox.load_busybox();
    let project = sandbox.project("boot", COMPOSE);
    project.up().whatever();
    project.sh("web", "echo kept >/data/file; echo kept >/anonymous/file");
    // Ended once before it is started again: its old end is not the last one.
    project.skiff(["stop", "user"]).run().succeeds().whatever();
    project.skiff(["start", "user"]).run().succeeds().whatever();
    let reboot = Reboot::new(sandbox);
    (project, reboot)
}

/// Everything runs, is reached, and has what it had.
#[track_caller]
fn assert_whole(project: &Project<'_>, sandbox: &Sandbox) {
    assert_eq!(
        project.sh("user", "wget -qO- http://web/"),
        "page\n",
        "by name"
    );
    let page = sandbox.shell("busybox wget -qO- http://127.0.0.1:18080/");
    page.run().succeeds().prints("page\n").whatever();
    assert_eq!(
        project.sh("web", "cat /data/file /anonymous/file"),
        "kept\nkept\n"
    );
}

#[test]
fn up_after_a_reboot_brings_everything_back() {
    isolated(|sandbox| {
        let (project, _reboot) = rebooted(sandbox);
        for (service, code) in [("web", "255"), ("user", "255"), ("job", "3")] {
            assert_eq!(project.container_field(service, "State"), "exited");
            assert_eq!(project.container_field(service, "ExitCode"), code);
        }
        let status = project.container_field("web", "Status");
        assert!(status.starts_with("Exited (255) "), "{status}");
        let list = sandbox.skiff(["ls", "-a"]).run().succeeds();
        assert!(list.stdout.contains("exited(3)"), "{list}");
        project.up().whatever();
        assert_whole(&project, sandbox);
        assert_eq!(project.container_field("job", "ExitCode"), "3");
        project.down();
    });
}

/// As the service manager does it: by name, without a file.
#[test]
fn start_after_a_reboot_brings_everything_back() {
    isolated(|sandbox| {
        let (project, _reboot) = rebooted(sandbox);
        sandbox
            .skiff(["-p", "boot", "start"])
            .run()
            .succeeds()
            .whatever();
        assert_whole(&project, sandbox);
        project.down();
    });
}

#[test]
fn restart_after_a_reboot_brings_everything_back() {
    isolated(|sandbox| {
        let (project, _reboot) = rebooted(sandbox);
        project.skiff(["restart"]).run().succeeds().whatever();
        for service in ["web", "user"] {
            assert_eq!(project.container_field(service, "State"), "running");
        }
        // A restart waits for no health check: the page may come a moment later.
        project
            .skiff(["up", "-d", "--wait", "--no-deps", "web"])
            .run()
            .succeeds()
            .whatever();
        assert_whole(&project, sandbox);
        project.down();
    });
}

#[test]
fn down_after_a_reboot_leaves_nothing() {
    isolated(|sandbox| {
        let (project, _reboot) = rebooted(sandbox);
        project.down();
    });
}

/// The commands of the unit that the documentation shows.
#[test]
fn the_documented_unit_starts_and_stops_a_project() {
    isolated(|sandbox| {
        let (project, _reboot) = rebooted(sandbox);
        let text = fs::read_to_string("docs/at-boot.md").expect("the documentation");
        let command = |key: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(key));
            let line = line.unwrap_or_else(|| panic!("no `{key}` in docs/at-boot.md"));
            let words = line.replace("%i", "boot");
            let mut words = words.split_whitespace().map(str::to_owned);
            assert_eq!(words.next().as_deref(), Some("/usr/local/bin/skiff"));
            words.collect::<Vec<_>>()
        };
        sandbox
            .skiff(command("ExecStart="))
            .run()
            .succeeds()
            .whatever();
        assert_whole(&project, sandbox);
        sandbox
            .skiff(command("ExecStop="))
            .run()
            .succeeds()
            .whatever();
        assert_eq!(project.container_field("web", "State"), "exited");
        project.down();
    });
}

/// Somebody, or something, removes a bridge under a project.
#[test]
fn a_removed_bridge_comes_back() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let project = sandbox.project("boot", COMPOSE);
        project.up().whatever();
        project.sh("web", "echo kept >/data/file; echo kept >/anonymous/file");
        let remove = || {
            let script =
                "ip link del $(ip -o link show type bridge | sed 's/^[0-9]*: \\([^:]*\\).*/\\1/')";
            sandbox.shell(script).run().succeeds().whatever();
        };
        // With everything running.
        remove();
        project.up().whatever();
        assert_whole(&project, sandbox);
        remove();
        project.skiff(["restart"]).run().succeeds().whatever();
        assert_whole(&project, sandbox);
        project.skiff(["stop"]).run().succeeds().whatever();
        remove();
        project.skiff(["start"]).run().succeeds().whatever();
        assert_whole(&project, sandbox);
        project.down();
    });
}
