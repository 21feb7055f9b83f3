//! Where an attribute's value comes from: files over files, `extends`,
//! fragments, and for variables and labels the files that services name.

use indexmap::IndexMap;
use serde_json::Value as Json;

use super::{Explainer, Explanation, Origin, Source, Standing, one_line, shown};
use crate::compose::diag::{INCLUDED, Step};
use crate::compose::model::raw_json;
use crate::compose::trace::{MOST_OVERRIDDEN, Overridden};
use crate::compose::tree::{Map, Mark, Node, Value, service_of};

/// Attributes whose lists are `NAME=VALUE`, each entry an attribute of its own.
const PAIRS: [&str; 6] = [
    "additional_contexts",
    "annotations",
    "args",
    "environment",
    "labels",
    "sysctls",
];

/// Lists that are one value.
pub(super) const WHOLE: [&str; 3] = ["command", "entrypoint", "test"];

impl Explainer<'_> {
    /// Everything at and below a path; nothing where it leads nowhere.
    pub(super) fn attribute(&self, path: &str) -> Vec<Explanation> {
        let mut found = Vec::new();
        let (above, last) = path.rsplit_once('.').unwrap_or(("", path));
        let replaced = self.above(path);
        if from_files(path).is_some() {
            self.pairs_with_files(path, &mut found);
        } else if from_files(above).is_some() {
            let list = self.tree.lookup(above).map(pairs).unwrap_or_default();
            found.extend(self.pair_with_files(above, last, list.get(last).copied()));
        } else if let Some(node) = self.tree.lookup(path) {
            // What a short form is written out to stands where that does, too.
            let parent = self.tree.lookup(above);
            let parent =
                parent.filter(|node| !is_short_form(node, node.mark) || self.says_nothing(node));
            let parent = parent.map(|node| node.mark);
            match &replaced {
                Some(replaced) => {
                    let mut entry = self.entry(node, path, parent);
                    let parts = replaced.parts.iter();
                    entry
                        .sources
                        .extend(parts.map(|part| self.loser(part, path)));
                    found.push(entry);
                }
                None => self.entries(node, path, parent, &mut found),
            }
        } else if let Some(list) = self.tree.lookup(above) {
            let item = pairs(list).get(last).copied();
            found.extend(item.map(|item| self.entry(item, path, None)));
        }
        self.add_dropped(path, &mut found);
        if found.is_empty() {
            found.extend(replaced.map(|replaced| self.gone(path, &replaced)));
        }
        found
    }

    fn entries(&self, node: &Node, path: &str, parent: Option<Mark>, out: &mut Vec<Explanation>) {
        let name = path.rsplit('.').next().unwrap_or_default();
        // What took the place of another one as a whole is told as a whole.
        let is_whole = match &node.value {
            Value::Map(_) => !self.overridden(path, node.mark).is_empty(),
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
                for (key, child) in map {
                    let path = format!("{path}.{key}");
                    let before = out.len();
                    if from_files(&path).is_some() {
                        self.pairs_with_files(&path, out);
                    }
                    if out.len() == before {
                        self.entries(child, &path, Some(node.mark), out);
                    }
                }
                // What files alone give a service.
                for attribute in ["environment", "labels"] {
                    let path = format!("{path}.{attribute}");
                    if !map.contains_key(attribute) && from_files(&path).is_some() {
                        self.pairs_with_files(&path, out);
                    }
                }
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
            _ => out.push(self.entry(node, path, parent)),
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

    /// One value, with what it took the place of.
    fn entry(&self, node: &Node, path: &str, parent: Option<Mark>) -> Explanation {
        let mut winner = self.source(node, path, Standing::Wins);
        // A default stands where the mapping does that it was put into.
        if parent == Some(node.mark) && node.key == node.mark {
            winner.origin = Origin::Implied;
        }
        let value = match self.trace.templates.get(&node.mark) {
            Some(template) if node.as_map().is_some() => one_line(&template.text),
            _ if winner.origin == Origin::Implied => shown(node),
            _ if node.as_str().is_some() => value_of(node, path),
            _ => match self.brief(node) {
                Json::String(text) => one_line(&text),
                brief => one_line(&brief.to_string()),
            },
        };
        let mut sources = vec![winner];
        let (losers, is_cut) = self.losers(path, node.mark);
        sources.extend(losers);
        Explanation {
            subject: path.to_owned(),
            value: Some(value),
            sources,
            is_cut,
            uses: Vec::new(),
        }
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
        let found = self.trace.overridden(path, mark, service);
        // Lists remember their entries under the list's path.
        let list = path.rfind(['.', '[']).and_then(|at| path.get(..at));
        match list.filter(|_| found.is_empty()) {
            Some(list) => self.trace.overridden(list, mark, service),
            None => found,
        }
    }

    pub(super) fn source(&self, node: &Node, path: &str, standing: Standing) -> Source {
        let template = self.trace.templates.get(&node.mark);
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
            chain: self.way(node.mark, path),
            variables: variables
                .iter()
                .map(|(name, _)| self.variable_in(name, node.mark, path))
                .collect(),
        }
    }

    /// How the place of a value was reached.
    pub(super) fn way(&self, mark: Mark, path: &str) -> Vec<Step> {
        let mut way = match self.service_of(path) {
            Some(service) => self.trace.extensions(mark, service),
            None => Vec::new(),
        };
        way.extend(self.inclusion(mark));
        way
    }

    pub(super) fn inclusion(&self, mark: Mark) -> Vec<Step> {
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
    pub(super) fn brief(&self, node: &Node) -> Json {
        match &node.value {
            Value::Map(_) if is_short_form(node, node.mark) => {
                let template = self.trace.templates.get(&node.mark);
                let text = template.map(|template| template.text.clone());
                text.or_else(|| self.token(node))
                    .map_or_else(|| raw_json(node), Json::String)
            }
            Value::Seq(items) => items.iter().map(|item| self.brief(item)).collect(),
            _ => raw_json(node),
        }
    }

    /// What stands in the file at a node's place.
    fn token(&self, node: &Node) -> Option<String> {
        let token = self.project.origin.sources.token(node.mark)?;
        let bare = token.trim_matches(['"', '\'']).trim();
        (!bare.is_empty()).then(|| one_line(bare))
    }

    /// `environment` or `labels`, to which files add.
    fn pairs_with_files(&self, path: &str, out: &mut Vec<Explanation>) {
        let mut items: IndexMap<&str, Option<&Node>> = IndexMap::new();
        if let Some(list) = self.tree.lookup(path) {
            let pairs = pairs(list).into_iter();
            items.extend(pairs.map(|(name, node)| (name, Some(node))));
        }
        let files = from_files(path).unwrap_or_default();
        for name in self.trace.settings.names(&files) {
            items.entry(name).or_insert(None);
        }
        let items = items.into_iter();
        out.extend(items.filter_map(|(name, item)| self.pair_with_files(path, name, item)));
    }

    /// One of them, with the node that says something about it.
    pub(super) fn pair_with_files(
        &self,
        list: &str,
        name: &str,
        item: Option<&Node>,
    ) -> Option<Explanation> {
        let path = format!("{list}.{name}");
        let mut explanation = match item {
            Some(item) => self.entry(item, &path, None),
            None => Explanation {
                subject: path,
                value: None,
                sources: Vec::new(),
                is_cut: false,
                uses: Vec::new(),
            },
        };
        if let (Some(item), Some(winner)) = (item, explanation.sources.first_mut())
            && (item.is_null() || self.token(item).as_deref() == Some(name))
        {
            // A name alone passes a variable of the project on.
            let variable = self.variable(name);
            explanation.value.clone_from(&variable.value);
            name.clone_into(&mut winner.written);
            winner.variables = vec![variable];
        }
        let files = from_files(list)?;
        for setting in self.trace.settings.of(&files, name).take(MOST_OVERRIDDEN) {
            explanation.sources.extend(self.setting(setting));
            if item.is_none() && explanation.value.is_none() {
                explanation.value = Some(one_line(&setting.value));
            }
        }
        explanation.sources.first_mut()?.standing = Standing::Wins;
        Some(explanation)
    }
}

/// The attribute whose files add to this one.
fn from_files(path: &str) -> Option<String> {
    let rest = path.strip_prefix("services.")?;
    let (service, attribute) = rest.rsplit_once('.')?;
    let files = match attribute {
        "environment" => "env_file",
        "labels" => "label_file",
        _ => return None,
    };
    // `services.web.deploy.labels` is none.
    let inner = service.rsplit('.').next().unwrap_or_default();
    let is_service = !matches!(inner, "build" | "deploy");
    is_service.then(|| format!("services.{service}.{files}"))
}

/// The entries of a mapping or a list of `NAME=VALUE` by their names, of several
/// the first.
pub(super) fn pairs(list: &Node) -> IndexMap<&str, &Node> {
    let mut found = IndexMap::new();
    match &list.value {
        Value::Map(map) => found.extend(map.iter().map(|(name, node)| (name.as_str(), node))),
        Value::Seq(items) => {
            for item in items {
                if let Some(text) = item.as_str() {
                    found.entry(name_of(text)).or_insert(item);
                }
            }
        }
        _ => {}
    }
    found
}

/// True for an entry of a list of variables that may have been one of a mapping.
fn is_pair(node: &Node, path: &str) -> bool {
    // Names may have dots, so the list is not always the part before the last.
    let mut above = path.split('.').skip(2);
    node.as_map().is_none() && above.any(|part| PAIRS.contains(&part))
}

fn name_of(text: &str) -> &str {
    text.split_once('=').map_or(text, |(name, _)| name)
}

/// A value as the attribute has it: of `NAME=VALUE` the value.
fn value_of(node: &Node, path: &str) -> String {
    let name = path.rsplit('.').next().unwrap_or_default();
    let pair = node.as_str().and_then(|text| text.split_once('='));
    match pair {
        Some((key, value)) if key == name => one_line(value),
        _ => shown(node),
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
