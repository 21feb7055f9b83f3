//! Two folders compared, file by file.

use std::collections::{BTreeMap, HashMap};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use fs_err as fs;

/// What is compared of a file beside its content.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Facts {
    /// Kind and permissions.
    mode: u32,
    owner: (u32, u32),
    device: u64,
    size: u64,
    mtime: (i64, i64),
    target: Option<PathBuf>,
    xattrs: BTreeMap<String, Vec<u8>>,
    /// The first of the names of one file.
    same_as: PathBuf,
}

fn facts(root: &Path) -> BTreeMap<PathBuf, Facts> {
    let mut paths = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            }
            paths.push(entry.path());
        }
    }
    paths.sort();
    let mut first_names: HashMap<u64, PathBuf> = HashMap::new();
    let found = paths.into_iter().map(|path| {
        let name = path.strip_prefix(root).unwrap().to_owned();
        let metadata = fs::symlink_metadata(&path).unwrap();
        // Docker makes each whiteout anew, overlayfs links them; they have no
        // owner and no time of their own.
        let whiteout = metadata.mode() & 0o170_000 == 0o020_000 && metadata.rdev() == 0;
        let first = first_names
            .entry(metadata.ino())
            .or_insert_with(|| name.clone());
        let facts = Facts {
            mode: if whiteout { 0 } else { metadata.mode() },
            owner: (metadata.uid(), metadata.gid()),
            device: metadata.rdev(),
            // A folder's size is the file system's business.
            size: if metadata.is_dir() {
                0
            } else {
                metadata.size()
            },
            mtime: if whiteout {
                (0, 0)
            } else {
                (metadata.mtime(), metadata.mtime_nsec())
            },
            target: metadata.is_symlink().then(|| fs::read_link(&path).unwrap()),
            xattrs: xattrs(&path),
            same_as: if whiteout {
                name.clone()
            } else {
                first.clone()
            },
        };
        (name, facts)
    });
    found.collect()
}

fn xattrs(path: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut names = vec![0; 4096];
    let length = rustix::fs::llistxattr(path, &mut names).unwrap();
    let names = String::from_utf8(names[..length].to_vec()).unwrap();
    let each = names.split('\0').filter(|name| !name.is_empty());
    each.map(|name| {
        let mut value = vec![0; 4096];
        let length = rustix::fs::lgetxattr(path, name, &mut value).unwrap();
        (name.to_owned(), value[..length].to_vec())
    })
    .collect()
}

/// How many files were compared, and what is not the same. `implied` are folders
/// of which only the presence counts.
pub(crate) fn differences(a: &Path, b: &Path, implied: &[PathBuf]) -> (usize, Vec<String>) {
    let (left, right) = (facts(a), facts(b));
    let mut found = Vec::new();
    for (path, one) in &left {
        match right.get(path) {
            None => found.push(format!("only in the first: {}", path.display())),
            Some(_) if implied.contains(path) => {}
            Some(other) if one != other => {
                found.push(format!("{}: {one:?}\n  {other:?}", path.display()));
            }
            Some(_) if one.mode & 0o170_000 == 0o100_000 && one.same_as == *path => {
                if fs::read(a.join(path)).unwrap() != fs::read(b.join(path)).unwrap() {
                    found.push(format!("{}: other content", path.display()));
                }
            }
            Some(_) => {}
        }
    }
    let only = right.keys().filter(|path| !left.contains_key(*path));
    found.extend(only.map(|path| format!("only in the second: {}", path.display())));
    (left.len(), found)
}
