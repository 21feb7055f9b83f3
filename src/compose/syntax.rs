//! What a YAML parser's error most likely comes from, in the words of who wrote
//! the file. The parser says where it could not go on; the cause often stands in
//! the line before.

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
            let key = key_of(text).or_else(|| likely_key(own).filter(|_| number == line));
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
            return Some(cause.expected("less than 256 levels"));
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
        let beside = "replace each tab by spaces, as many as stand before the lines beside it";
        Some(
            cause
                .expected("spaces: YAML allows nothing else")
                .suggest(beside),
        )
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
        let value = value_text(self.rest());
        let define = format!("define it above, with `&{name}`");
        if key_of(self.text(self.line)) == Some("<<") {
            return cause.suggest(define);
        }
        cause.suggest(format!(
            "a text that begins with `*` needs quotes: \"{value}\"; an anchor is defined above, with `&{name}`"
        ))
    }

    fn open_quote(&self) -> Cause {
        let rest = self.rest();
        let quote = rest.chars().next().unwrap_or('"');
        let length = rest.chars().count();
        let cause = Cause::new(self.here(length), "this quote is not closed")
            .expected(format!("a second `{quote}`"));
        let closed = value_text(rest).trim_end_matches(quote);
        cause.suggest(format!("close it: {closed}{quote}"))
    }

    /// More stands behind a closed quote than can.
    fn behind_a_quote(&self, open: Option<Bracket>) -> Cause {
        let line = self.text(self.line);
        let rest = self.rest();
        let before = line.strip_suffix(rest).unwrap_or_else(|| {
            let end = line.trim_end().len().saturating_sub(rest.len());
            line.get(..end).unwrap_or_default()
        });
        let quote = before.trim_end().chars().next_back().unwrap_or('"');
        let length = value_text(rest).chars().count();
        let is_entry = before.ends_with(' ') && rest.starts_with(['"', '\'']);
        if open.is_some() && is_entry {
            let message = "a comma is missing before this";
            return Cause::new(self.here(length), message).expected("`,` between two entries");
        }
        let cause = Cause::new(self.here(length), "the quotes end before this");
        let whole = format!("{before}{}", value_text(rest));
        let start = value_start(&whole);
        let inner = whole.get(start..).unwrap_or_default().trim();
        let bare = inner.trim_start_matches(quote);
        if !before.ends_with(' ') && inner.ends_with(quote) {
            // A quote within the quotes.
            let bare = bare.strip_suffix(quote).unwrap_or(bare);
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

    fn escape(&self) -> Option<Cause> {
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

    /// A colon with a space behind it where there can be none.
    fn colon(&self) -> Option<Cause> {
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
        if let Some(cause) = not_a_key(number, above, indent(line)) {
            return Some(cause);
        }
        // The line above has its value already.
        let key = key_of(above)?;
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
    fn no_key(&self) -> Option<Cause> {
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
        not_a_key(number, text, indent(text))
    }

    /// A line in a mapping that is no key of it.
    fn no_sibling(&self) -> Option<Cause> {
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
    fn last_entry(&self) -> Option<(usize, &'t str)> {
        (1..self.line)
            .rev()
            .map(|number| (number, self.text(number)))
            .find(|(_, text)| content(text).starts_with("- "))
    }

    /// An entry of a list that is not indented as the one above.
    fn uneven(&self, place: (usize, usize, usize), own: usize) -> Option<Cause> {
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
    fn no_level(&self, place: (usize, usize, usize), own: usize) -> Cause {
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
    fn no_entry(&self) -> Option<Cause> {
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
                    .suggest("close it, or remove it; text with a bracket in it needs quotes")
            }
            Some(_) if self.line == line => {
                Cause::new(self.here(0), "a comma is missing before this").expected(format!(
                    "`,` between two entries, or `{closing}` at the end"
                ))
            }
            _ => {
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
    if let Some((key, value)) = bare_entry.split_once(':').filter(|(key, _)| is_word(key)) {
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

/// A text in quotes that YAML knows.
fn in_quotes(text: &str) -> String {
    let bare = text.trim_matches(['\u{201c}', '\u{201d}', '\u{201e}', '\u{2018}', '\u{2019}']);
    let bare = bare
        .trim_matches('"')
        .replace('\\', "\\\\")
        .replace('"', "\\\"");
    format!("\"{bare}\"")
}

fn is_word(text: &str) -> bool {
    let inside = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
    !text.is_empty() && text.chars().all(inside)
}

fn indent_text(line: &str) -> &str {
    let end = line.len() - line.trim_start().len();
    line.get(..end).unwrap_or_default()
}

fn indent(line: &str) -> usize {
    indent_text(line).chars().count()
}

/// What a line says, without its indentation and a comment.
fn content(line: &str) -> &str {
    let text = line.trim();
    if text.starts_with('#') {
        return "";
    }
    without_comment(text)
}

fn without_comment(text: &str) -> &str {
    let mut quote = None;
    let mut before = ' ';
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (None, '#') if before.is_whitespace() => {
                return text.get(..at).unwrap_or_default().trim_end();
            }
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), c) if c == open => quote = None,
            _ => {}
        }
        before = c;
    }
    text
}

/// A value as it is written, up to the line's end or a comment.
fn value_text(rest: &str) -> &str {
    without_comment(rest.trim_end())
}

/// The key of a line `key: value` or `- key: value`.
fn key_of(line: &str) -> Option<&str> {
    let text = content(line);
    let text = text.strip_prefix("- ").unwrap_or(text).trim_start();
    let (key, _) = text
        .split_once(": ")
        .or_else(|| Some((text.strip_suffix(':')?, "")))?;
    let key = key.trim_matches(['"', '\'']);
    (!key.is_empty() && !key.contains(['"', '\'', '[', '{', ' '])).then_some(key)
}

/// What was meant to be the key of a line.
fn likely_key(line: &str) -> Option<&str> {
    let text = content(line);
    let text = text.strip_prefix("- ").unwrap_or(text);
    let end = text.find([':', ' ']).unwrap_or(text.len());
    text.get(..end).filter(|key| is_word(key))
}

/// Where the value of a line begins.
fn value_start(line: &str) -> usize {
    let start = indent_text(line).len();
    let text = line.get(start..).unwrap_or_default();
    let entry = if text.starts_with("- ") { 2 } else { 0 };
    let rest = text.get(entry..).unwrap_or_default();
    let value = match rest.find(": ") {
        Some(at) if key_of(line).is_some() => {
            let after = rest.get(at + 2..).unwrap_or_default();
            at + 2 + after.len() - after.trim_start().len()
        }
        _ => 0,
    };
    start + entry + value
}

fn is_block_start(line: &str) -> bool {
    let text =
        content(line).trim_end_matches(|c: char| matches!(c, '+' | '-') || c.is_ascii_digit());
    text.ends_with(": |") || text.ends_with(": >")
}

/// `- NAME=value` as a key.
fn as_key(entry: &str) -> String {
    let bare = entry.trim_start_matches('-').trim();
    match bare.split_once('=') {
        Some((key, value)) => format!("{key}: {value}"),
        None => bare.to_owned(),
    }
}

/// The names of the anchors in a line.
fn anchors(line: &str) -> impl Iterator<Item = &str> {
    line.match_indices('&').filter_map(|(at, _)| {
        let before = line.get(..at)?;
        let is_start = before.is_empty() || before.ends_with([' ', '[', '{', ',']);
        let name = is_start.then(|| word(line.get(at + 1..).unwrap_or_default()));
        name.filter(|name| !name.is_empty())
    })
}

/// A text up to the first space or bracket.
fn word(text: &str) -> &str {
    let end = text.find(|c: char| c.is_whitespace() || matches!(c, ',' | ']' | '}'));
    text.get(..end.unwrap_or(text.len())).unwrap_or_default()
}

fn spaces(count: usize) -> String {
    match count {
        0 => "no space".to_owned(),
        1 => "1 space".to_owned(),
        _ => format!("{count} spaces"),
    }
}

fn with_spaces(count: usize) -> String {
    match count {
        0 => "begin it in the first column".to_owned(),
        _ => format!("indent it with {}", spaces(count)),
    }
}
