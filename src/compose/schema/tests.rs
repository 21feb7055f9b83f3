//! The tables are held to the specification's JSON schema: `specification.txt`
//! has what that says of each attribute, in our own notation.
//!
//! `SKIFF_COMPOSE_SCHEMA=compose-spec.json` (from compose-spec/compose-go,
//! `schema/`) compares the list with a schema, and writes it anew where they
//! differ.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;

use super::shape::{Object, Shape, Type};
use super::top;

/// What the schema of July 2026 says, in our notation.
const SPECIFICATION: &str = include_str!("specification.txt");

/// What may stand at each path: types, the values of an enumeration, `x-` where
/// extensions may stand, `any key` where others may.
type Facts = BTreeMap<String, BTreeSet<String>>;

fn add(facts: &mut Facts, path: &str, fact: impl Into<String>) {
    facts
        .entry(path.to_owned())
        .or_default()
        .insert(fact.into());
}

fn below(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

/// What a table says.
fn of_shape(shape: &Shape, path: &str, facts: &mut Facts) {
    match shape {
        Shape::Any => add(facts, path, "anything"),
        Shape::Is(types) => {
            for kind in *types {
                let name = match kind {
                    Type::Null => "null",
                    Type::Bool => "boolean",
                    Type::Integer => "integer",
                    Type::Number => "number",
                    Type::Str => "string",
                };
                add(facts, path, name);
            }
        }
        Shape::OneOf(values) => {
            for value in *values {
                add(facts, path, format!("\"{value}\""));
            }
        }
        Shape::Matching(_) => add(facts, path, "string of a pattern"),
        Shape::Range(low, high) => {
            let high = if *high == i128::MAX {
                String::new()
            } else {
                high.to_string()
            };
            add(facts, path, format!("integer {low}..{high}"));
        }
        Shape::List(items) | Shape::Set(items) => {
            let is_set = matches!(shape, Shape::Set(_));
            add(facts, path, if is_set { "set" } else { "list" });
            of_shape(items, &format!("{path}[]"), facts);
        }
        Shape::Map(_, values) => {
            add(facts, path, "mapping");
            of_shape(values, &below(path, "*"), facts);
        }
        Shape::Object(object) => of_object(object, path, facts),
        Shape::Either(shapes) => {
            for shape in *shapes {
                of_shape(shape, path, facts);
            }
        }
    }
}

fn of_object(object: &Object, path: &str, facts: &mut Facts) {
    add(facts, path, "mapping");
    for name in object.required {
        add(facts, path, format!("needs {name}"));
    }
    if object.extensions {
        add(facts, path, "x-");
    }
    if object.open {
        add(facts, path, "any key");
    }
    for (name, shape) in object.attributes {
        of_shape(shape, &below(path, name), facts);
    }
}

/// What a JSON schema says.
struct Schema<'s> {
    whole: &'s Json,
    facts: Facts,
}

impl Schema<'_> {
    fn node(&mut self, schema: &Json, path: &str) {
        if let Some(reference) = schema["$ref"].as_str() {
            let whole = self.whole;
            let target = whole.pointer(reference.trim_start_matches('#')).unwrap();
            return self.node(target, path);
        }
        for either in ["oneOf", "anyOf"] {
            for schema in schema[either].as_array().into_iter().flatten() {
                self.node(schema, path);
            }
        }
        let types: Vec<&str> = match &schema["type"] {
            Json::String(one) => vec![one],
            Json::Array(several) => several.iter().filter_map(Json::as_str).collect(),
            _ => Vec::new(),
        };
        if types.is_empty() && schema["oneOf"].is_null() && schema["anyOf"].is_null() {
            add(&mut self.facts, path, "anything");
        }
        for kind in types {
            match kind {
                "string" => self.string(schema, path),
                "integer" | "number" => self.number(schema, kind, path),
                "array" => {
                    let is_set = schema["uniqueItems"].as_bool() == Some(true);
                    add(&mut self.facts, path, if is_set { "set" } else { "list" });
                    self.node(&schema["items"], &format!("{path}[]"));
                }
                "object" => self.object(schema, path),
                other => add(&mut self.facts, path, other),
            }
        }
    }

    fn string(&mut self, schema: &Json, path: &str) {
        match schema["enum"].as_array() {
            Some(values) => {
                for value in values.iter().filter_map(Json::as_str) {
                    add(&mut self.facts, path, format!("\"{value}\""));
                }
            }
            None if schema["pattern"].is_string() => {
                add(&mut self.facts, path, "string of a pattern");
            }
            None => add(&mut self.facts, path, "string"),
        }
    }

    fn number(&mut self, schema: &Json, kind: &str, path: &str) {
        let bound = |key: &str| schema[key].as_i64().map(|bound| bound.to_string());
        let fact = match (bound("minimum"), bound("maximum")) {
            (None, None) => kind.to_owned(),
            (low, high) => format!(
                "{kind} {}..{}",
                low.unwrap_or_default(),
                high.unwrap_or_default()
            ),
        };
        add(&mut self.facts, path, fact);
    }

    fn object(&mut self, schema: &Json, path: &str) {
        add(&mut self.facts, path, "mapping");
        for name in schema["required"].as_array().into_iter().flatten() {
            add(
                &mut self.facts,
                path,
                format!("needs {}", name.as_str().unwrap()),
            );
        }
        for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
            self.node(schema, &below(path, name));
        }
        let patterns = schema["patternProperties"].as_object();
        for (pattern, schema) in patterns.into_iter().flatten() {
            if pattern.starts_with("^x-") {
                add(&mut self.facts, path, "x-");
            } else {
                self.node(schema, &below(path, "*"));
            }
        }
        let has_names = schema["properties"].is_object();
        match &schema["additionalProperties"] {
            Json::Object(more) if !more.is_empty() => {
                self.node(&schema["additionalProperties"], &below(path, "*"));
            }
            Json::Bool(false) => {}
            _ if has_names => add(&mut self.facts, path, "any key"),
            _ if patterns.is_none() => add(&mut self.facts, &below(path, "*"), "anything"),
            _ => {}
        }
    }
}

fn lines(facts: &Facts) -> BTreeSet<String> {
    facts
        .iter()
        .map(|(path, facts)| {
            let facts: Vec<&str> = facts.iter().map(String::as_str).collect();
            format!("{path}: {}", facts.join(", "))
        })
        .collect()
}

fn read(text: &str) -> BTreeSet<String> {
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_tables_say_what_the_specification_says() {
    let mut facts = Facts::new();
    of_shape(top::TOP, "", &mut facts);
    let (ours, theirs) = (lines(&facts), read(SPECIFICATION));
    let missing: Vec<_> = theirs.difference(&ours).collect();
    let more: Vec<_> = ours.difference(&theirs).collect();
    assert!(
        missing.is_empty() && more.is_empty(),
        "the specification says {missing:#?}, the tables say {more:#?}"
    );
}

fn folder() -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/compose/schema")
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "no variable of skiff's: the test's own"
)]
fn the_list_is_that_of_the_schema() {
    let Some(path) = std::env::var_os("SKIFF_COMPOSE_SCHEMA") else {
        return; // there is none at hand: the list is what the tables are held to
    };
    let whole: Json =
        serde_json::from_slice(&fs_err::read(std::path::PathBuf::from(path)).unwrap()).unwrap();
    let mut schema = Schema {
        whole: &whole,
        facts: Facts::new(),
    };
    schema.node(&whole, "");
    let found = lines(&schema.facts);
    if found != read(SPECIFICATION) {
        let head: String = SPECIFICATION
            .lines()
            .filter(|line| line.starts_with('#'))
            .map(|line| format!("{line}\n"))
            .collect();
        let body: Vec<String> = found.into_iter().collect();
        fs_err::write(
            folder().join("specification.txt"),
            format!("{head}{}\n", body.join("\n")),
        )
        .unwrap();
        panic!("specification.txt was another schema's and has been written anew");
    }
}
