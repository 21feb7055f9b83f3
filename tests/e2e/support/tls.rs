//! HTTPS for one test: certificates by openssl, requests to a closure.

use std::io::{BufReader, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::sandbox::{Sandbox, program};
use super::server::{Answer, Request, read_request, serve};

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
