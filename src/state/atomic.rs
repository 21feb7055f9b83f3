//! Files that are seen whole or not at all.

use std::io::{self, Write};
use std::path::Path;

use fs_err as fs;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// How the names of files begin that are not whole yet.
pub(super) const TEMPORARY: &str = ".new-";

/// Whether a write must survive a power cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Synced, and its folder too: for the data root.
    Durable,
    /// Not synced: for the run root, which a reboot empties anyway.
    ThisBoot,
}

/// Writes a file whole: temporary file in the same folder, rename over the old.
///
/// The folder is made where it is missing. The file's mode is 0600.
///
/// # Errors
/// Whatever the file system answers, with the path in the message.
pub fn write(path: &Path, content: &[u8], durability: Durability) -> io::Result<()> {
    let folder = path.parent().unwrap_or_else(|| Path::new("/"));
    fs::create_dir_all(folder)?;
    let mut file = tempfile::Builder::new()
        .prefix(TEMPORARY)
        .tempfile_in(folder)
        .map_err(|error| with_path(&error, "cannot write in", folder))?;
    file.write_all(content)
        .map_err(|error| with_path(&error, "cannot write", path))?;
    if durability == Durability::Durable {
        file.as_file()
            .sync_all()
            .map_err(|error| with_path(&error, "cannot sync", path))?;
    }
    file.persist(path)
        .map_err(|error| with_path(&error.error, "cannot replace", path))?;
    if durability == Durability::Durable {
        fs::File::open(folder)?.sync_all()?;
    }
    Ok(())
}

/// Writes a user's file whole as it comes, beside its place, and moves it there; what is
/// no regular file, `/dev/null` or a pipe, is written to. It belongs to `owner`, or this
/// process's user; its mode is 0600. The outer error is the file system's, the inner one
/// that of `work`.
///
/// # Errors
/// The folder is not there, or cannot be written to.
pub fn produce<E>(
    path: &Path,
    owner: Option<(u32, u32)>,
    work: impl FnOnce(&mut std::fs::File) -> Result<(), E>,
) -> io::Result<Result<(), E>> {
    if fs::metadata(path).is_ok_and(|found| !found.is_file()) {
        let mut file = std::fs::OpenOptions::new().write(true).open(path)?;
        return Ok(work(&mut file));
    }
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    // Told without the name that nobody gave.
    rustix::fs::stat(folder)?;
    let mut file = tempfile::Builder::new()
        .prefix(TEMPORARY)
        .tempfile_in(folder)?;
    if let Err(error) = work(file.as_file_mut()) {
        return Ok(Err(error));
    }
    if let Some((uid, gid)) = owner {
        std::os::unix::fs::fchown(file.as_file(), Some(uid), Some(gid))?;
    }
    file.persist(path).map_err(|error| error.error)?;
    Ok(Ok(()))
}

/// Removes what a killed process had not renamed yet, and says how many files
/// that were. Nobody else may be writing in the folder.
pub(crate) fn remove_temporary(folder: &Path) -> io::Result<usize> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(error),
    };
    let mut count = 0;
    for entry in entries {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(TEMPORARY) {
            match fs::remove_file(entry.path()) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => count += 1,
            }
        }
    }
    Ok(count)
}

/// Writes a value as JSON with [`write`].
///
/// # Errors
/// As [`write`].
pub fn write_json<T: Serialize>(path: &Path, value: &T, durability: Durability) -> io::Result<()> {
    let mut text = serde_json::to_vec(value)?;
    text.push(b'\n');
    write(path, &text, durability)
}

/// Reads a JSON file; `None` where there is no such file.
///
/// # Errors
/// Unreadable, or not the JSON of a `T`; the path is in the message.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    serde_json::from_slice(&text)
        .map(Some)
        .map_err(|error| with_path(&error.into(), "cannot understand", path))
}

fn with_path(error: &io::Error, what: &str, path: &Path) -> io::Error {
    io::Error::new(
        error.kind(),
        format!("{what} `{}`: {error}", path.display()),
    )
}
