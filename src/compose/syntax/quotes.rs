//! Quotes that are not closed, what stands behind one, escapes.

use super::line::{in_quotes, key_of, value_start, value_text};
use super::{Bracket, Cause, File};

impl File<'_> {
    pub(super) fn open_quote(&self) -> Cause {
        let rest = self.rest();
        let quote = rest.chars().next().unwrap_or('"');
        let length = rest.chars().count();
        let cause = Cause::new(self.here(length), "this quote is not closed")
            .expected(format!("a second `{quote}`"));
        let closed = value_text(rest).trim_end_matches(quote);
        cause.suggest(format!("close it: {closed}{quote}"))
    }

    /// More stands behind a closed quote than can.
    pub(super) fn behind_a_quote(&self, open: Option<Bracket>) -> Cause {
        let line = self.text(self.line);
        let rest = self.rest();
        let before = line.strip_suffix(rest).unwrap_or_else(|| {
            let end = line.trim_end().len().saturating_sub(rest.len());
            line.get(..end).unwrap_or_default()
        });
        let quote = before.trim_end().chars().next_back().unwrap_or('"');
        let length = value_text(rest).chars().count();
        let is_entry = before.ends_with(' ') && rest.starts_with(['"', '\'']);
        if is_entry && (open.is_some() || is_quoted_key(rest)) {
            let message = "a comma is missing before this";
            let cause = Cause::new(self.here(length), message).expected("`,` between two entries");
            return match (last_quoted(before), first_quoted(rest)) {
                (Some(last), Some(next)) => cause.suggest(format!("write `{last}, {next}`")),
                _ => cause,
            };
        }
        let cause = Cause::new(self.here(length), "the quotes end before this");
        let whole = format!("{before}{}", value_text(rest));
        let start = value_start(&whole);
        let inner = whole.get(start..).unwrap_or_default().trim();
        let bare = inner.trim_start_matches(quote);
        if !before.ends_with(' ') && inner.ends_with(quote) {
            // A quote within the quotes.
            let bare = bare.strip_suffix(quote).unwrap_or(bare);
            // A command line is taken apart as a shell does it, quotes included.
            if let Some(key @ ("command" | "entrypoint")) = key_of(line) {
                let words: Vec<String> = bare.split_whitespace().map(in_quotes).collect();
                let list = words.join(", ");
                return cause.suggest(format!("write its words as a list: {key}: [{list}]"));
            }
            return cause.suggest(match quote {
                '\'' => format!(
                    "double a quote within quotes: '{}'",
                    bare.replace('\'', "''")
                ),
                _ => format!(
                    "put a backslash before a quote within quotes: \"{}\"",
                    bare.replace('"', "\\\"")
                ),
            });
        }
        let all = bare.replacen(quote, "", 1);
        cause.suggest(format!("put all of it in the quotes: {quote}{all}{quote}"))
    }

    pub(super) fn escape(&self) -> Option<Cause> {
        let rest = self.rest();
        let known = "0abtnvfre \"/\\N_LPxuU";
        let mut after_backslash = false;
        let (column, wrong) = rest.chars().enumerate().find_map(|(index, c)| {
            if after_backslash {
                after_backslash = false;
                (!known.contains(c) || "xuU".contains(c)).then_some((index, c))
            } else {
                after_backslash = c == '\\';
                None
            }
        })?;
        let message = format!("`\\{wrong}` means nothing in double quotes");
        let cause = Cause::new((self.line, self.column + column - 1, 2), message);
        let inner = value_text(rest).trim_matches('"');
        Some(if inner.contains('\'') {
            cause.suggest("double each backslash: `\\\\`")
        } else {
            cause.suggest(format!(
                "use single quotes, in which a backslash is nothing special: '{inner}'"
            ))
        })
    }
}

/// The text in quotes that a line begins with, quotes included.
fn first_quoted(text: &str) -> Option<&str> {
    let quote = text.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let end = text.get(1..)?.find(quote)?;
    text.get(..end + 2)
}

/// The text in quotes that a line ends with, quotes included.
fn last_quoted(text: &str) -> Option<&str> {
    let text = text.trim_end();
    let inner = text.strip_suffix(['"', '\''])?;
    let quote = text.get(inner.len()..)?;
    text.get(inner.rfind(quote)?..)
}

/// True for `"key":`, as JSON has it.
fn is_quoted_key(text: &str) -> bool {
    let behind = first_quoted(text).and_then(|key| text.strip_prefix(key));
    behind.is_some_and(|behind| behind.trim_start().starts_with(':'))
}
