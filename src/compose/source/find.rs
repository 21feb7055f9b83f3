//! Which files a project has: those of the command line, of `COMPOSE_FILE`, or
//! the ones that are found by their names.

use std::path::{Path, PathBuf};

use super::{FETCH_IT, FileArg, HERE, Source, is_remote};
use crate::compose::diag::{Diagnostic, SetPart, quoted};
use crate::compose::files::FileSystem as _;
use crate::compose::loader::{Input, cannot_read};
use crate::compose::paths::absolute;

/// Names that are looked for, in this order.
const FILE_NAMES: [&str; 4] = [
    "compose.yaml",
    "compose.yml",
    "docker-compose.yml",
    "docker-compose.yaml",
];

/// Names of the file that is merged over the one found.
const OVERRIDE_NAMES: [&str; 4] = [
    "compose.override.yml",
    "compose.override.yaml",
    "docker-compose.override.yml",
    "docker-compose.override.yaml",
];

/// Where a path is written that is not of the command line.
const NAMED_BY: (&str, SetPart) = ("COMPOSE_FILE", SetPart::Value);

/// What stands for standard input, as the only path that is not absolute.
const STDIN: &str = "-";

impl Source<'_, '_> {
    /// Takes the files that are named on the command line.
    pub(super) fn find_named(&mut self) {
        let cwd = &self.options.cwd;
        let files = self.options.files.iter();
        self.inputs = files.map(|file| input(cwd, file)).collect();
    }

    /// Refuses a file of another machine on the command line.
    pub(super) fn all_are_here(&mut self) -> Option<()> {
        let remote = self.options.files.iter().find_map(|file| match file {
            FileArg::Path(path) => path.to_str().filter(|path| is_remote(path)),
            FileArg::Stdin(_) => None,
        });
        // A folder may have such a name, without the host's.
        let is_here = |path: &str| {
            let path = absolute(&self.options.cwd, Path::new(path));
            self.loader.files.exists(&path)
        };
        let Some(remote) = remote.filter(|path| !is_here(path)) else {
            return Some(());
        };
        self.loader.report.push(elsewhere(remote));
        None
    }

    pub(super) fn project_directory(&self) -> PathBuf {
        let cwd = &self.options.cwd;
        if let Some(folder) = &self.options.project_directory {
            return absolute(cwd, folder);
        }
        self.inputs
            .iter()
            .find(|input| input.name != Path::new(STDIN))
            .and_then(|input| input.name.parent())
            .map_or_else(|| cwd.clone(), Path::to_owned)
    }

    pub(super) fn compose_file_variable(&mut self) -> Option<()> {
        let Some(value) = self.environment.get("COMPOSE_FILE").cloned() else {
            return Some(());
        };
        let separator = self
            .environment
            .get("COMPOSE_PATH_SEPARATOR")
            .filter(|text| !text.is_empty())
            .cloned()
            .unwrap_or_else(|| ":".to_owned());
        let all = parts(&value, &separator);
        for (index, part) in all.iter().copied().enumerate() {
            if part.is_empty() {
                return self.refuse_named(empty_part(index, &all, &separator));
            }
            if part == STDIN {
                let (name, text) = (PathBuf::from(STDIN), None);
                self.inputs.push(Input { name, text });
                continue;
            }
            let name = absolute(&self.options.cwd, Path::new(part));
            if !self.loader.files.exists(&name) {
                if is_remote(part) {
                    return self.refuse_named(elsewhere(part));
                }
                let error = std::io::ErrorKind::NotFound.into();
                return self.refuse_named(cannot_read(&name, &error).suggest(
                    "it is named in the variable `COMPOSE_FILE`: correct that, or unset it",
                ));
            }
            self.inputs.push(Input { name, text: None });
        }
        Some(())
    }

    /// Reports what is wrong with the variable that names the files.
    fn refuse_named(&mut self, diagnostic: Diagnostic) -> Option<()> {
        let report = &mut self.loader.report;
        let sources = &report.sources;
        let diagnostic = sources.of_variable(diagnostic, NAMED_BY, &self.environment);
        report.push(diagnostic);
        None
    }

    /// Looks for a file with one of the usual names, here and above.
    pub(super) fn discover(&mut self) {
        let start = match &self.options.project_directory {
            Some(folder) => absolute(&self.options.cwd, folder),
            None => self.options.cwd.clone(),
        };
        for folder in start.ancestors() {
            let found = self.present(folder, &FILE_NAMES);
            let Some(file) = found.first().cloned() else {
                continue;
            };
            self.tell_choice("Compose", &found);
            let overrides = self.present(folder, &OVERRIDE_NAMES);
            self.tell_choice("override", &overrides);
            for name in std::iter::once(file).chain(overrides.into_iter().take(1)) {
                self.inputs.push(Input { name, text: None });
            }
            return;
        }
    }

    fn present(&self, folder: &Path, names: &[&str]) -> Vec<PathBuf> {
        names
            .iter()
            .map(|name| folder.join(name))
            .filter(|path| self.loader.files.exists(path))
            .collect()
    }

    fn tell_choice(&mut self, kind: &str, found: &[PathBuf]) {
        if let [first, others @ ..] = found
            && !others.is_empty()
        {
            let others: Vec<_> = others
                .iter()
                .map(|path| path.display().to_string())
                .collect();
            let message = format!(
                "there are several {kind} files; `{}` is used, not `{}`",
                first.display(),
                others.join("`, `")
            );
            self.loader.report.push(Diagnostic::warning(message));
        }
    }

    pub(super) fn nothing_found(&mut self) {
        if let Some(given) = &self.options.project_directory {
            let folder = absolute(&self.options.cwd, given);
            let shown = folder.display();
            let (message, help) = if self.loader.files.is_dir(&folder) {
                (
                    format!("there is no Compose file in `{shown}` or a folder above it"),
                    "name the file with `-f`, or another folder with `--project-directory`",
                )
            } else {
                (
                    format!("the project directory `{shown}` is no folder"),
                    "correct the path behind `--project-directory`",
                )
            };
            let diagnostic = Diagnostic::error(message)
                .expected(FILE_NAMES.join(", "))
                .suggest(help);
            self.loader.report.push(diagnostic);
            return;
        }
        let folder = self.options.cwd.display();
        let diagnostic = Diagnostic::error(format!(
            "there is no Compose file in `{folder}` or a folder above it"
        ))
        .expected(FILE_NAMES.join(", "))
        .suggest("go to the project's folder, or name the file with `-f`");
        self.loader.report.push(diagnostic);
    }
}

/// The paths in a list of them. The colon of a scheme (`oci://…`) and of a host
/// (`git@…:…`) separates nothing.
fn parts<'v>(value: &'v str, separator: &str) -> Vec<&'v str> {
    let mut parts = Vec::new();
    let mut rest = value;
    let mut from = 0;
    while let Some(found) = rest.get(from..).and_then(|tail| tail.find(separator)) {
        let at = from + found;
        let (part, tail) = (rest.get(..at), rest.get(at + separator.len()..));
        let (Some(part), Some(tail)) = (part, tail) else {
            break;
        };
        let is_scheme = tail.starts_with("//") && SCHEMES.contains(&part);
        let is_host = part.starts_with("git@") && !part.contains(['/', ':']);
        if separator == ":" && (is_scheme || is_host) {
            from = at + separator.len();
            continue;
        }
        parts.push(part);
        (rest, from) = (tail, 0);
    }
    parts.push(rest);
    parts
}

/// Schemes of what Docker Compose loads from other machines.
const SCHEMES: [&str; 5] = ["oci", "https", "http", "git", "ssh"];

/// What a file is refused with that another machine has.
fn elsewhere(path: &str) -> Diagnostic {
    Diagnostic::error(format!("{} is not on this machine", quoted(path)))
        .expected(HERE)
        .suggest(FETCH_IT)
}

/// What an empty path in `COMPOSE_FILE` is refused with; the reference takes the current
/// folder for it, and refuses that.
fn empty_part(index: usize, all: &[&str], separator: &str) -> Diagnostic {
    let named: Vec<&str> = all
        .iter()
        .copied()
        .filter(|part| !part.is_empty())
        .collect();
    let which = match index {
        _ if all.len() == 1 => {
            return Diagnostic::error("`COMPOSE_FILE` is empty")
                .expected("the path of a Compose file")
                .suggest("name a file, or unset the variable");
        }
        0 => format!("before the first `{separator}`"),
        _ if index + 1 == all.len() => format!("behind the last `{separator}`"),
        _ => format!("between two `{separator}`"),
    };
    let told = Diagnostic::error(format!("`COMPOSE_FILE` has an empty path {which}"))
        .expected(format!("a path on both sides of each `{separator}`"));
    told.suggest(if named.is_empty() {
        "name a file, or unset the variable".to_owned()
    } else {
        format!("write `COMPOSE_FILE={}`", named.join(separator))
    })
}

fn input(cwd: &Path, file: &FileArg) -> Input {
    match file {
        FileArg::Path(path) => Input {
            name: absolute(cwd, path),
            text: None,
        },
        FileArg::Stdin(text) => Input {
            name: PathBuf::from(STDIN),
            text: Some(text.clone()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compose::{LoadOptions, Memory, load};

    #[test]
    fn the_colon_of_a_scheme_separates_nothing() {
        for (value, paths) in [
            ("a.yaml:b.yaml", vec!["a.yaml", "b.yaml"]),
            ("oci://a/b", vec!["oci://a/b"]),
            ("a:https://c/d.git:b", vec!["a", "https://c/d.git", "b"]),
            ("git@h:o/r.git:b", vec!["git@h:o/r.git", "b"]),
            ("a://b", vec!["a", "//b"]),
            ("", vec![""]),
        ] {
            assert_eq!(parts(value, ":"), paths, "{value}");
        }
        assert_eq!(parts("oci;//a", ";"), ["oci", "//a"]);
    }

    #[test]
    fn files_of_other_machines_are_refused_as_such() {
        let files = Memory::from([("/p/compose.yaml", "services: {a: {image: x}}")]);
        let plain = LoadOptions {
            cwd: "/p".into(),
            ..LoadOptions::default()
        };
        let remote = ["https://github.com/a/b.git", "oci://a/b", "git@h:a/b.git"];
        for path in remote {
            let by_flag = LoadOptions {
                files: vec![FileArg::Path(path.into())],
                ..plain.clone()
            };
            let mut by_variable = plain.clone();
            let set = ("COMPOSE_FILE".to_owned(), format!("compose.yaml:{path}"));
            by_variable.environment.extend([set]);
            for options in [by_flag, by_variable] {
                let found = load(&options, &files).unwrap_err().list.remove(0);
                assert_eq!(found.message, format!("`{path}` is not on this machine"));
                assert_eq!(found.suggestion.as_deref(), Some(FETCH_IT));
            }
        }
    }
}
