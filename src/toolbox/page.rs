//! Pages with placeholders, for `serve --page`.
//!
//! - `{{file:/path}}` is a file's content,
//! - `{{get:http://backend:9000/x}}` what another server answers,
//! - `{{env:NAME}}` an environment variable,
//! - `{{addresses:NAME}}` the addresses of a name,
//! - `{{hostname}}` this machine's name.
//!
//! What is put in is escaped for HTML; what cannot be had is said in its place.

use std::time::Duration;

use super::http::{self, Url};
use super::{basic, names};

/// How long a page waits for another server.
const GET_LIMIT: Duration = Duration::from_secs(5);

/// Fills the placeholders.
pub(super) fn fill(template: &str) -> String {
    let mut page = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        page += before;
        let Some((placeholder, tail)) = after.split_once("}}") else {
            page += "{{";
            rest = after;
            continue;
        };
        match value(placeholder.trim()) {
            Some(value) => page += &escape(value.trim_end()),
            None => page = page + "{{" + placeholder + "}}",
        }
        rest = tail;
    }
    page + rest
}

/// `None` where it is no placeholder of ours.
fn value(placeholder: &str) -> Option<String> {
    let (kind, argument) = placeholder.split_once(':').unwrap_or((placeholder, ""));
    Some(match kind {
        "hostname" => basic::own_name(),
        "env" => crate::env::read_string(argument).unwrap_or_default(),
        "file" => basic::read(argument).map_or_else(
            |error| error.to_string(),
            |bytes| String::from_utf8_lossy(&bytes).into_owned(),
        ),
        "get" => Url::parse(argument)
            .and_then(|url| http::fetch("GET", &url, None, GET_LIMIT))
            .map_or_else(
                |error| error,
                |answer| String::from_utf8_lossy(&answer.body).into_owned(),
            ),
        "addresses" => names::resolve(argument, std::time::Instant::now() + GET_LIMIT).map_or_else(
            |error| error,
            |found| {
                let words: Vec<_> = found.iter().map(ToString::to_string).collect();
                words.join(" ")
            },
        ),
        _ => return None,
    })
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_filled_and_escaped() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs_err::write(file.path(), "a<b> & \"c\"\n").unwrap();
        let page = fill(&format!("<p>{{{{ file:{} }}}}</p>", file.path().display()));
        assert_eq!(page, "<p>a&lt;b&gt; &amp; &quot;c&quot;</p>");
        assert_eq!(fill("{{hostname}}"), basic::own_name());
    }

    #[test]
    fn what_is_no_placeholder_stays() {
        for text in ["", "a{b}", "{{x}}", "{{ open", "}}", "{{unknown:1}} {{"] {
            assert_eq!(fill(text), text);
        }
    }

    #[test]
    fn what_cannot_be_had_is_said() {
        assert!(fill("{{file:/nonexistent/x}}").contains("/nonexistent/x"));
        assert!(fill("{{get:https://x}}").contains("only http"));
    }
}
