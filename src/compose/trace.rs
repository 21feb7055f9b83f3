//! What a load remembers for [`explain`](super::explain): which value took the
//! place of which, and what variables stood in a text.
//!
//! Values are known by their [`Mark`], which they keep on their way through all
//! stages. Kept only where [`LoadOptions::trace`](super::LoadOptions::trace)
//! asks for it.

use std::collections::{BTreeSet, HashMap};

use indexmap::IndexMap;

use super::diag::Step;
use super::tree::{Mark, Node, Value, service_of};

/// A value that another one took the place of.
#[derive(Debug, Clone)]
pub(crate) struct Replaced {
    /// The attribute, as the stage at work knew it: of a service that is
    /// extended it has the name of the one that extends it.
    pub(crate) path: String,
    /// The value that counts.
    pub(crate) winner: Mark,
    pub(crate) loser: Node,
}

/// A value that `!reset` or `!override` dropped.
#[derive(Debug, Clone)]
pub(crate) struct Dropped {
    pub(crate) path: String,
    /// Where the tag stands.
    pub(crate) by: Mark,
    pub(crate) loser: Node,
}

/// A text with variables in it.
#[derive(Debug, Clone)]
pub(crate) struct Template {
    pub(crate) path: String,
    /// As it stands in the file.
    pub(crate) written: String,
    /// With the variables' values.
    pub(crate) text: String,
    /// The variables in it, with their values where they have one.
    pub(crate) variables: Vec<(String, Option<String>)>,
}

/// A variable in a file of variables.
#[derive(Debug, Clone)]
pub(crate) struct Setting {
    /// The attribute that names the file; empty for the project's variables.
    pub(crate) owner: String,
    /// Project variables of an earlier round stand above those of a later one.
    pub(crate) round: usize,
    pub(crate) name: String,
    pub(crate) value: String,
    pub(crate) mark: Mark,
}

/// Where a service's values come from when it extends another one.
#[derive(Debug, Clone)]
pub(crate) struct Extended {
    /// The service that is extended.
    pub(crate) base: String,
    pub(crate) step: Step,
}

/// Everything remembered, in the order in which it happened.
#[derive(Debug, Clone, Default)]
pub(crate) struct Trace {
    pub(crate) replaced: Vec<Replaced>,
    pub(crate) dropped: Vec<Dropped>,
    pub(crate) templates: HashMap<Mark, Template>,
    pub(crate) settings: Vec<Setting>,
    extended: HashMap<(Mark, String), Extended>,
    /// Services that extend another one.
    extenders: BTreeSet<String>,
    /// Times that files of project variables were read.
    pub(crate) round: usize,
    /// Variables of the process.
    pub(crate) shell: IndexMap<String, String>,
}

impl Trace {
    /// A trace of a load in which the process has these variables.
    pub(crate) fn new(shell: IndexMap<String, String>) -> Self {
        Self {
            shell,
            ..Self::default()
        }
    }

    pub(crate) fn replace(&mut self, path: &str, winner: Mark, loser: &Node) {
        // A null has nothing to say, and an alias may meet itself.
        if !loser.is_null() && loser.mark.is_known() && winner != loser.mark {
            self.replaced.push(Replaced {
                path: path.to_owned(),
                winner,
                loser: loser.clone(),
            });
        }
    }

    pub(crate) fn drop_value(&mut self, path: String, by: Mark, loser: Node) {
        self.dropped.push(Dropped { path, by, loser });
    }

    /// Everything in `base` has come into `service` by `extends`.
    pub(crate) fn extend(&mut self, service: &str, base: &Node, how: &Extended) {
        self.extenders.insert(service.to_owned());
        self.extend_node(service, base, how);
    }

    fn extend_node(&mut self, service: &str, base: &Node, how: &Extended) {
        self.extended
            .entry((base.mark, service.to_owned()))
            .or_insert_with(|| how.clone());
        match &base.value {
            Value::Map(map) => map.values().for_each(|child| {
                self.extend_node(service, child, how);
            }),
            Value::Seq(items) => items.iter().for_each(|item| {
                self.extend_node(service, item, how);
            }),
            _ => {}
        }
    }

    /// The service that extends another one and that a path is about.
    fn extender(&self, path: &str) -> Option<&str> {
        service_of(path, self.extenders.iter())
    }

    /// The way by which a value of a service came from the services that it
    /// extends, the nearest step first.
    pub(crate) fn extensions(&self, mark: Mark, service: &str) -> Vec<Step> {
        let mut steps = Vec::new();
        let mut at = service;
        while let Some(extended) = self.extended.get(&(mark, at.to_owned())) {
            // A service may extend one of its own name in another file.
            if steps.contains(&extended.step) {
                break;
            }
            steps.push(extended.step.clone());
            at = &extended.base;
        }
        steps
    }

    /// What a value took the place of, the nearest first, each followed by what
    /// that had taken the place of in turn. `service` is the one whose value it is.
    pub(crate) fn overridden(&self, path: &str, mark: Mark, service: &str) -> Vec<Overridden<'_>> {
        let mut found = Vec::new();
        self.push_overridden(path, mark, (service, &[]), &mut found);
        found
    }

    fn push_overridden<'t>(
        &'t self,
        path: &str,
        winner: Mark,
        (service, way): (&str, &[Step]),
        found: &mut Vec<Overridden<'t>>,
    ) {
        let by_mark = || self.replaced.iter().filter(|known| known.winner == winner);
        // An alias brings one mark to several places.
        let is_here = by_mark().any(|replaced| replaced.path == path);
        for replaced in by_mark().filter(|replaced| !is_here || replaced.path == path) {
            let loser = &replaced.loser;
            if found.iter().any(|known| known.node.mark == loser.mark) {
                continue;
            }
            // What a service had replaced before another one extended it.
            let owner = self.extender(&replaced.path).unwrap_or(service);
            let mut way = way.to_vec();
            if owner != service {
                way.extend(self.extensions(winner, service));
            }
            let mut steps = way.clone();
            steps.extend(self.extensions(loser.mark, owner));
            found.push(Overridden {
                node: loser,
                way: steps,
            });
            self.push_overridden(&replaced.path, loser.mark, (owner, &way), found);
        }
    }
}

/// A value that another one took the place of, and how it came there.
#[derive(Debug)]
pub(crate) struct Overridden<'t> {
    pub(crate) node: &'t Node,
    /// Extensions of services, from the one that was asked about.
    pub(crate) way: Vec<Step>,
}
