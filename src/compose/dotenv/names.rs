//! Names that cannot be any.

use super::{DotenvError, LINE};
use crate::compose::diag::quoted;

/// Words that set a variable elsewhere: in shells, on Windows, in a Dockerfile.
const SETTERS: [&str; 9] = [
    "set", "SET", "setx", "ENV", "ARG", "declare", "let", "local", "readonly",
];

/// A name with a space in it, and what stands behind its `=`, where there is one.
pub(super) fn spaced_name(line: u32, name: &str, value: Option<&str>) -> DotenvError {
    let mut words: Vec<&str> = name.split_whitespace().collect();
    if words.first().is_some_and(|first| SETTERS.contains(first)) {
        words.remove(0);
        words.retain(|word| !word.starts_with('-')); // options
    }
    let meant = match (words.as_slice(), value) {
        ([name], Some(value)) => format!("{name}={}", value.trim()),
        ([name, value], None) => format!("{name}={value}"),
        _ => words.join("_"),
    };
    DotenvError {
        line,
        message: format!("the name {} has a space in it", quoted(name)),
        expected: LINE,
        suggestion: Some(format!("write {}", quoted(&meant))),
    }
}
