//! Where an attribute's value comes from: files over files, `extends`,
//! fragments, and for variables and labels the files that services name.

use super::{Explainer, Explanation, Origin, Source, Standing, one_line, shown};
use crate::compose::diag::{INCLUDED, Step};
use crate::compose::trace::Overridden;
use crate::compose::tree::{Mark, Node, Value, is_within, service_of};

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
const WHOLE: [&str; 3] = ["command", "entrypoint", "test"];

impl Explainer<'_> {
    /// Everything at and below a path; nothing where it leads nowhere.
    pub(super) fn attribute(&self, path: &str) -> Vec<Explanation> {
        let mut found = Vec::new();
        let (above, last) = path.rsplit_once('.').unwrap_or(("", path));
        if from_files(path).is_some() {
            self.pairs_with_files(path, &mut found);
        } else if from_files(above).is_some() {
            found.extend(self.pair_with_files(above, last));
        } else if let Some(node) = self.tree.lookup(path) {
            // What a short form is written out to stands where that does, too.
            let parent = self.tree.lookup(above);
            let parent = parent.filter(|node| !is_short_form(node, node.mark));
            let parent = parent.map(|node| node.mark);
            self.entries(node, path, parent, &mut found);
        } else if let Some(item) = self.tree.lookup(above).and_then(|list| pair(list, last)) {
            found.push(self.entry(item, path, None));
        }
        self.add_dropped(path, &mut found);
        found
    }

    fn entries(&self, node: &Node, path: &str, parent: Option<Mark>, out: &mut Vec<Explanation>) {
        let name = path.rsplit('.').next().unwrap_or_default();
        // What took the place of another one as a whole is told as a whole.
        let is_whole = node.as_map().is_some() && !self.losers(path, node.mark).is_empty();
        if WHOLE.contains(&name) || is_whole || is_short_form(node, node.mark) {
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
            _ if is_short_form(node, node.mark) => winner.written.clone(),
            _ => value_of(node, path),
        };
        let mut sources = vec![winner];
        sources.extend(self.losers(path, node.mark));
        Explanation {
            subject: path.to_owned(),
            value: Some(value),
            sources,
            uses: Vec::new(),
        }
    }

    fn losers(&self, path: &str, mark: Mark) -> Vec<Source> {
        // Lists remember their entries under the list's path.
        let list = path.rfind(['.', '[']).and_then(|at| path.get(..at));
        let service = self.service_of(path).unwrap_or_default();
        let mut found = self.trace.overridden(path, mark, service);
        if found.is_empty()
            && let Some(list) = list
        {
            found = self.trace.overridden(list, mark, service);
        }
        let source = |loser: Overridden<'_>| {
            let mut source = self.source(loser.node, path, Standing::Overridden);
            source.chain = loser.way;
            source.chain.extend(self.inclusion(loser.node.mark));
            source
        };
        found.into_iter().map(source).collect()
    }

    fn source(&self, node: &Node, path: &str, standing: Standing) -> Source {
        let template = self.trace.templates.get(&node.mark);
        let written = match template {
            Some(template) => one_line(&template.written),
            None if is_short_form(node, node.mark) => {
                self.token(node).unwrap_or_else(|| shown(node))
            }
            None => shown(node),
        };
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
                .map(|(name, _)| self.variable(name))
                .collect(),
        }
    }

    /// How the place of a value was reached.
    fn way(&self, mark: Mark, path: &str) -> Vec<Step> {
        let mut way = match self.service_of(path) {
            Some(service) => self.trace.extensions(mark, service),
            None => Vec::new(),
        };
        way.extend(self.inclusion(mark));
        way
    }

    fn inclusion(&self, mark: Mark) -> Vec<Step> {
        let way = self.project.origin.sources.way_of(mark.file);
        let inclusions = way.iter().filter(|step| step.what == INCLUDED);
        inclusions.cloned().collect()
    }

    /// The service that a path is about; its name may have dots.
    fn service_of(&self, path: &str) -> Option<&str> {
        let services = self.tree.get("services")?.as_map()?;
        service_of(path, services.keys())
    }

    /// What stands in the file at a node's place.
    fn token(&self, node: &Node) -> Option<String> {
        let token = self.project.origin.sources.token(node.mark)?;
        let bare = token.trim_matches(['"', '\'']).trim();
        (!bare.is_empty()).then(|| one_line(bare))
    }

    /// `environment` or `labels`, to which files add.
    fn pairs_with_files(&self, path: &str, out: &mut Vec<Explanation>) {
        let mut names: Vec<String> = match self.tree.lookup(path).map(|node| &node.value) {
            Some(Value::Map(map)) => map.keys().cloned().collect(),
            Some(Value::Seq(items)) => {
                let texts = items.iter().filter_map(Node::as_str);
                texts.map(|text| name_of(text).to_owned()).collect()
            }
            _ => Vec::new(),
        };
        let prefix = from_files(path).unwrap_or_default();
        for setting in &self.trace.settings {
            if setting.owner.starts_with(&prefix) && !names.contains(&setting.name) {
                names.push(setting.name.clone());
            }
        }
        out.extend(
            names
                .iter()
                .filter_map(|name| self.pair_with_files(path, name)),
        );
    }

    fn pair_with_files(&self, list: &str, name: &str) -> Option<Explanation> {
        let path = format!("{list}.{name}");
        let item = self.tree.lookup(list).and_then(|node| pair(node, name));
        let mut explanation = match item {
            Some(item) => self.entry(item, &path, None),
            None => Explanation {
                subject: path,
                value: None,
                sources: Vec::new(),
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
        let prefix = from_files(list)?;
        for setting in self.trace.settings.iter().rev() {
            if setting.name == name && setting.owner.starts_with(&prefix) {
                explanation.sources.extend(self.setting(setting));
                if item.is_none() && explanation.value.is_none() {
                    explanation.value = Some(one_line(&setting.value));
                }
            }
        }
        explanation.sources.first_mut()?.standing = Standing::Wins;
        Some(explanation)
    }

    /// What `!reset` and `!override` dropped, at this path, above and below it.
    fn add_dropped(&self, path: &str, out: &mut Vec<Explanation>) {
        for dropped in &self.trace.dropped {
            if !is_within(path, &dropped.path) && !is_within(&dropped.path, path) {
                continue;
            }
            let loser = self.source(&dropped.loser, &dropped.path, Standing::Overridden);
            // `!override` stays with the value that it stands before.
            let known = out.iter_mut().find(|known| known.subject == dropped.path);
            if let Some(known) = known {
                known.sources.push(loser);
                continue;
            }
            let now = self.tree.lookup(&dropped.path);
            let is_override = now.is_some_and(|now| now.mark == dropped.by);
            let written = if is_override { "!override" } else { "!reset" };
            let by = Source {
                standing: if is_override {
                    Standing::Wins
                } else {
                    Standing::Resets
                },
                origin: self
                    .position(dropped.by)
                    .map_or(Origin::Implied, Origin::File),
                written: written.to_owned(),
                chain: self.way(dropped.by, &dropped.path),
                variables: Vec::new(),
            };
            out.push(Explanation {
                subject: dropped.path.clone(),
                value: now.map(shown),
                sources: vec![by, loser],
                uses: Vec::new(),
            });
        }
    }
}

/// The attribute whose files add to this one, as its entries' paths begin.
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
    is_service.then(|| format!("services.{service}.{files}["))
}

/// The entry of a name, of a mapping or a list of `NAME=VALUE`.
fn pair<'n>(list: &'n Node, name: &str) -> Option<&'n Node> {
    match &list.value {
        Value::Map(map) => map.get(name),
        Value::Seq(items) => {
            let is_named = |item: &&Node| item.as_str().is_some_and(|text| name_of(text) == name);
            items.iter().find(is_named)
        }
        _ => None,
    }
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
