//! Keys that mean something while a command shows its containers' output.

use std::fs::File;
use std::io::{self, IsTerminal as _, Read as _};
use std::os::fd::AsFd as _;

use tokio::sync::mpsc;

use super::terminal::KeyMode;

/// What is typed, key by key, until it is dropped.
#[derive(Debug)]
pub struct Keys {
    typed: mpsc::UnboundedReceiver<u8>,
    _mode: KeyMode,
}

impl Keys {
    /// Begins to listen, where there is a terminal on both sides.
    pub fn listen() -> Option<Self> {
        let caller = io::stdin();
        if !caller.is_terminal() || !io::stdout().is_terminal() {
            return None;
        }
        let mode = KeyMode::begin(caller.as_fd()).ok()?;
        let mut keys = File::from(caller.as_fd().try_clone_to_owned().ok()?);
        let (sender, typed) = mpsc::unbounded_channel();
        // Ends with the process: nobody may ever press another key.
        drop(std::thread::spawn(move || {
            let mut key = [0_u8];
            loop {
                match keys.read(&mut key) {
                    Ok(1) if sender.send(key[0]).is_ok() => {}
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    _ => return,
                }
            }
        }));
        Some(Self { typed, _mode: mode })
    }

    /// The next key; never where nobody can press one. May be dropped and called again.
    pub async fn next(keys: Option<&mut Self>) -> u8 {
        match keys {
            Some(keys) => match keys.typed.recv().await {
                Some(key) => key,
                None => std::future::pending().await,
            },
            None => std::future::pending().await,
        }
    }
}
