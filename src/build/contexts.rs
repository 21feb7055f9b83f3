//! The contexts of a request: where a Dockerfile is read from, and what its steps
//! take files from.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::diagnose;
use super::drive::{self, DriveError};
use super::graph::{self, BaseRequest, Kind, Plan, Source};
use super::ignore::Ignore;
use super::ignore_file::{self, IgnoreFileError};
use super::request::{ContextPlace, DockerfilePlace, Request};
use super::shared_cache::Target;
use super::solve::{BuildError, Builder, ContextFolder, Given, Keys, Remote, names_like};
use crate::compose::Diagnostic;
use crate::dockerfile::{self, Dockerfile, Problem};
use crate::image::{Image, Platform, Reference};

/// A Dockerfile that was read, and the context that belongs to it.
pub(super) struct Read {
    /// As messages call it.
    pub(super) path: PathBuf,
    pub(super) file: Dockerfile,
    folder: Option<PathBuf>,
    /// A context on another machine: what it is in the plan, and its files.
    pub(super) remote: Option<(Source, Remote)>,
    pub(super) ignore: Option<(PathBuf, Ignore)>,
}

impl Read {
    pub(super) fn warnings(&self, plan: &Plan) -> Vec<Diagnostic> {
        let source = &self.file.source;
        diagnose::warnings(&self.path, source, &plan.warnings, plan.warnings_are_errors).list
    }

    pub(super) fn problems(&self, problems: &[Problem]) -> DriveError {
        DriveError::Placed(diagnose::problems(&self.path, &self.file.source, problems).list)
    }

    /// What keeps a request from being planned. Of its parts the target alone stands
    /// nowhere in the Dockerfile: what is wrong with that is told where it is asked for.
    pub(super) fn unplanned(&self, request: &Request, problems: &[Problem]) -> DriveError {
        let mut list = diagnose::problems(&self.path, &self.file.source, problems).list;
        if let Some(at) = &request.at.target {
            for one in list.iter_mut().filter(|one| one.position.is_none()) {
                one.position.clone_from(&at.position);
                one.excerpt.clone_from(&at.excerpt);
                one.chain.clone_from(&at.chain);
                one.path.clone_from(&at.path);
            }
        }
        DriveError::Placed(list)
    }
}

/// Has the context, where it is on another machine, and reads the Dockerfile.
///
/// # Errors
/// [`DriveError`].
pub(super) async fn read(builder: &Builder<'_>, request: &Request) -> Result<Read, DriveError> {
    let folder = match &request.context {
        ContextPlace::Folder(folder) => Some(clean(folder)),
        _ => None,
    };
    if let Some(folder) = &folder {
        folder_there(folder).map_err(|error| at_context(request, &error))?;
    }
    let remote = remote(builder, request).await;
    let remote = remote.map_err(|error| at_context(request, &error))?;
    let (path, bytes) = match &request.dockerfile {
        DockerfilePlace::Text { name, text } => (name.clone(), text.clone().into_bytes()),
        DockerfilePlace::File(file) => match (&remote, &folder) {
            (Some((_, files)), _) => {
                let read = of_remote(builder, files, file);
                read.map_err(|error| at_dockerfile(request, &error))?
            }
            (None, Some(folder)) => {
                let read = read_dockerfile(&clean(&folder.join(file)));
                read.map_err(|error| at_dockerfile(request, &error))?
            }
            (None, None) => read_dockerfile(file)?,
        },
    };
    let name = path.file_name().unwrap_or(path.as_os_str());
    let title = format!(
        "{}load build definition from {}",
        drive::internal(request),
        name.to_string_lossy()
    );
    builder.note(
        &title,
        &[format!("transferring dockerfile: {}B", bytes.len())],
    );
    let file = dockerfile::parse(&bytes).map_err(|unreadable| {
        let problems = &unreadable.problems;
        DriveError::Placed(diagnose::problems(&path, &unreadable.source, problems).list)
    })?;
    let ignore = match &folder {
        Some(folder) => ignore(folder, request.dockerfile.file())?,
        None => None,
    };
    Ok(Read {
        path,
        file,
        folder,
        remote,
        ignore,
    })
}

/// What is wrong with the context, where that is written.
fn at_context(request: &Request, error: &BuildError) -> DriveError {
    placed(request.at.context.as_ref(), error)
}

/// What is wrong with the Dockerfile as a whole, where it is named.
fn at_dockerfile(request: &Request, error: &BuildError) -> DriveError {
    let at = request.at.dockerfile.as_ref();
    placed(at.or(request.at.context.as_ref()), error)
}

fn placed(at: Option<&Diagnostic>, error: &BuildError) -> DriveError {
    let message = crate::causes::with_causes(error);
    let mut diagnostic = Diagnostic::error(message.clone());
    if let Some(at) = at {
        diagnostic.clone_from(at);
        diagnostic.message = message;
    }
    diagnostic.suggestion = error.hint();
    DriveError::Placed(vec![diagnostic])
}

/// The context that is on another machine.
async fn remote(
    builder: &Builder<'_>,
    request: &Request,
) -> Result<Option<(Source, Remote)>, BuildError> {
    let source = match &request.context {
        ContextPlace::Nothing | ContextPlace::Folder(_) => return Ok(None),
        ContextPlace::Git(text) => {
            let git = graph::git(text).map_err(|reason| BuildError::NoContext {
                what: text.clone(),
                reason,
            })?;
            Source::Git(git)
        }
        ContextPlace::Archive(url) => graph::archive(url),
        ContextPlace::Spooled(spooled) => {
            let source = Source::Archive {
                digest: spooled.digest().clone(),
            };
            let name = format!("{}{}", drive::internal(request), graph::loads(&source));
            let files = builder.spooled(&name, spooled).await?;
            return Ok(Some((source, files)));
        }
        ContextPlace::Image(_) | ContextPlace::Build(_) | ContextPlace::Layout(_) => {
            return Err(BuildError::NoContext {
                what: "an image".to_owned(),
                reason: "it has no Dockerfile; name it in `additional_contexts`".to_owned(),
            });
        }
    };
    let ids = match &source {
        Source::Git(git) => git.agent().into_iter().collect(),
        _ => BTreeSet::new(),
    };
    let (agents, _kept) = drive::agents(request, ids).await?;
    let keys = Keys {
        secrets: &request.secrets,
        agents: &agents,
    };
    let name = format!("{}{}", drive::internal(request), graph::loads(&source));
    let files = builder.load(&name, &source, keys).await?;
    Ok(Some((source, files)))
}

/// Longest Dockerfile that is read from another machine.
const LONGEST: u64 = 1024 * 1024;

fn of_remote(
    builder: &Builder<'_>,
    files: &Remote,
    file: &Path,
) -> Result<(PathBuf, Vec<u8>), BuildError> {
    for path in spellings(file) {
        let found = files.read(builder.store(), &path, LONGEST);
        if let Some(text) = found.map_err(BuildError::files("read", &path))? {
            return Ok((path, text));
        }
    }
    Err(BuildError::NoDockerfile {
        path: file.to_owned(),
        nearest: Vec::new(),
    })
}

fn folder_there(folder: &Path) -> Result<(), BuildError> {
    let reason = match fs_err::metadata(folder) {
        Ok(found) if found.is_dir() => return Ok(()),
        Ok(_) => "it is no folder",
        Err(error) if error.kind() == ErrorKind::NotFound => "there is no such folder",
        Err(error) => return Err(BuildError::files("read the context", folder)(error)),
    };
    Err(BuildError::NoContext {
        what: folder.display().to_string(),
        reason: reason.to_owned(),
    })
}

/// The name that counts where none is given.
const USUAL: &str = "Dockerfile";

/// Where a Dockerfile is looked for: the usual name may be written small, as with
/// `BuildKit`.
fn spellings(path: &Path) -> Vec<PathBuf> {
    let small = path.with_file_name(USUAL.to_lowercase());
    let other = path.ends_with(USUAL).then_some(small);
    std::iter::once(path.to_owned()).chain(other).collect()
}

/// The Dockerfile, and where it was. What a device or a pipe gives is none.
fn read_dockerfile(path: &Path) -> Result<(PathBuf, Vec<u8>), BuildError> {
    for path in spellings(path) {
        match crate::compose::FileSystem::read(&crate::compose::Host, &path) {
            Ok(text) => return Ok((path, text)),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(BuildError::files("read", path)(error)),
        }
    }
    Err(BuildError::NoDockerfile {
        path: path.to_owned(),
        nearest: names_like(path),
    })
}

/// What is left out of a context.
fn ignore(
    folder: &Path,
    dockerfile: Option<&Path>,
) -> Result<Option<(PathBuf, Ignore)>, DriveError> {
    ignore_file::read(folder, dockerfile).map_err(|error| match error {
        IgnoreFileError::Read { path, source } => BuildError::files("read", path)(source).into(),
        IgnoreFileError::Pattern { .. } => {
            DriveError::Placed(vec![Diagnostic::error(error.to_string())])
        }
    })
}

/// What the steps of a plan are given.
///
/// # Errors
/// A file of patterns cannot be read.
pub(super) fn given(
    request: &Request,
    read: &Read,
    plan: &Plan,
    images: BTreeMap<BaseRequest, Image>,
) -> Result<Given, DriveError> {
    let mut given = Given {
        secrets: request.secrets.clone(),
        cache_from: request.cache_from.clone(),
        is_inline: request
            .cache_to
            .iter()
            .any(|to| to.target == Target::Inline),
        is_passing: request.is_passing,
        ..Given::default()
    };
    for (base, image) in images {
        match base {
            BaseRequest::Image {
                reference,
                platform,
            } => {
                // The plan may have the digest in it.
                if let Some(digest) = digest_of(&reference, &image) {
                    let pinned = (format!("{reference}@{digest}"), platform.clone());
                    given.images.insert(pinned, image.clone());
                }
                given.images.insert((reference, platform), image)
            }
            BaseRequest::Build { name } => given.builds.insert(name, image),
            BaseRequest::Layout { layout, platform } => {
                given.layouts.insert((layout, platform), image)
            }
        };
    }
    given.remote.extend(read.remote.clone());
    for step in &plan.steps {
        let Kind::Source(Source::Context { name, .. }) = &step.kind else {
            continue;
        };
        let folder = match name {
            None => read
                .folder
                .clone()
                .map(|folder| (folder, read.ignore.clone())),
            Some(name) => match request.contexts.get(name) {
                Some(ContextPlace::Folder(folder)) => {
                    let folder = clean(folder);
                    let ignore = ignore(&folder, None)?;
                    Some((folder, ignore))
                }
                _ => None,
            },
        };
        if let Some((folder, ignore)) = folder {
            given.contexts.insert(name.clone(), context(folder, ignore));
        }
    }
    Ok(given)
}

fn context(folder: PathBuf, ignore: Option<(PathBuf, Ignore)>) -> ContextFolder {
    let (file, ignore) = ignore.unzip();
    ContextFolder {
        folder,
        ignore,
        ignore_file: file,
    }
}

/// The image of a folder that a named context is.
pub(super) async fn of_layout(
    builder: &Builder<'_>,
    request: &Request,
    layout: &str,
    platform: &str,
) -> Result<Image, DriveError> {
    let place = request.contexts.values().find_map(|place| match place {
        ContextPlace::Layout(place) if place.to_string() == layout => Some(place.clone()),
        _ => None,
    });
    let Some(place) = place else {
        return Err(DriveError::Behind(layout.to_owned()));
    };
    let platform = Platform::parse(platform).ok();
    let loaded = builder.layout(place, platform).await?;
    loaded.map_err(|source| DriveError::Base {
        image: layout.to_owned(),
        source: Box::new(source),
    })
}

/// The digest that the registry has an image under, where it was had from there.
pub(super) fn digest_of(reference: &str, image: &Image) -> Option<String> {
    let reference = Reference::parse(reference).ok()?;
    let mut all = image.repo_digests.iter();
    let found = all.find(|one| one.name() == reference.name())?;
    found.digest().map(ToString::to_string)
}

/// Without `.` and `..`, by the text alone.
fn clean(path: &Path) -> PathBuf {
    path.components().collect()
}
