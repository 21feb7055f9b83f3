//! What somebody may have meant by an attribute that is not there: another
//! name, or another place.

use super::flow::{flow, text};
use super::instead::{Context, http, probe};
use super::shape::Object;
use crate::compose::diag::{is_invisible, similar};
use crate::compose::tree::{Node, Trail, Value};

/// Attributes that people look for in another place or under another name, as flags
/// of `docker run` and Kubernetes have them: the mapping they were written in (a path
/// below `services.NAME`, or `SECTION.*`), the name, and where it is. A `-` in the
/// name may be a `_` here.
const ELSEWHERE: &[(&str, &str, &str)] = &[
    ("", "add_host", "extra_hosts"),
    ("", "aliases", "networks.default.aliases"),
    ("", "args", "build.args"),
    ("", "cmd", "command"),
    ("", "condition", "depends_on.SERVICE.condition"),
    ("", "containerPort", "ports"),
    ("", "context", "build.context"),
    ("", "cpu", "cpus"),
    ("", "cpu_limit", "cpus"),
    ("", "dockerfile", "build.dockerfile"),
    ("", "driver", "logging.driver"),
    ("", "e", "environment"),
    ("", "env", "environment"),
    ("", "envs", "environment"),
    ("", "h", "hostname"),
    ("", "health", "healthcheck"),
    ("", "health_cmd", "healthcheck.test"),
    ("", "health_interval", "healthcheck.interval"),
    ("", "health_retries", "healthcheck.retries"),
    ("", "health_start_period", "healthcheck.start_period"),
    ("", "health_timeout", "healthcheck.timeout"),
    ("", "hosts", "extra_hosts"),
    ("", "i", "stdin_open"),
    ("", "interactive", "stdin_open"),
    ("", "interval", "healthcheck.interval"),
    ("", "ip", "networks.default.ipv4_address"),
    ("", "ip6", "networks.default.ipv6_address"),
    ("", "ip_address", "networks.default.ipv4_address"),
    ("", "ipv4_address", "networks.default.ipv4_address"),
    ("", "ipv6_address", "networks.default.ipv6_address"),
    ("", "limits", "deploy.resources.limits"),
    ("", "livenessProbe", "healthcheck.test"),
    ("", "log_driver", "logging.driver"),
    ("", "log_opt", "logging.options"),
    ("", "log_opts", "logging.options"),
    ("", "max_file", "logging.options.max-file"),
    ("", "max_size", "logging.options.max-size"),
    ("", "memory", "mem_limit"),
    ("", "memory_limit", "mem_limit"),
    ("", "memory_reservation", "mem_reservation"),
    ("", "memory_swap", "memswap_limit"),
    ("", "mount", "volumes"),
    ("", "mounts", "volumes"),
    ("", "name", "container_name"),
    ("", "needs", "depends_on"),
    ("", "net", "network_mode"),
    ("", "network_alias", "networks.default.aliases"),
    ("", "network_aliases", "networks.default.aliases"),
    ("", "p", "ports"),
    ("", "placement", "deploy.placement"),
    ("", "publish", "ports"),
    ("", "readinessProbe", "healthcheck.test"),
    ("", "replicas", "deploy.replicas"),
    ("", "reservations", "deploy.resources.reservations"),
    ("", "resources", "deploy.resources"),
    ("", "restartPolicy", "restart"),
    ("", "restart_policy", "deploy.restart_policy"),
    ("", "retries", "healthcheck.retries"),
    ("", "rollback_config", "deploy.rollback_config"),
    ("", "run", "command"),
    ("", "script", "command"),
    ("", "start_period", "healthcheck.start_period"),
    ("", "startupProbe", "healthcheck.test"),
    ("", "stop_timeout", "stop_grace_period"),
    ("", "t", "tty"),
    ("", "test", "healthcheck.test"),
    ("", "timeout", "healthcheck.timeout"),
    ("", "update_config", "deploy.update_config"),
    ("", "v", "volumes"),
    ("", "volume", "volumes"),
    ("", "volumeMounts", "volumes"),
    ("", "w", "working_dir"),
    ("", "watch", "develop.watch"),
    ("", "workdir", "working_dir"),
    ("build", "file", "dockerfile"),
    ("build", "path", "context"),
    ("configs[]", "file", "source"),
    ("configs[]", "path", "target"),
    ("deploy", "condition", "restart_policy.condition"),
    ("deploy", "cpus", "resources.limits.cpus"),
    ("deploy", "limits", "resources.limits"),
    ("deploy", "memory", "resources.limits.memory"),
    ("deploy", "reservations", "resources.reservations"),
    ("deploy.resources", "cpus", "limits.cpus"),
    ("deploy.resources", "memory", "limits.memory"),
    ("deploy.resources", "requests", "reservations"),
    ("deploy.resources.limits", "cpu", "cpus"),
    ("deploy.resources.limits", "mem_limit", "memory"),
    ("deploy.resources.reservations", "cpu", "cpus"),
    ("deploy.restart_policy", "max_retries", "max_attempts"),
    ("devices[]", "path", "source"),
    ("healthcheck", "cmd", "test"),
    ("healthcheck", "command", "test"),
    ("healthcheck", "exec", "test"),
    ("healthcheck", "period", "interval"),
    ("logging", "max-file", "options.max-file"),
    ("logging", "max-size", "options.max-size"),
    ("networks.*", "gateway", "ipam.config[0].gateway"),
    ("networks.*", "subnet", "ipam.config[0].subnet"),
    ("ports[]", "container", "target"),
    ("ports[]", "containerPort", "target"),
    ("ports[]", "container_port", "target"),
    ("ports[]", "host", "published"),
    ("ports[]", "hostPort", "published"),
    ("ports[]", "host_port", "published"),
    ("ports[]", "ip", "host_ip"),
    ("ports[]", "port", "target"),
    ("ports[]", "targetPort", "target"),
    ("secrets[]", "file", "source"),
    ("secrets[]", "path", "target"),
    ("volumes.*", "device", "driver_opts.device"),
    ("volumes.*", "o", "driver_opts.o"),
    ("volumes.*", "type", "driver_opts.type"),
    ("volumes[]", "container", "target"),
    ("volumes[]", "destination", "target"),
    ("volumes[]", "dst", "target"),
    ("volumes[]", "from", "source"),
    ("volumes[]", "host", "source"),
    ("volumes[]", "hostPath", "source"),
    ("volumes[]", "mountPath", "target"),
    ("volumes[]", "name", "source"),
    ("volumes[]", "path", "target"),
    ("volumes[]", "ro", "read_only"),
    ("volumes[]", "src", "source"),
    ("volumes[]", "to", "target"),
];

/// What is said on the command line, or nowhere, by the name that people give it in a
/// service; `NAME` is the service's.
const NOT_HERE: [(&str, &str); 7] = [
    (
        "rm",
        "remove it: `skiff run --rm NAME` runs a container that goes with its end",
    ),
    (
        "d",
        "remove it: `skiff up -d NAME` starts it in the background",
    ),
    (
        "detach",
        "remove it: `skiff up -d NAME` starts it in the background",
    ),
    (
        "it",
        "write `stdin_open: true` and `tty: true`, each in a line of its own",
    ),
    (
        "metadata",
        "remove it: the key above is the service's name; `labels:` are for the rest",
    ),
    (
        "spec",
        "remove it: its attributes stand below the service's name",
    ),
    (
        "namespace",
        "remove it: `name:` at the top level names the project",
    ),
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
    let parent = path
        .strip_suffix(name)
        .and_then(|path| path.strip_suffix('.'));
    let context = parent.and_then(Context::of);
    if let Some(context) = &context {
        if context.below == "healthcheck"
            && name == "httpGet"
            && let Some(test) = http(child)
        {
            return Some(format!("write `test: {test}`"));
        }
        if let Some(place) = place(context, name) {
            return Some(put(place, name, child));
        }
        let here = NOT_HERE
            .iter()
            .filter(|_| context.section == "services" && context.below.is_empty());
        if let Some((_, help)) = here.into_iter().find(|(known, _)| *known == name) {
            return Some(help.replace("NAME", context.owner));
        }
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

fn place(context: &Context<'_>, name: &str) -> Option<&'static str> {
    let within = match context.section {
        "services" => context.below.clone(),
        section if context.below.is_empty() => format!("{section}.*"),
        _ => return None,
    };
    let is_name = |known: &str| known == name || known == name.replace('-', "_");
    ELSEWHERE
        .iter()
        .find(|(at, wrong, _)| *at == within && is_name(wrong))
        .map(|(_, _, place)| *place)
}

/// True for a name that is another one in a mapping of this kind.
pub(super) fn is_elsewhere(within: &str, name: &str) -> bool {
    ELSEWHERE
        .iter()
        .any(|(at, wrong, _)| *at == within && *wrong == name)
}

/// Attributes whose value is a list, which people give one entry.
const LISTS: [&str; 8] = [
    "aliases",
    "depends_on",
    "environment",
    "extra_hosts",
    "ports",
    "secrets",
    "configs",
    "volumes",
];

/// How to write an attribute in its place, with the value that it has.
fn put(place: &str, name: &str, child: &Node) -> String {
    if name.ends_with("Probe")
        && let Some(help) = probe(child)
    {
        return help;
    }
    let last = place.rsplit('.').next().unwrap_or_default();
    let value = match &child.value {
        Value::Str(policy) if place == "restart" => {
            Some(policy.to_ascii_lowercase()).filter(|policy| policy == "always")
        }
        Value::Map(_) | Value::Seq(_) if name.ends_with("Probe") => None,
        Value::Map(_) | Value::Seq(_) => flow(child),
        _ if LISTS.contains(&last) => child
            .scalar_text()
            .map(|value| format!("[{}]", text(&value))),
        _ => flow(child),
    };
    let is_list = LISTS.contains(&last) && !matches!(child.value, Value::Map(_) | Value::Seq(_));
    match value {
        Some(value) if is_list || place.contains('.') || place == "restart" => {
            format!("write `{}`", nested(place, &value))
        }
        _ if place.contains('.') => format!("did you mean `{}`?", nested(place, "…")),
        _ => format!("did you mean `{place}`?"),
    }
}

/// A place as it can be written: `deploy.replicas` as `deploy: {replicas: …}`.
fn nested(place: &str, value: &str) -> String {
    let Some((first, rest)) = place.split_once('.') else {
        return format!("{place}: {value}");
    };
    match first.strip_suffix("[0]") {
        Some(list) => format!("{list}: [{{{}}}]", nested(rest, value)),
        None => format!("{first}: {{{}}}", nested(rest, value)),
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
