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
        let (from, to) = (text(self.from.as_ref()), text(self.to.as_ref()));
        let start = start_of_interest(&from, &to);
        write!(
            f,
            "{} {} -> {}",
            self.path,
            cut(&from, start),
            cut(&to, start)
        )
    }
}

fn text(value: Option<&Value>) -> String {
    value.map_or_else(|| "(none)".to_owned(), Value::to_string)
}

/// Where to begin to show two texts, in characters: at the beginning, but for
/// those that would be cut before they differ.
fn start_of_interest(from: &str, to: &str) -> usize {
    let pairs = from.chars().zip(to.chars());
    let same = pairs.take_while(|(one, other)| one == other).count();
    if same < SHOWN / 2 {
        0
    } else {
        same - SHOWN / 4
    }
}

fn cut(text: &str, start: usize) -> String {
    let before = if start > 0 { "…" } else { "" };
    let mut rest = text.chars().skip(start);
    let shown: String = rest.by_ref().take(SHOWN).collect();
    let after = if rest.next().is_some() { "…" } else { "" };
    format!("{before}{shown}{after}")
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
        (Some(from @ Value::Array(old)), Some(to @ Value::Array(new)))
            if [from, to].iter().any(|list| list.to_string().len() > SHOWN) =>
        {
            lists(&path, old, new, found);
        }
        (from, to) if from == to => {}
        (from, to) => found.push(Difference {
            path,
            from: from.cloned(),
            to: to.cloned(),
        }),
    }
}

/// Long lists of different length: what stands between their like beginnings and
/// their like ends.
fn lists(path: &str, old: &[Value], new: &[Value], found: &mut Vec<Difference>) {
    let like = |pairs: &mut dyn Iterator<Item = (&Value, &Value)>| {
        pairs.take_while(|(one, other)| one == other).count()
    };
    let start = like(&mut old.iter().zip(new));
    let shorter = old.len().min(new.len());
    let end = like(&mut old.iter().rev().zip(new.iter().rev())).min(shorter - start);
    let middle = |list: &[Value]| list.len() - end;
    for index in start..middle(old).max(middle(new)) {
        let of = |list: &'_ [Value]| list.get(index).filter(|_| index < middle(list)).cloned();
        let (from, to) = (of(old), of(new));
        walk(
            format!("{path}[{index}]"),
            from.as_ref(),
            to.as_ref(),
            found,
        );
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
    fn what_differs_is_what_is_shown() {
        let long = "x".repeat(100);
        let from = json!({"command": [format!("{long}a")], "ports": [{"target": 80}]});
        let to = json!({"command": [format!("{long}b")], "ports": [{"target": 80}, {"target": 81, "host_ip": long}]});
        let tail = "x".repeat(SHOWN / 4);
        assert_eq!(
            text(&from, &to),
            [
                format!("command[0] …{tail}a\" -> …{tail}b\""),
                format!(
                    "ports[1] (none) -> {{\"target\":81,\"host_ip\":\"{}…",
                    "x".repeat(SHOWN - 24)
                ),
            ]
        );
        let end = "e".repeat(SHOWN);
        let (from, to) = (json!({"dns": ["a", "b", end]}), json!({"dns": ["a", end]}));
        assert_eq!(text(&from, &to), ["dns[1] \"b\" -> (none)"]);
        assert_eq!(text(&to, &from), ["dns[1] (none) -> \"b\""]);
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
