//! Small documents by digest: `blobs/sha256/<hex>`.

use std::path::PathBuf;

use fs_err as fs;

use super::Store;
use crate::image::digest::Digest;
use crate::image::error::{ImageError, StoreContext as _};
use crate::state::atomic::{self, Durability};

impl Store {
    pub(super) fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.root.join("blobs/sha256").join(digest.hex())
    }

    /// Reads a document.
    ///
    /// # Errors
    /// It is not there or cannot be read.
    pub fn read_blob(&self, digest: &Digest) -> Result<Vec<u8>, ImageError> {
        let path = self.blob_path(digest);
        fs::read(&path).store("read", &path)
    }

    /// Keeps a document; one that is there already is left as it is.
    pub(crate) fn write_blob(&self, content: &[u8]) -> Result<Digest, ImageError> {
        let digest = Digest::of(content);
        let path = self.blob_path(&digest);
        let present = fs::metadata(&path).is_ok_and(|m| m.len() == content.len() as u64);
        if !present {
            atomic::write(&path, content, Durability::Durable).store("write", &path)?;
        }
        Ok(digest)
    }
}
