//! Variables in the values of a file, and the types that values must have
//! once they are in.
//!
//! Specification: "Interpolation". Keys are not interpolated, `x-` values are.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::LazyLock;

use indexmap::{IndexMap, IndexSet};

use super::diag::{Diagnostic, Report, UseKind, did_you_mean, quoted};
use super::schema::limit;
use super::template::{self, Lookup, TemplateError};
use super::trace::Template;
use super::tree::{Mark, Node, Rules, Trail, Value};
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
            match template::substitute(text, self.lookup) {
                Ok((result, unset)) => {
                    let written = std::mem::replace(text, result);
                    if let Some(trace) = &mut self.report.trace {
                        let (variables, defaults) = variables_in(&written, self.lookup);
                        let template = Template {
                            scope: 0, // the trace knows
                            path: self.trail.as_str().to_owned(),
                            text: text.clone(),
                            variables,
                            defaults,
                            written,
                        };
                        trace.template(node.mark, template);
                    }
                    for name in unset {
                        let path = self.trail.as_str();
                        let help = in_command(path)
                            .then(|| format!("`$${name}` leaves it to the shell in the container"));
                        self.report.unset_variable(&name, node.mark, path, help);
                    }
                }
                Err(errors) => {
                    refuse(self.report, node.mark, self.trail.as_str(), &errors);
                    return;
                }
            }
        }
        if let Some(cast) = cast {
            self.cast(node, cast);
        }
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
            Cast::Float => units::parse_float(text).map(Value::Float),
        };
        match value {
            Some(value) => node.value = value,
            None => self.refuse_cast(node, cast),
        }
    }

    fn refuse_cast(&mut self, node: &Node, cast: Cast) {
        let (what, expected) = match cast {
            Cast::Bool => ("a boolean", "`true` or `false`"),
            Cast::Int => ("a whole number", "a whole number, such as `3`"),
            Cast::Float => ("a number", "a decimal number, such as `0.5`"),
        };
        let text = node.as_str().unwrap_or_default();
        let is_too_large = cast == Cast::Float && text.parse::<f64>().is_ok();
        let message = if is_too_large {
            format!("{} is too large for a number", quoted(text))
        } else {
            format!("{} is not {what}", quoted(text))
        };
        let mut diagnostic = self
            .report
            .at(node.mark, self.trail.as_str(), message)
            .expected(expected);
        if cast == Cast::Bool {
            diagnostic.suggestion = did_you_mean(text, ["true", "false"].into_iter());
        } else if !is_too_large && text.replace(',', ".").parse::<f64>().is_ok() {
            diagnostic.suggestion = Some(format!("write `{}`", text.replace(',', ".")));
        } else {
            diagnostic.suggestion = self.meant(text, cast);
        }
        self.report.push(diagnostic);
    }

    /// What a text that is no number may have been meant as.
    fn meant(&self, text: &str, cast: Cast) -> Option<String> {
        let (above, name) = self.trail.as_str().rsplit_once('.')?;
        if above.ends_with(".ulimits") || above.contains(".ulimits.") {
            return limit(text).map(|limit| format!("write `{name}: {limit}`"));
        }
        if let Some(number) = NUMERALS.iter().position(|word| *word == text) {
            return Some(format!("write `{number}`"));
        }
        let processors = of_thousandths(text).filter(|_| cast == Cast::Float)?;
        Some(format!("write `{processors}`"))
    }
}

/// Numbers as words, from 0 on.
const NUMERALS: [&str; 6] = ["zero", "one", "two", "three", "four", "five"];

/// Thousandths of a processor, as Kubernetes has them, as a number of processors.
fn of_thousandths(text: &str) -> Option<String> {
    let thousandths: u32 = text.strip_suffix('m')?.parse().ok()?;
    Some((f64::from(thousandths) / 1000.0).to_string())
}

/// What a use of a variable looks like.
const EXPECTED: &str = "`${NAME}`, a name of letters, digits and `_`, no digit first, perhaps with \
     `:-default`, `:?message` or `:+other` before the brace";

/// What would have been right in the place of a text that cannot be interpolated.
pub(crate) fn expected(error: &TemplateError) -> &'static str {
    match error {
        TemplateError::Invalid { .. } => EXPECTED,
        TemplateError::Missing { .. } => "a value that is not empty",
        TemplateError::TooDeep => "a default that holds no long row of other defaults",
    }
}

/// What to do about a text that cannot be interpolated.
pub(crate) fn advice(error: &TemplateError) -> Option<String> {
    match error {
        TemplateError::Invalid { text } => Some(mended(text)),
        TemplateError::Missing { name, .. } => {
            Some(format!("set it in the environment or in `.env`: {name}=…"))
        }
        TemplateError::TooDeep => None,
    }
}

/// Reports all that is wrong with a value at a mark that cannot be interpolated.
pub(crate) fn refuse(report: &mut Report, value: Mark, path: &str, errors: &[TemplateError]) {
    let all = errors.iter();
    let all = all
        .map(|error| refusal(report, value, path, error))
        .collect();
    report.push_all(all);
}

fn refusal(report: &Report, value: Mark, path: &str, error: &TemplateError) -> Diagnostic {
    let sources = &report.sources;
    let mark = match error {
        TemplateError::Invalid { text } => sources.part(value, text.trim_end_matches('…')),
        TemplateError::Missing { name, .. } => sources.variable(value, name, UseKind::Required),
        TemplateError::TooDeep => value,
    };
    let mut diagnostic = report.at(mark, path, error.to_string());
    // Of the variables, only the one that it is about is of interest: it may be
    // set, but empty.
    diagnostic.chain = sources.chain(value, path);
    let about = match error {
        TemplateError::Missing { name, .. } => format!("`{name}` is empty"),
        _ => String::new(),
    };
    diagnostic.chain.retain(|step| {
        !step.what.starts_with('`') || (!about.is_empty() && step.what.starts_with(&about))
    });
    diagnostic.expected = Some(expected(error).to_owned());
    diagnostic.suggestion = advice(error);
    diagnostic
}

/// What may have been meant by what follows a `${` and is no variable.
fn mended(text: &str) -> String {
    let dollar = "a dollar that is no variable is written `$$`";
    let inner = text.strip_prefix("${").unwrap_or_default();
    let end = inner
        .find(|c: char| c != '_' && !c.is_ascii_alphanumeric())
        .unwrap_or(inner.len());
    let (name, tail) = inner.split_at(end);
    let trimmed = inner.trim_end_matches('}').trim();
    let is_name = |text: &str| {
        let inside = |c: char| c == '_' || c.is_ascii_alphanumeric();
        text.chars().all(inside) && text.starts_with(|c: char| !c.is_ascii_digit())
    };
    if text.ends_with('}') && is_name(trimmed) && trimmed.len() + 1 < inner.len() {
        return format!("write `${{{trimmed}}}`, without spaces");
    }
    let has_name = !name.is_empty() && !name.starts_with(|c: char| c.is_ascii_digit());
    if !has_name {
        return dollar.to_owned();
    }
    if let Some(word) = tail
        .strip_prefix(':')
        .and_then(|tail| tail.strip_suffix('}'))
    {
        if is_slice(word) {
            return format!("write `${text}` to leave it to a shell in the container");
        }
        let word = word.trim_start();
        let word = word.strip_prefix(['=', '-']).unwrap_or(word);
        return format!("a default is written `${{{name}:-{word}}}`");
    }
    if let Some(word) = tail
        .strip_prefix('=')
        .and_then(|tail| tail.strip_suffix('}'))
    {
        return format!("a default is written `${{{name}-{word}}}`");
    }
    if text.ends_with('}') {
        if tail.starts_with(['%', '#', '/', '^', ',', '@', ':']) {
            return format!("write `${text}` to leave it to a shell in the container");
        }
        let letters = trimmed
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' });
        let likely: String = letters.collect();
        return format!("write `${{{likely}}}`, or `${text}` where no variable is meant");
    }
    let operators = [":-", ":?", ":+", "-", "?", "+"];
    let closed = if operators.iter().any(|operator| tail.starts_with(operator)) {
        format!("{}}}", text.trim_end_matches('…'))
    } else {
        format!("${{{name}}}")
    };
    format!("close the brace: `{closed}`; {dollar}")
}

/// True for `START:LENGTH`, which a shell takes for a part of the value.
fn is_slice(word: &str) -> bool {
    let is_number = |text: &str| text.trim().parse::<i64>().is_ok();
    word.split_once(':')
        .is_some_and(|(start, length)| is_number(start) && is_number(length))
}

/// The variables that a text asks for, each once, with the values that they have.
type Asked = Vec<(String, Option<String>)>;

/// The same, and by name the defaults that count.
fn variables_in(text: &str, lookup: &Lookup<'_>) -> (Asked, HashMap<String, IndexSet<String>>) {
    let asked = RefCell::new(IndexMap::new());
    let noted = |name: &str| {
        let value = lookup(name);
        asked.borrow_mut().insert(name.to_owned(), value.clone());
        value
    };
    let mut defaults: HashMap<_, IndexSet<_>> = HashMap::new();
    for (name, value) in template::defaults(text, &noted) {
        defaults.entry(name).or_default().insert(value);
    }
    (asked.into_inner().into_iter().collect(), defaults)
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
