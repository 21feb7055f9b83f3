//! Archives that are to fill the disk.

use nix::mount::{MsFlags, mount};
use serde_json::json;
use skiff::event::Silent;
use skiff::image::{Digest, ImageError, LoadSource, load};

use crate::support::image::{Layer, Packing, TestImage};
use crate::support::registry::Registry;
use crate::support::world::{World, isolated};

/// Room that the store has, bytes.
const ROOM: usize = 24 << 20;
/// What a bomb unpacks to.
const BOMB: u64 = 1 << 30;

/// Gives the store a small file system of its own, in this test's namespace.
fn small_store(world: &World) {
    let folder = world.path("data");
    fs_err::create_dir_all(&folder).unwrap();
    let options = format!("size={ROOM},mode=700");
    mount(
        Some("tmpfs"),
        &folder,
        Some("tmpfs"),
        MsFlags::empty(),
        Some(options.as_str()),
    )
    .unwrap();
}

/// A layer with one file of zeros, compressed to next to nothing.
fn bomb(mut packed: impl std::io::Write) {
    let mut header = tar::Header::new_gnu();
    header.set_path("bomb").unwrap();
    header.set_mode(0o644);
    header.set_size(BOMB);
    header.set_cksum();
    packed.write_all(header.as_bytes()).unwrap();
    let zeros = vec![0; 1 << 20];
    for _ in 0..BOMB / zeros.len() as u64 {
        packed.write_all(&zeros).unwrap();
    }
    packed.write_all(&[0; 1024]).unwrap();
}

fn free(world: &World) -> u64 {
    let stat = rustix::fs::statvfs(world.path("data")).unwrap();
    stat.f_bavail * stat.f_frsize
}

/// An image that was there before.
fn load_good(world: &World, image: &TestImage) -> Result<(), ImageError> {
    let archive = archive(&image.config, &image.layers[0].blob);
    load(&world.store, stream(archive), &Silent).map(drop)
}

fn archive(config: &[u8], layer: &[u8]) -> Vec<u8> {
    let list = json!([{"Config": "config.json", "RepoTags": ["app:1"], "Layers": ["layer"]}]);
    let mut builder = tar::Builder::new(Vec::new());
    for (name, content) in [
        ("config.json", config),
        ("layer", layer),
        ("manifest.json", list.to_string().as_bytes()),
    ] {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(content.len() as u64);
        builder.append_data(&mut header, name, content).unwrap();
    }
    builder.into_inner().unwrap()
}

fn stream(bytes: Vec<u8>) -> LoadSource {
    LoadSource::Stream("a test".to_owned(), Box::new(std::io::Cursor::new(bytes)))
}

#[test]
fn a_bomb_ends_where_the_disk_does_and_leaves_all_as_it_was() {
    isolated(|world| {
        small_store(world);
        let good = TestImage::new(vec![Layer::packed(&[("f", b"good")], Packing::Plain)]);
        load_good(world, &good).unwrap();
        let before = free(world);
        let diff_id = Digest::of(b"whatever it may be");
        let config = json!({
            "os": "linux", "architecture": "amd64",
            "rootfs": {"type": "layers", "diff_ids": [diff_id]},
        });
        let level = flate2::Compression::fast();
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), level);
        bomb(&mut gzip);
        let mut zstd = zstd::Encoder::new(Vec::new(), 1).unwrap();
        bomb(&mut zstd);
        for packed in [gzip.finish().unwrap(), zstd.finish().unwrap()] {
            assert!(packed.len() < ROOM);
            let archive = archive(config.to_string().as_bytes(), &packed);
            // With the layer packed, or the archive around it.
            let error = load(&world.store, stream(archive), &Silent).unwrap_err();
            assert!(error.to_string().contains("No space left"), "{error}");
            let error = load(&world.store, stream(packed), &Silent).unwrap_err();
            assert!(error.to_string().contains("No space left"), "{error}");
            assert!(
                free(world) + (1 << 20) > before,
                "{} of {before}",
                free(world)
            );
        }
        let images = world.store.list().unwrap();
        assert_eq!(images.len(), 1);
        assert_eq!(images[0].id, good.id());
        let verified = world.store.verify(&[]).unwrap();
        assert_eq!(verified[0].problems, []);
    });
}

#[test]
fn a_pulled_bomb_does_the_same() {
    isolated(|world| {
        small_store(world);
        let registry = Registry::start(world, "127.0.0.1:5000");
        let before = free(world);
        let layer = Layer::new(&[("bomb", &vec![0; 2 * ROOM])]);
        TestImage::new(vec![layer]).push(registry.address, "bomb", "1");
        let error = world.pull("127.0.0.1:5000/bomb:1").unwrap_err();
        assert!(error.to_string().contains("No space left"), "{error}");
        assert!(free(world) + (1 << 20) > before);
        world.assert_empty();
    });
}
