//! Fragments: aliases, and the keys that `<<` brings.
//!
//! Specification: "Fragments".

use indexmap::map::Entry;

use super::{Content, MERGE_KEY, MOST_DEPTH, Reader};
use crate::compose::diag::Alias;
use crate::compose::tree::{Map, Mark, MergeTag, Node, Value};

/// Longest path of an alias that is remembered, about, in bytes: there are many.
const LONGEST_PATH: usize = 1 << 10;

impl Reader<'_> {
    /// Adds what `<<` brings: keys that are not there yet.
    pub(super) fn merged(&mut self, mut map: Map, merges: Vec<Node>, mark: Option<Mark>) -> Map {
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
                            // Reset is what other files say; what is merged stays, and
                            // takes the place of that.
                            Entry::Occupied(mut slot)
                                if slot.get().tag == Some(MergeTag::Reset) =>
                            {
                                let mut node = node;
                                node.tag = Some(MergeTag::Override);
                                slot.insert(node);
                            }
                            Entry::Occupied(slot) => {
                                self.trace_replaced(slot.key(), slot.get(), &node);
                            }
                        }
                    }
                } else {
                    let found = source.kind();
                    let path = self.trail();
                    let message = format!("`<<` merges mappings, this is {found}");
                    let diagnostic = self
                        .report
                        .at(mark.unwrap_or(source.mark), path.as_str(), message)
                        .expected("an alias of a mapping, or a list of them: `<<: [*one, *other]`");
                    self.report.push(diagnostic);
                }
            }
        }
        map
    }

    /// A mapping's own value stands above one that `<<` brings.
    fn trace_replaced(&mut self, key: &str, winner: &Node, loser: &Node) {
        if self.report.trace.is_some() {
            let mut trail = self.trail();
            trail.key(key);
            if let Some(trace) = &mut self.report.trace {
                trace.history.replace_read(trail.as_str(), winner, loser);
            }
        }
    }

    /// Where a trace knows the node that is complete now.
    pub(super) fn traced_trail(&self) -> Option<String> {
        self.report.trace.as_ref()?;
        Some(without_merge_keys(self.trail().as_str()))
    }

    pub(super) fn alias(&mut self, anchor: usize, mark: Mark) -> Option<()> {
        let Some(anchored) = self.anchors.get(&anchor) else {
            let path = self.trail();
            let diagnostic = self
                .report
                .at(
                    mark,
                    path.as_str(),
                    "the alias is inside of what it stands for",
                )
                .expected("an alias of something that ends before it")
                .suggest("repeat the part that is needed, or give that part an anchor of its own");
            self.report.push(diagnostic);
            return None;
        };
        let (nodes, height) = (anchored.nodes, anchored.height);
        if !self.report.sources.ways.is_full() && self.depth_in_bytes() <= LONGEST_PATH {
            let trail = self.trail();
            let last = trail.as_str().rsplit('.').next();
            self.report.sources.ways.repeat(Alias {
                is_merged: last.is_some_and(is_merge_key),
                path: without_merge_keys(trail.as_str()),
                mark,
                from: anchored.node.mark,
                to: anchored.end,
            });
        }
        if let (Some(from), Some(to)) = (&anchored.path, self.traced_trail())
            && let Some(trace) = &mut self.report.trace
        {
            trace.history.copy(from, &to);
        }
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

    /// About how long the path of where the reader is would be.
    fn depth_in_bytes(&self) -> usize {
        let lengths = self.open.iter().map(|open| match &open.content {
            Content::Map {
                key: Some((key, _)),
                ..
            } => 1 + key.len(),
            Content::Map { key: None, .. } | Content::Seq(_) => 1,
        });
        lengths.sum()
    }
}

/// A path as it is once `<<` is resolved.
fn without_merge_keys(path: &str) -> String {
    let parts: Vec<&str> = path.split('.').filter(|part| !is_merge_key(part)).collect();
    parts.join(".")
}

/// True for `<<`, and for one of a list behind it.
fn is_merge_key(part: &str) -> bool {
    let index = part.strip_prefix(MERGE_KEY);
    index.is_some_and(|index| index.is_empty() || index.starts_with('['))
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
