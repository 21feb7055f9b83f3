//! `!reset` and `!override`: which attributes of what came before are dropped.
//!
//! Specification: "Merge and override", "Reset value", "Replace value". A node
//! with `!reset` goes itself; one with `!override` stays and takes the place of
//! the earlier one instead of being merged into it.

use std::collections::HashMap;

use super::trace::Trace;
use super::tree::{Mark, MergeTag, Node, Trail, Value};

/// The paths that a file resets or overrides, as a tree by key.
#[derive(Debug, Default)]
pub(crate) struct Resets {
    /// Keys to drop from what came before, and what stands there instead: nothing for
    /// a reset.
    keys: HashMap<String, Node>,
    below: HashMap<String, Resets>,
}

impl Resets {
    /// Takes the tags out of a tree: reset nodes are removed, and the paths of
    /// both kinds are remembered.
    pub(crate) fn take(tree: &mut Node) -> Self {
        let mut resets = Self::default();
        match &mut tree.value {
            Value::Map(map) => {
                map.retain(|key, child| {
                    match child.tag {
                        Some(MergeTag::Reset) => {
                            resets.keys.insert(key.clone(), Node::null(child.mark));
                            return false;
                        }
                        // What is inside of an override is new anyway.
                        Some(MergeTag::Override) => {
                            resets.keys.insert(key.clone(), child.clone());
                        }
                        None => {
                            let below = Self::take(child);
                            if !below.is_empty() {
                                resets.below.insert(key.clone(), below);
                            }
                        }
                    }
                    true
                });
            }
            Value::Seq(items) => {
                items.retain(|item| item.tag != Some(MergeTag::Reset));
                for item in items {
                    // Positions in a list mean nothing to what came before.
                    Self::take(item);
                }
            }
            _ => {}
        }
        resets
    }

    /// True where nothing was tagged.
    pub(crate) fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.below.is_empty()
    }

    /// Drops the remembered paths from a tree, which itself is at `trail`: that of the
    /// whole file, or of a service.
    pub(crate) fn apply(&self, tree: &mut Node, trail: &mut Trail, trace: &mut Option<Trace>) {
        let section = trail.as_str().find('.');
        let mut levels = Vec::from_iter(section);
        self.apply_below(tree, (trail, &mut levels), trace);
    }

    /// The same; `levels` are the ends of the paths above the trail.
    fn apply_below(
        &self,
        tree: &mut Node,
        (trail, levels): (&mut Trail, &mut Vec<usize>),
        trace: &mut Option<Trace>,
    ) {
        let Some(map) = tree.as_map_mut() else {
            return;
        };
        levels.push(trail.as_str().len());
        if !self.keys.is_empty() {
            map.retain(|key, node| {
                let Some(by) = self.keys.get(key) else {
                    return true;
                };
                if let Some(trace) = trace {
                    let before = trail.key(key);
                    let null = Node::null(Mark::default());
                    let dropped = std::mem::replace(node, null);
                    trace.drop_value((trail.as_str(), levels), by, dropped);
                    trail.leave(before);
                }
                false
            });
        }
        for (key, below) in &self.below {
            if let Some(child) = map.get_mut(key) {
                let before = trail.key(key);
                below.apply_below(child, (trail, levels), trace);
                trail.leave(before);
            }
        }
        levels.pop();
    }

    /// The part that is about one service.
    pub(crate) fn service(&self, name: &str) -> Option<&Self> {
        self.below.get("services")?.below.get(name)
    }
}
