//! Just enough of HTTP/1.1 (RFC 9112) for applets: requests and answers with a
//! length, a chunked body or the end of the connection as their end.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::names;

/// The longest head, and the longest body that is kept in memory.
const HEAD_LIMIT: u64 = 16 * 1024;
const BODY_LIMIT: u64 = 16 * 1024 * 1024;

/// A URL of scheme `http` or `tcp`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Url {
    /// `tcp`: only a connection is wanted.
    pub(super) tcp_only: bool,
    pub(super) host: String,
    pub(super) port: u16,
    /// With the query, at least `/`.
    pub(super) path: String,
}

impl Url {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
        let tcp_only = match scheme {
            "http" => false,
            "tcp" => true,
            other => {
                return Err(format!(
                    "cannot use `{other}`: only http and tcp are served"
                ));
            }
        };
        let split = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(split);
        let after_bracket = authority.rfind(']').map_or(0, |at| at + 1);
        let tail = authority.get(after_bracket..).unwrap_or_default();
        let (host, port) = match tail.rfind(':').map(|at| after_bracket + at) {
            Some(colon) => {
                let number = authority.get(colon + 1..).unwrap_or_default();
                let port = number
                    .parse()
                    .map_err(|_| format!("`{number}` is no port in `{text}`"))?;
                (authority.get(..colon).unwrap_or_default(), port)
            }
            None if tcp_only => return Err(format!("`{text}` has no port")),
            None => (authority, 80),
        };
        if host.is_empty() {
            return Err(format!("`{text}` has no host"));
        }
        Ok(Self {
            tcp_only,
            host: host.to_owned(),
            port,
            path: if path.starts_with('/') {
                path.to_owned()
            } else {
                format!("/{path}")
            },
        })
    }
}

/// The head of a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) method: String,
    /// As sent, with the query.
    pub(super) target: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Request {
    /// Reads the next request of a connection; `None` at its end.
    pub(super) fn read(stream: &mut BufReader<TcpStream>) -> io::Result<Option<Self>> {
        let Some((line, headers)) = read_head(stream)? else {
            return Ok(None);
        };
        let mut words = line.split(' ');
        let (Some(method), Some(target), Some(version)) =
            (words.next(), words.next(), words.next())
        else {
            return Err(invalid("no HTTP request"));
        };
        if !version.starts_with("HTTP/1.") || !target.starts_with('/') {
            return Err(invalid("no HTTP/1 request for a path"));
        }
        let body = read_body(stream, &headers, Some(0))?;
        Ok(Some(Self {
            method: method.to_owned(),
            target: target.to_owned(),
            headers,
            body,
        }))
    }

    /// The path without the query, with `%XX` decoded.
    pub(super) fn path(&self) -> String {
        let path = self.target.split(['?', '#']).next().unwrap_or_default();
        percent_decode(path)
    }

    /// Whether the client wants the connection closed after the answer.
    pub(super) fn closes(&self) -> bool {
        header(&self.headers, "connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Response {
    pub(super) status: u16,
    pub(super) content_type: String,
    pub(super) body: Vec<u8>,
}

impl Response {
    pub(super) fn text(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            content_type: "text/plain; charset=utf-8".to_owned(),
            body: body.into(),
        }
    }

    /// Writes it; the head alone for `HEAD`.
    pub(super) fn write(
        &self,
        stream: &mut TcpStream,
        head_only: bool,
        close: bool,
    ) -> io::Result<()> {
        let reason = match self.status {
            200 => "OK",
            400 => "Bad Request",
            403 => "Forbidden",
            404 => "Not Found",
            405 => "Method Not Allowed",
            500 => "Internal Server Error",
            502 => "Bad Gateway",
            _ => "Status",
        };
        let connection = if close { "close" } else { "keep-alive" };
        let mut bytes = format!(
            "HTTP/1.1 {} {reason}\r\nContent-Type: {}\r\nContent-Length: {}\r\nConnection: {connection}\r\n\r\n",
            self.status,
            self.content_type,
            self.body.len()
        )
        .into_bytes();
        if !head_only {
            bytes.extend(&self.body);
        }
        stream.write_all(&bytes)
    }
}

/// Makes one request and reads the whole answer.
pub(super) fn fetch(
    method: &str,
    url: &Url,
    body: Option<(&str, &[u8])>,
    limit: Duration,
) -> Result<Response, String> {
    let deadline = Instant::now() + limit;
    let stream = names::connect(&url.host, url.port, deadline)?;
    converse(method, url, body, stream, deadline).map_err(|error| {
        format!(
            "no answer from http://{}:{}{}: {error}",
            url.host, url.port, url.path
        )
    })
}

fn converse(
    method: &str,
    url: &Url,
    body: Option<(&str, &[u8])>,
    mut stream: TcpStream,
    deadline: Instant,
) -> io::Result<Response> {
    let mut request = format!(
        "{method} {} HTTP/1.1\r\nHost: {}:{}\r\nUser-Agent: skiff-toolbox\r\nAccept: */*\r\nConnection: close\r\n",
        url.path, url.host, url.port
    );
    if let Some((kind, bytes)) = body {
        let length = bytes.len().to_string();
        request = request + "Content-Type: " + kind + "\r\nContent-Length: " + &length + "\r\n";
    }
    request += "\r\n";
    stream.write_all(request.as_bytes())?;
    stream.write_all(body.map(|(_, bytes)| bytes).unwrap_or_default())?;
    let mut stream = BufReader::new(Timed { stream, deadline });
    let (line, headers) = read_head(&mut stream)?.ok_or_else(|| invalid("an empty answer"))?;
    let status = line
        .strip_prefix("HTTP/1.")
        .and_then(|rest| rest.split(' ').nth(1)?.parse().ok())
        .ok_or_else(|| invalid("no HTTP answer"))?;
    let bodiless = method == "HEAD" || matches!(status, 100..200 | 204 | 304);
    let body = if bodiless {
        Vec::new()
    } else {
        read_body(&mut stream, &headers, None)?
    };
    let content_type = header(&headers, "content-type").unwrap_or("application/octet-stream");
    Ok(Response {
        status,
        content_type: content_type.to_owned(),
        body,
    })
}

/// A stream whose reads together end at the deadline.
struct Timed {
    stream: TcpStream,
    deadline: Instant,
}

impl Read for Timed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "timed out"));
        }
        self.stream.set_read_timeout(Some(left))?;
        match self.stream.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                Err(io::Error::new(io::ErrorKind::TimedOut, "timed out"))
            }
            other => other,
        }
    }
}

type Head = (String, Vec<(String, String)>);

/// The first line and the headers; `None` where the stream has ended.
fn read_head(stream: &mut impl BufRead) -> io::Result<Option<Head>> {
    let mut limited = stream.take(HEAD_LIMIT);
    let mut line = String::new();
    if limited.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let first = line.trim_end().to_owned();
    let mut headers = Vec::new();
    loop {
        line.clear();
        if limited.read_line(&mut line)? == 0 {
            return Err(invalid("the head is cut off or too long"));
        }
        let line = line.trim_end();
        if line.is_empty() {
            return Ok(Some((first, headers)));
        }
        let (name, value) = line
            .split_once(':')
            .ok_or_else(|| invalid("a header without a colon"))?;
        headers.push((name.to_owned(), value.trim().to_owned()));
    }
}

/// The body; `otherwise` is its length where no header says it (`None`: up to
/// the end of the stream).
fn read_body(
    stream: &mut impl BufRead,
    headers: &[(String, String)],
    otherwise: Option<u64>,
) -> io::Result<Vec<u8>> {
    if header(headers, "transfer-encoding")
        .is_some_and(|value| value.eq_ignore_ascii_case("chunked"))
    {
        return read_chunks(stream);
    }
    let length = match header(headers, "content-length") {
        Some(text) => Some(text.parse().map_err(|_| invalid("a bad Content-Length"))?),
        None => otherwise,
    };
    let mut body = Vec::new();
    if length.is_some_and(|length| length > BODY_LIMIT) {
        return Err(invalid("a body that is too long"));
    }
    stream
        .take(length.unwrap_or(BODY_LIMIT))
        .read_to_end(&mut body)?;
    if length.is_some_and(|length| length != body.len() as u64) {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(body)
}

fn read_chunks(stream: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let mut line = String::new();
        stream.take(HEAD_LIMIT).read_line(&mut line)?;
        let digits = line.trim_end().split(';').next().unwrap_or_default();
        let length = u64::from_str_radix(digits, 16).map_err(|_| invalid("a bad chunk"))?;
        if body.len() as u64 + length > BODY_LIMIT {
            return Err(invalid("a body that is too long"));
        }
        let before = body.len() as u64;
        stream.take(length).read_to_end(&mut body)?;
        if body.len() as u64 != before + length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        // The end of the chunk; after the last one trailers may come first.
        loop {
            line.clear();
            let read = stream.take(HEAD_LIMIT).read_line(&mut line)?;
            if read == 0 || line.trim_end().is_empty() || length > 0 {
                break;
            }
        }
        if length == 0 {
            return Ok(body);
        }
    }
}

/// A header's value, by its name in lower case.
pub(super) fn header<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers
        .iter()
        .find(|(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.as_str())
}

fn percent_decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let code = tail
            .get(..2)
            .filter(|_| *first == b'%')
            .and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        bytes.push(code.unwrap_or(*first));
        rest = code.map_or(tail, |_| tail.get(2..).unwrap_or_default());
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        let url = |host: &str, port, path: &str| Url {
            tcp_only: false,
            host: host.to_owned(),
            port,
            path: path.to_owned(),
        };
        assert_eq!(Url::parse("http://web"), Ok(url("web", 80, "/")));
        assert_eq!(Url::parse("web:9000/a?b=c"), Ok(url("web", 9000, "/a?b=c")));
        assert_eq!(Url::parse("http://[::1]:80?x"), Ok(url("[::1]", 80, "/?x")));
        assert_eq!(Url::parse("http://[::1]/x"), Ok(url("[::1]", 80, "/x")));
        assert!(Url::parse("tcp://db:5432").unwrap().tcp_only);
        for bad in [
            "https://web",
            "tcp://db",
            "http://:80",
            "http://web:x",
            "http://web:70000",
        ] {
            assert!(Url::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn bodies_end_where_they_should() {
        let read = |text: &str, headers: &[(&str, &str)], otherwise| {
            let headers: Vec<_> = headers
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect();
            read_body(&mut text.as_bytes(), &headers, otherwise).ok()
        };
        let some = |text: &str| Some(text.as_bytes().to_vec());
        assert_eq!(
            read("abcdef", &[("Content-Length", "3")], None),
            some("abc")
        );
        assert_eq!(read("ab", &[("Content-Length", "3")], None), None);
        assert_eq!(read("abc", &[], None), some("abc"));
        assert_eq!(read("abc", &[], Some(0)), some(""));
        let chunked = [("transfer-encoding", "chunked")];
        let text = "3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nTrailer: x\r\n\r\nnext";
        assert_eq!(read(text, &chunked, None), some("abcde"));
        assert_eq!(read("3\r\nab", &chunked, None), None);
        assert_eq!(read("zz\r\n", &chunked, None), None);
        assert_eq!(read("", &[("content-length", "99999999999")], None), None);
    }

    #[test]
    fn paths_are_decoded() {
        assert_eq!(percent_decode("/a%20b%2e%zz%"), "/a b.%zz%");
    }
}
