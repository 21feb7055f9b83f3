//! What `!reset` and `!override` dropped, at the attribute that is asked for, above
//! and below it.

use std::collections::{HashMap, HashSet};

use indexmap::IndexMap;

use super::{Explainer, Explanation, Origin, Source, Standing, above, one_line};
use crate::compose::trace::Dropped;
use crate::compose::tree::{Mark, MergeTag, Node, Value, is_within};

/// What was dropped, as sources.
struct Parts<'p> {
    /// The attribute that they are told of.
    subject: &'p str,
    sources: Vec<Source>,
    /// The values whose losers are among them, and these.
    known: HashSet<Mark>,
}

impl<'p> Parts<'p> {
    fn of(subject: &'p str) -> Self {
        Self {
            subject,
            sources: Vec::new(),
            known: HashSet::new(),
        }
    }

    /// What is in a value is told with it.
    fn knows(&mut self, node: &Node) {
        self.known.insert(node.mark);
        match &node.value {
            Value::Map(map) => map.values().for_each(|child| self.knows(child)),
            Value::Seq(items) => items.iter().for_each(|item| self.knows(item)),
            _ => {}
        }
    }

    /// Adds what a value at a path is as a source; a part of the whole gets its
    /// name, which `named` is.
    fn push(&mut self, path: &str, mut source: Source, named: Option<String>) {
        if path != self.subject
            && let Some(named) = named
        {
            source.written = named;
        }
        self.sources.push(source);
    }
}

impl Explainer<'_> {
    pub(super) fn add_dropped(&self, path: &str, out: &mut Vec<Explanation>) {
        let mut known: HashMap<String, usize> = HashMap::new();
        for (at, one) in out.iter().enumerate() {
            known.entry(one.subject.clone()).or_insert(at);
        }
        for dropped in self.dropped() {
            if dropped.file.is_some() {
                continue; // the value that came from there tells it, if any did
            }
            let is_below = is_within(&dropped.path, path);
            if !is_below && !is_within(path, &dropped.path) {
                continue;
            }
            // What is asked for is a part of what was dropped.
            if !is_below {
                self.add_part(dropped, path, out);
                continue;
            }
            // `!override` stays with the value that it stands before.
            if let Some(known) = known.get(&dropped.path).and_then(|at| out.get_mut(*at)) {
                add_new(&mut known.sources, self.parts(dropped));
            } else {
                known.insert(dropped.path.clone(), out.len());
                out.push(self.tag(dropped));
            }
        }
    }

    /// What a service has not because a tag dropped it from one that it extends.
    pub(super) fn dropped_in_base(&self, path: &str) -> Option<Explanation> {
        let service = self.service_of(path)?;
        let rest = path.strip_prefix("services.")?.strip_prefix(service)?;
        for base in self.trace.history.bases(service) {
            let there = format!("services.{}{rest}", base.service);
            let before = |one: &&Dropped| one.file == base.file && one.at < base.at;
            for dropped in self.dropped().filter(before) {
                if !is_within(&there, &dropped.path) {
                    continue;
                }
                let part = above::part(&dropped.loser, there.get(dropped.path.len()..)?);
                let Some(part) = part else {
                    continue;
                };
                let mut by = self.by(dropped);
                by.standing = Standing::Resets;
                let mut sources = vec![by, self.source(part, &there, Standing::Overridden)];
                for source in &mut sources {
                    source.chain.clone_from(&base.way);
                }
                return Some(Explanation {
                    subject: path.to_owned(),
                    value: None,
                    sources,
                    is_cut: false,
                    uses: Vec::new(),
                });
            }
        }
        None
    }

    /// All that was dropped, what a tag dropped later before what one did earlier.
    fn dropped(&self) -> impl Iterator<Item = &Dropped> {
        let mut tags: IndexMap<(&str, Mark), Vec<&Dropped>> = IndexMap::new();
        for one in &self.trace.dropped {
            tags.entry((&one.path, one.by)).or_default().push(one);
        }
        tags.into_values().rev().flatten()
    }

    /// Adds the part of what was dropped that is asked for.
    fn add_part(&self, dropped: &Dropped, path: &str, out: &mut Vec<Explanation>) {
        let rest = path.get(dropped.path.len()..).unwrap_or_default();
        let mut parts = Parts::of(path);
        let part = above::part(&dropped.loser, rest);
        if let Some(part) = part {
            self.push_parts(part, path, &mut parts);
        }
        for earlier in above::earlier_entries(&dropped.loser, rest) {
            self.push_parts(earlier, path, &mut parts);
        }
        // A part of what this had taken the place of before.
        if part.is_none_or(|part| !std::ptr::eq(part, &raw const dropped.loser)) {
            let above = self.above_in(&dropped.loser, dropped.path.len(), path);
            for lost in above.iter().flat_map(|above| &above.parts) {
                if parts.known.insert(lost.node.mark) {
                    parts.sources.push(self.loser(lost, path));
                }
            }
        }
        let parts = parts.sources;
        if parts.is_empty() {
            return;
        }
        if let [only] = out.as_mut_slice() {
            add_new(&mut only.sources, parts);
            return;
        }
        let now = self.tree.lookup(path);
        // The place in a list that is there no more says nothing of the one that is.
        let is_elsewhere = self.is_override(dropped) || dropped.loser.lookup(rest).is_none();
        if now.is_none() && rest.starts_with('[') && is_elsewhere {
            return;
        }
        let mut by = self.by(dropped);
        if now.is_none() {
            by.standing = Standing::Resets;
        }
        out.push(self.replaced(path, by, parts));
    }

    /// The tag as the source of what is there now, over what it dropped.
    fn tag(&self, dropped: &Dropped) -> Explanation {
        self.replaced(&dropped.path, self.by(dropped), self.parts(dropped))
    }

    fn replaced(&self, path: &str, by: Source, parts: Vec<Source>) -> Explanation {
        let now = self.tree.lookup(path);
        Explanation {
            subject: path.to_owned(),
            value: now.map(|now| one_line(&self.brief(now, path).to_string())),
            sources: std::iter::once(by).chain(parts).collect(),
            is_cut: false,
            uses: Vec::new(),
        }
    }

    /// True where `!override` dropped it, and what that stands before is there.
    fn is_override(&self, dropped: &Dropped) -> bool {
        let now = self.tree.lookup(&dropped.path);
        now.is_some_and(|now| now.mark == dropped.by)
    }

    /// The tag as a source.
    fn by(&self, dropped: &Dropped) -> Source {
        let text = self.project.origin.sources.from(dropped.by);
        let tags = [MergeTag::Override, MergeTag::Reset].map(MergeTag::text);
        let written = tags
            .into_iter()
            .find(|tag| text.is_some_and(|text| text.starts_with(tag)));
        let written = written.unwrap_or_default();
        let standing = if self.is_override(dropped) {
            Standing::Wins
        } else {
            Standing::Resets
        };
        let position = self.position(dropped.by);
        Source {
            standing,
            origin: position.map_or(Origin::Implied, Origin::File),
            written: written.to_owned(),
            chain: self.way(dropped.by, &dropped.path),
            variables: Vec::new(),
        }
    }

    /// What was dropped: in one where it stands in one place, else each part of it
    /// where it stands; with what all of that had taken the place of before.
    fn parts(&self, dropped: &Dropped) -> Vec<Source> {
        let mut parts = Parts::of(&dropped.path);
        self.push_parts(&dropped.loser, &dropped.path, &mut parts);
        parts.sources
    }

    fn push_parts(&self, node: &Node, path: &str, out: &mut Parts<'_>) {
        if self.is_in_one_place(node, path) {
            let source = self.source(node, path, Standing::Overridden);
            out.push(path, source, self.written(node, true));
            self.push_lost(node, path, out);
            return;
        }
        match &node.value {
            Value::Map(map) => {
                for (key, child) in map {
                    self.push_parts(child, &format!("{path}.{key}"), out);
                }
            }
            Value::Seq(items) => items
                .iter()
                .for_each(|item| self.push_parts(item, path, out)),
            _ => {} // is in one place
        }
    }

    /// What a value and everything in it had taken the place of. Lists remember
    /// that of their entries under their own path.
    fn push_lost(&self, node: &Node, path: &str, out: &mut Parts<'_>) {
        if out.known.insert(node.mark) {
            for lost in self.overridden_or_dropped(path, node.mark) {
                if out.known.insert(lost.node.mark) {
                    out.push(path, self.loser(&lost, path), self.written(lost.node, true));
                    out.knows(lost.node);
                }
            }
        }
        match &node.value {
            Value::Map(map) => {
                for (key, child) in map {
                    self.push_lost(child, &format!("{path}.{key}"), out);
                }
            }
            Value::Seq(items) => items
                .iter()
                .for_each(|item| self.push_lost(item, path, out)),
            _ => {}
        }
    }

    /// True where all of a value was written in one file and came here by one way.
    pub(super) fn is_in_one_place(&self, node: &Node, path: &str) -> bool {
        let way = self.way(node.mark, path);
        self.is_of(node, path, node.mark.file, &way)
    }

    fn is_of(
        &self,
        node: &Node,
        path: &str,
        file: u16,
        way: &[crate::compose::diag::Step],
    ) -> bool {
        let is_here = node.mark.file == file && self.way(node.mark, path) == way;
        is_here
            && match &node.value {
                Value::Map(map) => map.values().all(|one| self.is_of(one, path, file, way)),
                Value::Seq(items) => items.iter().all(|one| self.is_of(one, path, file, way)),
                _ => true,
            }
    }
}

/// Adds what is not among the sources yet.
fn add_new(sources: &mut Vec<Source>, more: Vec<Source>) {
    for source in more {
        if !sources.iter().any(|known| known.origin == source.origin) {
            sources.push(source);
        }
    }
}
