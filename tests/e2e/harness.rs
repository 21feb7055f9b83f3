//! The harness itself: that it isolates, and that its leak check can fail.

use std::time::Instant;

use crate::support::{
    Image, Registry, Terminal, http_get, isolated, processes, program, raw_listener, wait_exit,
};

#[test]
fn a_test_has_namespaces_of_its_own() {
    isolated(|sandbox| {
        assert_eq!(processes().len(), 0, "{:?}", processes());
        let links = sandbox
            .command(&program("ip"))
            .args(["-o", "link"])
            .run()
            .succeeds();
        assert_eq!(links.lines().len(), 1, "{links}");
        let _listener = raw_listener("127.0.0.1:80");
    });
}

/// Everything the leak check looks at, left behind on purpose.
#[test]
#[should_panic(expected = "sleep 1000")]
fn a_leftover_process_fails_a_test() {
    isolated(|sandbox| {
        sandbox
            .shell("setsid sleep 1000 >/dev/null 2>&1 &")
            .run()
            .succeeds()
            .whatever();
    });
}

#[test]
#[should_panic(expected = "mount /")]
fn a_leftover_mount_fails_a_test() {
    isolated(|sandbox| {
        sandbox
            .shell("mount -t tmpfs none \"$HOME\"")
            .run()
            .succeeds()
            .whatever();
    });
}

#[test]
#[should_panic(expected = "link br9")]
fn a_leftover_link_fails_a_test() {
    isolated(|sandbox| {
        sandbox
            .shell("ip link add br9 type bridge")
            .run()
            .succeeds()
            .whatever();
    });
}

#[test]
#[should_panic(expected = "table inet left")]
fn a_leftover_rule_fails_a_test() {
    isolated(|sandbox| {
        sandbox
            .shell("nft add table inet left")
            .run()
            .succeeds()
            .whatever();
    });
}

#[test]
#[should_panic(expected = "skiff-e2e-f00dface")]
fn a_leftover_cgroup_fails_a_test() {
    isolated(|sandbox| {
        let script = "mkdir -p $SKIFF_DATA_ROOT; echo f00dface >$SKIFF_DATA_ROOT/id
            d=/sys/fs/cgroup; [ -d $d/pids ] && d=$d/pids; mkdir -p $d/skiff-e2e-f00dface";
        sandbox.shell(script).run().succeeds().whatever();
    });
}

#[test]
#[should_panic(expected = "names/web")]
fn a_leftover_file_fails_a_test() {
    isolated(|sandbox| {
        let script = "mkdir -p $SKIFF_RUN_ROOT/names; echo >$SKIFF_RUN_ROOT/names/web";
        sandbox.shell(script).run().succeeds().whatever();
    });
}

#[test]
#[should_panic(expected = "failed, see above")]
fn an_output_that_something_holds_fails_a_test() {
    isolated(|sandbox| {
        sandbox.shell("sleep 1000 &").run().succeeds().whatever();
    });
}

#[test]
fn a_background_program_is_read_and_answered() {
    isolated(|sandbox| {
        let mut cat = sandbox.command(&program("cat")).open_input().spawn();
        cat.write("one\ntwo\n");
        assert_eq!(cat.wait_line("tw"), "two\n");
        let output = cat.finish().succeeds();
        assert_eq!(output.stdout, "one\ntwo\n");
    });
}

#[test]
fn a_terminal_is_a_terminal() {
    isolated(|sandbox| {
        let mut terminal = Terminal::start(&sandbox.shell("tty; read x; echo got $x; exit 5"));
        terminal.wait_text("/dev/pts/");
        terminal.types("word\r");
        terminal.wait_text("got word");
        let (code, _) = terminal.finish();
        assert_eq!(code, 5);
    });
}

#[test]
fn a_registry_takes_an_image() {
    isolated(|sandbox| {
        let registry = Registry::start(sandbox, 5000);
        let digest = Image::busybox().push(&registry.address, "test/busybox", "1");
        let tags = http_get(&registry.address, "/v2/test/busybox/tags/list").expect("an answer");
        assert!(tags.text().contains("\"1\""), "{}", tags.text());
        let path = format!("/v2/test/busybox/manifests/{digest}");
        assert_eq!(
            http_get(&registry.address, &path)
                .expect("an answer")
                .status,
            404
        );
    });
}

#[test]
fn an_exit_is_an_event() {
    isolated(|sandbox| {
        let sleeper = sandbox.command(&program("sleep")).args(["1000"]).spawn();
        assert!(!wait_exit(sleeper.pid(), Instant::now()));
        sleeper.signal(rustix::process::Signal::KILL);
        assert_eq!(sleeper.finish().code, 137);
    });
}
