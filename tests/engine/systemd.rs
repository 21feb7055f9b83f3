//! The conversation with systemd, held with a peer that is none: it answers,
//! refuses, is late, hangs up and talks nonsense. What is on the wire is written
//! here by hand, after the D-Bus specification.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::thread::JoinHandle;
use std::time::Duration;

use skiff::engine::systemd::{Connection, Scope, SystemdError, start_scope, version};

/// Long enough for any answer that comes.
const PATIENCE: Duration = Duration::from_secs(20);
/// For what never comes.
const IMPATIENCE: Duration = Duration::from_millis(100);

const SCOPE: Scope<'static> = Scope {
    name: "skiff-0badcafe-shop.scope",
    description: "skiff project shop",
    processes: &[4711, 4712],
    leaf: "keeper",
    has_slice: false,
};

const JOB: &str = "/org/freedesktop/systemd1/job/42";

/// Values in the making, little-endian.
#[derive(Default)]
struct Bytes(Vec<u8>);

impl Bytes {
    fn align(mut self, to: usize) -> Self {
        self.0.resize(self.0.len().next_multiple_of(to), 0);
        self
    }

    fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend(bytes);
        self
    }

    fn number(self, value: usize) -> Self {
        let value = u32::try_from(value).unwrap();
        self.align(4).raw(&value.to_le_bytes())
    }

    fn text(self, text: &str) -> Self {
        self.number(text.len()).raw(text.as_bytes()).raw(&[0])
    }

    fn field(self, number: u8, kind: u8, text: &str) -> Self {
        self.align(8).raw(&[number, 1, kind, 0]).text(text)
    }
}

/// A message of this type with these header fields.
fn message(kind: u8, fields: Bytes, signature: &str, body: &[u8]) -> Vec<u8> {
    let length = u8::try_from(signature.len()).unwrap();
    let fields = fields
        .align(8)
        .raw(&[8, 1, b'g', 0, length])
        .raw(signature.as_bytes())
        .raw(&[0]);
    Bytes::default()
        .raw(&[b'l', kind, 1, 1])
        .number(body.len())
        .number(99)
        .number(fields.0.len())
        .raw(&fields.0)
        .align(8)
        .raw(body)
        .0
}

fn to_serial(serial: u32) -> Bytes {
    Bytes::default()
        .raw(&[5, 1, b'u', 0])
        .raw(&serial.to_le_bytes())
}

fn job_reply(serial: u32) -> Vec<u8> {
    message(2, to_serial(serial), "o", &Bytes::default().text(JOB).0)
}

fn refusal(serial: u32, name: &str, text: &str) -> Vec<u8> {
    let fields = to_serial(serial).field(4, b's', name);
    message(3, fields, "s", &Bytes::default().text(text).0)
}

fn signal(member: &str, signature: &str, body: &[u8]) -> Vec<u8> {
    let fields = Bytes::default()
        .field(1, b'o', "/org/freedesktop/systemd1")
        .field(2, b's', "org.freedesktop.systemd1.Manager")
        .field(3, b's', member);
    message(4, fields, signature, body)
}

fn job_removed(job: &str, result: &str) -> Vec<u8> {
    let body = Bytes::default()
        .number(42)
        .text(job)
        .text(SCOPE.name)
        .text(result);
    signal("JobRemoved", "uoss", &body.0)
}

/// The peer's end of a conversation.
struct Peer(UnixStream);

impl Peer {
    /// Takes the greeting; an answer of `OK` goes on.
    fn greet(&mut self, answer: &str) {
        // At once, and nothing after it: a call that came along with `BEGIN`
        // would be overlooked by the real one.
        let mut greeting = [0; 256];
        let length = self.0.read(&mut greeting).unwrap();
        let user: String = rustix::process::geteuid()
            .as_raw()
            .to_string()
            .bytes()
            .map(|digit| format!("{digit:02x}"))
            .collect();
        let expected = format!("\0AUTH EXTERNAL {user}\r\nBEGIN\r\n");
        assert_eq!(String::from_utf8_lossy(&greeting[..length]), expected);
        self.say(answer.as_bytes());
    }

    fn begin(&mut self) {
        self.greet("OK 0123456789abcdef0123456789abcdef\r\n");
    }

    /// The next call: its serial, and its bytes.
    fn call(&mut self) -> (u32, Vec<u8>) {
        let mut bytes = vec![0; 16];
        self.0.read_exact(&mut bytes).unwrap();
        let number = |at: usize| {
            let four: [u8; 4] = bytes[at..at + 4].try_into().unwrap();
            u32::from_le_bytes(four)
        };
        let (body, serial, fields) = (number(4), number(8), number(12));
        let rest = usize::try_from(fields.next_multiple_of(8) + body).unwrap();
        let mut more = vec![0; rest];
        self.0.read_exact(&mut more).unwrap();
        bytes.extend(more);
        (serial, bytes)
    }

    fn say(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).unwrap();
    }

    /// Until the other end closes.
    fn hold(&mut self) {
        let mut rest = Vec::new();
        // A reset, where it left something unread, is an end as well.
        self.0.read_to_end(&mut rest).ok();
    }
}

fn has(bytes: &[u8], text: &str) -> bool {
    bytes
        .windows(text.len())
        .any(|part| part == text.as_bytes())
}

/// Runs a peer, and asks it for [`SCOPE`].
fn asked(
    limit: Duration,
    scope: Scope<'_>,
    peer: impl FnOnce(&mut Peer) + Send + 'static,
) -> Result<(), SystemdError> {
    with_peer(peer, |run| {
        Connection::open(run, limit).and_then(|mut one| start_scope(&mut one, scope))
    })
}

fn with_peer<T>(peer: impl FnOnce(&mut Peer) + Send + 'static, ask: impl FnOnce(&Path) -> T) -> T {
    let run = tempfile::tempdir().unwrap();
    let listener = UnixListener::bind(run.path().join("private")).unwrap();
    let thread: JoinHandle<()> = std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        peer(&mut Peer(stream));
    });
    let answer = ask(run.path());
    thread.join().unwrap();
    answer
}

#[test]
fn a_scope_is_there_when_its_job_is_done() {
    asked(PATIENCE, SCOPE, |peer| {
        peer.begin();
        let (serial, call) = peer.call();
        for text in [
            "StartTransientUnit",
            "ssa(sv)a(sa(sv))",
            "skiff-0badcafe-shop.scope",
            "skiff.slice",
            "StopWhenUnneeded",
            "Delegate",
            "PIDs",
            "inactive-or-failed",
        ] {
            assert!(has(&call, text), "{text}");
        }
        let pids = Bytes::default().number(8).number(4711).number(4712);
        assert!(call.windows(12).any(|part| part == pids.0), "the processes");
        // Other news, and another job's end, before the answer and after it.
        peer.say(&signal(
            "UnitNew",
            "so",
            &Bytes::default().text("x").text("/x").0,
        ));
        peer.say(&job_removed("/org/freedesktop/systemd1/job/41", "failed"));
        peer.say(&job_reply(serial));
        peer.say(&job_removed("/org/freedesktop/systemd1/job/43", "failed"));
        peer.say(&job_removed(JOB, "done"));
        peer.hold();
    })
    .unwrap();
}

#[test]
fn a_job_may_end_before_the_answer_and_bytes_may_come_one_by_one() {
    asked(PATIENCE, SCOPE, |peer| {
        peer.begin();
        let (serial, _) = peer.call();
        for message in [job_removed(JOB, "done"), job_reply(serial)] {
            for byte in message {
                peer.say(&[byte]);
            }
        }
        peer.hold();
    })
    .unwrap();
}

const UNIT_EXISTS: &str = "org.freedesktop.systemd1.UnitExists";

#[test]
fn a_slice_that_is_there_is_used_as_it_is() {
    asked(PATIENCE, SCOPE, |peer| {
        peer.begin();
        let (serial, call) = peer.call();
        assert!(has(&call, "StopWhenUnneeded"));
        peer.say(&refusal(
            serial,
            UNIT_EXISTS,
            "Unit skiff.slice was already loaded",
        ));
        let (serial, call) = peer.call();
        assert!(!has(&call, "StopWhenUnneeded"));
        peer.say(&job_reply(serial));
        peer.say(&job_removed(JOB, "done"));
        peer.hold();
    })
    .unwrap();
}

#[test]
fn a_scope_that_is_there_takes_the_processes_in() {
    let there = Scope {
        has_slice: true,
        ..SCOPE
    };
    asked(PATIENCE, there, |peer| {
        peer.begin();
        let (serial, call) = peer.call();
        assert!(!has(&call, "StopWhenUnneeded"));
        peer.say(&refusal(serial, UNIT_EXISTS, "the scope is there"));
        let (serial, call) = peer.call();
        for text in [
            "AttachProcessesToUnit",
            "skiff-0badcafe-shop.scope",
            "/keeper",
        ] {
            assert!(has(&call, text), "{text}");
        }
        peer.say(&message(2, to_serial(serial), "", &[]));
        peer.hold();
    })
    .unwrap();
}

#[test]
fn a_refusal_is_told_in_systemds_words() {
    let error = asked(PATIENCE, SCOPE, |peer| {
        peer.begin();
        let (serial, _) = peer.call();
        let name = "org.freedesktop.DBus.Error.AccessDenied";
        peer.say(&refusal(serial, name, "not you"));
        peer.hold();
    })
    .unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, SystemdError::Refused { .. }), "{text}");
    assert!(
        text.contains("not you") && text.contains("AccessDenied"),
        "{text}"
    );
    let rejected = asked(PATIENCE, SCOPE, |peer| {
        peer.greet("REJECTED EXTERNAL\r\n");
        peer.hold();
    });
    assert!(
        matches!(rejected, Err(SystemdError::Refused { .. })),
        "{rejected:?}"
    );
}

#[test]
fn a_job_that_does_not_end_well_is_an_error() {
    for result in ["canceled", "timeout", "failed", "dependency", "skipped"] {
        let error = asked(PATIENCE, SCOPE, move |peer| {
            peer.begin();
            let (serial, _) = peer.call();
            peer.say(&job_reply(serial));
            peer.say(&job_removed(JOB, result));
            peer.hold();
        });
        assert!(
            matches!(&error, Err(SystemdError::Job { result: said, .. }) if said == result),
            "{error:?}"
        );
    }
}

/// Each silence at another moment: the wait has an end.
#[test]
fn silence_has_an_end() {
    let silent: [fn(&mut Peer); 4] = [
        Peer::hold,
        |peer| {
            peer.begin();
            peer.hold();
        },
        |peer| {
            peer.begin();
            let (serial, _) = peer.call();
            peer.say(&job_reply(serial));
            peer.hold();
        },
        |peer| {
            peer.begin();
            let (serial, _) = peer.call();
            peer.say(&job_reply(serial)[..20]);
            peer.hold();
        },
    ];
    for (number, peer) in silent.into_iter().enumerate() {
        let answer = asked(IMPATIENCE, SCOPE, peer);
        assert!(
            matches!(answer, Err(SystemdError::Late { .. })),
            "{number}: {answer:?}"
        );
    }
}

/// One that talks all the time and never answers ends at the same time: the
/// limit is for all of it.
#[test]
fn chatter_has_an_end_too() {
    let answer = asked(IMPATIENCE, SCOPE, |peer| {
        peer.begin();
        peer.call();
        let news = signal("UnitNew", "so", &Bytes::default().text("x").text("/x").0);
        // Until nobody listens any more.
        while peer.0.write_all(&news).is_ok() {}
    });
    assert!(
        matches!(answer, Err(SystemdError::Late { .. })),
        "{answer:?}"
    );
}

/// Nobody accepts, and the queue is full.
#[test]
fn a_full_queue_has_an_end() {
    let run = tempfile::tempdir().unwrap();
    let socket = rustix::net::socket(
        rustix::net::AddressFamily::UNIX,
        rustix::net::SocketType::STREAM,
        None,
    )
    .unwrap();
    let path = run.path().join("private");
    let address = rustix::net::SocketAddrUnix::new(&path).unwrap();
    rustix::net::bind(&socket, &address).unwrap();
    rustix::net::listen(&socket, 0).unwrap();
    let _first = UnixStream::connect(&path).unwrap();
    let answer = Connection::open(run.path(), IMPATIENCE);
    assert!(
        matches!(answer, Err(SystemdError::Late { .. })),
        "{answer:?}"
    );
}

#[test]
fn a_peer_that_hangs_up_is_an_error() {
    let closing: [fn(&mut Peer); 4] = [
        |peer| {
            peer.0.read_exact(&mut [0; 10]).unwrap();
        },
        Peer::begin,
        |peer| {
            peer.begin();
            let (serial, _) = peer.call();
            peer.say(&job_reply(serial));
        },
        |peer| {
            peer.begin();
            let (serial, _) = peer.call();
            peer.say(&job_reply(serial)[..20]);
        },
    ];
    for (number, peer) in closing.into_iter().enumerate() {
        let answer = asked(PATIENCE, SCOPE, peer);
        assert!(
            matches!(answer, Err(SystemdError::Broken(_))),
            "{number}: {answer:?}"
        );
    }
}

#[test]
fn nonsense_is_an_error() {
    let talking: [fn(&mut Peer); 3] = [
        |peer| {
            // The end of the line never comes.
            peer.0.write_all(&[b'x'; 4096]).ok();
            peer.hold();
        },
        |peer| {
            peer.begin();
            peer.call();
            peer.say(b"HTTP/1.1 400 Bad Request\r\n\r\n");
            peer.hold();
        },
        |peer| {
            peer.begin();
            let (serial, _) = peer.call();
            // A return without the job.
            peer.say(&message(2, to_serial(serial), "", &[]));
            peer.hold();
        },
    ];
    for (number, peer) in talking.into_iter().enumerate() {
        let answer = asked(PATIENCE, SCOPE, peer);
        assert!(
            matches!(answer, Err(SystemdError::Protocol(_))),
            "{number}: {answer:?}"
        );
    }
}

#[test]
fn a_missing_or_dead_socket_is_an_error_at_once() {
    let run = tempfile::tempdir().unwrap();
    let answer = Connection::open(run.path(), PATIENCE);
    assert!(
        matches!(answer, Err(SystemdError::Connect { .. })),
        "{answer:?}"
    );
    drop(UnixListener::bind(run.path().join("private")).unwrap());
    let answer = Connection::open(run.path(), PATIENCE);
    assert!(
        matches!(answer, Err(SystemdError::Connect { .. })),
        "{answer:?}"
    );
}

#[test]
fn the_version_is_a_property() {
    let text = with_peer(
        |peer| {
            peer.begin();
            let (serial, call) = peer.call();
            assert!(has(&call, "org.freedesktop.DBus.Properties") && has(&call, "Version"));
            let body = Bytes::default().raw(b"\x01s\0").text("252.39-1~deb12u1");
            peer.say(&message(2, to_serial(serial), "v", &body.0));
            peer.hold();
        },
        |run| version(run, PATIENCE),
    );
    assert_eq!(text.unwrap(), "252.39-1~deb12u1");
}
