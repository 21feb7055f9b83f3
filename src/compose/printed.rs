//! What a model is printed from: JSON, and what YAML has beside that, numbers without
//! an end and times.

use indexmap::IndexMap;
use serde::{Serialize, Serializer};
use serde_json::{Number, Value as Json};

use super::model::Form;
use super::scalar::full_time;
use super::tree::{Node, Value};
use super::units::{float_text, whole_part};

/// A mapping, its keys in their order.
pub(crate) type Object = IndexMap<String, Printed>;

/// A value of a printed model.
#[derive(Debug, Clone, PartialEq)]
pub enum Printed {
    /// Nothing.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number that JSON has.
    Number(Number),
    /// A number that JSON does not have: `.inf`, `-.inf`, `.nan`.
    Endless(f64),
    /// A text.
    String(String),
    /// A point in time, in full.
    Time(String),
    /// A list.
    Array(Vec<Printed>),
    /// A mapping.
    Object(Object),
}

impl Printed {
    /// A node, without interpretation.
    pub(crate) fn of(node: &Node) -> Self {
        match &node.value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(*value),
            Value::Int(value) => i64::try_from(*value)
                .map(Self::from)
                .or_else(|_| u64::try_from(*value).map(Self::from))
                .unwrap_or_else(|_| Self::String(value.to_string())),
            Value::Float(value) => Self::from(*value),
            Value::Str(text) => Self::String(text.clone()),
            Value::Time(text) => Self::Time(full_time(text)),
            Value::Seq(items) => Self::Array(items.iter().map(Self::of).collect()),
            Value::Map(map) => map
                .iter()
                .map(|(key, child)| (key.clone(), Self::of(child)))
                .collect(),
        }
    }

    /// The same as JSON; what that does not have is a text.
    pub(crate) fn into_json(self) -> Json {
        match self {
            Self::Null => Json::Null,
            Self::Bool(value) => Json::Bool(value),
            Self::Number(value) => Json::Number(value),
            Self::Endless(value) => Json::String(float_text(value)),
            Self::String(text) | Self::Time(text) => Json::String(text),
            Self::Array(items) => items.into_iter().map(Self::into_json).collect(),
            Self::Object(map) => map
                .into_iter()
                .map(|(key, child)| (key, child.into_json()))
                .collect(),
        }
    }

    /// The same with its keys in their order in a form. In JSON, the reference makes
    /// nothing of an empty list.
    pub(crate) fn ordered(&self, form: Form) -> Self {
        match self {
            Self::Array(items) if items.is_empty() && form == Form::Json => Self::Null,
            Self::Array(items) => {
                Self::Array(items.iter().map(|item| item.ordered(form)).collect())
            }
            Self::Object(map) => {
                let entries = form.ordered(map).into_iter();
                entries
                    .map(|(key, child)| (key.clone(), child.ordered(form)))
                    .collect()
            }
            scalar => scalar.clone(),
        }
    }

    /// The path to the first value that JSON does not have, and that value.
    pub(crate) fn endless(&self) -> Option<(String, f64)> {
        match self {
            Self::Endless(value) => Some((String::new(), *value)),
            Self::Array(items) => items.iter().enumerate().find_map(|(index, item)| {
                let (below, value) = item.endless()?;
                Some((format!("[{index}]{below}"), value))
            }),
            Self::Object(map) => map.iter().find_map(|(key, child)| {
                let (below, value) = child.endless()?;
                let dot = if below.is_empty() || below.starts_with('[') {
                    ""
                } else {
                    "."
                };
                Some((format!("{key}{dot}{below}"), value))
            }),
            _ => None,
        }
    }
}

/// False where no value of a tree can come to one that JSON does not have.
pub(crate) fn may_be_endless(tree: &Node) -> bool {
    match &tree.value {
        Value::Float(value) => !value.is_finite(),
        Value::Str(text) => text.parse::<f64>().is_ok_and(|value| !value.is_finite()),
        Value::Seq(items) => items.iter().any(may_be_endless),
        Value::Map(map) => map.values().any(may_be_endless),
        _ => false,
    }
}

/// As [`Printed::into_json`].
impl Serialize for Printed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Number(value) => value.serialize(serializer),
            Self::Endless(value) => serializer.serialize_str(&float_text(*value)),
            Self::String(text) | Self::Time(text) => serializer.serialize_str(text),
            Self::Array(items) => serializer.collect_seq(items),
            Self::Object(map) => serializer.collect_map(map),
        }
    }
}

impl From<&str> for Printed {
    fn from(text: &str) -> Self {
        Self::String(text.to_owned())
    }
}

impl From<f64> for Printed {
    /// A whole number has no fraction.
    fn from(value: f64) -> Self {
        if value.fract() == 0.0
            && value.abs() < 9e15
            && let Some(whole) = whole_part(value)
        {
            return Self::from(whole);
        }
        Number::from_f64(value).map_or(Self::Endless(value), Self::Number)
    }
}

/// Whole numbers.
macro_rules! whole {
    ($($type:ty)*) => {
        $(impl From<$type> for Printed {
            fn from(value: $type) -> Self {
                Self::Number(value.into())
            }
        })*
    };
}
whole!(i64 u64 u32 u16);

impl FromIterator<(String, Printed)> for Printed {
    fn from_iter<I: IntoIterator<Item = (String, Self)>>(entries: I) -> Self {
        Self::Object(entries.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use crate::compose::{LoadOptions, Memory, load, load_raw};

    #[test]
    fn what_json_does_not_have_is_told_at_its_place() {
        let files = Memory::from([(
            "/p/compose.yaml",
            "services:\n  a:\n    image: x\n    cpus: .inf\nx-a: {b: [1, {c.d: .nan}]}\n",
        )]);
        let options = LoadOptions {
            cwd: "/p".into(),
            ..LoadOptions::default()
        };
        let project = load(&options, &files).unwrap().project;
        let expected = "error: services.a.cpus: `.inf` is no number of JSON
 --> /p/compose.yaml:4:11
  |
4 |     cpus: .inf
  |           ^^^^";
        let told = project.without_json().unwrap().to_string();
        assert_eq!(told, expected);
        let mut raw = load_raw(&options, &files).unwrap();
        let told = raw.without_json().unwrap().to_string();
        assert_eq!(told, "error: services.a.cpus: `.inf` is no number of JSON");
        raw.keep_images_only();
        assert_eq!(raw.without_json(), None);
    }
}
