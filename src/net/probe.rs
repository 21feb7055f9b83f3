//! What this kernel can do of what networks need.

use std::io;

use super::firewall::nft;
use super::handle::{NamespaceError, Net};
use super::namespace;
use super::netlink::route;

pub(super) const NF_TABLES: &str = "nf_tables with NAT";
pub(super) const NF_TABLES_REMEDY: &str = "load the modules with `modprobe -a nf_tables nft_nat \
     nft_masq nft_fib_inet nft_ct`, or use a kernel that has them";
pub(super) const BRIDGE: &str = "bridge links";
pub(super) const BRIDGE_REMEDY: &str =
    "load the module with `modprobe bridge`, or use a kernel that has it";
pub(super) const VETH: &str = "veth links";
pub(super) const VETH_REMEDY: &str =
    "load the module with `modprobe veth`, or use a kernel that has it";
const NAMESPACE: &str = "network namespaces";
const NAMESPACE_REMEDY: &str = "run as root, on a kernel with CONFIG_NET_NS";

/// One thing that networks need, and whether it is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capability {
    /// What: `bridge links`.
    pub feature: &'static str,
    /// Why it is missing; `None` where it works.
    pub missing: Option<String>,
    /// What to do where it is missing.
    pub remedy: &'static str,
}

/// Tries everything that networks need in a namespace that is thrown away.
pub fn probe() -> Vec<Capability> {
    let mut found = Vec::new();
    let mut note = |feature, remedy, result: Result<(), String>| {
        found.push(Capability {
            feature,
            missing: result.err(),
            remedy,
        });
    };
    let tried = namespace::scratch(|| {
        let mut host = Net::route_socket().map_err(NamespaceError::Work)?;
        let bridge = host.run(&[route::new_bridge("skprobe", [2, 0, 0, 0, 0, 1], None)]);
        let veth = host.run(&[route::new_plain_veth("skprobe0", "skprobe1")]);
        let text = |result: Result<(), io::Error>| result.map_err(|error| error.to_string());
        Ok::<_, NamespaceError>((text(bridge), text(veth), text(nft::probe())))
    });
    match tried {
        Ok((bridge, veth, nf_tables)) => {
            note(NAMESPACE, NAMESPACE_REMEDY, Ok(()));
            note(BRIDGE, BRIDGE_REMEDY, bridge);
            note(VETH, VETH_REMEDY, veth);
            note(NF_TABLES, NF_TABLES_REMEDY, nf_tables);
        }
        Err(NamespaceError::Namespace(error)) => {
            note(NAMESPACE, NAMESPACE_REMEDY, Err(error.to_string()));
        }
        Err(NamespaceError::Work(error)) => {
            note(NAMESPACE, NAMESPACE_REMEDY, Err(error.to_string()));
        }
    }
    found
}
