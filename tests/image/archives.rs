//! Loading archives of both kinds.

use std::collections::HashMap;
use std::io::{Cursor, Write as _};
use std::os::unix::fs::FileExt as _;

use fs_err as fs;
use serde_json::{Value, json};
use skiff::event::Silent;
use skiff::image::{Digest, Image, ImageError, LoadSource, Platform, Reference, load, load_for};

use crate::support::events::Recorder;
use crate::support::image::{Layer, OCI_INDEX, OCI_MANIFEST, Packing, TestImage, descriptor};
use crate::support::world::{World, isolated};

/// Files of an archive, in order.
#[derive(Default)]
struct Archive {
    files: Vec<(String, Vec<u8>)>,
    links: Vec<(String, String)>,
}

impl Archive {
    fn file(mut self, name: &str, content: &[u8]) -> Self {
        self.files.push((name.to_owned(), content.to_vec()));
        self
    }

    fn json(self, name: &str, content: &Value) -> Self {
        self.file(name, content.to_string().as_bytes())
    }

    fn link(mut self, name: &str, target: &str) -> Self {
        self.links.push((name.to_owned(), target.to_owned()));
        self
    }

    fn blob(self, content: &[u8]) -> Self {
        self.file(
            &format!("blobs/sha256/{}", Digest::of(content).hex()),
            content,
        )
    }

    fn blobs(self, image: &TestImage) -> Self {
        let layers = image.layers.iter().map(|layer| layer.blob.as_slice());
        let documents = [image.config.as_slice(), &image.manifest];
        layers.chain(documents).fold(self, Self::blob)
    }

    fn finish(self) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        for (name, content) in self.files {
            header.set_size(content.len() as u64);
            builder
                .append_data(&mut header, name, &content[..])
                .unwrap();
        }
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        for (name, target) in self.links {
            builder.append_link(&mut header, name, target).unwrap();
        }
        builder.into_inner().unwrap()
    }
}

fn app() -> TestImage {
    let layers = vec![
        Layer::packed(&[("base", b"base")], Packing::Plain),
        Layer::packed(&[("top", b"top")], Packing::Plain),
    ];
    TestImage::new(layers)
}

/// As `docker save` wrote it up to version 24: the list at the end, layers in
/// folders, a link for a layer that is there already.
fn legacy(image: &TestImage) -> Vec<u8> {
    let config = format!("{}.json", image.id().hex());
    Archive::default()
        .file("aa/VERSION", b"1.0")
        .file("aa/json", b"{}")
        .file("aa/layer.tar", &image.layers[0].tar)
        .file("cc/layer.tar", &image.layers[1].tar)
        .file(&config, &image.config)
        .link("bb/layer.tar", "../cc/layer.tar")
        .json(
            "manifest.json",
            &json!([{"Config": config, "RepoTags": ["app:1", "registry.test/team/app:2"],
                     "Layers": ["aa/layer.tar", "bb/layer.tar"]}]),
        )
        .json("repositories", &json!({"app": {"1": "bb"}}))
        .finish()
}

/// As `docker save` writes it since version 25: an OCI layout with both lists.
fn modern(image: &TestImage) -> Vec<u8> {
    let path = |content: &[u8]| format!("blobs/sha256/{}", Digest::of(content).hex());
    let layers: Vec<String> = image.layers.iter().map(|layer| path(&layer.blob)).collect();
    Archive::default()
        .blobs(image)
        .json(
            "index.json",
            &json!({"schemaVersion": 2, "manifests": [descriptor(OCI_MANIFEST, &image.manifest)]}),
        )
        .json(
            "manifest.json",
            &json!([{"Config": path(&image.config), "RepoTags": ["app:1"], "Layers": layers}]),
        )
        .json("oci-layout", &json!({"imageLayoutVersion": "1.0.0"}))
        .finish()
}

fn oci(images: &[(&TestImage, HashMap<&str, &str>, Value)]) -> Vec<u8> {
    let manifests: Vec<Value> = images
        .iter()
        .map(|(image, annotations, platform)| {
            let mut entry = image.entry(platform);
            entry["annotations"] = json!(annotations);
            if platform.is_null() {
                entry.as_object_mut().unwrap().remove("platform");
            }
            entry
        })
        .collect();
    let archive = Archive::default()
        .json("oci-layout", &json!({"imageLayoutVersion": "1.0.0"}))
        .json(
            "index.json",
            &json!({"schemaVersion": 2, "manifests": manifests}),
        );
    images
        .iter()
        .fold(archive, |archive, (image, ..)| archive.blobs(image))
        .finish()
}

fn stream(bytes: Vec<u8>) -> LoadSource {
    LoadSource::Stream("standard input".to_owned(), Box::new(Cursor::new(bytes)))
}

fn load_bytes(world: &World, bytes: Vec<u8>) -> Result<Vec<Image>, ImageError> {
    load(&world.store, stream(bytes), &Silent)
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn names(image: &Image) -> Vec<String> {
    image
        .names
        .iter()
        .map(skiff::image::Reference::familiar)
        .collect()
}

fn assert_app(world: &World, image: &Image) {
    assert_eq!(image.id, app().id());
    assert_eq!(world.read(image, 0, "base"), "base");
    assert_eq!(world.read(image, 1, "top"), "top");
    assert_eq!(image.config.cmd, ["/bin/x"]);
}

#[test]
fn docker_archives_of_each_age_and_packing_are_loaded() {
    for bytes in [legacy(&app()), modern(&app())] {
        let zstd = zstd::encode_all(&bytes[..], 1).unwrap();
        for packed in [bytes.clone(), gzip(&bytes), zstd] {
            isolated(|world| {
                let path = world.path("archive");
                fs::write(&path, &packed).unwrap();
                let from_file = load(&world.store, LoadSource::File(path), &Silent).unwrap();
                assert_app(world, &from_file[0]);
                assert_eq!(world.store.find("app:1").unwrap().unwrap().id, app().id());
                // From a pipe the same, and it is the same image.
                let events = Recorder::default();
                let again = load(&world.store, stream(packed.clone()), &events).unwrap();
                assert_eq!(again[0].id, from_file[0].id);
                assert_eq!(events.outcomes("Loaded"), 1);
                assert_eq!(world.store.list().unwrap().len(), 1);
            });
        }
    }
}

#[test]
fn all_names_of_an_archive_are_given() {
    isolated(|world| {
        let images = load_bytes(world, legacy(&app())).unwrap();
        assert_eq!(names(&images[0]), ["app:1", "registry.test/team/app:2"]);
        // And no others that the image had here.
        let id = images[0].id.to_string();
        let other = Reference::parse("own/name:3").unwrap();
        world.store.tag(&id, &other).unwrap();
        let again = load_bytes(world, legacy(&app())).unwrap();
        assert_eq!(names(&again[0]), names(&images[0]));
        assert_eq!(images[0].digest, None);
    });
}

#[test]
fn an_archive_without_names_gives_images_by_id() {
    isolated(|world| {
        let config = "c.json";
        let bytes = Archive::default()
            .file("l/layer.tar", &app().layers[0].tar)
            .file("m/layer.tar", &app().layers[1].tar)
            .file(config, &app().config)
            .json(
                "manifest.json",
                &json!([{"Config": config, "RepoTags": null,
                                            "Layers": ["l/layer.tar", "m/layer.tar"]}]),
            )
            .finish();
        let images = load_bytes(world, bytes).unwrap();
        assert_eq!(names(&images[0]), Vec::<String>::new());
        let found = world.store.find(app().id().short()).unwrap();
        assert_app(world, &found.unwrap());
    });
}

#[test]
fn oci_archives_are_loaded_with_the_names_of_their_annotations() {
    let full = HashMap::from([
        ("io.containerd.image.name", "docker.io/library/app:1"),
        ("org.opencontainers.image.ref.name", "1"),
    ]);
    let reference = HashMap::from([("org.opencontainers.image.ref.name", "quay.io/a/app:2")]);
    let tag_only = HashMap::from([("org.opencontainers.image.ref.name", "3")]);
    for (annotations, expected) in [
        (full, vec!["app:1"]),
        (reference, vec!["quay.io/a/app:2"]),
        (tag_only, vec![]),
    ] {
        isolated(|world| {
            let gzipped = TestImage::new(vec![
                Layer::packed(&[("base", b"base")], Packing::Gzip),
                Layer::packed(&[("top", b"top")], Packing::Zstd),
            ]);
            let bytes = oci(&[(&gzipped, annotations.clone(), Value::Null)]);
            let images = load_bytes(world, bytes).unwrap();
            assert_app(world, &images[0]);
            assert_eq!(names(&images[0]), expected);
            assert_eq!(images[0].digest, Some(gzipped.digest()));
        });
    }
}

#[test]
fn an_oci_archive_for_several_platforms_gives_the_host_s() {
    let image = |arch: &str| {
        TestImage::with(
            vec![Layer::new(&[("a", arch.as_bytes())])],
            arch,
            &json!({}),
        )
    };
    let (amd, arm) = (image("amd64"), image("arm64"));
    let name = HashMap::from([("io.containerd.image.name", "docker.io/library/app:1")]);
    let platform = |arch: &str| json!({"os": "linux", "architecture": arch});
    // Both at the top, and both in an index of their own.
    let flat = oci(&[
        (&arm, name.clone(), platform("arm64")),
        (&amd, name.clone(), platform("amd64")),
    ]);
    let index = json!({"schemaVersion": 2, "mediaType": OCI_INDEX,
        "manifests": [arm.entry(&platform("arm64")), amd.entry(&platform("amd64"))]});
    let index = index.to_string().into_bytes();
    let mut top = descriptor(OCI_INDEX, &index);
    top["annotations"] = json!(name);
    let nested = Archive::default()
        .blobs(&amd)
        .blob(&index)
        .json("index.json", &json!({"manifests": [top]}))
        .finish();
    isolated(|world| {
        let load = |platform: &str| {
            let platform = Platform::parse(platform).unwrap();
            load_for(&world.store, stream(flat.clone()), Some(&platform), &Silent)
        };
        assert_eq!(load("linux/arm64").unwrap()[0].id, arm.id());
        let error = load("linux/s390x").unwrap_err();
        assert!(matches!(error, ImageError::NoPlatform { .. }), "{error}");
        // What is there alone is taken only where it is what was asked for.
        let single = stream(modern(&app()));
        let s390x = Platform::parse("linux/s390x").unwrap();
        let error = load_for(&world.store, single, Some(&s390x), &Silent).unwrap_err();
        assert!(matches!(error, ImageError::NoPlatform { .. }), "{error}");
    });
    for bytes in [flat, nested] {
        isolated(|world| {
            let images = load_bytes(world, bytes.clone()).unwrap();
            assert_eq!(images.len(), 1);
            assert_eq!(images[0].id, amd.id());
            assert_eq!(names(&images[0]), ["app:1"]);
        });
    }
}

#[test]
fn what_is_no_archive_of_images_is_refused_with_a_reason() {
    let config = "c.json";
    let with_layers = |layers: Value| {
        Archive::default()
            .file(config, &app().config)
            .file("a.tar", &app().layers[0].tar)
            .file("b.tar", b"this is no archive, by no means")
            .json(
                "manifest.json",
                &json!([{"Config": config, "RepoTags": ["a:1"], "Layers": layers}]),
            )
            .finish()
    };
    let swapped = with_layers(json!(["a.tar", "a.tar"]));
    for (bytes, part) in [
        (
            b"plain text that is long enough to be looked at".to_vec(),
            "it is no archive: ",
        ),
        (vec![7; 2048], "cannot load standard input"),
        (
            Archive::default().file("etc/passwd", b"x").finish(),
            "neither `manifest.json` nor `index.json`",
        ),
        (
            Archive::default().file("manifest.json", b"{").finish(),
            "`manifest.json` is not understood",
        ),
        (
            Archive::default().file("manifest.json", b"[]").finish(),
            "list of images is empty",
        ),
        (
            with_layers(json!(["a.tar"])),
            "lists 1 layers, its config 2",
        ),
        (
            with_layers(json!(["a.tar", "none.tar"])),
            "lacks the file `none.tar`",
        ),
        (
            with_layers(json!(["a.tar", "../../etc/passwd"])),
            "lacks the file",
        ),
        (
            with_layers(json!(["a.tar", "b.tar"])),
            "cannot unpack layer",
        ),
        (swapped, "has digest"),
        (legacy(&app())[..3000].to_vec(), "cannot load"),
        (gzip(&legacy(&app()))[..200].to_vec(), "cannot load"),
    ] {
        isolated(|world| {
            let error = load_bytes(world, bytes.clone()).unwrap_err().to_string();
            assert!(error.contains(part), "{part}: {error}");
            assert_eq!(world.store.list().unwrap(), []);
        });
    }
}

#[test]
fn a_blob_with_another_digest_is_refused() {
    isolated(|world| {
        let name = HashMap::from([("io.containerd.image.name", "docker.io/library/app:1")]);
        let image = app();
        let mut bytes = oci(&[(&image, name, Value::Null)]);
        let at = bytes.windows(6).position(|w| w == b"/bin/x").unwrap();
        bytes[at] = b'!';
        let error = load_bytes(world, bytes).unwrap_err();
        assert!(matches!(error, ImageError::WrongDigest { .. }), "{error}");
        world.assert_empty();
    });
}

#[test]
fn a_file_that_is_not_there_is_named() {
    isolated(|world| {
        let source = LoadSource::File("/nonexistent/x.tar".into());
        let error = load(&world.store, source, &Silent).unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot open `/nonexistent/x.tar`: No such file or directory (os error 2)"
        );
    });
}

#[test]
fn a_plain_file_is_read_in_place() {
    isolated(|world| {
        // A hole of 8 GiB between the layer and the list: whoever reads all of
        // it, or copies it, takes far too long.
        let path = world.path("sparse.tar");
        let image = TestImage::new(vec![Layer::packed(&[("a", b"a")], Packing::Plain)]);
        let mut head = Archive::default()
            .file("a.tar", &image.layers[0].tar)
            .file("c.json", &image.config)
            .finish();
        head.truncate(head.len() - 1024);
        let hole = 8_u64 << 30;
        let mut header = tar::Header::new_gnu();
        header.set_path("hole").unwrap();
        header.set_size(hole);
        header.set_mode(0o644);
        header.set_cksum();
        head.extend_from_slice(header.as_bytes());
        let list = json!([{"Config": "c.json", "RepoTags": ["a:1"], "Layers": ["a.tar"]}]);
        let tail = Archive::default().json("manifest.json", &list).finish();
        let file = fs::File::create(&path).unwrap();
        file.file().write_all_at(&head, 0).unwrap();
        file.file()
            .write_all_at(&tail, head.len() as u64 + hole)
            .unwrap();
        let begun = std::time::Instant::now();
        let images = load(&world.store, LoadSource::File(path), &Silent).unwrap();
        assert_eq!(names(&images[0]), ["a:1"]);
        assert!(begun.elapsed().as_secs() < 3);
    });
}
