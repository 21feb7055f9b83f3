use std::os::unix::fs::{PermissionsExt as _, symlink};

use fs_err as fs;
use rustix::fs::{Gid, Uid};

use super::*;

/// A source, a container's root, and a copier between them.
struct Pair {
    _folder: tempfile::TempDir,
    from: PathBuf,
    to: PathBuf,
}

impl Pair {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        fs::create_dir(&from).unwrap();
        fs::create_dir(&to).unwrap();
        Self {
            _folder: folder,
            from,
            to,
        }
    }

    fn place(&self) -> Place {
        let own = rustix::process::geteuid().as_raw();
        let group = rustix::process::getegid().as_raw();
        let owner = (Uid::from_raw(own), Gid::from_raw(group));
        Place::of(Root::at(&self.to).unwrap(), Some(owner))
    }

    fn put(&self, below: &str, to: &str, kind: Kind) -> rustix::io::Result<bool> {
        self.put_by(true, below, to, kind)
    }

    /// `nameless`: the file system can write files that have no name yet.
    fn put_by(
        &self,
        nameless: bool,
        below: &str,
        to: &str,
        kind: Kind,
    ) -> rustix::io::Result<bool> {
        let place = self.place();
        let source = Root::at(&self.from).unwrap();
        let mut copier = Copier::new(&place);
        copier.nameless = nameless;
        let what = What {
            kind,
            may_replace_folder: below == "x",
        };
        copier.put(&source, below.as_ref(), to.as_ref(), what)
    }
}

#[test]
fn a_file_takes_the_place_of_whatever_is_there() {
    for nameless in [true, false] {
        let pair = Pair::new();
        fs::write(pair.from.join("x"), "new").unwrap();
        let mode = std::fs::Permissions::from_mode(0o640);
        fs::set_permissions(pair.from.join("x"), mode).unwrap();
        let target = pair.to.join("app/x");
        let put = || {
            assert_eq!(pair.put_by(nameless, "x", "/app/x", Kind::File), Ok(true));
            assert_eq!(fs::read_to_string(&target).unwrap(), "new");
        };
        // Nothing, a file, a link, a folder that is not empty.
        put();
        fs::write(&target, "old").unwrap();
        put();
        fs::remove_file(&target).unwrap();
        fs::write(pair.to.join("other"), "other").unwrap();
        symlink("../other", &target).unwrap();
        put();
        assert!(!target.is_symlink());
        assert_eq!(fs::read_to_string(pair.to.join("other")).unwrap(), "other");
        fs::remove_file(&target).unwrap();
        fs::create_dir_all(target.join("deep")).unwrap();
        fs::write(target.join("deep/file"), "").unwrap();
        put();
        let mode = fs::metadata(&target).unwrap().permissions().mode() & 0o7777;
        assert_eq!(mode, 0o640);
        // Nothing is left beside it.
        assert_eq!(fs::read_dir(pair.to.join("app")).unwrap().count(), 1);
    }
}

#[test]
fn what_is_not_there_any_more_is_nothing() {
    let pair = Pair::new();
    for kind in [Kind::File, Kind::Folder, Kind::Link] {
        assert_eq!(pair.put("gone", "/app/gone", kind), Ok(false), "{kind:?}");
    }
    // It became something else.
    fs::create_dir(pair.from.join("folder")).unwrap();
    assert_eq!(pair.put("folder", "/x", Kind::File), Ok(false));
    symlink("folder", pair.from.join("link")).unwrap();
    assert_eq!(pair.put("link", "/x", Kind::File), Ok(false));
    assert!(!pair.to.join("x").exists());
}

#[test]
fn a_link_in_the_source_is_not_followed() {
    let pair = Pair::new();
    fs::create_dir(pair.from.join("real")).unwrap();
    fs::write(pair.from.join("real/secret"), "secret").unwrap();
    symlink("real", pair.from.join("link")).unwrap();
    assert_eq!(pair.put("link/secret", "/secret", Kind::File), Ok(false));
    assert!(!pair.to.join("secret").exists());
}

#[test]
fn a_file_is_in_the_way_of_a_target() {
    let pair = Pair::new();
    fs::write(pair.from.join("x"), "new").unwrap();
    fs::write(pair.to.join("app"), "a file").unwrap();
    let refused = pair.put("x", "/app/x", Kind::File);
    assert_eq!(refused, Err(rustix::io::Errno::NOTDIR));
    assert_eq!(fs::read_to_string(pair.to.join("app")).unwrap(), "a file");
    // In the way of what is a folder of the source it goes.
    fs::create_dir(pair.from.join("sub")).unwrap();
    fs::write(pair.from.join("sub/y"), "y").unwrap();
    fs::create_dir(pair.to.join("there")).unwrap();
    fs::write(pair.to.join("there/sub"), "a file").unwrap();
    assert_eq!(pair.put("sub/y", "/there/sub/y", Kind::File), Ok(true));
    assert_eq!(
        fs::read_to_string(pair.to.join("there/sub/y")).unwrap(),
        "y"
    );
}

#[test]
fn removing_follows_nothing_and_misses_nothing() {
    let pair = Pair::new();
    fs::create_dir_all(pair.to.join("app/a/b")).unwrap();
    fs::write(pair.to.join("app/a/b/c"), "").unwrap();
    fs::create_dir(pair.to.join("kept")).unwrap();
    fs::write(pair.to.join("kept/file"), "").unwrap();
    symlink("../../kept", pair.to.join("app/a/link")).unwrap();
    let place = pair.place();
    assert_eq!(
        remove::at(&place, "/app/a".as_ref(), "a".as_ref()),
        Ok(true)
    );
    assert_eq!(
        remove::at(&place, "/app/a".as_ref(), "a".as_ref()),
        Ok(false)
    );
    assert_eq!(
        remove::at(&place, "/no/such/path".as_ref(), "path".as_ref()),
        Ok(false)
    );
    assert!(pair.to.join("kept/file").exists());
    assert!(!pair.to.join("app/a").exists());
}

#[test]
fn a_folder_of_the_containers_own_stays() {
    let pair = Pair::new();
    fs::create_dir_all(pair.to.join("app/uploads")).unwrap();
    fs::write(pair.to.join("app/uploads/data"), "data").unwrap();
    fs::write(pair.from.join("uploads"), "a file").unwrap();
    let refused = pair.put("uploads", "/app/uploads", Kind::File);
    assert_eq!(refused, Err(rustix::io::Errno::ISDIR));
    let kept = fs::read_to_string(pair.to.join("app/uploads/data")).unwrap();
    assert_eq!(kept, "data");
    assert_eq!(fs::read_dir(pair.to.join("app")).unwrap().count(), 1);
}

/// A link in the container where there is a folder here: it is replaced, and what is behind
/// it is not touched.
#[test]
fn a_link_in_the_way_of_a_folder_is_replaced() {
    let pair = Pair::new();
    fs::create_dir_all(pair.from.join("cur")).unwrap();
    fs::write(pair.from.join("cur/passwd"), "new").unwrap();
    fs::create_dir_all(pair.to.join("app")).unwrap();
    fs::create_dir(pair.to.join("etc")).unwrap();
    fs::write(pair.to.join("etc/passwd"), "old").unwrap();
    symlink("../etc", pair.to.join("app/cur")).unwrap();
    let removed = remove::at(
        &pair.place(),
        "/app/cur/passwd".as_ref(),
        "cur/passwd".as_ref(),
    );
    assert_eq!(removed, Ok(false));
    assert_eq!(
        pair.put("cur/passwd", "/app/cur/passwd", Kind::File),
        Ok(true)
    );
    let read = |path: &str| fs::read_to_string(pair.to.join(path)).unwrap();
    assert_eq!(
        (read("etc/passwd").as_str(), read("app/cur/passwd").as_str()),
        ("old", "new")
    );
    assert!(!pair.to.join("app/cur").is_symlink());
}
