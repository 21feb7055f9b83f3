//! A diagnostic as data, for tools. `docs/diagnostics.md` has the format.

use serde_json::{Value as Json, json};

use super::{Diagnostic, Position, Severity, Step};

impl Diagnostic {
    /// The diagnostic as a JSON object. All keys are always there; what is not
    /// known is `null`.
    pub fn json(&self) -> Json {
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        let excerpt = self.excerpt.as_ref();
        json!({
            "severity": severity,
            "message": self.message,
            "path": self.path,
            "file": self.position.as_ref().map(file),
            "line": self.position.as_ref().map(|at| at.line),
            "column": self.position.as_ref().map(|at| at.column),
            "end": excerpt.map(|excerpt| excerpt.end),
            "excerpt": excerpt.map(|excerpt| &excerpt.text),
            "expected": self.expected,
            "suggestion": self.suggestion,
            "chain": self.chain.iter().map(step).collect::<Vec<_>>(),
        })
    }
}

fn step(step: &Step) -> Json {
    json!({
        "what": step.what,
        "file": step.position.as_ref().map(file),
        "line": step.position.as_ref().map(|at| at.line),
        "column": step.position.as_ref().map(|at| at.column),
    })
}

fn file(position: &Position) -> String {
    position.file.to_string_lossy().into_owned()
}
