//! A blob's bytes: resumed where a transfer breaks, counted and hashed.

use reqwest::StatusCode;
use reqwest::header::CONTENT_RANGE;

use super::manifest::Descriptor;
use super::reason::Reason;
use super::repository::Repository;
use super::retry::{ATTEMPTS, back_off};
use crate::image::digest::Hasher;
use crate::image::error::ImageError;

/// A piece of a blob, as it came from the network.
pub(crate) struct Chunk {
    bytes: Box<dyn AsRef<[u8]> + Send>,
    /// Bytes in front that are not wanted.
    skipped: usize,
}

impl AsRef<[u8]> for Chunk {
    fn as_ref(&self) -> &[u8] {
        let bytes = (*self.bytes).as_ref();
        bytes.get(self.skipped..).unwrap_or_default()
    }
}

/// A blob being received.
pub(crate) struct Blob<'a> {
    repository: &'a Repository<'a>,
    descriptor: &'a Descriptor,
    response: Option<reqwest::Response>,
    hasher: Hasher,
    received: u64,
    /// Bytes to drop, because a registry began anew instead of going on.
    skip: u64,
    /// Breaks since the last byte came.
    breaks: u32,
}

impl<'a> Blob<'a> {
    pub(crate) fn new(repository: &'a Repository<'a>, descriptor: &'a Descriptor) -> Self {
        Self {
            repository,
            descriptor,
            response: None,
            hasher: Hasher::new(),
            received: 0,
            skip: 0,
            breaks: 0,
        }
    }

    /// The next piece; `None` once all have come and size and digest are right.
    pub(crate) async fn next(&mut self) -> Result<Option<Chunk>, ImageError> {
        loop {
            if self.received == self.descriptor.size && self.response.is_none() {
                self.check()?;
                return Ok(None);
            }
            let response = if let Some(response) = &mut self.response {
                response
            } else {
                let opened = self.open().await?;
                self.response.insert(opened)
            };
            match response.chunk().await {
                Ok(Some(chunk)) => {
                    if let Some(chunk) = self.take(chunk)? {
                        return Ok(Some(chunk));
                    }
                }
                Ok(None) if self.received == self.descriptor.size => self.response = None,
                Ok(None) => {
                    self.broken("the transfer ended too early".into()).await?;
                }
                Err(error) => self.broken(Reason::of(&error)).await?,
            }
        }
    }

    /// All of a small blob.
    pub(crate) async fn read(mut self, limit: usize) -> Result<Vec<u8>, ImageError> {
        if self.descriptor.size > limit as u64 {
            return Err(ImageError::Malformed {
                what: self.what(),
                reason: format!("it is longer than {limit} bytes"),
            });
        }
        let mut content = Vec::new();
        while let Some(chunk) = self.next().await? {
            content.extend_from_slice(chunk.as_ref());
        }
        Ok(content)
    }

    /// Bytes received so far.
    pub(crate) fn received(&self) -> u64 {
        self.received
    }

    fn what(&self) -> String {
        format!("blob {}", self.descriptor.digest.short())
    }

    fn wrong_size(&self, found: u64) -> ImageError {
        ImageError::WrongSize {
            what: self.what(),
            expected: self.descriptor.size,
            found,
        }
    }

    /// Asks for what is still missing.
    async fn open(&mut self) -> Result<reqwest::Response, ImageError> {
        let from = self.received;
        let response = match self.repository.blob(&self.descriptor.digest, from).await {
            // There is nothing after what has come.
            Err(ImageError::Registry { status, .. }) if from > 0 && status.starts_with("416") => {
                return Err(self.wrong_size(from));
            }
            other => other?,
        };
        let goes_on = response.status() == StatusCode::PARTIAL_CONTENT
            && response
                .headers()
                .get(CONTENT_RANGE)
                .and_then(|value| value.to_str().ok())
                .is_some_and(|range| range.starts_with(&format!("bytes {from}-")));
        self.skip = if goes_on { 0 } else { from };
        let start = from - self.skip;
        match response.content_length() {
            Some(length) if start + length != self.descriptor.size => {
                Err(self.wrong_size(start + length))
            }
            _ => Ok(response),
        }
    }

    fn take(
        &mut self,
        bytes: impl AsRef<[u8]> + Send + 'static,
    ) -> Result<Option<Chunk>, ImageError> {
        let skipped = usize::try_from(self.skip)
            .unwrap_or(usize::MAX)
            .min(bytes.as_ref().len());
        self.skip -= skipped as u64;
        let chunk = Chunk {
            bytes: Box::new(bytes),
            skipped,
        };
        let bytes = chunk.as_ref();
        if bytes.is_empty() {
            return Ok(None);
        }
        self.breaks = 0;
        self.received += bytes.len() as u64;
        if self.received > self.descriptor.size {
            return Err(self.wrong_size(self.received));
        }
        self.hasher.update(bytes);
        Ok(Some(chunk))
    }

    /// Waits a little before going on, unless nothing has come for too often.
    async fn broken(&mut self, reason: Reason) -> Result<(), ImageError> {
        self.response = None;
        self.breaks += 1;
        if self.breaks >= ATTEMPTS {
            let text = format!(
                "the transfer of {} broke off at byte {} of {}: {}",
                self.what(),
                self.received,
                self.descriptor.size,
                reason.text
            );
            let remedy = reason.remedy;
            return Err(self
                .repository
                .transport
                .unreachable(Reason { text, remedy }));
        }
        tokio::time::sleep(back_off(self.breaks)).await;
        Ok(())
    }

    fn check(&self) -> Result<(), ImageError> {
        let found = self.hasher.clone().finish();
        if found == self.descriptor.digest {
            return Ok(());
        }
        Err(ImageError::WrongDigest {
            what: self.what(),
            expected: self.descriptor.digest.clone(),
            found,
        })
    }
}
