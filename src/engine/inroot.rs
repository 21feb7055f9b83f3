//! Paths inside a container's root, resolved so that no symlink of an image
//! leads out of it: openat2(2), `path_resolution(7)`.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{
    FileType, Mode, OFlags, ResolveFlags, fstat, mkdirat, openat, openat2, readlinkat,
};
use rustix::io::Errno;

/// As the kernel's own limit of symlinks in one resolution.
const LINK_LIMIT: usize = 40;
/// Mode of folders that are made for a mount or a working directory.
const FOLDER_MODE: Mode = Mode::from_raw_mode(0o755);

/// A folder that its paths cannot leave.
#[derive(Debug)]
pub(crate) struct Root {
    folder: OwnedFd,
}

/// What is made where a path's last component is missing.
#[derive(Debug, Clone, Copy)]
enum Last {
    Folder,
    File(Mode),
}

impl Root {
    /// Takes a descriptor of a folder (`O_PATH` will do).
    pub(crate) fn new(folder: OwnedFd) -> Self {
        Self { folder }
    }

    /// The process's own root.
    ///
    /// # Errors
    /// What openat(2) says.
    pub(crate) fn own() -> rustix::io::Result<Self> {
        Self::at(Path::new("/"))
    }

    /// A folder of the machine.
    ///
    /// # Errors
    /// What openat(2) says.
    pub(crate) fn at(path: &Path) -> rustix::io::Result<Self> {
        open_folder(rustix::fs::CWD, path.as_os_str()).map(Self::new)
    }

    /// The root's folder.
    pub(crate) fn folder(&self) -> BorrowedFd<'_> {
        self.folder.as_fd()
    }

    /// A handle of what is at `path`, symlinks followed inside the root.
    ///
    /// # Errors
    /// `ENOENT`, `ENOTDIR`, `ELOOP`, as openat2(2) has them.
    pub(crate) fn open(&self, path: &Path) -> rustix::io::Result<OwnedFd> {
        self.open2(path, OFlags::PATH, ResolveFlags::NO_MAGICLINKS)
    }

    /// Opens the file at `path`, symlinks followed inside the root.
    ///
    /// # Errors
    /// As [`Root::open`].
    pub(crate) fn open_file(
        &self,
        path: impl AsRef<Path>,
        flags: OFlags,
    ) -> rustix::io::Result<OwnedFd> {
        self.open2(path.as_ref(), flags, ResolveFlags::NO_MAGICLINKS)
    }

    /// Opens the file at `path`; any symlink on the way is an error.
    ///
    /// # Errors
    /// As [`Root::open`].
    pub(crate) fn open_no_links(
        &self,
        path: impl AsRef<Path>,
        flags: OFlags,
    ) -> rustix::io::Result<OwnedFd> {
        self.open2(path.as_ref(), flags, ResolveFlags::NO_SYMLINKS)
    }

    /// A handle of what is at `path` itself, be it a symlink; any symlink on the way is
    /// an error.
    ///
    /// # Errors
    /// As [`Root::open`].
    pub(crate) fn open_link(&self, path: &Path) -> rustix::io::Result<OwnedFd> {
        // The root itself has no name.
        let path = if path.as_os_str().is_empty() {
            Path::new(".")
        } else {
            path
        };
        self.open2(
            path,
            OFlags::PATH | OFlags::NOFOLLOW,
            ResolveFlags::NO_SYMLINKS,
        )
    }

    fn open2(
        &self,
        path: &Path,
        flags: OFlags,
        resolve: ResolveFlags,
    ) -> rustix::io::Result<OwnedFd> {
        loop {
            let result = openat2(
                &self.folder,
                path,
                flags | OFlags::CLOEXEC,
                Mode::empty(),
                ResolveFlags::IN_ROOT | resolve,
            );
            match result {
                // A rename elsewhere on the machine raced with a `..`.
                Err(Errno::AGAIN | Errno::INTR) => {}
                other => return other,
            }
        }
    }

    /// The folder at `path`, made (0755, of the caller) where it is missing,
    /// with the folders above it. Dangling symlinks are followed inside the
    /// root, as container runtimes do.
    ///
    /// # Errors
    /// `ENOTDIR` where a file is in the way; otherwise what the kernel says.
    pub(crate) fn make_folder(&self, path: &Path) -> rustix::io::Result<OwnedFd> {
        let found = match self.open(path) {
            Err(Errno::NOENT) => self.make(path, Last::Folder)?,
            other => other?,
        };
        is_folder(&found)?.then_some(found).ok_or(Errno::NOTDIR)
    }

    /// The file at `path`, made empty with this mode where it is missing.
    ///
    /// # Errors
    /// `EISDIR` where a folder is in the way; otherwise what the kernel says.
    pub(crate) fn make_file(&self, path: &Path, mode: Mode) -> rustix::io::Result<OwnedFd> {
        let found = match self.open(path) {
            Err(Errno::NOENT) => self.make(path, Last::File(mode))?,
            other => other?,
        };
        (!is_folder(&found)?).then_some(found).ok_or(Errno::ISDIR)
    }

    /// Walks component by component, holding every folder on the way, so that
    /// `..` means the folder it was come from whatever others rename.
    fn make(&self, path: &Path, last: Last) -> rustix::io::Result<OwnedFd> {
        let mut stack: Vec<OwnedFd> = Vec::new();
        let mut rest = components(path);
        let mut links = 0;
        while let Some(name) = rest.pop_front() {
            if name == ".." {
                stack.pop();
                continue;
            }
            let here = stack
                .last()
                .map_or_else(|| self.folder.as_fd(), AsFd::as_fd);
            match open_no_follow(here, &name) {
                Ok(found) => match FileType::from_raw_mode(fstat(&found)?.st_mode) {
                    FileType::Symlink => {
                        links += 1;
                        if links > LINK_LIMIT {
                            return Err(Errno::LOOP);
                        }
                        let target = PathBuf::from(OsString::from_vec(
                            readlinkat(&found, "", Vec::new())?.into_bytes(),
                        ));
                        if target.is_absolute() {
                            stack.clear();
                        }
                        let mut expanded = components(&target);
                        expanded.append(&mut rest);
                        rest = expanded;
                    }
                    FileType::Directory => stack.push(found),
                    FileType::RegularFile
                    | FileType::Fifo
                    | FileType::Socket
                    | FileType::CharacterDevice
                    | FileType::BlockDevice
                    | FileType::Unknown => {
                        return if rest.is_empty() {
                            Ok(found)
                        } else {
                            Err(Errno::NOTDIR)
                        };
                    }
                },
                Err(Errno::NOENT) => {
                    let made = make_one(
                        here,
                        &name,
                        if rest.is_empty() { last } else { Last::Folder },
                    )?;
                    stack.push(made);
                }
                Err(errno) => return Err(errno),
            }
        }
        match stack.pop() {
            Some(found) => Ok(found),
            None => open_folder(&self.folder, OsStr::new(".")),
        }
    }
}

/// Names and `..`s; `.` and slashes say nothing.
fn components(path: &Path) -> VecDeque<OsString> {
    path.components()
        .filter_map(|component| match component {
            Component::Normal(name) => Some(name.to_owned()),
            Component::ParentDir => Some(OsString::from("..")),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
        })
        .collect()
}

fn make_one(folder: BorrowedFd<'_>, name: &OsStr, what: Last) -> rustix::io::Result<OwnedFd> {
    let made = match what {
        Last::Folder => mkdirat(folder, name, FOLDER_MODE),
        Last::File(mode) => openat(
            folder,
            name,
            OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
            mode,
        )
        .map(drop),
    };
    match made {
        // Somebody else, through a shared volume, was quicker.
        Ok(()) | Err(Errno::EXIST) => open_no_follow(folder, name),
        Err(errno) => Err(errno),
    }
}

fn open_no_follow(folder: BorrowedFd<'_>, name: &OsStr) -> rustix::io::Result<OwnedFd> {
    openat(
        folder,
        name,
        OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::empty(),
    )
}

fn open_folder<Fd: AsFd>(at: Fd, name: &OsStr) -> rustix::io::Result<OwnedFd> {
    openat(
        at,
        name,
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )
}

fn is_folder(fd: &OwnedFd) -> rustix::io::Result<bool> {
    Ok(FileType::from_raw_mode(fstat(fd)?.st_mode) == FileType::Directory)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use fs_err as fs;

    use super::*;

    fn root() -> (tempfile::TempDir, Root) {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::new(open_folder(rustix::fs::CWD, folder.path().as_os_str()).unwrap());
        (folder, root)
    }

    #[test]
    fn make_folder_behind_symlinks_stays_inside() {
        let (folder, root) = root();
        let outside = tempfile::tempdir().unwrap();
        symlink(outside.path(), folder.path().join("out")).unwrap();
        symlink("../../../..", folder.path().join("up")).unwrap();
        root.make_folder("/out/a".as_ref()).unwrap();
        root.make_folder("/up/up/b".as_ref()).unwrap();
        root.make_folder("/../../c/./d/../e".as_ref()).unwrap();
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
        let inside = outside.path().strip_prefix("/").unwrap();
        assert!(folder.path().join(inside).join("a").is_dir());
        assert!(folder.path().join("b").is_dir());
        assert!(folder.path().join("c/e").is_dir());
        assert!(folder.path().join("c/d").is_dir());
    }

    #[test]
    fn make_file_over_a_dangling_link_makes_its_target_inside() {
        let (folder, root) = root();
        symlink("/run/x", folder.path().join("link")).unwrap();
        root.make_file("/link".as_ref(), Mode::RUSR).unwrap();
        assert!(folder.path().join("run/x").is_file());
    }

    #[test]
    fn make_of_the_wrong_kind_is_refused() {
        let (folder, root) = root();
        fs::write(folder.path().join("file"), "").unwrap();
        fs::create_dir(folder.path().join("dir")).unwrap();
        assert_eq!(
            root.make_folder("/file".as_ref()).unwrap_err(),
            Errno::NOTDIR
        );
        assert_eq!(
            root.make_folder("/file/x".as_ref()).unwrap_err(),
            Errno::NOTDIR
        );
        assert_eq!(
            root.make_file("/dir".as_ref(), Mode::RUSR).unwrap_err(),
            Errno::ISDIR
        );
    }

    #[test]
    fn make_in_a_loop_of_links_ends() {
        let (folder, root) = root();
        symlink("b", folder.path().join("a")).unwrap();
        symlink("a", folder.path().join("b")).unwrap();
        assert_eq!(root.make_folder("/a/x".as_ref()).unwrap_err(), Errno::LOOP);
    }
}
