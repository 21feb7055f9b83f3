//! The two roots: closed to everybody but their owner, and the root id, eight
//! random hexadecimal digits that are part of every kernel object's name, so
//! that a data root's own can be told from all others'.

use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use fs_err as fs;
use rustix::fs::Mode;
use rustix::io::Errno;

use super::Layout;
use super::id::random_hex;

/// What may be done with a root: all by its owner, nothing by anybody else. A
/// container can put a setuid program into a volume or its own root, and logs
/// hold secrets, so that no user of the host may come near (CVE-2021-41091).
const CLOSED: u32 = 0o700;
/// A folder where anybody may leave files, as `/tmp`: chmod(2).
const STICKY: u32 = 0o1000;
const PERMISSIONS: u32 = 0o7777;

/// Makes both roots where they are missing, and closes them to everybody but
/// their owner where they are not. Without a way through the roots, the modes
/// of what is in them are the containers' own affair.
///
/// # Errors
/// A root that cannot be made, that belongs to somebody else, or that is a
/// folder for everybody, which nobody may close.
pub fn close_roots(layout: &Layout) -> io::Result<()> {
    close(layout.data())?;
    close(layout.run())
}

fn close(root: &Path) -> io::Result<()> {
    if let Some(parent) = root.parent() {
        fs::create_dir_all(parent)?;
    }
    // Made with its mode: there is no moment in which it is open.
    match rustix::fs::mkdir(root, Mode::from_raw_mode(CLOSED)) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(errno) => {
            let message = format!("cannot make `{}`: {errno}", root.display());
            return Err(io::Error::new(errno.kind(), message));
        }
    }
    let found = fs::metadata(root)?;
    let refuse = |problem: String| {
        let message = format!("`{}` {problem}", root.display());
        Err(io::Error::new(io::ErrorKind::PermissionDenied, message))
    };
    if found.uid() != rustix::process::geteuid().as_raw() {
        return refuse(format!(
            "belongs to user {}, who could read and run what containers write there",
            found.uid()
        ));
    }
    let mode = found.mode() & PERMISSIONS;
    if mode & STICKY != 0 {
        return refuse("is for everybody's files; name a folder below it".to_owned());
    }
    if mode != CLOSED {
        fs::set_permissions(root, std::fs::Permissions::from_mode(CLOSED))?;
    }
    Ok(())
}

/// Reads the root id.
///
/// # Errors
/// There is none: no command has made one, or the data root was removed.
pub fn root_id(layout: &Layout) -> io::Result<String> {
    fs::read_to_string(layout.root_id()).map(|text| text.trim().to_owned())
}

/// Reads the root id; makes one where there is none, once even if several
/// processes do so at the same time. For commands: what runs in the background
/// may outlive a data root that is removed, and must not make it anew.
///
/// # Errors
/// The data root cannot be made or written.
pub fn make_root_id(layout: &Layout) -> io::Result<String> {
    let path = layout.root_id();
    match root_id(layout) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        read => return read,
    }
    close(layout.data())?;
    let mut file = tempfile::Builder::new()
        .prefix(".new-")
        .tempfile_in(layout.data())?;
    file.write_all(format!("{}\n", random_hex(4)).as_bytes())?;
    file.as_file().sync_all()?;
    match file.persist_noclobber(&path) {
        Ok(_) => fs::File::open(layout.data())?.sync_all()?,
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error.error),
    }
    root_id(layout)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & PERMISSIONS
    }

    #[test]
    fn roots_are_made_closed_and_open_ones_are_closed() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::new(folder.path().join("a/data"), folder.path().join("b/run"));
        fs::create_dir_all(layout.run()).unwrap();
        close_roots(&layout).unwrap();
        assert_eq!((mode(layout.data()), mode(layout.run())), (0o700, 0o700));
        assert_ne!(mode(&folder.path().join("a")), 0o700);
    }

    #[test]
    fn a_root_id_is_made_once_and_by_nobody_who_reads() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::new(folder.path().join("data"), folder.path().join("run"));
        let error = root_id(&layout).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        assert!(!layout.data().exists());
        let made = make_root_id(&layout).unwrap();
        assert_eq!(made.len(), 8);
        assert_eq!(make_root_id(&layout).unwrap(), made);
        assert_eq!(root_id(&layout).unwrap(), made);
        assert_eq!(mode(layout.data()), 0o700);
    }

    #[test]
    fn a_folder_for_everybody_is_refused_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let open = folder.path().join("tmp");
        fs::create_dir(&open).unwrap();
        fs::set_permissions(&open, std::fs::Permissions::from_mode(0o1777)).unwrap();
        let layout = Layout::new(open.clone(), folder.path().join("run"));
        let error = close_roots(&layout).unwrap_err();
        assert!(error.to_string().contains("everybody"), "{error}");
        assert_eq!(mode(&open), 0o1777);
    }
}
