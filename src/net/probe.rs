//! What this kernel can do of what networks need.

pub(super) const NF_TABLES: &str = "nf_tables with NAT";
pub(super) const NF_TABLES_REMEDY: &str =
    "load the modules with `modprobe -a nf_tables nft_nat nft_masq nft_fib_inet nf_conntrack`, or use a kernel that has them";
pub(super) const BRIDGE: &str = "bridge links";
pub(super) const BRIDGE_REMEDY: &str =
    "load the module with `modprobe bridge`, or use a kernel that has it";
pub(super) const VETH: &str = "veth links";
pub(super) const VETH_REMEDY: &str =
    "load the module with `modprobe veth`, or use a kernel that has it";

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
    unimplemented!()
}
