//! Hints about what is allowed and most likely not meant, one file a kind.
//!
//! A hint is a warning with its place. [`mistakes`] are those that can hardly be
//! anything else, and that every load tells; [`lint`] has all.

mod command;
mod depends;
mod dockerfile;
mod health;
mod mounts;
mod names;
mod ports;
mod restart;
mod targets;
mod values;

use super::diag::{Diagnostic, Report, Sources, Step};
use super::files::{FileSystem, Impatient};
use super::model::Project;
use super::trace::Trace;
use super::tree::{Mark, Node};

/// More hints of a kind are not told: nobody reads them.
const MOST: usize = 50;

/// All hints about a project with the warnings of its load, in the order of its
/// files. The hint about commands needs
/// [`LoadOptions::trace`](super::LoadOptions::trace); Dockerfiles are read through
/// `files`.
pub fn lint(
    project: &Project,
    warnings: Vec<Diagnostic>,
    files: &dyn FileSystem,
) -> Vec<Diagnostic> {
    let mut hints = warnings;
    let origin = &project.origin;
    let Some(tree) = &origin.tree else {
        return hints;
    };
    let linter = Linter {
        project,
        tree,
        sources: &origin.sources,
        trace: origin.trace.as_ref(),
    };
    // Dockerfiles may be pipes, and are asked for by several hints.
    let files = &Impatient::new(files);
    hints.extend(values::booleans(&linter));
    hints.extend(ports::joined(&linter));
    hints.extend(ports::doubled(&linter));
    hints.extend(command::eaten(&linter));
    hints.extend(depends::conditions(&linter, files));
    hints.extend(mounts::hints(&linter, files));
    hints.sort_by_cached_key(|hint| {
        let place = hint.position.as_ref();
        let file = place.map(|at| {
            let known = project
                .compose_files
                .iter()
                .position(|file| *file == at.file);
            (known.unwrap_or(usize::MAX), at.file.clone())
        });
        (file, place.map(|at| (at.line, at.column)))
    });
    hints
}

/// Reports the hints that are surely about mistakes.
pub(super) fn mistakes(project: &Project, tree: &Node, report: &mut Report) {
    let linter = Linter {
        project,
        tree,
        sources: &report.sources,
        trace: None,
    };
    let mut hints = values::numbers(&linter);
    hints.extend(depends::never_healthy(&linter));
    hints.extend(health::words_in_texts(&linter));
    hints.extend(names::images(&linter));
    hints.extend(restart::policies(&linter));
    hints.extend(targets::misplaced(&linter));
    for hint in hints {
        report.push(hint);
    }
}

/// A loaded project and its tree.
struct Linter<'a> {
    project: &'a Project,
    tree: &'a Node,
    sources: &'a Sources,
    trace: Option<&'a Trace>,
}

impl<'a> Linter<'a> {
    /// The node of an attribute of a service.
    fn attribute(&self, service: &str, attribute: &str) -> Option<&'a Node> {
        self.tree.get("services")?.get(service)?.lookup(attribute)
    }

    /// A hint at a place.
    fn hint(&self, mark: Mark, path: &str, message: impl Into<String>) -> Diagnostic {
        let mut hint = Diagnostic::warning(message).path(path);
        hint.position = self.sources.position(mark);
        hint.excerpt = self.sources.excerpt(mark);
        hint
    }

    /// A second place that a hint is about.
    fn also(&self, what: &str, mark: Mark) -> Step {
        Step {
            what: what.to_owned(),
            position: self.sources.position(mark),
        }
    }

    /// What stands in a file at a mark.
    fn token(&self, mark: Mark) -> Option<&str> {
        self.sources.token(mark)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::io;
    use std::path::{Path, PathBuf};

    use super::*;
    use crate::compose::{LoadOptions, Memory, load};

    /// Every file is a pipe that nobody writes to.
    #[derive(Default)]
    struct Silent(Cell<usize>);

    impl FileSystem for Silent {
        fn read(&self, _path: &Path) -> io::Result<Vec<u8>> {
            self.0.set(self.0.get() + 1);
            Err(io::ErrorKind::TimedOut.into())
        }

        fn exists(&self, _path: &Path) -> bool {
            true
        }

        fn is_dir(&self, _path: &Path) -> bool {
            false
        }

        fn link_target(&self, _path: &Path) -> Option<PathBuf> {
            None
        }
    }

    #[test]
    fn many_silent_dockerfiles_are_not_waited_for_one_by_one() {
        let mut text = "services:\n".to_owned();
        for n in 0..5 {
            let depends = "depends_on: {s0: {condition: service_started}}";
            let service = format!("  s{n}: {{build: ./{n}, volumes: ['./x:/x'], {depends}}}\n");
            text.push_str(&service.replacen(depends, if n == 0 { "" } else { depends }, 1));
        }
        let memory = Memory::from([("/p/compose.yaml", text)]);
        let options = LoadOptions {
            cwd: "/p".into(),
            ..LoadOptions::default()
        };
        let loaded = load(&options, &memory).unwrap();
        let silent = Silent::default();
        lint(&loaded.project, Vec::new(), &silent);
        assert_eq!(silent.0.get(), 1);
    }
}
