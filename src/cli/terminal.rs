//! The caller's own terminal: raw mode and size.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::termios::{self, LocalModes, OptionalActions, Termios, Winsize};

/// Puts a terminal into raw mode until it is dropped (termios(3)).
#[derive(Debug)]
pub struct RawMode {
    terminal: OwnedFd,
    before: Termios,
}

impl RawMode {
    /// Switches `terminal` to raw mode; every key then goes to the program in
    /// the container, Ctrl-C too.
    ///
    /// # Errors
    /// It is no terminal.
    pub fn enter(terminal: BorrowedFd<'_>) -> io::Result<Self> {
        let terminal = terminal.try_clone_to_owned()?;
        let before = termios::tcgetattr(&terminal)?;
        let mut raw = before.clone();
        raw.make_raw();
        termios::tcsetattr(&terminal, OptionalActions::Now, &raw)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        // A terminal that has gone needs no restoring.
        termios::tcsetattr(&self.terminal, OptionalActions::Now, &self.before).ok();
    }
}

/// Keeps what is typed from appearing until it is dropped (termios(3), `ECHO`).
#[derive(Debug)]
pub struct Silence {
    _modes: Modes,
}

impl Silence {
    /// Begins it. Ctrl-C still makes a signal, which must not end the program
    /// before this is dropped.
    ///
    /// # Errors
    /// It is no terminal.
    pub fn begin(terminal: impl AsFd) -> io::Result<Self> {
        let modes = Modes::without(terminal, LocalModes::ECHO, OptionalActions::Flush)?;
        Ok(Self { _modes: modes })
    }
}

/// Gives each key as it is typed, and shows none, until it is dropped (termios(3),
/// `ICANON`). Ctrl-C still makes a signal.
#[derive(Debug)]
pub struct KeyMode {
    _modes: Modes,
}

impl KeyMode {
    /// Begins it.
    ///
    /// # Errors
    /// It is no terminal.
    pub fn begin(terminal: impl AsFd) -> io::Result<Self> {
        let modes = LocalModes::ECHO | LocalModes::ICANON;
        let modes = Modes::without(terminal, modes, OptionalActions::Now)?;
        Ok(Self { _modes: modes })
    }
}

/// A terminal without some of its modes, until this is dropped.
#[derive(Debug)]
struct Modes {
    terminal: OwnedFd,
    before: Termios,
}

impl Modes {
    fn without(terminal: impl AsFd, modes: LocalModes, when: OptionalActions) -> io::Result<Self> {
        let terminal = terminal.as_fd().try_clone_to_owned()?;
        let before = termios::tcgetattr(&terminal)?;
        let mut changed = before.clone();
        changed.local_modes.remove(modes);
        termios::tcsetattr(&terminal, when, &changed)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for Modes {
    fn drop(&mut self) {
        // A terminal that has gone needs no restoring.
        termios::tcsetattr(&self.terminal, OptionalActions::Now, &self.before).ok();
    }
}

/// Gives `to` the size of `from`; does nothing where either is no terminal.
pub fn copy_size(from: impl AsFd, to: impl AsFd) {
    if let Ok(size) = termios::tcgetwinsize(from) {
        termios::tcsetwinsize(to, size).ok();
    }
}

/// Columns and rows, where this is a terminal.
pub fn size(of: impl AsFd) -> Option<(u16, u16)> {
    let Winsize { ws_col, ws_row, .. } = termios::tcgetwinsize(of).ok()?;
    (ws_col > 0 && ws_row > 0).then_some((ws_col, ws_row))
}
