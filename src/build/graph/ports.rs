//! `EXPOSE`.

/// What is wrong with a port, or odd.
#[derive(Debug, PartialEq, Eq, Default)]
pub(super) struct Exposed {
    /// `80/tcp`.
    pub(super) ports: Vec<String>,
    /// The protocol has capitals.
    pub(super) has_capitals: bool,
    /// It has an address or a port of the host.
    pub(super) has_host: bool,
}

/// Reads `[[address:]host:]port[-port][/protocol]`.
///
/// # Errors
/// What it is not, as a message.
pub(super) fn read(text: &str) -> Result<Exposed, String> {
    let fail = |why: &str| Err(format!("`{text}` is no port: {why}"));
    let mut parts = text.rsplitn(3, ':');
    let container = parts.next().unwrap_or_default();
    let host = parts.next().filter(|port| !port.is_empty());
    let address = parts.next().filter(|address| !address.is_empty());
    let (range, protocol) = container.split_once('/').unwrap_or((container, ""));
    let lower = protocol.to_lowercase();
    let lower = if lower.is_empty() {
        "tcp"
    } else {
        lower.as_str()
    };
    if !["tcp", "udp", "sctp"].contains(&lower) {
        return fail("the protocol is tcp, udp or sctp");
    }
    if let Some(address) = address {
        let bare = address
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'));
        if bare.unwrap_or(address).parse::<std::net::IpAddr>().is_err() {
            return fail("the address is none");
        }
    }
    let Some((first, last)) = ports(range) else {
        return fail("a port is a number up to 65535, or two with a `-` between them");
    };
    if let Some(host) = host {
        let Some((host_first, host_last)) = ports(host) else {
            return fail("the port of the host is none");
        };
        if first != last && host_last - host_first != last - first {
            return fail("the two ranges have different lengths");
        }
    }
    Ok(Exposed {
        ports: (first..=last)
            .map(|port| format!("{port}/{lower}"))
            .collect(),
        has_capitals: protocol != protocol.to_lowercase(),
        has_host: host.is_some() || address.is_some(),
    })
}

fn ports(text: &str) -> Option<(u16, u16)> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let is_number = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if !is_number(first) || !is_number(last) {
        return None;
    }
    let (first, last) = (first.parse().ok()?, last.parse().ok()?);
    (first <= last).then_some((first, last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_and_ranges() {
        for (text, expected) in [
            ("80", vec!["80/tcp"]),
            ("53/udp", vec!["53/udp"]),
            ("9000-9002/UDP", vec!["9000/udp", "9001/udp", "9002/udp"]),
            ("8080:80", vec!["80/tcp"]),
            ("127.0.0.1:8080:80", vec!["80/tcp"]),
            ("[::1]:8080:80", vec!["80/tcp"]),
            ("80/", vec!["80/tcp"]),
        ] {
            assert_eq!(read(text).unwrap().ports, expected, "{text}");
        }
        assert!(read("80/UDP").unwrap().has_capitals);
        assert!(read("1:80").unwrap().has_host);
        for text in [
            "", "x", "80/x", "65536", "2-1", "-", "x:1:80", "1-2:3-5", "+1",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
