//! What is pushed is what is pulled, and is sent only once.

use serde_json::json;
use skiff::event::Silent;
use skiff::image::{AccessOptions, Platform, pull, push};

use super::{ADDRESS, check, image, loaded, manifest, push_to, to};
use crate::support::events::Recorder;
use crate::support::image::{Layer, OCI_INDEX, OCI_MANIFEST, Packing, TestImage};
use crate::support::registry::Registry;
use crate::support::world::{isolated, request};

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
