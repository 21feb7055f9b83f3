//! `--call` of `skiff image build`: what is asked of a Dockerfile instead of a build.

use std::str::FromStr;

use crate::build::graph::{Outline, Target};
use crate::build::look::{Look, Seen};
use crate::ui::table::Table;

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Call {
    /// An image.
    #[default]
    Build,
    /// Its checks.
    Check {
        /// Warnings are no failure.
        is_status_ignored: bool,
    },
    /// Something that can be seen.
    Look(Look),
}

impl FromStr for Call {
    type Err = String;

    /// `check`, or with options behind it: `check,ignorestatus=true`.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut fields = text.split(',');
        let mut is_status_ignored = false;
        let method = fields.next().unwrap_or_default();
        for field in fields {
            match field.split_once('=') {
                Some(("format", "text")) => {}
                Some(("format", other)) => {
                    return Err(format!(
                        "`format={other}` is not written, only `format=text`"
                    ));
                }
                Some(("ignorestatus", value)) => {
                    is_status_ignored = value.parse().map_err(|_| {
                        format!("`ignorestatus` takes true or false, not `{value}`")
                    })?;
                }
                _ => {
                    return Err(format!(
                        "there is no `{field}`; there are `format=text` and `ignorestatus=true`"
                    ));
                }
            }
        }
        match method {
            "" | "build" => Ok(Self::Build),
            "check" | "lint" => Ok(Self::Check { is_status_ignored }),
            "targets" => Ok(Self::Look(Look::Targets)),
            "outline" => Ok(Self::Look(Look::Outline)),
            _ => Err(format!(
                "there is no `{method}`; there are build, check, outline and targets"
            )),
        }
    }
}

/// What was seen, as `docker build --call` prints it.
pub(super) fn shown(seen: &Seen) -> String {
    match seen {
        Seen::Targets(targets) => of_targets(targets),
        Seen::Outline(outline) => of_outline(outline),
    }
}

fn of_targets(targets: &[Target]) -> String {
    let mut table = Table::new(&["TARGET", "DESCRIPTION"]).gap(1);
    for target in targets {
        let name = match (&target.name, target.is_default) {
            (Some(name), true) => format!("{name} (default)"),
            (Some(name), false) => name.clone(),
            (None, _) => "(default)".to_owned(),
        };
        table.row(vec![name, target.description.clone()]);
    }
    table.render()
}

fn of_outline(outline: &Outline) -> String {
    let mut parts = Vec::new();
    if let Some((name, says)) = &outline.target {
        let mut head = Table::new(&["TARGET:", name]).gap(1);
        if !says.is_empty() {
            head.row(vec!["DESCRIPTION:".to_owned(), says.clone()]);
        }
        parts.push(head.render());
    }
    if !outline.arguments.is_empty() {
        let mut table = Table::new(&["BUILD ARG", "VALUE", "DESCRIPTION"]);
        for (name, taken) in &outline.arguments {
            table.row(vec![
                name.clone(),
                taken.value.clone(),
                taken.description.clone(),
            ]);
        }
        parts.push(table.render());
    }
    for (head, all) in [("SECRET", &outline.secrets), ("SSH", &outline.agents)] {
        if all.is_empty() {
            continue;
        }
        let mut table = Table::new(&[head, "REQUIRED"]);
        for (id, is_required) in all {
            let required = if *is_required { "true" } else { "" };
            table.row(vec![id.clone(), required.to_owned()]);
        }
        parts.push(table.render());
    }
    parts.iter().map(|part| format!("{part}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_have_options_behind_them() {
        for (text, wanted) in [
            ("build", Call::Build),
            (
                "check",
                Call::Check {
                    is_status_ignored: false,
                },
            ),
            (
                "check,ignorestatus=true",
                Call::Check {
                    is_status_ignored: true,
                },
            ),
            ("targets,format=text", Call::Look(Look::Targets)),
            ("outline", Call::Look(Look::Outline)),
        ] {
            assert_eq!(text.parse(), Ok(wanted), "{text}");
        }
        for (text, part) in [
            ("lists", "there is no `lists`"),
            ("outline,format=json", "`format=json` is not written"),
            ("check,ignorestatus=x", "true or false"),
            ("check,error", "there is no `error`"),
        ] {
            let error = text.parse::<Call>().unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
