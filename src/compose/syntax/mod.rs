//! What a YAML parser's error most likely comes from, in the words of who wrote
//! the file. The parser says where it could not go on; the cause often stands in
//! the line before.

mod bare;
mod indent;
mod line;
mod quotes;

use self::line::{
    anchors, content, in_quotes, indent, indent_text, is_word, key_of, likely_key, value_text, word,
};
use super::diag::similar;

/// What is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cause {
    /// From 1.
    pub(super) line: usize,
    /// From 1, in characters.
    pub(super) column: usize,
    /// In characters; 0 where it is as long as the word that stands there.
    pub(super) length: usize,
    /// The path of the key, as far as the indentation tells it.
    pub(super) path: String,
    /// The line that the path is of: not this one, where its indentation is what
    /// is wrong.
    path_line: usize,
    pub(super) message: String,
    pub(super) expected: Option<String>,
    pub(super) suggestion: Option<String>,
}

impl Cause {
    fn new(place: (usize, usize, usize), message: impl Into<String>) -> Self {
        let (line, column, length) = place;
        Self {
            line,
            column,
            length,
            path: String::new(),
            path_line: line,
            message: message.into(),
            expected: None,
            suggestion: None,
        }
    }

    /// The path is that of another line; 0 for none.
    fn path_of(mut self, line: usize) -> Self {
        self.path_line = line;
        self
    }

    fn expected(mut self, text: impl Into<String>) -> Self {
        self.expected = Some(text.into());
        self
    }

    fn suggest(mut self, text: impl Into<String>) -> Self {
        self.suggestion = Some(text.into());
        self
    }
}

/// A bracket that has not been closed: its line and column, from 1.
pub(super) type Bracket = (usize, usize);

/// Finds the cause of an error that the parser has found in these lines, at
/// `line` and `column` (from 1), with its own words `info`. `open` is the
/// innermost bracket that was open then.
pub(super) fn cause(
    lines: &[&str],
    (line, column): (usize, usize),
    info: &str,
    open: Option<Bracket>,
) -> Cause {
    let file = File {
        lines,
        line,
        column,
    };
    if let Some(conflict) = file.conflict() {
        return conflict;
    }
    if let Some(fence) = file.fence() {
        return fence;
    }
    let found = file.by_words(info, open);
    let mut cause = found.unwrap_or_else(|| Cause::new((line, column, 0), info));
    cause.path = file.path(cause.path_line);
    cause.message = shortened(cause.message);
    cause.suggestion = cause.suggestion.map(shortened);
    cause
}

/// A text that is no longer than anybody reads.
fn shortened(text: String) -> String {
    /// In characters.
    const LONGEST: usize = 240;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

struct File<'t> {
    lines: &'t [&'t str],
    line: usize,
    column: usize,
}

impl<'t> File<'t> {
    fn text(&self, line: usize) -> &'t str {
        let line = line.checked_sub(1).and_then(|index| self.lines.get(index));
        line.copied().unwrap_or_default()
    }

    /// The error's line from its column on.
    fn rest(&self) -> &'t str {
        let line = self.text(self.line);
        let start = line.char_indices().nth(self.column.saturating_sub(1));
        start
            .and_then(|(at, _)| line.get(at..))
            .unwrap_or_default()
            .trim_end()
    }

    /// The last line above this one that has content, and its number.
    fn above(&self, line: usize) -> Option<(usize, &'t str)> {
        (1..line)
            .rev()
            .map(|number| (number, self.text(number)))
            .find(|(_, text)| !content(text).is_empty())
    }

    /// The path that the indentation of the lines gives to a line.
    fn path(&self, line: usize) -> String {
        let own = self.text(line);
        let mut parts: Vec<String> = Vec::new();
        let mut level = usize::MAX;
        for number in (1..=line).rev() {
            let text = self.text(number);
            let is_entry = content(text).starts_with("- ") || content(text) == "-";
            // An entry may stand as far left as the key that it belongs to.
            let entry_level = 2 * indent(text) + 1;
            let key_level = if is_entry {
                entry_level + 3
            } else {
                entry_level - 1
            };
            let key =
                key_of(text).or_else(|| likely_key(own).filter(|_| number == line && !is_entry));
            if let Some(key) = key.filter(|_| key_level < level) {
                parts.push(format!(".{key}"));
                level = key_level;
            }
            if is_entry && entry_level < level {
                parts.push(format!("[{}]", self.entries_above(number, indent(text))));
                level = entry_level;
            }
        }
        parts.reverse();
        parts.concat().trim_start_matches('.').to_owned()
    }

    /// How many entries of the same list stand above a line.
    fn entries_above(&self, line: usize, own: usize) -> usize {
        let above = (1..line).rev().map(|number| self.text(number));
        above
            .filter(|text| !content(text).is_empty())
            .take_while(|text| {
                indent(text) > own || (indent(text) == own && content(text).starts_with('-'))
            })
            .filter(|text| indent(text) == own)
            .count()
    }

    fn by_words(&self, info: &str, open: Option<Bracket>) -> Option<Cause> {
        let says = |words: &str| info.contains(words);
        if let Some(cause) = self.anchored_alias() {
            return Some(cause);
        }
        if says("tab") {
            return self.tab();
        }
        if says("unknown anchor") {
            return Some(self.unknown_anchor());
        }
        if says("trailing content") {
            return Some(self.behind_a_quote(open));
        }
        if says("escape") || says("hexadecimal") {
            return self.escape();
        }
        if says("in quoted scalar") || says("a quoted scalar") {
            return Some(self.open_quote());
        }
        if says("block sequence entries are not allowed") {
            return Some(self.list_behind_key());
        }
        if says("mapping values are not allowed") {
            return self.colon();
        }
        if says("simple key expect") {
            return self.no_key();
        }
        if says("comment intercepting") {
            return self.bare(self.line);
        }
        if says("document start") {
            return self.uneven_top();
        }
        if says("did not find expected key") {
            return self.no_sibling();
        }
        if says("expected '-' indicator") {
            return self.no_entry();
        }
        if says("block scalar") {
            return Some(self.block_text());
        }
        if says("recursion limit") {
            let cause = Cause::new(self.here(1), "the brackets are nested too deep");
            return Some(
                cause.expected(
                    "at most 256 levels in the file, the keys above the brackets included",
                ),
            );
        }
        if says("flow") || says("invalid indentation") {
            return open.map(|bracket| self.open_bracket(bracket));
        }
        if says("misplaced bracket") {
            let c = self.rest().chars().next().unwrap_or(']');
            let cause = Cause::new(self.here(1), format!("the bracket `{c}` closes nothing"));
            return Some(cause.suggest("remove it, or put the text that it belongs to in quotes"));
        }
        let starts = [
            "unexpected character",
            "anchor or alias",
            "node content",
            "mapping keys",
        ];
        if starts.iter().any(|words| says(words)) {
            return self.first_character();
        }
        None
    }

    fn here(&self, length: usize) -> (usize, usize, usize) {
        (self.line, self.column, length)
    }

    /// What a version control system leaves where it could not merge.
    fn conflict(&self) -> Option<Cause> {
        let marks = ["<<<<<<< ", ">>>>>>> "];
        let is_mark = |text: &&str| marks.iter().any(|mark| text.starts_with(mark));
        let (index, text) = self
            .lines
            .iter()
            .enumerate()
            .find(|(_, text)| is_mark(text))?;
        let message = "a merge was left unfinished here";
        let cause = Cause::new((index + 1, 1, text.trim_end().chars().count()), message);
        Some(cause.suggest(
            "keep one of the two versions, and remove the lines that begin with `<<<<<<<`, `=======` and `>>>>>>>`",
        ))
    }

    /// What stands around a text in Markdown.
    fn fence(&self) -> Option<Cause> {
        let is_fence = |text: &str| ["```", "~~~"].iter().any(|mark| text.starts_with(mark));
        let first = (1..=self.line).find(|number| !content(self.text(*number)).is_empty());
        let number = [first?, self.line]
            .into_iter()
            .find(|number| is_fence(self.text(*number).trim()))?;
        let text = self.text(number);
        let place = (number, indent(text) + 1, content(text).chars().count());
        let cause = Cause::new(
            place,
            "this line is of Markdown, it stands around a text there",
        );
        Some(cause.suggest("remove the line, and the other one around the text"))
    }

    /// How far a line is indented that begins what the line above has opened: more than
    /// that, less than what it opens itself.
    fn indent_between(&self, line: usize) -> Option<usize> {
        let (_, above) = self.above(line)?;
        if !content(above).ends_with(':') {
            return None;
        }
        let outer = indent(above);
        let opens = content(self.text(line)).ends_with(':');
        let below = (line + 1..=self.lines.len())
            .map(|line| self.text(line))
            .find(|text| {
                !content(text).is_empty() && !text.trim_start_matches(' ').starts_with('\t')
            });
        match below.map(indent) {
            Some(inner) if opens && inner > outer + 1 => Some(outer + (inner - outer) / 2),
            Some(inner) if !opens && inner > outer => Some(inner),
            _ => Some(outer + 2),
        }
    }

    fn tab(&self) -> Option<Cause> {
        let is_indented_with_tab = |line: &usize| {
            let text = self.text(*line);
            indent_text(text).contains('\t') && !content(text).is_empty()
        };
        let near = self.line..=(self.line + 5).min(self.lines.len());
        let found = near.into_iter().find(is_indented_with_tab);
        let Some(line) = found else {
            let rest = self.rest();
            let before = rest.find('\t')?;
            let column = self.column + rest.get(..before)?.chars().count();
            let cause = Cause::new((line_or(self.line), column, 1), "a tab cannot stand here");
            return Some(cause.expected("a space"));
        };
        let indent = indent_text(self.text(line));
        let before = indent.chars().take_while(|c| *c != '\t').count();
        let tabs = indent.chars().filter(|c| *c == '\t').count();
        let place = (line, before + 1, tabs);
        let cause = Cause::new(place, "this line is indented with a tab").path_of(0);
        let cause = cause.expected("spaces: YAML allows nothing else");
        Some(cause.suggest(match self.indent_between(line) {
            Some(width) => format!("write {width} spaces in the place of what is before the text"),
            None => {
                "replace each tab by spaces, as many as stand before the lines beside it".to_owned()
            }
        }))
    }

    fn unknown_anchor(&self) -> Cause {
        let alias = word(self.rest());
        let name = alias.trim_start_matches('*');
        let length = alias.chars().count();
        let is_later = |text: &str| anchors(text).any(|anchor| anchor == name);
        let message = format!("there is no anchor `{name}` above");
        let cause = Cause::new(self.here(length), message);
        if let Some(later) = self.lines.iter().position(|text| is_later(text)) {
            let where_it_is = format!("it is defined below, in line {}: move that up", later + 1);
            return cause.suggest(where_it_is);
        }
        let known: Vec<&str> = self.lines.iter().flat_map(|text| anchors(text)).collect();
        if let Some(similar) = similar(name, known.iter().copied()) {
            return cause.suggest(format!("did you mean `*{similar}`?"));
        }
        let define = format!("define it above, with `&{name}` before what it stands for");
        let line = self.text(self.line);
        let before: String = line.chars().take(self.column.saturating_sub(1)).collect();
        let value = value_text(self.rest());
        let value = if before.contains(['[', '{']) {
            value.split([',', ']', '}']).next().unwrap_or(value)
        } else {
            value
        };
        if key_of(line) == Some("<<") || before.trim_end().ends_with("<<:") {
            return cause.suggest(define);
        }
        let quotes = format!("a text that begins with `*` needs quotes: \"{value}\"");
        let is_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-');
        cause.suggest(if name.chars().all(is_name) {
            format!("{define}; {quotes}")
        } else {
            quotes // no anchor has such a name
        })
    }

    /// An anchor before an alias.
    fn anchored_alias(&self) -> Option<Cause> {
        let before: String = self
            .text(self.line)
            .chars()
            .take(self.column.saturating_sub(1))
            .collect();
        let is_alias = self.rest().starts_with('*');
        let last = before
            .split_whitespace()
            .last()
            .filter(|word| is_alias && word.starts_with('&'))?;
        let alias = word(self.rest())
            .trim_end_matches([',', ']', '}'])
            .to_owned();
        let message = format!("an alias cannot have an anchor (`{last}`) of its own");
        let cause = Cause::new(self.here(alias.chars().count()), message);
        Some(cause.suggest(format!(
            "write `{alias}` alone, or `{last}` before a value that is written out"
        )))
    }

    fn list_behind_key(&self) -> Cause {
        let rest = value_text(self.rest());
        let key = key_of(self.text(self.line)).unwrap_or("key");
        let entry = rest.trim_start_matches("- ").trim();
        let cause = Cause::new(
            self.here(rest.chars().count()),
            "a list cannot begin in the line of its key",
        );
        cause.suggest(format!(
            "put each `- ` in a line of its own below `{key}:`, or write `{key}: [{entry}]`"
        ))
    }

    fn block_text(&self) -> Cause {
        let rest = self.rest();
        let sign = rest.chars().next().unwrap_or('|');
        let place = self.here(rest.chars().count());
        Cause::new(
            place,
            format!("nothing may stand behind `{sign}` in its line"),
        )
        .suggest("put the text in the lines below, indented deeper than its key; or use quotes")
    }

    fn open_bracket(&self, (line, column): Bracket) -> Cause {
        let text = self.text(line);
        let start = text.char_indices().nth(column - 1);
        let rest = start.and_then(|(at, _)| text.get(at..)).unwrap_or_default();
        let bracket = rest.chars().next().unwrap_or('[');
        let closing = if bracket == '[' { ']' } else { '}' };
        let found = self.rest().chars().next();
        match found {
            Some(found @ (']' | '}')) if found != closing => {
                let message = format!("`{bracket}` is not closed before the `{found}`");
                Cause::new((line, column, 1), message)
                    .expected(format!(
                        "`{closing}` before the `{found}`, or no `{bracket}`"
                    ))
                    .suggest("remove it, or close it; text with a bracket in it needs quotes")
            }
            Some(_) if self.line == line => {
                Cause::new(self.here(0), "a comma is missing before this").expected(format!(
                    "`,` between two entries, or `{closing}` at the end"
                ))
            }
            found => {
                if let Some(cause) = found.and_then(|_| self.no_comma(line)) {
                    return cause;
                }
                let place = (line, column, value_text(rest).chars().count());
                let cause = Cause::new(place, format!("the bracket `{bracket}` is not closed"))
                    .expected(format!("`{closing}` at its end"));
                if line + 1 >= self.line || content(self.text(line + 1)).is_empty() {
                    let closed = value_text(rest).trim_end_matches(',');
                    cause.suggest(format!("close it: {closed}{closing}"))
                } else {
                    cause
                }
            }
        }
    }

    /// An entry in lines of brackets that begin below `first`, without a comma behind it.
    fn no_comma(&self, first: usize) -> Option<Cause> {
        let (number, above) = self.above(self.line)?;
        let entry = content(above);
        let is_beside = number > first && indent(above) == indent(self.text(self.line));
        if !is_beside || entry.ends_with([',', '[', '{']) {
            return None;
        }
        let place = (number, indent(above) + 1, entry.chars().count());
        let cause = Cause::new(place, "a comma is missing behind this");
        Some(
            cause
                .expected("`,` between two entries")
                .suggest(format!("write `{entry},`")),
        )
    }

    /// A value that begins with a character that YAML keeps for itself.
    fn first_character(&self) -> Option<Cause> {
        let rest = value_text(self.rest());
        let c = rest.chars().next()?;
        let length = rest.chars().count();
        let shown = match c {
            '`' => "a backtick".to_owned(),
            c => format!("`{c}`"),
        };
        let message = format!("a value cannot begin with {shown}");
        let cause = Cause::new(self.here(length), message);
        Some(
            cause
                .expected("quotes around such a text")
                .suggest(format!("put it in quotes: {}", in_quotes(rest))),
        )
    }
}

fn line_or(line: usize) -> usize {
    line.max(1)
}

/// A line without a colon and a space that stands where a key is needed.
fn not_a_key(number: usize, text: &str, next_indent: usize) -> Option<Cause> {
    let bare = content(text);
    let bare_entry = bare.strip_prefix("- ").unwrap_or(bare);
    let length = bare_entry.chars().count();
    let column = text.chars().count() - text.trim_start().chars().count()
        + 1
        + (bare.chars().count() - length);
    if key_of(text).is_some() || bare.starts_with(['"', '\'']) {
        return None;
    }
    let place = (number, column, length);
    if let Some((key, value)) = bare_entry
        .split_once(':')
        .filter(|(key, value)| is_word(key) && !value.starts_with("//"))
    {
        let cause = Cause::new(
            place,
            format!("a space is missing behind the colon of `{key}`"),
        );
        return Some(cause.suggest(format!("write `{key}: {value}`")));
    }
    if let Some(entry) = bare
        .strip_prefix('-')
        .filter(|entry| !entry.starts_with([' ', '-']))
    {
        let cause = Cause::new(place, "a space is missing behind the `-` of a list");
        return Some(cause.suggest(format!("write `- {entry}`")));
    }
    let cause = |at: &str| Cause::new(place, format!("a colon is missing behind `{at}`"));
    if indent(text) < next_indent {
        return Some(cause(bare_entry).suggest(format!("write `{bare_entry}:`")));
    }
    let (key, value) = bare_entry.split_once(' ')?;
    is_word(key).then(|| cause(key).suggest(format!("write `{key}: {}`", value.trim())))
}
