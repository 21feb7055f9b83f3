//! Text to spanned tree: YAML events, anchors, merge keys, duplicate keys, and
//! the limits that keep a hostile file from taking the machine down.
//!
//! Specification: "Fragments"; YAML 1.2 with the reference's type resolution
//! (see [`scalar`](super::scalar)).

mod fragments;
mod joined;
mod keys;

use std::collections::HashMap;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Span, Tag};

use super::diag::{Report, lines, quoted, similar};
use super::layout::{self, Relaid};
use super::limits::{MOST_NODES, MOST_TOKENS};
use super::metered::{Meter, Metered};
use super::refused::{self, Refused};
use super::tree::{Map, Mark, MergeTag, Node, Trail, Value};
use super::{scalar, syntax};

/// Deepest nesting, aliases included.
const MOST_DEPTH: usize = 256;
/// The key that merges other mappings in.
const MERGE_KEY: &str = "<<";

/// Reads all documents of a file; null documents are `Null` nodes. Errors go to
/// the report, those of single nodes without an end of the reading.
pub(crate) fn documents(text: &str, file: u16, report: &mut Report) -> Option<Vec<Node>> {
    // A byte order mark is no content.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if let Some((index, c)) = refused::control_character(text) {
        forbidden(text.get(..index).unwrap_or_default(), c, file, report);
        return None;
    }
    if let Some((mark, message, allowed)) = refused::directive(text, file) {
        let diagnostic = report.at(mark, "", message).allowed(allowed);
        report.push(diagnostic);
        return None;
    }
    let told = report.list.len();
    let broken = match Reader::new(text, None, file, report).run(text) {
        Ok(documents) => return documents,
        Err(broken) => broken,
    };
    if let Some(relaid) = layout::relay(text) {
        let first = report.list.split_off(told);
        report.forget_stand_ins(file);
        let reader = Reader::new(text, Some(&relaid), file, report);
        if let Ok(documents) = reader.run(&relaid.text) {
            return documents;
        }
        report.list.truncate(told);
        report.list.extend(first);
    }
    // Nothing comes after this error that could follow from a key.
    report.forget_stand_ins(file);
    syntax_error(text, &broken, file, report);
    None
}

/// Where the parser could not go on, and the collections that were open then,
/// the outermost first.
struct Broken {
    error: ScanError,
    open: Vec<Mark>,
}

fn forbidden(before: &str, c: char, file: u16, report: &mut Report) {
    let line = lines(before).count();
    let column = lines(before).last().unwrap_or_default().chars().count() + 1;
    let mark = Mark {
        file,
        line: u32::try_from(line).unwrap_or(u32::MAX),
        column: u32::try_from(column).unwrap_or(u32::MAX),
        length: 1,
    };
    let code = u32::from(c);
    let message = format!("invalid YAML: the character U+{code:04X} cannot be in a file");
    let diagnostic = report
        .at(mark, "", message)
        .expected("text")
        .suggest(format!(
            "remove it, or write it in double quotes: \"\\u{code:04x}\""
        ));
    report.push(diagnostic);
}

fn syntax_error(text: &str, broken: &Broken, file: u16, report: &mut Report) {
    let lines: Vec<&str> = lines(text).collect();
    let in_line = |mark: &Mark| {
        let line = lines.get(usize::try_from(mark.line).ok()?.checked_sub(1)?)?;
        let before = usize::try_from(mark.column).ok()?.checked_sub(1)?;
        line.chars().nth(before)
    };
    let mut open = broken.open.iter().rev();
    let bracket = open.find(|mark| matches!(in_line(mark), Some('[' | '{')));
    let bracket = bracket.map(|mark| {
        (
            usize::try_from(mark.line).unwrap_or(1),
            usize::try_from(mark.column).unwrap_or(1),
        )
    });
    let marker = broken.error.marker();
    let place = (marker.line(), marker.col() + 1);
    let cause = syntax::cause(&lines, place, broken.error.info(), bracket);
    let mark = Mark {
        file,
        line: u32::try_from(cause.line).unwrap_or(u32::MAX),
        column: u32::try_from(cause.column).unwrap_or(u32::MAX),
        length: u16::try_from(cause.length).unwrap_or(Mark::TO_LINE_END),
    };
    let message = format!("invalid YAML: {}", cause.message);
    let mut diagnostic = report.at(mark, &cause.path, message);
    diagnostic.expected = cause.expected;
    diagnostic.suggestion = cause.suggestion;
    report.push(diagnostic);
}

/// A finished anchored node with its size and height.
struct Anchored {
    node: Node,
    nodes: usize,
    height: usize,
    /// Where something else begins behind a collection.
    end: Option<Mark>,
    /// Where it is, where that is asked for.
    path: Option<String>,
}

/// A collection whose end has not come yet.
struct Open {
    anchor: usize,
    tag: Option<MergeTag>,
    mark: Mark,
    /// Nodes that had been made when it began.
    nodes_before: usize,
    /// Height of what it holds so far.
    height: usize,
    content: Content,
}

enum Content {
    Seq(Vec<Node>),
    Map {
        map: Map,
        key: Option<(String, Mark)>,
        /// Values of `<<`, in order.
        merges: Vec<Node>,
        merge_mark: Option<Mark>,
    },
}

struct Reader<'r> {
    file: u16,
    /// What is read, where that is not the text as it was written.
    relaid: Option<&'r Relaid>,
    /// What the parser library lets pass and the reference does not.
    refused: Refused,
    report: &'r mut Report,
    open: Vec<Open>,
    anchors: HashMap<usize, Anchored>,
    done: Vec<Node>,
    nodes: usize,
    /// Nodes kept for anchors.
    copies: usize,
    /// A `!reset` has been seen.
    has_resets: bool,
}

impl<'r> Reader<'r> {
    fn new(text: &str, relaid: Option<&'r Relaid>, file: u16, report: &'r mut Report) -> Self {
        report.sources.ways.forget_aliases(file);
        Self {
            file,
            relaid,
            refused: Refused::new(text),
            report,
            open: Vec::new(),
            anchors: HashMap::new(),
            done: Vec::new(),
            nodes: 0,
            copies: 0,
            has_resets: false,
        }
    }

    /// `Ok(None)` where something other than the syntax is wrong, so that nothing can
    /// be made of the file. What is wrong with single nodes is reported, and others
    /// stand in for them: the rest of the file is checked all the same.
    fn run(mut self, text: &str) -> Result<Option<Vec<Node>>, Broken> {
        let meter = Meter::default();
        let mut parser = Parser::new(Metered::new(text, &meter));
        let mut last = Mark::default();
        while let Some(event) = parser.next_event() {
            if meter.is_over() {
                self.too_many_words(last);
                return Ok(None);
            }
            meter.reset();
            let (event, span) = match event {
                Ok(event) => event,
                Err(error) => {
                    let open = self.open.iter().map(|open| open.mark).collect();
                    return Err(Broken { error, open });
                }
            };
            let (start, end) = (self.place(span.start), self.place(span.end));
            if let Some(refusal) = self.refused.by(&event, start, end) {
                let diagnostic = self
                    .report
                    .at(refusal.mark, "", refusal.message)
                    .allowed(refusal.allowed);
                self.report.push(diagnostic);
                return Ok(None);
            }
            let mark = self.mark(span);
            if !span.is_empty() {
                last = mark;
            }
            if self.event(event, span, mark).is_none() {
                return Ok(None);
            }
        }
        Ok(Some(self.done))
    }

    fn mark(&self, span: Span) -> Mark {
        let Span { start, end } = span;
        let length = if span.is_empty() {
            0
        } else if start.line() == end.line() {
            let length = end.col().saturating_sub(start.col());
            u16::try_from(length).unwrap_or(Mark::TO_LINE_END)
        } else {
            Mark::TO_LINE_END
        };
        Mark {
            length,
            ..self.place(start)
        }
    }

    /// A place without length.
    fn place(&self, marker: Marker) -> Mark {
        let line = u32::try_from(marker.line()).unwrap_or(u32::MAX);
        let column = u32::try_from(marker.col() + 1).unwrap_or(u32::MAX);
        Mark {
            file: self.file,
            line,
            column: match self.relaid {
                Some(relaid) => relaid.column(line, column),
                None => column,
            },
            length: 0,
        }
    }

    /// `None` where reading cannot go on.
    fn event(&mut self, event: Event<'_>, span: Span, mark: Mark) -> Option<()> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let mut mark = mark;
                if text.is_empty() && style == ScalarStyle::Plain {
                    mark.length = 0; // that is of what stands behind it
                }
                let tag = tag.as_deref();
                self.own_tag(tag, mark);
                if style == ScalarStyle::Plain {
                    self.joined_entries(&text, span, mark);
                }
                let mut node = Node::new(self.scalar(&text, style, tag, mark), mark);
                node.tag = merge_tag(tag);
                self.count(1, mark)?;
                let plain = style == ScalarStyle::Plain;
                self.finish(node, anchor, 1, 0, plain)
            }
            Event::SequenceStart(anchor, tag) => {
                self.own_tag(tag.as_deref(), mark);
                self.begin(anchor, tag.as_deref(), mark, Content::Seq(Vec::new()))
            }
            Event::MappingStart(anchor, tag) => {
                self.own_tag(tag.as_deref(), mark);
                let content = Content::Map {
                    map: Map::new(),
                    key: None,
                    merges: Vec::new(),
                    merge_mark: None,
                };
                self.begin(anchor, tag.as_deref(), mark, content)
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(mark),
            Event::Alias(anchor) => self.alias(anchor, mark),
            // Anchors stay known in later documents, as the reference has it.
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd => Some(()),
        }
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, tag: Option<&Tag>, mark: Mark) -> Value {
        match scalar::resolve(text, style == ScalarStyle::Plain, tag) {
            Ok(value) => value,
            Err(message) => {
                let path = self.trail();
                let diagnostic = self
                    .report
                    .at(mark, path.as_str(), message)
                    .expected("a value of the type that its tag says")
                    .suggest(
                        "write such a value; where text is meant and allowed, remove the tag, the \
                         word that begins with `!!`",
                    );
                self.report.push(diagnostic);
                Value::Null
            }
        }
    }

    /// The reference reads over a tag that is neither YAML's nor one of the two that
    /// steer merging.
    fn own_tag(&mut self, tag: Option<&Tag>, mark: Mark) {
        let Some(tag) = tag.filter(|tag| tag.handle == "!" && merge_tag(Some(tag)).is_none())
        else {
            return;
        };
        if self.report.is_full() {
            return;
        }
        let known = [MergeTag::Reset, MergeTag::Override].map(MergeTag::text);
        let message = format!(
            "the tag {} has no effect",
            quoted(&format!("!{}", tag.suffix))
        );
        let mut warning = self.report.at(mark, self.trail().as_str(), message);
        warning.expected = Some(format!("{}, or no tag", known.join(", ")));
        let names = known.map(|text| text.trim_start_matches('!'));
        warning.suggestion = Some(match similar(&tag.suffix, names.into_iter()) {
            Some(name) => format!("did you mean `!{name}`?"),
            None => "remove it; a text that begins with `!` needs quotes".to_owned(),
        });
        self.report.push_warning(warning);
    }

    /// Where in the tree the reader is.
    fn trail(&self) -> Trail {
        let mut trail = Trail::default();
        for open in &self.open {
            match &open.content {
                Content::Seq(items) => {
                    trail.index(items.len());
                }
                Content::Map { key, .. } => {
                    if let Some((key, _)) = key {
                        trail.key(key);
                    }
                }
            }
        }
        trail
    }

    fn count(&mut self, more: usize, mark: Mark) -> Option<()> {
        self.nodes = self.nodes.saturating_add(more);
        if self.nodes > MOST_NODES {
            self.too_many(mark);
            return None;
        }
        Some(())
    }

    fn too_many(&mut self, mark: Mark) {
        let message = format!("the file has more than {MOST_NODES} nodes");
        let diagnostic = self
            .report
            .at(mark, "", message)
            .suggest("aliases count with all that they stand for, long texts by their length");
        self.report.push(diagnostic);
    }

    /// The parser was stopped: what follows a place has no end in sight.
    fn too_many_words(&mut self, mark: Mark) {
        let message =
            format!("a text, or a list in brackets, of more than {MOST_TOKENS} words follows here");
        let diagnostic = self
            .report
            .at(mark, self.trail().as_str(), message)
            .expected("something shorter")
            .suggest(
                "put so long a text into a file of its own, or write it in lines below `|`; so long \
                 a list, in lines that begin with `- `",
            );
        self.report.push(diagnostic);
    }

    fn begin(
        &mut self,
        anchor: usize,
        tag: Option<&Tag>,
        mark: Mark,
        content: Content,
    ) -> Option<()> {
        self.count(1, mark)?;
        if self.open.len() >= MOST_DEPTH {
            self.too_deep(mark);
            return None;
        }
        self.open.push(Open {
            anchor,
            tag: merge_tag(tag),
            mark,
            nodes_before: self.nodes - 1,
            height: 0,
            content,
        });
        Some(())
    }

    fn too_deep(&mut self, mark: Mark) {
        let message = format!("the file is nested deeper than {MOST_DEPTH} levels");
        let diagnostic = self
            .report
            .at(mark, "", message)
            .expected(format!("at most {MOST_DEPTH} levels, aliases included"));
        self.report.push(diagnostic);
    }

    fn end(&mut self, mark: Mark) -> Option<()> {
        let mut open = self.open.pop()?;
        open.mark.length = match mark.length {
            0 => 0, // a block ends before something else begins
            _ if mark.line == open.mark.line => {
                // The bracket alone: white space behind it may have been read, too.
                let length = (mark.column + 1).saturating_sub(open.mark.column);
                u16::try_from(length).unwrap_or(Mark::TO_LINE_END)
            }
            _ => Mark::TO_LINE_END,
        };
        let size = self.nodes - open.nodes_before;
        let value = match open.content {
            Content::Seq(items) => Value::Seq(items),
            Content::Map {
                map,
                merges,
                merge_mark,
                ..
            } => {
                let mut map = self.merged(map, merges, merge_mark);
                // There are many small ones, and room for four is made at once.
                if map.len() < 4 {
                    map.shrink_to_fit();
                }
                Value::Map(map)
            }
        };
        let mut node = Node::new(value, open.mark);
        node.tag = open.tag;
        self.finish(node, open.anchor, size, open.height + 1, false)?;
        if let Some(anchored) = self.anchors.get_mut(&open.anchor) {
            anchored.end = Some(mark);
        }
        Some(())
    }
}

fn merge_tag(tag: Option<&Tag>) -> Option<MergeTag> {
    let tag = tag?;
    match (tag.handle.as_str(), tag.suffix.as_str()) {
        ("!", "reset") => Some(MergeTag::Reset),
        ("!", "override") => Some(MergeTag::Override),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
