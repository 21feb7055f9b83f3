//! Where in the file an error belongs: the attribute that is at fault gives it
//! file, line and column, whenever the fault shows only while the plan is made
//! or walked.

mod setup;

use std::net::IpAddr;

use crate::compose::{Diagnostic, Project, Service};
use crate::event::ResourceKind;
use crate::net::ports::PortError;
use crate::supervise::wire::Failure;

use super::backend::BackendError;
use super::executor::{ExecuteError, OpFailure};
use super::planner::PlanError;
use super::session::ReconcileError;
use super::translate::oneoff::Overrides;
use super::translate::project::{network_name, volume_name};
use super::translate::values::parse_address;
use crate::causes::with_causes;

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

/// Why a one-off of a service could not be started, at its place in the file;
/// `None` where only the command line accounts for it.
pub fn start_failure(
    project: &Project,
    name: &str,
    overrides: &Overrides,
    failure: &Failure,
) -> Option<Diagnostic> {
    let service = project.services.get(name)?;
    let path = match failure {
        Failure::PortTaken { address, .. } => {
            format!("services.{name}.{}", port_attribute(service, address)?)
        }
        Failure::Init { error, .. } => {
            let is_own = overrides.command.is_empty()
                && overrides.entrypoint.is_none()
                && overrides.user.is_none();
            let of_image = || (is_own && setup::is_of_image(error)).then(|| "image".to_owned());
            let attribute = setup::attribute(service, error).or_else(of_image)?;
            format!("services.{name}.{attribute}")
        }
        other => reported_path(project, name, service, other)?,
    };
    let diagnostic = project.diagnostic(&path, failure.to_string());
    Some(with_hints(diagnostic, failure.hint()))
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
        ReconcileError::Image { service, .. } | ReconcileError::Push { service, .. } => {
            Some(format!("services.{service}.image"))
        }
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
        | PlanError::NothingToStart { .. }
        | PlanError::NothingAtAll => None,
    }
}

fn failure_path(project: &Project, failure: &OpFailure) -> Option<String> {
    let source = failure.source.as_ref()?;
    let Some(name) = failure.service.as_deref() else {
        return resource_path(project, failure, source);
    };
    reported_path(
        project,
        name,
        project.services.get(name)?,
        source.failure()?,
    )
}

/// A network or volume of the project that could not be made.
fn resource_path(project: &Project, failure: &OpFailure, source: &BackendError) -> Option<String> {
    let full = &failure.resource.name;
    match (failure.resource.kind, source) {
        (ResourceKind::Network, BackendError::Refused(Failure::Other { .. })) => {
            let mut keys = project.networks.keys();
            let key = keys.find(|key| network_name(project, key) == *full)?;
            Some(format!("networks.{key}"))
        }
        (ResourceKind::Volume, BackendError::Volume { .. }) => {
            let mut keys = project.volumes.keys();
            let key = keys.find(|key| volume_name(project, key) == *full)?;
            Some(format!("volumes.{key}"))
        }
        _ => None,
    }
}

/// What the supervisor reports of a service's container.
fn reported_path(
    project: &Project,
    name: &str,
    service: &Service,
    failure: &Failure,
) -> Option<String> {
    let attribute = match failure {
        Failure::PortTaken { address, .. } => {
            port_attribute(service, address).unwrap_or_else(|| "ports".to_owned())
        }
        Failure::Address { address, .. } => address_attribute(service, *address)?,
        Failure::Limit { limit, .. } => {
            let is_written =
                |attribute: &&&str| project.is_written(&format!("services.{name}.{attribute}"));
            let attributes = setup::control_group_attributes(limit);
            (*attributes.iter().find(is_written)?).to_owned()
        }
        Failure::NameTaken { .. } => {
            service.container_name.as_ref()?;
            "container_name".to_owned()
        }
        Failure::Init { error, .. } => {
            let of_image = || setup::is_of_image(error).then(|| "image".to_owned());
            setup::attribute(service, error).or_else(of_image)?
        }
        Failure::Version { .. }
        | Failure::NoContainer { .. }
        | Failure::State { .. }
        | Failure::Condition { .. }
        | Failure::Other { .. } => return None,
    };
    Some(format!("services.{name}.{attribute}"))
}

/// The static address of a service that is this one.
fn address_attribute(service: &Service, address: IpAddr) -> Option<String> {
    service.networks.iter().find_map(|(key, place)| {
        let place = place.as_ref()?;
        let attributes = [
            ("ipv4_address", &place.ipv4_address),
            ("ipv6_address", &place.ipv6_address),
        ];
        let is_it =
            |text: &Option<String>| text.as_deref().and_then(parse_address) == Some(address);
        let (attribute, _) = attributes.into_iter().find(|(_, text)| is_it(text))?;
        Some(format!("networks.{key}.{attribute}"))
    })
}

fn port_path(project: &Project, name: &str, address: &str) -> Option<String> {
    let attribute = port_attribute(project.services.get(name)?, address);
    let attribute = attribute.unwrap_or_else(|| "ports".to_owned());
    Some(format!("services.{name}.{attribute}"))
}

/// The entry of `ports` that asks for this port: `0.0.0.0:8080/tcp`,
/// `[::]:8080-8090/udp`.
fn port_attribute(service: &Service, address: &str) -> Option<String> {
    let (address, protocol) = address.rsplit_once('/')?;
    let (_, port) = address.rsplit_once(':')?;
    let first: u16 = port.split('-').next()?.parse().ok()?;
    let index = service.ports.iter().position(|port| {
        port.protocol() == protocol
            && port
                .published_range()
                .is_some_and(|(low, high)| (low..=high).contains(&first))
    })?;
    Some(format!("ports[{index}]"))
}
