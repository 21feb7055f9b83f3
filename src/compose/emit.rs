//! The model as text, YAML and JSON, letter by letter as the reference prints
//! it: the order of keys, what is in quotes, how far things are indented.
//!
//! What is printed has to be read back as the same model: a string that would
//! be taken for something else (`012`, `2024-01-02`, `1_000`) is in quotes, and
//! so is what an older reader of YAML takes for a boolean (`yes`, `on`, `y`).

use serde::Serialize as _;
use serde_json::ser::{PrettyFormatter, Serializer};

use super::model::Form;
use super::order::natural;
use super::printed::Printed;
use super::scalar::{self, full_time};
use super::tree::{Node, Value};
use super::units::float_text;

/// Keys longer than this stand behind a `?`.
const LONGEST_KEY: usize = 128;

/// What is printed: a part of the typed model, or of a tree.
#[derive(Debug, Clone, Copy)]
enum View<'a> {
    Typed(&'a Printed),
    Raw(&'a Node),
}

/// One level of what is printed: a model may be too large to be there twice.
#[derive(Debug)]
enum Item<'a> {
    /// A scalar that stands as it is.
    Plain(String),
    Text(&'a str),
    List(Vec<View<'a>>),
    Map(Vec<(&'a str, View<'a>)>),
}

impl<'a> View<'a> {
    fn item(self) -> Item<'a> {
        match self {
            Self::Typed(value) => typed(value),
            Self::Raw(node) => raw(node),
        }
    }
}

/// Prints the typed model as YAML. Keys keep their order.
pub(crate) fn yaml(model: &Printed) -> String {
    print(View::Typed(model), 2)
}

/// Prints mappings as YAML with four spaces a level. Keys keep their order.
pub(crate) fn wide_yaml(mappings: &Printed) -> String {
    print(View::Typed(mappings), 4)
}

/// Prints a tree as YAML, its keys in the order of names.
pub(crate) fn tree_yaml(tree: &Node) -> String {
    print(View::Raw(tree), 2)
}

/// Prints the typed model as JSON. Keys keep their order.
pub(crate) fn json(model: &Printed) -> String {
    let text = pretty(model, "  ");
    // These stand within strings only; the reference thinks of web pages.
    let escapes = [
        ('&', "\\u0026"),
        ('<', "\\u003c"),
        ('>', "\\u003e"),
        ('\u{2028}', "\\u2028"),
        ('\u{2029}', "\\u2029"),
    ];
    let unescaped = escapes.into_iter().filter(|(c, _)| text.contains(*c));
    let unescaped: Vec<_> = unescaped.collect();
    let escape = |text: String, (c, escape): (char, &str)| text.replace(c, escape);
    unescaped.into_iter().fold(text, escape)
}

/// Prints JSON with four spaces a level and an empty line at its end.
pub(crate) fn wide_json(value: &Printed) -> String {
    pretty(value, "    ") + "\n\n"
}

fn pretty(value: &Printed, step: &str) -> String {
    let mut text = Vec::new();
    let format = PrettyFormatter::with_indent(step.as_bytes());
    // Writing to memory cannot fail, nor can JSON be without a JSON form.
    value
        .serialize(&mut Serializer::with_formatter(&mut text, format))
        .ok();
    String::from_utf8(text).unwrap_or_default()
}

/// Prints a tree as JSON, its keys in the order of their letters.
pub(crate) fn tree_json(tree: &Node) -> String {
    json(&Printed::of(tree).ordered(Form::Json))
}

/// What is said of a number that JSON does not have.
pub(crate) fn no_json(value: f64) -> String {
    format!("`{}` is no number of JSON", endless(value))
}

/// A number that JSON does not have, as YAML has it.
fn endless(value: f64) -> &'static str {
    if value.is_nan() {
        ".nan"
    } else if value > 0.0 {
        ".inf"
    } else {
        "-.inf"
    }
}

fn float(value: f64) -> String {
    if value.is_finite() {
        float_text(value)
    } else {
        endless(value).to_owned()
    }
}

fn typed(value: &Printed) -> Item<'_> {
    match value {
        Printed::Null => Item::Plain("null".to_owned()),
        Printed::Bool(value) => Item::Plain(value.to_string()),
        Printed::Number(value) => Item::Plain(match value.as_f64() {
            Some(float) if value.is_f64() => float_text(float),
            _ => value.to_string(),
        }),
        Printed::Endless(value) => Item::Plain(endless(*value).to_owned()),
        Printed::Time(text) => Item::Plain(text.clone()),
        Printed::String(text) => Item::Text(text),
        Printed::Array(items) => Item::List(items.iter().map(View::Typed).collect()),
        Printed::Object(map) => {
            let entries = map
                .iter()
                .map(|(key, child)| (key.as_str(), View::Typed(child)));
            Item::Map(entries.collect())
        }
    }
}

fn raw(node: &Node) -> Item<'_> {
    match &node.value {
        Value::Null => Item::Plain("null".to_owned()),
        Value::Bool(value) => Item::Plain(value.to_string()),
        Value::Int(value) => Item::Plain(value.to_string()),
        Value::Float(value) => Item::Plain(float(*value)),
        Value::Time(text) => Item::Plain(full_time(text)),
        Value::Str(text) => Item::Text(text),
        Value::Seq(items) => Item::List(items.iter().map(View::Raw).collect()),
        Value::Map(map) => {
            let entries = map
                .iter()
                .map(|(key, child)| (key.as_str(), View::Raw(child)));
            let mut entries: Vec<_> = entries.collect();
            entries.sort_by(|one, other| natural(one.0, other.0));
            Item::Map(entries)
        }
    }
}

fn print(view: View<'_>, step: usize) -> String {
    let mut printer = Printer {
        text: String::new(),
        step,
    };
    match view.item() {
        Item::Map(entries) if !entries.is_empty() => printer.map(&entries, 0),
        Item::List(items) if !items.is_empty() => printer.list(&items, 0),
        scalar => {
            printer.scalar(&scalar, 0);
            printer.text.push('\n');
        }
    }
    printer.text
}

struct Printer {
    text: String,
    /// Spaces from a mapping's keys to what is below them.
    step: usize,
}

impl Printer {
    fn indent(&mut self, width: usize) {
        self.text.extend(std::iter::repeat_n(' ', width));
    }

    /// Prints a mapping's entries; the first one goes on in the line at work.
    fn map(&mut self, entries: &[(&str, View<'_>)], indent: usize) {
        for (index, &(key, child)) in entries.iter().enumerate() {
            if index > 0 {
                self.indent(indent);
            }
            if key.len() > LONGEST_KEY || key.contains(['\n', '\r', '\u{85}']) {
                self.text.push_str("? ");
                self.string(key, indent + 2);
                self.text.push('\n');
                self.indent(indent);
                self.text.push_str(": ");
                self.nested(child, indent + 2);
                continue;
            }
            self.text.push_str(&one_line(key, true));
            self.text.push(':');
            let below = indent + self.step;
            match child.item() {
                Item::Map(entries) if !entries.is_empty() => {
                    self.text.push('\n');
                    self.indent(below);
                    self.map(&entries, below);
                }
                Item::List(items) if !items.is_empty() => {
                    self.text.push('\n');
                    self.indent(below);
                    self.list(&items, below);
                }
                scalar => {
                    self.text.push(' ');
                    self.scalar(&scalar, below);
                    self.text.push('\n');
                }
            }
        }
    }

    /// Prints a list's items; the first one goes on in the line at work.
    fn list(&mut self, items: &[View<'_>], indent: usize) {
        for (index, &item) in items.iter().enumerate() {
            if index > 0 {
                self.indent(indent);
            }
            self.text.push_str("- ");
            self.nested(item, indent + 2);
        }
    }

    /// Prints what goes on in the line at work.
    fn nested(&mut self, view: View<'_>, indent: usize) {
        match view.item() {
            Item::Map(entries) if !entries.is_empty() => self.map(&entries, indent),
            Item::List(items) if !items.is_empty() => self.list(&items, indent),
            scalar => {
                self.scalar(&scalar, indent);
                self.text.push('\n');
            }
        }
    }

    /// Prints a scalar or an empty collection; `indent` is that of further lines.
    fn scalar(&mut self, item: &Item<'_>, indent: usize) {
        match item {
            Item::Plain(text) => self.text.push_str(text),
            Item::Text(text) => self.string(text, indent),
            Item::List(_) => self.text.push_str("[]"),
            Item::Map(_) => self.text.push_str("{}"),
        }
    }

    fn string(&mut self, text: &str, indent: usize) {
        if text.contains('\n') && can_be_literal(text) {
            self.literal(text, indent);
        } else {
            self.text.push_str(&one_line(text, false));
        }
    }

    /// A block scalar (`|`), every line as it is.
    fn literal(&mut self, text: &str, indent: usize) {
        self.text.push('|');
        if text.starts_with([' ', '\n']) {
            self.text.push('2');
        }
        let body = match text.strip_suffix('\n') {
            None => {
                self.text.push('-');
                text
            }
            Some(body) => {
                if body.is_empty() || body.ends_with('\n') {
                    self.text.push('+');
                }
                body
            }
        };
        for line in body.split('\n') {
            self.text.push('\n');
            if !line.is_empty() {
                self.indent(indent);
                self.text.push_str(line);
            }
        }
    }
}

/// True for a text that can stand as it is, line by line.
fn can_be_literal(text: &str) -> bool {
    !text.ends_with(' ')
        && !text.contains(" \n")
        && text.chars().all(|c| c == '\t' || is_printable(c))
}

/// A string in one line: plain where that is read back as the same string,
/// else in quotes.
fn one_line(text: &str, is_key: bool) -> String {
    let is_string = matches!(scalar::resolve(text, true, None), Ok(Value::Str(_)));
    if !is_string || is_number_in_sixties(text) || is_old_boolean(text) {
        return double_quoted(text);
    }
    let needs_escapes = |c: char| c == '\n' || c == '\t' || !is_printable(c);
    if text.contains(needs_escapes) {
        double_quoted(text)
    } else if can_be_plain(text) && !(is_key && text == "<<") {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "''"))
    }
}

/// True where no character or place of one has a meaning of its own.
fn can_be_plain(text: &str) -> bool {
    let starts = text.starts_with([
        ' ', '#', ',', '[', ']', '{', '}', '&', '*', '!', '|', '>', '\'', '"', '%', '@', '`',
    ]);
    let is_indicator = |first: char| {
        text.strip_prefix(first)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
    };
    !starts
        && !['?', ':', '-'].into_iter().any(is_indicator)
        && !text.starts_with("---")
        && !text.starts_with("...")
        && !text.ends_with([' ', ':'])
        && !text.contains(": ")
        && !text.contains(" #")
}

pub(super) fn is_old_boolean(text: &str) -> bool {
    ["y", "yes", "on", "n", "no", "off"].iter().any(|word| {
        let capital = word
            .char_indices()
            .map(|(at, c)| if at == 0 { c.to_ascii_uppercase() } else { c });
        text == *word || text == word.to_ascii_uppercase() || capital.eq(text.chars())
    })
}

/// `1:20`, eighty for readers of YAML 1.1.
fn is_number_in_sixties(text: &str) -> bool {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let Some((first, rest)) = unsigned.split_once(':') else {
        return false;
    };
    let (rest, fraction) = rest.split_once('.').unwrap_or((rest, ""));
    let is_digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit() || b == b'_');
    first.starts_with(|c: char| c.is_ascii_digit())
        && is_digits(first)
        && is_digits(fraction)
        && rest.split(':').all(|part| match part.as_bytes() {
            [digit] => digit.is_ascii_digit(),
            [ten, digit] => (b'0'..=b'5').contains(ten) && digit.is_ascii_digit(),
            _ => false,
        })
}

/// True for what is not escaped in double quotes. What ends a line for one
/// reader of YAML and not for another does not count, nor does a byte order mark.
fn is_printable(c: char) -> bool {
    let is_special = matches!(
        c,
        '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}'
    );
    matches!(c, '\n' | ' '..='~' | '\u{a0}'..='\u{ffff}') && !is_special
}

pub(super) fn double_quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\0' => quoted.push_str("\\0"),
            '\u{7}' => quoted.push_str("\\a"),
            '\u{8}' => quoted.push_str("\\b"),
            '\t' => quoted.push_str("\\t"),
            '\n' => quoted.push_str("\\n"),
            '\u{b}' => quoted.push_str("\\v"),
            '\u{c}' => quoted.push_str("\\f"),
            '\r' => quoted.push_str("\\r"),
            '\u{1b}' => quoted.push_str("\\e"),
            '\u{85}' => quoted.push_str("\\N"),
            '\u{2028}' => quoted.push_str("\\L"),
            '\u{2029}' => quoted.push_str("\\P"),
            c if is_printable(c) => quoted.push(c),
            c if u32::from(c) <= 0xff => quoted.push_str(&format!("\\x{:02X}", u32::from(c))),
            c if u32::from(c) <= 0xffff => quoted.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => quoted.push_str(&format!("\\U{:08X}", u32::from(c))),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compose::diag::Report;
    use crate::compose::tree::{Map, Mark};
    use crate::compose::yaml;

    /// All texts of up to three of the characters that mean something somewhere.
    fn texts() -> Vec<String> {
        let characters: Vec<char> =
            " \n\t\ra1y:#-?\"'\\{,&<=~.e_+0x|%*!@\u{85}\u{2028}\u{feff}\u{a0}é🙂"
                .chars()
                .collect();
        let mut texts = vec![String::new()];
        let mut shorter = texts.clone();
        for _ in 0..3 {
            let longer = |text: &String| {
                let text = text.clone();
                characters.iter().map(move |c| format!("{text}{c}"))
            };
            shorter = shorter.iter().flat_map(longer).collect();
            texts.extend(shorter.iter().cloned());
        }
        texts.extend(
            [
                "yes",
                "No",
                "null",
                "true",
                "012",
                "0o7",
                "1e3",
                "1_000",
                "2024-01-02",
                "1:20",
                ".inf",
                "---",
                "...",
                "<<",
                "a\n b\n",
                "\n\n\n",
                " a\nb",
                "a\n\n",
                "- a",
                "a: b",
            ]
            .map(str::to_owned),
        );
        texts.push("a".repeat(200));
        texts
    }

    fn read(text: &str) -> Node {
        let mut report = Report::default();
        let documents = yaml::documents(text, 0, &mut report);
        assert_eq!(report.list, []);
        documents.unwrap().remove(0)
    }

    #[test]
    fn every_text_is_read_back_as_it_was() {
        let texts = texts();
        let mark = Mark::default();
        let string = |text: &String| Node::str(text.clone(), mark);
        let list = Node::seq(texts.iter().map(string).collect(), mark);
        assert_eq!(read(&tree_yaml(&list)), list);
        let keys: Map = texts
            .iter()
            .map(|text| (text.clone(), Node::bool(true, mark)))
            .collect();
        let nested: Map = std::iter::once(("a".to_owned(), Node::map(keys, mark))).collect();
        let map = Node::map(nested, mark);
        assert_eq!(read(&tree_yaml(&map)), map);
        assert_eq!(read(&tree_json(&map)), map);
    }
}
