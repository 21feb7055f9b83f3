//! Which variables there are where: the arguments before the first `FROM`, those of
//! a stage, and its environment.

use std::collections::BTreeMap;

use indexmap::IndexMap;

use crate::dockerfile::{Dockerfile, ExpandError, Expanded, Kind, Problem, Rules, Word, expand};
use crate::image::Platform;

/// Names with values, in the order in which they were first set.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Variables(IndexMap<String, String>);

impl Variables {
    pub(super) fn set(&mut self, name: &str, value: &str) {
        self.0.insert(name.to_owned(), value.to_owned());
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&String, &String)> {
        self.0.iter()
    }

    /// How many bytes a copy takes.
    pub(super) fn size(&self) -> usize {
        self.0
            .iter()
            .map(|(name, value)| name.len() + value.len() + ENTRY)
            .sum()
    }

    pub(super) fn expand(&self, text: &str, rules: Rules) -> Result<Expanded, ExpandError> {
        expand(text, rules, &|name| self.get(name).map(str::to_owned))
    }
}

/// What an entry takes beside its text.
pub(super) const ENTRY: usize = 48;

/// The arguments that are there without a declaration in the global scope:
/// "Automatic platform ARGs in the global scope" of the reference.
pub(super) fn predefined(
    build: &Platform,
    target: &Platform,
    stage: &str,
    given: &BTreeMap<String, String>,
) -> Variables {
    let mut variables = Variables::default();
    let variant = |platform: &Platform| platform.variant.clone().unwrap_or_default();
    for (name, value) in [
        ("BUILDPLATFORM", build.to_string()),
        ("BUILDOS", build.os.clone()),
        ("BUILDOSVERSION", String::new()),
        ("BUILDARCH", build.architecture.clone()),
        ("BUILDVARIANT", variant(build)),
        ("TARGETPLATFORM", target.to_string()),
        ("TARGETOS", target.os.clone()),
        ("TARGETOSVERSION", String::new()),
        ("TARGETARCH", target.architecture.clone()),
        ("TARGETVARIANT", variant(target)),
        ("TARGETSTAGE", stage.to_owned()),
    ] {
        variables.set(name, given.get(name).unwrap_or(&value));
    }
    variables
}

/// The global scope: what is predefined, then the arguments before the first `FROM`.
/// Also the names that are declared there.
///
/// # Errors
/// A default that cannot be expanded.
pub(super) fn global(
    file: &Dockerfile,
    mut variables: Variables,
    given: &BTreeMap<String, String>,
) -> Result<(Variables, Vec<String>), Problem> {
    let mut declared = Vec::new();
    for instruction in &file.arguments {
        let Kind::Arg(arguments) = &instruction.kind else {
            continue;
        };
        for argument in arguments {
            let name = &argument.name.text;
            declared.push(name.clone());
            if let Some(value) = given.get(name) {
                variables.set(name, value);
            } else if let Some(default) = &argument.default {
                let value = expanded(&variables, default, file.escape)?;
                variables.set(name, &value.text);
            }
        }
    }
    Ok((variables, declared))
}

/// A word with its variables replaced, or the problem at its place.
pub(super) fn expanded(
    variables: &Variables,
    word: &Word,
    escape: char,
) -> Result<Expanded, Problem> {
    variables
        .expand(&word.text, Rules::words(escape))
        .map_err(|error| Problem::new(word.at, error.to_string()))
}

/// Arguments that may be given without any declaration: "Predefined ARGs" and what
/// `BuildKit` itself understands.
pub(super) fn needs_no_declaration(name: &str) -> bool {
    is_proxy(name)
        || name.starts_with("BUILDKIT_")
        || name == "SOURCE_DATE_EPOCH"
        || name.starts_with("BUILDPLATFORM")
        || ["TARGET", "BUILD"].iter().any(|begin| {
            name.strip_prefix(begin).is_some_and(|rest| {
                ["PLATFORM", "OS", "OSVERSION", "ARCH", "VARIANT", "STAGE"].contains(&rest)
            })
        })
}

/// The variables that name proxies, in any case.
pub(super) fn is_proxy(name: &str) -> bool {
    const PROXIES: [&str; 5] = [
        "http_proxy",
        "https_proxy",
        "ftp_proxy",
        "no_proxy",
        "all_proxy",
    ];
    PROXIES.iter().any(|proxy| proxy.eq_ignore_ascii_case(name))
}
