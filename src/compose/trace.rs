//! What a load remembers for [`explain`](super::explain): which value took the
//! place of which, and what variables stood in a text.
//!
//! Values are known by their [`Mark`], which they keep on their way through all
//! stages. Kept only where [`LoadOptions::trace`](super::LoadOptions::trace)
//! asks for it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use indexmap::{IndexMap, IndexSet};

use super::diag::Step;
use super::tree::{Mark, Node, Value, service_of};

/// Most values that one took the place of that are told, and most services that
/// one came through: nobody reads more, and both grow with each other.
pub(crate) const MOST_OVERRIDDEN: usize = 20;
const MOST_STEPS: usize = 10;

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
    /// Whose variables they are.
    pub(crate) scope: usize,
    pub(crate) path: String,
    /// As it stands in the file.
    pub(crate) written: String,
    /// With the variables' values.
    pub(crate) text: String,
    /// The variables in it, with their values where they have one.
    pub(crate) variables: Vec<(String, Option<String>)>,
    /// The defaults that stand for some of them.
    pub(crate) defaults: HashMap<String, IndexSet<String>>,
}

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
    pub(crate) mark: Mark,
}

/// Where a service's values come from when it extends another one.
#[derive(Debug, Clone)]
pub(crate) struct Extended {
    /// The service that is extended.
    pub(crate) base: String,
    pub(crate) step: Step,
}

/// A file that another one includes.
#[derive(Debug, Clone)]
pub(crate) struct Included {
    /// `include[0]`.
    pub(crate) path: String,
    /// The file, as it is written.
    pub(crate) file: String,
    pub(crate) mark: Mark,
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
    now: usize,
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
}

impl Settings {
    pub(crate) fn push(&mut self, setting: Setting) {
        let at = self.all.len();
        let by_name = match setting.owner.rsplit_once('[') {
            Some((list, _)) if list.starts_with("services.") => {
                let names = self.lists.entry(list.to_owned()).or_default();
                names.entry(setting.name.clone()).or_default()
            }
            _ => self.own.entry(setting.name.clone()).or_default(),
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

    /// An attribute's lines for a variable, the last one first.
    pub(crate) fn of(&self, list: &str, name: &str) -> impl Iterator<Item = &Setting> {
        let names = self.lists.get(list);
        let found = names
            .and_then(|names| names.get(name))
            .into_iter()
            .flatten();
        found.rev().filter_map(|at| self.all.get(*at))
    }

    /// The attributes whose files set a variable.
    pub(crate) fn lists_with<'t>(&'t self, name: &'t str) -> impl Iterator<Item = &'t str> {
        let lists = self.lists.iter();
        lists
            .filter(move |(_, names)| names.contains_key(name))
            .map(|(list, _)| list.as_str())
    }
}

/// Everything remembered, in the order in which it happened.
#[derive(Debug, Clone, Default)]
pub(crate) struct Trace {
    /// What values took the place of: by the value that counts, then by the
    /// attribute as the stage at work knew it, which of a service that is extended
    /// has the name of the one that extends it.
    replaced: HashMap<Mark, IndexMap<String, Vec<Node>>>,
    pub(crate) dropped: Vec<Dropped>,
    /// Texts by place; files that services are extended from may be read with
    /// several projects' variables.
    templates: HashMap<Mark, IndexMap<usize, Template>>,
    pub(crate) scopes: Scopes,
    pub(crate) settings: Settings,
    /// By value and by the service that it came into.
    extended: HashMap<Mark, HashMap<Arc<str>, Arc<Extended>>>,
    /// What each service extends.
    pub(crate) extends: IndexMap<Arc<str>, Vec<Arc<Extended>>>,
    /// The services that are extended.
    bases: HashSet<String>,
    pub(crate) included: Vec<Included>,
    /// Times that files of project variables were read.
    pub(crate) round: usize,
    /// Variables of the process.
    pub(crate) shell: IndexMap<String, String>,
    /// The project's name as the command line has it.
    pub(crate) named: Option<String>,
}

impl Trace {
    /// A trace of a load in which the process has these variables.
    pub(crate) fn new(shell: IndexMap<String, String>, named: Option<String>) -> Self {
        Self {
            shell,
            named,
            ..Self::default()
        }
    }

    pub(crate) fn replace(&mut self, path: &str, winner: Mark, loser: &Node) {
        // A null has nothing to say, and an alias may meet itself.
        if !loser.is_null() && loser.mark.is_known() && winner != loser.mark {
            let places = self.replaced.entry(winner).or_default();
            match places.get_mut(path) {
                Some(losers) => losers.push(loser.clone()),
                None => {
                    places.insert(path.to_owned(), vec![loser.clone()]);
                }
            }
        }
    }

    pub(crate) fn template(&mut self, mark: Mark, template: Template) {
        let template = Template {
            scope: self.scopes.now,
            ..template
        };
        // An alias repeats what was there before.
        let known = self.templates.entry(mark).or_default();
        known.entry(template.scope).or_insert(template);
    }

    /// The text at a place, as a project has it.
    pub(crate) fn template_of(&self, mark: Mark, scope: usize) -> Option<&Template> {
        let known = self.templates.get(&mark)?;
        known.get(&scope).or_else(|| Some(known.first()?.1))
    }

    /// All texts with their places.
    pub(crate) fn templates(&self) -> impl Iterator<Item = (Mark, &Template)> {
        let all = self.templates.iter();
        all.flat_map(|(mark, known)| known.values().map(|template| (*mark, template)))
    }

    /// A line of a file of variables.
    pub(crate) fn setting(&mut self, setting: Setting) {
        self.settings.push(Setting {
            scope: self.scopes.now,
            round: self.round,
            ..setting
        });
    }

    pub(crate) fn drop_value(&mut self, path: String, by: Mark, loser: Node) {
        self.dropped.push(Dropped { path, by, loser });
    }

    /// Everything in `base` has come into `service` by `extends`.
    pub(crate) fn extend(&mut self, service: &str, base: &Node, how: Extended) {
        let (service, how): (Arc<str>, _) = (Arc::from(service), Arc::new(how));
        self.extend_node(&service, base, &how);
        self.bases.insert(how.base.clone());
        self.extends.entry(service).or_default().push(how);
    }

    fn extend_node(&mut self, service: &Arc<str>, base: &Node, how: &Arc<Extended>) {
        self.extended
            .entry(base.mark)
            .or_default()
            .entry(Arc::clone(service))
            .or_insert_with(|| Arc::clone(how));
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

    fn extension(&self, mark: Mark, service: &str) -> Option<&Extended> {
        self.extended.get(&mark)?.get(service).map(|how| &**how)
    }

    /// The way by which a value of a service came from the services that it
    /// extends, the nearest step first; of a very long one the beginning.
    pub(crate) fn extensions(&self, mark: Mark, service: &str) -> Vec<Step> {
        let mut steps = Vec::new();
        let mut at = service;
        while let Some(extended) = self.extension(mark, at) {
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
            at = &extended.base;
        }
        steps
    }

    /// What a value took the place of, the nearest first, each followed by what
    /// that had taken the place of in turn; one more than [`MOST_OVERRIDDEN`] where
    /// there are more. `service` is the one whose value it is.
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
        for (place, loser) in self.losers(path, winner, service) {
            if found.len() > MOST_OVERRIDDEN {
                return;
            }
            if found.iter().any(|known| known.node.mark == loser.mark) {
                continue;
            }
            // What a service had replaced before another one extended it.
            let owner = service_of(place, |name| {
                self.extends.contains_key(name) || self.bases.contains(name)
            });
            let owner = owner.unwrap_or(service);
            let mut way = way.to_vec();
            if owner != service {
                way.extend(self.extensions(winner, service));
                way.truncate(MOST_STEPS);
            }
            let mut steps = way.clone();
            steps.extend(self.extensions(loser.mark, owner));
            steps.truncate(MOST_STEPS);
            found.push(Overridden {
                node: loser,
                way: steps,
            });
            self.push_overridden(place, loser.mark, (owner, &way), found);
        }
    }

    /// What a value took the place of itself, with the attribute it was then.
    fn losers(&self, path: &str, winner: Mark, service: &str) -> Vec<(&str, &Node)> {
        let Some(places) = self.replaced.get(&winner) else {
            return Vec::new();
        };
        // An alias brings one mark to several places: this one, else the one of the
        // service that it came from.
        let mut here = places.get_key_value(path);
        if let Some(rest) = path
            .strip_prefix("services.")
            .and_then(|rest| rest.strip_prefix(service))
        {
            let mut at = service;
            for _ in 0..MOST_STEPS {
                let next = self.extension(winner, at).filter(|_| here.is_none());
                let Some(next) = next else {
                    break;
                };
                at = &next.base;
                here = places.get_key_value(&format!("services.{at}{rest}"));
            }
        }
        if let Some((place, losers)) = here {
            return losers.iter().map(|loser| (place.as_str(), loser)).collect();
        }
        let pairs = places
            .iter()
            .flat_map(|(place, losers)| losers.iter().map(move |loser| (place.as_str(), loser)));
        pairs.take(MOST_OVERRIDDEN + 1).collect()
    }
}

/// A value that another one took the place of, and how it came there.
#[derive(Debug)]
pub(crate) struct Overridden<'t> {
    pub(crate) node: &'t Node,
    /// Extensions of services, from the one that was asked about.
    pub(crate) way: Vec<Step>,
}
