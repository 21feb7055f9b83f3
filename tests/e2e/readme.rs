//! The README's tour: its own commands, and what it says that they print.
//!
//! A line of a code block that begins with `$ ` is a command, those below it are
//! its output; `…` stands for any lines. Ids and times vary, and so does the order
//! of progress lines, which begin with a blank.

use crate::support::{Sandbox, isolated};

/// One command of the tour.
struct Step {
    command: String,
    output: Vec<String>,
}

/// The steps of a section: its code blocks are indented by four.
fn steps(readme: &str, heading: &str) -> Vec<Step> {
    let (_, section) = readme.split_once(heading).expect("the section");
    let section = section.split("\n## ").next().expect("its text");
    let mut steps: Vec<Step> = Vec::new();
    for line in section.lines().filter_map(|line| line.strip_prefix("    ")) {
        if let Some(command) = line.strip_prefix("$ ") {
            steps.push(Step {
                command: command.to_owned(),
                output: Vec::new(),
            });
        } else if let Some(step) = steps.last_mut() {
            step.output.push(line.to_owned());
        }
    }
    steps
}

/// A line without what is another each time: ids, ages, the width of columns,
/// the folder above the example.
fn masked(line: &str) -> String {
    let folder = regex::Regex::new("/[^ ]*/quickstart/").expect("an expression");
    let id = regex::Regex::new("[0-9a-f]{12}").expect("an expression");
    let age = regex::Regex::new(
        "(Up )?(Less than a second|About a minute|[0-9]+ (second|minute)s?)( ago)?",
    )
    .expect("an expression");
    let line = folder.replace_all(line, "…/quickstart/");
    let line = id.replace_all(&line, "ID");
    let line = age.replace_all(&line, "AGE");
    let words: Vec<&str> = line.split_whitespace().collect();
    let begin = if line.starts_with(' ') { " " } else { "" };
    format!("{begin}{}", words.join(" "))
}

/// What is not as the README has it; `None` where all is.
fn difference(step: &Step, found: &str) -> Option<String> {
    let lines: Vec<String> = found.lines().map(masked).collect();
    let (progress, rest): (Vec<_>, Vec<_>) = lines.iter().partition(|line| line.starts_with(' '));
    let mut rest = rest.into_iter();
    let mut any = false;
    for expected in &step.output {
        if expected.trim() == "…" {
            any = true;
            continue;
        }
        let wanted = masked(expected);
        if wanted.is_empty() {
            continue;
        }
        // Excerpts of errors are in order, progress is not.
        if wanted.starts_with(' ') {
            if !progress.contains(&&wanted) {
                return Some(format!("no line `{expected}`"));
            }
        } else if any {
            any = false;
            if !rest.any(|line| *line == wanted) {
                return Some(format!("no line `{expected}` after the …"));
            }
        } else {
            let next = rest.find(|line| !line.is_empty());
            if next != Some(&wanted) {
                return Some(format!("`{next:?}` instead of `{expected}`"));
            }
        }
    }
    let more = rest.find(|line| !line.is_empty());
    (more.is_some() && !any).then(|| format!("and more: {more:?}"))
}

/// `sudo` and `skiff` as the tour has them in its path.
fn path(sandbox: &Sandbox) -> String {
    let script = "mkdir bin && ln -s \"$skiff\" bin/skiff && \
                  printf '#!/bin/sh\\nexec env \"$@\"\\n' >bin/sudo && chmod +x bin/sudo";
    sandbox.shell(script).run().succeeds().whatever();
    let bin = sandbox.work().join("bin");
    format!("{}:{}", bin.display(), crate::support::PATH)
}

#[test]
fn the_tour_prints_what_the_readme_says() {
    isolated(|sandbox| {
        let root = env!("CARGO_MANIFEST_DIR");
        let readme = fs_err::read_to_string(format!("{root}/README.md")).expect("README.md");
        let steps = steps(&readme, "## Five minutes");
        for part in [
            "up -d", "curl", "sed", "run --rm", "kill -9", "skiff ps", "down -v",
        ] {
            assert!(
                steps.iter().any(|step| step.command.contains(part)),
                "{part}"
            );
        }
        let copy = format!("cp -r {root}/examples/compose/quickstart .");
        sandbox.shell(&copy).run().succeeds().whatever();
        let path = path(sandbox);
        for step in steps {
            let line = format!("{{ {}; }} 2>&1", step.command);
            let run = sandbox.shell(&line).env("PATH", &path);
            let output = run.dir(&sandbox.work().join("quickstart")).run();
            if let Some(difference) = difference(&step, &output.stdout) {
                panic!("$ {}\n{difference}\n{output}", step.command);
            }
        }
    });
}
