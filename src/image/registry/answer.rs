//! Answers of strangers: read up to a limit, and told without their control
//! characters.

use reqwest::Response;
use serde::Deserialize;

use super::reason::Reason;

/// Longest body of an error that is read.
const ERROR_LIMIT: usize = 64 * 1024;
/// Longest text of an error that is told.
const TEXT_LIMIT: usize = 300;

/// A body that cannot be read whole.
#[derive(Debug, thiserror::Error)]
pub(super) enum BoundedError {
    /// Longer than it may be.
    #[error("it is longer than {0} bytes")]
    TooLong(usize),
    /// The connection broke.
    #[error("{}", .0.text)]
    Broken(Reason),
}

/// Reads a body of limited length.
pub(super) async fn read_bounded(
    mut response: Response,
    limit: usize,
) -> Result<Vec<u8>, BoundedError> {
    let mut body = Vec::new();
    while let Some(chunk) = response
        .chunk()
        .await
        .map_err(|e| BoundedError::Broken(Reason::of(&e)))?
    {
        if body.len() + chunk.len() > limit {
            return Err(BoundedError::TooLong(limit));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// What a refusal says, as far as it says anything.
pub(super) async fn refusal(response: Response) -> Option<String> {
    let body = read_bounded(response, ERROR_LIMIT)
        .await
        .unwrap_or_default();
    error_text(&body)
}

/// What an error's body says: the specification's `errors`, or the `details`
/// of token servers.
pub(super) fn error_text(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Body {
        #[serde(default)]
        errors: Vec<One>,
        details: Option<String>,
        message: Option<String>,
    }
    #[derive(Deserialize)]
    struct One {
        #[serde(default)]
        code: String,
        #[serde(default)]
        message: String,
    }
    let parsed: Body = serde_json::from_slice(body).ok()?;
    let text = parsed
        .errors
        .into_iter()
        .map(|e| {
            if e.message.is_empty() {
                e.code
            } else {
                e.message
            }
        })
        .filter(|text| !text.is_empty())
        .collect::<Vec<_>>()
        .join("; ");
    let text = Some(text)
        .filter(|text| !text.is_empty())
        .or(parsed.details)
        .or(parsed.message)?;
    Some(plain(&text).chars().take(TEXT_LIMIT).collect())
}

/// A text without what would draw on the user's terminal.
pub(crate) fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_registries_are_told_in_their_words() {
        let nested = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        let nested = format!(r#"{{"errors":{nested}}}"#);
        for (body, expected) in [
            (
                r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}"#,
                Some("manifest unknown"),
            ),
            (
                r#"{"errors":[{"code":"DENIED"},{"message":"b"}]}"#,
                Some("DENIED; b"),
            ),
            (
                r#"{"details":"incorrect username or password"}"#,
                Some("incorrect username or password"),
            ),
            (
                r#"{"errors":[{"message":"a\u001b[31mred"}]}"#,
                Some("a[31mred"),
            ),
            (&nested, None),
            ("<html>", None),
            ("{}", None),
        ] {
            assert_eq!(
                error_text(body.as_bytes()).as_deref(),
                expected,
                "{body:.100}"
            );
        }
    }
}
