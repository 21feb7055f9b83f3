//! `skiff image build` beside `docker build` (`BuildKit`), in turns, in one run.
//!
//! ```text
//! sudo -E cargo bench --bench build -- [--rounds N] [--image NAME] [--gigabytes N]
//! ```
//!
//! Docker takes part where `docker` answers (`DOCKER_HOST` says where). The image is the
//! base of all builds; it must be in a registry that both can reach, and needs `sh` and
//! `cat`. Prints a Markdown table of medians and ratios.
#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a program for the developer's terminal: it prints, and ends where it cannot go on"
)]

#[expect(dead_code, reason = "shared with the benchmark of containers")]
mod measure;
mod memory;
#[expect(dead_code, reason = "shared with the benchmark of containers")]
mod side;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fs_err as fs;
use measure::Series;
use side::Side;

/// Source files of the small project.
const FILES: usize = 200;
/// Commands of the cold build.
const STEPS: usize = 20;
/// Bytes of each file of the large context.
const LARGE_FILE: usize = 4 * 1024 * 1024;

/// What the command line asks for.
struct Options {
    rounds: usize,
    image: String,
    gigabytes: usize,
}

fn main() {
    let options = parse(std::env::args().skip(1));
    let (home, run) = side::roots();
    let sides = Side::all(home.path(), run.path());
    let mut series = Series::new(sides.iter().map(Side::name).collect());
    let application = application(home.path(), &options.image);
    let commands = commands(home.path(), &options.image);
    let large = (options.gigabytes > 0).then(|| large(home.path(), &options));
    for side in &sides {
        side.fetch(&options.image);
        // What is measured is never the first build.
        for folder in [&application, &commands].into_iter().chain(&large) {
            build(side, folder, &[]);
        }
    }
    for round in 0..=options.rounds {
        // The first round warms caches and is not counted.
        series.counting(round > 0);
        for turn in 0..sides.len() {
            let Some(side) = sides.get((turn + round) % sides.len()) else {
                continue;
            };
            let mut time = |what: &str, folder: &Path, flags: &[&str]| {
                series.add(&side.name(), what, build(side, folder, flags));
            };
            // The other side's turn has changed it.
            build(side, &application, &[]);
            time("build again, nothing changed", &application, &[]);
            fs::write(
                application.join("src/7.txt"),
                format!("round {round} of {}\n", side.name()),
            )
            .expect("a source file");
            time("one source file changed", &application, &[]);
            time("cold, 20 small RUN steps", &commands, &["--no-cache"]);
            if let Some(large) = &large {
                let what = format!("{} GB context, nothing changed", options.gigabytes);
                time(&what, large, &[]);
            }
        }
    }
    println!("{}", measure::machine());
    println!("{}", series.table());
}

fn parse(mut words: impl Iterator<Item = String>) -> Options {
    let mut options = Options {
        rounds: 7,
        image: "127.0.0.1:5000/busybox:latest".to_owned(),
        gigabytes: 2,
    };
    while let Some(word) = words.next() {
        let mut value = || words.next().expect("a value after the option");
        match word.as_str() {
            "--rounds" => options.rounds = value().parse().expect("a number of rounds"),
            "--image" => options.image = value(),
            "--gigabytes" => options.gigabytes = value().parse().expect("a number of gigabytes"),
            // `cargo bench` adds this one.
            "--bench" => {}
            other => println!("ignored: {other}"),
        }
    }
    options
}

/// Builds the image of a folder, named like it; returns the time it took.
fn build(side: &Side, folder: &Path, flags: &[&str]) -> Duration {
    let name = folder.file_name().expect("a folder's name");
    let mut command = side.program();
    if matches!(side, Side::Skiff { .. }) {
        command.arg("image");
    }
    command.args(["build", "-t"]);
    command.arg(name).args(flags).arg(folder);
    side.time(command)
}

fn folder(home: &Path, name: &str, dockerfile: &str) -> PathBuf {
    let folder = home.join(name);
    fs::create_dir_all(folder.join("src")).expect("a folder");
    fs::write(folder.join("Dockerfile"), dockerfile).expect("a Dockerfile");
    folder
}

/// As ordinary projects have it: dependencies first, then the sources, then what is
/// made of them.
fn application(home: &Path, image: &str) -> PathBuf {
    let folder = folder(
        home,
        "application",
        &format!(
            "FROM {image}\nWORKDIR /app\nCOPY package.json .\nRUN cat package.json > installed\n\
             COPY src src\nRUN cat src/*.txt > built\nCMD [\"cat\", \"built\"]\n"
        ),
    );
    fs::write(folder.join("package.json"), "{}").expect("a file");
    for number in 0..FILES {
        let path = folder.join(format!("src/{number}.txt"));
        fs::write(path, format!("source {number}\n").repeat(100)).expect("a source file");
    }
    folder
}

fn commands(home: &Path, image: &str) -> PathBuf {
    let steps = (0..STEPS).map(|number| format!("RUN echo {number} > /step-{number}\n"));
    let text = format!("FROM {image}\n{}", steps.collect::<String>());
    folder(home, "commands", &text)
}

/// Files of which none is like another.
fn large(home: &Path, options: &Options) -> PathBuf {
    let text = format!("FROM {}\nCOPY src /src\n", options.image);
    let folder = folder(home, "large", &text);
    let mut block = Vec::with_capacity(LARGE_FILE);
    let mut state = 1_u64;
    while block.len() < LARGE_FILE {
        // xorshift64: nothing that compresses.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        block.extend_from_slice(&state.to_le_bytes());
    }
    for number in 0..options.gigabytes * 1024 * 1024 * 1024 / LARGE_FILE {
        let path = folder.join(format!("src/{number}.bin"));
        let mut file = fs::File::create(path).expect("a large file");
        file.write_all(&number.to_le_bytes())
            .expect("its beginning");
        file.write_all(&block).expect("its content");
    }
    folder
}
