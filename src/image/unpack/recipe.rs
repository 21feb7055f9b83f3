//! What a layer's archive has beside its files' content, so that the archive
//! can be written again from the folder, byte for byte.
//!
//! A zstd stream of records: `0`, a length, bytes of the archive as they are;
//! or `1`, offset, length and path of a piece of a file. Numbers are
//! little-endian. Docker keeps the same knowledge as `tar-split.json.gz`.

use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{Mode, OFlags, ResolveFlags};

use super::tar::Frame;

/// Bytes gathered before a record is written.
const GATHERED: usize = 64 * 1024;
/// zstd's quickest ordinary level: headers repeat each other.
const LEVEL: i32 = 1;
/// Longest path in a record.
const PATH_LIMIT: usize = 64 * 1024;

const BYTES: u8 = 0;
const PIECE: u8 = 1;

/// Writes a recipe.
pub(super) struct Recipe<W: Write> {
    output: zstd::stream::write::Encoder<'static, W>,
    gathered: Vec<u8>,
}

impl<W: Write> Recipe<W> {
    pub(super) fn new(output: W) -> io::Result<Self> {
        Ok(Self {
            output: zstd::stream::write::Encoder::new(output, LEVEL)?,
            gathered: Vec::new(),
        })
    }

    /// The archive goes on with a piece of a file.
    pub(super) fn piece(&mut self, path: &[u8], offset: u64, length: u64) -> io::Result<()> {
        if length == 0 {
            return Ok(());
        }
        self.flush_gathered()?;
        let path_length = u32::try_from(path.len()).unwrap_or(u32::MAX);
        self.output.write_all(&[PIECE])?;
        self.output.write_all(&offset.to_le_bytes())?;
        self.output.write_all(&length.to_le_bytes())?;
        self.output.write_all(&path_length.to_le_bytes())?;
        self.output.write_all(path)
    }

    pub(super) fn finish(mut self) -> io::Result<()> {
        self.flush_gathered()?;
        self.output.finish()?.flush()
    }

    fn flush_gathered(&mut self) -> io::Result<()> {
        if self.gathered.is_empty() {
            return Ok(());
        }
        let length = u32::try_from(self.gathered.len()).unwrap_or(u32::MAX);
        self.output.write_all(&[BYTES])?;
        self.output.write_all(&length.to_le_bytes())?;
        self.output.write_all(&self.gathered)?;
        self.gathered.clear();
        Ok(())
    }
}

impl<W: Write> Frame for Recipe<W> {
    fn frame(&mut self, bytes: &[u8]) -> io::Result<()> {
        for part in bytes.chunks(GATHERED) {
            self.gathered.extend_from_slice(part);
            if self.gathered.len() >= GATHERED {
                self.flush_gathered()?;
            }
        }
        Ok(())
    }
}

/// A record of a recipe.
enum Record {
    /// So many bytes of the archive follow.
    Bytes(u64),
    /// The archive goes on with this piece of a file.
    Piece {
        path: Vec<u8>,
        offset: u64,
        length: u64,
    },
}

/// Writes a layer's archive from its folder and its recipe.
pub(crate) fn write_archive(
    root: &Path,
    recipe: impl Read,
    output: &mut impl Write,
) -> io::Result<()> {
    let root: OwnedFd = fs_err::File::open(root)?.into_parts().0.into();
    let mut recipe = zstd::stream::read::Decoder::new(recipe)?;
    while let Some(record) = next(&mut recipe)? {
        match record {
            Record::Bytes(length) => copy_exactly(&mut recipe, length, output)?,
            Record::Piece {
                path,
                offset,
                length,
            } => {
                let mut file = open_in(&root, &path)?;
                io::Seek::seek(&mut file, io::SeekFrom::Start(offset))?;
                copy_exactly(&mut file, length, output)?;
            }
        }
    }
    Ok(())
}

/// The length of the archive, by the recipe alone.
pub(crate) fn archive_size(recipe: impl Read) -> io::Result<u64> {
    let mut recipe = zstd::stream::read::Decoder::new(recipe)?;
    let mut size = 0_u64;
    while let Some(record) = next(&mut recipe)? {
        size = size.saturating_add(match record {
            Record::Bytes(length) => {
                copy_exactly(&mut recipe, length, &mut io::sink())?;
                length
            }
            Record::Piece { length, .. } => length,
        });
    }
    Ok(size)
}

fn next(recipe: &mut impl Read) -> io::Result<Option<Record>> {
    let mut kind = [0];
    if recipe.read(&mut kind)? == 0 {
        return Ok(None);
    }
    Ok(Some(match kind {
        [BYTES] => Record::Bytes(u32::from_le_bytes(array(recipe)?).into()),
        [PIECE] => {
            let offset = u64::from_le_bytes(array(recipe)?);
            let length = u64::from_le_bytes(array(recipe)?);
            let path_length = u32::from_le_bytes(array(recipe)?) as usize;
            let mut path = vec![0; path_length.min(PATH_LIMIT)];
            recipe.read_exact(&mut path)?;
            Record::Piece {
                path,
                offset,
                length,
            }
        }
        _ => return Err(io::ErrorKind::InvalidData.into()),
    }))
}

fn open_in(root: &OwnedFd, path: &[u8]) -> io::Result<std::fs::File> {
    let fd = rustix::fs::openat2(
        root,
        path,
        OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC,
        Mode::empty(),
        ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS,
    )?;
    Ok(fd.into())
}

fn array<const N: usize>(input: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    input.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn copy_exactly(input: &mut impl Read, length: u64, output: &mut impl Write) -> io::Result<()> {
    let copied = io::copy(&mut input.take(length), output)?;
    if copied == length {
        Ok(())
    } else {
        Err(io::Error::from(io::ErrorKind::UnexpectedEof))
    }
}
