//! Tests of what is found on disk, and of moving it out of the way.

use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use super::*;
use crate::image::store::{Image, InUse, tests::Scene};
use crate::image::unpack::testing::Tar;

/// A layer of every kind of entry.
fn layer() -> Tar {
    let capability = b"\x01\0\0\x02\x0a\x0a\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    Tar::new()
        .dir("./", 0o755)
        .dir("d", 0o750)
        .owner(3, 4)
        .file("d/f", 0o644, b"content")
        .link("d/same", "d/f")
        .symlink("d/s", "f")
        .fifo("d/pipe", 0o600)
        .device("d/null", 0o666, (1, 3))
        .file("d/.wh.gone", 0o600, b"")
        .file(".wh.again", 0o600, b"")
        .dir("again", 0o755)
        .file("hidden/.wh..wh..opq", 0o600, b"")
        .pax(&[("SCHILY.xattr.security.capability", capability)])
        .file("ping", 0o755, b"x")
        .sparse_pax_1("holes", &[(4096, b"x")], 8192)
        .symlink("usr", "d")
        .file("implied/by/f", 0o644, b"")
}

struct Damaged {
    scene: Scene,
    image: Image,
}

impl Damaged {
    fn new(tar: Tar) -> Self {
        let scene = Scene::new();
        let image = scene.add("app:1", vec![tar], "x");
        Self { scene, image }
    }

    fn root(&self) -> PathBuf {
        self.scene.store.layer_dir(&self.image.layers[0])
    }

    fn problems(&self) -> Vec<Problem> {
        let verified = self.scene.store.verify(&[]).unwrap();
        assert_eq!(verified.len(), 1);
        verified.into_iter().next().unwrap().problems
    }
}

#[test]
fn what_was_unpacked_is_found_to_be_right() {
    for tar in [
        layer(),
        // An entry whose path leads through a link of the layer's own.
        Tar::new()
            .dir("d", 0o755)
            .symlink("l", "d")
            .file("l/f", 0o644, b"f"),
        Tar::new(),
    ] {
        assert_eq!(Damaged::new(tar).problems(), []);
    }
}

#[test]
fn each_change_of_a_layer_is_told() {
    type Change = fn(&Path);
    let changes: &[(&str, Change)] = &[
        ("`d/f` has another length", |d| {
            fs::write(d.join("d/f"), "longer than it was").unwrap();
        }),
        ("`d/f` has mode 0600 instead of 0644", |d| {
            mode(&d.join("d/f"), 0o600);
        }),
        ("`d` belongs to 9:4 instead of 3:4", |d| {
            std::os::unix::fs::chown(d.join("d"), Some(9), None).unwrap();
        }),
        ("`d/same` is no longer the same file as `d/f`", |d| {
            fs::remove_file(d.join("d/same")).unwrap();
            fs::write(d.join("d/same"), "content").unwrap();
        }),
        ("`d/s` leads elsewhere", |d| {
            fs::remove_file(d.join("d/s")).unwrap();
            symlink("elsewhere", d.join("d/s")).unwrap();
            time(&d.join("d/s"));
        }),
        ("`d/pipe` is another kind of file", |d| {
            fs::remove_file(d.join("d/pipe")).unwrap();
            fs::write(d.join("d/pipe"), "").unwrap();
        }),
        ("`ping` has other capabilities", |d| {
            rustix::fs::lremovexattr(d.join("ping"), "security.capability").unwrap();
        }),
        ("`again` shows other files of the layers below", |d| {
            rustix::fs::lremovexattr(d.join("again"), "trusted.overlay.opaque").unwrap();
        }),
        ("`d/gone` is not marked as removed", |d| {
            fs::remove_file(d.join("d/gone")).unwrap();
        }),
        ("`implied/by/more` is not of this layer", |d| {
            fs::write(d.join("implied/by/more"), "").unwrap();
        }),
        ("`d/null` is missing", |d| {
            fs::remove_file(d.join("d/null")).unwrap();
        }),
        ("`ping` has another time", |d| {
            fs::write(d.join("ping"), "y").unwrap();
        }),
    ];
    for (expected, change) in changes {
        let damaged = Damaged::new(layer());
        let root = damaged.root();
        change(&root);
        // The folders' own times are as they were.
        for folder in ["", "d", "implied/by"] {
            time(&root.join(folder));
        }
        let problems = damaged.problems();
        assert_eq!(problems.len(), 1, "{expected}: {problems:?}");
        assert_eq!(
            problems[0].part,
            Part::Layer(damaged.image.layers[0].clone())
        );
        assert_eq!(problems[0].reason, *expected);
    }
}

#[test]
fn changed_content_is_told_though_all_else_is_the_same() {
    let damaged = Damaged::new(layer());
    let path = damaged.root().join("d/f");
    fs::write(&path, "CONTENT").unwrap();
    time(&path);
    assert_eq!(
        damaged.problems()[0].reason,
        "its files have another digest"
    );
}

#[test]
fn documents_and_whole_layers_that_are_gone_are_told() {
    let damaged = Damaged::new(layer());
    let store = &damaged.scene.store;
    let manifest = damaged.image.digest.clone().unwrap();
    fs::write(store.blob_path(&manifest), "{}").unwrap();
    fs::remove_dir_all(damaged.root().parent().unwrap()).unwrap();
    let problems = damaged.problems();
    let of = |part: Part| {
        let found = problems.iter().find(|problem| problem.part == part);
        found.map(|problem| problem.reason.as_str())
    };
    assert_eq!(
        of(Part::Document(manifest)),
        Some("its content has another digest")
    );
    let layer = Part::Layer(damaged.image.layers[0].clone());
    assert_eq!(of(layer), Some("it is missing"));
}

#[test]
fn what_is_set_aside_is_had_anew_or_put_back() {
    let damaged = Damaged::new(layer());
    let store = &damaged.scene.store;
    let layer = &damaged.image.layers[0];
    let parts = [
        Part::Layer(layer.clone()),
        Part::Document(damaged.image.id.clone()),
    ];
    let usage = store.use_shared().unwrap();
    let aside = store.set_aside(&usage, &parts).unwrap();
    assert!(!store.has_layer(layer).unwrap());
    assert!(store.find("app:1").is_err());
    store.put_back(&usage, aside).unwrap();
    assert_eq!(store.find("app:1").unwrap().as_ref(), Some(&damaged.image));

    let aside = store.set_aside(&usage, &parts).unwrap();
    damaged.scene.add("app:1", vec![super::tests::layer()], "x");
    let inode = |path: PathBuf| {
        use std::os::unix::fs::MetadataExt as _;
        fs::metadata(path).unwrap().ino()
    };
    let new = inode(damaged.root());
    store.drop_aside(&usage, aside).unwrap();
    assert_eq!(inode(damaged.root()), new);
    assert_eq!(damaged.problems(), []);
    assert_eq!(fs::read_dir(store.scratch()).unwrap().count(), 0);
    // What a killed repair leaves is garbage.
    store.set_aside(&usage, &parts).unwrap();
    drop(usage);
    damaged.scene.collect(InUse::default()).unwrap();
    assert_eq!(fs::read_dir(store.scratch()).unwrap().count(), 0);
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// The time of all entries of the test's archive.
fn time(path: &Path) {
    let time = rustix::fs::Timespec {
        tv_sec: 1_000_000_000,
        tv_nsec: 0,
    };
    let times = rustix::fs::Timestamps {
        last_access: time,
        last_modification: time,
    };
    let flags = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
    rustix::fs::utimensat(rustix::fs::CWD, path, &times, flags).unwrap();
}
