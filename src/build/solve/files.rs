//! Where a COPY takes files from, or a mount shows them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{FileType, OFlags};

use super::archive;
use super::context::Context;
use super::copy::{self, Looks};
use super::digest::digest;
use super::error::BuildError;
use super::hashes::{Hash, Hashes};
use super::key::Key;
use super::layer::Stacks;
use super::scan::{Selected, Verdict, has_wildcard, select};
use crate::build::graph::CopySource;
use crate::build::ignore::Ignore;
use crate::engine::inroot::Root;
use crate::engine::tree;
use crate::image::{Digest, Store};

/// The files of a step.
#[derive(Debug, Clone)]
pub(super) enum Files {
    /// Layers, the lowest first.
    Layers(Vec<Digest>),
    /// A folder of the machine.
    Context(Arc<Context>),
}

impl Files {
    /// The layers that a container or a copy starts from.
    pub(super) fn layers(&self) -> &[Digest] {
        match self {
            Self::Layers(layers) => layers,
            Self::Context(_) => &[],
        }
    }
}

/// One source.
#[derive(Debug, Clone)]
pub(super) struct SourceFiles {
    what: What,
    /// What it is known by without being read; absent where it has to be.
    pub(super) known: Option<Hash>,
}

#[derive(Debug, Clone)]
enum What {
    /// A file that stands in the Dockerfile.
    Inline { name: String, content: String },
    /// Part of the files of a step.
    Part(Part),
}

#[derive(Debug, Clone)]
struct Part {
    files: Files,
    /// Absolute, maybe a pattern.
    path: String,
    parents: Option<String>,
    excludes: Arc<Ignore>,
    /// Archives are unpacked.
    unpacks: bool,
    /// A download: the mode of its file.
    mode: Option<u32>,
    store: Store,
    stacks: Stacks,
}

/// Mode of a file that was downloaded, as `BuildKit` has it.
pub(super) const DOWNLOADED: u32 = 0o600;

impl SourceFiles {
    /// Of a COPY or ADD; `from` are the files and the key of the step that it names.
    pub(super) fn new(
        source: &CopySource,
        from: Option<(&Files, Hash)>,
        excludes: &Arc<Ignore>,
        (store, stacks): (&Store, &Stacks),
    ) -> Self {
        let empty = Files::Layers(Vec::new());
        let (files, key) = from.map_or((&empty, None), |(files, key)| (files, Some(key)));
        let unpacks = matches!(
            source,
            CopySource::Files { unpacks: true, .. } | CopySource::Download { unpacks: true, .. }
        );
        let (path, parents, mode) = match source {
            CopySource::Inline { name, content } => {
                return Self {
                    what: What::Inline {
                        name: name.clone(),
                        content: content.clone(),
                    },
                    known: Some(Hash::default()),
                };
            }
            CopySource::Files { path, parents, .. } => (path.clone(), parents.clone(), None),
            CopySource::Download { file, .. } => (format!("/{file}"), None, Some(DOWNLOADED)),
            CopySource::Tree { .. } => ("/".to_owned(), None, None),
        };
        let part = Part {
            files: files.clone(),
            path,
            parents,
            excludes: Arc::clone(excludes),
            unpacks,
            mode,
            store: store.clone(),
            stacks: stacks.clone(),
        };
        Self {
            known: part.known(key),
            what: What::Part(part),
        }
    }

    /// Of a mount.
    pub(super) fn mounted(path: &str, from: Option<(&Files, Hash)>, store: &Store) -> Self {
        let empty = Files::Layers(Vec::new());
        let (files, key) = from.map_or((&empty, None), |(files, key)| (files, Some(key)));
        let part = Part {
            files: files.clone(),
            path: path.to_owned(),
            parents: None,
            excludes: Arc::default(),
            unpacks: false,
            mode: None,
            store: store.clone(),
            stacks: Stacks::default(),
        };
        Self {
            known: part.known(key),
            what: What::Part(part),
        }
    }

    /// What is there, as a hash. Reads what has not been read before. Blocks.
    ///
    /// # Errors
    /// Nothing is there, or it cannot be read.
    pub(super) fn content(&self) -> Result<Hash, BuildError> {
        match &self.what {
            What::Inline { .. } => Ok(Hash::default()),
            What::Part(part) => part.with(|_, hashes, selected| {
                let keeps_owner = matches!(part.files, Files::Layers(_));
                digest(selected, hashes, keeps_owner)
                    .map_err(BuildError::files("read", part.path.clone()))
            }),
        }
    }

    /// Copies it into a root. Blocks.
    ///
    /// # Errors
    /// As [`SourceFiles::content`], and what cannot be written.
    pub(super) fn put(
        &self,
        root: &Root,
        to: &Path,
        many: bool,
        looks: &Looks,
    ) -> Result<(), BuildError> {
        match &self.what {
            What::Inline { name, content } => inline(root, to, many, (name, content), looks),
            What::Part(part) => part.with(|_, _, selected| {
                let many = many || has_wildcard(&part.path);
                match &part.parents {
                    None if part.unpacks => {
                        for one in selected {
                            unpacked(root, to, many, one, looks)?;
                        }
                    }
                    None => copy::put(root, to, many, selected, looks)?,
                    Some(_) => {
                        for one in selected {
                            let below = part.below(one);
                            // A folder is its content.
                            let into = if one.is_folder() {
                                below.as_path()
                            } else {
                                below.parent().unwrap_or_else(|| Path::new(""))
                            };
                            let to = to.join(into).join("");
                            copy::put(root, &to, true, std::slice::from_ref(one), looks)?;
                        }
                    }
                }
                Ok(())
            }),
        }
    }

    /// The owner of what has none of its own: files of the user's belong to root.
    pub(super) fn owner(&self) -> Option<(u32, u32)> {
        let is_kept =
            matches!(&self.what, What::Part(part) if matches!(part.files, Files::Layers(_)));
        (!is_kept).then_some((0, 0))
    }

    /// Whether it is a file of the user's, which may change while it is read.
    pub(super) fn is_users(&self) -> bool {
        matches!(&self.what, What::Part(part) if matches!(part.files, Files::Context(_)))
    }

    /// The layers that it is in, and the path there; `None` where it is a folder of
    /// the machine.
    pub(super) fn in_layers(&self) -> Option<(&[Digest], &str)> {
        match &self.what {
            What::Part(part) => match &part.files {
                Files::Layers(layers) => Some((layers, &part.path)),
                Files::Context(_) => None,
            },
            What::Inline { .. } => None,
        }
    }

    /// The context that it is in, and the path there.
    pub(super) fn in_context(&self) -> Option<(&Arc<Context>, &str)> {
        match &self.what {
            What::Part(part) => match &part.files {
                Files::Context(context) => Some((context, &part.path)),
                Files::Layers(_) => None,
            },
            What::Inline { .. } => None,
        }
    }
}

impl Part {
    /// By the key of the step that made the files; a folder of the machine has to be
    /// looked at.
    fn known(&self, key: Option<Hash>) -> Option<Hash> {
        if matches!(self.files, Files::Context(_)) {
            return None;
        }
        let mut known = Key::new("part");
        known
            .root(key.as_ref())
            .text(&self.path)
            .text(self.parents.as_deref().unwrap_or("-"));
        Some(known.finish())
    }

    /// Opens the files and finds what is meant.
    fn with<T>(
        &self,
        work: impl FnOnce(&Root, &Hashes, &[Selected]) -> Result<T, BuildError>,
    ) -> Result<T, BuildError> {
        match &self.files {
            Files::Context(context) => {
                let filter = |path: &Path, is_folder: bool| {
                    self.excluded(path, is_folder, context.verdict(path, is_folder))
                };
                let selected = self.select(context.root(), &filter)?;
                if selected.is_empty() && !has_wildcard(&self.path) {
                    return Err(self.missing(Some(context)));
                }
                work(context.root(), context.hashes(), &selected)
            }
            Files::Layers(layers) => {
                let scratch = self.stacks.open(&self.store, layers)?;
                let filter =
                    |path: &Path, is_folder: bool| self.excluded(path, is_folder, Verdict::Take);
                let selected = self.select(scratch.root(), &filter)?;
                if selected.is_empty() && !has_wildcard(&self.path) {
                    return Err(self.missing(None));
                }
                work(scratch.root(), &Hashes::none(), &selected)
            }
        }
    }

    fn select(
        &self,
        root: &Root,
        filter: &(dyn Fn(&Path, bool) -> Verdict + Sync),
    ) -> Result<Vec<Selected>, BuildError> {
        let path = match &self.parents {
            Some(parents) => format!("{}/{parents}", self.path),
            None => self.path.clone(),
        };
        let mut selected =
            select(root, &path, filter).map_err(BuildError::files("read", path.clone()))?;
        if let Some(mode) = self.mode {
            for item in selected.iter_mut().flat_map(|one| &mut one.items) {
                item.status.st_mode = item.status.st_mode & !0o7777 | mode;
            }
        }
        Ok(selected)
    }

    /// `--exclude` on top of what the context takes out.
    fn excluded(&self, path: &Path, is_folder: bool, verdict: Verdict) -> Verdict {
        let base = Path::new(self.path.trim_start_matches('/'));
        let inner = path.strip_prefix(base).unwrap_or(path);
        // No pattern is about the source itself.
        if inner.as_os_str().is_empty() {
            return verdict;
        }
        verdict.and(Verdict::of(&self.excludes, inner, is_folder))
    }

    /// `--parents`: the path that is kept.
    fn below(&self, one: &Selected) -> PathBuf {
        let base = Path::new(self.path.trim_start_matches('/'));
        one.path.strip_prefix(base).unwrap_or(&one.path).to_owned()
    }

    fn missing(&self, context: Option<&Context>) -> BuildError {
        let path = Path::new(self.path.trim_start_matches('/'));
        let is_there = context.is_some_and(|context| context.root().open(path).is_ok());
        let ignored = context
            .filter(|_| is_there)
            .and_then(Context::ignore_file)
            .map(|file| file.display().to_string());
        let nearest = match (&ignored, context) {
            (None, Some(context)) => nearest(context.root(), path),
            _ => Vec::new(),
        };
        BuildError::Missing {
            what: self.path.clone(),
            ignored,
            nearest,
        }
    }
}

/// Copies what an archive holds; whatever is none, as it is.
fn unpacked(
    root: &Root,
    to: &Path,
    many: bool,
    one: &Selected,
    looks: &Looks,
) -> Result<(), BuildError> {
    let failed = |error| BuildError::files("read", &one.path)(error);
    let is_file = one
        .items
        .first()
        .is_some_and(|item| item.kind() == FileType::RegularFile);
    let mut file = if is_file {
        Some(one.open().map_err(failed)?)
    } else {
        None
    };
    let is_archive = match &mut file {
        Some(file) => archive::is_archive(file).map_err(failed)?,
        None => false,
    };
    let Some(file) = file.filter(|_| is_archive) else {
        return Ok(copy::put(root, to, many, std::slice::from_ref(one), looks)?);
    };
    let folder = tempfile::tempdir().map_err(BuildError::files("make a folder in", "/tmp"))?;
    archive::unpack(file, folder.path())?;
    let from = open(folder.path())?;
    let mut content = select(&from, ".", &|_, _| Verdict::Take).map_err(failed)?;
    for one in &mut content {
        // In an archive that is no layer these mean nothing; in a layer they would
        // hide what is below.
        one.items
            .retain(|item| item.kind() != FileType::CharacterDevice || item.status.st_rdev != 0);
    }
    // Owners are those of the archive, unless others are asked for.
    let looks = Looks {
        owner: looks.owner.filter(|owner| *owner != (0, 0)),
        ..looks.clone()
    };
    Ok(copy::put(root, to, many, &content, &looks)?)
}

/// A folder of the machine as a root.
pub(super) fn open(path: &Path) -> Result<Root, BuildError> {
    Root::at(path).map_err(|errno| BuildError::files("open", path)(errno.into()))
}

/// Names in a folder of the machine that are like that of a missing file.
pub(in crate::build) fn names_like(path: &Path) -> Vec<String> {
    let folder = path.parent().and_then(|folder| open(folder).ok());
    match (folder, path.file_name()) {
        (Some(folder), Some(name)) => nearest(&folder, Path::new(name)),
        _ => Vec::new(),
    }
}

/// Names beside a missing one that are like it.
fn nearest(root: &Root, path: &Path) -> Vec<String> {
    let above = path.parent().unwrap_or_else(|| Path::new(""));
    let folder = if above.as_os_str().is_empty() {
        Path::new(".")
    } else {
        above
    };
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
        return Vec::new();
    };
    let there = root
        .open_file(folder, OFlags::RDONLY)
        .and_then(|folder| tree::names(&folder))
        .unwrap_or_default();
    let mut scored: Vec<(f64, String)> = there
        .iter()
        .filter_map(|other| other.to_str().ok())
        .map(|other| {
            let score = strsim::jaro_winkler(&name.to_lowercase(), &other.to_lowercase());
            (score, above.join(other).display().to_string())
        })
        .filter(|(score, _)| *score > 0.8)
        .collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0));
    scored.into_iter().take(3).map(|(_, name)| name).collect()
}

/// Mode of a file that stands in the Dockerfile.
const INLINE: u32 = 0o644;

fn inline(
    root: &Root,
    to: &Path,
    many: bool,
    (name, content): (&str, &str),
    looks: &Looks,
) -> Result<(), BuildError> {
    let folder = tempfile::tempdir().map_err(BuildError::files("make a folder in", "/tmp"))?;
    let path = folder.path().join(name.trim_start_matches('/'));
    fs_err::write(&path, content).map_err(BuildError::files("write", &path))?;
    let mode = std::os::unix::fs::PermissionsExt::from_mode(INLINE);
    fs_err::set_permissions(&path, mode).map_err(BuildError::files("change", &path))?;
    let from = open(folder.path())?;
    let selected =
        select(&from, name, &|_, _| Verdict::Take).map_err(BuildError::files("read", &path))?;
    copy::put(root, to, many, &selected, looks)?;
    Ok(())
}
