//! Hints about what is allowed and most likely not meant, one file a kind.
//!
//! A hint is a warning with its place. [`mistakes`] are those that can hardly be
//! anything else, and that every load tells; [`lint`] has all.

mod command;
mod depends;
mod dockerfile;
mod mounts;
mod ports;
mod values;

use super::diag::{Diagnostic, Step};
use super::files::FileSystem;
use super::model::Project;
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
    let Some(linter) = Linter::new(project) else {
        return hints;
    };
    hints.extend(values::booleans(&linter));
    hints.extend(ports::joined(&linter));
    hints.extend(command::eaten(&linter));
    hints.extend(depends::conditions(&linter));
    hints.extend(mounts::hidden_code(&linter, files));
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

/// The hints that are surely about mistakes.
pub(super) fn mistakes(project: &Project) -> Vec<Diagnostic> {
    let Some(linter) = Linter::new(project) else {
        return Vec::new();
    };
    let mut hints = values::numbers(&linter);
    hints.extend(depends::never_healthy(&linter));
    hints
}

/// A loaded project and its tree.
struct Linter<'a> {
    project: &'a Project,
    tree: &'a Node,
}

impl<'a> Linter<'a> {
    fn new(project: &'a Project) -> Option<Self> {
        let tree = project.origin.tree.as_ref()?;
        Some(Self { project, tree })
    }

    /// The node of an attribute of a service.
    fn attribute(&self, service: &str, attribute: &str) -> Option<&'a Node> {
        self.tree.get("services")?.get(service)?.lookup(attribute)
    }

    /// A hint at a place.
    fn hint(&self, mark: Mark, path: &str, message: impl Into<String>) -> Diagnostic {
        let sources = &self.project.origin.sources;
        let mut hint = Diagnostic::warning(message).path(path);
        hint.position = sources.position(mark);
        hint.excerpt = sources.excerpt(mark);
        hint
    }

    /// A second place that a hint is about.
    fn also(&self, what: &str, mark: Mark) -> Step {
        Step {
            what: what.to_owned(),
            position: self.project.origin.sources.position(mark),
        }
    }

    /// What stands in a file at a mark.
    fn token(&self, mark: Mark) -> Option<&str> {
        self.project.origin.sources.token(mark)
    }
}
