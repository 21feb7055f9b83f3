//! `certs.d`: authorities and client certificates by registry.

use std::net::Ipv4Addr;
use std::path::PathBuf;

use fs_err as fs;
use skiff::image::{AccessOptions, SettingsFiles};

use crate::support::image::{Layer, TestImage};
use crate::support::registry::Registry;
use crate::support::server::{Response, Server, answer};
use crate::support::tls::Certificate;
use crate::support::world::{World, isolated};

fn image() -> TestImage {
    TestImage::new(vec![Layer::new(&[("a", b"a")])])
}

/// A folder of certificates with the registry's own in it.
fn certs(world: &World, host: &str, files: &[(&str, &PathBuf)]) -> AccessOptions {
    let folder = world.path("certs.d").join(host);
    fs::create_dir_all(&folder).unwrap();
    for (name, from) in files {
        fs::copy(from, folder.join(name)).unwrap();
    }
    AccessOptions {
        files: SettingsFiles {
            certs_folders: vec![world.path("none"), world.path("certs.d")],
            ..SettingsFiles::default()
        },
        // The system's certificates; those of the folder come on top.
        certificate_file: Some(Certificate::new(world, &["system.test"]).authority),
        ..AccessOptions::default()
    }
}

#[test]
fn an_authority_is_trusted_for_its_registry() {
    isolated(|world| {
        world.hosts(&[
            ("one.test", Ipv4Addr::LOCALHOST),
            ("two.test", Ipv4Addr::LOCALHOST),
        ]);
        let certificate = Certificate::new(world, &["one.test", "two.test"]);
        let served = image();
        let _server = Server::start_tls("127.0.0.1:5000", certificate.server_config(), move |r| {
            answer(&served, r)
        });
        let options = certs(
            world,
            "one.test:5000",
            &[("ca.crt", &certificate.authority)],
        );
        world
            .pull_with("one.test:5000/app", options.clone())
            .unwrap();
        let error = world.pull_with("two.test:5000/app", options).unwrap_err();
        assert!(error.to_string().contains("no authority"), "{error}");
        assert!(error.hint().unwrap().contains("certs.d"));
    });
}

#[test]
fn the_authority_counts_for_the_registry_s_token_server_and_blobs() {
    isolated(|world| {
        world.hosts(&[
            ("one.test", Ipv4Addr::new(127, 0, 0, 2)),
            ("auth.test", Ipv4Addr::new(127, 0, 0, 3)),
        ]);
        let certificate = Certificate::new(world, &["one.test", "auth.test"]);
        let (served, blobs) = (image(), image());
        let _other = Server::start_tls("127.0.0.3:443", certificate.server_config(), move |r| {
            if r.target.starts_with("/token") {
                return Response::new(200, br#"{"token":"t"}"#);
            }
            assert_eq!(r.header("authorization"), None);
            answer(&blobs, r)
        });
        let _server = Server::start_tls("127.0.0.2:443", certificate.server_config(), move |r| {
            if r.header("authorization") != Some("Bearer t") {
                return Response::new(401, b"").header(
                    "WWW-Authenticate",
                    r#"Bearer realm="https://auth.test/token""#,
                );
            }
            if r.target.contains("/blobs/") {
                let place = format!("https://auth.test{}", r.target);
                return Response::new(307, b"").header("Location", &place);
            }
            answer(&served, r)
        });
        let options = certs(world, "one.test", &[("ca.crt", &certificate.authority)]);
        world.pull_with("one.test/app", options).unwrap();
    });
}

#[test]
fn a_registry_that_asks_for_a_certificate_gets_it_and_nobody_else_does() {
    isolated(|world| {
        world.hosts(&[
            ("one.test", Ipv4Addr::new(127, 0, 0, 2)),
            ("blobs.test", Ipv4Addr::new(127, 0, 0, 3)),
        ]);
        let server = Certificate::new(world, &["one.test", "blobs.test"]);
        let client = Certificate::new(world, &["client.test"]);
        let http = format!(
            "  tls:\n    certificate: {}\n    key: {}\n    clientcas: [{}]\n",
            server.chain.display(),
            server.key.display(),
            client.authority.display()
        );
        let back = Registry::start(world, "127.0.0.1:5001");
        image().push(back.address, "app", "1");
        let _registry = Registry::start_with(world, "127.0.0.2:443", "storage", &http, "");
        let authority = [("ca.crt", &server.authority)];
        let options = certs(world, "one.test", &authority);
        let error = world.pull_with("one.test/app:1", options).unwrap_err();
        assert!(error.to_string().contains("cannot reach"), "{error}");
        let all = [
            ("ca.crt", &server.authority),
            ("client.cert", &client.chain),
            ("client.key", &client.key),
        ];
        let options = certs(world, "one.test", &all);
        world.pull_with("one.test/app:1", options.clone()).unwrap();

        // A place that the registry sends us to would take it, too.
        let config = server.server_config_asking(&client);
        let asking = Server::start_tls("127.0.0.3:443", config, |_| Response::new(200, b"{}"));
        let _front = Server::start_tls("127.0.0.2:5000", server.server_config(), |_| {
            Response::new(307, b"").header("Location", "https://blobs.test/x")
        });
        fs::rename(
            world.path("certs.d/one.test"),
            world.path("certs.d/one.test:5000"),
        )
        .unwrap();
        world.pull_with("one.test:5000/app:1", options).unwrap_err();
        assert_eq!(asking.requests().len(), 0);
    });
}

#[test]
fn half_a_client_s_certificate_is_told() {
    isolated(|world| {
        world.hosts(&[("one.test", Ipv4Addr::LOCALHOST)]);
        let client = Certificate::new(world, &["client.test"]);
        let options = certs(world, "one.test", &[("client.cert", &client.chain)]);
        let error = world.pull_with("one.test/app", options).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("client.cert` is a client's certificate without its key"),
            "{error}"
        );
    });
}
