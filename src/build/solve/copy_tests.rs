use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use fs_err as fs;

use super::super::scan::{Verdict, select};
use super::*;

/// Two folders: what is copied from, and what is copied into.
struct Pair {
    from: tempfile::TempDir,
    to: tempfile::TempDir,
}

impl Pair {
    fn new() -> Self {
        Self {
            from: tempfile::tempdir().unwrap(),
            to: tempfile::tempdir().unwrap(),
        }
    }

    fn file(&self, name: &str, mode: u32) {
        let path = self.from.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, name).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    }

    fn copy(&self, sources: &[&str], to: &str, looks: &Looks) -> Result<(), CopyError> {
        self.copy_but(sources, to, looks, &|_, _| Verdict::Take)
    }

    fn copy_but(
        &self,
        sources: &[&str],
        to: &str,
        looks: &Looks,
        filter: &(dyn Fn(&Path, bool) -> Verdict + Sync),
    ) -> Result<(), CopyError> {
        let root = |folder: &tempfile::TempDir| {
            let folder = fs::File::open(folder.path()).unwrap();
            Root::new(folder.into_file().into())
        };
        let from = root(&self.from);
        let mut selected = Vec::new();
        for source in sources {
            selected.extend(select(&from, source, filter).unwrap());
        }
        put(
            &root(&self.to),
            to.as_ref(),
            sources.len() > 1,
            &selected,
            looks,
        )
    }

    /// All that is there: path, mode in octal, owner.
    fn seen(&self) -> Vec<String> {
        let mut all = Vec::new();
        list(self.to.path(), self.to.path(), &mut all);
        all.sort();
        all
    }
}

fn list(top: &Path, folder: &Path, all: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let found = fs::symlink_metadata(&path).unwrap();
        let shown = path.strip_prefix(top).unwrap().display();
        if found.is_symlink() {
            all.push(format!(
                "{shown} -> {}",
                fs::read_link(&path).unwrap().display()
            ));
            continue;
        }
        let slash = if found.is_dir() { "/" } else { "" };
        let (mode, uid, gid) = (found.mode() & 0o7777, found.uid(), found.gid());
        all.push(format!("{shown}{slash} {mode:o} {uid}:{gid}"));
        if found.is_dir() {
            list(top, &path, all);
        }
    }
}

/// As what comes from a context.
fn own() -> Looks {
    Looks {
        owner: Some((0, 0)),
        mode: None,
    }
}

#[test]
fn a_file_takes_the_place_that_the_target_names() {
    let pair = Pair::new();
    pair.file("file", 0o4755);
    pair.file("dir/inner", 0o600);
    symlink("/real", pair.to.path().join("link")).unwrap();
    symlink("/nowhere/x", pair.to.path().join("dangling")).unwrap();
    fs::create_dir(pair.to.path().join("there")).unwrap();
    for to in ["/new", "/slash/", "/a/b", "/link/", "/dangling", "/there"] {
        pair.copy(&["file"], to, &own()).unwrap();
    }
    pair.copy(&["dir/inner", "file"], "/many", &own()).unwrap();
    assert_eq!(
        pair.seen(),
        [
            "a/ 755 0:0",
            "a/b 4755 0:0",
            "dangling -> /nowhere/x",
            "link -> /real",
            "many/ 755 0:0",
            "many/file 4755 0:0",
            "many/inner 600 0:0",
            "new 4755 0:0",
            "nowhere/ 755 0:0",
            "nowhere/x 4755 0:0",
            "real/ 755 0:0",
            "real/file 4755 0:0",
            "slash/ 755 0:0",
            "slash/file 4755 0:0",
            "there/ 755 0:0",
            "there/file 4755 0:0",
        ]
    );
}

#[test]
fn a_symlink_with_the_name_of_what_goes_into_a_folder_is_replaced() {
    let pair = Pair::new();
    pair.file("file", 0o640);
    let there = pair.to.path().join("there");
    fs::create_dir(&there).unwrap();
    fs::write(pair.to.path().join("other"), "before").unwrap();
    symlink("/other", there.join("file")).unwrap();
    pair.copy(&["file"], "/there/", &own()).unwrap();
    assert_eq!(
        pair.seen(),
        ["other 644 0:0", "there/ 755 0:0", "there/file 640 0:0"]
    );
    let other = fs::read_to_string(pair.to.path().join("other")).unwrap();
    assert_eq!(other, "before");
    // Named itself, it says where.
    fs::remove_file(there.join("file")).unwrap();
    symlink("/other", there.join("file")).unwrap();
    pair.copy(&["file"], "/there/file", &own()).unwrap();
    let other = fs::read_to_string(pair.to.path().join("other")).unwrap();
    assert_eq!(other, "file");
}

#[test]
fn a_folders_content_is_merged_with_what_is_there() {
    let pair = Pair::new();
    pair.file("dir/sub/new", 0o640);
    pair.file("dir/same", 0o600);
    symlink("sub/new", pair.from.path().join("dir/link")).unwrap();
    let sub = pair.from.path().join("dir/sub");
    fs::set_permissions(&sub, Permissions::from_mode(0o711)).unwrap();
    let top = pair.to.path().join("d");
    fs::create_dir_all(top.join("sub")).unwrap();
    fs::write(top.join("sub/old"), "").unwrap();
    fs::write(top.join("same"), "before").unwrap();
    fs::set_permissions(&top, Permissions::from_mode(0o700)).unwrap();
    pair.copy(&["dir"], "/d", &own()).unwrap();
    assert_eq!(
        pair.seen(),
        [
            "d/ 700 0:0",
            "d/link -> sub/new",
            "d/same 600 0:0",
            "d/sub/ 711 0:0",
            "d/sub/new 640 0:0",
            "d/sub/old 644 0:0",
        ]
    );
    assert_eq!(fs::read_to_string(top.join("same")).unwrap(), "dir/same");
    let time = |path: &Path| fs::metadata(path).unwrap().modified().unwrap();
    assert_eq!(time(&top), time(&pair.from.path().join("dir")));
    assert_eq!(time(&top.join("sub")), time(&sub));
}

#[test]
fn owners_and_modes_are_those_asked_for() {
    let pair = Pair::new();
    pair.file("dir/file", 0o4755);
    std::os::unix::fs::chown(pair.from.path().join("dir/file"), Some(7), Some(8)).unwrap();
    let path = pair.from.path().join("dir/file");
    fs::set_permissions(&path, Permissions::from_mode(0o4755)).unwrap();
    fs::hard_link(&path, pair.from.path().join("dir/twin")).unwrap();
    let looks = |owner, mode: &str| Looks {
        owner,
        mode: ModeChange::parse(mode),
    };
    pair.copy(&["dir"], "/kept", &looks(None, "")).unwrap();
    let twin = fs::metadata(pair.to.path().join("kept/twin")).unwrap();
    assert_eq!(twin.nlink(), 2);
    pair.copy(&["dir"], "/x/given/", &looks(Some((12, 13)), "640"))
        .unwrap();
    assert_eq!(
        pair.seen(),
        [
            "kept/ 755 0:0",
            "kept/file 4755 7:8",
            "kept/twin 4755 7:8",
            "x/ 640 12:13",
            "x/given/ 640 12:13",
            "x/given/file 640 12:13",
            "x/given/twin 640 12:13",
        ]
    );
}

#[test]
fn what_patterns_take_out_is_not_copied_and_what_they_bring_back_is() {
    let pair = Pair::new();
    for name in [
        "a/keep",
        "a/drop",
        "node_modules/x/y",
        "b/deep/only",
        "b/deep/not",
    ] {
        pair.file(name, 0o644);
    }
    fs::create_dir(pair.from.path().join("empty")).unwrap();
    let filter = |path: &Path, is_folder: bool| match path.to_str().unwrap() {
        "a/drop" | "node_modules" => Verdict::Leave,
        "b/deep/only" => Verdict::Take,
        path if path.starts_with('b') && is_folder => Verdict::Pass,
        path if path.starts_with('b') => Verdict::Leave,
        "empty" => Verdict::Pass,
        _ => Verdict::Take,
    };
    pair.copy_but(&["."], "/", &own(), &filter).unwrap();
    assert_eq!(
        pair.seen(),
        [
            "a/ 755 0:0",
            "a/keep 644 0:0",
            "b/ 755 0:0",
            "b/deep/ 755 0:0",
            "b/deep/only 644 0:0",
        ]
    );
}

#[test]
fn wildcards_are_those_of_go() {
    let pair = Pair::new();
    for name in [
        "a.txt",
        "b.txt",
        "c.md",
        "d/x.txt",
        "e/x.txt",
        "{a}",
        "[x]",
        ".hidden.txt",
    ] {
        pair.file(name, 0o644);
    }
    for (pattern, wanted) in [
        ("*.txt", &[".hidden.txt", "a.txt", "b.txt"][..]),
        ("?.txt", &["a.txt", "b.txt"]),
        ("[a-b].*", &["a.txt", "b.txt"]),
        ("*/x.txt", &["d/x.txt", "e/x.txt"]),
        ("{a}", &["{a}"]),
        ("{*}", &["{a}"]),
        ("\\[x\\]", &["[x]"]),
        ("nothing*", &[]),
        ("../a.txt", &["a.txt"]),
        ("/./d/../c.md", &["c.md"]),
    ] {
        let folder = fs::File::open(pair.from.path()).unwrap();
        let root = Root::new(folder.into_file().into());
        let found = select(&root, pattern, &|_, _| Verdict::Take).unwrap();
        let found: Vec<&str> = found.iter().map(|one| one.path.to_str().unwrap()).collect();
        assert_eq!(found, wanted, "{pattern}");
    }
}

#[test]
fn a_folder_and_a_file_do_not_take_each_others_place() {
    let pair = Pair::new();
    pair.file("dir/x/y", 0o644);
    pair.file("file", 0o644);
    fs::create_dir_all(pair.to.path().join("d/file")).unwrap();
    fs::write(pair.to.path().join("d/x"), "").unwrap();
    symlink("/elsewhere", pair.to.path().join("l")).unwrap();
    for (source, to, wanted) in [
        (
            "dir",
            "/d",
            "cannot copy a folder over a file: `/d/x` is in the way",
        ),
        (
            "dir",
            "/d/x",
            "cannot copy a folder over a file: `/d/x` is in the way",
        ),
        (
            "file",
            "/d",
            "cannot copy a file over a folder: `/d/file` is in the way",
        ),
        (
            "file",
            "/d/x/z",
            "cannot copy a folder over a file: `/d/x` is in the way",
        ),
    ] {
        let error = pair.copy(&[source], to, &own()).unwrap_err();
        assert_eq!(error.to_string(), wanted, "{source} {to}");
    }
}

#[test]
fn nothing_leads_out_of_the_root() {
    let pair = Pair::new();
    let outside = tempfile::tempdir().unwrap();
    pair.file("dir/out/x", 0o644);
    pair.file("file", 0o644);
    symlink(outside.path(), pair.to.path().join("out")).unwrap();
    symlink("../../../../../..", pair.to.path().join("up")).unwrap();
    pair.copy(&["file"], "/out/file", &own()).unwrap();
    pair.copy(&["file"], "/up/up/file", &own()).unwrap();
    pair.copy(&["dir"], "/", &own()).unwrap_err();
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
    let inside = outside.path().strip_prefix("/").unwrap();
    assert!(pair.to.path().join(inside).join("file").is_file());
    assert!(pair.to.path().join("file").is_file());
}
