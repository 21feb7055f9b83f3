//! `$NAME` in a command is replaced when the file is read, not by the shell in
//! the container.

use super::Linter;
use crate::compose::diag::Diagnostic;
use crate::compose::model::Service;
use crate::compose::trace::Template;
use crate::compose::tree::{Node, Value};

/// Attributes that are commands, or have them below.
const COMMANDS: [&str; 6] = [
    "command",
    "entrypoint",
    "healthcheck.test",
    "post_start",
    "pre_stop",
    "pre_start",
];

/// Variables that a shell has of its own.
const SHELLS_OWN: [&str; 9] = [
    "HOME", "HOSTNAME", "OLDPWD", "PATH", "PPID", "PWD", "RANDOM", "SHELL", "USER",
];

/// Variables in commands that the container has itself.
pub(super) fn eaten(linter: &Linter<'_>) -> Vec<Diagnostic> {
    let Some(trace) = &linter.project.origin.trace else {
        return Vec::new();
    };
    let mut hints = Vec::new();
    for (name, service) in &linter.project.services {
        for attribute in COMMANDS {
            let mut texts = Vec::new();
            if let Some(node) = linter.attribute(name, attribute) {
                strings(node, &mut texts);
            }
            let templates = texts.into_iter().filter_map(|text| {
                let template = trace.templates.get(&text.mark)?;
                Some((text, template))
            });
            for (text, template) in templates {
                let path = format!("services.{name}.{attribute}");
                if hints.len() >= super::MOST {
                    return hints;
                }
                for (message, help) in eaten_here(template, service) {
                    hints.push(linter.hint(text.mark, &path, message).suggest(help));
                }
            }
        }
    }
    hints
}

/// What there is to say of one text.
fn eaten_here(template: &Template, service: &Service) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for (variable, value) in &template.variables {
        // One that is not set was told already.
        let Some(value) = value else {
            continue;
        };
        let own = service.environment.0.get(variable);
        let whose = if own.is_some_and(|own| own.as_ref() != Some(value)) {
            "the service sets"
        } else if SHELLS_OWN.contains(&variable.as_str()) {
            "the shell has"
        } else {
            continue;
        };
        if found.len() < super::MOST && is_plain(template, variable) {
            let message = format!(
                "`${variable}` is replaced when the file is read, by `{value}`; \
                 {whose} a `{variable}` of its own in the container"
            );
            found.push((
                message,
                format!("`$${variable}` leaves it to the container"),
            ));
        }
    }
    found
}

/// True for `$NAME` and `${NAME}`: who writes a default has the file's variables
/// in mind.
fn is_plain(template: &Template, variable: &str) -> bool {
    let written = &template.written;
    let bare = format!("${variable}");
    let ends = |rest: &str| !rest.starts_with(|c: char| c == '_' || c.is_ascii_alphanumeric());
    let is_bare = written
        .match_indices(&bare)
        .any(|(at, _)| written.get(at + bare.len()..).is_some_and(ends));
    is_bare || written.contains(&format!("${{{variable}}}"))
}

fn strings<'n>(node: &'n Node, out: &mut Vec<&'n Node>) {
    match &node.value {
        Value::Str(_) => out.push(node),
        Value::Seq(items) => items.iter().for_each(|item| strings(item, out)),
        Value::Map(map) => {
            if let Some(command) = map.get("command") {
                strings(command, out);
            }
        }
        _ => {}
    }
}
