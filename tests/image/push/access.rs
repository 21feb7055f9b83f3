//! Who may push: passwords, tokens, and what is told where a registry refuses.

use fs_err as fs;
use skiff::event::Silent;
use skiff::image::{ImageError, push};

use super::{ADDRESS, forward, image, loaded, push_to, to};
use crate::access::docker_config;
use crate::support::registry::{HTPASSWD, Registry};
use crate::support::server::{Response, Server, not_found};
use crate::support::world::isolated;

const CREDENTIALS: &str = r#"{"auths":{"127.0.0.1:5000":{"auth":"bWU6c2VjcmV0"}}}"#;

#[test]
fn a_registry_that_wants_a_password_gets_it() {
    isolated(|world| {
        let path = world.path("htpasswd");
        fs::write(&path, HTPASSWD).unwrap();
        let top = format!(
            "auth:\n  htpasswd:\n    realm: here\n    path: {}\n",
            path.display()
        );
        let _registry = Registry::start_with(world, ADDRESS, "storage", "", &top);
        let built = loaded(world, &image());
        let error = push_to(world, &built, "127.0.0.1:5000/app:1").unwrap_err();
        assert!(matches!(error, ImageError::Denied { .. }), "{error}");
        let options = docker_config(world, CREDENTIALS);
        let wanted = to(&[&built], "127.0.0.1:5000/app:1", options);
        world.run(push(&world.store, &wanted, &Silent)).unwrap();
    });
}

#[test]
fn one_token_is_had_for_pulling_and_pushing() {
    isolated(|world| {
        let back = Registry::start(world, "127.0.0.1:5001");
        let server = Server::start(ADDRESS, move |request| {
            if request.target.starts_with("/token") {
                return Response::new(200, br#"{"token":"t","expires_in":300}"#);
            }
            if request.header("authorization") != Some("Bearer t") {
                let challenge =
                    format!(r#"Bearer realm="http://{ADDRESS}/token",scope="repository:app:pull""#);
                return Response::new(401, b"").header("WWW-Authenticate", &challenge);
            }
            forward(back.address, request)
        });
        let built = loaded(world, &image());
        push_to(world, &built, "127.0.0.1:5000/app:1").unwrap();
        let asked: Vec<_> = server
            .requests()
            .into_iter()
            .filter(|request| request.target.starts_with("/token"))
            .map(|request| request.target)
            .collect();
        assert_eq!(asked, ["/token?scope=repository%3Aapp%3Apull%2Cpush"]);
        // To take a blob over, its own repository has to be read.
        push_to(world, &built, "127.0.0.1:5000/two:1").unwrap();
        let asked = server.requests();
        let last = asked
            .iter()
            .rfind(|r| r.target.starts_with("/token"))
            .unwrap();
        assert_eq!(
            last.target,
            "/token?scope=repository%3Atwo%3Apull%2Cpush&scope=repository%3Aapp%3Apull"
        );
    });
}

#[test]
fn refusals_are_told_and_nothing_is_named() {
    isolated(|world| {
        let built = loaded(world, &image());
        let by_digest = format!("127.0.0.1:5000/app@{}", built.id);
        let error = push_to(world, &built, &by_digest).unwrap_err();
        assert!(error.to_string().contains("a tag and no digest"), "{error}");
        let server = Server::start(ADDRESS, |request| match request.method.as_str() {
            "POST" => {
                let body = br#"{"errors":[{"code":"NAME_UNKNOWN","message":"make it first"}]}"#;
                Response::new(404, body)
            }
            "GET" => Response::new(200, b"{}"),
            _ => not_found(),
        });
        let error = push_to(world, &built, "127.0.0.1:5000/app:1").unwrap_err();
        assert!(error.to_string().contains("404 Not Found"), "{error}");
        assert!(error.to_string().contains("make it first"), "{error}");
        assert_eq!(server.count("/manifests/"), 0);
        let found = world.store.find("built:1").unwrap().unwrap();
        assert_eq!(found.repo_digests, []);
    });
}

#[test]
fn an_upload_at_another_host_goes_without_the_authorization() {
    isolated(|world| {
        let elsewhere = Server::start("127.0.0.2:8080", |_| Response::new(201, b""));
        let _server = Server::start(ADDRESS, |request| {
            if request.header("authorization") != Some("Basic bWU6c2VjcmV0") {
                return Response::new(401, b"").header("WWW-Authenticate", "Basic");
            }
            match request.method.as_str() {
                "POST" => {
                    Response::new(202, b"").header("Location", "http://127.0.0.2:8080/up?x=1")
                }
                "PUT" => Response::new(201, b""),
                "GET" => Response::new(200, b"{}"),
                _ => not_found(),
            }
        });
        let options = docker_config(world, CREDENTIALS);
        let built = loaded(world, &image());
        let wanted = to(&[&built], "127.0.0.1:5000/app:1", options);
        world.run(push(&world.store, &wanted, &Silent)).unwrap();
        let requests = elsewhere.requests();
        assert_eq!(requests.len(), 3, "two layers and the config");
        for request in requests {
            assert_eq!(request.header("authorization"), None);
            assert!(request.target.starts_with("/up?x=1&digest=sha256%3A"));
        }
    });
}
