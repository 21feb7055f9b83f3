//! Why a request failed, in words, and what helps against it.
//!
//! The libraries tell the cause at the end of a chain of errors, in words for
//! their own users; what is known of it is told here for ours.

use std::error::Error;
use std::io;

use hickory_net::{DnsError, NetError};
use rustls::CertificateError;

/// Why nothing came of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// As it fits after "cannot reach it: ".
    pub text: String,
    /// What to do, where it is more than to look at network and proxies.
    pub remedy: Option<&'static str>,
}

impl<T: Into<String>> From<T> for Reason {
    fn from(text: T) -> Self {
        Self {
            text: text.into(),
            remedy: None,
        }
    }
}

impl Reason {
    const fn with(text: String, remedy: &'static str) -> Self {
        Self {
            text,
            remedy: Some(remedy),
        }
    }

    /// Of a failed request.
    pub(super) fn of(error: &reqwest::Error) -> Self {
        let mut cause: Option<&(dyn Error + 'static)> = Some(error);
        while let Some(one) = cause {
            if let Some(reason) = known(one) {
                return reason;
            }
            cause = one.source();
        }
        if error.is_timeout() {
            return silence();
        }
        innermost(error).into()
    }

    /// The same of a request that went through a proxy: where no connection could be
    /// made at all, it is the proxy that cannot be had.
    pub(super) fn through(proxy: Option<&str>, error: &reqwest::Error) -> Self {
        let reason = Self::of(error);
        match proxy {
            Some(proxy) if error.is_connect() && is_unconnected(error) => Self::with(
                format!("its proxy `{proxy}` cannot be reached: {}", reason.text),
                "check that the proxy runs, and the variables HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY",
            ),
            _ => reason,
        }
    }

    /// Whether a failed request may do better the next time: its connection
    /// broke or stood still. Where nothing answers at all, nobody waits for it.
    pub(super) fn is_passing(error: &reqwest::Error) -> bool {
        if error.is_builder() {
            return false;
        }
        !error.is_connect() || is_reset(error)
    }
}

/// Whether there never was a connection: no address, or nobody there.
fn is_unconnected(error: &(dyn Error + 'static)) -> bool {
    if error.is::<NetError>() {
        return true;
    }
    if let Some(error) = error.downcast_ref::<io::Error>() {
        let is_refused = matches!(
            error.kind(),
            io::ErrorKind::ConnectionRefused
                | io::ErrorKind::HostUnreachable
                | io::ErrorKind::NetworkUnreachable
        );
        // What it wraps is no source of it.
        return is_refused || error.get_ref().is_some_and(|inner| is_unconnected(inner));
    }
    error.source().is_some_and(is_unconnected)
}

/// Whether a connection was closed by the other side, at any depth.
fn is_reset(error: &(dyn Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(one) = cause {
        let kind = one.downcast_ref::<io::Error>().map(io::Error::kind);
        if matches!(
            kind,
            Some(
                io::ErrorKind::ConnectionReset
                    | io::ErrorKind::ConnectionAborted
                    | io::ErrorKind::BrokenPipe
                    | io::ErrorKind::UnexpectedEof
            )
        ) {
            return true;
        }
        cause = one.source();
    }
    false
}

/// The last cause of an error, which is the one that tells something.
pub(super) fn innermost(error: &(dyn Error + 'static)) -> String {
    let mut current = error;
    while let Some(source) = current.source() {
        current = source;
    }
    current.to_string()
}

fn known(error: &(dyn Error + 'static)) -> Option<Reason> {
    if let Some(error) = error.downcast_ref::<NetError>() {
        return Some(of_name(error));
    }
    if let Some(error) = error.downcast_ref::<rustls::Error>() {
        return of_tls(error);
    }
    let error = error.downcast_ref::<io::Error>()?;
    // What it wraps is no source of it.
    let inner = error.get_ref().and_then(|inner| known(inner));
    inner.or_else(|| of_connection(error.kind()))
}

fn of_name(error: &NetError) -> Reason {
    match error {
        NetError::Dns(DnsError::NoRecordsFound(_)) => Reason::with(
            "no such host".to_owned(),
            "check the spelling: what stands before the first `/` of an image, with a dot or a port in it, is its registry",
        ),
        NetError::Dns(DnsError::ResponseCode(code)) => Reason::with(
            format!("its name cannot be resolved: the name server answers \"{code}\""),
            RESOLVERS,
        ),
        NetError::Timeout | NetError::NoConnections | NetError::Io(_) => Reason::with(
            "its name cannot be resolved: no name server answers".to_owned(),
            RESOLVERS,
        ),
        other => format!("its name cannot be resolved: {other}").into(),
    }
}

const RESOLVERS: &str = "check the network and the name servers in /etc/resolv.conf";

fn of_connection(kind: io::ErrorKind) -> Option<Reason> {
    let (text, remedy) = match kind {
        io::ErrorKind::ConnectionRefused => (
            "connection refused",
            "nothing listens there: check that it runs, and host, port and proxy variables",
        ),
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => (
            "there is no route to it",
            "check the network and the proxy variables",
        ),
        io::ErrorKind::TimedOut => return Some(silence()),
        io::ErrorKind::ConnectionReset | io::ErrorKind::UnexpectedEof => (
            "it closed the connection",
            "check that host and port are a registry's; a firewall or a proxy between may do this, too",
        ),
        _ => return None,
    };
    Some(Reason::with(text.to_owned(), remedy))
}

fn silence() -> Reason {
    Reason::with(
        "it does not answer".to_owned(),
        "check host and port; a firewall that drops packets looks like this, and so does a network that needs a proxy",
    )
}

fn of_tls(error: &rustls::Error) -> Option<Reason> {
    let (text, remedy) = match error {
        rustls::Error::InvalidCertificate(error) => of_certificate(error)?,
        rustls::Error::InvalidMessage(_) => (
            "it does not speak TLS",
            "check the port; plain http is spoken with registries on this machine and with those that registries.conf or daemon.json list as insecure",
        ),
        rustls::Error::AlertReceived(_) => (
            "it breaks off the TLS handshake",
            "check that host and port are a registry's",
        ),
        _ => return None,
    };
    Some(Reason::with(text.to_owned(), remedy))
}

fn of_certificate(error: &CertificateError) -> Option<(&'static str, &'static str)> {
    Some(match error {
        // The second: an authority of the same name, with another key.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => (
            "its certificate is signed by no authority that this machine trusts",
            "put the authority's certificate at /etc/containers/certs.d/HOST:PORT/ca.crt, install it on this machine, or name its file in SSL_CERT_FILE",
        ),
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => (
            "its certificate is for another name",
            "use the name that the certificate is for",
        ),
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => (
            "its certificate has expired",
            "check this machine's clock; else the registry's owner must renew it",
        ),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => (
            "its certificate is not valid yet",
            "check this machine's clock",
        ),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::time::Duration;

    use super::*;
    use crate::image::AccessOptions;

    /// The time limits are too long for a test; they are told alike.
    #[test]
    fn a_silent_server_is_told() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/v2/", listener.local_addr().unwrap());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let client = super::super::http::direct_client(&AccessOptions::default(), false).unwrap();
        let request = client.get(url).timeout(Duration::from_millis(50));
        let error = runtime.block_on(async { request.send().await.unwrap_err() });
        assert_eq!(Reason::of(&error), silence());
    }
}
