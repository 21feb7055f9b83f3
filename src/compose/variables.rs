//! What comes from files of variables: the project's environment, services'
//! `env_file` and `label_file`.

use std::path::Path;
use std::sync::Arc;

use super::diag::{Diagnostic, did_you_mean, quoted};
use super::dotenv::{self, Assignment, DotenvError, Parsed};
use super::files::FileSystem as _;
use super::loader::{Environment, Loader, file_help, io_text};
use super::model::{EnvFile, Service};
use super::template::Lookup;
use super::trace::{Setting, Template};
use super::tree::{Mark, Node};

/// So many bytes of variables are as much work as one node of a file.
const BYTES_PER_NODE: usize = 32;

/// What a variable takes beside its letters.
const VARIABLE: usize = 64;
/// The format of `.env` files, which needs no word.
const DOTENV: &str = ".env";
/// The formats that `env_file` can name.
const FORMATS: [&str; 2] = ["raw", DOTENV];

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
        let outside = |name: &str| outside.get(name).cloned();
        let result = self.parsed_text(&text, into, &outside);
        let number = self.report.sources.add(file, Arc::clone(&text));
        self.report.sources.provenance.read(number);
        self.report.sources.reached(number, asked.0, "read");
        let parsed = self.parsed(number, result)?;
        self.trace_settings(asked.1, (number, &text), &parsed);
        Some(())
    }

    /// Reads a text, with the variables in it where that is remembered.
    fn parsed_text(
        &self,
        text: &str,
        into: &mut Environment,
        outside: &Lookup<'_>,
    ) -> Result<Parsed, Vec<DotenvError>> {
        match self.report.trace {
            Some(_) => dotenv::parse_with_uses(text, into, outside),
            None => dotenv::parse(text, into, outside),
        }
    }

    /// Remembers which line a variable comes from.
    fn trace_settings(&mut self, owner: &str, (file, text): (u16, &str), parsed: &Parsed) {
        let Some(trace) = &mut self.report.trace else {
            return;
        };
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        for setting in &parsed.settings {
            let written = text.get(setting.written.clone()).unwrap_or_default();
            let inner = setting.uses.iter().filter(|used| used.is_inner);
            trace.setting(Setting {
                owner: owner.to_owned(),
                scope: 0, // the trace knows, and the round
                round: 0,
                name: setting.name.clone(),
                value: setting.value.clone(),
                written: written.to_owned(),
                template: template(owner, written, setting),
                inner: inner.map(|used| used.name.clone()).collect(),
                mark: Mark {
                    line: setting.line,
                    column: 1,
                    file,
                    length: Mark::TO_LINE_END,
                },
            });
        }
    }

    /// A file's text, read once.
    fn text(&mut self, file: &Path, asked: (Mark, &str)) -> Option<Arc<str>> {
        if self.limits.is_over() {
            return None; // told
        }
        let text = if let Some(known) = self.texts.get(file) {
            known.clone()?
        } else {
            let text = self.read_text(file, asked).map(Arc::from);
            self.texts.insert(file.to_owned(), text.clone());
            text?
        };
        // To read it again and again for one service after the other is work.
        if !self.limits.work.take(text.len() / BYTES_PER_NODE) {
            self.too_much_text(asked.0);
            return None;
        }
        Some(text)
    }

    fn read_text(&mut self, file: &Path, (mark, path): (Mark, &str)) -> Option<String> {
        let read = if self.files.is_dir(file) {
            Err(std::io::ErrorKind::IsADirectory.into())
        } else {
            self.bytes(file)
        };
        match read {
            Ok(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
            Err(error) => {
                let message = format!(
                    "cannot read the variables of `{}`: {}",
                    file.display(),
                    io_text(&error)
                );
                let mut diagnostic = self
                    .report
                    .at(mark, path, message)
                    .expected("a file of lines NAME=VALUE");
                let is_missing = error.kind() == std::io::ErrorKind::NotFound;
                diagnostic.suggestion = Some(if is_missing && path.contains(".env_file") {
                    "make the file or correct its path; where it may be missing, write \
                     `- path: NAME` in the list and `required: false` below `path`"
                        .to_owned()
                } else if is_missing && !mark.is_known() {
                    "make the file, or correct its path in `--env-file` or `COMPOSE_ENV_FILES`"
                        .to_owned()
                } else {
                    file_help(&error, file, ".env")
                });
                self.report.push(diagnostic);
                None
            }
        }
    }

    /// Reports what came out of a file's grammar.
    fn parsed(&mut self, file: u16, result: Result<Parsed, Vec<DotenvError>>) -> Option<Parsed> {
        match result {
            Ok(parsed) => {
                for name in &parsed.unset {
                    if self.report.is_full() {
                        break;
                    }
                    let mark = self.report.sources.use_of(file, name).unwrap_or_default();
                    self.report.unset_variable(name, mark, "", None);
                }
                if let Some((line, name)) = &parsed.unended {
                    self.unended(file, *line, name);
                }
                Some(parsed)
            }
            Err(errors) => {
                let all = errors.into_iter();
                let all = all.map(|error| self.refused_line(file, error)).collect();
                self.report.push_all(all);
                None
            }
        }
    }

    /// Warns of a name alone that ends a file.
    fn unended(&mut self, file: u16, line: u32, name: &str) {
        let mark = Mark {
            file,
            line,
            column: 1,
            length: Mark::TO_LINE_END,
        };
        let name = quoted(name);
        let message = format!(
            "{name} ends the file without a line end: it is taken for the value of a variable \
             without a name"
        );
        let warning = self
            .report
            .at(mark, "", message)
            .expected("NAME=VALUE, or a line end behind a name alone")
            .suggest(format!(
                "end the line, and {name} has the value that it has outside"
            ));
        self.report.push_warning(warning);
    }

    fn refused_line(&self, file: u16, error: DotenvError) -> Diagnostic {
        let mark = Mark {
            file,
            line: error.line,
            column: 1,
            length: Mark::TO_LINE_END,
        };
        let mut diagnostic = self
            .report
            .at(mark, "", error.message)
            .expected(error.expected);
        diagnostic.suggestion = error.suggestion;
        diagnostic
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
            if self.is_format_known(file, &path, tree) {
                self.env_file(file, &mut variables, &outside, (mark, &path));
            }
        }
        let resolved = &mut service.environment.0;
        for (key, value) in variables {
            if !resolved.contains_key(&key) {
                if !self.limits.text.take(key.len() + value.len() + VARIABLE) {
                    let mark = mark_of(tree, &format!("services.{name}"));
                    self.too_much_text(mark);
                    return;
                }
                resolved.insert(key, Some(value));
            }
        }
    }

    /// Refuses a format that there is not.
    fn is_format_known(&mut self, file: &EnvFile, path: &str, tree: &Node) -> bool {
        let Some(other) = file
            .format
            .as_deref()
            .filter(|name| !FORMATS.contains(name))
        else {
            return true;
        };
        let path = format!("{path}.format");
        let message = format!("{} is not a format of variables", quoted(other));
        let mut diagnostic = self
            .report
            .at(mark_of(tree, &path), &path, message)
            .expected("`raw`; the usual format needs no word");
        let meant = did_you_mean(other, FORMATS.into_iter());
        let remove = "remove `format`: the lines are read as in `.env` files then";
        diagnostic.suggestion = Some(meant.unwrap_or_else(|| remove.to_owned()));
        self.report.push(diagnostic);
        false
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
            None | Some(DOTENV) => self.parsed_text(&text, variables, outside),
            Some(_) => dotenv::parse_raw(&text, variables, outside),
        };
        let is_told = result.as_ref().is_ok_and(Parsed::is_told);
        if result.is_ok() && !is_told && self.report.trace.is_none() {
            return; // nobody is going to ask for its lines
        }
        let number = self.report.sources.add(path, Arc::clone(&text));
        self.report.sources.reached(number, asked.0, "read");
        if let Some(parsed) = self.parsed(number, result) {
            self.trace_settings(asked.1, (number, &text), &parsed);
        }
    }

    /// Resolves a service's labels: those of its files below its own.
    pub(super) fn service_labels(&mut self, name: &str, service: &mut Service, tree: &Node) {
        let files = std::mem::take(&mut service.label_file);
        let mut labels = Environment::new();
        for (index, file) in files.iter().enumerate() {
            let path = format!("services.{name}.label_file[{index}]");
            let mark = mark_of(tree, &path);
            let mut read = Environment::new();
            if self
                .read_variables(Path::new(file), &mut read, &labels, (mark, &path))
                .is_none()
            {
                continue;
            }
            let size = read
                .iter()
                .map(|(key, value)| key.len() + value.len() + VARIABLE)
                .sum();
            if !self.limits.text.take(size) {
                self.too_much_text(mark);
                return;
            }
            labels.extend(read);
        }
        let own = std::mem::take(&mut service.labels.0);
        labels.extend(own);
        service.labels.0 = labels;
    }
}

/// What stands in a file for a value that has variables in it.
fn template(owner: &str, written: &str, setting: &Assignment) -> Option<Template> {
    if setting.uses.is_empty() {
        return None;
    }
    let name = &setting.name;
    let path = match owner.rsplit_once('.') {
        Some((service, file)) if owner.starts_with("services.") => {
            let is_label = file.starts_with("label_file");
            let list = if is_label { "labels" } else { "environment" };
            format!("{service}.{list}.{name}")
        }
        _ => name.clone(),
    };
    let uses = setting.uses.iter();
    let defaults = uses.clone().filter(|used| !used.defaults.is_empty());
    let defaults = defaults.map(|used| {
        let values = used.defaults.iter().cloned().collect();
        (used.name.clone(), values)
    });
    Some(Template {
        scope: 0, // the trace knows
        path,
        written: written.to_owned(),
        text: setting.value.clone(),
        defaults: defaults.collect(),
        variables: uses
            .map(|used| (used.name.clone(), used.value.clone()))
            .collect(),
    })
}

fn mark_of(tree: &Node, path: &str) -> Mark {
    tree.lookup(path).map(|node| node.mark).unwrap_or_default()
}
