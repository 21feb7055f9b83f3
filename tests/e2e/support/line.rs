//! A line to a server on which something goes wrong at a given byte.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;

use super::http::raw_listener;
use super::wait::DEADLINE;

/// Which way the bytes go that are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// From the client to the server.
    Up,
    /// And back.
    Down,
}

/// What becomes of a connection once so many bytes have gone over it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// It stands still until somebody says go.
    Stops,
    /// It ends.
    Breaks,
}

/// A line from `address` to a server, for as long as the test runs.
#[derive(Debug)]
pub(crate) struct Line {
    reached: Receiver<()>,
    go: Sender<()>,
    asked: Arc<Mutex<Vec<u8>>>,
}

/// What all connections of a line share.
#[derive(Debug, Clone)]
struct Common {
    way: Way,
    trouble: Trouble,
    after: usize,
    reached: Sender<()>,
    gone: Arc<Mutex<Receiver<()>>>,
    asked: Arc<Mutex<Vec<u8>>>,
}

impl Line {
    /// Each connection has that trouble once, after so many bytes.
    pub(crate) fn start(
        (address, server): (&str, &str),
        (way, trouble): (Way, Trouble),
        after: usize,
    ) -> Self {
        let listener = raw_listener(address);
        let (go, gone) = channel();
        let (sender, reached) = channel();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let common = Common {
            way,
            trouble,
            after,
            reached: sender,
            gone: Arc::new(Mutex::new(gone)),
            asked: Arc::clone(&asked),
        };
        let server = server.to_owned();
        thread::spawn(move || {
            for client in listener.incoming() {
                let client = client.expect("a client");
                let server = TcpStream::connect(&server).expect("the server");
                common.clone().connect(client, server);
            }
        });
        Self { reached, go, asked }
    }

    /// Waits until a connection has its trouble.
    pub(crate) fn wait(&self) {
        let reached = self.reached.recv_timeout(*DEADLINE);
        reached.expect("nothing large came over the line");
    }

    /// Lets one connection that stands still go on, or the next one that would.
    pub(crate) fn go(&self) {
        self.go.send(()).expect("the line");
    }

    /// Values of a header of all requests so far; its name in small letters.
    pub(crate) fn asked(&self, header: &str) -> Vec<String> {
        let asked = self.asked.lock().expect("what was asked");
        let text = String::from_utf8_lossy(&asked);
        let values = text.lines().filter_map(|line| {
            let (name, value) = line.split_once(':')?;
            (name.to_lowercase() == header).then(|| value.trim().to_owned())
        });
        values.collect()
    }
}

impl Common {
    fn connect(self, client: TcpStream, server: TcpStream) {
        let copy = |stream: &TcpStream| stream.try_clone().expect("a descriptor");
        let (up, down) = ((copy(&client), copy(&server)), (server, client));
        let other = self.clone();
        thread::spawn(move || self.carry(Way::Up, up));
        thread::spawn(move || other.carry(Way::Down, down));
    }

    fn carry(&self, way: Way, (mut from, mut to): (TcpStream, TcpStream)) {
        let (mut buffer, mut count) = ([0; 16 * 1024], 0);
        while let Ok(read @ 1..) = from.read(&mut buffer) {
            let before = count;
            count += read;
            if way == Way::Up && self.way != Way::Up {
                // Heads only: nothing large goes this way.
                let mut asked = self.asked.lock().expect("what was asked");
                asked.extend_from_slice(&buffer[..read]);
            }
            if to.write_all(&buffer[..read]).is_err() {
                break;
            }
            if way == self.way && before < self.after && count >= self.after {
                self.reached.send(()).ok();
                if self.trouble == Trouble::Breaks {
                    break;
                }
                self.gone.lock().expect("the receiver").recv().ok();
            }
        }
        for stream in [from, to] {
            stream.shutdown(Shutdown::Both).ok();
        }
    }
}
