//! Which images a project's services need, and having them.
//!
//! A phase of its own, before the project is locked: a pull can take minutes,
//! and a `down` in another terminal need not wait for it.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::stream::{self, StreamExt, TryStreamExt};
use indexmap::IndexMap;
use jiff::Timestamp;

use crate::compose::{Diagnostic, Project, Service};
use crate::event::Event;
use crate::image::toolbox::is_toolbox;
use crate::image::{
    Image, ImageError, KEPT_OF_A_PULL, Platform, PullDecision, PullPolicy, PullRequest, Reference,
    Store, ensure_toolbox, find_toolbox, pull,
};

use super::build::BuildChoices;
use super::session::{ReconcileError, Session};
use super::translate::ImageFacts;
use super::translate::project::image_name;

/// What is known of the services' images before any is pulled.
#[derive(Debug, Default)]
pub struct Needs {
    /// Here already, by service.
    pub here: BTreeMap<String, ImageFacts>,
    /// To be pulled: services by image and platform.
    missing: IndexMap<(String, Option<Platform>), Vec<String>>,
    /// Services whose images are to be built.
    to_build: BTreeSet<String>,
    /// Services whose images are built where they cannot be pulled.
    or_build: BTreeSet<String>,
    /// Services without a `build:` whose image another one builds: that one.
    built_by: BTreeMap<String, String>,
}

/// Whether images are built (`--build`, `--no-build`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BuildMode {
    /// Those that are missing.
    #[default]
    Missing,
    /// All of them.
    Always,
    /// None.
    Never,
}

impl Needs {
    /// Names of the images to be pulled.
    pub fn to_pull(&self) -> Vec<String> {
        self.missing
            .keys()
            .map(|(image, _)| image.clone())
            .collect()
    }

    /// Services whose images are to be built.
    pub fn to_build(&self) -> Vec<String> {
        self.to_build.iter().cloned().collect()
    }

    /// Ids of the images that are here, by service.
    pub fn ids(&self) -> BTreeMap<String, String> {
        self.here
            .iter()
            .map(|(service, image)| (service.clone(), image.id.clone()))
            .collect()
    }
}

/// Looks for the images of these services. `pull` overrules the services'
/// own policies. Names that are none, and images that are not here and can be
/// neither pulled nor built, are refusals, told with all others.
///
/// # Errors
/// The store cannot be read.
pub fn needs(
    session: &Session<'_>,
    store: &Store,
    project: &Project,
    services: &[&String],
    pull: Option<PullPolicy>,
    (mode, dry_run): (BuildMode, bool),
) -> Result<(Needs, Vec<Diagnostic>), ReconcileError> {
    let mut needs = Needs::default();
    let mut refused = Vec::new();
    let known = services
        .iter()
        .filter_map(|name| project.services.get_key_value(*name));
    // Those that build first: others may use what they build.
    let (building, others): (Vec<_>, Vec<_>) =
        known.partition(|(_, service)| service.build.is_some());
    let mut builders = BTreeMap::new();
    for (name, service) in building.into_iter().chain(others) {
        let image = image_name(project, name, service);
        let reference = match Reference::parse(&image) {
            Ok(reference) => reference.to_string(),
            Err(error) => {
                let path = format!("services.{name}.image");
                refused.push(project.diagnostic(&path, error.to_string()));
                continue;
            }
        };
        let mut is_of_another = false;
        if service.build.is_some() {
            builders.entry(reference).or_insert(name);
        } else if let Some(builder) = builders.get(&reference) {
            if needs.to_build.contains(*builder) {
                needs.built_by.insert(name.clone(), (*builder).clone());
                continue;
            }
            is_of_another = needs.or_build.contains(*builder);
            if is_of_another {
                needs.built_by.insert(name.clone(), (*builder).clone());
            }
        }
        let found = local(session, store, &image, dry_run);
        let local = found.map_err(|source| image_error(name, &image, source))?;
        if local.is_none() && is_built_in(&image) {
            continue; // it is going to be made: neither pulled nor built
        }
        match decide(project, name, service, (pull, mode), local.as_ref()) {
            Ok(Choice::Use) => {
                if let Some(found) = &local {
                    store.touch(&found.id);
                }
                let facts = local.map(|found| ImageFacts::new(&image, &found));
                let facts = facts.map(|facts| (name.clone(), facts));
                needs.here.extend(facts);
            }
            Ok(Choice::Build) => {
                refused.extend(super::build::refusals(project, name, service));
                needs.to_build.insert(name.clone());
            }
            Ok(Choice::PullOrBuild(platform)) => {
                needs.or_build.insert(name.clone());
                let services = needs.missing.entry((image, platform)).or_default();
                services.push(name.clone());
            }
            Ok(Choice::Pull(platform)) => {
                needs.or_build.extend(is_of_another.then(|| name.clone()));
                let services = needs.missing.entry((image, platform)).or_default();
                services.push(name.clone());
            }
            Err(diagnostic) => refused.push(*diagnostic),
        }
    }
    Ok((needs, refused))
}

/// Pulls what is missing, all at a time, then builds.
///
/// # Errors
/// The first image that cannot be had.
pub async fn provide(
    session: &Session<'_>,
    store: &Store,
    declared: &Project,
    mut needs: Needs,
) -> Result<BTreeMap<String, ImageFacts>, ReconcileError> {
    let mut here = std::mem::take(&mut needs.here);
    if !needs.missing.is_empty() {
        let (pulled, unpulled) = pull_missing(session, store, &needs).await?;
        here.extend(pulled);
        let unpulled = unpulled.into_iter();
        let builds = unpulled.filter(|service| !needs.built_by.contains_key(service));
        needs.to_build.extend(builds);
    }
    if !needs.to_build.is_empty() {
        let choices = BuildChoices {
            services: needs.to_build(),
            ..BuildChoices::default()
        };
        let requests = super::build::requests(declared, &choices)?;
        for (service, image) in Box::pin(super::build::build(session, &requests)).await? {
            let name = declared
                .services
                .get(&service)
                .map(|declared_service| image_name(declared, &service, declared_service));
            let facts = ImageFacts::new(&name.unwrap_or_default(), &image);
            here.insert(service, facts);
        }
    }
    for (service, builder) in &needs.built_by {
        if !here.contains_key(service)
            && let Some(facts) = here.get(builder).cloned()
        {
            here.insert(service.clone(), facts);
        }
    }
    Ok(here)
}

/// The images that were pulled, by service, and the services whose images could
/// not be and can be built.
async fn pull_missing(
    session: &Session<'_>,
    store: &Store,
    needs: &Needs,
) -> Result<(BTreeMap<String, ImageFacts>, Vec<String>), ReconcileError> {
    let pulls = needs
        .missing
        .iter()
        .map(|((image, platform), services)| async move {
            let fail =
                |source| image_error(services.first().map_or("", String::as_str), image, source);
            let request = PullRequest {
                reference: Reference::parse(image).map_err(|error| fail(error.into()))?,
                platform: platform.clone(),
                access: session.registries.clone(),
                label: services.first().unwrap_or(image).clone(),
            };
            match pull(store, &request, session.sink).await {
                Ok(pulled) => Ok((Some(ImageFacts::new(image, &pulled)), services)),
                Err(error) if services.iter().all(|one| needs.or_build.contains(one)) => {
                    session.sink.emit(Event::Warning {
                        message: format!("cannot pull `{image}`, so it is built: {error}"),
                    });
                    Ok((None, services))
                }
                Err(error) => Err::<_, ReconcileError>(fail(error)),
            }
        });
    let at_once = session.parallel.unwrap_or(needs.missing.len());
    let pulls = stream::iter(pulls).buffer_unordered(at_once);
    let pulled = tokio::select! {
        biased;
        () = session.cancel.cancelled() => {
            session.sink.emit(Event::Note {
                message: KEPT_OF_A_PULL.to_owned(),
            });
            store.settled().await;
            return Err(ReconcileError::Cancelled);
        }
        pulled = pulls.try_collect::<Vec<_>>() => pulled?,
    };
    let mut here = BTreeMap::new();
    let mut unpulled = Vec::new();
    for (facts, services) in pulled {
        for service in services {
            match &facts {
                Some(facts) => {
                    here.insert(service.clone(), facts.clone());
                }
                None => unpulled.push(service.clone()),
            }
        }
    }
    Ok((here, unpulled))
}

/// Ids of images, by service.
pub(super) fn ids(images: &BTreeMap<String, ImageFacts>) -> BTreeMap<String, String> {
    images
        .iter()
        .map(|(service, image)| (service.clone(), image.id.clone()))
        .collect()
}

/// The image of this name, if it is here. The built-in one is made where it is
/// missing, but not for a dry run.
fn local(
    session: &Session<'_>,
    store: &Store,
    image: &str,
    dry_run: bool,
) -> Result<Option<Image>, ImageError> {
    if !is_built_in(image) {
        return store.find(image);
    }
    if dry_run {
        return find_toolbox(store, session.applets);
    }
    ensure_toolbox(store, session.applets).map(Some)
}

fn is_built_in(image: &str) -> bool {
    Reference::parse(image).is_ok_and(|reference| is_toolbox(&reference))
}

/// The platform that a service's image is pulled for: its own, else
/// `DOCKER_DEFAULT_PLATFORM`, else this machine's.
pub fn platform_of(project: &Project, service: &Service) -> Option<Platform> {
    let default = project.environment.get(DEFAULT_PLATFORM);
    let own = service.platform.as_ref().or(default);
    own.and_then(|text| Platform::parse(text).ok())
}

/// The variable that names the platform of services that name none.
pub const DEFAULT_PLATFORM: &str = "DOCKER_DEFAULT_PLATFORM";

enum Choice {
    Use,
    Build,
    PullOrBuild(Option<Platform>),
    Pull(Option<Platform>),
}

fn decide(
    project: &Project,
    name: &str,
    service: &Service,
    (pull, mode): (Option<PullPolicy>, BuildMode),
    local: Option<&Image>,
) -> Result<Choice, Box<Diagnostic>> {
    let image = image_name(project, name, service);
    let reference = Reference::parse(&image);
    if reference.as_ref().is_ok_and(is_toolbox) {
        return Ok(Choice::Use);
    }
    let own = match service.pull_policy.as_deref().map(str::parse::<PullPolicy>) {
        None => PullPolicy::default(),
        Some(Ok(policy)) => policy,
        Some(Err(error)) => {
            let path = format!("services.{name}.pull_policy");
            return Err(Box::new(project.diagnostic(&path, error.to_string())));
        }
    };
    let platform = platform_of(project, service);
    if service.build.is_some() {
        let policy = pull.unwrap_or(own);
        let is_named = service.image.is_some();
        return match (mode, local) {
            (BuildMode::Always, _) => Ok(Choice::Build),
            (BuildMode::Never, None) if !is_named || policy == PullPolicy::Never => {
                Err(Box::new(unbuilt(project, name, &image)))
            }
            (BuildMode::Never, None) => Ok(Choice::Pull(platform)),
            (BuildMode::Missing, _) if own == PullPolicy::Build => Ok(Choice::Build),
            (_, Some(_)) => match policy.decide(local, Timestamp::now()) {
                PullDecision::Pull if is_named => Ok(Choice::PullOrBuild(platform)),
                _ => Ok(Choice::Use),
            },
            // The specification: an image that has a name is looked for where images
            // are before it is built.
            (BuildMode::Missing, None) if is_named && policy != PullPolicy::Never => {
                Ok(Choice::PullOrBuild(platform))
            }
            (BuildMode::Missing, None) => Ok(Choice::Build),
        };
    }
    let path = format!("services.{name}.image");
    match pull.unwrap_or(own).decide(local, Timestamp::now()) {
        PullDecision::UseLocal => Ok(Choice::Use),
        PullDecision::Pull => Ok(Choice::Pull(platform)),
        PullDecision::Missing => Err(Box::new(
            project
                .diagnostic(
                    &path,
                    format!("the image `{image}` is not here, and may not be pulled"),
                )
                .suggest(format!(
                    "pull it with `skiff pull {name}`, or load it with `skiff load`"
                )),
        )),
        PullDecision::Build => Err(Box::new(project.diagnostic(
            &format!("services.{name}.pull_policy"),
            "the policy is `build`, but the service has no `build:`",
        ))),
    }
}

/// `--no-build`, and there is no image.
fn unbuilt(project: &Project, name: &str, image: &str) -> Diagnostic {
    project
        .diagnostic(
            &format!("services.{name}.build"),
            format!("there is no image `{image}`, and nothing is to be built"),
        )
        .suggest(format!(
            "build it with `skiff build {name}`, or leave out `--no-build`"
        ))
}

fn image_error(service: &str, image: &str, source: ImageError) -> ReconcileError {
    ReconcileError::Image {
        service: service.to_owned(),
        image: image.to_owned(),
        source: Box::new(source),
    }
}
