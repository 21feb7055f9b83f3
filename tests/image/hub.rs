//! Docker Hub's shape: a short name, TLS with the system's certificates, an
//! anonymous token, a list of platforms, blobs at another host.
//!
//! Debian's registry behind TLS and with token authentication, a token server
//! and a blob host, under Docker Hub's own names in the test's namespace.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fs_err as fs;
use serde_json::json;
use skiff::event::Silent;
use skiff::image::{AccessOptions, Digest, pull};

use crate::support::image::{DOCKER_LIST, Layer, TestImage, push_manifest};
use crate::support::registry::Registry;
use crate::support::server::{Response, Server, not_found};
use crate::support::tls::{Certificate, openssl};
use crate::support::world::{World, isolated, request};

const REGISTRY: &str = "registry-1.docker.io";
const TOKENS: &str = "auth.docker.io";
const BLOBS: &str = "blobs.docker.test";

/// Signs tokens as the registry wants them (RS256, certificate in the header).
struct Signer {
    key: PathBuf,
    certificate: PathBuf,
}

impl Signer {
    fn new(world: &World) -> Self {
        let (key, certificate) = (world.path("token.key"), world.path("token.pem"));
        openssl(|command| {
            command.args(["req", "-x509", "-days", "2", "-subj", "/CN=token signer"]);
            command
                .args(["-newkey", "rsa:2048", "-nodes", "-keyout"])
                .arg(&key);
            command.arg("-out").arg(&certificate);
        });
        Self { key, certificate }
    }

    fn token(&self, world: &World, repository: &str) -> String {
        let pem = fs::read_to_string(&self.certificate).unwrap();
        let der: String = pem
            .lines()
            .filter(|line| !line.starts_with("---"))
            .collect();
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_secs();
        let header = json!({"typ": "JWT", "alg": "RS256", "x5c": [der]});
        let claims = json!({
            "iss": "test", "sub": "", "aud": "registry.docker.io", "jti": "1",
            "iat": now - 10, "nbf": now - 10, "exp": now + 300,
            "access": [{"type": "repository", "name": repository, "actions": ["pull"]}],
        });
        let part = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(&header), part(&claims));
        let input = world.path("token.txt");
        fs::write(&input, &signed).unwrap();
        let signature = openssl(|command| {
            command
                .args(["dgst", "-sha256", "-sign"])
                .arg(&self.key)
                .arg(&input);
        });
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

fn image(architecture: &str) -> TestImage {
    let layers = vec![
        Layer::new(&[("etc/os", b"base")]),
        Layer::new(&[("usr/sbin/nginx", architecture.as_bytes())]),
    ];
    TestImage::with(layers, architecture, &json!({"Cmd": ["nginx"]})).into_docker()
}

/// Pushes the image for two platforms by a back door; gives the list's text.
fn push_list(back: &Registry) -> String {
    let (amd, arm) = (image("amd64"), image("arm64"));
    for part in [&amd, &arm] {
        part.push(back.address, "library/nginx", part.digest().as_str());
    }
    let list = json!({"schemaVersion": 2, "mediaType": DOCKER_LIST, "manifests": [
        arm.entry(&json!({"os": "linux", "architecture": "arm64"})),
        amd.entry(&json!({"os": "linux", "architecture": "amd64"})),
    ]});
    let list = list.to_string();
    push_manifest(
        back.address,
        "library/nginx",
        "latest",
        DOCKER_LIST,
        list.as_bytes(),
    );
    list
}

/// The registry proper: TLS, tokens, and blobs at another host.
fn start_registry(world: &World, tls: &Certificate, signer: &Signer) -> Registry {
    let http = format!(
        "  tls:\n    certificate: {}\n    key: {}\n",
        tls.chain.display(),
        tls.key.display()
    );
    let top = format!(
        "auth:\n  token:\n    realm: https://{TOKENS}/token\n    \
         service: registry.docker.io\n    issuer: test\n    rootcertbundle: {}\n\
         middleware:\n  storage:\n    - name: redirect\n      options:\n        \
         baseurl: https://{BLOBS}/\n",
        signer.certificate.display()
    );
    Registry::start_with(world, "127.0.0.2:443", "storage", &http, &top)
}

#[test]
fn a_short_name_is_pulled_from_docker_hub() {
    isolated(|world| {
        world.hosts(&[
            (REGISTRY, Ipv4Addr::new(127, 0, 0, 2)),
            (TOKENS, Ipv4Addr::new(127, 0, 0, 3)),
            (BLOBS, Ipv4Addr::new(127, 0, 0, 4)),
        ]);
        let tls = Certificate::new(world, &[REGISTRY, TOKENS, BLOBS]);
        let signer = Signer::new(world);
        let back = Registry::start(world, "127.0.0.1:5001");
        let list = push_list(&back);
        let _registry = start_registry(world, &tls, &signer);
        let token = signer.token(world, "library/nginx");
        let tokens = Server::start_tls("127.0.0.3:443", tls.server_config(), move |_| {
            let answer = json!({"token": token, "expires_in": 300});
            Response::new(200, answer.to_string().as_bytes())
        });
        let storage = world.path("storage");
        let blobs = Server::start_tls("127.0.0.4:443", tls.server_config(), move |request| {
            let path = request.target.split('?').next().unwrap();
            match fs::read(storage.join(path.trim_start_matches('/'))) {
                Ok(content) => Response::new(200, &content),
                Err(_) => not_found(),
            }
        });

        let options = AccessOptions {
            certificate_file: Some(tls.authority.clone()),
            ..AccessOptions::default()
        };
        let wanted = request("nginx", options);
        let pulled = world.run(pull(&world.store, &wanted, &Silent)).unwrap();
        let expected = image("amd64").id();
        assert_eq!(pulled.id, expected);
        assert_eq!(
            pulled.names[0].to_string(),
            "docker.io/library/nginx:latest"
        );
        assert_eq!(pulled.names[0].familiar(), "nginx:latest");
        assert_eq!(world.read(&pulled, 1, "usr/sbin/nginx"), "amd64");
        assert_eq!(world.store.find("nginx").unwrap().unwrap().id, expected);
        // The list's digest is what people pin.
        let pinned = format!("nginx@{}", Digest::of(list.as_bytes()));
        assert_eq!(world.store.find(&pinned).unwrap().unwrap().id, expected);

        let asked = tokens.requests();
        assert_eq!(asked.len(), 1);
        assert!(
            asked[0]
                .target
                .contains("scope=repository%3Alibrary%2Fnginx%3Apull")
        );
        assert!(asked[0].target.contains("service=registry.docker.io"));
        assert_eq!(asked[0].header("authorization"), None);
        let fetched = blobs.requests();
        assert_eq!(fetched.len(), 3, "config and two layers");
        assert!(fetched.iter().all(|r| r.header("authorization").is_none()));
    });
}
