//! Where files take a variable from outside as it is: by a name alone in `environment`
//! or `build.args`, by `environment` of a config or a secret.

use std::collections::HashMap;

use super::Explainer;
use crate::compose::trace::{Template, pairs};
use crate::compose::tree::{Mark, Node};

impl Explainer<'_> {
    /// These places, as texts that use the variable.
    pub(super) fn passed_on(&self, name: &str) -> Vec<(Mark, Template)> {
        let members = |section: &str| {
            let section = self.tree.get(section).and_then(Node::as_map);
            section.into_iter().flatten()
        };
        let mut found = Vec::new();
        for (service, node) in members("services") {
            for list in ["environment", "build.args"] {
                let Some(item) = node.lookup(list).and_then(|list| {
                    let known = pairs(list);
                    known.get(name).copied()
                }) else {
                    continue;
                };
                if self.is_name_alone(item, name) {
                    let path = format!("services.{service}.{list}.{name}");
                    found.push((item.mark, self.passed_at(path, item.mark, name)));
                }
            }
        }
        for section in ["configs", "secrets"] {
            for (known, node) in members(section) {
                let variable = node.get("environment");
                let variable = variable.filter(|node| node.as_str() == Some(name));
                // One that is written with variables is told as that.
                let variable = variable.filter(|node| self.token(node).as_deref() == Some(name));
                if let Some(Node { mark, .. }) = variable {
                    let path = format!("{section}.{known}.environment");
                    found.push((*mark, self.passed_at(path, *mark, name)));
                }
            }
        }
        found
    }

    fn passed_at(&self, path: String, mark: Mark, name: &str) -> Template {
        Template {
            scope: self.scope(mark, &path),
            path,
            written: name.to_owned(),
            text: name.to_owned(),
            variables: vec![(name.to_owned(), None)],
            defaults: HashMap::new(),
        }
    }
}
