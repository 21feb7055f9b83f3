//! Where a variable is set, for what is wrong with it: the line of a file of variables
//! and the part of it, or the environment.

use std::ops::Range;

use indexmap::IndexMap;

use super::{Diagnostic, Sources, Step};
use crate::compose::tree::Mark;

/// The part of a line `NAME=VALUE` that a message is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SetPart {
    /// The name.
    Name,
    /// The value; of that only what the message repeats in backticks, where it does.
    Value,
}

impl Sources {
    /// Says of what is wrong with a variable where it is set: in which line of which file,
    /// or that the environment has it, which is no place. `environment` are the project's
    /// variables; nothing is said of one that they do not have.
    pub(crate) fn of_variable(
        &self,
        mut diagnostic: Diagnostic,
        (name, part): (&str, SetPart),
        environment: &IndexMap<String, String>,
    ) -> Diagnostic {
        let Some(value) = environment.get(name) else {
            return diagnostic;
        };
        if self.provenance.shell.get(name) == Some(value) {
            diagnostic.chain.push(Step {
                what: format!("`{name}` is set in the environment"),
                position: None,
            });
            return diagnostic;
        }
        let find = |outside| self.provenance.mark(name, value, outside, self);
        // A value may be made of variables that only an earlier file sets.
        let line = find(&self.provenance.shell).or_else(|| find(environment));
        if let Some(line) = line {
            let mark = self.narrowed(self.set_part(line, name, part), &diagnostic.message);
            diagnostic.position = self.position(mark);
            diagnostic.excerpt = self.excerpt(mark);
        }
        diagnostic
    }

    /// The part of a line that sets a variable; the line, where it cannot be found there.
    fn set_part(&self, line: Mark, name: &str, part: SetPart) -> Mark {
        let text = self.line(line).unwrap_or_default();
        let Some(Range { start, end }) = span(text, name, part) else {
            return line;
        };
        let count = |part: Option<&str>| part.unwrap_or_default().chars().count();
        let before = u32::try_from(count(text.get(..start))).unwrap_or(u32::MAX);
        Mark {
            column: before.saturating_add(1),
            length: u16::try_from(count(text.get(start..end))).unwrap_or(Mark::TO_LINE_END),
            ..line
        }
    }
}

/// Where the part is, in bytes: the name where the value is empty or comes from outside,
/// and of a value in quotes its first line.
fn span(line: &str, name: &str, part: SetPart) -> Option<Range<usize>> {
    let mut rest = line.trim_start();
    if let Some(after) = rest.strip_prefix("export")
        && after.starts_with(char::is_whitespace)
    {
        rest = after.trim_start();
    }
    let at = |rest: &str| line.len() - rest.len();
    let start = at(rest);
    let own = start..start + name.len();
    let behind = rest.strip_prefix(name)?;
    let value = behind.trim_start().strip_prefix(['=', ':']);
    let value = match value.map(str::trim_start) {
        Some(value) if part == SetPart::Value => value,
        _ => return Some(own),
    };
    let length = match value.chars().next() {
        Some(quote @ ('"' | '\'')) => {
            closing(value, quote).unwrap_or_else(|| value.trim_end().len())
        }
        _ => value
            .split(" #")
            .next()
            .unwrap_or_default()
            .trim_end()
            .len(),
    };
    let start = at(value);
    Some(if length == 0 {
        own
    } else {
        start..start + length
    })
}

/// The length of a value in quotes that ends in its line.
fn closing(value: &str, quote: char) -> Option<usize> {
    let mut is_escaped = true; // the quote that opens it
    let end = value.char_indices().find(|(_, c)| {
        let is_end = *c == quote && !is_escaped;
        is_escaped = *c == '\\' && !is_escaped;
        is_end
    });
    end.map(|(at, c)| at + c.len_utf8())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_values_are_found_in_their_lines() {
        for (line, name, value) in [
            ("A=b", "A", "b"),
            ("export  A = b c # d", "A", "b c"),
            ("A: 'b # c' # d", "A", "'b # c'"),
            ("A=\"b\\\"c\" # d", "A", "\"b\\\"c\""),
            ("A=\"b", "A", "\"b"),
            ("  export=x", "export", "x"),
            ("A=", "A", "A"),
            ("A", "A", "A"),
            ("Ä.1=ö", "Ä.1", "ö"),
        ] {
            let found = |part| span(line, name, part).map(|range| &line[range]);
            assert_eq!(found(SetPart::Name), Some(name), "{line}");
            assert_eq!(found(SetPart::Value), Some(value), "{line}");
        }
        assert_eq!(span("B=1", "A", SetPart::Name), None);
    }
}
