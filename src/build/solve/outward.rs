//! What is written of an image beside the store: its files in a folder or an archive,
//! or itself as an archive (`--output`).

use std::io::{self, BufWriter, IsTerminal as _, Write};
use std::path::{Path, PathBuf};

use fs_err as fs;
use rustix::fs::FileType;

use super::builder::Builder;
use super::copy::{self, Looks};
use super::error::BuildError;
use super::files;
use super::full;
use super::layer::Scratch;
use super::mode::ModeChange;
use super::scan::{Selected, Verdict, select};
use super::tree_archive;
use crate::build::outputs::{Dest, Form, Output};
use crate::image::{BLOBS, Image, ImageError, Reference, Store, save_image, save_layout};
use crate::state::atomic;

/// Bytes that are written at once.
const CHUNK: usize = 256 * 1024;

impl Builder<'_> {
    /// Writes what is asked for of an image; of several, one for each platform, the files
    /// of each are below a name of its own, as `BuildKit` does it.
    ///
    /// # Errors
    /// It cannot be written.
    pub(in crate::build) async fn write_out(
        &self,
        images: &[Image],
        output: &Output,
    ) -> Result<(), BuildError> {
        let (images, output, owner) = (images.to_vec(), output.clone(), self.outside.owner);
        let written =
            self.blocking(move |store, _| Outward { store, owner }.write(&images, &output));
        written
            .await
            .map_err(|error| full::told(self.layout, error))
    }
}

struct Outward<'a> {
    store: &'a Store,
    /// Who called; absent: this process's user.
    owner: Option<(u32, u32)>,
}

impl Outward<'_> {
    fn write(&self, images: &[Image], output: &Output) -> Result<(), BuildError> {
        match (&output.form, &output.dest) {
            (Form::Files, Dest::Folder(folder)) => {
                for (name, image) in named(images) {
                    let folder: PathBuf = folder.join(name).components().collect();
                    self.folder(image, &folder)?;
                }
                Ok(())
            }
            (Form::Files, dest) => self.archive(dest, |output| {
                for (name, image) in named(images) {
                    let scratch = Scratch::open(self.store, &image.layers)?;
                    for tree in all(&scratch)? {
                        tree_archive::write(&tree, name.as_bytes(), output)?;
                    }
                }
                tree_archive::end(output)
            }),
            (Form::Image(names), dest) => {
                let [image] = images else {
                    return Err(BuildError::OneOnly);
                };
                if let Dest::Folder(folder) = dest {
                    return self.layout(image, names, folder);
                }
                let what = shown(dest);
                self.archive(dest, |output| {
                    Ok(save_image(self.store, image, names, &what, output)?)
                })
            }
        }
    }

    /// Merges an image's files into a folder. They belong to who called, as with
    /// Docker, whose client writes them; what that user could not make is left out.
    fn folder(&self, image: &Image, to: &Path) -> Result<(), BuildError> {
        let owner = self.owner.unwrap_or_else(own);
        make(to, owner)?;
        let scratch = Scratch::open(self.store, &image.layers)?;
        let mut trees = all(&scratch)?;
        for tree in &mut trees {
            tree.items.retain(|item| {
                !matches!(
                    item.kind(),
                    FileType::CharacterDevice | FileType::BlockDevice
                )
            });
        }
        let looks = Looks {
            owner: Some(owner),
            // As with Docker, what would run as its owner does not.
            mode: ModeChange::parse("a-s"),
        };
        copy::put(&files::open(to)?, Path::new("/"), false, &trees, &looks)?;
        Ok(())
    }

    /// Writes an image into a folder in the OCI layout.
    fn layout(&self, image: &Image, names: &[Reference], to: &Path) -> Result<(), BuildError> {
        let owner = self.owner.unwrap_or_else(own);
        make(&to.join(BLOBS), owner)?;
        Ok(save_layout(self.store, image, names, to, owner)?)
    }

    fn archive(
        &self,
        dest: &Dest,
        write: impl FnOnce(&mut dyn Write) -> Result<(), BuildError>,
    ) -> Result<(), BuildError> {
        match dest {
            Dest::Stdout => {
                let output = io::stdout().lock();
                if output.is_terminal() {
                    return Err(BuildError::Terminal);
                }
                match flushed(BufWriter::with_capacity(CHUNK, output), dest, write) {
                    Err(error) if has_no_reader(&error) => Ok(()),
                    done => done,
                }
            }
            Dest::File(path) | Dest::Folder(path) => {
                let failed = BuildError::files("write", path);
                let written = atomic::produce(path, self.owner, |file| {
                    flushed(BufWriter::with_capacity(CHUNK, file), dest, write)
                });
                written.map_err(failed)?
            }
        }
    }
}

fn flushed(
    mut output: impl Write,
    dest: &Dest,
    write: impl FnOnce(&mut dyn Write) -> Result<(), BuildError>,
) -> Result<(), BuildError> {
    write(&mut output)?;
    let flushed = output.flush();
    flushed.map_err(BuildError::files("write to", shown(dest)))
}

/// Whoever reads may have enough: that is no failure.
fn has_no_reader(error: &BuildError) -> bool {
    let (BuildError::Files { source, .. } | BuildError::Image(ImageError::Output { source, .. })) =
        error
    else {
        return false;
    };
    source.kind() == io::ErrorKind::BrokenPipe
}

fn shown(dest: &Dest) -> String {
    match dest {
        Dest::Stdout => "standard output".to_owned(),
        Dest::File(path) | Dest::Folder(path) => path.display().to_string(),
    }
}

/// Everything in a root.
fn all(scratch: &Scratch) -> Result<Vec<Selected>, BuildError> {
    select(scratch.root(), "/", &|_, _| Verdict::Take).map_err(BuildError::files("read", "/"))
}

/// Each image with the folder that its files are in; one that is alone has none.
fn named(images: &[Image]) -> impl Iterator<Item = (String, &Image)> {
    let is_alone = images.len() == 1;
    images.iter().map(move |image| {
        let name = if is_alone {
            String::new()
        } else {
            // `linux_arm_v7`
            image.platform.to_string().replace('/', "_")
        };
        (name, image)
    })
}

/// The user of this process.
fn own() -> (u32, u32) {
    (
        rustix::process::geteuid().as_raw(),
        rustix::process::getegid().as_raw(),
    )
}

/// Makes a folder and those above it, the new ones this user's.
fn make(folder: &Path, (uid, gid): (u32, u32)) -> Result<(), BuildError> {
    let missing: Vec<&Path> = folder
        .ancestors()
        .take_while(|above| !above.exists())
        .collect();
    for folder in missing.iter().rev() {
        fs::create_dir(folder).map_err(BuildError::files("make", *folder))?;
        let given = std::os::unix::fs::lchown(folder, Some(uid), Some(gid));
        given.map_err(BuildError::files("set the owner of", *folder))?;
    }
    Ok(())
}
