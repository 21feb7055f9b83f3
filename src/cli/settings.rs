//! What flags and `COMPOSE_*` variables decide for every command.
//!
//! A flag wins over its variable, the shell over `.env`. As with Docker, some
//! variables count in the shell alone: those that decide where `.env` is looked
//! for or how it is told ([`super::variables`]).

use super::args::Global;
use super::variables::{BOOLEANS, Reach, no_boolean, of_words, reach};
use super::{folder, sudo};
use crate::compose::{
    self, Diagnostic, FileArg, FirstVariables, Host, LoadOptions, SetPart, is_true,
};
use crate::env;
use crate::ui::{Ansi, Progress, Ui};

/// The words of `--ansi`.
const ANSI: [(&str, Ansi); 3] = [
    ("auto", Ansi::Auto),
    ("never", Ansi::Never),
    ("always", Ansi::Always),
];

/// The words of `--progress`.
const PROGRESS: [(&str, Progress); 7] = [
    ("", Progress::Auto),
    ("auto", Progress::Auto),
    ("tty", Progress::Tty),
    ("plain", Progress::Plain),
    ("json", Progress::Json),
    ("quiet", Progress::Quiet),
    ("none", Progress::Quiet),
];

/// Decisions for one command.
#[derive(Debug, Default)]
pub struct Settings {
    /// How things are shown.
    pub ui: Ui,
    /// How many operations run at once, where somebody said so.
    pub parallel: Option<usize>,
    /// The variables of the first `.env`, as far as the shell has none.
    pub first: FirstVariables,
    /// Warnings of values without a meaning, that are let pass.
    pub remarks: Vec<Diagnostic>,
}

/// Why there are no settings.
type Refusal = Box<Diagnostic>;

impl Settings {
    /// Decides.
    ///
    /// # Errors
    /// A variable or a flag has a value that it cannot have, or two of them
    /// exclude each other.
    pub fn new(global: &Global) -> Result<Self, Refusal> {
        let mut settings = Self {
            first: first(global),
            ..Self::default()
        };
        let (ansi, said) = settings.ansi(global)?;
        let progress = settings.progress(global)?;
        let conflict = match (progress, said.as_str()) {
            (Progress::Tty, "never") => {
                Some("can't use --progress tty while ANSI support is disabled")
            }
            (Progress::Plain, "always") => {
                Some("can't use --progress plain while ANSI support is forced")
            }
            _ => None,
        };
        if let Some(message) = conflict {
            let found = Diagnostic::error(message);
            let is_flag = global.no_ansi || global.ansi.is_some();
            let placed = |found| settings.value(env::COMPOSE_ANSI, found);
            return Err(Box::new(if is_flag { found } else { placed(found) }));
        }
        let to_stdout = env::read_string(env::COMPOSE_STATUS_STDOUT);
        settings.ui = Ui::new(ansi, progress, to_stdout.is_some_and(|text| is_true(&text)));
        settings.parallel = settings.parallel(global)?;
        let remarks = BOOLEANS.iter().filter_map(|name| {
            let said = settings.get(name)?;
            Some(settings.value(name, no_boolean(name, &said)?))
        });
        let remarks: Vec<_> = remarks.collect();
        settings.remarks.extend(remarks);
        Ok(settings)
    }

    /// A variable of the shell, else of the first `.env`.
    pub fn get(&self, name: &str) -> Option<String> {
        let shell = env::read_string(name);
        shell.or_else(|| {
            let counts = reach(name).is_some_and(|reach| reach >= Reach::First);
            let first = self.first.get(name).filter(|_| counts);
            first.map(str::to_owned)
        })
    }

    /// The same as a truth value.
    pub fn is_set(&self, name: &str) -> bool {
        self.get(name).is_some_and(|text| is_true(&text))
    }

    /// What is wrong with a variable's value, where it is set.
    fn value(&self, name: &str, found: Diagnostic) -> Diagnostic {
        self.first.of_variable(name, SetPart::Value, found)
    }

    /// When to use colours, and the word that says so. A word without a meaning
    /// counts as `never`, as with Docker, and is told.
    fn ansi(&mut self, global: &Global) -> Result<(Ansi, String), Refusal> {
        if global.no_ansi {
            if global.ansi.is_some() {
                let message = "--no-ansi and --ansi exclude each other";
                return Err(Box::new(Diagnostic::error(message)));
            }
            return Ok((Ansi::Never, "never".to_owned()));
        }
        let (origin, said) = match (&global.ansi, self.get(env::COMPOSE_ANSI)) {
            (Some(said), _) => ("--ansi", said.clone()),
            (None, Some(said)) => (env::COMPOSE_ANSI, said),
            (None, None) => return Ok((Ansi::Auto, "auto".to_owned())),
        };
        let known = ANSI.iter().find(|(word, _)| *word == said);
        if known.is_none() {
            let message = format!("{origin} {said:?} has no meaning and counts as `never`");
            let found = Diagnostic::warning(message);
            let words = ANSI.map(|(word, _)| word);
            let found = of_words(found, &said, "`auto`, `never` or `always`", &words);
            self.remarks.push(self.value(origin, found));
        }
        Ok((known.map_or(Ansi::Never, |(_, ansi)| *ansi), said))
    }

    /// `--progress`, else `COMPOSE_PROGRESS` of the shell.
    fn progress(&self, global: &Global) -> Result<Progress, Refusal> {
        let said = progress_said(global);
        if let Some((_, progress)) = PROGRESS.iter().find(|(word, _)| *word == said) {
            return Ok(*progress);
        }
        let found = Diagnostic::error(format!("unsupported --progress value {said:?}"));
        let words = PROGRESS.map(|(word, _)| word);
        let expected = "`auto`, `tty`, `plain`, `json` or `quiet`";
        let found = of_words(found, &said, expected, &words);
        Err(Box::new(match global.progress {
            Some(_) => found,
            None => self.value(env::COMPOSE_PROGRESS, found),
        }))
    }

    fn parallel(&self, global: &Global) -> Result<Option<usize>, Refusal> {
        let name = env::COMPOSE_PARALLEL_LIMIT;
        let limit = match (global.parallel, self.get(name)) {
            (Some(limit), _) => limit,
            (None, None) => return Ok(None),
            (None, Some(text)) => text.parse().map_err(|_| {
                let message = format!("{name} must be an integer (found: {text:?})");
                let found = Diagnostic::error(message)
                    .expected("how many operations may run at once, such as `4`; `-1` is no limit");
                Box::new(self.value(name, found))
            })?,
        };
        // Zero and less mean no limit.
        Ok(usize::try_from(limit).ok().filter(|limit| *limit > 0))
    }
}

fn progress_said(global: &Global) -> String {
    let variable = || env::read_string(env::COMPOSE_PROGRESS);
    let said = global.progress.clone();
    said.or_else(variable).unwrap_or_default()
}

/// Whether messages are objects for tools, whatever else is wrong with the settings.
pub fn are_messages_data(global: &Global) -> bool {
    progress_said(global) == "json"
}

/// The variables of the files that are read before a Compose file is looked for. Errors
/// are told by the load.
fn first(global: &Global) -> FirstVariables {
    let Ok(cwd) = folder::current(&global.files) else {
        return FirstVariables::default();
    };
    let file = |name: &String| match name.as_str() {
        // Its text does not matter here.
        "-" => FileArg::Stdin(String::new()),
        path => FileArg::Path(path.into()),
    };
    let options = LoadOptions {
        files: global.files.iter().map(file).collect(),
        project_directory: global.project_directory.clone(),
        env_files: global.env_files.clone(),
        environment: sudo::environment().into_iter().collect(),
        cwd,
        ..LoadOptions::default()
    };
    compose::first_variables(&options, &Host)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a word of `--ansi` comes to: its remarks, and whether data is coloured.
    fn said(word: &str) -> (Vec<Diagnostic>, Ui) {
        let arguments = ["skiff", "--ansi", word, "config"];
        let cli = <crate::cli::args::Cli as clap::Parser>::try_parse_from(arguments).unwrap();
        let settings = Settings::new(&cli.global).unwrap();
        (settings.remarks, settings.ui)
    }

    #[test]
    fn a_word_of_ansi_without_a_meaning_counts_as_never_and_is_told() {
        let (remarks, ui) = said("allways");
        let found = remarks.first().unwrap();
        let told = "--ansi \"allways\" has no meaning and counts as `never`";
        assert_eq!(found.message, told);
        assert_eq!(found.suggestion.as_deref(), Some("did you mean `always`?"));
        assert!(!ui.color_out);
        let (remarks, ui) = said("always");
        assert!(remarks.is_empty() && ui.color_out);
        let (remarks, _) = said("foo");
        let expected = remarks[0].expected.as_deref();
        assert_eq!(expected, Some("`auto`, `never` or `always`"));
    }
}
