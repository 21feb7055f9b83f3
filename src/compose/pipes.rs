//! What comes through a pipe comes once, and a command asks for it more than once:
//! for the variables that steer the command itself, then for those of the project.

use std::collections::HashMap;
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// Texts by device and inode, which are a pipe's own for as long as this process has
/// it open.
type Texts = HashMap<(u64, u64), Vec<u8>>;

/// What was read so far.
static READ: Mutex<Option<Texts>> = Mutex::new(None);

/// True for a descriptor of this process, which its caller has handed over: what
/// `<(…)` is in a shell, and standard input.
pub(super) fn is_handed_over(path: &Path) -> bool {
    ["/dev/fd", "/proc/self/fd", "/dev/stdin"]
        .iter()
        .any(|folder| path.starts_with(folder))
}

/// The text of a pipe that was handed over, read by `read` the first time that it
/// is asked for; of anything else what `read` gives.
pub(super) fn once(
    path: &Path,
    metadata: &Metadata,
    read: impl FnOnce() -> io::Result<Vec<u8>>,
) -> io::Result<Vec<u8>> {
    if !metadata.file_type().is_fifo() || !is_handed_over(path) {
        return read();
    }
    let key = (metadata.dev(), metadata.ino());
    let mut known = READ.lock().unwrap_or_else(PoisonError::into_inner);
    let known = known.get_or_insert_default();
    if let Some(text) = known.get(&key) {
        return Ok(text.clone());
    }
    let text = read()?;
    known.insert(key, text.clone());
    Ok(text)
}
