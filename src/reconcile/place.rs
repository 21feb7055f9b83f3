//! Where in the file an error belongs: the attribute that is at fault gives it
//! file, line and column, whenever the fault shows only while the plan is made
//! or walked.

use crate::compose::{Diagnostic, FileReference, Project, Service};
use crate::engine::spec::{FIND_GROUP, FIND_USER, InitError};
use crate::net::ports::PortError;
use crate::supervise::wire::Failure;

use super::executor::{ExecuteError, OpFailure};
use super::planner::PlanError;
use super::session::ReconcileError;
use super::translate::project::{network_name, volume_name};
use crate::causes::with_causes;

/// Exit codes of a program that cannot be executed, or is not there.
const PROGRAM_FAILED: [i32; 2] = [126, 127];

/// The error with its place where it has one in this project's files, else as
/// it was.
pub(super) fn placed(project: &Project, error: ReconcileError) -> ReconcileError {
    let diagnostics = match &error {
        ReconcileError::Execute(ExecuteError::Failed { failures }) => {
            if !failures
                .iter()
                .any(|one| failure_path(project, one).is_some())
            {
                return error;
            }
            failures_of(project, failures)
        }
        _ => match path_of(project, &error) {
            Some(path) => vec![with_hints(
                project.diagnostic(&path, with_causes(&error)),
                error.hints(),
            )],
            None => return error,
        },
    };
    ReconcileError::Placed { diagnostics }
}

/// Each failure once, those without a place included.
fn failures_of(project: &Project, failures: &[OpFailure]) -> Vec<Diagnostic> {
    let mut list: Vec<Diagnostic> = Vec::new();
    for failure in failures {
        let text = failure.text.clone();
        let diagnostic = match failure_path(project, failure) {
            Some(path) => project.diagnostic(&path, text),
            None => Diagnostic::error(text),
        };
        let diagnostic = with_hints(diagnostic, failure.hint());
        if !list.contains(&diagnostic) {
            list.push(diagnostic);
        }
    }
    list
}

fn with_hints(diagnostic: Diagnostic, hints: impl IntoIterator<Item = String>) -> Diagnostic {
    let hints: Vec<String> = hints.into_iter().collect();
    if hints.is_empty() {
        diagnostic
    } else {
        diagnostic.suggest(hints.join("; "))
    }
}

fn path_of(project: &Project, error: &ReconcileError) -> Option<String> {
    match error {
        ReconcileError::Image { service, .. } => Some(format!("services.{service}.image")),
        ReconcileError::Port { service, source } => {
            let (PortError::Taken { address, .. }
            | PortError::NoAddress { address }
            | PortError::Failed { address, .. }) = source;
            port_path(project, service, address)
        }
        ReconcileError::Plan(plan) => plan_path(project, plan),
        ReconcileError::Refused { .. }
        | ReconcileError::Placed { .. }
        | ReconcileError::Execute(_)
        | ReconcileError::State { .. }
        | ReconcileError::Backend(_)
        | ReconcileError::Cancelled => None,
    }
}

fn plan_path(project: &Project, error: &PlanError) -> Option<String> {
    match error {
        PlanError::ExternalNetwork { name } | PlanError::NetworkInUse { network: name, .. } => {
            let mut keys = project.networks.keys();
            let key = keys.find(|key| network_name(project, key) == *name)?;
            Some(format!("networks.{key}"))
        }
        PlanError::ExternalVolume { name } => {
            let mut keys = project.volumes.keys();
            let key = keys.find(|key| volume_name(project, key) == *name)?;
            Some(format!("volumes.{key}"))
        }
        PlanError::NamedScale { service, .. } => Some(format!("services.{service}.container_name")),
        PlanError::NameTaken { name, .. } => {
            let mut services = project.services.iter();
            let (service, _) =
                services.find(|(_, one)| one.container_name.as_ref() == Some(name))?;
            Some(format!("services.{service}.container_name"))
        }
        PlanError::NoSuchService { .. }
        | PlanError::Cycle { .. }
        | PlanError::NothingToStart { .. } => None,
    }
}

fn failure_path(project: &Project, failure: &OpFailure) -> Option<String> {
    let name = failure.service.as_deref()?;
    let service = project.services.get(name)?;
    match failure.source.as_ref()?.failure()? {
        Failure::PortTaken { address, .. } => port_path(project, name, address),
        Failure::NameTaken { .. } => {
            service.container_name.as_ref()?;
            Some(format!("services.{name}.container_name"))
        }
        Failure::Init { error, .. } => {
            let attribute = attribute_of(service, error)?;
            Some(format!("services.{name}.{attribute}"))
        }
        Failure::Version { .. }
        | Failure::NoContainer { .. }
        | Failure::State { .. }
        | Failure::Condition { .. }
        | Failure::Other { .. } => None,
    }
}

/// The entry of `ports` that asks for this port: `0.0.0.0:8080/tcp`,
/// `[::]:8080-8090/udp`.
fn port_path(project: &Project, name: &str, address: &str) -> Option<String> {
    let (address, protocol) = address.rsplit_once('/')?;
    let (_, port) = address.rsplit_once(':')?;
    let first: u16 = port.split('-').next()?.parse().ok()?;
    let ports = &project.services.get(name)?.ports;
    let index = ports.iter().position(|port| {
        port.protocol() == protocol
            && port
                .published_range()
                .is_some_and(|(low, high)| (low..=high).contains(&first))
    });
    Some(match index {
        Some(index) => format!("services.{name}.ports[{index}]"),
        None => format!("services.{name}.ports"),
    })
}

/// The attribute that names what the child could not find or execute; what the
/// service does not name comes from its image.
fn attribute_of(service: &Service, error: &InitError) -> Option<String> {
    let object = error.object.as_deref().unwrap_or_default();
    let found = match error.step.as_str() {
        FIND_USER => user_attribute(service, object),
        FIND_GROUP => group_attribute(service, object),
        _ if PROGRAM_FAILED.contains(&error.exit_code) => program_attribute(service, error),
        _ => return None,
    };
    Some(found.unwrap_or_else(|| "image".to_owned()))
}

fn user_attribute(service: &Service, user: &str) -> Option<String> {
    let own = service.user.as_deref().unwrap_or_default();
    if own.split(':').next() == Some(user) {
        return Some("user".to_owned());
    }
    owner_attribute(service, |file| file.uid.as_deref() == Some(user))
}

fn group_attribute(service: &Service, group: &str) -> Option<String> {
    if let Some(index) = service.group_add.iter().position(|name| name == group) {
        return Some(format!("group_add[{index}]"));
    }
    let own = service.user.as_deref().unwrap_or_default();
    if own.split_once(':').is_some_and(|(_, name)| name == group) {
        return Some("user".to_owned());
    }
    owner_attribute(service, |file| file.gid.as_deref() == Some(group))
}

/// The config or secret that is to belong to somebody.
fn owner_attribute(service: &Service, owns: impl Fn(&FileReference) -> bool) -> Option<String> {
    let lists = [("configs", &service.configs), ("secrets", &service.secrets)];
    lists.into_iter().find_map(|(section, list)| {
        let index = list.iter().position(&owns)?;
        Some(format!("{section}[{index}]"))
    })
}

/// The program's name is in the message, quoted, as in Docker's.
fn program_attribute(service: &Service, error: &InitError) -> Option<String> {
    let message = error.message.as_deref().unwrap_or_default();
    let lists = [
        ("entrypoint", &service.entrypoint),
        ("command", &service.command),
    ];
    let named = lists.into_iter().find(|(_, words)| {
        let program = words.as_deref().and_then(<[String]>::first);
        program.is_some_and(|program| message.contains(&format!("\"{program}\"")))
    });
    named.map(|(attribute, _)| attribute.to_owned())
}
