//! Sockets of a running container that went with keeper and supervisor when
//! both were killed, made anew: those of its resolver, and of its ports.

use std::os::fd::{AsFd, OwnedFd};

use super::link::Link;
use super::{Shared, failure};
use crate::net::dns::{DnsSockets, sockets_in};
use crate::net::ports;
use crate::net::spec::PublishedPort;
use crate::supervise::launch::NetworkMode;
use crate::supervise::record::ContainerRecord;
use crate::supervise::wire::Failure;

/// The published ports of a run that are served.
#[derive(Debug, Default)]
pub(super) struct Ports {
    /// Each with its bound socket.
    pub(super) served: Vec<(PublishedPort, OwnedFd)>,
    /// Those that somebody else has taken meanwhile, a line each.
    pub(super) lost: Vec<String>,
}

/// Sockets for a container that asks for names, and the rules in its namespace
/// that lead to them; `None` where it has no network to ask on.
pub(super) fn resolver(
    shared: &Shared,
    record: &ContainerRecord,
) -> Result<Option<DnsSockets>, Failure> {
    let on_networks = match &record.launch.network {
        NetworkMode::Networks(endpoints) => !endpoints.is_empty(),
        NetworkMode::Host | NetworkMode::None | NetworkMode::Container(_) => false,
    };
    if !on_networks {
        return Ok(None);
    }
    let attached = shared.host.net.attached(&record.id).map_err(failure::net)?;
    let Some(attached) = attached else {
        return Ok(None);
    };
    let sockets = sockets_in(attached.netns.as_fd()).map_err(failure::net)?;
    hold_resolver(&shared.link, record.id.as_str(), &sockets)?;
    Ok(Some(sockets))
}

/// Has the keeper hold a resolver's sockets for the next supervisor.
pub(super) fn hold_resolver(link: &Link, key: &str, sockets: &DnsSockets) -> Result<(), Failure> {
    for (name, socket) in [("dns-udp", &sockets.udp), ("dns-tcp", &sockets.tcp)] {
        socket
            .try_clone()
            .and_then(|copy| link.hold(&format!("{key}/{name}"), copy))
            .map_err(|error| failure::other(&error))?;
    }
    Ok(())
}

/// The sockets of a container's ports: those that were held, by their number,
/// and the others bound again.
pub(super) fn published(
    shared: &Shared,
    record: &ContainerRecord,
    published: &[PublishedPort],
    mut held: impl FnMut(&str) -> Option<OwnedFd>,
) -> Result<Ports, Failure> {
    let key = record.id.as_str();
    let mut ports = Ports::default();
    let mut changed = false;
    for (number, port) in published.iter().enumerate() {
        let socket = held(&format!("port/{number}")).map_or_else(
            || {
                changed = true;
                ports::bind_again(shared.host.layout(), port)
            },
            Ok,
        );
        match socket {
            Ok(socket) => ports.served.push((port.clone(), socket)),
            Err(error) => ports.lost.push(format!(
                "container `{}` goes on without a port of its own: {error}",
                record.name
            )),
        }
    }
    if changed {
        // Held by their numbers among those that are left.
        shared.link.release(&format!("{key}/port"));
        for (number, (_, socket)) in ports.served.iter().enumerate() {
            socket
                .try_clone()
                .and_then(|copy| shared.link.hold(&format!("{key}/port/{number}"), copy))
                .map_err(|error| failure::other(&error))?;
        }
    }
    if !ports.lost.is_empty() {
        shared
            .host
            .net
            .unpublish(&record.id)
            .map_err(failure::net)?;
    }
    Ok(ports)
}
