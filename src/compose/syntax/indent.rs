//! Lines that are indented so that they belong to nothing.

use super::line::{
    as_key, content, in_quotes, indent, is_block_start, key_of, spaces, value_start, value_text,
    with_spaces,
};
use super::{Cause, File, not_a_key};

impl<'t> File<'t> {
    /// A colon with a space behind it where there can be none.
    pub(super) fn colon(&self) -> Option<Cause> {
        let line = self.text(self.line);
        let before: String = line.chars().take(self.column - 1).collect();
        if let Some(key) = key_of(&before) {
            let start = value_start(line);
            let value = value_text(line.get(start..)?);
            let column = line.get(..start)?.chars().count() + 1;
            let place = (self.line, column, value.chars().count());
            let cause = Cause::new(
                place,
                format!("the value of `{key}` has `: ` in it, as if it were a key"),
            );
            return Some(
                cause
                    .expected("a value in quotes, or without a space behind its colon")
                    .suggest(format!(
                        "write `{key}: {}` or `{key}: {}`",
                        value.replacen(": ", ":", 1),
                        in_quotes(value)
                    )),
            );
        }
        let (number, above) = self.above(self.line)?;
        let is_entry = content(above).starts_with("- ");
        if let Some(cause) = is_entry.then(|| self.bare(number)).flatten() {
            return Some(cause);
        }
        if let Some(cause) = not_a_key(number, above, indent(line)) {
            return Some(cause);
        }
        // The line above has its value already.
        let Some(key) = key_of(above) else {
            return self.bare(number);
        };
        let place = (self.line, indent(line) + 1, content(line).chars().count());
        let cause = Cause::new(
            place,
            format!("this line is indented deeper than `{key}`, which has a value already"),
        )
        .path_of(number);
        Some(cause.suggest(format!(
            "{}, to stand beside `{key}`",
            with_spaces(indent(above))
        )))
    }

    /// A line that should have been a key.
    pub(super) fn no_key(&self) -> Option<Cause> {
        let is_whole_line = indent(self.text(self.line)) + 1 >= self.column;
        let (number, text) = if is_whole_line {
            self.above(self.line)?
        } else {
            (self.line, self.text(self.line))
        };
        if let Some((above_number, above)) = self.above(number)
            && is_block_start(above)
            && indent(text) <= indent(above)
        {
            let key = key_of(above).unwrap_or_default();
            let place = (number, indent(text) + 1, content(text).chars().count());
            let cause = Cause::new(
                place,
                format!("this line is no part of the text of `{key}`"),
            )
            .path_of(above_number);
            return Some(cause.suggest(format!(
                "indent the lines of the text deeper than `{key}`, with {}",
                spaces(indent(above) + 2)
            )));
        }
        let last = if key_of(text).is_some() {
            number.saturating_sub(1)
        } else {
            number
        };
        self.bare(last)
            .or_else(|| not_a_key(number, text, indent(text)))
    }

    /// A line in a mapping that is no key of it.
    pub(super) fn no_sibling(&self) -> Option<Cause> {
        let line = self.text(self.line);
        let own = indent(line);
        if self.column > own + 1 && !content(line).starts_with('-') {
            // Within a line: behind quotes.
            return Some(self.behind_a_quote(None));
        }
        let place = (self.line, own + 1, content(line).chars().count());
        if content(line).starts_with('-') {
            let (number, above) = self.above(self.line)?;
            if key_of(above).is_some() && indent(above) == own && !content(above).starts_with('-') {
                let cause = Cause::new(
                    place,
                    "this is an entry of a list among the keys of a mapping",
                )
                .path_of(number);
                let suggestion = format!("write it as the line above: `{}`", as_key(content(line)));
                return Some(cause.suggest(suggestion));
            }
            return self.uneven(place, own);
        }
        Some(self.no_level(place, own))
    }

    /// The last entry of a list above this line, and its number.
    pub(super) fn last_entry(&self) -> Option<(usize, &'t str)> {
        (1..self.line)
            .rev()
            .map(|number| (number, self.text(number)))
            .find(|(_, text)| content(text).starts_with("- "))
    }

    /// An entry of a list that is not indented as the one above.
    pub(super) fn uneven(&self, place: (usize, usize, usize), own: usize) -> Option<Cause> {
        let (number, last) = self.last_entry()?;
        let wanted = indent(last);
        let message = format!(
            "this line has {} before it, the entry above has {wanted}",
            spaces(own)
        );
        let cause = Cause::new(place, message).path_of(number);
        Some(cause.suggest(format!("{}, as the entry above", with_spaces(wanted))))
    }

    /// An indentation that no line above has.
    pub(super) fn no_level(&self, place: (usize, usize, usize), own: usize) -> Cause {
        let mut levels: Vec<(usize, &str)> = Vec::new();
        let mut lowest = usize::MAX;
        for number in (1..self.line).rev() {
            let text = self.text(number);
            if content(text).is_empty() || indent(text) >= lowest {
                continue;
            }
            lowest = indent(text);
            levels.push((lowest, key_of(text).unwrap_or_else(|| content(text))));
            if lowest < own {
                break;
            }
        }
        let deeper = levels.iter().rev().find(|(level, _)| *level > own);
        let less = levels.iter().find(|(level, _)| *level < own);
        let message = format!(
            "the indentation of this line, {}, fits no line above",
            spaces(own)
        );
        let choice = |(level, key): &(usize, &str)| {
            format!("{}, to stand beside `{key}`", with_spaces(*level))
        };
        let cause = Cause::new(place, message);
        match (deeper, less) {
            (Some(deeper), Some(less)) => {
                cause.suggest(format!("{}; or {}", choice(deeper), choice(less)))
            }
            (Some(one), None) | (None, Some(one)) => cause.suggest(choice(one)),
            (None, None) => cause,
        }
    }

    /// A line in a list that does not begin with `- `.
    pub(super) fn no_entry(&self) -> Option<Cause> {
        let line = self.text(self.line);
        let own = indent(line);
        let place = (self.line, own + 1, content(line).chars().count());
        if content(line).starts_with("- ") {
            return self.uneven(place, own);
        }
        let (_, last) = self.last_entry()?;
        let message = "this is no entry of the list above";
        let cause =
            Cause::new(place, message).expected("`- ` at the beginning, as in the lines above");
        let entry = content(last).trim_start_matches("- ");
        let is_pair = entry.contains('=') && key_of(entry).is_none();
        let text = content(line);
        let written = match text.split_once(": ") {
            Some((key, value)) if is_pair => format!("- {key}={value}"),
            _ => format!("- {text}"),
        };
        let indentation = if own == indent(last) {
            String::new()
        } else {
            format!(", and {}", with_spaces(indent(last)))
        };
        Some(cause.suggest(format!("write `{written}`{indentation}")))
    }
}
