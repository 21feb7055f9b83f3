//! What a program finds inside its container: Docker's defaults, the image's
//! config and the service's settings.

use std::os::unix::fs::MetadataExt;

use serde_json::json;

use crate::support::{Image, Sandbox, isolated, status_field};

/// Docker's 14 default capabilities.
const DEFAULT_CAPABILITIES: &str = "00000000a80425fb";

fn one<'a>(sandbox: &'a Sandbox, name: &str, settings: &str) -> crate::support::Project<'a> {
    sandbox.load_busybox();
    let compose = format!(
        "services:\n  a:\n    image: test/busybox\n    command: [sh, -c, \"trap 'exit 0' TERM; sleep 1000 & wait\"]\n{settings}"
    );
    let project = sandbox.project(name, &compose);
    project.up().whatever();
    project
}

#[test]
fn the_defaults_are_dockers() {
    isolated(|sandbox| {
        let project = one(sandbox, "def", "");
        let id = project.container_field("a", "ID");
        let sh = |script: &str| project.sh("a", script);
        assert_eq!(sh("hostname"), format!("{id}\n"));
        assert_eq!(sh("cat /etc/hostname"), format!("{id}\n"));
        assert_eq!(
            sh("tr '\\0' '\\n' </proc/1/environ | sort"),
            format!("HOME=/root\nHOSTNAME={id}\nPATH=/bin\n")
        );
        let address = sh("ip -4 -o addr show eth0 | sed 's/.*inet \\([0-9.]*\\).*/\\1/'");
        let hosts = sh("cat /etc/hosts");
        assert!(hosts.starts_with("127.0.0.1\tlocalhost\n"), "{hosts}");
        assert!(
            hosts.contains(&format!("{}\t{id}\n", address.trim())),
            "{hosts}"
        );
        let resolv = sh("grep -v '^#' /etc/resolv.conf");
        assert!(resolv.contains("nameserver 127.0.0.11\n"), "{resolv}");
        assert!(resolv.contains("options ndots:0\n"), "{resolv}");
        assert_eq!(sh("umask"), "0022\n");
        assert_eq!(sh("date +%Z"), "UTC\n");
        assert_eq!(sh("cat /proc/1/comm"), "sh\n", "no init unless asked for");
        assert_eq!(sh("pwd"), "/\n");
        assert_eq!(
            sh("stat -c '%a %u:%g' /dev/shm /dev /proc /tmp"),
            "1777 0:0\n755 0:0\n555 0:0\n1777 0:0\n"
        );
        project.down();
    });
}

#[test]
fn the_mounts_are_dockers() {
    isolated(|sandbox| {
        let project = one(sandbox, "mounts", "");
        let mounts = project.sh(
            "a",
            "cut -d' ' -f5,6,9- /proc/self/mountinfo | sed 's/ - / /'",
        );
        for (point, options) in [
            ("/", "rw"),
            ("/proc", "rw,nosuid,nodev,noexec"),
            ("/dev", "rw,nosuid"),
            ("/dev/pts", "rw,nosuid,noexec"),
            ("/dev/shm", "rw,nosuid,nodev,noexec"),
            ("/dev/mqueue", "rw,nosuid,nodev,noexec"),
            ("/sys", "ro,nosuid,nodev,noexec"),
            ("/proc/sys", "ro,nosuid,nodev,noexec"),
            ("/proc/bus", "ro,nosuid,nodev,noexec"),
            ("/proc/irq", "ro,nosuid,nodev,noexec"),
            ("/etc/hosts", "rw"),
            ("/etc/resolv.conf", "rw"),
            ("/etc/hostname", "rw"),
        ] {
            let wanted = format!("{point} {options}");
            assert!(
                mounts.lines().any(|line| line.starts_with(&wanted)),
                "{wanted}\n{mounts}"
            );
        }
        assert!(
            mounts.contains("size=65536k"),
            "64 MiB of /dev/shm\n{mounts}"
        );
        assert_eq!(
            project.sh(
                "a",
                "cat /proc/keys; cat /proc/timer_list; ls /sys/firmware"
            ),
            "",
            "masked"
        );
        assert!(
            !project.sh("a", "ls /dev").contains("sda"),
            "only Docker's devices"
        );
        let devices = project.sh("a", "cd /dev; ls -d null zero full random urandom tty console ptmx fd stdin stdout stderr core 2>/dev/null | tr '\\n' ' '");
        for device in [
            "null", "zero", "full", "random", "urandom", "tty", "ptmx", "fd", "stdin", "stdout",
            "stderr",
        ] {
            assert!(
                devices.split(' ').any(|d| d == device),
                "{device} in {devices}"
            );
        }
        project.down();
    });
}

#[test]
fn a_container_is_confined_from_the_first_day() {
    isolated(|sandbox| {
        let project = one(sandbox, "conf", "");
        let status = project.sh("a", "cat /proc/1/status");
        assert_eq!(status_field(&status, "CapEff"), DEFAULT_CAPABILITIES);
        assert_eq!(status_field(&status, "CapBnd"), DEFAULT_CAPABILITIES);
        assert_eq!(status_field(&status, "CapInh"), "0000000000000000");
        assert_eq!(status_field(&status, "CapAmb"), "0000000000000000");
        assert_eq!(status_field(&status, "Seccomp"), "2");
        assert_eq!(status_field(&status, "NoNewPrivs"), "0");
        for refused in [
            "mount -t tmpfs none /tmp",
            "unshare -m true",
            "hostname other",
            "echo x >/proc/sys/kernel/hostname",
            "mknod /tmp/disk b 254 0 && head -c1 /tmp/disk",
            "dmesg",
            "swapoff -a -v; swapon /etc/passwd",
            "ip link add dummy0 type dummy",
        ] {
            project
                .skiff(["exec", "-T", "a", "sh", "-c", refused])
                .run()
                .fails()
                .whatever();
        }
        let fds = project.sh("a", "ls /proc/1/fd | tr '\\n' ' '");
        assert_eq!(fds, "0 1 2 ", "no descriptor but these comes in");
        project.down();
    });
}

/// `/..` climbs onto whatever lies over a root, and setns(2) into it: neither
/// may find the host there, whatever the container mounts.
#[test]
fn the_hosts_root_is_out_of_reach() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let hold = "command: [sh, -c, \"trap 'exit 0' TERM; sleep 1000 & wait\"]";
        let compose = format!(
            r#"
services:
  plain: {{image: test/busybox, {hold}}}
  files: {{image: test/busybox, {hold}, secrets: [token], configs: [{{source: text, target: /etc/text}}]}}
  volumes: {{image: test/busybox, {hold}, volumes: ["data:/data", "./bind:/bind"], tmpfs: [/scratch]}}
  priv: {{image: test/busybox, {hold}, privileged: true}}
  ro: {{image: test/busybox, {hold}, read_only: true, secrets: [token]}}
secrets: {{token: {{environment: TOKEN}}}}
configs: {{text: {{content: inline}}}}
volumes: {{data: }}
"#
        );
        let project = sandbox.project("reach", &compose);
        let up = project.skiff(["up", "-d"]).env("TOKEN", "s3cret");
        up.run().succeeds().whatever();
        let host = fs_err::metadata("/").expect("the host's root");
        let host = format!("{}:{}", host.dev(), host.ino());
        for service in ["plain", "files", "volumes", "priv", "ro"] {
            let roots = project.sh(
                service,
                "stat -L -c %d:%i / /.. /proc/1/root /proc/self/root /proc/1/cwd/../..",
            );
            let roots: Vec<&str> = roots.lines().collect();
            assert!(
                roots.iter().all(|root| *root == roots[0]),
                "{service}: {roots:?}"
            );
            assert_ne!(roots[0], host, "{service}");
            let mounts = project.sh(service, "grep -c ' / / ' /proc/self/mountinfo");
            assert_eq!(mounts, "1\n", "{service}: one root and nothing over it");
        }
        project.down();
    });
}

#[test]
fn capabilities_and_privileges_follow_the_file() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let hold = "command: [sh, -c, \"trap 'exit 0' TERM; sleep 1000 & wait\"]";
        let compose = format!(
            r#"
services:
  bare: {{image: test/busybox, {hold}, cap_drop: [ALL]}}
  some: {{image: test/busybox, {hold}, cap_drop: [ALL], cap_add: [NET_ADMIN, CAP_SYS_TIME]}}
  priv: {{image: test/busybox, {hold}, privileged: true}}
  nonew: {{image: test/busybox, {hold}, security_opt: ["no-new-privileges:true"]}}
  open: {{image: test/busybox, {hold}, security_opt: ["seccomp:unconfined"]}}
  user: {{image: test/busybox, {hold}, user: "1000:1001", group_add: ["extra", "5000"]}}
"#
        );
        let project = sandbox.project("caps", &compose);
        project.up().whatever();
        let field = |service: &str, field: &str| {
            status_field(&project.sh(service, "cat /proc/1/status"), field).to_owned()
        };
        assert_eq!(field("bare", "CapEff"), "0000000000000000");
        assert_eq!(field("bare", "CapBnd"), "0000000000000000");
        assert_eq!(field("some", "CapEff"), "0000000002001000");
        let all = field("priv", "CapEff");
        let own = fs_err::read_to_string("/proc/self/status").expect("/proc");
        assert_eq!(
            all,
            status_field(&own, "CapBnd"),
            "all that this machine's root has"
        );
        assert_eq!(field("priv", "Seccomp"), "0");
        project.sh(
            "priv",
            "mount -t tmpfs none /tmp && touch /sys/fs 2>/dev/null; ls /dev/kmsg",
        );
        assert_eq!(field("nonew", "NoNewPrivs"), "1");
        assert_eq!(field("open", "Seccomp"), "0");
        assert_eq!(field("user", "Uid"), "1000\t1000\t1000\t1000");
        assert_eq!(field("user", "Gid"), "1001\t1001\t1001\t1001");
        let groups = field("user", "Groups");
        assert!(groups.contains("99") && groups.contains("5000"), "{groups}");
        assert_eq!(
            field("user", "CapEff"),
            "0000000000000000",
            "a user has no capabilities"
        );
        project.down();
    });
}

#[test]
fn settings_of_the_service_have_their_effect() {
    isolated(|sandbox| {
        let settings = r#"
    hostname: box
    domainname: example.org
    working_dir: /made/here
    user: app
    environment: {EMPTY: "", BOTH: "b c", FROM_SHELL: , UNSET: }
    extra_hosts: ["foo:1.2.3.4", "gate=host-gateway"]
    dns: [10.9.8.7]
    dns_search: [corp.example]
    tmpfs: ["/scratch:size=1m,mode=1770", "/plain"]
    shm_size: 8m
    sysctls: {net.ipv4.ip_local_port_range: "2000 3000"}
    ulimits: {nofile: {soft: 100, hard: 200}, core: 0}
"#;
        sandbox.load_busybox();
        let compose = format!(
            "services:\n  a:\n    image: test/busybox\n    command: [sh, -c, \"trap 'exit 0' TERM; sleep 1000 & wait\"]\n{settings}"
        );
        let project = sandbox.project("set", &compose);
        project
            .skiff(["up", "-d"])
            .env("FROM_SHELL", "shell")
            .run()
            .succeeds()
            .whatever();
        let sh = |script: &str| project.sh("a", script);
        assert_eq!(sh("hostname"), "box\n");
        assert_eq!(sh("cat /proc/sys/kernel/domainname"), "example.org\n");
        assert_eq!(
            sh("pwd; id -un; stat -c '%u %a' ."),
            "/made/here\napp\n0 755\n"
        );
        let environment = sh("tr '\\0' '\\n' </proc/1/environ | sort");
        assert!(environment.contains("BOTH=b c\n"), "{environment}");
        assert!(environment.contains("EMPTY=\n"), "{environment}");
        assert!(environment.contains("FROM_SHELL=shell\n"), "{environment}");
        assert!(environment.contains("HOME=/home/app\n"), "{environment}");
        assert!(!environment.contains("UNSET"), "{environment}");
        let hosts = sh("cat /etc/hosts");
        assert!(hosts.contains("1.2.3.4\tfoo\n"), "{hosts}");
        let gateway = sh("ip route | sed -n 's/default via \\([0-9.]*\\) .*/\\1/p'");
        assert!(
            hosts.contains(&format!("{}\tgate\n", gateway.trim())),
            "{hosts}"
        );
        let resolv = sh("cat /etc/resolv.conf");
        assert!(resolv.contains("search corp.example\n"), "{resolv}");
        let mounts = sh("cat /proc/self/mountinfo");
        assert!(mounts.contains(" /scratch "), "{mounts}");
        assert_eq!(sh("stat -c %a /scratch /plain"), "1770\n1777\n");
        let shm = sh("df -k /dev/shm | tail -1 | awk '{print $2}'");
        assert_eq!(shm, "8192\n");
        assert_eq!(
            sh("cat /proc/sys/net/ipv4/ip_local_port_range"),
            "2000\t3000\n"
        );
        assert_eq!(sh("ulimit -Sn; ulimit -Hn; ulimit -c"), "100\n200\n0\n");
        project.down();
    });
}

#[test]
fn a_read_only_root_refuses_writes_but_not_where_it_is_mounted() {
    isolated(|sandbox| {
        let project = one(
            sandbox,
            "ro",
            "    read_only: true\n    tmpfs: [/run]\n    volumes: [\"/data\"]\n",
        );
        project
            .skiff(["exec", "-T", "a", "touch", "/file"])
            .run()
            .fails()
            .warns("Read-only")
            .whatever();
        project.sh("a", "touch /run/file /data/file /dev/shm/file");
        project.down();
    });
}

#[test]
fn a_tiny_init_reaps_and_passes_signals_on() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let compose = r#"
services:
  a:
    image: test/busybox
    init: true
    command: ["sh", "-c", "trap 'echo got; exit 6' TERM; echo ready; sleep 1000 & wait"]
"#;
        let project = sandbox.project("init", compose);
        project.up().whatever();
        let mut logs = project.skiff(["logs", "-f"]).spawn();
        logs.wait_line("ready");
        assert_ne!(project.sh("a", "cat /proc/1/comm"), "sh\n");
        // An orphan that ends is reaped by process 1.
        project.sh(
            "a",
            "sh -c 'sh -c \"exit 0\" & exit 0'; ps -o stat | grep -c Z || true",
        );
        let zombies = project.sh("a", "ps -o stat | grep -c '^Z' || true");
        assert_eq!(zombies, "0\n");
        project.skiff(["stop"]).run().succeeds().whatever();
        logs.wait_line("got");
        assert_eq!(project.container_field("a", "ExitCode"), "6");
        drop(logs);
        project.down();
    });
}

#[test]
fn limits_are_in_force() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let compose = r#"
services:
  memory:
    image: test/busybox
    mem_limit: 20m
    memswap_limit: 20m
    command: ["sh", "-c", "dd if=/dev/zero of=/dev/null bs=200M count=1"]
  pids:
    image: test/busybox
    pids_limit: 10
    command: ["sh", "-c", "i=0; while [ $$i -lt 40 ]; do sleep 100 & i=$$((i+1)); done; echo all"]
  deploy:
    image: test/busybox
    deploy: {resources: {limits: {memory: 30m, cpus: "0.5", pids: 77}}}
    command: ["sh", "-c", "trap 'exit 0' TERM; sleep 1000 & wait"]
"#;
        let project = sandbox.project("limits", compose);
        project.up().whatever();
        let mut wait = project.skiff(["logs", "-f", "memory", "pids"]).spawn();
        wait.wait_line("fork");
        wait.finish().succeeds().whatever();
        assert_eq!(
            project.container_field("memory", "ExitCode"),
            "137",
            "killed for memory"
        );
        let logs = project
            .skiff(["logs", "--no-log-prefix", "pids"])
            .run()
            .succeeds();
        assert!(
            !logs.stdout.contains("all"),
            "forty processes under a limit of ten\n{logs}"
        );
        let limits = project.sh(
            "deploy",
            "cd /sys/fs/cgroup; cat memory.max memory/memory.limit_in_bytes 2>/dev/null; \
             cat pids.max pids/pids.max 2>/dev/null; \
             cat cpu.max 2>/dev/null || cat cpu/cpu.cfs_quota_us",
        );
        let mut lines = limits.lines();
        assert_eq!(lines.next(), Some("31457280"), "{limits}");
        assert_eq!(lines.next(), Some("77"), "{limits}");
        assert!(
            lines.next().is_some_and(|quota| quota.starts_with("50000")),
            "{limits}"
        );
        project.down();
    });
}

#[test]
fn devices_are_refused_unless_given() {
    isolated(|sandbox| {
        let project = one(
            sandbox,
            "dev",
            "    devices: [\"/dev/kmsg:/dev/log-of-kernel:r\"]\n    cap_add: [SYSLOG]\n",
        );
        project.sh(
            "a",
            "test -c /dev/log-of-kernel && dd if=/dev/log-of-kernel of=/dev/null bs=8k count=1",
        );
        // mknod is allowed, using the device is not.
        let other = "mknod /tmp/kmsg c 1 11 && mknod /tmp/mem c 1 1 && ! head -c1 /tmp/mem";
        project.sh("a", other);
        let write = "! sh -c 'echo x >/dev/log-of-kernel'";
        project.sh("a", write);
        project.down();
    });
}

/// The control group answers before any driver is looked for, so "Operation not
/// permitted" is its refusal and whatever else is not.
#[test]
fn dockers_devices_can_be_opened_and_no_other() {
    isolated(|sandbox| {
        let project = one(sandbox, "dev", "");
        let refused = |kind: &str, major: u32, minor: u32| {
            let open = format!(
                "mknod /tmp/node {kind} {major} {minor} && (: </tmp/node) 2>&1; rm /tmp/node"
            );
            project.sh("a", &open).contains("Operation not permitted")
        };
        let dockers = [
            (1, 3),
            (1, 5),
            (1, 7),
            (1, 8),
            (1, 9),
            (5, 0),
            (5, 1),
            (5, 2),
            (10, 200),
            (136, 0),
        ];
        for (major, minor) in dockers {
            assert!(!refused("c", major, minor), "{major}:{minor} is allowed");
        }
        for (kind, major, minor) in [("c", 10, 229), ("c", 4, 0), ("b", 7, 0), ("b", 1, 3)] {
            assert!(refused(kind, major, minor), "{kind} {major}:{minor}");
        }
        project.down();
    });
}

#[test]
fn the_images_config_is_used_in_full() {
    isolated(|sandbox| {
        let image = Image::busybox()
            .config("Env", json!(["PATH=/bin", "FOO=image", "BAR=two words"]))
            .config("Entrypoint", json!(["/bin/echo", "ep"]))
            .config("Cmd", json!(["c1", "c2"]))
            .config("User", json!("app"))
            .config("WorkingDir", json!("/work/dir"))
            .config("StopSignal", json!("SIGUSR1"))
            .config("Labels", json!({"l1": "image", "l3": "image"}))
            .config("ExposedPorts", json!({"8080/tcp": {}, "53/udp": {}}))
            .config(
                "Healthcheck",
                json!({"Test": ["CMD", "true"], "Interval": 1_000_000_000_u64}),
            );
        sandbox.load(&image, "test/config:1");
        let run = r#"["sh", "-c", "id -un; pwd; echo $$FOO; echo $$BAR; trap 'exit 9' USR1; trap 'exit 8' TERM; sleep 1000 & wait"]"#;
        let compose = format!(
            r#"
services:
  def: {{image: "test/config:1"}}
  cmd: {{image: "test/config:1", command: x y}}
  ep: {{image: "test/config:1", entrypoint: /bin/echo new}}
  run:
    image: test/config:1
    entrypoint: {run}
    environment: {{FOO: compose}}
    labels: {{l1: compose}}
"#
        );
        let project = sandbox.project("conf", &compose);
        project.up().whatever();
        project
            .skiff(["up", "-d", "--wait", "run"])
            .run()
            .succeeds()
            .whatever();
        let logs = |service: &str| {
            project
                .skiff(["logs", "--no-log-prefix", service])
                .run()
                .succeeds()
                .stdout
        };
        assert_eq!(logs("def"), "ep c1 c2\n");
        assert_eq!(logs("cmd"), "ep x y\n");
        assert_eq!(
            logs("ep"),
            "new\n",
            "an entrypoint of the file clears the image's command"
        );
        assert_eq!(logs("run"), "app\n/work/dir\ncompose\ntwo words\n");
        let run = project.container("run");
        assert_eq!(run["Health"], "healthy");
        let labels = run["Labels"].as_str().unwrap();
        assert!(
            labels.contains("l1=compose") && labels.contains("l3=image"),
            "{labels}"
        );
        assert!(run["Ports"].as_str().unwrap().contains("8080/tcp"), "{run}");
        project.skiff(["stop", "run"]).run().succeeds().whatever();
        assert_eq!(
            project.container_field("run", "ExitCode"),
            "9",
            "the image's stop signal"
        );
        project.down();
    });
}

#[test]
fn configs_and_secrets_are_files_inside() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let compose = r#"
services:
  a:
    image: test/busybox
    user: app
    command: ["sh", "-c", "trap 'exit 0' TERM; sleep 1000 & wait"]
    configs:
      - inline
      - {source: file, target: /etc/app/file.conf, mode: 0440, uid: "77", gid: "78"}
    secrets:
      - token
      - {source: key, target: key.pem}
configs:
  inline: {content: "port ${PORT:-1}\n"}
  file: {file: ./file.conf}
secrets:
  token: {environment: TOKEN}
  key: {file: ./key.pem}
"#;
        let project = sandbox.project("files", compose);
        project.write("file.conf", "from a file\n");
        project.write("key.pem", "key\n");
        project
            .skiff(["up", "-d"])
            .env("TOKEN", "s3cret")
            .env("PORT", "8080")
            .run()
            .succeeds()
            .whatever();
        assert_eq!(project.sh("a", "cat /inline"), "port 8080\n");
        assert_eq!(project.sh("a", "cat /etc/app/file.conf"), "from a file\n");
        assert_eq!(project.sh("a", "cat /run/secrets/token"), "s3cret");
        assert_eq!(project.sh("a", "cat /run/secrets/key.pem"), "key\n");
        let write = [
            "exec",
            "-T",
            "-u",
            "root",
            "a",
            "sh",
            "-c",
            "echo x >/run/secrets/key.pem",
        ];
        project.skiff(write).run().fails().whatever();
        let environment = project.sh("a", "cat /proc/1/environ");
        assert!(!environment.contains("s3cret"));
        let config = project.skiff(["ps", "--format", "json"]).run().succeeds();
        assert!(!config.stdout.contains("s3cret"));
        project.down();
    });
}
