//! The part of Go's templates that scripts use: `{{.Name}} {{.State}}`.

use std::io::{self, IsTerminal as _};

use serde_json::Value;

use super::error::CliError;
use crate::ui::printable;
use crate::ui::table::Table;

/// Replaces each `{{.Field}}` by the object's field; `{{json .}}` and
/// `{{json .Field}}` give JSON, `\t` and `\n` what they mean. On a terminal nothing in a
/// field steers it; a script gets what is there.
///
/// # Errors
/// An unknown field, or anything else between the braces.
pub fn fill(template: &str, object: &Value) -> Result<String, CliError> {
    let template = template.replace("\\t", "\t").replace("\\n", "\n");
    let mut text = String::new();
    let mut rest = template.as_str();
    while let Some((before, after)) = rest.split_once("{{") {
        text.push_str(before);
        let (inside, behind) = after.split_once("}}").ok_or_else(|| {
            CliError::new(format!(
                "the template `{template}` has no `}}}}` for its `{{{{`"
            ))
        })?;
        text.push_str(&place(inside.trim(), object)?);
        rest = behind;
    }
    text.push_str(rest);
    Ok(text)
}

/// One line an object.
///
/// # Errors
/// As [`fill`].
pub fn lines(template: &str, objects: &[Value]) -> Result<String, CliError> {
    let mut text = String::new();
    for object in objects {
        text.push_str(&fill(template, object)?);
        text.push('\n');
    }
    Ok(text)
}

/// The same as a table: a line of heads first, columns where the template has tabs.
///
/// # Errors
/// As [`fill`].
pub fn table(template: &str, heads: &Value, objects: &[Value]) -> Result<String, CliError> {
    let cells = |object: &Value| -> Result<Vec<String>, CliError> {
        Ok(fill(template, object)?
            .split('\t')
            .map(str::to_owned)
            .collect())
    };
    let head = cells(heads)?;
    let mut table = Table::new(&head.iter().map(String::as_str).collect::<Vec<_>>());
    for object in objects {
        table.row(cells(object)?);
    }
    Ok(table.render())
}

fn place(inside: &str, object: &Value) -> Result<String, CliError> {
    let (json, path) = match inside.strip_prefix("json ") {
        Some(path) => (true, path.trim()),
        None => (false, inside),
    };
    let value = match path.strip_prefix('.') {
        Some("") => Some(object),
        // `.Config.Env`; maps of strings have keys with dots, which Go's
        // templates reach by `index` only.
        Some(fields) => fields
            .split('.')
            .try_fold(object, |inner, field| inner.get(field)),
        None => None,
    };
    let value = value.ok_or_else(|| {
        let known: Vec<&str> = object
            .as_object()
            .map(|map| map.keys().map(String::as_str).collect())
            .unwrap_or_default();
        CliError::new(format!(
            "the template has `{{{{{inside}}}}}`, which is no field"
        ))
        .hint(format!("fields: {}", known.join(", ")))
    })?;
    Ok(match value {
        Value::String(text) if !json && io::stdout().is_terminal() => printable(text),
        Value::String(text) if !json => text.clone(),
        other => other.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn fields_are_filled_in() {
        let object = json!({"Name": "web-1", "ExitCode": 0});
        assert_eq!(
            fill("{{.Name}}\\t{{ .ExitCode }}", &object).unwrap(),
            "web-1\t0"
        );
        assert_eq!(fill("{{json .Name}}", &object).unwrap(), "\"web-1\"");
        let nested = json!({"Config": {"Env": ["A=b"]}});
        assert_eq!(fill("{{json .Config.Env}}", &nested).unwrap(), "[\"A=b\"]");
    }

    #[test]
    fn tables_have_heads_and_columns() {
        let heads = json!({"Name": "NAME", "State": "STATE"});
        let objects = [json!({"Name": "web-1", "State": "running"})];
        assert_eq!(
            table("{{.Name}}\\t{{.State}}", &heads, &objects).unwrap(),
            "NAME    STATE\nweb-1   running\n"
        );
    }

    #[test]
    fn what_is_unknown_is_refused() {
        let object = json!({"Name": "web-1"});
        for bad in ["{{.Nam}}", "{{range .}}", "{{.Name"] {
            assert!(fill(bad, &object).is_err(), "{bad}");
        }
    }
}
