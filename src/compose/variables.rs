//! What comes from files of variables: the project's environment, services'
//! `env_file` and `label_file`.

use std::path::Path;
use std::sync::Arc;

use super::dotenv::{self, DotenvError, Parsed};
use super::loader::{Environment, Loader, io_text};
use super::model::{EnvFile, Service};
use super::trace::Setting;
use super::tree::{Mark, Node};

impl Loader<'_> {
    /// Reads a file of variables that must be there; `None` where an error was
    /// reported. `asked` is where it is named.
    pub(super) fn read_variables(
        &mut self,
        file: &Path,
        into: &mut Environment,
        outside: &Environment,
        asked: (Mark, &str),
    ) -> Option<()> {
        let text = self.text(file, asked)?;
        let result = dotenv::parse(&text, into, &|name| outside.get(name).cloned());
        let parsed = self.parsed(file, &text, result)?;
        self.trace_settings(asked.1, (file, &text), &parsed);
        Some(())
    }

    /// Remembers which line a variable comes from.
    fn trace_settings(&mut self, owner: &str, (file, text): (&Path, &str), parsed: &Parsed) {
        let Some(trace) = &mut self.report.trace else {
            return;
        };
        let number = self.report.sources.add(file, Arc::from(text));
        for setting in &parsed.settings {
            trace.settings.push(Setting {
                owner: owner.to_owned(),
                round: trace.round,
                name: setting.name.clone(),
                value: setting.value.clone(),
                mark: Mark {
                    file: number,
                    line: setting.line,
                    column: 1,
                },
            });
        }
    }

    fn text(&mut self, file: &Path, (mark, path): (Mark, &str)) -> Option<String> {
        let read = if self.files.is_dir(file) {
            Err(std::io::ErrorKind::IsADirectory.into())
        } else {
            self.files.read(file)
        };
        match read {
            Ok(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
            Err(error) => {
                let message = format!(
                    "cannot read the variables of `{}`: {}",
                    file.display(),
                    io_text(&error)
                );
                self.report.error(mark, path, message);
                None
            }
        }
    }

    /// Reports what came out of a file's grammar.
    fn parsed(
        &mut self,
        file: &Path,
        text: &str,
        result: Result<Parsed, DotenvError>,
    ) -> Option<Parsed> {
        match result {
            Ok(parsed) => {
                for (name, line) in &parsed.unset {
                    let message = format!("the variable `{name}` is not set, it is taken as empty");
                    if !self.report.list.iter().any(|d| d.message == message) {
                        let column = column_of_use(text, *line, name);
                        let mark = self.mark(file, text, *line, column);
                        let mut warning = self.report.at(mark, "", message);
                        warning.suggestion.clone_from(&self.report.unset_help);
                        self.report.push_warning(warning);
                    }
                }
                Some(parsed)
            }
            Err(error) => {
                let mark = self.mark(file, text, error.line, 1);
                let diagnostic = self
                    .report
                    .at(mark, "", error.message)
                    .expected("NAME=VALUE");
                self.report.push(diagnostic);
                None
            }
        }
    }

    fn mark(&mut self, file: &Path, text: &str, line: u32, column: u32) -> Mark {
        Mark {
            file: self.report.sources.add(file, Arc::from(text)),
            line,
            column,
        }
    }

    /// Resolves a service's variables: its own, then those of its files, then
    /// for those without a value the project's.
    pub(super) fn service_environment(
        &mut self,
        name: &str,
        service: &mut Service,
        environment: &Environment,
        tree: &Node,
    ) {
        for (key, value) in &mut service.environment.0 {
            if value.is_none() {
                *value = environment.get(key).cloned();
            }
        }
        let own = service.environment.0.clone();
        let mut variables: Environment = own
            .iter()
            .filter_map(|(key, value)| Some((key.clone(), value.clone()?)))
            .collect();
        let files = std::mem::take(&mut service.env_file);
        for (index, file) in files.iter().enumerate() {
            let path = format!("services.{name}.env_file[{index}]");
            let mark = mark_of(tree, &path);
            let outside = |key: &str| {
                environment
                    .get(key)
                    .cloned()
                    .or_else(|| own.get(key).cloned().flatten())
            };
            self.env_file(file, &mut variables, &outside, (mark, &path));
        }
        let resolved = &mut service.environment.0;
        for (key, value) in variables {
            resolved.entry(key).or_insert(Some(value));
        }
    }

    fn env_file(
        &mut self,
        file: &EnvFile,
        variables: &mut Environment,
        outside: &dyn Fn(&str) -> Option<String>,
        asked: (Mark, &str),
    ) {
        let path = Path::new(&file.path);
        if !file.required && !self.files.exists(path) {
            return;
        }
        let Some(text) = self.text(path, asked) else {
            return;
        };
        let result = match file.format.as_deref() {
            None | Some(".env") => dotenv::parse(&text, variables, outside),
            Some("raw") => dotenv::parse_raw(&text, variables, outside),
            Some(other) => {
                let message = format!("`{other}` is not a format of variables");
                let diagnostic = self
                    .report
                    .at(asked.0, asked.1, message)
                    .expected("`raw`, or none");
                self.report.push(diagnostic);
                return;
            }
        };
        if let Some(parsed) = self.parsed(path, &text, result) {
            self.trace_settings(asked.1, (path, &text), &parsed);
        }
    }

    /// Resolves a service's labels: those of its files below its own.
    pub(super) fn service_labels(&mut self, name: &str, service: &mut Service, tree: &Node) {
        let files = std::mem::take(&mut service.label_file);
        let mut labels = Environment::new();
        for (index, file) in files.iter().enumerate() {
            let path = format!("services.{name}.label_file[{index}]");
            let mark = mark_of(tree, &path);
            let known = labels.clone();
            let mut read = Environment::new();
            if self
                .read_variables(Path::new(file), &mut read, &known, (mark, &path))
                .is_some()
            {
                labels.extend(read);
            }
        }
        let own = std::mem::take(&mut service.labels.0);
        labels.extend(own);
        service.labels.0 = labels;
    }
}

/// Where a line uses a variable; a value of several lines is said to be where it
/// begins.
fn column_of_use(text: &str, line: u32, name: &str) -> u32 {
    let index = usize::try_from(line).unwrap_or(1).saturating_sub(1);
    let text = text.lines().nth(index).unwrap_or_default();
    let is_use = |(at, _): &(usize, &str)| {
        let after = text.get(at + 1..).unwrap_or_default();
        let after = after.strip_prefix('{').unwrap_or(after);
        let rest = after.strip_prefix(name);
        rest.is_some_and(|rest| !rest.starts_with(|c: char| c == '_' || c.is_ascii_alphanumeric()))
    };
    let at = text.match_indices('$').find(is_use).map_or(0, |(at, _)| at);
    let before = text.get(..at).unwrap_or_default().chars().count();
    u32::try_from(before + 1).unwrap_or(1)
}

fn mark_of(tree: &Node, path: &str) -> Mark {
    tree.lookup(path).map(|node| node.mark).unwrap_or_default()
}
