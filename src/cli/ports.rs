//! Published ports in Docker's words.

use std::net::IpAddr;

use crate::net::spec::{Protocol, PublishedPort};

/// One line of a container's ports: published (with an address) or only
/// exposed by its image or `expose:`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PortLine {
    /// Port in the container; first, because the list is ordered by it.
    pub private: u16,
    /// Address on the host, where published.
    pub ip: Option<IpAddr>,
    /// Port on the host, 0 where only exposed.
    pub public: u16,
    /// Transport.
    pub protocol: Protocol,
}

/// All lines of a container, in Docker's order. An exposed port that is
/// published as well is listed once, as published.
pub fn lines(published: &[PublishedPort], exposed: &[(u16, Protocol)]) -> Vec<PortLine> {
    let mut lines: Vec<PortLine> = published
        .iter()
        .map(|port| PortLine {
            private: port.container_port,
            ip: Some(port.host_ip),
            public: port.host_port,
            protocol: port.protocol,
        })
        .collect();
    for &(private, protocol) in exposed {
        let known = lines
            .iter()
            .any(|line| line.private == private && line.protocol == protocol);
        if !known {
            lines.push(PortLine {
                private,
                ip: None,
                public: 0,
                protocol,
            });
        }
    }
    lines.sort();
    lines
}

/// The lines as the PORTS column shows them; ports that keep their number on
/// the host, and exposed ones, are joined to ranges.
pub fn text(lines: &[PortLine]) -> String {
    let mut ranges: Vec<Range> = Vec::new();
    let mut finished: Vec<String> = Vec::new();
    let mut mapped: Vec<String> = Vec::new();
    for line in lines {
        if let Some(ip) = line.ip.filter(|_| line.public != line.private) {
            mapped.push(format!(
                "{}->{}/{}",
                address(ip, &line.public.to_string()),
                line.private,
                protocol(line.protocol)
            ));
            continue;
        }
        let open = ranges
            .iter_mut()
            .find(|range| range.ip == line.ip && range.protocol == line.protocol);
        match open {
            Some(range) if u32::from(line.private) == u32::from(range.last) + 1 => {
                range.last = line.private;
            }
            Some(range) => {
                finished.push(range.text());
                *range = Range::of(line);
            }
            None => ranges.push(Range::of(line)),
        }
    }
    finished
        .into_iter()
        .chain(ranges.iter().map(Range::text))
        .chain(mapped)
        .collect::<Vec<_>>()
        .join(", ")
}

struct Range {
    ip: Option<IpAddr>,
    protocol: Protocol,
    first: u16,
    last: u16,
}

impl Range {
    fn of(line: &PortLine) -> Self {
        Self {
            ip: line.ip,
            protocol: line.protocol,
            first: line.private,
            last: line.private,
        }
    }

    fn text(&self) -> String {
        let ports = if self.first == self.last {
            self.first.to_string()
        } else {
            format!("{}-{}", self.first, self.last)
        };
        let protocol = protocol(self.protocol);
        match self.ip {
            Some(ip) => format!("{}->{ports}/{protocol}", address(ip, &ports)),
            None => format!("{ports}/{protocol}"),
        }
    }
}

/// `tcp` or `udp`.
pub fn protocol(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Tcp => "tcp",
        Protocol::Udp => "udp",
    }
}

fn address(ip: IpAddr, port: &str) -> String {
    match ip {
        IpAddr::V4(ip) => format!("{ip}:{port}"),
        IpAddr::V6(ip) => format!("[{ip}]:{port}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn published(ip: &str, public: u16, private: u16, protocol: Protocol) -> PublishedPort {
        PublishedPort {
            host_ip: ip.parse().unwrap(),
            host_port: public,
            container_port: private,
            protocol,
        }
    }

    #[test]
    fn mapped_ports_are_listed_one_by_one() {
        let lines = lines(
            &[
                published("::", 18080, 80, Protocol::Tcp),
                published("0.0.0.0", 18080, 80, Protocol::Tcp),
                published("0.0.0.0", 32768, 53, Protocol::Udp),
            ],
            &[(80, Protocol::Tcp)],
        );
        assert_eq!(
            text(&lines),
            "0.0.0.0:32768->53/udp, 0.0.0.0:18080->80/tcp, [::]:18080->80/tcp"
        );
    }

    #[test]
    fn equal_numbers_and_exposed_ports_form_ranges() {
        let lines = lines(
            &[
                published("0.0.0.0", 80, 80, Protocol::Tcp),
                published("0.0.0.0", 81, 81, Protocol::Tcp),
                published("0.0.0.0", 90, 90, Protocol::Tcp),
            ],
            &[(7000, Protocol::Tcp), (7001, Protocol::Tcp)],
        );
        assert_eq!(
            text(&lines),
            "0.0.0.0:80-81->80-81/tcp, 0.0.0.0:90->90/tcp, 7000-7001/tcp"
        );
    }
}
