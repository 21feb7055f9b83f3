//! Explanations for people and for programs.

use serde_json::{Value as Json, json};

use super::{Explanation, Origin, Source, Standing, Use};
use crate::compose::diag::{Position, Step, Style};

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
                Origin::Implied => "a default".to_owned(),
            };
            // A default says nothing that the value does not.
            let written = match source.origin {
                Origin::Implied => String::new(),
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
        for used in &self.uses {
            let place = used.position.as_ref();
            let place = place.map_or_else(String::new, |at| format!("{at}  "));
            lines.push(format!(
                "{indent}  {dim}used{reset} {place}{}: {}",
                used.path, used.written
            ));
        }
    }

    /// The same as data: `subject`, `value`, `sources`, and of a variable that was
    /// asked for `uses`.
    pub fn to_json(&self) -> Json {
        json!({
            "subject": self.subject,
            "value": self.value,
            "sources": self.sources.iter().map(source).collect::<Vec<_>>(),
            "uses": self.uses.iter().map(usage).collect::<Vec<_>>(),
        })
    }
}

fn source(source: &Source) -> Json {
    let (origin, at) = match &source.origin {
        Origin::File(at) => ("file", Some(at)),
        Origin::Shell => ("environment", None),
        Origin::Implied => ("default", None),
    };
    json!({
        "standing": match source.standing {
            Standing::Wins => "wins",
            Standing::Overridden => "overridden",
            Standing::Resets => "resets",
        },
        "origin": origin,
        "position": at.map(position),
        "written": source.written,
        "chain": source.chain.iter().map(step).collect::<Vec<_>>(),
        "variables": source.variables.iter().map(Explanation::to_json).collect::<Vec<_>>(),
    })
}

fn step(step: &Step) -> Json {
    json!({ "what": step.what, "position": step.position.as_ref().map(position) })
}

fn usage(used: &Use) -> Json {
    json!({
        "path": used.path,
        "position": used.position.as_ref().map(position),
        "written": used.written,
    })
}

fn position(at: &Position) -> Json {
    json!({ "file": at.file, "line": at.line, "column": at.column })
}
