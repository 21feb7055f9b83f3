//! A small value as YAML in one line, for what a help says to write.

use crate::compose::emit;
use crate::compose::scalar;
use crate::compose::tree::{Node, Value};

/// What is longer, in characters, is not written out in a help.
const LONGEST: usize = 80;

/// The value in one line, `{a: [1, "b c"]}`; `None` where it is too long for that, or
/// nothing.
pub(super) fn flow(node: &Node) -> Option<String> {
    let mut out = String::new();
    write(node, &mut out)?;
    (!node.is_null() && out.chars().count() <= LONGEST).then_some(out)
}

fn write(node: &Node, out: &mut String) -> Option<()> {
    if out.len() > 4 * LONGEST {
        return None;
    }
    match &node.value {
        Value::Null => {}
        Value::Str(value) => out.push_str(&text(value)),
        Value::Seq(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push_str(", ");
                }
                write(item, out)?;
            }
            out.push(']');
        }
        Value::Map(map) => {
            out.push('{');
            for (index, (key, child)) in map.iter().enumerate() {
                if index > 0 {
                    out.push_str(", ");
                }
                out.push_str(&text(key));
                out.push_str(": ");
                write(child, out)?;
            }
            out.push('}');
        }
        _ => out.push_str(&node.scalar_text()?),
    }
    Some(())
}

/// A text as a value, in double quotes where it is more than a word.
pub(super) fn text(text: &str) -> String {
    let is_word = text.starts_with(|c: char| c.is_alphanumeric() || matches!(c, '.' | '/' | '_'))
        && text
            .chars()
            .all(|c| c.is_alphanumeric() || "._-/=@+".contains(c));
    let is_string = matches!(scalar::resolve(text, true, None), Ok(Value::Str(_)));
    if is_word && is_string && !emit::is_old_boolean(text) {
        text.to_owned()
    } else {
        emit::double_quoted(text)
    }
}

/// As [`text`], but for a number that may stay one.
pub(super) fn scalar(written: &str) -> String {
    match scalar::resolve(written, true, None) {
        Ok(Value::Int(_) | Value::Float(_) | Value::Bool(_)) => written.to_owned(),
        _ => text(written),
    }
}
