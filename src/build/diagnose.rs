//! What is wrong with a Dockerfile, told as the loader tells of Compose files.

use std::path::Path;

use crate::compose::{Diagnostic, Diagnostics, Position, Severity, crop};
use crate::dockerfile::{Problem, Source, Span, Warning};

/// Problems as diagnostics with the lines that they are about.
pub fn problems(file: &Path, source: &Source, problems: &[Problem]) -> Diagnostics {
    let list = problems.iter().map(|problem| {
        let mut diagnostic = Diagnostic::error(problem.message.clone());
        diagnostic.expected.clone_from(&problem.expected);
        diagnostic.suggestion.clone_from(&problem.help);
        let at = narrowed(source, problem.at, &problem.message);
        placed(diagnostic, file, source, at)
    });
    Diagnostics {
        list: list.collect(),
    }
}

/// What the checks found as diagnostics: warnings, or errors where the file wants
/// them to be.
pub fn warnings(file: &Path, source: &Source, found: &[Warning], are_errors: bool) -> Diagnostics {
    let list = found.iter().map(|warning| {
        let mut diagnostic = Diagnostic::warning(warning.message.clone());
        if are_errors {
            diagnostic.severity = Severity::Error;
        }
        warning.rule.name().clone_into(&mut diagnostic.path);
        let url = warning.rule.url();
        diagnostic.suggestion = (!url.is_empty()).then(|| format!("see {url}"));
        placed(diagnostic, file, source, warning.at)
    });
    Diagnostics {
        list: list.collect(),
    }
}

/// The part of a place that a message is about: the first text in backticks, where
/// it stands there.
fn narrowed(source: &Source, at: Span, message: &str) -> Span {
    let part = message.split('`').nth(1).unwrap_or_default();
    let whole = source.part(at);
    match whole.find(part) {
        Some(start) if !part.is_empty() && !part.contains('\n') => {
            let before = usize::try_from(at.start).unwrap_or_default();
            Span::new(before + start..before + start + part.len())
        }
        _ => at,
    }
}

/// A diagnostic with position and excerpt; of a part that goes over several lines
/// the first is shown.
fn placed(mut diagnostic: Diagnostic, file: &Path, source: &Source, at: Span) -> Diagnostic {
    if at == Span::default() {
        return diagnostic;
    }
    let place = source.place(at.start);
    diagnostic.position = Some(Position {
        file: file.to_owned(),
        line: place.line,
        column: place.column,
    });
    let line = source.line(place.line).unwrap_or_default();
    let part = source
        .part(at)
        .split(['\n', '\r'])
        .next()
        .unwrap_or_default();
    let start = usize::try_from(place.column).unwrap_or(1).saturating_sub(1);
    diagnostic.excerpt = Some(crop(line, start, part.chars().count()));
    diagnostic
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dockerfile::parse;

    #[test]
    fn problems_show_their_line() {
        let text = "FROM a\nRUN x\nCOPYY . .\n";
        let error = parse(text.as_bytes()).unwrap_err();
        let shown = problems(Path::new("Dockerfile"), &error.source, &error.problems).to_string();
        let expected = "\
error: `COPYY` is no instruction
 --> Dockerfile:3:1
  |
3 | COPYY . .
  | ^^^^^
  = help: did you mean `COPY`?";
        assert_eq!(shown, expected);
    }
}
