//! How the model's types are read from the canonical tree and written back.
//!
//! [`record!`] declares a type of the model once: its fields are the attributes
//! of the specification by name, and reading ([`Parse`]) and writing ([`Emit`])
//! follow from the fields' types. Written without its empty fields, as the
//! reference implementation does.

use indexmap::IndexMap;
use serde_json::Value as Json;

use crate::compose::diag::{Allowed, Diagnostic, Report, quoted};
use crate::compose::limits::Budget;
use crate::compose::order::natural;
use crate::compose::printed::{Object, Printed};
use crate::compose::tree::{Mark, Node, Trail, Value};
use crate::compose::units;

/// `x-` attributes, kept as they were written.
pub type Extensions = Object;

/// What [`Parse`] implementations work with: the path and where to complain.
pub(crate) struct Cx<'a> {
    pub(crate) report: &'a mut Report,
    pub(crate) trail: Trail,
    /// How many words commands may have yet.
    pub(crate) words: Budget,
}

impl Cx<'_> {
    /// Reports an error at `node` and gives up on it.
    #[track_caller]
    pub(crate) fn fail<T>(
        &mut self,
        node: &Node,
        message: impl Into<String>,
        expected: &str,
    ) -> Option<T> {
        let diagnostic = self.diagnostic(node.place(), message).expected(expected);
        self.report.push(diagnostic);
        None
    }

    /// Refuses what is no number from 0 to `most`; the reference does not look
    /// into strings here.
    pub(crate) fn refuse_number<T>(&mut self, node: &Node, most: u64) -> Option<T> {
        let message = shown(node, &format!("is {}", node.kind()));
        let mut diagnostic = self
            .diagnostic(node.mark, message)
            .expected(format!("a whole number from 0 to {most}"));
        if node
            .as_str()
            .is_some_and(|text| text.parse::<u64>().is_ok())
        {
            diagnostic = diagnostic
                .suggest("take the quotes away")
                .allowed(Allowed::NumberInQuotes);
        }
        self.report.push(diagnostic);
        None
    }

    /// An error of the path at work.
    #[track_caller]
    pub(crate) fn diagnostic(&self, mark: Mark, message: impl Into<String>) -> Diagnostic {
        self.report.at(mark, self.trail.as_str(), message)
    }

    /// Works below a key.
    pub(crate) fn at<T>(&mut self, key: &str, work: impl FnOnce(&mut Self) -> T) -> T {
        let before = self.trail.key(key);
        let result = work(self);
        self.trail.leave(before);
        result
    }

    /// Works below a list's item.
    pub(crate) fn item<T>(&mut self, index: usize, work: impl FnOnce(&mut Self) -> T) -> T {
        let before = self.trail.index(index);
        let result = work(self);
        self.trail.leave(before);
        result
    }
}

/// Reading from the canonical tree. `None` means that an error was reported.
pub(crate) trait Parse: Sized {
    fn parse(node: &Node, cx: &mut Cx<'_>) -> Option<Self>;

    /// True for a value that means the same as its absence.
    fn is_unset(&self) -> bool {
        false
    }
}

/// Which of the two canonical forms is written. They differ in what the
/// reference does differently: JSON has `null` for an unset command and no
/// nested extensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// As `config --format json`.
    Json,
    /// As `config`.
    Yaml,
}

impl Form {
    /// The entries of a mapping with names of the user's choice, so that the
    /// output does not depend on where in which file something was said.
    pub(crate) fn ordered<T>(self, map: &IndexMap<String, T>) -> Vec<(&String, &T)> {
        let mut entries: Vec<_> = map.iter().collect();
        entries.sort_by(|one, other| match self {
            Self::Json => one.0.cmp(other.0),
            Self::Yaml => natural(one.0, other.0),
        });
        entries
    }
}

/// Writing to the canonical form.
pub(crate) trait Emit {
    fn value(&self, form: Form) -> Printed;

    /// True where the attribute is left out.
    fn omit(&self, _form: Form) -> bool {
        false
    }

    /// True for a value that is written as if it were absent.
    fn is_blank(&self) -> bool {
        false
    }

    /// True for what is never written, such as a secret's content.
    fn hidden() -> bool {
        false
    }

    /// True where `None` of this type is written as `null`.
    fn null_when_absent(_form: Form) -> bool {
        false
    }
}

/// Declares a model type with its fields; `= "key"` where a field's name is not
/// the attribute's name.
macro_rules! record {
    (@key $field:ident) => { stringify!($field) };
    (@key $field:ident $key:literal) => { $key };
    (
        $(#[$meta:meta])*
        $name:ident {
            $( $(#[$fmeta:meta])* $field:ident $(= $key:literal)? : $type:ty, )*
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Default, PartialEq)]
        pub struct $name {
            $( $(#[$fmeta])* pub $field: $type, )*
            /// `x-` attributes.
            pub extensions: $crate::compose::model::Extensions,
        }

        impl $crate::compose::model::record::Parse for $name {
            fn parse(
                node: &$crate::compose::tree::Node,
                cx: &mut $crate::compose::model::record::Cx<'_>,
            ) -> Option<Self> {
                let Some(map) = node.as_map() else {
                    return cx.fail(node, format!("is {}", node.kind()), "a mapping");
                };
                let mut record = Self::default();
                for (key, child) in map {
                    match key.as_str() {
                        $(
                            record!(@key $field $($key)?) => {
                                let read = cx.at(key, |cx| {
                                    $crate::compose::model::record::field(child, cx)
                                });
                                if let Some(value) = read {
                                    record.$field = value;
                                }
                            }
                        )*
                        _ if key.starts_with("x-") => {
                            record.extensions.insert(
                                key.clone(),
                                $crate::compose::printed::Printed::of(child),
                            );
                        }
                        _ => {} // the schema has refused what is unknown
                    }
                }
                Some(record)
            }
        }

        impl $crate::compose::model::record::Emit for $name {
            fn value(
                &self,
                form: $crate::compose::model::Form,
            ) -> $crate::compose::printed::Printed {
                let mut object = $crate::compose::printed::Object::new();
                $(
                    $crate::compose::model::record::put(
                        &mut object,
                        record!(@key $field $($key)?),
                        &self.$field,
                        form,
                    );
                )*
                if form == $crate::compose::model::Form::Yaml {
                    $crate::compose::model::record::put_extensions(
                        &mut object,
                        &self.extensions,
                        form,
                    );
                }
                $crate::compose::printed::Printed::Object(object)
            }

            /// Only the reference's JSON has an empty record.
            fn omit(&self, form: $crate::compose::model::Form) -> bool {
                form == $crate::compose::model::Form::Yaml && *self == Self::default()
            }
        }
    };
}
pub(crate) use record;

/// Reads one attribute; null is the same as absent.
pub(crate) fn field<T: Parse + Default>(node: &Node, cx: &mut Cx<'_>) -> Option<T> {
    if node.is_null() {
        return Some(T::default());
    }
    T::parse(node, cx)
}

/// Reads a member of a mapping; absent is the default.
pub(crate) fn member<T: Parse + Default>(node: &Node, name: &str, cx: &mut Cx<'_>) -> Option<T> {
    match node.get(name) {
        Some(child) => cx.at(name, |cx| field(child, cx)),
        None => Some(T::default()),
    }
}

/// Writes one attribute unless it is empty.
pub(crate) fn put<T: Emit>(object: &mut Object, key: &str, value: &T, form: Form) {
    if !value.omit(form) {
        object.insert(key.to_owned(), value.value(form));
    }
}

/// Writes `x-` attributes, everything in them in the form's order.
pub(crate) fn put_extensions(object: &mut Object, extensions: &Extensions, form: Form) {
    for (key, value) in form.ordered(extensions) {
        object.insert(key.clone(), value.ordered(form));
    }
}

/// A node as JSON, without interpretation.
pub(crate) fn raw_json(node: &Node) -> Json {
    Printed::of(node).into_json()
}

/// What is written even where it is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shown<T>(pub T);

impl<T: Parse> Parse for Shown<T> {
    fn parse(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        T::parse(node, cx).map(Self)
    }
}

impl<T: Emit> Emit for Shown<T> {
    fn value(&self, form: Form) -> Printed {
        self.0.value(form)
    }
}

impl<T: Parse> Parse for Option<T> {
    fn parse(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        if node.is_null() {
            return Some(None);
        }
        T::parse(node, cx).map(|value| Some(value).filter(|value| !value.is_unset()))
    }
}

impl<T: Emit> Emit for Option<T> {
    fn value(&self, form: Form) -> Printed {
        self.as_ref()
            .map_or(Printed::Null, |value| value.value(form))
    }

    fn omit(&self, form: Form) -> bool {
        match self {
            None => T::hidden() || !T::null_when_absent(form),
            Some(value) => T::hidden() || value.is_blank(),
        }
    }
}

impl Parse for String {
    fn parse(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        match &node.value {
            Value::Str(text) => Some(text.clone()),
            Value::Int(value) => Some(value.to_string()),
            _ => {
                let message = shown(node, &format!("is {}", node.kind()));
                let mut diagnostic = cx.diagnostic(node.place(), message).expected("a string");
                let text = node.scalar_text();
                diagnostic.suggestion = text.map(|text| format!("put it in quotes: \"{text}\""));
                cx.report.push(diagnostic);
                None
            }
        }
    }

    fn is_unset(&self) -> bool {
        self.is_empty()
    }
}

impl Emit for String {
    fn value(&self, _form: Form) -> Printed {
        Printed::String(self.clone())
    }

    fn omit(&self, _form: Form) -> bool {
        self.is_empty()
    }
}

impl Parse for bool {
    fn parse(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        match &node.value {
            Value::Bool(value) => Some(*value),
            Value::Str(text) => match units::parse_boolean(text) {
                Some(value) => Some(value),
                None => cx.fail(
                    node,
                    format!("{} is not a boolean", quoted(text)),
                    "`true` or `false`",
                ),
            },
            _ => cx.fail(node, format!("is {}", node.kind()), "`true` or `false`"),
        }
    }
}

impl Emit for bool {
    fn value(&self, _form: Form) -> Printed {
        Printed::Bool(*self)
    }

    fn omit(&self, _form: Form) -> bool {
        !*self
    }
}

impl Parse for i64 {
    fn parse(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let value = match &node.value {
            Value::Int(value) => Self::try_from(*value).ok(),
            Value::Float(value) => units::whole_part(*value),
            Value::Str(text) => text.parse().ok(),
            _ => None,
        };
        match value {
            Some(value) => Some(value),
            None => cx.fail(
                node,
                shown(node, "is not a whole number"),
                "a whole number, such as `100`",
            ),
        }
    }
}

impl Emit for i64 {
    fn value(&self, _form: Form) -> Printed {
        Printed::from(*self)
    }

    fn omit(&self, _form: Form) -> bool {
        *self == 0
    }
}

/// Numbers that the reference reads without looking into strings.
macro_rules! unsigned {
    ($type:ty) => {
        impl Parse for $type {
            fn parse(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
                let value = match &node.value {
                    Value::Int(value) => Self::try_from(*value).ok(),
                    Value::Float(value) => {
                        units::whole_part(*value).and_then(|value| Self::try_from(value).ok())
                    }
                    _ => None,
                };
                match value {
                    Some(value) => Some(value),
                    None => cx.refuse_number(node, Self::MAX.into()),
                }
            }
        }

        impl Emit for $type {
            fn value(&self, _form: Form) -> Printed {
                Printed::from(*self)
            }

            fn omit(&self, _form: Form) -> bool {
                *self == 0
            }
        }
    };
}
unsigned!(u64);
unsigned!(u32);
unsigned!(u16);

/// A number as the reference keeps it, in 32 bits, with the fewest digits that tell it
/// from others of these.
#[expect(clippy::cast_possible_truncation, reason = "that is what it comes to")]
fn single(value: f64) -> f64 {
    (value as f32).to_string().parse().unwrap_or(value)
}

impl Parse for f64 {
    fn parse(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        #[expect(
            clippy::cast_precision_loss,
            reason = "shares of cpus are small numbers"
        )]
        let value = match &node.value {
            Value::Int(value) => Some(*value as Self),
            Value::Float(value) => Some(*value),
            Value::Str(text) => units::parse_float(text),
            _ => None,
        };
        // `.inf` and `.nan` are numbers to the reference, too.
        match value {
            Some(value) => Some(single(value)),
            None => cx.fail(
                node,
                shown(node, "is not a number"),
                "a number, such as `0.5`",
            ),
        }
    }
}

impl Emit for f64 {
    fn value(&self, _form: Form) -> Printed {
        Printed::from(*self)
    }

    fn omit(&self, _form: Form) -> bool {
        *self == 0.0
    }
}

/// A list; a single string is a list of one.
impl<T: Parse + Default> Parse for Vec<T> {
    fn parse(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let items = match &node.value {
            Value::Seq(items) => items.as_slice(),
            Value::Str(_) => std::slice::from_ref(node),
            _ => return cx.fail(node, format!("is {}", node.kind()), "a list"),
        };
        // What an error was reported for leaves its place empty.
        let read = items
            .iter()
            .enumerate()
            .map(|(index, item)| cx.item(index, |cx| field(item, cx)).unwrap_or_default())
            .collect();
        Some(read)
    }
}

impl<T: Emit> Emit for Vec<T> {
    fn value(&self, form: Form) -> Printed {
        Printed::Array(self.iter().map(|item| item.value(form)).collect())
    }

    fn omit(&self, _form: Form) -> bool {
        self.is_empty()
    }
}

/// A mapping with names of the user's choice.
impl<T: Parse + Default> Parse for IndexMap<String, T> {
    fn parse(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let Some(map) = node.as_map() else {
            return cx.fail(node, format!("is {}", node.kind()), "a mapping");
        };
        let read = map
            .iter()
            .map(|(key, child)| {
                let value = cx.at(key, |cx| field(child, cx)).unwrap_or_default();
                (key.clone(), value)
            })
            .collect();
        Some(read)
    }
}

impl<T: Emit> Emit for IndexMap<String, T> {
    fn value(&self, form: Form) -> Printed {
        Printed::Object(
            form.ordered(self)
                .into_iter()
                .map(|(key, value)| (key.clone(), value.value(form)))
                .collect(),
        )
    }

    fn omit(&self, _form: Form) -> bool {
        self.is_empty()
    }
}

/// `TEXT is not …`, with the text where the node is a scalar.
pub(crate) fn shown(node: &Node, what: &str) -> String {
    match node.scalar_text() {
        Some(text) => format!("{} {what}", quoted(&text)),
        None => format!("is {}", node.kind()),
    }
}
