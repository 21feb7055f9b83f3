//! What is said of `COMPOSE_` variables that are misspelt, that have no effect where they
//! are set, or whose value means nothing. Pure: whoever read them knows the place.

use crate::compose::{Diagnostic, VARIABLE_PREFIX, did_you_mean, is_true};
use crate::env;

/// Where a variable is set. Each variable counts as far as one of these: the shell alone,
/// with the files that are read first, with the project folder's `.env`, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// In the environment of the process.
    Shell,
    /// In the files that are read before a Compose file is looked for.
    First,
    /// In the `.env` of the folder where the Compose file was found.
    Project,
}

/// The variables that have an effect, and how far they count: as with Docker Compose,
/// which looks for files, colours and limits before it knows the project's folder.
const KNOWN: [(&str, Reach); 14] = [
    (env::COMPOSE_ANSI, Reach::First),
    (env::COMPOSE_COMPATIBILITY, Reach::Project),
    (env::COMPOSE_DISABLE_ENV_FILE, Reach::First),
    (env::COMPOSE_ENV_FILES, Reach::Shell),
    (env::COMPOSE_FILE, Reach::First),
    (env::COMPOSE_IGNORE_ORPHANS, Reach::Project),
    (env::COMPOSE_MENU, Reach::First),
    (env::COMPOSE_PARALLEL_LIMIT, Reach::First),
    (env::COMPOSE_PATH_SEPARATOR, Reach::First),
    (env::COMPOSE_PROFILES, Reach::Project),
    (env::COMPOSE_PROGRESS, Reach::Shell),
    (env::COMPOSE_PROJECT_NAME, Reach::Project),
    (env::COMPOSE_REMOVE_ORPHANS, Reach::First),
    (env::COMPOSE_STATUS_STDOUT, Reach::Shell),
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
        "watched files go into containers one by one",
    ),
    ("COMPOSE_FORCE_WINDOWS_HOST", "it is for Windows"),
    ("COMPOSE_HTTP_TIMEOUT", NO_DAEMON),
    ("COMPOSE_TLS_VERSION", NO_DAEMON),
];

const NO_DAEMON: &str = "there is no daemon to talk to";
const ONE_BUILDER: &str = "skiff builds by itself";
const NO_REMOTE: &str = "files of other machines are not loaded";

/// The variables that are truth values.
pub const BOOLEANS: [&str; 5] = [
    env::COMPOSE_COMPATIBILITY,
    env::COMPOSE_IGNORE_ORPHANS,
    env::COMPOSE_MENU,
    env::COMPOSE_REMOVE_ORPHANS,
    env::COMPOSE_STATUS_STDOUT,
];

/// What says false; all else that is not true counts as that, too.
const FALSE: [&str; 7] = ["", "0", "f", "false", "n", "no", "off"];

/// How far a variable counts; `None` where it has no effect at all.
pub fn reach(name: &str) -> Option<Reach> {
    let known = KNOWN.iter().find(|(known, _)| *known == name);
    known.map(|(_, reach)| *reach)
}

/// What is said of the name of a variable that means nothing, or nothing where it is set.
pub fn stranger(name: &str, set: Reach) -> Option<Diagnostic> {
    match reach(name) {
        _ if !name.starts_with(VARIABLE_PREFIX) => None,
        Some(reach) if set <= reach => None,
        Some(Reach::Shell) => {
            let message = format!("`{name}` has no effect in a file of variables");
            let told =
                Diagnostic::warning(message).expected(format!("`{name}` in the environment"));
            Some(told.suggest("set it there, and remove it here"))
        }
        Some(_) => {
            let message = format!("`{name}` has no effect in the project folder's `.env`");
            let place = "in the environment, or in the `.env` of the current folder";
            let told = Diagnostic::warning(message).expected(format!("`{name}` {place}"));
            let advice = "set it there; this file is read when it has been asked for already";
            Some(told.suggest(advice))
        }
        None => Some(unknown(name)),
    }
}

fn unknown(name: &str) -> Diagnostic {
    if let Some((_, why)) = WITHOUT_EFFECT.iter().find(|(known, _)| *known == name) {
        let message = format!("`{name}` has no effect: {why}");
        return Diagnostic::warning(message).suggest("remove it, if it is only for Compose");
    }
    let message = format!("`{name}` is no variable of Compose, it has no effect");
    let told = Diagnostic::warning(message)
        .expected("a variable of Compose, or a name that does not begin with `COMPOSE_`");
    let rest = |name: &'static str| name.strip_prefix(VARIABLE_PREFIX).unwrap_or(name);
    let own = name.strip_prefix(VARIABLE_PREFIX).unwrap_or(name);
    let known = KNOWN.iter().map(|(known, _)| rest(known));
    match crate::similar::similar(own, known) {
        Some(nearest) => told.suggest(format!("did you mean `{VARIABLE_PREFIX}{nearest}`?")),
        None => told,
    }
}

/// What is said of a word that is no truth value and counts as false.
pub fn no_boolean(name: &str, said: &str) -> Option<Diagnostic> {
    let word = said.trim().to_lowercase();
    let is_known = is_true(said) || FALSE.contains(&word.as_str());
    let message = format!("{name} {said:?} has no meaning and counts as `false`");
    (!is_known).then(|| {
        let told = Diagnostic::warning(message);
        of_words(told, said, "`true` or `false`", &["true", "false"])
    })
}

/// Says which words there are, and which one was meant.
pub fn of_words(
    diagnostic: Diagnostic,
    said: &str,
    expected: &str,
    words: &[&'static str],
) -> Diagnostic {
    let told = diagnostic.expected(expected);
    match did_you_mean(said.trim(), words.iter().copied()) {
        Some(question) => told.suggest(question),
        None => told,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_that_is_no_boolean_counts_as_false_and_is_told() {
        for said in ["", "1", " TRUE ", "y", "0", "False", "off"] {
            assert_eq!(no_boolean(env::COMPOSE_MENU, said), None, "{said}");
        }
        for (said, meant) in [("ture", Some("true")), ("yes", None), ("2", None)] {
            let found = no_boolean(env::COMPOSE_MENU, said).unwrap();
            let told = format!("COMPOSE_MENU {said:?} has no meaning and counts as `false`");
            assert_eq!(found.message, told);
            assert_eq!(found.expected.as_deref(), Some("`true` or `false`"));
            let question = meant.map(|word| format!("did you mean `{word}`?"));
            assert_eq!(found.suggestion, question, "{said}");
        }
    }

    #[test]
    fn strangers_are_told_with_the_nearest_name() {
        let said = |name, set| {
            let told = stranger(name, set)?;
            Some((told.message, told.suggestion.unwrap_or_default()))
        };
        for (name, message, advice) in [
            (
                "COMPOSE_BAKE",
                "`COMPOSE_BAKE` has no effect: skiff builds by itself",
                "remove it, if it is only for Compose",
            ),
            (
                "COMPOSE_FOO",
                "`COMPOSE_FOO` is no variable of Compose, it has no effect",
                "",
            ),
            (
                "COMPOSE_PROFLES",
                "`COMPOSE_PROFLES` is no variable of Compose, it has no effect",
                "did you mean `COMPOSE_PROFILES`?",
            ),
        ] {
            let expected = Some((message.to_owned(), advice.to_owned()));
            assert_eq!(said(name, Reach::Shell), expected);
        }
        assert_eq!(said("HOME", Reach::First), None);
    }

    #[test]
    fn a_variable_is_told_where_it_does_not_count() {
        for (name, _) in KNOWN {
            assert_eq!(stranger(name, Reach::Shell), None, "{name}");
        }
        for (name, first, project) in [
            (env::COMPOSE_PROGRESS, true, true),
            (env::COMPOSE_ANSI, false, true),
            (env::COMPOSE_PROFILES, false, false),
        ] {
            let is_told = |set| stranger(name, set).is_some();
            let found = (is_told(Reach::First), is_told(Reach::Project));
            assert_eq!(found, (first, project), "{name}");
        }
    }
}
