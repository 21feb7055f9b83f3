//! What somebody may have meant by an attribute that is not there: another
//! name, or another place.

use super::shape::Object;
use crate::compose::diag::{is_invisible, similar};
use crate::compose::tree::{Node, Trail, Value};

/// Attributes that people look for in another place or under another name: the
/// mapping they were written in (a path below `services.NAME`, or `SECTION.*`),
/// the name, and where it is.
const ELSEWHERE: &[(&str, &str, &str)] = &[
    ("", "args", "build.args"),
    ("", "cmd", "command"),
    ("", "condition", "depends_on.SERVICE.condition"),
    ("", "context", "build.context"),
    ("", "cpu", "cpus"),
    ("", "dockerfile", "build.dockerfile"),
    ("", "driver", "logging.driver"),
    ("", "env", "environment"),
    ("", "envs", "environment"),
    ("", "health", "healthcheck"),
    ("", "interval", "healthcheck.interval"),
    ("", "limits", "deploy.resources.limits"),
    ("", "log_driver", "logging.driver"),
    ("", "log_opt", "logging.options"),
    ("", "memory", "mem_limit"),
    ("", "memory_limit", "mem_limit"),
    ("", "mounts", "volumes"),
    ("", "name", "container_name"),
    ("", "net", "network_mode"),
    ("", "placement", "deploy.placement"),
    ("", "replicas", "deploy.replicas"),
    ("", "reservations", "deploy.resources.reservations"),
    ("", "resources", "deploy.resources"),
    ("", "restart_policy", "deploy.restart_policy"),
    ("", "retries", "healthcheck.retries"),
    ("", "rollback_config", "deploy.rollback_config"),
    ("", "start_period", "healthcheck.start_period"),
    ("", "test", "healthcheck.test"),
    ("", "timeout", "healthcheck.timeout"),
    ("", "update_config", "deploy.update_config"),
    ("", "volume", "volumes"),
    ("", "watch", "develop.watch"),
    ("", "workdir", "working_dir"),
    ("build", "file", "dockerfile"),
    ("build", "path", "context"),
    ("deploy", "condition", "restart_policy.condition"),
    ("deploy", "cpus", "resources.limits.cpus"),
    ("deploy", "limits", "resources.limits"),
    ("deploy", "memory", "resources.limits.memory"),
    ("deploy", "reservations", "resources.reservations"),
    ("deploy.resources", "cpus", "limits.cpus"),
    ("deploy.resources", "memory", "limits.memory"),
    ("deploy.resources.limits", "mem_limit", "memory"),
    ("deploy.restart_policy", "max_retries", "max_attempts"),
    ("healthcheck", "cmd", "test"),
    ("healthcheck", "command", "test"),
    ("logging", "max-file", "options.max-file"),
    ("logging", "max-size", "options.max-size"),
    ("networks.*", "gateway", "ipam.config[0].gateway"),
    ("networks.*", "subnet", "ipam.config[0].subnet"),
    ("volumes.*", "device", "driver_opts.device"),
    ("volumes.*", "o", "driver_opts.o"),
    ("volumes.*", "type", "driver_opts.type"),
];

/// What to do about an attribute that is not one of the mapping's.
pub(super) fn attribute(
    name: &str,
    child: &Node,
    object: &Object,
    trail: &Trail,
    services: &[String],
) -> Option<String> {
    let path = trail.as_str();
    let known = || object.attributes.iter().map(|(known, _)| *known);
    if let Some(text) = odd_character(name) {
        return Some(text);
    }
    if let Some(place) = place(path, name) {
        return Some(format!("did you mean `{}`?", nested(place)));
    }
    let depth = path.matches('.').count();
    let of_service = super::is_service_attribute(name);
    let in_service = path.starts_with("services.");
    if in_service && depth > 2 && of_service {
        let service: Vec<&str> = path.split('.').take(2).collect();
        let service = service.join(".");
        return Some(format!(
            "`{name}` is an attribute of the service: indent it less, as {service}.{name}"
        ));
    }
    if super::is_top_attribute(name) {
        return Some(format!(
            "`{name}` belongs to the top level: do not indent it"
        ));
    }
    if let Some(similar) = similar(name, known()) {
        return Some(format!("did you mean `{similar}`?"));
    }
    if in_service
        && depth == 2
        && let Some(above) = path.split('.').nth(1)
        && super::is_service_attribute(above)
    {
        return Some(format!(
            "`{above}` is an attribute of a service: indent it, with this, deeper than the service's name"
        ));
    }
    if depth == 0 {
        if is_service(child) {
            return Some(format!(
                "a service goes below `services:`: indent it deeper, as services.{name}"
            ));
        }
        if name == "service" || name == "containers" {
            return Some("did you mean `services`?".to_owned());
        }
        return of_service.then(|| match services {
            [only] => format!(
                "`{name}` is an attribute of a service: indent it deeper, as services.{only}.{name}"
            ),
            _ => format!(
                "`{name}` is an attribute of a service: put it below one, as services.NAME.{name}"
            ),
        });
    }
    if in_service && is_service(child) {
        return Some(format!(
            "a service goes below `services:` alone: indent it less, as services.{name}"
        ));
    }
    None
}

/// What was expected where nothing is like the name.
pub(super) fn expected(object: &Object) -> Option<String> {
    /// More than these are not listed.
    const MOST_LISTED: usize = 12;
    let names: Vec<&str> = object.attributes.iter().map(|(name, _)| *name).collect();
    if names.len() <= MOST_LISTED {
        return Some(format!("one of {}", names.join(", ")));
    }
    object.extensions.then(|| {
        "an attribute of the Compose specification, or one of your own that begins with `x-`"
            .to_owned()
    })
}

fn place(path: &str, name: &str) -> Option<&'static str> {
    let (parent, _) = path.rsplit_once('.')?;
    let mut parts = parent.splitn(3, '.');
    let section = parts.next()?;
    parts.next()?;
    let below = parts.next().unwrap_or_default();
    let context = match section {
        "services" => below.to_owned(),
        section if below.is_empty() => format!("{section}.*"),
        _ => return None,
    };
    ELSEWHERE
        .iter()
        .find(|(at, wrong, _)| *at == context && *wrong == name)
        .map(|(_, _, place)| *place)
}

/// A place as it can be written: `deploy.replicas` as `deploy: {replicas: …}`.
fn nested(place: &str) -> String {
    let Some((first, rest)) = place.split_once('.') else {
        return place.to_owned();
    };
    match first.strip_suffix("[0]") {
        Some(list) => format!("{list}: [{{{}}}]", member(rest)),
        None => format!("{first}: {{{}}}", member(rest)),
    }
}

fn member(place: &str) -> String {
    if place.contains('.') {
        nested(place)
    } else {
        format!("{place}: …")
    }
}

/// A name with a character that looks like a space, or like nothing.
fn odd_character(name: &str) -> Option<String> {
    let odd = |c: &char| (c.is_whitespace() && *c != ' ') || is_invisible(*c);
    let c = name.chars().find(odd)?;
    let bare: String = name.chars().filter(|c| !odd(c)).collect();
    Some(format!(
        "there is a character U+{:04X} in it that looks like a space or like nothing: \
         type `{bare}` anew, with plain spaces before it",
        u32::from(c)
    ))
}

fn is_service(node: &Node) -> bool {
    match &node.value {
        Value::Map(map) => map.contains_key("image") || map.contains_key("build"),
        _ => false,
    }
}
