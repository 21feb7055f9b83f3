//! `!reset` and `!override`: which attributes of what came before are dropped.
//!
//! Specification: "Merge and override", "Reset value", "Replace value". A node
//! with `!reset` goes itself; one with `!override` stays and takes the place of
//! the earlier one instead of being merged into it.

use super::trace::Trace;
use super::tree::{Mark, MergeTag, Node, Trail, Value};

/// The paths that a file resets or overrides, as a tree by key.
#[derive(Debug, Default)]
pub(crate) struct Resets {
    /// Keys to drop from what came before, and where that is asked for.
    keys: Vec<(String, Mark)>,
    below: Vec<(String, Resets)>,
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
                            resets.keys.push((key.clone(), child.mark));
                            return false;
                        }
                        // What is inside of an override is new anyway.
                        Some(MergeTag::Override) => {
                            resets.keys.push((key.clone(), child.mark));
                        }
                        None => {
                            let below = Self::take(child);
                            if !below.is_empty() {
                                resets.below.push((key.clone(), below));
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

    fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.below.is_empty()
    }

    /// Drops the remembered paths from a tree, which itself is at `trail`.
    pub(crate) fn apply(&self, tree: &mut Node, trail: &mut Trail, trace: &mut Option<Trace>) {
        let Some(map) = tree.as_map_mut() else {
            return;
        };
        for (key, mark) in &self.keys {
            let Some(dropped) = map.shift_remove(key) else {
                continue;
            };
            if let Some(trace) = trace {
                let before = trail.key(key);
                trace.drop_value(trail.as_str().to_owned(), *mark, dropped);
                trail.leave(before);
            }
        }
        for (key, below) in &self.below {
            if let Some(child) = map.get_mut(key) {
                let before = trail.key(key);
                below.apply(child, trail, trace);
                trail.leave(before);
            }
        }
    }

    /// The part that is about one service.
    pub(crate) fn service(&self, name: &str) -> Option<&Self> {
        let services = &self.below.iter().find(|(key, _)| key == "services")?.1;
        services
            .below
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, below)| below)
    }
}
