//! The `raw` format: lines as they stand.

use indexmap::IndexMap;

use super::names::spaced_name;
use super::{Assignment, DotenvError, LINE, MOST_ERRORS, Parsed, Used, too_many};
use crate::compose::diag::quoted;
use crate::compose::limits::MOST_SETTINGS;
use crate::compose::template::Lookup;

/// Reads the `raw` format: `NAME=VALUE` as it stands, `#` only at the
/// beginning of a line.
pub(crate) fn parse_raw(
    text: &str,
    variables: &mut IndexMap<String, String>,
    outside: &Lookup<'_>,
) -> Result<Parsed, Vec<DotenvError>> {
    let mut parsed = Parsed::default();
    let mut errors = Vec::new();
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut next = 0;
    for (number, line) in (1..).zip(text.split_inclusive('\n')) {
        let start = next + line.len() - line.trim_start().len();
        next += line.len();
        let line = line.lines().next().unwrap_or_default().trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (name, value) = match line.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (line, None),
        };
        if name.is_empty() {
            errors.push(DotenvError {
                line: number,
                message: format!("{} has no name before its `=`", quoted(line)),
                expected: LINE,
                suggestion: None,
            });
        } else if name.contains(char::is_whitespace) {
            let mut error = spaced_name(number, name, value.as_deref());
            if let Some(("export", bare)) = name.split_once(char::is_whitespace) {
                let advice = format!(
                    "write `{}=…` alone: the format `raw` does not know `export`",
                    bare.trim()
                );
                error.suggestion = Some(advice);
            }
            errors.push(error);
        }
        if errors.len() >= MOST_ERRORS {
            break;
        }
        if parsed.settings.len() >= MOST_SETTINGS {
            errors.push(too_many(number));
            break;
        }
        let is_alone = value.is_none();
        if let Some(value) = value.or_else(|| outside(name)) {
            let uses = is_alone.then(|| Used::outer(name, Some(value.clone())));
            let written = if is_alone {
                0..name.len()
            } else {
                name.len() + 1..line.len()
            };
            parsed.settings.push(Assignment {
                written: start + written.start..start + written.end,
                uses: Vec::from_iter(uses),
                name: name.to_owned(),
                value: value.clone(),
                line: number,
            });
            variables.insert(name.to_owned(), value);
        }
    }
    if errors.is_empty() {
        Ok(parsed)
    } else {
        Err(errors)
    }
}
