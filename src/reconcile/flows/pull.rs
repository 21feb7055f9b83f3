//! `pull`.

use futures_util::stream::{self, StreamExt};
use jiff::Timestamp;

use crate::compose::{Project, Service};
use crate::event::Event;
use crate::image::toolbox::is_toolbox;
use crate::image::{
    ImageError, Platform, PullDecision, PullPolicy, PullRequest, Reference, Store,
    pull as pull_image,
};

use super::super::chosen;
use super::super::garbage;
use super::super::images::platform_of;
use super::super::place::placed;
use super::super::session::{ReconcileError, Session};

/// What `pull` is told.
#[derive(Debug, Clone, Default)]
pub struct PullChoices {
    /// Only these services; empty: all.
    pub services: Vec<String>,
    /// And what they depend on.
    pub include_deps: bool,
    /// Leave out services with a build section.
    pub ignore_buildable: bool,
    /// An image that cannot be had is told and is no failure.
    pub ignore_failures: bool,
    /// Instead of pulling each image anew.
    pub policy: Option<PullPolicy>,
}

/// Pulls the images of the project's services, each image once, all at a time.
/// Left out are services without an image, those whose policy forbids it, and
/// the built-in image.
///
/// # Errors
/// An unknown service, or the first image that cannot be had; of a service
/// with a build section that is a warning.
pub async fn pull(
    session: &Session<'_>,
    declared: &Project,
    choices: &PullChoices,
) -> Result<(), ReconcileError> {
    pull_all(session, declared, choices)
        .await
        .map_err(|error| placed(declared, error))
}

async fn pull_all(
    session: &Session<'_>,
    declared: &Project,
    choices: &PullChoices,
) -> Result<(), ReconcileError> {
    let wanted = chosen::services(declared, &choices.services, choices.include_deps)?;
    let store = Store::open(session.layout);
    let mut pulls: Vec<Pull> = Vec::new();
    for (name, service) in declared
        .services
        .iter()
        .filter(|(name, _)| wanted.contains(*name))
    {
        let pull = Pull::of(declared, name, service, choices, &store)
            .map_err(|source| image_error(name, service.image.as_deref().unwrap_or(""), source))?;
        pulls.extend(pull);
    }
    pulls.sort_by(|a, b| (&a.image, a.optional).cmp(&(&b.image, b.optional)));
    pulls.dedup_by(|b, a| a.image == b.image && a.platform == b.platform);
    let at_once = session.parallel.unwrap_or(pulls.len()).max(1);
    let work = stream::iter(pulls.iter().map(|pull| pull.run(session, &store)))
        .buffered(at_once)
        .collect::<Vec<_>>();
    let results = tokio::select! {
        biased;
        () = session.cancel.cancelled() => {
            store.settled().await;
            return Err(ReconcileError::Cancelled);
        }
        results = work => results,
    };
    garbage::collect_beside(session).await;
    for (pull, result) in pulls.iter().zip(results) {
        match result {
            Err(error) if !(choices.ignore_failures || pull.optional) => {
                return Err(image_error(&pull.service, &pull.image, error));
            }
            Err(error) => session.sink.emit(Event::Warning {
                message: format!("cannot pull `{}`: {error}", pull.image),
            }),
            Ok(()) => {}
        }
    }
    Ok(())
}

struct Pull {
    service: String,
    image: String,
    platform: Option<Platform>,
    /// It can be built, so a failure is a warning.
    optional: bool,
}

impl Pull {
    /// What to pull for a service; `None` where there is nothing.
    fn of(
        project: &Project,
        name: &str,
        service: &Service,
        choices: &PullChoices,
        store: &Store,
    ) -> Result<Option<Self>, ImageError> {
        let Some(image) = service.image.clone() else {
            return Ok(None);
        };
        let buildable = service.build.is_some();
        if is_toolbox(&Reference::parse(&image)?) || (buildable && choices.ignore_buildable) {
            return Ok(None);
        }
        let own: PullPolicy = match &service.pull_policy {
            Some(text) => text.parse().unwrap_or_default(),
            None => PullPolicy::Always,
        };
        let local = store.find(&image)?;
        let decision = choices
            .policy
            .unwrap_or(own)
            .decide(local.as_ref(), Timestamp::now());
        Ok((decision == PullDecision::Pull).then(|| Self {
            service: name.to_owned(),
            image,
            platform: platform_of(project, service),
            optional: buildable,
        }))
    }

    async fn run(&self, session: &Session<'_>, store: &Store) -> Result<(), ImageError> {
        let request = PullRequest {
            reference: Reference::parse(&self.image)?,
            platform: self.platform.clone(),
            access: session.registries.clone(),
            label: self.service.clone(),
        };
        pull_image(store, &request, session.sink).await.map(drop)
    }
}

fn image_error(service: &str, image: &str, source: ImageError) -> ReconcileError {
    ReconcileError::Image {
        service: service.to_owned(),
        image: image.to_owned(),
        source: Box::new(source),
    }
}
