//! Booting a kernel in qemu and reading its serial console.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use crate::guest::machine_program;

/// Boots and returns everything the guest printed, once a line starts with
/// `end` and a code of 0; fails the test at another code, or at the limit.
pub(crate) fn boot(kernel: &Path, initrd: &[u8], end: &str, limit: Duration) -> String {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(initrd).expect("the initial RAM file system");
    let mut qemu = Command::new(machine_program("qemu-system-x86_64", "qemu-system-x86"))
        .args([
            "-accel",
            "tcg,thread=multi",
            "-cpu",
            "max",
            "-smp",
            "2",
            "-m",
            "6G",
            "-no-reboot",
        ])
        .args([
            "-display", "none", "-serial", "stdio", "-monitor", "none", "-nic", "none",
        ])
        .arg("-kernel")
        .arg(kernel)
        .arg("-initrd")
        .arg(file.path())
        .args([
            "-append",
            "console=ttyS0 quiet panic=-1 systemd.unified_cgroup_hierarchy=1",
        ])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("qemu");
    let pipe = qemu.stdout.take().expect("piped");
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || {
        let mut reader = BufReader::new(pipe);
        let mut line = Vec::new();
        while reader
            .read_until(b'\n', &mut line)
            .is_ok_and(|count| count > 0)
        {
            if sender
                .send(String::from_utf8_lossy(&line).replace('\r', ""))
                .is_err()
            {
                return;
            }
            line.clear();
        }
    });
    let deadline = Instant::now() + limit;
    let mut output = String::new();
    let code = loop {
        let rest = deadline.saturating_duration_since(Instant::now());
        match lines.recv_timeout(rest) {
            Ok(line) => {
                output.push_str(&line);
                if let Some(code) = line.trim().strip_prefix(end) {
                    break code.to_owned();
                }
            }
            Err(RecvTimeoutError::Timeout) => break format!("nothing within {limit:?}"),
            Err(RecvTimeoutError::Disconnected) => break "the end of the machine".to_owned(),
        }
    };
    // It powers itself off; killed, it is gone in any case.
    qemu.kill().ok();
    qemu.wait().expect("qemu to wait for");
    assert!(code == "0", "the guest ended with {code}:\n{output}");
    output
}
