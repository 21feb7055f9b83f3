//! What YAML allows, or the YAML library lets pass, and the reference refuses:
//! control characters, directives other than `%YAML 1.1`, tabs as indentation
//! on lines without content, a second document without `---`, the escape `\\/` of
//! YAML 1.2, some plain scalars in flow collections, and tags without a space behind
//! them there.

use std::collections::HashMap;

use saphyr_parser::{Event, ScalarStyle};

use super::diag::Allowed;
use super::limits::MOST_NODES;
use super::tree::Mark;

/// The first character that no file may have, whatever it means, and where.
pub(super) fn control_character(text: &str) -> Option<(usize, char)> {
    text.char_indices().find(|(_, c)| is_control(*c))
}

/// What is wrong with the directives before the first document.
pub(super) fn directive(text: &str, file: u16) -> Option<(Mark, String, Option<Allowed>)> {
    let is_prologue = |line: &&str| line.is_empty() || line.starts_with(['%', '#', ' ', '\r']);
    let mut prologue = text.split('\n').take_while(is_prologue).zip(1..);
    prologue.find_map(|(text, line)| {
        let mark = Mark {
            file,
            line,
            column: 1,
            length: 0,
        };
        let (message, allowed) = directive_of(text)?;
        Some((mark, message, allowed))
    })
}

/// Neither white space nor anything that can be seen.
fn is_control(c: char) -> bool {
    match c {
        '\t' | '\n' | '\r' | '\u{85}' => false,
        '\u{fffe}' | '\u{ffff}' => true,
        _ => c.is_control(),
    }
}

/// What is wrong with a line that may be a directive.
fn directive_of(line: &str) -> Option<(String, Option<Allowed>)> {
    let mut words = line.strip_prefix('%')?.split_whitespace();
    match words.next().unwrap_or_default() {
        "YAML" => match words.next().unwrap_or_default() {
            "1.1" => None,
            version => Some((
                format!("`{version}` is no version of YAML that is read, 1.1 is"),
                (version == "1.2").then_some(Allowed::YamlVersion),
            )),
        },
        "TAG" => None,
        name => Some((format!("`%{name}` is no directive of YAML"), None)),
    }
}

/// What is wrong, and where.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) mark: Mark,
    pub(super) message: &'static str,
    pub(super) allowed: Option<Allowed>,
}

/// Looks at the events of a file in their order.
#[derive(Debug)]
pub(super) struct Refused {
    /// Lines and columns of tabs where the indentation is, the last first.
    /// Each with whether anything but a comment follows it.
    tabs: Vec<(u32, u32, bool)>,
    /// Lines and columns of `\\/`, the last first.
    slashes: Vec<(u32, u32)>,
    /// Lines and columns of tags that a bracket or a comma follows, and how long
    /// they are.
    tags: HashMap<(u32, u32), u32>,
    /// Of the collections that are open, which are in flow context.
    open: Vec<bool>,
    documents: usize,
}

impl Refused {
    pub(super) fn new(text: &str) -> Self {
        let mut tabs = Vec::new();
        if text.contains('\t') {
            for (line, text) in (1..).zip(text.split('\n')) {
                let rest = text.trim_start_matches(['\t', ' ', '\r']);
                let has_content = !rest.is_empty() && !rest.starts_with('#');
                tabs.extend(indenting_tab(text).map(|column| (line, column, has_content)));
            }
            tabs.reverse();
        }
        let mut slashes = Vec::new();
        if text.contains("\\/") {
            for (line, text) in (1..).zip(text.split('\n')) {
                slashes.extend(escaped_slashes(text).map(|column| (line, column)));
            }
            slashes.reverse();
        }
        let mut tags = HashMap::new();
        if text.contains('!') {
            for (line, text) in (1..).zip(text.split('\n')) {
                let found = crowded_tags(text).map(|(column, length)| ((line, column), length));
                // Those of more nodes than there may be are not needed.
                tags.extend(found.take(MOST_NODES - tags.len().min(MOST_NODES)));
            }
        }
        Self {
            tabs,
            slashes,
            tags,
            open: Vec::new(),
            documents: 0,
        }
    }

    /// What is wrong with an event that reaches from `start` to `end`.
    pub(super) fn by(&mut self, event: &Event<'_>, start: Mark, end: Mark) -> Option<Refusal> {
        let in_flow = self.open.last() == Some(&true);
        let tab = self.tab(event, in_flow, start, end);
        if let Some(mark) = self.tag(event, start).filter(|_| in_flow) {
            let message = "invalid YAML: in brackets, a tag needs a space behind it";
            return Some(Refusal {
                mark,
                message,
                allowed: Some(Allowed::CrowdedTag),
            });
        }
        match event {
            Event::DocumentStart(explicit) => {
                self.documents += 1;
                if self.documents > 1 && !explicit {
                    return Some(Refusal {
                        mark: start,
                        message: "invalid YAML: a further document begins with `---`",
                        allowed: None,
                    });
                }
            }
            Event::SequenceStart(..) | Event::MappingStart(..) => {
                // What begins a block collection has no width.
                self.open.push(in_flow || start != end);
            }
            Event::SequenceEnd | Event::MappingEnd => {
                self.open.pop();
            }
            Event::Scalar(_, ScalarStyle::DoubleQuoted, ..) => {
                if let Some(mark) = self.slash(start, end) {
                    let message = "invalid YAML: `\\/` means nothing in double quotes, \
                        in YAML 1.2 alone it is a slash: write `/`";
                    return Some(Refusal {
                        mark,
                        message,
                        allowed: Some(Allowed::EscapedSlash),
                    });
                }
            }
            Event::Scalar(text, ScalarStyle::Plain, ..)
                if in_flow && (text.starts_with([':', '|', '>']) || text.contains('?')) =>
            {
                let message = "invalid YAML: in brackets, a value with `?` in it needs quotes, \
                    and one that begins with `:`, `|` or `>`";
                return Some(Refusal {
                    mark: start,
                    message,
                    allowed: (!text.starts_with(['|', '>'])).then_some(Allowed::FlowScalar),
                });
            }
            _ => {}
        }
        tab
    }

    /// Finds a tag that a bracket or a comma follows at once.
    fn tag(&self, event: &Event<'_>, start: Mark) -> Option<Mark> {
        let tagged = match event {
            Event::Scalar(_, _, _, tag)
            | Event::SequenceStart(_, tag)
            | Event::MappingStart(_, tag) => tag.is_some(),
            _ => false,
        };
        let length = self.tags.get(&(start.line, start.column)).copied();
        let length = u16::try_from(length.filter(|_| tagged)?).unwrap_or(u16::MAX);
        Some(Mark { length, ..start })
    }

    /// Finds the first `\\/` within a scalar in double quotes.
    fn slash(&mut self, start: Mark, end: Mark) -> Option<Mark> {
        while let Some((line, column)) = self.slashes.last().copied() {
            if (line, column) >= (end.line, end.column) {
                break;
            }
            self.slashes.pop();
            if (line, column) > (start.line, start.column) {
                return Some(Mark {
                    line,
                    column,
                    length: 2,
                    ..start
                });
            }
        }
        None
    }

    /// Finds a tab where the indentation is: not within a scalar, nor within a
    /// flow collection.
    fn tab(&mut self, event: &Event<'_>, in_flow: bool, start: Mark, end: Mark) -> Option<Refusal> {
        let mut wrong = None;
        while let Some((line, column, has_content)) = self.tabs.last().copied() {
            let in_scalar = match event {
                // What begins here is its text, not its `|`.
                Event::Scalar(_, ScalarStyle::Literal | ScalarStyle::Folded, ..) => {
                    line >= start.line
                }
                Event::Scalar(..) => line > start.line,
                _ => false,
            };
            let covered = in_flow || in_scalar;
            if line > end.line || (!covered && line > start.line) {
                break;
            }
            self.tabs.pop();
            if !covered && wrong.is_none() {
                let mark = Mark {
                    line,
                    column,
                    ..start
                };
                wrong = Some(Refusal {
                    mark,
                    message: "invalid YAML: a tab cannot be used as indentation",
                    allowed: (!has_content).then_some(Allowed::TabBeforeNothing),
                });
            }
        }
        wrong
    }
}

/// The column of a tab at the beginning of a line, behind spaces and dashes.
fn indenting_tab(line: &str) -> Option<u32> {
    let mut rest = line.trim_start_matches(' ');
    while let Some(item) = rest.strip_prefix(['-', '?']) {
        if !item.starts_with([' ', '\t']) {
            return None;
        }
        rest = item.trim_start_matches(' ');
    }
    let column = line.len() - rest.len() + 1;
    rest.starts_with('\t')
        .then(|| u32::try_from(column).unwrap_or(u32::MAX))
}

/// The columns and lengths of what may be tags with a bracket or a comma behind them:
/// there the reference reads on, and takes `,`, `[` and `]` for a part of the tag.
fn crowded_tags(line: &str) -> impl Iterator<Item = (u32, u32)> {
    let is_end = |c: char| matches!(c, ',' | '[' | ']' | '{' | '}');
    let mut before = ' ';
    let mut tag = None;
    (1..).zip(line.chars()).filter_map(move |(column, c)| {
        let is_first = before.is_whitespace() || is_end(before);
        before = c;
        if is_end(c) {
            return tag.take().map(|start: u32| (start, column - start));
        }
        if c == '!' && is_first {
            tag = Some(column);
        } else if c.is_whitespace() || (c == '<' && tag == Some(column - 1)) {
            tag = None; // `!<…>` has an end of its own
        }
        None
    })
}

/// The columns of backslashes, themselves not escaped, before a slash.
fn escaped_slashes(line: &str) -> impl Iterator<Item = u32> {
    let mut escaped = false;
    (1..)
        .zip(line.chars())
        .filter_map(move |(column, c): (u32, char)| {
            let found = escaped && c == '/';
            escaped = c == '\\' && !escaped;
            found.then(|| column - 1)
        })
}
