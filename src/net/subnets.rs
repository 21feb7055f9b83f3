//! Choice of subnets and addresses: pure functions over what is taken.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv6Addr};

use super::cidr::Cidr;
use super::error::NetError;
use super::spec::{NetworkSpec, PoolSpec, Subnet};

/// A subnet that must be left alone, and what it belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Taken {
    /// The subnet.
    pub(super) cidr: Cidr,
    /// `network other`, `a route of this host`.
    pub(super) by: String,
    /// Even a subnet that the file names must not overlap it.
    pub(super) strict: bool,
}

/// Docker's default pools, in its order except that the one which a Docker
/// started later takes for its own bridge comes last.
fn default_pools() -> impl Iterator<Item = Cidr> {
    let large = (18..=31).map(|second| IpAddr::from([172, second, 0, 0]));
    let large = large.filter_map(|first| Cidr::of(first, 16));
    let small = (0..16).map(|sixteenth: u8| IpAddr::from([192, 168, sixteenth * 16, 0]));
    let small = small.filter_map(|first| Cidr::of(first, 20));
    large
        .chain(small)
        .chain(Cidr::of(IpAddr::from([172, 17, 0, 0]), 16))
}

/// Turns a network's wishes into subnets.
///
/// `ula` gives the candidates for an IPv6 subnet.
pub(super) fn choose(
    spec: &NetworkSpec,
    taken: &[Taken],
    ula: impl Iterator<Item = [u8; 8]>,
) -> Result<Vec<Subnet>, NetError> {
    let mut subnets = Vec::new();
    for (_, declared) in declared(spec) {
        let (cidr, subnet) = declared.map_err(|text| problem(spec, text))?;
        refuse_overlap(spec, cidr, taken)?;
        subnets.push(subnet);
    }
    let free = |cidr: &Cidr| !taken.iter().any(|taken| taken.cidr.overlaps(cidr));
    let no_subnet = || NetError::NoSubnet {
        network: spec.name.clone(),
    };
    let has = |subnets: &[Subnet], v4: bool| subnets.iter().any(|s| s.gateway.is_ipv4() == v4);
    if spec.ipv4 && !has(&subnets, true) {
        let cidr = default_pools().find(free).ok_or_else(no_subnet)?;
        // A pool without a subnet may still carry a gateway or a range.
        let empty = PoolSpec {
            subnet: None,
            ip_range: None,
            gateway: None,
            reserved: Vec::new(),
        };
        let pool = spec.pools.iter().find(|pool| pool.subnet.is_none());
        let subnet = explicit(pool.unwrap_or(&empty), cidr);
        subnets.insert(0, subnet.map_err(|text| problem(spec, text))?);
    }
    if spec.ipv6 && !has(&subnets, false) {
        let cidr = ula
            .take(64)
            .filter_map(|[a, b, c, d, e, f, g, h]| {
                let first = [a, b, c, d, e, f, g, h, 0, 0, 0, 0, 0, 0, 0, 0];
                Cidr::of(Ipv6Addr::from(first).into(), 64)
            })
            .find(free)
            .ok_or_else(no_subnet)?;
        subnets.push(Subnet {
            cidr: cidr.to_string(),
            gateway: first_host(cidr),
            ip_range: None,
            reserved: Vec::new(),
        });
    }
    Ok(subnets)
}

/// The subnets that a network's pools name, of the families that it has, by the
/// pool's index; or what is wrong with one.
pub fn declared(
    spec: &NetworkSpec,
) -> impl Iterator<Item = (usize, Result<(Cidr, Subnet), String>)> {
    let named = |pool: &PoolSpec| {
        let text = pool.subnet.as_deref()?;
        let cidr: Cidr = match text.parse() {
            Ok(cidr) => cidr,
            Err(error) => return Some(Err(format!("`ipam.config.subnet`: {error}"))),
        };
        let wanted = if cidr.is_ipv4() { spec.ipv4 } else { spec.ipv6 };
        wanted.then(|| Ok((cidr, explicit(pool, cidr)?)))
    };
    let pools = spec.pools.iter().enumerate();
    pools.filter_map(move |(index, pool)| Some((index, named(pool)?)))
}

fn refuse_overlap(spec: &NetworkSpec, cidr: Cidr, taken: &[Taken]) -> Result<(), NetError> {
    match taken.iter().find(|t| t.strict && t.cidr.overlaps(&cidr)) {
        None => Ok(()),
        Some(taken) => Err(NetError::Overlap {
            network: spec.name.clone(),
            subnet: cidr.to_string(),
            with: format!("{} ({})", taken.by, taken.cidr),
        }),
    }
}

fn explicit(pool: &PoolSpec, cidr: Cidr) -> Result<Subnet, String> {
    let range = pool
        .ip_range
        .as_deref()
        .map(str::parse::<Cidr>)
        .transpose()
        .map_err(|error| format!("`ipam.config.ip_range`: {error}"))?;
    let inside = |range: Cidr| cidr.contains(range.first()) && cidr.contains(range.last());
    if let Some(range) = range.filter(|range| !inside(*range)) {
        return Err(format!(
            "`ipam.config.ip_range` {range} is not inside subnet {cidr}"
        ));
    }
    let gateway = pool.gateway.unwrap_or_else(|| first_host(cidr));
    if !cidr.contains(gateway) {
        return Err(format!(
            "`ipam.config.gateway` {gateway} is not inside subnet {cidr}"
        ));
    }
    Ok(Subnet {
        cidr: cidr.to_string(),
        gateway,
        ip_range: pool.ip_range.clone(),
        reserved: pool.reserved.clone(),
    })
}

/// The first address that a host can have.
fn first_host(cidr: Cidr) -> IpAddr {
    cidr.hosts().next().unwrap_or_else(|| cidr.first())
}

fn problem(spec: &NetworkSpec, problem: String) -> NetError {
    NetError::Spec {
        network: spec.name.clone(),
        problem,
    }
}

/// A subnet of a record, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pool {
    /// All of it.
    pub(super) cidr: Cidr,
    /// What addresses are given from.
    pub(super) range: Cidr,
    /// Never given.
    pub(super) excluded: BTreeSet<IpAddr>,
    /// The bridge's address.
    pub(super) gateway: IpAddr,
}

impl Pool {
    /// Understands a subnet; `None` where the record was tampered with.
    pub(super) fn of(subnet: &Subnet) -> Option<Self> {
        let cidr: Cidr = subnet.cidr.parse().ok()?;
        let range = match &subnet.ip_range {
            Some(range) => range.parse().ok()?,
            None => cidr,
        };
        let mut excluded: BTreeSet<IpAddr> = subnet.reserved.iter().copied().collect();
        excluded.insert(subnet.gateway);
        // A range at an edge of the subnet contains its special addresses.
        if cidr.hosts().next() != Some(cidr.first()) {
            excluded.insert(cidr.first());
            if cidr.is_ipv4() {
                excluded.insert(cidr.last());
            }
        }
        Some(Self {
            cidr,
            range,
            excluded,
            gateway: subnet.gateway,
        })
    }

    /// The lowest free address.
    pub(super) fn next(&self, taken: &BTreeSet<IpAddr>) -> Option<IpAddr> {
        (0..)
            .map_while(|offset| self.range.nth(offset))
            .find(|address| !taken.contains(address) && !self.excluded.contains(address))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn spec() -> NetworkSpec {
        NetworkSpec {
            name: "p_default".to_owned(),
            driver: "bridge".to_owned(),
            driver_opts: BTreeMap::new(),
            pools: Vec::new(),
            internal: false,
            ipv6: false,
            ipv4: true,
            labels: BTreeMap::new(),
        }
    }

    fn pool(subnet: &str) -> PoolSpec {
        PoolSpec {
            subnet: Some(subnet.to_owned()),
            ip_range: None,
            gateway: None,
            reserved: Vec::new(),
        }
    }

    fn taken(cidr: &str, strict: bool) -> Taken {
        Taken {
            cidr: cidr.parse().unwrap(),
            by: "network other".to_owned(),
            strict,
        }
    }

    fn chosen(spec: &NetworkSpec, taken: &[Taken]) -> Vec<(String, String)> {
        choose(spec, taken, std::iter::once([0xfd, 1, 2, 3, 4, 5, 6, 7]))
            .unwrap()
            .into_iter()
            .map(|subnet| (subnet.cidr, subnet.gateway.to_string()))
            .collect()
    }

    #[test]
    fn choose_goes_through_dockers_pools_and_round_what_is_taken() {
        let text = |cidr: &str, gateway: &str| vec![(cidr.to_owned(), gateway.to_owned())];
        assert_eq!(chosen(&spec(), &[]), text("172.18.0.0/16", "172.18.0.1"));
        assert_eq!(
            chosen(&spec(), &[taken("172.16.0.0/12", false)]),
            text("192.168.0.0/20", "192.168.0.1")
        );
        assert_eq!(
            chosen(
                &spec(),
                &[taken("172.18.5.0/24", false), taken("172.19.0.1/32", false)]
            ),
            text("172.20.0.0/16", "172.20.0.1")
        );
        let all = [
            taken("172.16.0.0/12", false),
            taken("192.168.0.0/16", false),
        ];
        let error = choose(&spec(), &all, std::iter::empty()).unwrap_err();
        assert!(matches!(error, NetError::NoSubnet { .. }));
    }

    #[test]
    fn choose_adds_a_unique_local_subnet_where_ipv6_is_wanted() {
        let spec = NetworkSpec {
            ipv6: true,
            pools: vec![pool("10.5.0.0/24")],
            ..spec()
        };
        let expected = [
            ("10.5.0.0/24".to_owned(), "10.5.0.1".to_owned()),
            (
                "fd01:203:405:607::/64".to_owned(),
                "fd01:203:405:607::1".to_owned(),
            ),
        ];
        assert_eq!(chosen(&spec, &[]), expected);
    }

    #[test]
    fn choose_refuses_explicit_pools_that_make_no_sense() {
        let mut outside = pool("10.5.0.0/24");
        outside.gateway = Some("10.6.0.1".parse().unwrap());
        let mut range = pool("10.5.0.0/24");
        range.ip_range = Some("10.5.1.0/24".to_owned());
        for bad in [pool("10.5.0.1/24"), pool("nonsense"), outside, range] {
            let spec = NetworkSpec {
                pools: vec![bad],
                ..spec()
            };
            let error = choose(&spec, &[], std::iter::empty()).unwrap_err();
            assert!(matches!(error, NetError::Spec { .. }), "{error}");
        }
    }

    #[test]
    fn explicit_pool_may_overlap_a_host_route_but_no_other_network() {
        let spec = NetworkSpec {
            pools: vec![pool("10.5.0.0/24")],
            ..spec()
        };
        assert!(choose(&spec, &[taken("10.0.0.0/8", false)], std::iter::empty()).is_ok());
        let error = choose(&spec, &[taken("10.0.0.0/8", true)], std::iter::empty()).unwrap_err();
        assert!(
            error.to_string().contains("network other (10.0.0.0/8)"),
            "{error}"
        );
    }

    #[test]
    fn next_skips_gateway_reserved_and_taken_and_ends() {
        let subnet = Subnet {
            cidr: "10.5.0.0/29".to_owned(),
            gateway: "10.5.0.1".parse().unwrap(),
            ip_range: None,
            reserved: vec!["10.5.0.3".parse().unwrap()],
        };
        let pool = Pool::of(&subnet).unwrap();
        let mut taken = BTreeSet::new();
        let mut given = Vec::new();
        while let Some(address) = pool.next(&taken) {
            taken.insert(address);
            given.push(address.to_string());
        }
        assert_eq!(given, ["10.5.0.2", "10.5.0.4", "10.5.0.5", "10.5.0.6"]);
    }

    #[test]
    fn next_stays_in_the_range() {
        let subnet = Subnet {
            cidr: "10.5.0.0/24".to_owned(),
            gateway: "10.5.0.1".parse().unwrap(),
            ip_range: Some("10.5.0.252/30".to_owned()),
            reserved: Vec::new(),
        };
        let pool = Pool::of(&subnet).unwrap();
        let taken = ["10.5.0.252", "10.5.0.253"]
            .map(|a| a.parse().unwrap())
            .into();
        assert_eq!(pool.next(&taken), Some("10.5.0.254".parse().unwrap()));
        let taken = ["10.5.0.252", "10.5.0.253", "10.5.0.254"].map(|a| a.parse().unwrap());
        assert_eq!(pool.next(&taken.into()), None);
    }
}
