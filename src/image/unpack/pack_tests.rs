//! Tests of packing: what comes out is unpacked again and compared.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::PathBuf;

use fs_err as fs;
use proptest::prelude::*;
use rustix::fs::{Timespec, Timestamps, XattrFlags};

use super::*;
use crate::image::unpack::{unpack, write_archive};

/// What is compared of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Facts {
    mode: u32,
    owner: (u32, u32),
    device: u64,
    mtime: Option<(i64, i64)>,
    content: Vec<u8>,
    xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// Which of the names of one file comes first.
    same_as: String,
}

/// Everything below a folder, itself left out.
fn facts(root: &Path) -> BTreeMap<String, Facts> {
    let mut found = BTreeMap::new();
    let mut first_names = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        let mut paths: Vec<PathBuf> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        paths.sort();
        for path in paths {
            let metadata = fs::symlink_metadata(&path).unwrap();
            let name = path.strip_prefix(root).unwrap().display().to_string();
            let whiteout = metadata.mode() & 0o170_000 == 0o020_000 && metadata.rdev() == 0;
            let content = if metadata.is_file() {
                fs::read(&path).unwrap()
            } else if metadata.is_symlink() {
                let link = fs::read_link(&path).unwrap();
                link.as_os_str().as_encoded_bytes().to_vec()
            } else {
                Vec::new()
            };
            let first = first_names
                .entry(metadata.ino())
                .or_insert_with(|| name.clone());
            found.insert(
                name.clone(),
                Facts {
                    // A whiteout has neither owner nor mode nor time, and
                    // overlayfs may link them.
                    mode: if whiteout { 0 } else { metadata.mode() },
                    owner: (metadata.uid(), metadata.gid()),
                    device: metadata.rdev(),
                    mtime: (!whiteout).then(|| (metadata.mtime(), metadata.mtime_nsec())),
                    content,
                    xattrs: xattrs(&path).unwrap(),
                    same_as: if whiteout { name } else { first.clone() },
                },
            );
            if metadata.is_dir() {
                folders.push(path);
            }
        }
    }
    found
}

struct Scene {
    folder: tempfile::TempDir,
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("upper")).unwrap();
        Self { folder }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join("upper").join(path)
    }

    fn file(&self, path: &str, content: &[u8], mode: u32) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    fn node(&self, path: &str, kind: FileType, device: (u32, u32)) {
        let device = rustix::fs::makedev(device.0, device.1);
        rustix::fs::mknodat(
            rustix::fs::CWD,
            self.path(path),
            kind,
            Mode::from(0o640),
            device,
        )
        .unwrap();
    }

    fn xattr(&self, path: &str, name: &str, value: &[u8]) {
        rustix::fs::lsetxattr(self.path(path), name, value, XattrFlags::empty()).unwrap();
    }

    fn time(&self, path: &str, seconds: i64, nanoseconds: i64) {
        let time = Timespec {
            tv_sec: seconds,
            tv_nsec: nanoseconds,
        };
        let times = Timestamps {
            last_access: time,
            last_modification: time,
        };
        let path = self.path(path);
        rustix::fs::utimensat(
            rustix::fs::CWD,
            path,
            &times,
            rustix::fs::AtFlags::SYMLINK_NOFOLLOW,
        )
        .unwrap();
    }

    fn pack(&self, latest: Option<i64>) -> Result<Option<(Packed, Vec<u8>)>, PackError> {
        let mut recipe = Vec::new();
        Ok(pack(&self.path(""), &mut recipe, latest)?.map(|packed| (packed, recipe)))
    }

    /// Packs, writes the archive and unpacks it elsewhere: that is the same.
    fn round_trip(&self, latest: Option<i64>) -> (Packed, Vec<u8>) {
        let (packed, recipe) = self.pack(latest).unwrap().unwrap();
        let mut archive = Vec::new();
        write_archive(&self.path(""), Cursor::new(recipe), &mut archive).unwrap();
        assert_eq!(Digest::of(&archive), packed.diff_id);
        let again = self.folder.path().join("again");
        fs::create_dir(&again).unwrap();
        let unpacked = unpack(Cursor::new(&archive), &again, Vec::new()).unwrap();
        assert_eq!(unpacked.diff_id, packed.diff_id);
        assert_eq!(unpacked.size, packed.size);
        assert_eq!(unpacked.implied, Vec::<Vec<u8>>::new());
        assert!(unpacked.exact);
        assert_eq!(facts(&again), facts(&self.path("")));
        (packed, archive)
    }
}

/// The names in an archive, in order, with their type flags and link targets.
fn listing(archive: &[u8]) -> Vec<String> {
    let mut archive = tar::Archive::new(archive);
    let listed = archive.entries().unwrap().map(|entry| {
        let entry = entry.unwrap();
        let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let flag = char::from(entry.header().entry_type().as_byte());
        match entry.link_name_bytes() {
            Some(link) => format!("{flag} {path} -> {}", String::from_utf8_lossy(&link)),
            None => format!("{flag} {path}"),
        }
    });
    listed.collect()
}

#[test]
fn a_folder_of_every_kind_comes_out_the_same() {
    let scene = Scene::new();
    scene.file("a.b", b"dot", 0o644);
    scene.file("a/c", &vec![7; 300_000], 0o4711);
    fs::hard_link(scene.path("a/c"), scene.path("a/linked")).unwrap();
    fs::hard_link(scene.path("a/c"), scene.path("z")).unwrap();
    symlink("../nowhere", scene.path("a/s")).unwrap();
    scene.node("null", FileType::CharacterDevice, (1, 3));
    scene.node("disk", FileType::BlockDevice, (259, 70_000));
    scene.node("pipe", FileType::Fifo, (0, 0));
    scene.node("gone", FileType::CharacterDevice, (0, 0));
    fs::hard_link(scene.path("gone"), scene.path("a/gone-too")).unwrap();
    scene.file("hidden/f", b"", 0o600);
    scene.xattr("hidden", "trusted.overlay.opaque", b"y");
    scene.xattr("a", "trusted.overlay.impure", b"y");
    scene.xattr("a/c", "trusted.overlay.origin", &[0, 0xfb, 1]);
    let capability = b"\x01\0\0\x02\x0a\x0a\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    scene.xattr("a/c", "security.capability", capability);
    scene.xattr("a.b", "trusted.note", &[b'\n'; 2000]);
    std::os::unix::fs::chown(scene.path("a.b"), Some(3_000_000), Some(1)).unwrap();
    scene.time("a.b", -5, 500_000_000);
    scene.time("z", 1_600_000_000, 1);
    let long = format!("deep/{}", "n".repeat(250));
    scene.file(&long, b"long", 0o644);
    let _socket = std::os::unix::net::UnixListener::bind(scene.path("sock")).unwrap();

    let (packed, archive) = scene.round_trip(None);
    assert_eq!(packed.size, 3 + 300_000 + 4);
    assert_eq!(
        listing(&archive),
        [
            "5 a/",
            "0 a/c",
            "0 a/.wh.gone-too",
            "1 a/linked -> a/c",
            "2 a/s -> ../nowhere",
            "0 a.b",
            "5 deep/",
            &format!("0 {long}"),
            "4 disk",
            "0 .wh.gone",
            "5 hidden/",
            "0 hidden/.wh..wh..opq",
            "0 hidden/f",
            "3 null",
            "6 pipe",
            "1 z -> a/c",
        ]
    );
    let of = |path: &str| fs::symlink_metadata(scene.path(path)).unwrap();
    assert_eq!((of("z").mtime(), of("z").mtime_nsec()), (1_600_000_000, 0));
    assert_eq!(xattrs(&scene.path("a")).unwrap(), []);
    assert!(fs::symlink_metadata(scene.path("sock")).is_err());
}

#[test]
fn large_holes_are_not_read_and_stay_holes() {
    let scene = Scene::new();
    scene.file("logs/last", b"head", 0o664);
    let file = fs::OpenOptions::new()
        .write(true)
        .open(scene.path("logs/last"))
        .unwrap();
    file.set_len(1 << 40).unwrap();
    let (file, _) = file.into_parts();
    std::os::unix::fs::FileExt::write_all_at(&file, b"tail", 1 << 39).unwrap();
    drop(file);
    scene.xattr("logs/last", "user.note", b"holes");
    // A smaller one is written out, as Docker does it.
    let small = fs::File::create(scene.path("small")).unwrap();
    small.set_len(1 << 20).unwrap();
    let (packed, recipe) = scene.pack(None).unwrap().unwrap();
    let mut archive = Vec::new();
    write_archive(&scene.path(""), Cursor::new(recipe), &mut archive).unwrap();
    assert_eq!(Digest::of(&archive), packed.diff_id);
    assert!(archive.len() < 2 << 20, "{}", archive.len());
    let again = scene.folder.path().join("again");
    fs::create_dir(&again).unwrap();
    let unpacked = unpack(Cursor::new(&archive), &again, Vec::new()).unwrap();
    assert_eq!(unpacked.size, packed.size);
    for root in [&again, &scene.path("")] {
        let path = root.join("logs/last");
        let metadata = fs::metadata(&path).unwrap();
        assert_eq!((metadata.len(), metadata.mode() & 0o7777), (1 << 40, 0o664));
        assert!(metadata.blocks() < 100);
        let (file, _) = fs::File::open(&path).unwrap().into_parts();
        for (at, expected) in [(0, b"head"), (1 << 39, b"tail")] {
            let mut content = [0; 4];
            std::os::unix::fs::FileExt::read_exact_at(&file, &mut content, at).unwrap();
            assert_eq!(&content, expected);
        }
        assert_eq!(xattrs(&path).unwrap()[0].1, b"holes");
    }
}

#[test]
fn nothing_makes_no_layer() {
    let scene = Scene::new();
    assert!(scene.pack(None).unwrap().is_none());
    let _socket = std::os::unix::net::UnixListener::bind(scene.path("sock")).unwrap();
    assert!(scene.pack(None).unwrap().is_none());
}

#[test]
fn no_time_is_after_the_given_one() {
    let packed = [1_000, 2_000].map(|time| {
        let scene = Scene::new();
        scene.file("d/new", b"x", 0o644);
        scene.file("old", b"x", 0o644);
        symlink("old", scene.path("s")).unwrap();
        scene.node("gone", FileType::CharacterDevice, (0, 0));
        scene.time("old", 500, 0);
        for path in ["d/new", "d", "s", "gone"] {
            scene.time(path, time, 0);
        }
        let (packed, _) = scene.round_trip(Some(1_000));
        let at = |path: &str| fs::symlink_metadata(scene.path(path)).unwrap().mtime();
        assert_eq!(
            [at("old"), at("d/new"), at("d"), at("s")],
            [500, 1_000, 1_000, 1_000]
        );
        packed.diff_id
    });
    assert_eq!(packed[0], packed[1]);
}

#[test]
fn what_cannot_be_said_in_a_layer_is_refused_by_name() {
    let scene = Scene::new();
    scene.file("d/.wh.mine", b"", 0o644);
    let error = scene.pack(None).unwrap_err().to_string();
    assert!(error.contains("`d/.wh.mine`"), "{error}");
    let scene = Scene::new();
    scene.file("f", b"", 0o644);
    scene.xattr("f", "trusted.overlay.metacopy", b"");
    let error = scene.pack(None).unwrap_err();
    assert!(matches!(error, PackError::Elsewhere(path) if path == "f"));
}

#[derive(Debug, Clone)]
enum Thing {
    File(Vec<u8>),
    Folder(bool),
    Symlink(String),
    Link(usize),
    Whiteout,
    Fifo,
}

fn thing() -> impl Strategy<Value = Thing> {
    prop_oneof![
        4 => proptest::collection::vec(any::<u8>(), 0..2000).prop_map(Thing::File),
        3 => any::<bool>().prop_map(Thing::Folder),
        1 => "[a-z/.]{1,120}".prop_map(Thing::Symlink),
        2 => (0_usize..8).prop_map(Thing::Link),
        1 => Just(Thing::Whiteout),
        1 => Just(Thing::Fifo),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Any folder, packed and unpacked, is the same folder.
    #[test]
    fn any_folder_comes_out_the_same(
        things in proptest::collection::vec(
            (thing(), "[^/\0]{1,60}", any::<(u16, u16, u32)>(), 0_u32..0o10000, "[^\0]{0,200}"),
            1..12,
        )
    ) {
        let scene = Scene::new();
        let mut folders = vec![scene.path("")];
        let mut files: Vec<PathBuf> = Vec::new();
        for (thing, name, (uid, gid, time), mode, note) in things {
            let folder = folders[usize::from(uid) % folders.len()].clone();
            let path = folder.join(&name);
            let taken = fs::symlink_metadata(&path).is_ok();
            if taken || name.starts_with(".wh.") || matches!(&*name, "." | "..") {
                continue;
            }
            match &thing {
                Thing::File(content) => fs::write(&path, content).unwrap(),
                Thing::Folder(opaque) => {
                    fs::create_dir(&path).unwrap();
                    if *opaque {
                        rustix::fs::lsetxattr(&path, OPAQUE_XATTR, b"y", XattrFlags::empty()).unwrap();
                    }
                    folders.push(path.clone());
                }
                Thing::Symlink(target) => symlink(target, &path).unwrap(),
                Thing::Link(which) => {
                    let Some(file) = files.get(*which) else { continue };
                    fs::hard_link(file, &path).unwrap();
                    continue;
                }
                Thing::Whiteout | Thing::Fifo => {
                    let kind = match thing {
                        Thing::Fifo => FileType::Fifo,
                        _ => FileType::CharacterDevice,
                    };
                    rustix::fs::mknodat(rustix::fs::CWD, &path, kind, Mode::empty(), 0).unwrap();
                }
            }
            if matches!(thing, Thing::Whiteout) {
                continue;
            }
            std::os::unix::fs::lchown(&path, Some(uid.into()), Some(gid.into())).unwrap();
            if !matches!(thing, Thing::Symlink(_)) {
                fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            }
            if matches!(thing, Thing::File(_) | Thing::Folder(_)) {
                rustix::fs::lsetxattr(&path, "user.note", note.as_bytes(), XattrFlags::empty()).unwrap();
            }
            let at = Timespec { tv_sec: time.into(), tv_nsec: 7 };
            let times = Timestamps { last_access: at, last_modification: at };
            rustix::fs::utimensat(rustix::fs::CWD, &path, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
            if !matches!(thing, Thing::Folder(_)) {
                files.push(path);
            }
        }
        if fs::read_dir(scene.path("")).unwrap().next().is_some() {
            scene.round_trip(None);
        }
    }
}
