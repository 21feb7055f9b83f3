//! Signals for programs that may be process 1, where the kernel ignores what a
//! program does not ask for; and `trap`.

use std::os::fd::{AsFd, BorrowedFd};
use std::thread;

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::SignalFd;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::pipe::pipe;

use super::{Outcome, print};

/// SIGTERM and SIGINT, as something to poll.
pub(super) struct Terminated {
    fd: SignalFd,
}

impl Terminated {
    /// From now on these signals wait to be read. To be called while the
    /// process has one thread; those made later inherit it.
    pub(super) fn watch() -> Result<Self, String> {
        let mut set = SigSet::empty();
        set.add(Signal::SIGTERM);
        set.add(Signal::SIGINT);
        let fd = set
            .thread_block()
            .and_then(|()| SignalFd::new(&set))
            .map_err(|errno| format!("cannot watch signals: {errno}"))?;
        Ok(Self { fd })
    }

    /// The number of the signal that has come, after poll(2).
    pub(super) fn take(&self) -> Result<u8, String> {
        let signal = self
            .fd
            .read_signal()
            .map_err(|errno| format!("cannot read a signal: {errno}"))?;
        let number = signal.and_then(|signal| u8::try_from(signal.ssi_signo).ok());
        number.ok_or_else(|| "cannot read a signal".to_owned())
    }
}

impl AsFd for Terminated {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Does the work on a thread of its own until it ends, with its code, or until
/// SIGTERM or SIGINT, with code 0; the work ends with the process then.
pub(super) fn until_terminated(work: impl FnOnce() -> Outcome + Send + 'static) -> Outcome {
    let terminated = Terminated::watch()?;
    let (ended, working) = pipe().map_err(|errno| errno.to_string())?;
    let worker = thread::spawn(move || {
        let outcome = work();
        drop(working);
        outcome
    });
    loop {
        let mut fds = [
            PollFd::new(&ended, PollFlags::IN),
            PollFd::new(&terminated, PollFlags::IN),
        ];
        match poll(&mut fds, None) {
            Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno.to_string()),
            Ok(_) if worker.is_finished() || !fds[0].revents().is_empty() => {
                return worker
                    .join()
                    .unwrap_or_else(|_| Err("the work was cut short".to_owned()));
            }
            Ok(_) => return Ok(0),
        }
    }
}

/// `trap [--exit SIGNAL[=CODE]]…`: prints each signal it gets, and ends when it
/// gets one of these (code 0 unless given). Without them nothing but SIGKILL
/// ends it.
pub(super) fn trap(arguments: &[String]) -> Outcome {
    let mut exits = Vec::new();
    let mut rest = arguments.iter();
    while !rest.as_slice().is_empty() {
        match super::option("--exit", &mut rest) {
            Some(value) => exits.push(parse_exit(value?)?),
            None => return Err("usage: trap [--exit SIGNAL[=CODE]]…".to_owned()),
        }
    }
    let set = SigSet::all();
    set.thread_block()
        .map_err(|errno| format!("cannot block signals: {errno}"))?;
    print("ready\n")?;
    loop {
        let signal = set
            .wait()
            .map_err(|errno| format!("cannot wait for signals: {errno}"))?;
        print(&format!("{signal}\n"))?;
        if let Some((_, code)) = exits.iter().find(|(exit, _)| *exit == signal) {
            return Ok(*code);
        }
    }
}

/// `TERM`, `SIGTERM=5`.
fn parse_exit(text: &str) -> Result<(Signal, u8), String> {
    let (name, code) = text.split_once('=').unwrap_or((text, "0"));
    let full = format!("SIG{}", name.trim_start_matches("SIG"));
    let signal = full
        .parse()
        .map_err(|_| format!("unknown signal `{name}`"))?;
    let code = code
        .parse()
        .map_err(|_| format!("`{code}` is no exit code"))?;
    Ok((signal, code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exits_are_read_as_typed() {
        assert_eq!(parse_exit("TERM"), Ok((Signal::SIGTERM, 0)));
        assert_eq!(parse_exit("SIGUSR1=5"), Ok((Signal::SIGUSR1, 5)));
        assert!(parse_exit("NONE").is_err());
        assert!(parse_exit("TERM=x").is_err());
    }

    #[test]
    fn work_that_ends_gives_its_code() {
        assert_eq!(until_terminated(|| Ok(7)), Ok(7));
        assert_eq!(
            until_terminated(|| Err("no".to_owned())),
            Err("no".to_owned())
        );
    }
}
