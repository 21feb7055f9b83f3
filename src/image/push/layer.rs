//! One layer on its way to a registry.

use super::document::layer_type;
use super::known::Packed;
use super::produce::{Packing, Piece, Production, Whole};
use crate::image::digest::Digest;
use crate::image::error::ImageError;
use crate::image::progress::Progress;
use crate::image::registry::manifest::Descriptor;
use crate::image::registry::{Mounted, Repository, Upload, UploadError};
use crate::image::store::Store;

/// Uploads of one layer that are begun, where registries lose them.
const UPLOADS: u32 = 5;

/// What is needed to push a layer.
pub(super) struct Layer<'a> {
    pub(super) store: &'a Store,
    pub(super) repository: &'a Repository<'a>,
    pub(super) domain: &'a str,
    pub(super) path: &'a str,
    pub(super) diff_id: &'a Digest,
    /// Its packed forms at registries.
    pub(super) known: &'a [Packed],
    /// In bytes of its files: how small it packs is known only at the end.
    pub(super) progress: Progress<'a>,
    /// All of those.
    pub(super) size: u64,
    /// How it is packed where it has to be.
    pub(super) packing: Packing,
}

impl<'a> Layer<'a> {
    /// Sees to it that the registry has the layer; says as what.
    pub(super) async fn push(&self) -> Result<Descriptor, ImageError> {
        self.progress.at(0);
        let result = self.try_push().await;
        match &result {
            Ok((_, outcome)) => self.progress.done(outcome),
            Err(error) => self.progress.failed(error),
        }
        result.map(|(descriptor, _)| descriptor)
    }

    async fn try_push(&self) -> Result<(Descriptor, &'static str), ImageError> {
        for packed in self.known {
            if self.repository.has_blob(&packed.descriptor.digest).await? {
                return Ok((packed.descriptor.clone(), "Layer already exists"));
            }
        }
        let mut begun = None;
        for packed in self.known {
            for from in self.sources(packed) {
                if let Some(upload) = begun.take() {
                    Upload::cancel(upload).await;
                }
                match self
                    .repository
                    .mount(&packed.descriptor.digest, from)
                    .await?
                {
                    Mounted::Done => return Ok((packed.descriptor.clone(), "Mounted")),
                    Mounted::Upload(upload) => begun = Some(upload),
                }
            }
        }
        let packing = self.packing();
        for _ in 0..UPLOADS {
            match self.upload(packing, begun.take()).await {
                Err(UploadError::Lost) => {}
                Err(UploadError::Failed(error)) => return Err(error),
                Ok((whole, outcome)) => {
                    let kind = layer_type(packing);
                    return Ok((Descriptor::new(&kind, whole.digest, whole.size), outcome));
                }
            }
        }
        Err(self.repository.lost())
    }

    /// Other repositories of this registry that should have a blob.
    fn sources<'p>(&self, packed: &'p Packed) -> Vec<&'p str> {
        let mut paths: Vec<&str> = packed
            .repositories
            .iter()
            .filter(|(domain, path)| domain == self.domain && path != self.path)
            .map(|(_, path)| path.as_str())
            .collect();
        paths.sort_unstable();
        paths.dedup();
        paths
    }

    /// A layer that came as it is goes as it is, and keeps its digest.
    fn packing(&self) -> Packing {
        let is_plain = |packed: &Packed| packed.descriptor.digest == *self.diff_id;
        if self.known.iter().any(is_plain) {
            Packing::Plain
        } else {
            self.packing
        }
    }

    async fn upload(
        &self,
        packing: Packing,
        begun: Option<Upload<'a>>,
    ) -> Result<(Whole, &'static str), UploadError> {
        let mut production = Production::begin(self.store, self.diff_id, packing);
        let first = production.next().await;
        let second = production.next().await;
        let (Some(first), Some(second)) = (&first, second) else {
            // All of it is here: it is known by its digest before it is sent.
            if let Some(upload) = begun {
                upload.cancel().await;
            }
            let whole = production.whole().await?;
            return self.upload_whole(first, whole).await;
        };
        let mut upload = match begun {
            Some(upload) => upload,
            None => self.repository.begin_upload().await?,
        };
        match self.send(&mut upload, first, second, &mut production).await {
            Ok(()) => {}
            Err(error) => {
                upload.cancel().await;
                return Err(error);
            }
        }
        match production.whole().await {
            Ok(whole) => {
                upload.finish(&whole.digest).await?;
                Ok((whole, "Pushed"))
            }
            Err(error) => {
                upload.cancel().await;
                Err(error.into())
            }
        }
    }

    async fn upload_whole(
        &self,
        piece: Option<Piece>,
        whole: Whole,
    ) -> Result<(Whole, &'static str), UploadError> {
        if self.repository.has_blob(&whole.digest).await? {
            return Ok((whole, "Layer already exists"));
        }
        let (bytes, until) =
            piece.map_or_else(Default::default, |piece| (piece.bytes, piece.until));
        let size = whole.size;
        let told = |sent| self.tell(share(until, sent, size));
        self.repository
            .put_blob(&whole.digest, &bytes, &told)
            .await?;
        Ok((whole, "Pushed"))
    }

    async fn send(
        &self,
        upload: &mut Upload<'a>,
        first: &Piece,
        second: Piece,
        production: &mut Production,
    ) -> Result<(), UploadError> {
        let mut from = self.send_piece(upload, first, 0).await?;
        let mut next = Some(second);
        while let Some(piece) = next {
            from = self.send_piece(upload, &piece, from).await?;
            next = production.next().await;
        }
        Ok(())
    }

    /// An archive is a little longer than its files.
    fn tell(&self, current: u64) {
        self.progress.at(current.min(self.size));
    }

    /// Sends a piece that packs the archive from a byte on; gives the byte
    /// that the next one is from.
    async fn send_piece(
        &self,
        upload: &mut Upload<'a>,
        piece: &Piece,
        from: u64,
    ) -> Result<u64, UploadError> {
        let size = piece.bytes.len() as u64;
        let packed = piece.until.saturating_sub(from);
        let told = |sent| self.tell(from + share(packed, sent, size));
        upload.append(&piece.bytes, &told).await?;
        Ok(piece.until)
    }
}

/// How much of `all` is done where `part` of `whole` is.
fn share(all: u64, part: u64, whole: u64) -> u64 {
    let product = u128::from(all) * u128::from(part);
    let share = product.checked_div(u128::from(whole)).unwrap_or_default();
    u64::try_from(share).unwrap_or(all)
}
