//! Against Debian's docker-registry.

use std::os::unix::fs::MetadataExt as _;

use fs_err as fs;
use serde_json::json;
use skiff::event::Silent;
use skiff::image::{AccessOptions, ImageError, Platform, pull};

use crate::support::events::Recorder;
use crate::support::image::{DOCKER_LIST, Layer, OCI_INDEX, Packing, TestImage, push_manifest};
use crate::support::program;
use crate::support::registry::Registry;
use crate::support::world::{World, isolated, request};

const ADDRESS: &str = "127.0.0.1:5000";

fn busybox() -> TestImage {
    let busybox = fs::read(program("busybox", "busybox-static")).unwrap();
    let config = json!({
        "Env": ["PATH=/bin"], "Cmd": ["sh"], "Volumes": {"/data": {}}, "WorkingDir": "/data",
        "Healthcheck": {"Test": ["CMD", "true"], "Interval": 1_000_000_000},
    });
    TestImage::with(
        vec![Layer::new(&[("bin/busybox", &busybox)])],
        "amd64",
        &config,
    )
}

#[test]
fn a_busybox_image_is_pulled_whole() {
    isolated(|world| {
        let registry = Registry::start(world, ADDRESS);
        let pushed = busybox();
        pushed.push(registry.address, "busybox", "latest");
        let image = world.pull("127.0.0.1:5000/busybox").unwrap();
        assert_eq!(image.id, pushed.id());
        assert_eq!(image.digest, Some(pushed.digest()));
        assert_eq!(image.names[0].familiar(), "127.0.0.1:5000/busybox:latest");
        assert_eq!(image.config.env, ["PATH=/bin"]);
        assert_eq!(image.config.volumes, ["/data"]);
        assert!(image.config.healthcheck.is_some());
        assert_eq!(image.created.as_deref(), Some("2026-01-02T03:04:05Z"));
        let inside = world.store.layer_dir(&image.layers[0]).join("bin/busybox");
        let outside = program("busybox", "busybox-static");
        assert_eq!(fs::read(&inside).unwrap(), fs::read(&outside).unwrap());
        assert_eq!(fs::metadata(&inside).unwrap().mode() & 0o7777, 0o755);
        assert_eq!(
            world.store.find("127.0.0.1:5000/busybox").unwrap(),
            Some(image.clone())
        );
        let by_digest = format!("127.0.0.1:5000/busybox@{}", pushed.digest());
        assert_eq!(world.store.find(&by_digest).unwrap().unwrap().id, image.id);
        assert_eq!(world.pull(&by_digest).unwrap().id, image.id);
    });
}

#[test]
fn layers_of_each_packing_are_pulled_in_order() {
    isolated(|world| {
        let registry = Registry::start(world, ADDRESS);
        let layers = vec![
            Layer::packed(&[("a", b"one"), ("b", b"one")], Packing::Gzip),
            Layer::packed(&[("b", b"two")], Packing::Zstd),
            Layer::packed(&[("c", b"three"), (".wh.a", b"")], Packing::Plain),
            Layer::new(&[]),
            Layer::new(&[]),
            Layer::new(&[("d/e", &[7; 500_000])]),
        ];
        TestImage::new(layers).push(registry.address, "many", "1");
        let image = world.pull("localhost:5000/many:1").unwrap();
        assert_eq!(image.layers.len(), 6);
        assert_eq!(image.layers[3], image.layers[4]);
        assert_eq!(world.read(&image, 0, "b"), "one");
        assert_eq!(world.read(&image, 1, "b"), "two");
        assert_eq!(world.read(&image, 2, "c"), "three");
        assert_eq!(image.size, 3 + 3 + 3 + 5 + 500_000);
    });
}

#[test]
fn only_what_is_new_is_downloaded_again() {
    isolated(|world| {
        let registry = Registry::start(world, ADDRESS);
        let base = || Layer::new(&[("base", b"base")]);
        TestImage::new(vec![base(), Layer::new(&[("v", b"1")])])
            .into_docker()
            .push(registry.address, "app", "latest");
        let options = AccessOptions::default;
        let first = Recorder::default();
        let wanted = request("127.0.0.1:5000/app", options());
        let old = world.run(pull(&world.store, &wanted, &first)).unwrap();
        assert_eq!(first.outcomes("Pull complete"), 2);
        assert_eq!(first.outcomes("Pulled"), 1);

        TestImage::new(vec![base(), Layer::new(&[("v", b"2")])]).push(
            registry.address,
            "app",
            "latest",
        );
        let second = Recorder::default();
        let new = world.run(pull(&world.store, &wanted, &second)).unwrap();
        assert_eq!(
            (
                second.outcomes("Already exists"),
                second.outcomes("Pull complete")
            ),
            (1, 1)
        );
        assert_ne!(new.id, old.id);
        assert_eq!(new.layers[0], old.layers[0]);
        assert_eq!(world.read(&new, 1, "v"), "2");
        assert_eq!(
            world.store.find(old.id.as_str()).unwrap().unwrap().names,
            []
        );
    });
}

#[test]
fn the_platform_is_chosen_from_an_index() {
    isolated(|world| {
        let registry = Registry::start(world, ADDRESS);
        let image = |arch: &str| {
            let layer = Layer::new(&[("arch", arch.as_bytes())]);
            TestImage::with(vec![layer], arch, &json!({}))
        };
        let (amd, arm) = (image("amd64"), image("arm64"));
        for part in [&amd, &arm] {
            part.push(registry.address, "multi", part.digest().as_str());
        }
        for (kind, tag) in [(OCI_INDEX, "oci"), (DOCKER_LIST, "docker")] {
            let index = json!({"schemaVersion": 2, "mediaType": kind, "manifests": [
                arm.entry(&json!({"os": "linux", "architecture": "arm64", "variant": "v8"})),
                amd.entry(&json!({"os": "linux", "architecture": "amd64"})),
            ]});
            push_manifest(
                registry.address,
                "multi",
                tag,
                kind,
                index.to_string().as_bytes(),
            );
            let reference = format!("127.0.0.1:5000/multi:{tag}");
            for (platform, expected) in [("linux/amd64", &amd), ("linux/arm64", &arm)] {
                let pulled = pull_for(world, &reference, platform).unwrap();
                assert_eq!(pulled.id, expected.id());
                assert_eq!(pulled.platform.to_string(), platform);
                assert_eq!(pulled.digest, Some(expected.digest()));
            }
            let error = pull_for(world, &reference, "linux/s390x").unwrap_err();
            assert_eq!(
                error.to_string(),
                format!(
                    "image `{reference}` is not there for linux/s390x, only for linux/arm64, linux/amd64"
                )
            );
        }
    });
}

#[test]
fn an_image_for_another_platform_is_taken_with_a_warning_unless_one_was_asked_for() {
    isolated(|world| {
        let registry = Registry::start(world, ADDRESS);
        let layer = Layer::new(&[("x", b"x")]);
        TestImage::with(vec![layer], "s390x", &json!({})).push(registry.address, "big", "1");
        let events = Recorder::default();
        let wanted = request("127.0.0.1:5000/big:1", AccessOptions::default());
        world.run(pull(&world.store, &wanted, &events)).unwrap();
        assert!(
            events.warnings()[0].contains("is for linux/s390x"),
            "{:?}",
            events.warnings()
        );
        let error = pull_for(world, "127.0.0.1:5000/big:1", "linux/amd64").unwrap_err();
        assert!(matches!(error, ImageError::NoPlatform { .. }), "{error}");
    });
}

fn pull_for(
    world: &World,
    reference: &str,
    platform: &str,
) -> Result<skiff::image::Image, ImageError> {
    let mut wanted = request(reference, AccessOptions::default());
    wanted.platform = Some(Platform::parse(platform).unwrap());
    world.run(pull(&world.store, &wanted, &Silent))
}

#[test]
fn an_unknown_image_is_said_to_be_unknown() {
    isolated(|world| {
        let registry = Registry::start(world, ADDRESS);
        busybox().push(registry.address, "busybox", "latest");
        for reference in ["127.0.0.1:5000/nothing", "127.0.0.1:5000/busybox:9"] {
            let error = world.pull(reference).unwrap_err();
            assert!(matches!(error, ImageError::NotFound { .. }), "{error}");
            assert!(error.to_string().contains("has no image"), "{error}");
        }
        world.assert_empty();
    });
}

#[test]
fn several_pulls_at_a_time_share_their_layers() {
    isolated(|world| {
        let registry = Registry::start(world, ADDRESS);
        let base = || Layer::new(&[("base", &vec![1; 2_000_000])]);
        for name in ["a", "b", "c"] {
            let own = Layer::new(&[("own", name.as_bytes())]);
            TestImage::new(vec![base(), own]).push(registry.address, name, "1");
        }
        let events = Recorder::default();
        // As several processes: each has its own store value.
        let stores: Vec<_> = (0..3).map(|_| world.another_store()).collect();
        let requests: Vec<_> = ["a", "b", "c"]
            .map(|name| {
                request(
                    &format!("127.0.0.1:5000/{name}:1"),
                    AccessOptions::default(),
                )
            })
            .into();
        let pulls = stores
            .iter()
            .zip(&requests)
            .map(|(store, wanted)| pull(store, wanted, &events));
        let images = world
            .run(futures_util::future::try_join_all(pulls))
            .unwrap();
        assert_eq!(images.len(), 3);
        assert_eq!(
            (
                events.outcomes("Pull complete"),
                events.outcomes("Already exists")
            ),
            (4, 2)
        );
        assert_eq!(world.store.list().unwrap().len(), 3);
    });
}
