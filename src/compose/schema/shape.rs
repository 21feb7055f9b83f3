//! What a value may look like: the vocabulary of the tables of attributes.

/// The JSON types that the specification speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Type {
    Null,
    Bool,
    Integer,
    Number,
    Str,
}

/// Which names a mapping may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Names {
    /// Any that is one.
    Any,
    /// As `Any`, but what has no name is let pass unseen.
    AnyOrUnseen,
    /// Letters, digits, `.`, `_`, `-`.
    Resource,
    /// As `Resource`, but others are let pass unseen.
    ResourceOrUnseen,
    /// Small letters; others are let pass unseen.
    LettersOrUnseen,
}

impl Names {
    /// True where other names are let pass unseen.
    pub(crate) fn lets_pass(self) -> bool {
        matches!(
            self,
            Self::AnyOrUnseen | Self::ResourceOrUnseen | Self::LettersOrUnseen
        )
    }
}

/// A pattern of text, with what is said to who does not meet it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pattern {
    pub(crate) matches: fn(&str) -> bool,
    pub(crate) expected: &'static str,
    /// Words that match, for those that are misspelt.
    pub(crate) words: &'static [&'static str],
}

/// The attributes of a mapping.
#[derive(Debug)]
pub(crate) struct Object {
    pub(crate) attributes: &'static [(&'static str, &'static Shape)],
    pub(crate) required: &'static [&'static str],
    /// `x-` attributes are allowed.
    pub(crate) extensions: bool,
    /// Other attributes are allowed.
    pub(crate) open: bool,
}

impl Object {
    /// A mapping, and what can be in it.
    fn describe(&self) -> String {
        /// Of more, only one is named.
        const MOST_NAMED: usize = 9;
        let names: Vec<&str> = self.attributes.iter().map(|(name, _)| *name).collect();
        match self.required {
            [] if names.len() <= MOST_NAMED => format!("a mapping of {}", names.join(", ")),
            [] if names.contains(&"image") => "a mapping with `image:` or `build:`".to_owned(),
            [] => "a mapping".to_owned(),
            required => format!("a mapping with `{}:`", required.join(":` and `")),
        }
    }
}

/// What a value may look like.
#[derive(Debug)]
pub(crate) enum Shape {
    /// Anything.
    Any,
    /// A scalar of one of these types.
    Is(&'static [Type]),
    /// A string out of a list.
    OneOf(&'static [&'static str]),
    /// A string of a pattern.
    Matching(&'static Pattern),
    /// A whole number within bounds.
    Range(i128, i128),
    /// A list.
    List(&'static Shape),
    /// A list without two equal entries.
    Set(&'static Shape),
    /// A mapping with names of the user's choice.
    Map(Names, &'static Shape),
    /// A mapping with attributes.
    Object(&'static Object),
    /// Any of these; told apart by what the value is.
    Either(&'static [&'static Shape]),
}

impl Shape {
    /// What is expected, in words.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Any => "anything".to_owned(),
            Self::Is(types) => alternatives(types.iter().map(|kind| type_name(*kind).to_owned())),
            Self::OneOf(values) => alternatives(values.iter().map(|value| (*value).to_owned())),
            Self::Matching(pattern) => pattern.expected.to_owned(),
            Self::Range(low, high) if *high == i128::MAX => {
                format!("a whole number from {low}")
            }
            Self::Range(low, high) => format!("a whole number from {low} to {high}"),
            Self::List(_) | Self::Set(_) => "a list".to_owned(),
            Self::Map(..) => "a mapping".to_owned(),
            Self::Object(object) => object.describe(),
            Self::Either(shapes) => alternatives(shapes.iter().map(|shape| shape.describe())),
        }
    }
}

fn type_name(kind: Type) -> &'static str {
    match kind {
        Type::Null => "nothing",
        Type::Bool => "a boolean",
        Type::Integer => "a whole number",
        Type::Number => "a number",
        Type::Str => "a string",
    }
}

/// `a`, `a or b`, `a, b or c`.
fn alternatives(items: impl Iterator<Item = String>) -> String {
    let mut items: Vec<String> = items.collect();
    items.dedup();
    match items.pop() {
        None => String::new(),
        Some(last) if items.is_empty() => last,
        Some(last) => format!("{} or {last}", items.join(", ")),
    }
}
