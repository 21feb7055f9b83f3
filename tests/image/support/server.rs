//! A scripted HTTP server: what a registry does wrong, on purpose.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use skiff::image::Digest;

use super::image::TestImage;

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// Path and query.
    pub(crate) target: String,
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    /// The first byte that is asked for.
    pub(crate) fn range_start(&self) -> Option<usize> {
        let range = self.header("range")?;
        range
            .strip_prefix("bytes=")?
            .strip_suffix('-')?
            .parse()
            .ok()
    }
}

/// An answer to be sent.
#[derive(Clone)]
pub(crate) struct Response {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    /// The stated length, where it is another than the body's.
    length: Option<usize>,
    /// Whether the connection just ends.
    is_nothing: bool,
    /// Whether the connection stays open, with nothing more, until the client
    /// has enough of it.
    stands_still: bool,
}

impl Response {
    pub(crate) fn new(status: u16, body: &[u8]) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: body.to_vec(),
            length: None,
            is_nothing: false,
            stands_still: false,
        }
    }

    /// No answer: the connection ends.
    pub(crate) fn nothing() -> Self {
        Self {
            is_nothing: true,
            ..Self::new(200, b"")
        }
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Ends the connection before so many bytes have been sent.
    pub(crate) fn broken_at(mut self, count: usize) -> Self {
        self.length = Some(self.body.len());
        self.body.truncate(count);
        self
    }

    /// Says nothing more after so many bytes, until the client goes.
    pub(crate) fn stalled_at(self, count: usize) -> Self {
        Self {
            stands_still: true,
            ..self.broken_at(count)
        }
    }

    /// A part of a blob, from the asked byte on.
    pub(crate) fn range(blob: &[u8], start: usize) -> Self {
        let total = blob.len();
        Self::new(206, &blob[start..]).header(
            "Content-Range",
            &format!("bytes {start}-{}/{total}", total - 1),
        )
    }
}

type Handler = dyn Fn(&Request) -> Response + Send + Sync;

/// A running server. Its threads live as long as the test's process.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    log: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    /// Starts one in plain HTTP.
    pub(crate) fn start(
        address: &str,
        handler: impl Fn(&Request) -> Response + Send + Sync + 'static,
    ) -> Self {
        Self::run(address, None, Arc::new(handler))
    }

    /// Starts one in TLS.
    pub(crate) fn start_tls(
        address: &str,
        tls: Arc<rustls::ServerConfig>,
        handler: impl Fn(&Request) -> Response + Send + Sync + 'static,
    ) -> Self {
        Self::run(address, Some(tls), Arc::new(handler))
    }

    fn run(address: &str, tls: Option<Arc<rustls::ServerConfig>>, handler: Arc<Handler>) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let log = Arc::new(Mutex::new(Vec::new()));
        let requests = Arc::clone(&log);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, tls) = (stream.unwrap(), tls.clone());
                let (handler, requests) = (Arc::clone(&handler), Arc::clone(&requests));
                std::thread::spawn(move || match tls {
                    None => serve(stream, &*handler, &requests),
                    Some(config) => {
                        let session = rustls::ServerConnection::new(config).unwrap();
                        let mut stream = rustls::StreamOwned::new(session, stream);
                        serve(&mut stream, &*handler, &requests);
                        stream.conn.send_close_notify();
                        stream.flush().ok();
                    }
                });
            }
        });
        Self { address, log }
    }

    /// All requests so far.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.log.lock().unwrap().clone()
    }

    /// How many requests had this in their path and query.
    pub(crate) fn count(&self, part: &str) -> usize {
        self.requests()
            .iter()
            .filter(|r| r.target.contains(part))
            .count()
    }

    /// A reference to an image here.
    pub(crate) fn reference(&self, rest: &str) -> String {
        format!("{}/{rest}", self.address)
    }
}

/// Answers one request and closes.
fn serve(mut stream: impl Read + Write, handler: &Handler, log: &Mutex<Vec<Request>>) {
    let Some(request) = read_request(&mut stream) else {
        return;
    };
    log.lock().unwrap().push(request.clone());
    let response = handler(&request);
    if response.is_nothing {
        return;
    }
    let length = response.length.unwrap_or(response.body.len());
    let mut head = format!(
        "HTTP/1.1 {} X\r\nConnection: close\r\nContent-Length: {length}\r\n",
        response.status
    );
    for (name, value) in &response.headers {
        write!(head, "{name}: {value}\r\n").unwrap();
    }
    head.push_str("\r\n");
    // The client may have gone, which is its business.
    stream.write_all(head.as_bytes()).ok();
    stream.write_all(&response.body).ok();
    stream.flush().ok();
    if response.stands_still {
        // Until the client has enough of it.
        let mut nothing = [0];
        while stream.read(&mut nothing).is_ok_and(|length| length > 0) {}
    }
}

fn read_request(stream: &mut impl Read) -> Option<Request> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader
        .read_line(&mut line)
        .ok()
        .filter(|count| *count > 0)?;
    let mut words = line.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers
        .get("content-length")
        .and_then(|n: &String| n.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body).ok()?;
    Some(Request {
        method,
        target,
        headers,
        body,
    })
}

/// What a well-behaved registry answers for an image under any name.
pub(crate) fn answer(image: &TestImage, request: &Request) -> Response {
    let path = request.target.split('?').next().unwrap();
    if path == "/v2/" {
        return Response::new(200, b"{}");
    }
    let (kind, name) = path.rsplit_once('/').unwrap();
    if kind.ends_with("/manifests") {
        let text = &image.manifest;
        if name.starts_with("sha256:") && name != image.digest().as_str() {
            return not_found();
        }
        return Response::new(200, text).header("Docker-Content-Digest", image.digest().as_str());
    }
    let blobs = image
        .layers
        .iter()
        .map(|layer| &layer.blob)
        .chain([&image.config]);
    match blobs
        .into_iter()
        .find(|blob| Digest::of(blob).as_str() == name)
    {
        Some(blob) => match request.range_start() {
            Some(start) => Response::range(blob, start),
            None => Response::new(200, blob),
        },
        None => not_found(),
    }
}

pub(crate) fn not_found() -> Response {
    Response::new(
        404,
        br#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}"#,
    )
}

/// A proxy that knows `CONNECT` only and leads everything to one address.
/// Gives the request lines it sees.
pub(crate) fn tunnel(address: &str, to: &str) -> Arc<Mutex<Vec<String>>> {
    let listener = TcpListener::bind(address).unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let lines = Arc::clone(&seen);
    let to: SocketAddr = to.parse().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut client, lines, to) = (stream.unwrap(), Arc::clone(&lines), to);
            std::thread::spawn(move || {
                let mut reader = BufReader::new(client.try_clone().unwrap());
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                lines.lock().unwrap().push(line.clone());
                while line.trim_end() != "" {
                    line.clear();
                    reader.read_line(&mut line).unwrap();
                }
                client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
                copy_both(client, reader, to);
            });
        }
    });
    seen
}

/// Leads a connection to another address, both ways, on threads of its own.
pub(crate) fn relay(client: TcpStream, to: SocketAddr) {
    let reader = client.try_clone().unwrap();
    std::thread::spawn(move || copy_both(client, reader, to));
}

fn copy_both(client: TcpStream, mut reader: impl Read, to: SocketAddr) {
    let mut server = TcpStream::connect(to).unwrap();
    let mut back = server.try_clone().unwrap();
    let mut out = client;
    std::thread::spawn(move || {
        std::io::copy(&mut back, &mut out).ok();
        out.shutdown(std::net::Shutdown::Write).ok();
    });
    std::io::copy(&mut reader, &mut server).ok();
    server.shutdown(std::net::Shutdown::Write).ok();
}
