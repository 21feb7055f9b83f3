//! `skiff watch` beside `docker compose watch`, in one run.
//!
//! ```text
//! sudo -E cargo bench --bench watch -- [--saves N] [--files N] [--image NAME]
//! ```
//!
//! Docker takes part where `docker` answers (`DOCKER_HOST` says where). The image must be
//! in a registry that both can reach, and needs `sleep`. A save is measured from before
//! the file is written to when its content is read through the container's root; the
//! sides take turns. Prints a Markdown table.
#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a program for the developer's terminal: it prints, ends where it cannot go on, and looks again after a while"
)]

#[expect(dead_code, reason = "shared with the benchmark of containers")]
mod measure;
mod memory;
#[expect(dead_code, reason = "shared with the benchmark of containers")]
mod side;

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use fs_err as fs;
use side::Side;

/// The longest that anything may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long an idle one is looked at.
const IDLE: Duration = Duration::from_secs(10);

/// What the command line asks for.
struct Options {
    saves: usize,
    files: usize,
    image: String,
}

/// A side that watches.
struct Watching {
    name: String,
    folder: PathBuf,
    /// The container's files.
    root: PathBuf,
    child: Child,
    side: Side,
    saves: Vec<Duration>,
}

fn main() {
    let options = parse(std::env::args().skip(1));
    let (home, run) = side::roots();
    let sides = Side::all(home.path(), run.path());
    let mut all: Vec<Watching> = sides
        .into_iter()
        .enumerate()
        .map(|(number, side)| begin(home.path(), number, side, &options.image))
        .collect();
    for round in 0..=options.saves {
        for one in &mut all {
            // One of ten of the slow side's: it waits for half a second each time.
            if one.name != "skiff" && round % 10 != 0 {
                continue;
            }
            let took = one.save("page", &format!("version {round} of {}\n", one.name));
            // The first is not counted.
            if round > 0 {
                one.saves.push(took);
            }
        }
    }
    println!("{}", measure::machine());
    println!("| what | {} |", names(&all).join(" | "));
    println!("|---|{}", "---|".repeat(all.len()));
    row(&mut all, "one file, median", |one| {
        percentile(&mut one.saves, 50)
    });
    row(&mut all, "one file, 99th percentile", |one| {
        percentile(&mut one.saves, 99)
    });
    let files = options.files;
    row(
        &mut all,
        &format!("{files} files, from the first write"),
        |one| one.storm(files),
    );
    row(
        &mut all,
        &format!("processor time in {} s of nothing", IDLE.as_secs()),
        |one| {
            let before = one.busy();
            std::thread::sleep(IDLE);
            one.busy().saturating_sub(before)
        },
    );
    for one in all {
        one.end();
    }
}

fn parse(mut words: impl Iterator<Item = String>) -> Options {
    let mut options = Options {
        saves: 300,
        files: 5000,
        image: "127.0.0.1:5000/busybox:latest".to_owned(),
    };
    while let Some(word) = words.next() {
        let mut value = || words.next().expect("a value after the option");
        match word.as_str() {
            "--saves" => options.saves = value().parse().expect("a number of saves"),
            "--files" => options.files = value().parse().expect("a number of files"),
            "--image" => options.image = value(),
            // `cargo bench` adds this one.
            "--bench" => {}
            other => println!("ignored: {other}"),
        }
    }
    options
}

fn names(all: &[Watching]) -> Vec<&str> {
    all.iter().map(|one| one.name.as_str()).collect()
}

fn row(all: &mut [Watching], what: &str, mut measured: impl FnMut(&mut Watching) -> Duration) {
    let figures: Vec<String> = all
        .iter_mut()
        .map(|one| format!("{:.1} ms", measured(one).as_secs_f64() * 1000.0))
        .collect();
    println!("| {what} | {} |", figures.join(" | "));
}

fn percentile(times: &mut [Duration], percent: usize) -> Duration {
    times.sort_unstable();
    let at = (times.len() * percent / 100).min(times.len().saturating_sub(1));
    times.get(at).copied().unwrap_or_default()
}

/// Brings a project up, and watches it.
fn begin(home: &Path, number: usize, side: Side, image: &str) -> Watching {
    side.fetch(image);
    let mark = format!("9876543{number}");
    let folder = side::project(
        home,
        &format!("benchwatch{number}"),
        &format!(
            "services:\n  web:\n    image: {image}\n    command: [sleep, '{mark}']\n    init: true\n    \
             develop:\n      watch:\n        - {{path: ./src, action: sync, target: /app}}\n"
        ),
    );
    fs::create_dir(folder.join("src")).expect("a folder");
    let mut command = side.program();
    if matches!(side, Side::Docker) {
        command.arg("compose");
    }
    let mut child = command
        .arg("watch")
        .current_dir(&folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("a program to measure");
    let name = side.name();
    // skiff says on standard error that it watches, docker compose on standard output.
    let (said, read_away): (Box<dyn std::io::Read + Send>, Box<dyn std::io::Read + Send>) =
        match side {
            Side::Skiff { .. } => (
                Box::new(child.stderr.take().expect("its output")),
                Box::new(child.stdout.take().expect("its output")),
            ),
            Side::Docker => (
                Box::new(child.stdout.take().expect("its output")),
                Box::new(child.stderr.take().expect("its output")),
            ),
        };
    drain(read_away);
    let mut lines = BufReader::new(said).lines();
    let begun = lines
        .by_ref()
        .map_while(Result::ok)
        .any(|line| line.contains("watching ") || line.contains("Watch enabled"));
    assert!(begun, "{name} does not watch");
    std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
    Watching {
        root: root(&mark),
        name,
        folder,
        child,
        side,
        saves: Vec::new(),
    }
}

/// Reads a stream away, so that nobody waits for it.
fn drain(mut stream: Box<dyn std::io::Read + Send>) {
    std::thread::spawn(move || std::io::copy(&mut stream, &mut std::io::sink()));
}

/// The root of the container whose command has this mark.
fn root(mark: &str) -> PathBuf {
    let wanted = format!("sleep\0{mark}\0");
    let begun = Instant::now();
    loop {
        let processes = fs::read_dir("/proc").expect("/proc").flatten();
        let process = processes
            .map(|entry| entry.path())
            .find(|path| fs::read_to_string(path.join("cmdline")).is_ok_and(|it| it == wanted));
        if let Some(process) = process {
            return process.join("root");
        }
        // Process 1 is an init, which has just begun.
        assert!(begun.elapsed() < PATIENCE, "no process `sleep {mark}`");
    }
}

impl Watching {
    /// Writes a file, and waits until the container has it.
    fn save(&self, name: &str, text: &str) -> Duration {
        let begun = Instant::now();
        fs::write(self.folder.join("src").join(name), text).expect("a file");
        self.wait(&self.root.join("app").join(name), text, begun)
    }

    /// Reads again and again: nothing tells of a file in another mount namespace.
    fn wait(&self, inside: &Path, text: &str, begun: Instant) -> Duration {
        while !fs::read_to_string(inside).is_ok_and(|found| found == text) {
            assert!(
                begun.elapsed() < PATIENCE,
                "{}: {}",
                self.name,
                inside.display()
            );
            std::thread::sleep(Duration::from_micros(100));
        }
        begun.elapsed()
    }

    /// Many files at once, in a hundred folders.
    fn storm(&self, files: usize) -> Duration {
        let begun = Instant::now();
        let place = |number: usize| format!("storm/{}/file-{number}", number % 100);
        for number in 0..files {
            let path = self.folder.join("src").join(place(number));
            if number < 100 {
                fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            }
            fs::write(path, format!("file {number}\n")).expect("a file");
        }
        let mut took = Duration::ZERO;
        for number in 0..files {
            let inside = self.root.join("app").join(place(number));
            took = self.wait(&inside, &format!("file {number}\n"), begun);
        }
        took
    }

    /// Processor time of the program that watches, so far; Docker's engine is not in it.
    fn busy(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).expect("it runs");
        let fields = stat.rsplit(") ").next().unwrap_or_default();
        let ticks: u64 = fields
            .split(' ')
            .skip(11)
            .take(2)
            .filter_map(|field| field.parse::<u64>().ok())
            .sum();
        Duration::from_millis(ticks * 10)
    }

    fn end(mut self) {
        let pid = i32::try_from(self.child.id()).expect("a pid");
        let pid = rustix::process::Pid::from_raw(pid).expect("a pid");
        rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("a signal");
        self.child.wait().expect("its end");
        self.side.compose(&self.folder, &["down", "-t", "1"]);
    }
}
