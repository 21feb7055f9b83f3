//! What goes wrong on the way, and is mended.

use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimePrinter;
use skiff::image::{AccessOptions, Digest, ImageError};

use crate::support::image::{Layer, TestImage, noise};
use crate::support::server::{Request, Response, Server, answer, not_found};
use crate::support::world::isolated;

const ADDRESS: &str = "127.0.0.1:5000";

fn image() -> TestImage {
    TestImage::new(vec![Layer::new(&[("data", &noise(1, 70_000))])])
}

fn is_layer(image: &TestImage, target: &str) -> bool {
    target.ends_with(Digest::of(&image.layers[0].blob).as_str())
}

fn impatient() -> AccessOptions {
    AccessOptions {
        patience: Some(Duration::from_millis(200)),
        ..AccessOptions::default()
    }
}

#[test]
fn a_transfer_that_stands_still_is_given_up_and_goes_on() {
    isolated(|world| {
        let served = image();
        let stalls = AtomicUsize::new(0);
        let server = Server::start(ADDRESS, move |request| {
            let response = answer(&served, request);
            if is_layer(&served, &request.target) && stalls.fetch_add(1, Ordering::SeqCst) < 2 {
                return response.stalled_at(10_000);
            }
            response
        });
        world
            .pull_with(&server.reference("app"), impatient())
            .unwrap();
        let starts: Vec<_> = server
            .requests()
            .iter()
            .filter(|request| is_layer(&image(), &request.target))
            .map(|request| request.range_start().unwrap_or(0))
            .collect();
        assert_eq!(starts, [0, 10_000, 20_000]);
    });
}

#[test]
fn a_document_that_stands_still_is_asked_for_again() {
    isolated(|world| {
        let served = image();
        let asked = AtomicUsize::new(0);
        let server = Server::start(ADDRESS, move |request| {
            let response = answer(&served, request);
            match request
                .target
                .contains("/manifests/")
                .then(|| asked.fetch_add(1, Ordering::SeqCst))
            {
                Some(0) => response.stalled_at(10),
                Some(1) => response.broken_at(20),
                _ => response,
            }
        });
        world
            .pull_with(&server.reference("app"), impatient())
            .unwrap();
        assert_eq!(server.count("/manifests/"), 3);
    });
}

#[test]
fn a_connection_that_is_reset_is_made_again() {
    isolated(|world| {
        let served = image();
        // Ends the first connections before anything is said.
        let server = TcpListener::bind(ADDRESS).unwrap();
        let back = Server::start("127.0.0.1:5001", move |request| answer(&served, request));
        let to = back.address;
        std::thread::spawn(move || {
            for (number, stream) in server.incoming().enumerate() {
                let client = stream.unwrap();
                // The first one finds out how it is spoken to.
                if number == 1 || number == 2 {
                    drop(client);
                    continue;
                }
                crate::support::server::relay(client, to);
            }
        });
        let begun = Instant::now();
        world.pull(&format!("{ADDRESS}/app")).unwrap();
        // After 0.2 and 0.4 seconds.
        assert!(begun.elapsed() >= Duration::from_millis(600));
    });
}

#[test]
fn a_busy_registry_may_name_a_date() {
    isolated(|world| {
        let served = image();
        let asked = AtomicUsize::new(0);
        let server = Server::start(ADDRESS, move |request| {
            if request.target.contains("/manifests/") && asked.fetch_add(1, Ordering::SeqCst) == 0 {
                let soon = Timestamp::now() + Duration::from_secs(2);
                let date = DateTimePrinter::new()
                    .timestamp_to_rfc9110_string(&soon)
                    .unwrap();
                return Response::new(429, b"").header("Retry-After", &date);
            }
            answer(&served, request)
        });
        let begun = Instant::now();
        world.pull(&server.reference("app")).unwrap();
        // Dates have whole seconds.
        assert!(begun.elapsed() >= Duration::from_millis(900));
        assert_eq!(server.count("/manifests/"), 2);
    });
}

#[test]
fn what_is_refused_is_asked_for_once() {
    isolated(|world| {
        let server = Server::start(ADDRESS, |request| match request.target.as_str() {
            "/v2/" => Response::new(200, b"{}"),
            target => {
                let status = target.rsplit('/').next().unwrap().parse().unwrap();
                Response::new(status, br#"{"errors":[{"message":"no"}]}"#)
            }
        });
        for status in [403_u16, 404, 405, 410, 418, 451, 501] {
            let error = world
                .pull(&server.reference(&format!("app:{status}")))
                .unwrap_err();
            assert!(error.to_string().ends_with(": no"), "{error}");
            assert_eq!(server.count(&format!("/manifests/{status}")), 1, "{status}");
        }
    });
}

/// A registry whose tokens are taken back while layers come.
#[test]
fn a_token_that_is_taken_back_in_the_middle_is_renewed() {
    isolated(|world| {
        let served = image();
        let (given, used) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let server = Server::start(ADDRESS, move |request| {
            if request.target.starts_with("/token") {
                let number = given.fetch_add(1, Ordering::SeqCst);
                let text = format!(r#"{{"token":"t{number}","expires_in":3600}}"#);
                return Response::new(200, text.as_bytes());
            }
            let current = given.load(Ordering::SeqCst).wrapping_sub(1);
            let wanted = format!("Bearer t{current}");
            // Each token is good for two requests.
            let known = request.header("authorization") == Some(&wanted);
            if !known || used.fetch_add(1, Ordering::SeqCst) % 2 == 1 {
                let challenge =
                    format!(r#"Bearer realm="http://{ADDRESS}/token",error="invalid_token""#);
                return Response::new(401, b"").header("WWW-Authenticate", &challenge);
            }
            let response = answer(&served, request);
            // Also where a transfer goes on.
            if is_layer(&served, &request.target) && request.range_start().is_none() {
                response.broken_at(10_000)
            } else {
                response
            }
        });
        world.pull(&server.reference("app")).unwrap();
        assert!(server.count("/token") >= 2, "{}", server.count("/token"));
    });
}

#[test]
fn a_token_server_that_is_busy_is_asked_again() {
    isolated(|world| {
        let served = image();
        let asked = AtomicUsize::new(0);
        let server = Server::start(ADDRESS, move |request| {
            if request.target.starts_with("/token") {
                return match asked.fetch_add(1, Ordering::SeqCst) {
                    0 => Response::new(503, b""),
                    1 => Response::new(200, br#"{"token":"t"}"#).broken_at(3),
                    _ => Response::new(200, br#"{"access_token":"t"}"#),
                };
            }
            if request.header("authorization") == Some("Bearer t") {
                return answer(&served, request);
            }
            let challenge = format!(r#"Bearer realm="http://{ADDRESS}/token""#);
            Response::new(401, b"").header("WWW-Authenticate", &challenge)
        });
        world.pull(&server.reference("app")).unwrap();
        assert_eq!(server.count("/token"), 3);
    });
}

#[test]
fn a_proxy_s_password_is_for_the_proxy_alone() {
    isolated(|world| {
        world.hosts(&[("direct.test", std::net::Ipv4Addr::new(127, 0, 0, 4))]);
        let (served, blobs) = (image(), image());
        let proxy = Server::start("127.0.0.1:3128", move |request: &Request| {
            let mut inner = request.clone();
            inner.target = request.target.replace("http://proxied.test", "");
            if inner.target.contains("/blobs/") {
                let place = format!("http://direct.test{}", inner.target);
                return Response::new(307, b"").header("Location", &place);
            }
            answer(&served, &inner)
        });
        let direct = Server::start("127.0.0.4:80", move |request| answer(&blobs, request));
        let options = AccessOptions {
            insecure: vec!["proxied.test".to_owned()],
            http_proxy: Some("http://me:secret@127.0.0.1:3128".to_owned()),
            https_proxy: Some("http://127.0.0.1:1".to_owned()),
            no_proxy: Some("direct.test".to_owned()),
            ..AccessOptions::default()
        };
        world.pull_with("proxied.test/app", options).unwrap();
        let password = format!("Basic {}", STANDARD.encode("me:secret"));
        let through = proxy.requests();
        assert!(through.len() >= 3);
        for request in through {
            assert_eq!(
                request.header("proxy-authorization"),
                Some(password.as_str())
            );
        }
        let requests = direct.requests();
        assert_eq!(requests.len(), 2, "config and layer");
        for request in requests {
            assert_eq!(request.header("proxy-authorization"), None);
            assert_eq!(request.header("authorization"), None);
        }
    });
}

#[test]
fn an_address_of_a_proxy_is_told_without_its_password() {
    isolated(|world| {
        let options = AccessOptions {
            https_proxy: Some("http://me:secret@[bad".to_owned()),
            ..AccessOptions::default()
        };
        let error = world
            .pull_with("a.test/app", options)
            .unwrap_err()
            .to_string();
        assert!(error.contains("the proxy `http://…@[bad`"), "{error}");
        assert!(!error.contains("secret"), "{error}");
    });
}

#[test]
fn nothing_that_a_registry_says_draws_on_the_terminal() {
    isolated(|world| {
        let mut drawing = image();
        let config = String::from_utf8(drawing.config.clone()).unwrap();
        let config = config.replace("\"amd64\"", "\"\\u001b[31mred\"");
        drawing.manifest = String::from_utf8(drawing.manifest.clone())
            .unwrap()
            .replace(
                Digest::of(&drawing.config).as_str(),
                Digest::of(config.as_bytes()).as_str(),
            )
            .replace(
                &format!("\"size\":{}}},\"layers\"", drawing.config.len()),
                &format!("\"size\":{}}},\"layers\"", config.len()),
            )
            .into_bytes();
        drawing.config = config.into_bytes();
        let server = Server::start(ADDRESS, move |request| {
            let text: &str = match request.target.rsplit('/').next().unwrap() {
                "digest" => r#"{"config":{"digest":"sha256:\u001b[31m","size":1},"layers":[]}"#,
                "kind" => {
                    r#"{"config":{"mediaType":"\u001b[31m","digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":1},"layers":[]}"#
                }
                "index" => {
                    r#"{"manifests":[{"digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":1,"platform":{"os":"\u001b[31m","architecture":"\u009b1m"}}]}"#
                }
                "error" => {
                    let text = br#"{"errors":[{"code":"X","message":"a\u001b]0;b\u0007c"}]}"#;
                    return Response::new(403, text);
                }
                "gone" => return not_found(),
                _ => return answer(&drawing, request),
            };
            Response::new(200, text.as_bytes())
        });
        for tag in ["digest", "kind", "index", "error", "gone", "platform"] {
            let mut wanted = crate::support::world::request(
                &server.reference(&format!("app:{tag}")),
                AccessOptions::default(),
            );
            wanted.platform = Some(skiff::image::Platform::parse("linux/amd64").unwrap());
            let pull = skiff::image::pull(&world.store, &wanted, &skiff::event::Silent);
            let error = world.run(pull).unwrap_err();
            let text = format!("{error} {:?}", error.hint());
            assert!(!text.contains(|c: char| c.is_control()), "{tag}: {text:?}");
        }
    });
}

#[test]
fn documents_of_too_deep_a_nesting_are_refused() {
    isolated(|world| {
        let mut deep = image();
        let nest = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
        let config = format!(r#"{{"rootfs":{nest}}}"#);
        deep.manifest = String::from_utf8(deep.manifest.clone())
            .unwrap()
            .replace(
                Digest::of(&deep.config).as_str(),
                Digest::of(config.as_bytes()).as_str(),
            )
            .replace(
                &format!("\"size\":{}}},\"layers\"", deep.config.len()),
                &format!("\"size\":{}}},\"layers\"", config.len()),
            )
            .into_bytes();
        deep.config = config.into_bytes();
        let server = Server::start(ADDRESS, move |request| {
            if request.target.ends_with("/manifests/manifest") {
                return Response::new(200, format!(r#"{{"manifests":{nest}}}"#).as_bytes());
            }
            answer(&deep, request)
        });
        for (tag, what) in [("manifest", "the manifest of"), ("config", "the config of")] {
            let error = world
                .pull(&server.reference(&format!("app:{tag}")))
                .unwrap_err();
            assert!(matches!(error, ImageError::Malformed { .. }), "{error}");
            assert!(error.to_string().contains(what), "{error}");
        }
        world.assert_empty();
    });
}

#[test]
fn foreign_layers_and_what_is_no_image_are_named() {
    isolated(|world| {
        let served = image();
        let text = String::from_utf8(served.manifest.clone()).unwrap();
        let foreign = text.replace(
            "vnd.oci.image.layer.v1.tar+gzip",
            "vnd.docker.image.rootfs.foreign.diff.tar.gzip",
        );
        let chart = text.replace("vnd.oci.image.config.v1", "vnd.cncf.helm.config.v1");
        let server = Server::start(ADDRESS, move |request| {
            match request.target.rsplit('/').next().unwrap() {
                "foreign" => Response::new(200, foreign.as_bytes()),
                "chart" => Response::new(200, chart.as_bytes()),
                _ => answer(&served, request),
            }
        });
        for (tag, part) in [
            (
                "foreign",
                "is a foreign one (`application/vnd.docker.image.rootfs.foreign",
            ),
            (
                "chart",
                "no container image but holds `application/vnd.cncf.helm.config.v1+json`",
            ),
        ] {
            let error = world
                .pull(&server.reference(&format!("app:{tag}")))
                .unwrap_err();
            assert!(error.to_string().contains(part), "{error}");
        }
        assert_eq!(server.count("/blobs/"), 0);
    });
}
