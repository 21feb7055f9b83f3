//! Files of variables: `.env`, `env_file`, `label_file`, in the reference's
//! grammar, and its `raw` format.
//!
//! Specification: "`env_file`", "`Env_file` format". `NAME=VALUE` a line; `export`
//! before it and `:` instead of `=` are allowed; a name alone takes its value
//! from outside; single quotes keep everything, double quotes know escapes and
//! variables, values without quotes know variables and end at ` #`.

use indexmap::IndexMap;

use super::template::{self, Lookup};

/// What is wrong with a file, and in which line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DotenvError {
    pub(crate) line: u32,
    pub(crate) message: String,
}

/// A variable that a file sets, and in which line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Assignment {
    pub(crate) name: String,
    pub(crate) value: String,
    pub(crate) line: u32,
}

/// What there is to say of a file that was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Parsed {
    /// Variables that were used in values and are nowhere set, each with the line
    /// that uses it.
    pub(crate) unset: Vec<(String, u32)>,
    /// What the file sets, each time that it does.
    pub(crate) settings: Vec<Assignment>,
}

/// Reads a file into `variables`. `outside` is asked first for variables that
/// are used in values, then what was read so far.
pub(crate) fn parse(
    text: &str,
    variables: &mut IndexMap<String, String>,
    outside: &Lookup<'_>,
) -> Result<Parsed, DotenvError> {
    let mut parser = Parser {
        rest: text.strip_prefix('\u{feff}').unwrap_or(text),
        line: 1,
        variables,
        outside,
        parsed: Parsed::default(),
    };
    while parser.skip_to_statement() {
        parser.statement()?;
    }
    Ok(parser.parsed)
}

struct Parser<'a> {
    rest: &'a str,
    line: u32,
    variables: &'a mut IndexMap<String, String>,
    outside: &'a Lookup<'a>,
    parsed: Parsed,
}

impl<'a> Parser<'a> {
    fn error<T>(&self, message: impl Into<String>) -> Result<T, DotenvError> {
        Err(DotenvError {
            line: self.line,
            message: message.into(),
        })
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

    fn statement(&mut self) -> Result<(), DotenvError> {
        if let Some(after) = self.rest.strip_prefix("export")
            && after.starts_with(char::is_whitespace)
        {
            self.advance("export".len());
            self.skip_spaces();
        }
        let line = self.line;
        let name_end = self.name_end()?;
        let name = self.advance(name_end).trim_end().to_owned();
        let separator = self.rest.chars().next();
        self.advance(separator.map_or(0, char::len_utf8));
        self.skip_spaces();
        if name.contains(' ') {
            return self.error(format!("the name `{name}` has a space in it"));
        }
        if matches!(separator, None | Some('\n')) {
            // A name alone: its value comes from outside, or it has none.
            if let Some(value) = (self.outside)(&name) {
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
        });
        self.variables.insert(name, value);
    }

    /// Where the name ends: at `=`, `:`, the line's end or the text's.
    fn name_end(&self) -> Result<usize, DotenvError> {
        for (at, c) in self.rest.char_indices() {
            match c {
                '=' | ':' | '\n' => return Ok(at),
                '_' | '.' | '-' | '[' | ']' => {}
                c if c.is_alphanumeric() || is_space(c) => {}
                c => {
                    let line = self.rest.lines().next().unwrap_or_default();
                    return self.error(format!("`{c}` cannot be in a name: `{line}`"));
                }
            }
        }
        Ok(self.rest.len())
    }

    fn value(&mut self) -> Result<String, DotenvError> {
        if let Some(quote @ ('"' | '\'')) = self.rest.chars().next() {
            self.quoted(quote)
        } else {
            let line = self.line;
            let end = self.rest.find('\n').unwrap_or(self.rest.len());
            let text = self.advance(end);
            self.advance(usize::from(!self.rest.is_empty()));
            let text = text.split(" #").next().unwrap_or_default().trim_end();
            self.expand(text, line)
        }
    }

    fn quoted(&mut self, quote: char) -> Result<String, DotenvError> {
        let line = self.line;
        let mut value = String::new();
        let mut escaped = false;
        for (at, c) in self.rest.char_indices().skip(1) {
            if c == quote && !escaped {
                self.advance(at + 1);
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
        self.error(format!("a quote is not closed: `{shown}`"))
    }

    fn expand(&mut self, text: &str, line: u32) -> Result<String, DotenvError> {
        let variables = &*self.variables;
        let outside = self.outside;
        let lookup = |name: &str| outside(name).or_else(|| variables.get(name).cloned());
        match template::substitute(text, &lookup) {
            Ok((value, unset)) => {
                let unset = unset.into_iter().map(|name| (name, line));
                self.parsed.unset.extend(unset);
                Ok(value)
            }
            Err(error) => Err(DotenvError {
                line,
                message: error.to_string(),
            }),
        }
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
) -> Result<Parsed, DotenvError> {
    let mut parsed = Parsed::default();
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    for (number, line) in (1..).zip(text.lines()) {
        let error = |message: String| DotenvError {
            line: number,
            message,
        };
        let line = line.trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (name, value) = match line.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (line, None),
        };
        if name.is_empty() {
            return Err(error(format!("`{line}` has no name before its `=`")));
        }
        if name.contains(char::is_whitespace) {
            return Err(error(format!("the name `{name}` has a space in it")));
        }
        if let Some(value) = value.or_else(|| outside(name)) {
            parsed.settings.push(Assignment {
                name: name.to_owned(),
                value: value.clone(),
                line: number,
            });
            variables.insert(name.to_owned(), value);
        }
    }
    Ok(parsed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outside(name: &str) -> Option<String> {
        (name == "OUT").then(|| "outer".to_owned())
    }

    fn read(text: &str) -> Result<Vec<(String, String)>, String> {
        let mut variables = IndexMap::new();
        parse(text, &mut variables, &outside)
            .map_err(|error| format!("{}: {}", error.line, error.message))?;
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
    fn wrong_lines_are_refused_with_their_number() {
        for (text, error) in [
            ("A=1\n\nB C=2", "3: the name `B C` has a space in it"),
            ("# c\n%=1", "2: `%` cannot be in a name: `%=1`"),
            ("A=\"open\nB=1", "1: a quote is not closed: `\"open`"),
        ] {
            assert_eq!(read(text).unwrap_err(), error);
        }
    }

    #[test]
    fn raw_files_are_taken_as_they_stand() {
        let mut variables = IndexMap::new();
        parse_raw("A=\"b\" # c\n#x\nOUT\n", &mut variables, &outside).unwrap();
        assert_eq!(variables.get("A").map(String::as_str), Some("\"b\" # c"));
        assert_eq!(variables.get("OUT").map(String::as_str), Some("outer"));
        assert!(parse_raw("A B=1", &mut variables, &outside).is_err());
    }
}
