//! A layer's bytes, packed as they are asked for, in pieces.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, spawn_blocking};

use crate::image::digest::{Digest, Hasher};
use crate::image::error::ImageError;
use crate::image::store::Store;

/// Bytes of a piece: registries on object stores take no less than 5 MiB.
pub(super) const PIECE: usize = 8 * 1024 * 1024;

/// A piece of a packed layer.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) bytes: Bytes,
    /// Bytes of the archive that are packed up to its end.
    pub(super) until: u64,
}

/// How a layer is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    /// As it is.
    Plain,
    /// RFC 1952, 0 to 9.
    Gzip(u32),
    /// RFC 8878, 1 to 22.
    Zstd(i32),
}

impl Default for Packing {
    fn default() -> Self {
        Self::Gzip(Compression::default().level())
    }
}

/// All of a packed layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Whole {
    pub(super) digest: Digest,
    pub(super) size: u64,
}

/// A layer being packed on a thread of its own, one piece ahead.
pub(super) struct Production {
    pieces: mpsc::Receiver<Piece>,
    thread: JoinHandle<Result<Whole, ImageError>>,
}

impl Production {
    /// Begins to pack. The same layer gives the same bytes each time: gzip's
    /// header has neither name nor time.
    pub(super) fn begin(store: &Store, diff_id: &Digest, packing: Packing) -> Self {
        let (sender, pieces) = mpsc::channel(1);
        let (store, diff_id) = (store.clone(), diff_id.clone());
        let thread = spawn_blocking(move || produce(&store, &diff_id, packing, sender));
        Self { pieces, thread }
    }

    pub(super) async fn next(&mut self) -> Option<Piece> {
        self.pieces.recv().await
    }

    /// Digest and size, once all pieces were taken.
    pub(super) async fn whole(self) -> Result<Whole, ImageError> {
        drop(self.pieces);
        self.thread.await.map_err(|_| ImageError::Interrupted {
            what: "the packing of a layer".to_owned(),
        })?
    }
}

fn produce(
    store: &Store,
    diff_id: &Digest,
    packing: Packing,
    sender: mpsc::Sender<Piece>,
) -> Result<Whole, ImageError> {
    let taken = Arc::new(AtomicU64::new(0));
    let pieces = Pieces {
        sender,
        buffer: Vec::with_capacity(PIECE),
        hasher: Hasher::new(),
        size: 0,
        taken: Arc::clone(&taken),
    };
    let pieces = pack(store, diff_id, packing, pieces, &taken)?;
    pieces.end().map_err(|_| broken(diff_id))
}

/// Writes a layer, packed; `taken` says meanwhile how much of its archive went in.
/// What it is written to comes back, unflushed.
///
/// # Errors
/// The layer cannot be written again, or `output` not be written to.
pub(crate) fn pack<W: Write>(
    store: &Store,
    diff_id: &Digest,
    packing: Packing,
    output: W,
    taken: &Arc<AtomicU64>,
) -> Result<W, ImageError> {
    fn counted<W: Write>(
        store: &Store,
        diff_id: &Digest,
        inner: W,
        taken: &Arc<AtomicU64>,
    ) -> Result<W, ImageError> {
        let taken = Arc::clone(taken);
        let mut output = Counting { inner, taken };
        store.write_layer(diff_id, &mut output)?;
        Ok(output.inner)
    }
    match packing {
        Packing::Plain => counted(store, diff_id, output, taken),
        Packing::Gzip(level) => {
            let encoder = GzEncoder::new(output, Compression::new(level));
            let encoder = counted(store, diff_id, encoder, taken)?;
            encoder.finish().map_err(|_| broken(diff_id))
        }
        Packing::Zstd(level) => {
            let encoder = zstd::stream::write::Encoder::new(output, level);
            let encoder = encoder.map_err(|_| broken(diff_id))?;
            let encoder = counted(store, diff_id, encoder, taken)?;
            encoder.finish().map_err(|_| broken(diff_id))
        }
    }
}

fn broken(diff_id: &Digest) -> ImageError {
    ImageError::Interrupted {
        what: format!("the packing of layer {}", diff_id.short()),
    }
}

/// Counts what goes into the packing.
struct Counting<W> {
    inner: W,
    taken: Arc<AtomicU64>,
}

impl<W: Write> Write for Counting<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.taken.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Cuts what comes out of it into pieces.
struct Pieces {
    sender: mpsc::Sender<Piece>,
    buffer: Vec<u8>,
    hasher: Hasher,
    size: u64,
    taken: Arc<AtomicU64>,
}

impl Pieces {
    fn send(&mut self) -> io::Result<()> {
        let bytes = std::mem::replace(&mut self.buffer, Vec::with_capacity(PIECE));
        self.hasher.update(&bytes);
        self.size += bytes.len() as u64;
        let piece = Piece {
            bytes: bytes.into(),
            until: self.taken.load(Ordering::Relaxed),
        };
        // Nobody takes it: the push was given up.
        self.sender
            .blocking_send(piece)
            .map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))
    }

    fn end(mut self) -> io::Result<Whole> {
        if !self.buffer.is_empty() {
            self.send()?;
        }
        Ok(Whole {
            digest: self.hasher.finish(),
            size: self.size,
        })
    }
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = PIECE - self.buffer.len();
        let taken = bytes.get(..room).unwrap_or(bytes);
        self.buffer.extend_from_slice(taken);
        if self.buffer.len() == PIECE {
            self.send()?;
        }
        Ok(taken.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
