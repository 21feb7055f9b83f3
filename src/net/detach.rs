//! Containers off networks: everything of theirs removed, for many at once.

use std::io;
use std::net::IpAddr;

use super::error::NetError;
use super::firewall::conntrack;
use super::handle::Net;
use super::namespace;
use super::netlink::{Connection, route};
use super::network::no_network;
use super::spec::{Endpoint, NetworkRecord};
use crate::state::ContainerId;
use crate::state::id::random_hex;

/// Containers that nobody reaches any longer, and what the kernel and the
/// address pools still have of them.
#[derive(Debug, Clone, Default)]
pub struct Withdrawn {
    /// The containers.
    pub containers: Vec<ContainerId>,
    /// What they were on their networks.
    pub endpoints: Vec<Endpoint>,
}

impl Withdrawn {
    /// All of both.
    pub fn join(&mut self, other: Self) {
        self.containers.extend(other.containers);
        self.endpoints.extend(other.endpoints);
    }
}

impl Net {
    /// [`Self::detach_many`] of one container.
    ///
    /// # Errors
    /// As there.
    pub fn detach(&self, container: &ContainerId) -> Result<(), NetError> {
        self.detach_many(std::slice::from_ref(container))
    }

    /// [`Self::withdraw`] and [`Self::clear`].
    ///
    /// # Errors
    /// The first failure; what can be removed beside is removed all the same.
    pub fn detach_many(&self, containers: &[ContainerId]) -> Result<(), NetError> {
        let (withdrawn, result) = self.withdraw(containers);
        let cleared = self.clear(&withdrawn, &[]);
        result.and(cleared)
    }

    /// Takes away the names and the published ports of containers, which takes
    /// no time; [`Self::clear`] has to follow. One that is not attached is no
    /// error. With the result comes the first failure.
    pub fn withdraw(&self, containers: &[ContainerId]) -> (Withdrawn, Result<(), NetError>) {
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
        let withdrawn = Withdrawn {
            containers: containers.to_vec(),
            endpoints,
        };
        (withdrawn, failures.into_iter().next().map_or(Ok(()), Err))
    }

    /// Takes a network away from everybody: nobody finds or joins it any longer,
    /// and its rules are gone. [`Self::clear`] has to follow. Containers that are
    /// on their way out do not count as users.
    ///
    /// # Errors
    /// [`NetError::NoNetwork`], and [`NetError::InUse`] while another container is
    /// on it.
    pub fn retire(&self, name: &str, leaving: &[ContainerId]) -> Result<NetworkRecord, NetError> {
        let _all = self.records.lock_networks()?;
        let record = self
            .records
            .network(name)?
            .ok_or_else(|| no_network(name))?;
        let _lock = self.records.lock_network(&record.id)?;
        self.refuse_in_use(&record, leaving)?;
        self.records.remove_network(&record)?;
        self.in_bridge_netns(|| self.dismiss_network(&record))?;
        Ok(record)
    }

    /// Removes what is left of withdrawn containers (links, connections,
    /// addresses, the pins of their namespaces) and of retired networks (their
    /// bridges).
    ///
    /// All at once cost hardly more than one, as the kernel waits for its
    /// readers once for all links.
    ///
    /// # Errors
    /// The first failure; what can be removed beside is removed all the same.
    pub fn clear(&self, withdrawn: &Withdrawn, retired: &[NetworkRecord]) -> Result<(), NetError> {
        let mut failures = Vec::new();
        let unlinked = self.in_bridge_netns(|| self.remove_links(withdrawn, retired));
        failures.extend(unlinked.err());
        for endpoint in &withdrawn.endpoints {
            failures.extend(self.forget(endpoint).err());
        }
        failures.extend(self.free_addresses(&withdrawn.containers).err());
        for container in &withdrawn.containers {
            let pin = self.layout.netns(container);
            let gone = namespace::unpin(&pin).map_err(NetError::record("remove", pin));
            failures.extend(gone.err());
        }
        failures.into_iter().next().map_or(Ok(()), Err)
    }

    /// Takes back every address that is given to these containers: one that was
    /// given when a start was cut short has no endpoint record.
    fn free_addresses(&self, containers: &[ContainerId]) -> Result<(), NetError> {
        if containers.is_empty() {
            return Ok(());
        }
        for network in self.records.run_networks()? {
            for (address, holder) in self.records.addresses(&network)? {
                if containers.contains(&holder) {
                    self.records.free_address(&network, address)?;
                }
            }
        }
        Ok(())
    }

    /// Removes the links of containers, their tracked connections, and the
    /// bridges of networks; in the bridges' namespace.
    fn remove_links(
        &self,
        withdrawn: &Withdrawn,
        networks: &[NetworkRecord],
    ) -> Result<(), NetError> {
        let mut host = Self::route_socket()?;
        let mut names = Vec::new();
        let mut addresses: Vec<IpAddr> = Vec::new();
        for endpoint in &withdrawn.endpoints {
            let name = self.root.veth(&endpoint.container, &endpoint.network);
            // Where no packet ever passed there are no connections. To look for
            // some takes milliseconds.
            let link = route::find_link(&mut host, &name)
                .map_err(NetError::kernel("find the link", &name))?;
            if link.is_none_or(|link| link.was_used) {
                addresses.extend(endpoint.addresses.iter().map(|(address, _)| *address));
            }
            names.push(name);
        }
        names.extend(networks.iter().map(|record| self.bridge_name(record)));
        if names.is_empty() {
            return Ok(());
        }
        delete_links(&mut host, &names)
            .map_err(NetError::kernel("remove links", names.join(", ")))?;
        if addresses.is_empty() {
            return Ok(());
        }
        self.with_firewall(|connection| conntrack::forget(connection, &addresses))?
            .map_err(NetError::kernel("forget connections of", "containers"))
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
