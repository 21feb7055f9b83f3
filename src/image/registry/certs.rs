//! Certificates by registry: `certs.d/HOST[:PORT]/` (containers-certs.d(5),
//! and Docker's folder of the same shape).

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, SignatureScheme};

use super::settings::{files_of, read_limited};

/// Longest file of certificates.
const FILE_LIMIT: u64 = 4 * 1024 * 1024;

/// What a registry's folder holds.
#[derive(Debug, Default)]
pub(super) struct Certificates {
    /// Authorities to trust beside the system's.
    pub(super) roots: Vec<CertificateDer<'static>>,
    /// Who we are, to a registry that asks.
    pub(super) client: Option<ClientCertificate>,
}

/// A certificate with its chain, and its key.
#[derive(Debug)]
pub(super) struct ClientCertificate {
    pub(super) chain: Vec<CertificateDer<'static>>,
    pub(super) key: PrivateKeyDer<'static>,
}

/// The folder of a registry, `host` or `host:port`: the first that there is.
pub(super) fn folder_of(folders: &[PathBuf], hosts: &[String]) -> Option<PathBuf> {
    folders
        .iter()
        .flat_map(|folder| hosts.iter().map(|host| folder.join(host)))
        .find(|path| path.is_dir())
}

/// Reads a registry's folder: `*.crt` are authorities, `*.cert` with the
/// `*.key` beside it the client's own; the first pair by name is used.
pub(super) fn read(folder: &Path) -> Result<Certificates, String> {
    let files = |extension: &str| files_of(folder, extension).map_err(|e| e.to_string());
    let mut roots = Vec::new();
    for path in files("crt")? {
        roots.extend(chain(&path)?);
    }
    let own = files("cert")?;
    if let Some(key) = files("key")?
        .into_iter()
        .find(|key| !own.contains(&key.with_extension("cert")))
    {
        return Err(format!(
            "`{}` is a key without a certificate: `{}` is missing",
            key.display(),
            key.with_extension("cert").display()
        ));
    }
    let client = own.first().map(|path| client(path)).transpose()?;
    Ok(Certificates { roots, client })
}

fn client(path: &Path) -> Result<ClientCertificate, String> {
    let key_path = path.with_extension("key");
    if !key_path.exists() {
        return Err(format!(
            "`{}` is a client's certificate without its key `{}`; the certificate of an authority has to be called .crt",
            path.display(),
            key_path.display()
        ));
    }
    let text = text_of(&key_path)?;
    let key = PrivateKeyDer::from_pem_slice(&text)
        .map_err(|_| format!("`{}` holds no private key in PEM", key_path.display()))?;
    Ok(ClientCertificate {
        chain: chain(path)?,
        key,
    })
}

fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let text = text_of(path)?;
    let found: Vec<_> = CertificateDer::pem_slice_iter(&text)
        .filter_map(Result::ok)
        .collect();
    if found.is_empty() {
        return Err(format!("`{}` holds no certificate in PEM", path.display()));
    }
    Ok(found)
}

fn text_of(path: &Path) -> Result<Vec<u8>, String> {
    read_limited(path, FILE_LIMIT).map_err(|error| format!("`{}`: {error}", path.display()))
}

/// Takes every certificate, for registries that somebody listed as insecure.
#[derive(Debug)]
pub(super) struct AnyCertificate(pub(super) Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use fs_err as fs;

    use super::*;

    #[test]
    fn the_first_folder_of_the_host_counts() {
        let folder = tempfile::tempdir().unwrap();
        let folders = [folder.path().join("a"), folder.path().join("b")];
        for path in ["a/other", "b/host:5000", "b/host"] {
            fs::create_dir_all(folder.path().join(path)).unwrap();
        }
        let of = |hosts: &[&str]| {
            let hosts: Vec<String> = hosts.iter().map(|&host| host.to_owned()).collect();
            folder_of(&folders, &hosts).map(|path| path.file_name().unwrap().to_owned())
        };
        assert_eq!(of(&["host:5000"]).unwrap(), "host:5000");
        assert_eq!(of(&["host", "host:443"]).unwrap(), "host");
        assert_eq!(of(&["other"]).unwrap(), "other");
        assert_eq!(of(&["none"]), None);
    }

    #[test]
    fn half_a_pair_and_what_is_no_pem_are_named() {
        for (files, part) in [
            (&["x.crt"][..], "x.crt` holds no certificate"),
            (&["x.cert"], "without its key"),
            (&["x.key"], "without a certificate"),
            (&["x.cert", "x.key"], "x.key` holds no private key"),
        ] {
            let folder = tempfile::tempdir().unwrap();
            for file in files {
                fs::write(folder.path().join(file), "text").unwrap();
            }
            let error = read(folder.path()).unwrap_err();
            assert!(error.contains(part), "{files:?}: {error}");
        }
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("README"), "text").unwrap();
        assert!(read(folder.path()).unwrap().roots.is_empty());
    }
}
