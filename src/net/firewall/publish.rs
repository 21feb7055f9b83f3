//! Published ports in the firewall.

use std::net::SocketAddr;

use super::Firewall;
use super::ruleset;
use crate::net::error::NetError;
use crate::net::handle::Net;
use crate::net::records::{Forward, Published};
use crate::net::spec::{Endpoint, PublishedPort};
use crate::state::ContainerId;

/// Answer of [`Net::publish`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publication {
    /// For each port, in order: where its proxy sends what arrives at the
    /// socket. `None` where the container has no network that is not internal;
    /// such a port stays closed, as Docker has it.
    pub targets: Vec<Option<SocketAddr>>,
    /// What the user should know; one line each.
    pub notes: Vec<String>,
}

impl Net {
    /// Sends a container's published ports to it: by DNAT for the host's own
    /// addresses, remote clients and other containers, while what remains
    /// (127.0.0.1, and everything where another firewall filters what comes
    /// in) is for the caller's proxy on the bound socket.
    ///
    /// To be called after [`Net::attach`]; [`Net::detach`] takes it back.
    ///
    /// # Errors
    /// A kernel that refuses.
    pub fn publish(
        &self,
        container: &ContainerId,
        ports: &[PublishedPort],
    ) -> Result<Publication, NetError> {
        let endpoints = self.endpoints_of(container)?;
        let targets: Vec<_> = ports.iter().map(|port| target(&endpoints, port)).collect();
        let mut notes = Vec::new();
        let closed = targets.iter().filter(|target| target.is_none()).count();
        let name = endpoints
            .first()
            .map(|endpoint| endpoint.container_name.as_str());
        if closed > 0
            && let Some(name) = name
        {
            notes.push(format!(
                "container `{name}` is on internal networks only, its ports are not published"
            ));
        }
        let forwards: Vec<Forward> = ports
            .iter()
            .zip(&targets)
            .filter_map(|(port, target)| {
                Some(Forward {
                    port: port.clone(),
                    target: (*target)?,
                    rewritten: true,
                })
            })
            .collect();
        if !forwards.is_empty() {
            let published = Published {
                container: container.clone(),
                container_name: name.unwrap_or_default().to_owned(),
                ports: forwards,
            };
            notes.extend(self.in_bridge_netns(|| self.rewrite(published))?);
        }
        Ok(Publication { targets, notes })
    }

    fn rewrite(&self, mut published: Published) -> Result<Vec<String>, NetError> {
        Firewall::locked(self, |firewall| {
            let mut notes = Vec::new();
            if firewall.input_is_filtered()? {
                for forward in &mut published.ports {
                    forward.rewritten = false;
                }
                let outward = |forward: &Forward| !forward.port.host_ip.is_loopback();
                if published.ports.iter().any(outward) {
                    notes.push(format!(
                        "another firewall filters what comes in; the ports of container `{}` \
                         obey it, and its clients appear with the bridge's address",
                        published.container_name
                    ));
                }
            }
            self.records.write_published(&published)?;
            firewall.add(&ruleset::port_entries(&published))?;
            Ok(notes)
        })
    }

    /// Takes back what [`Net::publish`] did.
    ///
    /// # Errors
    /// A kernel that refuses.
    pub fn unpublish(&self, container: &ContainerId) -> Result<(), NetError> {
        self.unpublish_many(std::slice::from_ref(container))
    }

    /// Takes back what [`Net::publish`] did, for many containers at once.
    pub(in crate::net) fn unpublish_many(
        &self,
        containers: &[ContainerId],
    ) -> Result<(), NetError> {
        let mut found = Vec::new();
        for container in containers {
            found.extend(self.records.published(container)?);
        }
        if found.is_empty() {
            return Ok(());
        }
        let remove = |firewall: &mut Firewall<'_>| {
            let mut entries = Vec::new();
            for published in &found {
                self.records.remove_published(&published.container)?;
                entries.extend(ruleset::port_entries(published));
            }
            firewall.delete(&entries)
        };
        self.in_bridge_netns(|| Firewall::locked(self, remove))
    }
}

impl Firewall<'_> {
    /// Makes the records of published ports agree with whether another firewall
    /// filters what comes in; true where one had to change.
    pub(super) fn obey_input_filter(&mut self) -> Result<bool, NetError> {
        let all = self.net.records.all_published()?;
        if all.is_empty() {
            return Ok(false);
        }
        let rewritten = !self.input_is_filtered()?;
        let mut changed = false;
        for mut published in all {
            if published
                .ports
                .iter()
                .any(|port| port.rewritten != rewritten)
            {
                for port in &mut published.ports {
                    port.rewritten = rewritten;
                }
                self.net.records.write_published(&published)?;
                changed = true;
            }
        }
        Ok(changed)
    }
}

/// The container's address of the port's family on its first network that is
/// not internal, else the address of the other family.
fn target(endpoints: &[Endpoint], port: &PublishedPort) -> Option<SocketAddr> {
    let addresses = || {
        let open = endpoints.iter().filter(|endpoint| !endpoint.internal);
        open.flat_map(|endpoint| endpoint.addresses.iter().map(|(address, _)| *address))
    };
    let v4 = port.host_ip.is_ipv4();
    addresses()
        .find(|address| address.is_ipv4() == v4)
        .or_else(|| addresses().next())
        .map(|address| SocketAddr::new(address, port.container_port))
}
