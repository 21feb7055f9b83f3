//! Variables in the values of a file, and the types that values must have
//! once they are in.
//!
//! Specification: "Interpolation". Keys are not interpolated, `x-` values are.

use std::cell::RefCell;
use std::sync::LazyLock;

use indexmap::IndexMap;

use super::diag::Report;
use super::template::{self, Lookup, TemplateError};
use super::trace::Template;
use super::tree::{Node, Rules, Trail, Value};
use super::units;

/// The type that a string is turned into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cast {
    Bool,
    Int,
    Float,
}

/// Which attributes are turned into numbers and booleans when they are given
/// as strings, as variables always are.
static CASTS: LazyLock<Rules<Cast>> = LazyLock::new(|| {
    use Cast::{Bool, Float, Int};
    Rules::new(&[
        ("services.*.cpu_count", Int),
        ("services.*.cpu_percent", Float),
        ("services.*.cpu_period", Int),
        ("services.*.cpu_quota", Int),
        ("services.*.cpu_rt_period", Int),
        ("services.*.cpu_rt_runtime", Int),
        ("services.*.cpus", Float),
        ("services.*.cpu_shares", Int),
        ("services.*.init", Bool),
        ("services.*.deploy.replicas", Int),
        ("services.*.deploy.update_config.parallelism", Int),
        ("services.*.deploy.update_config.max_failure_ratio", Float),
        ("services.*.deploy.rollback_config.parallelism", Int),
        ("services.*.deploy.rollback_config.max_failure_ratio", Float),
        ("services.*.deploy.restart_policy.max_attempts", Int),
        ("services.*.deploy.placement.max_replicas_per_node", Int),
        ("services.*.healthcheck.retries", Int),
        ("services.*.healthcheck.disable", Bool),
        ("services.*.oom_kill_disable", Bool),
        ("services.*.oom_score_adj", Int),
        ("services.*.pids_limit", Int),
        ("services.*.ports.*.target", Int),
        ("services.*.privileged", Bool),
        ("services.*.read_only", Bool),
        ("services.*.scale", Int),
        ("services.*.stdin_open", Bool),
        ("services.*.tty", Bool),
        ("services.*.ulimits.*", Int),
        ("services.*.ulimits.*.hard", Int),
        ("services.*.ulimits.*.soft", Int),
        ("services.*.volumes.*.read_only", Bool),
        ("services.*.volumes.*.volume.nocopy", Bool),
        ("networks.*.external", Bool),
        ("networks.*.internal", Bool),
        ("networks.*.attachable", Bool),
        ("networks.*.enable_ipv4", Bool),
        ("networks.*.enable_ipv6", Bool),
        ("volumes.*.external", Bool),
        ("secrets.*.external", Bool),
        ("configs.*.external", Bool),
    ])
});

/// Interpolates a file's tree in place.
pub(crate) fn interpolate(tree: &mut Node, lookup: &Lookup<'_>, report: &mut Report) {
    let mut walk = Walk {
        lookup,
        report,
        trail: Trail::default(),
    };
    walk.node(tree, Some(&CASTS));
}

struct Walk<'a> {
    lookup: &'a Lookup<'a>,
    report: &'a mut Report,
    trail: Trail,
}

impl Walk<'_> {
    fn node(&mut self, node: &mut Node, casts: Option<&Rules<Cast>>) {
        match &mut node.value {
            Value::Map(map) => {
                for (key, child) in map {
                    let before = self.trail.key(key);
                    self.node(child, casts.and_then(|casts| casts.key(key)));
                    self.trail.leave(before);
                }
            }
            Value::Seq(items) => {
                for (index, child) in items.iter_mut().enumerate() {
                    let before = self.trail.index(index);
                    self.node(child, casts.and_then(Rules::item));
                    self.trail.leave(before);
                }
            }
            Value::Str(_) => self.text(node, casts.and_then(Rules::rule)),
            Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Time(_) => {}
        }
    }

    fn text(&mut self, node: &mut Node, cast: Option<Cast>) {
        let Value::Str(text) = &mut node.value else {
            return;
        };
        if text.contains('$') {
            let asked = RefCell::new(IndexMap::new());
            let lookup = |name: &str| {
                let value = (self.lookup)(name);
                asked.borrow_mut().insert(name.to_owned(), value.clone());
                value
            };
            match template::substitute(text, &lookup) {
                Ok((result, unset)) => {
                    let written = std::mem::replace(text, result.clone());
                    if let Some(trace) = &mut self.report.trace {
                        let template = Template {
                            path: self.trail.as_str().to_owned(),
                            text: result,
                            written,
                            variables: asked.into_inner().into_iter().collect(),
                        };
                        // An alias repeats what was there before.
                        trace.templates.entry(node.mark).or_insert(template);
                    }
                    let mark = node.mark;
                    for name in unset {
                        self.unset(&name, mark);
                    }
                }
                Err(error) => {
                    self.refuse(node, &error);
                    return;
                }
            }
        }
        if let Some(cast) = cast {
            self.cast(node, cast);
        }
    }

    fn unset(&mut self, name: &str, mark: super::tree::Mark) {
        let message = format!("the variable `{name}` is not set, it is taken as empty");
        let told = self.report.list.iter().any(|d| d.message == message);
        if !told {
            let mut warning = self.report.at(mark, self.trail.as_str(), message);
            let leave = in_command(self.trail.as_str())
                .then(|| format!("`$${name}` leaves it to the shell in the container"));
            let help: Vec<String> = leave
                .into_iter()
                .chain(self.report.unset_help.clone())
                .collect();
            warning.suggestion = (!help.is_empty()).then(|| help.join("; "));
            self.report.push_warning(warning);
        }
    }

    fn refuse(&mut self, node: &Node, error: &TemplateError) {
        let diagnostic = self
            .report
            .at(node.mark, self.trail.as_str(), error.to_string());
        self.report.push(match error {
            TemplateError::Invalid { .. } => diagnostic
                .expected("`${NAME}`, with `:-default`, `:?message` or `:+other` before the brace")
                .suggest("a dollar that is no variable is written `$$`"),
            TemplateError::Missing { name, .. } => {
                diagnostic.suggest(format!("set it in the environment or in `.env`: {name}=…"))
            }
            TemplateError::TooDeep => diagnostic,
        });
    }

    fn cast(&mut self, node: &mut Node, cast: Cast) {
        let Value::Str(text) = &node.value else {
            return;
        };
        let value = match cast {
            Cast::Bool => {
                let value = units::parse_boolean(text);
                if let Some(value) = value.filter(|_| !is_true_or_false(text)) {
                    let message = format!("`{text}` is no boolean of YAML 1.2");
                    let warning = self
                        .report
                        .at(node.mark, self.trail.as_str(), message)
                        .suggest(format!("write `{value}`"));
                    self.report.push_warning(warning);
                }
                value.map(Value::Bool)
            }
            Cast::Int => text
                .parse::<i64>()
                .ok()
                .map(|value| Value::Int(value.into())),
            Cast::Float => text.parse::<f64>().ok().map(Value::Float),
        };
        match value {
            Some(value) => node.value = value,
            None => self.refuse_cast(node, cast),
        }
    }

    fn refuse_cast(&mut self, node: &Node, cast: Cast) {
        let (what, expected) = match cast {
            Cast::Bool => ("a boolean", "`true` or `false`"),
            Cast::Int => ("a whole number", "digits, perhaps with a sign"),
            Cast::Float => ("a number", "a decimal number"),
        };
        let text = node.as_str().unwrap_or_default();
        let message = format!("`{text}` is not {what}");
        let diagnostic = self
            .report
            .at(node.mark, self.trail.as_str(), message)
            .expected(expected);
        self.report.push(diagnostic);
    }
}

/// True for the attributes whose text a shell in the container reads.
fn in_command(path: &str) -> bool {
    let Some(rest) = path.strip_prefix("services.") else {
        return false;
    };
    let end = rest.rfind('[').filter(|_| rest.ends_with(']'));
    let attribute = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
    [".command", ".entrypoint", ".healthcheck.test"]
        .iter()
        .any(|name| attribute.ends_with(name))
}

fn is_true_or_false(text: &str) -> bool {
    text.eq_ignore_ascii_case("true") || text.eq_ignore_ascii_case("false")
}
