//! What the stages of a load find, each thing once and in order.

use super::{Diagnostic, Severity, Sources, Step};
use crate::compose::trace::Trace;
use crate::compose::tree::Mark;

/// Collects what the stages find.
#[derive(Debug, Clone, Default)]
pub(crate) struct Report {
    pub(crate) sources: Sources,
    pub(crate) list: Vec<Diagnostic>,
    /// How the file at work was reached, the nearest step first.
    pub(crate) chain: Vec<Step>,
    /// What to do about a variable that is not set.
    pub(crate) unset_help: Option<String>,
    /// What `explain` is going to ask, where somebody wants it.
    pub(crate) trace: Option<Trace>,
}

/// More diagnostics than this are not collected: nobody reads them.
const MOST_DIAGNOSTICS: usize = 50;

impl Report {
    /// A diagnostic at a place, yet to be completed and pushed.
    pub(crate) fn at(&self, mark: Mark, path: &str, message: impl Into<String>) -> Diagnostic {
        let mut diagnostic = Diagnostic::error(message).path(path);
        diagnostic.position = self.sources.position(mark);
        diagnostic.excerpt = self.sources.excerpt(mark);
        diagnostic.chain.clone_from(&self.chain);
        diagnostic
    }

    /// An error at a place.
    pub(crate) fn error(&mut self, mark: Mark, path: &str, message: impl Into<String>) {
        let diagnostic = self.at(mark, path, message);
        self.push(diagnostic);
    }

    /// A warning at a place.
    pub(crate) fn warn(&mut self, mark: Mark, path: &str, message: impl Into<String>) {
        let mut diagnostic = self.at(mark, path, message);
        diagnostic.severity = Severity::Warning;
        self.push(diagnostic);
    }

    /// Adds a prepared diagnostic as a warning.
    pub(crate) fn push_warning(&mut self, mut diagnostic: Diagnostic) {
        diagnostic.severity = Severity::Warning;
        self.push(diagnostic);
    }

    /// Adds a diagnostic, once. What a later stage says of the same attribute at
    /// the same place, or with the same words, follows from the first.
    pub(crate) fn push(&mut self, diagnostic: Diagnostic) {
        let told = |known: &Diagnostic| {
            known.severity == diagnostic.severity
                && known.position == diagnostic.position
                && (known.path == diagnostic.path || known.message == diagnostic.message)
                && (known.position.is_some() || known == &diagnostic)
        };
        if self.list.len() < MOST_DIAGNOSTICS && !self.list.iter().any(told) {
            self.list.push(diagnostic);
        }
    }

    /// True where an error of this attribute, or of one below it, was reported:
    /// what is missing there now would only be told twice.
    pub(crate) fn is_broken(&self, path: &str) -> bool {
        self.list.iter().any(|diagnostic| {
            diagnostic.severity == Severity::Error
                && diagnostic
                    .path
                    .strip_prefix(path)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        })
    }

    /// All diagnostics in the order of reading: errors, then warnings; by file
    /// and place, those without a place first.
    pub(crate) fn sorted(self) -> Vec<Diagnostic> {
        let order = |diagnostic: &Diagnostic| {
            let place = diagnostic.position.as_ref().map(|at| {
                let file = self.sources.order(&at.file);
                (file, at.line, at.column)
            });
            (diagnostic.severity == Severity::Warning, place)
        };
        let mut list = self.list;
        list.sort_by_cached_key(order);
        list
    }

    /// How many errors there are so far.
    pub(crate) fn error_count(&self) -> usize {
        self.list
            .iter()
            .filter(|d| d.severity == Severity::Error)
            .count()
    }
}
