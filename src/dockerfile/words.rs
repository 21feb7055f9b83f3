//! How the text behind a keyword is taken apart: flags, words, JSON, pairs.

use std::ops::Range;

use super::lines::Line;
use super::span::{Problem, Span, Word};

/// What parts the words of most instructions.
pub(super) const SPACES: [char; 5] = ['\t', '\u{b}', '\u{c}', '\r', ' '];

/// `--name=value`, quotes and escapes resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Flag {
    pub(super) name: String,
    pub(super) value: Option<String>,
    pub(super) at: Span,
}

/// A keyword, its flags, and the part of the line behind them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Split {
    pub(super) keyword: Range<usize>,
    pub(super) flags: Vec<Flag>,
    pub(super) rest: Range<usize>,
}

/// Takes keyword and flags off a part of a line.
pub(super) fn split(line: &Line, part: Range<usize>, escape: char) -> Split {
    let text = line.text.get(part.clone()).unwrap_or_default();
    let part = trimmed(text, part.start);
    let text = line.text.get(part.clone()).unwrap_or_default();
    let end = text.find(SPACES).unwrap_or(text.len());
    let keyword = part.start..part.start + end;
    let (flags, at) = flags(line, keyword.end..part.end, escape);
    let rest = trimmed(line.text.get(at..part.end).unwrap_or_default(), at);
    Split {
        keyword,
        flags,
        rest,
    }
}

/// Where a text without the white space around it is.
fn trimmed(text: &str, at: usize) -> Range<usize> {
    let start = at + (text.len() - text.trim_start().len());
    start..start + text.trim().len()
}

/// The words that begin with `--`, and where the first other one is.
fn flags(line: &Line, part: Range<usize>, escape: char) -> (Vec<Flag>, usize) {
    let mut found = Vec::new();
    let mut at = part.start;
    loop {
        let rest = line.text.get(at..part.end).unwrap_or_default();
        at += rest.len() - rest.trim_start().len();
        let rest = rest.trim_start();
        if !rest.starts_with("--") {
            return (found, at);
        }
        let (text, length) = flag(rest, escape);
        let span = line.span(at..at + length);
        at += length;
        let Some(text) = text.strip_prefix("--").filter(|text| !text.is_empty()) else {
            return (found, at);
        };
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (text, None),
        };
        found.push(Flag {
            name: name.to_owned(),
            value,
            at: span,
        });
    }
}

/// A flag without quotes and escapes, and how long it is in the line.
fn flag(text: &str, escape: char) -> (String, usize) {
    let mut result = String::new();
    let mut quote = None;
    let mut letters = text.char_indices();
    while let Some((at, c)) = letters.next() {
        match (c, quote) {
            (c, None) if c.is_whitespace() => return (result, at),
            ('\'' | '"', None) => quote = Some(c),
            (c, Some(open)) if c == open => quote = None,
            (c, _) if c == escape => result.extend(letters.next().map(|(_, c)| c)),
            (c, _) => result.push(c),
        }
    }
    (result, text.len())
}

/// Words that white space outside of quotes parts; quotes and escapes stay.
pub(super) fn quoted_words(line: &Line, part: Range<usize>, escape: char) -> Vec<Word> {
    let text = line.text.get(part.clone()).unwrap_or_default();
    let mut words = Vec::new();
    let mut begin: Option<usize> = None;
    let mut quote = None;
    let mut letters = text.char_indices().peekable();
    let mut end = text.len();
    while let Some((at, c)) = letters.next() {
        if begin.is_none() && c.is_whitespace() {
            continue;
        }
        let start = *begin.get_or_insert(at);
        match (c, quote) {
            (c, None) if c.is_whitespace() => {
                words.push(line.word(part.start + start..part.start + at));
                begin = None;
            }
            ('\'' | '"', None) => quote = Some(c),
            (c, Some(open)) if c == open => quote = None,
            (c, open) if c == escape && open != Some('\'') && letters.next().is_none() => end = at,
            _ => {}
        }
    }
    if let Some(start) = begin.filter(|start| *start < end) {
        words.push(line.word(part.start + start..part.start + end));
    }
    words
}

/// Words that white space parts, whatever is around it.
pub(super) fn plain_words(line: &Line, part: Range<usize>) -> Vec<Word> {
    let text = line.text.get(part.clone()).unwrap_or_default();
    let mut at = part.start;
    let mut words = Vec::new();
    for word in text.split(SPACES) {
        if !word.is_empty() {
            words.push(line.word(at..at + word.len()));
        }
        at += word.len() + 1;
    }
    words
}

/// The strings of a JSON array; `None` where the text is none, and so stands for
/// itself.
///
/// # Errors
/// An array in which something is no string.
pub(super) fn json(line: &Line, part: Range<usize>) -> Result<Option<Vec<String>>, Problem> {
    let text = line.text.get(part.clone()).unwrap_or_default();
    if !text.starts_with('[') {
        return Ok(None);
    }
    let Ok(items) = serde_json::from_str::<Vec<serde_json::Value>>(text) else {
        return Ok(None);
    };
    let strings = items.into_iter().map(|item| match item {
        serde_json::Value::String(text) => Some(text),
        _ => None,
    });
    match strings.collect() {
        Some(strings) => Ok(Some(strings)),
        None => Err(Problem::new(
            line.span(part),
            "the array holds something that is no string",
        )
        .expected("strings in double quotes: `[\"a\", \"b\"]`")),
    }
}

/// A name with its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// The name.
    pub name: Word,
    /// The value.
    pub value: Word,
    /// Written without `=`: `ENV name value`.
    pub is_legacy: bool,
}

/// `name=value …`, or `name value` up to the end.
///
/// # Errors
/// No value, no name, words without `=` behind the first.
pub(super) fn pairs(
    line: &Line,
    part: Range<usize>,
    escape: char,
    keyword: &str,
) -> Result<Vec<Pair>, Vec<Problem>> {
    let words = quoted_words(line, part.clone(), escape);
    let Some(first) = words.first() else {
        return Err(vec![missing(line, &part, keyword, "`name=value`")]);
    };
    if !first.text.contains('=') {
        return legacy_pair(line, part, keyword).map_err(|problem| vec![problem]);
    }
    let mut pairs = Vec::new();
    let mut problems = Vec::new();
    for word in words {
        let Some((name, value)) = word.text.split_once('=') else {
            problems.push(
                Problem::new(word.at, format!("`{}` has no `=`", word.text))
                    .expected("`name=value`")
                    .help("a value with spaces has to be in quotes"),
            );
            continue;
        };
        if name.is_empty() {
            problems.push(Problem::new(
                word.at,
                format!("{keyword} is given a value without a name"),
            ));
        }
        let split = word.at.start + u32::try_from(name.len()).unwrap_or(u32::MAX);
        pairs.push(Pair {
            name: Word {
                text: name.to_owned(),
                at: Span {
                    end: split,
                    ..word.at
                },
            },
            value: Word {
                text: value.to_owned(),
                at: Span {
                    start: (split + 1).min(word.at.end),
                    ..word.at
                },
            },
            is_legacy: false,
        });
    }
    if problems.is_empty() {
        Ok(pairs)
    } else {
        Err(problems)
    }
}

fn legacy_pair(line: &Line, part: Range<usize>, keyword: &str) -> Result<Vec<Pair>, Problem> {
    let text = line.text.get(part.clone()).unwrap_or_default();
    let Some((name, rest)) = text.split_once(SPACES) else {
        return Err(
            Problem::new(line.span(part), format!("`{text}` has no value"))
                .expected(format!("`{keyword} {text}=value`")),
        );
    };
    let value = rest.trim_start_matches(SPACES);
    let pair = Pair {
        name: line.word(part.start..part.start + name.len()),
        value: line.word(part.end - value.len()..part.end),
        is_legacy: true,
    };
    Ok(vec![pair])
}

/// Nothing is behind a keyword that needs something.
pub(super) fn missing(line: &Line, part: &Range<usize>, keyword: &str, what: &str) -> Problem {
    let whole = line.span(0..part.end.max(1));
    Problem::new(whole, format!("{keyword} has no argument")).expected(what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dockerfile::lines::Lines;
    use crate::dockerfile::span::Source;

    fn line(text: &str) -> Line {
        Lines::new(&Source::new(text.to_owned()))
            .next_line()
            .unwrap()
    }

    #[test]
    fn flags_end_at_the_first_other_word() {
        for (text, flags, rest) in [
            ("RUN a --b", vec![], "a --b"),
            ("RUN --a --b=c d", vec!["a", "b=c"], "d"),
            ("RUN --a='x y' \"--b=z\"", vec!["a=x y"], "\"--b=z\""),
            ("RUN --a=x\\ y -- --b", vec!["a=x y"], "--b"),
            ("RUN --a", vec!["a"], ""),
            ("RUN", vec![], ""),
            ("RUN --é=ü z", vec!["é=ü"], "z"),
        ] {
            let line = line(text);
            let split = split(&line, 0..line.text.len(), '\\');
            let found: Vec<String> = split
                .flags
                .iter()
                .map(|flag| match &flag.value {
                    Some(value) => format!("{}={value}", flag.name),
                    None => flag.name.clone(),
                })
                .collect();
            assert_eq!(found, flags, "{text}");
            assert_eq!(&line.text[split.rest], rest, "{text}");
        }
    }

    #[test]
    fn quoted_words_keep_their_quotes() {
        for (text, expected) in [
            ("a b", vec!["a", "b"]),
            ("a='x y'  b=\"q\\\" r\"", vec!["a='x y'", "b=\"q\\\" r\""]),
            ("a=x\\ y b", vec!["a=x\\ y", "b"]),
            ("a='x\\' b", vec!["a='x\\'", "b"]),
            ("a='open b", vec!["a='open b"]),
            ("''", vec!["''"]),
        ] {
            let line = line(text);
            let words = quoted_words(&line, 0..line.text.len(), '\\');
            let found: Vec<&str> = words.iter().map(|word| word.text.as_str()).collect();
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn json_is_an_array_of_strings_or_none_at_all() {
        let read = |text: &str| {
            let line = line(text);
            json(&line, 0..line.text.len())
        };
        assert_eq!(
            read("[\"a\", \"b\\n\"]"),
            Ok(Some(vec!["a".into(), "b\n".into()]))
        );
        assert_eq!(read("[]"), Ok(Some(vec![])));
        assert_eq!(read("['a']"), Ok(None));
        assert_eq!(read("[\"a\"] x"), Ok(None));
        assert_eq!(read("a"), Ok(None));
        assert!(read("[\"a\", 1]").is_err());
        assert!(read("[[\"a\"]]").is_err());
    }

    #[test]
    fn pairs_have_an_equals_sign_or_are_one() {
        let read = |text: &str| {
            let line = line(text);
            pairs(&line, 0..line.text.len(), '\\', "ENV").map(|pairs| {
                pairs
                    .into_iter()
                    .map(|pair| (pair.name.text, pair.value.text, pair.is_legacy))
                    .collect::<Vec<_>>()
            })
        };
        let pair = |name: &str, value: &str, old| (name.to_owned(), value.to_owned(), old);
        assert_eq!(
            read("a=b c="),
            Ok(vec![pair("a", "b", false), pair("c", "", false)])
        );
        assert_eq!(read("a  b c=d"), Ok(vec![pair("a", "b c=d", true)]));
        assert!(read("a").is_err());
        assert!(read("a=b c").is_err());
        assert!(read("=b").is_err());
    }
}
