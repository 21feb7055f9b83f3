//! Health checks that are a text and begin as a list does: a text is for the shell, which
//! looks for a program `CMD` then.

use super::Linter;
use crate::compose::diag::Diagnostic;
use crate::compose::shell;

/// Longer commands are not written out anew.
const LONGEST: usize = 200;

/// What a shell does not hand on to a program as it stands.
const FOR_A_SHELL: &[char] = &['$', '`', '|', '&', ';', '<', '>', '(', '*', '?', '~'];

pub(super) fn words_in_texts(linter: &Linter<'_>) -> Vec<Diagnostic> {
    let services = linter.project.services.keys();
    let hints = services.filter_map(|name| {
        let node = linter.attribute(name, "healthcheck.test")?;
        let (word, rest) = misplaced(node.as_str()?)?;
        let path = format!("services.{name}.healthcheck.test");
        let message = format!("a text is run by a shell, which looks for a program `{word}`");
        let hint = linter.hint(node.place(), &path, message);
        let hint = hint.expected(match word {
            "NONE" => "the list `[\"NONE\"]`, or `disable: true`".to_owned(),
            _ => format!("a list that begins with `{word}`, or the command alone"),
        });
        Some(hint.suggest(mended(word, rest)))
    });
    hints.take(super::MOST).collect()
}

/// The word that a list would begin with, and the command.
fn misplaced(text: &str) -> Option<(&str, &str)> {
    let text = text.trim();
    let (word, rest) = match text.split_once(char::is_whitespace) {
        Some((word, rest)) => (word, rest.trim_start()),
        None => (text, ""),
    };
    match (word, rest.is_empty()) {
        ("CMD" | "CMD-SHELL", false) | ("NONE", true) => Some((word, rest)),
        _ => None,
    }
}

fn mended(word: &str, rest: &str) -> String {
    if rest.len() > LONGEST {
        return format!("write it as a list: `[\"{word}\", …]`");
    }
    let is_plain = word == "CMD" && !rest.contains(FOR_A_SHELL);
    let split = || shell::split(rest, LONGEST).ok().flatten();
    let (word, words) = match is_plain.then(split).flatten() {
        Some(words) => (word, words),
        None if rest.is_empty() => (word, Vec::new()),
        None => ("CMD-SHELL", vec![rest.to_owned()]),
    };
    let list: Vec<String> = std::iter::once(word.to_owned())
        .chain(words)
        .map(|word| format!("{word:?}"))
        .collect();
    format!("write `test: [{}]`", list.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_with_signs_of_the_shell_stays_one_text() {
        for (text, list) in [
            ("CMD curl -f 'a b'", r#"["CMD", "curl", "-f", "a b"]"#),
            ("CMD a || exit 1", r#"["CMD-SHELL", "a || exit 1"]"#),
            ("CMD-SHELL a b", r#"["CMD-SHELL", "a b"]"#),
            ("CMD a 'b", r#"["CMD-SHELL", "a 'b"]"#),
            (" NONE ", r#"["NONE"]"#),
        ] {
            let (word, rest) = misplaced(text).unwrap();
            assert_eq!(mended(word, rest), format!("write `test: {list}`"));
        }
        for text in ["CMD", "CMDX a", "curl CMD x", "NONE of", ""] {
            assert_eq!(misplaced(text), None, "{text}");
        }
    }
}
