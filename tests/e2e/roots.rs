//! The data root and the run root are nobody's but root's.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use fs_err as fs;

use crate::support::{Output, Sandbox, isolated, program};

/// A program as an ordinary user of the host. `setpriv` has its capabilities
/// until it executes something, so a shell stands between.
fn as_nobody(sandbox: &Sandbox, words: &[&str]) -> Output {
    sandbox
        .command(&program("setpriv"))
        .args(["--reuid", "65534", "--regid", "65534", "--clear-groups"])
        .args(["/bin/sh", "-c", "\"$0\" \"$@\"; exit $?"])
        .args(words)
        .run()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("a folder").mode() & 0o7777
}

/// Makes the sandbox's folders themselves passable, as those of a host are.
fn open_sandbox(sandbox: &Sandbox) {
    sandbox
        .shell("chmod 755 \"$HOME/..\"; chmod -R a+rX \"$HOME/../work\"")
        .run()
        .succeeds()
        .whatever();
}

#[test]
fn users_of_the_host_run_and_read_nothing_that_containers_wrote() {
    isolated(|sandbox| {
        open_sandbox(sandbox);
        // An earlier release made them open.
        for root in [sandbox.data(), sandbox.run_root()] {
            fs::create_dir(&root).expect("a new folder");
            fs::set_permissions(&root, PermissionsExt::from_mode(0o755)).expect("opened");
        }
        sandbox.load_busybox();
        let compose = r#"
services:
  web:
    image: test/busybox
    init: true
    command: >
      sh -c 'echo secret; for to in /vol /root; do cp /bin/busybox $$to/id; chmod 4755 $$to/id; done;
      exec sleep 1000'
    healthcheck: {test: ["CMD", "test", "-u", "/root/id"]}
    volumes: ["vol:/vol"]
volumes:
  vol:
"#;
        let project = sandbox.project("open", compose);
        project
            .skiff(["up", "-d", "--wait"])
            .run()
            .succeeds()
            .whatever();
        assert_eq!(mode(&sandbox.data()), 0o700);
        assert_eq!(mode(&sandbox.run_root()), 0o700);
        let found = sandbox
            .shell("find \"$SKIFF_DATA_ROOT\" -perm -4000 -o -name '*.log'")
            .run()
            .succeeds();
        assert!(found.lines().len() >= 3, "{found}");
        for path in found.lines() {
            let tool = if path.contains("/log/") { "cat" } else { path };
            let refused = as_nobody(sandbox, &[tool, path]).fails();
            assert!(refused.stderr.contains("Permission denied"), "{refused}");
        }
        project.down();
    });
}

/// Closed roots are no hindrance to programs that are not root's.
#[test]
fn containers_of_other_users_reach_what_is_theirs() {
    isolated(|sandbox| {
        open_sandbox(sandbox);
        sandbox.load_busybox();
        let compose = r#"
services:
  web:
    image: test/busybox
    user: "1000:1000"
    command: ["sh", "-c", "echo out; echo err >/dev/stderr; trap 'exit 0' TERM; sleep 1000 & wait"]
    volumes: ["vol:/vol", "./mine:/mine", "/anonymous"]
    configs: [{source: text, target: /text}]
    depends_on: {owner: {condition: service_completed_successfully}}
  owner:
    image: test/busybox
    command: ["chown", "1000:1000", "/vol"]
    volumes: ["vol:/vol"]
configs:
  text: {content: hello}
volumes:
  vol:
"#;
        let project = sandbox.project("users", compose);
        project.write("mine/file", "mine\n");
        let before = mode(&project.dir.join("mine"));
        project.up().whatever();
        let seen = "id -u; cat /mine/file /text /etc/hosts /etc/resolv.conf >/dev/null && \
                    cat /mine/file; ls /bin/busybox /anonymous; nslookup web >/dev/null && \
                    touch /vol/file; ls /vol";
        assert_eq!(
            project.sh("web", seen),
            "1000\nmine\n/bin/busybox\n\n/anonymous:\nfile\n"
        );
        let logs = project
            .skiff(["logs", "--no-log-prefix", "web"])
            .run()
            .succeeds();
        let mut lines = logs.lines();
        lines.sort_unstable();
        assert_eq!(lines, ["err", "out"]);
        assert_eq!(mode(&project.dir.join("mine")), before);
        project.down();
    });
}

#[test]
fn an_ordinary_user_is_told_of_sudo_and_touches_no_root() {
    isolated(|sandbox| {
        open_sandbox(sandbox);
        let skiff = env!("CARGO_BIN_EXE_skiff");
        for command in [["ps", "-a"].as_slice(), &["ls"], &["logs"], &["images"]] {
            let words: Vec<&str> = [skiff].iter().chain(command).copied().collect();
            let refused = as_nobody(sandbox, &words).fails();
            assert!(refused.stderr.contains("sudo"), "{refused}");
        }
        assert!(!sandbox.data().exists());
        assert!(!sandbox.run_root().exists());
    });
}

#[test]
fn a_root_that_is_not_skiffs_alone_is_refused() {
    isolated(|sandbox| {
        fs::create_dir(sandbox.data()).expect("a new folder");
        fs::set_permissions(sandbox.data(), PermissionsExt::from_mode(0o1777)).expect("opened");
        let refused = sandbox.skiff(["ls"]).run().fails();
        assert!(refused.stderr.contains("everybody"), "{refused}");
        assert_eq!(mode(&sandbox.data()), 0o1777);
        sandbox
            .shell("chmod 755 $SKIFF_DATA_ROOT; chown 1000 $SKIFF_DATA_ROOT")
            .run()
            .succeeds()
            .whatever();
        let refused = sandbox.skiff(["ls"]).run().fails();
        assert!(refused.stderr.contains("belongs to user 1000"), "{refused}");
    });
}
