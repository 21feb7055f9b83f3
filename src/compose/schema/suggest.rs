//! What somebody may have meant by a value of the wrong type.

use super::instead::instead;
use super::shape::Shape;
use super::{fits, flow};
use crate::compose::tree::{Map, Node, Value};

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

/// Attributes whose entries are `ONE:OTHER`.
const PAIRS: [&str; 8] = [
    "devices",
    "external_links",
    "extra_hosts",
    "links",
    "ports",
    "security_opt",
    "tmpfs",
    "volumes",
];

/// Attributes whose entries are `NAME=VALUE`, and which may be mappings instead.
const SETTINGS: [&str; 6] = [
    "annotations",
    "args",
    "driver_opts",
    "environment",
    "labels",
    "sysctls",
];

/// Attributes whose entries have neither a space nor a comma in them.
const WORDS: [&str; 9] = [
    "cap_add",
    "cap_drop",
    "depends_on",
    "expose",
    "links",
    "networks",
    "ports",
    "profiles",
    "secrets",
];

/// Numbers below this one are no sizes in bytes that a container could do with: most
/// likely megabytes are meant.
const MOST_MEGABYTES: i128 = 1 << 16;

/// What to do about a value of the wrong type; `text` is how it is written.
pub(super) fn value(node: &Node, text: &str, shape: &Shape, path: &str) -> Option<String> {
    // Where a whole number would do as well, a text is read as one.
    let number_would_do = fits(&Node::new(Value::Int(1), node.mark), shape);
    let text_would_do = fits(&Node::str("", node.mark), shape) && !number_would_do;
    let list_would_do = fits(&Node::seq(Vec::new(), node.mark), shape);
    let mapping_would_do = fits(&Node::map(Map::new(), node.mark), shape);
    let attribute = path.rsplit('.').next().unwrap_or_default();
    if let Some((above, name)) = path.rsplit_once('.')
        && above == "services"
        && super::is_service_attribute(name)
    {
        return Some(format!(
            "`{name}` is an attribute of a service: indent it deeper than the service's name"
        ));
    }
    if let Some(advice) = instead(node, path) {
        return Some(advice);
    }
    match &node.value {
        Value::Time(_) => Some(format!("put it in quotes: \"{text}\"")),
        Value::Int(number) if fits(&Node::bool(true, node.mark), shape) => {
            Some(format!("write `{}`", *number != 0))
        }
        Value::Int(_) | Value::Float(_) if DURATIONS.contains(&attribute) => {
            Some(format!("give it a unit: {}s", node.scalar_text()?))
        }
        Value::Int(number @ 1..MOST_MEGABYTES) if attribute == "memory" && text_would_do => {
            Some(format!("give it a unit, in quotes or not: {number}m"))
        }
        Value::Int(_) | Value::Float(_) | Value::Bool(_) if text_would_do => {
            Some(format!("put it in quotes: \"{text}\""))
        }
        Value::Str(_) if text.starts_with('-') && flagless(text) == text && list_would_do => {
            let entry = text.trim_start_matches('-').split(" -").next();
            let entry = entry.unwrap_or_default().trim();
            Some(format!(
                "a space is missing behind the `-`: write `- {entry}`"
            ))
        }
        Value::Str(_) | Value::Int(_) if list_would_do => Some(in_a_list(text, attribute)),
        Value::Str(_) if mapping_would_do => as_mapping(text),
        Value::Null if mapping_would_do => Some(format!(
            "put its attributes below `{attribute}`, indented deeper than it"
        )),
        Value::Null if list_would_do => Some(format!(
            "put its entries below `{attribute}`, each in a line with `- ` before it; or remove it"
        )),
        Value::Null => Some("give it a value, or remove it".to_owned()),
        Value::Seq(items) if mapping_would_do => entries_as_keys(items, attribute),
        Value::Seq(items) if text_would_do || number_would_do => match items.as_slice() {
            [only] => Some(format!("write it without a list: {}", only.scalar_text()?)),
            _ => None,
        },
        Value::Map(map) if list_would_do => keys_as_entries(map, shape, attribute),
        Value::Map(map) if text_would_do || number_would_do => entry_alone(map, attribute),
        _ => None,
    }
}

/// A text where a list is needed, which may be one of several entries.
fn in_a_list(text: &str, attribute: &str) -> String {
    let text = flagless(text);
    let is_setting = SETTINGS.contains(&attribute);
    if is_setting
        && !text.contains('=')
        && let Some((key, value)) = text.split_once(": ")
    {
        return format!(
            "write `{attribute}: {{{key}: {}}}`",
            flow::scalar(value.trim())
        );
    }
    let words = text.split([',', ' ']).filter(|word| !word.is_empty());
    let words: Vec<&str> = words.collect();
    let is_several = WORDS.contains(&attribute) && !text.contains(['\'', '"'])
        || is_setting && words.iter().all(|word| word.contains('='));
    let entries = if is_several { words } else { vec![text] };
    let entries: Vec<String> = entries.iter().map(|entry| format!("\"{entry}\"")).collect();
    format!("put it in a list: [{}]", entries.join(", "))
}

/// An argument of `docker run` without its flag: `-p 80:80`, `--publish=80:80`.
pub(in crate::compose) fn flagless(text: &str) -> &str {
    let argument = text.split_once([' ', '=']).filter(|(flag, _)| {
        let is_long = flag.strip_prefix("--").is_some_and(|name| name.len() > 1);
        let is_short = flag.len() == 2 && flag.starts_with('-');
        let is_name = |name: &str| name.chars().all(|c| c.is_ascii_alphabetic() || c == '-');
        (is_long || is_short) && is_name(flag) && *flag != "--"
    });
    argument.map_or(text, |(_, argument)| argument.trim())
}

/// A mapping where a text or a number is needed.
fn entry_alone(map: &Map, attribute: &str) -> Option<String> {
    let (key, only) = map.first()?;
    if is_keyed(attribute) {
        return Some(format!(
            "write each entry as a key, without the `- `: `{key}:`, with the rest below it"
        ));
    }
    let text = only.scalar_text().filter(|_| map.len() == 1)?;
    let list = attribute.split('[').next().unwrap_or_default();
    Some(if list == attribute {
        format!("write the value alone: {attribute}: {text}")
    } else if PAIRS.contains(&list) {
        format!("write it without the space: `- \"{key}:{text}\"`")
    } else if SETTINGS.contains(&list) {
        format!("write `- {key}={text}`, or take the `- ` before each entry away")
    } else {
        format!("put the entry in quotes: `- \"{key}: {text}\"`")
    })
}

/// True for an item of a list of names that can be a mapping as well.
fn is_keyed(item: &str) -> bool {
    let list = item.split('[').next().unwrap_or_default();
    item != list && ["depends_on", "networks", "models"].contains(&list)
}

/// A text where a mapping is needed.
fn as_mapping(text: &str) -> Option<String> {
    let (key, value) = text.split_once(':')?;
    (!key.contains(' '))
        .then(|| format!("a space is missing behind the colon: write `{key}: {value}`"))
}

/// A list where a mapping is needed.
fn entries_as_keys(items: &[Node], attribute: &str) -> Option<String> {
    match &items.first()?.value {
        Value::Str(name) => match name.split_once('=').or_else(|| name.split_once(':')) {
            Some((key, value)) => Some(format!(
                "write each entry as a key, without the `- `: `{key}: {}`",
                value.trim()
            )),
            None => Some(format!(
                "write each entry as a key below `{attribute}`, without the `- `: `{name}:`"
            )),
        },
        Value::Map(map) => {
            let (key, child) = map.first()?;
            // A list of things with names is a mapping by their names.
            if let Some(name) = map.get("name").and_then(Node::as_str) {
                return Some(format!(
                    "write the name as a key with the rest below it, without the `- `: `{name}:`"
                ));
            }
            let value = child.scalar_text().unwrap_or_else(|| "…".to_owned());
            Some(format!(
                "take the `- ` before each entry away: `{key}: {value}`"
            ))
        }
        _ => None,
    }
}

/// A mapping where a list is needed.
fn keys_as_entries(map: &Map, shape: &Shape, attribute: &str) -> Option<String> {
    let (key, child) = map.first()?;
    let known =
        |object: &&super::shape::Object| object.attributes.iter().any(|(name, _)| name == key);
    if item_object(shape).as_ref().is_some_and(known) {
        return Some(format!(
            "put a `- ` before `{key}:`, and indent the rest as that"
        ));
    }
    let text = child
        .scalar_text()
        .filter(|_| PAIRS.contains(&attribute) || !matches!(child.value, Value::Bool(_)));
    Some(match (text, attribute) {
        (Some(text), "ports") if !key.contains(|c: char| c.is_ascii_digit()) => format!(
            "write each port with a `- `: `- \"{text}\"`; a port's name is `name:` of the long form"
        ),
        (Some(text), _) if PAIRS.contains(&attribute) => {
            format!("write each entry with a `- `: `- \"{key}:{text}\"`")
        }
        (Some(text), _) => format!("write each entry with a `- `: `- \"{text}\"`"),
        (None, _) => format!("write each entry with a `- `: `- {key}`"),
    })
}

/// The mapping that a list's items can be.
fn item_object(shape: &Shape) -> Option<&'static super::shape::Object> {
    match shape {
        Shape::List(items) | Shape::Set(items) => object_of(items),
        Shape::Either(shapes) => shapes.iter().find_map(|shape| item_object(shape)),
        _ => None,
    }
}

fn object_of(shape: &Shape) -> Option<&'static super::shape::Object> {
    match shape {
        Shape::Object(object) => Some(object),
        Shape::Either(shapes) => shapes.iter().find_map(|shape| object_of(shape)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::compose::{LoadOptions, Memory, load};

    #[test]
    fn a_small_number_for_memory_is_given_a_unit() {
        for (written, help) in [
            ("512", "give it a unit, in quotes or not: 512m"),
            ("536870912", "put it in quotes: \"536870912\""),
        ] {
            let limits = format!("{{limits: {{memory: {written}}}}}");
            let text = format!("services: {{a: {{image: x, deploy: {{resources: {limits}}}}}}}");
            let files = Memory::from([("/p/compose.yaml", text)]);
            let options = LoadOptions {
                cwd: "/p".into(),
                ..LoadOptions::default()
            };
            let found = load(&options, &files).unwrap_err().list.remove(0);
            assert_eq!(found.suggestion.as_deref(), Some(help));
        }
    }
}
