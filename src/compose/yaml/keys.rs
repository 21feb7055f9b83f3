//! Where a complete node belongs: values, and the keys of mappings: what can be
//! one, and which stands there twice.

use indexmap::map::Entry;

use super::super::diag::quoted;
use super::super::limits::{LONGEST_KEY, MOST_NODES};
use super::super::tree::{Map, Mark, MergeTag, Node, Value};
use super::{Anchored, Content, MERGE_KEY, Open, Reader};

impl Reader<'_> {
    /// Puts a finished node where it belongs.
    pub(super) fn finish(
        &mut self,
        node: Node,
        anchor: usize,
        nodes: usize,
        height: usize,
        plain: bool,
    ) -> Option<()> {
        // What an alias copies counts with its texts.
        let nodes = if anchor > 0 {
            nodes.max(node.size())
        } else {
            nodes
        };
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
            let path = self.traced_trail();
            self.anchors.insert(
                anchor,
                Anchored {
                    node,
                    nodes,
                    height,
                    end: None,
                    path,
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
                        insert(map, name, node.with_key(mark));
                    }
                }
            }
        }
        Some(())
    }

    /// Takes a node as the key of the mapping that is open.
    pub(super) fn key(&mut self, node: &Node, plain: bool) {
        let mark = node.mark;
        if let Some(tag) = node.tag {
            self.tagged_key(node, tag);
        }
        let Value::Str(name) = &node.value else {
            self.wrong_key(node);
            self.stand_in(node.scalar_text(), node.kind(), mark);
            return;
        };
        if name.len() > LONGEST_KEY {
            let message = format!("a key is longer than {} KiB", LONGEST_KEY >> 10);
            let diagnostic = self
                .report
                .at(mark, self.trail().as_str(), message)
                .expected("a name before the colon")
                .suggest("put the text behind the colon");
            self.report.push(diagnostic);
            self.stand_in(None, "a long key", mark);
            return;
        }
        if let Some(earlier) = self.earlier_key(name)
            && !self.report.is_stand_in(earlier)
        {
            self.doubled_key(name, mark, earlier);
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

    /// Goes on under another key than one that was refused: its text, so that what
    /// refers to it is not refused, too, or a name that clashes with nothing.
    fn stand_in(&mut self, text: Option<String>, kind: &str, mark: Mark) {
        let free =
            text.filter(|text| text.len() <= LONGEST_KEY && self.earlier_key(text).is_none());
        let name = free.unwrap_or_else(|| format!("{kind} {}:{}", mark.line, mark.column));
        self.report.stand_in(mark);
        self.set_key(name, mark);
    }

    /// The reference reads over a tag that steers merging where it is a key's.
    fn tagged_key(&mut self, node: &Node, tag: MergeTag) {
        let (Some(name), tag) = (node.as_str(), tag.text()) else {
            return; // refused
        };
        let mut trail = self.trail();
        trail.key(name);
        let message = format!("`{tag}` before a key has no effect");
        let warning = self
            .report
            .at(node.mark, trail.as_str(), message)
            .expected("the tag before the value, behind the colon")
            .suggest(format!("write `{name}: {tag}`, and the value behind that"));
        self.report.push_warning(warning);
    }

    pub(super) fn wrong_key(&mut self, node: &Node) {
        let shown = node
            .scalar_text()
            .map_or_else(|| node.kind().to_owned(), |text| quoted(&text));
        let message = format!("a key must be a string, {shown} is not");
        let mut diagnostic = self
            .report
            .at(node.mark, self.trail().as_str(), message)
            .expected("a name before the colon");
        let written = self.report.sources.token(node.mark).unwrap_or_default();
        let line = if self.report.is_full() {
            "" // a line may be as long as its errors are many
        } else {
            self.report.sources.line(node.mark).unwrap_or_default()
        };
        let template = line
            .find("{{")
            .map(|at| line.get(at..).unwrap_or_default().trim_end());
        diagnostic.suggestion = match &node.value {
            Value::Map(_) | Value::Seq(_) => Some(match template {
                Some(text) => format!("a text that begins with a bracket needs quotes: \"{text}\""),
                None => {
                    "a text that begins with a bracket needs quotes around all of it".to_owned()
                }
            }),
            Value::Null if written.is_empty() => None,
            _ => Some(match self.port_help(node) {
                Some(help) => help,
                None => format!("put it in quotes: \"{written}\""),
            }),
        };
        self.report.push(diagnostic);
    }

    /// What to do about a number before a colon where a port is meant.
    fn port_help(&self, node: &Node) -> Option<String> {
        let trail = self.trail();
        let attribute = trail.as_str().rsplit('.').next()?;
        let (name, is_entry) = match attribute.split_once('[') {
            Some((name, _)) => (name, true),
            None => (attribute, false),
        };
        if self.report.is_full() || !["ports", "expose"].contains(&name) {
            return None;
        }
        let text = self.report.sources.from(node.mark)?.lines().next()?;
        let (port, behind) = text.split_once(':')?;
        let other = behind
            .split([',', ']', '}', '#'])
            .next()
            .unwrap_or_default();
        let other = other.trim().trim_matches(['"', '\'']);
        Some(if name == "expose" {
            format!("name the container's port alone, with a `- `: `- \"{port}\"`")
        } else if is_entry {
            format!("write it without the space: `- \"{port}:{other}\"`")
        } else {
            format!("write each entry with a `- `: `- \"{port}:{other}\"`")
        })
    }

    pub(super) fn doubled_key(&mut self, name: &str, mark: Mark, earlier: Mark) {
        let mut trail = self.trail();
        trail.key(name);
        let line = earlier.line;
        let message = format!(
            "the key {} is in this mapping already, at line {line}",
            quoted(name)
        );
        let diagnostic = self
            .report
            .at(mark, trail.as_str(), message)
            .expected("each key once")
            .suggest("put what both hold below one of them and remove the other, or rename it");
        self.report.push(diagnostic);
    }

    pub(super) fn set_key(&mut self, name: String, mark: Mark) {
        if let Some(Open {
            content: Content::Map { key, .. },
            ..
        }) = self.open.last_mut()
        {
            *key = Some((name, mark));
        }
    }

    pub(super) fn earlier_key(&self, name: &str) -> Option<Mark> {
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

/// Puts a member into a mapping. Of a key that is there twice, which was told, both
/// mappings count, so that what refers to members of either is not refused, too.
fn insert(map: &mut Map, name: String, node: Node) {
    match map.entry(name) {
        Entry::Vacant(slot) => {
            slot.insert(node);
        }
        Entry::Occupied(mut slot) => match (slot.get_mut().as_map_mut(), node.value) {
            (Some(known), Value::Map(more)) => {
                for (name, child) in more {
                    insert(known, name, child);
                }
            }
            (_, value) => {
                slot.insert(Node { value, ..node });
            }
        },
    }
}
