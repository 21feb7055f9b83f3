//! Folders that a layer only implies.
//!
//! A layer that has `srv/app` and no entry for `srv` gets `srv` made by the
//! unpacking. overlayfs takes the attributes of a merged folder from the
//! uppermost layer that has it, so that made-up folder would hide the owner
//! and mode that a layer below states. Layers are shared between images, so
//! it is mended per image: one further layer on top that holds nothing but
//! the folders concerned, with the attributes of the uppermost layer that
//! states any. Most images need none.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use fs_err as fs;
use rustix::fs::{AtFlags, Gid, Mode, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;

use super::{LayerClaim, Store, Usage};
use crate::image::digest::{Digest, Hasher};
use crate::image::error::{ImageError, StoreContext as _};
use crate::image::unpack::{Unpacked, xattrs};

/// Names that kind of layer in the digest it is kept under.
const DOMAIN: &[u8] = b"skiff implied folders 1\n";

/// What a layer states about a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Attributes {
    uid: u32,
    gid: u32,
    mode: u32,
    mtime: (i64, i64),
    xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

/// How a layer sees a path.
enum Sight {
    /// Nothing there; a layer below may have it.
    Nothing,
    /// It hides what is below.
    Hidden,
    /// A folder; `last` where the layers below are hidden.
    Folder { stated: bool, last: bool },
}

struct Layer {
    root: PathBuf,
    implied: BTreeSet<Vec<u8>>,
}

impl Store {
    /// The layer that mends implied folders of a stack of layers (the lowest
    /// first), made where it is missing; `None` where nothing is to be mended.
    pub(super) fn mend_implied(
        &self,
        usage: &Usage,
        layers: &[Digest],
    ) -> Result<Option<Digest>, ImageError> {
        let stack = layers
            .iter()
            .rev()
            .map(|layer| self.load_implied(layer))
            .collect::<Result<Vec<_>, _>>()?;
        let folders = plan(&stack)?;
        if folders.is_empty() {
            return Ok(None);
        }
        let id = identify(&folders);
        if let LayerClaim::Missing(pending) = self.claim_layer(usage, &id)? {
            let root = pending.root();
            for (path, attributes) in &folders {
                make(&root.join(OsStr::from_bytes(path)), attributes)?;
            }
            // Making a folder changes the time of the one it is in.
            for (path, attributes) in folders.iter().rev() {
                set_time(&root.join(OsStr::from_bytes(path)), attributes.mtime)?;
            }
            pending.commit(&Unpacked {
                diff_id: id.clone(),
                size: 0,
                implied: Vec::new(),
                exact: false,
            })?;
        }
        Ok(Some(id))
    }

    fn load_implied(&self, layer: &Digest) -> Result<Layer, ImageError> {
        Ok(Layer {
            root: self.layer_dir(layer),
            implied: self.read_implied(layer)?,
        })
    }

    /// The folders that a layer only implies.
    pub(super) fn read_implied(&self, layer: &Digest) -> Result<BTreeSet<Vec<u8>>, ImageError> {
        let path = self.layer_home(layer).join("implied");
        match fs::read(&path) {
            Ok(list) => Ok(list.split(|byte| *byte == 0).map(<[u8]>::to_vec).collect()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(BTreeSet::new()),
            Err(error) => Err(error).store("read", &path),
        }
    }
}

/// The folders to state anew, and their attributes; `stack` is the topmost
/// layer first.
fn plan(stack: &[Layer]) -> Result<BTreeMap<Vec<u8>, Attributes>, ImageError> {
    let candidates: BTreeSet<&Vec<u8>> = stack.iter().flat_map(|layer| &layer.implied).collect();
    let mut folders = BTreeMap::new();
    for path in candidates {
        let Some((found, below_implied)) = stated(stack, path)? else {
            continue;
        };
        if !below_implied {
            continue;
        }
        folders.insert(path.clone(), found);
        // The way to it is topmost too, so it must be right as well.
        for end in path
            .iter()
            .enumerate()
            .filter(|(_, b)| **b == b'/')
            .map(|(at, _)| at)
        {
            let above = path.get(..end).unwrap_or_default();
            if !folders.contains_key(above) {
                let attributes = match stated(stack, above)? {
                    Some((attributes, _)) => attributes,
                    None => Attributes {
                        uid: 0,
                        gid: 0,
                        mode: 0o755,
                        mtime: (0, 0),
                        xattrs: Vec::new(),
                    },
                };
                folders.insert(above.to_vec(), attributes);
            }
        }
    }
    Ok(folders)
}

/// The attributes that the uppermost layer to state any gives a folder, and
/// whether a layer above it has the folder without stating any.
fn stated(stack: &[Layer], path: &[u8]) -> Result<Option<(Attributes, bool)>, ImageError> {
    let mut implied_above = false;
    for layer in stack {
        match look(layer, path)? {
            Sight::Nothing => {}
            Sight::Hidden
            | Sight::Folder {
                stated: false,
                last: true,
            } => return Ok(None),
            Sight::Folder { stated: true, .. } => {
                let attributes = attributes(&layer.root.join(OsStr::from_bytes(path)))?;
                return Ok(Some((attributes, implied_above)));
            }
            Sight::Folder {
                stated: false,
                last: false,
            } => implied_above = true,
        }
    }
    Ok(None)
}

/// Looks for a path in one layer, component by component, following nothing.
fn look(layer: &Layer, path: &[u8]) -> Result<Sight, ImageError> {
    let mut current = layer.root.clone();
    let mut opaque_above = false;
    for part in path.split(|byte| *byte == b'/') {
        current.push(OsStr::from_bytes(part));
        let metadata = match fs::symlink_metadata(&current) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(if opaque_above {
                    Sight::Hidden
                } else {
                    Sight::Nothing
                });
            }
            Err(error) => return Err(error).store("read", &current),
        };
        if metadata.file_type().is_char_device() || !metadata.is_dir() {
            return Ok(Sight::Hidden);
        }
        opaque_above |= is_opaque(&current)?;
    }
    Ok(Sight::Folder {
        stated: !layer.implied.contains(path),
        last: opaque_above,
    })
}

fn is_opaque(path: &Path) -> Result<bool, ImageError> {
    let mut value = [0; 1];
    match rustix::fs::lgetxattr(path, "trusted.overlay.opaque", &mut value) {
        Ok(_) => Ok(value == *b"y"),
        Err(Errno::NODATA | Errno::NOTSUP) => Ok(false),
        Err(errno) => Err(errno).store("read attributes of", path),
    }
}

fn attributes(path: &Path) -> Result<Attributes, ImageError> {
    let metadata = fs::symlink_metadata(path).store("read", path)?;
    let mut xattrs = xattrs(path).store("read attributes of", path)?;
    xattrs.retain(|(name, _)| !name.starts_with(b"trusted.overlay."));
    Ok(Attributes {
        uid: metadata.uid(),
        gid: metadata.gid(),
        mode: metadata.mode() & 0o7777,
        mtime: (metadata.mtime(), metadata.mtime_nsec()),
        xattrs,
    })
}

fn identify(folders: &BTreeMap<Vec<u8>, Attributes>) -> Digest {
    let mut hasher = Hasher::new();
    let mut put = |bytes: &[u8]| {
        hasher.update(&(bytes.len() as u64).to_le_bytes());
        hasher.update(bytes);
    };
    put(DOMAIN);
    for (path, attributes) in folders {
        let Attributes {
            uid,
            gid,
            mode,
            mtime,
            xattrs,
        } = attributes;
        put(path);
        put(format!("{uid} {gid} {mode} {mtime:?} {}", xattrs.len()).as_bytes());
        for (name, value) in xattrs {
            put(name);
            put(value);
        }
    }
    hasher.finish()
}

/// Makes a folder; the map's order has the ones above first.
fn make(path: &Path, attributes: &Attributes) -> Result<(), ImageError> {
    fs::create_dir(path).store("make", path)?;
    let (uid, gid) = (Uid::from_raw(attributes.uid), Gid::from_raw(attributes.gid));
    rustix::fs::chown(path, Some(uid), Some(gid)).store("set the owner of", path)?;
    rustix::fs::chmod(path, Mode::from(attributes.mode)).store("set the mode of", path)?;
    for (name, value) in &attributes.xattrs {
        rustix::fs::lsetxattr(path, name.as_slice(), value, XattrFlags::empty())
            .store("set attributes of", path)?;
    }
    Ok(())
}

fn set_time(path: &Path, (tv_sec, tv_nsec): (i64, i64)) -> Result<(), ImageError> {
    let time = Timespec { tv_sec, tv_nsec };
    let times = Timestamps {
        last_access: time,
        last_modification: time,
    };
    rustix::fs::utimensat(rustix::fs::CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW)
        .store("set the time of", path)
}
