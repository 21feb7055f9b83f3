//! Every place of the loader that makes a diagnostic has a snapshot of it below
//! `tests/golden`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

#[path = "../../../tests/golden/case.rs"]
mod case;

/// What no folder is kept for, by the text of its message: it would be too large,
/// or a test of its own has it.
const ELSEWHERE: &[&str] = &[
    // Files of many megabytes, or thousands of them.
    "files are loaded",
    "is larger than",
    "the anchors of the file hold",
    "the file has more than",
    "words follows here",
    "the commands up to this one have",
    "services extend each other",
    "too many documents are merged",
    "make the texts of the project larger",
    "the project has more than",
    "the project's name is longer",
    "pools are merged",
    "files include each other\")",
    "written out in full",
    "a key is longer than",
    // `tests/compose_pipes.rs` has it: a folder cannot keep a pipe.
    "it is a pipe with a name",
    // Said of a model that is loaded: `printed.rs` has it.
    "emit::no_json(",
    // Only in a tree that no schema has looked at.
    "is not a condition",
    "is not an action",
    "is not a type of mount",
    "format!(\"is {}\", node.kind())",
];

/// Calls that make a diagnostic.
const MAKERS: &[&str] = &[
    ".at(",
    ".error(",
    ".fail(",
    ".diagnostic(",
    ".clash(",
    "Diagnostic::error(",
    "Diagnostic::warning(",
];

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Site {
    file: PathBuf,
    line: u32,
}

/// The calls in a file, with the lines that follow them.
fn sites(file: &Path) -> Vec<(Site, String)> {
    let text = fs_err::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap();
    let text = text.split("#[cfg(test)]\nmod tests").next().unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    let mut maker_ends: Option<String> = None;
    let mut is_maker = false;
    for (index, line) in lines.iter().enumerate() {
        // A function that hands its caller's place on is none itself.
        is_maker |= line.contains("#[track_caller]");
        if let Some(end) = &maker_ends {
            if line == end {
                maker_ends = None;
            }
            continue;
        }
        if is_maker && line.contains("fn ") {
            let indent = line.len() - line.trim_start().len();
            maker_ends = Some(format!("{}}}", " ".repeat(indent)));
            is_maker = false;
            continue;
        }
        let is_walk = line.contains("cx.at(") || line.contains("cx.item(");
        if is_walk || !MAKERS.iter().any(|maker| line.contains(maker)) {
            continue;
        }
        let site = Site {
            file: file.to_owned(),
            line: u32::try_from(index + 1).unwrap(),
        };
        let around = lines[index.saturating_sub(6)..(index + 8).min(lines.len())].join("\n");
        found.push((site, around));
    }
    found
}

/// The files of the loader.
fn files(folder: &str) -> Vec<PathBuf> {
    // Lines of variables are told by who reads the file; answers and hints have
    // snapshots of their own.
    let elsewhere = ["dotenv", "diag", "explain", "lint"];
    let makes_none = |name: &Path| elsewhere.iter().any(|end| name.ends_with(end));
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    for entry in fs_err::read_dir(root.join(folder)).unwrap() {
        let path = entry.unwrap().path();
        let name = path.strip_prefix(root).unwrap().to_owned();
        if makes_none(&name) {
            continue;
        }
        if path.is_dir() {
            found.extend(files(name.to_str().unwrap()));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(name);
        }
    }
    found
}

#[test]
fn every_diagnostic_of_the_loader_has_a_snapshot() {
    let mut seen = BTreeSet::new();
    for kind in ["err", "warn"] {
        for case in case::cases(kind) {
            let list = match case::load_case(&case) {
                Ok(loaded) => loaded.warnings,
                Err(diagnostics) => diagnostics.list,
            };
            for diagnostic in list {
                seen.insert(Site {
                    file: diagnostic.site.file().into(),
                    line: diagnostic.site.line(),
                });
            }
        }
    }
    let missing: Vec<String> = files("src/compose")
        .iter()
        .flat_map(|file| sites(file))
        .filter(|(site, around)| {
            !seen.contains(site) && !ELSEWHERE.iter().any(|text| around.contains(text))
        })
        .map(|(site, around)| format!("{}:{}\n{around}\n", site.file.display(), site.line))
        .collect();
    assert!(
        missing.is_empty(),
        "without a snapshot:\n{}",
        missing.join("\n")
    );
}
