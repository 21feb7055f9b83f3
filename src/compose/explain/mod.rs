//! Where a value comes from: the place that counts, and every place whose
//! value it took the place of.
//!
//! Asked by an attribute's path or a variable's name, answered from the
//! [`Trace`] of the load.

mod above;
mod absent;
mod attribute;
mod dropped;
mod lines;
mod pairs;
mod passed;
mod targets;
mod text;
mod variable;
mod written;

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};

use super::diag::{Diagnostic, Position, Step};
use super::model::{Project, raw_json};
use super::trace::Trace;
use super::tree::{Mark, Node};

/// Where the value of an attribute or a variable comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// `services.web.ports[0]`, or a variable's name.
    pub subject: String,
    /// The value, in one line; `None` where it is not set.
    pub value: Option<String>,
    /// What was said about it, what counts first.
    pub sources: Vec<Source>,
    /// Whether there are more values that it took the place of.
    pub is_cut: bool,
    /// Where the files use it, of a variable that was asked for itself.
    pub uses: Vec<Use>,
}

/// One place that gives a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// What became of it.
    pub standing: Standing,
    /// Where it is.
    pub origin: Origin,
    /// The value as it stands there, in one line.
    pub written: String,
    /// How a file's place was reached: `include`, `extends`.
    pub chain: Vec<Step>,
    /// The variables in what is written there.
    pub variables: Vec<Explanation>,
}

/// What became of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It counts.
    Wins,
    /// Another one counts.
    Overridden,
    /// A `!reset` that dropped the earlier ones.
    Resets,
}

/// What kind of place gives a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A file.
    File(Position),
    /// The environment of the process.
    Shell,
    /// An option of the command line.
    Option(&'static str),
    /// The name of the project's folder.
    Folder,
    /// The default of a variable where a file uses it.
    Default(Position),
    /// Nobody wrote it: a default, or what skiff sets itself.
    Implied,
}

/// A place that uses a variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Use {
    /// The attribute.
    pub path: String,
    /// Where.
    pub position: Option<Position>,
    /// The text there.
    pub written: String,
}

/// Longest value that is shown, in characters.
const LONGEST_SHOWN: usize = 120;

/// Explains an attribute (`services.web.ports`, everything below it, too; the
/// `services.` may be left out; a mount by its path in the container,
/// `web.volumes./data`, a port by its number there) or a variable (`TAG`, `$TAG`) of a project that
/// was loaded with [`LoadOptions::trace`](super::LoadOptions::trace).
///
/// # Errors
/// There is no such attribute or variable, or the project has no trace.
pub fn explain(project: &Project, subject: &str) -> Result<Vec<Explanation>, Box<Diagnostic>> {
    let origin = &project.origin;
    let (Some(trace), Some(tree)) = (&origin.trace, &origin.tree) else {
        return Err(Box::new(Diagnostic::error(
            "the project was loaded without a trace",
        )));
    };
    let dropped = trace.dropped.iter();
    let explainer = Explainer {
        project,
        trace,
        tree,
        variables: RefCell::default(),
        lines: RefCell::default(),
        overrides: dropped.map(|one| (one.path.as_str(), one.by)).collect(),
    };
    let bare = subject.trim();
    if bare.is_empty() || bare.split('.').any(str::is_empty) {
        let error = Diagnostic::error(format!("`{bare}` is no path of an attribute"));
        let expected = "a path such as `services.web.image`, or the name of a variable";
        return Err(Box::new(error.expected(expected)));
    }
    let name = bare.strip_prefix('$').map(|name| {
        let inner = name
            .strip_prefix('{')
            .and_then(|name| name.strip_suffix('}'));
        inner.unwrap_or(name)
    });
    if let Some(name) = name {
        if !is_name(name) {
            let error = Diagnostic::error(format!("`{bare}` is no variable"));
            let expected = "`$` and a name of letters, digits and `_`, no digit first";
            return Err(Box::new(error.expected(expected)));
        }
        return explainer.variable_asked(name);
    }
    for path in [bare.to_owned(), format!("services.{bare}")] {
        for found in [explainer.special(&path), explainer.attribute(&path)] {
            if !found.is_empty() {
                return Ok(found);
            }
        }
    }
    if is_name(bare) && explainer.knows_variable(bare) {
        return explainer.variable_asked(bare);
    }
    for path in [bare.to_owned(), format!("services.{bare}")] {
        for found in [explainer.word(&path), explainer.by_target(&path)] {
            if !found.is_empty() {
                return Ok(found);
            }
        }
    }
    Err(Box::new(explainer.unknown(bare)))
}

/// A loaded project, ready for questions.
struct Explainer<'a> {
    project: &'a Project,
    trace: &'a Trace,
    tree: &'a Node,
    /// Where an attribute was dropped, and by which tag.
    overrides: HashSet<(&'a str, Mark)>,
    /// Those that were asked for before, by name and by whose they are.
    variables: RefCell<HashMap<(String, usize), Explanation>>,
    /// The lines of files of variables whose variables are being told.
    lines: RefCell<lines::Nested>,
}

impl Explainer<'_> {
    fn position(&self, mark: Mark) -> Option<Position> {
        self.project.origin.sources.position(mark)
    }
}

fn is_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes
        .next()
        .is_some_and(|b| b == b'_' || b.is_ascii_alphabetic())
        && bytes.all(|b| b == b'_' || b.is_ascii_alphanumeric())
}

/// A value in one line.
fn shown(node: &Node) -> String {
    let text = match node.scalar_text() {
        Some(text) => text,
        None => raw_json(node).to_string(),
    };
    one_line(&text)
}

/// A text in one line of bearable length.
fn one_line(text: &str) -> String {
    let mut line: String = text
        .chars()
        .take(LONGEST_SHOWN)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    if text.chars().nth(LONGEST_SHOWN).is_some() {
        line.push('…');
    }
    line
}
