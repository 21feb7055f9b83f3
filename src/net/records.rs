//! Records on disk: networks, endpoints, addresses and published ports.
//!
//! ```text
//! DATA networks/<name>.json                      the network, durable
//! DATA networks/.lock                            held while one is made or removed
//! RUN  networks/<id>/lock                        held while addresses are given out
//! RUN  networks/<id>/endpoints/<container>.json  presence of a container
//! RUN  networks/<id>/addresses/<address>         symbolic link to whom it is given
//! RUN  networks/published/<container>.json       published ports and their targets
//! RUN  networks/firewall.lock                    held while the table is changed
//! ```
//!
//! A symbolic link is made whole and fails where the name is taken, so an
//! address can never be given twice. It names the container in base64, not in
//! hexadecimal: ext4 keeps up to 59 bytes in the inode, and takes ten times as
//! long to remove a longer one.

use std::ffi::OsStr;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fs_err as fs;
use serde::{Deserialize, Serialize};

use super::error::NetError;
use super::spec::{Endpoint, NetworkRecord, PublishedPort};
use crate::state::atomic::{self, Durability};
use crate::state::lock::Lock;
use crate::state::{ContainerId, Layout, NetworkId};

/// Published ports of one container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Published {
    /// The container.
    pub(super) container: ContainerId,
    /// Its full name, to name the holder of a taken port.
    pub(super) container_name: String,
    /// What is published.
    pub(super) ports: Vec<Forward>,
}

/// One published port and where its traffic goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Forward {
    /// The port.
    pub(super) port: PublishedPort,
    /// Address and port in the container.
    pub(super) target: SocketAddr,
    /// Rewritten by the firewall, and not only served by the proxy.
    pub(super) rewritten: bool,
}

/// Paths, locks and reading and writing of the records.
#[derive(Debug, Clone)]
pub(super) struct Records {
    networks: PathBuf,
    run: PathBuf,
}

impl Records {
    pub(super) fn new(layout: &Layout) -> Self {
        Self {
            networks: layout.networks(),
            run: layout.run_networks(),
        }
    }

    /// The lock of making and removing networks.
    pub(super) fn lock_networks(&self) -> Result<Lock, NetError> {
        lock(&self.networks_lock())
    }

    /// The same lock; `None` where no network was ever made.
    pub(super) fn lock_made_networks(&self) -> Result<Option<Lock>, NetError> {
        let path = self.networks_lock();
        Lock::acquire_existing(&path).map_err(NetError::record("lock", &path))
    }

    fn networks_lock(&self) -> PathBuf {
        self.networks.join(".lock")
    }

    /// The lock of one network's addresses.
    pub(super) fn lock_network(&self, id: &NetworkId) -> Result<Lock, NetError> {
        lock(&self.run.join(id.as_str()).join("lock"))
    }

    /// The lock of the firewall's table.
    pub(super) fn lock_firewall(&self) -> Result<Lock, NetError> {
        lock(&self.run.join("firewall.lock"))
    }

    /// One network's record.
    pub(super) fn network(&self, name: &str) -> Result<Option<NetworkRecord>, NetError> {
        let path = self.network_path(name);
        atomic::read_json(&path).map_err(NetError::record("read", &path))
    }

    /// All networks, by name.
    pub(super) fn networks(&self) -> Result<Vec<NetworkRecord>, NetError> {
        let mut found: Vec<NetworkRecord> = read_folder(&self.networks)?;
        found.sort_by(|a, b| a.spec.name.cmp(&b.spec.name));
        Ok(found)
    }

    pub(super) fn write_network(&self, record: &NetworkRecord) -> Result<(), NetError> {
        let path = self.network_path(&record.spec.name);
        atomic::write_json(&path, record, Durability::Durable)
            .map_err(NetError::record("write", &path))
    }

    /// Removes a network's record and all its run-time state.
    pub(super) fn remove_network(&self, record: &NetworkRecord) -> Result<(), NetError> {
        let path = self.network_path(&record.spec.name);
        remove_file(&path)?;
        self.remove_run_state(&record.id)
    }

    /// Removes the run-time state of a network.
    pub(super) fn remove_run_state(&self, id: &NetworkId) -> Result<(), NetError> {
        let path = self.run.join(id.as_str());
        match fs::remove_dir_all(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(NetError::record("remove", &path)(error))
            }
            _ => Ok(()),
        }
    }

    /// Removes what a killed process had not renamed yet. The lock of networks
    /// is held, so that nobody writes there.
    pub(super) fn remove_temporary(&self) -> Result<(), NetError> {
        let _firewall = self.lock_firewall()?;
        for folder in [&self.networks, &self.published_folder()] {
            atomic::remove_temporary(folder).map_err(NetError::record("sweep", folder))?;
        }
        Ok(())
    }

    /// Ids of all networks that have run-time state.
    pub(super) fn run_networks(&self) -> Result<Vec<NetworkId>, NetError> {
        let names = file_names(&self.run)?;
        Ok(names.iter().filter_map(|n| NetworkId::parse(n)).collect())
    }

    /// Everything on a network.
    pub(super) fn endpoints(&self, network: &NetworkId) -> Result<Vec<Endpoint>, NetError> {
        let mut found: Vec<Endpoint> = read_folder(&self.endpoints_folder(network))?;
        found.sort_by(|a, b| a.container_name.cmp(&b.container_name));
        Ok(found)
    }

    /// A container's presence on a network.
    pub(super) fn endpoint(
        &self,
        network: &NetworkId,
        container: &ContainerId,
    ) -> Result<Option<Endpoint>, NetError> {
        let path = self.endpoint_path(network, container);
        atomic::read_json(&path).map_err(NetError::record("read", &path))
    }

    pub(super) fn write_endpoint(&self, endpoint: &Endpoint) -> Result<(), NetError> {
        let path = self.endpoint_path(&endpoint.network, &endpoint.container);
        atomic::write_json(&path, endpoint, Durability::ThisBoot)
            .map_err(NetError::record("write", &path))
    }

    pub(super) fn remove_endpoint(
        &self,
        network: &NetworkId,
        container: &ContainerId,
    ) -> Result<(), NetError> {
        remove_file(&self.endpoint_path(network, container))
    }

    /// Containers that have an endpoint record on a network.
    pub(super) fn endpoint_ids(&self, network: &NetworkId) -> Result<Vec<ContainerId>, NetError> {
        let names = file_names(&self.endpoints_folder(network))?;
        Ok(names
            .iter()
            .filter_map(|name| ContainerId::parse(name.strip_suffix(".json")?))
            .collect())
    }

    /// Addresses given out on a network and to whom.
    pub(super) fn addresses(
        &self,
        network: &NetworkId,
    ) -> Result<Vec<(IpAddr, ContainerId)>, NetError> {
        let folder = self.addresses_folder(network);
        let mut found = Vec::new();
        for name in file_names(&folder)? {
            let path = folder.join(&name);
            let Ok(address) = name.parse() else { continue };
            let holder = match fs::read_link(&path) {
                Ok(target) => target.to_str().and_then(parse_holder),
                Err(error) if error.kind() == io::ErrorKind::NotFound => None,
                Err(error) => return Err(NetError::record("read", &path)(error)),
            };
            found.extend(holder.map(|holder| (address, holder)));
        }
        Ok(found)
    }

    /// The names alone of [`Self::addresses`]: one read of a folder.
    pub(super) fn taken(&self, network: &NetworkId) -> Result<Vec<IpAddr>, NetError> {
        let names = file_names(&self.addresses_folder(network))?;
        Ok(names.iter().filter_map(|name| name.parse().ok()).collect())
    }

    /// Whose an address is.
    pub(super) fn holder(&self, network: &NetworkId, address: IpAddr) -> Option<ContainerId> {
        let path = self.addresses_folder(network).join(address.to_string());
        parse_holder(fs::read_link(path).ok()?.to_str()?)
    }

    /// Gives an address to a container; false where it is given already.
    pub(super) fn take_address(
        &self,
        network: &NetworkId,
        address: IpAddr,
        container: &ContainerId,
    ) -> Result<bool, NetError> {
        let folder = self.addresses_folder(network);
        let path = folder.join(address.to_string());
        let holder = holder_text(container);
        let link = || fs_err::os::unix::fs::symlink(&holder, &path);
        let made = match link() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                fs::create_dir_all(&folder).and_then(|()| link())
            }
            other => other,
        };
        match made {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(NetError::record("make", &path)(error)),
        }
    }

    /// Takes an address back.
    pub(super) fn free_address(
        &self,
        network: &NetworkId,
        address: IpAddr,
    ) -> Result<(), NetError> {
        remove_file(&self.addresses_folder(network).join(address.to_string()))
    }

    /// Published ports of all containers.
    pub(super) fn all_published(&self) -> Result<Vec<Published>, NetError> {
        read_folder(&self.published_folder())
    }

    /// Published ports of one container.
    pub(super) fn published(&self, container: &ContainerId) -> Result<Option<Published>, NetError> {
        let path = self.published_path(container);
        atomic::read_json(&path).map_err(NetError::record("read", &path))
    }

    pub(super) fn write_published(&self, published: &Published) -> Result<(), NetError> {
        let path = self.published_path(&published.container);
        atomic::write_json(&path, published, Durability::ThisBoot)
            .map_err(NetError::record("write", &path))
    }

    pub(super) fn remove_published(&self, container: &ContainerId) -> Result<(), NetError> {
        remove_file(&self.published_path(container))
    }

    /// Containers that have a record of published ports.
    pub(super) fn published_ids(&self) -> Result<Vec<ContainerId>, NetError> {
        let names = file_names(&self.published_folder())?;
        Ok(names
            .iter()
            .filter_map(|name| ContainerId::parse(name.strip_suffix(".json")?))
            .collect())
    }

    /// The folder of a network's endpoint records.
    pub(super) fn endpoints_folder(&self, network: &NetworkId) -> PathBuf {
        self.run.join(network.as_str()).join("endpoints")
    }

    fn addresses_folder(&self, network: &NetworkId) -> PathBuf {
        self.run.join(network.as_str()).join("addresses")
    }

    fn published_folder(&self) -> PathBuf {
        self.run.join("published")
    }

    fn network_path(&self, name: &str) -> PathBuf {
        self.networks.join(format!("{name}.json"))
    }

    fn endpoint_path(&self, network: &NetworkId, container: &ContainerId) -> PathBuf {
        self.endpoints_folder(network)
            .join(format!("{container}.json"))
    }

    fn published_path(&self, container: &ContainerId) -> PathBuf {
        self.published_folder().join(format!("{container}.json"))
    }
}

/// A container's id as the target of a symbolic link.
fn holder_text(container: &ContainerId) -> String {
    let digits = container.as_str().as_bytes().chunks(2);
    let bytes: Vec<u8> = digits
        .filter_map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect();
    URL_SAFE_NO_PAD.encode(bytes)
}

fn parse_holder(text: &str) -> Option<ContainerId> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    let digits: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    ContainerId::parse(&digits.concat())
}

fn lock(path: &Path) -> Result<Lock, NetError> {
    Lock::acquire(path).map_err(NetError::record("lock", path))
}

fn remove_file(path: &Path) -> Result<(), NetError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(NetError::record("remove", path)(error))
        }
        _ => Ok(()),
    }
}

/// Names in a folder; none where it is missing.
pub(super) fn file_names(folder: &Path) -> Result<Vec<String>, NetError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(NetError::record("list", folder)(error)),
    };
    entries
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<io::Result<_>>()
        .map_err(NetError::record("list", folder))
}

/// Reads every `.json` of a folder; one that vanishes meanwhile is left out.
fn read_folder<T: serde::de::DeserializeOwned>(folder: &Path) -> Result<Vec<T>, NetError> {
    let mut found = Vec::new();
    for name in file_names(folder)? {
        let path = folder.join(&name);
        if name.starts_with('.') || path.extension() != Some(OsStr::new("json")) {
            continue;
        }
        found.extend(atomic::read_json(&path).map_err(NetError::record("read", &path))?);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_is_given_once_and_tells_its_holder() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().to_owned();
        let records = Records::new(&Layout::new(root.join("data"), root.join("run")));
        let network = NetworkId::random();
        let (one, two) = (ContainerId::random(), ContainerId::random());
        let address: IpAddr = "10.0.0.2".parse().unwrap();
        assert!(records.take_address(&network, address, &one).unwrap());
        assert!(!records.take_address(&network, address, &two).unwrap());
        assert_eq!(records.holder(&network, address), Some(one.clone()));
        assert_eq!(records.addresses(&network).unwrap(), [(address, one)]);
        assert_eq!(records.taken(&network).unwrap(), [address]);
        records.free_address(&network, address).unwrap();
        assert!(records.take_address(&network, address, &two).unwrap());
    }

    #[test]
    fn holder_fits_into_an_inode() {
        let container = ContainerId::random();
        let text = holder_text(&container);
        assert!(text.len() < 60, "{text}");
        assert_eq!(parse_holder(&text), Some(container));
        assert_eq!(parse_holder("nonsense!"), None);
    }
}
