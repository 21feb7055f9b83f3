//! The short syntaxes of ports and mounts.
//!
//! Specification: "ports", "volumes", short syntax.

use std::net::IpAddr;

use super::diag::{Allowed, did_you_mean, quoted};

/// A port of the short syntax, one container port each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ShortPort {
    pub(crate) host_ip: Option<String>,
    /// A port, or a range to choose from.
    pub(crate) published: Option<String>,
    pub(crate) target: u16,
    pub(crate) protocol: String,
}

/// What is wrong with a port, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PortError {
    pub(crate) message: String,
    pub(crate) suggestion: Option<String>,
    pub(crate) allowed: Option<Allowed>,
}

impl From<String> for PortError {
    fn from(message: String) -> Self {
        Self {
            message,
            suggestion: None,
            allowed: None,
        }
    }
}

impl PortError {
    fn new(message: String, suggestion: String) -> Self {
        Self {
            message,
            suggestion: Some(suggestion),
            allowed: None,
        }
    }
}

/// What ports speak.
const PROTOCOLS: [&str; 3] = ["tcp", "udp", "sctp"];

/// Reads `[[IP:]HOST[-HOST]:]CONTAINER[-CONTAINER][/PROTOCOL]`. A range gives
/// one entry a port, in the order of their text, as the reference has it.
pub(crate) fn parse_ports(text: &str) -> Result<Vec<ShortPort>, PortError> {
    parse_port_text(text).map_err(|mut error| {
        if error.suggestion.is_none() {
            error.suggestion = meant_port(text).map(|meant| format!("write `{meant}`"));
        }
        error
    })
}

/// What somebody may have meant who writes a port in a form of his own: behind the
/// flag of `docker run`, with the protocol behind a colon, with another sign than a
/// colon between the two.
fn meant_port(text: &str) -> Option<String> {
    let bare = super::schema::flagless(text.trim());
    if bare.starts_with('-') {
        return None;
    }
    let protocol = PROTOCOLS.into_iter().find(|protocol| {
        let rest = bare.strip_suffix(protocol);
        rest.is_some_and(|rest| rest.ends_with([':', ' ', '-', '/']))
    });
    let numbers = protocol.map_or(bare, |protocol| {
        let rest = bare.strip_suffix(protocol).unwrap_or(bare);
        rest.trim_end_matches([':', ' ', '-', '/'])
    });
    let suffix = protocol.map_or_else(String::new, |protocol| format!("/{protocol}"));
    let plain = numbers.replace("->", ":").replace("=>", ":");
    let parts = plain.split([':', '=', '/', ',', ' ']);
    let parts: Vec<&str> = parts.filter(|part| !part.is_empty()).collect();
    let candidates = [
        format!("{numbers}{suffix}"),
        format!("{}{suffix}", parts.join(":")),
    ];
    let is_new = |meant: &String| meant != text && parts.len() <= 2;
    candidates
        .into_iter()
        .find(|meant| is_new(meant) && parse_port_text(meant).is_ok())
}

fn parse_port_text(text: &str) -> Result<Vec<ShortPort>, PortError> {
    if let Some(error) = address_alone(text) {
        return Err(error);
    }
    let (host_ip, host, container) = split_parts(text);
    let (container, protocol) = match container.split_once('/') {
        Some((port, protocol)) => (port, protocol.split('/').next().unwrap_or_default()),
        None => (container, ""),
    };
    let protocol = if protocol.is_empty() { "tcp" } else { protocol };
    let protocol = protocol.to_ascii_lowercase();
    if text.trim().is_empty() {
        return Err(PortError::new(
            "an empty text is no port".to_owned(),
            "write the container's port, such as `80`, or remove the entry".to_owned(),
        ));
    }
    if container.is_empty() {
        let message = format!("{} has no container port", quoted(text));
        let bare = text.trim_end_matches(':');
        let is_shorter = !bare.is_empty() && bare != text;
        return Err(if is_shorter && parse_port_text(bare).is_ok() {
            PortError::new(message, format!("write `{bare}`"))
        } else {
            message.into()
        });
    }
    let host_ip = host_address(host_ip)?;
    let target = range(container).map_err(|why| format!("the container port {why}"))?;
    if target.0 == 0 {
        return Err("the container port cannot be 0".to_owned().into());
    }
    let published = match host {
        "" => None,
        host => Some(range(host).map_err(|why| format!("the host port {why}"))?),
    };
    if !PROTOCOLS.contains(&protocol.as_str()) {
        let suggestion = did_you_mean(&protocol, PROTOCOLS.into_iter());
        return Err(PortError {
            message: format!("{} is not a protocol (tcp, udp, sctp)", quoted(&protocol)),
            // What is misspelt is no other protocol.
            allowed: suggestion.is_none().then_some(Allowed::Protocol),
            suggestion,
        });
    }
    let width = target.1 - target.0;
    if let Some((first, last)) = published
        && last - first != width
        && width > 0
    {
        let end = u32::from(first) + u32::from(width);
        return Err(PortError::new(
            format!("`{host}` and `{container}` are ranges of different lengths"),
            format!("as many host ports as container ports: `{first}-{end}:{container}`"),
        ));
    }
    let mut ports: Vec<ShortPort> = (0..=width)
        .map(|offset| ShortPort {
            host_ip: host_ip.clone(),
            published: published.map(|(first, last)| {
                if width == 0 && first != last {
                    format!("{first}-{last}")
                } else {
                    (first + offset).to_string()
                }
            }),
            target: target.0 + offset,
            protocol: protocol.clone(),
        })
        .collect();
    ports.sort_by_cached_key(|port| port.target.to_string());
    Ok(ports)
}

/// The error of an address with one port, which both of the two may have been
/// meant by.
fn address_alone(text: &str) -> Option<PortError> {
    let (address, port) = text.rsplit_once(':')?;
    let bracketed = address
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let is_address = bracketed.unwrap_or(address).parse::<IpAddr>().is_ok();
    // Without brackets that may be the two ports behind a shorter one.
    let is_clear = bracketed.is_some() || !address.contains(':');
    if port.is_empty() || !(is_clear && is_address || address == "localhost") {
        return None;
    }
    let written = if address == "localhost" {
        "127.0.0.1"
    } else {
        address
    };
    let bare = port.split('/').next().unwrap_or_default();
    Some(PortError::new(
        format!("behind the address `{address}` there is one port, not two"),
        format!(
            "write `{written}:{bare}:{port}`, the host's port and the container's; \
             `{written}::{port}` leaves the host's to choice"
        ),
    ))
}

/// Address, host part and container part.
fn split_parts(text: &str) -> (&str, &str, &str) {
    match text.rsplit_once(':') {
        None => ("", "", text),
        Some((rest, container)) => match rest.rsplit_once(':') {
            None => ("", rest, container),
            Some((address, host)) => (address, host, container),
        },
    }
}

/// The address without the brackets of IPv6.
fn host_address(text: &str) -> Result<Option<String>, PortError> {
    if text.is_empty() {
        return Ok(None);
    }
    let bare = match text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
    {
        Some(bare) => bare,
        // Without brackets the colons of IPv6 cannot be told from the ports'.
        None if text.contains(':') && text.parse::<IpAddr>().is_ok() => {
            let message = format!("the address {} has no brackets around it", quoted(text));
            return Err(PortError {
                allowed: Some(Allowed::BareIpv6),
                ..PortError::new(message, format!("write `[{text}]`"))
            });
        }
        None if text.contains(':') => {
            let message = format!("{} before the two ports is no address", quoted(text));
            let help = "there are too many colons: an address, the host's port and the \
                        container's are all that can be named";
            return Err(PortError::new(message, help.to_owned()));
        }
        None => text,
    };
    if bare.is_empty() {
        return Ok(None);
    }
    let address = bare.split('%').next().unwrap_or_default();
    match address.parse::<IpAddr>() {
        Ok(_) => Ok(Some(bare.to_owned())),
        Err(_) => Err(PortError {
            message: format!("{} is not an IP address", quoted(bare)),
            suggestion: (bare == "localhost").then(|| "write `127.0.0.1`".to_owned()),
            allowed: None,
        }),
    }
}

/// A port or `FIRST-LAST`.
fn range(text: &str) -> Result<(u16, u16), String> {
    let port = |part: &str| {
        // Of `-1` it is the whole: there is nothing before the dash.
        let shown = if part.is_empty() { text } else { part };
        let wrong = || format!("{} is not a number from 0 to 65535", quoted(shown));
        if part.starts_with('+') {
            return Err(wrong());
        }
        part.parse::<u16>().map_err(|_| wrong())
    };
    let mut parts = text.split('-');
    let first = port(parts.next().unwrap_or_default())?;
    match parts.next() {
        None => Ok((first, first)),
        Some(last) => {
            let last = port(last)?;
            if last < first {
                return Err(format!("range `{text}` ends before it begins"));
            }
            Ok((first, last))
        }
    }
}

/// A mount of the short syntax.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ShortMount {
    pub(crate) is_bind: bool,
    pub(crate) source: Option<String>,
    pub(crate) target: String,
    pub(crate) read_only: bool,
    pub(crate) nocopy: bool,
    pub(crate) selinux: Option<String>,
    pub(crate) propagation: Option<String>,
    /// Options that are none: accepted by the reference, without an effect.
    pub(crate) unknown: Vec<String>,
}

/// The options of a mount.
pub(crate) const MOUNT_OPTIONS: [&str; 11] = [
    "ro", "rw", "z", "Z", "nocopy", "rprivate", "private", "rshared", "shared", "rslave", "slave",
];

/// Reads `[SOURCE:]TARGET[:OPTIONS]`. A source that looks like a path is a
/// bind, anything else is a volume.
pub(crate) fn parse_mount(text: &str) -> Result<ShortMount, String> {
    let mut mount = ShortMount::default();
    if text.is_empty() {
        return Err("an empty string is no mount".to_owned());
    }
    if text.len() <= 2 {
        text.clone_into(&mut mount.target);
        return Ok(mount);
    }
    let sections = split_sections(text);
    if sections.iter().any(String::is_empty) {
        return Err(format!(
            "{} has nothing before or behind a colon",
            quoted(text)
        ));
    }
    match sections.as_slice() {
        [target] => target.clone_into(&mut mount.target),
        [source, rest @ ..] => {
            mount.source = Some(source.clone());
            mount.is_bind = is_path(source);
            if let Some(target) = rest.first() {
                target.clone_into(&mut mount.target);
            }
            if rest.len() > 2 {
                return Err(format!("{} has too many colons", quoted(text)));
            }
            for option in rest.iter().skip(1).flat_map(|options| options.split(',')) {
                mount.option(option);
            }
        }
        [] => {}
    }
    Ok(mount)
}

impl ShortMount {
    fn option(&mut self, option: &str) {
        match option {
            "ro" => self.read_only = true,
            "rw" => self.read_only = false,
            "nocopy" => self.nocopy = true,
            "z" | "Z" => self.selinux = Some(option.to_owned()),
            "rprivate" | "private" | "rshared" | "shared" | "rslave" | "slave" => {
                self.propagation = Some(option.to_owned());
            }
            _ => self.unknown.push(option.to_owned()),
        }
    }
}

/// Splits at colons, but not behind a drive letter (`C:\data`) and not inside
/// of `${…}`.
fn split_sections(text: &str) -> Vec<String> {
    let mut sections = vec![String::new()];
    let mut braces = 0_usize;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let current = sections.last_mut();
        let Some(current) = current else { break };
        match c {
            '$' if chars.peek() == Some(&'{') => {
                braces += 1;
                current.push(c);
            }
            '}' if braces > 0 => {
                braces -= 1;
                current.push(c);
            }
            ':' if braces == 0 && !is_drive(current) => sections.push(String::new()),
            _ => current.push(c),
        }
    }
    sections
}

fn is_drive(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next().is_some_and(char::is_alphabetic) && chars.next().is_none()
}

fn is_path(source: &str) -> bool {
    if source.starts_with(['.', '/', '~']) || source.starts_with("\\\\") {
        return true;
    }
    let mut chars = source.chars();
    chars.next().is_some_and(char::is_alphabetic) && chars.next() == Some(':')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Result<String, String> {
        let ports = parse_ports(text).map_err(|error| error.message)?;
        Ok(ports
            .iter()
            .map(|port| {
                format!(
                    "{}|{}|{}|{}",
                    port.host_ip.as_deref().unwrap_or("-"),
                    port.published.as_deref().unwrap_or("-"),
                    port.target,
                    port.protocol
                )
            })
            .collect::<Vec<_>>()
            .join(" "))
    }

    #[test]
    fn ports_are_read() {
        for (text, ports) in [
            ("80", "-|-|80|tcp"),
            ("8080:80/udp", "-|8080|80|udp"),
            ("127.0.0.1:8080:80", "127.0.0.1|8080|80|tcp"),
            ("127.0.0.1::80", "127.0.0.1|-|80|tcp"),
            ("[::1]:8080:80", "::1|8080|80|tcp"),
            ("8000-8010:80", "-|8000-8010|80|tcp"),
            ("9-10:9-10", "-|10|10|tcp -|9|9|tcp"),
            ("80/", "-|-|80|tcp"),
            ("80/TCP", "-|-|80|tcp"),
        ] {
            assert_eq!(shown(text).as_deref(), Ok(ports), "{text}");
        }
        for text in [
            "",
            "0",
            "a:b",
            "70000:80",
            "80-83:90-91",
            "1:2:3:4",
            "80/icmp",
            "x:1:2",
            "3-2",
        ] {
            assert!(parse_ports(text).is_err(), "{text}");
        }
    }

    #[test]
    fn wrong_ports_are_told_apart() {
        for (text, message, help) in [
            (
                "",
                "an empty text is no port",
                Some("write the container's port"),
            ),
            (
                "-p 80:80",
                "the host port `-p 80` is not a number from 0 to 65535",
                Some("write `80:80`"),
            ),
            (
                "80:80:udp",
                "`80` is not an IP address",
                Some("write `80:80/udp`"),
            ),
            (":", "`:` has no container port", None),
            ("/", "`/` has no container port", None),
            (
                "[::1]:80",
                "behind the address `[::1]` there is one port, not two",
                Some("write `[::1]:80:80`"),
            ),
            (
                "localhost:80/udp",
                "behind the address `localhost` there is one port, not two",
                Some("write `127.0.0.1:80:80/udp`"),
            ),
            (
                "-1:80",
                "the host port `-1` is not a number from 0 to 65535",
                None,
            ),
            (
                "80:1-",
                "the container port `1-` is not a number from 0 to 65535",
                None,
            ),
            (
                "8080:80:",
                "`8080:80:` has no container port",
                Some("write `8080:80`"),
            ),
            (
                "0.0.0.0:1:2:3",
                "`0.0.0.0:1` before the two ports is no address",
                Some("there are too many colons"),
            ),
            (
                "::1:6000:6000",
                "the address `::1` has no brackets around it",
                Some("write `[::1]`"),
            ),
        ] {
            let error = parse_ports(text).unwrap_err();
            assert_eq!(error.message, message);
            let told = error.suggestion.as_deref();
            assert_eq!(told.is_some(), help.is_some(), "{text}: {told:?}");
            assert!(
                told.unwrap_or_default()
                    .starts_with(help.unwrap_or_default())
            );
        }
    }

    #[test]
    fn mounts_are_read() {
        let mount = |text: &str| parse_mount(text).unwrap();
        assert_eq!(mount("/data").target, "/data");
        assert!(!mount("data:/data").is_bind);
        let bind = mount("./a:/b:ro,z,rslave,what");
        assert!(bind.is_bind && bind.read_only);
        assert_eq!(bind.selinux.as_deref(), Some("z"));
        assert_eq!(bind.propagation.as_deref(), Some("rslave"));
        assert_eq!(bind.unknown, ["what"]);
        let drive = mount("C:\\data:/data");
        assert_eq!(drive.source.as_deref(), Some("C:\\data"));
        for text in ["", "aa::bb", "aa:bb:ro:xx", ":/b/c"] {
            assert!(parse_mount(text).is_err(), "{text}");
        }
    }
}
