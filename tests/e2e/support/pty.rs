//! A terminal for the binary: a pty, read by a thread, and what it shows.

use std::fs::File;
use std::io::{PipeReader, PipeWriter, Read, Write};
use std::num::NonZero;
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use nix::pty::{Winsize, openpty};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::{FdFlags, fcntl_setfd};

use super::process::Invocation;
use super::sandbox::program;
use super::wait::{DEADLINE, wait_exit};

/// A program on a terminal of 80 by 24. Dropped, the terminal is closed and
/// the program killed.
pub(crate) struct Terminal {
    child: Child,
    master: Option<File>,
    /// Closed, it ends the reader, whose descriptor would keep the terminal open.
    reader: Option<(PipeWriter, JoinHandle<()>)>,
    bytes: Receiver<Vec<u8>>,
    screen: String,
    shown: vt100::Parser,
}

impl Terminal {
    /// Starts it as the leader of a session whose controlling terminal this is.
    pub(crate) fn start(invocation: &Invocation) -> Self {
        Self::start_sized(invocation, 24, 80)
    }

    /// The same on a terminal of so many rows and columns.
    pub(crate) fn start_sized(invocation: &Invocation, rows: u16, columns: u16) -> Self {
        let size = Winsize {
            ws_row: rows,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        let pty = openpty(&size, None).expect("a pty");
        // Else the program would hold its own terminal open.
        for end in [&pty.master, &pty.slave] {
            fcntl_setfd(end, FdFlags::CLOEXEC).expect("a descriptor");
        }
        let (words, dir) = invocation.parts();
        let slave = |fd: &OwnedFd| Stdio::from(fd.try_clone().expect("a descriptor"));
        let mut command = Command::new(program("setsid"));
        command
            .arg("--ctty")
            .args(words)
            .env_clear()
            .envs(invocation.environment());
        if let Some(dir) = dir {
            command.current_dir(dir);
        }
        let child = command
            .stdin(slave(&pty.slave))
            .stdout(slave(&pty.slave))
            .stderr(slave(&pty.slave))
            .spawn()
            .expect("setsid (package util-linux)");
        drop(pty.slave);
        let master = File::from(pty.master);
        let reader = master.try_clone().expect("a descriptor");
        let (sender, bytes) = mpsc::channel();
        let (wake, waker) = std::io::pipe().expect("a pipe");
        let thread = thread::spawn(move || read(reader, &wake, &sender));
        Self {
            child,
            master: Some(master),
            reader: Some((waker, thread)),
            bytes,
            screen: String::new(),
            shown: vt100::Parser::new(
                NonZero::new(rows).expect("a terminal with rows"),
                NonZero::new(columns).expect("a terminal with columns"),
                10_000,
            ),
        }
    }

    /// The program's process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Types this.
    pub(crate) fn types(&mut self, keys: &str) {
        let master = self.master.as_mut().expect("an open terminal");
        master.write_all(keys.as_bytes()).expect("the terminal");
    }

    /// Reads on until the output since the last call contains `part`; returns that output.
    pub(crate) fn wait_text(&mut self, part: &str) -> String {
        let end = Instant::now() + *DEADLINE;
        while !self.screen.contains(part) {
            let rest = end.saturating_duration_since(Instant::now());
            let Ok(bytes) = self.bytes.recv_timeout(rest) else {
                panic!("the terminal never showed `{part}`:\n{}", self.screen);
            };
            self.take_in(&bytes);
        }
        std::mem::take(&mut self.screen)
    }

    /// Reads on until the output since the last such call contains all parts,
    /// in whatever order; returns that output.
    pub(crate) fn wait_all(&mut self, parts: &[&str]) -> String {
        let mut text = String::new();
        while let Some(part) = parts.iter().find(|part| !text.contains(**part)) {
            text.push_str(&self.wait_text(part));
        }
        text
    }

    fn take_in(&mut self, bytes: &[u8]) {
        self.screen.push_str(&String::from_utf8_lossy(bytes));
        self.shown.process(bytes);
    }

    /// Closes the terminal, as a window that is closed does.
    pub(crate) fn close(&mut self) {
        drop(self.master.take());
        if let Some((waker, thread)) = self.reader.take() {
            drop(waker);
            thread.join().expect("the reader");
        }
    }

    /// Waits for the program's end; returns its exit code and the rest of its output.
    pub(crate) fn finish(mut self) -> (i32, String) {
        let code = self.wait_end();
        (code, std::mem::take(&mut self.screen))
    }

    /// The rows that are seen now, as far as the output was read.
    pub(crate) fn rows(&self) -> Vec<String> {
        let screen = self.shown.screen();
        screen.rows(0, screen.size().1.get()).collect()
    }

    /// Waits for the program's end; returns its exit code and all rows that
    /// somebody at the terminal can read then, scrolled-out ones first.
    pub(crate) fn finish_rows(mut self) -> (i32, Vec<String>) {
        let code = self.wait_end();
        let screen = self.shown.screen_mut();
        let columns = screen.size().1.get();
        let mut rows = Vec::new();
        screen.set_scrollback(usize::MAX);
        for above in (1..=screen.scrollback()).rev() {
            screen.set_scrollback(above);
            rows.extend(screen.rows(0, columns).next());
        }
        screen.set_scrollback(0);
        rows.extend(screen.rows(0, columns));
        while rows.last().is_some_and(String::is_empty) {
            rows.pop();
        }
        (code, rows)
    }

    fn wait_end(&mut self) -> i32 {
        let end = Instant::now() + *DEADLINE;
        while !wait_exit(self.pid(), Instant::now()) {
            let rest = end.saturating_duration_since(Instant::now());
            assert!(!rest.is_zero(), "the program did not end:\n{}", self.screen);
            match self.bytes.recv_timeout(rest) {
                Ok(bytes) => self.take_in(&bytes),
                Err(_) => assert!(wait_exit(self.pid(), end), "the program did not end"),
            }
        }
        let status = self.child.wait().expect("a child to wait for");
        while let Ok(bytes) = self.bytes.try_recv() {
            self.take_in(&bytes);
        }
        status.code().unwrap_or(128)
    }
}

/// Passes on what the terminal shows, until its end or the waker's.
fn read(mut reader: File, wake: &PipeReader, sender: &Sender<Vec<u8>>) {
    let mut buffer = [0_u8; 4096];
    loop {
        let mut fds = [
            PollFd::new(&reader, PollFlags::IN),
            PollFd::new(wake, PollFlags::IN),
        ];
        if poll(&mut fds, None).is_err() || !fds[1].revents().is_empty() {
            return;
        }
        // The end of a terminal is EIO.
        let Ok(count @ 1..) = reader.read(&mut buffer) else {
            return;
        };
        if sender.send(buffer[..count].to_vec()).is_err() {
            return;
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.close();
        // Both fail only for a process that was waited for already.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
