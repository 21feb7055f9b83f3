//! Where an attribute's value comes from: files over files, `extends`, fragments.

use indexmap::IndexSet;
use serde_json::Value as Json;

use super::above::Above;
use super::pairs::{is_pair, value_of};
use super::{Explainer, Explanation, Origin, Source, Standing, one_line, shown, written};
use crate::compose::diag::{INCLUDED, Step};
use crate::compose::model::raw_json;
use crate::compose::trace::{MOST_OVERRIDDEN, Overridden, PAIRS, pairs};
use crate::compose::tree::{Map, Mark, Node, Value, service_of};

/// Begins the keys that the loader makes for itself.
const INTERNAL: &str = "x-#";

/// Lists that are one value.
pub(super) const WHOLE: [&str; 3] = ["command", "entrypoint", "test"];

impl Explainer<'_> {
    /// Everything at and below a path; nothing where it leads nowhere.
    pub(super) fn attribute(&self, path: &str) -> Vec<Explanation> {
        let mut found = Vec::new();
        let above = path.rsplit_once('.').map_or("", |(above, _)| above);
        let replaced = self.above(path);
        if let Some(fed) = self.fed(path) {
            match fed.name {
                Some(name) => {
                    let list = self.tree.lookup(&fed.list).map(pairs).unwrap_or_default();
                    let item = list.get(name).copied();
                    found.extend(self.pair(&fed, name, item, replaced.as_ref()));
                }
                None => self.pairs(&fed, &mut found),
            }
        } else if let Some(named) = self.named_entry(path) {
            return self.attribute(&named);
        } else if let Some(node) = self.tree.lookup(path) {
            // What a short form is written out to stands where that does, too.
            let parent = self.tree.lookup(above);
            let parent =
                parent.filter(|node| !is_short_form(node, node.mark) || self.says_nothing(node));
            let parent = parent.map(|node| node.mark);
            match &replaced {
                Some(_) => found.push(self.entry_over(node, path, parent, replaced.as_ref())),
                None => self.entries(node, path, parent, &mut found),
            }
        } else if let Some(item) = self.pair_at(path) {
            found.push(self.entry_over(item, path, None, replaced.as_ref()));
        }
        self.add_dropped(path, &mut found);
        if found.is_empty() {
            found.extend(replaced.map(|replaced| self.gone(path, &replaced)));
        }
        if found.is_empty() {
            found.extend(self.gone_before(path));
        }
        found
    }

    fn entries(&self, node: &Node, path: &str, parent: Option<Mark>, out: &mut Vec<Explanation>) {
        let name = path.rsplit('.').next().unwrap_or_default();
        // What took the place of another one as a whole is told as a whole.
        let is_whole = match &node.value {
            // Unless more was merged into it: then each part tells where it is from.
            Value::Map(_) => {
                !self.overridden(path, node.mark).is_empty() && self.is_in_one_place(node, path)
            }
            Value::Seq(items) => self.is_whole_override(path, node, items),
            _ => false,
        };
        let is_empty = self.says_nothing(node);
        if is_empty {
            out.push(self.empty(node, path));
        } else if WHOLE.contains(&name) || is_whole || is_short_form(node, node.mark) {
            out.push(self.entry(node, path, parent));
            return;
        }
        match &node.value {
            Value::Map(map) if !map.is_empty() => {
                self.entries_of_map(node, map, path, out);
            }
            Value::Seq(items) if !items.is_empty() => {
                for (index, item) in items.iter().enumerate() {
                    let key = item.as_str().and_then(|text| text.split_once('='));
                    match key.filter(|_| PAIRS.contains(&name)) {
                        Some((key, _)) => {
                            out.push(self.entry(item, &format!("{path}.{key}"), None));
                        }
                        None => self.entries(item, &format!("{path}[{index}]"), None, out),
                    }
                }
            }
            _ if is_empty => {} // told
            _ => out.push(self.entry(node, path, parent)),
        }
    }

    fn entries_of_map(&self, node: &Node, map: &Map, path: &str, out: &mut Vec<Explanation>) {
        for (key, child) in map.iter().filter(|(key, _)| !key.starts_with(INTERNAL)) {
            let path = format!("{path}.{key}");
            let before = out.len();
            if let Some(fed) = self.fed_list(&path) {
                self.pairs(&fed, out);
            }
            if out.len() == before {
                self.entries(child, &path, Some(node.mark), out);
            }
        }
        // What files alone give a service.
        for attribute in ["environment", "labels"] {
            let path = format!("{path}.{attribute}");
            if !map.contains_key(attribute)
                && let Some(fed) = self.fed_list(&path)
            {
                self.pairs(&fed, out);
            }
        }
        // What went with a value that this one took the place of as a whole.
        let lost = self.overridden(path, node.mark);
        let lost = lost.iter().filter_map(|lost| lost.node.as_map());
        let gone: IndexSet<&String> = lost.flat_map(|lost| lost.keys()).collect();
        let gone = gone.into_iter().filter(|key| !map.contains_key(*key));
        for key in gone.take(MOST_OVERRIDDEN) {
            out.extend(self.attribute(&format!("{path}.{key}")));
        }
    }

    /// A mapping that was written with nothing in it.
    fn empty(&self, node: &Node, path: &str) -> Explanation {
        let bare = Node::map(Map::new(), node.mark).with_key(node.key);
        let mut explanation = self.entry(&bare, path, None);
        if let Some(first) = explanation.sources.first_mut()
            && first.written != "{}"
            && let Some((origin, key)) = self.key_of(node)
        {
            (first.origin, first.written) = (origin, key);
        }
        explanation
    }

    /// One value, with what it took the place of itself, and what a value above it
    /// did.
    pub(super) fn entry_over(
        &self,
        node: &Node,
        path: &str,
        parent: Option<Mark>,
        above: Option<&Above<'_>>,
    ) -> Explanation {
        let mut entry = self.entry(node, path, parent);
        for part in above.into_iter().flat_map(|above| &above.parts) {
            let source = self.loser(part, path);
            // It may be known of the value itself.
            let is_known = |known: &Source| known.origin == source.origin;
            if !entry.sources.iter().any(is_known) {
                entry.sources.push(source);
            }
        }
        entry
    }

    /// One value, with what it took the place of.
    fn entry(&self, node: &Node, path: &str, parent: Option<Mark>) -> Explanation {
        let mut winner = self.source(node, path, Standing::Wins);
        // A default stands where the mapping does that it was put into.
        if parent == Some(node.mark) && node.key == node.mark {
            winner.origin = Origin::Implied;
        }
        let value = match self.template(node, path) {
            Some(template) if node.as_map().is_some() => one_line(&template.text),
            _ if winner.origin == Origin::Implied => shown(node),
            _ if node.as_str().is_some() => value_of(node, path),
            _ => match self.brief(node, path) {
                Json::String(text) => one_line(&text),
                brief => one_line(&brief.to_string()),
            },
        };
        let mut sources = vec![winner];
        // A default has the mark of what it was put into, whose losers are not its own.
        let is_default = sources.iter().any(|one| one.origin == Origin::Implied);
        let (losers, is_cut) = if is_default {
            (Vec::new(), false)
        } else {
            self.losers(path, node.mark)
        };
        sources.extend(losers);
        let mut explanation = Explanation {
            subject: path.to_owned(),
            value: Some(value),
            sources,
            is_cut,
            uses: Vec::new(),
        };
        self.pass_on(node, &mut explanation);
        explanation
    }

    /// True for a short list that `!override` stands before, and that nothing was
    /// added to.
    fn is_whole_override(&self, path: &str, node: &Node, items: &[Node]) -> bool {
        self.overrides.contains(&(path, node.mark))
            && items.iter().all(|item| {
                item.as_seq().is_none()
                    && (item.as_map().is_none() || is_short_form(item, item.mark))
            })
            && self.is_in_one_place(node, path)
    }

    /// What a value took the place of, and whether there is more of it.
    pub(super) fn losers(&self, path: &str, mark: Mark) -> (Vec<Source>, bool) {
        let mut found = self.overridden(path, mark);
        let is_cut = found.len() > MOST_OVERRIDDEN;
        found.truncate(MOST_OVERRIDDEN);
        let found = found.iter().map(|loser| self.loser(loser, path));
        (found.collect(), is_cut)
    }

    /// The same as the loader knew it.
    pub(super) fn overridden(&self, path: &str, mark: Mark) -> Vec<Overridden<'_>> {
        let service = self.service_of(path).unwrap_or_default();
        self.trace.history.overridden(path, mark, service, false)
    }

    /// The same with what a tag dropped at this place.
    pub(super) fn overridden_or_dropped(&self, path: &str, mark: Mark) -> Vec<Overridden<'_>> {
        let service = self.service_of(path).unwrap_or_default();
        self.trace.history.overridden(path, mark, service, true)
    }

    pub(super) fn source(&self, node: &Node, path: &str, standing: Standing) -> Source {
        let template = self.template(node, path);
        let written = self
            .written(node, is_pair(node, path))
            .unwrap_or_else(|| match template {
                Some(template) => one_line(&template.written),
                // Merged, it is a list's entry.
                None if is_pair(node, path) && node.key != node.mark => {
                    shown(node).replacen('=', ": ", 1)
                }
                None => shown(node),
            });
        let variables = template.map_or(&[][..], |template| &template.variables);
        let origin = match self.position(node.mark) {
            Some(position) => Origin::File(position),
            None => Origin::Implied,
        };
        Source {
            standing,
            origin,
            written,
            chain: self.aliases_and(self.way(node.mark, path), node.mark, path),
            variables: variables
                .iter()
                .map(|(name, _)| self.variable_in(name, node.mark, path))
                .collect(),
        }
    }

    /// The aliases by which a value came, before the rest of its way.
    pub(super) fn aliases_and(&self, rest: Vec<Step>, mark: Mark, path: &str) -> Vec<Step> {
        let mut way = self.project.origin.sources.repeated_by(mark, path);
        way.extend(rest);
        way
    }

    /// How the place of a value was reached.
    pub(super) fn way(&self, mark: Mark, path: &str) -> Vec<Step> {
        let mut way = match self.service_of(path) {
            Some(service) => self.trace.history.extensions(mark, service),
            None => Vec::new(),
        };
        way.reverse(); // the nearest to the value first
        way.extend(self.inclusion(mark, path, &way));
        way
    }

    /// How the file of a value was included, to which `way` leads. One that services
    /// are extended from may be so from several files: there the service's counts.
    pub(super) fn inclusion(&self, mark: Mark, path: &str, way: &[Step]) -> Vec<Step> {
        let service = || {
            let services = self.tree.get("services")?;
            services.get(self.service_of(path)?)
        };
        let service = service().filter(|_| !way.is_empty());
        let mark = service.map_or(mark, |service| service.mark);
        let way = self.project.origin.sources.way_of(mark.file);
        let inclusions = way.iter().filter(|step| step.what == INCLUDED);
        inclusions.cloned().collect()
    }

    /// The service that a path is about; its name may have dots.
    pub(super) fn service_of<'p>(&self, path: &'p str) -> Option<&'p str> {
        let services = self.tree.get("services")?.as_map()?;
        service_of(path, |name| services.contains_key(name))
    }

    /// A value with its short forms as they are written.
    pub(super) fn brief(&self, node: &Node, path: &str) -> Json {
        match &node.value {
            Value::Map(_) if is_short_form(node, node.mark) => {
                let template = self.template(node, path);
                let text = template.map(|template| template.text.clone());
                text.or_else(|| self.token(node))
                    .map_or_else(|| raw_json(node), Json::String)
            }
            Value::Seq(items) => items.iter().map(|item| self.brief(item, path)).collect(),
            _ => raw_json(node),
        }
    }

    /// What stands in the file at a node's place, without tags, anchors and quotes.
    pub(super) fn token(&self, node: &Node) -> Option<String> {
        let token = self.project.origin.sources.token(node.mark)?;
        let token = written::without_properties(token);
        let bare = token.trim_matches(['"', '\'']).trim();
        (!bare.is_empty()).then(|| one_line(bare))
    }
}

/// True where all of a mapping stands at one place: a short form, written out.
fn is_short_form(node: &Node, mark: Mark) -> bool {
    match &node.value {
        Value::Map(map) => {
            !map.is_empty() && map.values().all(|child| is_short_form_part(child, mark))
        }
        _ => false,
    }
}

fn is_short_form_part(node: &Node, mark: Mark) -> bool {
    node.mark == mark
        && match &node.value {
            Value::Map(map) => map.values().all(|child| is_short_form_part(child, mark)),
            Value::Seq(items) => items.iter().all(|child| is_short_form_part(child, mark)),
            _ => true,
        }
}
