//! Which value took the place of which, and by which ways values came where they
//! are.
//!
//! What happens is numbered: a copy of a value (`extends`, an alias) has behind it
//! what happened to the value before it was made, and nothing of what came later.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use indexmap::IndexMap;

use super::{Mark, Node, Step, Value};

mod search;

pub(crate) use search::{Base, Overridden};

/// Levels of a value whose parts are remembered, too: attributes lie no deeper, and
/// each level repeats what is below it.
const MOST_LEVELS: usize = 6;

/// Attributes whose lists are `NAME=VALUE`, each entry an attribute of its own.
pub(crate) const PAIRS: [&str; 6] = [
    "additional_contexts",
    "annotations",
    "args",
    "environment",
    "labels",
    "sysctls",
];

/// Where a service's values come from when it extends another one.
#[derive(Debug, Clone)]
pub(crate) struct Extended {
    /// The service that is extended.
    pub(crate) base: String,
    pub(crate) step: Step,
    /// When that happened.
    at: usize,
    /// The file of that service, where services are only extended from there.
    file: Option<Arc<str>>,
}

/// A value that was lost.
#[derive(Debug, Clone)]
struct Lost {
    at: usize,
    node: Node,
    /// As of a [`search::Place`].
    file: Option<Arc<str>>,
    kind: Kind,
}

/// How a value was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// To a later file, or to a service that extends.
    Merged,
    /// To what stands beside a `<<`, wherever the file is used.
    Read,
    /// By `!override` or `!reset`.
    Dropped,
}

/// An alias: what it stands for was copied to another place.
#[derive(Debug, Clone)]
struct Copied {
    at: usize,
    from: String,
}

/// All that happened.
#[derive(Debug, Clone, Default)]
pub(crate) struct History {
    /// How much happened.
    now: usize,
    /// The file that services are extended from, while one is at work.
    pub(crate) file: Option<Arc<str>>,
    /// What values took the place of: by the value that counts, then by the
    /// attribute as the stage at work knew it, which of a service that is extended
    /// has the name of the one that extends it.
    replaced: HashMap<Mark, IndexMap<String, Vec<Lost>>>,
    /// By value and by the [`owner`] that it came into.
    extended: HashMap<Mark, HashMap<Arc<str>, Vec<Arc<Extended>>>>,
    /// What each service extends, by [`owner`]: those of the project by their names.
    pub(crate) extends: IndexMap<Arc<str>, Vec<Arc<Extended>>>,
    /// The services that extend others or are extended, wherever they are.
    names: HashSet<String>,
    /// By the place that aliases stand at.
    copied: HashMap<String, Vec<Copied>>,
}

impl History {
    /// A value takes the place of another one, and so does each part of it that the
    /// other one had, too.
    pub(crate) fn replace(&mut self, path: &str, winner: &Node, loser: &Node) {
        self.note_parts(path, winner, loser, MOST_LEVELS, Kind::Merged);
    }

    /// The same where `<<` brings the other one.
    pub(crate) fn replace_read(&mut self, path: &str, winner: &Node, loser: &Node) {
        self.note_parts(path, winner, loser, MOST_LEVELS, Kind::Read);
    }

    /// The same where a tag drops the other one.
    pub(crate) fn drop_value(&mut self, path: &str, by: &Node, loser: &Node) {
        self.note_parts(path, by, loser, MOST_LEVELS, Kind::Dropped);
    }

    /// An entry of a list takes the place of an earlier one of the same name.
    pub(crate) fn replace_item(&mut self, list: &str, name: &str, winner: Mark, loser: &Node) {
        if is_of_pairs(list) {
            self.note(&format!("{list}.{name}"), winner, loser, Kind::Merged);
        } else {
            self.note(list, winner, loser, Kind::Merged);
        }
    }

    fn note_parts(&mut self, path: &str, winner: &Node, loser: &Node, levels: usize, kind: Kind) {
        self.note(path, winner.mark, loser, kind);
        let are_maps = winner.as_map().is_some() && loser.as_map().is_some();
        if levels == 0 || (!are_maps && !is_of_pairs(path)) {
            return;
        }
        let losers = pairs(loser);
        for (name, part) in pairs(winner) {
            if let Some(lost) = losers.get(name) {
                self.note_parts(&format!("{path}.{name}"), part, lost, levels - 1, kind);
            }
        }
    }

    fn note(&mut self, path: &str, winner: Mark, loser: &Node, kind: Kind) {
        // A null has nothing to say, and an alias may meet itself.
        if loser.is_null() || !loser.mark.is_known() || winner == loser.mark {
            return;
        }
        self.now += 1;
        let lost = Lost {
            at: self.now,
            node: loser.clone(),
            file: self.file.clone(),
            kind,
        };
        let places = self.replaced.entry(winner).or_default();
        match places.get_mut(path) {
            Some(losers) => losers.push(lost),
            None => {
                places.insert(path.to_owned(), vec![lost]);
            }
        }
    }

    /// What an anchor before `from` stands at is repeated by an alias.
    pub(crate) fn copy(&mut self, from: &str, to: &str) {
        self.now += 1;
        let copied = Copied {
            at: self.now,
            from: from.to_owned(),
        };
        self.copied.entry(to.to_owned()).or_default().push(copied);
    }

    /// Everything in `base`, a service of this file or another one, has come into a
    /// service by `extends`.
    pub(crate) fn extend(
        &mut self,
        service: &str,
        base: &Node,
        (of, of_file): (&str, Option<&str>),
        step: Step,
    ) {
        let file = self.file.clone();
        let file = file.as_deref();
        let of_file = of_file.or(file);
        self.now += 1;
        let how = Arc::new(Extended {
            base: of.to_owned(),
            step,
            at: self.now,
            file: of_file.map(Arc::from),
        });
        let owner: Arc<str> = Arc::from(&*owner(service, file));
        self.extend_node(&owner, base, &how);
        self.names.insert(service.to_owned());
        self.names.insert(of.to_owned());
        self.extends.entry(owner).or_default().push(how);
    }

    fn extend_node(&mut self, service: &Arc<str>, base: &Node, how: &Arc<Extended>) {
        let ways = self.extended.entry(base.mark).or_default();
        let ways = ways.entry(Arc::clone(service)).or_default();
        ways.push(Arc::clone(how));
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
}

/// What a service is known by: its name, and its file where services are only extended
/// from there.
fn owner<'n>(service: &'n str, file: Option<&str>) -> Cow<'n, str> {
    match file {
        Some(file) => Cow::Owned(format!("{service}\0{file}")),
        None => Cow::Borrowed(service),
    }
}

/// True for the path of a list of pairs.
fn is_of_pairs(path: &str) -> bool {
    PAIRS.contains(&path.rsplit('.').next().unwrap_or_default())
}

/// The entries of a mapping or a list of `NAME=VALUE` by their names, of several
/// the last, which counts.
pub(crate) fn pairs(list: &Node) -> IndexMap<&str, &Node> {
    let mut found = IndexMap::new();
    match &list.value {
        Value::Map(map) => found.extend(map.iter().map(|(name, node)| (name.as_str(), node))),
        Value::Seq(items) => {
            for item in items {
                if let Some(text) = item.as_str() {
                    let name = text.split_once('=').map_or(text, |(name, _)| name);
                    found.insert(name, item);
                }
            }
        }
        _ => {}
    }
    found
}
