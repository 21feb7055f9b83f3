//! Variables and quotes in the words of a Dockerfile.
//!
//! "Environment replacement" and "Escape" of the Dockerfile reference; the details
//! are those of `BuildKit`'s lexer: `$name`, `${name}`, `${name:-word}`, `-`, `:+`, `+`,
//! `:?`, `?`, `#`, `##`, `%`, `%%`, `/` and `//`.

use std::collections::BTreeSet;
use std::iter::Peekable;
use std::str::Chars;

use super::pattern::Pattern;

/// The longest text that comes out, in bytes: values double with `A=$A$A`.
const LONGEST: usize = 1 << 20;
/// How deep `${…${…}…}` may go.
const DEEPEST: usize = 50;

/// Why a word cannot be expanded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ExpandError(pub(super) String);

/// How words are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// What takes the meaning of the next letter away: `\` or a backtick.
    pub escape: char,
    /// Quotes stay.
    pub keeps_quotes: bool,
    /// Escapes stay.
    pub keeps_escapes: bool,
    /// Quotes are letters as any other.
    pub ignores_quotes: bool,
    /// A variable that is not set stays as it is written.
    pub keeps_unset: bool,
}

impl Rules {
    /// The words of instructions.
    pub const fn words(escape: char) -> Self {
        Self {
            escape,
            keeps_quotes: false,
            keeps_escapes: false,
            ignores_quotes: false,
            keeps_unset: false,
        }
    }

    /// The content of a here-document.
    pub const HEREDOC: Self = Self {
        ignores_quotes: true,
        ..Self::words('\\')
    };

    /// A command as it is shown.
    pub const fn shown(escape: char) -> Self {
        Self {
            keeps_quotes: true,
            keeps_unset: true,
            ..Self::words(escape)
        }
    }
}

/// A word with its variables replaced.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Expanded {
    /// The whole.
    pub text: String,
    /// Taken apart where there was white space outside of quotes.
    pub words: Vec<String>,
    /// The variables that were set.
    pub used: BTreeSet<String>,
    /// Those that were not.
    pub missing: BTreeSet<String>,
}

/// Expands a text.
///
/// # Errors
/// A quote or brace that nobody closes, an unknown modifier, `${name:?message}`, a
/// result that is too long.
pub fn expand(
    text: &str,
    rules: Rules,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<Expanded, ExpandError> {
    let mut reader = Reader {
        rules,
        lookup,
        letters: text.chars().peekable(),
        depth: 0,
        used: BTreeSet::new(),
        missing: BTreeSet::new(),
    };
    let (text, words) = reader.until(None, rules.keeps_escapes)?;
    Ok(Expanded {
        text,
        words,
        used: reader.used,
        missing: reader.missing,
    })
}

struct Reader<'a> {
    rules: Rules,
    lookup: &'a dyn Fn(&str) -> Option<String>,
    letters: Peekable<Chars<'a>>,
    depth: usize,
    used: BTreeSet<String>,
    missing: BTreeSet<String>,
}

/// Words that white space parts.
#[derive(Default)]
struct Words {
    done: Vec<String>,
    open: String,
}

impl Words {
    fn letter(&mut self, c: char) {
        if !c.is_whitespace() {
            self.open.push(c);
        } else if !self.open.is_empty() {
            self.done.push(std::mem::take(&mut self.open));
        }
    }

    fn finish(mut self) -> Vec<String> {
        if !self.open.is_empty() {
            self.done.push(self.open);
        }
        self.done
    }
}

fn fail<T>(message: impl Into<String>) -> Result<T, ExpandError> {
    Err(ExpandError(message.into()))
}

impl Reader<'_> {
    /// Reads up to a letter, which is taken, or to the end.
    fn until(
        &mut self,
        stop: Option<char>,
        keeps_escapes: bool,
    ) -> Result<(String, Vec<String>), ExpandError> {
        let mut result = String::new();
        let mut words = Words::default();
        while let Some(c) = self.letters.next() {
            if Some(c) == stop {
                return Ok((result, words.finish()));
            }
            match c {
                '\'' if !self.rules.ignores_quotes => {
                    let text = self.single_quoted()?;
                    result.push_str(&text);
                    words.open.push_str(&text);
                }
                '"' if !self.rules.ignores_quotes => {
                    let text = self.double_quoted(keeps_escapes)?;
                    result.push_str(&text);
                    words.open.push_str(&text);
                }
                '$' => {
                    let text = self.dollar()?;
                    result.push_str(&text);
                    text.chars().for_each(|c| words.letter(c));
                }
                '<' => {
                    // The white space of `<< EOF` does not end a word.
                    let text = self.less_than();
                    result.push_str(&text);
                    words.open.push_str(&text);
                }
                c if c == self.rules.escape => {
                    if keeps_escapes {
                        result.push(c);
                        words.open.push(c);
                    }
                    if let Some(c) = self.letters.next() {
                        result.push(c);
                        words.open.push(c);
                    }
                }
                c => {
                    result.push(c);
                    words.letter(c);
                }
            }
            if result.len() > LONGEST {
                return fail("the text is longer than 1 MiB when its variables are replaced");
            }
        }
        match stop {
            None => Ok((result, words.finish())),
            Some('}') => fail("a `}` is missing"),
            Some(stop) => fail(format!("a `{stop}` is missing in `${{…}}`")),
        }
    }

    fn single_quoted(&mut self) -> Result<String, ExpandError> {
        let mut text = String::new();
        let quote = self.rules.keeps_quotes.then_some('\'');
        text.extend(quote);
        for c in self.letters.by_ref() {
            if c == '\'' {
                text.extend(quote);
                return Ok(text);
            }
            text.push(c);
        }
        fail("a single quote is not closed")
    }

    fn double_quoted(&mut self, keeps_escapes: bool) -> Result<String, ExpandError> {
        let mut text = String::new();
        let quote = self.rules.keeps_quotes.then_some('"');
        text.extend(quote);
        while let Some(c) = self.letters.next() {
            match c {
                '"' => {
                    text.extend(quote);
                    return Ok(text);
                }
                '$' => text.push_str(&self.dollar()?),
                c if c == self.rules.escape => {
                    if keeps_escapes {
                        text.push(c);
                    }
                    match self.letters.peek() {
                        None => {}
                        Some(next) if matches!(next, '"' | '$') || *next == c => {
                            text.extend(self.letters.next());
                        }
                        Some(_) => text.push(c),
                    }
                }
                c => text.push(c),
            }
            if text.len() > LONGEST {
                return fail("the text is longer than 1 MiB when its variables are replaced");
            }
        }
        fail("a double quote is not closed")
    }

    fn less_than(&mut self) -> String {
        let mut text = String::from("<");
        if self.letters.next_if_eq(&'<').is_some() {
            text.push('<');
            while let Some(c) = self.letters.next_if(|c| matches!(c, ' ' | '\t' | '\r')) {
                text.push(c);
            }
        }
        text
    }

    fn value(&mut self, name: &str) -> Option<String> {
        let value = (self.lookup)(name);
        let names = if value.is_some() {
            &mut self.used
        } else {
            &mut self.missing
        };
        names.insert(name.to_owned());
        value
    }

    /// What stands behind a dollar.
    fn dollar(&mut self) -> Result<String, ExpandError> {
        if self.letters.next_if_eq(&'{').is_none() {
            let name = self.name();
            if name.is_empty() {
                return Ok("$".to_owned());
            }
            return Ok(match self.value(&name) {
                Some(value) => value,
                None if self.rules.keeps_unset => format!("${name}"),
                None => String::new(),
            });
        }
        match self.letters.peek() {
            None => return fail("a `}` is missing"),
            Some('{' | '}' | ':') => return fail("`${` is not followed by a name"),
            Some(_) => {}
        }
        if self.depth == DEEPEST {
            return fail(format!("`${{…}}` is nested more than {DEEPEST} times"));
        }
        self.depth += 1;
        let result = self.braces();
        self.depth -= 1;
        result
    }

    /// What stands behind `${`.
    fn braces(&mut self) -> Result<String, ExpandError> {
        let name = self.name();
        match self.letters.next() {
            None => fail("a `}` is missing"),
            Some('}') => Ok(match self.value(&name) {
                Some(value) => value,
                None if self.rules.keeps_unset => format!("${{{name}}}"),
                None => String::new(),
            }),
            Some(':') => match self.letters.next() {
                Some(sign @ ('-' | '+' | '?')) => self.default(&name, sign, true),
                Some(sign) => fail(unknown_modifier(&name, &format!(":{sign}"))),
                None => fail("a `}` is missing"),
            },
            Some(sign @ ('-' | '+' | '?')) => self.default(&name, sign, false),
            Some(sign @ ('#' | '%')) => self.cut(&name, sign),
            Some('/') => self.replace(&name),
            Some(sign) => fail(unknown_modifier(&name, &sign.to_string())),
        }
    }

    fn default(
        &mut self,
        name: &str,
        sign: char,
        empty_is_unset: bool,
    ) -> Result<String, ExpandError> {
        let (word, _) = self.until(Some('}'), false)?;
        let value = self.value(name);
        if value.is_none() && self.rules.keeps_unset {
            let colon = if empty_is_unset { ":" } else { "" };
            return Ok(format!("${{{name}{colon}{sign}{word}}}"));
        }
        let is_set = value.is_some();
        let value = value.filter(|value| !empty_is_unset || !value.is_empty());
        match (sign, value) {
            ('-', value) => Ok(value.unwrap_or(word)),
            ('+', value) => Ok(value.map(|_| word).unwrap_or_default()),
            (_, Some(value)) => Ok(value),
            (_, None) if !word.is_empty() => fail(format!("`{name}`: {word}")),
            (_, None) if is_set => fail(format!("`{name}` must not be empty")),
            (_, None) => fail(format!("`{name}` must be set")),
        }
    }

    fn cut(&mut self, name: &str, sign: char) -> Result<String, ExpandError> {
        let (word, _) = self.until(Some('}'), true)?;
        let Some(value) = self.value(name) else {
            return Ok(if self.rules.keeps_unset {
                format!("${{{name}{sign}{word}}}")
            } else {
                String::new()
            });
        };
        let (word, is_longest) = match word.strip_prefix(sign) {
            Some(word) => (word, true),
            None => (word.as_str(), false),
        };
        let pattern = Pattern::read(word)?;
        if sign == '#' {
            pattern.without_prefix(&value, is_longest)
        } else {
            pattern.without_suffix(&value, is_longest)
        }
    }

    fn replace(&mut self, name: &str) -> Result<String, ExpandError> {
        let all = self.letters.next_if_eq(&'/').is_some();
        let (what, _) = self.until(Some('/'), true)?;
        let (by, _) = self.until(Some('}'), true)?;
        let Some(value) = self.value(name) else {
            return Ok(if self.rules.keeps_unset {
                format!("${{{name}/{what}/{by}}}")
            } else {
                String::new()
            });
        };
        // The result is no longer than this.
        if value.len().saturating_add(1).saturating_mul(by.len()) > 16 * LONGEST {
            return fail("the text is longer than 1 MiB when its variables are replaced");
        }
        Pattern::read(&what)?.replaced(&value, &by, all)
    }

    /// A name, a number, or one of the shell's special parameters.
    fn name(&mut self) -> String {
        let mut name = String::new();
        if let Some(c) = self
            .letters
            .next_if(|c| matches!(c, '@' | '*' | '#' | '?' | '-' | '$' | '!'))
        {
            name.push(c);
            return name;
        }
        let is_number = self.letters.peek().is_some_and(char::is_ascii_digit);
        while let Some(c) = self
            .letters
            .next_if(|c| c.is_ascii_digit() || (!is_number && (c.is_alphanumeric() || *c == '_')))
        {
            name.push(c);
        }
        name
    }
}

fn unknown_modifier(name: &str, sign: &str) -> String {
    format!("`{sign}` is no modifier in `${{{name}{sign}…}}`")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lookup(name: &str) -> Option<String> {
        let value = match name {
            "V" => "value",
            "EMPTY" => "",
            "PATHS" => "a/b/c.tar.gz",
            "TWO" => "x  y",
            _ => return None,
        };
        Some(value.to_owned())
    }

    fn words(text: &str) -> Result<Expanded, ExpandError> {
        expand(text, Rules::words('\\'), &lookup)
    }

    #[test]
    fn every_form_has_its_value() {
        for (text, expected) in [
            ("plain", "plain"),
            ("$V", "value"),
            ("a${V}b", "avalueb"),
            ("$V.x-$NONE", "value.x-"),
            ("\\$V", "$V"),
            ("'$V'", "$V"),
            ("\"$V\" 'a b'", "value a b"),
            ("\"a\\\"b\\n\\\\\"", "a\"b\\n\\"),
            ("a\\b\\\\c", "ab\\c"),
            ("$", "$"),
            ("a$ b", "a$ b"),
            ("${V:-x}${NONE:-x}${EMPTY:-x}", "valuexx"),
            ("${V-x}${NONE-x}${EMPTY-x}", "valuex"),
            ("${V:+x}${NONE:+x}${EMPTY:+x}", "x"),
            ("${V+x}${NONE+x}${EMPTY+y}", "xy"),
            ("${V:?x}${EMPTY?x}", "value"),
            ("${NONE:-${V}}", "value"),
            ("${NONE:-'a}b'}", "a}b"),
            ("${NONE:-a\\}b}", "a}b"),
            ("${PATHS#*/}", "b/c.tar.gz"),
            ("${PATHS##*/}", "c.tar.gz"),
            ("${PATHS%.*}", "a/b/c.tar"),
            ("${PATHS%%.*}", "a/b/c"),
            ("${PATHS/a/x}", "x/b/c.tar.gz"),
            ("${PATHS//a/x}", "x/b/c.txr.gz"),
            ("${PATHS//\\//:}", "a:b:c.tar.gz"),
            ("${PATHS/tar.gz/}", "a/b/c."),
            ("${NONE#x}${NONE/a/b}", ""),
            ("$1$@$?", ""),
        ] {
            assert_eq!(
                words(text).map(|e| e.text).as_deref(),
                Ok(expected),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, part) in [
            ("${V", "`}` is missing"),
            ("${V:-x", "`}` is missing"),
            ("${", "`}` is missing"),
            ("${}", "not followed by a name"),
            ("${:x}", "not followed by a name"),
            ("${V^}", "`^` is no modifier"),
            ("${V:=x}", "`:=` is no modifier"),
            ("${V:#x}", "`:#` is no modifier"),
            ("${V/a}", "`/` is missing"),
            ("${NONE:?please set it}", "`NONE`: please set it"),
            ("${NONE?}", "`NONE` must be set"),
            ("${EMPTY:?}", "`EMPTY` must not be empty"),
            ("'a", "single quote"),
            ("\"a", "double quote"),
            ("${V#\\x}", "`\\x` is no escape"),
        ] {
            let error = words(text).unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn words_are_parted_by_white_space_outside_of_quotes() {
        for (text, expected) in [
            (" a  b ", vec!["a", "b"]),
            ("'a b' c", vec!["a b", "c"]),
            ("$TWO", vec!["x", "y"]),
            ("\"$TWO\"", vec!["x  y"]),
            ("a\\ b", vec!["a b"]),
            ("a << EOF", vec!["a", "<< EOF"]),
            ("'' a", vec!["a"]),
        ] {
            assert_eq!(words(text).unwrap().words, expected, "{text}");
        }
    }

    #[test]
    fn rules_keep_what_they_say() {
        let shown = |text| expand(text, Rules::shown('\\'), &lookup).unwrap().text;
        assert_eq!(
            shown("echo \"$V\" '$V' $X ${X:-1}"),
            "echo \"value\" '$V' $X ${X:-1}"
        );
        let heredoc = |text| expand(text, Rules::HEREDOC, &lookup).unwrap().text;
        assert_eq!(heredoc("it's \"$V\" \\$V"), "it's \"value\" $V");
        let backtick = expand("a`$V\\$V", Rules::words('`'), &lookup).unwrap();
        assert_eq!(backtick.text, "a$V\\value");
    }

    #[test]
    fn used_and_missing_variables_are_known() {
        let expanded = words("$V${NONE:-$OTHER}").unwrap();
        assert_eq!(Vec::from_iter(expanded.used), ["V"]);
        assert_eq!(Vec::from_iter(expanded.missing), ["NONE", "OTHER"]);
    }

    #[test]
    fn nothing_grows_without_bound() {
        let large = |_: &str| Some("x".repeat(100_000));
        let rules = Rules::words('\\');
        assert!(expand(&"$A".repeat(20), rules, &large).is_err());
        assert!(expand(&format!("\"{}\"", "$A".repeat(20)), rules, &large).is_err());
        assert!(expand("${A//x/xxxxxxxxxxxxxxxxxxxxxxxxxxxxx}", rules, &large).is_err());
        assert!(expand(&"${A:-".repeat(100_000), rules, &large).is_err());
    }
}
