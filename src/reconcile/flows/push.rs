//! `push`.

use futures_util::stream::{self, StreamExt};

use crate::compose::{Project, Service};
use crate::event::{Event, Resource, ResourceKind};
use crate::image::{ImageError, PushRequest, Reference, Store, push as push_image};

use super::super::chosen;
use super::super::place::placed;
use super::super::session::{ReconcileError, Session};

/// What `push` is told.
#[derive(Debug, Clone, Default)]
pub struct PushChoices {
    /// Only these services; empty: all.
    pub services: Vec<String>,
    /// And what they depend on.
    pub include_deps: bool,
    /// An image that cannot be pushed is told and is no failure.
    pub ignore_failures: bool,
}

/// Pushes the images that the project's services are built to, each name once,
/// all at a time. Services without a build section or without an image are
/// left out, as by `docker compose push`; `build.tags` are pushed too.
///
/// # Errors
/// An unknown service, or the first image that cannot be pushed.
pub async fn push(
    session: &Session<'_>,
    declared: &Project,
    choices: &PushChoices,
) -> Result<(), ReconcileError> {
    push_all(session, declared, choices)
        .await
        .map_err(|error| placed(declared, error))
}

async fn push_all(
    session: &Session<'_>,
    declared: &Project,
    choices: &PushChoices,
) -> Result<(), ReconcileError> {
    let wanted = chosen::services(declared, &choices.services, choices.include_deps)?;
    let is_wanted = |(name, _): &(&String, &Service)| wanted.contains(*name);
    let mut pushes = Vec::new();
    for (service, of) in declared.services.iter().filter(is_wanted) {
        let images = images_of(of);
        if images.is_empty() {
            session.sink.emit(Event::Done {
                resource: resource(service),
                outcome: "Skipped",
            });
        }
        pushes.extend(images.into_iter().map(|image| Push {
            service: service.clone(),
            image,
        }));
    }
    pushes.sort_by(|a, b| a.image.cmp(&b.image));
    pushes.dedup_by(|b, a| a.image == b.image);
    carry_out(session, pushes, choices.ignore_failures).await
}

/// Pushes images that are here, whatever they are for.
///
/// # Errors
/// The first that cannot be pushed.
pub async fn push_names(session: &Session<'_>, names: &[Reference]) -> Result<(), ReconcileError> {
    let pushes = names.iter().map(|name| Push {
        service: name.familiar(),
        image: name.to_string(),
    });
    carry_out(session, pushes.collect(), false).await
}

async fn carry_out(
    session: &Session<'_>,
    pushes: Vec<Push>,
    ignores_failures: bool,
) -> Result<(), ReconcileError> {
    let store = Store::open(session.layout);
    let at_once = session.parallel.unwrap_or(pushes.len()).max(1);
    let work = stream::iter(pushes.iter().map(|push| push.run(session, &store)))
        .buffered(at_once)
        .collect::<Vec<_>>();
    let results = tokio::select! {
        biased;
        () = session.cancel.cancelled() => return Err(ReconcileError::Cancelled),
        results = work => results,
    };
    for (push, result) in pushes.into_iter().zip(results) {
        match result {
            Err(source) if !ignores_failures => {
                return Err(ReconcileError::Push {
                    service: push.service,
                    image: push.image,
                    source: Box::new(source),
                });
            }
            Err(error) => session.sink.emit(Event::Warning {
                message: format!("cannot push `{}`: {error}", push.image),
            }),
            Ok(()) => {}
        }
    }
    Ok(())
}

/// The names that a service's image is pushed under.
fn images_of(service: &Service) -> Vec<String> {
    match (&service.build, &service.image) {
        (Some(build), Some(image)) => {
            let mut all = vec![image.clone()];
            all.extend(build.tags.iter().cloned());
            all
        }
        (None, _) | (_, None) => Vec::new(),
    }
}

fn resource(name: &str) -> Resource {
    Resource {
        kind: ResourceKind::Image,
        name: name.to_owned(),
    }
}

struct Push {
    service: String,
    image: String,
}

impl Push {
    async fn run(&self, session: &Session<'_>, store: &Store) -> Result<(), ImageError> {
        let reference = Reference::parse(&self.image)?;
        let found = store.find(&reference.to_string())?;
        let Some(image) = found else {
            let error = ImageError::NoSuchImage(reference.familiar());
            session.sink.emit(Event::Failed {
                resource: resource(&self.service),
                message: error.to_string(),
            });
            return Err(error);
        };
        let request = PushRequest {
            reference,
            images: store.with_variants(image)?,
            access: session.registries.clone(),
            label: self.service.clone(),
        };
        push_image(store, &request, session.sink).await.map(drop)
    }
}
