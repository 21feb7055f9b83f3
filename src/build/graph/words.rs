//! Words at a place of a stage: with their variables, and as they are shown.

use std::collections::BTreeSet;

use super::run::is_used_anyway;
use super::walk::{Current, LARGEST, Walk};
use crate::dockerfile::{Instruction, Problem, Rule, Rules, Span, Word, as_buildkit};

impl Walk<'_> {
    /// What is shown of a step: `[build 2/5] RUN npm ci`.
    pub(super) fn prefixed(&self, current: &mut Current, text: &str) -> String {
        if current.total == 0 {
            return text.to_owned();
        }
        current.done += 1;
        let mut shown = String::from("[");
        if self.stages.options.shows_platform {
            shown.push_str(&format!("{} ", current.state.platform));
        }
        if !current.shown.is_empty() {
            shown.push_str(&current.shown);
            shown.push(' ');
        }
        let total = current.total;
        let width = total.to_string().len();
        let trigger = if current.trigger.is_some() {
            "ONBUILD "
        } else {
            ""
        };
        format!("{shown}{:>width$}/{total}] {trigger}{text}", current.done)
    }

    /// An instruction as it is shown: its first word in capitals.
    pub(super) fn shown(
        &self,
        current: &mut Current,
        text: &str,
        rules: Rules,
        hidden: &BTreeSet<String>,
    ) -> String {
        let variables = &current.state.variables;
        let lookup = |name: &str| {
            if hidden.contains(name) {
                Some("****".to_owned())
            } else {
                variables.get(name).map(str::to_owned)
            }
        };
        let expanded = crate::dockerfile::expand(text, rules, &lookup);
        let text = expanded.map_or_else(|_| text.to_owned(), |expanded| expanded.text);
        let (first, rest) = text.split_once(' ').unwrap_or((&text, ""));
        let space = if text.contains(' ') { " " } else { "" };
        let text = format!("{}{space}{rest}", first.to_uppercase());
        self.prefixed(current, &text)
    }

    /// A word with the variables of this place.
    pub(super) fn expand(
        &mut self,
        current: &Current,
        instruction: &Instruction,
        word: &Word,
        rules: Rules,
    ) -> Result<String, Problem> {
        let expanded = current
            .state
            .variables
            .expand(&word.text, rules)
            .map_err(|error| Problem::new(word.at, error.to_string()))?;
        self.undefined(current, instruction, &expanded.missing);
        self.spend(expanded.text.len(), word.at)?;
        Ok(expanded.text)
    }

    /// Counts what the plan takes: a small file can ask for much, with variables that
    /// double and environments that each command gets.
    pub(super) fn spend(&mut self, bytes: usize, at: Span) -> Result<(), Problem> {
        self.spent = self.spent.saturating_add(bytes);
        if self.spent > LARGEST {
            let message = "the plan of the build takes more than 64 MiB";
            let help = "it has very long variables, or very many";
            return Err(Problem::new(at, message).help(help));
        }
        Ok(())
    }

    pub(super) fn words(&self) -> Rules {
        Rules::words(self.stages.file.escape)
    }

    /// Warns of variables that are used and nowhere set.
    pub(super) fn undefined(
        &mut self,
        current: &Current,
        instruction: &Instruction,
        missing: &BTreeSet<String>,
    ) {
        if self.stages.lint.is_full() {
            return;
        }
        for name in missing {
            if current.state.declared.contains_key(name) || is_used_anyway(name) {
                continue;
            }
            let mut message = format!("Usage of undefined variable '${name}'");
            if let Some(similar) = as_buildkit(name, current.state.variables.names()) {
                message.push_str(&format!(" (did you mean ${similar}?)"));
            }
            self.warn(current, instruction, Rule::UndefinedVar, message);
        }
    }

    pub(super) fn warn(
        &mut self,
        current: &Current,
        instruction: &Instruction,
        rule: Rule,
        message: String,
    ) {
        let at = current.place(instruction.at);
        self.stages
            .lint
            .add(rule, at, &instruction.comments, message);
    }
}
