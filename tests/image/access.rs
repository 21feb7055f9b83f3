//! Tokens, credentials, redirects, proxies.

use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fs_err as fs;
use skiff::image::{AccessOptions, ImageError, pull};

use crate::support::events::Recorder;
use crate::support::image::{Layer, TestImage};
use crate::support::server::{Request, Response, Server, answer};
use crate::support::tls::Certificate;
use crate::support::world::{World, isolated, request};

const ADDRESS: &str = "127.0.0.1:5000";

fn image() -> TestImage {
    TestImage::new(vec![Layer::new(&[("a", b"a")]), Layer::new(&[("b", b"b")])])
}

fn unauthorized(challenge: &str) -> Response {
    let body = br#"{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}"#;
    Response::new(401, body).header("WWW-Authenticate", challenge)
}

/// A registry whose token server is itself; `grant` decides on a token.
fn token_registry(
    grant: impl Fn(&Request) -> Option<(&'static str, u64)> + Send + Sync + 'static,
    accept: impl Fn(&str) -> bool + Send + Sync + 'static,
) -> Server {
    let served = image();
    Server::start(ADDRESS, move |request| {
        if request.target.starts_with("/token") {
            return match grant(request) {
                Some((token, life)) => {
                    let text = format!(r#"{{"token":"{token}","expires_in":{life}}}"#);
                    Response::new(200, text.as_bytes())
                }
                None => Response::new(401, br#"{"details":"incorrect username or password"}"#),
            };
        }
        let given = request
            .header("authorization")
            .and_then(|h| h.strip_prefix("Bearer "));
        if given.is_some_and(&accept) {
            return answer(&served, request);
        }
        unauthorized(&format!(
            r#"Bearer realm="http://{ADDRESS}/token",service="test registry",scope="repository:app:pull""#
        ))
    })
}

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

/// Docker's `config.json` with this text, in the test's folder.
pub(crate) fn docker_config(world: &World, text: &str) -> AccessOptions {
    let folder = world.path("docker");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("config.json"), text).unwrap();
    AccessOptions {
        docker_config: Some(folder),
        ..AccessOptions::default()
    }
}

fn with_auth(world: &World, user: &str, password: &str) -> AccessOptions {
    let auth = STANDARD.encode(format!("{user}:{password}"));
    docker_config(
        world,
        &format!(r#"{{"auths":{{"{ADDRESS}":{{"auth":"{auth}"}}}}}}"#),
    )
}

#[test]
fn an_anonymous_token_is_had_for_the_scope() {
    isolated(|world| {
        let server = token_registry(
            |request| {
                request
                    .header("authorization")
                    .is_none()
                    .then_some(("anonymous", 300))
            },
            |token| token == "anonymous",
        );
        world.pull(&server.reference("app")).unwrap();
        let asked: Vec<_> = server
            .requests()
            .into_iter()
            .filter(|request| request.target.starts_with("/token"))
            .collect();
        assert_eq!(asked.len(), 1, "the token serves for all");
        assert!(
            asked[0].target.contains("service=test+registry"),
            "{}",
            asked[0].target
        );
        assert!(
            asked[0].target.contains("scope=repository%3Aapp%3Apull"),
            "{}",
            asked[0].target
        );
    });
}

#[test]
fn a_token_is_had_with_the_credentials_of_docker_s_config() {
    isolated(|world| {
        let wanted = basic("me", "secret");
        let server = token_registry(
            move |request| {
                (request.header("authorization") == Some(&wanted)).then_some(("mine", 300))
            },
            |token| token == "mine",
        );
        world
            .pull_with(&server.reference("app"), with_auth(world, "me", "secret"))
            .unwrap();
        let error = world
            .pull_with(
                &server.reference("app:other"),
                with_auth(world, "me", "wrong"),
            )
            .unwrap_err();
        assert!(matches!(error, ImageError::Denied { .. }), "{error}");
        assert!(
            error.to_string().contains("incorrect username or password"),
            "{error}"
        );
        assert!(error.hint().unwrap().contains("skiff login 127.0.0.1:5000"));
    });
}

#[test]
fn a_token_that_ends_is_renewed() {
    isolated(|world| {
        let given = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&given);
        // Each lives for less than the margin: it is over at once.
        let server = token_registry(
            move |_| {
                counter.fetch_add(1, Ordering::SeqCst);
                Some(("short", 1))
            },
            |token| token == "short",
        );
        world.pull(&server.reference("app")).unwrap();
        assert!(given.load(Ordering::SeqCst) >= 3);
    });
}

#[test]
fn an_identity_token_is_exchanged() {
    isolated(|world| {
        let server = token_registry(
            |request| {
                let form = String::from_utf8_lossy(&request.body).into_owned();
                let good = request.method == "POST"
                    && form.contains("grant_type=refresh_token")
                    && form.contains("refresh_token=id%2Ftoken")
                    && form.contains("scope=repository%3Aapp%3Apull");
                good.then_some(("exchanged", 300))
            },
            |token| token == "exchanged",
        );
        let text = format!(r#"{{"auths":{{"{ADDRESS}":{{"identitytoken":"id/token"}}}}}}"#);
        world
            .pull_with(&server.reference("app"), docker_config(world, &text))
            .unwrap();
    });
}

#[test]
fn a_token_that_is_not_enough_is_a_denial() {
    isolated(|world| {
        let server = token_registry(|_| Some(("useless", 300)), |_| false);
        let error = world.pull(&server.reference("app")).unwrap_err();
        assert!(matches!(error, ImageError::Denied { .. }), "{error}");
        assert!(
            error.to_string().contains("authentication required"),
            "{error}"
        );
        assert_eq!(server.count("/token"), 1, "no asking for ever");
        world.assert_empty();
    });
}

#[test]
fn user_and_password_are_sent_where_the_registry_wants_them() {
    isolated(|world| {
        let served = image();
        let server = Server::start(ADDRESS, move |request| {
            if request.header("authorization") == Some(&basic("me", "secret")) {
                return answer(&served, request);
            }
            unauthorized(r#"Basic realm="here""#)
        });
        let reference = server.reference("app");
        let error = world.pull(&reference).unwrap_err();
        assert!(matches!(error, ImageError::Denied { .. }), "{error}");
        let error = world
            .pull_with(&reference, with_auth(world, "me", "wrong"))
            .unwrap_err();
        assert!(matches!(error, ImageError::Denied { .. }), "{error}");
        world
            .pull_with(&reference, with_auth(world, "me", "secret"))
            .unwrap();
    });
}

#[test]
fn a_credential_helper_is_asked() {
    isolated(|world| {
        let wanted = basic("helped", "pw");
        let server = token_registry(
            move |request| (request.header("authorization") == Some(&wanted)).then_some(("t", 300)),
            |token| token == "t",
        );
        let bin = world.path("bin");
        fs::create_dir(&bin).unwrap();
        let helper = format!(
            "#!/bin/sh\nread -r server\n[ \"$1 $server\" = 'get {ADDRESS}' ] || \
             {{ echo 'credentials not found in native keychain'; exit 1; }}\n\
             echo '{{\"ServerURL\":\"x\",\"Username\":\"helped\",\"Secret\":\"pw\"}}'\n"
        );
        let path = bin.join("docker-credential-test");
        fs::write(&path, helper).unwrap();
        fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        // In reach of the search path, for this namespace only.
        world.bind(&bin, Path::new("/usr/local/bin"));
        for text in [
            format!(r#"{{"credHelpers":{{"{ADDRESS}":"test"}}}}"#),
            r#"{"credsStore":"test"}"#.to_owned(),
        ] {
            world
                .pull_with(&server.reference("app"), docker_config(world, &text))
                .unwrap();
        }
    });
}

#[test]
fn a_helper_that_fails_is_told_and_public_images_are_pulled_all_the_same() {
    isolated(|world| {
        let server = token_registry(|_| Some(("anonymous", 300)), |token| token == "anonymous");
        let options = docker_config(world, r#"{"credsStore":"skiff-has-none"}"#);
        let events = Recorder::default();
        let wanted = request(&server.reference("app"), options);
        world.run(pull(&world.store, &wanted, &events)).unwrap();
        let warnings = events.warnings();
        assert!(
            warnings[0].contains("docker-credential-skiff-has-none"),
            "{warnings:?}"
        );
    });
}

#[test]
fn a_redirect_to_another_host_goes_without_the_authorization() {
    isolated(|world| {
        let served = image();
        let store = Server::start("127.0.0.2:8080", {
            let served = image();
            move |request| answer(&served, request)
        });
        let server = Server::start(ADDRESS, move |request| {
            if request.header("authorization") != Some(&basic("me", "secret")) {
                return unauthorized("Basic");
            }
            if !request.target.contains("/blobs/") {
                return answer(&served, request);
            }
            let place = format!("http://127.0.0.2:8080{}?signature=x", request.target);
            Response::new(307, b"").header("Location", &place)
        });
        world
            .pull_with(&server.reference("app"), with_auth(world, "me", "secret"))
            .unwrap();
        let requests = store.requests();
        assert_eq!(requests.len(), 3);
        for request in requests {
            assert_eq!(request.header("authorization"), None);
            assert!(request.target.ends_with("?signature=x"));
        }
    });
}

#[test]
fn a_redirect_within_the_registry_keeps_the_authorization() {
    isolated(|world| {
        let served = image();
        let server = Server::start(ADDRESS, move |request| {
            if request.header("authorization") != Some(&basic("me", "secret")) {
                return unauthorized("Basic");
            }
            if let Some(rest) = request.target.strip_prefix("/moved") {
                let mut moved = request.clone();
                moved.target = rest.to_owned();
                return answer(&served, &moved);
            }
            Response::new(301, b"").header("Location", &format!("/moved{}", request.target))
        });
        world
            .pull_with(&server.reference("app"), with_auth(world, "me", "secret"))
            .unwrap();
    });
}

#[test]
fn redirects_without_end_are_given_up() {
    isolated(|world| {
        let server = Server::start(ADDRESS, |request| {
            Response::new(302, b"").header("Location", &request.target)
        });
        let error = world.pull(&server.reference("app")).unwrap_err();
        assert!(
            error.to_string().contains("redirects more than 10 times"),
            "{error}"
        );
    });
}

/// A registry in TLS at `secure.test`, and the options that trust it.
fn secure(
    world: &World,
    handler: impl Fn(&Request) -> Response + Send + Sync + 'static,
) -> (Server, AccessOptions) {
    let certificate = Certificate::new(world, &["secure.test"]);
    world.hosts(&[("secure.test", Ipv4Addr::LOCALHOST)]);
    let server = Server::start_tls("127.0.0.1:443", certificate.server_config(), handler);
    let options = AccessOptions {
        certificate_file: Some(certificate.authority),
        ..AccessOptions::default()
    };
    (server, options)
}

#[test]
fn a_secure_registry_is_trusted_by_its_authority_only() {
    isolated(|world| {
        let served = image();
        let (_server, options) = secure(world, move |request| answer(&served, request));
        world.pull_with("secure.test/app", options).unwrap();
        let other = Certificate::new(world, &["other.test"]);
        let options = AccessOptions {
            certificate_file: Some(other.authority),
            ..AccessOptions::default()
        };
        let error = world.pull_with("secure.test/app", options).unwrap_err();
        assert!(error.to_string().contains("certificate"), "{error}");
    });
}

#[test]
fn the_system_s_certificates_are_used() {
    isolated(|world| {
        let served = image();
        let (_server, options) = secure(world, move |request| answer(&served, request));
        let bundle = Path::new("/etc/ssl/certs/ca-certificates.crt");
        assert!(
            bundle.exists(),
            "get it with: sudo apt-get install ca-certificates"
        );
        world.bind(&options.certificate_file.unwrap(), bundle);
        world
            .pull_with("secure.test/app", AccessOptions::default())
            .unwrap();
    });
}

#[test]
fn a_secure_registry_cannot_send_us_to_an_insecure_place() {
    isolated(|world| {
        world.hosts(&[("secure.test", Ipv4Addr::LOCALHOST)]);
        let (_server, options) = secure(world, |_| {
            Response::new(307, b"").header("Location", "http://127.0.0.1:8080/x")
        });
        let error = world.pull_with("secure.test/app", options).unwrap_err();
        assert!(error.to_string().contains("which is not https"), "{error}");
        let (_server, options) = secure_at_other_port(world);
        let error = world
            .pull_with("secure.test:8443/app", options)
            .unwrap_err();
        assert!(error.to_string().contains("is not https"), "{error}");
    });
}

fn secure_at_other_port(world: &World) -> (Server, AccessOptions) {
    let certificate = Certificate::new(world, &["secure.test"]);
    let server = Server::start_tls("127.0.0.1:8443", certificate.server_config(), |_| {
        unauthorized(r#"Bearer realm="http://secure.test/token""#)
    });
    let options = AccessOptions {
        certificate_file: Some(certificate.authority),
        ..AccessOptions::default()
    };
    (server, options)
}

#[test]
fn a_registry_on_this_machine_may_speak_tls_too() {
    isolated(|world| {
        let certificate = Certificate::new(world, &["localhost"]);
        let served = image();
        let _server = Server::start_tls(
            "127.0.0.1:8443",
            certificate.server_config(),
            move |request| answer(&served, request),
        );
        // A proxy would not be asked for this machine; there is none.
        let options = AccessOptions {
            certificate_file: Some(certificate.authority),
            https_proxy: Some("http://127.0.0.1:1".to_owned()),
            ..AccessOptions::default()
        };
        world.pull_with("localhost:8443/app", options).unwrap();
    });
}

#[test]
fn plain_http_is_spoken_to_listed_hosts_only() {
    isolated(|world| {
        world.hosts(&[("plain.test", Ipv4Addr::new(127, 0, 0, 3))]);
        let served = image();
        let _server = Server::start("127.0.0.3:5000", move |request| answer(&served, request));
        let error = world.pull("plain.test:5000/app").unwrap_err();
        assert!(matches!(error, ImageError::Unreachable { .. }), "{error}");
        let options = AccessOptions {
            insecure: vec!["plain.test:5000".to_owned()],
            ..AccessOptions::default()
        };
        world.pull_with("plain.test:5000/app", options).unwrap();
    });
}

#[test]
fn proxies_are_used_except_for_this_machine_and_what_is_excepted() {
    isolated(|world| {
        world.hosts(&[("direct.test", Ipv4Addr::new(127, 0, 0, 4))]);
        let (served, direct, local) = (image(), image(), image());
        // A proxy sees whole URLs.
        let proxy = Server::start("127.0.0.1:3128", move |request| {
            let mut inner = request.clone();
            match request.target.strip_prefix("http://proxied.test") {
                Some(path) => inner.target = path.to_owned(),
                None => return Response::new(502, b""),
            }
            answer(&served, &inner)
        });
        let _direct = Server::start("127.0.0.4:80", move |request| answer(&direct, request));
        let local = Server::start("127.0.0.1:5000", move |request| answer(&local, request));
        let options = AccessOptions {
            insecure: vec!["proxied.test".to_owned(), "direct.test".to_owned()],
            http_proxy: Some("127.0.0.1:3128".to_owned()),
            no_proxy: Some("direct.test".to_owned()),
            ..AccessOptions::default()
        };
        world
            .pull_with("proxied.test/app", options.clone())
            .unwrap();
        let proxied = proxy.requests().len();
        assert!(proxied >= 4);
        world.pull_with("direct.test/app", options.clone()).unwrap();
        world.pull_with(&local.reference("app"), options).unwrap();
        assert_eq!(proxy.requests().len(), proxied);
    });
}

#[test]
fn a_secure_registry_is_reached_through_a_tunnel() {
    isolated(|world| {
        let served = image();
        let (_server, mut options) = secure(world, move |request| answer(&served, request));
        let seen = crate::support::server::tunnel("127.0.0.1:3128", "127.0.0.1:443");
        options.https_proxy = Some("http://127.0.0.1:3128".to_owned());
        world.pull_with("secure.test/app", options).unwrap();
        assert!(
            seen.lock()
                .unwrap()
                .iter()
                .all(|line| line.starts_with("CONNECT secure.test:443 "))
        );
        assert!(!seen.lock().unwrap().is_empty());
    });
}

#[test]
fn options_come_from_the_environment() {
    // Whatever the machine's environment says, it is taken over as it is.
    let options = AccessOptions::from_env();
    let home = skiff::env::read_path(skiff::env::HOME).map(|home| home.join(".docker"));
    let named: Option<PathBuf> = skiff::env::read_path(skiff::env::DOCKER_CONFIG);
    assert_eq!(options.docker_config, named.or(home));
    assert_eq!(
        options.certificate_file,
        skiff::env::read_path(skiff::env::SSL_CERT_FILE)
    );
}
