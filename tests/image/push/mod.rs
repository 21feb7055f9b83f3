//! Pushing: to Debian's docker-registry, through lines that break, and to
//! registries that do what they should not.

mod access;
mod broken;
mod whole;

use std::net::SocketAddr;

use fs_err as fs;
use serde_json::{Value, json};
use skiff::event::Silent;
use skiff::image::{
    Access, AccessOptions, Digest, Image, ImageError, PushRequest, Reference, pull, push,
};

use crate::support::http;
use crate::support::image::{Layer, OCI_INDEX, OCI_MANIFEST, TestImage};
use crate::support::server::Response;
use crate::support::world::{World, request};

const ADDRESS: &str = "127.0.0.1:5000";

fn to(images: &[&Image], reference: &str, options: AccessOptions) -> PushRequest {
    PushRequest {
        reference: Reference::parse(reference).unwrap(),
        images: images.iter().map(|image| (*image).clone()).collect(),
        access: Access::new(options),
        label: "app".to_owned(),
    }
}

fn push_to(world: &World, image: &Image, reference: &str) -> Result<Digest, ImageError> {
    let wanted = to(&[image], reference, AccessOptions::default());
    let pushed = world.run(push(&world.store, &wanted, &Silent))?;
    Ok(pushed.digest)
}

/// The image in the store, as it would be after a build: with no manifest.
fn loaded(world: &World, image: &TestImage) -> Image {
    let archive = world.path("image.tar");
    let mut tar = tar::Builder::new(fs::File::create(&archive).unwrap());
    let mut append = |name: &str, content: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(content.len() as u64);
        tar.append_data(&mut header, name, content).unwrap();
    };
    let mut names = Vec::new();
    for (number, layer) in image.layers.iter().enumerate() {
        let name = format!("{number}/layer.tar");
        append(&name, &layer.tar);
        names.push(name);
    }
    append("config.json", &image.config);
    let manifest = json!([{"Config": "config.json", "RepoTags": ["built:1"], "Layers": names}]);
    append("manifest.json", manifest.to_string().as_bytes());
    tar.into_inner().unwrap();
    let source = skiff::image::LoadSource::File(archive);
    let mut images = skiff::image::load(&world.store, source, &Silent).unwrap();
    images.remove(0)
}

fn manifest(address: SocketAddr, repository: &str, selector: &str) -> (Digest, Value) {
    let target = format!("/v2/{repository}/manifests/{selector}");
    let kinds = format!("{OCI_MANIFEST}, {OCI_INDEX}");
    let answer = http::send_with(address, "GET", &target, &[("Accept", &kinds)], b"");
    assert_eq!(answer.status, 200);
    (
        Digest::of(&answer.body),
        serde_json::from_slice(&answer.body).unwrap(),
    )
}

/// Pulls what was pushed into another store, and checks that all is there.
fn check(world: &World, reference: &str, pushed: &TestImage) -> Image {
    let fresh = world.fresh_store();
    let wanted = request(reference, AccessOptions::default());
    let image = world.run(pull(&fresh, &wanted, &Silent)).unwrap();
    assert_eq!(image.id, pushed.id(), "{reference}");
    assert_eq!(image.layers.len(), pushed.layers.len());
    image
}

fn image() -> TestImage {
    TestImage::new(vec![
        Layer::new(&[("base", b"base")]),
        Layer::new(&[("etc/x", b"x"), ("etc/y", b"y")]),
    ])
}

/// Hands a request on to a registry.
fn forward(to: SocketAddr, request: &crate::support::server::Request) -> Response {
    let names = ["content-type", "content-range", "accept", "range", "host"];
    let headers: Vec<(&str, &str)> = names
        .iter()
        .filter_map(|name| Some((*name, request.header(name)?)))
        .collect();
    let answer = http::send_with(
        to,
        &request.method,
        &request.target,
        &headers,
        &request.body,
    );
    let mut response = Response::new(answer.status, &answer.body);
    for name in ["location", "range", "docker-content-digest", "content-type"] {
        if let Some(value) = answer.header(name) {
            response = response.header(name, value);
        }
    }
    response
}
