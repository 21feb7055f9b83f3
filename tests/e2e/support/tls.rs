//! An HTTPS server for one test: certificates by openssl, requests to a closure.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::sandbox::{Sandbox, program};

/// A request as far as tests look at it.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// `GET`, ….
    pub(crate) method: String,
    /// With its query.
    pub(crate) path: String,
    /// Lower-case names.
    pub(crate) headers: Vec<(String, String)>,
}

impl Request {
    /// A header's value.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }
}

/// An answer: status, headers and body.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    /// Status code.
    pub(crate) status: u16,
    /// Beside `Content-Length`.
    pub(crate) headers: Vec<(String, String)>,
    /// The body.
    pub(crate) body: Vec<u8>,
}

/// Makes a certificate authority and a certificate for `names`; returns the
/// authority's file. The server's are beside it.
pub(crate) fn make_certificates(sandbox: &Sandbox, names: &[&str]) -> PathBuf {
    program("openssl");
    let list: Vec<String> = names.iter().map(|name| format!("DNS:{name}")).collect();
    let script = format!(
        "set -e; mkdir -p tls; cd tls
        key='-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes'
        openssl req -x509 $key -keyout ca.key -out ca.crt -subj '/CN=test authority' -days 2
        openssl req $key -keyout server.key -out server.csr -subj /CN=server
        echo 'subjectAltName={}' >names
        openssl x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile names -out server.crt",
        list.join(",")
    );
    sandbox.shell(&script).run().succeeds().whatever();
    sandbox.work().join("tls/ca.crt")
}

/// Serves `address` until the test's end with the certificates made before.
pub(crate) fn serve_https(
    sandbox: &Sandbox,
    address: &str,
    answer: impl Fn(&Request) -> Answer + Send + Sync + 'static,
) {
    let config = Arc::new(server_config(&sandbox.work().join("tls")));
    let listener = TcpListener::bind(address).unwrap_or_else(|e| panic!("{address}: {e}"));
    let answer = Arc::new(answer);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (config, answer) = (Arc::clone(&config), Arc::clone(&answer));
            thread::spawn(move || {
                let Ok(connection) = ServerConnection::new(config) else {
                    return;
                };
                // A client that closes in the middle is no fault of the test.
                serve(StreamOwned::new(connection, stream), answer.as_ref()).ok();
            });
        }
    });
}

fn server_config(folder: &Path) -> ServerConfig {
    let chain: Vec<CertificateDer<'static>> =
        CertificateDer::pem_file_iter(folder.join("server.crt"))
            .expect("a certificate")
            .collect::<Result<_, _>>()
            .expect("a certificate");
    let key = PrivateKeyDer::from_pem_file(folder.join("server.key")).expect("a key");
    ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("TLS versions")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .expect("a certificate and its key")
}

fn serve(stream: impl Read + Write, answer: &dyn Fn(&Request) -> Answer) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    while let Some(request) = read_request(&mut reader)? {
        let Answer {
            status,
            headers,
            body,
        } = answer(&request);
        let mut head = format!(
            "HTTP/1.1 {status} Status\r\nContent-Length: {}\r\n",
            body.len()
        );
        for (name, value) in headers {
            head.extend([name.as_str(), ": ", &value, "\r\n"]);
        }
        head.push_str("\r\n");
        let stream = reader.get_mut();
        stream.write_all(head.as_bytes())?;
        if request.method != "HEAD" {
            stream.write_all(&body)?;
        }
        stream.flush()?;
    }
    Ok(())
}

/// The next request without its body, which only requests without one have here.
fn read_request(reader: &mut impl BufRead) -> std::io::Result<Option<Request>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace().map(str::to_owned);
    let (method, path) = (
        words.next().unwrap_or_default(),
        words.next().unwrap_or_default(),
    );
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        match line.trim_end().split_once(':') {
            Some((name, value)) => {
                headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
            }
            None => {
                return Ok(Some(Request {
                    method,
                    path,
                    headers,
                }));
            }
        }
    }
}

/// A proxy for `CONNECT`: every target is sent to `to`; reports each target.
pub(crate) fn serve_proxy(
    address: &str,
    to: &'static str,
    seen: impl Fn(&str) + Send + Sync + 'static,
) {
    let listener = TcpListener::bind(address).unwrap_or_else(|e| panic!("{address}: {e}"));
    let seen = Arc::new(seen);
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let seen = Arc::clone(&seen);
            thread::spawn(move || relay(&client, to, seen.as_ref()).ok());
        }
    });
}

fn relay(client: &TcpStream, to: &str, seen: &dyn Fn(&str)) -> std::io::Result<()> {
    let mut reader = BufReader::new(client.try_clone()?);
    let Some(request) = read_request(&mut reader)? else {
        return Ok(());
    };
    seen(&format!("{} {}", request.method, request.path));
    let server = TcpStream::connect(to)?;
    let mut writer = client.try_clone()?;
    writer.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
    let mut up = server.try_clone()?;
    let copy = thread::spawn(move || {
        std::io::copy(&mut reader, &mut up).ok();
        up.shutdown(Shutdown::Write).ok();
    });
    std::io::copy(&mut &server, &mut writer)?;
    copy.join().ok();
    Ok(())
}
