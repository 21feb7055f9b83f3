//! `FROM --platform`.

use std::collections::BTreeSet;

use super::scope::{Variables, expanded};
use crate::dockerfile::{Lint, Problem, Rule, Stage, Word, as_buildkit};
use crate::image::Platform;
use crate::image::platform::PlatformError;
use crate::similar::similar;

/// The platform that a stage asks for, with what the checks have to say about it.
///
/// # Errors
/// An empty one, or what is no platform.
pub(super) fn of_stage<'a>(
    stage: &Stage,
    word: &Word,
    global: &Variables,
    known: &dyn Fn() -> Vec<&'a str>,
    escape: char,
    lint: &mut Lint,
) -> Result<Platform, Problem> {
    let value = expanded(global, word, escape)?;
    undeclared(&value.missing, known, stage, lint);
    let is_target_alone = value.missing.is_empty()
        && value.used.len() == 1
        && value.used.contains("TARGETPLATFORM")
        && global.get("TARGETPLATFORM") == Some(value.text.as_str());
    if is_target_alone {
        let message = format!(
            "Setting platform to predefined {} in FROM is redundant as this is the default behavior",
            word.text
        );
        lint.add(
            Rule::RedundantTargetPlatform,
            word.at,
            &stage.comments,
            message,
        );
    }
    if value.text.is_empty() {
        let message = format!("`{}` is empty, so there is no platform", word.text);
        let mut problem = Problem::new(word.at, message);
        if let Some(name) = value
            .missing
            .iter()
            .find_map(|name| similar(name, global.names()))
        {
            problem = problem.help(format!("did you mean `${name}`?"));
        }
        return Err(problem);
    }
    let platform = Platform::parse(&value.text).map_err(|error| match error {
        PlatformError::Form(text) => {
            let problem = Problem::new(word.at, format!("`{text}` is no platform"));
            problem.expected("`linux/amd64`, `linux/arm/v7`")
        }
        unknown @ PlatformError::Unknown { .. } => Problem::new(word.at, unknown.to_string()),
    })?;
    if value.used.is_empty() && value.missing.is_empty() {
        let name = stage.key().unwrap_or_default();
        if !name.contains(&platform.os) && !name.contains(&platform.architecture) {
            let message = format!(
                "FROM --platform flag should not use constant value \"{}\"",
                value.text
            );
            let rule = Rule::FromPlatformFlagConstDisallowed;
            lint.add(rule, word.at, &stage.comments, message);
        }
    }
    Ok(platform)
}

/// Warns of variables of a `FROM` that nothing before it declares.
pub(super) fn undeclared<'a>(
    missing: &BTreeSet<String>,
    known: &dyn Fn() -> Vec<&'a str>,
    stage: &Stage,
    lint: &mut Lint,
) {
    if missing.is_empty() || lint.is_full() {
        return;
    }
    let known = known();
    for name in missing {
        if known.contains(&name.as_str()) {
            continue;
        }
        let mut message = format!("FROM argument '{name}' is not declared");
        if let Some(similar) = as_buildkit(name, known.iter().copied()) {
            message.push_str(&format!(" (did you mean {similar}?)"));
        }
        lint.add(Rule::UndefinedArgInFrom, stage.at, &stage.comments, message);
    }
}
