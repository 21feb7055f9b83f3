//! Addresses given to containers: the networks' pools, the records of what is taken.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::error::NetError;
use super::handle::Net;
use super::network::no_network;
use super::spec::{EndpointSpec, NetworkRecord};
use super::subnets::Pool;
use crate::state::ContainerId;

impl Net {
    /// Gives one address a family, under the network's lock.
    pub(super) fn give_addresses(
        &self,
        container: &ContainerId,
        spec: &EndpointSpec,
        network: &NetworkRecord,
    ) -> Result<Vec<(IpAddr, u8)>, NetError> {
        let _lock = self.records.lock_network(&network.id)?;
        // It may have been removed while this waited for the lock.
        if self.records.network(&spec.network)?.map(|now| now.id) != Some(network.id.clone()) {
            self.records.remove_run_state(&network.id)?;
            return Err(no_network(&spec.network));
        }
        let pools: Vec<Pool> = network.subnets.iter().filter_map(Pool::of).collect();
        let mut given = Vec::new();
        let mut give = || {
            for (v4, wanted) in [(true, spec.ipv4), (false, spec.ipv6)] {
                let mut of_family = pools.iter().filter(|pool| pool.cidr.is_ipv4() == v4);
                let taken = match wanted {
                    Some(address) => self.take_static(container, network, &pools, address),
                    None => match of_family.next() {
                        Some(pool) => self.take_next(container, network, pool),
                        None => continue,
                    },
                };
                given.push(taken?);
            }
            Ok(())
        };
        match give() {
            Ok(()) => Ok(given),
            Err(error) => {
                for (address, _) in given {
                    self.records.free_address(&network.id, address)?;
                }
                Err(error)
            }
        }
    }

    fn take_static(
        &self,
        container: &ContainerId,
        network: &NetworkRecord,
        pools: &[Pool],
        address: IpAddr,
    ) -> Result<(IpAddr, u8), NetError> {
        let Some(pool) = pools.iter().find(|pool| pool.cidr.contains(address)) else {
            let subnets: Vec<&str> = network.subnets.iter().map(|s| s.cidr.as_str()).collect();
            return Err(NetError::AddressOutside {
                network: network.spec.name.clone(),
                address,
                subnets: subnets.join(", "),
            });
        };
        let taken = |holder: String| NetError::AddressTaken {
            network: network.spec.name.clone(),
            address,
            holder,
        };
        if pool.gateway == address {
            return Err(taken("the gateway".to_owned()));
        }
        if self.records.take_address(&network.id, address, container)? {
            return Ok((address, pool.cidr.prefix()));
        }
        let holder = self.records.holder(&network.id, address);
        // By a start of its own that was cut short.
        if holder.as_ref() == Some(container) {
            return Ok((address, pool.cidr.prefix()));
        }
        let endpoint = match &holder {
            Some(holder) => self.records.endpoint(&network.id, holder)?,
            None => None,
        };
        let name = match (endpoint, holder) {
            (Some(endpoint), _) => endpoint.container_name,
            (None, Some(holder)) => holder.short().to_owned(),
            (None, None) => "another".to_owned(),
        };
        Err(taken(format!("container `{name}`")))
    }

    fn take_next(
        &self,
        container: &ContainerId,
        network: &NetworkRecord,
        pool: &Pool,
    ) -> Result<(IpAddr, u8), NetError> {
        let mut taken: BTreeSet<IpAddr> = self.records.taken(&network.id)?.into_iter().collect();
        while let Some(address) = pool.next(&taken) {
            if self.records.take_address(&network.id, address, container)? {
                return Ok((address, pool.cidr.prefix()));
            }
            taken.insert(address);
        }
        Err(NetError::Exhausted {
            network: network.spec.name.clone(),
            range: pool.range.to_string(),
        })
    }
}
