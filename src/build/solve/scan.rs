//! What a COPY selects: wildcards of its sources, and everything below a folder
//! that no pattern takes out.

use std::ffi::{CStr, OsStr};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use globset::{GlobBuilder, GlobMatcher};
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, Stat, fstat, openat, statat};
use rustix::io::Errno;

use crate::build::ignore::Ignore;
use crate::engine::inroot::Root;
use crate::engine::sys::helpers;
use crate::engine::tree::names;

/// What a pattern says about a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is copied.
    Take,
    /// It is not, but something in it may be.
    Pass,
    /// Neither it nor anything in it.
    Leave,
}

impl Verdict {
    /// What patterns say about a path, relative to where they count from.
    pub(crate) fn of(ignore: &Ignore, path: &Path, is_folder: bool) -> Self {
        let found = ignore.decide(&path.to_string_lossy());
        match (found.is_excluded, is_folder && !found.is_pruned) {
            (false, _) => Self::Take,
            (true, true) => Self::Pass,
            (true, false) => Self::Leave,
        }
    }

    /// What two sets of patterns say together.
    pub(crate) fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Leave, _) | (_, Self::Leave) => Self::Leave,
            (Self::Pass, _) | (_, Self::Pass) => Self::Pass,
            (Self::Take, Self::Take) => Self::Take,
        }
    }
}

/// Decides about a path, relative to where the patterns count from.
pub(crate) type Filter<'a> = &'a (dyn Fn(&Path, bool) -> Verdict + Sync);

/// Something to be copied.
#[derive(Debug)]
pub(crate) struct Item {
    /// Relative to the selected folder; empty for the folder itself, and for a
    /// selected file.
    pub(crate) path: PathBuf,
    /// As found, symlinks not followed.
    pub(crate) status: Stat,
}

impl Item {
    /// What it is.
    pub(crate) fn kind(&self) -> FileType {
        FileType::from_raw_mode(self.status.st_mode)
    }
}

/// One of the things that a source names.
#[derive(Debug)]
pub(crate) struct Selected {
    /// Path in the source's root, symlinks of its last component followed.
    pub(crate) path: PathBuf,
    /// Name that it was found by.
    pub(crate) name: std::ffi::OsString,
    /// It, opened to be looked at.
    pub(crate) found: OwnedFd,
    /// It, and where it is a folder all in it, each folder before its content.
    pub(crate) items: Vec<Item>,
}

impl Selected {
    /// Opens a selected file to be read.
    ///
    /// # Errors
    /// What the kernel says.
    pub(crate) fn open(&self) -> std::io::Result<std::fs::File> {
        let path = helpers::descriptor_path(self.found.as_fd());
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        Ok(openat(CWD, path, flags, Mode::empty())?.into())
    }

    /// Whether its content is copied instead of itself.
    pub(crate) fn is_folder(&self) -> bool {
        self.items
            .first()
            .is_some_and(|item| item.kind() == FileType::Directory)
    }
}

/// Whether a path is to be taken as a pattern.
pub(crate) fn has_wildcard(path: &str) -> bool {
    path.contains(['*', '?', '['])
}

/// Everything in `root` that `source` names, in the order of names. A source
/// without wildcards names one thing, which is missing where nothing comes back.
///
/// # Errors
/// A malformed pattern; otherwise what the kernel says.
pub(crate) fn select(
    root: &Root,
    source: &str,
    filter: Filter<'_>,
) -> std::io::Result<Vec<Selected>> {
    let mut selected = Vec::new();
    for path in expand(root, source)? {
        let found = match root.open(or_root(&path)) {
            Ok(found) => found,
            Err(Errno::NOENT | Errno::NOTDIR) => continue,
            Err(errno) => return Err(errno.into()),
        };
        let status = fstat(&found)?;
        let is_folder = FileType::from_raw_mode(status.st_mode) == FileType::Directory;
        let verdict = verdict(filter, &path, is_folder);
        if verdict == Verdict::Leave || (!is_folder && verdict == Verdict::Pass) {
            continue;
        }
        let mut items = vec![Item {
            path: PathBuf::new(),
            status,
        }];
        if is_folder {
            let folder = open_folder(&found)?;
            collect(&folder, &path, Path::new(""), filter, &mut items)?;
            // A folder that is taken out is there for what is in it.
            if verdict == Verdict::Pass && items.len() == 1 {
                continue;
            }
        }
        let name = path.file_name().unwrap_or_default().to_owned();
        selected.push(Selected {
            path,
            name,
            found,
            items,
        });
    }
    Ok(selected)
}

fn verdict(filter: Filter<'_>, path: &Path, is_folder: bool) -> Verdict {
    if path.as_os_str().is_empty() {
        return Verdict::Take;
    }
    filter(path, is_folder)
}

/// Paths without wildcards, relative to the root.
fn expand(root: &Root, source: &str) -> std::io::Result<Vec<PathBuf>> {
    let mut paths = vec![PathBuf::new()];
    for component in Path::new(source).components() {
        match component {
            Component::Normal(name) => match name.to_str().filter(|name| has_wildcard(name)) {
                Some(pattern) => paths = matching(root, &paths, &matcher(pattern)?)?,
                None => paths.iter_mut().for_each(|path| path.push(unescaped(name))),
            },
            // Never above the root.
            Component::ParentDir => paths.iter_mut().for_each(|path| {
                path.pop();
            }),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    paths.sort();
    Ok(paths)
}

/// Without the backslashes that make the next character mean itself.
fn unescaped(name: &OsStr) -> std::ffi::OsString {
    let mut bytes = Vec::new();
    let mut rest = name.as_bytes().iter();
    while let Some(byte) = rest.next() {
        let byte = if *byte == b'\\' {
            rest.next().unwrap_or(byte)
        } else {
            byte
        };
        bytes.push(*byte);
    }
    OsStr::from_bytes(&bytes).to_owned()
}

fn matching(
    root: &Root,
    folders: &[PathBuf],
    wanted: &GlobMatcher,
) -> std::io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for folder in folders {
        let handle = match root
            .open(or_root(folder))
            .and_then(|found| open_folder(&found))
        {
            Ok(handle) => handle,
            Err(Errno::NOENT | Errno::NOTDIR) => continue,
            Err(errno) => return Err(errno.into()),
        };
        let names = names(&handle)?;
        let names = names.iter().map(|name| os(name));
        found.extend(
            names
                .filter(|name| wanted.is_match(Path::new(name)))
                .map(|name| folder.join(name)),
        );
    }
    Ok(found)
}

/// One component as Go's `path.Match` reads it: braces mean themselves.
fn matcher(pattern: &str) -> std::io::Result<GlobMatcher> {
    let plain = pattern.replace('{', "[{]").replace('}', "[}]");
    GlobBuilder::new(&plain)
        .literal_separator(true)
        .backslash_escape(true)
        .build()
        .map(|glob| glob.compile_matcher())
        .map_err(|error| std::io::Error::new(std::io::ErrorKind::InvalidInput, error))
}

/// Adds what is in a folder. `base` is the path that patterns count for, `path`
/// the one below the selected folder.
fn collect(
    folder: &OwnedFd,
    base: &Path,
    path: &Path,
    filter: Filter<'_>,
    items: &mut Vec<Item>,
) -> rustix::io::Result<()> {
    let mut names = names(folder)?;
    names.sort();
    for name in names {
        let status = statat(folder, &*name, AtFlags::SYMLINK_NOFOLLOW)?;
        let is_folder = FileType::from_raw_mode(status.st_mode) == FileType::Directory;
        let (full, inner) = (base.join(os(&name)), path.join(os(&name)));
        let verdict = filter(&full, is_folder);
        if verdict == Verdict::Leave || (!is_folder && verdict == Verdict::Pass) {
            continue;
        }
        let before = items.len();
        items.push(Item {
            path: inner.clone(),
            status,
        });
        if is_folder {
            let opened = open_at(folder, &name)?;
            collect(&opened, &full, &inner, filter, items)?;
            if verdict == Verdict::Pass && items.len() == before + 1 {
                items.pop();
            }
        }
    }
    Ok(())
}

fn or_root(path: &Path) -> &Path {
    if path.as_os_str().is_empty() {
        Path::new(".")
    } else {
        path
    }
}

fn os(name: &CStr) -> &OsStr {
    OsStr::from_bytes(name.to_bytes())
}

fn open_folder(found: &OwnedFd) -> rustix::io::Result<OwnedFd> {
    open_at(found, c".")
}

fn open_at(folder: &OwnedFd, name: &CStr) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(folder.as_fd(), name, flags, Mode::empty())
}
