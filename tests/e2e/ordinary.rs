//! Applications as people have them: packages by apt, pip, npm and yarn, a
//! program compiled in a stage of its own, and the Dockerfile of Docker's
//! overview. Their files are in `ordinary/`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::debian::{archive, built};
use crate::support::{Output, free_port, http_get, isolated_after};

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
    assert!(
        up.stderr.contains("RUN apk add --no-cache python g++ make"),
        "the overview's base is what a service of this project builds\n{up}"
    );
}

fn build_images() {
    let port = |_| format!("127.0.0.1:{}", free_port());
    let addresses = SERVICES.map(port);
    let env = std::array::from_fn::<_, 4, _>(|at| (SERVICES[at].2, addresses[at].clone()));
    built(&project(), &IMAGES, &env, |up| {
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
