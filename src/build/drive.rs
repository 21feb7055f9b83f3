//! One request from its Dockerfile to an image: read, plan, have its bases, walk.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use futures_util::future::BoxFuture;

use super::diagnose;
use super::graph::{
    self, BaseImage, BaseRequest, Bases, Kind, NamedContext, Network, NoCache, Options, Outcome,
    Plan, Source,
};
use super::ignore::{Ignore, file_names};
use super::request::{ContextPlace, DockerfilePlace, Request, SshSource};
use super::solve::{BuildError, BuildFailure, Builder, ContextFolder, Given, KeyAgent, StepError};
use crate::compose::Diagnostic;
use crate::dockerfile::{self, Dockerfile, Problem};
use crate::event::Event;
use crate::image::{ConfigFile, Image, ImageError};

/// Why a request gave no image.
#[derive(Debug, thiserror::Error)]
pub enum DriveError {
    /// Something in the Dockerfile, or a step of it: at its place.
    #[error("{}", first(.0))]
    Placed(Vec<Diagnostic>),
    /// A base image could not be had.
    #[error("cannot get the image `{image}`")]
    Base {
        /// As named.
        image: String,
        /// Why.
        #[source]
        source: Box<ImageError>,
    },
    /// Something beside the Dockerfile.
    #[error(transparent)]
    Other(#[from] BuildError),
    /// Another build, which this one starts from, failed; that is told there.
    #[error("the image of `{0}`, which it starts from, was not built")]
    Behind(String),
}

fn first(diagnostics: &[Diagnostic]) -> String {
    diagnostics
        .first()
        .map(|one| one.message.clone())
        .unwrap_or_default()
}

/// Has the image of a base: the one that another request builds, the one that is
/// here, or one that is pulled.
pub type Provide<'p> = &'p (dyn Fn(BaseRequest) -> BoxFuture<'p, Result<Image, DriveError>> + Sync);

/// Builds one image.
///
/// # Errors
/// [`DriveError`].
pub async fn build(
    builder: &Builder<'_>,
    request: &Request,
    provide: Provide<'_>,
) -> Result<Image, DriveError> {
    let read = read(builder, request)?;
    let (plan, images) = planned(builder, request, &read, provide).await?;
    tell_warnings(builder, &read, &plan);
    if plan.warnings_are_errors && !plan.warnings.is_empty() {
        return Err(DriveError::Placed(read.warnings(&plan)));
    }
    let mut given = given(request, &read, &plan, images)?;
    let (agents, _kept) = agents(request, &plan).await?;
    given.agents = agents;
    let built = builder.build(&plan, given, request.names.clone()).await;
    let image = built.map_err(|failure| match failure {
        BuildFailure::Step(error) => DriveError::Placed(vec![failed(&read, &plan, &error)]),
        BuildFailure::Other(error) => DriveError::Other(error),
    })?;
    exported(builder, request, &image);
    Ok(image)
}

/// The checks of a request's Dockerfile, without building anything: every warning,
/// at its place.
///
/// # Errors
/// As [`build`], where it cannot be planned.
pub async fn check(
    builder: &Builder<'_>,
    request: &Request,
    provide: Provide<'_>,
) -> Result<Vec<Diagnostic>, DriveError> {
    let read = read(builder, request)?;
    let (plan, _) = planned(builder, request, &read, provide).await?;
    Ok(read.warnings(&plan))
}

/// A Dockerfile that was read, and the folder that belongs to it.
struct Read {
    /// As messages call it.
    path: PathBuf,
    file: Dockerfile,
    folder: Option<PathBuf>,
    ignore: Option<(PathBuf, Ignore)>,
}

impl Read {
    fn warnings(&self, plan: &Plan) -> Vec<Diagnostic> {
        let source = &self.file.source;
        diagnose::warnings(&self.path, source, &plan.warnings, plan.warnings_are_errors).list
    }

    fn problems(&self, problems: &[Problem]) -> DriveError {
        DriveError::Placed(diagnose::problems(&self.path, &self.file.source, problems).list)
    }
}

fn read(builder: &Builder<'_>, request: &Request) -> Result<Read, DriveError> {
    let folder = match &request.context {
        ContextPlace::Folder(folder) => Some(clean(folder)),
        ContextPlace::Nothing => None,
        other => {
            return Err(BuildError::Unsupported {
                what: format!("a context that is no folder ({other:?})"),
            }
            .into());
        }
    };
    if let Some(folder) = folder.as_ref().filter(|folder| !folder.is_dir()) {
        let missing = std::io::Error::from(std::io::ErrorKind::NotFound);
        return Err(BuildError::files("read the context", folder)(missing).into());
    }
    let (path, bytes) = match &request.dockerfile {
        DockerfilePlace::Text { name, text } => (name.clone(), text.clone().into_bytes()),
        DockerfilePlace::File(file) => {
            let path = match &folder {
                Some(folder) => clean(&folder.join(file)),
                None => file.clone(),
            };
            let text = read_file(&path)?;
            (path, text)
        }
    };
    let name = path.file_name().unwrap_or(path.as_os_str());
    let title = format!(
        "{}load build definition from {}",
        internal(request),
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
        ignore,
    })
}

/// What a device or a pipe gives is no Dockerfile.
fn read_file(path: &Path) -> Result<Vec<u8>, BuildError> {
    let text = crate::compose::FileSystem::read(&crate::compose::Host, path);
    text.map_err(BuildError::files("read", path))
}

/// `DOCKERFILE.dockerignore` beside it, else `.dockerignore` of the context.
fn ignore(
    folder: &Path,
    dockerfile: Option<&Path>,
) -> Result<Option<(PathBuf, Ignore)>, DriveError> {
    let [own, common] = file_names(
        &dockerfile
            .unwrap_or_else(|| Path::new(""))
            .to_string_lossy(),
    );
    for name in dockerfile.map(|_| own).into_iter().chain([common]) {
        let path = folder.join(name);
        match fs_err::read_to_string(&path) {
            Ok(text) => {
                let ignore = Ignore::parse(&text).map_err(|problem| {
                    DriveError::Placed(vec![Diagnostic::error(format!(
                        "{}: {problem}",
                        path.display()
                    ))])
                })?;
                return Ok(Some((path, ignore)));
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(BuildError::files("read", path)(error).into()),
        }
    }
    Ok(None)
}

fn internal(request: &Request) -> String {
    if request.label.is_empty() {
        "[internal] ".to_owned()
    } else {
        format!("[{} internal] ", request.label)
    }
}

fn options(request: &Request, read: &Read) -> Options {
    let mut arguments = request.args.clone();
    if let Some(epoch) = request.epoch {
        arguments
            .entry("SOURCE_DATE_EPOCH".to_owned())
            .or_insert_with(|| epoch.to_string());
    }
    let contexts = request.contexts.iter().map(|(name, place)| {
        let context = match place {
            ContextPlace::Folder(_) | ContextPlace::Nothing => NamedContext::Folder,
            ContextPlace::Image(image) => NamedContext::Image(image.clone()),
            ContextPlace::Build(label) => NamedContext::Build(label.clone()),
            ContextPlace::Git(url) => NamedContext::Git(url.clone()),
        };
        (name.clone(), context)
    });
    Options {
        target: request.target.clone(),
        arguments,
        contexts: contexts.collect(),
        platform: request.platform.clone(),
        labels: request.labels.clone(),
        no_cache: if request.no_cache {
            NoCache::All
        } else if request.no_cache_stages.is_empty() {
            NoCache::Nothing
        } else {
            NoCache::Stages(request.no_cache_stages.iter().cloned().collect())
        },
        network: match request.network.as_deref() {
            None | Some("default" | "bridge") => Network::Default,
            Some("none") => Network::None,
            Some("host") => Network::Host,
            Some(name) => Network::Named(name.to_owned()),
        },
        grants: request.grants,
        sandbox: std::sync::Arc::new(request.sandbox.clone()),
        ignore: read.ignore.as_ref().map(|(_, ignore)| ignore.clone()),
        ..Options::default()
    }
}

/// The plan, and the images of its bases.
async fn planned(
    builder: &Builder<'_>,
    request: &Request,
    read: &Read,
    provide: Provide<'_>,
) -> Result<(Plan, BTreeMap<BaseRequest, Image>), DriveError> {
    let options = options(request, read);
    let mut bases = Bases::new();
    let mut images = BTreeMap::new();
    loop {
        let outcome = graph::plan(&read.file, &options, &bases)
            .map_err(|problems| read.problems(&problems))?;
        let needs = match outcome {
            Outcome::Ready(mut plan) => {
                name_steps(request, &mut plan);
                return Ok((*plan, images));
            }
            Outcome::Needs(needs) => needs,
        };
        for (base, at) in needs {
            if let BaseRequest::Image { reference, .. } = &base {
                let short = short(reference);
                builder.note(
                    &format!("{}load metadata for {short}", internal(request)),
                    &[],
                );
            }
            let image = match provide(base.clone()).await {
                Ok(image) => image,
                Err(DriveError::Base { image, source }) => {
                    let message = crate::causes::with_causes(&*source);
                    let problem = Problem::new(at, format!("cannot get `{image}`: {message}"));
                    let problem = match source.hint() {
                        Some(hint) => problem.help(hint),
                        None => problem,
                    };
                    return Err(read.problems(&[problem]));
                }
                Err(error) => return Err(error),
            };
            let config = ConfigFile::parse(image.raw_config.as_bytes()).map_err(|error| {
                BuildError::Unsupported {
                    what: format!("the config of `{base:?}` ({error})"),
                }
            })?;
            bases.insert(
                base.clone(),
                BaseImage {
                    config,
                    digest: None,
                },
            );
            images.insert(base, image);
        }
    }
}

fn short(reference: &str) -> &str {
    reference
        .strip_prefix("docker.io/library/")
        .unwrap_or(reference)
}

/// `[2/5] RUN x` becomes `[web 2/5] RUN x` where several images are built.
fn name_steps(request: &Request, plan: &mut Plan) {
    if request.label.is_empty() {
        return;
    }
    for step in &mut plan.steps {
        if let Some(rest) = step.name.strip_prefix('[') {
            step.name = format!("[{} {rest}", request.label);
        }
    }
}

fn given(
    request: &Request,
    read: &Read,
    plan: &Plan,
    images: BTreeMap<BaseRequest, Image>,
) -> Result<Given, DriveError> {
    let mut given = Given {
        secrets: request.secrets.clone(),
        cache_from: request.cache_from.clone(),
        cache_to: request.cache_to.clone(),
        ..Given::default()
    };
    for (base, image) in images {
        match base {
            BaseRequest::Image { reference, .. } => given.images.insert(reference, image),
            BaseRequest::Build { name } => given.builds.insert(name, image),
        };
    }
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

/// The agents that the steps of a plan ask, and those of them that were started.
async fn agents(
    request: &Request,
    plan: &Plan,
) -> Result<(BTreeMap<String, PathBuf>, Vec<KeyAgent>), BuildError> {
    let mut sockets = BTreeMap::new();
    let mut started = Vec::new();
    for id in plan.agents() {
        match request.ssh.get(id) {
            None => {}
            Some(SshSource::Agent(socket)) => {
                sockets.insert(id.to_owned(), socket.clone());
            }
            Some(SshSource::Keys(keys)) => {
                let agent = KeyAgent::start(keys).await?;
                sockets.insert(id.to_owned(), agent.socket().to_owned());
                started.push(agent);
            }
        }
    }
    Ok((sockets, started))
}

fn context(folder: PathBuf, ignore: Option<(PathBuf, Ignore)>) -> ContextFolder {
    let (file, ignore) = ignore.unzip();
    ContextFolder {
        folder,
        ignore,
        ignore_file: file,
    }
}

/// Without `.` and `..`, by the text alone.
fn clean(path: &Path) -> PathBuf {
    path.components().collect()
}

fn tell_warnings(builder: &Builder<'_>, read: &Read, plan: &Plan) {
    for shown in read.warnings(plan) {
        let place = shown
            .position
            .map(|at| format!(" ({at})"))
            .unwrap_or_default();
        builder.emit(Event::Warning {
            message: format!("{}: {}{place}", shown.path, shown.message),
        });
    }
    for name in &plan.unused_arguments {
        builder.emit(Event::Warning {
            message: format!("the build argument `{name}` is used by no `ARG`"),
        });
    }
}

/// A step that failed, at its instruction, with the last lines that its command
/// wrote.
fn failed(read: &Read, plan: &Plan, error: &StepError) -> Diagnostic {
    let step = plan.steps.get(error.step.0);
    let at = step.map(|step| step.at).unwrap_or_default();
    let mut problem = Problem::new(at, crate::causes::with_causes(&error.error));
    if let BuildError::Missing {
        nearest, ignored, ..
    } = &error.error
    {
        let names: Vec<String> = nearest.iter().map(|name| format!("`{name}`")).collect();
        if !names.is_empty() {
            problem = problem.help(format!("did you mean {}?", names.join(" or ")));
        } else if ignored.is_some() {
            problem = problem.help("take its pattern out of that file, or add `!` and its name");
        }
    }
    if matches!(error.error, BuildError::Full { .. }) {
        problem = problem.help(ROOM);
    }
    let source = &read.file.source;
    let list = diagnose::problems(&read.path, source, &[problem]).list;
    let mut diagnostic = list
        .into_iter()
        .next()
        .unwrap_or_else(|| Diagnostic::error(error.to_string()));
    let (first, last) = source.lines(at);
    let around = first.saturating_sub(AROUND)..=last.saturating_add(AROUND);
    diagnostic.around = around
        .filter(|number| *number != first)
        .filter_map(|number| Some((number, source.line(number)?.to_owned())))
        .collect();
    let lines = error.output.iter();
    diagnostic.output = lines
        .map(|line| format!("{:.3} {}", line.elapsed.as_secs_f64(), line.text))
        .collect();
    diagnostic
}

/// What helps against a full disk.
const ROOM: &str = "`skiff build prune` takes away what no image has of builds, `skiff image prune -a` images without containers";

/// Lines of the file that are shown before and behind a step that failed.
const AROUND: u32 = 2;

/// What `BuildKit` tells at the end.
fn exported(builder: &Builder<'_>, request: &Request, image: &Image) {
    let title = if request.label.is_empty() {
        "exporting to image".to_owned()
    } else {
        format!("[{}] exporting to image", request.label)
    };
    let mut lines = vec![format!("writing image {}", image.id)];
    lines.extend(request.names.iter().map(|name| format!("naming to {name}")));
    builder.note(&title, &lines);
}
