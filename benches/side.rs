//! The two sides: how each is called, and the projects that both run.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use fs_err as fs;

use crate::memory;

/// One of the programs that are compared.
pub(crate) enum Side {
    /// The binary of this crate, with data and run roots of its own.
    Skiff {
        /// `$SKIFF_DATA_ROOT`.
        data: PathBuf,
        /// `$SKIFF_RUN_ROOT`.
        run: PathBuf,
    },
    /// `docker compose`.
    Docker,
}

/// Where a benchmark keeps what it makes: projects and the data root in the first, the
/// run root in the second.
pub(crate) fn roots() -> (tempfile::TempDir, tempfile::TempDir) {
    let mut named = tempfile::Builder::new();
    let named = named.prefix("skiff-bench-");
    let home = named.tempdir().expect("a folder");
    // As /run is everywhere but in some containers: in memory.
    let run = named.tempdir_in("/dev/shm");
    (home, run.expect("a folder in /dev/shm"))
}

impl Side {
    /// skiff, and Docker where it answers.
    pub(crate) fn all(home: &Path, run: &Path) -> Vec<Self> {
        let sides = [Some(Self::skiff(home, run)), Self::docker()];
        sides.into_iter().flatten().collect()
    }

    /// skiff with its data root below `home`.
    pub(crate) fn skiff(home: &Path, run: &Path) -> Self {
        Self::Skiff {
            data: home.join("data"),
            run: run.to_owned(),
        }
    }

    /// Docker, where it answers.
    pub(crate) fn docker() -> Option<Self> {
        let mut ask = Command::new("docker");
        let answers = ask
            .args(["compose", "ls"])
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        answers
            .status()
            .is_ok_and(|status| status.success())
            .then_some(Self::Docker)
    }

    /// As the table calls it.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Skiff { .. } => "skiff".to_owned(),
            Self::Docker => "Docker Compose".to_owned(),
        }
    }

    /// Gets the image, so that no round pays for it.
    pub(crate) fn fetch(&self, image: &str) {
        match self {
            Self::Skiff { data, .. } => {
                let home = data.parent().expect("a folder in a folder");
                let dir = project(home, "benchpull", &one(image));
                self.compose(&dir, &["pull"]);
            }
            Self::Docker => {
                let status = Command::new("docker").args(["pull", "-q", image]).status();
                assert!(
                    status.is_ok_and(|status| status.success()),
                    "docker pull {image}"
                );
            }
        }
    }

    /// Brings the quickstart up in an empty store, its image included, until all
    /// of it is healthy; skiff alone has the image.
    pub(crate) fn cold_quickstart(&self) -> Option<Duration> {
        let Self::Skiff { data, run } = self else {
            return None;
        };
        let home = data.parent().expect("a folder in a folder").join("cold");
        fs::create_dir_all(&home).expect("a folder");
        let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/compose/quickstart");
        let (side, dir) = (Self::skiff(&home, run), Path::new(dir));
        let took = side.compose(dir, &["up", "-d", "--wait"]);
        side.compose(dir, &["down", "-v"]);
        fs::remove_dir_all(home).expect("a store to remove");
        Some(took)
    }

    /// Pulls an image into a store that has nothing of it, and removes it again.
    pub(crate) fn pull_anew(&self, image: &str) -> Duration {
        match self {
            Self::Skiff { data, run } => {
                let home = data.parent().expect("a folder in a folder").join("anew");
                let dir = project(&home, "benchlarge", &one(image));
                let took = Self::skiff(&home, run).compose(&dir, &["pull"]);
                fs::remove_dir_all(home).expect("a store to remove");
                took
            }
            Self::Docker => {
                let mut pull = Command::new("docker");
                pull.args(["pull", "-q", image]).stdout(Stdio::null());
                let started = Instant::now();
                let status = pull.status().expect("docker");
                let took = started.elapsed();
                assert!(status.success(), "docker pull {image}");
                let mut remove = Command::new("docker");
                remove.args(["rmi", image]).stdout(Stdio::null());
                let status = remove.status().expect("docker");
                assert!(status.success(), "docker rmi {image}");
                took
            }
        }
    }

    /// Runs a Compose command to its end; returns the time it took.
    pub(crate) fn compose(&self, dir: &Path, args: &[&str]) -> Duration {
        self.time(self.composing(dir, args))
    }

    fn composing(&self, dir: &Path, args: &[&str]) -> Command {
        let mut command = self.program();
        if matches!(self, Self::Docker) {
            command.arg("compose");
        }
        command.args(args).current_dir(dir);
        command
    }

    /// Runs a Compose command to its end; returns the time until the first byte of its
    /// output.
    pub(crate) fn first_output(&self, dir: &Path, args: &[&str]) -> Duration {
        let mut command = self.composing(dir, args);
        command.stdin(Stdio::null()).stderr(Stdio::null());
        let started = Instant::now();
        let mut child = command
            .stdout(Stdio::piped())
            .spawn()
            .expect("a program to measure");
        let mut output = child.stdout.take().expect("a pipe");
        let read = output.read_exact(&mut [0]);
        let took = started.elapsed();
        read.expect("a program that writes something");
        io::copy(&mut output, &mut io::sink()).expect("the rest of it");
        let status = child.wait().expect("its end");
        assert!(status.success(), "{} {command:?}: {status}", self.name());
        took
    }

    /// The program, with what it needs of the environment.
    pub(crate) fn program(&self) -> Command {
        match self {
            Self::Skiff { data, run } => {
                let mut command = Command::new(env!("CARGO_BIN_EXE_skiff"));
                command
                    .env("SKIFF_DATA_ROOT", data)
                    .env("SKIFF_RUN_ROOT", run);
                command
            }
            Self::Docker => Command::new("docker"),
        }
    }

    /// The time that a command takes, which has to succeed.
    pub(crate) fn time(&self, mut command: Command) -> Duration {
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let started = Instant::now();
        let output = command
            .stderr(Stdio::piped())
            .output()
            .expect("a program to measure");
        let took = started.elapsed();
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            output.status.success(),
            "{} {command:?}: {}\n{errors}",
            self.name(),
            output.status
        );
        took
    }

    /// Proportional memory of everything that runs beside the containers, KiB.
    pub(crate) fn memory(&self) -> u64 {
        match self {
            Self::Skiff { .. } => memory::of_binary(Path::new(env!("CARGO_BIN_EXE_skiff"))),
            Self::Docker => {
                memory::of_names(&["dockerd", "containerd", "containerd-shim", "docker-proxy"])
            }
        }
    }
}

/// A project folder with this file.
pub(crate) fn project(home: &Path, name: &str, compose: &str) -> PathBuf {
    let dir = home.join(name);
    fs::create_dir_all(&dir).expect("a project folder");
    fs::write(dir.join("compose.yaml"), compose).expect("a Compose file");
    dir
}

/// Services that end at once on SIGTERM.
pub(crate) fn ten(image: &str, count: usize) -> String {
    let service = |n: usize| {
        format!(
            "  s{n}:\n    image: {image}\n    \
             command: [sh, -c, \"trap 'exit 0' TERM; sleep 100000 & wait\"]\n"
        )
    };
    format!("services:\n{}", (0..count).map(service).collect::<String>())
}

/// One job.
pub(crate) fn one(image: &str) -> String {
    format!("services:\n  job: {{image: \"{image}\", command: \"true\"}}\n")
}

/// A job that needs a service.
pub(crate) fn dependent(image: &str) -> String {
    format!(
        "services:\n  db:\n    image: {image}\n    \
         command: [sh, -c, \"trap 'exit 0' TERM; sleep 100000 & wait\"]\n  \
         job:\n    image: {image}\n    depends_on: [db]\n"
    )
}

/// Three jobs, each waiting for the one before.
pub(crate) fn chain(image: &str) -> String {
    let job = |name: &str, after: &str| {
        format!("  {name}:\n    image: {image}\n    command: \"true\"\n{after}")
    };
    let after = |name: &str| {
        format!("    depends_on: {{{name}: {{condition: service_completed_successfully}}}}\n")
    };
    format!(
        "services:\n{}{}{}",
        job("a", ""),
        job("b", &after("a")),
        job("c", &after("b"))
    )
}

/// A service behind one whose health is asked every ten seconds.
pub(crate) fn gate(image: &str) -> String {
    let hold = "command: [sh, -c, \"trap 'exit 0' TERM; sleep 100000 & wait\"]";
    format!(
        "services:\n  db:\n    image: {image}\n    {hold}\n    \
         healthcheck: {{test: [CMD, \"true\"], interval: 10s}}\n  \
         web:\n    image: {image}\n    {hold}\n    \
         depends_on: {{db: {{condition: service_healthy}}}}\n"
    )
}
