//! What a value took the place of, followed by the ways by which it came.

use std::cmp::Reverse;
use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use super::{Extended, History, Kind, owner};
use crate::compose::trace::{MOST_OVERRIDDEN, Mark, Node, Step};
use crate::compose::tree::{service_of, without_indices};

const MOST_STEPS: usize = 10;

/// Most places that a value is followed to, and most values that are followed.
const MOST_PLACES: usize = 40;
const MOST_SEEN: usize = 200;

/// Levels above a value that its mark is looked for at.
const MOST_ABOVE: usize = 4;

/// A place that a value came from: what happened there before it was copied counts.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Place {
    path: String,
    before: usize,
    /// The file, where services are only extended from there: such ones may have names
    /// of the project's.
    file: Option<Arc<str>>,
}

/// A service that another one extends, and the way to it.
#[derive(Debug, Clone)]
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

/// A value that another one took the place of, and how it came there.
#[derive(Debug)]
pub(crate) struct Overridden<'t> {
    pub(crate) node: &'t Node,
    /// Extensions of services, from the one that was asked about.
    pub(crate) way: Vec<Step>,
}

impl History {
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
    /// extends, from the service on; of a very long one the beginning.
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
                    what: "through further services".to_owned(),
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

    /// A service, then those that it extends, and those that these do, the last ones
    /// first.
    pub(crate) fn bases(&self, service: &str) -> Vec<Base> {
        let mut found = vec![Base {
            service: service.to_owned(),
            file: None,
            way: Vec::new(),
            at: usize::MAX,
        }];
        let mut next = 0;
        while let Some(Base {
            service,
            file,
            way,
            at: before,
        }) = found.get(next).cloned()
        {
            let extended = self.extends.get(&*owner(&service, file.as_deref()));
            let extended = extended.into_iter().flatten().rev();
            // Services of one file extend each other as they are in that file.
            let from = way.last().filter(|_| file.is_none()).map(file_of);
            let is_of_file =
                |how: &&Arc<Extended>| from.is_none_or(|from| from == file_of(&how.step));
            for how in extended.filter(|how| how.at < before).filter(is_of_file) {
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
            next += 1;
        }
        found
    }

    /// Values that were lost at a place to others, with the place's service as one that
    /// is extended; the last one first.
    pub(crate) fn lost_at(&self, path: &str, base: &Base) -> Vec<(Mark, &Node)> {
        let is_base = !base.way.is_empty();
        let all = self.replaced.iter();
        let all = all.filter_map(|(winner, places)| Some((*winner, places.get(path)?)));
        let all = all.flat_map(|(winner, lost)| lost.iter().map(move |lost| (winner, lost)));
        let mut found: Vec<_> = all
            .filter(|(_, lost)| {
                // Of the project's files it is not known which one is extended from.
                let is_elsewhere = lost.kind == Kind::Read && is_base && base.file.is_none();
                lost.file == base.file && lost.at < base.at && !is_elsewhere
            })
            .collect();
        found.sort_by_key(|(_, lost)| Reverse(lost.at));
        let found = found.into_iter();
        found.map(|(winner, lost)| (winner, &lost.node)).collect()
    }

    /// The way of a value of a service that another one extends, from that one.
    pub(crate) fn way_from(&self, mark: Mark, base: &Base) -> Vec<Step> {
        let owner = (base.service.as_str(), base.file.as_deref());
        let mut way = base.way.clone();
        way.extend(self.extensions_before(mark, owner, base.at));
        way
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
        let mut known = HashSet::from([place.clone()]);
        let mut places = vec![place.clone()];
        let mut next = 0;
        while let Some(place) = places.get(next) {
            let Place { path, before, file } = place;
            let mut sources = self.copies(place);
            sources.extend(self.base(place, mark, service));
            // Some lists are merged without regard to the places in them.
            if path.contains('[') {
                sources.push(Place {
                    path: without_indices(path),
                    before: *before,
                    file: file.clone(),
                });
            }
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
                if places.len() < MOST_PLACES && known.insert(source.clone()) {
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

fn file_of(step: &Step) -> Option<&Path> {
    step.position.as_ref().map(|at| &*at.file)
}
