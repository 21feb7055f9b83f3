//! Names of kernel objects: short hashes for links, full ids in their aliases.

use sha2::{Digest, Sha256};

use crate::state::{ContainerId, NetworkId};

/// Crockford's alphabet, lower case: no letter looks like a digit.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
/// Digits of the root id in a link's name. They tell roots apart well enough
/// for a firewall's wildcard; ownership is decided by the alias alone.
const ROOT_DIGITS: usize = 4;

/// Random id of a data root, part of every kernel object's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RootId(String);

/// Whom a link belongs to, as its alias tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Owner {
    /// A network's bridge.
    Network(NetworkId),
    /// A container's link on a network.
    Endpoint(ContainerId, NetworkId),
}

impl RootId {
    /// Takes a root id of 8 lower-case hexadecimal digits.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let valid = text.len() == 8
            && text
                .bytes()
                .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
        valid.then(|| Self(text.to_owned()))
    }

    /// The digits.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// The `nf_tables` table of this root.
    pub(super) fn table(&self) -> String {
        format!("skiff-{}", self.0)
    }

    /// What the names of all bridges begin with.
    pub(super) fn bridge_prefix(&self) -> String {
        format!("sk{}b", self.0.get(..ROOT_DIGITS).unwrap_or(&self.0))
    }

    /// A bridge's name: 15 characters, the most that a link can have.
    pub(super) fn bridge(&self, network: &NetworkId) -> String {
        let hash = self.hash(&[network.as_str()]);
        format!("{}{hash}", self.bridge_prefix())
    }

    /// The name of the host's end of a container's link on a network.
    pub(super) fn veth(&self, container: &ContainerId, network: &NetworkId) -> String {
        let hash = self.hash(&[container.as_str(), network.as_str()]);
        format!("sk{}v{hash}", self.0.get(..ROOT_DIGITS).unwrap_or(&self.0))
    }

    /// A link's alias.
    pub(super) fn alias(&self, owner: &Owner) -> String {
        match owner {
            Owner::Network(network) => format!("skiff:{}:network:{network}", self.0),
            Owner::Endpoint(container, network) => {
                format!("skiff:{}:endpoint:{container}:{network}", self.0)
            }
        }
    }

    /// Understands the alias of a link of this root; `None` of any other.
    pub(super) fn owner(&self, alias: &str) -> Option<Owner> {
        let mut words = alias
            .strip_prefix("skiff:")?
            .strip_prefix(&self.0)?
            .strip_prefix(':')?
            .split(':');
        let owner = match words.next()? {
            "network" => Owner::Network(NetworkId::parse(words.next()?)?),
            "endpoint" => Owner::Endpoint(
                ContainerId::parse(words.next()?)?,
                NetworkId::parse(words.next()?)?,
            ),
            _ => return None,
        };
        words.next().is_none().then_some(owner)
    }

    /// A hardware address for a bridge: locally administered, the same each time.
    pub(super) fn bridge_mac(&self, network: &NetworkId) -> [u8; 6] {
        let digest = self.digest(&["bridge", network.as_str()]);
        [0x02, 0x42, digest[0], digest[1], digest[2], digest[3]]
    }

    /// A unique local IPv6 prefix (RFC 4193) for a network: the 48 bits of the
    /// root, 16 of the network.
    pub(super) fn ula(&self, network: &NetworkId, attempt: u32) -> [u8; 8] {
        let root = self.digest(&["ula"]);
        let net = self.digest(&["ula", network.as_str(), &attempt.to_string()]);
        [
            0xfd, root[0], root[1], root[2], root[3], root[4], net[0], net[1],
        ]
    }

    fn hash(&self, parts: &[&str]) -> String {
        let digest = self.digest(parts);
        digest
            .iter()
            .take(8)
            .filter_map(|byte| ALPHABET.get(usize::from(byte % 32)))
            .map(|letter| char::from(*letter))
            .collect()
    }

    fn digest(&self, parts: &[&str]) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(&self.0);
        for part in parts {
            hash.update(b"/");
            hash.update(part);
        }
        hash.finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_a_link_and_differ_by_owner() {
        let root = RootId::parse("0123abcd").unwrap();
        let (one, two) = (NetworkId::random(), NetworkId::random());
        let container = ContainerId::random();
        assert_eq!(root.bridge(&one).len(), 15);
        assert_eq!(root.veth(&container, &one).len(), 15);
        assert!(root.bridge(&one).starts_with(&root.bridge_prefix()));
        assert_ne!(root.bridge(&one), root.bridge(&two));
        assert_ne!(root.veth(&container, &one), root.veth(&container, &two));
    }

    #[test]
    fn alias_is_understood_by_its_own_root_only() {
        let root = RootId::parse("0123abcd").unwrap();
        let other = RootId::parse("0123abce").unwrap();
        let owners = [
            Owner::Network(NetworkId::random()),
            Owner::Endpoint(ContainerId::random(), NetworkId::random()),
        ];
        for owner in owners {
            let alias = root.alias(&owner);
            assert!(alias.len() < 256);
            assert_eq!(root.owner(&alias), Some(owner));
            assert_eq!(other.owner(&alias), None);
        }
        assert_eq!(root.owner("skiff:0123abcd:network:xyz"), None);
        assert_eq!(RootId::parse("0123ABCD"), None);
    }
}
