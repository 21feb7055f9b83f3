//! A container's own root file system, as its record says.

use std::path::PathBuf;

use super::record::ContainerRecord;
use crate::engine::spec::RootSpec;
use crate::image::{Digest, DigestError, ImageError, Store};
use crate::state::Layout;

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RootError {
    /// The record does not name its layers as it has to.
    #[error(transparent)]
    Digest(#[from] DigestError),
    /// A layer is not in the store.
    #[error(transparent)]
    Image(#[from] ImageError),
}

/// The layers of an image and the writable folders of a container. `volatile` as in
/// [`RootSpec::Overlay`].
///
/// # Errors
/// [`RootError`].
pub(crate) fn root(
    layout: &Layout,
    record: &ContainerRecord,
    volatile: bool,
) -> Result<RootSpec, RootError> {
    let folder = layout.container(&record.project, &record.id);
    Ok(RootSpec::Overlay {
        layers: layers(layout, &record.launch.layers)?,
        upper: folder.join("upper"),
        work: folder.join("work"),
        volatile,
    })
}

/// The folders of layers, the uppermost first, from diff-ids with the lowest first.
///
/// # Errors
/// [`RootError`].
pub(crate) fn layers(layout: &Layout, diff_ids: &[String]) -> Result<Vec<PathBuf>, RootError> {
    let diff_ids: Result<Vec<Digest>, _> =
        diff_ids.iter().map(|text| Digest::parse(text)).collect();
    Ok(Store::open(layout).lower_folders(&diff_ids?)?)
}
