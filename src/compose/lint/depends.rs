//! `depends_on` and health checks that do not fit each other.

use super::Linter;
use crate::compose::consistency::implied;
use crate::compose::diag::Diagnostic;
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
/// health of one that shows none.
pub(super) fn conditions(linter: &Linter<'_>) -> Vec<Diagnostic> {
    hints(linter, |name, condition, target| {
        let health = target.healthcheck.as_ref();
        match condition {
            Condition::Started if health.is_some_and(|health| !is_disabled(health)) => Some((
                format!("this waits for the start of `{name}`, not until its health check passes"),
                "`condition: service_healthy` waits for that".to_owned(),
            )),
            // A Dockerfile may have one.
            Condition::Healthy if health.is_none() && target.build.is_none() => Some((
                format!("`{name}` has no `healthcheck`; this works only if its image has one"),
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
    judge: impl Fn(&str, Condition, &Service) -> Option<(String, String)>,
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
