//! The variables of a project and of those that it includes: the lines that set
//! them.

use std::collections::{HashMap, HashSet};

use indexmap::{IndexMap, IndexSet};

use super::{Mark, Template};

/// A variable in a file of variables.
#[derive(Debug, Clone)]
pub(crate) struct Setting {
    /// The attribute that names the file; empty for the project's variables.
    pub(crate) owner: String,
    /// Whose variable it is.
    pub(crate) scope: usize,
    /// Project variables of an earlier round stand above those of a later one.
    pub(crate) round: usize,
    pub(crate) name: String,
    pub(crate) value: String,
    /// As it stands in the file.
    pub(crate) written: String,
    /// The same with the variables in it, where it has some.
    pub(crate) template: Option<Template>,
    /// Those of these that had their values from such files themselves.
    pub(crate) inner: HashSet<String>,
    pub(crate) mark: Mark,
}

impl Setting {
    /// The attribute whose files a service has it from: `services.web.env_file`.
    pub(crate) fn list(&self) -> Option<&str> {
        let (list, _) = self.owner.rsplit_once('[')?;
        list.starts_with("services.").then_some(list)
    }
}

/// Whose variables there are: the project's, number 0, and those of each project
/// that is included, which has the ones of the including project and its own.
#[derive(Debug, Clone, Default)]
pub(crate) struct Scopes {
    /// What includes the projects from number 1 on.
    outer: Vec<usize>,
    /// With whose variables each file was read.
    files: HashMap<u16, IndexSet<usize>>,
    /// Whose are at work now.
    pub(super) now: usize,
}

impl Scopes {
    /// A project that another one includes: its number, which is the one at work now.
    pub(crate) fn include(&mut self, outer: usize) -> usize {
        self.outer.push(outer);
        self.now = self.outer.len();
        self.now
    }

    /// A file is read with these variables.
    pub(crate) fn read(&mut self, file: u16, scope: usize) {
        self.now = scope;
        self.files.entry(file).or_default().insert(scope);
    }

    /// With whose variables a file was read.
    pub(crate) fn of_file(&self, file: u16) -> Option<&IndexSet<usize>> {
        self.files.get(&file)
    }

    /// A project and those that include it, the nearest first.
    pub(crate) fn outwards(&self, scope: usize) -> impl Iterator<Item = usize> {
        std::iter::successors(Some(scope), |scope| {
            self.outer.get(scope.checked_sub(1)?).copied()
        })
    }
}

/// The variables in files, found by their names.
#[derive(Debug, Clone, Default)]
pub(crate) struct Settings {
    all: Vec<Setting>,
    /// Those of the project and of what it includes.
    own: HashMap<String, Vec<usize>>,
    /// Those of services, by attribute: `services.web.env_file`.
    lists: IndexMap<String, IndexMap<String, Vec<usize>>>,
    /// By the variables in them.
    using: HashMap<String, Vec<usize>>,
}

impl Settings {
    pub(crate) fn push(&mut self, setting: Setting) {
        let at = self.all.len();
        for (name, _) in setting.template.iter().flat_map(|one| &one.variables) {
            self.using.entry(name.clone()).or_default().push(at);
        }
        let by_name = match setting.list() {
            Some(list) => {
                let names = self.lists.entry(list.to_owned()).or_default();
                names.entry(setting.name.clone()).or_default()
            }
            None => self.own.entry(setting.name.clone()).or_default(),
        };
        by_name.push(at);
        self.all.push(setting);
    }

    /// The project's lines for a variable, with their place in the order of reading.
    pub(crate) fn own(&self, name: &str) -> impl Iterator<Item = (usize, &Setting)> {
        let found = self.own.get(name).into_iter().flatten();
        found.filter_map(|at| Some((*at, self.all.get(*at)?)))
    }

    /// The names that an attribute's files set.
    pub(crate) fn names(&self, list: &str) -> impl Iterator<Item = &str> {
        let names = self.lists.get(list).into_iter().flat_map(IndexMap::keys);
        names.map(String::as_str)
    }

    /// The lines with a variable of this name in them.
    pub(crate) fn using(&self, name: &str) -> impl Iterator<Item = (&Setting, &Template)> {
        let found = self.using.get(name).into_iter().flatten();
        let found = found.filter_map(|at| self.all.get(*at));
        found.filter_map(|setting| Some((setting, setting.template.as_ref()?)))
    }

    /// The line that a variable in another line has its value from, which was read
    /// before that one.
    pub(crate) fn before(&self, at: usize, name: &str) -> Option<(usize, &Setting)> {
        let this = self.all.get(at)?;
        let found = match this.list() {
            Some(list) => self.lists.get(list)?.get(name)?,
            None => self.own.get(name)?,
        };
        let found = found.iter().rev().filter(|one| **one < at);
        let mut found = found.filter_map(|one| Some((*one, self.all.get(*one)?)));
        found.find(|(_, one)| (one.scope, one.round) == (this.scope, this.round))
    }

    /// An attribute's lines for a variable with their place in the order of reading, the
    /// last one first.
    pub(crate) fn of(&self, list: &str, name: &str) -> impl Iterator<Item = (usize, &Setting)> {
        let names = self.lists.get(list);
        let found = names
            .and_then(|names| names.get(name))
            .into_iter()
            .flatten();
        found.rev().filter_map(|at| Some((*at, self.all.get(*at)?)))
    }

    /// The attributes whose files set a variable.
    pub(crate) fn lists_with<'t>(&'t self, name: &'t str) -> impl Iterator<Item = &'t str> {
        let lists = self.lists.iter();
        lists
            .filter(move |(_, names)| names.contains_key(name))
            .map(|(list, _)| list.as_str())
    }
}
