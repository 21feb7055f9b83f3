//! `watch`, `up --watch`, `run --watch`: a file is saved, and what runs has it.

mod actions;
mod again;
mod files;
mod screen;
mod storms;

use std::path::PathBuf;

use crate::support::{Background, Project, Sandbox};

/// A project with one service, `web`, that sleeps, with these rules.
fn with_rules<'s>(sandbox: &'s Sandbox, name: &str, rules: &str) -> Project<'s> {
    sandbox.load_busybox();
    let project = sandbox.project(
        name,
        &format!(
            "services:\n  web:\n    image: test/busybox\n    command: [sleep, '1000']\n    \
             init: true\n    develop:\n      watch:\n{rules}"
        ),
    );
    project.write("src/first", "first\n");
    project
}

/// One rule that copies `src` to `/app`.
const SYNC: &str = "        - {path: ./src, action: sync, target: /app}\n";

/// Begins to watch, and waits until it does.
#[track_caller]
fn watch(project: &Project<'_>, arguments: &[&str]) -> Background {
    let mut watch = project.skiff(["watch"].iter().chain(arguments)).spawn();
    watch.wait_line("watching ");
    watch
}

/// Ends it; what runs goes on.
#[track_caller]
fn end(watch: Background) -> String {
    watch.signal(rustix::process::Signal::INT);
    watch.finish().succeeds().stderr
}

/// A path of the project's folder.
fn path(project: &Project<'_>, below: &str) -> PathBuf {
    project.dir.join(below)
}

/// Reads on until a shell line in the service prints this: a change may come in several
/// batches, whose number nobody promises.
#[track_caller]
fn until(watch: &mut Background, project: &Project<'_>, script: &str, expected: &str) {
    let script = format!("{script} 2>/dev/null; true");
    while project.sh("web", &script) != expected {
        watch.wait_line("web: ");
    }
}
