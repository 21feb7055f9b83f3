//! Images made by the tests themselves: Docker archives, OCI archives, and
//! uploads to a registry.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use flate2::Compression;
use flate2::write::GzEncoder;
use fs_err as fs;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tar::{EntryType, Header};

use super::http::http_request;
use super::sandbox::program;

/// An image in the making: layers and the image config.
#[derive(Debug, Clone)]
pub(crate) struct Image {
    layers: Vec<Vec<Item>>,
    config: Value,
    architecture: String,
}

#[derive(Debug, Clone)]
struct Item {
    path: String,
    kind: EntryType,
    mode: u32,
    owner: (u64, u64),
    content: Vec<u8>,
    link: String,
}

impl Image {
    /// One empty layer, empty config.
    pub(crate) fn empty() -> Self {
        Self {
            layers: vec![Vec::new()],
            config: json!({}),
            architecture: architecture().to_owned(),
        }
    }

    /// Debian's static busybox with all its applets, and the few files that
    /// programs expect.
    pub(crate) fn busybox() -> Self {
        let busybox = program("busybox");
        let list = Command::new(&busybox)
            .arg("--list")
            .output()
            .expect("busybox --list");
        let content = fs::read(&busybox).expect("busybox");
        let mut image = Self::empty()
            .dir("bin", 0o755)
            .dir("etc", 0o755)
            .dir("root", 0o700)
            .dir("tmp", 0o1777)
            .file("bin/busybox", 0o755, content)
            .file(
                "etc/passwd",
                0o644,
                "root:x:0:0:root:/root:/bin/sh\napp:x:77:78:app:/home/app:/bin/sh\n",
            )
            .file("etc/group", 0o644, "root:x:0:\napp:x:78:\nextra:x:99:app\n");
        for applet in String::from_utf8_lossy(&list.stdout).split_whitespace() {
            if applet != "busybox" {
                image = image.link(&format!("bin/{applet}"), "busybox");
            }
        }
        image
            .config("Cmd", json!(["sh"]))
            .config("Env", json!(["PATH=/bin"]))
    }

    /// Adds a program of this machine with the libraries it is linked with.
    pub(crate) fn host_program(mut self, path: &Path) -> Self {
        let ldd = Command::new("ldd")
            .arg(path)
            .output()
            .expect("ldd (package libc-bin)");
        let text = String::from_utf8_lossy(&ldd.stdout).into_owned();
        let libraries = text.split_whitespace().filter(|word| word.starts_with('/'));
        for library in libraries {
            let content = fs::read(library).expect("a library that ldd names");
            self = self.file(library.trim_start_matches('/'), 0o755, content);
        }
        let name = path
            .file_name()
            .expect("a program's path")
            .to_string_lossy();
        let content = fs::read(path).expect("a program");
        self.file(&format!("bin/{name}"), 0o755, content)
    }

    fn item(mut self, item: Item) -> Self {
        self.layers
            .last_mut()
            .expect("at least one layer")
            .push(item);
        self
    }

    /// Adds a folder of root's.
    pub(crate) fn dir(self, path: &str, mode: u32) -> Self {
        self.owned_dir(path, mode, (0, 0))
    }

    /// Adds a folder.
    pub(crate) fn owned_dir(self, path: &str, mode: u32, owner: (u64, u64)) -> Self {
        let path = format!("{path}/");
        let (content, link) = (Vec::new(), String::new());
        self.item(Item {
            path,
            kind: EntryType::Directory,
            mode,
            owner,
            content,
            link,
        })
    }

    /// Adds a file of root's.
    pub(crate) fn file(self, path: &str, mode: u32, content: impl Into<Vec<u8>>) -> Self {
        self.owned_file(path, mode, (0, 0), content)
    }

    /// Adds a file.
    pub(crate) fn owned_file(
        self,
        path: &str,
        mode: u32,
        owner: (u64, u64),
        content: impl Into<Vec<u8>>,
    ) -> Self {
        let (path, link) = (path.to_owned(), String::new());
        self.item(Item {
            path,
            kind: EntryType::Regular,
            mode,
            owner,
            content: content.into(),
            link,
        })
    }

    /// Adds a symbolic link.
    pub(crate) fn link(self, path: &str, target: &str) -> Self {
        let (path, link) = (path.to_owned(), target.to_owned());
        let kind = EntryType::Symlink;
        self.item(Item {
            path,
            kind,
            mode: 0o777,
            owner: (0, 0),
            content: Vec::new(),
            link,
        })
    }

    /// Adds a named pipe that everyone may use.
    pub(crate) fn fifo(self, path: &str) -> Self {
        let (path, kind) = (path.to_owned(), EntryType::Fifo);
        self.item(Item {
            path,
            kind,
            mode: 0o666,
            owner: (0, 0),
            content: Vec::new(),
            link: String::new(),
        })
    }

    /// Hides a path of the layers below.
    pub(crate) fn whiteout(self, folder: &str, name: &str) -> Self {
        self.file(&format!("{folder}/.wh.{name}"), 0o644, "")
    }

    /// Begins the next layer.
    pub(crate) fn layer(mut self) -> Self {
        self.layers.push(Vec::new());
        self
    }

    /// Says that it is for another machine.
    pub(crate) fn architecture(mut self, name: &str) -> Self {
        name.clone_into(&mut self.architecture);
        self
    }

    /// Sets a field of the image's `config`.
    pub(crate) fn config(mut self, field: &str, value: Value) -> Self {
        self.config[field] = value;
        self
    }

    /// The layers as tar files.
    fn tars(&self) -> Vec<Vec<u8>> {
        self.layers.iter().map(|items| layer_tar(items)).collect()
    }

    fn config_json(&self, tars: &[Vec<u8>]) -> Vec<u8> {
        let diff_ids: Vec<String> = tars.iter().map(|tar| digest(tar)).collect();
        let config = json!({
            "architecture": self.architecture, "os": "linux", "created": "2024-01-02T03:04:05Z",
            "config": self.config, "rootfs": {"type": "layers", "diff_ids": diff_ids},
        });
        config.to_string().into_bytes()
    }

    /// What `docker save` writes.
    pub(crate) fn docker_archive(&self, name: &str) -> Vec<u8> {
        let tars = self.tars();
        let config = self.config_json(&tars);
        let config_name = format!("{}.json", hex(&config));
        let layer_names: Vec<String> = tars
            .iter()
            .map(|tar| format!("{}/layer.tar", hex(tar)))
            .collect();
        let manifest = json!([{"Config": config_name, "RepoTags": [name], "Layers": layer_names}]);
        let mut files = vec![(
            "manifest.json".to_owned(),
            manifest.to_string().into_bytes(),
        )];
        files.push((config_name, config));
        files.extend(layer_names.into_iter().zip(tars));
        outer_tar(&files)
    }

    /// An OCI image layout as a tar, layers compressed.
    pub(crate) fn oci_archive(&self, name: &str) -> Vec<u8> {
        let Parts {
            config,
            layers,
            manifest,
        } = self.parts();
        let index = json!({
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": [{
                "mediaType": MANIFEST, "digest": digest(&manifest), "size": manifest.len(),
                "annotations": {"io.containerd.image.name": name, "org.opencontainers.image.ref.name": name},
            }],
        });
        let mut files = vec![
            (
                "oci-layout".to_owned(),
                br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec(),
            ),
            ("index.json".to_owned(), index.to_string().into_bytes()),
        ];
        for blob in std::iter::once(config).chain(layers).chain([manifest]) {
            files.push((format!("blobs/sha256/{}", hex(&blob)), blob));
        }
        outer_tar(&files)
    }

    /// Uploads it to a registry without authentication; returns its digest.
    pub(crate) fn push(&self, registry: &str, repository: &str, tag: &str) -> String {
        let Parts {
            config,
            layers,
            manifest,
        } = self.parts();
        for blob in layers.iter().chain([&config]) {
            upload(registry, repository, blob);
        }
        let path = format!("/v2/{repository}/manifests/{tag}");
        let answer = http_request(
            registry,
            "PUT",
            &path,
            &[("Content-Type", MANIFEST)],
            &manifest,
        );
        let answer = answer.expect("an answer of the registry");
        assert_eq!(answer.status, 201, "{}", answer.text());
        digest(&manifest)
    }

    fn parts(&self) -> Parts {
        let tars = self.tars();
        let config = self.config_json(&tars);
        let layers: Vec<Vec<u8>> = tars.iter().map(|tar| gzip(tar)).collect();
        let describe = |blob: &Vec<u8>| json!({"mediaType": LAYER, "digest": digest(blob), "size": blob.len()});
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST,
            "config": {"mediaType": CONFIG, "digest": digest(&config), "size": config.len()},
            "layers": layers.iter().map(describe).collect::<Vec<_>>(),
        });
        Parts {
            config,
            layers,
            manifest: manifest.to_string().into_bytes(),
        }
    }
}

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// An image as a registry keeps it.
struct Parts {
    config: Vec<u8>,
    layers: Vec<Vec<u8>>,
    manifest: Vec<u8>,
}

fn upload(registry: &str, repository: &str, blob: &[u8]) {
    let start = format!("/v2/{repository}/blobs/uploads/");
    let answer =
        http_request(registry, "POST", &start, &[], &[]).expect("an answer of the registry");
    let location = answer.header("location").expect("a place to upload to");
    let path = location
        .split_once(registry)
        .map_or(location, |(_, path)| path);
    let joint = if path.contains('?') { '&' } else { '?' };
    let path = format!("{path}{joint}digest={}", digest(blob));
    let headers = [("Content-Type", "application/octet-stream")];
    let answer = http_request(registry, "PUT", &path, &headers, blob).expect("an answer");
    assert_eq!(answer.status, 201, "{}", answer.text());
}

fn layer_tar(items: &[Item]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for item in items {
        let mut header = Header::new_gnu();
        header.set_entry_type(item.kind);
        header.set_mode(item.mode);
        header.set_uid(item.owner.0);
        header.set_gid(item.owner.1);
        header.set_mtime(1_704_164_645);
        header.set_size(item.content.len() as u64);
        let added = if item.kind == EntryType::Symlink {
            builder.append_link(&mut header, &item.path, &item.link)
        } else {
            builder.append_data(&mut header, &item.path, item.content.as_slice())
        };
        added.expect("a tar in memory");
    }
    builder.into_inner().expect("a tar in memory")
}

fn outer_tar(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let as_items = files.iter().map(|(path, content)| Item {
        path: path.clone(),
        kind: EntryType::Regular,
        mode: 0o644,
        owner: (0, 0),
        content: content.clone(),
        link: String::new(),
    });
    layer_tar(&as_items.collect::<Vec<_>>())
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .fold(String::new(), |mut text, byte| {
            write!(text, "{byte:02x}").expect("memory");
            text
        })
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex(bytes))
}

/// This machine's architecture in the registries' words.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}
