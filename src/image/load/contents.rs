//! The files of an archive: where each is, read from any place.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt as _;

use crate::image::config::ConfigFile;
use crate::image::digest::Digest;
use crate::image::error::ImageError;
use crate::image::layout::{self, blob_path};
use crate::image::platform::Platform;
use crate::image::reference::Reference;
use crate::image::unpack::{self, Archive, Kind};

/// Most files of an archive: two for each of many layers is usual.
const FILE_LIMIT: usize = 100_000;
/// Links within an archive that are followed.
const LINK_LIMIT: usize = 8;
/// Where a file's content is in the archive.
#[derive(Debug, Clone, Copy)]
pub(super) struct Piece {
    offset: u64,
    size: u64,
}

/// An archive's list of files.
pub(super) struct Contents<'a> {
    file: &'a std::fs::File,
    name: &'a str,
    files: HashMap<Vec<u8>, Piece>,
    links: HashMap<Vec<u8>, Vec<u8>>,
    /// Its end is marked as such.
    pub(super) complete: bool,
    /// What is asked for.
    pub(super) platform: Option<&'a Platform>,
}

impl<'a> Contents<'a> {
    pub(super) fn read(
        file: &'a std::fs::File,
        name: &'a str,
        platform: Option<&'a Platform>,
    ) -> Result<Self, ImageError> {
        let mut contents = Self {
            file,
            name,
            files: HashMap::new(),
            links: HashMap::new(),
            complete: false,
            platform,
        };
        contents.list().map_err(|error| {
            let begins = contents.files.is_empty() && contents.links.is_empty();
            let prefix = if begins { "it is no archive: " } else { "" };
            contents.bad(&format!("{prefix}{error}"))
        })?;
        Ok(contents)
    }

    fn list(&mut self) -> io::Result<()> {
        let mut file = self.file;
        file.seek(SeekFrom::Start(0))?;
        let mut archive = Archive::new(BufReader::new(file), ());
        while let Some(entry) = archive.next_entry()? {
            if self.files.len() + self.links.len() > FILE_LIMIT {
                return Err(io::Error::other(format!(
                    "it has more than {FILE_LIMIT} files"
                )));
            }
            let Ok(path) = unpack::clean(&entry.path) else {
                continue;
            };
            match entry.kind {
                Kind::Regular => {
                    let offset = archive.skip_to_next()?;
                    let size = entry.size;
                    self.files.insert(path, Piece { offset, size });
                }
                Kind::HardLink => {
                    self.links.insert(path, entry.link);
                }
                Kind::Symlink => {
                    let (folder, _) = unpack::split(&path);
                    let target = [folder, b"/", &entry.link].concat();
                    self.links.insert(path, target);
                }
                Kind::Directory | Kind::Character | Kind::Block | Kind::Fifo => {}
            }
        }
        self.complete = archive.is_complete();
        Ok(())
    }

    /// An image's name, or the archive's.
    pub(super) fn called(&self, name: Option<&Reference>) -> String {
        name.map_or_else(|| self.name.to_owned(), Reference::familiar)
    }

    pub(super) fn check_platform(
        &self,
        config: &ConfigFile,
        name: Option<&Reference>,
    ) -> Result<(), ImageError> {
        let found = config.platform();
        match self.platform {
            Some(wanted) if wanted.fitness(&found).is_none() => Err(ImageError::NoPlatform {
                reference: self.called(name),
                wanted: wanted.to_string(),
                available: vec![found.to_string()],
            }),
            _ => Ok(()),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        !self.complete && self.files.is_empty() && self.links.is_empty()
    }

    pub(super) fn bad(&self, reason: &str) -> ImageError {
        ImageError::Archive {
            what: self.name.to_owned(),
            reason: reason.to_owned(),
        }
    }

    fn find(&self, name: &str) -> Option<Piece> {
        let mut path = unpack::clean(name.as_bytes()).ok()?;
        for _ in 0..LINK_LIMIT {
            if let Some(piece) = self.files.get(&path) {
                return Some(*piece);
            }
            path = unpack::clean(self.links.get(&path)?).ok()?;
        }
        None
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    pub(super) fn piece(&self, name: &str) -> Result<Piece, ImageError> {
        self.find(name)
            .ok_or_else(|| self.bad(&format!("it lacks the file `{}`", name.escape_debug())))
    }

    /// A small file, whole.
    pub(super) fn document(&self, name: &str, limit: usize) -> Result<Vec<u8>, ImageError> {
        let piece = self.piece(name)?;
        if piece.size > limit as u64 {
            return Err(self.bad(&format!("`{name}` is longer than {limit} bytes")));
        }
        let mut text = Vec::new();
        self.open(piece)
            .read_to_end(&mut text)
            .map_err(|e| self.bad(&format!("`{name}` cannot be read: {e}")))?;
        Ok(text)
    }

    /// A blob of the OCI layout, its digest checked.
    pub(super) fn blob(&self, digest: &Digest, limit: usize) -> Result<Vec<u8>, ImageError> {
        let text = self.document(&blob_path(digest), limit)?;
        layout::checked(text, digest, &format!("a document in {}", self.name))
    }

    pub(super) fn open(&self, piece: Piece) -> impl BufRead + Send {
        BufReader::with_capacity(
            256 * 1024,
            PieceReader {
                file: self.file,
                position: piece.offset,
                left: piece.size,
            },
        )
    }
}

/// Reads a part of a file without moving the file's own position, so that
/// several threads can.
struct PieceReader<'a> {
    file: &'a std::fs::File,
    position: u64,
    left: u64,
}

impl Read for PieceReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let limit = usize::try_from(self.left)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        let Some(space) = buffer.get_mut(..limit) else {
            return Ok(0);
        };
        let count = self.file.read_at(space, self.position)?;
        self.position += count as u64;
        self.left -= count as u64;
        Ok(count)
    }
}
