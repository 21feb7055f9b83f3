//! SIGKILL at any moment: no container, no line, no exit code and no
//! connection is lost, and the next command puts everything right.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use fs_err as fs;
use rustix::process::Signal;

use crate::support::{
    DEADLINE, Project, helpers, isolated, kill_hard, processes, raw_listener, send, wait_exit,
};

/// One service that ends when it is told to.
const QUIET: &str = r#"
services:
  count:
    image: test/busybox
    command: ["sh", "-c", "trap 'exit 0' TERM; sleep 1000 & wait"]
"#;

/// Kills keeper and supervisor in the same instant: neither sees the other die.
fn kill_both(project: &Project<'_>) {
    let pids: Vec<u32> = ["keeper", "supervisor"]
        .iter()
        .flat_map(|kind| helpers(project, kind))
        .collect();
    assert!(pids.len() >= 2, "{:?}", processes());
    for signal in [Signal::STOP, Signal::KILL] {
        for pid in &pids {
            send(*pid, signal);
        }
    }
    for pid in pids {
        assert!(wait_exit(pid, Instant::now() + *DEADLINE));
    }
}

/// How long the death of a supervisor may keep names unanswered.
const NAMES_ANSWER_AGAIN: Duration = Duration::from_millis(200);

/// A service that asks for names without end and writes, for each answer, a
/// line that starts with `/proc/uptime` (in steps of 10 ms).
struct Asker {
    answers: Receiver<Duration>,
    last: Duration,
}

impl Asker {
    /// Reads the pipe that the service writes into.
    fn new(pipe: PathBuf) -> Self {
        let (sender, answers) = channel();
        thread::spawn(move || {
            let pipe = fs::File::open(pipe).expect("a pipe");
            for line in BufReader::new(pipe).lines() {
                let seconds = line.expect("a line").parse().expect("seconds");
                sender.send(Duration::from_secs_f64(seconds)).ok();
            }
        });
        Self {
            answers,
            last: Self::now(),
        }
    }

    fn now() -> Duration {
        let text = fs::read_to_string("/proc/uptime").expect("/proc");
        let seconds = text.split(' ').next().expect("a first word");
        Duration::from_secs_f64(seconds.parse().expect("seconds"))
    }

    /// The longest time without an answer from the last one on, to the second
    /// from now on: the first may have been given before, and be told late.
    fn longest_gap(&mut self) -> Duration {
        let now = Self::now();
        let (mut longest, mut later) = (Duration::ZERO, 0);
        while later < 2 {
            let answer = self.answers.recv_timeout(*DEADLINE).expect("an answer");
            longest = longest.max(answer.saturating_sub(self.last));
            self.last = answer;
            later += u32::from(answer > now);
        }
        longest
    }
}

/// The heart of the process model.
#[test]
fn fifty_killed_supervisors_lose_no_line_and_refuse_nobody() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let compose = r#"
services:
  count:
    image: test/busybox
    command: ["sh", "-c", "i=0; while :; do i=$$((i+1)); echo line $$i; [ $$((i % 500)) != 0 ] || usleep 2000; done"]
    stop_grace_period: 0s
    logging: {options: {max-size: 500m}}
  web:
    image: test/busybox
    init: true
    command: ["sh", "-c", "mkdir /www; echo page >/www/index.html; exec httpd -f -p 80 -h /www"]
    healthcheck: {test: ["CMD", "wget", "-qO-", "http://127.0.0.1/"], interval: 10s}
    ports: ["127.0.0.1:18080:80"]
  asker:
    image: test/busybox
    command: ["sh", "-c", "while nslookup web >/dev/null; do read up idle </proc/uptime; echo $$up; done >/go/pipe"]
    stop_grace_period: 0s
    volumes: ["./go:/go"]
    depends_on: [web]
"#;
        let project = sandbox.project("crash", compose);
        project.write("go/readme", "");
        sandbox
            .shell("mkfifo crash/go/pipe")
            .run()
            .succeeds()
            .whatever();
        let mut asker = Asker::new(project.dir.join("go/pipe"));
        project
            .skiff(["up", "-d", "--wait"])
            .run()
            .succeeds()
            .whatever();
        let over = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&over);
        let clients = thread::spawn(move || {
            let mut answers = 0_u32;
            while answers < 50 || !stop.load(Ordering::Relaxed) {
                let mut stream = TcpStream::connect("127.0.0.1:18080").expect("never refused");
                stream.write_all(b"GET / HTTP/1.0\r\n\r\n").expect("sent");
                stream.set_read_timeout(Some(*DEADLINE)).expect("a timeout");
                let mut text = String::new();
                // A connection that the killed supervisor carried is cut; a new one must do.
                if stream.read_to_string(&mut text).is_ok() && text.contains("page") {
                    answers += 1;
                }
            }
        });
        asker.longest_gap();
        let gaps: Vec<Duration> = (0..50)
            .map(|_| {
                let running = helpers(&project, "supervisor");
                assert_eq!(running.len(), 1, "{:?}", processes());
                kill_hard(running[0]);
                asker.longest_gap()
            })
            .collect();
        // A question that got lost, or a pause that grows, would take seconds.
        let late = gaps.iter().filter(|gap| **gap >= NAMES_ANSWER_AGAIN);
        assert_eq!(late.count(), 0, "names did not answer for {gaps:?}");
        over.store(true, Ordering::Relaxed);
        clients.join().expect("the clients");
        project.skiff(["stop", "count"]).run().succeeds().whatever();
        let logs = project
            .skiff(["logs", "--no-log-prefix", "count"])
            .run()
            .succeeds();
        let mut expected = 0_u64;
        for line in logs.stdout.lines() {
            expected += 1;
            assert_eq!(line, format!("line {expected}"), "missing, doubled or torn");
        }
        assert!(expected > 1000, "{expected} lines");
        project.down();
    });
}

/// The gap between two supervisors is no failure of whoever asks in it.
#[test]
fn commands_wait_for_the_next_supervisor() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let project = sandbox.project("gap", QUIET);
        project.up().whatever();
        for _ in 0..5 {
            for pid in helpers(&project, "supervisor") {
                kill_hard(pid);
            }
            assert_eq!(project.sh("count", "echo alive"), "alive\n");
        }
        for pid in helpers(&project, "supervisor") {
            kill_hard(pid);
        }
        project.skiff(["stop"]).run().succeeds().whatever();
        project.down();
    });
}

#[test]
fn an_exit_during_the_supervisors_death_is_not_lost() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let compose = r#"
services:
  count:
    image: test/busybox
    command: ["sh", "-c", "trap 'exit 0' TERM; sleep 1000 & wait"]
  job:
    image: test/busybox
    command: ["sh", "-c", "read x </go/fifo; echo last words; exit 42"]
    volumes: ["./go:/go"]
"#;
        let project = sandbox.project("exits", compose);
        project.write("go/readme", "");
        sandbox
            .shell("mkfifo exits/go/fifo")
            .run()
            .succeeds()
            .whatever();
        project.up().whatever();
        for pid in helpers(&project, "supervisor") {
            kill_hard(pid);
        }
        // Into the gap: the job ends while nobody may be watching.
        sandbox
            .shell("echo go >exits/go/fifo")
            .run()
            .succeeds()
            .whatever();
        let logs = project
            .skiff(["logs", "-f", "--no-log-prefix", "job"])
            .run()
            .succeeds();
        logs.prints("last words\n").whatever();
        assert_eq!(project.container_field("job", "ExitCode"), "42");
        project.down();
    });
}

#[test]
fn a_killed_keeper_ends_no_container() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let compose = r#"
services:
  count:
    image: test/busybox
    command: ["sh", "-c", "echo ready; trap 'echo bye; exit 7' TERM; sleep 1000 & wait"]
"#;
        let project = sandbox.project("orphans", compose);
        project.up().whatever();
        let id = project.container_field("count", "ID");
        let keepers = helpers(&project, "keeper");
        assert_eq!(keepers.len(), 1, "{:?}", processes());
        kill_hard(keepers[0]);
        assert_eq!(project.sh("count", "echo alive"), "alive\n");
        assert_eq!(project.container_field("count", "ID"), id);
        project.skiff(["stop", "count"]).run().succeeds().whatever();
        let logs = project
            .skiff(["logs", "--no-log-prefix", "count"])
            .run()
            .succeeds();
        logs.prints("ready\nbye\n").whatever();
        // Not this keeper's child: the code may be unknown, but the end is seen.
        assert_eq!(project.container_field("count", "State"), "exited");
        project.down();
    });
}

#[test]
fn when_both_die_the_next_command_takes_over() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let project = sandbox.project("both", QUIET);
        project.up().whatever();
        kill_both(&project);
        project
            .skiff(["up", "-d", "--wait"])
            .run()
            .succeeds()
            .whatever();
        assert_eq!(project.sh("count", "echo alive"), "alive\n");
        project.down();
    });
}

/// Listeners and resolvers go with the two, and come back with the next command.
#[test]
fn ports_and_names_come_back_after_both_died() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let compose = r#"
services:
  web:
    image: test/busybox
    init: true
    command: ["sh", "-c", "mkdir /www; echo page >/www/index.html; exec httpd -f -p 80 -h /www"]
    ports: ["18080:80", "127.0.0.1:18081:80"]
    healthcheck: {test: ["CMD", "wget", "-qO-", "http://127.0.0.1/"], interval: 10s}
"#;
        let project = sandbox.project("sockets", compose);
        let page = |port: u16, code: i32| {
            let url = format!("http://127.0.0.1:{port}/");
            let script = format!("busybox wget -qO- {url}");
            let got = sandbox.shell(&script).run();
            assert_eq!(got.code, code, "{got}");
        };
        project
            .skiff(["up", "-d", "--wait"])
            .run()
            .succeeds()
            .whatever();
        kill_both(&project);
        project.up().warns("Running").whatever();
        page(18080, 0);
        page(18081, 0);
        project.sh("web", "nslookup web >/dev/null");
        // Held by the new keeper, for the supervisor after this one.
        for pid in helpers(&project, "supervisor") {
            kill_hard(pid);
        }
        project.sh("web", "nslookup web >/dev/null");
        page(18080, 0);

        // Somebody else takes a port while nobody holds it.
        kill_both(&project);
        let thief = raw_listener("127.0.0.1:18081");
        project
            .up()
            .warns("127.0.0.1:18081/tcp is taken")
            .whatever();
        page(18080, 0);
        let ports = project.container_field("web", "Publishers");
        assert!(
            ports.contains("18080") && !ports.contains("18081"),
            "{ports}"
        );
        drop(thief);
        project.skiff(["restart"]).run().succeeds().whatever();
        let quiet = project.skiff(["up", "-d", "--wait"]).run().succeeds();
        page(18081, 0);
        assert!(!quiet.stderr.contains("taken"), "{quiet}");
        project.down();
    });
}

/// The CLI is killed after ever more lines of progress: the next `up` converges.
#[test]
fn a_killed_up_is_completed_by_the_next() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let service = |name: &str, after: &str| {
            format!(
                "  {name}:\n    image: test/busybox\n    init: true\n    command: sleep 1000\n    \
                 volumes: [\"data:/data\"]\n    ports: [\"80\"]\n{after}"
            )
        };
        let compose = format!(
            "services:\n{}{}{}volumes:\n  data:\n",
            service("a", ""),
            service("b", "    depends_on: [a]\n"),
            service("c", "    depends_on: [b]\n")
        );
        let project = sandbox.project("killed", &compose);
        for lines in 1..12 {
            let mut up = project.skiff(["up", "-d"]).spawn();
            // Fewer lines may come than asked for; then the kill comes late.
            let mut seen = 0;
            up.wait_for("progress", |_| {
                seen += 1;
                seen >= lines.min(6)
            });
            up.signal(Signal::KILL);
            up.finish().whatever();
            project.up().whatever();
            let ps = project.skiff(["ps", "--format", "json"]).run().succeeds();
            let running = ps
                .json_lines()
                .iter()
                .filter(|c| c["State"] == "running")
                .count();
            assert_eq!(running, 3, "after {lines} lines\n{ps}");
            project.down();
        }
    });
}

#[test]
fn down_after_a_killed_up_leaves_nothing() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let compose = "services:\n  a:\n    image: test/busybox\n    init: true\n    command: sleep 1000\n  \
                       b:\n    image: test/busybox\n    init: true\n    command: sleep 1000\n";
        let project = sandbox.project("killed", compose);
        for _ in 0..5 {
            let mut up = project.skiff(["up", "-d"]).spawn();
            up.wait_line("Creat");
            up.signal(Signal::KILL);
            up.finish().whatever();
            project.down();
        }
    });
}
