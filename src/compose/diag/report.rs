//! What the stages of a load find, each thing once and in order.

use std::collections::BTreeSet;

use super::{Diagnostic, Position, Severity, Sources, Step, UseKind};
use crate::compose::trace::Trace;
use crate::compose::tree::{Mark, is_within};
use crate::similar::slipped;

/// Collects what the stages find.
#[derive(Debug, Clone, Default)]
pub(crate) struct Report {
    pub(crate) sources: Sources,
    pub(crate) list: Vec<Diagnostic>,
    /// What to do about a variable that is not set.
    pub(crate) unset_help: Option<String>,
    /// Variables that are not set, each with the place of its warning in the list.
    unset: Vec<(String, usize)>,
    /// Errors that were found when the list was full.
    more: usize,
    /// Where the first of these are.
    further: Vec<Step>,
    /// Keys that stand in for some that were refused: line, column and file.
    stand_ins: BTreeSet<(u32, u32, u16)>,
    /// What `explain` is going to ask, where somebody wants it.
    pub(crate) trace: Option<Trace>,
}

/// More diagnostics than this are not collected: nobody reads them.
const MOST_DIAGNOSTICS: usize = 50;

/// Places of further errors that are told.
const MOST_FURTHER: usize = 20;

impl Report {
    /// A diagnostic at a place, yet to be completed and pushed.
    #[track_caller]
    pub(crate) fn at(&self, mark: Mark, path: &str, message: impl Into<String>) -> Diagnostic {
        let mut diagnostic = Diagnostic::error(message).path(path);
        if self.is_full() {
            // It is only counted: looking its line up would be for nothing.
            diagnostic.position = self.sources.position(mark);
            return diagnostic;
        }
        // The variables are those of the whole value.
        diagnostic.chain = self.sources.chain(mark, path);
        let mark = self.sources.narrowed(mark, &diagnostic.message);
        diagnostic.position = self.sources.position(mark);
        diagnostic.excerpt = self.sources.excerpt(mark);
        diagnostic
    }

    /// Adds another place that has to do with it, as the nearest step.
    pub(crate) fn also(&self, diagnostic: &mut Diagnostic, what: &str, mark: Mark) {
        if let Some(position) = self.sources.position(mark) {
            let step = Step {
                what: what.to_owned(),
                position: Some(position),
            };
            diagnostic.chain.insert(0, step);
        }
    }

    /// True where nothing more is collected: to prepare it would be for nothing.
    pub(crate) fn is_full(&self) -> bool {
        self.list.len() >= MOST_DIAGNOSTICS
    }

    /// An error at a place.
    #[track_caller]
    pub(crate) fn error(&mut self, mark: Mark, path: &str, message: impl Into<String>) {
        let diagnostic = self.at(mark, path, message);
        self.push(diagnostic);
    }

    /// Adds a prepared diagnostic as a warning.
    pub(crate) fn push_warning(&mut self, mut diagnostic: Diagnostic) {
        diagnostic.severity = Severity::Warning;
        self.push(diagnostic);
    }

    /// Warns that a variable of the value at a mark is not set, once a name. `help`
    /// is what to do, where that is something special.
    pub(crate) fn unset_variable(
        &mut self,
        name: &str,
        mark: Mark,
        path: &str,
        help: Option<String>,
    ) {
        let message = format!("the variable `{name}` is not set, it is taken as empty");
        let told = self.list.iter().any(|known| known.message == message);
        if told || self.list.len() >= MOST_DIAGNOSTICS {
            return;
        }
        let mark = self.sources.variable(mark, name, UseKind::Plain);
        let mut warning = self.at(mark, path, message);
        // What the variables beside it stand for is beside the point.
        warning.chain.retain(|step| !step.what.starts_with('`'));
        let help: Vec<String> = help.into_iter().chain(self.unset_help.clone()).collect();
        warning.suggestion = Some(if help.is_empty() {
            format!(
                "set it in the environment or in `.env`, or give it a default: `${{{name}:-…}}`; \
                 a dollar that is no variable is written `$$`"
            )
        } else {
            help.join("; ")
        });
        self.push_warning(warning);
        let is_kept = |at: &usize| {
            self.list
                .get(*at)
                .is_some_and(|last| last.message.contains(name))
        };
        let last = self.list.len().checked_sub(1).filter(is_kept);
        self.unset.extend(last.map(|at| (name.to_owned(), at)));
    }

    /// Adds to the warnings about variables that are not set which one may have been
    /// meant, out of those that are.
    pub(crate) fn suggest_variables(&mut self, set: &[&str]) {
        for (name, at) in std::mem::take(&mut self.unset) {
            let Some(near) = slipped(&name, set.iter().copied()) else {
                continue;
            };
            if let Some(warning) = self.list.get_mut(at) {
                let rest = warning.suggestion.take().unwrap_or_default();
                warning.suggestion = Some(format!(
                    "did you mean `{near}`, which is set? Otherwise {rest}"
                ));
            }
        }
    }

    /// Remembers that a key was refused and another stands in for it: what a later
    /// stage says of that follows from it.
    pub(crate) fn stand_in(&mut self, key: Mark) {
        self.stand_ins.insert((key.line, key.column, key.file));
    }

    /// Forgets those of a file, which is read once more.
    pub(crate) fn forget_stand_ins(&mut self, file: u16) {
        self.stand_ins.retain(|(_, _, of)| *of != file);
    }

    /// True where any key was refused.
    pub(crate) fn has_stand_ins(&self) -> bool {
        !self.stand_ins.is_empty()
    }

    /// True for the place of a key that stands in for one that was refused.
    pub(crate) fn is_stand_in(&self, key: Mark) -> bool {
        self.stand_ins.contains(&(key.line, key.column, key.file))
    }

    fn is_at_stand_in(&self, at: &Position) -> bool {
        let (first, last) = ((at.line, at.column, 0), (at.line, at.column, u16::MAX));
        let mut known = self.stand_ins.range(first..=last);
        known.any(|(_, _, file)| self.sources.name(*file) == Some(&at.file))
    }

    /// Adds a diagnostic, once. What a later stage says of the same attribute at
    /// the same place, or with the same words, follows from the first.
    pub(crate) fn push(&mut self, diagnostic: Diagnostic) {
        self.push_all(vec![diagnostic]);
    }

    /// Adds all that one stage says of an attribute: none of it follows from the
    /// others.
    pub(crate) fn push_all(&mut self, diagnostics: Vec<Diagnostic>) {
        let before = self.list.len();
        for diagnostic in diagnostics {
            let position = diagnostic.position.as_ref();
            if position.is_some_and(|at| self.is_at_stand_in(at)) {
                continue;
            }
            let earlier = self.list.get(..before).unwrap_or_default();
            if !earlier.iter().any(|known| is_told(known, &diagnostic)) {
                self.add(diagnostic);
            }
        }
    }

    /// Adds it, or counts it where the list is full.
    fn add(&mut self, diagnostic: Diagnostic) {
        if self.list.len() < MOST_DIAGNOSTICS {
            self.list.push(diagnostic);
        } else if diagnostic.severity == Severity::Error {
            self.more += 1;
            if self.further.len() < MOST_FURTHER {
                let is_known = |step: &Step| step.position == diagnostic.position;
                if diagnostic.position.is_some() && !self.further.iter().any(is_known) {
                    self.further.push(Step {
                        what: "one of them is".to_owned(),
                        position: diagnostic.position,
                    });
                }
            }
        }
    }

    /// True where an error of this very attribute was reported.
    pub(crate) fn has_error(&self, path: &str) -> bool {
        let errors = self.list.iter();
        errors
            .filter(|known| known.severity == Severity::Error)
            .any(|known| known.path == path)
    }

    /// True where an error of this attribute, or of one below it, was reported:
    /// what is missing there now would only be told twice.
    pub(crate) fn is_broken(&self, path: &str) -> bool {
        self.list.iter().any(|diagnostic| {
            diagnostic.severity == Severity::Error && is_within(&diagnostic.path, path)
        })
    }

    /// All diagnostics in the order of reading: errors, then warnings; by file
    /// and place, those without a place first.
    pub(crate) fn sorted(&self) -> Vec<Diagnostic> {
        let order = |diagnostic: &Diagnostic| {
            let place = diagnostic.position.as_ref().map(|at| {
                let file = self.sources.order(&at.file);
                (file, at.line, at.column)
            });
            (diagnostic.severity == Severity::Warning, place)
        };
        let mut list = self.list.clone();
        list.sort_by_cached_key(order);
        if self.more > 0 {
            let message = format!(
                "there are {} more errors, told when these are mended",
                self.more
            );
            let mut summary = Diagnostic::error(message);
            summary.chain.clone_from(&self.further);
            list.push(summary);
        }
        list
    }

    /// How many errors there are so far.
    pub(crate) fn error_count(&self) -> usize {
        let errors = self.list.iter();
        errors.filter(|d| d.severity == Severity::Error).count() + self.more
    }
}

/// True where a diagnostic says no more than one that is known.
fn is_told(known: &Diagnostic, new: &Diagnostic) -> bool {
    // The number first: most places differ in it, and paths are long.
    let line = |one: &Diagnostic| one.position.as_ref().map(|at| at.line);
    if known.severity != new.severity || line(known) != line(new) {
        return false;
    }
    let file = |one: &Diagnostic| one.position.as_ref().map(|at| at.file.clone());
    match &new.position {
        None => known == new,
        // Of warnings none follows from another: two variables of one value.
        Some(_) if new.severity == Severity::Error && known.path == new.path => {
            file(known) == file(new)
        }
        at => known.position == *at && known.message == new.message,
    }
}
