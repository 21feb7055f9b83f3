//! What the engine cannot do yet, said before anything is done: every service,
//! attribute and position at once.
//!
//! [`table`] has the standing of each attribute of the Compose specification.
//! It is what refusals are made from, and what `docs/compose-support.md` prints,
//! so that the two cannot differ.

mod addresses;
mod crowded;
mod replicas;
mod table;
mod unreadable;

use serde_json::Value;

use crate::compose::{Diagnostic, Project, Severity, did_you_mean, listed};

pub use addresses::wrong_addresses;
pub use crowded::{crowded_ports, doubled_ports};
pub use replicas::too_many_containers;
use table::{ROWS, Row, Standing, Verdict};

/// Everything about these services, and what they use, that is refused
/// (errors) or has no effect (warnings), by attribute, in the table's order.
pub fn refusals(project: &Project, services: &[&String]) -> Vec<Diagnostic> {
    let model = project.canonical_json();
    let mut found = Vec::new();
    for row in ROWS {
        let mut places = Vec::new();
        let pattern: Vec<&str> = segments(row.path);
        find(&model, &pattern, String::new(), &mut places);
        for (path, value) in places {
            let of_service = path.strip_prefix("services.");
            let meant = of_service.is_none_or(|rest| {
                services.iter().any(|name| {
                    rest.strip_prefix(name.as_str())
                        .is_some_and(|rest| rest.starts_with('.'))
                })
            });
            if meant {
                found.extend(row.verdict(value).diagnostic(project, &path));
            }
        }
    }
    found
}

impl Row {
    fn verdict(&self, value: &Value) -> Verdict {
        match (self.check, self.standing) {
            (Some(check), _) => check(value),
            (None, Standing::Refused) => Verdict::Refuse(self.note.to_owned()),
            (None, Standing::Warned) => Verdict::Warn(self.note.to_owned()),
            (None, Standing::Works | Standing::Partly) => Verdict::Fine,
        }
    }
}

impl Verdict {
    fn diagnostic(self, project: &Project, path: &str) -> Option<Diagnostic> {
        match self {
            Self::Fine => None,
            Self::Refuse(reason) => Some(project.diagnostic(path, reason)),
            Self::NoneOf(known, reason) => {
                let wrong = reason.split('`').nth(1).unwrap_or_default();
                let meant = did_you_mean(wrong, known.iter().copied());
                let mut diagnostic = project.diagnostic(path, reason);
                diagnostic.expected = Some(listed(known));
                diagnostic.suggestion = meant;
                Some(diagnostic)
            }
            Self::Warn(reason) => {
                let mut diagnostic = project.diagnostic(path, reason);
                diagnostic.severity = Severity::Warning;
                Some(diagnostic)
            }
        }
    }
}

/// `services.*.ports[].mode` as keys, with `[]` for the items of a list.
fn segments(path: &str) -> Vec<&str> {
    path.split('.')
        .flat_map(|part| match part.strip_suffix("[]") {
            Some(name) => vec![name, "[]"],
            None => vec![part],
        })
        .collect()
}

/// All places of a tree that a pattern means and that say something.
fn find<'v>(
    value: &'v Value,
    pattern: &[&str],
    path: String,
    found: &mut Vec<(String, &'v Value)>,
) {
    let Some((first, rest)) = pattern.split_first() else {
        if says_something(value) {
            found.push((path, value));
        }
        return;
    };
    let below = |key: &str| {
        if path.is_empty() {
            key.to_owned()
        } else {
            format!("{path}.{key}")
        }
    };
    match (*first, value) {
        ("[]", Value::Array(items)) => {
            for (index, item) in items.iter().enumerate() {
                find(item, rest, format!("{path}[{index}]"), found);
            }
        }
        ("*", Value::Object(map)) => {
            for (key, child) in map {
                find(child, rest, below(key), found);
            }
        }
        (key, Value::Object(map)) => {
            if let Some(child) = map.get(key) {
                find(child, rest, below(key), found);
            }
        }
        _ => {}
    }
}

/// Null, false and what is empty is how the canonical form says "not set".
fn says_something(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::Array(items) => !items.is_empty(),
        Value::Object(map) => map.values().any(says_something),
        Value::String(text) => !text.is_empty(),
        Value::Bool(true) | Value::Number(_) => true,
    }
}

/// The whole of `docs/compose-support.md`.
pub fn support_table() -> String {
    let mut text = String::from(
        "# What skiff does with each attribute of the Compose specification\n\n\
         Made from the code (`src/reconcile/refuse/table.rs`); a test holds it to the \
         specification's schema.\n\n\
         - **works**: has its effect.\n\
         - **partly**: has its effect for some values; others are refused or warned of.\n\
         - **warning**: is accepted, has no effect, and `up` says so.\n\
         - **refused**: `up`, `run` and `create` refuse it, with its place in the file. \
         `config` accepts it.\n\n\
         A row stands for everything below it that has no row of its own; `*` is any name, \
         `[]` any item of a list. `x-` attributes are accepted everywhere.\n\n\
         | attribute | standing | remarks |\n|---|---|---|\n",
    );
    for row in ROWS {
        let standing = match row.standing {
            Standing::Works => "works",
            Standing::Partly => "partly",
            Standing::Warned => "warning",
            Standing::Refused => "refused",
        };
        text.push_str("| `");
        text.push_str(row.path);
        text.push_str("` | ");
        text.push_str(standing);
        text.push_str(" | ");
        text.push_str(row.note);
        text.push_str(" |\n");
    }
    text.push_str(
        "\n## What `config` prints and cannot read again\n\n\
         `skiff config` prints what `docker compose config` prints. Of these, neither of the two \
         can read that as the same model.\n\n\
         | written | what becomes of it |\n|---|---|\n",
    );
    for case in unreadable::CASES {
        text.push_str(&format!("| {} | {} |\n", case.written, case.becomes));
    }
    text
}

#[cfg(test)]
mod tests;
