//! Tests of making layers of folders.

use std::io::Cursor;
use std::os::unix::fs::MetadataExt as _;

use super::*;
use crate::image::store::tests::Scene;

fn filled(scene: &Scene, name: &str) -> std::path::PathBuf {
    let upper = scene.folder.path().join("data").join(name);
    fs::create_dir_all(upper.join("etc")).unwrap();
    fs::write(upper.join("etc/conf"), "x = 1\n").unwrap();
    upper
}

#[test]
fn a_folder_becomes_a_layer_whose_archive_can_be_written() {
    let scene = Scene::new();
    let usage = scene.store.use_shared().unwrap();
    let upper = filled(&scene, "upper");
    let inode = fs::metadata(upper.join("etc/conf")).unwrap().ino();
    let commit = |upper: &Path| scene.store.commit_folder(&usage, upper, Some(1_000));
    let layer = commit(&upper).unwrap().unwrap();
    assert_eq!(layer.size, 6);
    assert!(!upper.exists());
    // It was moved, not copied.
    let file = scene.store.layer_dir(&layer.diff_id).join("etc/conf");
    assert_eq!(fs::metadata(file).unwrap().ino(), inode);
    let mut archive = Vec::new();
    scene
        .store
        .write_layer(&layer.diff_id, &mut archive)
        .unwrap();
    assert_eq!(Digest::of(&archive), layer.diff_id);
    assert!(scene.store.layer_link(&layer.diff_id).is_ok());
    // The same once more adds nothing.
    let upper = filled(&scene, "upper-2");
    assert_eq!(commit(&upper).unwrap().unwrap(), layer);
    assert!(!upper.exists());
    assert_eq!(fs::read_dir(scene.store.scratch()).unwrap().count(), 0);
    // Nor does its archive, from elsewhere.
    let claim = scene.store.claim_layer(&usage, &layer.diff_id).unwrap();
    assert!(matches!(claim, LayerClaim::Present));
    let other = Scene::new();
    let usage = other.store.use_shared().unwrap();
    let LayerClaim::Missing(pending) = other.store.claim_layer(&usage, &layer.diff_id).unwrap()
    else {
        panic!("another store has it");
    };
    let unpacked = pending.unpack(Cursor::new(archive)).unwrap();
    pending.commit(&unpacked).unwrap();
}

#[test]
fn an_empty_folder_is_no_layer() {
    let scene = Scene::new();
    let usage = scene.store.use_shared().unwrap();
    let upper = scene.folder.path().join("data/upper");
    fs::create_dir_all(&upper).unwrap();
    let layer = scene.store.commit_folder(&usage, &upper, None).unwrap();
    assert_eq!(layer, None);
    assert_eq!(fs::read_dir(scene.store.scratch()).unwrap().count(), 0);
}

#[test]
fn a_folder_that_cannot_be_a_layer_leaves_nothing_in_the_store() {
    let scene = Scene::new();
    let usage = scene.store.use_shared().unwrap();
    let upper = filled(&scene, "upper");
    fs::write(upper.join(".wh.x"), "").unwrap();
    let error = scene.store.commit_folder(&usage, &upper, None).unwrap_err();
    assert!(error.to_string().contains("`.wh.x`"), "{error}");
    assert!(upper.exists());
    assert_eq!(fs::read_dir(scene.store.scratch()).unwrap().count(), 0);
}

#[test]
fn one_folder_is_kept_of_several_that_are_the_same() {
    let scene = Scene::new();
    let usage = scene.store.use_shared().unwrap();
    let layers: Vec<_> = std::thread::scope(|scope| {
        let each = |number| {
            let (scene, usage) = (&scene, &usage);
            scope.spawn(move || {
                let upper = filled(scene, &format!("upper-{number}"));
                let layer = scene.store.commit_folder(usage, &upper, Some(1_000));
                assert!(!upper.exists());
                layer.unwrap().unwrap()
            })
        };
        let running: Vec<_> = (0..6).map(each).collect();
        running.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert!(layers.iter().all(|layer| *layer == layers[0]));
    let homes = fs::read_dir(scene.store.layer_home(&layers[0].diff_id).parent().unwrap());
    assert_eq!(homes.unwrap().count(), 1);
}

#[test]
fn what_a_crash_leaves_of_a_commit_is_garbage() {
    let scene = Scene::new();
    let usage = scene.store.use_shared().unwrap();
    let upper = filled(&scene, "upper");
    // Killed after the folder was taken, and before the layer was there.
    let digest = Digest::of(b"a layer");
    let LayerClaim::Missing(pending) = scene.store.claim_layer(&usage, &digest).unwrap() else {
        panic!("there is no such layer");
    };
    let recipe = tempfile::NamedTempFile::new_in(scene.store.scratch()).unwrap();
    let (_, lost) = tempfile::NamedTempFile::new_in(scene.store.scratch())
        .unwrap()
        .keep()
        .unwrap();
    pending.adopt(&upper, recipe).unwrap();
    drop(pending);
    assert!(!scene.store.has_layer(&digest).unwrap());
    assert!(lost.exists());
    drop(usage);
    scene.collect(crate::image::InUse::default()).unwrap();
    assert_eq!(fs::read_dir(scene.store.scratch()).unwrap().count(), 0);
}
