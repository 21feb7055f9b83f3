//! `depends_on` and health checks that do not fit each other.

use std::collections::HashMap;

use super::Linter;
use super::dockerfile::{Image, image_of};
use crate::compose::consistency::implied;
use crate::compose::diag::Diagnostic;
use crate::compose::files::FileSystem;
use crate::compose::model::{Condition, Service};

/// Waiting for a health check that is switched off.
pub(super) fn never_healthy(linter: &Linter<'_>) -> Vec<Diagnostic> {
    hints(linter, |name, condition, target| {
        let is_off = target.healthcheck.as_ref().is_some_and(is_disabled);
        (condition == Condition::Healthy && is_off).then(|| {
            let message =
                format!("`{name}` has its health check switched off: it is never healthy");
            (
                message,
                "`condition: service_started`, or give it a health check".to_owned(),
            )
        })
    })
}

/// Waiting for the start alone of a service that has a health check, and for the
/// health of one that shows none, in the files or in its Dockerfile.
pub(super) fn conditions(linter: &Linter<'_>, files: &dyn FileSystem) -> Vec<Diagnostic> {
    // Each Dockerfile is read once, however many wait for its service.
    let mut known: HashMap<String, Option<Image>> = HashMap::new();
    hints(linter, |name, condition, target| {
        let is_checked = match &target.healthcheck {
            Some(health) => Some(!is_disabled(health)),
            None if target.build.is_some() => {
                let image = known.entry(name.to_owned()).or_insert_with(|| {
                    let (_, image) = image_of(target, files)?;
                    Some(image)
                });
                image.as_ref()?.is_checked // one that is elsewhere may have anything
            }
            None => None,
        };
        match (condition, is_checked) {
            (Condition::Started, Some(true)) => Some((
                format!("this waits for the start of `{name}`, not until its health check passes"),
                "`condition: service_healthy` waits for that".to_owned(),
            )),
            (Condition::Healthy, Some(false)) if target.healthcheck.is_none() => Some((
                format!(
                    "the Dockerfile of `{name}` switches its health check off: it is never healthy"
                ),
                "give it a `healthcheck`, or wait for `service_started`".to_owned(),
            )),
            (Condition::Healthy, None) => Some((
                match target.build {
                    Some(_) => format!(
                        "neither `{name}` nor its Dockerfile has a health check; \
                         this works only if its base image has one"
                    ),
                    None => format!(
                        "`{name}` has no `healthcheck`; this works only if its image has one"
                    ),
                },
                "give it a `healthcheck`, or wait for `service_started`".to_owned(),
            )),
            _ => None,
        }
    })
}

fn is_disabled(health: &crate::compose::model::Healthcheck) -> bool {
    health.disable
        || health
            .test
            .as_ref()
            .is_some_and(|test| test.first().is_some_and(|word| word == "NONE"))
}

fn hints(
    linter: &Linter<'_>,
    mut judge: impl FnMut(&str, Condition, &Service) -> Option<(String, String)>,
) -> Vec<Diagnostic> {
    let services = &linter.project.services;
    let mut hints = Vec::new();
    for (name, service) in services {
        let implied = implied(service);
        for (target, dependency) in &service.depends_on {
            if hints.len() >= super::MOST {
                return hints;
            }
            // What `links` and their like imply has no condition to be written.
            if implied.contains_key(target.as_str()) {
                continue;
            }
            let found = services.get(target);
            let judged = found.and_then(|found| judge(target, dependency.condition, found));
            let path = format!("depends_on.{target}");
            let Some(((message, help), node)) = judged.zip(linter.attribute(name, &path)) else {
                continue;
            };
            let path = format!("services.{name}.{path}");
            hints.push(linter.hint(node.key, &path, message).suggest(help));
        }
    }
    hints
}
