//! ADD of an archive: its content instead of itself.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek};
use std::path::Path;

use super::error::BuildError;
use crate::image::unpack_archive;

/// How a file begins that may be a compressed archive.
const GZIP: &[u8] = &[0x1f, 0x8b];
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
const XZ: &[u8] = &[0xfd, b'7', b'z', b'X', b'Z', 0];
const BZIP2: &[u8] = b"BZh";
/// The longest of them.
const LONGEST: usize = 6;

/// Whether a file is a tar, compressed or not: its first header has the right sum.
///
/// # Errors
/// It cannot be read.
pub(in crate::build) fn is_archive(file: &mut (impl Read + Seek + Send)) -> io::Result<bool> {
    let found = plain(BufReader::new(&mut *file)).map(|tar| {
        tar::Archive::new(tar)
            .entries()
            .is_ok_and(|mut all| matches!(all.next(), Some(Ok(_))))
    });
    file.rewind()?;
    Ok(found.unwrap_or(false))
}

/// Unpacks an archive into an empty folder. Blocks.
///
/// # Errors
/// It is damaged, or an entry leads out of it.
pub(super) fn unpack(file: File, folder: &Path) -> Result<(), BuildError> {
    let failed = |source| BuildError::files("unpack into", folder)(source);
    let tar = plain(BufReader::new(file)).map_err(failed)?;
    unpack_archive(BufReader::new(tar), folder).map_err(failed)
}

/// The decompressed bytes.
fn plain<'r>(mut reader: impl BufRead + Send + 'r) -> io::Result<Box<dyn Read + Send + 'r>> {
    let mut head = Vec::with_capacity(LONGEST);
    reader
        .by_ref()
        .take(LONGEST as u64)
        .read_to_end(&mut head)?;
    let begins = |magic: &[u8]| head.starts_with(magic);
    let (gzip, zstd, xz, bzip2) = (begins(GZIP), begins(ZSTD), begins(XZ), begins(BZIP2));
    let whole = io::Cursor::new(head).chain(reader);
    Ok(if gzip {
        Box::new(flate2::bufread::MultiGzDecoder::new(whole))
    } else if zstd {
        Box::new(zstd::stream::read::Decoder::with_buffer(whole)?)
    } else if xz {
        Box::new(lzma_rust2::XzReader::new(whole, true))
    } else if bzip2 {
        Box::new(bzip2::bufread::MultiBzDecoder::new(whole))
    } else {
        Box::new(whole)
    })
}
