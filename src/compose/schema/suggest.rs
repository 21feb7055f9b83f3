//! What somebody may have meant by a name that is not there.

use super::fits;
use super::shape::Shape;
use crate::compose::tree::{Node, Trail, Value};

/// Attributes of a service that people look for elsewhere or under another
/// name.
const ELSEWHERE: [(&str, &str); 16] = [
    ("args", "build.args"),
    ("cmd", "command"),
    ("context", "build.context"),
    ("dockerfile", "build.dockerfile"),
    ("env", "environment"),
    ("envs", "environment"),
    ("limits", "deploy.resources.limits"),
    ("log_driver", "logging.driver"),
    ("log_opt", "logging.options"),
    ("memory", "mem_limit"),
    ("net", "network_mode"),
    ("replicas", "deploy.replicas"),
    ("resources", "deploy.resources"),
    ("restart_policy", "deploy.restart_policy"),
    ("update_config", "deploy.update_config"),
    ("watch", "develop.watch"),
];

/// Longest name that others are compared with.
const LONGEST_NAME: usize = 100;

/// The name most like `name`, if one is like it at all.
pub(crate) fn similar<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    if name.len() > LONGEST_NAME {
        return None; // to compare it takes as long as both are, multiplied
    }
    let most = (name.chars().count() / 3).max(1);
    known
        .filter(|candidate| candidate.len() <= LONGEST_NAME)
        .map(|candidate| (strsim::damerau_levenshtein(name, candidate), candidate))
        .filter(|(distance, _)| *distance <= most)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Attributes that are durations, which need a unit.
const DURATIONS: [&str; 8] = [
    "delay",
    "interval",
    "monitor",
    "start_interval",
    "start_period",
    "stop_grace_period",
    "timeout",
    "window",
];

/// What to do about a value of the wrong type; `text` is how it is written.
pub(super) fn value(node: &Node, text: &str, shape: &Shape, path: &str) -> Option<String> {
    // Where a whole number would do as well, a text is read as one.
    let number_would_do = fits(&Node::new(Value::Int(1), node.mark), shape);
    let text_would_do = fits(&Node::str("", node.mark), shape) && !number_would_do;
    let attribute = path.rsplit('.').next().unwrap_or_default();
    match &node.value {
        Value::Time(_) => Some(format!("put it in quotes: \"{text}\"")),
        Value::Int(number) if fits(&Node::bool(true, node.mark), shape) => {
            Some(format!("write `{}`", *number != 0))
        }
        Value::Int(_) | Value::Float(_) if DURATIONS.contains(&attribute) => {
            Some(format!("give it a unit: {}s", node.scalar_text()?))
        }
        Value::Int(_) | Value::Float(_) | Value::Bool(_) if text_would_do => {
            Some(format!("put it in quotes: \"{text}\""))
        }
        Value::Str(_) | Value::Int(_) if fits(&Node::seq(Vec::new(), node.mark), shape) => {
            Some(format!("put it in a list: [\"{text}\"]"))
        }
        _ => None,
    }
}

/// What to do about an unknown attribute.
pub(super) fn attribute<'a>(
    name: &str,
    child: &Node,
    known: impl Iterator<Item = &'a str>,
    trail: &Trail,
) -> Option<String> {
    let depth = trail.as_str().matches('.').count();
    if depth == 0 && is_service(child) {
        return Some(format!("a service goes below `services:`: services.{name}"));
    }
    if depth == 2
        && trail.as_str().starts_with("services.")
        && let Some((_, place)) = ELSEWHERE.iter().find(|(wrong, _)| *wrong == name)
    {
        return Some(format!("did you mean `{place}`?"));
    }
    if let Some(similar) = similar(name, known) {
        return Some(format!("did you mean `{similar}`?"));
    }
    let is_services = name == "service" || name == "containers";
    (depth == 0 && is_services).then(|| "did you mean `services`?".to_owned())
}

fn is_service(node: &Node) -> bool {
    match &node.value {
        Value::Map(map) => map.contains_key("image") || map.contains_key("build"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn similar_names_are_found() {
        let known = ["image", "environment", "volumes", "ports"];
        for (name, found) in [
            ("imgae", Some("image")),
            ("enviroment", Some("environment")),
            ("port", Some("ports")),
            ("zebra", None),
        ] {
            assert_eq!(similar(name, known.into_iter()), found, "{name}");
        }
    }
}
