//! What flags and `COMPOSE_*` variables decide for every command.
//!
//! A flag wins over its variable, the shell over `.env`. As with Docker, some
//! variables count in the shell alone: those that decide where `.env` is looked
//! for or how it is told.

use indexmap::IndexMap;

use super::args::Global;
use super::error::CliError;
use super::{folder, sudo};
use crate::compose::{self, FileArg, Host, LoadOptions, is_true};
use crate::env;
use crate::ui::{Ansi, Progress, Ui};

/// Prefix of the variables that are for Compose itself.
const PREFIX: &str = "COMPOSE_";

/// The words of `--ansi`.
const ANSI: [(&str, Ansi); 3] = [
    ("auto", Ansi::Auto),
    ("never", Ansi::Never),
    ("always", Ansi::Always),
];

/// The variables that are truth values.
const BOOLEANS: [&str; 5] = [
    env::COMPOSE_COMPATIBILITY,
    env::COMPOSE_IGNORE_ORPHANS,
    env::COMPOSE_MENU,
    env::COMPOSE_REMOVE_ORPHANS,
    env::COMPOSE_STATUS_STDOUT,
];

/// What says false; all else that is not true counts as that, too.
const FALSE: [&str; 7] = ["", "0", "f", "false", "n", "no", "off"];

/// Decisions for one command.
#[derive(Debug, Default)]
pub struct Settings {
    /// How things are shown.
    pub ui: Ui,
    /// How many operations run at once, where somebody said so.
    pub parallel: Option<usize>,
    /// `COMPOSE_` variables of the first `.env`, as far as the shell has none.
    pub dotenv: IndexMap<String, String>,
    /// Values without a meaning, that are let pass: each a message and advice.
    pub remarks: Vec<(String, String)>,
}

impl Settings {
    /// Decides.
    ///
    /// # Errors
    /// A variable or a flag has a value that it cannot have, or two of them
    /// exclude each other.
    pub fn new(global: &Global) -> Result<Self, CliError> {
        let mut settings = Self {
            dotenv: dotenv(global),
            ..Self::default()
        };
        let (ansi, said) = settings.ansi(global)?;
        let progress = progress(global)?;
        match (progress, said.as_str()) {
            (Progress::Tty, "never") => {
                return Err(CliError::new(
                    "can't use --progress tty while ANSI support is disabled",
                ));
            }
            (Progress::Plain, "always") => {
                return Err(CliError::new(
                    "can't use --progress plain while ANSI support is forced",
                ));
            }
            _ => {}
        }
        let to_stdout = env::read_string(env::COMPOSE_STATUS_STDOUT);
        settings.ui = Ui::new(ansi, progress, to_stdout.is_some_and(|text| is_true(&text)));
        settings.parallel = settings.parallel(global)?;
        let remarks = BOOLEANS.iter().filter_map(|name| {
            let said = settings.get(name)?;
            no_boolean(name, &said)
        });
        let remarks: Vec<_> = remarks.collect();
        settings.remarks.extend(remarks);
        Ok(settings)
    }

    /// A variable of the shell, else of the first `.env`.
    pub fn get(&self, name: &str) -> Option<String> {
        let shell = env::read_string(name);
        shell.or_else(|| self.dotenv.get(name).cloned())
    }

    /// The same as a truth value.
    pub fn is_set(&self, name: &str) -> bool {
        self.get(name).is_some_and(|text| is_true(&text))
    }

    /// When to use colours, and the word that says so. A word without a meaning
    /// counts as `never`, as with Docker, and is told.
    fn ansi(&mut self, global: &Global) -> Result<(Ansi, String), CliError> {
        if global.no_ansi {
            if global.ansi.is_some() {
                return Err(CliError::new("--no-ansi and --ansi exclude each other"));
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
            let words = ANSI.iter().map(|(word, _)| *word);
            let advice = match crate::similar::similar(&said, words) {
                Some(nearest) => format!("did you mean `{nearest}`?"),
                None => "it takes auto, never or always".to_owned(),
            };
            let message = format!("{origin} {said:?} has no meaning and counts as `never`");
            self.remarks.push((message, advice));
        }
        Ok((known.map_or(Ansi::Never, |(_, ansi)| *ansi), said))
    }

    fn parallel(&self, global: &Global) -> Result<Option<usize>, CliError> {
        let limit = match (global.parallel, self.get(env::COMPOSE_PARALLEL_LIMIT)) {
            (Some(limit), _) => limit,
            (None, None) => return Ok(None),
            (None, Some(text)) => text.parse().map_err(|_| {
                CliError::new(format!(
                    "{} must be an integer (found: {text:?})",
                    env::COMPOSE_PARALLEL_LIMIT
                ))
            })?,
        };
        // Zero and less mean no limit.
        Ok(usize::try_from(limit).ok().filter(|limit| *limit > 0))
    }
}

/// What is said of a word that is no truth value and counts as false.
fn no_boolean(name: &str, said: &str) -> Option<(String, String)> {
    let word = said.trim().to_lowercase();
    let is_known = is_true(said) || FALSE.contains(&word.as_str());
    let message = format!("{name} {said:?} has no meaning and counts as `false`");
    (!is_known).then(|| (message, "it takes true or false".to_owned()))
}

/// `--progress`, else `COMPOSE_PROGRESS` of the shell.
fn progress(global: &Global) -> Result<Progress, CliError> {
    let variable = env::read_string(env::COMPOSE_PROGRESS);
    let text = global.progress.clone().or(variable).unwrap_or_default();
    match text.as_str() {
        "" | "auto" => Ok(Progress::Auto),
        "tty" => Ok(Progress::Tty),
        "plain" => Ok(Progress::Plain),
        "json" => Ok(Progress::Json),
        "quiet" | "none" => Ok(Progress::Quiet),
        _ => Err(
            CliError::new(format!("unsupported --progress value {text:?}"))
                .hint("it takes auto, tty, plain, json or quiet"),
        ),
    }
}

/// `COMPOSE_` variables of the files that are read before a Compose file is
/// looked for. Errors are told by the load.
fn dotenv(global: &Global) -> IndexMap<String, String> {
    let Ok(cwd) = folder::current(&global.files) else {
        return IndexMap::new();
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
    let mut variables = compose::first_variables(&options, &Host);
    // Where `.env` is looked for, and what tells of it, is the shell's to say.
    variables.retain(|name, _| {
        name.starts_with(PREFIX)
            && ![
                env::COMPOSE_ENV_FILES,
                env::COMPOSE_PROGRESS,
                env::COMPOSE_STATUS_STDOUT,
            ]
            .contains(&name.as_str())
    });
    variables
}

/// What is said of variables that mean nothing here: each a message and advice.
/// `asked` tells which ones the Compose files themselves use.
pub fn strangers<'a>(
    names: impl Iterator<Item = &'a str>,
    asked: impl Fn(&str) -> bool,
) -> Vec<(String, Option<String>)> {
    let mut names: Vec<&str> = names
        .filter(|name| name.starts_with(PREFIX) && !KNOWN.contains(name) && !asked(name))
        .collect();
    names.sort_unstable();
    names.dedup();
    let tell = |name: &str| {
        if let Some((_, why)) = WITHOUT_EFFECT.iter().find(|(known, _)| *known == name) {
            return (format!("`{name}` has no effect: {why}"), None);
        }
        let rest = |name: &'static str| name.strip_prefix(PREFIX).unwrap_or(name);
        let own = name.strip_prefix(PREFIX).unwrap_or(name);
        let nearest = crate::similar::similar(own, KNOWN.iter().copied().map(rest));
        (
            format!("`{name}` is no variable of Compose, it has no effect"),
            nearest.map(|nearest| format!("did you mean `{PREFIX}{nearest}`?")),
        )
    };
    names.into_iter().map(tell).collect()
}

/// The variables that have an effect.
const KNOWN: &[&str] = &[
    env::COMPOSE_ANSI,
    env::COMPOSE_COMPATIBILITY,
    env::COMPOSE_DISABLE_ENV_FILE,
    env::COMPOSE_ENV_FILES,
    env::COMPOSE_FILE,
    env::COMPOSE_IGNORE_ORPHANS,
    env::COMPOSE_MENU,
    env::COMPOSE_PARALLEL_LIMIT,
    env::COMPOSE_PATH_SEPARATOR,
    env::COMPOSE_PROFILES,
    env::COMPOSE_PROGRESS,
    env::COMPOSE_PROJECT_NAME,
    env::COMPOSE_REMOVE_ORPHANS,
    env::COMPOSE_STATUS_STDOUT,
];

/// Variables of Docker Compose, of today or of old, that have none here.
const WITHOUT_EFFECT: &[(&str, &str)] = &[
    ("COMPOSE_API_VERSION", NO_DAEMON),
    ("COMPOSE_BAKE", ONE_BUILDER),
    ("COMPOSE_CONVERT_WINDOWS_PATHS", "it is for Windows"),
    ("COMPOSE_DOCKER_CLI_BUILD", ONE_BUILDER),
    ("COMPOSE_EXPERIMENTAL_GIT_REMOTE", NO_REMOTE),
    ("COMPOSE_EXPERIMENTAL_OCI_REMOTE", NO_REMOTE),
    (
        "COMPOSE_EXPERIMENTAL_WATCH_TAR",
        "skiff does not watch files yet",
    ),
    ("COMPOSE_FORCE_WINDOWS_HOST", "it is for Windows"),
    ("COMPOSE_HTTP_TIMEOUT", NO_DAEMON),
    ("COMPOSE_TLS_VERSION", NO_DAEMON),
];

const NO_DAEMON: &str = "there is no daemon to talk to";
const ONE_BUILDER: &str = "skiff builds by itself";
const NO_REMOTE: &str = "files of other machines are not loaded";

#[cfg(test)]
mod tests {
    use super::*;

    /// What a word of `--ansi` comes to: its remarks, and whether data is coloured.
    fn said(word: &str) -> (Vec<(String, String)>, Ui) {
        let arguments = ["skiff", "--ansi", word, "config"];
        let cli = <crate::cli::args::Cli as clap::Parser>::try_parse_from(arguments).unwrap();
        let settings = Settings::new(&cli.global).unwrap();
        (settings.remarks, settings.ui)
    }

    #[test]
    fn a_word_of_ansi_without_a_meaning_counts_as_never_and_is_told() {
        let (remarks, ui) = said("allways");
        let told = "--ansi \"allways\" has no meaning and counts as `never`".to_owned();
        assert_eq!(remarks, [(told, "did you mean `always`?".to_owned())]);
        assert!(!ui.color_out);
        let (remarks, ui) = said("always");
        assert!(remarks.is_empty() && ui.color_out);
        assert_eq!(said("foo").0[0].1, "it takes auto, never or always");
    }

    #[test]
    fn a_word_that_is_no_boolean_counts_as_false_and_is_told() {
        for said in ["", "1", " TRUE ", "y", "0", "False", "off"] {
            assert_eq!(no_boolean(env::COMPOSE_MENU, said), None, "{said}");
        }
        for said in ["yess", "yes", "2"] {
            let (message, advice) = no_boolean(env::COMPOSE_MENU, said).unwrap();
            let told = format!("COMPOSE_MENU {said:?} has no meaning and counts as `false`");
            assert_eq!((message, advice.as_str()), (told, "it takes true or false"));
        }
    }

    #[test]
    fn strangers_are_told_once_with_the_nearest_name() {
        let names = [
            "COMPOSE_PROFILE",
            "COMPOSE_FILE",
            "COMPOSE_BAKE",
            "HOME",
            "COMPOSE_PROFILE",
            "COMPOSE_OWN",
            "COMPOSE_FOO",
        ];
        let told = strangers(names.into_iter(), |name| name == "COMPOSE_OWN");
        let lines: Vec<(&str, Option<&str>)> = told
            .iter()
            .map(|(message, hint)| (message.as_str(), hint.as_deref()))
            .collect();
        assert_eq!(
            lines,
            [
                ("`COMPOSE_BAKE` has no effect: skiff builds by itself", None),
                (
                    "`COMPOSE_FOO` is no variable of Compose, it has no effect",
                    None
                ),
                (
                    "`COMPOSE_PROFILE` is no variable of Compose, it has no effect",
                    Some("did you mean `COMPOSE_PROFILES`?")
                ),
            ]
        );
    }
}
