//! A certificate authority for tests, by the openssl program.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{RootCertStore, ServerConfig};

use super::world::World;

/// Certificate and key of one server, signed by its own authority.
pub(crate) struct Certificate {
    /// The authority's certificate, for clients.
    pub(crate) authority: PathBuf,
    pub(crate) chain: PathBuf,
    pub(crate) key: PathBuf,
}

impl Certificate {
    /// For these names.
    pub(crate) fn new(world: &World, names: &[&str]) -> Self {
        let path = |name: &str| world.path(&format!("{}-{name}", names[0]));
        let (authority, authority_key) = (path("ca.pem"), path("ca.key"));
        let (certificate, key, request) = (path("cert.pem"), path("cert.key"), path("cert.csr"));
        let curve = [
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
        ];
        openssl(|command| {
            command.args(["req", "-x509", "-days", "2", "-subj", "/CN=test authority"]);
            command
                .args(curve)
                .arg("-keyout")
                .arg(&authority_key)
                .arg("-out")
                .arg(&authority);
        });
        openssl(|command| {
            command
                .args(["req", "-subj", "/CN=test server"])
                .args(curve);
            command.arg("-keyout").arg(&key).arg("-out").arg(&request);
        });
        let alternatives: Vec<String> = names.iter().map(|name| format!("DNS:{name}")).collect();
        let extensions = path("cert.ext");
        let text = format!("subjectAltName={}\n", alternatives.join(","));
        fs_err::write(&extensions, text).unwrap();
        openssl(|command| {
            command
                .args(["x509", "-req", "-days", "2", "-CAcreateserial", "-in"])
                .arg(&request);
            command
                .arg("-CA")
                .arg(&authority)
                .arg("-CAkey")
                .arg(&authority_key);
            command
                .arg("-extfile")
                .arg(&extensions)
                .arg("-out")
                .arg(&certificate);
        });
        Self {
            authority,
            chain: certificate,
            key,
        }
    }

    /// For a server of ours.
    pub(crate) fn server_config(&self) -> Arc<ServerConfig> {
        self.server_config_for(WebPkiClientVerifier::no_client_auth())
    }

    /// For a server that wants a certificate signed by the client's authority.
    pub(crate) fn server_config_asking(&self, client: &Certificate) -> Arc<ServerConfig> {
        let mut roots = RootCertStore::empty();
        let authority = CertificateDer::from_pem_file(&client.authority).unwrap();
        roots.add(authority).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        self.server_config_for(verifier.build().unwrap())
    }

    fn server_config_for(&self, verifier: Arc<dyn ClientCertVerifier>) -> Arc<ServerConfig> {
        let chain = vec![CertificateDer::from_pem_file(&self.chain).unwrap()];
        let key = PrivateKeyDer::from_pem_file(&self.key).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain, key)
            .unwrap();
        Arc::new(config)
    }
}

/// Runs openssl.
pub(crate) fn openssl(arguments: impl FnOnce(&mut Command)) -> Vec<u8> {
    let mut command = Command::new(super::program("openssl", "openssl"));
    arguments(&mut command);
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}
