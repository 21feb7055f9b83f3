//! Applications as people have them: packages by apt, pip, npm and yarn, a
//! program compiled in a stage of its own, and the Dockerfile of Docker's
//! overview. Their files are in `ordinary/`.
//!
//! The overview starts from `node:12-alpine`, which is pulled from a registry that
//! answers as docker.io. What it has there is a stand-in: Debian's node and yarn, and an
//! `apk` that calls apt-get.

use std::path::{Path, PathBuf};
use std::time::Duration;

use fs_err as fs;

use crate::debian::{LIMIT as DOWNLOADS, Workshop, archive, built};
use crate::support::{
    Invocation, Output, PATH, Registry, free_port, http_get, isolated_after, program,
};

/// Services, what they say, the variable with their address, and that by default.
const SERVICES: [(&str, &str, &str, &str); 4] = [
    ("python", "bottle 0.12.25\n", "PYTHON", "127.0.0.1:9001"),
    (
        "node",
        "two days are 172800000 ms\n",
        "NODE",
        "127.0.0.1:9002",
    ),
    ("rust", "rust\n", "RUST", "127.0.0.1:9003"),
    (
        "overview",
        "a week is 604800000 ms\n",
        "OVERVIEW",
        "127.0.0.1:9004",
    ),
];

/// For loading some hundred megabytes.
const LIMIT: Duration = Duration::from_secs(120);

const IMAGES: [&str; 4] = [
    "ordinary-python",
    "ordinary-node",
    "ordinary-rust",
    "ordinary-overview",
];

fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/ordinary")
}

fn says(address: &str, expected: &str) {
    let answer = http_get(address, "/").expect("an answer");
    assert_eq!((answer.status, answer.text()), (200, expected.into()));
}

/// What the log of the builds has to tell.
fn check_log(up: &Output) {
    for text in [
        "load metadata for docker.io/library/node:12-alpine",
        " node:12-alpine Pulled",
        "RUN apk add --no-cache python g++ make",
    ] {
        assert!(up.stderr.contains(text), "{text}\n{up}");
    }
}

/// A registry, and the file that makes it answer as docker.io
/// (containers-registries.conf(5)).
fn registry(home: &Path, port: u16) -> (Registry, PathBuf) {
    let server = Invocation::new(program("docker-registry")).env("PATH", PATH);
    let registry = Registry::serve(server, home, port);
    let config = home.join("registries.conf");
    let text = format!(
        "[[registry]]\nprefix = \"docker.io\"\nlocation = \"127.0.0.1:{port}\"\ninsecure = true\n"
    );
    fs::write(&config, text).expect("a file");
    (registry, config)
}

/// Puts the stand-in for the overview's base where docker.io is asked.
fn push_stand_in(workshop: &Workshop, port: u16) {
    let name = format!("127.0.0.1:{port}/library/node:12-alpine");
    let build = workshop.skiff(&["image", "build", "--push", "-t", &name, "stand-in"]);
    build.run_within(DOWNLOADS).succeeds().whatever();
    workshop
        .skiff(&["image", "rm", &name])
        .run()
        .succeeds()
        .whatever();
}

fn build_images() {
    let port = |_| format!("127.0.0.1:{}", free_port());
    let addresses = SERVICES.map(port);
    let home = tempfile::tempdir().expect("a temporary folder");
    let docker_io = free_port();
    let (_registry, config) = registry(home.path(), docker_io);
    let mut env: Vec<(&str, String)> = SERVICES
        .iter()
        .zip(&addresses)
        .map(|((_, _, variable, _), address)| (*variable, address.clone()))
        .collect();
    env.push((
        "CONTAINERS_REGISTRIES_CONF",
        config.to_string_lossy().into_owned(),
    ));
    let prepare = |workshop: &Workshop| push_stand_in(workshop, docker_io);
    built(&project(), &IMAGES, &env, prepare, |up| {
        check_log(up);
        for ((_, expected, _, _), address) in SERVICES.iter().zip(&addresses) {
            says(address, expected);
        }
    });
}

#[test]
fn ordinary_applications_are_built_and_run() {
    isolated_after(build_images, |sandbox| {
        let archive = archive("ordinary");
        let load = sandbox.skiff(["load", "-i", &archive.to_string_lossy()]);
        load.run_within(LIMIT).succeeds().whatever();
        let skiff = |args: &[&str]| sandbox.skiff(args).dir(&project()).run();
        skiff(&["up", "-d", "--wait", "--no-build"])
            .succeeds()
            .whatever();
        for (_, expected, _, address) in SERVICES {
            says(address, expected);
        }
        let compiler = skiff(&["exec", "-T", "rust", "sh", "-c", "command -v rustc"]);
        compiler.fails().prints("").whatever();
        skiff(&["down", "-v", "-t", "2"]).succeeds().whatever();
    });
}
