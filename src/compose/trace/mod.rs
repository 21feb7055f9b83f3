//! What a load remembers for [`explain`](super::explain): which value took the
//! place of which, and what variables stood in a text.
//!
//! Values are known by their [`Mark`], which they keep on their way through all
//! stages. Kept only where [`LoadOptions::trace`](super::LoadOptions::trace)
//! asks for it.

use std::collections::HashMap;
use std::sync::Arc;

use indexmap::{IndexMap, IndexSet};

use super::diag::Step;
use super::tree::{Mark, Node, Value, is_within};

mod history;
mod settings;

use history::History;
pub(crate) use history::{Base, Overridden, PAIRS, pairs};
pub(crate) use settings::Setting;
use settings::{Scopes, Settings};

/// Most values that one took the place of that are told, and most services that
/// one came through: nobody reads more, and both grow with each other.
pub(crate) const MOST_OVERRIDDEN: usize = 20;

/// A value that `!reset` or `!override` dropped.
#[derive(Debug, Clone)]
pub(crate) struct Dropped {
    pub(crate) path: String,
    /// Where the paths above it end: names may have dots.
    levels: Box<[usize]>,
    /// Where the tag stands.
    pub(crate) by: Mark,
    pub(crate) loser: Node,
    /// The file, where services are only extended from there: such ones may have names
    /// of the project's.
    pub(crate) file: Option<Arc<str>>,
    /// When that happened.
    pub(crate) at: usize,
}

impl Dropped {
    /// True where it was at a path or below it.
    pub(crate) fn is_at(&self, path: &str) -> bool {
        let end = path.len();
        is_within(&self.path, path) && (self.path.len() == end || self.levels.contains(&end))
    }
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

/// A file that another one includes.
#[derive(Debug, Clone)]
pub(crate) struct Included {
    /// `include[0]`.
    pub(crate) path: String,
    /// The file, as it is written.
    pub(crate) file: String,
    pub(crate) mark: Mark,
}

/// Everything remembered, in the order in which it happened.
#[derive(Debug, Clone, Default)]
pub(crate) struct Trace {
    pub(crate) history: History,
    pub(crate) dropped: Vec<Dropped>,
    /// Texts by place; files that services are extended from may be read with
    /// several projects' variables.
    templates: HashMap<Mark, IndexMap<usize, Template>>,
    pub(crate) scopes: Scopes,
    pub(crate) settings: Settings,
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
    pub(crate) fn setting(&mut self, mut setting: Setting) {
        setting.round = self.round;
        // Services' files are read in the end, with the project's variables.
        setting.scope = match setting.list() {
            Some(_) => 0,
            None => self.scopes.now,
        };
        if let Some(template) = &mut setting.template {
            template.scope = setting.scope;
        }
        self.settings.push(setting);
    }

    /// A tag drops a value, for another one or, with a null, for none.
    /// `levels` are the ends of the paths above its own.
    pub(crate) fn drop_value(&mut self, (path, levels): (&str, &[usize]), by: &Node, loser: Node) {
        self.history.drop_value(path, by, &loser);
        self.dropped.push(Dropped {
            path: path.to_owned(),
            levels: Box::from(levels),
            by: by.mark,
            loser,
            file: self.history.file.clone(),
            at: self.history.now(),
        });
    }
}
