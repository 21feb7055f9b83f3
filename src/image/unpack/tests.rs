//! Tests of unpacking, by the folder that comes out.

use std::io::Cursor;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::PathBuf;

use fs_err as fs;

use super::*;
use crate::image::unpack::testing::Tar;

pub(super) struct Out {
    folder: tempfile::TempDir,
    pub(super) result: Result<Unpacked, UnpackError>,
    recipe: Vec<u8>,
}

impl Out {
    pub(super) fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join("layer").join(path)
    }

    pub(super) fn text(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap()
    }

    pub(super) fn mode(&self, path: &str) -> u32 {
        fs::symlink_metadata(self.path(path)).unwrap().mode() & 0o7777
    }

    pub(super) fn xattr(&self, path: &str, name: &str) -> Option<Vec<u8>> {
        let mut value = vec![0; 256];
        let length = rustix::fs::lgetxattr(self.path(path), name, &mut value).ok()?;
        value.truncate(length);
        Some(value)
    }

    pub(super) fn is_whiteout(&self, path: &str) -> bool {
        fs::symlink_metadata(self.path(path))
            .is_ok_and(|m| m.file_type().is_char_device() && m.rdev() == 0)
    }

    fn exists(&self, path: &str) -> bool {
        fs::symlink_metadata(self.path(path)).is_ok()
    }

    pub(super) fn implied(&self) -> Vec<String> {
        let unpacked = self.result.as_ref().unwrap();
        let text = |path: &Vec<u8>| String::from_utf8(path.clone()).unwrap();
        unpacked.implied.iter().map(text).collect()
    }
}

/// Unpacks into `layer`, beside a folder `outside` that must stay as it is.
pub(super) fn unpack_bytes(bytes: &[u8]) -> Out {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("layer");
    fs::create_dir(&root).unwrap();
    let outside = folder.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("secret"), "secret").unwrap();
    let mut recipe = Vec::new();
    let result = unpack(Cursor::new(bytes), &root, &mut recipe);
    let left: Vec<_> = fs::read_dir(&outside)
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    assert_eq!(left, ["secret"]);
    assert_eq!(
        fs::read_to_string(outside.join("secret")).unwrap(),
        "secret"
    );
    let metadata = fs::metadata(outside.join("secret")).unwrap();
    assert_eq!((metadata.nlink(), metadata.uid()), (1, 0));
    Out {
        folder,
        result,
        recipe,
    }
}

pub(super) fn unpacked(tar: Tar) -> Out {
    let bytes = tar.finish();
    let out = unpack_bytes(&bytes);
    let unpacked = out.result.as_ref().unwrap();
    assert_eq!(unpacked.diff_id, Digest::of(&bytes));
    if unpacked.exact {
        let mut again = Vec::new();
        write_archive(&out.path(""), Cursor::new(&out.recipe), &mut again).unwrap();
        assert!(again == bytes, "the archive is not written again as it was");
    }
    out
}

#[test]
fn owners_modes_times_and_content_come_out() {
    let out = unpacked(
        Tar::new()
            .dir("a", 0o2750)
            .owner(1000, 1001)
            .time(1_600_000_000)
            .file("a/f", 0o4755, b"hello")
            .owner(70_000, 3)
            .time(1_500_000_000)
            .symlink("a/l", "f")
            .owner(5, 6)
            .fifo("a/p", 0o620)
            .device("a/null", 0o666, (1, 3)),
    );
    let f = fs::metadata(out.path("a/f")).unwrap();
    assert_eq!(
        (f.uid(), f.gid(), f.mode() & 0o7777, f.mtime()),
        (70_000, 3, 0o4755, 1_500_000_000)
    );
    assert_eq!(out.text("a/f"), "hello");
    let a = fs::metadata(out.path("a")).unwrap();
    assert_eq!(
        (a.uid(), a.gid(), a.mode() & 0o7777, a.mtime()),
        (1000, 1001, 0o2750, 1_600_000_000)
    );
    let l = fs::symlink_metadata(out.path("a/l")).unwrap();
    assert_eq!((l.uid(), l.gid()), (5, 6));
    assert_eq!(fs::read_link(out.path("a/l")).unwrap(), Path::new("f"));
    assert!(
        fs::symlink_metadata(out.path("a/p"))
            .unwrap()
            .file_type()
            .is_fifo()
    );
    assert_eq!(out.mode("a/p"), 0o620);
    let null = fs::symlink_metadata(out.path("a/null")).unwrap();
    assert_eq!(
        (null.rdev(), null.mode() & 0o7777),
        (rustix::fs::makedev(1, 3), 0o666)
    );
    assert_eq!(out.result.as_ref().unwrap().size, 5);
}

#[test]
fn gzip_zstd_and_plain_give_the_same() {
    let tar = Tar::new().file("f", 0o644, &vec![b'x'; 300_000]).finish();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&tar).unwrap();
    let gzip = gzip.finish().unwrap();
    // Two members, as parallel compressors write them.
    let halves: Vec<Vec<u8>> = tar
        .chunks(tar.len() / 2)
        .map(|half| {
            let mut part = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            part.write_all(half).unwrap();
            part.finish().unwrap()
        })
        .collect();
    let zstd = zstd::encode_all(&tar[..], 1).unwrap();
    for bytes in [&tar, &gzip, &halves.concat(), &zstd] {
        let out = unpack_bytes(bytes);
        assert_eq!(out.result.as_ref().unwrap().diff_id, Digest::of(&tar));
        assert_eq!(out.text("f").len(), 300_000);
    }
    let out = unpack_bytes(b"\xfd7zXZ\0rest");
    assert!(out.result.unwrap_err().to_string().contains("xz"));
}

#[test]
fn attributes_of_any_bytes_are_set_and_overlay_s_own_are_not() {
    let capability = b"\x01\0\0\x02\x0a\x0a\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    let out = unpacked(
        Tar::new()
            .pax(&[
                ("SCHILY.xattr.security.capability", capability),
                ("SCHILY.xattr.user.note", b"a\nb=c"),
                ("SCHILY.xattr.trusted.overlay.redirect", b"/../../outside"),
                ("SCHILY.xattr.trusted.overlay.metacopy", b""),
            ])
            .file("ping", 0o755, b"x")
            .pax(&[("SCHILY.xattr.trusted.overlay.opaque", b"y")])
            .dir("d", 0o755),
    );
    assert_eq!(
        out.xattr("ping", "security.capability").as_deref(),
        Some(&capability[..])
    );
    assert_eq!(
        out.xattr("ping", "user.note").as_deref(),
        Some(&b"a\nb=c"[..])
    );
    assert_eq!(out.xattr("ping", "trusted.overlay.redirect"), None);
    assert_eq!(out.xattr("ping", "trusted.overlay.metacopy"), None);
    assert_eq!(out.xattr("d", "trusted.overlay.opaque"), None);
}

#[test]
fn hard_links_share_their_file() {
    let out = unpacked(
        Tar::new()
            .file("bin/a", 0o755, b"program")
            .link("bin/b", "bin/a")
            .link("c", "/bin/../bin/a"),
    );
    let inode = |path| fs::metadata(out.path(path)).unwrap().ino();
    assert_eq!(inode("bin/a"), inode("bin/b"));
    assert_eq!(inode("bin/a"), inode("c"));
    assert_eq!(out.result.as_ref().unwrap().size, 7);
}

#[test]
fn whiteouts_become_overlay_s() {
    let out = unpacked(
        Tar::new()
            .dir("d", 0o755)
            .file("d/.wh.gone", 0o600, b"")
            .file("d/.wh..wh..opq", 0o600, b"")
            .file("e/.wh.x", 0o600, b"")
            .file(".wh..wh.plnk", 0o600, b"")
            .file("x.wh.y", 0o600, b""),
    );
    assert!(out.is_whiteout("d/gone"));
    assert_eq!(
        out.xattr("d", "trusted.overlay.opaque").as_deref(),
        Some(&b"y"[..])
    );
    assert!(out.is_whiteout("e/x"));
    assert!(!out.exists(".wh..wh.plnk") && !out.exists("d/.wh..wh..opq"));
    assert!(out.exists("x.wh.y"));
    assert_eq!(out.implied(), ["e"]);
}

#[test]
fn a_whiteout_hides_lower_layers_only() {
    // Either order: what this layer has under the name stays.
    for tar in [
        Tar::new()
            .file(".wh.d", 0o600, b"")
            .dir("d", 0o755)
            .file("d/new", 0o644, b"n")
            .file(".wh.f", 0o600, b"")
            .file("f", 0o644, b"new"),
        Tar::new()
            .dir("d", 0o755)
            .file("d/new", 0o644, b"n")
            .file(".wh.d", 0o600, b"")
            .file("f", 0o644, b"new")
            .file(".wh.f", 0o600, b""),
        Tar::new()
            .file(".wh.d", 0o600, b"")
            .file("d/new", 0o644, b"n")
            .file("f", 0o644, b"new"),
    ] {
        let out = unpacked(tar);
        assert_eq!(out.text("d/new"), "n");
        assert_eq!(out.text("f"), "new");
        assert_eq!(
            out.xattr("d", "trusted.overlay.opaque").as_deref(),
            Some(&b"y"[..])
        );
    }
}

#[test]
fn later_entries_replace_earlier_ones() {
    let out = unpacked(
        Tar::new()
            .file("a", 0o644, b"one")
            .file("a", 0o600, b"two")
            .dir("b", 0o755)
            .file("b/x/y", 0o644, b"deep")
            .file("b", 0o644, b"now a file")
            .symlink("c", "a")
            .dir("c", 0o700)
            .file("c/x", 0o644, b"inside")
            .dir("d", 0o700)
            .dir("d", 0o755),
    );
    assert_eq!(out.text("a"), "two");
    assert_eq!(out.mode("a"), 0o600);
    assert_eq!(out.text("b"), "now a file");
    assert!(fs::symlink_metadata(out.path("c")).unwrap().is_dir());
    assert_eq!(out.text("c/x"), "inside");
    assert_eq!(out.mode("d"), 0o755);
    assert!(!out.result.as_ref().unwrap().exact);
}

#[test]
fn implied_folders_are_made_and_listed_unless_stated_later() {
    let out = unpacked(
        Tar::new()
            .file("srv/app/x", 0o644, b"")
            .file("opt/y/z", 0o644, b"")
            .dir("opt", 0o711),
    );
    assert_eq!(out.implied(), ["opt/y", "srv", "srv/app"]);
    assert_eq!(out.mode("srv/app"), 0o755);
    assert_eq!(out.mode("opt"), 0o711);
}

#[test]
fn the_root_s_own_entry_is_taken() {
    let out = unpacked(Tar::new().dir("./", 0o700).file("./a", 0o644, b"a"));
    assert_eq!(out.mode(""), 0o700);
    assert_eq!(out.text("a"), "a");
}

#[test]
fn long_and_odd_names_are_kept() {
    let long = "d/".repeat(60) + &"n".repeat(150);
    let out = unpacked(
        Tar::new()
            .pax(&[("path", long.as_bytes()), ("mtime", b"-1.5")])
            .file("short", 0o644, b"long")
            .gnu_long("g/gnu-long")
            .file("short", 0o644, b"gnu")
            .raw_name(b"caf\xe9 \n\x01", 0o644, b"latin"),
    );
    assert_eq!(out.text(&long), "long");
    let metadata = fs::metadata(out.path(&long)).unwrap();
    assert_eq!((metadata.mtime(), metadata.mtime_nsec()), (-2, 500_000_000));
    assert_eq!(out.text("g/gnu-long"), "gnu");
    let odd = std::ffi::OsStr::new("caf");
    let found = fs::read_dir(out.path("")).unwrap().any(|entry| {
        let name = entry.unwrap().file_name();
        name.as_encoded_bytes().starts_with(odd.as_encoded_bytes())
            && name.as_encoded_bytes().ends_with(b"\xe9 \n\x01")
    });
    assert!(found);
}

#[test]
fn sparse_files_of_each_format_have_their_holes() {
    let segments: &[(u64, &[u8])] = &[(0, b"head"), (1 << 20, b"tail")];
    let size = (1 << 20) + 4096;
    for tar in [
        Tar::new().sparse_old_gnu("s", segments, size),
        Tar::new().sparse_pax_0("s", segments, size),
        Tar::new().sparse_pax_1("s", segments, size),
    ] {
        let out = unpacked(tar);
        let content = fs::read(out.path("s")).unwrap();
        assert_eq!(content.len() as u64, size);
        assert_eq!(&content[..4], b"head");
        assert_eq!(&content[1 << 20..(1 << 20) + 4], b"tail");
        assert!(content[4..1 << 20].iter().all(|byte| *byte == 0));
        assert!(fs::metadata(out.path("s")).unwrap().blocks() * 512 < size / 2);
        assert_eq!(out.result.as_ref().unwrap().size, 8);
    }
}

#[test]
fn dot_dot_cannot_leave() {
    for name in [
        "../outside/x",
        "/../outside/x",
        "a/../../outside/x",
        "./../outside/x",
    ] {
        let out = unpack_bytes(&Tar::new().raw_name(name.as_bytes(), 0o644, b"x").finish());
        assert!(matches!(out.result, Err(UnpackError::Escape(_))), "{name}");
    }
}

#[test]
fn absolute_names_stay_inside() {
    let out = unpacked(Tar::new().raw_name(b"/etc/skiff-test", 0o644, b"x"));
    assert_eq!(out.text("etc/skiff-test"), "x");
}

#[test]
fn writing_through_a_link_stays_inside() {
    for target in ["../outside", "/outside", "../../../../../../outside"] {
        let out = unpack_bytes(
            &Tar::new()
                .symlink("l", target)
                .file("l/x", 0o644, b"x")
                .finish(),
        );
        // As in a chroot: there is no such folder inside, and none is made.
        assert!(out.result.is_err(), "{target}");
    }
    let out = unpacked(
        Tar::new()
            .dir("outside", 0o755)
            .symlink("l", "../../outside")
            .file("l/x", 0o644, b"inside"),
    );
    assert_eq!(out.text("outside/x"), "inside");
}

#[test]
fn a_file_replaces_a_link_instead_of_following_it() {
    let out = unpacked(
        Tar::new()
            .symlink("f", "../outside/secret")
            .file("f", 0o644, b"mine")
            .symlink("d", "../outside")
            .dir("d", 0o700)
            .symlink("n", "../outside/new")
            .device("n", 0o600, (1, 3)),
    );
    assert_eq!(out.text("f"), "mine");
    assert!(fs::symlink_metadata(out.path("d")).unwrap().is_dir());
}

#[test]
fn a_link_cannot_be_cached_past_its_replacement() {
    let out = unpack_bytes(
        &Tar::new()
            .dir("a", 0o755)
            .file("a/one", 0o644, b"1")
            .symlink("a", "../outside")
            .file("a/two", 0o644, b"2")
            .finish(),
    );
    assert!(out.result.is_err());
    assert!(!out.path("../outside/two").exists());
}

#[test]
fn hard_links_cannot_reach_outside() {
    for target in ["../outside/secret", "/../outside/secret"] {
        let out = unpack_bytes(&Tar::new().link("h", target).finish());
        assert!(
            matches!(out.result, Err(UnpackError::Escape(_))),
            "{target}"
        );
    }
    let out = unpack_bytes(
        &Tar::new()
            .symlink("d", "../outside")
            .link("h", "d/secret")
            .finish(),
    );
    assert!(out.result.is_err());
    // A link to a symbolic link is to the link itself.
    let out = unpacked(Tar::new().symlink("s", "../outside/secret").link("h", "s"));
    assert!(fs::symlink_metadata(out.path("h")).unwrap().is_symlink());
}

#[test]
fn whiteouts_cannot_reach_outside() {
    for name in [".wh..", ".wh...", ".wh."] {
        let out = unpack_bytes(&Tar::new().file(name, 0o600, b"").finish());
        assert!(out.result.is_err(), "{name}");
    }
    let out = unpack_bytes(
        &Tar::new()
            .symlink("l", "../outside")
            .file("l/.wh.secret", 0o600, b"")
            .file("l/.wh..wh..opq", 0o600, b"")
            .finish(),
    );
    assert!(out.result.is_err());
}

#[test]
fn damaged_archives_are_errors() {
    let good = Tar::new().file("f", 0o644, &[1; 2000]).finish();
    for length in [1, 511, 513, 1024, 2500] {
        assert!(unpack_bytes(&good[..length]).result.is_err(), "{length}");
    }
    let mut wrong = good.clone();
    wrong[0] ^= 1;
    assert!(
        unpack_bytes(&wrong)
            .result
            .unwrap_err()
            .to_string()
            .contains("checksum")
    );
    assert!(
        unpack_bytes(b"<html>this is no archive</html>")
            .result
            .is_err()
    );
    let huge = Tar::new().pax_of_size(u64::MAX / 2).finish();
    assert!(unpack_bytes(&huge).result.is_err());
    let device = Tar::new().unknown_type(b'Z').finish();
    assert!(
        unpack_bytes(&device)
            .result
            .unwrap_err()
            .to_string()
            .contains('Z')
    );
}
