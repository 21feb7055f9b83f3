//! Pushing: to Debian's docker-registry, through lines that break, and to
//! registries that do what they should not.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fs_err as fs;
use serde_json::{Value, json};
use skiff::event::{Event, Silent};
use skiff::image::{
    Access, AccessOptions, Digest, Image, ImageError, Platform, PushRequest, Reference, pull, push,
};

use crate::support::events::Recorder;
use crate::support::http;
use crate::support::image::{Layer, OCI_INDEX, OCI_MANIFEST, Packing, TestImage, noise};
use crate::support::registry::{HTPASSWD, Registry};
use crate::support::server::{Response, Server, not_found};
use crate::support::world::{World, isolated, request};

const ADDRESS: &str = "127.0.0.1:5000";

fn to(images: &[&Image], reference: &str, options: AccessOptions) -> PushRequest {
    PushRequest {
        reference: Reference::parse(reference).unwrap(),
        images: images.iter().map(|image| (*image).clone()).collect(),
        access: Access::new(options),
        label: "app".to_owned(),
    }
}

fn push_to(world: &World, image: &Image, reference: &str) -> Result<Digest, ImageError> {
    let wanted = to(&[image], reference, AccessOptions::default());
    let pushed = world.run(push(&world.store, &wanted, &Silent))?;
    Ok(pushed.digest)
}

/// The image in the store, as it would be after a build: with no manifest.
fn loaded(world: &World, image: &TestImage) -> Image {
    let archive = world.path("image.tar");
    let mut tar = tar::Builder::new(fs::File::create(&archive).unwrap());
    let mut append = |name: &str, content: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(content.len() as u64);
        tar.append_data(&mut header, name, content).unwrap();
    };
    let mut names = Vec::new();
    for (number, layer) in image.layers.iter().enumerate() {
        let name = format!("{number}/layer.tar");
        append(&name, &layer.tar);
        names.push(name);
    }
    append("config.json", &image.config);
    let manifest = json!([{"Config": "config.json", "RepoTags": ["built:1"], "Layers": names}]);
    append("manifest.json", manifest.to_string().as_bytes());
    tar.into_inner().unwrap();
    let source = skiff::image::LoadSource::File(archive);
    let mut images = skiff::image::load(&world.store, source, &Silent).unwrap();
    images.remove(0)
}

fn manifest(address: SocketAddr, repository: &str, selector: &str) -> (Digest, Value) {
    let target = format!("/v2/{repository}/manifests/{selector}");
    let kinds = format!("{OCI_MANIFEST}, {OCI_INDEX}");
    let answer = http::send_with(address, "GET", &target, &[("Accept", &kinds)], b"");
    assert_eq!(answer.status, 200);
    (
        Digest::of(&answer.body),
        serde_json::from_slice(&answer.body).unwrap(),
    )
}

/// Pulls what was pushed into another store, and checks that all is there.
fn check(world: &World, reference: &str, pushed: &TestImage) -> Image {
    let fresh = world.fresh_store();
    let wanted = request(reference, AccessOptions::default());
    let image = world.run(pull(&fresh, &wanted, &Silent)).unwrap();
    assert_eq!(image.id, pushed.id(), "{reference}");
    assert_eq!(image.layers.len(), pushed.layers.len());
    image
}

fn image() -> TestImage {
    TestImage::new(vec![
        Layer::new(&[("base", b"base")]),
        Layer::new(&[("etc/x", b"x"), ("etc/y", b"y")]),
    ])
}

#[test]
fn what_is_pushed_is_pulled_again_and_only_once_uploaded() {
    isolated(|world| {
        let registry = Registry::start(world, ADDRESS);
        let built = loaded(world, &image());
        assert_eq!(built.digest, None);
        let events = Recorder::default();
        let wanted = to(&[&built], "127.0.0.1:5000/app:1", AccessOptions::default());
        let digest = world
            .run(push(&world.store, &wanted, &events))
            .unwrap()
            .digest;
        assert_eq!(
            (
                events.outcomes("Pushed"),
                events.outcomes("Layer already exists")
            ),
            (3, 0)
        );
        let (found, document) = manifest(registry.address, "app", "1");
        assert_eq!(found, digest);
        assert_eq!(document["mediaType"], json!(OCI_MANIFEST));
        assert_eq!(
            document["layers"][0]["mediaType"],
            json!("application/vnd.oci.image.layer.v1.tar+gzip")
        );
        check(world, "127.0.0.1:5000/app:1", &image());
        // The store knows it by its digest now, and its layers as packed.
        let name = format!("127.0.0.1:5000/app@{digest}");
        assert_eq!(world.store.find(&name).unwrap().unwrap().id, built.id);
        let events = Recorder::default();
        let again = world.run(push(&world.store, &wanted, &events)).unwrap();
        assert_eq!(again.digest, digest);
        assert_eq!(
            (
                events.outcomes("Pushed"),
                events.outcomes("Layer already exists")
            ),
            (1, 2)
        );
        // Under another name of the same registry nothing is uploaded either.
        let events = Recorder::default();
        let wanted = to(
            &[&built],
            "127.0.0.1:5000/other/app:2",
            AccessOptions::default(),
        );
        let again = world.run(push(&world.store, &wanted, &events)).unwrap();
        assert_eq!(again.digest, digest);
        assert_eq!(events.outcomes("Mounted"), 2);
        check(world, "127.0.0.1:5000/other/app:2", &image());
    });
}

#[test]
fn a_pulled_image_keeps_its_digest_where_its_layers_are() {
    isolated(|world| {
        let registry = Registry::start(world, ADDRESS);
        let layers = vec![
            Layer::packed(&[("a", b"a")], Packing::Zstd),
            Layer::packed(&[("b", b"b")], Packing::Plain),
            Layer::packed(&[("c", b"c")], Packing::Gzip),
        ];
        let docker = TestImage::new(layers).into_docker();
        docker.push(registry.address, "from", "1");
        let image = world.pull("127.0.0.1:5000/from:1").unwrap();
        let digest = push_to(world, &image, "127.0.0.1:5000/to:2").unwrap();
        assert_eq!(digest, docker.digest());
        check(world, "127.0.0.1:5000/to:2", &docker);
        // At another registry gzip is new; what came as it is goes as it is.
        let far = Registry::start_with(world, "127.0.0.1:5002", "far", "", "");
        push_to(world, &image, "127.0.0.1:5002/to:2").unwrap();
        let (_, document) = manifest(far.address, "to", "2");
        let kinds: Vec<_> = (0..3)
            .map(|n| {
                document["layers"][n]["mediaType"]
                    .as_str()
                    .unwrap()
                    .rsplit('.')
                    .next()
                    .unwrap()
            })
            .collect();
        assert_eq!(kinds, ["tar+gzip", "tar", "tar+gzip"]);
        check(world, "127.0.0.1:5002/to:2", &docker);
        drop(registry);
    });
}

#[test]
fn images_for_several_platforms_become_an_index() {
    isolated(|world| {
        let registry = Registry::start(world, ADDRESS);
        let of = |architecture: &str| {
            let layers = vec![
                Layer::new(&[("same", b"same")]),
                Layer::new(&[("own", architecture.as_bytes())]),
            ];
            TestImage::with(layers, architecture, &json!({}))
        };
        let (amd, arm) = (of("amd64"), of("arm64"));
        let images = [loaded(world, &amd), loaded(world, &arm)];
        let wanted = to(
            &[&images[0], &images[1]],
            "127.0.0.1:5000/multi:1",
            AccessOptions::default(),
        );
        let digest = world
            .run(push(&world.store, &wanted, &Silent))
            .unwrap()
            .digest;
        let (found, index) = manifest(registry.address, "multi", "1");
        assert_eq!(found, digest);
        assert_eq!(index["mediaType"], json!(OCI_INDEX));
        for (platform, expected) in [("linux/amd64", &amd), ("linux/arm64", &arm)] {
            let fresh = world.fresh_store();
            let mut wanted = request("127.0.0.1:5000/multi:1", AccessOptions::default());
            wanted.platform = Some(Platform::parse(platform).unwrap());
            let pulled = world.run(pull(&fresh, &wanted, &Silent)).unwrap();
            assert_eq!(pulled.id, expected.id());
        }
    });
}

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
        let folder = world.path("docker");
        fs::create_dir(&folder).unwrap();
        let config = r#"{"auths":{"127.0.0.1:5000":{"auth":"bWU6c2VjcmV0"}}}"#;
        fs::write(folder.join("config.json"), config).unwrap();
        let options = AccessOptions {
            docker_config: Some(folder),
            ..AccessOptions::default()
        };
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

/// Hands a request on to a registry.
fn forward(to: SocketAddr, request: &crate::support::server::Request) -> Response {
    let names = ["content-type", "content-range", "accept", "range", "host"];
    let headers: Vec<(&str, &str)> = names
        .iter()
        .filter_map(|name| Some((*name, request.header(name)?)))
        .collect();
    let answer = http::send_with(
        to,
        &request.method,
        &request.target,
        &headers,
        &request.body,
    );
    let mut response = Response::new(answer.status, &answer.body);
    for name in ["location", "range", "docker-content-digest", "content-type"] {
        if let Some(value) = answer.header(name) {
            response = response.header(name, value);
        }
    }
    response
}

/// What becomes of a connection once so many bytes went through it.
#[derive(Clone, Copy)]
enum Trouble {
    Cut(usize),
    Stall(usize),
}

/// A line to a registry whose first connections that carry a large body are in
/// trouble. Counts them.
fn bad_line(address: &str, to: SocketAddr, troubles: Vec<Trouble>) -> Arc<AtomicUsize> {
    let listener = TcpListener::bind(address).unwrap();
    let count = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&count);
    let troubles = Arc::new(Mutex::new(troubles));
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let mut client = client.unwrap();
            let (counter, troubles) = (Arc::clone(&counter), Arc::clone(&troubles));
            std::thread::spawn(move || {
                let mut server = TcpStream::connect(to).unwrap();
                let mut answers = server.try_clone().unwrap();
                let mut out = client.try_clone().unwrap();
                std::thread::spawn(move || {
                    std::io::copy(&mut answers, &mut out).ok();
                    out.shutdown(Shutdown::Both).ok();
                });
                let mut buffer = [0; 16 * 1024];
                let mut gone = 0;
                while let Ok(read) = client.read(&mut buffer) {
                    if read == 0 {
                        break;
                    }
                    gone += read;
                    let mut waiting = troubles.lock().unwrap();
                    match waiting.first().copied() {
                        Some(Trouble::Cut(after)) if gone > after => {
                            waiting.remove(0);
                            counter.fetch_add(1, Ordering::SeqCst);
                            break;
                        }
                        Some(Trouble::Stall(after)) if gone > after => {
                            waiting.remove(0);
                            counter.fetch_add(1, Ordering::SeqCst);
                            drop(waiting);
                            // Nothing gets through until the client has enough.
                            std::io::copy(&mut client, &mut std::io::sink()).ok();
                            break;
                        }
                        _ => {}
                    }
                    drop(waiting);
                    if server.write_all(&buffer[..read]).is_err() {
                        break;
                    }
                }
                client.shutdown(Shutdown::Both).ok();
                server.shutdown(Shutdown::Both).ok();
            });
        }
    });
    count
}

fn large() -> TestImage {
    TestImage::new(vec![Layer::new(&[("noise", &noise(7, 20_000_000))])])
}

/// A registry that keeps of each piece what came of it.
#[test]
fn an_upload_that_breaks_goes_on_where_it_broke() {
    isolated(|world| {
        let kept: Arc<Mutex<Vec<u8>>> = Arc::default();
        let (upload, patches) = (Arc::clone(&kept), AtomicUsize::new(0));
        let server = Server::start(ADDRESS, move |request| {
            let mut kept = upload.lock().unwrap();
            let place = |response: Response, length: usize| {
                response
                    .header("Location", "/v2/app/blobs/uploads/1")
                    .header("Range", &format!("0-{}", length.saturating_sub(1)))
            };
            match (request.method.as_str(), request.target.as_str()) {
                ("POST", _) => place(Response::new(202, b""), 0),
                ("GET", "/v2/app/blobs/uploads/1") => place(Response::new(204, b""), kept.len()),
                ("GET", _) => Response::new(200, b"{}"),
                ("PATCH", _) => {
                    let range = request.header("content-range").unwrap();
                    assert_eq!(range.split('-').next().unwrap(), kept.len().to_string());
                    let number = patches.fetch_add(1, Ordering::SeqCst);
                    let came = match number {
                        0 => 1_000_000,
                        2 => 0,
                        _ => request.body.len(),
                    };
                    kept.extend_from_slice(&request.body[..came]);
                    match number {
                        0 | 2 => Response::nothing(),
                        // All came, and that is not told.
                        3 => Response::new(502, b""),
                        _ => place(Response::new(202, b""), kept.len()),
                    }
                }
                ("PUT", target) if target.contains("/uploads/1?digest=") => {
                    if request.body.is_empty() {
                        let digest = Digest::of(&kept).to_string();
                        assert!(target.contains(&digest.replace(':', "%3A")), "{target}");
                    }
                    Response::new(201, b"")
                }
                ("PUT", _) => Response::new(201, b""),
                _ => not_found(),
            }
        });
        let built = loaded(world, &large());
        push_to(world, &built, "127.0.0.1:5000/app:1").unwrap();
        let count = |method: &str| {
            let all = server.requests();
            all.iter()
                .filter(|request| request.method == method)
                .count()
        };
        assert_eq!(count("POST"), 2, "the layer and the config");
        let sent: usize = server
            .requests()
            .iter()
            .filter(|request| request.method == "PATCH")
            .map(|request| request.body.len())
            .sum();
        let needed = kept.lock().unwrap().len();
        assert!(sent < needed + 16 * 1024 * 1024, "{sent} for {needed}");
    });
}

/// Docker's own registry forgets an upload that broke.
#[test]
fn an_upload_over_a_bad_line_gets_there() {
    isolated(|world| {
        let back = Registry::start(world, "127.0.0.1:5001");
        let broken = bad_line(
            ADDRESS,
            back.address,
            vec![
                Trouble::Cut(3_000_000),
                Trouble::Cut(2_000_000),
                Trouble::Cut(6_000_000),
            ],
        );
        let built = loaded(world, &large());
        let events = Recorder::default();
        let wanted = to(&[&built], "127.0.0.1:5000/app:1", AccessOptions::default());
        world.run(push(&world.store, &wanted, &events)).unwrap();
        assert_eq!(broken.load(Ordering::SeqCst), 3);
        check(world, "127.0.0.1:5001/app:1", &large());
        // What is told only grows, and ends with all of it.
        let told: Vec<(u64, u64)> = events
            .events()
            .iter()
            .filter_map(|event| match event {
                Event::Progress {
                    action: "Pushing",
                    current,
                    total: Some(total),
                    ..
                } => Some((*current, *total)),
                _ => None,
            })
            .collect();
        assert_eq!(told.last(), Some(&(20_000_000, 20_000_000)));
    });
}

#[test]
fn an_upload_that_stands_still_is_begun_anew_where_it_stopped() {
    isolated(|world| {
        let back = Registry::start(world, "127.0.0.1:5001");
        let stalled = bad_line(ADDRESS, back.address, vec![Trouble::Stall(1_000_000)]);
        let built = loaded(world, &large());
        let options = AccessOptions {
            patience: Some(Duration::from_millis(500)),
            ..AccessOptions::default()
        };
        let wanted = to(&[&built], "127.0.0.1:5000/app:1", options);
        world.run(push(&world.store, &wanted, &Silent)).unwrap();
        assert_eq!(stalled.load(Ordering::SeqCst), 1);
        check(world, "127.0.0.1:5001/app:1", &large());
    });
}

#[test]
fn a_registry_that_loses_an_upload_gets_it_anew() {
    isolated(|world| {
        let back = Registry::start(world, "127.0.0.1:5001");
        let patches = AtomicUsize::new(0);
        let server = Server::start(ADDRESS, move |request| {
            if request.method == "PATCH" {
                match patches.fetch_add(1, Ordering::SeqCst) {
                    // Busy, once.
                    0 => return Response::new(503, b"").header("Retry-After", "0"),
                    // Then all of it is gone in the middle.
                    2 => return not_found(),
                    _ => {}
                }
            }
            forward(back.address, request)
        });
        let built = loaded(world, &large());
        push_to(world, &built, "127.0.0.1:5000/app:1").unwrap();
        let begun = server
            .requests()
            .iter()
            .filter(|request| request.method == "POST")
            .count();
        assert_eq!(begun, 3, "the layer twice, the config once");
        check(world, "127.0.0.1:5001/app:1", &large());
        // The spec's words for pieces.
        let ranges: Vec<_> = server
            .requests()
            .iter()
            .filter_map(|request| Some(request.header("content-range")?.to_owned()))
            .collect();
        assert!(
            ranges.contains(&"8388608-16777215".to_owned()),
            "{ranges:?}"
        );
    });
}

#[test]
fn a_registry_that_loses_everything_is_given_up() {
    isolated(|world| {
        let server = Server::start(ADDRESS, |request| match request.method.as_str() {
            "POST" => Response::new(202, b"").header("Location", "/v2/app/blobs/uploads/1"),
            "GET" => Response::new(200, b"{}"),
            _ => not_found(),
        });
        let built = loaded(world, &large());
        let error = push_to(world, &built, "127.0.0.1:5000/app:1").unwrap_err();
        assert!(
            error.to_string().contains("it loses each upload"),
            "{error}"
        );
        assert_eq!(server.count("/manifests/"), 0);
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
        let folder = world.path("docker");
        fs::create_dir(&folder).unwrap();
        let config = r#"{"auths":{"127.0.0.1:5000":{"auth":"bWU6c2VjcmV0"}}}"#;
        fs::write(folder.join("config.json"), config).unwrap();
        let options = AccessOptions {
            docker_config: Some(folder),
            ..AccessOptions::default()
        };
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
