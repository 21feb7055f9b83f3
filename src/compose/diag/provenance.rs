//! What the variables of a file stood for, and where their values came from.
//! Nothing of it is worked out before something is wrong.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use indexmap::IndexMap;

use super::{Sources, Step};
use crate::compose::tree::Mark;
use crate::compose::{dotenv, template};

/// Longest text whose variables are told, in bytes.
const LONGEST_TOKEN: usize = 64 << 10;

/// Longest value that is repeated, in characters.
const LONGEST_VALUE: usize = 60;

/// Most variables of one value that are told of.
const MOST_STEPS: usize = 8;

/// Largest file of variables that is read again for the place of one.
const LARGEST_READ: usize = 1 << 20;

type Environment = IndexMap<String, String>;

/// Where values of variables can have come from.
#[derive(Debug, Clone, Default)]
pub(crate) struct Provenance {
    /// The environment of the process.
    pub(crate) shell: Arc<Environment>,
    /// Files of variables that were read, by their number.
    files: Vec<u16>,
    /// What each file was interpolated with.
    scopes: HashMap<u16, Arc<Environment>>,
}

impl Provenance {
    /// Remembers what a file is interpolated with.
    pub(crate) fn interpolated(&mut self, file: u16, environment: &Arc<Environment>) {
        self.scopes.insert(file, Arc::clone(environment));
    }

    /// Remembers a file of variables.
    pub(crate) fn read(&mut self, file: u16) {
        self.files.push(file);
    }

    /// What each variable in `token`, a value as it is written, stood for.
    pub(super) fn steps(&self, file: u16, token: &str, sources: &Sources) -> Vec<Step> {
        let is_readable = token.len() <= LONGEST_TOKEN && token.contains('$');
        let Some(environment) = self.scopes.get(&file).filter(|_| is_readable) else {
            return Vec::new();
        };
        let asked: RefCell<Vec<String>> = RefCell::default();
        let lookup = |name: &str| {
            let mut asked = asked.borrow_mut();
            if asked.len() < MOST_STEPS && !asked.iter().any(|known| known == name) {
                asked.push(name.to_owned());
            }
            // Only whether it is set matters: the result is not looked at.
            environment.get(name).map(|_| "set".to_owned())
        };
        // What is wrong with the text was told where it was interpolated.
        template::substitute(token, &lookup).ok();
        let mut asked = asked.into_inner();
        let mut steps = Vec::new();
        while let Some(name) = asked.get(steps.len()) {
            let (step, within) = self.step(name, environment, sources);
            steps.push(step);
            // A file's line may have variables, too, each of which is told behind it.
            let room = MOST_STEPS.saturating_sub(asked.len());
            let is_new = |used: &String| !asked.contains(used);
            let within: Vec<String> = within.into_iter().filter(is_new).take(room).collect();
            asked.splice(steps.len()..steps.len(), within);
        }
        steps
    }

    /// What a variable stood for, and the variables in the line that sets it.
    fn step(
        &self,
        name: &str,
        environment: &Environment,
        sources: &Sources,
    ) -> (Step, Vec<String>) {
        let alone = |what: String| {
            let position = None;
            (Step { what, position }, Vec::new())
        };
        let Some(value) = environment.get(name) else {
            return alone(format!("`{name}` is not set"));
        };
        let said = if value.is_empty() {
            format!("`{name}` is empty")
        } else {
            format!("`{name}` is `{}`", shortened(value))
        };
        if self.shell.get(name) == Some(value) {
            return alone(format!("{said}, set in the environment"));
        }
        let line = self.line(name, value, environment, sources);
        let place = line.and_then(|(mark, within)| Some((sources.position(mark)?, within)));
        let Some((position, within)) = place else {
            return alone(said);
        };
        let step = Step {
            what: format!("{said}, set"),
            position: Some(position),
        };
        (step, within)
    }

    /// The line of a file that gives a variable this value.
    pub(crate) fn mark(
        &self,
        name: &str,
        value: &str,
        environment: &Environment,
        sources: &Sources,
    ) -> Option<Mark> {
        let (mark, _) = self.line(name, value, environment, sources)?;
        Some(mark)
    }

    /// The same with the variables in it.
    fn line(
        &self,
        name: &str,
        value: &str,
        environment: &Environment,
        sources: &Sources,
    ) -> Option<(Mark, Vec<String>)> {
        let outside = |name: &str| environment.get(name).cloned();
        self.files.iter().find_map(|file| {
            let text = sources
                .text(*file)
                .filter(|text| text.len() <= LARGEST_READ)?;
            let set = dotenv::assignment(text, name, value, &outside)?;
            let within = set.uses.into_iter().map(|used| used.name);
            let mark = Mark {
                line: set.line,
                column: 1,
                file: *file,
                length: Mark::TO_LINE_END,
            };
            Some((mark, within.collect()))
        })
    }
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(LONGEST_VALUE) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}
