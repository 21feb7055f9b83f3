use std::io::Write;

use fs_err as fs;

use super::*;
use crate::supervise::logs::file::log_path;

struct Bench {
    _root: tempfile::TempDir,
    spool: PathBuf,
    log: PathBuf,
    readers: [OwnedFd; 2],
    out: std::io::PipeWriter,
    err: std::io::PipeWriter,
}

const ALL: LogOptions = LogOptions {
    enabled: true,
    max_size: None,
    max_files: 1,
};

impl Bench {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let (out_reader, out) = std::io::pipe().unwrap();
        let (err_reader, err) = std::io::pipe().unwrap();
        Self {
            spool: root.path().join("spool"),
            log: root.path().join("log"),
            _root: root,
            readers: [out_reader.into(), err_reader.into()],
            out,
            err,
        }
    }

    fn sources(&self) -> Sources {
        let [out, err] = &self.readers;
        Sources::Pipes([out.try_clone().unwrap(), err.try_clone().unwrap()])
    }

    fn begin(&self, options: LogOptions) -> Pump {
        Pump::begin(&self.spool, &self.log, options, self.sources()).unwrap()
    }

    fn resume(&self, options: LogOptions) -> Pump {
        Pump::resume(&self.spool, &self.log, options, self.sources()).unwrap()
    }

    /// Texts of all lines in all log files, oldest first, partial lines joined.
    fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let mut open = String::new();
        for age in (0..10).rev() {
            let Ok(text) = fs::read_to_string(log_path(&self.log, age)) else {
                continue;
            };
            for line in text.lines() {
                let line = line::Line::parse(line.as_bytes()).unwrap();
                open.push_str(std::str::from_utf8(line.text).unwrap());
                if !line.partial {
                    lines.push(std::mem::take(&mut open));
                }
            }
        }
        lines
    }
}

fn drain(pump: &mut Pump, stream: Stream) -> Vec<u8> {
    let mut raw = Vec::new();
    while let Pumped::Bytes(chunk) = pump.pump(stream).unwrap() {
        raw.extend(chunk.bytes);
    }
    raw
}

#[test]
fn lines_of_both_streams_reach_the_log_and_the_rest_waits_for_its_newline() {
    let mut bench = Bench::new();
    let mut pump = bench.begin(ALL);
    bench.out.write_all(b"one\ntwo\nthr").unwrap();
    bench.err.write_all(b"problem\n").unwrap();
    assert_eq!(drain(&mut pump, Stream::Stdout), b"one\ntwo\nthr");
    assert_eq!(drain(&mut pump, Stream::Stderr), b"problem\n");
    assert_eq!(bench.lines(), ["one", "two", "problem"]);
    let history = pump.history().unwrap();
    let raw: Vec<(Stream, &[u8])> = history
        .iter()
        .map(|chunk| (chunk.stream, chunk.bytes.as_slice()))
        .collect();
    assert_eq!(
        raw,
        [
            (Stream::Stdout, &b"one\ntwo\n"[..]),
            (Stream::Stderr, b"problem\n"),
            (Stream::Stdout, b"thr")
        ]
    );
    bench.out.write_all(b"ee").unwrap();
    let last = pump.finish().unwrap();
    assert_eq!(
        last,
        [Chunk {
            stream: Stream::Stdout,
            bytes: b"ee".to_vec()
        }]
    );
    assert_eq!(bench.lines(), ["one", "two", "problem", "three"]);
}

#[test]
fn a_pump_that_is_dropped_at_any_place_is_resumed_without_loss() {
    let mut bench = Bench::new();
    let mut pump = bench.begin(ALL);
    let mut expected = Vec::new();
    for number in 0..400 {
        let line = format!("{number} {}", "x".repeat(number * 37 % 5000));
        bench.out.write_all(line.as_bytes()).unwrap();
        if number % 3 == 0 {
            pump.pump(Stream::Stdout).unwrap();
        }
        bench.out.write_all(b"\n").unwrap();
        expected.push(line);
        pump.pump(Stream::Stdout).unwrap();
        if number % 7 == 0 {
            pump = bench.resume(ALL);
        }
    }
    pump.finish().unwrap();
    assert_eq!(bench.lines(), expected);
}

/// A kill between any two steps of a batch: the checkpoint names a batch that
/// is in the log not at all, in part, or whole.
#[test]
fn a_batch_that_was_cut_short_is_written_once_more_to_the_same_place() {
    let mut bench = Bench::new();
    let mut pump = bench.begin(ALL);
    bench.out.write_all(b"first\n").unwrap();
    drain(&mut pump, Stream::Stdout);
    bench.out.write_all(b"second\nthird\n").unwrap();
    drain(&mut pump, Stream::Stdout);
    drop(pump);
    let whole = fs::read(log_path(&bench.log, 0)).unwrap();
    let first = whole.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    for length in first..=whole.len() {
        fs::write(log_path(&bench.log, 0), &whole[..length]).unwrap();
        let pump = bench.resume(ALL);
        assert_eq!(
            fs::read(log_path(&bench.log, 0)).unwrap(),
            whole,
            "cut at {length}"
        );
        // The same again for the next length: put the checkpoint back.
        let batch = Batch {
            stream: 0,
            length: 13,
            time: batch_time(&whole),
        };
        pump.checkpoint
            .write(&Checkpoint {
                log_inode: pump.log.inode(),
                log_offset: u64::try_from(first).unwrap(),
                streams: [
                    Position {
                        generation: 1,
                        offset: 6,
                    },
                    Position {
                        generation: 1,
                        offset: 0,
                    },
                ],
                batch: Some(batch),
                run_inode: pump.run.0,
                run_offset: pump.run.1,
            })
            .unwrap();
    }
}

fn batch_time(log: &[u8]) -> i64 {
    let last = log
        .strip_suffix(b"\n")
        .unwrap()
        .rsplit(|byte| *byte == b'\n')
        .next()
        .unwrap();
    let time: Timestamp = line::Line::parse(last).unwrap().time.parse().unwrap();
    i64::try_from(time.as_nanosecond()).unwrap()
}

#[test]
fn files_are_rotated_and_resumed_after_a_rotation() {
    let mut bench = Bench::new();
    let options = LogOptions {
        enabled: true,
        max_size: Some(2000),
        max_files: 3,
    };
    let mut pump = bench.begin(options);
    for number in 0..200 {
        bench
            .out
            .write_all(format!("line {number}\n").as_bytes())
            .unwrap();
        pump.pump(Stream::Stdout).unwrap();
        if number % 13 == 0 {
            pump = bench.resume(options);
        }
        if number % 50 == 49 {
            // A kill between the rotation and its checkpoint.
            pump.save(None).unwrap();
            pump.log.rotate().unwrap();
            pump = bench.resume(options);
        }
    }
    pump.finish().unwrap();
    let lines = bench.lines();
    assert!(lines.len() > 40 && lines.len() < 200, "{}", lines.len());
    let expected: Vec<String> = (200 - lines.len()..200)
        .map(|number| format!("line {number}"))
        .collect();
    assert_eq!(lines, expected);
    assert!(!log_path(&bench.log, 3).exists());
}

#[test]
fn a_flood_of_lines_in_one_go_is_rotated_too() {
    let mut bench = Bench::new();
    let options = LogOptions {
        enabled: true,
        max_size: Some(10_000),
        max_files: 3,
    };
    let mut pump = bench.begin(options);
    let text: String = (0..3000).map(|number| format!("{number}\n")).collect();
    bench.out.write_all(text.as_bytes()).unwrap();
    drain(&mut pump, Stream::Stdout);
    for age in 0..3 {
        let size = fs::metadata(log_path(&bench.log, age)).unwrap().len();
        assert!(size < 10_100, "{age}: {size}");
    }
    let lines = bench.lines();
    let expected: Vec<String> = (3000 - lines.len()..3000)
        .map(|number| number.to_string())
        .collect();
    assert_eq!(lines, expected);
}

#[test]
fn spools_stay_bounded_and_an_open_line_survives_their_renewal() {
    let mut bench = Bench::new();
    let mut pump = bench.begin(ALL);
    let mut expected = Vec::new();
    for number in 0..3000 {
        let line = format!("{number}:{}", "y".repeat(300));
        let (head, tail) = line.split_at(150);
        bench.out.write_all(head.as_bytes()).unwrap();
        pump.pump(Stream::Stdout).unwrap();
        bench.out.write_all(tail.as_bytes()).unwrap();
        bench.out.write_all(b"\n").unwrap();
        pump.pump(Stream::Stdout).unwrap();
        expected.push(line);
        let size: u64 = fs::read_dir(&bench.spool)
            .unwrap()
            .map(|entry| entry.unwrap().metadata().unwrap().len())
            .sum();
        assert!(size < 400 * 1024, "{size}");
    }
    pump.finish().unwrap();
    assert_eq!(bench.lines(), expected);
}

#[test]
fn driver_none_writes_no_log_but_shows_what_comes() {
    let mut bench = Bench::new();
    let mut pump = bench.begin(LogOptions {
        enabled: false,
        max_size: None,
        max_files: 1,
    });
    bench.out.write_all(b"seen\n").unwrap();
    assert_eq!(drain(&mut pump, Stream::Stdout), b"seen\n");
    pump.finish().unwrap();
    assert_eq!(fs::read(log_path(&bench.log, 0)).unwrap(), b"");
}

#[test]
fn a_second_run_shows_only_its_own_output_as_history() {
    let mut bench = Bench::new();
    let mut pump = bench.begin(ALL);
    bench.out.write_all(b"first run\n").unwrap();
    pump.finish().unwrap();
    let mut pump = bench.begin(ALL);
    bench.out.write_all(b"second run\n").unwrap();
    drain(&mut pump, Stream::Stdout);
    assert_eq!(
        pump.history().unwrap(),
        [Chunk {
            stream: Stream::Stdout,
            bytes: b"second run\n".to_vec()
        }]
    );
    assert_eq!(bench.lines(), ["first run", "second run"]);
}

#[test]
fn a_terminal_goes_through_its_pipe() {
    let master =
        rustix::pty::openpt(rustix::pty::OpenptFlags::RDWR | rustix::pty::OpenptFlags::NOCTTY)
            .unwrap();
    rustix::pty::grantpt(&master).unwrap();
    rustix::pty::unlockpt(&master).unwrap();
    let name = rustix::pty::ptsname(&master, Vec::new()).unwrap();
    let mut slave = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(name.to_str().unwrap())
        .unwrap();
    rustix::io::ioctl_fionbio(&master, true).unwrap();
    let root = tempfile::tempdir().unwrap();
    let spool = root.path().join("spool");
    fs::create_dir_all(&spool).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        spool.join("pipe"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
        0,
    )
    .unwrap();
    let pipe = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(spool.join("pipe"))
        .unwrap();
    let sources = Sources::Terminal {
        master,
        pipe: OwnedFd::from(pipe.into_file()),
    };
    let mut pump = Pump::begin(&spool, &root.path().join("log"), ALL, sources).unwrap();
    slave.write_all(b"hello\n# ").unwrap();
    assert_eq!(drain(&mut pump, Stream::Stdout), b"hello\r\n# ");
    drop(slave);
    assert_eq!(pump.finish().unwrap(), []);
    let text = fs::read_to_string(root.path().join("log/0.log")).unwrap();
    assert!(text.ends_with(" stdout F # \n"), "{text:?}");
    assert!(text.contains(" stdout F hello\r\n"), "{text:?}");
}
