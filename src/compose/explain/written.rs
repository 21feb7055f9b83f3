//! What a file says at a value's place, in one line: with its quotes, a flow
//! mapping as it is, the lines of a block after each other.

use super::{LONGEST_SHOWN, one_line};
use crate::compose::diag::{Sources, lines};
use crate::compose::tree::{Mark, MergeTag, Node, Value};

/// Between the lines of a block.
const BETWEEN_LINES: &str = "; ";

/// What is written for a node; `None` where nothing is, or where it is a text of
/// several lines.
pub(super) fn written(sources: &Sources, node: &Node) -> Option<String> {
    let is_collection = matches!(node.value, Value::Map(_) | Value::Seq(_));
    let text = sources.from(node.mark)?;
    let content = without_properties(text);
    let found = match content.chars().next()? {
        '{' | '[' => joined(bracketed(content)),
        _ if is_collection && node.mark.length == 0 => block(text, content, node.mark),
        _ if node.mark.length == Mark::TO_LINE_END => return None,
        _ => {
            let token = sources.token(node.mark)?.trim();
            let value = without_properties(token);
            if value.is_empty() || value.starts_with(['|', '>']) {
                return None;
            }
            value.to_owned()
        }
    };
    // Why earlier values are gone.
    let tag = MergeTag::Override.text();
    if text.starts_with(tag) {
        return Some(one_line(&format!("{tag} {found}")));
    }
    Some(one_line(&found))
}

/// The same of a variable that stands in a mapping: with its name.
pub(super) fn with_name(sources: &Sources, node: &Node) -> Option<String> {
    let value = written(sources, node)?;
    if node.key == node.mark || node.key.file != node.mark.file {
        return Some(value);
    }
    match sources.token(node.key).map(without_properties) {
        Some(name) if !name.is_empty() => Some(one_line(&format!("{name}: {value}"))),
        _ => Some(value),
    }
}

/// What follows tags and anchors.
pub(super) fn without_properties(text: &str) -> &str {
    let mut rest = text;
    while rest.starts_with(['!', '&']) {
        let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
        rest = rest.get(end..).unwrap_or_default().trim_start();
    }
    rest
}

/// From a bracket to the one that closes it, or as much as can be shown of it.
fn bracketed(text: &str) -> &str {
    let mut depth = 0_usize;
    let mut quote = None;
    let mut is_escaped = false;
    for (at, c) in text.char_indices().take(8 * LONGEST_SHOWN) {
        match (quote, c) {
            (Some('"'), '\\') if !is_escaped => {
                is_escaped = true;
                continue;
            }
            (Some(open), c) if c == open && !is_escaped => quote = None,
            (None, '"' | '\'') => quote = Some(c),
            (None, '{' | '[') => depth += 1,
            (None, '}' | ']') => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return text.get(..at + c.len_utf8()).unwrap_or_default();
                }
            }
            _ => {}
        }
        is_escaped = false;
    }
    let end = text.char_indices().nth(8 * LONGEST_SHOWN);
    end.map_or(text, |(end, _)| text.get(..end).unwrap_or_default())
}

/// A text of several lines in one.
fn joined(text: &str) -> String {
    let parts: Vec<&str> = lines(text).map(str::trim).collect();
    parts.join(" ")
}

/// The lines of a block that begins at `content`, a part of `text`, which is at a
/// mark.
fn block(text: &str, content: &str, mark: Mark) -> String {
    let before = text
        .get(..text.len() - content.len())
        .unwrap_or_default()
        .rsplit(['\n', '\r'])
        .next()
        .unwrap_or_default();
    let is_first_line = before.len() == text.len() - content.len();
    let before = before.chars().count();
    let indent = if is_first_line {
        usize::try_from(mark.column.saturating_sub(1)).unwrap_or_default() + before
    } else {
        before
    };
    let is_list = content.starts_with("- ") || content.starts_with("-\n");
    let mut shown = String::new();
    for (index, line) in lines(content).enumerate() {
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with('#') {
            continue;
        }
        let own = line.chars().take_while(|c| *c == ' ').count();
        let is_outside = own < indent || (is_list && own == indent && !trimmed.starts_with('-'));
        if index > 0 && is_outside {
            break;
        }
        if !shown.is_empty() {
            shown.push_str(BETWEEN_LINES);
        }
        shown.push_str(trimmed);
        if shown.len() > 4 * LONGEST_SHOWN {
            break;
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flow_collection_ends_with_its_own_bracket() {
        assert_eq!(
            bracketed("{a: '}', b: [1, \"]\\\"\"]}, c"),
            "{a: '}', b: [1, \"]\\\"\"]}"
        );
        assert_eq!(joined("[a,\n   b]"), "[a, b]");
        assert_eq!(without_properties("!override &x\n  - a"), "- a");
    }

    #[test]
    fn a_block_ends_where_less_is_indented() {
        let mark = Mark {
            line: 1,
            column: 3,
            file: 0,
            length: 0,
        };
        let map = "a: 1\n\n  b:\n    # no\n    - 2\n c: 3";
        assert_eq!(block(map, map, mark), "a: 1; b:; - 2");
        let list = "- a\n  - b\n  next: 1";
        assert_eq!(block(list, list, mark), "- a; - b");
        let tagged = "!override\n    - a\n    - b\n  next: 1";
        assert_eq!(block(tagged, without_properties(tagged), mark), "- a; - b");
    }
}
