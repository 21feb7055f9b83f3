//! `WWW-Authenticate`: what a registry wants to see (RFC 9110 section 11.6.1,
//! RFC 6750, distribution's token specification).

/// One way in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Challenge {
    /// User and password with each request.
    Basic,
    /// A token from a server.
    Bearer {
        /// Where tokens are given out.
        realm: String,
        /// Whom the token is for.
        service: Option<String>,
        /// What it must allow.
        scope: Option<String>,
        /// Why the token that was sent is not enough.
        error: Option<String>,
    },
}

/// Reads the headers of one answer; a token is preferred to a password, as it
/// does not hand out the password with each request.
pub(super) fn parse<'a>(headers: impl Iterator<Item = &'a str>) -> Option<Challenge> {
    let mut found = None;
    for header in headers {
        for (scheme, parameters) in challenges(header) {
            let value = |name: &str| {
                parameters
                    .iter()
                    .find(|(key, _)| key.eq_ignore_ascii_case(name))
                    .map(|(_, value)| value.clone())
            };
            if scheme.eq_ignore_ascii_case("bearer")
                && let Some(realm) = value("realm")
            {
                return Some(Challenge::Bearer {
                    realm,
                    service: value("service"),
                    scope: value("scope"),
                    error: value("error"),
                });
            }
            if scheme.eq_ignore_ascii_case("basic") {
                found = Some(Challenge::Basic);
            }
        }
    }
    found
}

/// Splits a header into schemes and their parameters.
fn challenges(header: &str) -> Vec<(String, Vec<(String, String)>)> {
    let mut result: Vec<(String, Vec<(String, String)>)> = Vec::new();
    let mut rest = header.trim_start_matches([' ', ',', '\t']);
    while !rest.is_empty() {
        let word_end = rest
            .find(|c: char| c.is_whitespace() || c == '=' || c == ',')
            .unwrap_or(rest.len());
        let (word, tail) = rest.split_at(word_end);
        let after = tail.trim_start();
        match after.strip_prefix('=') {
            Some(value) if !word.is_empty() => {
                let (value, tail) = parse_value(value.trim_start());
                if let Some((_, parameters)) = result.last_mut() {
                    parameters.push((word.to_owned(), value));
                }
                rest = tail;
            }
            Some(tail) => rest = tail,
            None => {
                if !word.is_empty() {
                    result.push((word.to_owned(), Vec::new()));
                }
                rest = after;
            }
        }
        rest = rest.trim_start_matches([' ', ',', '\t']);
    }
    result
}

/// A token or a quoted string, and what follows it.
fn parse_value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([',', ' ']).unwrap_or(text.len());
        let (value, tail) = text.split_at(end);
        return (value.to_owned(), tail);
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return (value, quoted.get(at + 1..).unwrap_or_default()),
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            other => value.push(other),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bearer(realm: &str, service: Option<&str>, scope: Option<&str>) -> Challenge {
        Challenge::Bearer {
            realm: realm.to_owned(),
            service: service.map(str::to_owned),
            scope: scope.map(str::to_owned),
            error: None,
        }
    }

    #[test]
    fn challenges_of_real_registries_are_read() {
        let hub = r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/nginx:pull""#;
        let two = r#"Basic realm="x", bearer realm="https://t/" , scope="a:b:pull,push""#;
        for (header, expected) in [
            (
                hub,
                Some(bearer(
                    "https://auth.docker.io/token",
                    Some("registry.docker.io"),
                    Some("repository:library/nginx:pull"),
                )),
            ),
            (r#"Basic realm="Registry Realm""#, Some(Challenge::Basic)),
            ("basic", Some(Challenge::Basic)),
            (two, Some(bearer("https://t/", None, Some("a:b:pull,push")))),
            (
                "Bearer realm=https://t/x,service=s",
                Some(bearer("https://t/x", Some("s"), None)),
            ),
            (r#"Bearer realm="a\"b""#, Some(bearer("a\"b", None, None))),
            (r#"Bearer service="s""#, None),
            ("Negotiate", None),
            ("", None),
        ] {
            assert_eq!(parse([header].into_iter()), expected, "{header}");
        }
    }

    proptest! {
        #[test]
        fn any_header_is_read_without_panic(header in ".{0,100}") {
            parse([header.as_str()].into_iter());
        }
    }
}
