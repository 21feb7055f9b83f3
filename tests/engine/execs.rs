//! Further processes in a running container.

use fs_err as fs;
use skiff::engine::process::ProcessIdentity;

use crate::harness::{Machine, isolated};

#[test]
fn exec_joins_every_namespace_of_the_container() {
    isolated(|| {
        let mut machine = Machine::new();
        let container = machine.start(&["sleep", "1000"]);
        let show = "for n in uts ipc net cgroup pid mnt; do readlink /proc/self/ns/$n; done; for n in uts ipc net cgroup pid mnt; do readlink /proc/1/ns/$n; done; hostname; ls /proc/self/fd | grep -c .";
        let output = machine.exec(&container, &["sh", "-c", show]).finish().ok();
        let lines: Vec<&str> = output.lines().collect();
        assert_eq!(lines[..6], lines[6..12]);
        assert_eq!(lines[12..], ["box", "4"]);
        // The keeper stayed where it was: the next container is no child of
        // the first one's pid namespace.
        let next = machine.start(&["sleep", "1000"]);
        let ns = |pid| fs::read_link(format!("/proc/{pid}/ns/pid")).unwrap();
        let (first, second) = (container.pid().as_raw_pid(), next.pid().as_raw_pid());
        assert_ne!(ns(first), ns(second));
        assert_eq!(
            fs::read_link("/proc/self/ns/pid_for_children").unwrap(),
            fs::read_link("/proc/self/ns/pid").unwrap()
        );
    });
}

#[test]
fn exec_has_user_credentials_limits_and_filter_of_its_own() {
    isolated(|| {
        let mut machine = Machine::new();
        let container = machine.start(&["sleep", "1000"]);
        machine.spec.user = Some("app".to_owned());
        machine.process().set_cwd("/bin".into());
        machine.process().set_no_new_privileges(Some(true));
        let output = machine
            .exec(&container, &["sh", "-c", "id -u; id -g; echo $HOME; pwd; umask; grep -E 'NoNewPrivs|CapBnd|SigBlk' /proc/self/status"])
            .finish()
            .ok();
        assert_eq!(
            output,
            "1000\n1001\n/srv/app\n/bin\n0022\nSigBlk:\t0000000000000000\nCapBnd:\t00000000a80425fb\nNoNewPrivs:\t1\n"
        );
    });
}

#[test]
fn exec_that_cannot_run_gives_dockers_code() {
    isolated(|| {
        let mut machine = Machine::new();
        let container = machine.start(&["sleep", "1000"]);
        let outcome = machine.exec(&container, &["nosuch"]).finish();
        assert_eq!(outcome.code, 127);
        assert_eq!(
            outcome.error().message.as_deref(),
            Some("exec: \"nosuch\": executable file not found in $PATH")
        );
        let outcome = machine.exec(&container, &["/etc/passwd"]).finish();
        assert_eq!(outcome.code, 126);
        machine.process().set_cwd("/nosuch".into());
        let outcome = machine.exec(&container, &["true"]).finish();
        assert_eq!(outcome.code, 127);
        let error = outcome.error().to_string();
        assert!(
            error.starts_with("cannot change to the working directory `/nosuch`"),
            "{error}"
        );
    });
}

#[test]
fn exec_is_killed_with_the_container_and_its_code_seen() {
    isolated(|| {
        let mut machine = Machine::new();
        let container = machine.start(&["sleep", "1000"]);
        let identity = ProcessIdentity::of(container.pid().as_raw_pid()).unwrap();
        assert!(identity.still_running());
        let exec = machine.exec(&container, &["sleep", "1000"]);
        container.signal(rustix::process::Signal::KILL);
        // The kernel ends process 1 only when all others of its namespace are
        // reaped, and this one is ours to reap.
        assert_eq!(exec.finish().code, 137);
        container.kill();
        assert!(!identity.still_running());
    });
}

#[test]
fn exec_in_an_ended_container_is_refused() {
    isolated(|| {
        let mut machine = Machine::new();
        let container = machine.start(&["sleep", "1000"]);
        let pidfd = container.spawned.pidfd.try_clone().unwrap();
        container.kill();
        let fds = skiff::engine::launch::LaunchFds {
            spec: skiff::engine::prepare::memfd_spec(&()).unwrap(),
            sync: skiff::engine::prepare::sync_pair().unwrap().1,
            stdio: None,
            netns: None,
            cgroup: skiff::engine::launch::CgroupFds::default(),
            filter: None,
            target: Some(pidfd),
            pid: skiff::engine::launch::PidNamespace::New,
        };
        let error = skiff::engine::launch::spawn_exec(&fds).unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot join the container's pid namespace"
        );
    });
}
