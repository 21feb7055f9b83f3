//! The spanned tree: what every stage between the YAML reader and the typed
//! model works on.
//!
//! Every node keeps where it was written, through merges, `extends`, `include`
//! and the rewriting of short forms, so that whatever is wrong with it can be
//! shown in its own file.

use std::ops::{Deref, DerefMut};

use indexmap::IndexMap;

use super::limits::BYTES_OF_A_NODE;

/// A place in one of the loaded files: index of the file, line and column,
/// both from 1. Line 0 means that the node was not written by anybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct Mark {
    pub(crate) line: u32,
    pub(crate) column: u32,
    pub(crate) file: u16,
    /// How many characters of the line belong to it; 0 for a block, which has no
    /// end in its line.
    pub(crate) length: u16,
}

impl Mark {
    /// What goes on in the next line.
    pub(crate) const TO_LINE_END: u16 = u16::MAX;

    /// True where the node has a place in a file.
    pub(crate) fn is_known(self) -> bool {
        self.line > 0
    }
}

/// A mapping, in the order of the file. Boxed: a node is a third smaller then,
/// and most nodes are no mappings.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Map(Box<IndexMap<String, Node>>);

impl Map {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// With room for so many members and no more.
    pub(crate) fn with_capacity(members: usize) -> Self {
        Self(Box::new(IndexMap::with_capacity(members)))
    }
}

impl Deref for Map {
    type Target = IndexMap<String, Node>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl DerefMut for Map {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

impl FromIterator<(String, Node)> for Map {
    fn from_iter<I: IntoIterator<Item = (String, Node)>>(members: I) -> Self {
        Self(Box::new(members.into_iter().collect()))
    }
}

impl IntoIterator for Map {
    type Item = (String, Node);
    type IntoIter = indexmap::map::IntoIter<String, Node>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'m> IntoIterator for &'m Map {
    type Item = (&'m String, &'m Node);
    type IntoIter = indexmap::map::Iter<'m, String, Node>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl<'m> IntoIterator for &'m mut Map {
    type Item = (&'m String, &'m mut Node);
    type IntoIter = indexmap::map::IterMut<'m, String, Node>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter_mut()
    }
}

/// A YAML value after resolution of its type.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    Int(i128),
    Float(f64),
    /// A plain scalar that the reference reads as a time and then refuses
    /// wherever the schema has a type.
    Time(String),
    Str(String),
    Seq(Vec<Node>),
    Map(Map),
}

/// The two tags of the Compose specification that steer merging.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MergeTag {
    Reset,
    Override,
}

impl MergeTag {
    /// As it is written.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Reset => "!reset",
            Self::Override => "!override",
        }
    }
}

/// A value with its place, the place of its key, and its merge tag.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) value: Value,
    pub(crate) mark: Mark,
    /// Where the key stands, in a mapping; else the same as `mark`.
    pub(crate) key: Mark,
    pub(crate) tag: Option<MergeTag>,
}

/// Equality of content; places do not count.
impl PartialEq for Node {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl Node {
    pub(crate) fn new(value: Value, mark: Mark) -> Self {
        Self {
            value,
            mark,
            key: mark,
            tag: None,
        }
    }

    pub(crate) fn null(mark: Mark) -> Self {
        Self::new(Value::Null, mark)
    }

    pub(crate) fn str(text: impl Into<String>, mark: Mark) -> Self {
        Self::new(Value::Str(text.into()), mark)
    }

    pub(crate) fn bool(value: bool, mark: Mark) -> Self {
        Self::new(Value::Bool(value), mark)
    }

    pub(crate) fn seq(items: Vec<Node>, mark: Mark) -> Self {
        Self::new(Value::Seq(items), mark)
    }

    pub(crate) fn map(map: Map, mark: Mark) -> Self {
        Self::new(Value::Map(map), mark)
    }

    /// The same node under another key.
    pub(crate) fn with_key(mut self, key: Mark) -> Self {
        self.key = key;
        self
    }

    /// Where to point for what is wrong with the value as a whole: at the key of
    /// a block or of nothing, else at the value.
    pub(crate) fn place(&self) -> Mark {
        if self.mark.length == 0 && self.key.is_known() {
            self.key
        } else {
            self.mark
        }
    }

    pub(crate) fn is_null(&self) -> bool {
        matches!(self.value, Value::Null)
    }

    pub(crate) fn as_str(&self) -> Option<&str> {
        match &self.value {
            Value::Str(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn as_bool(&self) -> Option<bool> {
        match self.value {
            Value::Bool(value) => Some(value),
            _ => None,
        }
    }

    pub(crate) fn as_map(&self) -> Option<&Map> {
        match &self.value {
            Value::Map(map) => Some(map),
            _ => None,
        }
    }

    pub(crate) fn as_map_mut(&mut self) -> Option<&mut Map> {
        match &mut self.value {
            Value::Map(map) => Some(map),
            _ => None,
        }
    }

    pub(crate) fn as_seq(&self) -> Option<&[Node]> {
        match &self.value {
            Value::Seq(items) => Some(items),
            _ => None,
        }
    }

    pub(crate) fn as_seq_mut(&mut self) -> Option<&mut Vec<Node>> {
        match &mut self.value {
            Value::Seq(items) => Some(items),
            _ => None,
        }
    }

    /// The member of a mapping.
    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        self.as_map()?.get(key)
    }

    /// The member of a mapping.
    pub(crate) fn get_mut(&mut self, key: &str) -> Option<&mut Node> {
        self.as_map_mut()?.get_mut(key)
    }

    /// What the value is, in the words of a Compose file's author.
    pub(crate) fn kind(&self) -> &'static str {
        match self.value {
            Value::Null => "nothing",
            Value::Bool(_) => "a boolean",
            Value::Int(_) => "a whole number",
            Value::Float(_) => "a number",
            Value::Time(_) => "a date",
            Value::Str(_) => "a string",
            Value::Seq(_) => "a list",
            Value::Map(_) => "a mapping",
        }
    }

    /// A scalar as the reference prints it into a string; `None` for
    /// collections and null.
    pub(crate) fn scalar_text(&self) -> Option<String> {
        match &self.value {
            Value::Bool(value) => Some(value.to_string()),
            Value::Int(value) => Some(value.to_string()),
            Value::Float(value) => Some(super::units::float_text(*value)),
            Value::Str(text) | Value::Time(text) => Some(text.clone()),
            Value::Null | Value::Seq(_) | Value::Map(_) => None,
        }
    }

    /// How many nodes this is, itself and all keys counted; a long text is as many as
    /// it takes room for.
    pub(crate) fn size(&self) -> usize {
        let text = |text: &str| 1 + text.len() / BYTES_OF_A_NODE;
        match &self.value {
            Value::Seq(items) => 1 + items.iter().map(Self::size).sum::<usize>(),
            Value::Map(map) => {
                let sizes = map.iter().map(|(key, child)| text(key) + child.size());
                1 + sizes.sum::<usize>()
            }
            Value::Str(value) => text(value),
            _ => 1,
        }
    }

    /// Looks a key path up (`services.web.ports[1].target`). Keys may contain
    /// dots: the longest key that fits wins.
    pub(crate) fn lookup(&self, path: &str) -> Option<&Node> {
        if path.is_empty() {
            return Some(self);
        }
        if let Some(rest) = path.strip_prefix('[') {
            let (index, rest) = rest.split_once(']')?;
            let item = self.as_seq()?.get(index.parse::<usize>().ok()?)?;
            return item.lookup(rest.strip_prefix('.').unwrap_or(rest));
        }
        let map = self.as_map()?;
        // Everything that may be a key, the longest first.
        let ends = path.bytes().enumerate().rev();
        let ends = ends
            .filter(|(_, byte)| matches!(byte, b'.' | b'['))
            .map(|(at, _)| at);
        std::iter::once(path.len()).chain(ends).find_map(|end| {
            let (key, rest) = path.split_at(end);
            map.get(key)?.lookup(rest.strip_prefix('.').unwrap_or(rest))
        })
    }
}

/// True where `path` is `above` or something below it.
pub(crate) fn is_within(path: &str, above: &str) -> bool {
    path.strip_prefix(above)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

/// `networks.n.ipam.config.subnet` of `networks.n.ipam.config[0].subnet`.
pub(crate) fn without_indices(path: &str) -> String {
    let mut depth = 0_usize;
    let mut kept = String::with_capacity(path.len());
    for c in path.chars() {
        depth += usize::from(c == '[');
        if depth == 0 {
            kept.push(c);
        }
        depth -= usize::from(c == ']' && depth > 0);
    }
    kept
}

/// The name of the service that a path is about: it may have dots, so the longest
/// that is known is meant.
pub(crate) fn service_of(path: &str, is_known: impl Fn(&str) -> bool) -> Option<&str> {
    let rest = path.strip_prefix("services.")?;
    let ends = rest.bytes().enumerate().rev();
    let ends = ends
        .filter(|(_, byte)| matches!(byte, b'.' | b'['))
        .map(|(at, _)| at);
    std::iter::once(rest.len())
        .chain(ends)
        .filter_map(|end| rest.get(..end))
        .find(|name| is_known(name))
}

/// The path of the node at work, for messages: grows and shrinks with the walk.
#[derive(Debug, Clone, Default)]
pub(crate) struct Trail {
    text: String,
}

impl Trail {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self { text: text.into() }
    }

    /// Steps into a mapping's member; the result is for [`Trail::leave`].
    pub(crate) fn key(&mut self, key: &str) -> usize {
        let before = self.text.len();
        if before > 0 {
            self.text.push('.');
        }
        self.text.push_str(key);
        before
    }

    /// Steps into a list's item.
    pub(crate) fn index(&mut self, index: usize) -> usize {
        use std::fmt::Write as _;
        let before = self.text.len();
        write!(self.text, "[{index}]").ok(); // writing to a String cannot fail
        before
    }

    /// Steps back out.
    pub(crate) fn leave(&mut self, before: usize) {
        self.text.truncate(before);
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }
}

/// A table of rules by path pattern, as a tree that is walked beside the tree
/// of nodes. `*` stands for any key or list item.
#[derive(Debug)]
pub(crate) struct Rules<T> {
    rule: Option<T>,
    named: Vec<(&'static str, Rules<T>)>,
    any: Option<Box<Rules<T>>>,
}

impl<T: Copy> Rules<T> {
    /// Builds the tree from a table of (pattern, rule).
    pub(crate) fn new(table: &[(&'static str, T)]) -> Self {
        let mut root = Self::empty();
        for (pattern, rule) in table {
            let mut at = &mut root;
            for part in pattern.split('.') {
                at = at.grow(part);
            }
            at.rule = Some(*rule);
        }
        root
    }

    fn empty() -> Self {
        Self {
            rule: None,
            named: Vec::new(),
            any: None,
        }
    }

    fn grow(&mut self, part: &'static str) -> &mut Self {
        if part == "*" {
            return self.any.get_or_insert_with(|| Box::new(Self::empty()));
        }
        let at = if let Some(at) = self.named.iter().position(|(name, _)| *name == part) {
            at
        } else {
            self.named.push((part, Self::empty()));
            self.named.len() - 1
        };
        #[expect(clippy::indexing_slicing, reason = "`at` was found or pushed just now")]
        &mut self.named[at].1
    }

    /// The rule of this very path.
    pub(crate) fn rule(&self) -> Option<T> {
        self.rule
    }

    /// The rules below a key.
    pub(crate) fn key(&self, key: &str) -> Option<&Self> {
        self.named
            .iter()
            .find(|(name, _)| *name == key)
            .map(|(_, rules)| rules)
            .or(self.any.as_deref())
    }

    /// The rules below a list's items.
    pub(crate) fn item(&self) -> Option<&Self> {
        self.any.as_deref()
    }
}
