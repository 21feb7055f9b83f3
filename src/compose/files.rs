//! Files as the loader sees them: those of the machine, and those that exist in
//! memory only.
//!
//! Whatever a path leads to, reading it ends: a device is refused, a pipe that
//! stays silent is given up, and nothing is read beyond [`MOST_BYTES`].

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs::Metadata;
use std::io::{self, ErrorKind, Read as _};
use std::ops::Bound;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use fs_err::os::unix::fs::OpenOptionsExt as _;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::limits::MOST_BYTES;
use super::paths::clean;
use super::pipes;

/// Standard input's name.
const STDIN: &str = "-";

/// How long a pipe may be silent, all its pauses taken together.
///
/// A pipe with a name lies in a folder, and nothing tells whether anybody is going
/// to write to it. Whoever does (`generate > fifo & skiff -f fifo up`) was started
/// beforehand, so seconds are enough; a pipe that was forgotten there must not hang
/// a CI job for ever, as it does where nothing limits the wait.
/// One that was handed over (`<(…)`) has a writer, who may take its time.
const PATIENCE: Duration = Duration::from_secs(5);
const LONG_PATIENCE: Duration = Duration::from_secs(60);

/// Files as the loader sees them. Paths are absolute, without `.` and `..`.
pub trait FileSystem {
    /// The bytes of a file; `-`, which `COMPOSE_FILE` may name, is standard input.
    /// One that is larger than the loader takes (32 MiB)
    /// need not be read to its end; an error is as good.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;
    /// True for an existing file or folder.
    fn exists(&self, path: &Path) -> bool;
    /// True for an existing folder.
    fn is_dir(&self, path: &Path) -> bool;
    /// For a symbolic link the path that it stands for, all links resolved;
    /// `None` for everything else.
    fn link_target(&self, path: &Path) -> Option<PathBuf>;
    /// True for a pipe with a name, which gives what it has only once.
    fn is_pipe(&self, _path: &Path) -> bool {
        false
    }
}

/// The machine's own files.
#[derive(Debug, Clone, Copy, Default)]
pub struct Host;

impl FileSystem for Host {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        if path == Path::new(STDIN) {
            return read_bounded(io::stdin(), None);
        }
        // Before it is opened: that alone is an action for some devices.
        let metadata = fs_err::metadata(path)?;
        if is_null_device(&metadata) {
            return Ok(Vec::new());
        }
        readable(&metadata)?;
        let patience = if pipes::is_handed_over(path) {
            LONG_PATIENCE
        } else {
            PATIENCE
        };
        pipes::once(path, &metadata, || {
            let file = fs_err::OpenOptions::new()
                .read(true)
                .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
                .open(path)?;
            readable(&file.metadata()?)?;
            read_bounded(file, Some(patience))
        })
    }

    fn exists(&self, path: &Path) -> bool {
        path.exists()
    }

    fn is_dir(&self, path: &Path) -> bool {
        path.is_dir()
    }

    fn is_pipe(&self, path: &Path) -> bool {
        let is_fifo = |metadata: Metadata| metadata.file_type().is_fifo();
        fs_err::metadata(path).is_ok_and(is_fifo) && !pipes::is_handed_over(path)
    }

    fn link_target(&self, path: &Path) -> Option<PathBuf> {
        fs_err::symlink_metadata(path)
            .ok()
            .filter(|metadata| metadata.file_type().is_symlink())
            .and_then(|_| fs_err::canonicalize(path).ok())
    }
}

/// Files that are waited for once: where one of them has used up all patience,
/// nothing more is read.
pub(super) struct Impatient<'f> {
    files: &'f dyn FileSystem,
    is_over: Cell<bool>,
}

impl<'f> Impatient<'f> {
    pub(super) fn new(files: &'f dyn FileSystem) -> Self {
        Self {
            files,
            is_over: Cell::new(false),
        }
    }
}

impl FileSystem for Impatient<'_> {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        if self.is_over.get() {
            let message = "another file has kept us waiting too long";
            return Err(io::Error::new(ErrorKind::TimedOut, message));
        }
        let read = self.files.read(path);
        let is_over = |error: &io::Error| error.kind() == ErrorKind::TimedOut;
        self.is_over.set(read.as_ref().is_err_and(is_over));
        read
    }

    fn exists(&self, path: &Path) -> bool {
        self.files.exists(path)
    }

    fn is_dir(&self, path: &Path) -> bool {
        self.files.is_dir(path)
    }

    fn link_target(&self, path: &Path) -> Option<PathBuf> {
        self.files.link_target(path)
    }

    fn is_pipe(&self, path: &Path) -> bool {
        self.files.is_pipe(path)
    }
}

/// `--env-file /dev/null` is how people say "none".
fn is_null_device(metadata: &Metadata) -> bool {
    metadata.file_type().is_char_device() && metadata.rdev() == rustix::fs::makedev(1, 3)
}

/// Refuses what has no end, or no content.
fn readable(metadata: &Metadata) -> io::Result<()> {
    let kind = metadata.file_type();
    let reason = if kind.is_dir() {
        return Err(ErrorKind::IsADirectory.into());
    } else if kind.is_char_device() || kind.is_block_device() {
        "it is a device"
    } else if kind.is_socket() {
        "it is a socket"
    } else if kind.is_file() && usize::try_from(metadata.len()).is_ok_and(|len| len > MOST_BYTES) {
        return Err(too_large());
    } else {
        return Ok(());
    };
    Err(io::Error::new(ErrorKind::InvalidInput, reason))
}

/// The error of a file beyond the limit.
pub(super) fn too_large() -> io::Error {
    let message = format!("it is larger than {} MiB", MOST_BYTES >> 20);
    io::Error::new(ErrorKind::FileTooLarge, message)
}

/// Reads a text to its end, which a Compose file on standard input may not have.
///
/// # Errors
/// It is larger than the loader takes, or not UTF-8; and what reading gives.
pub fn read_text(input: impl io::Read) -> io::Result<String> {
    let mut bytes = Vec::new();
    let most = u64::try_from(MOST_BYTES).unwrap_or(u64::MAX);
    input.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() > MOST_BYTES {
        return Err(too_large());
    }
    String::from_utf8(bytes).map_err(|error| {
        let before = error.as_bytes().get(..error.utf8_error().valid_up_to());
        let lines = before.unwrap_or_default().split(|b| *b == b'\n');
        let message = format!("it is not UTF-8 in line {}", lines.count());
        io::Error::new(ErrorKind::InvalidData, message)
    })
}

/// Reads to the end, waiting no longer than `patience` where nothing comes.
fn read_bounded(mut file: impl io::Read + AsFd, patience: Option<Duration>) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut left = patience;
    // What no writer has opened yet is not at its end, though it reads so.
    wait(&file, &mut left)?;
    loop {
        let room = MOST_BYTES + 1 - bytes.len();
        let mut part = (&mut file).take(u64::try_from(room).unwrap_or(u64::MAX));
        match part.read_to_end(&mut bytes) {
            Ok(_) if bytes.len() > MOST_BYTES => return Err(too_large()),
            Ok(_) => return Ok(bytes),
            Err(error) if error.kind() == ErrorKind::WouldBlock => wait(&file, &mut left)?,
            Err(error) => return Err(error),
        }
    }
}

/// Waits until there is something to read, or the end.
fn wait(file: &impl AsFd, left: &mut Option<Duration>) -> io::Result<()> {
    let mut polled = [PollFd::new(file, PollFlags::IN)];
    let timeout = match *left {
        Some(left) => {
            Some(Timespec::try_from(left).map_err(|_| io::Error::from(ErrorKind::InvalidInput))?)
        }
        None => None,
    };
    let started = Instant::now();
    let ready = poll(&mut polled, timeout.as_ref())?;
    if let Some(left) = left {
        *left = left.saturating_sub(started.elapsed());
    }
    if ready == 0 {
        return Err(io::Error::new(
            ErrorKind::TimedOut,
            "nothing came from it, though it was waited for",
        ));
    }
    Ok(())
}

/// Files that exist in memory only.
///
/// ```
/// use skiff::compose::{LoadOptions, Memory, load};
///
/// let files = Memory::from([
///     ("/shop/compose.yaml", "services: {web: {image: nginx, env_file: web.env}}"),
///     ("/shop/web.env", "PORT=8080"),
/// ]);
/// let options = LoadOptions { cwd: "/shop".into(), ..LoadOptions::default() };
/// let project = load(&options, &files)?.project;
/// assert_eq!(project.services["web"].environment.0["PORT"].as_deref(), Some("8080"));
/// # Ok::<(), skiff::compose::Diagnostics>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Memory {
    files: BTreeMap<PathBuf, Vec<u8>>,
    links: BTreeMap<PathBuf, PathBuf>,
}

impl Memory {
    /// No file at all.
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts a file at an absolute path, in place of what is there; the folders
    /// above it exist from then on.
    pub fn insert(&mut self, path: impl AsRef<Path>, bytes: impl Into<Vec<u8>>) {
        self.files.insert(cleaned(path.as_ref()), bytes.into());
    }

    /// Makes a path a symbolic link to another one.
    pub fn link(&mut self, path: impl AsRef<Path>, target: impl AsRef<Path>) {
        self.links
            .insert(cleaned(path.as_ref()), cleaned(target.as_ref()));
    }
}

fn cleaned(path: &Path) -> PathBuf {
    PathBuf::from(clean(&path.to_string_lossy()))
}

impl<P: AsRef<Path>, B: Into<Vec<u8>>> FromIterator<(P, B)> for Memory {
    fn from_iter<I: IntoIterator<Item = (P, B)>>(files: I) -> Self {
        let mut memory = Self::new();
        for (path, bytes) in files {
            memory.insert(path, bytes);
        }
        memory
    }
}

impl<P: AsRef<Path>, B: Into<Vec<u8>>, const N: usize> From<[(P, B); N]> for Memory {
    fn from(files: [(P, B); N]) -> Self {
        files.into_iter().collect()
    }
}

impl Memory {
    /// What a path stands for, its link followed once.
    fn followed<'p>(&'p self, path: &'p Path) -> &'p Path {
        self.links.get(path).map_or(path, PathBuf::as_path)
    }
}

impl FileSystem for Memory {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let path = self.followed(path);
        match self.files.get(path) {
            Some(bytes) => Ok(bytes.clone()),
            None if self.is_dir(path) => Err(ErrorKind::IsADirectory.into()),
            None => Err(ErrorKind::NotFound.into()),
        }
    }

    fn exists(&self, path: &Path) -> bool {
        self.files.contains_key(self.followed(path)) || self.is_dir(path)
    }

    fn is_dir(&self, path: &Path) -> bool {
        let path = self.followed(path);
        // What is below a folder follows it in the order of paths.
        let mut after = self
            .files
            .range::<Path, _>((Bound::Included(path), Bound::Unbounded));
        after
            .next()
            .is_some_and(|(file, _)| file != path && file.starts_with(path))
    }

    fn link_target(&self, path: &Path) -> Option<PathBuf> {
        self.links.get(path).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_has_files_folders_and_links() {
        let mut files = Memory::from([("/p/a/compose.yaml", "x: 1"), ("/p/b", "")]);
        files.link("/p/current", "/p/a");
        assert_eq!(files.read(Path::new("/p/a/compose.yaml")).unwrap(), b"x: 1");
        assert!(files.is_dir(Path::new("/p")) && files.is_dir(Path::new("/p/a")));
        assert!(!files.is_dir(Path::new("/p/b")) && files.exists(Path::new("/p/b")));
        assert!(!files.exists(Path::new("/p/c")));
        assert!(files.is_dir(Path::new("/p/current")));
        let target = files.link_target(Path::new("/p/current"));
        assert_eq!(target, Some(PathBuf::from("/p/a")));
        let error = files.read(Path::new("/p/a")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::IsADirectory);
    }
}
