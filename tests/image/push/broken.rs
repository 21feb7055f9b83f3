//! Uploads over lines that break, and to registries that lose them.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use skiff::event::{Event, Silent};
use skiff::image::{AccessOptions, Digest, push};

use super::{ADDRESS, check, forward, loaded, push_to, to};
use crate::support::events::Recorder;
use crate::support::image::{Layer, TestImage, noise};
use crate::support::registry::Registry;
use crate::support::server::{Response, Server, not_found};
use crate::support::world::isolated;

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
