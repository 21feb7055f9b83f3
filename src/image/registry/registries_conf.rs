//! `registries.conf`: other places for images (containers-registries.conf(5),
//! version 2, and what version 1 says of plain and of forbidden registries).
//!
//! Names that are searched for and short-name aliases are not taken over: a
//! short name means Docker Hub, as for Docker.

use serde::Deserialize;

use super::endpoint::{Endpoint, Trust};
use crate::image::reference::Reference;

/// What is known of the images below a prefix.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Rule {
    /// `host[:port][/path…]`, or `*.host`.
    prefix: String,
    /// What stands in the prefix's place at the registry; empty: the prefix.
    location: String,
    insecure: bool,
    blocked: bool,
    mirrors: Vec<Mirror>,
}

/// A further place, asked before the registry itself.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Mirror {
    location: String,
    insecure: bool,
    serves: Serves,
}

/// Which references a mirror is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Serves {
    #[default]
    #[serde(alias = "")]
    All,
    DigestOnly,
    TagOnly,
}

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    registry: Vec<RawRule>,
    #[serde(default)]
    registries: Version1,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct RawRule {
    #[serde(default)]
    prefix: String,
    #[serde(default)]
    location: String,
    #[serde(default)]
    insecure: bool,
    #[serde(default)]
    blocked: bool,
    #[serde(default)]
    mirror: Vec<RawMirror>,
    #[serde(default)]
    mirror_by_digest_only: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct RawMirror {
    location: String,
    #[serde(default)]
    insecure: bool,
    #[serde(default)]
    pull_from_mirror: Serves,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Version1 {
    insecure: List,
    block: List,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct List {
    registries: Vec<String>,
}

/// Reads one file. The reason of an error has the line and none of the text,
/// which may be of a file that its reader has no right to.
pub(super) fn parse(text: &str) -> Result<Vec<Rule>, String> {
    let file: File = toml::from_str(text).map_err(|error| {
        let before = error.span().and_then(|span| text.get(..span.start));
        let line = before.map(|before| before.matches('\n').count() + 1);
        let place = line.map(|line| format!("line {line}: "));
        format!("{}{}", place.unwrap_or_default(), error.message())
    })?;
    let version1 = |names: Vec<String>, make: fn(String) -> Rule| {
        names.into_iter().map(move |name| make(trimmed(&name)))
    };
    let insecure = version1(file.registries.insecure.registries, |prefix| Rule {
        prefix,
        insecure: true,
        ..Rule::default()
    });
    let blocked = version1(file.registries.block.registries, |prefix| Rule {
        prefix,
        blocked: true,
        ..Rule::default()
    });
    let mut rules = file
        .registry
        .into_iter()
        .map(rule)
        .collect::<Result<Vec<_>, _>>()?;
    rules.extend(insecure.chain(blocked));
    Ok(rules)
}

fn rule(raw: RawRule) -> Result<Rule, String> {
    let location = trimmed(&raw.location);
    let prefix = match trimmed(&raw.prefix) {
        prefix if prefix.is_empty() => location.clone(),
        prefix => prefix,
    };
    if prefix.is_empty() {
        return Err("a [[registry]] has neither `prefix` nor `location`".to_owned());
    }
    if let Some(host) = prefix.strip_prefix("*.") {
        if host.contains(['/', ':', '*']) {
            return Err(format!("`{prefix}`: only `*.host` may have a wildcard"));
        }
    } else if prefix.contains('*') {
        return Err(format!("`{prefix}`: only `*.host` may have a wildcard"));
    } else if location.is_empty() && !raw.location.is_empty() {
        return Err(format!("`{prefix}`: its `location` is empty"));
    }
    let mirror = |mirror: RawMirror| Mirror {
        location: trimmed(&mirror.location),
        insecure: mirror.insecure,
        serves: if raw.mirror_by_digest_only {
            Serves::DigestOnly
        } else {
            mirror.pull_from_mirror
        },
    };
    Ok(Rule {
        prefix,
        location,
        insecure: raw.insecure,
        blocked: raw.blocked,
        mirrors: raw.mirror.into_iter().map(mirror).collect(),
    })
}

fn trimmed(location: &str) -> String {
    location.trim_end_matches('/').to_owned()
}

/// Lays the rules of a later file over earlier ones: a prefix counts once.
pub(super) fn merge(rules: &mut Vec<Rule>, later: Vec<Rule>) {
    rules.retain(|old| !later.iter().any(|new| new.prefix == old.prefix));
    rules.extend(later);
}

/// Where an image is looked for, in this order.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Places {
    /// No rule is about it.
    Unchanged,
    /// It may not be pulled: the rule's prefix.
    Blocked(String),
    /// The mirrors, and the registry itself at the end.
    At(Vec<Endpoint>),
}

/// What the rules say of an image. The longest prefix counts.
pub(super) fn places(rules: &[Rule], reference: &Reference) -> Places {
    let name = reference.name();
    let Some((rule, length)) = rules
        .iter()
        .filter_map(|rule| Some((rule, matched(&rule.prefix, reference)?)))
        .max_by_key(|(_, length)| *length)
    else {
        return Places::Unchanged;
    };
    if rule.blocked {
        return Places::Blocked(rule.prefix.clone());
    }
    let is_wild = rule.prefix.starts_with("*.");
    let at = |location: &str, insecure: bool| {
        let rest = name.get(length.min(name.len())..).unwrap_or_default();
        let place = if location.is_empty() {
            name.clone()
        } else {
            format!("{location}{rest}")
        };
        Endpoint::at(
            &place,
            if insecure {
                Trust::Anything
            } else {
                Trust::Usual
            },
        )
    };
    let by_digest = reference.digest().is_some();
    let mirrors = rule.mirrors.iter().filter(|mirror| match mirror.serves {
        Serves::All => true,
        Serves::DigestOnly => by_digest,
        Serves::TagOnly => !by_digest,
    });
    let location = if is_wild { "" } else { rule.location.as_str() };
    let mut all: Vec<Endpoint> = mirrors
        .map(|mirror| at(&mirror.location, mirror.insecure).into_mirror())
        .collect();
    all.push(at(location, rule.insecure));
    Places::At(all)
}

/// How much of an image's name a prefix covers; `None` where it is about
/// others. A wildcard covers the host, and is weaker than any host's name.
fn matched(prefix: &str, reference: &Reference) -> Option<usize> {
    if let Some(suffix) = prefix.strip_prefix('*') {
        let domain = reference.domain();
        let host = domain.split(':').next().unwrap_or_default();
        return host.ends_with(suffix).then_some(domain.len());
    }
    let full = reference.to_string();
    let rest = full.strip_prefix(prefix)?;
    let ends = rest.is_empty() || rest.starts_with(['/', ':', '@']);
    // `host` is not a prefix of `host:5000`, which is another registry.
    let is_host = !prefix.contains('/');
    let other_port = is_host && rest.starts_with(':');
    (ends && !other_port).then_some(prefix.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str, image: &str) -> String {
        let rules = parse(text).unwrap();
        match places(&rules, &Reference::parse(image).unwrap()) {
            Places::Unchanged => "unchanged".to_owned(),
            Places::Blocked(prefix) => format!("blocked by {prefix}"),
            Places::At(all) => all
                .iter()
                .map(|one| {
                    let kind = if one.trust == Trust::Anything {
                        "!"
                    } else {
                        ""
                    };
                    let mirror = if one.is_mirror { "~" } else { "" };
                    format!("{mirror}{}/{}{kind}", one.host, one.path)
                })
                .collect::<Vec<_>>()
                .join(" "),
        }
    }

    /// The manual page's example.
    const EXAMPLE: &str = r#"
        unqualified-search-registries = ["example.com"]
        [[registry]]
        prefix = "example.com/foo"
        insecure = false
        blocked = false
        location = "internal.net/bar"
        [[registry.mirror]]
        location = "mirror-0.local/mirror-for-foo"
        [[registry.mirror]]
        location = "mirror-1.local/mirrors/foo"
        insecure = true
        [[registry]]
        location = "registry.com"
        [[registry.mirror]]
        location = "mirror.registry.com"
    "#;

    #[test]
    fn images_are_looked_for_where_the_rules_say() {
        let hub = "[[registry]]\nlocation='docker.io'\n[[registry.mirror]]\nlocation='m.test/hub/'";
        let kinds = "[[registry]]\nprefix='a.io'\nlocation='b.io'\n\
            [[registry.mirror]]\nlocation='t.io'\npull-from-mirror='tag-only'\n\
            [[registry.mirror]]\nlocation='d.io'\npull-from-mirror='digest-only'\n\
            [[registry.mirror]]\nlocation='e.io'\npull-from-mirror=''";
        let digest = format!("a.io/x@sha256:{}", "0".repeat(64));
        let by_digest = "[[registry]]\nlocation='a.io'\nmirror-by-digest-only=true\n\
            [[registry.mirror]]\nlocation='m.io'";
        let wild = "[[registry]]\nprefix='*.corp.test'\ninsecure=true\n\
            [[registry]]\nprefix='a.corp.test/x'\nblocked=true";
        let repository = "[[registry]]\nprefix='a.io/one:2'\nlocation='b.io/two'\n";
        let old = "[registries.insecure]\nregistries=['p.test:5000']\n[registries.block]\n\
            registries=['bad.test']\n[registries.search]\nregistries=['s.test']";
        for (text, image, expected) in [
            (
                EXAMPLE,
                "example.com/foo/image",
                "~mirror-0.local/mirror-for-foo/image ~mirror-1.local/mirrors/foo/image! \
                 internal.net/bar/image",
            ),
            (EXAMPLE, "example.com/food/image", "unchanged"),
            (
                EXAMPLE,
                "example.com/foo",
                "~mirror-0.local/mirror-for-foo ~mirror-1.local/mirrors/foo! internal.net/bar",
            ),
            (
                EXAMPLE,
                "registry.com/image",
                "~mirror.registry.com/image registry.com/image",
            ),
            (EXAMPLE, "registry.com:5000/image", "unchanged"),
            (EXAMPLE, "nginx", "unchanged"),
            (
                hub,
                "nginx",
                "~m.test/hub/library/nginx registry-1.docker.io/library/nginx",
            ),
            (
                hub,
                "you/app",
                "~m.test/hub/you/app registry-1.docker.io/you/app",
            ),
            (kinds, "a.io/x:1", "~t.io/x ~e.io/x b.io/x"),
            (kinds, &digest, "~d.io/x ~e.io/x b.io/x"),
            (by_digest, "a.io/x:1", "a.io/x"),
            (by_digest, &digest, "~m.io/x a.io/x"),
            (wild, "a.b.corp.test:5000/y", "a.b.corp.test:5000/y!"),
            (wild, "a.corp.test/x/y", "blocked by a.corp.test/x"),
            (wild, "corp.test/y", "unchanged"),
            (repository, "a.io/one:2", "b.io/two"),
            (repository, "a.io/one:3", "unchanged"),
            (old, "p.test:5000/x", "p.test:5000/x!"),
            (old, "bad.test/x", "blocked by bad.test"),
            (old, "s.test/x", "unchanged"),
            ("", "nginx", "unchanged"),
        ] {
            assert_eq!(told(text, image), expected, "{image} in {text}");
        }
    }

    #[test]
    fn a_later_file_replaces_a_prefix_as_a_whole() {
        let mut rules = parse(EXAMPLE).unwrap();
        merge(
            &mut rules,
            parse("[[registry]]\nprefix='example.com/foo'\nlocation='other.net'").unwrap(),
        );
        let reference = Reference::parse("example.com/foo/image").unwrap();
        let Places::At(all) = places(&rules, &reference) else {
            panic!("a place was expected");
        };
        assert_eq!(all.len(), 1);
        assert_eq!(all[0].host, "other.net");
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        for (text, part) in [
            ("\n\n[[registry]", "line 3"),
            ("[[registry]]\nblocked = 1", "line 2"),
            (
                "[[registry]]\n[[registry.mirror]]\ninsecure=true",
                "location",
            ),
            ("[[registry]]", "neither"),
            ("[[registry]]\nprefix='a.*.io'", "wildcard"),
            ("[[registry]]\nprefix='*.io/x'", "wildcard"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
