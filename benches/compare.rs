//! skiff beside Docker Compose and beside the floor, in turns, in one run.
//!
//! ```text
//! sudo -E cargo bench --bench compare -- [--rounds N] [--image NAME] [--large NAME] [--floor PROGRAM ROOTFS]
//! ```
//!
//! Docker takes part where `docker` answers (`DOCKER_HOST` says where). The
//! image must be in a registry that both can reach; it needs `sleep`, `true` and
//! `sh`. The floor is a program that starts containers with bare system calls,
//! called as `unshare -m PROGRAM ROOTFS COUNT 1 1`, whose output has
//! `total X ms`. A large image, in the same registry, is pulled into an empty
//! store by each side. Prints a Markdown table of medians and ratios.
#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a program for the developer's terminal: it prints, and ends where it cannot go on"
)]

mod measure;
mod memory;
mod side;

use std::path::PathBuf;

use measure::Series;
use side::Side;

/// Services in the large project.
const SERVICES: usize = 10;

/// What the command line asks for.
struct Options {
    rounds: usize,
    image: String,
    large: Option<String>,
    floor: Option<(PathBuf, PathBuf)>,
}

fn main() {
    let options = parse(std::env::args().skip(1));
    let (home, run) = side::roots();
    let sides = Side::all(home.path(), run.path());
    for side in &sides {
        side.fetch(&options.image);
    }
    let mut series = Series::new(sides.iter().map(Side::name).collect());
    for round in 0..=options.rounds {
        // The first round warms caches and is not counted.
        series.counting(round > 0);
        for turn in 0..sides.len() {
            let index = (turn + round) % sides.len();
            if let Some(side) = sides.get(index) {
                measure_side(side, home.path(), &options.image, &mut series);
            }
        }
        if let Some((program, root)) = &options.floor {
            series.add(
                "floor",
                "up, 10 services",
                measure::floor(program, root, SERVICES),
            );
        }
    }
    if let Some(image) = &options.large {
        measure_pulls(&sides, image, options.rounds, &mut series);
    }
    println!("{}", measure::machine());
    println!("{}", series.table());
}

/// Pulls of a large image, after all else: what they write goes to the disk for
/// a while, and whoever syncs a record then waits for it.
fn measure_pulls(sides: &[Side], image: &str, rounds: usize, series: &mut Series) {
    series.counting(true);
    for _ in 0..rounds {
        for side in sides {
            series.add(&side.name(), "pull of a large image", side.pull_anew(image));
        }
    }
}

fn parse(mut words: impl Iterator<Item = String>) -> Options {
    let mut options = Options {
        rounds: 7,
        image: "127.0.0.1:5000/busybox:latest".to_owned(),
        large: None,
        floor: None,
    };
    while let Some(word) = words.next() {
        let mut value = || words.next().expect("a value after the option");
        match word.as_str() {
            "--rounds" => options.rounds = value().parse().expect("a number of rounds"),
            "--image" => options.image = value(),
            "--large" => options.large = Some(value()),
            "--floor" => options.floor = Some((value().into(), value().into())),
            // `cargo bench` adds this one.
            "--bench" => {}
            other => println!("ignored: {other}"),
        }
    }
    options
}

/// One round of everything on one side.
fn measure_side(side: &Side, home: &std::path::Path, image: &str, series: &mut Series) {
    let ten = side::project(home, "benchten", &side::ten(image, SERVICES));
    let name = side.name();
    let mut time = |what: &str, args: &[&str], dir: &std::path::Path| {
        series.add(&name, what, side.compose(dir, args));
    };
    time("up, 10 services", &["up", "-d"], &ten);
    time("up again, nothing changed", &["up", "-d"], &ten);
    time("ps of 10", &["ps"], &ten);
    time("exec of true", &["exec", "-T", "s0", "true"], &ten);
    let memory = side.memory();
    time("down of 10", &["down"], &ten);
    let dependent = side::project(home, "benchdependent", &side::dependent(image));
    side.compose(&dependent, &["up", "-d", "db"]);
    let job = ["run", "--rm", "-T", "job", "echo", "begun"];
    let first = side.first_output(&dependent, &job);
    series.add(&name, "run, its dependency up, to the first output", first);
    side.compose(&dependent, &["down"]);
    let mut alone = |what: &str, args: &[&str], dir: &std::path::Path| {
        series.add(&name, what, side.compose(dir, args));
        side.compose(dir, &["down"]);
    };
    let one = side::project(home, "benchone", &side::one(image));
    alone("run --rm of true", &["run", "--rm", "-T", "job"], &one);
    let chain = side::project(home, "benchchain", &side::chain(image));
    alone("three chained one-shots", &["up", "-d"], &chain);
    let gate = side::project(home, "benchgate", &side::gate(image));
    alone("healthy gate, interval 10 s", &["up", "-d"], &gate);
    if let Some(took) = side.cold_quickstart() {
        series.add(&name, "quickstart from nothing, all healthy", took);
    }
    series.add_memory(&name, "memory beside 10 containers (PSS)", memory);
}
