//! What `!reset` and `!override` dropped, at the attribute that is asked for, above
//! and below it.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use indexmap::IndexMap;

use super::pairs::entry_path;
use super::{Explainer, Explanation, Origin, Source, Standing, above, one_line};
use crate::compose::trace::{Base, Dropped};
use crate::compose::tree::{Map, Mark, MergeTag, Node, Value, is_within};

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
            let is_below = dropped.is_at(path);
            if !is_below && !self.is_part(path, &dropped.path) {
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

    /// True for a path below another one; that of a service is not below one whose name
    /// its own begins with.
    fn is_part(&self, path: &str, above: &str) -> bool {
        let is_of_service = || {
            let service = self.service_of(path)?;
            let end = "services.".len() + service.len();
            Some(above.len() >= end || above == "services")
        };
        path != above && is_within(path, above) && is_of_service().unwrap_or(true)
    }

    /// What a service has not because a tag dropped it from one that it extends, or
    /// because it went there with what a value above it took the place of.
    pub(super) fn gone_before(&self, path: &str) -> Option<Explanation> {
        let service = self.service_of(path)?;
        let rest = path.strip_prefix("services.")?.strip_prefix(service)?;
        if rest.ends_with(']') {
            return None; // places in a list are those of this list
        }
        self.trace.history.bases(service).iter().find_map(|base| {
            let there = format!("services.{}{rest}", base.service);
            self.dropped_from(base, &there, path)
                .or_else(|| self.lost_from(base, &there, path))
        })
    }

    fn dropped_from(&self, base: &Base, there: &str, path: &str) -> Option<Explanation> {
        let is_there = |one: &&Dropped| {
            one.file == base.file && one.at < base.at && is_within(there, &one.path)
        };
        self.dropped().filter(is_there).find_map(|dropped| {
            let part = above::part(&dropped.loser, there.get(dropped.path.len()..)?)?;
            let by = self.by(dropped);
            Some(self.gone_with(by, dropped.by, part, base, path))
        })
    }

    fn lost_from(&self, base: &Base, there: &str, path: &str) -> Option<Explanation> {
        above::levels(there).find_map(|at| {
            let (above, rest) = there.split_at(at);
            let lost = self.trace.history.lost_at(above, base);
            lost.into_iter().find_map(|(winner, loser)| {
                let part = above::part(loser, rest).filter(|part| !std::ptr::eq(*part, loser))?;
                let node = Node::map(Map::new(), winner);
                let by = self.source(&node, path, Standing::Resets);
                Some(self.gone_with(by, winner, part, base, path))
            })
        })
    }

    fn gone_with(
        &self,
        mut by: Source,
        mark: Mark,
        part: &Node,
        base: &Base,
        path: &str,
    ) -> Explanation {
        by.standing = Standing::Resets;
        by.chain = self.trace.history.way_from(mark, base);
        by.chain.reverse(); // the nearest to the value first
        let mut lost = self.source(part, path, Standing::Overridden);
        lost.chain = self.trace.history.way_from(part.mark, base);
        lost.chain.reverse();
        Explanation {
            subject: path.to_owned(),
            value: None,
            sources: vec![by, lost],
            is_cut: false,
            uses: Vec::new(),
        }
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
                .for_each(|item| self.push_parts(item, &entry_path(path, item), out)),
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
                .for_each(|item| self.push_lost(item, &entry_path(path, item), out)),
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
    fn place(source: &Source) -> Option<(&Path, u32, u32)> {
        match &source.origin {
            Origin::File(at) => Some((&at.file, at.line, at.column)),
            _ => None,
        }
    }
    let known: HashSet<_> = sources.iter().filter_map(place).collect();
    let is_new = |source: &Source| place(source).is_none_or(|place| !known.contains(&place));
    let more: Vec<Source> = more.into_iter().filter(is_new).collect();
    sources.extend(more);
}
