use fs_err as fs;

use super::*;
use crate::state::atomic;
use crate::supervise::launch::LogOptions;
use crate::supervise::logs::file::{LogFile, log_path};
use crate::supervise::logs::line;
use crate::supervise::record::{RunRecord, RunState};

const ALL: LogOptions = LogOptions {
    enabled: true,
    max_size: None,
    max_files: 5,
};

fn at(second: i64) -> String {
    format_time(Timestamp::from_second(1_700_000_000 + second).unwrap())
}

fn append(log: &mut LogFile, second: i64, text: &str) {
    let mut lines = Vec::new();
    line::format(text.as_bytes(), Stream::Stdout, &at(second), &mut lines);
    log.append(&lines).unwrap();
}

fn source(folder: &Path) -> LogSource {
    LogSource::new(folder.to_owned(), None)
}

fn run(state: RunState, started: String) -> RunRecord {
    RunRecord {
        boot_id: String::new(),
        state,
        pid: 1,
        start_time: 1,
        started,
        health: None,
        restarts: 0,
        endpoints: Vec::new(),
        ports: Vec::new(),
        cgroup: String::new(),
    }
}

async fn texts(reader: &mut LogReader) -> Vec<String> {
    let mut texts = Vec::new();
    while let Some(item) = reader.next().await.unwrap() {
        if let LogItem::Line(line) = item {
            texts.push(format!(
                "{} {}",
                line.source,
                String::from_utf8(line.text).unwrap()
            ));
        }
    }
    texts
}

#[tokio::test]
async fn several_logs_are_merged_by_time_over_their_rotated_files() {
    let root = tempfile::tempdir().unwrap();
    let (one, two) = (root.path().join("one"), root.path().join("two"));
    let mut first = LogFile::open(&one, ALL).unwrap();
    let mut second = LogFile::open(&two, ALL).unwrap();
    append(&mut first, 1, "a\n");
    append(&mut second, 2, "b\n");
    first.rotate().unwrap();
    append(&mut first, 3, "c\nd\n");
    first.rotate().unwrap();
    append(&mut second, 4, "e\n");
    append(&mut first, 5, "f\n");
    let mut reader = LogReader::new(ReadOptions::default()).unwrap();
    reader.add(source(&one)).unwrap();
    reader.add(source(&two)).unwrap();
    assert_eq!(
        texts(&mut reader).await,
        ["0 a", "1 b", "0 c", "0 d", "1 e", "0 f"]
    );
}

#[tokio::test]
async fn tail_counts_whole_lines_over_rotated_files() {
    let root = tempfile::tempdir().unwrap();
    let mut log = LogFile::open(root.path(), ALL).unwrap();
    let long = "x".repeat(3 * line::LINE_LIMIT + 5);
    for number in 0..9 {
        append(&mut log, number, &format!("{number}{long}\n"));
        if number % 4 == 3 {
            log.rotate().unwrap();
        }
    }
    for count in 0..12 {
        let options = ReadOptions {
            tail: Some(count),
            ..ReadOptions::default()
        };
        let mut reader = LogReader::new(options).unwrap();
        reader.add(source(root.path())).unwrap();
        let expected: Vec<String> = (9_usize.saturating_sub(count)..9)
            .map(|number| format!("0 {number}{long}"))
            .collect();
        assert_eq!(texts(&mut reader).await, expected, "tail {count}");
    }
}

#[tokio::test]
async fn since_and_until_bound_the_lines() {
    let root = tempfile::tempdir().unwrap();
    let mut log = LogFile::open(root.path(), ALL).unwrap();
    for second in 0..6 {
        append(&mut log, second, &format!("{second}\n"));
    }
    let time = |second: i64| Some(Timestamp::from_second(1_700_000_000 + second).unwrap());
    let options = ReadOptions {
        since: time(2),
        until: time(4),
        ..ReadOptions::default()
    };
    let mut reader = LogReader::new(options).unwrap();
    reader.add(source(root.path())).unwrap();
    assert_eq!(texts(&mut reader).await, ["0 2", "0 3", "0 4"]);
}

#[tokio::test]
async fn following_passes_rotations_and_ends_when_told() {
    let root = tempfile::tempdir().unwrap();
    let mut log = LogFile::open(root.path(), ALL).unwrap();
    append(&mut log, 0, "0\n");
    let options = ReadOptions {
        follow: true,
        ..ReadOptions::default()
    };
    let mut reader = LogReader::new(options).unwrap();
    reader.add(source(root.path())).unwrap();
    for second in 1..=20 {
        let item = reader.next().await.unwrap();
        let Some(LogItem::Line(line)) = item else {
            panic!("{item:?}");
        };
        assert_eq!(line.text, (second - 1).to_string().as_bytes());
        if second % 5 == 0 {
            log.rotate().unwrap();
        }
        append(&mut log, second, &format!("{second}\n"));
        if second % 5 == 1 {
            log.rotate().unwrap();
        }
    }
    reader.end(0);
    assert_eq!(texts(&mut reader).await, ["0 20"]);
}

#[tokio::test]
async fn following_waits_for_a_line_and_for_the_run_record() {
    let root = tempfile::tempdir().unwrap();
    let (folder, records) = (root.path().join("log"), root.path().join("run"));
    let mut log = LogFile::open(&folder, ALL).unwrap();
    let path = records.join("c.json");
    let mut record = run(RunState::Running, String::new());
    atomic::write_json(&path, &record, atomic::Durability::ThisBoot).unwrap();
    let options = ReadOptions {
        follow: true,
        ..ReadOptions::default()
    };
    let mut reader = LogReader::new(options).unwrap();
    reader
        .add(LogSource::new(folder.clone(), Some(path.clone())))
        .unwrap();
    let writer = async {
        tokio::task::yield_now().await;
        append(&mut log, 1, "late\n");
        // Seen half-written first.
        let whole = fs::read(log_path(&folder, 0)).unwrap();
        fs::write(log_path(&folder, 0), &whole[..whole.len() - 3]).unwrap();
        tokio::task::yield_now().await;
        fs::write(log_path(&folder, 0), &whole).unwrap();
        record.state = RunState::Exited;
        atomic::write_json(&path, &record, atomic::Durability::ThisBoot).unwrap();
    };
    let (lines, ()) = tokio::join!(texts(&mut reader), writer);
    assert_eq!(lines, ["0 late"]);
}

/// Runs that nobody saw: each end is told once, behind the lines of its run.
#[tokio::test]
async fn runs_between_two_looks_are_told_in_order() {
    for seen in [RunState::Running, RunState::Restarting] {
        let root = tempfile::tempdir().unwrap();
        let (folder, path) = (root.path().join("log"), root.path().join("run/c.json"));
        let mut log = LogFile::open(&folder, ALL).unwrap();
        let write = |state, second| {
            let record = run(state, at(second));
            atomic::write_json(&path, &record, atomic::Durability::ThisBoot).unwrap();
        };
        write(RunState::Running, 1);
        append(&mut log, 2, "first run\n");
        let options = ReadOptions {
            follow: true,
            ..ReadOptions::default()
        };
        let mut reader = LogReader::new(options).unwrap();
        reader
            .add(LogSource::new(folder.clone(), Some(path.clone())))
            .unwrap();
        let mut told = Vec::new();
        let mut tell = |item| match item {
            Some(LogItem::Line(line)) => told.push(String::from_utf8(line.text).unwrap()),
            Some(LogItem::Ended { restarts, .. }) => told.push(format!("end, again: {restarts}")),
            other => panic!("{other:?}"),
        };
        tell(reader.next().await.unwrap());
        if seen == RunState::Restarting {
            write(RunState::Restarting, 1);
            tell(reader.next().await.unwrap());
        }
        append(&mut log, 4, "second run\n");
        write(RunState::Exited, 3);
        while let Some(item) = reader.next().await.unwrap() {
            tell(Some(item));
        }
        let expected = [
            "first run",
            "end, again: true",
            "second run",
            "end, again: false",
        ];
        assert_eq!(told, expected, "{seen:?}");
    }
}
