//! By which aliases and which `extends` a value came to the attribute that it is
//! told of.
//!
//! The loader says what it repeats and what extends what; where a value stands and
//! the path that it is told of are enough to find the way between them.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use indexmap::IndexMap;

use crate::compose::tree::{Mark, is_within, service_of, without_indices};

/// Most aliases that are remembered, all files together.
const MOST_ALIASES: usize = 10_000;

/// Most aliases that are looked at for one way.
const MOST_LOOKED_AT: usize = 64;

/// Most services of a chain that are followed, which is as many as extend each other.
const MOST_SERVICES: usize = 100;

/// A service of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Service {
    pub(crate) file: u16,
    pub(crate) name: String,
}

/// An alias, `*name`.
#[derive(Debug, Clone)]
pub(crate) struct Alias {
    /// The attribute whose value it is, or that it is merged into.
    pub(crate) path: String,
    /// True behind a `<<`.
    pub(crate) is_merged: bool,
    pub(crate) mark: Mark,
    /// Where what it stands for begins, and where something else does behind it;
    /// none for a scalar.
    pub(crate) from: Mark,
    pub(crate) to: Option<Mark>,
}

impl Alias {
    fn has(&self, mark: Mark) -> bool {
        match self.to {
            Some(to) => place(self.from) <= place(mark) && place(mark) < place(to),
            None => place(self.from) == place(mark),
        }
    }
}

/// A service that extends another one.
#[derive(Debug, Clone)]
struct Extended {
    by: Service,
    /// Where it says so.
    mark: Mark,
    base: Service,
}

/// How a value came to where it is told of, the nearest first.
#[derive(Debug, Default)]
pub(super) struct Way<'w> {
    pub(super) aliases: Vec<&'w Alias>,
    /// The extending services, and where they say what they extend.
    pub(super) extended: Vec<(&'w str, Mark)>,
}

/// What of it the loader has told.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ways {
    /// By file.
    aliases: HashMap<u16, Vec<Alias>>,
    /// How many there are.
    count: usize,
    /// By the name of the service that extends.
    extended: IndexMap<String, Vec<Extended>>,
    /// By file: the services that begin at a place, and nothing where another part of
    /// the file does.
    sections: HashMap<u16, BTreeMap<(u32, u32), Option<String>>>,
    /// Files that services are only extended from.
    bases: HashSet<u16>,
}

impl Ways {
    /// Remembers what an alias repeats.
    pub(crate) fn repeat(&mut self, alias: Alias) {
        if self.count < MOST_ALIASES {
            self.count += 1;
            self.aliases.entry(alias.mark.file).or_default().push(alias);
        }
    }

    /// True where one more alias would not be remembered.
    pub(crate) fn is_full(&self) -> bool {
        self.count >= MOST_ALIASES
    }

    /// Forgets the aliases of a file, which is read once more.
    pub(crate) fn forget_aliases(&mut self, file: u16) {
        let gone = self.aliases.remove(&file);
        self.count -= gone.map_or(0, |gone| gone.len());
    }

    /// Remembers where the sections of a file and the services among them begin.
    pub(crate) fn begin(&mut self, sections: impl Iterator<Item = (Mark, Option<String>)>) {
        for (mark, service) in sections.filter(|(mark, _)| mark.is_known()) {
            let known = self.sections.entry(mark.file).or_default();
            known.insert(place(mark), service);
        }
    }

    /// Remembers that a file is one that services are only extended from.
    pub(crate) fn is_base(&mut self, file: u16) {
        self.bases.insert(file);
    }

    /// Remembers that a service extends another one, as it says at `mark`.
    pub(crate) fn extend(&mut self, by: Service, mark: Mark, base: Service) {
        let known = self.extended.entry(by.name.clone()).or_default();
        // Of a file that is read with several sets of variables.
        if !known.iter().any(|one| one.by == by && one.mark == mark) {
            known.push(Extended { by, mark, base });
        }
    }

    /// The way of what stands at a mark to the attribute `path`.
    pub(super) fn find(&self, mark: Mark, path: &str) -> Way<'_> {
        let found = self.extending(path).and_then(|(name, rest)| {
            let starts = self.extended.get(name)?;
            starts
                .iter()
                .find_map(|first| Some((first, self.along(first, rest, mark)?)))
        });
        let (start, mut way) = if let Some((first, way)) = found {
            (Some((first.by.file, first.by.name.as_str())), way)
        } else {
            let way = Way {
                aliases: self.repeated(path, mark).unwrap_or_default(),
                extended: Vec::new(),
            };
            (self.section(mark).map(|name| (mark.file, name)), way)
        };
        // A file that is extended from has its own errors before it is.
        let further = start.and_then(|(file, name)| self.towards_the_project(file, name));
        way.extended.extend(further.into_iter().flatten());
        way
    }

    /// How a service came to be extended by one of the project's own files, where it is
    /// in another one.
    fn towards_the_project<'w>(
        &'w self,
        mut file: u16,
        mut name: &'w str,
    ) -> Option<Vec<(&'w str, Mark)>> {
        let mut way = Vec::new();
        while self.bases.contains(&file) && way.len() <= MOST_SERVICES {
            let mut all = self.extended.values().flatten();
            let step = all.find(|step| step.base.file == file && step.base.name == name)?;
            way.push((step.by.name.as_str(), step.mark));
            (file, name) = (step.by.file, &step.by.name);
        }
        Some(way)
    }

    /// The service of a path that extends another one, and what of the path is behind
    /// its name.
    fn extending<'p>(&self, path: &'p str) -> Option<(&'p str, &'p str)> {
        let name = service_of(path, |name| self.extended.contains_key(name))?;
        let rest = path.strip_prefix("services.")?.strip_prefix(name)?;
        Some((name, rest))
    }

    /// The way along a chain of services to the one that a mark belongs to.
    fn along<'w>(&'w self, first: &'w Extended, rest: &str, mark: Mark) -> Option<Way<'w>> {
        let mut way = Way::default();
        let mut at = &first.by;
        let mut next = Some(first);
        while way.extended.len() <= MOST_SERVICES {
            if let Some(aliases) = self.stands_in(at, rest, mark) {
                way.aliases = aliases;
                way.extended.reverse();
                return Some(way);
            }
            let step = next?;
            way.extended.push((step.by.name.as_str(), step.mark));
            at = &step.base;
            let further = self.extended.get(&at.name).into_iter().flatten();
            next = further.rev().find(|further| further.by == *at);
        }
        None
    }

    /// By which aliases, if by any, what stands at a mark belongs to a service; `None`
    /// where it does not.
    fn stands_in(&self, service: &Service, rest: &str, mark: Mark) -> Option<Vec<&Alias>> {
        if mark.file != service.file {
            return None;
        }
        if self.section(mark) == Some(service.name.as_str()) {
            return Some(Vec::new());
        }
        self.repeated(&format!("services.{}{rest}", service.name), mark)
    }

    /// The service in whose part of the file a mark is.
    fn section(&self, mark: Mark) -> Option<&str> {
        let sections = self.sections.get(&mark.file)?;
        let (_, service) = sections.range(..=place(mark)).next_back()?;
        service.as_deref()
    }

    /// The fewest aliases by which what stands at a mark came to an attribute.
    fn repeated(&self, path: &str, mark: Mark) -> Option<Vec<&Alias>> {
        let aliases = self.aliases.get(&mark.file)?;
        // Merged lists count their items anew.
        let path = without_indices(path);
        let mut ways = VecDeque::from([Vec::new()]);
        let mut looked_at = 0;
        while let Some(way) = ways.pop_front() {
            let from = way.last().map_or(mark, |last: &&Alias| last.mark);
            for alias in aliases.iter().filter(|alias| alias.has(from)) {
                looked_at += 1;
                if looked_at > MOST_LOOKED_AT {
                    return None;
                }
                let mut longer = way.clone();
                longer.push(alias);
                if is_within(&path, &without_indices(&alias.path)) {
                    return Some(longer);
                }
                ways.push_back(longer);
            }
        }
        None
    }
}

fn place(mark: Mark) -> (u32, u32) {
    (mark.line, mark.column)
}
