//! Names to addresses, from `/etc/hosts` and the servers of
//! `/etc/resolv.conf` (resolv.conf(5), RFC 1035), and `nslookup`.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use fs_err as fs;

use super::{Outcome, print};

const HOSTS: &str = "/etc/hosts";
const RESOLV_CONF: &str = "/etc/resolv.conf";

/// Record types.
const A: u16 = 1;
const AAAA: u16 = 28;

/// The largest answer over UDP; a longer one is asked for over TCP.
const UDP_LIMIT: usize = 1232;

/// As resolv.conf has it.
#[derive(Debug, PartialEq, Eq)]
struct Config {
    servers: Vec<SocketAddr>,
    search: Vec<String>,
    ndots: usize,
    timeout: Duration,
    attempts: u32,
}

impl Config {
    fn read() -> Self {
        Self::parse(&fs::read_to_string(RESOLV_CONF).unwrap_or_default())
    }

    fn parse(text: &str) -> Self {
        let mut config = Self {
            servers: Vec::new(),
            search: Vec::new(),
            ndots: 1,
            timeout: Duration::from_secs(5),
            attempts: 2,
        };
        for line in text.lines() {
            let mut words = line.split_whitespace();
            match words.next() {
                Some("nameserver") => {
                    let address = words.next().and_then(|word| word.parse::<IpAddr>().ok());
                    config
                        .servers
                        .extend(address.map(|ip| SocketAddr::new(ip, 53)));
                }
                Some("search" | "domain") => {
                    config.search = words
                        .map(|word| word.trim_end_matches('.').to_owned())
                        .collect();
                }
                Some("options") => words.for_each(|word| config.option(word)),
                _ => {}
            }
        }
        if config.servers.is_empty() {
            config
                .servers
                .push(SocketAddr::from((Ipv4Addr::LOCALHOST, 53)));
        }
        config
    }

    fn option(&mut self, word: &str) {
        let Some((name, value)) = word.split_once(':') else {
            return;
        };
        let Ok(value) = value.parse::<u32>() else {
            return;
        };
        match name {
            "ndots" => self.ndots = value as usize,
            "timeout" => self.timeout = Duration::from_secs(u64::from(value)),
            "attempts" => self.attempts = value.max(1),
            _ => {}
        }
    }

    /// The full names to ask for, in order.
    fn candidates(&self, name: &str) -> Vec<String> {
        if let Some(absolute) = name.strip_suffix('.') {
            return vec![absolute.to_owned()];
        }
        let searched = self
            .search
            .iter()
            .filter(|domain| !domain.is_empty())
            .map(|domain| format!("{name}.{domain}"));
        let own = std::iter::once(name.to_owned());
        if name.matches('.').count() >= self.ndots {
            own.chain(searched).collect()
        } else {
            searched.chain(own).collect()
        }
    }
}

/// All addresses of a host: a literal, an entry of `/etc/hosts`, or what the
/// servers answer, IPv4 first.
pub(super) fn resolve(host: &str, deadline: Instant) -> Result<Vec<IpAddr>, String> {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    if let Ok(address) = bare.parse() {
        return Ok(vec![address]);
    }
    let listed = from_hosts(&fs::read_to_string(HOSTS).unwrap_or_default(), host);
    if !listed.is_empty() {
        return Ok(listed);
    }
    if host == "localhost" {
        return Ok(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
    }
    ask(&Config::read(), host, deadline).map(|(_, addresses)| addresses)
}

/// Connects to the first address that accepts.
pub(super) fn connect(host: &str, port: u16, deadline: Instant) -> Result<TcpStream, String> {
    let mut last = String::new();
    for address in resolve(host, deadline)? {
        let address = SocketAddr::new(address, port);
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(format!("cannot connect to {host}:{port}: timed out"));
        }
        match TcpStream::connect_timeout(&address, left) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = format!("cannot connect to {host}:{port} ({address}): {error}"),
        }
    }
    Err(last)
}

fn from_hosts(text: &str, host: &str) -> Vec<IpAddr> {
    let lines = text
        .lines()
        .map(|line| line.split('#').next().unwrap_or_default());
    lines
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            let address = words.next()?.parse().ok()?;
            words
                .any(|name| name.eq_ignore_ascii_case(host))
                .then_some(address)
        })
        .collect()
}

/// Asks for both types; gives the name that was found as well.
fn ask(config: &Config, name: &str, deadline: Instant) -> Result<(String, Vec<IpAddr>), String> {
    let mut problem = format!("no address for `{name}`");
    for candidate in config.candidates(name) {
        let mut found = Vec::new();
        for kind in [A, AAAA] {
            match query(config, &candidate, kind, deadline) {
                Ok(addresses) => found.extend(addresses),
                Err(error) => problem = format!("cannot look up `{candidate}`: {error}"),
            }
        }
        if !found.is_empty() {
            return Ok((candidate, found));
        }
    }
    Err(problem)
}

/// Each server in turn, as often as configured.
fn query(config: &Config, name: &str, kind: u16, deadline: Instant) -> io::Result<Vec<IpAddr>> {
    let mut last = io::Error::from(io::ErrorKind::TimedOut);
    for _ in 0..config.attempts {
        for server in &config.servers {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            match exchange(*server, name, kind, left.min(config.timeout)) {
                Ok(addresses) => return Ok(addresses),
                Err(error) => last = error,
            }
        }
    }
    Err(last)
}

fn exchange(server: SocketAddr, name: &str, kind: u16, limit: Duration) -> io::Result<Vec<IpAddr>> {
    let mut id = [0; 2];
    rustix::rand::getrandom(&mut id, rustix::rand::GetRandomFlags::empty())?;
    let question = encode(id, name, kind)?;
    let local: SocketAddr = if server.is_ipv4() {
        (Ipv4Addr::UNSPECIFIED, 0).into()
    } else {
        (Ipv6Addr::UNSPECIFIED, 0).into()
    };
    let socket = UdpSocket::bind(local)?;
    socket.connect(server)?;
    socket.send(&question)?;
    let deadline = Instant::now() + limit;
    let mut buffer = [0; UDP_LIMIT];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        socket.set_read_timeout(Some(left))?;
        let length = match socket.recv(&mut buffer) {
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(error) => return Err(error),
        };
        let answer = buffer.get(..length).unwrap_or_default();
        if !answer.starts_with(&id) {
            continue;
        }
        if answer.get(2).is_some_and(|flags| flags & 2 != 0) {
            return decode(&over_tcp(server, &question, limit)?, kind);
        }
        return decode(answer, kind);
    }
}

fn over_tcp(server: SocketAddr, question: &[u8], limit: Duration) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect_timeout(&server, limit)?;
    stream.set_read_timeout(Some(limit))?;
    let length = u16::try_from(question.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    stream.write_all(&[&length.to_be_bytes(), question].concat())?;
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut answer = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut answer)?;
    Ok(answer)
}

/// One question, with recursion wanted.
fn encode(id: [u8; 2], name: &str, kind: u16) -> io::Result<Vec<u8>> {
    let mut message = Vec::from(id);
    message.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in name.split('.') {
        let length = u8::try_from(label.len()).unwrap_or(0);
        if !(1..=63).contains(&length) {
            let text = format!("`{name}` is no host name");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        message.push(length);
        message.extend(label.bytes());
    }
    message.push(0);
    message.extend(kind.to_be_bytes());
    message.extend([0, 1]);
    Ok(message)
}

/// The addresses in an answer. No such name, and no record of this type, are
/// empty; a server's own failure is an error.
fn decode(answer: &[u8], kind: u16) -> io::Result<Vec<IpAddr>> {
    match answer.get(3).map(|flags| flags & 15) {
        Some(0) => records(answer, kind).ok_or_else(|| io::ErrorKind::InvalidData.into()),
        Some(3) => Ok(Vec::new()),
        Some(2) => Err(io::Error::other("the server failed")),
        Some(5) => Err(io::Error::other("the server refused")),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// Records of the wanted type; those of names on the way (CNAME) are passed
/// over. `None` where the message ends too early.
fn records(answer: &[u8], kind: u16) -> Option<Vec<IpAddr>> {
    let word = |at: usize| Some(u16::from_be_bytes([*answer.get(at)?, *answer.get(at + 1)?]));
    let mut at = 12;
    for _ in 0..word(4)? {
        at = after_name(answer, at)? + 4;
    }
    let mut found = Vec::new();
    for _ in 0..word(6)? {
        at = after_name(answer, at)?;
        let (record, length) = (word(at)?, usize::from(word(at + 8)?));
        let content = answer.get(at + 10..at + 10 + length)?;
        if record == kind {
            if let Ok(bytes) = <[u8; 4]>::try_from(content) {
                found.push(IpAddr::from(bytes));
            } else if let Ok(bytes) = <[u8; 16]>::try_from(content) {
                found.push(IpAddr::from(bytes));
            }
        }
        at += 10 + length;
    }
    Some(found)
}

/// A name ends with an empty label or with a pointer to the rest of it.
fn after_name(answer: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match *answer.get(at)? {
            0 => return Some(at + 1),
            length if length & 0xc0 == 0xc0 => return Some(at + 2),
            length => at += 1 + usize::from(length),
        }
    }
}

/// `nslookup NAME [SERVER[:PORT]]`: what the name server says, without
/// `/etc/hosts`.
pub(super) fn nslookup(arguments: &[String]) -> Outcome {
    let mut config = Config::read();
    let name = match arguments {
        [name] => name,
        [name, server] => {
            let address = server
                .parse()
                .or_else(|_| server.parse().map(|ip| SocketAddr::new(ip, 53)))
                .map_err(|_| format!("`{server}` is no address"))?;
            config.servers = vec![address];
            name
        }
        _ => return Err("usage: nslookup NAME [SERVER]".to_owned()),
    };
    let deadline = Instant::now() + config.timeout * config.attempts * 2;
    let (found, addresses) = ask(&config, name, deadline)?;
    let server = config.servers.first().map(SocketAddr::to_string);
    let mut text = format!("Server:\t{}\n\n", server.unwrap_or_default());
    for address in addresses {
        text = text + "Name:\t" + &found + "\nAddress: " + &address.to_string() + "\n";
    }
    print(&text)?;
    Ok(0)
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn resolv_conf_is_read_with_its_options() {
        let config = Config::parse(
            "# made by hand\nnameserver 127.0.0.11\nnameserver ::1\nsearch a.example. b\n\
             options ndots:0 timeout:1 attempts:3 edns0\n",
        );
        assert_eq!(
            config.servers,
            ["127.0.0.11:53", "[::1]:53"].map(|s| s.parse().unwrap())
        );
        assert_eq!(config.candidates("web"), ["web", "web.a.example", "web.b"]);
        assert_eq!(
            (config.timeout, config.attempts),
            (Duration::from_secs(1), 3)
        );
        let plain = Config::parse("search x\n");
        assert_eq!(plain.candidates("web"), ["web.x", "web"]);
        assert_eq!(plain.candidates("web.y"), ["web.y", "web.y.x"]);
        assert_eq!(plain.candidates("web."), ["web"]);
        assert_eq!(plain.servers, ["127.0.0.1:53".parse().unwrap()]);
    }

    #[test]
    fn hosts_file_gives_all_addresses_of_a_name() {
        let text = "127.0.0.1 localhost # web\n10.0.0.2\tweb web-1\n::2 Web\n";
        let want: [IpAddr; 2] = ["10.0.0.2".parse().unwrap(), "::2".parse().unwrap()];
        assert_eq!(from_hosts(text, "web"), want);
        assert_eq!(from_hosts(text, "nobody"), Vec::<IpAddr>::new());
    }

    /// Answers one question over UDP, after a message that is none of ours.
    fn server(answer: impl FnOnce(&[u8]) -> Vec<u8> + Send + 'static) -> SocketAddr {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        thread::spawn(move || {
            let mut buffer = [0; 512];
            let (length, peer) = socket.recv_from(&mut buffer).unwrap();
            let question = &buffer[..length];
            let foreign = [!question[0], question[1], 0x80, 0];
            socket.send_to(&foreign, peer).unwrap();
            socket.send_to(&answer(question), peer).unwrap();
        });
        address
    }

    #[test]
    fn answer_with_an_alias_gives_its_addresses() {
        let address = server(|question| {
            let mut answer = question.to_vec();
            answer[2] = 0x81;
            answer[7] = 2;
            // CNAME x., then an address; both names are pointers.
            answer.extend([0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 9, 0, 3, 1, b'x', 0]);
            answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 10, 1, 2, 3]);
            answer
        });
        let found = exchange(address, "web.example", A, Duration::from_secs(5)).unwrap();
        assert_eq!(found, ["10.1.2.3".parse::<IpAddr>().unwrap()]);
    }

    #[test]
    fn unknown_name_is_empty_and_a_failure_is_one() {
        let with_code = |code: u8| {
            let address = server(move |question| {
                let mut answer = question.to_vec();
                answer[3] = code;
                answer
            });
            exchange(address, "web", A, Duration::from_secs(5))
        };
        assert_eq!(with_code(3).unwrap(), Vec::<IpAddr>::new());
        assert!(with_code(2).unwrap_err().to_string().contains("failed"));
    }

    #[test]
    fn cut_off_answers_are_refused() {
        let mut answer = encode([1, 2], "web", A).unwrap();
        answer[7] = 1;
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 10]);
        for length in 12..answer.len() {
            assert!(decode(&answer[..length], A).is_err(), "{length}");
        }
    }

    #[test]
    fn bad_names_are_refused() {
        assert!(encode([0, 0], "a..b", A).is_err());
        assert!(encode([0, 0], &"a".repeat(64), A).is_err());
    }
}
