//! Words that stand alone in a line where a key and its colon are needed. YAML takes
//! such a word, with the deeper lines below it, for one text, and the parser comes to
//! a halt only behind that.

use super::line::{content, indent, is_word, key_of, spaces, with_spaces};
use super::{Cause, File, not_a_key};

impl File<'_> {
    /// A word without a colon where a key is needed, at or above `line`, or an entry
    /// of a list without its dash.
    pub(super) fn bare(&self, line: usize) -> Option<Cause> {
        let (number, above) = self.bare_line(line)?;
        let text = self.text(number);
        let word = content(text);
        let own = indent(text);
        let place = (number, own + 1, word.chars().count());
        let is_number = word.starts_with(|c: char| c.is_ascii_digit());
        if let Some((at, entry)) = self.above(number)
            && content(entry).starts_with("- ")
            && (is_number
                || (own == indent(entry) && above.is_some_and(|above| indent(above) < own)))
        {
            return Some(without_dash(number, text, entry).path_of(at));
        }
        if let Some((key, value)) = word.split_once('=')
            && is_word(key.trim_end())
        {
            let cause = Cause::new(place, "a colon is needed in the place of this `=`");
            let (key, value) = (key.trim_end(), value.trim_start());
            return Some(cause.suggest(format!("write `{key}: {value}`")));
        }
        let below = self.below(number).map_or("", |(_, below)| below);
        let next = indent(below);
        if let Some(cause) = not_a_key(number, text, next) {
            return Some(cause);
        }
        let name = word.trim_matches(['"', '\'']);
        if !is_word(name) {
            let cause = Cause::new(place, "this line is no key");
            return Some(
                cause.expected("`NAME: VALUE`, or what belongs to the line above, indented deeper"),
            );
        }
        let cause = Cause::new(place, format!("a colon is missing behind `{name}`"));
        let opens = next > own || (next == own && content(below).starts_with("- "));
        Some(cause.suggest(if opens {
            format!("write `{word}:`")
        } else {
            format!("write `{word}:`, with its value behind it")
        }))
    }

    /// The line at which a text begins that goes on to `line`, where that is the place
    /// of a key, and the line of the key above it that shows that; none at the top.
    fn bare_line(&self, line: usize) -> Option<(usize, Option<&str>)> {
        let mut first: Option<(usize, usize)> = None;
        for number in (1..=line).rev() {
            let text = self.text(number);
            let words = content(text);
            if words.is_empty() {
                continue;
            }
            if words == "---" {
                return None;
            }
            let own = indent(text);
            let is_entry = words.starts_with("- ") || words == "-";
            if key_of(text).is_some() && !is_entry {
                let (found, level) = first?;
                // What a key with a value has below it goes on with that value.
                let is_place = own >= level || opens(words);
                return is_place.then_some((found, Some(text)));
            }
            if !is_entry && first.is_none_or(|(_, level)| own < level) {
                first = Some((number, own));
            }
        }
        first
            .filter(|(_, level)| *level == 0)
            .map(|(found, _)| (found, None))
    }

    /// The next line below this one that has content, and its number.
    fn below(&self, line: usize) -> Option<(usize, &str)> {
        (line + 1..=self.lines.len())
            .map(|number| (number, self.text(number)))
            .find(|(_, text)| !content(text).is_empty())
    }

    /// The first key of a file is indented deeper than a line below it.
    pub(super) fn uneven_top(&self) -> Option<Cause> {
        let start = (1..self.line)
            .rev()
            .find(|number| content(self.text(*number)) == "---")
            .unwrap_or(0);
        let (number, first) = self.below(start)?;
        let key = key_of(first)?;
        let own = indent(first);
        if own <= indent(self.text(self.line)) || number >= self.line {
            return None;
        }
        let place = (number, own + 1, content(first).chars().count());
        let message = format!(
            "`{key}` has {} before it, more than line {} below it",
            spaces(own),
            self.line
        );
        let cause = Cause::new(place, message);
        let is_alone = (number + 1..self.line)
            .map(|number| self.text(number))
            .all(|text| content(text).is_empty() || indent(text) != own);
        Some(cause.suggest(if is_alone {
            format!("{}: `{}`", with_spaces(0), content(first))
        } else {
            format!("begin `{key}`, and the lines that stand beside it, in the first column")
        }))
    }
}

/// Whether a line is a key that has its value in the lines below.
fn opens(words: &str) -> bool {
    let value = words.split_once(": ").map_or("", |(_, value)| value.trim());
    words.ends_with(':') || (value.starts_with(['&', '!']) && !value.contains(' '))
}

/// A line of a list that has no `- `.
fn without_dash(number: usize, text: &str, entry: &str) -> Cause {
    let word = content(text);
    let place = (number, indent(text) + 1, word.chars().count());
    let cause = Cause::new(place, "this is no entry of the list above")
        .expected("`- ` at the beginning, as in the lines above");
    let indentation = if indent(text) == indent(entry) {
        String::new()
    } else {
        format!(", and {}", with_spaces(indent(entry)))
    };
    cause.suggest(format!("write `- {word}`{indentation}"))
}
