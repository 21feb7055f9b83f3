//! The tiny static program that is process 1 of a container with `init: true`.
//!
//! Its source is `src/tiny_init`; `build.rs` compiles it and it is carried
//! inside skiff. It is executed from a sealed memfd, so nothing inside the
//! container can reach, let alone change, a file of the host.

use std::io::{self, Write};
use std::os::fd::OwnedFd;

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use rustix::io::Errno;

/// The program: an ELF file of some four kilobytes.
pub const PROGRAM: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/tiny-init"));

/// Its argv[0], as `ps` inside the container shows it.
pub const NAME: &str = "skiff-init";

/// A sealed, executable, close-on-exec memfd that holds the program.
///
/// Execute it with `execveat(2)` and `AT_EMPTY_PATH`; the arguments are
/// [`NAME`], `--`, then the container's program with its own arguments. The
/// program is looked up in the environment's `PATH` where it has no slash.
///
/// # Errors
/// `memfd_create(2)` (Linux 3.17) or a write failed.
pub fn memfd() -> io::Result<OwnedFd> {
    sealed_memfd(NAME, PROGRAM, MemfdFlags::EXEC)
}

/// A close-on-exec memfd with this content that nobody can change any more.
///
/// `EXEC` and `NOEXEC_SEAL` came with Linux 6.3 and are left out before it.
pub(super) fn sealed_memfd(name: &str, content: &[u8], access: MemfdFlags) -> io::Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let fd = match memfd_create(name, flags | access) {
        Err(Errno::INVAL) => memfd_create(name, flags),
        other => other,
    }?;
    let mut file = std::fs::File::from(fd);
    file.write_all(content)?;
    let fd = OwnedFd::from(file);
    fcntl_add_seals(
        &fd,
        SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE | SealFlags::SEAL,
    )?;
    Ok(fd)
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Read};
    use std::os::fd::AsRawFd;
    use std::os::unix::fs::PermissionsExt;
    use std::process::{Child, Command, Stdio};

    use fs_err as fs;
    use rustix::process::{Pid, Signal, kill_process};
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

    use super::*;

    fn executable() -> tempfile::TempPath {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), PROGRAM).unwrap();
        fs::set_permissions(file.path(), PermissionsExt::from_mode(0o755)).unwrap();
        file.into_temp_path()
    }

    fn code(arguments: &[&str]) -> Option<i32> {
        let program = executable();
        Command::new(&program)
            .args(arguments)
            .stderr(Stdio::null())
            .status()
            .unwrap()
            .code()
    }

    /// As process 1 of a namespace of its own, with its own /proc.
    fn as_process_1(script: &str) -> (Child, BufReader<std::process::ChildStdout>) {
        assert!(rustix::process::geteuid().is_root(), "this test needs root");
        let program = executable().keep().unwrap();
        let mut child = Command::new("unshare")
            .args(["--pid", "--fork", "--mount-proc", "--kill-child"])
            .arg(&program)
            .args(["--", "/bin/sh", "-c"])
            .arg(format!("rm {}; {script}", program.display()))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        (child, output)
    }

    #[test]
    fn memfd_is_executable_and_sealed() {
        let fd = memfd().unwrap();
        let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
        let status = Command::new(path)
            .args(["--", "sh", "-c", "exit 7"])
            .status()
            .unwrap();
        assert_eq!(status.code(), Some(7));
        assert_eq!(rustix::io::write(&fd, b"x"), Err(Errno::PERM));
    }

    #[test]
    fn exit_code_is_the_programs() {
        assert_eq!(code(&["--", "sh", "-c", "exit 0"]), Some(0));
        assert_eq!(code(&["--", "sh", "-c", "exit 42"]), Some(42));
        assert_eq!(code(&["--", "sh", "-c", "kill -KILL $$"]), Some(137));
        assert_eq!(code(&["--", "sh", "-c", "kill -TERM $$"]), Some(143));
        assert_eq!(code(&["--", "no-such-program"]), Some(127));
        assert_eq!(code(&["--", "/etc/passwd"]), Some(126));
        assert_eq!(code(&["--"]), Some(1));
    }

    #[test]
    fn program_is_found_in_path_and_gets_its_arguments_and_environment() {
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("hello");
        fs::write(&script, "#!/bin/sh\necho \"$0:$1:$2:$NAME\"\n").unwrap();
        fs::set_permissions(&script, PermissionsExt::from_mode(0o755)).unwrap();
        let program = executable();
        let output = Command::new(&program)
            .args(["--", "hello", "a b", "--"])
            .env(
                "PATH",
                format!("/nonexistent:/dev/null:{}", folder.path().display()),
            )
            .env("NAME", "value")
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(text, format!("{}:a b:--:value\n", script.display()));
    }

    #[test]
    fn signals_reach_the_program_when_init_is_process_1() {
        let script = "trap 'echo usr1' USR1; trap 'echo term; exit 5' TERM; \
                      sleep 60 & echo ready; while :; do wait; done";
        let (mut child, mut output) = as_process_1(script);
        let mut line = |want: &str| {
            let mut line = String::new();
            output.read_line(&mut line).unwrap();
            assert_eq!(line, format!("{want}\n"));
        };
        line("ready");
        // unshare's only child is init.
        let id = child.id();
        let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap();
        let init = Pid::from_raw(children.trim().parse().unwrap()).unwrap();
        kill_process(init, Signal::USR1).unwrap();
        line("usr1");
        kill_process(init, Signal::TERM).unwrap();
        line("term");
        assert_eq!(child.wait().unwrap().code(), Some(5));
    }

    #[test]
    fn orphans_are_reaped() {
        // The inner shell leaves a child behind; its end is seen as the end of
        // its output, and then it must not stay a zombie.
        let script = "echo $(sh -c '(read x < /proc/uptime) & true'); i=0; \
                      while grep -q '^State:.Z' /proc/[0-9]*/status 2> /dev/null; do \
                      i=$((i + 1)); test $i -lt 500 || exit 1; done; exit 0";
        let (mut child, _output) = as_process_1(script);
        assert_eq!(child.wait().unwrap().code(), Some(0));
    }

    #[test]
    fn program_leads_the_terminals_foreground_group() {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
        let slave = fs::OpenOptions::new()
            .read(true)
            .write(true)
            .open(name)
            .unwrap();
        let program = executable();
        let mut child = Command::new("setsid")
            .args(["--ctty", "--wait"])
            .arg(&program)
            .args([
                "--",
                "sh",
                "-c",
                "read -r stat < /proc/$$/stat; echo \"$$ $stat\"",
            ])
            .stdin(slave.into_parts().0)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        assert!(child.wait().unwrap().success());
        let mut text = String::new();
        child
            .stdout
            .take()
            .unwrap()
            .read_to_string(&mut text)
            .unwrap();
        let fields: Vec<_> = text.split_whitespace().collect();
        // pid, then proc_pid_stat(5): field 5 is the group, 8 the terminal's.
        assert_eq!((fields[0], fields[0]), (fields[5], fields[8]), "{text}");
    }
}
