//! Explanations for people and for programs.

use serde_json::{Value as Json, json};

use super::{Explanation, Origin, Source, Standing, Use};
use crate::compose::diag::{Style, place_json, step_json};

impl Explanation {
    /// The text for a screen, without a line end: the value, then a line for each
    /// place, `from` before the one that counts and `over` before the others.
    pub fn render(&self, style: &Style) -> String {
        let mut lines = Vec::new();
        self.push(&mut lines, 0, style);
        lines.join("\n")
    }

    fn push(&self, lines: &mut Vec<String>, depth: usize, style: &Style) {
        let Style {
            bold, dim, reset, ..
        } = style;
        let indent = " ".repeat(depth);
        let value = match &self.value {
            Some(value) if value.is_empty() => "(empty)",
            Some(value) => value,
            None => "(not set)",
        };
        lines.push(format!("{indent}{bold}{}{reset}  {value}", self.subject));
        for source in &self.sources {
            let word = match source.standing {
                Standing::Wins => "from",
                Standing::Overridden => "over",
                Standing::Resets => "reset by",
            };
            let place = match &source.origin {
                Origin::File(position) => position.to_string(),
                Origin::Shell => "the environment".to_owned(),
                Origin::Option(option) => format!("`{option}`"),
                Origin::Folder => "the folder's name".to_owned(),
                Origin::Default(position) => format!("the default at {position}"),
                Origin::Implied => "a default".to_owned(),
            };
            // A default says nothing that the value does not.
            let written = match source.origin {
                Origin::Implied => String::new(),
                _ if source.written.is_empty() => "  (empty)".to_owned(),
                _ => format!("  {}", source.written),
            };
            lines.push(format!("{indent}  {dim}{word}{reset} {place}{written}"));
            for step in &source.chain {
                let place = step.position.as_ref();
                let place = place.map_or_else(String::new, |at| format!(" at {at}"));
                lines.push(format!("{indent}       {dim}{}{place}{reset}", step.what));
            }
            for variable in &source.variables {
                variable.push(lines, depth + 7, style);
            }
        }
        if self.is_cut {
            lines.push(format!("{indent}  {dim}over{reset} further ones"));
        }
        for used in &self.uses {
            let place = used.position.as_ref();
            let place = place.map_or_else(String::new, |at| format!("{at}  "));
            lines.push(format!(
                "{indent}  {dim}used{reset} {place}{}: {}",
                used.path, used.written
            ));
        }
    }

    /// The same as data: `subject`, `value`, `sources`, `more` where there are
    /// further ones, and of a variable that was asked for `uses`.
    pub fn to_json(&self) -> Json {
        json!({
            "subject": self.subject,
            "value": self.value,
            "sources": self.sources.iter().map(source).collect::<Vec<_>>(),
            "more": self.is_cut,
            "uses": self.uses.iter().map(usage).collect::<Vec<_>>(),
        })
    }
}

fn source(source: &Source) -> Json {
    let (origin, at) = match &source.origin {
        Origin::File(at) => ("file", Some(at)),
        Origin::Shell => ("environment", None),
        Origin::Option(_) => ("option", None),
        Origin::Folder => ("folder", None),
        Origin::Default(at) => ("default", Some(at)),
        Origin::Implied => ("default", None),
    };
    let standing = match source.standing {
        Standing::Wins => "wins",
        Standing::Overridden => "overridden",
        Standing::Resets => "resets",
    };
    let (file, line, column) = place_json(at);
    json!({
        "standing": standing,
        "origin": origin,
        "file": file,
        "line": line,
        "column": column,
        "written": source.written,
        "chain": source.chain.iter().map(step_json).collect::<Vec<_>>(),
        "variables": source.variables.iter().map(Explanation::to_json).collect::<Vec<_>>(),
    })
}

fn usage(used: &Use) -> Json {
    let (file, line, column) = place_json(used.position.as_ref());
    json!({
        "path": used.path,
        "file": file,
        "line": line,
        "column": column,
        "written": used.written,
    })
}
