//! A step's files as a layer of the store.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use super::error::BuildError;
use crate::engine::inroot::Root;
use crate::engine::rootfs;
use crate::engine::spec::RootSpec;
use crate::image::{Digest, Store, Usage};

/// What a step made of the layers below.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Made {
    /// Its layer; absent where it changed nothing.
    pub(crate) layer: Option<Digest>,
    /// Bytes of its files.
    pub(crate) size: u64,
}

impl Made {
    /// No layer.
    pub(crate) fn nothing() -> Self {
        Self {
            layer: None,
            size: 0,
        }
    }

    /// Moves an upper directory into the store. Blocks.
    ///
    /// # Errors
    /// Those of [`Store::commit_folder`].
    pub(crate) fn commit(
        store: &Store,
        usage: &Usage,
        upper: &Path,
        latest: Option<i64>,
    ) -> Result<Self, BuildError> {
        let commit = store.commit_folder(usage, upper, latest)?;
        Ok(match commit {
            Some(commit) => Self {
                layer: Some(commit.diff_id),
                size: commit.size,
            },
            None => Self::nothing(),
        })
    }
}

/// Layers that files are taken from, each stack mounted once however often it is
/// looked into.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stacks(Arc<Mutex<BTreeMap<Vec<Digest>, Arc<Scratch>>>>);

impl Stacks {
    /// The root on these layers. Blocks.
    ///
    /// # Errors
    /// As [`Scratch::open`].
    pub(crate) fn open(
        &self,
        store: &Store,
        layers: &[Digest],
    ) -> Result<Arc<Scratch>, BuildError> {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(stack) = open.get(layers) {
            return Ok(Arc::clone(stack));
        }
        let stack = Arc::new(Scratch::open(store, layers)?);
        open.insert(layers.to_vec(), Arc::clone(&stack));
        Ok(stack)
    }
}

/// A root on some layers that can be written to, gone when it is dropped.
#[derive(Debug)]
pub(crate) struct Scratch {
    folder: tempfile::TempDir,
    root: Root,
}

impl Scratch {
    /// Mounts the layers, the lowest first, for this process alone. Blocks.
    ///
    /// # Errors
    /// A layer is missing, or the kernel refuses.
    pub(crate) fn open(store: &Store, layers: &[Digest]) -> Result<Self, BuildError> {
        let place = store.scratch();
        fs_err::create_dir_all(&place).map_err(BuildError::files("make", &place))?;
        let folder = tempfile::Builder::new()
            .prefix("step-")
            .tempdir_in(&place)
            .map_err(BuildError::files("make a folder in", &place))?;
        let root = rootfs::open(&RootSpec::Overlay {
            layers: store.lower_folders(layers)?,
            upper: folder.path().join("upper"),
            work: folder.path().join("work"),
            volatile: true,
        })?;
        Ok(Self { folder, root })
    }

    /// The root.
    pub(crate) fn root(&self) -> &Root {
        &self.root
    }

    /// Unmounts it and makes a layer of what was written. Blocks.
    ///
    /// # Errors
    /// As [`Made::commit`].
    pub(crate) fn commit(
        self,
        store: &Store,
        usage: &Usage,
        latest: Option<i64>,
    ) -> Result<Made, BuildError> {
        // The last descriptor of a mount that is attached nowhere.
        drop(self.root);
        Made::commit(store, usage, &self.folder.path().join("upper"), latest)
    }
}
