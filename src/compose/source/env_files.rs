//! The project's variables: the environment, then `--env-file` or `.env`.

use std::path::{Path, PathBuf};

use super::Source;
use crate::compose::diag::{Diagnostic, SetPart, did_you_mean, quoted};
use crate::compose::files::FileSystem as _;
use crate::compose::loader::Environment;
use crate::compose::paths::absolute;
use crate::compose::tree::Mark;

/// The variable that says that no `.env` is read.
const DISABLE: &str = "COMPOSE_DISABLE_ENV_FILE";

impl Source<'_, '_> {
    /// Reads `--env-file`, `COMPOSE_ENV_FILES` or the project folder's `.env`;
    /// what is set already stays.
    pub(super) fn env_files(&mut self) -> Option<()> {
        let cwd = &self.options.cwd;
        let mut files: Vec<PathBuf> = self
            .options
            .env_files
            .iter()
            .map(|file| absolute(cwd, file))
            .collect();
        if files.is_empty() {
            let variable = self.options.environment.get("COMPOSE_ENV_FILES");
            let names = variable.map(String::as_str).unwrap_or_default().split(',');
            files.extend(
                names
                    .filter(|name| !name.is_empty())
                    .map(|name| absolute(cwd, Path::new(name))),
            );
        }
        if files.is_empty() && !self.is_dotenv_disabled()? {
            let default = self.project_directory().join(".env");
            if self.loader.files.exists(&default) && !self.loader.files.is_dir(&default) {
                files.push(default);
            }
        }
        let mut read = Environment::new();
        if let Some(trace) = &mut self.loader.report.trace {
            trace.round += 1;
        }
        for file in files {
            // These files are read twice: for the command, and for the project.
            if self.loader.files.is_pipe(&file) {
                let message = format!(
                    "cannot read the variables of `{}`: it is a pipe with a name (FIFO)",
                    file.display()
                );
                let diagnostic = Diagnostic::error(message)
                    .expected("a file of lines NAME=VALUE")
                    .suggest("name a file, `/dev/stdin`, or `<(…)` of the shell");
                self.loader.report.push(diagnostic);
                return None;
            }
            let outside = self.environment.clone();
            self.loader
                .read_variables(&file, &mut read, &outside, (Mark::default(), ""))?;
        }
        for (name, value) in read {
            self.environment.entry(name).or_insert(value);
        }
        Some(())
    }

    fn is_dotenv_disabled(&mut self) -> Option<bool> {
        let options = self.options;
        let shell = options.environment.get(DISABLE);
        let first = || options.first.as_ref()?.get(DISABLE);
        let Some(text) = shell.map(String::as_str).or_else(first) else {
            return Some(false);
        };
        match text {
            "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
            "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
            _ => {
                let message = format!("`{DISABLE}` is {}, that is not a boolean", quoted(text));
                let mut diagnostic = Diagnostic::error(message).expected("`true` or `false`");
                let advice = "set it to one of these in the environment, or unset it";
                let meant = did_you_mean(text, ["true", "false"].into_iter());
                diagnostic.suggestion = Some(meant.unwrap_or_else(|| advice.to_owned()));
                let (report, set) = (&mut self.loader.report, (DISABLE, SetPart::Value));
                let sources = &report.sources;
                report.push(sources.of_variable(diagnostic, set, &self.environment));
                None
            }
        }
    }
}
