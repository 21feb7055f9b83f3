//! `$NAME` in a command is replaced when the file is read, not by the shell in
//! the container.

use std::collections::HashSet;

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
    let Some(trace) = linter.trace else {
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
                let template = trace.template_of(text.mark, 0)?;
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
    let plain = plain_names(&template.written);
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
        if found.len() < super::MOST && plain.contains(variable.as_str()) {
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

/// The names that stand in a text as `$NAME` or `${NAME}`: who writes a default
/// has the file's variables in mind.
fn plain_names(written: &str) -> HashSet<&str> {
    let mut names = HashSet::new();
    let mut rest = written;
    while let Some((_, after)) = rest.split_once('$') {
        if let Some(escaped) = after.strip_prefix('$') {
            rest = escaped;
            continue;
        }
        rest = after;
        let inner = after.strip_prefix('{').unwrap_or(after);
        let is_name = |c: char| c == '_' || c.is_ascii_alphanumeric();
        let end = inner.find(|c| !is_name(c)).unwrap_or(inner.len());
        let (name, tail) = inner.split_at(end);
        let has_brace = inner.len() != after.len();
        if !name.is_empty() && (!has_brace || tail.starts_with('}')) {
            names.insert(name);
        }
    }
    names
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_a_default_and_escaped_ones_are_not_plain() {
        let names = plain_names("$A ${B} ${C:-$D} $$E $${F} ${G?}$H_1- $");
        let expected = HashSet::from(["A", "B", "D", "H_1"]);
        assert_eq!(names, expected);
    }
}
