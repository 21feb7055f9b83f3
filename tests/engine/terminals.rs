//! Terminals: a pty of the container's own devpts.

use std::fs::File;
use std::io::{Read, Write};

use oci_spec::runtime::BoxBuilder;

use crate::harness::{Machine, Running, isolated};

fn tty() -> Machine {
    let mut machine = Machine::new();
    let size = BoxBuilder::default()
        .height(33_u64)
        .width(77_u64)
        .build()
        .unwrap();
    machine.process().set_terminal(Some(true));
    machine.process().set_console_size(Some(size));
    machine
}

/// Everything that the terminal shows until its program has ended.
fn screen(running: Running) -> String {
    let mut master = File::from(running.console.as_ref().unwrap().try_clone().unwrap());
    let mut bytes = Vec::new();
    // The end of a terminal is an I/O error.
    let error = master.read_to_end(&mut bytes).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EIO));
    assert_eq!(running.finish().code, 0);
    String::from_utf8(bytes).unwrap().replace("\r\n", "\n")
}

#[test]
fn terminal_is_the_containers_own_and_controls_the_session() {
    isolated(|| {
        let mut machine = tty();
        machine.spec.user = Some("app".to_owned());
        let text = screen(machine.start(&[
            "sh",
            "-c",
            "tty; stat -c '%a %u %g' /dev/pts/0 /dev/console; ls -1 /dev/pts /proc/self/fd; echo x > /dev/tty; cut -d' ' -f5-7 /proc/1/stat; busybox stty size",
        ]));
        assert_eq!(
            text,
            "/dev/pts/0\n620 1000 5\n620 1000 5\n/dev/pts:\n0\nptmx\n\n/proc/self/fd:\n0\n1\n2\n3\nx\n1 1 34816\n33 77\n"
        );
    });
}

#[test]
fn terminal_passes_input_and_interrupts() {
    isolated(|| {
        let mut machine = tty();
        let running = machine.start(&["sh", "-c", "trap 'echo caught; exit 0' INT; echo ready; read line; echo got $line; while :; do read line; done"]);
        let mut master = File::from(running.console.as_ref().unwrap().try_clone().unwrap());
        let mut wait_for = |word: &str| {
            let mut text = String::new();
            let mut byte = [0_u8; 1];
            while !text.contains(word) {
                master.read_exact(&mut byte).unwrap();
                text.push(byte[0].into());
            }
        };
        let mut input = File::from(running.console.as_ref().unwrap().try_clone().unwrap());
        wait_for("ready");
        input.write_all(b"hello\n").unwrap();
        wait_for("got hello");
        input.write_all(b"\x03").unwrap();
        wait_for("caught");
        assert_eq!(running.finish().code, 0);
    });
}

#[test]
fn exec_has_a_terminal_of_the_same_devpts() {
    isolated(|| {
        let mut machine = Machine::new();
        let container = machine.start(&["sleep", "1000"]);
        let mut terminal = tty();
        let exec = terminal.exec(&container, &["sh", "-c", "tty; echo x > /dev/tty"]);
        assert_eq!(screen(exec), "/dev/pts/0\nx\n");
    });
}

#[test]
fn exec_with_a_forged_multiplexer_is_refused() {
    isolated(|| {
        let mut machine = Machine::new();
        machine.mount("/dev/pts", "tmpfs", "tmpfs", &[]);
        let container = machine.start(&["sh", "-c", "touch /dev/pts/ptmx; echo made; sleep 1000"]);
        let mut maker = Machine::new();
        maker
            .exec(&container, &["touch", "/dev/pts/ptmx"])
            .finish()
            .ok();
        let mut terminal = tty();
        let error = terminal.exec(&container, &["tty"]).finish().error();
        assert_eq!(
            error.to_string(),
            "cannot open a terminal `/dev/pts/ptmx`: it is no pty multiplexer"
        );
    });
}
