//! A stream that is a context, or a Dockerfile: `tar c . | skiff image build -`.

use std::fs::File;
use std::io::{self, Cursor, Read, Seek as _, Write as _};
use std::path::Path;
use std::sync::Arc;

use super::solve::is_archive;
use crate::image::Digest;
use crate::image::digest::Hasher;

/// Longest Dockerfile that is read from a stream, in bytes.
const LONGEST: u64 = 16 * 1024 * 1024;
/// So much tells whether it is an archive, compressed in whatever way.
const HEAD: u64 = 1024 * 1024;
/// Bytes that are read at once.
const CHUNK: usize = 256 * 1024;

/// What came as a stream.
#[derive(Debug, Clone)]
pub enum Streamed {
    /// An archive.
    Archive(Spooled),
    /// Something else: a Dockerfile, as far as it is a text.
    Other(Vec<u8>),
}

/// An archive that came as a stream, whole in a file without a name.
#[derive(Debug, Clone)]
pub struct Spooled {
    file: Arc<File>,
    digest: Digest,
}

impl PartialEq for Spooled {
    fn eq(&self, other: &Self) -> bool {
        self.digest == other.digest
    }
}

impl Eq for Spooled {}

impl Streamed {
    /// Reads a stream to its end; an archive is kept in the file system of `folder`,
    /// which is made. Blocks.
    ///
    /// # Errors
    /// It cannot be read, it is no archive and too long for a text, or the disk is full.
    pub fn read(mut stream: impl Read, folder: &Path) -> io::Result<Self> {
        let mut head = Vec::new();
        stream.by_ref().take(HEAD).read_to_end(&mut head)?;
        if is_archive(&mut Cursor::new(&head))? {
            let whole = Cursor::new(head).chain(stream);
            return Ok(Self::Archive(Spooled::keep(whole, folder)?));
        }
        let left = LONGEST.saturating_sub(HEAD) + 1;
        stream.take(left).read_to_end(&mut head)?;
        if u64::try_from(head.len()).unwrap_or(u64::MAX) > LONGEST {
            return Err(io::Error::other("it is too long for a Dockerfile"));
        }
        Ok(Self::Other(head))
    }
}

impl Spooled {
    fn keep(mut stream: impl Read, folder: &Path) -> io::Result<Self> {
        fs_err::create_dir_all(folder)?;
        let mut file = tempfile::tempfile_in(folder)?;
        let mut hasher = Hasher::new();
        let mut buffer = vec![0; CHUNK];
        loop {
            let count = match stream.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            let bytes = buffer.get(..count).unwrap_or_default();
            hasher.update(bytes);
            file.write_all(bytes)?;
        }
        Ok(Self {
            file: Arc::new(file),
            digest: hasher.finish(),
        })
    }

    /// Of the archive as it came.
    pub(super) fn digest(&self) -> &Digest {
        &self.digest
    }

    /// The archive from its beginning. All that comes of this share a position.
    pub(super) fn open(&self) -> io::Result<File> {
        let mut file = self.file.try_clone()?;
        file.rewind()?;
        Ok(file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn archives_are_told_from_texts_however_they_are_packed() {
        let folder = tempfile::tempdir().unwrap();
        let read = |bytes: &[u8]| Streamed::read(bytes, folder.path());
        let mut tar = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(2);
        tar.append_data(&mut header, "a", &b"hi"[..]).unwrap();
        let tar = tar.into_inner().unwrap();
        let packed = zstd::encode_all(&*tar, 1).unwrap();
        for bytes in [&tar, &packed] {
            let Streamed::Archive(spooled) = read(bytes).unwrap() else {
                panic!("an archive");
            };
            assert_eq!(*spooled.digest(), Digest::of(bytes));
            for _ in 0..2 {
                let mut again = Vec::new();
                spooled.open().unwrap().read_to_end(&mut again).unwrap();
                assert_eq!(again, *bytes);
            }
        }
        for text in [&b"FROM scratch\n"[..], b"", &[0x1f, 0x8b], &[0; 2048]] {
            let Streamed::Other(same) = read(text).unwrap() else {
                panic!("no archive");
            };
            assert_eq!(same, text);
        }
        let endless = Streamed::read(io::repeat(b'#'), folder.path());
        assert!(endless.is_err());
    }
}
