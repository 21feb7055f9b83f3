//! What was left behind by operations that died half-way.

use std::collections::{BTreeSet, HashSet};

use super::detach::delete_links;
use super::error::NetError;
use super::handle::Net;
use super::labels::Owner;
use super::netlink::route;
use super::records::file_names;
use crate::state::{ContainerId, NetworkId};

/// What [`Net::sweep`] removed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Swept {
    /// Links, by name.
    pub links: Vec<String>,
    /// Containers that no longer exist and of which something was left.
    pub containers: BTreeSet<ContainerId>,
}

impl Net {
    /// Removes every link, pin and record of this root that belongs to a
    /// container or network that no longer exists, and puts the firewall's
    /// table right. A container exists while a project has its folder.
    ///
    /// # Errors
    /// The first failure; what can be removed beside is removed all the same.
    pub fn sweep(&self) -> Result<Swept, NetError> {
        // Nobody makes or removes a network meanwhile, so that what has no
        // record now has none for good.
        let lock = match self.records.lock_made_networks()? {
            Some(lock) => lock,
            // There may have been containers without a network.
            None if self.orphaned_records()?.is_empty() => return Ok(Swept::default()),
            None => self.records.lock_networks()?,
        };
        self.records.remove_temporary()?;
        let networks: HashSet<NetworkId> =
            self.records.networks()?.into_iter().map(|n| n.id).collect();
        let (links, owners) = self.in_bridge_netns(|| self.orphaned_links(&networks))?;
        let mut containers = owners;
        containers.extend(self.orphaned_records()?);
        let gone: Vec<ContainerId> = containers.iter().cloned().collect();
        let mut failures = Vec::new();
        failures.extend(self.detach_many(&gone).err());
        for network in self.records.run_networks()? {
            if !networks.contains(&network) {
                failures.extend(self.records.remove_run_state(&network).err());
            }
        }
        failures.extend(
            self.in_bridge_netns(|| {
                let mut host = Self::route_socket()?;
                delete_links(&mut host, &links)
                    .map_err(NetError::kernel("remove links", links.join(", ")))
            })
            .err(),
        );
        drop(lock);
        if !containers.is_empty() || !links.is_empty() {
            failures.extend(self.rebuild_firewall().err());
        }
        match failures.into_iter().next() {
            Some(error) => Err(error),
            None => Ok(Swept { links, containers }),
        }
    }

    /// Ids of all containers that some project has. Asked for after whatever is
    /// compared with it was listed: a container has its folder before anything
    /// else, and others may be about to start.
    fn living_containers(&self) -> Result<HashSet<ContainerId>, NetError> {
        let mut living = HashSet::new();
        for project in file_names(&self.layout.projects())? {
            let folder = self.layout.project(&project).join("containers");
            let names = file_names(&folder)?;
            living.extend(names.iter().filter_map(|name| ContainerId::parse(name)));
        }
        Ok(living)
    }

    /// Links of this root without a living owner, and the dead containers among
    /// their owners.
    fn orphaned_links(
        &self,
        networks: &HashSet<NetworkId>,
    ) -> Result<(Vec<String>, BTreeSet<ContainerId>), NetError> {
        let mut host = Self::route_socket()?;
        let all = route::links(&mut host).map_err(NetError::kernel("list", "links"))?;
        let living = self.living_containers()?;
        let mut names = Vec::new();
        let mut dead = BTreeSet::new();
        for link in all {
            let owner = link.alias.and_then(|alias| self.root.owner(&alias));
            let orphaned = match owner {
                Some(Owner::Network(network)) => !networks.contains(&network),
                Some(Owner::Endpoint(container, network)) => {
                    let lives = living.contains(&container);
                    if !lives {
                        dead.insert(container);
                    }
                    !lives || !networks.contains(&network)
                }
                None => false,
            };
            if orphaned {
                names.push(link.name);
            }
        }
        Ok((names, dead))
    }

    /// Dead containers that have a pin, an endpoint, an address or ports.
    fn orphaned_records(&self) -> Result<BTreeSet<ContainerId>, NetError> {
        let mut found = BTreeSet::new();
        let pins = file_names(&self.layout.run().join("netns"))?;
        found.extend(pins.iter().filter_map(|name| ContainerId::parse(name)));
        found.extend(self.records.published_ids()?);
        for network in self.records.run_networks()? {
            found.extend(self.records.endpoint_ids(&network)?);
            let addresses = self.records.addresses(&network)?;
            found.extend(addresses.into_iter().map(|(_, holder)| holder));
        }
        let living = self.living_containers()?;
        found.retain(|container| !living.contains(container));
        Ok(found)
    }
}
