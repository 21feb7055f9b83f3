//! The bytes of a layer on their way: chunks from a channel, decompressed on a
//! thread of their own, hashed as they are read.

use std::io::{self, BufRead, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use super::UnpackError;
use crate::image::digest::Hasher;

/// Size of a decompressed chunk.
const CHUNK: usize = 256 * 1024;
/// Decompressed chunks on the way between the two threads.
const CHUNKS_AHEAD: usize = 4;
/// Bytes that tell the compression.
const MAGIC: usize = 6;

/// How an archive is compressed, by its first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compression {
    /// A tar as it is.
    None,
    /// RFC 1952, of one or more members.
    Gzip,
    /// RFC 8878, of one or more frames.
    Zstd,
}

impl Compression {
    /// Looks at the first bytes; media types are not to be relied on.
    pub(crate) fn detect(head: &[u8]) -> io::Result<Self> {
        match head {
            [0x1f, 0x8b, ..] => Ok(Self::Gzip),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Ok(Self::Zstd),
            [0xfd, b'7', b'z', b'X', b'Z', ..] => Err(unsupported("xz")),
            [b'B', b'Z', b'h', ..] => Err(unsupported("bzip2")),
            _ => Ok(Self::None),
        }
    }
}

fn unsupported(name: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::Unsupported,
        format!("it is compressed with {name}; gzip and zstd are what can be read"),
    )
}

/// Gives `consume` the decompressed bytes of `input`.
pub(crate) fn with_decompressed<R, T>(
    input: R,
    consume: impl FnOnce(&mut dyn BufRead) -> Result<T, UnpackError>,
) -> Result<T, UnpackError>
where
    R: BufRead + Send,
{
    let mut input = Prefixed::new(input).map_err(UnpackError::Stream)?;
    let compression = Compression::detect(&input.head).map_err(UnpackError::Stream)?;
    if compression == Compression::None {
        return consume(&mut input);
    }
    thread::scope(|scope| {
        let (sender, receiver) = sync_channel(CHUNKS_AHEAD);
        scope.spawn(move || {
            let result = match compression {
                Compression::Gzip => send_all(flate2::bufread::MultiGzDecoder::new(input), &sender),
                Compression::Zstd => zstd::stream::read::Decoder::with_buffer(input)
                    .and_then(|decoder| send_all(decoder, &sender)),
                Compression::None => send_all(input, &sender),
            };
            if let Err(error) = result {
                // Nobody listens where the other side has failed already.
                sender.send(Err(error)).ok();
            }
        });
        consume(&mut ChunkReader::new(Chunks(receiver)))
    })
}

/// Sends everything that a reader gives; ends early where nobody listens.
fn send_all(mut reader: impl Read, sender: &SyncSender<io::Result<Vec<u8>>>) -> io::Result<()> {
    loop {
        let mut chunk = Vec::with_capacity(CHUNK);
        let count = reader.by_ref().take(CHUNK as u64).read_to_end(&mut chunk)?;
        if count == 0 || sender.send(Ok(chunk)).is_err() {
            return Ok(());
        }
    }
}

/// Where chunks come from; `None` is the end.
pub(crate) trait ChunkSource {
    /// A chunk's type.
    type Chunk: AsRef<[u8]>;

    /// Waits for the next chunk.
    fn next_chunk(&mut self) -> io::Result<Option<Self::Chunk>>;
}

pub(super) struct Chunks(pub(super) Receiver<io::Result<Vec<u8>>>);

impl ChunkSource for Chunks {
    type Chunk = Vec<u8>;

    fn next_chunk(&mut self) -> io::Result<Option<Vec<u8>>> {
        self.0.recv().ok().transpose()
    }
}

/// Reads chunks as one stream, without copying them.
pub(crate) struct ChunkReader<S: ChunkSource> {
    source: S,
    current: Option<S::Chunk>,
    position: usize,
}

impl<S: ChunkSource> ChunkReader<S> {
    pub(crate) fn new(source: S) -> Self {
        Self {
            source,
            current: None,
            position: 0,
        }
    }

    fn rest(&self) -> &[u8] {
        self.current
            .as_ref()
            .and_then(|chunk| chunk.as_ref().get(self.position..))
            .unwrap_or_default()
    }
}

impl<S: ChunkSource> BufRead for ChunkReader<S> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.rest().is_empty() {
            self.current = self.source.next_chunk()?;
            self.position = 0;
            if self.current.is_none() {
                return Ok(&[]);
            }
        }
        Ok(self.rest())
    }

    fn consume(&mut self, count: usize) {
        self.position += count;
    }
}

impl<S: ChunkSource> Read for ChunkReader<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        read_buffered(self, buffer)
    }
}

fn read_buffered(reader: &mut impl BufRead, buffer: &mut [u8]) -> io::Result<usize> {
    let count = reader.fill_buf()?.read(buffer)?;
    reader.consume(count);
    Ok(count)
}

/// A stream whose first bytes were looked at.
struct Prefixed<R> {
    head: Vec<u8>,
    position: usize,
    rest: R,
}

impl<R: BufRead> Prefixed<R> {
    fn new(mut rest: R) -> io::Result<Self> {
        let mut head = Vec::with_capacity(MAGIC);
        rest.by_ref().take(MAGIC as u64).read_to_end(&mut head)?;
        Ok(Self {
            head,
            position: 0,
            rest,
        })
    }
}

impl<R: BufRead> BufRead for Prefixed<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        match self.head.get(self.position..) {
            Some(head) if !head.is_empty() => Ok(head),
            _ => self.rest.fill_buf(),
        }
    }

    fn consume(&mut self, count: usize) {
        if self.position < self.head.len() {
            self.position += count;
        } else {
            self.rest.consume(count);
        }
    }
}

impl<R: BufRead> Read for Prefixed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        read_buffered(self, buffer)
    }
}

/// Hashes what is read from it.
pub(crate) struct Hashing<'a, R> {
    inner: R,
    hasher: &'a mut Hasher,
    /// Bytes of the inner buffer that are hashed already.
    hashed: usize,
}

impl<'a, R: BufRead> Hashing<'a, R> {
    pub(crate) fn new(inner: R, hasher: &'a mut Hasher) -> Self {
        Self {
            inner,
            hasher,
            hashed: 0,
        }
    }
}

impl<R: BufRead> BufRead for Hashing<'_, R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let buffer = self.inner.fill_buf()?;
        // Whole chunks are hashed at once, when they are first seen.
        if let Some(new) = buffer.get(self.hashed..) {
            self.hasher.update(new);
            self.hashed = buffer.len();
        }
        Ok(buffer)
    }

    fn consume(&mut self, count: usize) {
        self.inner.consume(count);
        self.hashed = self.hashed.saturating_sub(count);
    }
}

impl<R: BufRead> Read for Hashing<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        read_buffered(self, buffer)
    }
}
