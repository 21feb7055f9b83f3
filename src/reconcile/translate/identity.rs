//! What a container is compared by to tell whether it is up to date: its
//! service's canonical form, and what its configs and secrets contain.
//!
//! A bind-mounted file shows what was written into it, but not what an editor
//! put in its place by a rename, and inline content is written at the start
//! alone. So all of it counts: who edits a config and says `up` sees the new one.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value as Json;
use sha2::{Digest as _, Sha256};

use crate::compose::{FileReference, Project, Service, canonical_hash};

use super::super::diff::CONTENTS;
use super::host::{FileKind, HostFiles};

/// Digests of what the project's configs and secrets contain, by
/// `configs.NAME` and `secrets.NAME`. Never the contents themselves. A folder
/// is a bind mount that shows its changes, and has none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contents(BTreeMap<String, String>);

impl Contents {
    /// Reads them. What is missing is left out: translation refuses it.
    pub fn read(project: &Project, host: &dyn HostFiles) -> Self {
        let mut digests = BTreeMap::new();
        for (key, config) in &project.configs {
            let text = config.content.as_deref();
            let digest = digest(host, config.file.as_deref(), text);
            digests.extend(digest.map(|digest| (format!("configs.{key}"), digest)));
        }
        for (key, secret) in &project.secrets {
            let variable = secret.environment.as_ref();
            let text = variable.and_then(|name| project.environment.get(name));
            let digest = digest(host, secret.file.as_deref(), text.map(String::as_str));
            digests.extend(digest.map(|digest| (format!("secrets.{key}"), digest)));
        }
        Self(digests)
    }

    /// Those that a service uses.
    fn of(&self, service: &Service) -> serde_json::Map<String, Json> {
        let mut found = serde_json::Map::new();
        for (section, list) in [("configs", &service.configs), ("secrets", &service.secrets)] {
            let mut named = serde_json::Map::new();
            for key in list.iter().filter_map(source) {
                if let Some(digest) = self.0.get(&format!("{section}.{key}")) {
                    named.insert(key.to_owned(), Json::String(digest.clone()));
                }
            }
            if !named.is_empty() {
                found.insert(section.to_owned(), Json::Object(named));
            }
        }
        found
    }
}

/// A service's form and its hash: a container with another hash is recreated,
/// and where the forms differ is the reason.
#[derive(Debug, Clone, PartialEq)]
pub struct Identity {
    /// [`Service::recreation_json`], and the digests as `contents`.
    pub canonical: Json,
    /// SHA-256 over it, in hexadecimal.
    pub hash: String,
}

impl Identity {
    /// That of a service as it stands.
    pub fn of(service: &Service, contents: &Contents) -> Self {
        let mut canonical = service.recreation_json();
        let contents = contents.of(service);
        if let Some(object) = canonical.as_object_mut().filter(|_| !contents.is_empty()) {
            object.insert(CONTENTS.to_owned(), Json::Object(contents));
        }
        let hash = canonical_hash(canonical.clone());
        Self { canonical, hash }
    }
}

fn source(reference: &FileReference) -> Option<&str> {
    reference.source.as_deref()
}

fn digest(host: &dyn HostFiles, file: Option<&str>, text: Option<&str>) -> Option<String> {
    match file {
        Some(path) => {
            let path = Path::new(path);
            matches!(host.kind(path)?, FileKind::File)
                .then(|| host.digest(path).ok())
                .flatten()
        }
        None => Some(hex(&Sha256::digest(text?.as_bytes()))),
    }
}

/// Bytes in hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").ok(); // writing to a String cannot fail
        text
    })
}
