//! Standard streams between the caller and a process in a container.
//!
//! Only pipes are handed on as they are. A file, a folder, a socket or a
//! terminal stays here and its bytes are relayed: a container that holds such a
//! descriptor could reach the host through it (openat(2) from a folder,
//! TIOCSTI into a terminal).

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::thread::JoinHandle;

use rustix::fs::{FileType, fstat};
use rustix::pipe::{PipeFlags, pipe_with};

/// Bytes moved at once.
const CHUNK: usize = 64 * 1024;

/// Three descriptors for a process in a container, and the threads behind them.
#[derive(Debug)]
pub struct Streams {
    /// Standard input, output and error for the process; all are pipes.
    pub ends: [OwnedFd; 3],
    /// Threads that end when the process has closed its ends.
    outputs: Vec<JoinHandle<()>>,
}

/// What the process gets as standard input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// The caller's.
    Caller,
    /// Nothing: end of file at once.
    Empty,
}

impl Streams {
    /// Makes the three pipes, relaying where the caller's own are none.
    ///
    /// # Errors
    /// No descriptors are left.
    pub fn new(input: Input) -> io::Result<Self> {
        let mut outputs = Vec::new();
        let stdin = match input {
            Input::Empty => pipe_with(PipeFlags::CLOEXEC)?.0,
            Input::Caller => input_end(io::stdin().as_fd())?,
        };
        let stdout = output_end(io::stdout().as_fd(), &mut outputs)?;
        let stderr = output_end(io::stderr().as_fd(), &mut outputs)?;
        Ok(Self {
            ends: [stdin, stdout, stderr],
            outputs,
        })
    }

    /// Closes this side's copies of the ends and returns what is to be waited
    /// for, so that the last output is not lost.
    pub fn into_parts(self) -> ([OwnedFd; 3], Outputs) {
        (self.ends, Outputs(self.outputs))
    }
}

/// The threads that carry output to the caller.
#[derive(Debug)]
pub struct Outputs(Vec<JoinHandle<()>>);

impl Outputs {
    /// Waits until the process has closed its ends and everything is written.
    pub fn finish(self) {
        for thread in self.0 {
            thread.join().ok();
        }
    }
}

fn is_pipe(fd: BorrowedFd<'_>) -> bool {
    fstat(fd).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Fifo)
}

fn input_end(caller: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    if is_pipe(caller) {
        return caller.try_clone_to_owned();
    }
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC)?;
    let from = File::from(caller.try_clone_to_owned()?);
    // Never joined: it may be blocked in a read that nobody will answer.
    drop(std::thread::spawn(move || copy(from, File::from(writer))));
    Ok(reader)
}

fn output_end(caller: BorrowedFd<'_>, threads: &mut Vec<JoinHandle<()>>) -> io::Result<OwnedFd> {
    if is_pipe(caller) {
        return caller.try_clone_to_owned();
    }
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC)?;
    let to = File::from(caller.try_clone_to_owned()?);
    threads.push(std::thread::spawn(move || copy(File::from(reader), to)));
    Ok(writer)
}

/// Moves bytes until one side ends; a side that ends is no error here.
pub fn copy(mut from: File, mut to: File) {
    let mut buffer = vec![0_u8; CHUNK];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return,
            Ok(count) => {
                let bytes = buffer.get(..count).unwrap_or_default();
                if to.write_all(bytes).is_err() {
                    return;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}
