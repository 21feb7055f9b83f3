//! Containers off networks: everything of theirs removed, for many at once.

use std::io;
use std::net::IpAddr;

use super::error::NetError;
use super::firewall::conntrack;
use super::handle::Net;
use super::namespace;
use super::netlink::{Connection, route};
use super::spec::Endpoint;
use crate::state::ContainerId;
use crate::state::id::random_hex;

impl Net {
    /// [`Self::detach_many`] of one container.
    ///
    /// # Errors
    /// As there.
    pub fn detach(&self, container: &ContainerId) -> Result<(), NetError> {
        self.detach_many(std::slice::from_ref(container))
    }

    /// Removes containers from their networks: names first, then published
    /// ports, links, connections, addresses and the pins of their namespaces.
    ///
    /// Several at once cost hardly more than one, as the kernel waits for its
    /// readers once for all links. One that is not attached is no error.
    ///
    /// # Errors
    /// The first failure; what can be removed beside is removed all the same.
    pub fn detach_many(&self, containers: &[ContainerId]) -> Result<(), NetError> {
        let mut failures = Vec::new();
        let mut endpoints = Vec::new();
        for container in containers {
            match self.endpoints_of(container) {
                Ok(found) => endpoints.extend(found),
                Err(error) => failures.push(error),
            }
        }
        for endpoint in &endpoints {
            let gone = self
                .records
                .remove_endpoint(&endpoint.network, &endpoint.container);
            failures.extend(gone.err());
        }
        failures.extend(self.unpublish_many(containers).err());
        failures.extend(self.unlink(&endpoints).err());
        for endpoint in &endpoints {
            failures.extend(self.forget(endpoint).err());
        }
        for container in containers {
            let pin = self.layout.netns(container);
            let gone = namespace::unpin(&pin).map_err(NetError::record("remove", pin));
            failures.extend(gone.err());
        }
        failures.into_iter().next().map_or(Ok(()), Err)
    }

    /// Removes the endpoints' links and tracked connections.
    fn unlink(&self, endpoints: &[Endpoint]) -> Result<(), NetError> {
        if endpoints.is_empty() {
            return Ok(());
        }
        let names: Vec<String> = endpoints
            .iter()
            .map(|endpoint| self.root.veth(&endpoint.container, &endpoint.network))
            .collect();
        let addresses: Vec<IpAddr> = endpoints
            .iter()
            .flat_map(|endpoint| endpoint.addresses.iter().map(|(address, _)| *address))
            .collect();
        self.in_bridge_netns(|| {
            let mut host = Self::route_socket()?;
            delete_links(&mut host, &names)
                .map_err(NetError::kernel("remove links", names.join(", ")))?;
            self.with_firewall(|connection| conntrack::forget(connection, &addresses))?
                .map_err(NetError::kernel("forget connections of", "containers"))
        })
    }
}

/// Removes links by name; one that is gone already is no error.
pub(super) fn delete_links(host: &mut Connection, names: &[String]) -> io::Result<()> {
    let gone = |error: &io::Error| error.raw_os_error() == Some(libc::ENODEV);
    let requests = match names {
        [] => return Ok(()),
        [name] => vec![route::delete_link(name)],
        names => {
            // A group that nobody else uses: the default group is 0, and
            // people number theirs from 1.
            let group = u32::from_str_radix(&random_hex(4), 16).unwrap_or_default() | 0x8000_0000;
            let join = names.iter().map(|name| route::set_group(name, group));
            join.chain([route::delete_group(group)]).collect()
        }
    };
    match host.run(&requests) {
        Err(error) if !gone(&error) => Err(error),
        _ => Ok(()),
    }
}
