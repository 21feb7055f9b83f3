//! Archives that are odd or hostile beyond leading out of the layer (for that
//! see `tests`).

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};

use fs_err as fs;

use super::tests::{Out, unpack_bytes, unpacked};
use crate::image::unpack::testing::Tar;

fn error(out: Out) -> String {
    out.result.unwrap_err().to_string()
}

fn count(out: &Out) -> usize {
    fs::read_dir(out.path("")).unwrap().count()
}

#[test]
fn a_hundred_thousand_entries_are_no_burden() {
    // A few kinds, as making 100,000 files takes a slow disk a minute.
    let mut tar = Tar::new().file("one", 0o644, b"1");
    for number in 0..1_000 {
        tar = tar.file(&format!("d{}/f{number}", number / 10), 0o644, b"");
    }
    for number in 0..29_000 {
        tar = tar.link(&format!("links/l{number}"), "one");
    }
    for number in 0..10_000_u32 {
        tar = tar.dir("again", 0o700 + number % 8);
    }
    for number in 0..60_000 {
        tar = tar.file(&format!(".wh..wh.{number}"), 0o644, b"");
    }
    // What grows with the square would take minutes, and the test be ended.
    let out = unpack_bytes(&tar.finish());
    assert_eq!(out.implied().len(), 101);
    assert_eq!(fs::metadata(out.path("one")).unwrap().nlink(), 29_001);
    assert_eq!(out.mode("again"), 0o700 + 9_999 % 8);
}

#[test]
fn devices_and_pipes_are_made_and_never_opened() {
    // Opening the pipe would hang, the terminal would be taken, and the disk
    // written to: what comes after in its place replaces it.
    let out = unpacked(
        Tar::new()
            .fifo("p", 0o600)
            .file("p", 0o644, b"now a file")
            .device("tty", 0o666, (5, 0))
            .file("tty", 0o644, b"mine")
            .device("mem", 0o660, (1, 1))
            .link("mem-too", "mem"),
    );
    assert_eq!(out.text("p"), "now a file");
    assert_eq!(out.text("tty"), "mine");
    let memory = fs::symlink_metadata(out.path("mem-too")).unwrap();
    assert!(memory.file_type().is_char_device());
    assert_eq!(memory.nlink(), 2);
    // Nothing is made below them.
    let below = Tar::new()
        .device("mem", 0o660, (1, 1))
        .file("mem/x", 0o644, b"x");
    assert!(unpack_bytes(&below.finish()).result.is_err());
    let below = Tar::new().fifo("p", 0o660).file("p/x", 0o644, b"x");
    assert!(unpack_bytes(&below.finish()).result.is_err());
}

#[test]
fn names_that_name_the_root_change_only_its_attributes() {
    for name in ["", ".", "./", "/", "//.", "a/.."] {
        let out = unpacked(
            Tar::new()
                .raw_name(name.as_bytes(), 0o600, b"content")
                .symlink(name, "/etc")
                .fifo(name, 0o600),
        );
        assert_eq!(count(&out), 0, "{name:?}");
        assert!(fs::symlink_metadata(out.path("")).unwrap().is_dir());
        let out = unpacked(Tar::new().dir(name, 0o711));
        assert_eq!((count(&out), out.mode("")), (0, 0o711), "{name:?}");
    }
}

#[test]
fn names_of_any_bytes_and_lengths_are_kept_or_refused_by_name() {
    let longest = "n".repeat(255);
    for name in ["\n", " ", "-rf", "*", "\\", "a\nb\x1b[2J", &longest] {
        let out = unpacked(
            Tar::new()
                .pax(&[("path", name.as_bytes())])
                .file("x", 0o644, b"y"),
        );
        assert_eq!(out.text(name), "y", "{name:?}");
    }
    let out = unpacked(Tar::new().raw_name(b"\xff\xfe/\x80", 0o644, b"y"));
    let path = out.path("").join(OsStr::from_bytes(b"\xff\xfe/\x80"));
    assert_eq!(fs::read(path).unwrap(), b"y");
    let too_long = "n".repeat(256);
    let message = error(unpack_bytes(
        &Tar::new()
            .pax(&[("path", too_long.as_bytes())])
            .file("x", 0o644, b"y")
            .finish(),
    ));
    assert!(message.contains("cannot make its entry `nnn"), "{message}");
    let nul = Tar::new().pax(&[("path", b"a\0b")]).file("x", 0o644, b"");
    assert!(error(unpack_bytes(&nul.finish())).contains("is no valid path"));
    // Nothing of a name reaches a terminal as it is.
    let hostile = Tar::new()
        .pax(&[("path", b"../\x1b[2J")])
        .file("x", 0o644, b"");
    assert!(!error(unpack_bytes(&hostile.finish())).contains('\x1b'));
    // A path that the kernel takes only piece by piece is refused.
    let deep = "d/".repeat(3000);
    let deep = Tar::new().pax(&[("path", deep.as_bytes())]).dir("x", 0o755);
    assert!(unpack_bytes(&deep.finish()).result.is_err());
}

#[test]
fn whiteouts_of_nothing_and_in_odd_places() {
    let out = unpacked(
        Tar::new()
            .file(".wh.never-was", 0o600, b"")
            .file(".wh.never-was", 0o600, b"")
            // Docker too takes only the last part of a path for a mark.
            .file(".wh.folder/f", 0o644, b"f")
            .dir("d", 0o755)
            .file("d/.wh..wh..opq", 0o600, b"")
            .file("d/.wh..wh..opq", 0o600, b"")
            .symlink(".wh.link", "/etc/passwd")
            .dir(".wh.dir", 0o755)
            .raw_name(b".wh.\n", 0o600, b""),
    );
    for name in ["never-was", "link", "dir", "\n"] {
        assert!(out.is_whiteout(name), "{name:?}");
    }
    assert_eq!(out.text(".wh.folder/f"), "f");
    assert_eq!(
        out.xattr("d", "trusted.overlay.opaque").as_deref(),
        Some(&b"y"[..])
    );
    // A mark with content is a mark; its content is no file.
    let out = unpacked(Tar::new().file(".wh.x", 0o644, b"content"));
    assert!(out.is_whiteout("x"));
    assert_eq!(count(&out), 1);
}

#[test]
fn a_folder_and_a_file_take_each_other_s_place() {
    let out = unpacked(
        Tar::new()
            .file("f", 0o644, b"file")
            .dir("f", 0o755)
            .file("f/in", 0o644, b"in")
            .dir("d", 0o755)
            .file("d/a/b/c", 0o644, b"deep")
            .symlink("d", "f")
            .file("d/through", 0o644, b"x"),
    );
    assert_eq!(out.text("f/in"), "in");
    assert_eq!(out.text("f/through"), "x");
    assert!(fs::symlink_metadata(out.path("d")).unwrap().is_symlink());
    // What stands in the way of an implied folder stays, as it was stated.
    let over = Tar::new()
        .file("f", 0o644, b"file")
        .file("f/in", 0o644, b"in");
    let out = unpack_bytes(&over.finish());
    assert!(out.result.is_err());
}

#[test]
fn sizes_beyond_all_bounds_are_refused() {
    let number = |value: u64| value.to_string().into_bytes();
    for size in [u64::MAX, u64::MAX - 511, i64::MAX as u64, 1 << 50] {
        let file = Tar::new()
            .pax(&[("size", &number(size))])
            .file("f", 0o644, b"x");
        let message = error(unpack_bytes(&file.finish()));
        assert!(
            message.contains("ends too early") || message.contains("out of range"),
            "{message}"
        );
        // Folders and devices have no content; a size of theirs is skipped.
        let folder = Tar::new().pax(&[("size", &number(size))]).dir("d", 0o755);
        assert!(unpack_bytes(&folder.finish()).result.is_err(), "{size}");
        let map: &[(u64, &[u8])] = &[(size - 1, b"x")];
        for tar in [
            Tar::new().sparse_pax_0("s", map, size),
            Tar::new().sparse_pax_1("s", map, size),
        ] {
            let out = unpack_bytes(&tar.finish());
            // Holes cost nothing, so one that the file system can have is made.
            if out.result.is_ok() {
                assert!(fs::metadata(out.path("s")).unwrap().blocks() < 100);
            }
        }
    }
    let message = error(unpack_bytes(&Tar::new().pax_of_size(2 << 20).finish()));
    assert!(message.contains("over 1 MiB"), "{message}");
    for (key, value) in [
        ("size", "-1"),
        ("size", "99999999999999999999"),
        ("uid", "4294967296"),
        ("gid", "-1"),
        ("mtime", "1e9"),
        ("mtime", "99999999999999999999"),
        ("GNU.sparse.map", "0"),
    ] {
        let tar = Tar::new()
            .pax(&[(key, value.as_bytes())])
            .file("f", 0o644, b"");
        assert!(unpack_bytes(&tar.finish()).result.is_err(), "{key}={value}");
    }
    // A time that no file system has is an error or the nearest one; no panic.
    for time in [
        "9223372036854775807",
        "-9223372036854775808",
        "-0.5",
        "253402300800",
    ] {
        let tar = Tar::new()
            .pax(&[("mtime", time.as_bytes())])
            .file("f", 0o644, b"");
        unpack_bytes(&tar.finish()).result.ok();
    }
}

#[test]
fn links_to_themselves_and_in_circles_are_as_they_are() {
    let out = unpacked(
        Tar::new()
            .file("f", 0o644, b"f")
            .link("f", "f")
            .symlink("a", "b")
            .symlink("b", "a")
            .symlink("self", "self"),
    );
    assert_eq!(out.text("f"), "f");
    let through = Tar::new()
        .symlink("a", "b")
        .symlink("b", "a")
        .file("a/f", 0o644, b"");
    assert!(unpack_bytes(&through.finish()).result.is_err());
    let missing = unpack_bytes(&Tar::new().link("l", "nothing").finish());
    assert!(error(missing).contains("cannot link its entry `l`"));
    // Not even root makes two names of one folder.
    let folder = unpack_bytes(&Tar::new().dir("d", 0o755).link("l", "d").finish());
    assert!(folder.result.is_err());
}
