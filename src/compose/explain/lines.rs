//! The variables in a line of a file of variables: `B=${A}/x`.

use std::borrow::Cow;

use super::variable::{Found, with_settings};
use super::{Explainer, Explanation};
use crate::compose::diag::Position;
use crate::compose::trace::{Setting, pairs};

/// Lines within lines that are followed.
const MOST_NESTED: usize = 8;

/// Variables that are told of one line, those of the lines that set these included.
const MOST_TOLD: usize = 30;

/// Lines that are told within each other.
#[derive(Debug, Default)]
pub(super) struct Nested {
    /// Their places, the outermost first: a file may be read more than once.
    lines: Vec<Option<Position>>,
    /// Variables that may still be told within the outermost.
    room: usize,
}

impl Explainer<'_> {
    /// True while the variables of a line are told.
    pub(super) fn is_in_line(&self) -> bool {
        !self.lines.borrow().lines.is_empty()
    }

    /// True while those of this very line are.
    pub(super) fn is_in_line_of(&self, setting: &Setting) -> bool {
        let lines = &self.lines.borrow().lines;
        !lines.is_empty() && lines.contains(&self.position(setting.mark))
    }

    /// The variables in a line, which is not followed into itself (`A=${A}x`).
    pub(super) fn variables_in_line(&self, at: usize, setting: &Setting) -> Vec<Explanation> {
        let Some(template) = setting.template.as_ref().filter(|_| self.enter(setting)) else {
            return Vec::new();
        };
        let mut told = Vec::new();
        for (name, value) in &template.variables {
            if !self.take_room() {
                break;
            }
            let mut explanation = match value {
                Some(value) => self.variable_in_line(at, setting, (name, value)),
                None => with_settings(name, Found::default(), None),
            };
            let texts = [(setting.mark, Cow::Borrowed(template))];
            self.add_defaults(&mut explanation, &texts);
            told.push(explanation);
        }
        self.lines.borrow_mut().lines.pop();
        told
    }

    /// False where the line is one of those that are being told.
    fn enter(&self, setting: &Setting) -> bool {
        let place = self.position(setting.mark);
        let mut nested = self.lines.borrow_mut();
        if nested.lines.is_empty() {
            nested.room = MOST_TOLD;
        }
        if nested.lines.contains(&place) || nested.lines.len() >= MOST_NESTED {
            return false;
        }
        nested.lines.push(place);
        true
    }

    fn take_room(&self) -> bool {
        let room = &mut self.lines.borrow_mut().room;
        let is_left = *room > 0;
        *room = room.saturating_sub(1);
        is_left
    }

    /// True where a variable in a line is the project's, and not one of the files or of
    /// the service that they are for.
    pub(super) fn is_from_project(&self, setting: &Setting, name: &str, is_set: bool) -> bool {
        let Some(list) = setting.list() else {
            return true;
        };
        // A file of labels sees none of the project's.
        let can_be = list.ends_with(".env_file") && !setting.inner.contains(name);
        can_be && (!is_set || self.project.environment.contains_key(name))
    }

    /// A variable in a line that has a value: from what was read before, from outside,
    /// which for a service's file is the project, then the service itself.
    fn variable_in_line(
        &self,
        at: usize,
        setting: &Setting,
        (name, value): (&str, &String),
    ) -> Explanation {
        if self.is_from_project(setting, name, true) && !setting.inner.contains(name) {
            return self.variable(name, setting.scope);
        }
        if let Some((at, before)) = self.trace.settings.before(at, name) {
            let found = Found {
                sources: self.setting(at, before).into_iter().collect(),
                ..Found::default()
            };
            return with_settings(name, found, Some(value));
        }
        let list = setting.list();
        let service = list.and_then(|list| list.strip_suffix(".env_file"));
        let own = service.and_then(|service| {
            let list = format!("{service}.environment");
            let item = *pairs(self.tree.lookup(&list)?).get(name)?;
            Some(self.entry_over(item, &format!("{list}.{name}"), None, None))
        });
        let own = own.map(|own| Explanation {
            subject: name.to_owned(),
            ..own
        });
        own.unwrap_or_else(|| with_settings(name, Found::default(), Some(value)))
    }
}
