//! `skiff config` beside `docker compose config`, on the same files, in turns.
//!
//! ```text
//! cargo bench --bench config -- [--rounds N]
//! ```
//!
//! Docker takes part where `docker compose version` answers; no engine is asked.
//! Prints a Markdown table of medians and ratios; beside the commands the time
//! of the load alone, and how it grows with the number of services.
#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a program for the developer's terminal: it prints, and ends where it cannot go on"
)]

#[expect(dead_code, reason = "shared with the benchmark of containers")]
mod measure;
mod projects;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use fs_err as fs;
use measure::Series;
use projects::Kind;
use skiff::compose::load;

const SKIFF: &str = "skiff";
const DOCKER: &str = "Docker Compose";

fn main() {
    let mut words = std::env::args()
        .skip_while(|word| word != "--rounds")
        .skip(1);
    let rounds: usize = words
        .next()
        .map_or(7, |text| text.parse().expect("a number of rounds"));
    let home = tempfile::Builder::new()
        .prefix("skiff-bench-")
        .tempdir()
        .expect("a folder");
    let mut sides = vec![SKIFF];
    if call(DOCKER, home.path(), &["version"]).is_some() {
        sides.push(DOCKER);
    }
    let mut series = Series::new(sides.iter().map(|side| (*side).to_owned()).collect());
    // One file after the other: what a large one leaves in the caches is not the small one's cost.
    for (what, services) in [("10 services", 10), ("2,000 services, 60,000 lines", 2_000)] {
        let folder = project(home.path(), services);
        for round in 0..=rounds {
            // The first round warms caches and is not counted.
            series.counting(round > 0);
            for turn in 0..sides.len() {
                let Some(side) = sides.get((turn + round) % sides.len()) else {
                    continue;
                };
                let took = call(side, &folder, &["config", "--quiet"]).expect("a model");
                series.add(side, &format!("config, {what}"), took);
            }
        }
    }
    for (what, services) in [("10 services", 10), ("2,000 services, 60,000 lines", 2_000)] {
        for _ in 0..rounds {
            let took = alone(Kind::Plain, services);
            series.add(SKIFF, &format!("the load alone, {what}"), took);
        }
    }
    println!("{}\n{}", measure::machine(), series.table());
    growth(rounds);
}

/// A folder with a Compose file of so many services.
fn project(home: &Path, services: usize) -> PathBuf {
    let folder = home.join(format!("p{services}"));
    fs::create_dir_all(&folder).expect("a folder");
    for (name, text) in Kind::Plain.files(services) {
        fs::write(folder.join(name), text).expect("a file");
    }
    folder
}

/// Runs a Compose command; `None` where it fails.
fn call(side: &str, folder: &Path, arguments: &[&str]) -> Option<Duration> {
    let mut command = if side == DOCKER {
        let mut command = Command::new("docker");
        command.arg("compose");
        command
    } else {
        Command::new(env!("CARGO_BIN_EXE_skiff"))
    };
    command
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let started = Instant::now();
    let status = command.status().ok()?;
    status.success().then(|| started.elapsed())
}

/// The time that the library takes for a project in memory.
fn alone(kind: Kind, services: usize) -> Duration {
    let (options, memory) = kind.in_memory(services);
    let started = Instant::now();
    let loaded = load(&options, &memory).expect("a model");
    let took = started.elapsed();
    drop(loaded);
    took
}

/// Microseconds a service, for projects of every kind and four sizes.
fn growth(rounds: usize) {
    const SIZES: [u32; 4] = [500, 1_000, 2_000, 4_000];
    println!("Time of the load alone, in microseconds a service:\n");
    println!("| kind | 500 | 1,000 | 2,000 | 4,000 |\n|---|---|---|---|---|");
    for kind in Kind::ALL {
        let cells: String = SIZES
            .iter()
            .map(|services| {
                let count = usize::try_from(*services).unwrap_or_default();
                let best = (0..rounds).map(|_| alone(kind, count)).min();
                let micros = best.unwrap_or_default().as_secs_f64() * 1e6 / f64::from(*services);
                format!(" {micros:.1} |")
            })
            .collect();
        println!("| {kind:?} |{cells}");
    }
}
