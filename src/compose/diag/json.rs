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
        let (file, line, column) = place_json(self.position.as_ref());
        json!({
            "severity": severity,
            "message": self.message,
            "path": self.path,
            "file": file,
            "line": line,
            "column": column,
            "end": excerpt.map(|excerpt| excerpt.end),
            "excerpt": excerpt.map(|excerpt| &excerpt.text),
            "expected": self.expected,
            "suggestion": self.suggestion,
            "note": self.note,
            "chain": self.chain.iter().map(step_json).collect::<Vec<_>>(),
            "output": self.output,
        })
    }
}

/// A step of a chain, here and in explanations.
pub(crate) fn step_json(step: &Step) -> Json {
    let (file, line, column) = place_json(step.position.as_ref());
    json!({ "what": step.what, "file": file, "line": line, "column": column })
}

/// `file`, `line` and `column` of a place.
pub(crate) fn place_json(at: Option<&Position>) -> (Json, Json, Json) {
    at.map_or((Json::Null, Json::Null, Json::Null), |at| {
        let file = at.file.to_string_lossy().into_owned();
        (file.into(), at.line.into(), at.column.into())
    })
}
