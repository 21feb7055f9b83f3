//! Files of variables: `.env`, `env_file`, `label_file`, in the reference's
//! grammar, and its `raw` format.
//!
//! Specification: "`env_file`", "`Env_file` format". `NAME=VALUE` a line; `export`
//! before it and `:` instead of `=` are allowed; a name alone takes its value
//! from outside; single quotes keep everything, double quotes know escapes and
//! variables, values without quotes know variables and end at ` #`.

use std::cell::{Cell, RefCell};
use std::ops::Range;

use indexmap::IndexMap;

use super::diag::quoted;
use super::interpolate;
use super::limits::{Budget, MOST_SETTINGS, MOST_TEXT};
use super::template::{self, Lookup};

/// What is wrong with a file, and in which line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DotenvError {
    pub(crate) line: u32,
    pub(crate) message: String,
    /// What would have been right.
    pub(crate) expected: &'static str,
    /// What to do.
    pub(crate) suggestion: Option<String>,
}

/// What a line looks like.
const LINE: &str = "NAME=VALUE, the name of letters, digits, `_`, `.` and `-`";

/// More errors of one file are not told: nobody reads them.
const MOST_ERRORS: usize = 50;

/// A variable that a file sets, and in which line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Assignment {
    pub(crate) name: String,
    pub(crate) value: String,
    pub(crate) line: u32,
    /// Where the value stands in the text, without a byte order mark, in bytes; of a
    /// name alone the name.
    pub(crate) written: Range<usize>,
    /// The variables in it, where somebody asks: each once.
    pub(crate) uses: Vec<Used>,
}

/// A variable in a value of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Used {
    pub(crate) name: String,
    pub(crate) value: Option<String>,
    /// True where the value is from what was read before.
    pub(crate) is_inner: bool,
    /// The defaults that stand for it.
    pub(crate) defaults: Vec<String>,
}

impl Used {
    /// One that has its value from outside.
    fn outer(name: &str, value: Option<String>) -> Self {
        Self {
            name: name.to_owned(),
            value,
            is_inner: false,
            defaults: Vec::new(),
        }
    }
}

/// What there is to say of a file that was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Parsed {
    /// Variables that were used in values and are nowhere set.
    pub(crate) unset: Vec<String>,
    /// What the file sets, each time that it does.
    pub(crate) settings: Vec<Assignment>,
    /// The name alone that ends the file, without a line end, and its line: it is the
    /// value of a variable without a name.
    pub(crate) unended: Option<(u32, String)>,
}

impl Parsed {
    /// True where something of it is to be told.
    pub(crate) fn is_told(&self) -> bool {
        !self.unset.is_empty() || self.unended.is_some()
    }
}

/// Reads a file into `variables`. `outside` is asked first for variables that
/// are used in values, then what was read so far.
///
/// # Errors
/// Everything that is wrong, in the file's order, at least one; what follows a
/// quote that is not closed is not looked at.
pub(crate) fn parse(
    text: &str,
    variables: &mut IndexMap<String, String>,
    outside: &Lookup<'_>,
) -> Result<Parsed, Vec<DotenvError>> {
    read(text, variables, outside, false)
}

/// The same, with the variables in each value.
///
/// # Errors
/// As of [`parse`].
pub(crate) fn parse_with_uses(
    text: &str,
    variables: &mut IndexMap<String, String>,
    outside: &Lookup<'_>,
) -> Result<Parsed, Vec<DotenvError>> {
    read(text, variables, outside, true)
}

fn read(
    text: &str,
    variables: &mut IndexMap<String, String>,
    outside: &Lookup<'_>,
    tells_uses: bool,
) -> Result<Parsed, Vec<DotenvError>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut parser = Parser {
        rest: text,
        length: text.len(),
        written: 0..0,
        uses: Vec::new(),
        tells_uses,
        line: 1,
        variables,
        outside,
        parsed: Parsed::default(),
        errors: Vec::new(),
        room: RefCell::new(Budget::new(MOST_TEXT)),
    };
    while parser.errors.len() < MOST_ERRORS && parser.skip_to_statement() {
        if parser.parsed.settings.len() >= MOST_SETTINGS {
            parser.errors.push(too_many(parser.line));
            break;
        }
        if let Err(error) = parser.statement() {
            parser.errors.push(error);
            break;
        }
    }
    if parser.errors.is_empty() {
        Ok(parser.parsed)
    } else {
        Err(parser.errors)
    }
}

fn too_many(line: u32) -> DotenvError {
    DotenvError {
        line,
        message: format!("a file sets at most {MOST_SETTINGS} variables"),
        expected: LINE,
        suggestion: Some(
            "leave the rest out, or check that this is a file of variables".to_owned(),
        ),
    }
}

/// Where a file gives a variable this value for good; `None` where it does not.
pub(crate) fn assignment(
    text: &str,
    name: &str,
    value: &str,
    outside: &Lookup<'_>,
) -> Option<Assignment> {
    let parsed = parse_with_uses(text, &mut IndexMap::new(), outside).ok()?;
    let mut last = parsed.settings.into_iter().rev();
    let last = last.find(|set| set.name == name)?;
    (last.value == value).then_some(last)
}

struct Parser<'a> {
    rest: &'a str,
    line: u32,
    /// That of the whole text.
    length: usize,
    /// Where the value at work stands.
    written: Range<usize>,
    /// The variables in it.
    uses: Vec<Used>,
    tells_uses: bool,
    variables: &'a mut IndexMap<String, String>,
    outside: &'a Lookup<'a>,
    parsed: Parsed,
    /// What is wrong so far; reading went on in the next line.
    errors: Vec<DotenvError>,
    /// What variables within values may still add.
    room: RefCell<Budget>,
}

impl<'a> Parser<'a> {
    /// Notes an error and leaves the rest of its line out.
    fn give_line_up(&mut self, error: DotenvError) {
        self.errors.push(error);
        let end = self.rest.find('\n').unwrap_or(self.rest.len());
        self.advance(end);
    }

    /// Goes on by `length` bytes, counting lines.
    fn advance(&mut self, length: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(length);
        let lines = taken.bytes().filter(|b| *b == b'\n').count();
        self.line = self
            .line
            .saturating_add(u32::try_from(lines).unwrap_or(u32::MAX));
        self.rest = rest;
        taken
    }

    /// Skips blank lines and comments; false at the end.
    fn skip_to_statement(&mut self) -> bool {
        loop {
            let blank = self.rest.len() - self.rest.trim_start().len();
            self.advance(blank);
            if !self.rest.starts_with('#') {
                return !self.rest.is_empty();
            }
            let end = self.rest.find('\n').unwrap_or(self.rest.len());
            self.advance(end);
        }
    }

    fn skip_spaces(&mut self) {
        let end = self.rest.find(|c| !is_space(c)).unwrap_or(self.rest.len());
        self.advance(end);
    }

    /// Reads one line, or several that a quote holds together. An error is one
    /// behind which nothing can be read.
    fn statement(&mut self) -> Result<(), DotenvError> {
        if let Some(after) = self.rest.strip_prefix("export")
            && after.starts_with(char::is_whitespace)
        {
            self.advance("export".len());
            self.skip_spaces();
        }
        let line = self.line;
        let name_end = match self.name_end() {
            Ok(end) => end,
            Err(wrong) => {
                let whole = self.rest.lines().next().unwrap_or_default();
                self.give_line_up(DotenvError {
                    line,
                    message: format!("`{wrong}` cannot be in a name: {}", quoted(whole)),
                    expected: LINE,
                    suggestion: None,
                });
                return Ok(());
            }
        };
        let start = self.at();
        let name = self.advance(name_end).trim_end().to_owned();
        self.written = start..start + name.len();
        let separator = self.rest.chars().next();
        self.advance(separator.map_or(0, char::len_utf8));
        self.skip_spaces();
        if separator.is_none() && !name.is_empty() {
            // As the reference has it, which wants a line end behind a name alone.
            self.parsed.unended = Some((line, name.clone()));
            self.set(String::new(), name, line);
            return Ok(());
        }
        if name.contains(' ') {
            let value = self.rest.lines().next().filter(|_| separator != Some('\n'));
            self.errors.push(spaced_name(line, &name, value));
            if separator != Some('\n') {
                self.value()?;
            }
            return Ok(());
        }
        if matches!(separator, None | Some('\n')) {
            // A name alone: its value comes from outside, or it has none.
            if let Some(value) = (self.outside)(&name) {
                if self.tells_uses {
                    self.uses.push(Used::outer(&name, Some(value.clone())));
                }
                self.set(name, value, line);
            }
            return Ok(());
        }
        let value = self.value()?;
        self.set(name, value, line);
        Ok(())
    }

    fn set(&mut self, name: String, value: String, line: u32) {
        self.parsed.settings.push(Assignment {
            name: name.clone(),
            value: value.clone(),
            line,
            written: self.written.clone(),
            uses: std::mem::take(&mut self.uses),
        });
        self.variables.insert(name, value);
    }

    /// How much was read.
    fn at(&self) -> usize {
        self.length - self.rest.len()
    }

    /// Where the name ends: at `=`, `:`, the line's end or the text's. An error is
    /// a character that no name has.
    fn name_end(&self) -> Result<usize, char> {
        for (at, c) in self.rest.char_indices() {
            match c {
                '=' | ':' | '\n' => return Ok(at),
                '_' | '.' | '-' | '[' | ']' => {}
                c if c.is_alphanumeric() || is_space(c) => {}
                c => return Err(c),
            }
        }
        Ok(self.rest.len())
    }

    fn value(&mut self) -> Result<String, DotenvError> {
        if let Some(quote @ ('"' | '\'')) = self.rest.chars().next() {
            self.quoted(quote)
        } else {
            let (line, start) = (self.line, self.at());
            let end = self.rest.find('\n').unwrap_or(self.rest.len());
            let text = self.advance(end);
            self.advance(usize::from(!self.rest.is_empty()));
            let text = text.split(" #").next().unwrap_or_default().trim_end();
            self.written = start..start + text.len();
            self.expand(text, line)
        }
    }

    fn quoted(&mut self, quote: char) -> Result<String, DotenvError> {
        let (line, start) = (self.line, self.at());
        let mut value = String::new();
        let mut escaped = false;
        for (at, c) in self.rest.char_indices().skip(1) {
            if c == quote && !escaped {
                self.advance(at + 1);
                self.written = start..self.at();
                return if quote == '"' {
                    self.expand(&unescape(&value), line)
                } else {
                    Ok(value)
                };
            }
            if c == '\\' && !escaped {
                escaped = true;
                continue;
            }
            if escaped && c != quote {
                value.push('\\');
            }
            escaped = false;
            value.push(c);
        }
        let shown = self.rest.lines().next().unwrap_or_default();
        Err(DotenvError {
            line: self.line,
            message: format!("the quote of {} is not closed", quoted(shown)),
            expected: "a value that ends with the quote that it begins with",
            suggestion: Some(format!("close it: {}", quoted(&format!("{shown}{quote}")))),
        })
    }

    fn expand(&mut self, text: &str, line: u32) -> Result<String, DotenvError> {
        let variables = &*self.variables;
        let outside = self.outside;
        let is_full = Cell::new(false);
        let lookup = |name: &str| {
            let value = outside(name).or_else(|| variables.get(name).cloned())?;
            is_full.set(!self.room.borrow_mut().take(value.len()));
            (!is_full.get()).then_some(value)
        };
        let result = template::substitute(text, &lookup);
        if is_full.get() {
            let message = format!("the values grow beyond {} MiB", MOST_TEXT >> 20);
            return Err(DotenvError {
                line,
                message,
                expected: "values that do not multiply each other",
                suggestion: None,
            });
        }
        if self.tells_uses {
            self.uses = uses_in(text, outside, variables);
        }
        match result {
            Ok((value, unset)) => {
                self.parsed.unset.extend(unset);
                Ok(value)
            }
            Err(errors) => {
                self.errors.extend(errors.iter().map(|error| DotenvError {
                    line,
                    message: error.to_string(),
                    expected: interpolate::expected(error),
                    suggestion: interpolate::advice(error),
                }));
                Ok(String::new())
            }
        }
    }
}

/// The variables in a value, which were looked for outside, then in what was read.
fn uses_in(text: &str, outside: &Lookup<'_>, variables: &IndexMap<String, String>) -> Vec<Used> {
    if !text.contains('$') {
        return Vec::new();
    }
    let asked: RefCell<IndexMap<String, Used>> = RefCell::default();
    let noted = |name: &str| {
        let mut asked = asked.borrow_mut();
        let used = asked.entry(name.to_owned()).or_insert_with(|| {
            let outer = outside(name);
            let is_inner = outer.is_none() && variables.contains_key(name);
            let value = outer.or_else(|| variables.get(name).cloned());
            Used {
                is_inner,
                ..Used::outer(name, value)
            }
        });
        used.value.clone()
    };
    let defaults = template::defaults(text, &noted);
    let mut asked = asked.into_inner();
    for (name, default) in defaults {
        if let Some(used) = asked.get_mut(&name) {
            used.defaults.push(default);
        }
    }
    asked.into_values().collect()
}

/// Words that set a variable elsewhere: in shells, on Windows, in a Dockerfile.
const SETTERS: [&str; 9] = [
    "set", "SET", "setx", "ENV", "ARG", "declare", "let", "local", "readonly",
];

/// A name with a space in it, and what stands behind its `=`, where there is one.
fn spaced_name(line: u32, name: &str, value: Option<&str>) -> DotenvError {
    let mut words: Vec<&str> = name.split_whitespace().collect();
    if words.first().is_some_and(|first| SETTERS.contains(first)) {
        words.remove(0);
        words.retain(|word| !word.starts_with('-')); // options
    }
    let meant = match (words.as_slice(), value) {
        ([name], Some(value)) => format!("{name}={}", value.trim()),
        ([name, value], None) => format!("{name}={value}"),
        _ => words.join("_"),
    };
    DotenvError {
        line,
        message: format!("the name {} has a space in it", quoted(name)),
        expected: LINE,
        suggestion: Some(format!("write {}", quoted(&meant))),
    }
}

/// White space within a line.
fn is_space(c: char) -> bool {
    matches!(
        c,
        '\t' | '\u{b}' | '\u{c}' | '\r' | ' ' | '\u{85}' | '\u{a0}'
    )
}

/// The escapes of double quotes: those of a shell's `$'…'`, octal as `\0…`;
/// an escaped dollar is none.
fn unescape(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        result.push_str(rest.get(..at).unwrap_or_default());
        let after = rest.get(at + 1..).unwrap_or_default();
        let (piece, length) = escape(after);
        if let Some(piece) = piece {
            result.push_str(&piece);
        } else {
            result.push('\\');
            result.push_str(after.get(..length).unwrap_or_default());
        }
        rest = after.get(length..).unwrap_or_default();
    }
    result.push_str(rest);
    result
}

/// What the text behind a backslash means, and how long it is.
fn escape(after: &str) -> (Option<String>, usize) {
    let single = |c: char| (Some(c.to_string()), 1);
    match after.as_bytes().first() {
        Some(b'a') => single('\u{7}'),
        Some(b'b') => single('\u{8}'),
        Some(b'f') => single('\u{c}'),
        Some(b'n') => single('\n'),
        Some(b'r') => single('\r'),
        Some(b't') => single('\t'),
        Some(b'v') => single('\u{b}'),
        Some(b'"') => single('"'),
        Some(b'\\') => single('\\'),
        // Kept from interpolation by doubling it.
        Some(b'$') => (Some("$$".to_owned()), 1),
        Some(b'0') => octal(after),
        _ => (None, 0),
    }
}

/// `\0` and three octal digits; of anything else the zero goes.
fn octal(after: &str) -> (Option<String>, usize) {
    let length = after
        .bytes()
        .skip(1)
        .take(3)
        .take_while(u8::is_ascii_digit)
        .count();
    let digits = after.get(1..=length).unwrap_or_default();
    let value = Some(digits)
        .filter(|digits| digits.len() == 3)
        .and_then(|digits| u8::from_str_radix(digits, 8).ok());
    let text = match value {
        Some(value) => char::from(value).to_string(),
        None => format!("\\{digits}"),
    };
    (Some(text), 1 + length)
}

/// Reads the `raw` format: `NAME=VALUE` as it stands, `#` only at the
/// beginning of a line.
pub(crate) fn parse_raw(
    text: &str,
    variables: &mut IndexMap<String, String>,
    outside: &Lookup<'_>,
) -> Result<Parsed, Vec<DotenvError>> {
    let mut parsed = Parsed::default();
    let mut errors = Vec::new();
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut next = 0;
    for (number, line) in (1..).zip(text.split_inclusive('\n')) {
        let start = next + line.len() - line.trim_start().len();
        next += line.len();
        let line = line.lines().next().unwrap_or_default().trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (name, value) = match line.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (line, None),
        };
        if name.is_empty() {
            errors.push(DotenvError {
                line: number,
                message: format!("{} has no name before its `=`", quoted(line)),
                expected: LINE,
                suggestion: None,
            });
        } else if name.contains(char::is_whitespace) {
            let mut error = spaced_name(number, name, value.as_deref());
            if let Some(("export", bare)) = name.split_once(char::is_whitespace) {
                let advice = format!(
                    "write `{}=…` alone: the format `raw` does not know `export`",
                    bare.trim()
                );
                error.suggestion = Some(advice);
            }
            errors.push(error);
        }
        if errors.len() >= MOST_ERRORS {
            break;
        }
        if parsed.settings.len() >= MOST_SETTINGS {
            errors.push(too_many(number));
            break;
        }
        let is_alone = value.is_none();
        if let Some(value) = value.or_else(|| outside(name)) {
            let uses = is_alone.then(|| Used::outer(name, Some(value.clone())));
            let written = if is_alone {
                0..name.len()
            } else {
                name.len() + 1..line.len()
            };
            parsed.settings.push(Assignment {
                written: start + written.start..start + written.end,
                uses: Vec::from_iter(uses),
                name: name.to_owned(),
                value: value.clone(),
                line: number,
            });
            variables.insert(name.to_owned(), value);
        }
    }
    if errors.is_empty() {
        Ok(parsed)
    } else {
        Err(errors)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outside(name: &str) -> Option<String> {
        (name == "OUT").then(|| "outer".to_owned())
    }

    fn read(text: &str) -> Result<Vec<(String, String)>, String> {
        let mut variables = IndexMap::new();
        parse(text, &mut variables, &outside).map_err(|errors| {
            let lines = errors.iter();
            let lines: Vec<String> = lines
                .map(|error| format!("{}: {}", error.line, error.message))
                .collect();
            lines.join("; ")
        })?;
        Ok(variables.into_iter().collect())
    }

    #[test]
    fn values_are_read() {
        for (text, value) in [
            ("A=b", "b"),
            ("A= b c  # note", "b c"),
            ("A=b#c", "b#c"),
            ("export A=b", "b"),
            ("A: b", "b"),
            ("A=", ""),
            ("A='x $OUT \\n'", "x $OUT \\n"),
            ("A=\"x $OUT\\n\"", "x outer\n"),
            ("A=\"\\$OUT $$OUT\"", "$OUT $OUT"),
            ("A=\"a\nb\"", "a\nb"),
            ("A='it\\'s'", "it's"),
            ("A=\"\\0101\"", "A"),
            ("A=${NONE:-d}", "d"),
            ("\u{feff}A=b", "b"),
            ("A=b\r\n", "b"),
        ] {
            let pairs = read(text).unwrap();
            assert_eq!(pairs, [("A".to_owned(), value.to_owned())], "{text:?}");
        }
    }

    #[test]
    fn lines_are_those_of_the_names() {
        let text = "A=1\n\nexport B=\"x\ny\"\nOUT\nA=2\n";
        let read = |parsed: Parsed| -> Vec<_> {
            let all = parsed.settings.into_iter();
            all.map(|one| format!("{}: {}={}", one.line, one.name, one.value))
                .collect()
        };
        let parsed = parse(text, &mut IndexMap::new(), &outside).unwrap();
        assert_eq!(
            read(parsed),
            ["1: A=1", "3: B=x\ny", "5: OUT=outer", "6: A=2"]
        );
        let parsed = parse_raw("#\nA=1\n", &mut IndexMap::new(), &outside).unwrap();
        assert_eq!(read(parsed), ["2: A=1"]);
    }

    #[test]
    fn names_alone_come_from_outside() {
        let pairs = read("OUT\nNONE\nB=$OUT\n").unwrap();
        let expected = [("OUT", "outer"), ("B", "outer")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(pairs, expected);
    }

    #[test]
    fn a_name_alone_without_a_line_end_is_the_value_of_none() {
        for (text, value) in [
            ("A=1\nOUT", "OUT"),
            ("=y\nexport OUT ", "OUT"),
            ("A B", "A B"),
            ("\tA\r", "A"),
        ] {
            let mut variables = IndexMap::new();
            let parsed = parse(text, &mut variables, &outside).unwrap();
            assert_eq!(variables.get("").map(String::as_str), Some(value), "{text}");
            let unended = parsed.unended.map(|(_, name)| name);
            assert_eq!(unended.as_deref(), Some(value), "{text}");
        }
        for text in ["OUT\n", "OUT\n# x", "A=1", "export "] {
            let parsed = parse(text, &mut IndexMap::new(), &outside).unwrap();
            assert_eq!(parsed.unended, None, "{text}");
        }
    }

    #[test]
    fn wrong_lines_are_refused_with_their_number() {
        for (text, error) in [
            ("A=1\n\nB C=2", "3: the name `B C` has a space in it"),
            ("# c\n%=1", "2: `%` cannot be in a name: `%=1`"),
            ("A=\"open\nB=1", "1: the quote of `\"open` is not closed"),
            (
                "%=1\nB C=\"x\ny\"\nA=${B?} $C ${D?d}\nE F\n",
                "1: `%` cannot be in a name: `%=1`; 2: the name `B C` has a space in it; \
                 4: the required variable `B` is missing a value; \
                 4: the required variable `D` is missing a value: d; \
                 5: the name `E F` has a space in it",
            ),
        ] {
            assert_eq!(read(text).unwrap_err(), error);
        }
    }

    #[test]
    fn more_settings_than_anybody_has_are_refused() {
        type Read = fn(
            &str,
            &mut IndexMap<String, String>,
            &Lookup<'_>,
        ) -> Result<Parsed, Vec<DotenvError>>;
        let text = |count: usize| -> String { (0..count).map(|n| format!("A{n}=x\n")).collect() };
        let (most, more) = (text(MOST_SETTINGS), text(MOST_SETTINGS + 1));
        for read in [parse as Read, parse_raw as Read] {
            assert!(read(&most, &mut IndexMap::new(), &outside).is_ok());
            let errors = read(&more, &mut IndexMap::new(), &outside).unwrap_err();
            assert_eq!(errors.len(), 1);
            assert_eq!(errors[0].line, 200_001);
        }
    }

    #[test]
    fn raw_files_are_taken_as_they_stand() {
        let mut variables = IndexMap::new();
        parse_raw("A=\"b\" # c\n#x\nOUT\n", &mut variables, &outside).unwrap();
        assert_eq!(variables.get("A").map(String::as_str), Some("\"b\" # c"));
        assert_eq!(variables.get("OUT").map(String::as_str), Some("outer"));
        let errors = parse_raw("A B=1\nC=2\n=3", &mut variables, &outside).unwrap_err();
        let lines: Vec<u32> = errors.iter().map(|error| error.line).collect();
        assert_eq!(lines, [1, 3]);
    }
}
