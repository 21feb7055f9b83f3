//! Which value took the place of which, and by which ways values came where they
//! are.
//!
//! What happens is numbered: a copy of a value (`extends`, an alias) has behind it
//! what happened to the value before it was made, and nothing of what came later.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use indexmap::IndexMap;

use super::{MOST_OVERRIDDEN, Mark, Node, Step, Value};
use crate::compose::tree::service_of;

const MOST_STEPS: usize = 10;

/// Most places that a value is followed to, and most values that are followed.
const MOST_PLACES: usize = 40;
const MOST_SEEN: usize = 200;

/// Levels above a value that its mark is looked for at.
const MOST_ABOVE: usize = 4;

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
    /// As of a [`Place`].
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

/// A place that a value came from: what happened there before it was copied counts.
struct Place {
    path: String,
    before: usize,
    /// The file, where services are only extended from there: such ones may have names
    /// of the project's.
    file: Option<Arc<str>>,
}

/// A service that another one extends, and the way to it.
#[derive(Debug)]
pub(crate) struct Base {
    pub(crate) service: String,
    /// As of a [`Place`].
    pub(crate) file: Option<Arc<str>>,
    pub(crate) way: Vec<Step>,
    /// When that happened.
    pub(crate) at: usize,
}

/// What a value took the place of, as it is looked for.
struct Found<'t> {
    list: Vec<Overridden<'t>>,
    /// What was followed: values at places, and until when.
    seen: HashSet<(Mark, String, usize)>,
    /// Where what a tag dropped does not count.
    apart: Option<(String, Mark)>,
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
        self.note_parts(path, winner, loser, Kind::Merged);
    }

    /// The same where `<<` brings the other one.
    pub(crate) fn replace_read(&mut self, path: &str, winner: &Node, loser: &Node) {
        self.note_parts(path, winner, loser, Kind::Read);
    }

    /// The same where a tag drops the other one.
    pub(crate) fn drop_value(&mut self, path: &str, by: &Node, loser: &Node) {
        self.note_parts(path, by, loser, Kind::Dropped);
    }

    /// An entry of a list takes the place of an earlier one of the same name.
    pub(crate) fn replace_item(&mut self, list: &str, name: &str, winner: Mark, loser: &Node) {
        if is_of_pairs(list) {
            self.note(&format!("{list}.{name}"), winner, loser, Kind::Merged);
        } else {
            self.note(list, winner, loser, Kind::Merged);
        }
    }

    fn note_parts(&mut self, path: &str, winner: &Node, loser: &Node, kind: Kind) {
        self.note(path, winner.mark, loser, kind);
        let are_maps = winner.as_map().is_some() && loser.as_map().is_some();
        if !are_maps && !is_of_pairs(path) {
            return;
        }
        let losers = pairs(loser);
        for (name, part) in pairs(winner) {
            if let Some(lost) = losers.get(name) {
                self.note_parts(&format!("{path}.{name}"), part, lost, kind);
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

    /// The last time before some other that a value came into a service.
    fn extension(
        &self,
        mark: Mark,
        (service, file): (&str, Option<&str>),
        before: usize,
    ) -> Option<&Extended> {
        let ways = self.extended.get(&mark)?.get(&*owner(service, file))?;
        let behind = ways.partition_point(|how| how.at < before);
        ways.get(behind.checked_sub(1)?).map(|how| &**how)
    }

    /// The way by which a value of a service came from the services that it
    /// extends, the nearest step first; of a very long one the beginning.
    pub(crate) fn extensions(&self, mark: Mark, service: &str) -> Vec<Step> {
        self.extensions_before(mark, (service, None), usize::MAX)
    }

    fn extensions_before(
        &self,
        mark: Mark,
        service: (&str, Option<&str>),
        before: usize,
    ) -> Vec<Step> {
        let mut steps = Vec::new();
        let (mut at, mut before) = (service, before);
        while let Some(extended) = self.extension(mark, at, before) {
            before = extended.at;
            // A service may extend one of its own name in another file.
            if steps.contains(&extended.step) {
                break;
            }
            if steps.len() == MOST_STEPS {
                steps.push(Step {
                    what: "and further ones".to_owned(),
                    position: None,
                });
                break;
            }
            steps.push(extended.step.clone());
            at = (&extended.base, extended.file.as_deref());
        }
        steps
    }

    /// How much happened so far.
    pub(crate) fn now(&self) -> usize {
        self.now
    }

    /// The services that one extends, and those that these do, the last ones first.
    pub(crate) fn bases(&self, service: &str) -> Vec<Base> {
        let mut found: Vec<Base> = Vec::new();
        let mut next = 0;
        let mut at = Some((service.to_owned(), None, Vec::new(), usize::MAX));
        while let Some((service, file, way, before)) = at {
            let extended = self.extends.get(&*owner(&service, file.as_deref()));
            let extended = extended.into_iter().flatten().rev();
            for how in extended.filter(|how| how.at < before) {
                let is_known = |base: &Base| base.service == how.base && base.file == how.file;
                if found.len() < MOST_PLACES && !found.iter().any(is_known) {
                    let step = std::iter::once(how.step.clone());
                    found.push(Base {
                        service: how.base.clone(),
                        file: how.file.clone(),
                        at: how.at,
                        way: way.iter().cloned().chain(step).collect(),
                    });
                }
            }
            at = found.get(next).map(|base: &Base| {
                let Base {
                    service,
                    file,
                    way,
                    at,
                } = base;
                (service.clone(), file.clone(), way.clone(), *at)
            });
            next += 1;
        }
        found
    }

    /// What a value took the place of, the nearest first, each followed by what
    /// that had taken the place of in turn; one more than [`MOST_OVERRIDDEN`] where
    /// there are more. `service` is the one whose value it is. What a tag dropped at
    /// this very place is a matter of its own, and among it only where `tags` says so.
    pub(crate) fn overridden(
        &self,
        path: &str,
        mark: Mark,
        service: &str,
        tags: bool,
    ) -> Vec<Overridden<'_>> {
        let mut found = Found {
            list: Vec::new(),
            seen: HashSet::new(),
            apart: (!tags).then(|| (path.to_owned(), mark)),
        };
        let place = Place {
            path: path.to_owned(),
            before: usize::MAX,
            file: None,
        };
        self.push_overridden(&place, mark, (service, &[]), &mut found);
        found.list
    }

    fn push_overridden<'t>(
        &'t self,
        at: &Place,
        winner: Mark,
        (service, way): (&str, &[Step]),
        found: &mut Found<'t>,
    ) {
        for (place, loser) in self.losers(at, winner, service, found) {
            if found.list.len() > MOST_OVERRIDDEN || found.seen.len() > MOST_SEEN {
                return;
            }
            if !found
                .seen
                .insert((loser.mark, place.path.clone(), place.before))
            {
                continue;
            }
            let is_known = found.list.iter().any(|one| one.node.mark == loser.mark);
            // What a service had replaced before another one extended it.
            let owner = self.service_of(&place.path).unwrap_or(service);
            let mut way = way.to_vec();
            let (from, to) = (place.file.as_deref(), at.file.as_deref());
            if (owner, from) != (service, to) {
                way.extend(self.extensions_before(winner, (service, to), at.before));
                way.truncate(MOST_STEPS);
            }
            if !is_known {
                let mut steps = way.clone();
                steps.extend(self.extensions_before(loser.mark, (owner, from), place.before));
                steps.truncate(MOST_STEPS);
                found.list.push(Overridden {
                    node: loser,
                    way: steps,
                });
            }
            self.push_overridden(&place, loser.mark, (owner, &way), found);
        }
    }

    fn service_of<'p>(&self, path: &'p str) -> Option<&'p str> {
        service_of(path, |name| self.names.contains(name))
    }

    /// What a value took the place of itself, the first first, with the place that it
    /// had then and what of that counts.
    fn losers<'t>(
        &'t self,
        place: &Place,
        winner: Mark,
        service: &str,
        known: &Found<'t>,
    ) -> Vec<(Place, &'t Node)> {
        let Some(replaced) = self.replaced.get(&winner) else {
            return Vec::new();
        };
        let mut found = Vec::new();
        for place in self.places(place, winner, service) {
            let Place { path, before, file } = place;
            let apart = known.apart.as_ref().filter(|_| file.is_none());
            let is_apart = apart.is_some_and(|apart| apart.0 == path && apart.1 == winner);
            let lost = replaced.get(&path).into_iter().flatten();
            let lost = lost.filter(|lost| {
                let is_here = lost.file == file || (lost.kind == Kind::Read && lost.file.is_none());
                let is_told = is_apart && lost.kind == Kind::Dropped;
                is_here && !is_told && lost.at < before
            });
            let here = lost.map(|lost| (lost.at, path.clone(), file.clone(), &lost.node));
            found.extend(here.take(MOST_OVERRIDDEN + 1));
        }
        found.sort_by_key(|(at, ..)| *at);
        let found = found
            .into_iter()
            .map(|(before, path, file, node)| (Place { path, before, file }, node));
        found.collect()
    }

    /// The places that a value came from to this one, which is the first of them.
    fn places(&self, place: &Place, mark: Mark, service: &str) -> Vec<Place> {
        // A service may extend one of its own name in another file.
        let mut known = HashSet::from([(place.path.clone(), place.before)]);
        let mut places = vec![Place {
            path: place.path.clone(),
            before: place.before,
            file: place.file.clone(),
        }];
        let mut next = 0;
        while let Some(place) = places.get(next) {
            let Place { path, before, file } = place;
            let mut sources = self.copies(place);
            sources.extend(self.base(place, mark, service));
            // Lists remember their entries under their own path, and parts of a short
            // form are where that is.
            let ends = path.bytes().enumerate().rev();
            let ends = ends.filter(|(_, byte)| next == 0 && matches!(byte, b'.' | b'['));
            sources.extend(ends.take(MOST_ABOVE).filter_map(|(at, _)| {
                let path = path.get(..at)?.to_owned();
                Some(Place {
                    path,
                    before: *before,
                    file: file.clone(),
                })
            }));
            for source in sources {
                let key = (source.path.clone(), source.before);
                if places.len() < MOST_PLACES && known.insert(key) {
                    places.push(source);
                }
            }
            next += 1;
        }
        places
    }

    /// The same in the service that this one had it from by `extends`.
    fn base(&self, place: &Place, mark: Mark, service: &str) -> Option<Place> {
        let service = self.service_of(&place.path).unwrap_or(service);
        let rest = place.path.strip_prefix("services.")?;
        let rest = rest.strip_prefix(service)?;
        let owner = (service, place.file.as_deref());
        let how = self.extension(mark, owner, place.before)?;
        Some(Place {
            file: how.file.clone(),
            path: format!("services.{}{rest}", how.base),
            before: how.at,
        })
    }

    /// The places that aliases at or above this one repeat.
    fn copies(&self, place: &Place) -> Vec<Place> {
        let Place { path, before, file } = place;
        let ends = path.bytes().enumerate();
        let ends = ends.filter(|(_, byte)| matches!(byte, b'.' | b'['));
        let ends = ends.map(|(at, _)| at).chain([path.len()]);
        let mut found = Vec::new();
        for end in ends {
            let (above, rest) = path.split_at(end);
            let copied = self.copied.get(above).into_iter().flatten();
            let copied = copied.filter(|copied| copied.at < *before);
            found.extend(copied.take(MOST_PLACES).map(|copied| Place {
                path: format!("{}{rest}", copied.from),
                before: copied.at,
                file: file.clone(),
            }));
        }
        found
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

/// A value that another one took the place of, and how it came there.
#[derive(Debug)]
pub(crate) struct Overridden<'t> {
    pub(crate) node: &'t Node,
    /// Extensions of services, from the one that was asked about.
    pub(crate) way: Vec<Step>,
}
