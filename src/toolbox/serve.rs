//! `serve`: a small web server with a thread per connection.
//!
//! `serve [--listen [HOST]:PORT] [--text TEXT | --file FILE | --page FILE |
//! --root FOLDER] [--proxy /PREFIX=URL]… [--status CODE] [--delay TIME]`
//!
//! One line a request goes to standard output. SIGTERM ends it with code 0.

use std::io::{self, BufReader};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use fs_err as fs;

use super::http::{self, Request, Response, Url};
use super::{Outcome, basic, option, page, print, signals, time};

const DEFAULT_PORT: u16 = 8080;

/// A connection on which nothing is asked for so long is closed.
const IDLE_LIMIT: Duration = Duration::from_secs(60);

/// How long a backend may take.
const PROXY_LIMIT: Duration = Duration::from_secs(30);

/// What is answered where no proxy route holds.
#[derive(Debug, PartialEq, Eq)]
enum Content {
    Text(String),
    File(PathBuf),
    Page(PathBuf),
    Root(PathBuf),
}

/// A prefix of paths and where it leads.
#[derive(Debug, PartialEq, Eq)]
struct Route {
    prefix: String,
    backend: Url,
}

#[derive(Debug, PartialEq, Eq)]
struct Settings {
    listen: String,
    content: Content,
    routes: Vec<Route>,
    status: u16,
    delay: Duration,
}

pub(super) fn serve(arguments: &[String]) -> Outcome {
    let settings = Arc::new(Settings::parse(arguments)?);
    let listener = bind(&settings.listen)?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    signals::until_terminated(move || {
        print(&format!("listening on {address}\n"))?;
        loop {
            match listener.accept() {
                Ok((stream, peer)) => {
                    let settings = Arc::clone(&settings);
                    thread::spawn(move || settings.converse(stream, peer));
                }
                // The client is gone again, or descriptors are short.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => return Err(format!("cannot accept a connection: {error}")),
            }
        }
    })
}

/// `:8080` is every address of both families where the kernel has IPv6.
fn bind(listen: &str) -> Result<TcpListener, String> {
    let (host, port) = listen.rsplit_once(':').unwrap_or(("", listen));
    let port: u16 = port
        .parse()
        .map_err(|_| format!("`{listen}` has no port"))?;
    let addresses: Vec<SocketAddr> = if host.is_empty() {
        let every: [IpAddr; 2] = [Ipv6Addr::UNSPECIFIED.into(), Ipv4Addr::UNSPECIFIED.into()];
        every.map(|address| SocketAddr::new(address, port)).to_vec()
    } else {
        super::names::resolve(host, Instant::now() + Duration::from_secs(5))?
            .into_iter()
            .map(|address| SocketAddr::new(address, port))
            .collect()
    };
    TcpListener::bind(addresses.as_slice())
        .map_err(|error| format!("cannot listen on {listen}: {error}"))
}

impl Settings {
    fn parse(arguments: &[String]) -> Result<Self, String> {
        let mut settings = Self {
            listen: format!(":{DEFAULT_PORT}"),
            content: Content::Text("ok\n".to_owned()),
            routes: Vec::new(),
            status: 200,
            delay: Duration::ZERO,
        };
        let mut rest = arguments.iter();
        while !rest.as_slice().is_empty() {
            if let Some(value) = option("--listen", &mut rest) {
                value?.clone_into(&mut settings.listen);
            } else if let Some(value) = option("--text", &mut rest) {
                settings.content = Content::Text(format!("{}\n", value?));
            } else if let Some(value) = option("--file", &mut rest) {
                settings.content = Content::File(value?.into());
            } else if let Some(value) = option("--page", &mut rest) {
                settings.content = Content::Page(value?.into());
            } else if let Some(value) = option("--root", &mut rest) {
                settings.content = Content::Root(value?.into());
            } else if let Some(value) = option("--proxy", &mut rest) {
                settings.routes.push(Route::parse(value?)?);
            } else if let Some(value) = option("--status", &mut rest) {
                let value = value?;
                settings.status = value
                    .parse()
                    .map_err(|_| format!("`{value}` is no status"))?;
            } else if let Some(value) = option("--delay", &mut rest) {
                settings.delay = time::parse_duration(value?)?;
            } else {
                let other = rest.next().map(String::as_str).unwrap_or_default();
                return Err(format!("unknown argument `{other}`"));
            }
        }
        // The longest prefix counts.
        settings
            .routes
            .sort_by_key(|route| std::cmp::Reverse(route.prefix.len()));
        Ok(settings)
    }

    /// Answers the requests of one connection.
    fn converse(&self, stream: TcpStream, peer: SocketAddr) {
        let ended = stream
            .set_read_timeout(Some(IDLE_LIMIT))
            .and_then(|()| stream.set_nodelay(true))
            .and_then(|()| self.answer_all(stream, peer));
        match ended {
            Ok(()) => {}
            // A client that goes away in the middle is its own affair.
            Err(error) if error.kind() != io::ErrorKind::InvalidData => {}
            Err(error) => {
                print(&format!("{} refused: {error}\n", peer.ip().to_canonical())).ok();
            }
        }
    }

    fn answer_all(&self, stream: TcpStream, peer: SocketAddr) -> io::Result<()> {
        let mut output = stream.try_clone()?;
        let mut input = BufReader::new(stream);
        loop {
            let request = match Request::read(&mut input) {
                Ok(Some(request)) => request,
                Ok(None) => return Ok(()),
                Err(error) => {
                    if error.kind() == io::ErrorKind::InvalidData {
                        Response::text(400, format!("{error}\n")).write(
                            &mut output,
                            false,
                            true,
                        )?;
                    }
                    return Err(error);
                }
            };
            let begun = Instant::now();
            time::pause(self.delay);
            let response = self.answer(&request);
            response.write(&mut output, request.method == "HEAD", request.closes())?;
            let line = format!(
                "{} {} {} {} {} {}us\n",
                peer.ip().to_canonical(),
                request.method,
                request.target,
                response.status,
                response.body.len(),
                begun.elapsed().as_micros()
            );
            // The log is closed: the answer counts more.
            print(&line).ok();
            if request.closes() {
                return Ok(());
            }
        }
    }

    fn answer(&self, request: &Request) -> Response {
        if let Some(route) = self
            .routes
            .iter()
            .find(|route| route.holds(&request.target))
        {
            return route.forward(request);
        }
        if !matches!(request.method.as_str(), "GET" | "HEAD") {
            return Response::text(405, "only GET and HEAD\n");
        }
        let mut response = match &self.content {
            Content::Text(text) => Response::text(200, text.as_str()),
            Content::File(file) => from_file(file),
            Content::Page(file) => from_page(file),
            Content::Root(folder) => from_folder(folder, &request.path()),
        };
        if response.status == 200 {
            response.status = self.status;
        }
        response
    }
}

impl Route {
    /// `/api=http://backend:9000`
    fn parse(text: &str) -> Result<Self, String> {
        let (prefix, url) = text
            .split_once('=')
            .filter(|(prefix, _)| prefix.starts_with('/'))
            .ok_or_else(|| format!("`{text}` is not like `/prefix=http://host:port`"))?;
        Ok(Self {
            prefix: prefix.trim_end_matches('/').to_owned(),
            backend: Url::parse(url)?,
        })
    }

    fn holds(&self, target: &str) -> bool {
        let rest = target.strip_prefix(&self.prefix);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?']))
    }

    /// The prefix is replaced by the backend's path.
    fn forward(&self, request: &Request) -> Response {
        let rest = request
            .target
            .strip_prefix(&self.prefix)
            .unwrap_or_default();
        let base = self.backend.path.trim_end_matches('/');
        let path = format!("{base}{rest}");
        let url = Url {
            path: if path.starts_with('/') {
                path
            } else {
                format!("/{path}")
            },
            ..self.backend.clone()
        };
        let kind =
            http::header(&request.headers, "content-type").unwrap_or("application/octet-stream");
        let body = (!request.body.is_empty()).then_some((kind, request.body.as_slice()));
        http::fetch(&request.method, &url, body, PROXY_LIMIT)
            .unwrap_or_else(|error| Response::text(502, format!("{error}\n")))
    }
}

fn from_file(file: &Path) -> Response {
    match basic::read(&file.to_string_lossy()) {
        Ok(body) => Response {
            status: 200,
            content_type: content_type(file).to_owned(),
            body,
        },
        Err(error) => failure(&error),
    }
}

fn from_page(file: &Path) -> Response {
    match fs::read_to_string(file) {
        Ok(template) => Response {
            status: 200,
            content_type: "text/html; charset=utf-8".to_owned(),
            body: page::fill(&template).into_bytes(),
        },
        Err(error) => failure(&error),
    }
}

/// A file below the folder, or `index.html` of a folder, or its names.
fn from_folder(root: &Path, path: &str) -> Response {
    let relative = Path::new(path.trim_start_matches('/'));
    let plain = relative
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    if !plain {
        return Response::text(403, "only paths below the folder\n");
    }
    let target = root.join(relative);
    if !target.is_dir() {
        return from_file(&target);
    }
    let index = target.join("index.html");
    if index.is_file() {
        return from_file(&index);
    }
    let names = fs::read_dir(&target).map(|entries| {
        let mut names: Vec<_> = entries
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .collect();
        names.sort();
        names.join("\n") + "\n"
    });
    names.map_or_else(|error| failure(&error), |names| Response::text(200, names))
}

fn failure(error: &io::Error) -> Response {
    let known = [
        (io::ErrorKind::NotFound, 404),
        (io::ErrorKind::NotADirectory, 404),
        (io::ErrorKind::PermissionDenied, 403),
    ];
    let status = known.into_iter().find(|(kind, _)| *kind == error.kind());
    let status = status.map_or(500, |(_, status)| status);
    Response::text(status, format!("{error}\n"))
}

fn content_type(file: &Path) -> &'static str {
    match file.extension().and_then(|extension| extension.to_str()) {
        Some("html" | "htm") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("json") => "application/json",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("jpg" | "jpeg") => "image/jpeg",
        _ => "text/plain; charset=utf-8",
    }
}

#[cfg(test)]
#[path = "serve_tests.rs"]
mod tests;
