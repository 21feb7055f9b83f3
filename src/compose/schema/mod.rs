//! The shape of a Compose file: which attributes there are and of what type,
//! stated as tables, and the check of a tree against them.
//!
//! All errors of a tree are reported, and what is wrong is taken out of it, so
//! that later stages can look for errors of their own in what is left.

mod common;
mod deploy;
mod elsewhere;
mod flow;
mod instead;
mod parts;
mod patterns;
mod service;
mod shape;
mod suggest;
mod top;

use std::collections::HashMap;

use self::shape::{Names, Object, Pattern, Shape, Type};
use super::diag::{Allowed, Report, quoted, similar};
use super::tree::{Map, Node, Trail, Value};

/// Checks a whole tree; false where something was wrong.
pub(crate) fn check(tree: &mut Node, report: &mut Report) -> bool {
    let services = tree.get("services").and_then(Node::as_map);
    let services = services
        .into_iter()
        .flat_map(|map| map.keys())
        .take(2)
        .cloned();
    let mut checker = Checker {
        services: services.collect(),
        report,
        trail: Trail::default(),
        sound: true,
    };
    checker.node(tree, top::TOP);
    checker.sound
}

pub(super) use instead::limit;
pub(super) use suggest::flagless;

/// True for the name of an attribute of a service.
fn is_service_attribute(name: &str) -> bool {
    has_attribute(service::SERVICE, name)
}

/// True for the name of an attribute of a file.
fn is_top_attribute(name: &str) -> bool {
    has_attribute(top::TOP, name)
}

/// The attribute of a service that is most like a name.
pub(super) fn near_service_attribute(name: &str) -> Option<&'static str> {
    let Shape::Object(object) = service::SERVICE else {
        return None;
    };
    similar(name, object.attributes.iter().map(|(known, _)| *known))
}

fn has_attribute(shape: &Shape, name: &str) -> bool {
    match shape {
        Shape::Object(object) => object.attributes.iter().any(|(known, _)| *known == name),
        _ => false,
    }
}

struct Checker<'a> {
    /// Names of services, two at most: what is said of the only one.
    services: Vec<String>,
    report: &'a mut Report,
    trail: Trail,
    sound: bool,
}

impl Checker<'_> {
    /// True where the node can stay.
    fn node(&mut self, node: &mut Node, shape: &Shape) -> bool {
        match shape {
            Shape::Any => true,
            Shape::Is(types) => {
                types.iter().any(|kind| is_type(node, *kind)) || self.wrong_type(node, shape)
            }
            Shape::OneOf(values) => match node.as_str() {
                Some(text) if values.contains(&text) => true,
                _ => self.wrong_value(node, shape, values),
            },
            Shape::Matching(pattern) => match node.as_str() {
                Some(text) => (pattern.matches)(text) || self.mismatch(node, pattern),
                None => self.wrong_type(node, shape),
            },
            Shape::Range(low, high) => match whole(node) {
                Some(value) if (*low..=*high).contains(&value) => true,
                Some(_) => self.out_of_range(node, shape),
                None => self.wrong_type(node, shape),
            },
            Shape::List(items) => self.list(node, shape, items, false),
            Shape::Set(items) => self.list(node, shape, items, true),
            Shape::Map(names, values) => self.mapping(node, shape, *names, values),
            Shape::Object(object) => self.object(node, shape, object),
            Shape::Either(shapes) => match shapes.iter().find(|shape| fits(node, shape)) {
                Some(shape) => self.node(node, shape),
                None => self.wrong_type(node, shape),
            },
        }
    }

    fn wrong_type(&mut self, node: &Node, shape: &Shape) -> bool {
        if self.has_stand_in(node) {
            self.sound = false;
            return false;
        }
        let written = self.written(node);
        let message = match (&node.value, &written) {
            (Value::Time(text), _) => format!("`{text}` is read as a date"),
            (Value::Null, _) => "has no value".to_owned(),
            (_, None) => format!("is {}", node.kind()),
            // As a number without a fraction it would be a whole one.
            (Value::Float(number), Some(text))
                if number.fract() == 0.0 && whole(node).is_none() =>
            {
                format!("`{text}` is too large a number")
            }
            (_, Some(text)) => format!("{} is {}", quoted(text), node.kind()),
        };
        let mut diagnostic = self
            .report
            .at(node.place(), self.trail.as_str(), message)
            .expected(shape.describe());
        let written = written.unwrap_or_default();
        if !self.report.is_full() {
            diagnostic.suggestion = suggest::value(node, &written, shape, self.trail.as_str());
        }
        if let Value::Time(text) = &node.value
            && fits(&Node::str(text.as_str(), node.mark), shape)
        {
            diagnostic = diagnostic.allowed(Allowed::Date);
        }
        self.report.push(diagnostic);
        self.sound = false;
        false
    }

    /// True for a mapping with a key that was refused: where none is wanted, or another
    /// key, that follows from it.
    fn has_stand_in(&self, node: &Node) -> bool {
        let mut children = node.as_map().into_iter().flatten();
        self.report.has_stand_ins() && children.any(|(_, child)| self.report.is_stand_in(child.key))
    }

    /// A scalar as the file has it.
    fn written(&self, node: &Node) -> Option<String> {
        let number = match node.value {
            Value::Int(_) | Value::Float(_) => self.report.sources.number(node.mark),
            _ => None,
        };
        number.or_else(|| node.scalar_text())
    }

    fn out_of_range(&mut self, node: &Node, shape: &Shape) -> bool {
        let text = self.written(node).unwrap_or_default();
        let diagnostic = self
            .report
            .at(
                node.mark,
                self.trail.as_str(),
                format!("`{text}` is out of range"),
            )
            .expected(shape.describe());
        self.report.push(diagnostic);
        self.sound = false;
        false
    }

    fn wrong_value(&mut self, node: &Node, shape: &Shape, values: &[&str]) -> bool {
        let message = super::model::shown(node, "is not one of the values");
        let mut diagnostic = self
            .report
            .at(node.place(), self.trail.as_str(), message)
            .expected(shape.describe());
        if let Some(similar) = node
            .as_str()
            .and_then(|text| similar(text, values.iter().copied()))
        {
            diagnostic = diagnostic.suggest(format!("did you mean `{similar}`?"));
        } else if !self.report.is_full() {
            diagnostic.suggestion = instead::instead(node, self.trail.as_str());
        }
        self.report.push(diagnostic);
        self.sound = false;
        false
    }

    fn mismatch(&mut self, node: &Node, pattern: &Pattern) -> bool {
        let message = super::model::shown(
            node,
            if pattern.words.is_empty() {
                "does not have the form that is needed"
            } else {
                "is not one of the values"
            },
        );
        let mut diagnostic = self
            .report
            .at(node.mark, self.trail.as_str(), message)
            .expected(pattern.expected);
        let text = node.as_str().unwrap_or_default();
        if let Some(similar) = similar(text, pattern.words.iter().copied()) {
            diagnostic = diagnostic.suggest(format!("did you mean `{similar}`?"));
        }
        self.report.push(diagnostic);
        self.sound = false;
        false
    }

    fn list(&mut self, node: &mut Node, shape: &Shape, items: &Shape, unique: bool) -> bool {
        let Value::Seq(list) = &mut node.value else {
            return self.wrong_type(node, shape);
        };
        for (index, item) in list.iter_mut().enumerate() {
            let before = self.trail.index(index);
            if !self.node(item, items) {
                // The others keep their places.
                item.value = Value::Null;
            }
            self.trail.leave(before);
        }
        if unique {
            self.no_doubles(list);
        }
        true
    }

    fn no_doubles(&mut self, list: &[Node]) {
        let mut known: HashMap<String, usize> = HashMap::new();
        // A number counts as the same as a text before it, not the other way round.
        let mut texts: HashMap<i128, usize> = HashMap::new();
        for (index, item) in list.iter().enumerate() {
            let text = match &item.value {
                Value::Null => continue,
                Value::Int(number) => texts.get(number).copied(),
                Value::Str(text) => {
                    if let Ok(number) = text.parse() {
                        texts.entry(number).or_insert(index);
                    }
                    None
                }
                _ => None,
            };
            let name = format!("{:?}", item.value);
            let earlier = known.insert(name, index).or(text);
            let Some(earlier) = earlier.and_then(|at| list.get(at)) else {
                continue;
            };
            let before = self.trail.index(index);
            // What was taken out of two may have been all that told them apart.
            if self.report.is_broken(self.trail.as_str()) {
                self.trail.leave(before);
                continue;
            }
            let message = match item.scalar_text() {
                Some(text) => format!("{} is in this list twice", quoted(&text)),
                None => "is in this list twice".to_owned(),
            };
            let mut diagnostic = self
                .report
                .at(item.place(), self.trail.as_str(), message)
                .suggest("remove one of the two");
            self.report
                .also(&mut diagnostic, "the first one is", earlier.mark);
            self.trail.leave(before);
            self.report.push(diagnostic);
            self.sound = false;
        }
    }

    fn mapping(&mut self, node: &mut Node, shape: &Shape, names: Names, values: &Shape) -> bool {
        let Value::Map(map) = &mut node.value else {
            return self.wrong_type(node, shape);
        };
        map.retain(|name, child| {
            let before = self.trail.key(name);
            let keep = if is_name(name, names) {
                // The name stays, so that what refers to it is not refused, too.
                if !self.node(child, values) && !matches!(names, Names::Any | Names::AnyOrUnseen) {
                    child.value = Value::Map(Map::new());
                }
                true
            } else if names.lets_pass() {
                true
            } else {
                self.bad_name(name, child);
                false
            };
            self.trail.leave(before);
            keep
        });
        true
    }

    fn bad_name(&mut self, name: &str, child: &Node) {
        let message = format!("{} is not a valid name", quoted(name));
        let mut diagnostic = self
            .report
            .at(child.key, self.trail.as_str(), message)
            .expected("letters, digits, `.`, `_` and `-`");
        let valid = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        let mended: String = name
            .trim()
            .chars()
            .map(|c| if valid(c) { c } else { '-' })
            .collect();
        let parts: Vec<&str> = mended.split('-').filter(|part| !part.is_empty()).collect();
        let mended = parts.join("-");
        if mended.chars().any(|c| c != '-') {
            diagnostic = diagnostic.suggest(format!("write `{mended}`"));
        }
        self.report.push(diagnostic);
        self.sound = false;
    }

    fn object(&mut self, node: &mut Node, shape: &Shape, object: &Object) -> bool {
        let (mark, key) = (node.mark, node.key);
        let has_stand_in = self.has_stand_in(node);
        let Value::Map(map) = &mut node.value else {
            return self.wrong_type(node, shape);
        };
        if has_stand_in {
            self.sound = false;
        } else if let Some(help) = instead::split_entry(map, self.trail.as_str(), object) {
            let message = "is a mapping, because of the space behind the colon";
            let diagnostic = self
                .report
                .at(node.place(), self.trail.as_str(), message)
                .expected("a text")
                .suggest(help);
            self.report.push(diagnostic);
            self.sound = false;
            return false;
        }
        for name in object.required {
            if !map.contains_key(*name) {
                self.sound = false;
                let is_misspelt = |key: &String| {
                    let is_known = object.attributes.iter().any(|(known, _)| known == key);
                    !is_known && similar(key, std::iter::once(*name)).is_some()
                };
                if has_stand_in || map.keys().any(is_misspelt) {
                    continue; // that is what is going to be told
                }
                let message = format!("`{name}` is missing");
                let place = if mark.length == 0 { key } else { mark };
                let mut diagnostic = self.report.at(place, self.trail.as_str(), message);
                diagnostic.expected = missing(name, object);
                let subject = self.trail.as_str();
                let (above, last) = subject.rsplit_once('.').unwrap_or(("", subject));
                let above = above.rsplit('.').next().unwrap_or_default();
                let own = instead::missing(name, map, self.trail.as_str());
                let example = || missing_example(name, object, (above, last));
                diagnostic.suggestion = Some(own.unwrap_or_else(example));
                self.report.push(diagnostic);
            }
        }
        map.retain(|name, child| {
            let before = self.trail.key(name);
            let known = object
                .attributes
                .binary_search_by(|(known, _)| (*known).cmp(name.as_str()))
                .ok()
                .and_then(|at| object.attributes.get(at));
            let keep = match known {
                Some((_, shape)) => self.node(child, shape),
                None if object.open || (object.extensions && name.starts_with("x-")) => true,
                None => {
                    self.unknown(name, child, object);
                    false
                }
            };
            self.trail.leave(before);
            keep
        });
        true
    }

    fn unknown(&mut self, name: &str, child: &Node, object: &Object) {
        let message = format!("{} is not an attribute here", quoted(name));
        let mut diagnostic = self.report.at(child.key, self.trail.as_str(), message);
        if !self.report.is_full() {
            diagnostic.suggestion =
                elsewhere::attribute(name, child, object, &self.trail, &self.services);
        }
        if diagnostic.suggestion.is_none() {
            diagnostic.expected = elsewhere::expected(object);
        }
        self.report.push(diagnostic);
        self.sound = false;
    }
}

/// What a missing attribute would be.
fn missing(name: &str, object: &Object) -> Option<String> {
    let (_, shape) = object.attributes.iter().find(|(known, _)| *known == name)?;
    Some(format!("`{name}:`, {}", shape.describe()))
}

/// What attributes stand for whose type says nothing, by what they are below:
/// what to write, and what it is.
const MEANINGS: [(&str, &str, &str); 2] = [
    (
        "provider",
        "type: NAME",
        "the name of the program that sets the service up and takes it down",
    ),
    (
        "models",
        "model: NAMESPACE/NAME",
        "where the model is in a registry, as an image has its name",
    ),
];

/// How to add a missing attribute; `subject` is the key of the mapping that lacks
/// it, behind the one above that.
fn missing_example(name: &str, object: &Object, (above, subject): (&str, &str)) -> String {
    let is_meant = |(key, line, _): &&(&str, &str, &str)| {
        line.split(':').next() == Some(name) && (*key == subject || *key == above)
    };
    if let Some((_, line, meaning)) = MEANINGS.iter().find(is_meant) {
        return format!("add a line below `{subject}:`: `{line}`, {meaning}");
    }
    match object.attributes.iter().find(|(known, _)| *known == name) {
        Some((_, Shape::OneOf([first, ..]))) => {
            format!("add `{name}: {first}`, or another of these")
        }
        Some((_, Shape::List(_) | Shape::Set(_))) => format!("add `{name}: […]`"),
        _ => format!("add `{name}: …`"),
    }
}

/// True for a whole number, a float without a fraction included.
fn whole(node: &Node) -> Option<i128> {
    match node.value {
        Value::Int(value) => Some(value),
        Value::Float(value) if value.fract() == 0.0 => {
            super::units::whole_part(value).map(i128::from)
        }
        _ => None,
    }
}

fn is_type(node: &Node, kind: Type) -> bool {
    match kind {
        Type::Null => node.is_null(),
        Type::Bool => matches!(node.value, Value::Bool(_)),
        Type::Integer => whole(node).is_some(),
        Type::Number => matches!(node.value, Value::Int(_) | Value::Float(_)),
        Type::Str => matches!(node.value, Value::Str(_)),
    }
}

/// True where a node is of the kind that a shape is about: what picks the
/// alternative whose errors are reported.
fn fits(node: &Node, shape: &Shape) -> bool {
    match shape {
        Shape::Any => true,
        Shape::Is(types) => types.iter().any(|kind| is_type(node, *kind)),
        Shape::OneOf(_) | Shape::Matching(_) => matches!(node.value, Value::Str(_)),
        Shape::Range(..) => matches!(node.value, Value::Int(_)) || whole(node).is_some(),
        Shape::List(_) | Shape::Set(_) => matches!(node.value, Value::Seq(_)),
        Shape::Map(..) | Shape::Object(_) => matches!(node.value, Value::Map(_)),
        Shape::Either(shapes) => shapes.iter().any(|shape| fits(node, shape)),
    }
}

fn is_name(name: &str, names: Names) -> bool {
    match names {
        Names::Any | Names::AnyOrUnseen => !name.is_empty(),
        Names::Resource | Names::ResourceOrUnseen => {
            let valid = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
            !name.is_empty() && name.bytes().all(valid)
        }
        Names::LettersOrUnseen => !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase()),
    }
}

#[cfg(test)]
mod tests;
