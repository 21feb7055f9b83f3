//! Where a value comes from: the place that counts, and every place whose
//! value it took the place of.
//!
//! Asked by an attribute's path or a variable's name, answered from the
//! [`Trace`] of the load.

mod attribute;
mod text;
mod variable;

use super::diag::{Diagnostic, Position, Step, similar};
use super::model::{Project, raw_json};
use super::trace::Trace;
use super::tree::Node;

/// Where the value of an attribute or a variable comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// `services.web.ports[0]`, or a variable's name.
    pub subject: String,
    /// The value, in one line; `None` where it is not set.
    pub value: Option<String>,
    /// What was said about it, what counts first.
    pub sources: Vec<Source>,
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
/// `services.` may be left out) or a variable (`TAG`, `$TAG`) of a project that
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
    let explainer = Explainer {
        project,
        trace,
        tree,
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
        return explainer.variable_asked(name);
    }
    for path in [bare.to_owned(), format!("services.{bare}")] {
        let found = explainer.attribute(&path);
        if !found.is_empty() {
            return Ok(found);
        }
    }
    if is_name(bare) && explainer.knows_variable(bare) {
        return explainer.variable_asked(bare);
    }
    Err(Box::new(explainer.unknown(bare)))
}

/// A loaded project, ready for questions.
struct Explainer<'a> {
    project: &'a Project,
    trace: &'a Trace,
    tree: &'a Node,
}

impl Explainer<'_> {
    fn position(&self, mark: super::tree::Mark) -> Option<Position> {
        self.project.origin.sources.position(mark)
    }

    /// Says that a path leads nowhere, and where it may have been meant to lead.
    fn unknown(&self, path: &str) -> Diagnostic {
        let has_section = |path: &str| {
            let first = path.split(['.', '[']).next().unwrap_or_default();
            self.tree.get(first).is_some()
        };
        let full = if has_section(path) || !path.contains('.') {
            path.to_owned()
        } else {
            format!("services.{path}")
        };
        let error = Diagnostic::error(format!("`{path}` is neither set in a file nor a variable"));
        let mut end = full.len();
        loop {
            let start = full.get(..end).and_then(|part| part.rfind(['.', '[']));
            let above = start.map_or("", |at| full.get(..at).unwrap_or_default());
            if let Some(node) = self.tree.lookup(above) {
                let keys: Vec<&str> = match node.as_map() {
                    Some(map) => map.keys().map(String::as_str).collect(),
                    None => Vec::new(),
                };
                let last = full
                    .get(start.map_or(0, |at| at + 1)..end)
                    .unwrap_or_default();
                let variables = self.project.environment.keys().map(String::as_str);
                let known = keys.iter().copied();
                let near = match start {
                    Some(_) => similar(last, known),
                    None => similar(last, known.chain(variables)),
                };
                let dot = if above.is_empty() { "" } else { "." };
                let place = if above.is_empty() {
                    "the top level"
                } else {
                    above
                };
                return match near {
                    Some(near) => error.suggest(format!("did you mean `{above}{dot}{near}`?")),
                    None if keys.is_empty() => error,
                    None => error.expected(format!("below {place}: {}", keys.join(", "))),
                };
            }
            match start {
                Some(at) => end = at,
                None => return error,
            }
        }
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
