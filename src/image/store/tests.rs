//! Tests of the store.

use std::io::Cursor;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use fs_err as fs;

use super::*;
use crate::image::unpack::testing::Tar;

/// An image with nothing but a time.
pub(crate) fn image_pulled_at(time: &str) -> Image {
    Image {
        id: Digest::of(b"id"),
        names: Vec::new(),
        repo_digests: Vec::new(),
        digest: None,
        config: ImageConfig::default(),
        layers: Vec::new(),
        size: 0,
        created: None,
        pulled: time.parse().unwrap(),
        platform: Platform::host(),
        variants: Vec::new(),
        raw_config: "{}".into(),
    }
}

pub(crate) struct Scene {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) store: Store,
}

impl Scene {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Self::open(folder.path());
        Self { folder, store }
    }

    pub(crate) fn open(folder: &Path) -> Store {
        Store::open(&Layout::new(folder.join("data"), folder.join("run")))
    }

    pub(crate) fn collect(&self, in_use: InUse) -> Option<Collected> {
        self.store.collect_garbage(|| Ok(in_use)).unwrap()
    }

    /// Adds an image of these layers, the lowest first.
    pub(crate) fn add(&self, name: &str, layers: Vec<Tar>, note: &str) -> Image {
        let usage = self.store.use_shared().unwrap();
        let archives: Vec<Vec<u8>> = layers.into_iter().map(Tar::finish).collect();
        let diff_ids: Vec<Digest> = archives.iter().map(|bytes| Digest::of(bytes)).collect();
        for (archive, diff_id) in archives.iter().zip(&diff_ids) {
            if let LayerClaim::Missing(pending) = self.store.claim_layer(&usage, diff_id).unwrap() {
                let unpacked = pending.unpack(Cursor::new(archive)).unwrap();
                pending.commit(&unpacked).unwrap();
            }
        }
        let config = serde_json::json!({
            "os": "linux", "architecture": "amd64", "created": "2026-01-01T00:00:00Z",
            "config": {"Labels": {"note": note}},
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
        });
        let new = NewImage {
            config: config.to_string().into_bytes(),
            manifests: vec![format!("manifest of {note}").into_bytes()],
            manifest: Some(Digest::of(format!("manifest of {note}").as_bytes())),
            names: vec![Reference::parse(name).unwrap()],
            repo_digests: vec![
                Reference::parse(&format!(
                    "{name}@{}",
                    Digest::of(format!("manifest of {note}").as_bytes())
                ))
                .unwrap(),
            ],
            variants: Vec::new(),
        };
        self.store.add_image(&usage, new).unwrap()
    }

    pub(crate) fn find(&self, text: &str) -> Option<Image> {
        self.store.find(text).unwrap()
    }
}

fn file(name: &str, content: &str) -> Tar {
    Tar::new().file(name, 0o644, content.as_bytes())
}

#[test]
fn images_for_other_platforms_share_a_name_and_its_end() {
    let scene = Scene::new();
    let other = scene.add("app:arm", vec![file("a", "other")], "other");
    let usage = scene.store.use_shared().unwrap();
    let name = Reference::parse("app:1").unwrap();
    let own = scene.add("app:own", vec![file("a", "own")], "own");
    let enter = |names: &[&Reference], image: &Image, variants| {
        let new = NewImage {
            config: image.raw_config.as_bytes().to_vec(),
            manifests: Vec::new(),
            manifest: None,
            names: names.iter().map(|name| (*name).clone()).collect(),
            repo_digests: Vec::new(),
            variants,
        };
        scene.store.add_image(&usage, new).unwrap()
    };
    scene.store.remove("app:own").unwrap();
    scene.store.remove("app:arm").unwrap();
    enter(&[], &other, Vec::new());
    let image = enter(&[&name], &own, vec![other.id.clone()]);
    let all = scene.store.with_variants(image).unwrap();
    assert_eq!(all.len(), 2);
    let listed = scene.store.list_own().unwrap();
    assert_eq!(listed.len(), 1, "one image to whoever lists them");
    assert!(!scene.store.has_superseded().unwrap());
    // The name goes to another image: both are garbage.
    scene.add("app:1", vec![file("a", "new")], "new");
    drop(usage);
    let collected = scene.store.collect_garbage(|| Ok(InUse::default()));
    let mut gone = collected.unwrap().unwrap().images;
    gone.sort();
    let mut both = vec![own.id, other.id];
    both.sort();
    assert_eq!(gone, both);
}

#[test]
fn an_empty_store_is_read_without_being_made() {
    let scene = Scene::new();
    assert_eq!(scene.find("nginx"), None);
    assert_eq!(scene.store.list().unwrap(), []);
    assert!(!scene.folder.path().join("data").exists());
}

#[test]
fn an_image_is_found_by_each_of_its_names() {
    let scene = Scene::new();
    let image = scene.add("nginx", vec![file("a", "a"), file("b", "bb")], "one");
    assert_eq!(image.size, 3);
    assert_eq!(image.config.labels["note"], "one");
    let by_digest = format!("nginx@{}", Digest::of(b"manifest of one"));
    let by_both = format!("nginx:9@{}", Digest::of(b"manifest of one"));
    let manifest = Digest::of(b"manifest of one").to_string();
    for text in [
        "nginx",
        "nginx:latest",
        "docker.io/library/nginx:latest",
        image.id.as_str(),
        image.id.hex(),
        image.id.short(),
        &image.id.hex()[..5],
        &by_digest,
        &by_both,
        &manifest,
    ] {
        assert_eq!(scene.find(text).as_ref(), Some(&image), "{text}");
    }
    for text in ["nginx:1", "ngin", "quay.io/nginx", "0123456789abcdef"] {
        assert_eq!(scene.find(text), None, "{text}");
    }
    assert!(matches!(
        scene.store.find("Nginx!"),
        Err(ImageError::Reference(_))
    ));
    // Another process sees the same.
    assert_eq!(
        Scene::open(scene.folder.path()).find("nginx").unwrap(),
        Some(image)
    );
}

#[test]
fn what_goes_is_chosen_while_nobody_can_change_the_index_or_make_a_container() {
    let scene = Scene::new();
    scene.add("nginx", vec![file("a", "a")], "one");
    let lock = scene.folder.path().join("data/images/index.lock");
    let chosen = || {
        let held = crate::state::lock::Lock::try_acquire(&lock).unwrap();
        assert!(held.is_none(), "the index is locked");
        let usage = Scene::open(scene.folder.path()).try_use_alone().unwrap();
        assert!(usage.is_none(), "the store is");
        Ok::<_, ()>(vec!["nginx".to_owned()])
    };
    let removed = scene.store.remove_chosen(chosen).unwrap().unwrap();
    assert_eq!(removed.len(), 1);
    assert_eq!(scene.find("nginx"), None);
    scene.add("nginx", vec![file("a", "a")], "one");
    let refused = scene.store.remove_chosen(|| Err("a container has it"));
    assert_eq!(refused.unwrap(), Err("a container has it"));
    assert!(scene.find("nginx").is_some());
}

#[test]
fn an_ambiguous_prefix_is_an_error() {
    let scene = Scene::new();
    let mut firsts = std::collections::BTreeMap::<String, String>::new();
    for number in 0..17 {
        let image = scene.add(
            &format!("i{number}"),
            vec![file("a", "a")],
            &number.to_string(),
        );
        let first = image.id.hex()[..1].to_owned();
        if firsts
            .insert(first.clone(), image.id.hex().to_owned())
            .is_some()
        {
            let error = scene.store.find(&first).unwrap_err();
            assert!(
                matches!(error, ImageError::Ambiguous { count: 2, .. }),
                "{error}"
            );
            return;
        }
    }
    panic!("17 ids have 16 first digits");
}

#[test]
fn a_name_moves_to_the_image_that_is_added_last() {
    let scene = Scene::new();
    let old = scene.add("app:1", vec![file("a", "old")], "old");
    let new = scene.add("app:1", vec![file("a", "new")], "new");
    assert_eq!(scene.find("app:1").unwrap().id, new.id);
    assert_eq!(scene.find(old.id.hex()).unwrap().names, []);
    scene
        .store
        .tag(old.id.hex(), &Reference::parse("app:1").unwrap())
        .unwrap();
    assert_eq!(scene.find("app:1").unwrap().id, old.id);
    assert_eq!(scene.find(new.id.hex()).unwrap().names, []);
    let missing = scene.store.tag("nothing", &Reference::parse("x").unwrap());
    assert!(matches!(missing, Err(ImageError::NoSuchImage(_))));
}

#[test]
fn an_image_goes_with_its_last_name_and_its_layers_with_the_garbage() {
    let scene = Scene::new();
    let first = scene.add("app:1", vec![file("base", "b"), file("a", "1")], "1");
    let second = scene.add("app:2", vec![file("base", "b"), file("a", "22")], "2");
    scene
        .store
        .tag("app:1", &Reference::parse("app:extra").unwrap())
        .unwrap();
    let removed = scene.store.remove("app:1").unwrap();
    assert_eq!((removed.untagged.len(), removed.deleted), (1, None));
    let removed = scene.store.remove("app:extra").unwrap();
    assert_eq!(removed.deleted, Some(first.id.clone()));
    assert!(matches!(
        scene.store.remove("app:1"),
        Err(ImageError::NoSuchImage(_))
    ));

    let held = InUse {
        layers: BTreeSet::from([first.layers[1].clone()]),
        ..InUse::default()
    };
    let collected = scene.collect(held).unwrap();
    assert_eq!(collected.layers, []);
    assert!(scene.store.layer_dir(&first.layers[1]).exists());
    let collected = scene.collect(InUse::default()).unwrap();
    assert_eq!(collected.layers, [first.layers[1].clone()]);
    assert_eq!(collected.bytes, 1);
    assert!(!scene.store.layer_dir(&first.layers[1]).exists());
    assert!(scene.store.layer_link(&first.layers[1]).is_err());
    assert!(scene.store.read_blob(&first.id).is_err());
    assert_eq!(scene.find("app:2"), Some(second.clone()));
    for layer in &second.layers {
        assert!(scene.store.layer_dir(layer).exists());
    }
}

#[test]
fn garbage_is_left_alone_while_somebody_adds() {
    let scene = Scene::new();
    let usage = scene.store.use_shared().unwrap();
    assert_eq!(scene.collect(InUse::default()), None);
    drop(usage);
    assert!(scene.collect(InUse::default()).is_some());
}

#[test]
fn an_image_whose_name_moved_goes_when_no_container_uses_it() {
    let scene = Scene::new();
    let old = scene.add("app:1", vec![file("a", "old")], "old");
    assert!(!scene.store.has_superseded().unwrap());
    let new = scene.add("app:1", vec![file("a", "new")], "new");
    assert!(scene.store.has_superseded().unwrap());
    let held = InUse {
        images: BTreeSet::from([old.id.clone()]),
        layers: old.layers.iter().cloned().collect(),
    };
    assert_eq!(scene.collect(held).unwrap(), Collected::default());
    assert!(scene.find(old.id.hex()).is_some());
    let collected = scene.collect(InUse::default()).unwrap();
    assert_eq!(collected.images, std::slice::from_ref(&old.id));
    assert_eq!(collected.layers, old.layers);
    assert_eq!(scene.find(old.id.hex()), None);
    assert_eq!(scene.find("app:1"), Some(new));
    assert!(!scene.store.has_superseded().unwrap());
}

#[test]
fn an_image_that_is_named_again_or_never_was_is_no_garbage() {
    let scene = Scene::new();
    let old = scene.add("app:1", vec![file("a", "old")], "old");
    scene.add("app:1", vec![file("a", "new")], "new");
    scene
        .store
        .tag(old.id.hex(), &Reference::parse("app:old").unwrap())
        .unwrap();
    assert!(!scene.store.has_superseded().unwrap());
    assert_eq!(scene.collect(InUse::default()).unwrap().images, []);
}

#[test]
fn nothing_goes_where_it_cannot_be_told_what_is_used() {
    let scene = Scene::new();
    let old = scene.add("app:1", vec![file("a", "old")], "old");
    scene.add("app:1", vec![file("a", "new")], "new");
    let unreadable = || Err(std::io::Error::other("no records"));
    assert!(scene.store.collect_garbage(unreadable).is_err());
    assert!(scene.find(old.id.hex()).is_some());
}

#[test]
fn short_links_lead_to_their_layers() {
    let scene = Scene::new();
    let image = scene.add("app", vec![file("a", "1"), file("a", "2")], "x");
    for layer in &image.layers {
        let name = scene.store.layer_link(layer).unwrap();
        assert_eq!(name.len(), 7);
        let through = fs::canonicalize(scene.store.links().join(&name)).unwrap();
        assert_eq!(
            through,
            fs::canonicalize(scene.store.layer_dir(layer)).unwrap()
        );
    }
}

#[test]
fn a_taken_short_name_is_passed_over() {
    let scene = Scene::new();
    let tar = file("a", "1").finish();
    let diff_id = Digest::of(&tar);
    let image = scene.add("first", vec![file("a", "1")], "x");
    let first = scene.store.layer_link(&image.layers[0]).unwrap();
    // Somebody else has the name that comes first.
    let path = scene.store.links().join(&first);
    fs::remove_file(&path).unwrap();
    fs_err::os::unix::fs::symlink("../layers/other/diff", &path).unwrap();
    let usage = scene.store.use_shared().unwrap();
    scene.store.claim_layer(&usage, &diff_id).unwrap();
    let second = scene.store.layer_link(&diff_id).unwrap();
    assert_ne!(second, first);
    assert_eq!(second.len(), 7);
}

#[test]
fn what_a_crash_leaves_of_a_layer_is_done_anew() {
    let scene = Scene::new();
    let tar = file("a", "whole").finish();
    let diff_id = Digest::of(&tar);
    let usage = scene.store.use_shared().unwrap();
    // A process that ended in the middle.
    let LayerClaim::Missing(pending) = scene.store.claim_layer(&usage, &diff_id).unwrap() else {
        panic!("the layer is not there yet");
    };
    fs::write(pending.root().join("half"), "half").unwrap();
    drop(pending);
    assert!(!scene.store.has_layer(&diff_id).unwrap());
    let LayerClaim::Missing(pending) = scene.store.claim_layer(&usage, &diff_id).unwrap() else {
        panic!("half a layer is none");
    };
    assert!(!pending.root().join("half").exists());
    let unpacked = pending.unpack(Cursor::new(&tar)).unwrap();
    pending.commit(&unpacked).unwrap();
    assert!(matches!(
        scene.store.claim_layer(&usage, &diff_id).unwrap(),
        LayerClaim::Present
    ));
}

#[test]
fn a_layer_of_an_earlier_boot_counts_only_if_it_reached_the_disk() {
    let scene = Scene::new();
    let image = scene.add("app", vec![file("a", "1")], "x");
    let layer = &image.layers[0];
    let home = scene.store.layer_home(layer);
    let path = home.join("layer.json");
    let mut record = scene.store.layer_record(layer).unwrap();
    record.boot_id = "an earlier one".to_owned();
    fs::write(&path, serde_json::to_vec(&record).unwrap()).unwrap();
    assert!(scene.store.has_layer(layer).unwrap());
    fs::remove_file(home.join("synced")).unwrap();
    assert!(!scene.store.has_layer(layer).unwrap());
    fs::write(&path, "").unwrap();
    assert!(!scene.store.has_layer(layer).unwrap());
}

#[test]
fn a_layer_with_another_digest_is_not_kept() {
    let scene = Scene::new();
    let usage = scene.store.use_shared().unwrap();
    let wanted = Digest::of(b"something else");
    let LayerClaim::Missing(pending) = scene.store.claim_layer(&usage, &wanted).unwrap() else {
        panic!("there is no such layer");
    };
    let unpacked = pending
        .unpack(Cursor::new(file("a", "1").finish()))
        .unwrap();
    let error = pending.commit(&unpacked).unwrap_err();
    assert!(matches!(error, ImageError::WrongDigest { .. }));
    assert!(!scene.store.has_layer(&wanted).unwrap());
    assert!(
        fs::read_dir(scene.store.scratch())
            .unwrap()
            .next()
            .is_none()
    );
}

#[test]
fn one_layer_is_unpacked_by_one_of_several_at_a_time() {
    let scene = Scene::new();
    let tar = file("a", "1").finish();
    let diff_id = Digest::of(&tar);
    let done = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let store = Scene::open(scene.folder.path());
                let usage = store.use_shared().unwrap();
                if let LayerClaim::Missing(pending) = store.claim_layer(&usage, &diff_id).unwrap() {
                    done.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                    let unpacked = pending.unpack(Cursor::new(&tar)).unwrap();
                    pending.commit(&unpacked).unwrap();
                }
            });
        }
    });
    assert_eq!(done.into_inner(), 1);
}

#[test]
fn images_are_private_to_root() {
    let scene = Scene::new();
    scene.add("app", vec![file("a", "1")], "x");
    let mode = fs::metadata(scene.folder.path().join("data/images"))
        .unwrap()
        .mode();
    // A setuid program of an image must not be in reach of the host's users.
    assert_eq!(mode & 0o7777, 0o700);
}

#[test]
fn an_index_of_a_newer_skiff_is_refused() {
    let scene = Scene::new();
    scene.add("app", vec![file("a", "1")], "x");
    let path = scene.folder.path().join("data/images/index.json");
    let text = fs::read_to_string(&path)
        .unwrap()
        .replace("\"version\":1", "\"version\":2");
    fs::write(&path, text).unwrap();
    assert!(
        scene
            .store
            .find("app")
            .unwrap_err()
            .to_string()
            .contains("newer skiff")
    );
}

#[test]
fn implied_folders_take_their_attributes_from_below() {
    let scene = Scene::new();
    let base = || {
        Tar::new()
            .dir("srv", 0o2770)
            .owner(7, 8)
            .dir("srv/data", 0o1777)
            .owner(9, 9)
    };
    let image = scene.add("app", vec![base(), file("srv/data/x/f", "1")], "x");
    assert_eq!(image.layers.len(), 3);
    let root = scene.store.layer_dir(&image.layers[2]);
    let seen = |path: &str| {
        let metadata = fs::symlink_metadata(root.join(path)).unwrap();
        (
            metadata.mode() & 0o7777,
            metadata.uid(),
            metadata.gid(),
            metadata.mtime(),
        )
    };
    assert_eq!(seen("srv"), (0o2770, 7, 8, 1_000_000_000));
    assert_eq!(seen("srv/data"), (0o1777, 9, 9, 1_000_000_000));
    assert!(!root.join("srv/data/x").exists());
    // The same layers in another image give the same layer again.
    let again = scene.add("other", vec![base(), file("srv/data/x/f", "1")], "y");
    assert_eq!(again.layers, image.layers);
}

#[test]
fn nothing_is_mended_where_nothing_is_hidden() {
    let scene = Scene::new();
    let stated = || Tar::new().dir("srv", 0o700);
    for (number, layers) in [
        // Nothing states it.
        vec![file("a", "1"), file("srv/f", "1")],
        // The layer itself states it.
        vec![
            stated(),
            Tar::new().dir("srv", 0o755).file("srv/f", 0o644, b"2"),
        ],
        // A layer above states it.
        vec![stated(), file("srv/f", "3"), Tar::new().dir("srv", 0o711)],
        // What is below was removed.
        vec![
            stated(),
            Tar::new().file(".wh.srv", 0o600, b""),
            file("srv/f", "4"),
        ],
        // It was a file.
        vec![stated(), file("srv", "5"), file("other/f", "5")],
    ]
    .into_iter()
    .enumerate()
    {
        let count = layers.len();
        let image = scene.add(&format!("i{number}"), layers, &number.to_string());
        assert_eq!(image.layers.len(), count, "{number}");
    }
}

#[test]
fn a_layer_s_archive_is_written_again_byte_for_byte() {
    let scene = Scene::new();
    let tar = || {
        Tar::new()
            .dir("d", 0o755)
            .file("d/f", 0o644, b"content")
            .file(".wh.gone", 0o600, b"")
            .sparse_pax_1("s", &[(4096, b"x")], 8192)
    };
    let image = scene.add("app", vec![tar()], "x");
    let mut archive = Vec::new();
    scene
        .store
        .write_layer(&image.layers[0], &mut archive)
        .unwrap();
    assert!(archive == tar().finish());
    let path = scene.store.layer_dir(&image.layers[0]).join("d/f");
    fs::write(&path, "changed").unwrap();
    let error = scene
        .store
        .write_layer(&image.layers[0], &mut archive)
        .unwrap_err();
    assert!(matches!(error, ImageError::WrongDigest { .. }), "{error}");
}
