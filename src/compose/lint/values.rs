//! Variables, labels and build arguments are texts. What stands there without
//! quotes is read as YAML first: `1.10` is the number 1.1, `012` is 10, `True` is
//! `true`.

use super::Linter;
use crate::compose::diag::Diagnostic;
use crate::compose::tree::{Mark, Node, Value};

/// Attributes whose values are texts.
const TEXTS: [&str; 5] = [
    "environment",
    "labels",
    "annotations",
    "build.args",
    "deploy.labels",
];

/// Numbers that are another text than the one that was written.
pub(super) fn numbers(linter: &Linter<'_>) -> Vec<Diagnostic> {
    changed(linter, |written| {
        written.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.'))
    })
}

/// Booleans that are another text than the one that was written.
pub(super) fn booleans(linter: &Linter<'_>) -> Vec<Diagnostic> {
    changed(linter, |written| written.starts_with(char::is_alphabetic))
}

fn changed(linter: &Linter<'_>, is_wanted: impl Fn(&str) -> bool) -> Vec<Diagnostic> {
    let mut hints = Vec::new();
    for service in linter.project.services.keys() {
        for attribute in TEXTS {
            let Some(list) = linter.attribute(service, attribute) else {
                continue;
            };
            for (name, text, mark) in texts(list) {
                let Some(written) = linter.token(mark).filter(|written| is_wanted(written)) else {
                    continue;
                };
                // A list has `NAME=VALUE`, a variable stands for something else.
                if written == text || written.contains(['=', '$', '"', '\'']) {
                    continue;
                }
                // An alias brings one place to several services.
                let place = linter.sources.position(mark);
                if hints
                    .iter()
                    .any(|known: &Diagnostic| known.position == place)
                {
                    continue;
                }
                if hints.len() >= super::MOST {
                    return hints;
                }
                let path = format!("services.{service}.{attribute}.{name}");
                let message = format!("`{written}` is read as YAML, the value is `{text}`");
                let hint = linter.hint(mark, &path, message);
                hints.push(hint.suggest(format!("if the text is meant: \"{written}\"")));
            }
        }
    }
    hints
}

/// The values that are no strings in their file: name, text, place.
fn texts(list: &Node) -> Vec<(&str, String, Mark)> {
    match &list.value {
        Value::Map(map) => map
            .iter()
            .filter(|(_, node)| node.as_str().is_none())
            .filter_map(|(name, node)| Some((name.as_str(), node.scalar_text()?, node.mark)))
            .collect(),
        // What was a mapping before it was merged.
        Value::Seq(items) => items
            .iter()
            .filter_map(|item| {
                let (name, value) = item.as_str()?.split_once('=')?;
                let is_read = value.parse::<f64>().is_ok() || matches!(value, "true" | "false");
                is_read.then(|| (name, value.to_owned(), item.mark))
            })
            .collect(),
        _ => Vec::new(),
    }
}
