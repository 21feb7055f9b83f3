//! Against a registry that does what it should not.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use skiff::event::Silent;
use skiff::image::{AccessOptions, Digest, ImageError, pull};

use crate::support::image::{Layer, TestImage, noise};
use crate::support::server::{Response, Server, answer, not_found};
use crate::support::world::{isolated, request};

const ADDRESS: &str = "127.0.0.1:5000";

fn image() -> TestImage {
    TestImage::new(vec![Layer::new(&[("data", &noise(1, 70_000))])])
}

fn is_layer(image: &TestImage, target: &str) -> bool {
    target.ends_with(Digest::of(&image.layers[0].blob).as_str())
}

#[test]
fn a_broken_transfer_goes_on_where_it_broke() {
    isolated(|world| {
        let served = image();
        let breaks = AtomicUsize::new(0);
        let server = Server::start(ADDRESS, move |request| {
            let response = answer(&served, request);
            let layer = is_layer(&served, &request.target);
            // Three breaks, each a little further on.
            if layer && breaks.fetch_add(1, Ordering::SeqCst) < 3 {
                return response.broken_at(10_000);
            }
            response
        });
        let pulled = world.pull(&server.reference("app")).unwrap();
        assert_eq!(pulled.id, image().id());
        let starts: Vec<_> = server
            .requests()
            .iter()
            .filter(|request| is_layer(&image(), &request.target))
            .map(|request| request.range_start().unwrap_or(0))
            .collect();
        assert_eq!(starts, [0, 10_000, 20_000, 30_000]);
    });
}

#[test]
fn a_broken_transfer_is_mended_by_a_registry_that_knows_no_ranges() {
    isolated(|world| {
        let served = image();
        let breaks = AtomicUsize::new(0);
        let server = Server::start(ADDRESS, move |request| {
            let mut whole = request.clone();
            whole.headers.remove("range");
            let response = answer(&served, &whole);
            let layer = is_layer(&served, &request.target);
            match layer.then(|| breaks.fetch_add(1, Ordering::SeqCst)) {
                Some(0) => response.broken_at(30_000),
                // Breaks before the place where it broke first.
                Some(1) => response.broken_at(10_000),
                _ => response,
            }
        });
        let pulled = world.pull(&server.reference("app")).unwrap();
        let file = world.store.layer_dir(&pulled.layers[0]).join("data");
        assert_eq!(fs_err::read(file).unwrap(), noise(1, 70_000));
        assert_eq!(
            server.count(Digest::of(&image().layers[0].blob).as_str()),
            3
        );
    });
}

#[test]
fn a_transfer_that_always_breaks_is_given_up() {
    isolated(|world| {
        let served = image();
        let server = Server::start(ADDRESS, move |request| {
            let response = answer(&served, request);
            if is_layer(&served, &request.target) {
                response.broken_at(0)
            } else {
                response
            }
        });
        let error = world.pull(&server.reference("app")).unwrap_err();
        assert!(matches!(error, ImageError::Unreachable { .. }), "{error}");
        assert!(error.to_string().contains("broke off at byte 0"), "{error}");
        world.assert_empty();
    });
}

#[test]
fn a_layer_of_the_right_size_and_wrong_content_is_refused() {
    isolated(|world| {
        let served = image();
        let server = Server::start(ADDRESS, move |request| {
            if !is_layer(&served, &request.target) {
                return answer(&served, request);
            }
            let mut blob = served.layers[0].blob.clone();
            // In the middle of a stored block, where gzip itself sees nothing
            // before the end.
            let middle = blob.len() / 2;
            blob[middle] ^= 1;
            Response::new(200, &blob)
        });
        let error = world.pull(&server.reference("app")).unwrap_err();
        assert!(matches!(error, ImageError::WrongDigest { .. }), "{error}");
        world.assert_empty();
    });
}

#[test]
fn a_layer_of_another_size_is_refused() {
    for difference in [-1_isize, 1, -10_000, 10_000] {
        isolated(|world| {
            let served = image();
            let server = Server::start(ADDRESS, move |request| {
                if !is_layer(&served, &request.target) {
                    return answer(&served, request);
                }
                let mut blob = served.layers[0].blob.clone();
                blob.resize(blob.len().checked_add_signed(difference).unwrap(), 0);
                Response::new(200, &blob)
            });
            let error = world.pull(&server.reference("app")).unwrap_err();
            assert!(matches!(error, ImageError::WrongSize { .. }), "{error}");
            world.assert_empty();
        });
    }
}

#[test]
fn a_layer_that_unpacks_to_something_else_is_refused() {
    isolated(|world| {
        let mut served = image();
        // The manifest is honest about the blob; the config names another layer.
        let other = TestImage::new(vec![Layer::new(&[("other", b"x")])]);
        let text = String::from_utf8(served.manifest.clone()).unwrap();
        let text = text
            .replace(served.id().as_str(), other.id().as_str())
            .replace(
                &format!("\"size\":{}}},\"layers\"", served.config.len()),
                &format!("\"size\":{}}},\"layers\"", other.config.len()),
            );
        served.manifest = text.into_bytes();
        served.config = other.config.clone();
        let server = Server::start(ADDRESS, move |request| answer(&served, request));
        let error = world.pull(&server.reference("app")).unwrap_err();
        assert!(
            error.to_string().contains("unpacked layer has digest"),
            "{error}"
        );
        world.assert_empty();
    });
}

#[test]
fn a_manifest_with_another_digest_is_refused() {
    isolated(|world| {
        let served = image();
        let wrong = Digest::of(b"other");
        let stated = wrong.clone();
        let server = Server::start(ADDRESS, move |request| {
            if request.target.contains("/manifests/") {
                return Response::new(200, &served.manifest)
                    .header("Docker-Content-Digest", stated.as_str());
            }
            answer(&served, request)
        });
        for reference in ["app".to_owned(), format!("app@{wrong}")] {
            let error = world.pull(&server.reference(&reference)).unwrap_err();
            assert!(matches!(error, ImageError::WrongDigest { .. }), "{error}");
        }
        world.assert_empty();
    });
}

#[test]
fn a_manifest_without_end_is_cut_off() {
    isolated(|world| {
        let server = Server::start(ADDRESS, move |_| Response::new(200, &vec![b' '; 5 << 20]));
        let error = world.pull(&server.reference("app")).unwrap_err();
        assert!(
            error.to_string().contains("longer than 4194304 bytes"),
            "{error}"
        );
        world.assert_empty();
    });
}

#[test]
fn a_config_without_end_is_not_even_asked_for() {
    isolated(|world| {
        let mut served = image();
        let text = String::from_utf8(served.manifest.clone()).unwrap();
        let size = format!("\"size\":{}}},\"layers\"", served.config.len());
        served.manifest = text
            .replace(&size, "\"size\":99999999},\"layers\"")
            .into_bytes();
        let server = Server::start(ADDRESS, move |request| answer(&served, request));
        let error = world.pull(&server.reference("app")).unwrap_err();
        assert!(matches!(error, ImageError::Malformed { .. }), "{error}");
        assert_eq!(server.count("/blobs/"), 0);
    });
}

#[test]
fn what_is_no_image_is_told_as_such() {
    isolated(|world| {
        let server = Server::start(ADDRESS, move |request| {
            let text: &[u8] = match request.target.rsplit('/').next().unwrap() {
                "html" => b"<html>Welcome</html>",
                "old" => br#"{"schemaVersion":1,"fsLayers":[]}"#,
                "empty" => br#"{"manifests":[]}"#,
                _ => b"{}",
            };
            Response::new(200, text)
        });
        for (tag, part) in [
            ("html", "cannot understand the manifest"),
            ("old", "schema 1"),
            ("empty", "only for"),
            ("other", "neither a manifest nor an index"),
        ] {
            let error = world
                .pull(&server.reference(&format!("app:{tag}")))
                .unwrap_err();
            assert!(error.to_string().contains(part), "{tag}: {error}");
        }
    });
}

#[test]
fn an_index_that_leads_to_itself_ends() {
    isolated(|world| {
        let server = Server::start(ADDRESS, move |request| {
            // Each answers with an index of the next; digests are not stated.
            let next = Digest::of(request.target.as_bytes());
            let text = format!(r#"{{"manifests":[{{"digest":"{next}","size":1}}]}}"#);
            Response::new(200, text.as_bytes())
        });
        let error = world.pull(&server.reference("app")).unwrap_err();
        assert!(matches!(error, ImageError::WrongDigest { .. }), "{error}");
    });
}

#[test]
fn a_busy_registry_is_asked_again_as_it_says() {
    isolated(|world| {
        let served = image();
        let asked = AtomicUsize::new(0);
        let server = Server::start(ADDRESS, move |request| {
            if !request.target.contains("/manifests/") {
                return answer(&served, request);
            }
            match asked.fetch_add(1, Ordering::SeqCst) {
                0 => Response::new(429, b"").header("Retry-After", "1"),
                1 => Response::new(503, b""),
                _ => answer(&served, request),
            }
        });
        let begun = Instant::now();
        world.pull(&server.reference("app")).unwrap();
        assert!(begun.elapsed().as_millis() >= 1000);
        assert_eq!(server.count("/manifests/"), 3);
    });
}

#[test]
fn a_registry_that_stays_busy_is_given_up() {
    isolated(|world| {
        let text =
            br#"{"errors":[{"code":"TOOMANYREQUESTS","message":"pull rate limit reached"}]}"#;
        let server = Server::start(ADDRESS, move |request| match request.target.as_str() {
            "/v2/" => Response::new(200, b"{}"),
            _ => Response::new(429, text).header("Retry-After", "21600"),
        });
        let error = world.pull(&server.reference("app")).unwrap_err();
        assert!(
            error.to_string().contains("429 Too Many Requests"),
            "{error}"
        );
        assert!(
            error.to_string().contains("pull rate limit reached"),
            "{error}"
        );
        assert!(error.hint().unwrap().contains("log in"));
        // To wait six hours is not what anybody wants.
        assert_eq!(server.count("/manifests/"), 1);
    });
}

#[test]
fn an_unreachable_registry_is_told_at_once() {
    isolated(|world| {
        let begun = Instant::now();
        let error = world.pull("127.0.0.1:1/app").unwrap_err();
        assert!(matches!(error, ImageError::Unreachable { .. }), "{error}");
        assert!(
            error
                .to_string()
                .contains("cannot reach registry `127.0.0.1:1`"),
            "{error}"
        );
        assert!(error.to_string().contains("refused"), "{error}");
        assert!(begun.elapsed().as_secs() < 2);
        assert!(error.hint().unwrap().contains("skiff load"));
    });
}

#[test]
fn one_image_asked_for_twice_at_a_time_is_pulled_once() {
    isolated(|world| {
        let served = image();
        let server = Server::start(ADDRESS, move |request| answer(&served, request));
        let wanted = request(&server.reference("app"), AccessOptions::default());
        let twice = [
            pull(&world.store, &wanted, &Silent),
            pull(&world.store, &wanted, &Silent),
        ];
        let images = world
            .run(futures_util::future::try_join_all(twice))
            .unwrap();
        assert_eq!(images[0], images[1]);
        assert_eq!(
            (server.count("/manifests/"), server.count("/blobs/")),
            (1, 2)
        );
    });
}

#[test]
fn one_layer_wanted_by_two_processes_is_downloaded_once() {
    isolated(|world| {
        let served = image();
        let server = Server::start(ADDRESS, move |request| answer(&served, request));
        let stores = [world.another_store(), world.another_store()];
        let wanted = request(&server.reference("app"), AccessOptions::default());
        let pulls = stores.iter().map(|store| pull(store, &wanted, &Silent));
        world
            .run(futures_util::future::try_join_all(pulls))
            .unwrap();
        assert_eq!(
            server.count(Digest::of(&image().layers[0].blob).as_str()),
            1
        );
    });
}

/// Three images that have layers in common, in each order, asked for by three
/// processes at a time and twice by each.
#[test]
fn overlapping_images_fetch_each_layer_once() {
    isolated(|world| {
        let layer = |number: u64| Layer::new(&[("data", &noise(2 * number, 300_000))]);
        let served = [[1, 2, 3], [2, 1, 4], [3, 2, 1]];
        let served = served.map(|seeds| TestImage::new(seeds.map(layer).into()));
        let blobs: Vec<Digest> = [1, 2, 3, 4]
            .map(|seed| Digest::of(&layer(seed).blob))
            .into();
        let server = Server::start(ADDRESS, move |request| {
            let named = ["/v2/a/", "/v2/b/", "/v2/c/"];
            let which = named
                .iter()
                .position(|part| request.target.starts_with(part));
            answer(&served[which.unwrap_or(0)], request)
        });
        let stores: Vec<_> = (0..3).map(|_| world.another_store()).collect();
        let wanted =
            ["a", "b", "c"].map(|name| request(&server.reference(name), AccessOptions::default()));
        let pulls = stores
            .iter()
            .zip(&wanted)
            .flat_map(|one| [one, one])
            .map(|(store, wanted)| pull(store, wanted, &Silent));
        world
            .run(futures_util::future::try_join_all(pulls))
            .unwrap();
        for blob in &blobs {
            assert_eq!(server.count(blob.as_str()), 1, "{blob}");
        }
        // What came meanwhile is right, whoever unpacked it.
        let verified = world.store.verify(&[]).unwrap();
        assert_eq!(verified.len(), 3);
        assert!(
            verified.iter().all(|image| image.problems.is_empty()),
            "{verified:?}"
        );
        // One more that shares all but one layer fetches just that one.
        let more = TestImage::new(vec![layer(4), layer(5), layer(1)]);
        let new = Digest::of(&layer(5).blob);
        let second = Server::start("127.0.0.1:5001", move |request| answer(&more, request));
        world.pull(&second.reference("d")).unwrap();
        assert_eq!(second.count("/blobs/"), 2, "the layer and the config");
        assert_eq!(second.count(new.as_str()), 1);
    });
}

#[test]
fn a_failed_pull_leaves_the_earlier_image_as_it_was() {
    isolated(|world| {
        let good = image();
        let broken = TestImage::new(vec![Layer::new(&[("data", b"new")])]);
        let new = std::sync::atomic::AtomicBool::new(false);
        let new = std::sync::Arc::new(new);
        let switch = std::sync::Arc::clone(&new);
        let server = Server::start(ADDRESS, move |request| {
            if !switch.load(Ordering::SeqCst) {
                return answer(&good, request);
            }
            if is_layer(&broken, &request.target) {
                return not_found();
            }
            answer(&broken, request)
        });
        let before = world.pull(&server.reference("app")).unwrap();
        new.store(true, Ordering::SeqCst);
        let error = world.pull(&server.reference("app")).unwrap_err();
        assert!(matches!(error, ImageError::NotFound { .. }), "{error}");
        assert_eq!(
            world.store.find(&server.reference("app")).unwrap(),
            Some(before)
        );
    });
}
