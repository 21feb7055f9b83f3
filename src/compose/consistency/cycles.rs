//! Services that wait for each other.

use std::collections::HashMap;

use super::super::model::Project;
use super::{Checker, MOST_CYCLES};

impl Checker<'_> {
    /// Services that wait for each other.
    pub(super) fn cycles(&mut self) {
        let mut done: HashMap<&str, bool> = HashMap::new();
        let mut found = Vec::new();
        let names = self.project.services.keys();
        for name in names.filter(|name| self.services.contains(*name)) {
            let mut way = Way {
                project: self.project,
                done: &mut done,
                found: &mut found,
            };
            way.follow(name);
        }
        for cycle in found {
            let (Some(first), Some(second)) = (cycle.first(), cycle.get(1)) else {
                continue;
            };
            let attribute = self.attribute_of(first, second);
            let path = format!("services.{first}.{attribute}");
            let message = format!("services depend on each other: {}", cycle.join(" -> "));
            let (expected, help) = if first != second {
                (
                    "dependencies that lead to no service twice",
                    "remove one of these dependencies; \
                     a service that does not need the other at its start can come first"
                        .to_owned(),
                )
            } else if attribute.starts_with("depends_on") {
                (
                    "other services",
                    "a service cannot wait for itself: remove it from its own list".to_owned(),
                )
            } else {
                (
                    "another service",
                    format!(
                        "remove this `{attribute}`, or name another service: `{first}` is this one"
                    ),
                )
            };
            let mut diagnostic = self.at(&path, message).expected(expected).suggest(help);
            let others = cycle.iter().zip(cycle.iter().skip(1)).skip(1).rev();
            for (from, to) in others {
                let mark = self.mark(&format!("services.{from}.depends_on.{to}"));
                self.report.also(
                    &mut diagnostic,
                    &format!("`{from}` depends on `{to}`"),
                    mark,
                );
            }
            self.report.push(diagnostic);
        }
    }
}

impl Checker<'_> {
    /// The attribute of a service that makes it depend on another one.
    fn attribute_of(&self, service: &str, other: &str) -> String {
        let service = self.project.services.get(service);
        let implied = service.and_then(|service| super::implied(service).remove(other));
        implied.unwrap_or_else(|| format!("depends_on.{other}"))
    }
}

/// A walk along dependencies, deepest first, without recursion: a chain may be
/// as long as there are services.
pub(super) struct Way<'p, 'w> {
    project: &'p Project,
    /// False while a service is on the way, true once it is left for good.
    done: &'w mut HashMap<&'p str, bool>,
    found: &'w mut Vec<Vec<String>>,
}

impl<'p> Way<'p, '_> {
    fn follow(&mut self, start: &'p str) {
        let mut stack: Vec<(&'p str, usize)> = Vec::new();
        if self.done.contains_key(start) {
            return;
        }
        self.done.insert(start, false);
        stack.push((start, 0));
        while let Some((name, next)) = stack.last_mut() {
            let name = *name;
            let child = self
                .project
                .services
                .get(name)
                .and_then(|service| service.depends_on.get_index(*next));
            *next += 1;
            let Some((child, _)) = child else {
                self.done.insert(name, true);
                stack.pop();
                continue;
            };
            match self.done.get(child.as_str()) {
                Some(false) if self.found.len() == MOST_CYCLES => {}
                Some(false) => {
                    let cycle = stack
                        .iter()
                        .map(|(name, _)| (*name).to_owned())
                        .skip_while(|name| name != child)
                        .chain([child.clone()])
                        .collect();
                    self.found.push(cycle);
                }
                None if self.project.services.contains_key(child) => {
                    self.done.insert(child, false);
                    stack.push((child, 0));
                }
                Some(true) | None => {}
            }
        }
    }
}
