//! A project owes nothing to the shell that started it: not its environment,
//! limits, terminal, session, control group or life.

use fs_err as fs;
use rustix::process::Signal;

use crate::support::{Project, Sandbox, Terminal, isolated, processes, status_field};

const COMPOSE: &str = r#"
services:
  web:
    image: test/busybox
    command: ["sh", "-c", "echo ready; trap 'exit 0' TERM; sleep 1000 & wait"]
"#;

/// What of `/proc/1` could have come from the shell.
fn portrait(project: &Project<'_>) -> String {
    let status = project.sh("web", "cat /proc/1/status");
    let mut text = String::new();
    for field in [
        "Umask",
        "SigBlk",
        "SigIgn",
        "SigCgt",
        "CapAmb",
        "CapInh",
        "Cpus_allowed",
        "Groups",
    ] {
        text.extend([field, " ", status_field(&status, field), "\n"]);
    }
    text.push_str(&project.sh("web", "cat /proc/1/limits"));
    text.push_str(&project.sh(
        "web",
        "tr '\\0' '\\n' </proc/1/environ | grep -v HOSTNAME | sort",
    ));
    text.push_str(&project.sh(
        "web",
        "readlink /proc/1/cwd; cat /proc/1/oom_score_adj; ls /proc/1/fd",
    ));
    // Nice value, and session and group: its own.
    text.push_str(&project.sh("web", "cut -d' ' -f5,6,18,19 /proc/1/stat"));
    text
}

/// The same of every process of skiff's that outlives the command.
fn portrait_of_helpers() -> Vec<String> {
    let mut portraits: Vec<String> = helpers()
        .iter()
        .map(|pid| {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("/proc");
            let environment = fs::read(format!("/proc/{pid}/environ")).expect("/proc");
            let cwd = fs::read_link(format!("/proc/{pid}/cwd")).expect("/proc");
            let out = fs::read_link(format!("/proc/{pid}/fd/1")).expect("/proc");
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("/proc");
            let fields: Vec<&str> = stat
                .rsplit_once(')')
                .expect("stat")
                .1
                .split_whitespace()
                .collect();
            let limits = fs::read_to_string(format!("/proc/{pid}/limits")).expect("/proc");
            format!(
                "umask {} ignored {} groups {} cpus {} limits {limits} environment {:?} cwd {} \
                 stdout {} tty {} nice {}",
                status_field(&status, "Umask"),
                status_field(&status, "SigIgn"),
                status_field(&status, "Groups"),
                status_field(&status, "Cpus_allowed"),
                String::from_utf8_lossy(&environment),
                cwd.display(),
                out.display(),
                fields[4],
                fields[16],
            )
        })
        .collect();
    portraits.sort();
    portraits
}

/// Processes that run the binary, by what /proc says they execute.
fn helpers() -> Vec<u32> {
    let skiff = fs::metadata(env!("CARGO_BIN_EXE_skiff"))
        .expect("the binary")
        .len();
    processes()
        .into_iter()
        .filter(|process| {
            // By size: it may run from a copy that cannot be overwritten.
            fs::metadata(format!("/proc/{}/exe", process.pid)).is_ok_and(|exe| exe.len() == skiff)
        })
        .map(|process| process.pid)
        .collect()
}

fn start(sandbox: &Sandbox) -> Project<'_> {
    sandbox.load_busybox();
    sandbox.project("clean", COMPOSE)
}

#[test]
fn a_poisoned_shell_makes_no_difference() {
    isolated(|sandbox| {
        let project = start(sandbox);
        project.up().whatever();
        let (container, helpers) = (portrait(&project), portrait_of_helpers());
        assert!(!helpers.is_empty(), "{:?}", processes());
        for helper in &helpers {
            assert!(
                helper.contains("cwd / stdout /dev/null tty 0 nice 0"),
                "{helper}"
            );
        }
        project.down();
        for tool in ["perl", "taskset", "setpriv"] {
            crate::support::program(tool);
        }
        let script = "
            umask 077
            # A hard limit that was lowered is raised again by CAP_SYS_RESOURCE
            # (bit 24) alone; a root without it lowers the soft ones here.
            caps=$(sed -n 's/^CapEff:[[:space:]]*//p' /proc/self/status)
            [ $((0x$caps >> 24 & 1)) = 1 ] && soft= || soft=-S
            ulimit $soft -n 64; ulimit $soft -c 0; ulimit $soft -p 500; ulimit $soft -s 1024
            trap '' HUP INT QUIT PIPE USR1 USR2 ALRM
            export ODD='line one
line two' MALLOC_ARENA_MAX=1 TZ=Asia/Tokyo LC_ALL=tr_TR.UTF-8 PS4='$(touch /tmp/bad)'
            mkdir \"$HOME/gone\"; cd \"$HOME/gone\"; rmdir \"$HOME/gone\"
            exec 7</etc/passwd 8>/dev/null
            echo 500 >/proc/self/oom_score_adj
            # A shell does not ignore this one, whatever its trap says.
            exec perl -e '$SIG{CHLD} = \"IGNORE\"; exec @ARGV' \
                taskset 1 nice -n 7 setpriv --ambient-caps +net_admin --inh-caps +net_admin --groups 4,5 \
                \"$skiff\" -f \"$FILE\" -p clean up -d";
        let file = project.dir.join("compose.yaml");
        sandbox
            .shell(script)
            .env("FILE", file.as_os_str())
            .run()
            .succeeds()
            .whatever();
        assert_eq!(portrait(&project), container);
        assert_eq!(portrait_of_helpers(), helpers);
        project.down();
    });
}

#[test]
fn closing_the_terminal_ends_nothing() {
    isolated(|sandbox| {
        let project = start(sandbox);
        let mut terminal = Terminal::start(&sandbox.shell("sh -i"));
        terminal.types(&format!(
            "cd {} && \"$skiff\" up -d; echo code=$?\r",
            project.dir.display()
        ));
        terminal.wait_text("code=0");
        let id = project.container_field("web", "ID");
        let shell = terminal.pid();
        terminal.close();
        let end = std::time::Instant::now() + *crate::support::DEADLINE;
        assert!(
            crate::support::wait_exit(shell, end),
            "the shell ends with its terminal"
        );
        assert_eq!(project.container_field("web", "State"), "running");
        assert_eq!(project.container_field("web", "ID"), id);
        project.sh("web", "true");
        drop(terminal);
        project.down();
    });
}

#[test]
fn sighup_and_a_killed_session_end_nothing() {
    isolated(|sandbox| {
        let project = start(sandbox);
        let script = "cd \"$DIR\"; \"$skiff\" up -d || exit 1; echo up; sleep 1000";
        let mut session = sandbox
            .command(&crate::support::program("setsid"))
            .args(["sh", "-c", script])
            .env("skiff", env!("CARGO_BIN_EXE_skiff"))
            .env("DIR", project.dir.as_os_str())
            .spawn();
        session.wait_line("up");
        let leader = i32::try_from(session.pid())
            .ok()
            .and_then(rustix::process::Pid::from_raw)
            .unwrap();
        for signal in [Signal::HUP, Signal::KILL] {
            // The second finds nothing left of the group.
            rustix::process::kill_process_group(leader, signal).ok();
        }
        session.finish().fails().whatever();
        project.sh("web", "true");
        assert_eq!(project.container_field("web", "State"), "running");
        project.down();
    });
}

/// What `systemd` does at log-out, and a CI runner after a job: it kills the
/// control group of whoever typed `up`.
#[test]
fn killing_the_callers_cgroup_ends_nothing() {
    isolated(|sandbox| {
        let project = start(sandbox);
        let script = r#"
            name=skiff-e2e-caller-$$; made=
            for d in /sys/fs/cgroup /sys/fs/cgroup/unified /sys/fs/cgroup/systemd /sys/fs/cgroup/pids; do
                [ -e "$d/cgroup.procs" ] || continue
                mkdir "$d/$name" && echo $$ >"$d/$name/cgroup.procs" && made="$made $d/$name"
            done
            cd "$DIR"; "$skiff" up -d || exit 1
            for d in $made; do
                for pid in $(cat $d/cgroup.procs); do [ $pid = $$ ] || kill -9 $pid 2>/dev/null; done
                echo $$ >"${d%/*}/cgroup.procs"
                rmdir $d || exit 2
            done"#;
        sandbox
            .shell(script)
            .env("DIR", project.dir.as_os_str())
            .run()
            .succeeds()
            .whatever();
        project.sh("web", "true");
        assert_eq!(project.container_field("web", "State"), "running");
        project.down();
    });
}

/// A CI runner that ends every process in whose environment it finds its mark.
#[test]
fn killing_by_an_environment_variable_ends_nothing() {
    isolated(|sandbox| {
        let project = start(sandbox);
        project
            .skiff(["up", "-d"])
            .env("RUNNER_TRACKING_ID", "mark-4711")
            .run()
            .succeeds()
            .whatever();
        let mut killed = Vec::new();
        for process in processes() {
            let environment =
                fs::read(format!("/proc/{}/environ", process.pid)).unwrap_or_default();
            if String::from_utf8_lossy(&environment).contains("mark-4711") {
                killed.push(process.command.clone());
                let pid = i32::try_from(process.pid)
                    .ok()
                    .and_then(rustix::process::Pid::from_raw);
                rustix::process::kill_process(pid.unwrap(), Signal::KILL).expect("killed");
            }
        }
        assert!(killed.is_empty(), "{killed:?}");
        project.sh("web", "true");
        project.down();
    });
}
