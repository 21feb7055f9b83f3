//! Subnets in CIDR notation: arithmetic on addresses, no I/O.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// A subnet: its first address and the length of its prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Cidr {
    first: IpAddr,
    prefix: u8,
}

impl Cidr {
    /// The subnet of this prefix length that an address is in; `None` where
    /// the prefix is longer than the address.
    pub fn of(address: IpAddr, prefix: u8) -> Option<Self> {
        let width = width(address);
        (prefix <= width).then(|| Self {
            first: from_bits(to_bits(address) & mask(prefix, width), address.is_ipv4()),
            prefix,
        })
    }

    /// The first address, which names the subnet.
    pub fn first(&self) -> IpAddr {
        self.first
    }

    /// The last address; of an IPv4 subnet, its broadcast address.
    pub fn last(&self) -> IpAddr {
        let host = !mask(self.prefix, self.width()) & mask_all(self.width());
        from_bits(to_bits(self.first) | host, self.is_ipv4())
    }

    /// Length of the prefix.
    pub fn prefix(&self) -> u8 {
        self.prefix
    }

    /// True of IPv4.
    pub fn is_ipv4(&self) -> bool {
        self.first.is_ipv4()
    }

    /// True where the address is inside.
    pub fn contains(&self, address: IpAddr) -> bool {
        address.is_ipv4() == self.is_ipv4() && Self::of(address, self.prefix) == Some(*self)
    }

    /// True where the two have an address in common.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.contains(other.first) || other.contains(self.first)
    }

    /// The address so many places after the first; `None` beyond the end.
    pub fn nth(&self, offset: u128) -> Option<IpAddr> {
        let bits = to_bits(self.first).checked_add(offset)?;
        (bits <= to_bits(self.last())).then(|| from_bits(bits, self.is_ipv4()))
    }

    /// The addresses that a host can have, in order.
    ///
    /// Not the network's and the broadcast address, except where the prefix
    /// leaves no room for them (RFC 3021: /31, and /32).
    pub fn hosts(&self) -> impl Iterator<Item = IpAddr> + use<> {
        let (low, high) = (to_bits(self.first), to_bits(self.last()));
        let v4 = self.is_ipv4();
        let small = self.width() - self.prefix < 2;
        let low = if small { low } else { low + 1 };
        let high = if small || !v4 { high } else { high - 1 };
        (low..=high).map(move |bits| from_bits(bits, v4))
    }

    fn width(&self) -> u8 {
        width(self.first)
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.first, self.prefix)
    }
}

/// Why a text is no subnet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CidrError {
    /// Not an address, a slash and a number that fits.
    #[error("`{text}` is not a subnet like `172.28.0.0/16`")]
    Malformed {
        /// The text.
        text: String,
    },
    /// The address is inside the subnet instead of its first.
    #[error("`{text}` is an address inside a subnet, which would be `{subnet}`")]
    HostBits {
        /// The text.
        text: String,
        /// The subnet that was probably meant.
        subnet: Cidr,
    },
}

impl FromStr for Cidr {
    type Err = CidrError;

    fn from_str(text: &str) -> Result<Self, CidrError> {
        let malformed = || CidrError::Malformed {
            text: text.to_owned(),
        };
        let (address, prefix) = text.split_once('/').ok_or_else(malformed)?;
        let address: IpAddr = address.parse().map_err(|_| malformed())?;
        let prefix: u8 = prefix.parse().map_err(|_| malformed())?;
        let subnet = Self::of(address, prefix).ok_or_else(malformed)?;
        if subnet.first == address {
            Ok(subnet)
        } else {
            Err(CidrError::HostBits {
                text: text.to_owned(),
                subnet,
            })
        }
    }
}

fn width(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn mask_all(width: u8) -> u128 {
    if width == 32 {
        u128::from(u32::MAX)
    } else {
        u128::MAX
    }
}

fn mask(prefix: u8, width: u8) -> u128 {
    let host = u32::from(width - prefix);
    mask_all(width)
        .checked_shr(host)
        .map_or(0, |high| high << host)
}

fn to_bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits(),
    }
}

fn from_bits(bits: u128, v4: bool) -> IpAddr {
    match u32::try_from(bits) {
        Ok(bits) if v4 => Ipv4Addr::from_bits(bits).into(),
        _ => Ipv6Addr::from_bits(bits).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cidr(text: &str) -> Cidr {
        text.parse().unwrap()
    }

    #[test]
    fn parse_takes_subnets_and_refuses_the_rest() {
        for good in [
            "10.0.0.0/8",
            "0.0.0.0/0",
            "fd00::/64",
            "::/0",
            "10.1.2.3/32",
        ] {
            assert_eq!(cidr(good).to_string(), good);
        }
        for bad in [
            "",
            "10.0.0.0",
            "10.0.0.0/33",
            "10.0.0/8",
            "fd00::/129",
            "a/b",
            "10.0.0.0/-1",
        ] {
            assert!(
                matches!(bad.parse::<Cidr>(), Err(CidrError::Malformed { .. })),
                "{bad}"
            );
        }
        let error = "172.28.5.1/16".parse::<Cidr>().unwrap_err();
        assert!(error.to_string().contains("`172.28.0.0/16`"), "{error}");
    }

    #[test]
    fn overlap_is_symmetric_and_keeps_families_apart() {
        let table = [
            ("10.0.0.0/8", "10.1.0.0/16", true),
            ("10.0.0.0/16", "10.1.0.0/16", false),
            ("0.0.0.0/0", "192.168.0.0/20", true),
            ("::/0", "10.0.0.0/8", false),
            ("fd00::/64", "fd00:0:0:1::/64", false),
        ];
        for (a, b, expected) in table {
            assert_eq!(cidr(a).overlaps(&cidr(b)), expected, "{a} {b}");
            assert_eq!(cidr(b).overlaps(&cidr(a)), expected, "{b} {a}");
        }
    }

    #[test]
    fn hosts_leave_out_network_and_broadcast() {
        let hosts = |text| {
            cidr(text)
                .hosts()
                .map(|a| a.to_string())
                .collect::<Vec<_>>()
        };
        assert_eq!(hosts("10.0.0.0/30"), ["10.0.0.1", "10.0.0.2"]);
        assert_eq!(hosts("10.0.0.0/31"), ["10.0.0.0", "10.0.0.1"]);
        assert_eq!(hosts("10.0.0.9/32"), ["10.0.0.9"]);
        assert_eq!(hosts("fd00::/126"), ["fd00::1", "fd00::2", "fd00::3"]);
    }

    #[test]
    fn nth_ends_with_the_subnet() {
        assert_eq!(
            cidr("10.0.0.0/30").nth(3),
            Some("10.0.0.3".parse().unwrap())
        );
        assert_eq!(cidr("10.0.0.0/30").nth(4), None);
        assert_eq!(cidr("::/0").nth(1), Some("::1".parse().unwrap()));
    }
}
