//! The variables in a value, for those that ask where values come from.

use std::cell::RefCell;

use indexmap::IndexMap;

use crate::compose::template::{self, Lookup};

/// A variable in a value of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Used {
    pub(crate) name: String,
    pub(crate) value: Option<String>,
    /// True where the value is from what was read before.
    pub(crate) is_inner: bool,
    /// The defaults that stand for it.
    pub(crate) defaults: Vec<String>,
}

impl Used {
    /// One that has its value from outside.
    pub(super) fn outer(name: &str, value: Option<String>) -> Self {
        Self {
            name: name.to_owned(),
            value,
            is_inner: false,
            defaults: Vec::new(),
        }
    }
}

/// The variables in a value, which were looked for outside, then in what was read.
pub(super) fn uses_in(
    text: &str,
    outside: &Lookup<'_>,
    variables: &IndexMap<String, String>,
) -> Vec<Used> {
    if !text.contains('$') {
        return Vec::new();
    }
    let asked: RefCell<IndexMap<String, Used>> = RefCell::default();
    let noted = |name: &str| {
        let mut asked = asked.borrow_mut();
        let used = asked.entry(name.to_owned()).or_insert_with(|| {
            let outer = outside(name);
            let is_inner = outer.is_none() && variables.contains_key(name);
            let value = outer.or_else(|| variables.get(name).cloned());
            Used {
                is_inner,
                ..Used::outer(name, value)
            }
        });
        used.value.clone()
    };
    let defaults = template::defaults(text, &noted);
    let mut asked = asked.into_inner();
    for (name, default) in defaults {
        if let Some(used) = asked.get_mut(&name) {
            used.defaults.push(default);
        }
    }
    asked.into_values().collect()
}
