//! Contents on their way into a repository (distribution specification,
//! "Push"): looked for, taken over from another repository, or uploaded, in
//! one piece or in several, each of which goes on where it broke.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::stream;
use reqwest::header::{
    AUTHORIZATION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderMap, RANGE,
};
use reqwest::{Method, Response, StatusCode, Url};

use super::reason::Reason;
use super::repository::{CONTENT_DIGEST, Repository};
use super::retry::{ATTEMPTS, back_off, wait_after};
use super::transport::{Call, SendError, location};
use crate::image::digest::Digest;
use crate::image::error::ImageError;

/// What is handed to the connection at a time.
const PORTION: usize = 64 * 1024;
/// How often is looked how far an upload is.
const LOOK: Duration = Duration::from_millis(100);

/// Told how many bytes of a piece have gone.
pub(crate) type Told<'a> = &'a (dyn Fn(u64) + Sync);

/// What came of asking for a blob of another repository.
pub(crate) enum Mounted<'a> {
    /// It is there now.
    Done,
    /// It has to be uploaded, here.
    Upload(Upload<'a>),
}

/// Why a piece is not there.
pub(crate) enum UploadError {
    /// The registry knows nothing of the upload any more: begin anew.
    Lost,
    /// It is of no use.
    Failed(ImageError),
}

impl From<ImageError> for UploadError {
    fn from(error: ImageError) -> Self {
        Self::Failed(error)
    }
}

impl<'a> Repository<'a> {
    /// Whether a blob is there.
    pub(crate) async fn has_blob(&self, digest: &Digest) -> Result<bool, ImageError> {
        let call = self.call(Method::HEAD, &format!("blobs/{digest}")).await?;
        match self.transport.request(&call).await {
            Ok(_) => Ok(true),
            Err(ImageError::NotFound { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Asks for a blob that another repository of this registry has.
    pub(crate) async fn mount(
        &'a self,
        digest: &Digest,
        from: &str,
    ) -> Result<Mounted<'a>, ImageError> {
        let mut call = self.call(Method::POST, "blobs/uploads/").await?;
        call.url
            .query_pairs_mut()
            .append_pair("mount", digest.as_str())
            .append_pair("from", from);
        let response = self.sent(&call).await?;
        if response.status() == StatusCode::CREATED {
            return Ok(Mounted::Done);
        }
        Ok(Mounted::Upload(self.begun(&call.url, &response)?))
    }

    /// Begins an upload.
    pub(crate) async fn begin_upload(&'a self) -> Result<Upload<'a>, ImageError> {
        let call = self.call(Method::POST, "blobs/uploads/").await?;
        let response = self.sent(&call).await?;
        self.begun(&call.url, &response)
    }

    fn begun(&'a self, from: &Url, response: &Response) -> Result<Upload<'a>, ImageError> {
        let location = location(from, response.headers());
        Ok(Upload {
            repository: self,
            location: location.map_err(|reason| self.transport.unreachable(reason))?,
            offset: 0,
        })
    }

    /// Puts a manifest or an index, under a tag or its digest.
    pub(crate) async fn put_manifest(
        &self,
        selector: &str,
        media_type: &str,
        text: &[u8],
    ) -> Result<Digest, ImageError> {
        let call = self
            .call(Method::PUT, &format!("manifests/{selector}"))
            .await?;
        let mut call = call.header(CONTENT_TYPE, media_type);
        call.body = text.to_vec();
        let response = self.sent(&call).await?;
        let digest = Digest::of(text);
        let stated = response.headers().get(CONTENT_DIGEST);
        match stated.and_then(|value| Digest::parse(value.to_str().ok()?).ok()) {
            Some(found) if found != digest => Err(ImageError::WrongDigest {
                what: format!("the pushed manifest of `{}`", self.transport.reference()),
                expected: digest,
                found,
            }),
            _ => Ok(digest),
        }
    }

    /// A small blob in one piece.
    pub(crate) async fn put_blob(
        &self,
        digest: &Digest,
        content: &Bytes,
        told: Told<'_>,
    ) -> Result<(), ImageError> {
        let mut attempt = 1;
        loop {
            let mut upload = self.begin_upload().await?;
            upload.location = with_digest(&upload.location, digest);
            match upload.append_by(&Method::PUT, content, told).await {
                Ok(()) => return Ok(()),
                Err(UploadError::Lost) if attempt < ATTEMPTS => attempt += 1,
                Err(UploadError::Lost) => return Err(self.lost()),
                Err(UploadError::Failed(error)) => return Err(error),
            }
        }
    }

    /// The error of an upload that the registry forgets time and again.
    pub(crate) fn lost(&self) -> ImageError {
        self.transport
            .unreachable("it loses each upload that is begun")
    }

    /// Sends what changes the registry: that something is not found is then
    /// about the repository.
    async fn sent(&self, call: &Call) -> Result<Response, ImageError> {
        match self.transport.request(call).await {
            Err(ImageError::NotFound {
                registry,
                reference,
                message,
            }) => Err(ImageError::Registry {
                registry,
                reference,
                status: StatusCode::NOT_FOUND.to_string(),
                message,
            }),
            other => other,
        }
    }
}

/// A blob being uploaded.
pub(crate) struct Upload<'a> {
    repository: &'a Repository<'a>,
    /// Where the next request goes.
    location: Url,
    /// Bytes that the registry has.
    offset: u64,
}

impl Upload<'_> {
    /// Sends the next piece; where that breaks off, the rest of it.
    pub(crate) async fn append(
        &mut self,
        piece: &Bytes,
        told: Told<'_>,
    ) -> Result<(), UploadError> {
        self.append_by(&Method::PATCH, piece, told).await
    }

    async fn append_by(
        &mut self,
        method: &Method,
        piece: &Bytes,
        told: Told<'_>,
    ) -> Result<(), UploadError> {
        let start = self.offset;
        let end = start + piece.len() as u64;
        let mut authorized = false;
        let mut attempt = 1;
        loop {
            let gone = usize::try_from(self.offset - start).unwrap_or(usize::MAX);
            let rest = piece.slice(gone.min(piece.len())..);
            let before = self.offset;
            let told = |sent| told(before - start + sent);
            let authorization = self
                .repository
                .transport
                .authorization_for(&self.location)
                .await;
            let sent = authorization.as_deref();
            let wait = match self.send(method, rest, sent, &told).await {
                Ok(response) => {
                    let status = response.status();
                    if status.is_success() {
                        self.follow(&response);
                        self.offset = end;
                        return Ok(());
                    }
                    if status == StatusCode::NOT_FOUND {
                        return Err(UploadError::Lost);
                    }
                    let is_new = status == StatusCode::UNAUTHORIZED && !authorized;
                    let transport = &self.repository.transport;
                    if is_new && transport.authorize(response.headers(), sent).await? {
                        authorized = true;
                        continue;
                    }
                    match wait_after(status, response.headers(), attempt) {
                        Some(wait) => wait,
                        // Both sides differ on how far it is.
                        None if status == StatusCode::RANGE_NOT_SATISFIABLE
                            && attempt < ATTEMPTS =>
                        {
                            back_off(attempt)
                        }
                        None => {
                            let error = self.repository.transport.answer_error(response).await;
                            return Err(error.into());
                        }
                    }
                }
                Err(error) if attempt >= ATTEMPTS => {
                    return Err(self.repository.transport.unreachable(error.reason()).into());
                }
                Err(_) => back_off(attempt),
            };
            attempt += 1;
            tokio::time::sleep(wait).await;
            if *method == Method::PUT {
                // What became of it is not told: it is sent anew as a whole.
                return Err(UploadError::Lost);
            }
            self.look(start, end).await?;
            if self.offset > before {
                attempt = 1;
            }
            if self.offset == end {
                return Ok(());
            }
        }
    }

    /// Asks how much of a piece, from `start` to `end`, the registry has. Not
    /// all can tell: Docker's own gives an upload up where part of a piece came.
    async fn look(&mut self, start: u64, end: u64) -> Result<(), UploadError> {
        let call = Call::new(Method::GET, self.location.clone());
        let response = match self.repository.transport.request(&call).await {
            Err(ImageError::NotFound { .. }) => return Err(UploadError::Lost),
            Err(ImageError::Registry { status, .. }) if status.starts_with("416") => {
                return Err(UploadError::Lost);
            }
            other => other?,
        };
        self.follow(&response);
        let offset = uploaded(response.headers());
        if !(start..=end).contains(&offset) {
            return Err(UploadError::Lost);
        }
        self.offset = offset;
        Ok(())
    }

    /// Ends the upload: the registry checks the digest.
    pub(crate) async fn finish(self, digest: &Digest) -> Result<(), UploadError> {
        let call = Call::new(Method::PUT, with_digest(&self.location, digest));
        match self.repository.transport.request(&call).await {
            Ok(_) => Ok(()),
            Err(ImageError::NotFound { .. }) => Err(UploadError::Lost),
            Err(error) => Err(error.into()),
        }
    }

    /// Tells the registry that nothing more comes; if that fails, it finds out
    /// by itself.
    pub(crate) async fn cancel(self) {
        let call = Call::new(Method::DELETE, self.location);
        self.repository.transport.request(&call).await.ok();
    }

    fn follow(&mut self, response: &Response) {
        // Where there is none, the place stays the same.
        if let Ok(next) = location(&self.location, response.headers()) {
            self.location = next;
        }
    }

    /// Sends bytes once, and watches that they go.
    async fn send(
        &self,
        method: &Method,
        bytes: Bytes,
        authorization: Option<&str>,
        told: Told<'_>,
    ) -> Result<Response, SendError> {
        let transport = &self.repository.transport;
        let total = bytes.len() as u64;
        let client = transport
            .access()
            .client(transport.endpoint(), &self.location, true)
            .map_err(|e| SendError::Final(e.into()))?;
        let mut builder = client
            .request(method.clone(), self.location.clone())
            .header(CONTENT_TYPE, "application/octet-stream")
            .header(CONTENT_LENGTH, total);
        if *method == Method::PATCH {
            let last = (self.offset + total).saturating_sub(1);
            builder = builder.header(CONTENT_RANGE, format!("{}-{last}", self.offset));
        }
        if let Some(header) = authorization {
            builder = builder.header(AUTHORIZATION, header);
        }
        let gone = Arc::new(AtomicU64::new(0));
        let body = portions(bytes, Arc::clone(&gone));
        let mut sent = std::pin::pin!(builder.body(reqwest::Body::wrap_stream(body)).send());
        let patience = transport.access().patience();
        let mut moved = (Instant::now(), 0);
        loop {
            if let Ok(result) = tokio::time::timeout(LOOK, &mut sent).await {
                let response = result.map_err(|e| SendError::of(transport.access(), &e))?;
                told(total);
                return Ok(response);
            }
            let now = gone.load(Ordering::Relaxed);
            if now != moved.1 {
                moved = (Instant::now(), now);
                told(now);
            } else if moved.0.elapsed() > patience {
                return Err(SendError::Broken(Reason::from("the upload stands still")));
            }
        }
    }
}

/// Bytes in portions, counted as they are taken.
fn portions(
    bytes: Bytes,
    gone: Arc<AtomicU64>,
) -> impl futures_util::Stream<Item = Result<Bytes, std::convert::Infallible>> + Send + 'static {
    stream::unfold((bytes, gone), |(mut rest, gone)| async move {
        if rest.is_empty() {
            return None;
        }
        let portion = rest.split_to(PORTION.min(rest.len()));
        gone.fetch_add(portion.len() as u64, Ordering::Relaxed);
        Some((Ok(portion), (rest, gone)))
    })
}

fn with_digest(location: &Url, digest: &Digest) -> Url {
    let mut url = location.clone();
    url.query_pairs_mut().append_pair("digest", digest.as_str());
    url
}

/// How much of an upload a registry says to have: `Range: 0-N`, where `0-0`
/// means nothing, for registries have no other word for it.
fn uploaded(headers: &HeaderMap) -> u64 {
    let range = headers.get(RANGE).and_then(|value| value.to_str().ok());
    let last = range
        .map(|range| range.trim_start_matches("bytes="))
        .and_then(|range| range.strip_prefix("0-"))
        .and_then(|last| last.parse::<u64>().ok());
    match last {
        None | Some(0) => 0,
        Some(last) => last.saturating_add(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_say_how_much_is_there() {
        for (range, expected) in [
            (Some("0-0"), 0),
            (Some("0-9999"), 10_000),
            (Some("bytes=0-4"), 5),
            (Some("5-9"), 0),
            (Some("x"), 0),
            (None, 0),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(range) = range {
                headers.insert(RANGE, range.parse().unwrap());
            }
            assert_eq!(uploaded(&headers), expected, "{range:?}");
        }
    }
}
