//! `skiff build` and everything that builds: what is in the images, what is done
//! again, what is told where it fails, and what is left.

mod bases;
mod cache;
mod commands;
mod failures;
mod files;
mod flags;
mod git;
mod grants;
mod mounts;
mod outputs;
mod platforms;
mod projects;
mod remote;
mod room;
mod screen;
mod shared;

use crate::support::{Output, Project, Sandbox};

/// A project with one service, `web`, that is built from this Dockerfile and
/// sleeps.
fn with_dockerfile<'s>(sandbox: &'s Sandbox, name: &str, dockerfile: &str) -> Project<'s> {
    sandbox.load_busybox();
    let project = sandbox.project(
        name,
        "services:\n  web:\n    build: .\n    command: [sleep, '1000']\n    init: true\n",
    );
    project.write("Dockerfile", dockerfile);
    project
}

/// Builds, which must succeed.
#[track_caller]
fn build(project: &Project<'_>) -> Output {
    project.skiff(["build"]).run().succeeds()
}

/// The id of a service's image.
#[track_caller]
fn image_id(project: &Project<'_>) -> String {
    let built = project.skiff(["build", "-q"]).run().succeeds();
    built.stdout.trim().to_owned()
}

/// The steps that a build carried out, without those that were cached, each the
/// instruction alone.
fn carried_out(output: &Output) -> Vec<String> {
    let mut names = std::collections::BTreeMap::new();
    let mut cached = std::collections::BTreeSet::new();
    for line in output.stderr.lines() {
        let Some((number, rest)) = line.strip_prefix('#').and_then(|line| line.split_once(' '))
        else {
            continue;
        };
        if rest == "CACHED" {
            cached.insert(number.to_owned());
        } else if let Some((_, instruction)) =
            rest.strip_prefix('[').and_then(|r| r.split_once("] "))
        {
            names.insert(number.to_owned(), instruction.to_owned());
        }
    }
    let is_step = |instruction: &String| {
        let word = instruction.split(' ').next().unwrap_or_default();
        ["RUN", "COPY", "ADD", "WORKDIR"].contains(&word)
    };
    let mut done: Vec<(u32, String)> = names
        .into_iter()
        .filter(|(number, instruction)| !cached.contains(number) && is_step(instruction))
        .map(|(number, instruction)| (number.parse().unwrap_or(0), instruction))
        .collect();
    done.sort();
    done.into_iter()
        .map(|(_, instruction)| instruction)
        .collect()
}
