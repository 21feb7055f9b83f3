//! The part of Go's templates that scripts use: `{{.Name}} {{.State}}`.

use serde_json::Value;

use super::error::CliError;

/// Replaces each `{{.Field}}` by the object's field; `{{json .}}` and
/// `{{json .Field}}` give JSON, `\t` and `\n` what they mean.
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

fn place(inside: &str, object: &Value) -> Result<String, CliError> {
    let (json, path) = match inside.strip_prefix("json ") {
        Some(path) => (true, path.trim()),
        None => (false, inside),
    };
    let value = match path.strip_prefix('.') {
        Some("") => Some(object),
        Some(field) => object.get(field),
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
    }

    #[test]
    fn what_is_unknown_is_refused() {
        let object = json!({"Name": "web-1"});
        for bad in ["{{.Nam}}", "{{range .}}", "{{.Name"] {
            assert!(fill(bad, &object).is_err(), "{bad}");
        }
    }
}
