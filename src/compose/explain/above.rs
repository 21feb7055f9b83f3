//! Parts of what was replaced as a whole: a mapping that took the place of another
//! one did so for everything in it, and for what only the other one had.

use indexmap::IndexMap;

use super::written::without_properties;
use super::{Explainer, Explanation, Origin, Source, Standing};
use crate::compose::trace::{MOST_OVERRIDDEN, Overridden, pairs};
use crate::compose::tree::{Map, Node, Value};

/// Attributes lie no deeper; names may have more dots.
const MOST_LEVELS: usize = 12;

/// A value above an attribute that took the place of others.
pub(super) struct Above<'t> {
    path: &'t str,
    node: &'t Node,
    /// What these others had where the attribute is.
    pub(super) parts: Vec<Overridden<'t>>,
}

impl Explainer<'_> {
    /// The nearest value above an attribute that took the place of others which
    /// said something about it.
    pub(super) fn above<'t>(&'t self, path: &'t str) -> Option<Above<'t>> {
        self.above_in(self.tree, 0, path)
    }

    /// The same in a part of a project, which is at so much of the path.
    pub(super) fn above_in<'t>(
        &'t self,
        root: &'t Node,
        start: usize,
        path: &'t str,
    ) -> Option<Above<'t>> {
        let below = |at| path.get(start..at).map(without_dot);
        let own = root.lookup(below(path.len())?).map(|node| node.mark);
        let mut ends = levels(path).take_while(|at| *at >= start);
        ends.find_map(|at| {
            let (above, rest) = path.split_at(at);
            let node = root.lookup(below(at)?)?;
            // Parts of a short form stand where it does, and are told with it.
            if own == Some(node.mark) || !is_collection(node) {
                return None;
            }
            let mut parts = Vec::new();
            for loser in self.overridden(above, node.mark) {
                let Some(part) = part(loser.node, rest) else {
                    continue;
                };
                let is_whole = std::ptr::eq(part, loser.node);
                let way = loser.way.clone();
                parts.push(Overridden { node: part, way });
                if !is_whole {
                    parts.extend(self.overridden(path, part.mark));
                }
            }
            parts.truncate(MOST_OVERRIDDEN);
            (!parts.is_empty()).then_some(Above {
                path: above,
                node,
                parts,
            })
        })
    }

    /// The same for each entry of a list of pairs, by name.
    pub(super) fn pairs_above<'t>(&'t self, list: &'t str) -> IndexMap<&'t str, Above<'t>> {
        let mut found: IndexMap<&str, Above<'_>> = IndexMap::new();
        for at in std::iter::once(list.len()).chain(levels(list)) {
            let (path, rest) = list.split_at(at);
            let Some(node) = self.tree.lookup(path).filter(|node| is_collection(node)) else {
                continue;
            };
            let mut here: IndexMap<&str, Above<'_>> = IndexMap::new();
            for loser in self.overridden(path, node.mark) {
                let Some(lost) = loser.node.lookup(without_dot(rest)) else {
                    continue;
                };
                for (name, part) in pairs(lost) {
                    let parts = Vec::new();
                    let above = here.entry(name).or_insert(Above { path, node, parts });
                    if above.parts.len() >= MOST_OVERRIDDEN {
                        continue;
                    }
                    let way = loser.way.clone();
                    above.parts.push(Overridden { node: part, way });
                    let own = self.overridden(&format!("{list}.{name}"), part.mark);
                    above.parts.extend(own);
                    above.parts.truncate(MOST_OVERRIDDEN);
                }
            }
            // The nearest one says it.
            for (name, above) in here {
                found.entry(name).or_insert(above);
            }
        }
        found
    }

    /// An attribute that went with what a value above it took the place of.
    pub(super) fn gone(&self, path: &str, above: &Above<'_>) -> Explanation {
        let by = self.source(above.node, above.path, Standing::Resets);
        let parts = above.parts.iter();
        let parts = parts.map(|part| self.loser(part, path));
        Explanation {
            subject: path.to_owned(),
            value: None,
            sources: std::iter::once(by).chain(parts).collect(),
            is_cut: false,
            uses: Vec::new(),
        }
    }

    /// A value that lost, with its place.
    pub(super) fn loser(&self, loser: &Overridden<'_>, path: &str) -> Source {
        let mut source = self.source(loser.node, path, Standing::Overridden);
        let mark = loser.node.mark;
        let mut way = loser.way.clone();
        way.reverse(); // the nearest to the value first
        way.extend(self.inclusion(mark, path, &loser.way));
        source.chain = self.aliases_and(way, mark, path);
        source
    }

    /// True for a mapping that the file has nothing in, so that all in it is
    /// implied.
    pub(super) fn says_nothing(&self, node: &Node) -> bool {
        let is_implied = |map: &Map| map.values().all(|child| child.mark == node.mark);
        if !node.as_map().is_some_and(is_implied) || node.key == node.mark {
            return false;
        }
        let text = self.project.origin.sources.token(node.mark);
        let text = without_properties(text.unwrap_or_default()).trim();
        let is_nothing = text.starts_with(':') || text.starts_with('#');
        is_nothing || ["", "{}", "~", "null", "Null", "NULL"].contains(&text)
    }

    /// Such a mapping as a source: its key.
    pub(super) fn key_of(&self, node: &Node) -> Option<(Origin, String)> {
        let position = self.position(node.key)?;
        let key = without_properties(self.project.origin.sources.token(node.key)?);
        Some((Origin::File(position), format!("{key}:")))
    }
}

fn without_dot(rest: &str) -> &str {
    rest.strip_prefix('.').unwrap_or(rest)
}

/// Where the paths above this one may end, the longest first.
pub(super) fn levels(path: &str) -> impl Iterator<Item = usize> {
    let ends = path.bytes().enumerate().rev();
    ends.filter(|(_, byte)| matches!(byte, b'.' | b'['))
        .map(|(at, _)| at)
        .take(MOST_LEVELS)
}

fn is_collection(node: &Node) -> bool {
    matches!(node.value, Value::Map(_) | Value::Seq(_))
}

/// What a value has at the rest of a path. A text has no parts, and the place in a
/// list says nothing about another list: there it is the whole.
pub(super) fn part<'n>(node: &'n Node, rest: &str) -> Option<&'n Node> {
    match &node.value {
        _ if rest.is_empty() => Some(node),
        Value::Map(_) => node.lookup(without_dot(rest)),
        Value::Seq(_) if !rest.starts_with('[') => {
            let name = without_dot(rest);
            pairs(node).get(name).copied()
        }
        _ => Some(node),
    }
}

/// Entries of a list that is not merged yet: those of a name before the last one, the
/// nearest first.
pub(super) fn earlier_entries<'n>(node: &'n Node, rest: &str) -> Vec<&'n Node> {
    let name = without_dot(rest);
    let items = node.as_seq().unwrap_or_default().iter().rev();
    let same = items.filter(|item| {
        let text = item.as_str();
        text.is_some_and(|text| text.split_once('=').map_or(text, |(name, _)| name) == name)
    });
    same.skip(1).collect()
}
