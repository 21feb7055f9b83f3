//! One request from its Dockerfile to an image: read, plan, have its bases, walk.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use futures_util::future::{BoxFuture, try_join_all};

use super::contexts::{Read, digest_of, given, of_layout, read};
use super::diagnose;
use super::graph::{
    self, BaseImage, BaseRequest, Bases, NamedContext, Network, NoCache, Options, Outcome, Plan,
};
use super::request::{ContextPlace, Request, SshSource};
use super::solve::{BuildError, BuildFailure, Builder, KeyAgent, Shareable, StepError};
use crate::compose::Diagnostic;
use crate::dockerfile::{Dockerfile, Problem};
use crate::event::Event;
use crate::image::{ConfigFile, Image, ImageError, Platform, Reference};
use crate::similar::similar;

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

/// What a request starts from.
#[derive(Debug, Clone)]
pub enum Base {
    /// An image of the store.
    Image(Box<Image>),
    /// What another request would build, by its plan. Nothing can be carried out
    /// upon it, but a Dockerfile can be checked.
    Planned(Box<ConfigFile>),
}

impl From<Image> for Base {
    fn from(image: Image) -> Self {
        Self::Image(Box::new(image))
    }
}

/// Has a base: what another request builds, the image that is here, or one that is
/// pulled.
pub type Provide<'p> = &'p (dyn Fn(BaseRequest) -> BoxFuture<'p, Result<Base, DriveError>> + Sync);

/// Builds one image, for each platform that is asked for. What comes back is that for
/// the first one, which the names mean.
///
/// # Errors
/// [`DriveError`].
pub async fn build(
    builder: &Builder<'_>,
    request: &Request,
    provide: Provide<'_>,
) -> Result<Image, DriveError> {
    if let Network::Named(name) = network(request)
        && !builder.has_network(&name)
    {
        return Err(BuildError::NoNetwork(name).into());
    }
    let read = read(builder, request).await?;
    let told = Told::default();
    let one = |platform, names| {
        let (read, told) = (&read, &told);
        async move {
            let target = Target {
                platform,
                is_one_of_many: request.platforms.len() > 1,
            };
            let (plan, images) = planned(builder, request, read, target, provide).await?;
            tell_warnings(builder, read, &plan, told);
            carry_out(builder, request, read, (plan, images), names).await
        }
    };
    let (image, others, made) = if let [_, _, ..] = request.platforms.as_slice() {
        let all = request.platforms.iter();
        let all = all.map(|platform| one(Some(platform), Vec::new()));
        let (mut images, made): (Vec<Image>, Vec<_>) = try_join_all(all).await?.into_iter().unzip();
        let first = images.remove(0);
        let variants = images.iter().map(|image| image.id.clone()).collect();
        let names = request.names.clone();
        let named = builder.name(&first, names, variants, request.is_passing);
        (named.await?, images, made)
    } else {
        let names = request.names.clone();
        let (image, made) = one(request.platforms.first(), names).await?;
        (image, Vec::new(), vec![made])
    };
    builder.share(&request.cache_to, &made).await?;
    exported(builder, request, &image);
    let images: Vec<Image> = std::iter::once(image.clone()).chain(others).collect();
    for output in &request.outputs {
        builder.write_out(&images, output).await?;
        builder.note(&titled(request, output.title()), &[]);
    }
    Ok(image)
}

/// Warnings that were told already: platforms share most of them.
type Told = Mutex<BTreeSet<String>>;

/// What a plan is for.
#[derive(Clone, Copy)]
pub(super) struct Target<'a> {
    platform: Option<&'a Platform>,
    /// Steps are shown with their platform.
    is_one_of_many: bool,
}

impl<'a> Target<'a> {
    /// What the names of the image mean here.
    pub(super) fn first(request: &'a Request) -> Self {
        Self {
            platform: request.platforms.first(),
            is_one_of_many: false,
        }
    }
}

async fn carry_out(
    builder: &Builder<'_>,
    request: &Request,
    read: &Read,
    (plan, images): (Plan, BTreeMap<BaseRequest, Image>),
    names: Vec<Reference>,
) -> Result<(Image, Shareable), DriveError> {
    if plan.warnings_are_errors && !plan.warnings.is_empty() {
        return Err(DriveError::Placed(read.warnings(&plan)));
    }
    let mut given = given(request, read, &plan, images)?;
    let (agents, _kept) = agents(request, plan.agents()).await?;
    given.agents = agents;
    let built = builder.build(&plan, given, names).await;
    built.map_err(|failure| match failure {
        BuildFailure::Step(error) => DriveError::Placed(vec![failed(read, &plan, &error)]),
        BuildFailure::Other(error) => DriveError::Other(error),
    })
}

pub(super) fn internal(request: &Request) -> String {
    if request.label.is_empty() {
        "[internal] ".to_owned()
    } else {
        format!("[{} internal] ", request.label)
    }
}

pub(super) fn options(request: &Request, read: &Read, target: Target<'_>) -> Options {
    let mut arguments = request.args.clone();
    if let Some(epoch) = request.epoch {
        arguments
            .entry("SOURCE_DATE_EPOCH".to_owned())
            .or_insert_with(|| epoch.to_string());
    }
    let contexts = request.contexts.iter().map(|(name, place)| {
        let context = match place {
            ContextPlace::Folder(_) | ContextPlace::Nothing | ContextPlace::Spooled(_) => {
                NamedContext::Folder
            }
            ContextPlace::Image(image) => NamedContext::Image(image.clone()),
            ContextPlace::Build(label) => NamedContext::Build(label.clone()),
            ContextPlace::Git(url) => NamedContext::Git(url.clone()),
            ContextPlace::Archive(url) => NamedContext::Archive(url.clone()),
            ContextPlace::Layout(layout) => NamedContext::Layout(layout.to_string()),
        };
        (name.clone(), context)
    });
    Options {
        target: request.target.clone(),
        arguments,
        contexts: contexts.collect(),
        context: read.remote.as_ref().map(|(source, _)| source.clone()),
        platform: target.platform.cloned(),
        shows_platform: target.is_one_of_many,
        labels: request.labels.clone(),
        no_cache: if request.no_cache {
            NoCache::All
        } else if request.no_cache_stages.is_empty() {
            NoCache::Nothing
        } else {
            NoCache::Stages(request.no_cache_stages.iter().cloned().collect())
        },
        network: network(request),
        grants: request.grants,
        sandbox: std::sync::Arc::new(request.sandbox.clone()),
        ignore: read.ignore.as_ref().map(|(_, ignore)| ignore.clone()),
        ..Options::default()
    }
}

/// The network of commands that say nothing about it.
fn network(request: &Request) -> Network {
    match request.network.as_deref() {
        None | Some("default" | "bridge") => Network::Default,
        Some("none") => Network::None,
        Some("host") => Network::Host,
        Some(name) => Network::Named(name.to_owned()),
    }
}

/// The plan, and the images of its bases, as far as they are more than planned.
pub(super) async fn planned(
    builder: &Builder<'_>,
    request: &Request,
    read: &Read,
    target: Target<'_>,
    provide: Provide<'_>,
) -> Result<(Plan, BTreeMap<BaseRequest, Image>), DriveError> {
    let options = options(request, read, target);
    let mut bases = Bases::new();
    let mut images = BTreeMap::new();
    loop {
        let outcome = graph::plan(&read.file, &options, &bases)
            .map_err(|problems| read.unplanned(request, &problems))?;
        let needs = match outcome {
            Outcome::Ready(mut plan) => {
                name_steps(request, &mut plan);
                return Ok((*plan, images));
            }
            Outcome::Needs(needs) => needs,
        };
        for (base, at) in needs {
            if let BaseRequest::Image { reference, .. } = &base {
                builder.note(
                    &format!("{}load metadata for {reference}", internal(request)),
                    &[],
                );
            }
            let had = match &base {
                BaseRequest::Layout { layout, platform } => {
                    let had = of_layout(builder, request, layout, platform).await;
                    had.map(Base::from)
                }
                _ => provide(base.clone()).await,
            };
            let image = match had {
                Ok(Base::Image(image)) => *image,
                Ok(Base::Planned(config)) => {
                    let planned = BaseImage {
                        config: *config,
                        digest: None,
                    };
                    bases.insert(base, planned);
                    continue;
                }
                Err(DriveError::Base { image, source }) => {
                    let message = crate::causes::with_causes(&*source);
                    let problem = Problem::new(at, format!("cannot get `{image}`: {message}"));
                    let hint = stage_like(&read.file, &image).or_else(|| source.hint());
                    let problem = match hint {
                        Some(hint) => problem.help(hint),
                        None => problem,
                    };
                    return Err(read.problems(&[problem]));
                }
                Err(error) => return Err(error),
            };
            // A stage may be for another platform than the target is.
            let wanted = match &base {
                BaseRequest::Image { platform, .. } | BaseRequest::Layout { platform, .. } => {
                    Platform::parse(platform).ok()
                }
                BaseRequest::Build { .. } => target.platform.cloned(),
            };
            let image = match wanted.filter(|_| target.platform.is_some()) {
                Some(platform) => builder.variant(image, &platform)?,
                None => image,
            };
            let config = ConfigFile::parse(image.raw_config.as_bytes()).map_err(|error| {
                BuildError::Unsupported {
                    what: format!("the config of `{base:?}` ({error})"),
                }
            })?;
            let digest = match &base {
                BaseRequest::Image { reference, .. } => digest_of(reference, &image),
                BaseRequest::Build { .. } | BaseRequest::Layout { .. } => None,
            };
            bases.insert(base.clone(), BaseImage { config, digest });
            images.insert(base, image);
        }
    }
}

/// Whether a stage was meant by the short name of an image that cannot be had.
fn stage_like(file: &Dockerfile, image: &str) -> Option<String> {
    let short = Reference::parse(image).ok()?.familiar();
    let short = short.strip_suffix(":latest")?;
    let stages = file.stages.iter().filter_map(|stage| stage.name.as_ref());
    let stage = similar(short, stages.map(|name| name.text.as_str()))?;
    (stage != short).then(|| format!("did you mean the stage `{stage}`?"))
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

/// The agents with these ids, and those of them that were started.
pub(super) async fn agents(
    request: &Request,
    ids: BTreeSet<&str>,
) -> Result<(BTreeMap<String, PathBuf>, Vec<KeyAgent>), BuildError> {
    let mut sockets = BTreeMap::new();
    let mut started = Vec::new();
    for id in ids {
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

fn tell_warnings(builder: &Builder<'_>, read: &Read, plan: &Plan, told: &Told) {
    let of_file = read.warnings(plan).into_iter().map(|shown| {
        let place = shown
            .position
            .map(|at| format!(" ({at})"))
            .unwrap_or_default();
        format!("{}: {}{place}", shown.path, shown.message)
    });
    let unused = plan.unused_arguments.iter();
    let unused = unused.map(|name| format!("the build argument `{name}` is used by no `ARG`"));
    let devices = plan.left_out().map(|name| {
        format!("the device `{name}` is left out: builds are given none, and it is not required")
    });
    let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
    for message in of_file.chain(unused).chain(devices) {
        if told.insert(message.clone()) {
            builder.emit(Event::Warning { message });
        }
    }
}

/// A step that failed, at its instruction, with the last lines that its command
/// wrote.
fn failed(read: &Read, plan: &Plan, error: &StepError) -> Diagnostic {
    let step = plan.steps.get(error.step.0);
    let at = step.map(|step| step.at).unwrap_or_default();
    let mut problem = Problem::new(at, crate::causes::with_causes(&error.error));
    if let Some(hint) = error.error.hint() {
        problem = problem.help(hint);
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

/// Lines of the file that are shown before and behind a step that failed.
const AROUND: u32 = 2;

/// What `BuildKit` tells at the end.
fn exported(builder: &Builder<'_>, request: &Request, image: &Image) {
    if request.is_passing {
        return;
    }
    let mut lines = vec![format!("writing image {}", image.id)];
    lines.extend(request.names.iter().map(|name| format!("naming to {name}")));
    builder.note(&titled(request, "exporting to image"), &lines);
}

fn titled(request: &Request, title: &str) -> String {
    if request.label.is_empty() {
        title.to_owned()
    } else {
        format!("[{}] {title}", request.label)
    }
}
