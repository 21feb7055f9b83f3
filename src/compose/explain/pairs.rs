//! Attributes of pairs, `NAME: VALUE` or `NAME=VALUE`, each of which has an answer
//! of its own; to variables and labels of services, files add further ones.

use std::borrow::Cow;

use indexmap::IndexMap;

use super::above::Above;
use super::{Explainer, Explanation, Standing, one_line, shown, written};
use crate::compose::trace::{MOST_OVERRIDDEN, PAIRS, pairs};
use crate::compose::tree::Node;

/// The variables or the labels of a service, or one of them.
pub(super) struct Fed<'p> {
    /// `services.web.environment`
    pub(super) list: String,
    /// The attribute whose files add to it: `services.web.env_file`.
    pub(super) files: String,
    /// The one that is meant.
    pub(super) name: Option<&'p str>,
}

impl Explainer<'_> {
    /// What a path leads to, where files can add to that.
    pub(super) fn fed<'p>(&self, path: &'p str) -> Option<Fed<'p>> {
        let service = self.service_of(path)?;
        let rest = path.strip_prefix("services.")?.strip_prefix(service)?;
        let rest = rest.strip_prefix('.')?;
        // Names may have dots.
        let (attribute, name) = match rest.split_once('.') {
            Some((attribute, name)) => (attribute, Some(name)),
            None => (rest, None),
        };
        let files = match attribute {
            "environment" => "env_file",
            "labels" => "label_file",
            _ => return None,
        };
        Some(Fed {
            list: format!("services.{service}.{attribute}"),
            files: format!("services.{service}.{files}"),
            name,
        })
    }

    /// The same, where it leads to all of them.
    pub(super) fn fed_list<'p>(&self, path: &'p str) -> Option<Fed<'p>> {
        self.fed(path).filter(|fed| fed.name.is_none())
    }

    /// All of them.
    pub(super) fn pairs(&self, fed: &Fed<'_>, out: &mut Vec<Explanation>) {
        let mut items: IndexMap<&str, Option<&Node>> = IndexMap::new();
        if let Some(list) = self.tree.lookup(&fed.list) {
            let pairs = pairs(list).into_iter();
            items.extend(pairs.map(|(name, node)| (name, Some(node))));
        }
        let replaced = self.pairs_above(&fed.list);
        let others = self.trace.settings.names(&fed.files);
        for name in others.chain(replaced.keys().copied()) {
            items.entry(name).or_insert(None);
        }
        for (name, item) in items {
            let above = replaced.get(name);
            let found = self.pair(fed, name, item, above);
            out.extend(found.or_else(|| Some(self.gone(&format!("{}.{name}", fed.list), above?))));
        }
    }

    /// One of them, with the node that says something about it, and what its list
    /// took the place of.
    pub(super) fn pair(
        &self,
        fed: &Fed<'_>,
        name: &str,
        item: Option<&Node>,
        above: Option<&Above<'_>>,
    ) -> Option<Explanation> {
        let path = format!("{}.{name}", fed.list);
        let mut explanation = match item {
            Some(item) => self.entry_over(item, &path, None, above),
            None => Explanation {
                subject: path,
                value: None,
                sources: Vec::new(),
                is_cut: false,
                uses: Vec::new(),
            },
        };
        let settings = self.trace.settings.of(&fed.files, name);
        for (at, setting) in settings.take(MOST_OVERRIDDEN) {
            explanation.sources.extend(self.setting(at, setting));
            if item.is_none() && explanation.value.is_none() {
                explanation.value = Some(one_line(&setting.value));
            }
        }
        explanation.sources.first_mut()?.standing = Standing::Wins;
        if item.is_none() {
            let parts = above.into_iter().flat_map(|above| &above.parts);
            let parts = parts.map(|part| self.loser(part, &explanation.subject));
            explanation.sources.extend(parts);
        }
        Some(explanation)
    }

    /// Completes the answer about a name alone: as a variable it passes one on.
    pub(super) fn pass_on(&self, node: &Node, explanation: &mut Explanation) {
        let path = explanation.subject.clone();
        let Some(name) = self.variable_at(&path) else {
            // Labels and the like have an empty value then.
            let is_entry = |text: &str| !text.contains('=') && self.tree.lookup(&path).is_none();
            let is_alone = node.as_str().map_or_else(|| node.is_null(), is_entry);
            if is_alone && is_pair(node, &path) {
                explanation.value = Some(String::new());
            }
            return;
        };
        if !self.is_name_alone(node, name) {
            return;
        }
        // Of lists the one of the project that they are in, where it has one; else
        // the whole project's.
        let pair = node.as_str().and_then(|text| text.split_once('='));
        let is_own = node.key == node.mark && pair.is_some_and(|(known, _)| known == name);
        let scope = if is_own {
            self.scope(node.mark, &path)
        } else {
            0
        };
        let variable = self.variable(name, scope);
        explanation.value.clone_from(&variable.value);
        if let Some(winner) = explanation.sources.first_mut() {
            name.clone_into(&mut winner.written);
            winner.variables = vec![variable];
        }
    }

    /// The variable of a service or its build that a path leads to.
    fn variable_at<'p>(&self, path: &'p str) -> Option<&'p str> {
        let service = self.service_of(path)?;
        let rest = path.strip_prefix("services.")?.strip_prefix(service)?;
        let lists = [".environment.", ".build.args."];
        lists.into_iter().find_map(|list| rest.strip_prefix(list))
    }

    /// True where a file gives a variable no value.
    pub(super) fn is_name_alone(&self, item: &Node, name: &str) -> bool {
        if item.is_null() {
            return true;
        }
        if item.key == item.mark {
            return self.token(item).as_deref() == Some(name);
        }
        let written = self.project.origin.sources.token(item.mark);
        let written = written.map(|text| written::without_properties(text).trim());
        written.is_some_and(|text| ["", "~", "null", "Null", "NULL"].contains(&text))
    }

    /// The path by name of an entry of a list of pairs that is asked for by its place.
    pub(super) fn named_entry(&self, path: &str) -> Option<String> {
        let (list, _) = path.strip_suffix(']')?.rsplit_once('[')?;
        match entry_path(list, self.tree.lookup(path)?) {
            Cow::Owned(named) => Some(named),
            Cow::Borrowed(_) => None,
        }
    }

    /// The entry of a list of pairs that a path leads to.
    pub(super) fn pair_at(&self, path: &str) -> Option<&Node> {
        let dots = path.bytes().enumerate().filter(|(_, byte)| *byte == b'.');
        dots.map(|(at, _)| at).find_map(|at| {
            let (list, name) = path.split_at(at);
            let list = self.tree.lookup(list)?;
            list.as_seq()?;
            pairs(list).get(name.get(1..)?).copied()
        })
    }
}

/// True for an entry of a list of variables that may have been one of a mapping.
pub(super) fn is_pair(node: &Node, path: &str) -> bool {
    // Names may have dots, so the list is not always the part before the last.
    let mut above = path.split('.').skip(2);
    node.as_map().is_none() && above.any(|part| PAIRS.contains(&part))
}

/// The path of an entry of a list: that of a pair has its name; others are known
/// under the list's.
pub(super) fn entry_path<'p>(list: &'p str, item: &Node) -> Cow<'p, str> {
    let name = list.rsplit('.').next().unwrap_or_default();
    match item.as_str().filter(|_| PAIRS.contains(&name)) {
        Some(text) => {
            let name = text.split_once('=').map_or(text, |(name, _)| name);
            Cow::Owned(format!("{list}.{name}"))
        }
        None => Cow::Borrowed(list),
    }
}

/// A value as the attribute has it: of `NAME=VALUE` the value.
pub(super) fn value_of(node: &Node, path: &str) -> String {
    let pair = node.as_str().and_then(|text| text.split_once('='));
    let is_name = |name| {
        let list = path.strip_suffix(name);
        list.is_some_and(|list| list.ends_with('.'))
    };
    match pair {
        Some((name, value)) if is_name(name) => one_line(value),
        _ => shown(node),
    }
}
