//! The thread that moves all containers' output: one epoll(7) over their
//! pipes, apart from the supervisor's other work, so that a slow disk delays
//! no answer about a name.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, Timespec, epoll, eventfd};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;

use super::line::Stream;
use super::pump::{Chunk, Pump, Pumped};

/// A reader that is so many bytes behind holds the container's output back, as
/// a terminal does, until it is under a quarter of it again.
const BEHIND_LIMIT: usize = 4 * 1024 * 1024;
/// Pause before a pump is tried again that met a full disk.
const RETRY: Duration = Duration::from_secs(1);
/// The token of the wake-up descriptor.
const WAKE: u64 = u64::MAX;

enum Command {
    Add {
        key: String,
        pump: Box<Pump>,
    },
    Attach {
        key: String,
        listener: Listener,
    },
    CaughtUp {
        key: String,
    },
    Finish {
        key: String,
        done: oneshot::Sender<()>,
    },
}

/// Handle on the thread, which ends when all handles are gone.
#[derive(Debug, Clone)]
pub(crate) struct LogThread {
    commands: Sender<Command>,
    wake: Arc<OwnedFd>,
}

impl std::fmt::Debug for Command {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Add { .. } => "Add",
            Self::Attach { .. } => "Attach",
            Self::CaughtUp { .. } => "CaughtUp",
            Self::Finish { .. } => "Finish",
        })
    }
}

/// Raw output of one container from the beginning of its run.
#[derive(Debug)]
pub(crate) struct Attachment {
    key: String,
    chunks: UnboundedReceiver<Chunk>,
    behind: Arc<AtomicUsize>,
    thread: LogThread,
}

impl Attachment {
    /// The next bytes; `None` after the end of the run.
    pub(crate) async fn next(&mut self) -> Option<Chunk> {
        let chunk = self.chunks.recv().await?;
        let count = chunk.bytes.len();
        let before = self.behind.fetch_sub(count, Ordering::AcqRel);
        let threshold = BEHIND_LIMIT / 4;
        if before > threshold && before - count <= threshold {
            self.thread.send(Command::CaughtUp {
                key: self.key.clone(),
            });
        }
        Some(chunk)
    }
}

#[derive(Debug)]
struct Listener {
    chunks: UnboundedSender<Chunk>,
    behind: Arc<AtomicUsize>,
}

impl Listener {
    /// False where nobody listens any more.
    fn send(&self, chunk: &Chunk) -> bool {
        self.behind.fetch_add(chunk.bytes.len(), Ordering::AcqRel);
        self.chunks.send(chunk.clone()).is_ok()
    }
}

impl LogThread {
    /// Starts the thread.
    pub(crate) fn start() -> io::Result<Self> {
        let wake = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        let (commands, inbox) = mpsc::channel();
        let mover = Mover::new(inbox, Arc::clone(&wake))?;
        std::thread::Builder::new()
            .name("logs".to_owned())
            .stack_size(256 * 1024)
            .spawn(move || mover.run())?;
        Ok(Self { commands, wake })
    }

    /// Moves this container's output from now on.
    pub(crate) fn add(&self, key: &str, pump: Pump) {
        self.send(Command::Add {
            key: key.to_owned(),
            pump: Box::new(pump),
        });
    }

    /// Raw output of the present run, or of the next one where none is.
    pub(crate) fn attach(&self, key: &str) -> Attachment {
        let (sender, chunks) = unbounded_channel();
        let behind = Arc::new(AtomicUsize::new(0));
        let listener = Listener {
            chunks: sender,
            behind: Arc::clone(&behind),
        };
        self.send(Command::Attach {
            key: key.to_owned(),
            listener,
        });
        Attachment {
            key: key.to_owned(),
            chunks,
            behind,
            thread: self.clone(),
        }
    }

    /// The container has ended: returns when its log is complete.
    pub(crate) async fn finish(&self, key: &str) {
        let (done, wait) = oneshot::channel();
        self.send(Command::Finish {
            key: key.to_owned(),
            done,
        });
        // An error means that the thread is gone, and then so are we.
        wait.await.ok();
    }

    fn send(&self, command: Command) {
        if self.commands.send(command).is_ok() {
            // A full counter means that a wake-up is under way.
            rustix::io::write(&*self.wake, &1_u64.to_ne_bytes()).ok();
        }
    }
}

impl Drop for LogThread {
    fn drop(&mut self) {
        // The last one lets the thread see that its inbox is closed.
        rustix::io::write(&*self.wake, &1_u64.to_ne_bytes()).ok();
    }
}

struct Moving {
    key: String,
    pump: Pump,
    open: Vec<Stream>,
    watched: bool,
    retry_at: Option<Instant>,
}

struct Mover {
    inbox: Receiver<Command>,
    wake: Arc<OwnedFd>,
    epoll: OwnedFd,
    pumps: HashMap<u64, Moving>,
    listeners: HashMap<String, Vec<Listener>>,
    next: u64,
}

impl Mover {
    fn new(inbox: Receiver<Command>, wake: Arc<OwnedFd>) -> io::Result<Self> {
        let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        epoll::add(
            &poll,
            &*wake,
            epoll::EventData::new_u64(WAKE),
            epoll::EventFlags::IN,
        )?;
        Ok(Self {
            inbox,
            wake,
            epoll: poll,
            pumps: HashMap::new(),
            listeners: HashMap::new(),
            next: 0,
        })
    }

    fn run(mut self) {
        let mut events = Vec::with_capacity(32);
        loop {
            events.clear();
            let timeout = self.timeout();
            let spare = rustix::buffer::spare_capacity(&mut events);
            match epoll::wait(&self.epoll, spare, timeout.as_ref()) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(_) => return,
            }
            // In the order in which the kernel saw them become readable.
            for event in &events {
                let token = event.data.u64();
                if token == WAKE {
                    if !self.obey() {
                        return;
                    }
                } else {
                    self.pump(token / 2, token % 2);
                }
            }
            self.retry();
        }
    }

    fn timeout(&self) -> Option<Timespec> {
        let at = self
            .pumps
            .values()
            .filter_map(|moving| moving.retry_at)
            .min()?;
        Timespec::try_from(at.saturating_duration_since(Instant::now())).ok()
    }

    /// Takes all commands; false when there can be none any more.
    fn obey(&mut self) -> bool {
        let mut count = [0; 8];
        rustix::io::read(&*self.wake, &mut count).ok();
        loop {
            match self.inbox.try_recv() {
                Ok(Command::Add { key, pump }) => self.add(key, *pump),
                Ok(Command::Attach { key, listener }) => self.attach(key, listener),
                Ok(Command::CaughtUp { key }) => self.caught_up(&key),
                Ok(Command::Finish { key, done }) => {
                    self.finish(&key);
                    // The asker may have gone.
                    done.send(()).ok();
                }
                Err(mpsc::TryRecvError::Empty) => return true,
                Err(mpsc::TryRecvError::Disconnected) => return false,
            }
        }
    }

    fn add(&mut self, key: String, pump: Pump) {
        let open = pump
            .descriptors()
            .into_iter()
            .map(|(stream, _)| stream)
            .collect();
        let moving = Moving {
            key,
            pump,
            open,
            watched: false,
            retry_at: None,
        };
        self.pumps.insert(self.next, moving);
        self.watch(self.next);
        self.next += 1;
    }

    fn watch(&mut self, id: u64) {
        let Some(moving) = self.pumps.get_mut(&id).filter(|moving| !moving.watched) else {
            return;
        };
        moving.watched = true;
        moving.retry_at = None;
        for (stream, fd) in moving.pump.descriptors() {
            if moving.open.contains(&stream) {
                let token = epoll::EventData::new_u64(id * 2 + u64::from(stream.number()) - 1);
                // Added twice or out of memory: finish() takes what is left.
                epoll::add(&self.epoll, fd, token, epoll::EventFlags::IN).ok();
            }
        }
    }

    fn unwatch(&mut self, id: u64) {
        let Some(moving) = self.pumps.get_mut(&id).filter(|moving| moving.watched) else {
            return;
        };
        moving.watched = false;
        for (_, fd) in moving.pump.descriptors() {
            epoll::delete(&self.epoll, fd).ok();
        }
    }

    fn pump(&mut self, id: u64, stream: u64) {
        let stream = if stream == 0 {
            Stream::Stdout
        } else {
            Stream::Stderr
        };
        let Some(moving) = self.pumps.get_mut(&id).filter(|moving| moving.watched) else {
            return;
        };
        match moving.pump.pump(stream) {
            Ok(Pumped::Empty) => {}
            Ok(Pumped::Bytes(chunk)) => {
                if broadcast(&mut self.listeners, &moving.key, &chunk) {
                    self.unwatch(id);
                }
            }
            Ok(Pumped::End) => {
                moving.open.retain(|open| *open != stream);
                for (open, fd) in moving.pump.descriptors() {
                    if open == stream {
                        epoll::delete(&self.epoll, fd).ok();
                    }
                }
            }
            Err(_) => {
                // No room on the disk: the bytes wait in spool and pipe.
                moving.retry_at = Some(Instant::now() + RETRY);
                self.unwatch(id);
            }
        }
    }

    fn retry(&mut self) {
        let now = Instant::now();
        let due: Vec<u64> = self
            .pumps
            .iter()
            .filter(|(_, moving)| moving.retry_at.is_some_and(|at| at <= now))
            .map(|(id, _)| *id)
            .collect();
        for id in due {
            self.watch(id);
        }
    }

    fn find(&self, key: &str) -> Option<u64> {
        self.pumps
            .iter()
            .find(|(_, moving)| moving.key == key)
            .map(|(id, _)| *id)
    }

    fn attach(&mut self, key: String, listener: Listener) {
        let history = self
            .find(&key)
            .and_then(|id| self.pumps.get(&id)?.pump.history().ok())
            .unwrap_or_default();
        if history.iter().all(|chunk| listener.send(chunk)) {
            self.listeners.entry(key).or_default().push(listener);
        }
    }

    fn caught_up(&mut self, key: &str) {
        if let Some(id) = self.find(key) {
            self.watch(id);
        }
    }

    fn finish(&mut self, key: &str) {
        if let Some(id) = self.find(key) {
            self.unwatch(id);
            if let Some(mut moving) = self.pumps.remove(&id) {
                // A full disk: what does not fit is lost with the run.
                for chunk in moving.pump.finish().unwrap_or_default() {
                    broadcast(&mut self.listeners, key, &chunk);
                }
            }
        }
        self.listeners.remove(key);
    }
}

/// Gives a chunk to all listeners; true where one is too far behind.
fn broadcast(listeners: &mut HashMap<String, Vec<Listener>>, key: &str, chunk: &Chunk) -> bool {
    let Some(of_key) = listeners.get_mut(key) else {
        return false;
    };
    of_key.retain(|listener| listener.send(chunk));
    of_key
        .iter()
        .any(|listener| listener.behind.load(Ordering::Acquire) > BEHIND_LIMIT)
}

/// Whether a descriptor is a pipe or FIFO, the only kind that a caller may
/// hand to a container.
pub(crate) fn is_pipe(fd: impl AsFd) -> bool {
    rustix::fs::fstat(fd).is_ok_and(|stat| {
        rustix::fs::FileType::from_raw_mode(stat.st_mode) == rustix::fs::FileType::Fifo
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::supervise::launch::LogOptions;
    use crate::supervise::logs::pump::Sources;

    const ALL: LogOptions = LogOptions {
        enabled: true,
        max_size: None,
        max_files: 1,
    };

    #[tokio::test]
    async fn output_reaches_log_and_listeners_and_ends_with_the_run() {
        let root = tempfile::tempdir().unwrap();
        let (out_reader, mut out) = std::io::pipe().unwrap();
        let (err_reader, err) = std::io::pipe().unwrap();
        let thread = LogThread::start().unwrap();
        let mut early = thread.attach("c");
        let pump = Pump::begin(
            &root.path().join("spool"),
            &root.path().join("log"),
            ALL,
            Sources::Pipes([out_reader.into(), err_reader.into()]),
        )
        .unwrap();
        thread.add("c", pump);
        out.write_all(b"hello\n").unwrap();
        assert_eq!(early.next().await.unwrap().bytes, b"hello\n");
        let mut late = thread.attach("c");
        assert_eq!(late.next().await.unwrap().bytes, b"hello\n");
        out.write_all(b"bye").unwrap();
        drop((out, err));
        thread.finish("c").await;
        for attachment in [&mut early, &mut late] {
            assert_eq!(attachment.next().await.unwrap().bytes, b"bye");
            assert!(attachment.next().await.is_none());
        }
        let log = fs_err::read_to_string(root.path().join("log/0.log")).unwrap();
        assert!(log.ends_with(" stdout F bye\n"), "{log}");
    }

    #[tokio::test]
    async fn a_slow_listener_holds_the_container_back_until_it_has_caught_up() {
        let root = tempfile::tempdir().unwrap();
        let (out_reader, out) = std::io::pipe().unwrap();
        let (err_reader, _err) = std::io::pipe().unwrap();
        let thread = LogThread::start().unwrap();
        let mut slow = thread.attach("c");
        let pump = Pump::begin(
            &root.path().join("spool"),
            &root.path().join("log"),
            LogOptions {
                enabled: false,
                ..ALL
            },
            Sources::Pipes([out_reader.into(), err_reader.into()]),
        )
        .unwrap();
        thread.add("c", pump);
        let total = 3 * BEHIND_LIMIT;
        let writer = std::thread::spawn(move || {
            let mut out = out;
            let line = [b"x".repeat(999), b"\n".to_vec()].concat();
            let mut written = 0;
            while written < total {
                out.write_all(&line).unwrap();
                written += line.len();
            }
            written
        });
        let mut read = 0;
        let mut most = 0;
        while read < total {
            read += slow.next().await.unwrap().bytes.len();
            most = most.max(slow.behind.load(Ordering::Acquire));
        }
        assert_eq!(writer.join().unwrap(), read);
        assert!(most < BEHIND_LIMIT + 1024 * 1024, "{most}");
    }
}
