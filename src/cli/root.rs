//! What runs as root, and what sudo takes away.

use std::collections::BTreeSet;
use std::ffi::OsString;

use super::error::CliError;
use crate::env;

/// Fails with the exact command to type where the caller is not root. `asked`
/// gives the variables that the project's files ask for.
///
/// # Errors
/// [`CliError::Failed`] with the sudo command in it.
pub fn require(
    arguments: Vec<OsString>,
    asked: impl FnOnce() -> BTreeSet<String>,
) -> Result<(), CliError> {
    if rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let words: Vec<String> = arguments
        .into_iter()
        .map(|word| quote(&word.to_string_lossy()))
        .collect();
    let program = words.first().map_or("skiff", String::as_str);
    let program = own_path(program);
    let rest = words.get(1..).unwrap_or_default().join(" ");
    let asked = asked();
    let dropped: Vec<String> = env::all()
        .into_iter()
        .map(|(name, _)| name)
        .filter(|name| is_ours(name) || (asked.contains(name) && !is_sudos(name)))
        .collect();
    Err(CliError::new(message(&program, &rest, dropped)))
}

/// sudo looks programs up in its own path, so only an absolute one is sure.
fn own_path(typed: &str) -> String {
    std::env::current_exe()
        .ok()
        .and_then(|path| path.into_os_string().into_string().ok())
        .map_or_else(|| typed.to_owned(), |path| quote(&path))
}

fn message(program: &str, rest: &str, mut dropped: Vec<String>) -> String {
    dropped.sort();
    if dropped.is_empty() {
        return format!("this needs root; type: sudo {program} {rest}");
    }
    let list = dropped.join(",");
    format!(
        "this needs root; type: sudo --preserve-env={list} {program} {rest} \
         (without that option sudo drops {})",
        dropped.join(", ")
    )
}

/// Variables that change what skiff does.
fn is_ours(name: &str) -> bool {
    let upper = name.to_ascii_uppercase();
    ["COMPOSE_", "SKIFF_", "DOCKER_"]
        .iter()
        .any(|prefix| upper.starts_with(prefix))
        || [
            "HTTP_PROXY",
            "HTTPS_PROXY",
            "NO_PROXY",
            "ALL_PROXY",
            "SSL_CERT_FILE",
            "SSL_CERT_DIR",
            "CONTAINERS_REGISTRIES_CONF",
        ]
        .contains(&upper.as_str())
}

/// Variables that sudo sets itself, or that are put right afterwards (see
/// [`super::sudo`]).
fn is_sudos(name: &str) -> bool {
    [
        "HOME", "LOGNAME", "MAIL", "PATH", "PWD", "SHELL", "TERM", "USER",
    ]
    .contains(&name)
}

/// A word as a POSIX shell takes it back.
fn quote(word: &str) -> String {
    let plain = !word.is_empty()
        && word
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_./:=@,+%".contains(c));
    if plain {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_can_be_pasted() {
        assert_eq!(quote("a b"), "'a b'");
        assert_eq!(quote("it's"), "'it'\\''s'");
        assert_eq!(quote("-f"), "-f");
        assert_eq!(quote(""), "''");
    }

    #[test]
    fn dropped_variables_are_named() {
        let text = message("/usr/bin/skiff", "up", vec!["COMPOSE_FILE".into()]);
        assert!(
            text.contains("sudo --preserve-env=COMPOSE_FILE /usr/bin/skiff up"),
            "{text}"
        );
        assert!(is_ours("https_proxy"));
        assert!(!is_ours("PATH"));
        assert!(is_sudos("HOME") && !is_sudos("PORT"));
    }
}
