//! Where two canonical forms of a service differ, for the reason that is shown
//! when it is recreated.

use std::fmt;

use serde_json::Value;

/// The longest value shown; longer ones are cut.
const SHOWN: usize = 60;

/// Key of the digests of what configs and secrets contain. They are not shown:
/// that the content is another is all they tell.
pub const CONTENTS: &str = "contents";

/// One place where two forms differ.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// Where: `environment.DEBUG`, `ports[1].target`.
    pub path: String,
    /// The value it had; `None` where there was none.
    pub from: Option<Value>,
    /// The value it has; `None` where there is none any more.
    pub to: Option<Value>,
}

impl Difference {
    /// `configs.NAME`, where the content of one is what differs.
    fn content_of(&self) -> Option<&str> {
        self.path.strip_prefix(CONTENTS)?.strip_prefix('.')
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(what) = self.content_of() {
            return write!(f, "the content of {what} changed");
        }
        write!(
            f,
            "{} {} -> {}",
            self.path,
            shown(self.from.as_ref()),
            shown(self.to.as_ref())
        )
    }
}

fn shown(value: Option<&Value>) -> String {
    let Some(value) = value else {
        return "(none)".to_owned();
    };
    let text = value.to_string();
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

/// All places where `from` and `to` differ, in the order of `from`, then what
/// only `to` has. A null counts as absent, as it does in the canonical form. A
/// content that only one side has is told by the reference to it.
pub fn differences(from: &Value, to: &Value) -> Vec<Difference> {
    let mut found = Vec::new();
    walk(String::new(), Some(from), Some(to), &mut found);
    found.retain(|one| {
        let is_content = one.path == CONTENTS || one.path.starts_with("contents.");
        !is_content || (one.from.is_some() && one.to.is_some())
    });
    found
}

fn walk(path: String, from: Option<&Value>, to: Option<&Value>, found: &mut Vec<Difference>) {
    let from = from.filter(|value| !value.is_null());
    let to = to.filter(|value| !value.is_null());
    match (from, to) {
        (Some(Value::Object(old)), Some(Value::Object(new))) => {
            for (key, value) in old {
                walk(join(&path, key), Some(value), new.get(key), found);
            }
            for (key, value) in new.iter().filter(|(key, _)| !old.contains_key(*key)) {
                walk(join(&path, key), None, Some(value), found);
            }
        }
        (Some(Value::Array(old)), Some(Value::Array(new))) if old.len() == new.len() => {
            for (index, (old, new)) in old.iter().zip(new).enumerate() {
                walk(format!("{path}[{index}]"), Some(old), Some(new), found);
            }
        }
        (from, to) if from == to => {}
        (from, to) => found.push(Difference {
            path,
            from: from.cloned(),
            to: to.cloned(),
        }),
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn text(from: &Value, to: &Value) -> Vec<String> {
        differences(from, to)
            .iter()
            .map(Difference::to_string)
            .collect()
    }

    #[test]
    fn differences_name_path_and_both_values() {
        let from = json!({"environment": {"DEBUG": "0", "GONE": "x"}, "image": "a"});
        let to = json!({"environment": {"DEBUG": "1", "NEW": null, "ADDED": "y"}, "image": "a"});
        assert_eq!(
            text(&from, &to),
            [
                r#"environment.DEBUG "0" -> "1""#,
                r#"environment.GONE "x" -> (none)"#,
                r#"environment.ADDED (none) -> "y""#,
            ]
        );
    }

    #[test]
    fn differences_of_equal_lists_go_inside_and_of_others_show_both() {
        let from = json!({"ports": [{"target": 80}, {"target": 81}], "command": ["a"]});
        let to = json!({"ports": [{"target": 80}, {"target": 82}], "command": ["a", "b"]});
        assert_eq!(
            text(&from, &to),
            ["ports[1].target 81 -> 82", r#"command ["a"] -> ["a","b"]"#]
        );
    }

    #[test]
    fn differences_of_contents_say_so_and_show_nothing() {
        let from = json!({"contents": {"configs": {"a.b": "1", "gone": "2"}}});
        let to = json!({"contents": {"configs": {"a.b": "3"}, "secrets": {"s": "4"}}});
        assert_eq!(text(&from, &to), ["the content of configs.a.b changed"]);
        assert!(text(&json!({}), &to).is_empty());
    }

    #[test]
    fn differences_cut_long_values() {
        let long = "é".repeat(200);
        let shown = text(&json!({"a": long}), &json!({}));
        assert!(shown[0].len() < 150 && shown[0].contains('…'), "{shown:?}");
    }
}
