//! Running the binary: what it is given, and what came back.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::wait::{DEADLINE, wait_exit};

/// After a program's end, how long its pipes may stay open. Longer means that
/// something it left behind still holds them.
const PIPE_DEADLINE: Duration = Duration::from_secs(3);

/// A command line in the making.
#[derive(Debug)]
#[must_use]
pub(crate) struct Invocation {
    command: Command,
    shown: String,
    input: Option<Vec<u8>>,
    open_input: bool,
}

impl Invocation {
    /// `program` with an empty environment.
    pub(crate) fn new(program: impl AsRef<OsStr>) -> Self {
        let mut command = Command::new(program.as_ref());
        command.env_clear();
        let shown = Path::new(program.as_ref()).file_name().unwrap_or_default();
        let shown = shown.to_string_lossy().into_owned();
        Self {
            command,
            shown,
            input: None,
            open_input: false,
        }
    }

    /// Adds arguments.
    pub(crate) fn args<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(mut self, args: I) -> Self {
        for arg in args {
            self.shown.push(' ');
            self.shown.push_str(&arg.as_ref().to_string_lossy());
            self.command.arg(arg);
        }
        self
    }

    /// Sets a variable.
    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Runs it in this folder.
    pub(crate) fn dir(mut self, dir: &Path) -> Self {
        self.command.current_dir(dir);
        self
    }

    /// Gives it this as standard input, then end of file.
    pub(crate) fn input(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.input = Some(bytes.into());
        self
    }

    /// Keeps its standard input open for [`Background::write`].
    pub(crate) fn open_input(mut self) -> Self {
        self.open_input = true;
        self
    }

    /// Its environment as set so far.
    pub(super) fn environment(&self) -> Vec<(OsString, OsString)> {
        self.command
            .get_envs()
            .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())))
            .collect()
    }

    /// Its program, arguments and folder.
    pub(super) fn parts(&self) -> (Vec<OsString>, Option<&Path>) {
        let program = self.command.get_program().to_owned();
        let args = self.command.get_args().map(OsStr::to_owned);
        (
            std::iter::once(program).chain(args).collect(),
            self.command.get_current_dir(),
        )
    }

    /// Runs it to its end.
    pub(crate) fn run(self) -> Output {
        self.spawn().finish()
    }

    /// Runs it to its end, which may be later than usual.
    pub(crate) fn run_within(self, limit: Duration) -> Output {
        self.spawn().finish_within(limit)
    }

    /// Starts it and goes on.
    pub(crate) fn spawn(mut self) -> Background {
        let piped = self.open_input || self.input.is_some();
        let mut child = self
            .command
            .stdin(if piped { Stdio::piped() } else { Stdio::null() })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start `{}`: {error}", self.shown));
        let mut stdin = child.stdin.take();
        if let (Some(bytes), Some(mut pipe)) =
            (self.input.take(), stdin.take_if(|_| !self.open_input))
        {
            // A program that does not read its input ends the write with EPIPE.
            thread::spawn(move || pipe.write_all(&bytes).ok());
        }
        let (sender, events) = mpsc::channel();
        read_lines(
            Stream::Out,
            child.stdout.take().expect("piped"),
            sender.clone(),
        );
        read_lines(
            Stream::Err,
            child.stderr.take().expect("piped"),
            sender.clone(),
        );
        let pid = child.id();
        thread::spawn(move || {
            if wait_exit(pid, Instant::now() + Duration::from_secs(3600)) {
                sender.send(Event::Exited).ok();
            }
        });
        Background {
            child,
            stdin,
            events,
            open: 2,
            exited: false,
            shown: self.shown,
            stdout: Vec::new(),
            stderr: Vec::new(),
            unread: VecDeque::new(),
        }
    }
}

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stream {
    Out,
    Err,
}

#[derive(Debug)]
enum Event {
    Line(Stream, Vec<u8>),
    /// The end of one of the two streams.
    End,
    /// The program ended.
    Exited,
}

fn read_lines(stream: Stream, pipe: impl Read + Send + 'static, sender: mpsc::Sender<Event>) {
    thread::spawn(move || {
        let mut reader = BufReader::new(pipe);
        loop {
            let mut line = Vec::new();
            match reader.read_until(b'\n', &mut line) {
                Ok(count) if count > 0 => {
                    if sender.send(Event::Line(stream, line)).is_err() {
                        return;
                    }
                }
                Ok(_) | Err(_) => {
                    sender.send(Event::End).ok();
                    return;
                }
            }
        }
    });
}

/// A running program. Dropped, it is killed.
#[derive(Debug)]
pub(crate) struct Background {
    child: Child,
    stdin: Option<ChildStdin>,
    events: Receiver<Event>,
    open: u8,
    exited: bool,
    shown: String,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    unread: VecDeque<String>,
}

impl Background {
    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Writes to its standard input.
    pub(crate) fn write(&mut self, text: &str) {
        let stdin = self.stdin.as_mut().expect("started with an open input");
        stdin
            .write_all(text.as_bytes())
            .expect("its standard input");
        stdin.flush().expect("its standard input");
    }

    /// Ends its standard input.
    pub(crate) fn close_input(&mut self) {
        drop(self.stdin.take());
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.pid())
            .ok()
            .and_then(Pid::from_raw)
            .expect("a pid");
        kill_process(pid, signal).unwrap_or_else(|e| panic!("signal to `{}`: {e}", self.shown));
    }

    /// Reads on, both streams, to the first line that contains `part`, and returns it.
    pub(crate) fn wait_line(&mut self, part: &str) -> String {
        self.wait_for(part, |line| line.contains(part))
    }

    /// Reads on to the first line for which `wanted` holds.
    pub(crate) fn wait_for(&mut self, what: &str, mut wanted: impl FnMut(&str) -> bool) -> String {
        let end = Instant::now() + *DEADLINE;
        loop {
            match self.next_line(end) {
                Some(line) if wanted(&line) => return line,
                Some(_) => {}
                None => panic!(
                    "`{}` never said `{what}`\n{}",
                    self.shown,
                    self.transcript()
                ),
            }
        }
    }

    /// Waits for its end, and for the end of both its streams.
    pub(crate) fn finish(self) -> Output {
        self.finish_within(*DEADLINE * 2)
    }

    /// The same with a limit of its own.
    fn finish_within(mut self, limit: Duration) -> Output {
        self.close_input();
        // The pipes are read while waiting, or a talkative program would block.
        let end = Instant::now() + limit;
        while !self.exited && self.receive(end) {}
        assert!(
            self.exited,
            "`{}` did not end\n{}",
            self.shown,
            self.transcript()
        );
        let status = self.child.wait().expect("a child to wait for");
        let end = Instant::now() + PIPE_DEADLINE;
        while self.open > 0 && self.receive(end) {}
        assert!(
            self.open == 0,
            "`{}` ended, but something still holds its output\n{}",
            self.shown,
            self.transcript()
        );
        Output {
            command: std::mem::take(&mut self.shown),
            code: exit_code(status),
            stdout: String::from_utf8_lossy(&self.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&self.stderr).into_owned(),
        }
    }

    /// The next line of either stream; `None` at the end of both or the deadline.
    fn next_line(&mut self, end: Instant) -> Option<String> {
        while self.unread.is_empty() {
            if self.open == 0 || !self.receive(end) {
                return None;
            }
        }
        self.unread.pop_front()
    }

    /// Takes in what happens next; false at the deadline.
    fn receive(&mut self, end: Instant) -> bool {
        let rest = end.saturating_duration_since(Instant::now());
        match self.events.recv_timeout(rest) {
            Ok(Event::Line(stream, line)) => {
                self.unread
                    .push_back(String::from_utf8_lossy(&line).into_owned());
                match stream {
                    Stream::Out => self.stdout.extend(line),
                    Stream::Err => self.stderr.extend(line),
                }
            }
            Ok(Event::End) => self.open -= 1,
            Ok(Event::Exited) => self.exited = true,
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return false,
        }
        true
    }

    fn transcript(&self) -> String {
        format!(
            "--- stdout so far\n{}--- stderr so far\n{}---",
            String::from_utf8_lossy(&self.stdout),
            String::from_utf8_lossy(&self.stderr)
        )
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        // Both fail only for a process that was waited for already.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn exit_code(status: ExitStatus) -> i32 {
    status
        .code()
        .unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}

/// How a program ended and what it said.
#[must_use]
#[derive(Debug, Clone)]
pub(crate) struct Output {
    command: String,
    /// Exit code, 128 + N for a signal.
    pub(crate) code: i32,
    /// Standard output.
    pub(crate) stdout: String,
    /// Standard error.
    pub(crate) stderr: String,
}

impl Output {
    /// Fails the test unless it ended with 0.
    #[track_caller]
    pub(crate) fn succeeds(self) -> Self {
        self.ends_with(0)
    }

    /// Fails the test unless it ended with this code.
    #[track_caller]
    pub(crate) fn ends_with(self, code: i32) -> Self {
        assert!(self.code == code, "expected exit code {code}\n{self}");
        self
    }

    /// Fails the test unless it failed; for errors whose code is not documented.
    #[track_caller]
    pub(crate) fn fails(self) -> Self {
        assert!(self.code != 0, "expected a failure\n{self}");
        self
    }

    /// Fails the test unless stdout contains this.
    #[track_caller]
    pub(crate) fn says(self, part: &str) -> Self {
        assert!(
            self.stdout.contains(part),
            "expected `{part}` on stdout\n{self}"
        );
        self
    }

    /// Fails the test unless stderr contains this.
    #[track_caller]
    pub(crate) fn warns(self, part: &str) -> Self {
        assert!(
            self.stderr.contains(part),
            "expected `{part}` on stderr\n{self}"
        );
        self
    }

    /// Fails the test unless stdout is exactly this.
    #[track_caller]
    pub(crate) fn prints(self, text: &str) -> Self {
        assert!(self.stdout == text, "expected stdout `{text}`\n{self}");
        self
    }

    /// Stdout as lines.
    pub(crate) fn lines(&self) -> Vec<&str> {
        self.stdout.lines().collect()
    }

    /// Stdout as one JSON value.
    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("no JSON: {e}\n{self}"))
    }

    /// Stdout as one JSON value a line.
    #[track_caller]
    pub(crate) fn json_lines(&self) -> Vec<serde_json::Value> {
        let parse = |line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}\n{self}"));
        self.stdout.lines().map(parse).collect()
    }

    /// Drops it on purpose: nothing is asked of this run.
    pub(crate) fn whatever(self) {
        drop(self);
    }
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            command,
            code,
            stdout,
            stderr,
            ..
        } = self;
        write!(
            f,
            "$ {command}\n[exit code {code}]\n--- stdout\n{stdout}--- stderr\n{stderr}---"
        )
    }
}
