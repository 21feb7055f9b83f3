//! HTTP clients: certificates, proxies, time limits.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use fs_err as fs;
use hyper_util::client::proxy::matcher::Matcher;
use reqwest::{Client, ClientBuilder, NoProxy, Proxy, Url, redirect};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

use super::access::AccessOptions;
use super::certs::{AnyCertificate, Certificates};
use super::reason::innermost;

/// A host that does not answer for so long is unreachable.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);
/// A transfer that stands still for so long is broken.
const READ_TIMEOUT: Duration = Duration::from_secs(60);
/// HTTP/2 windows: the protocol's 64 KiB would make one stream wait a round
/// trip for every 64 KiB.
const STREAM_WINDOW: u32 = 2 * 1024 * 1024;
const CONNECTION_WINDOW: u32 = 8 * 1024 * 1024;
/// This machine is never reached through a proxy, as for Go programs.
const HERE: &str = "localhost,127.0.0.0/8,::1";
/// The machine's own list of names, and the size above which it is left to hickory.
const HOSTS: &str = "/etc/hosts";
const HOSTS_LIMIT: u64 = 256 * 1024;
/// Where distributions keep the certificates they trust, in one file.
const BUNDLES: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Whether a host, perhaps with a port, is this machine.
pub(super) fn is_loopback(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) && !name.ends_with(':') => {
            name
        }
        Some(_) | None => host,
    };
    let name = name.trim_start_matches('[').trim_end_matches(']');
    if name == "localhost" {
        return true;
    }
    match name.parse::<IpAddr>() {
        Ok(IpAddr::V4(address)) => address.is_loopback(),
        Ok(IpAddr::V6(address)) => address == Ipv6Addr::LOCALHOST || is_mapped_loopback(address),
        Err(_) => false,
    }
}

fn is_mapped_loopback(address: Ipv6Addr) -> bool {
    address
        .to_ipv4_mapped()
        .is_some_and(|a: Ipv4Addr| a.is_loopback())
}

fn add_proxies(
    mut builder: ClientBuilder,
    options: &AccessOptions,
) -> Result<ClientBuilder, String> {
    type Make = fn(&str) -> reqwest::Result<Proxy>;
    let makes: [(&Option<String>, Make); 2] = [
        (&options.http_proxy, |url| Proxy::http(url)),
        (&options.https_proxy, |url| Proxy::https(url)),
    ];
    for (url, make) in makes {
        let Some(url) = url else { continue };
        let proxy = make(&full(url))
            .map_err(|e| format!("the proxy `{}`: {}", without_password(url), innermost(&e)))?;
        let except = NoProxy::from_string(&except(options));
        builder = builder.proxy(proxy.no_proxy(except));
    }
    Ok(builder)
}

/// A proxy's address as a URL.
fn full(proxy: &str) -> String {
    if proxy.contains("://") {
        proxy.to_owned()
    } else {
        format!("http://{proxy}")
    }
}

/// What no proxy is asked for.
fn except(options: &AccessOptions) -> String {
    format!("{},{HERE}", options.no_proxy.as_deref().unwrap_or_default())
}

/// The proxy that requests to an address go through, as it may be shown.
pub(super) fn proxy_of(options: &AccessOptions, url: &Url) -> Option<String> {
    let proxy = match url.scheme() {
        "http" => options.http_proxy.as_ref(),
        _ => options.https_proxy.as_ref(),
    }?;
    let matcher = Matcher::builder().all(full(proxy)).no(except(options));
    matcher.build().intercept(&url.as_str().parse().ok()?)?;
    Some(without_password(proxy))
}

/// An address as it may be shown.
pub(super) fn without_password(url: &str) -> String {
    match url.rsplit_once('@') {
        Some((before, host)) => {
            let scheme = before.split_once("://").map(|(scheme, _)| scheme);
            let scheme = scheme.map(|scheme| format!("{scheme}://"));
            format!("{}…@{host}", scheme.unwrap_or_default())
        }
        None => url.to_owned(),
    }
}

/// Trusted certificates: those that the options name, else the system's.
fn load_certificates(options: &AccessOptions) -> Result<RootCertStore, String> {
    let named = options.certificate_file.as_ref();
    let mut files: Vec<PathBuf> = named.into_iter().cloned().collect();
    if let Some(folder) = &options.certificate_folder {
        let entries = fs::read_dir(folder).map_err(|e| e.to_string())?;
        files.extend(entries.filter_map(|entry| Some(entry.ok()?.path())));
    }
    if files.is_empty() {
        let bundle = BUNDLES
            .iter()
            .map(PathBuf::from)
            .find(|path| path.is_file());
        files.extend(bundle);
    }
    let mut roots = RootCertStore::empty();
    for path in &files {
        let text = match fs::read(path) {
            Ok(text) => text,
            // A folder may hold what is no certificate; a named file must be one.
            Err(_) if named != Some(path) => continue,
            Err(error) => return Err(error.to_string()),
        };
        let found = CertificateDer::pem_slice_iter(&text).filter_map(Result::ok);
        roots.add_parsable_certificates(found);
    }
    if roots.is_empty() {
        return Err(
            "no trusted certificates were found; install `ca-certificates` or set SSL_CERT_FILE"
                .to_owned(),
        );
    }
    Ok(roots)
}

/// What is special about a client.
#[derive(Debug, Default)]
pub(super) struct Specials {
    /// The registry's own certificates.
    pub(super) certificates: Certificates,
    /// Whether any certificate of the registry will do.
    pub(super) any: bool,
    /// Whether requests may take as long as they like to be sent.
    pub(super) uploads: bool,
}

/// For plain HTTP to this machine: no certificates, no proxies.
pub(super) fn direct_client(options: &AccessOptions, uploads: bool) -> Result<Client, String> {
    let tls = config(RootCertStore::empty(), Specials::default())?;
    finish(base(tls, options, uploads))
}

/// For everything else.
pub(super) fn secure_client(options: &AccessOptions, specials: Specials) -> Result<Client, String> {
    let uploads = specials.uploads;
    let tls = config(load_certificates(options)?, specials)?;
    finish(add_proxies(base(tls, options, uploads), options)?)
}

fn config(mut roots: RootCertStore, specials: Specials) -> Result<ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|e| e.to_string())?;
    roots.add_parsable_certificates(specials.certificates.roots);
    let builder = if specials.any {
        let verifier = Arc::new(AnyCertificate(provider));
        builder
            .dangerous()
            .with_custom_certificate_verifier(verifier)
    } else {
        builder.with_root_certificates(roots)
    };
    let mut tls = match specials.certificates.client {
        Some(client) => builder
            .with_client_auth_cert(client.chain, client.key)
            .map_err(|e| format!("the client's certificate: {e}"))?,
        None => builder.with_no_client_auth(),
    };
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(tls)
}

fn base(tls: ClientConfig, options: &AccessOptions, uploads: bool) -> ClientBuilder {
    let builder = with_hosts(Client::builder())
        .tls_backend_preconfigured(tls)
        .user_agent(concat!("skiff/", env!("CARGO_PKG_VERSION")))
        // Redirects are followed by `transport`, which knows what may be sent
        // where; proxies come from `add_proxies`.
        .redirect(redirect::Policy::none())
        .no_proxy()
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_initial_stream_window_size(STREAM_WINDOW)
        .http2_initial_connection_window_size(CONNECTION_WINDOW);
    if uploads {
        return builder;
    }
    builder.read_timeout(patience(options))
}

/// How long a transfer may stand still.
pub(super) fn patience(options: &AccessOptions) -> Duration {
    options.patience.unwrap_or(READ_TIMEOUT)
}

/// Takes the names of `/etc/hosts` over. hickory reads that file too, but asks
/// the network for the address family that a name does not have there, and on
/// a machine without a network that is a wait of 15 seconds a connection.
fn with_hosts(mut builder: ClientBuilder) -> ClientBuilder {
    let small = fs::metadata(HOSTS).is_ok_and(|metadata| metadata.len() <= HOSTS_LIMIT);
    let text = if small {
        fs::read(HOSTS).unwrap_or_default()
    } else {
        Vec::new()
    };
    for (name, addresses) in parse_hosts(&String::from_utf8_lossy(&text)) {
        builder = builder.resolve_to_addrs(&name, &addresses);
    }
    builder
}

/// Names and their addresses (hosts(5)). Port 0 means the port of the URL.
fn parse_hosts(text: &str) -> BTreeMap<String, Vec<SocketAddr>> {
    let mut names: BTreeMap<String, Vec<SocketAddr>> = BTreeMap::new();
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or_default();
        let mut words = line.split_whitespace();
        let Some(address) = words.next().and_then(|word| word.parse::<IpAddr>().ok()) else {
            continue;
        };
        for name in words {
            let addresses = names.entry(name.to_ascii_lowercase()).or_default();
            addresses.push(SocketAddr::new(address, 0));
        }
    }
    names
}

fn finish(builder: ClientBuilder) -> Result<Client, String> {
    builder.build().map_err(|e| innermost(&e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_hosts_are_known_with_and_without_port() {
        for yes in [
            "localhost",
            "localhost:5000",
            "127.0.0.1",
            "127.8.9.1:80",
            "[::1]:5000",
            "::1",
            "[::1]",
        ] {
            assert!(is_loopback(yes), "{yes}");
        }
        for no in [
            "localhost.example",
            "128.0.0.1",
            "registry:5000",
            "[::2]:5000",
            "docker.io",
            "127.0.0.1.nip.io",
            "",
        ] {
            assert!(!is_loopback(no), "{no}");
        }
    }

    #[test]
    fn passwords_of_proxies_are_not_shown() {
        for (url, shown) in [
            ("http://u:p@proxy:3128", "http://…@proxy:3128"),
            ("u:p@proxy", "…@proxy"),
            ("http://proxy", "http://proxy"),
        ] {
            assert_eq!(without_password(url), shown);
        }
    }

    #[test]
    fn the_proxy_of_an_address_is_known() {
        let options = AccessOptions {
            https_proxy: Some("http://u:p@proxy:3128".to_owned()),
            no_proxy: Some("direct.test".to_owned()),
            ..AccessOptions::default()
        };
        for (url, proxy) in [
            ("https://a.test/v2/", Some("http://…@proxy:3128")),
            ("https://direct.test/v2/", None),
            ("http://a.test/v2/", None),
            ("https://127.0.0.1:5000/v2/", None),
        ] {
            let url = Url::parse(url).unwrap();
            assert_eq!(proxy_of(&options, &url).as_deref(), proxy, "{url}");
        }
    }

    #[test]
    fn hosts_are_read_with_comments_and_several_families() {
        let text = "127.0.0.1 localhost me # us\n::1 LOCALHOST\n# 1.2.3.4 no\nbad line\n";
        let names = parse_hosts(text);
        assert_eq!(names.len(), 2);
        assert_eq!(names["localhost"].len(), 2);
        assert_eq!(names["me"], ["127.0.0.1:0".parse().unwrap()]);
    }
}
