//! Mirrors and pull-through caches, moved, blocked and insecure registries, by
//! `registries.conf` and Docker's `daemon.json`.

use std::net::Ipv4Addr;

use fs_err as fs;
use skiff::image::{AccessOptions, ImageError, SettingsFiles, pull};

use crate::support::events::Recorder;
use crate::support::image::{Layer, TestImage};
use crate::support::registry::Registry;
use crate::support::server::{Response, Server, answer, not_found};
use crate::support::tls::Certificate;
use crate::support::world::{World, isolated, request};

fn image() -> TestImage {
    TestImage::new(vec![
        Layer::new(&[("one", b"1")]),
        Layer::new(&[("two", b"2")]),
    ])
}

/// Options by the text of a `registries.conf`.
fn configured(world: &World, text: &str) -> AccessOptions {
    let path = world.path("registries.conf");
    fs::write(&path, text).unwrap();
    AccessOptions {
        files: SettingsFiles {
            registries_conf: vec![path],
            ..SettingsFiles::default()
        },
        ..AccessOptions::default()
    }
}

#[test]
fn a_mirror_is_asked_first_and_what_it_lacks_comes_from_the_registry() {
    isolated(|world| {
        let (mirror, own) = (
            Registry::start(world, "127.0.0.1:5001"),
            Registry::start_with(world, "127.0.0.1:5002", "own", "", ""),
        );
        image().push(mirror.address, "cache/both", "1");
        let other = TestImage::new(vec![Layer::new(&[("other", b"x")])]);
        other.push(own.address, "both", "1");
        other.push(own.address, "only", "1");
        let options = configured(
            world,
            "[[registry]]\nlocation='127.0.0.1:5002'\n\
             [[registry.mirror]]\nlocation='127.0.0.1:5001/cache'",
        );
        let both = world
            .pull_with("127.0.0.1:5002/both:1", options.clone())
            .unwrap();
        assert_eq!(both.id, image().id());
        // It has the name that was asked for, whoever gave it.
        assert_eq!(both.names[0].familiar(), "127.0.0.1:5002/both:1");
        let events = Recorder::default();
        let wanted = request("127.0.0.1:5002/only:1", options.clone());
        let only = world.run(pull(&world.store, &wanted, &events)).unwrap();
        assert_eq!(only.id, other.id());
        assert_eq!(events.warnings(), [""; 0]);
        let error = world
            .pull_with("127.0.0.1:5002/none:1", options)
            .unwrap_err();
        assert!(matches!(error, ImageError::NotFound { .. }), "{error}");
        assert!(
            error.to_string().contains("registry `127.0.0.1:5002`"),
            "{error}"
        );
    });
}

#[test]
fn a_mirror_that_fails_is_told_and_what_came_from_it_is_kept() {
    isolated(|world| {
        let (served, broken) = (image(), image());
        let first = skiff::image::Digest::of(&image().layers[0].blob);
        let mirror = Server::start("127.0.0.1:5001", move |request| {
            // The first layer comes, the second never does.
            if request.target.contains("/blobs/sha256:")
                && !request.target.ends_with(first.as_str())
                && !request.target.ends_with(broken.id().as_str())
            {
                return not_found();
            }
            answer(&broken, request)
        });
        let own = Server::start("127.0.0.1:5002", move |request| answer(&served, request));
        let options = configured(
            world,
            "[[registry]]\nlocation='127.0.0.1:5002'\n\
             [[registry.mirror]]\nlocation='127.0.0.1:1'\n\
             [[registry.mirror]]\nlocation='127.0.0.1:5001'",
        );
        let events = Recorder::default();
        let wanted = request("127.0.0.1:5002/app", options);
        let pulled = world.run(pull(&world.store, &wanted, &events)).unwrap();
        assert_eq!(pulled.id, image().id());
        let warnings = events.warnings();
        assert!(
            warnings[0].contains("cannot reach registry `127.0.0.1:1`")
                && warnings[0].ends_with("going on without this mirror"),
            "{warnings:?}"
        );
        assert!(mirror.count("/blobs/") >= 2);
        let layers = image().layers;
        let count = |layer: &Layer| own.count(skiff::image::Digest::of(&layer.blob).as_str());
        assert_eq!(count(&layers[1]), 1);
        assert!(count(&layers[0]) <= 1);
    });
}

#[test]
fn docker_hub_comes_from_the_mirrors_of_both_files() {
    isolated(|world| {
        let served = image();
        let rules = Server::start("127.0.0.1:5001", |_| not_found());
        let docker = Server::start("127.0.0.1:5002", move |request| answer(&served, request));
        let mut options = configured(
            world,
            "[[registry]]\nlocation='docker.io'\n[[registry.mirror]]\nlocation='127.0.0.1:5001/hub'",
        );
        let daemon = world.path("daemon.json");
        fs::write(
            &daemon,
            r#"{"registry-mirrors": ["http://127.0.0.1:5002"]}"#,
        )
        .unwrap();
        options.files.daemon_json = Some(daemon);
        let pulled = world.pull_with("nginx", options).unwrap();
        assert_eq!(pulled.names[0].familiar(), "nginx:latest");
        assert_eq!(rules.count("/v2/hub/library/nginx/manifests/latest"), 1);
        assert_eq!(docker.count("/v2/library/nginx/manifests/latest"), 1);
    });
}

#[test]
fn a_pull_through_cache_fills_itself() {
    isolated(|world| {
        let own = Registry::start_with(world, "127.0.0.1:5002", "own", "", "");
        image().push(own.address, "app", "1");
        let top = "proxy:\n  remoteurl: http://127.0.0.1:5002\n";
        let cache = Registry::start_with(world, "127.0.0.1:5001", "cache", "", top);
        let options = configured(
            world,
            "[[registry]]\nlocation='far.test'\n[[registry.mirror]]\nlocation='127.0.0.1:5001'",
        );
        let pulled = world.pull_with("far.test/app:1", options.clone()).unwrap();
        assert_eq!(pulled.id, image().id());
        let digest = image().digest();
        drop(own);
        // The cache has all of it now.
        let by_digest = format!("far.test/app@{digest}");
        let again = world.pull_with(&by_digest, options).unwrap();
        assert_eq!(again.id, image().id());
        drop(cache);
    });
}

#[test]
fn images_are_moved_and_blocked() {
    isolated(|world| {
        let served = image();
        let server = Server::start("127.0.0.1:5001", move |request| answer(&served, request));
        let options = configured(
            world,
            "[[registry]]\nprefix='a.test/old'\nlocation='127.0.0.1:5001/new'\n\
             [[registry]]\nprefix='*.bad.test'\nblocked=true",
        );
        let pulled = world
            .pull_with("a.test/old/app:1", options.clone())
            .unwrap();
        assert_eq!(pulled.names[0].familiar(), "a.test/old/app:1");
        assert_eq!(server.count("/v2/new/app/manifests/1"), 1);
        let error = world.pull_with("x.bad.test/app", options).unwrap_err();
        assert_eq!(
            error.to_string(),
            "pulling `x.bad.test/app:latest` is blocked: registries.conf says so of `*.bad.test`"
        );
        let options = configured(world, "[[registry]");
        let error = world.pull_with("a.test/app", options).unwrap_err();
        assert!(
            error.to_string().contains("registries.conf`: line 1"),
            "{error}"
        );
    });
}

#[test]
fn an_insecure_registry_may_have_any_certificate_or_none() {
    isolated(|world| {
        world.hosts(&[
            ("tls.test", Ipv4Addr::new(127, 0, 0, 2)),
            ("plain.test", Ipv4Addr::new(127, 0, 0, 3)),
        ]);
        // For another name, by an authority that nobody knows.
        let certificate = Certificate::new(world, &["other.test"]);
        let (one, two) = (image(), image());
        let _tls = Server::start_tls("127.0.0.2:443", certificate.server_config(), move |r| {
            answer(&one, r)
        });
        let _plain = Server::start("127.0.0.3:5000", move |request| answer(&two, request));
        let options = configured(
            world,
            "[[registry]]\nlocation='tls.test'\ninsecure=true\n\
             [[registry]]\nlocation='plain.test:5000'\ninsecure=true",
        );
        // Some trusted certificate there has to be on the machine.
        let options = AccessOptions {
            certificate_file: Some(certificate.authority.clone()),
            ..options
        };
        world.pull_with("tls.test/app", options.clone()).unwrap();
        world
            .pull_with("plain.test:5000/app", options.clone())
            .unwrap();
        let options = AccessOptions {
            files: SettingsFiles::default(),
            ..options
        };
        for image in ["tls.test/app:2", "plain.test:5000/app:2"] {
            let error = world.pull_with(image, options.clone()).unwrap_err();
            assert!(matches!(error, ImageError::Unreachable { .. }), "{error}");
        }
    });
}

#[test]
fn a_token_server_elsewhere_has_to_prove_itself_to_an_insecure_registry_s_client() {
    isolated(|world| {
        world.hosts(&[
            ("tls.test", Ipv4Addr::new(127, 0, 0, 2)),
            ("auth.test", Ipv4Addr::new(127, 0, 0, 3)),
        ]);
        let certificate = Certificate::new(world, &["other.test"]);
        let tokens = Server::start_tls("127.0.0.3:443", certificate.server_config(), |_| {
            Response::new(200, br#"{"token":"t"}"#)
        });
        let _registry = Server::start_tls("127.0.0.2:443", certificate.server_config(), |_| {
            Response::new(401, b"").header(
                "WWW-Authenticate",
                r#"Bearer realm="https://auth.test/token""#,
            )
        });
        let options = AccessOptions {
            insecure: vec!["tls.test".to_owned()],
            certificate_file: Some(certificate.authority.clone()),
            ..AccessOptions::default()
        };
        let error = world.pull_with("tls.test/app", options).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("no token from its server `auth.test`"),
            "{error}"
        );
        assert_eq!(tokens.requests().len(), 0);
    });
}
