//! Text to spanned tree: YAML events, anchors, merge keys, duplicate keys, and
//! the limits that keep a hostile file from taking the machine down.
//!
//! Specification: "Fragments"; YAML 1.2 with the reference's type resolution
//! (see [`scalar`](super::scalar)).

use std::collections::HashMap;

use indexmap::map::Entry;
use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Tag};

use super::diag::Report;
use super::scalar;
use super::tree::{Map, Mark, MergeTag, Node, Trail, Value};

/// Largest file that is read.
pub(crate) const MOST_BYTES: usize = 32 << 20;
/// Deepest nesting, aliases included.
const MOST_DEPTH: usize = 256;
/// Most nodes of a file, aliases expanded.
const MOST_NODES: usize = 1_000_000;
/// The key that merges other mappings in.
const MERGE_KEY: &str = "<<";

/// Reads all documents of a file; null documents are `Null` nodes. Errors go to
/// the report.
pub(crate) fn documents(text: &str, file: u32, report: &mut Report) -> Option<Vec<Node>> {
    let reader = Reader {
        file,
        report,
        open: Vec::new(),
        anchors: HashMap::new(),
        done: Vec::new(),
        nodes: 0,
        copies: 0,
        failed: false,
        has_resets: false,
    };
    // A byte order mark is no content.
    reader.run(text.strip_prefix('\u{feff}').unwrap_or(text))
}

/// A finished anchored node with its size and height.
struct Anchored {
    node: Node,
    nodes: usize,
    height: usize,
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
    file: u32,
    report: &'r mut Report,
    open: Vec<Open>,
    anchors: HashMap<usize, Anchored>,
    done: Vec<Node>,
    nodes: usize,
    /// Nodes kept for anchors.
    copies: usize,
    failed: bool,
    /// A `!reset` has been seen.
    has_resets: bool,
}

impl Reader<'_> {
    fn run(mut self, text: &str) -> Option<Vec<Node>> {
        let mut parser = Parser::new_from_str(text);
        while let Some(event) = parser.next_event() {
            match event {
                Ok((event, span)) => {
                    let mark = self.mark(span.start);
                    self.event(event, mark)?;
                }
                Err(error) => {
                    let mark = self.mark(*error.marker());
                    self.syntax_error(mark, error.info());
                    return None;
                }
            }
        }
        (!self.failed).then_some(self.done)
    }

    fn mark(&self, marker: Marker) -> Mark {
        Mark {
            file: self.file,
            line: u32::try_from(marker.line()).unwrap_or(u32::MAX),
            column: u32::try_from(marker.col() + 1).unwrap_or(u32::MAX),
        }
    }

    fn syntax_error(&mut self, mark: Mark, info: &str) {
        let mut diagnostic = self.report.at(mark, "", format!("invalid YAML: {info}"));
        if info.contains("unknown anchor") {
            diagnostic = diagnostic.suggest("define it before with `&NAME`");
        } else if info.contains("quoted scalar") {
            diagnostic = diagnostic.suggest("the quote is perhaps not closed");
        } else if info.contains("tab") {
            diagnostic = diagnostic.suggest("indent with spaces");
        }
        self.report.push(diagnostic);
    }

    /// `None` where reading cannot go on.
    fn event(&mut self, event: Event<'_>, mark: Mark) -> Option<()> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let tag = tag.as_deref();
                let mut node = Node::new(self.scalar(&text, style, tag, mark), mark);
                node.tag = merge_tag(tag);
                self.count(1, mark)?;
                let plain = style == ScalarStyle::Plain;
                self.finish(node, anchor, 1, 0, plain)
            }
            Event::SequenceStart(anchor, tag) => {
                self.begin(anchor, tag.as_deref(), mark, Content::Seq(Vec::new()))
            }
            Event::MappingStart(anchor, tag) => self.begin(
                anchor,
                tag.as_deref(),
                mark,
                Content::Map {
                    map: Map::new(),
                    key: None,
                    merges: Vec::new(),
                    merge_mark: None,
                },
            ),
            Event::SequenceEnd | Event::MappingEnd => self.end(),
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
                self.error(mark, message);
                Value::Null
            }
        }
    }

    fn error(&mut self, mark: Mark, message: impl Into<String>) {
        let path = self.trail();
        self.report.error(mark, path.as_str(), message);
        self.failed = true;
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
            let message = format!("the file has more than {MOST_NODES} nodes");
            let diagnostic = self
                .report
                .at(mark, "", message)
                .suggest("aliases count with all that they stand for");
            self.report.push(diagnostic);
            return None;
        }
        Some(())
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
        self.report.error(mark, "", message);
    }

    fn end(&mut self) -> Option<()> {
        let open = self.open.pop()?;
        let size = self.nodes - open.nodes_before;
        let value = match open.content {
            Content::Seq(items) => Value::Seq(items),
            Content::Map {
                map,
                merges,
                merge_mark,
                ..
            } => Value::Map(self.merged(map, merges, merge_mark)),
        };
        let mut node = Node::new(value, open.mark);
        node.tag = open.tag;
        self.finish(node, open.anchor, size, open.height + 1, false)
    }

    /// Adds what `<<` brings: keys that are not there yet.
    fn merged(&mut self, mut map: Map, merges: Vec<Node>, mark: Option<Mark>) -> Map {
        for merge in merges {
            let sources = match merge.value {
                Value::Seq(items) => items,
                _ => vec![merge],
            };
            for source in sources {
                if let Value::Map(source) = source.value {
                    for (key, node) in source {
                        match map.entry(key) {
                            Entry::Vacant(slot) => {
                                slot.insert(node);
                            }
                            Entry::Occupied(slot) => {
                                let path = (slot.key().as_str(), slot.get().mark);
                                self.report_replaced(path, &node);
                            }
                        }
                    }
                } else {
                    let found = source.kind();
                    self.error(
                        mark.unwrap_or(source.mark),
                        format!("`<<` merges mappings, this is {found}"),
                    );
                }
            }
        }
        map
    }

    /// A mapping's own value stands above one that `<<` brings.
    fn report_replaced(&mut self, (key, winner): (&str, Mark), loser: &Node) {
        if self.report.trace.is_some() {
            let mut trail = self.trail();
            trail.key(key);
            if let Some(trace) = &mut self.report.trace {
                trace.replace(trail.as_str(), winner, loser);
            }
        }
    }

    fn alias(&mut self, anchor: usize, mark: Mark) -> Option<()> {
        let Some(anchored) = self.anchors.get(&anchor) else {
            self.error(mark, "the alias is inside of what it stands for");
            return None;
        };
        let (nodes, height) = (anchored.nodes, anchored.height);
        self.count(nodes, mark)?;
        if self.open.len() + height > MOST_DEPTH {
            self.too_deep(mark);
            return None;
        }
        let mut node = self.anchors.get(&anchor)?.node.clone();
        if self.has_resets {
            drop_resets(&mut node);
        }
        self.finish(node, 0, nodes, height, false)
    }

    /// Puts a finished node where it belongs.
    fn finish(
        &mut self,
        node: Node,
        anchor: usize,
        nodes: usize,
        height: usize,
        plain: bool,
    ) -> Option<()> {
        if anchor > 0 {
            // Anchors within anchors are copied again and again.
            self.copies = self.copies.saturating_add(nodes);
            if self.copies > MOST_NODES {
                self.report.error(
                    node.mark,
                    "",
                    format!("the anchors of the file hold more than {MOST_NODES} nodes"),
                );
                return None;
            }
            let node = node.clone();
            self.anchors.insert(
                anchor,
                Anchored {
                    node,
                    nodes,
                    height,
                },
            );
        }
        self.has_resets |= node.tag == Some(MergeTag::Reset);
        let Some(open) = self.open.last_mut() else {
            self.done.push(node);
            return Some(());
        };
        open.height = open.height.max(height);
        match &mut open.content {
            Content::Seq(items) => items.push(node),
            Content::Map { key: None, .. } => self.key(&node, plain),
            Content::Map {
                map,
                key,
                merges,
                merge_mark,
            } => {
                if let Some((name, mark)) = key.take() {
                    if name == MERGE_KEY && *merge_mark == Some(mark) {
                        merges.push(node);
                    } else {
                        map.insert(name, node.with_key(mark));
                    }
                }
            }
        }
        Some(())
    }

    /// Takes a node as the key of the mapping that is open.
    fn key(&mut self, node: &Node, plain: bool) {
        let mark = node.mark;
        let Value::Str(name) = &node.value else {
            let shown = node
                .scalar_text()
                .map_or_else(|| node.kind().to_owned(), |text| format!("`{text}`"));
            self.error(mark, format!("a key must be a string, {shown} is not"));
            // Go on under some name that clashes with nothing.
            let stand_in = format!("\u{0}{}:{}", mark.line, mark.column);
            self.set_key(stand_in, mark);
            return;
        };
        if let Some(earlier) = self.earlier_key(name) {
            let line = earlier.line;
            self.error(
                mark,
                format!("the key `{name}` is in this mapping already, at line {line}"),
            );
        }
        if plain
            && name == MERGE_KEY
            && let Some(open) = self.open.last_mut()
            && let Content::Map { merge_mark, .. } = &mut open.content
        {
            *merge_mark = Some(mark);
        }
        self.set_key(name.clone(), mark);
    }

    fn set_key(&mut self, name: String, mark: Mark) {
        if let Some(Open {
            content: Content::Map { key, .. },
            ..
        }) = self.open.last_mut()
        {
            *key = Some((name, mark));
        }
    }

    fn earlier_key(&self, name: &str) -> Option<Mark> {
        match &self.open.last()?.content {
            Content::Map {
                merge_mark: Some(mark),
                ..
            } if name == MERGE_KEY => Some(*mark),
            Content::Map { map, .. } => map.get(name).map(|node| node.key),
            Content::Seq(_) => None,
        }
    }
}

/// Drops what is reset inside of a node: that counts where it is written, not
/// again where an alias repeats it.
fn drop_resets(node: &mut Node) {
    match &mut node.value {
        Value::Map(map) => {
            map.retain(|_, child| child.tag != Some(MergeTag::Reset));
            map.values_mut().for_each(drop_resets);
        }
        Value::Seq(items) => {
            items.retain(|item| item.tag != Some(MergeTag::Reset));
            items.iter_mut().for_each(drop_resets);
        }
        _ => {}
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
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use super::*;

    fn read(text: &str) -> Result<Vec<Node>, Vec<String>> {
        let mut report = Report::default();
        let file = report.sources.add(Path::new("f"), Arc::from(text));
        let nodes = documents(text, file, &mut report);
        let messages = report.list.into_iter().map(|d| d.message).collect();
        nodes.ok_or(messages)
    }

    #[test]
    fn merge_keys_fill_in_what_is_missing() {
        let nodes = read("a: &a {x: 1, y: 2}\nb: {<<: [*a, {y: 3, z: 4}], x: 0}\n").unwrap();
        let b = nodes[0].get("b").unwrap();
        let values: Vec<_> = ["x", "y", "z"]
            .map(|key| b.get(key).unwrap().value.clone())
            .to_vec();
        assert_eq!(values, [Value::Int(0), Value::Int(2), Value::Int(4)]);
    }

    #[test]
    fn marks_are_those_of_the_text() {
        let nodes = read("a:\n  bc: [1, x]\n").unwrap();
        let x = nodes[0].lookup("a.bc[1]").unwrap();
        assert_eq!((x.mark.line, x.mark.column), (2, 11));
        let bc = nodes[0].lookup("a.bc").unwrap();
        assert_eq!((bc.key.line, bc.key.column), (2, 3));
    }

    #[test]
    fn wrong_keys_are_refused() {
        for (text, message) in [
            (
                "a: 1\na: 2\n",
                "the key `a` is in this mapping already, at line 1",
            ),
            ("1: x\n", "a key must be a string, `1` is not"),
            ("[a]: x\n", "a key must be a string, a list is not"),
            (
                "a: {<<: 1}\n",
                "`<<` merges mappings, this is a whole number",
            ),
        ] {
            assert_eq!(read(text).unwrap_err(), [message], "{text}");
        }
    }

    #[test]
    fn aliases_that_explode_are_refused_at_once() {
        let mut lines = vec!["a0: &a0 [x, x, x, x, x, x, x, x, x]".to_owned()];
        for level in 1..30 {
            let below = format!("*a{}", level - 1);
            let items = [below.as_str(); 9].join(", ");
            lines.push(format!("a{level}: &a{level} [{items}]"));
        }
        let text = lines.join(
            "
",
        );
        let messages = read(&text).unwrap_err();
        assert_eq!(messages, ["the file has more than 1000000 nodes"]);
    }

    #[test]
    fn depth_is_limited() {
        let deep = "[".repeat(200) + &"]".repeat(200);
        assert!(read(&deep).is_ok());
        let block: Vec<String> = (0..300)
            .map(|level| format!("{}a:", " ".repeat(level)))
            .collect();
        let block = block.join(
            "
",
        );
        assert_eq!(
            read(&block).unwrap_err(),
            ["the file is nested deeper than 256 levels"]
        );
    }

    #[test]
    fn an_alias_within_itself_is_refused() {
        assert_eq!(
            read("a: &a [*a]\n").unwrap_err(),
            ["the alias is inside of what it stands for"]
        );
    }
}
