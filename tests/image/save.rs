//! Saving: what is written is read again here and by skopeo, and the other way
//! round.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;
use std::process::Command;

use fs_err as fs;
use serde_json::Value;
use skiff::event::Silent;
use skiff::image::{Image, ImageError, LoadSource, Platform, Reference, Store, load, save};

use crate::support::image::{Layer, Packing, TestImage};
use crate::support::program;
use crate::support::registry::Registry;
use crate::support::world::{World, isolated};

const ADDRESS: &str = "127.0.0.1:5000";

/// An image of the store that came from a registry: two layers, one of them
/// with what a layer above a layer can have.
fn pulled(world: &World) -> Image {
    let registry = Registry::start(world, ADDRESS);
    let base = Layer::packed(&[("etc/a", b"a"), ("etc/b", b"b")], Packing::Gzip);
    let top = Layer::packed(
        &[("etc/.wh.a", b""), ("deep/er/c", &vec![7; 100_000])],
        Packing::Zstd,
    );
    TestImage::new(vec![base, top]).push(registry.address, "team/app", "1");
    world.pull("127.0.0.1:5000/team/app:1").unwrap()
}

fn save_to(store: &Store, names: &[&str], path: &Path) -> Result<(), ImageError> {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let file = fs::File::create(path).unwrap();
    save(store, &names, None, "the archive", file)
}

fn load_from(store: &Store, path: &Path) -> Vec<Image> {
    load(store, LoadSource::File(path.to_owned()), &Silent).unwrap()
}

/// Files of an archive, in order.
fn files(path: &Path) -> Vec<(String, Vec<u8>)> {
    let mut archive = tar::Archive::new(fs::File::open(path).unwrap());
    let entries = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        assert_eq!(entry.header().mtime().unwrap(), 0);
        let name = entry.path().unwrap().display().to_string();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        (name, content)
    });
    entries.collect()
}

/// A store that is empty yet.
fn other(world: &World, name: &str) -> Store {
    let folder = world.path(name);
    let layout = skiff::state::Layout::new(folder.join("data"), folder.join("run"));
    Store::open(&layout)
}

/// The same image with the same layers, wherever it is.
fn assert_same(a: (&Store, &Image), b: (&Store, &Image)) {
    assert_eq!(a.1.id, b.1.id);
    assert_eq!(a.1.raw_config, b.1.raw_config);
    assert_eq!((&a.1.layers, a.1.size), (&b.1.layers, b.1.size));
    // Folders are compared with their archives, entry by entry.
    for (store, image) in [a, b] {
        let verified = store.verify(&[image.id.to_string()]).unwrap();
        assert_eq!(verified[0].problems, []);
    }
}

#[test]
fn a_saved_image_is_loaded_as_it_was() {
    isolated(|world| {
        let image = pulled(world);
        let path = world.path("app.tar");
        save_to(&world.store, &["127.0.0.1:5000/team/app:1"], &path).unwrap();
        let there = other(world, "there");
        let loaded = load_from(&there, &path);
        assert_eq!(loaded.len(), 1);
        assert_eq!(loaded[0].names, image.names);
        assert_same((&world.store, &image), (&there, &loaded[0]));
        // The same again is the same file, here and there.
        let again = world.path("again.tar");
        save_to(&there, &["127.0.0.1:5000/team/app:1"], &again).unwrap();
        assert!(fs::read(&path).unwrap() == fs::read(&again).unwrap());
    });
}

#[test]
fn the_archive_has_both_lists_and_each_blob_once() {
    isolated(|world| {
        let image = pulled(world);
        let tag = |name: &str| {
            let name = Reference::parse(name).unwrap();
            world.store.tag(image.id.as_str(), &name).unwrap();
        };
        tag("team/app:1");
        tag("team/app:2");
        tag("other:1");
        let path = world.path("app.tar");
        // A repository means all its tags, an id none.
        save_to(&world.store, &["team/app", image.id.short()], &path).unwrap();
        let files = files(&path);
        let names: Vec<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
        let (blobs, rest) = names.split_at(names.len() - 4);
        assert_eq!(
            rest,
            ["index.json", "manifest.json", "oci-layout", "repositories"]
        );
        // Two folders, two layers, config and manifest.
        assert_eq!(blobs.len(), 6);
        assert!(blobs.is_sorted());
        let by_name: BTreeMap<&str, &[u8]> = files
            .iter()
            .map(|(name, content)| (&**name, &**content))
            .collect();
        let json = |name: &str| -> Value { serde_json::from_slice(by_name[name]).unwrap() };
        let index = json("index.json");
        let annotation = |key: &str| -> Vec<&str> {
            let manifests = index["manifests"].as_array().unwrap().iter();
            manifests
                .map(|one| one["annotations"][key].as_str().unwrap())
                .collect()
        };
        assert_eq!(
            annotation("io.containerd.image.name"),
            ["docker.io/team/app:1", "docker.io/team/app:2"]
        );
        assert_eq!(annotation("org.opencontainers.image.ref.name"), ["1", "2"]);
        let list = json("manifest.json");
        assert_eq!(list.as_array().unwrap().len(), 1);
        assert_eq!(
            list[0]["RepoTags"],
            serde_json::json!(["team/app:1", "team/app:2"])
        );
        let config = list[0]["Config"].as_str().unwrap();
        assert_eq!(by_name[config], image.raw_config.as_bytes());
        let layers = list[0]["Layers"].as_array().unwrap();
        for (layer, diff_id) in layers.iter().zip(&image.layers) {
            assert_eq!(*layer, format!("blobs/sha256/{}", diff_id.hex()));
        }
        save_to(&world.store, &[image.id.as_str()], &path).unwrap();
        let there = other(world, "there");
        assert_eq!(load_from(&there, &path)[0].names, []);
    });
}

#[test]
fn what_cannot_be_saved_is_said_by_name() {
    isolated(|world| {
        let image = pulled(world);
        let path = world.path("app.tar");
        let error = save_to(&world.store, &["nothing"], &path).unwrap_err();
        assert!(matches!(error, ImageError::NoSuchImage(name) if name == "nothing"));
        let arm = Platform::parse("linux/arm64").unwrap();
        let names = [image.id.to_string()];
        let error = save(&world.store, &names, Some(&arm), "x", Vec::new()).unwrap_err();
        assert!(matches!(error, ImageError::NoPlatform { .. }), "{error}");
        let full = fs::OpenOptions::new().write(true).open("/dev/full");
        let (full, _) = full.unwrap().into_parts();
        let error = save(&world.store, &names, None, "`/dev/full`", full).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("cannot write `/dev/full`: No space"),
            "{error}"
        );
        let inside = world.store.layer_dir(&image.layers[0]).join("etc/b");
        fs::write(inside, "B").unwrap();
        let error = save(&world.store, &names, None, "x", Vec::new()).unwrap_err();
        assert!(matches!(error, ImageError::WrongDigest { .. }), "{error}");
    });
}

fn skopeo(args: &[&str]) -> Vec<u8> {
    let output = Command::new(program("skopeo", "skopeo"))
        .args(["--insecure-policy", "--tmpdir", "/tmp"])
        .args(args)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "skopeo {args:?}: {errors}");
    output.stdout
}

#[test]
fn skopeo_reads_what_is_saved_and_writes_what_is_loaded() {
    isolated(|world| {
        let image = pulled(world);
        let path = world.path("app.tar");
        save_to(&world.store, &["127.0.0.1:5000/team/app:1"], &path).unwrap();
        let from = path.display();
        let forms = [
            (format!("docker-archive:{from}"), "docker", "docker-archive"),
            (format!("oci-archive:{from}:1"), "oci", "oci-archive"),
        ];
        for (form, name, kind) in &forms {
            let seen: Value = serde_json::from_slice(&skopeo(&["inspect", form])).unwrap();
            let layers: Vec<&str> = image
                .layers
                .iter()
                .map(skiff::image::Digest::as_str)
                .collect();
            assert_eq!(seen["Layers"], serde_json::json!(layers), "{form}");
            let config = skopeo(&["inspect", "--config", "--raw", form]);
            assert_eq!(config, image.raw_config.as_bytes(), "{form}");

            let copy = world.path(&format!("{name}.tar"));
            let to = format!("{kind}:{}:copied/app:2", copy.display());
            skopeo(&["copy", "--quiet", form, &to]);
            let there = other(world, name);
            let loaded = load_from(&there, &copy);
            assert_eq!(loaded[0].names[0].familiar(), "copied/app:2");
            assert_same((&world.store, &image), (&there, &loaded[0]));
        }
    });
}
