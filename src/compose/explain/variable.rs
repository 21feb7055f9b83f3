//! Where a variable's value comes from: the shell, then files of variables.

use std::cmp::Reverse;

use super::{Explainer, Explanation, Origin, Source, Standing, Use, one_line};
use crate::compose::diag::{Diagnostic, Step};
use crate::compose::schema::similar;
use crate::compose::trace::Setting;
use crate::compose::tree::Mark;

impl Explainer<'_> {
    pub(super) fn knows_variable(&self, name: &str) -> bool {
        self.project.environment.contains_key(name)
            || self.project.asked.contains(name)
            || self
                .trace
                .settings
                .iter()
                .any(|setting| setting.name == name)
    }

    /// A variable that was asked for by its name, with its uses.
    pub(super) fn variable_asked(&self, name: &str) -> Result<Vec<Explanation>, Box<Diagnostic>> {
        if self.knows_variable(name) {
            let mut explanation = self.variable(name);
            explanation.uses = self.uses(name);
            return Ok(vec![explanation]);
        }
        let mut error = Diagnostic::error(format!(
            "no file uses a variable `{name}`, and it is not set"
        ));
        let project = self.project;
        let known = project.asked.iter().chain(project.environment.keys());
        if let Some(near) = similar(name, known.map(String::as_str)) {
            error = error.suggest(format!("did you mean `{near}`?"));
        }
        Err(Box::new(error))
    }

    /// A variable of the project.
    pub(super) fn variable(&self, name: &str) -> Explanation {
        let mut sources = Vec::new();
        if let Some(value) = self.trace.shell.get(name) {
            sources.push(source(Origin::Shell, value));
        }
        let mut settings: Vec<(usize, &Setting)> = self
            .trace
            .settings
            .iter()
            .enumerate()
            .filter(|(_, setting)| setting.name == name && !setting.owner.starts_with("services."))
            .collect();
        // Of files that are read together the last one counts, of two times the first.
        settings.sort_by_key(|(at, setting)| {
            let is_included = !setting.owner.is_empty();
            (is_included, setting.round, Reverse(*at))
        });
        let mut seen: Vec<Mark> = Vec::new();
        for (_, setting) in settings {
            if !seen.contains(&setting.mark)
                && let Some(source) = self.setting(setting)
            {
                seen.push(setting.mark);
                if !sources.contains(&source) {
                    sources.push(source);
                }
            }
        }
        let value = self.project.environment.get(name);
        if let (true, Some(value)) = (sources.is_empty(), value) {
            sources.push(source(Origin::Implied, value));
        }
        if let Some(first) = sources.first_mut() {
            first.standing = Standing::Wins;
        }
        // Only included files see it: no value of the project's.
        let included = sources.first().map(|source| &source.written);
        Explanation {
            subject: name.to_owned(),
            value: value.or(included).map(|value| one_line(value)),
            sources,
            uses: Vec::new(),
        }
    }

    /// A line in a file of variables.
    pub(super) fn setting(&self, setting: &Setting) -> Option<Source> {
        let mut source = source(Origin::File(self.position(setting.mark)?), &setting.value);
        if setting.owner.starts_with("include") {
            source.chain.push(Step {
                what: format!("for what `{}` includes", setting.owner),
                position: None,
            });
        }
        Some(source)
    }

    fn uses(&self, name: &str) -> Vec<Use> {
        let templates = self.trace.templates.iter();
        let mut found: Vec<_> = templates
            .filter(|(_, template)| template.variables.iter().any(|(known, _)| known == name))
            .collect();
        found.sort_by_key(|(mark, _)| (mark.file, mark.line, mark.column));
        found
            .into_iter()
            .map(|(mark, template)| Use {
                path: template.path.clone(),
                position: self.position(*mark),
                written: one_line(&template.written),
            })
            .collect()
    }
}

fn source(origin: Origin, value: &str) -> Source {
    Source {
        standing: Standing::Overridden,
        origin,
        written: one_line(value),
        chain: Vec::new(),
        variables: Vec::new(),
    }
}
