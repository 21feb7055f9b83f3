//! `skiff/toolbox`: the image that is made, not pulled.
//!
//! One layer with the running program as `/bin/skiff`, a link to it for each
//! applet, and the few files a root needs. The program is static, so nothing
//! else is. It is made anew when the program has changed.

use std::fmt::Write as _;
use std::io::{BufReader, Cursor, Read};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use fs_err as fs;
use serde::{Deserialize, Serialize};

use super::digest::{Digest, Hasher};
use super::error::{ImageError, StoreContext as _};
use super::platform::Platform;
use super::reference::Reference;
use super::store::{Image, LayerClaim, NewImage, Store};
use crate::state::atomic::{self, Durability};
use crate::state::lock::Lock;

/// The image's name.
pub const TOOLBOX: &str = "skiff/toolbox";
/// The full name that [`TOOLBOX`] means.
const FULL_NAME: &str = "docker.io/skiff/toolbox:latest";
/// The running program.
const PROGRAM: &str = "/proc/self/exe";
/// Raised when the image gets other content from the same program.
const RECIPE_VERSION: u32 = 1;
/// Size of a tar block.
const BLOCK: usize = 512;

/// The image and what it was made from: `toolbox.json`.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    image: Digest,
    origin: Origin,
}

/// What the image was made from.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Origin {
    recipe: u32,
    version: String,
    size: u64,
    modified: (i64, i64),
    device: u64,
    inode: u64,
    applets: Vec<String>,
}

/// Whether a reference means the built-in image.
pub fn is_toolbox(reference: &Reference) -> bool {
    reference.digest().is_none() && reference.to_string() == FULL_NAME
}

/// Makes the built-in image from the running program, or finds it as it is:
/// then this costs one stat(2) and two small files. `applets` are the names of
/// the links beside `/bin/skiff`.
///
/// # Errors
/// The store cannot be written or the running program not be read.
pub fn ensure_toolbox(store: &Store, applets: &[&str]) -> Result<Image, ImageError> {
    ensure_from(store, Path::new(PROGRAM), applets)
}

/// The built-in image, if it is here as it would be made now.
///
/// # Errors
/// The store or the running program cannot be read.
pub fn find_toolbox(store: &Store, applets: &[&str]) -> Result<Option<Image>, ImageError> {
    present(store, &origin(Path::new(PROGRAM), applets)?)
}

fn ensure_from(store: &Store, program: &Path, applets: &[&str]) -> Result<Image, ImageError> {
    let origin = origin(program, applets)?;
    if let Some(image) = present(store, &origin)? {
        return Ok(image);
    }
    let usage = store.use_shared()?;
    let lock_path = store.toolbox_record().with_extension("lock");
    let _lock = Lock::acquire(&lock_path).store("lock", &lock_path)?;
    // Another process may have made it while this one waited.
    if let Some(image) = present(store, &origin)? {
        return Ok(image);
    }
    let archive = Parts::new(program, origin.size, applets).store("read", program)?;
    let mut hasher = Hasher::new();
    hash(&mut archive.open().store("read", program)?, &mut hasher).store("read", program)?;
    let diff_id = hasher.finish();
    if let LayerClaim::Missing(pending) = store.claim_layer(&usage, &diff_id)? {
        let unpacked = pending.unpack(archive.open().store("read", program)?)?;
        pending.commit(&unpacked)?;
    }
    let platform = Platform::host();
    let config = serde_json::json!({
        "architecture": platform.architecture,
        "os": platform.os,
        "config": {
            "Env": ["PATH=/bin"],
            "Cmd": ["/bin/skiff", "version"],
            "Labels": { "org.opencontainers.image.title": TOOLBOX,
                        "org.opencontainers.image.version": origin.version },
        },
        "rootfs": { "type": "layers", "diff_ids": [diff_id] },
        "history": [{ "created_by": "skiff, from itself" }],
    });
    let new = NewImage {
        config: config.to_string().into_bytes(),
        manifests: Vec::new(),
        manifest: None,
        names: vec![Reference::parse(TOOLBOX)?],
        repo_digests: Vec::new(),
        variants: Vec::new(),
    };
    let image = store.add_image(&usage, new)?;
    let path = store.toolbox_record();
    let record = Record {
        image: image.id.clone(),
        origin,
    };
    atomic::write_json(&path, &record, Durability::Durable).store("write", &path)?;
    Ok(image)
}

/// A record that cannot be read is as good as none: it is written anew.
fn read_record(store: &Store) -> Option<Record> {
    atomic::read_json(&store.toolbox_record()).unwrap_or_default()
}

fn origin(program: &Path, applets: &[&str]) -> Result<Origin, ImageError> {
    let metadata = fs::metadata(program).store("read", program)?;
    Ok(Origin {
        recipe: RECIPE_VERSION,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        size: metadata.len(),
        modified: (metadata.mtime(), metadata.mtime_nsec()),
        device: metadata.dev(),
        inode: metadata.ino(),
        applets: applets.iter().map(|&name| name.to_owned()).collect(),
    })
}

/// The image, if it is there and was made from the same.
fn present(store: &Store, origin: &Origin) -> Result<Option<Image>, ImageError> {
    if read_record(store).is_none_or(|record| record.origin != *origin) {
        return Ok(None);
    }
    let image = store.find(TOOLBOX)?;
    Ok(image.filter(|image| {
        image
            .layers
            .iter()
            .all(|layer| store.layer_dir(layer).is_dir())
    }))
}

fn hash(input: &mut impl Read, hasher: &mut Hasher) -> std::io::Result<()> {
    let mut buffer = vec![0; 256 * 1024];
    loop {
        let count = input.read(&mut buffer)?;
        match buffer.get(..count) {
            Some(bytes) if !bytes.is_empty() => hasher.update(bytes),
            _ => return Ok(()),
        }
    }
}

/// The layer's archive: what is before and after the program's bytes.
struct Parts {
    head: Vec<u8>,
    program: PathBuf,
    size: u64,
    tail: Vec<u8>,
}

impl Parts {
    fn new(program: &Path, size: u64, applets: &[&str]) -> std::io::Result<Self> {
        let mut head = Vec::new();
        for (path, mode) in [
            ("bin/", 0o755),
            ("etc/", 0o755),
            ("root/", 0o700),
            ("tmp/", 0o1777),
        ] {
            append(
                &mut head,
                tar::EntryType::Directory,
                path,
                mode,
                &Content::None,
            )?;
        }
        let mut passwd = String::new();
        let mut group = String::new();
        for (name, id, home) in [("root", 0, "/root"), ("nobody", 65534, "/tmp")] {
            // Writing to a String cannot fail.
            writeln!(passwd, "{name}:x:{id}:{id}:{name}:{home}:/bin/skiff").ok();
            writeln!(group, "{}:x:{id}:", if id == 0 { name } else { "nogroup" }).ok();
        }
        for (path, text) in [("etc/passwd", passwd), ("etc/group", group)] {
            let content = Content::Bytes(text.as_bytes());
            append(&mut head, tar::EntryType::Regular, path, 0o644, &content)?;
        }
        let content = Content::Elsewhere(size);
        append(
            &mut head,
            tar::EntryType::Regular,
            "bin/skiff",
            0o755,
            &content,
        )?;
        let mut tail = vec![0; pad(size)];
        for applet in applets {
            let path = format!("bin/{applet}");
            let content = Content::Link("skiff");
            append(&mut tail, tar::EntryType::Symlink, &path, 0o777, &content)?;
        }
        tail.extend_from_slice(&[0; 2 * BLOCK]);
        Ok(Self {
            head,
            program: program.to_owned(),
            size,
            tail,
        })
    }

    fn open(&self) -> std::io::Result<BufReader<impl Read + Send + '_>> {
        let program = fs::File::open(&self.program)?.into_parts().0;
        let archive = Cursor::new(&self.head)
            .chain(program.take(self.size))
            .chain(Cursor::new(&self.tail));
        Ok(BufReader::with_capacity(256 * 1024, archive))
    }
}

enum Content<'a> {
    None,
    Bytes(&'a [u8]),
    Elsewhere(u64),
    Link(&'a str),
}

/// Appends a header, and the content where it is given. Owner and time are 0,
/// so that one program always gives one image.
fn append(
    archive: &mut Vec<u8>,
    kind: tar::EntryType,
    path: &str,
    mode: u32,
    content: &Content<'_>,
) -> std::io::Result<()> {
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(kind);
    header.set_path(path)?;
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    match content {
        Content::None => header.set_size(0),
        Content::Bytes(bytes) => header.set_size(bytes.len() as u64),
        Content::Elsewhere(size) => header.set_size(*size),
        Content::Link(target) => {
            header.set_size(0);
            header.set_link_name(target)?;
        }
    }
    header.set_cksum();
    archive.extend_from_slice(header.as_bytes());
    if let Content::Bytes(bytes) = content {
        archive.extend_from_slice(bytes);
        archive.resize(archive.len() + pad(bytes.len() as u64), 0);
    }
    Ok(())
}

/// Bytes that fill content up to a whole block.
fn pad(size: u64) -> usize {
    usize::try_from(size.next_multiple_of(BLOCK as u64) - size).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::store::InUse;
    use crate::state::Layout;

    #[test]
    fn the_toolbox_is_made_once_and_again_when_the_program_changes() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&Layout::new(
            folder.path().join("d"),
            folder.path().join("r"),
        ));
        let program = folder.path().join("program");
        fs::write(&program, vec![7; 100_000]).unwrap();
        let first = ensure_from(&store, &program, &["sleep", "echo"]).unwrap();
        assert_eq!(first.config.cmd, ["/bin/skiff", "version"]);
        let root = store.layer_dir(&first.layers[0]);
        assert_eq!(fs::read(root.join("bin/skiff")).unwrap().len(), 100_000);
        assert_eq!(
            fs::read_link(root.join("bin/sleep")).unwrap(),
            Path::new("skiff")
        );
        assert_eq!(
            fs::metadata(root.join("tmp")).unwrap().mode() & 0o7777,
            0o1777
        );
        assert_eq!(
            fs::metadata(root.join("bin/skiff")).unwrap().mode() & 0o7777,
            0o755
        );
        assert!(
            fs::read_to_string(root.join("etc/passwd"))
                .unwrap()
                .starts_with("root:x:0:0:")
        );

        let again = ensure_from(&store, &program, &["sleep", "echo"]).unwrap();
        assert_eq!(again, first);
        for name in [
            "skiff/toolbox",
            "skiff/toolbox:latest",
            "docker.io/skiff/toolbox",
        ] {
            assert_eq!(store.find(name).unwrap().unwrap().id, first.id, "{name}");
        }

        fs::write(&program, vec![8; 100_000]).unwrap();
        let changed = ensure_from(&store, &program, &["sleep", "echo"]).unwrap();
        assert_ne!(changed.id, first.id);
        assert_eq!(store.find("skiff/toolbox").unwrap().unwrap().id, changed.id);
        let more = ensure_from(&store, &program, &["sleep"]).unwrap();
        assert_ne!(more.id, changed.id);
        // Those of earlier programs are garbage, but for one that has a name.
        let none = || Ok(InUse::default());
        store.collect_garbage(none).unwrap().unwrap();
        assert_eq!(store.list().unwrap().len(), 1);
        store
            .tag("skiff/toolbox", &Reference::parse("kept").unwrap())
            .unwrap();
        ensure_from(&store, &program, &[]).unwrap();
        store.collect_garbage(none).unwrap().unwrap();
        assert_eq!(store.list().unwrap().len(), 2);
    }

    #[test]
    fn only_the_plain_name_is_the_toolbox() {
        let is = |text| is_toolbox(&Reference::parse(text).unwrap());
        assert!(is("skiff/toolbox") && is("skiff/toolbox:latest") && is("docker.io/skiff/toolbox"));
        assert!(!is("skiff/toolbox:1") && !is("quay.io/skiff/toolbox") && !is("toolbox"));
    }
}
