//! One repository of one registry: manifests and blobs (distribution
//! specification, "Pull").

use reqwest::header::{ACCEPT, RANGE};
use reqwest::{Method, Response};

use super::access::Access;
use super::answer::{BoundedError, read_bounded};
use super::authorization::{Authorization, Scopes};
use super::endpoint::Endpoint;
use super::manifest::{self, MANIFEST_LIMIT};
use super::retry::{ATTEMPTS, back_off};
use super::transport::{Call, Transport};
use crate::event::EventSink;
use crate::image::digest::Digest;
use crate::image::error::ImageError;
use crate::image::reference::Reference;

/// Header with the digest of a manifest.
pub(super) const CONTENT_DIGEST: &str = "docker-content-digest";

/// A repository to pull from or to push to.
pub(crate) struct Repository<'a> {
    pub(super) transport: Transport<'a>,
}

impl<'a> Repository<'a> {
    /// To pull from.
    pub(crate) fn new(
        access: &'a Access,
        endpoint: &'a Endpoint,
        reference: &Reference,
        events: &'a dyn EventSink,
    ) -> Self {
        let scopes = Scopes::pull(&endpoint.path);
        Self::with(access, endpoint, reference, scopes, events)
    }

    /// To push to; blobs may be taken over from other repositories there.
    pub(crate) fn for_push(
        access: &'a Access,
        endpoint: &'a Endpoint,
        reference: &Reference,
        others: &[String],
        events: &'a dyn EventSink,
    ) -> Self {
        let scopes = Scopes::push(&endpoint.path, others);
        Self::with(access, endpoint, reference, scopes, events)
    }

    fn with(
        access: &'a Access,
        endpoint: &'a Endpoint,
        reference: &Reference,
        scopes: Scopes,
        events: &'a dyn EventSink,
    ) -> Self {
        let authorization = Authorization::new(access, endpoint, scopes, events);
        let familiar = reference.familiar();
        Self {
            transport: Transport::new(access, endpoint, authorization, familiar),
        }
    }

    /// A call at a path below the repository.
    pub(super) async fn call(&self, method: Method, rest: &str) -> Result<Call, ImageError> {
        let path = format!("v2/{}/{rest}", self.transport.endpoint().path);
        Ok(Call::new(method, self.transport.url(&path).await?))
    }

    /// Gets a manifest or an index by tag or digest; its digest is checked.
    pub(crate) async fn manifest(&self, selector: &str) -> Result<(Digest, Vec<u8>), ImageError> {
        let call = self
            .call(Method::GET, &format!("manifests/{selector}"))
            .await?;
        let call = call.header(ACCEPT, manifest::ACCEPT);
        let mut attempt = 1;
        let (stated, body) = loop {
            let response = self.transport.request(&call).await?;
            let stated = stated_digest(&response);
            match read_bounded(response, MANIFEST_LIMIT).await {
                Ok(body) => break (stated, body),
                Err(BoundedError::Broken(_)) if attempt < ATTEMPTS => {
                    tokio::time::sleep(back_off(attempt)).await;
                    attempt += 1;
                }
                Err(error) => return Err(self.bounded_error(error, "manifest")),
            }
        };
        let found = Digest::of(&body);
        let wanted = Digest::parse(selector).ok().or(stated);
        match wanted {
            Some(expected) if expected != found => Err(ImageError::WrongDigest {
                what: format!("the manifest of `{}`", self.transport.reference()),
                expected,
                found,
            }),
            _ => Ok((found, body)),
        }
    }

    /// The digest of what a tag means now; the document itself is fetched only
    /// where the registry does not tell.
    pub(crate) async fn digest(&self, selector: &str) -> Result<Digest, ImageError> {
        let call = self
            .call(Method::HEAD, &format!("manifests/{selector}"))
            .await?;
        let call = call.header(ACCEPT, manifest::ACCEPT);
        let response = self.transport.request(&call).await?;
        match stated_digest(&response) {
            Some(digest) => Ok(digest),
            None => Ok(self.manifest(selector).await?.0),
        }
    }

    /// Begins to get a blob, from a byte on.
    pub(super) async fn blob(&self, digest: &Digest, from: u64) -> Result<Response, ImageError> {
        let call = self.call(Method::GET, &format!("blobs/{digest}")).await?;
        let mut call = call.header(ACCEPT, "*/*");
        if from > 0 {
            call = call.header(RANGE, &format!("bytes={from}-"));
        }
        self.transport.request(&call).await
    }

    fn bounded_error(&self, error: BoundedError, what: &str) -> ImageError {
        match error {
            BoundedError::TooLong(limit) => ImageError::Malformed {
                what: format!("the {what} of `{}`", self.transport.reference()),
                reason: format!("it is longer than {limit} bytes"),
            },
            BoundedError::Broken(reason) => self.transport.unreachable(reason),
        }
    }
}

fn stated_digest(response: &Response) -> Option<Digest> {
    let value = response.headers().get(CONTENT_DIGEST)?;
    Digest::parse(value.to_str().ok()?).ok()
}
