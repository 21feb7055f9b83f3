//! Applets as programs: exit codes, signals as process 1, complete output.

#[cfg(test)]
mod applets {
    use std::io::{BufRead, BufReader, Read};
    use std::net::TcpStream;
    use std::process::{Child, ChildStdout, Command, Stdio};

    use rustix::process::{Pid, Signal, kill_process};

    fn skiff(applet: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_skiff"));
        command.arg("toolbox").args(applet).stdin(Stdio::null());
        command
    }

    fn output(applet: &[&str]) -> (Option<i32>, String) {
        let output = skiff(applet).output().unwrap();
        (
            output.status.code(),
            String::from_utf8(output.stdout).unwrap(),
        )
    }

    /// An applet as process 1 of a pid namespace, where the kernel drops every
    /// signal that a program does not handle.
    struct Process1 {
        unshare: Child,
        output: BufReader<ChildStdout>,
    }

    impl Process1 {
        fn start(applet: &[&str]) -> Self {
            assert!(rustix::process::geteuid().is_root(), "this test needs root");
            let mut unshare = Command::new("unshare")
                .args(["--pid", "--fork", "--kill-child"])
                .arg(env!("CARGO_BIN_EXE_skiff"))
                .arg("toolbox")
                .args(applet)
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            let output = BufReader::new(unshare.stdout.take().unwrap());
            Self { unshare, output }
        }

        fn line(&mut self) -> String {
            let mut line = String::new();
            self.output.read_line(&mut line).unwrap();
            line.trim_end().to_owned()
        }

        fn signal(&self, signal: Signal) {
            let id = self.unshare.id();
            let path = format!("/proc/{id}/task/{id}/children");
            let children = fs_err::read_to_string(path).unwrap();
            let process = Pid::from_raw(children.trim().parse().unwrap()).unwrap();
            kill_process(process, signal).unwrap();
        }

        fn wait(mut self) -> Option<i32> {
            self.unshare.wait().unwrap().code()
        }
    }

    #[test]
    fn exit_codes_are_the_usual_ones() {
        assert_eq!(output(&["true"]).0, Some(0));
        assert_eq!(output(&["false"]).0, Some(1));
        assert_eq!(output(&["exit", "42"]).0, Some(42));
        assert_eq!(output(&["cat", "/nonexistent"]).0, Some(1));
        assert_eq!(output(&["probe", "tcp://127.0.0.1:1"]).0, Some(1));
        assert_eq!(
            output(&["echo", "-n", "a", "b"]),
            (Some(0), "a b".to_owned())
        );
    }

    #[test]
    fn count_writes_every_line() {
        let (code, text) = output(&["count", "100000", "--prefix=n"]);
        assert_eq!(code, Some(0));
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 100_000);
        assert!(
            lines
                .iter()
                .zip(1..)
                .all(|(line, n)| *line == format!("n{n}"))
        );
    }

    #[test]
    fn files_are_written_and_read() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        let file = file.to_str().unwrap();
        assert_eq!(output(&["write", file, "one"]).0, Some(0));
        assert_eq!(output(&["write", "-a", file, "two", "words"]).0, Some(0));
        assert_eq!(output(&["cat", file]).1, "one\ntwo words\n");
        assert_eq!(output(&["ls", folder.path().to_str().unwrap()]).1, "file\n");
    }

    #[test]
    fn trap_prints_signals_as_process_1() {
        let mut trap = Process1::start(&["trap", "--exit", "TERM=5"]);
        assert_eq!(trap.line(), "ready");
        trap.signal(Signal::USR1);
        assert_eq!(trap.line(), "SIGUSR1");
        trap.signal(Signal::TERM);
        assert_eq!(trap.line(), "SIGTERM");
        assert_eq!(trap.wait(), Some(5));
    }

    #[test]
    fn server_answers_and_ends_on_sigterm_as_process_1() {
        let mut server = Process1::start(&["serve", "--listen", "127.0.0.1:0", "--text", "hello"]);
        let line = server.line();
        let address = line.strip_prefix("listening on ").unwrap();
        let url = format!("http://{address}/path");
        assert_eq!(
            output(&["wget", "-qO-", &url]),
            (Some(0), "hello\n".to_owned())
        );
        assert!(server.line().starts_with("127.0.0.1 GET /path 200 6 "));
        assert_eq!(output(&["probe", &url]).0, Some(0));
        // A connection that is open and says nothing does not hold it up.
        let mut idle = TcpStream::connect(address).unwrap();
        server.signal(Signal::TERM);
        assert_eq!(server.wait(), Some(0));
        assert_eq!(idle.read(&mut [0; 1]).unwrap_or(0), 0);
    }

    #[test]
    fn counting_ends_on_sigterm_as_process_1() {
        let mut count = Process1::start(&["count", "--interval", "1ms"]);
        assert_eq!(count.line(), "1");
        count.signal(Signal::TERM);
        assert_eq!(count.wait(), Some(0));
    }
}
