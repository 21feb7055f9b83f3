use std::path::Path;
use std::sync::Arc;

use super::*;

fn read(text: &str) -> Result<Vec<Node>, Vec<String>> {
    let mut report = Report::default();
    let file = report.sources.add(Path::new("f"), Arc::from(text));
    let nodes = documents(text, file, &mut report);
    let messages = report.list.into_iter().map(|d| d.message).collect();
    nodes.ok_or(messages)
}

/// What is said of a text that is read to its end.
fn told(text: &str) -> Vec<String> {
    let mut report = Report::default();
    let file = report.sources.add(Path::new("f"), Arc::from(text));
    documents(text, file, &mut report).unwrap();
    report.list.into_iter().map(|d| d.message).collect()
}

#[test]
fn merge_keys_fill_in_what_is_missing() {
    let nodes = read("a: &a {x: 1, y: 2}\nb: {<<: [*a, {y: 3, z: 4}], x: 0}\n").unwrap();
    let b = nodes[0].get("b").unwrap();
    let values: Vec<_> = ["x", "y", "z"]
        .map(|key| b.get(key).unwrap().value.clone())
        .to_vec();
    assert_eq!(values, [Value::Int(0), Value::Int(2), Value::Int(4)]);
}

#[test]
fn marks_are_those_of_the_text() {
    let nodes = read("a:\n  bc: [1, x]\n").unwrap();
    let x = nodes[0].lookup("a.bc[1]").unwrap();
    assert_eq!((x.mark.line, x.mark.column), (2, 11));
    let bc = nodes[0].lookup("a.bc").unwrap();
    assert_eq!((bc.key.line, bc.key.column), (2, 3));
}

#[test]
fn wrong_keys_are_refused() {
    for (text, message) in [
        (
            "a: 1\na: 2\n",
            "the key `a` is in this mapping already, at line 1",
        ),
        ("1: x\n", "a key must be a string, `1` is not"),
        ("[a]: x\n", "a key must be a string, a list is not"),
        (
            "a: {<<: 1}\n",
            "`<<` merges mappings, this is a whole number",
        ),
    ] {
        assert_eq!(told(text), [message], "{text}");
    }
}

#[test]
fn aliases_that_explode_are_refused_at_once() {
    let mut lines = vec!["a0: &a0 [x, x, x, x, x, x, x, x, x]".to_owned()];
    for level in 1..30 {
        let below = format!("*a{}", level - 1);
        let items = [below.as_str(); 9].join(", ");
        lines.push(format!("a{level}: &a{level} [{items}]"));
    }
    let text = lines.join(
        "
",
    );
    let messages = read(&text).unwrap_err();
    assert_eq!(messages, ["the file has more than 1000000 nodes"]);
}

#[test]
fn depth_is_limited() {
    let deep = "[".repeat(200) + &"]".repeat(200);
    assert!(read(&deep).is_ok());
    let block: Vec<String> = (0..300)
        .map(|level| format!("{}a:", " ".repeat(level)))
        .collect();
    let block = block.join(
        "
",
    );
    assert_eq!(
        read(&block).unwrap_err(),
        ["the file is nested deeper than 256 levels"]
    );
}

#[test]
fn an_alias_within_itself_is_refused() {
    assert_eq!(
        read("a: &a [*a]\n").unwrap_err(),
        ["the alias is inside of what it stands for"]
    );
}
