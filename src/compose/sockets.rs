//! Ports of the host that two entries publish: a socket on all addresses excludes
//! those on each of them (socket(7), `EADDRINUSE`).

use std::collections::HashMap;
use std::net::IpAddr;

use super::model::{Port, Service};

/// A published port, the attribute that publishes it, and the one that has done so
/// before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doubled {
    /// The port of the host.
    pub number: u16,
    /// `services.web.ports[1]`.
    pub path: String,
    /// The same of the earlier one.
    pub earlier: String,
}

/// Who has a port already.
#[derive(Debug, Default)]
struct Taken {
    on_all: Option<String>,
    first: Option<String>,
    on_one: HashMap<IpAddr, String>,
}

/// The ports of the host that these services publish a second time. Of a range
/// another one is taken, so ranges are none of them.
pub fn doubled_sockets<'s>(
    services: impl Iterator<Item = (&'s String, &'s Service)>,
) -> Vec<Doubled> {
    let mut taken: HashMap<(u16, &str), Taken> = HashMap::new();
    let mut found = Vec::new();
    for (name, service) in services {
        for (index, port) in service.ports.iter().enumerate() {
            let Some((number, last)) = port.published_range() else {
                continue;
            };
            if number == 0 || number != last {
                continue;
            }
            let path = format!("services.{name}.ports[{index}]");
            let known = taken.entry((number, port.protocol())).or_default();
            let address = address(port);
            let earlier = match &address {
                Some(address) => known.on_all.as_ref().or_else(|| known.on_one.get(address)),
                None => known.first.as_ref(),
            };
            if let Some(earlier) = earlier.cloned() {
                found.push(Doubled {
                    number,
                    path,
                    earlier,
                });
                continue;
            }
            known.first.get_or_insert_with(|| path.clone());
            match address {
                Some(address) => {
                    known.on_one.insert(address, path);
                }
                None => known.on_all = Some(path),
            }
        }
    }
    found
}

/// The one address that a port is published on; `None` for all of them.
fn address(port: &Port) -> Option<IpAddr> {
    let address: IpAddr = port.host_ip.as_deref()?.parse().ok()?;
    (!address.is_unspecified()).then_some(address)
}
