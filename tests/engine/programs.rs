//! Finding and executing the program; messages and codes as Docker's.

use std::io::{ErrorKind, Read};
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use fs_err as fs;
use skiff::engine::prepare::sealed_exe;

use crate::harness::{Machine, isolated};

#[test]
fn program_that_cannot_run_gives_dockers_message_and_code() {
    isolated(|| {
        let mut machine = Machine::new();
        fs::write(machine.image("bin/noexec"), "x").unwrap();
        let junk = machine.image("bin/junk");
        fs::write(&junk, "\u{7f}junk").unwrap();
        let orphan = machine.image("bin/orphan");
        fs::write(&orphan, "#!/nosuch/interpreter\n").unwrap();
        for file in [&junk, &orphan] {
            fs::set_permissions(file, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        let table = [
            (
                "nosuch",
                127,
                "exec: \"nosuch\": executable file not found in $PATH",
            ),
            (
                "noexec",
                127,
                "exec: \"noexec\": executable file not found in $PATH",
            ),
            (
                "/nosuch",
                127,
                "exec: \"/nosuch\": stat /nosuch: no such file or directory",
            ),
            (
                "/bin/noexec",
                126,
                "exec: \"/bin/noexec\": permission denied",
            ),
            ("/etc", 126, "exec: \"/etc\": is a directory"),
            ("junk", 126, "exec junk: exec format error"),
            (
                "/bin/orphan",
                127,
                "exec /bin/orphan: no such file or directory",
            ),
        ];
        for (program, code, message) in table {
            let outcome = machine.run(&[program]);
            assert_eq!(outcome.code, code, "{program}");
            let error = outcome.error();
            assert_eq!(error.message.as_deref(), Some(message));
            assert_eq!(error.exit_code, code);
            assert_eq!(
                error.to_string(),
                format!("cannot start the program: {message}")
            );
        }
    });
}

#[test]
fn exit_code_of_the_program_is_the_containers() {
    isolated(|| {
        let mut machine = Machine::new();
        assert_eq!(machine.sh("exit 42").code, 42);
        // Process 1 ignores what it has no handler for, except from outside.
        let running = machine.start(&["sleep", "1000"]);
        running.signal(rustix::process::Signal::KILL);
        assert_eq!(running.finish().code, 137);
    });
}

#[test]
fn init_is_process_1_and_passes_the_exit_code_on() {
    isolated(|| {
        let mut machine = Machine::new();
        machine.spec.init = true;
        let outcome = machine.sh("cat /proc/1/comm; readlink /proc/1/exe; echo $$; exit 7");
        assert_eq!(outcome.code, 7, "{outcome:?}");
        let lines: Vec<&str> = outcome.stdout.lines().collect();
        assert_ne!(lines[2], "1", "{lines:?}");
        assert!(lines[1].contains("memfd"), "{lines:?}");
        let outcome = machine.run(&["nosuch"]);
        assert_eq!(outcome.code, 127);
        assert_eq!(outcome.error().exit_code, 127);
    });
}

#[test]
fn working_directory_is_made_for_root_and_entered() {
    isolated(|| {
        let mut machine = Machine::new();
        machine.spec.user = Some("app".to_owned());
        machine.process().set_cwd("/srv/deep/er".into());
        let output = machine.sh("pwd; stat -c '%u %g %a' /srv/deep/er").ok();
        assert_eq!(output, "/srv/deep/er\n0 0 755\n");
    });
}

#[test]
fn working_directory_that_is_a_file_is_an_error() {
    isolated(|| {
        let mut machine = Machine::new();
        machine.process().set_cwd("/bin/busybox".into());
        let error = machine.run(&["true"]).error();
        assert_eq!(error.step, "make the working directory");
        assert_eq!(error.errno, libc::ENOTDIR);
        assert_eq!(error.exit_code, 125);
    });
}

#[test]
fn environment_is_the_specs_and_nothing_else() {
    isolated(|| {
        let mut machine = Machine::new();
        machine.process().set_env(Some(vec![
            "PATH=/bin".to_owned(),
            "A=b=c".to_owned(),
            "EMPTY=".to_owned(),
        ]));
        assert_eq!(
            machine.run(&["env"]).ok(),
            "PATH=/bin\nA=b=c\nEMPTY=\nHOME=/root\n"
        );
    });
}

#[test]
fn own_program_is_executed_from_where_it_cannot_be_written() {
    isolated(|| {
        let exe = sealed_exe().unwrap();
        let path = format!("/proc/self/fd/{}", exe.as_raw_fd());
        let mut child = Command::new(&path)
            .arg("--list")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut list = String::new();
        child
            .stdout
            .take()
            .unwrap()
            .read_to_string(&mut list)
            .unwrap();
        assert!(child.wait().unwrap().success());
        assert!(list.contains("own_program_is_executed"), "{list}");
        // (A write is refused in any case as long as this test runs from it.)
        let mode = fs::metadata(&path).unwrap().permissions();
        let error = fs::set_permissions(&path, mode).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ReadOnlyFilesystem);
    });
}
