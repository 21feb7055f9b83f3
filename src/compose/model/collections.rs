//! Lists and mappings that the specification allows in several forms.

use indexmap::IndexMap;

use super::record::{Cx, Emit, Form, Parse};
use crate::compose::diag::quoted;
use crate::compose::limits::MOST_WORDS;
use crate::compose::printed::Printed;
use crate::compose::shell;
use crate::compose::tree::{Node, Value};

/// A command line, word by word. Empty is not the same as absent: it clears
/// what the image has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Argv(pub Vec<String>);

impl std::ops::Deref for Argv {
    type Target = [String];

    fn deref(&self) -> &[String] {
        &self.0
    }
}

impl Parse for Argv {
    fn parse(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        match &node.value {
            Value::Str(text) => match shell::split(text, cx.words.left()) {
                Ok(None) => cx.fail(
                    node,
                    format!("the commands up to this one have more than {MOST_WORDS} words"),
                    "fewer words: what is so long belongs into a file that is mounted",
                ),
                Ok(Some(words)) => {
                    cx.words.take(words.len());
                    Some(Self(words))
                }
                Err(message) => cx.fail(
                    node,
                    message,
                    "a command line as for a shell, or a list of words: [\"sh\", \"-c\", \"…\"]",
                ),
            },
            Value::Seq(_) => Vec::parse(node, cx).map(Self),
            _ => cx.fail(node, format!("is {}", node.kind()), "a string or a list"),
        }
    }
}

impl Emit for Argv {
    fn value(&self, form: Form) -> Printed {
        self.0.value(form)
    }

    fn null_when_absent(form: Form) -> bool {
        form == Form::Json
    }
}

/// `KEY=VALUE` pairs where the value may be absent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Variables(pub IndexMap<String, Option<String>>);

impl std::ops::Deref for Variables {
    type Target = IndexMap<String, Option<String>>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl Parse for Variables {
    fn parse(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let mut variables = IndexMap::new();
        let mut is_sound = true;
        match &node.value {
            Value::Map(map) => {
                for (key, child) in map {
                    variables.insert(key.clone(), child.scalar_text());
                }
            }
            Value::Seq(items) => {
                for (index, item) in items.iter().enumerate() {
                    let text = item.scalar_text().unwrap_or_default();
                    let (key, value) = split_pair(&text, '=');
                    if key.ends_with(char::is_whitespace) {
                        let before = cx.trail.index(index);
                        let message = format!("the variable `{key}` has a space before its `=`");
                        let written = value.as_deref().unwrap_or_default();
                        let diagnostic = cx
                            .diagnostic(item.mark, message)
                            .expected("NAME=VALUE without a space around the `=`")
                            .suggest(format!(
                                "write `{}={}`",
                                key.trim_end(),
                                written.trim_start()
                            ));
                        cx.trail.leave(before);
                        cx.report.push(diagnostic);
                        is_sound = false;
                    }
                    variables.insert(key, value);
                }
            }
            _ => return cx.fail(node, format!("is {}", node.kind()), "a mapping or a list"),
        }
        is_sound.then_some(Self(variables))
    }
}

impl Emit for Variables {
    fn value(&self, form: Form) -> Printed {
        sorted(&self.0, form, |value| {
            value.clone().map_or(Printed::Null, Printed::String)
        })
    }

    fn omit(&self, _form: Form) -> bool {
        self.0.is_empty()
    }
}

/// Labels: `KEY=VALUE` pairs where an absent value is empty. The reference takes
/// `x-` keys out of these and all such mappings of the user's names, and puts one
/// label `#extensions` in their place; here they are labels like others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Labels(pub IndexMap<String, String>);

impl std::ops::Deref for Labels {
    type Target = IndexMap<String, String>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl Parse for Labels {
    fn parse(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let pairs = match &node.value {
            Value::Map(map) => map
                .iter()
                .map(|(key, child)| (key.clone(), child.scalar_text().unwrap_or_default()))
                .collect(),
            Value::Seq(items) => items
                .iter()
                .map(|item| {
                    let text = item.scalar_text().unwrap_or_default();
                    let (key, value) = split_pair(&text, '=');
                    (key, value.unwrap_or_default())
                })
                .collect(),
            _ => return cx.fail(node, format!("is {}", node.kind()), "a mapping or a list"),
        };
        Some(Self(pairs))
    }
}

impl Emit for Labels {
    fn value(&self, form: Form) -> Printed {
        sorted(&self.0, form, |value| Printed::String(value.clone()))
    }

    fn omit(&self, _form: Form) -> bool {
        self.0.is_empty()
    }
}

/// Options that are handed on as they are: text by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OptionsMap(pub IndexMap<String, String>);

impl std::ops::Deref for OptionsMap {
    type Target = IndexMap<String, String>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl Parse for OptionsMap {
    fn parse(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let Some(map) = node.as_map() else {
            return cx.fail(node, format!("is {}", node.kind()), "a mapping");
        };
        let text =
            |(key, child): (&String, &Node)| (key.clone(), child.scalar_text().unwrap_or_default());
        Some(Self(map.iter().map(text).collect()))
    }
}

impl Emit for OptionsMap {
    fn value(&self, form: Form) -> Printed {
        sorted(&self.0, form, |value| Printed::String(value.clone()))
    }

    fn omit(&self, _form: Form) -> bool {
        self.0.is_empty()
    }
}

/// `extra_hosts`: addresses by host name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExtraHosts(pub IndexMap<String, Vec<String>>);

impl std::ops::Deref for ExtraHosts {
    type Target = IndexMap<String, Vec<String>>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl Parse for ExtraHosts {
    fn parse(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let mut hosts: IndexMap<String, Vec<String>> = IndexMap::new();
        match &node.value {
            Value::Map(map) => {
                for (host, child) in map {
                    let addresses = match &child.value {
                        Value::Seq(items) => items
                            .iter()
                            .map(|item| item.scalar_text().unwrap_or_default())
                            .collect(),
                        _ => vec![child.scalar_text().unwrap_or_default()],
                    };
                    if cx.at(host, |cx| check_host(host, child, cx)).is_some() {
                        hosts.insert(host.clone(), addresses);
                    }
                }
            }
            Value::Seq(items) => {
                for (index, item) in items.iter().enumerate() {
                    let text = item.scalar_text().unwrap_or_default();
                    let split = cx.item(index, |cx| split_host(&text, item, cx));
                    if let Some((host, addresses)) = split {
                        hosts.entry(host).or_default().extend(addresses);
                    }
                }
            }
            _ => return cx.fail(node, format!("is {}", node.kind()), "a mapping or a list"),
        }
        for address in hosts.values_mut().flatten() {
            if let Some(bare) = address
                .strip_prefix('[')
                .and_then(|rest| rest.strip_suffix(']'))
                .filter(|bare| !bare.is_empty())
            {
                *address = bare.to_owned();
            }
        }
        Some(Self(hosts))
    }
}

/// Splits `host=address`, or `host:address` as older files have it.
fn split_host(text: &str, item: &Node, cx: &mut Cx<'_>) -> Option<(String, Vec<String>)> {
    let Some((host, addresses)) = text.split_once('=').or_else(|| text.split_once(':')) else {
        let message = format!("{} has no address", quoted(text));
        let mut diagnostic = cx
            .diagnostic(item.place(), message)
            .expected("HOST=ADDRESS, such as `db=10.0.0.7`");
        let words: Vec<&str> = text.split_whitespace().collect();
        diagnostic.suggestion = match words.as_slice() {
            [host, address] => Some(format!("write `{host}={address}`")),
            _ => None,
        };
        cx.report.push(diagnostic);
        return None;
    };
    check_host(host, item, cx)?;
    let addresses = addresses.split(',').map(str::to_owned).collect();
    Some((host.to_owned(), addresses))
}

fn check_host(host: &str, node: &Node, cx: &mut Cx<'_>) -> Option<()> {
    if host.is_empty() || host.contains([':', '=']) {
        return cx.fail(
            node,
            match host {
                "" => "there is no host name before the address".to_owned(),
                host => format!("{} is not a host name", quoted(host)),
            },
            "HOST=ADDRESS, such as `db=10.0.0.7`",
        );
    }
    Some(())
}

impl Emit for ExtraHosts {
    fn value(&self, _form: Form) -> Printed {
        let mut list: Vec<String> = self
            .0
            .iter()
            .flat_map(|(host, addresses)| {
                addresses
                    .iter()
                    .map(move |address| format!("{host}={address}"))
            })
            .collect();
        list.sort();
        Printed::Array(list.into_iter().map(Printed::String).collect())
    }

    fn omit(&self, _form: Form) -> bool {
        self.0.is_empty()
    }
}

/// Splits a pair at its first separator.
fn split_pair(text: &str, separator: char) -> (String, Option<String>) {
    match text.split_once(separator) {
        Some((key, value)) => (key.to_owned(), Some(value.to_owned())),
        None => (text.to_owned(), None),
    }
}

fn sorted<T>(map: &IndexMap<String, T>, form: Form, value: impl Fn(&T) -> Printed) -> Printed {
    Printed::Object(
        form.ordered(map)
            .into_iter()
            .map(|(key, item)| (key.clone(), value(item)))
            .collect(),
    )
}
