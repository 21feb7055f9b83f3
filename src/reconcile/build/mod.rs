//! `build`: the images of a project's services, one graph for all of them. A
//! service that starts from what another one builds waits for that.

mod requests;

pub(crate) use requests::first;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared, join_all};

use crate::build::drive::{self, Base, DriveError, Provide};
use crate::build::graph::BaseRequest;
use crate::build::look::{self, Checked, Look, Seen};
use crate::build::request::Request;
use crate::build::solve::{Builder, Outside};
use crate::compose::{Diagnostic, Project, Service};
use crate::event::{Event, Resource, ResourceKind};
use crate::image::toolbox::is_toolbox;
use crate::image::{Image, Platform, PullRequest, Reference, Store, ensure_toolbox, pull, resolve};

use super::chosen;
use super::garbage;
use super::session::{ReconcileError, Session};

/// What `build` is told.
#[derive(Debug, Clone, Default)]
pub struct BuildChoices {
    /// Only these services; empty: all that have a `build:`.
    pub services: Vec<String>,
    /// And what they depend on.
    pub with_dependencies: bool,
    /// `--build-arg`; without a value it is the caller's.
    pub args: Vec<(String, Option<String>)>,
    /// `--ssh`: id, and the agent's socket.
    pub ssh: Vec<(String, Option<String>)>,
    /// Carry every step out.
    pub no_cache: bool,
    /// Pull base images anew.
    pub pull: bool,
    /// `-m`: memory of each command in bytes.
    pub memory: Option<i64>,
}

/// What was built, by service, in the order of the file.
pub type Built = Vec<(String, Image)>;

/// What can be built, by service.
#[derive(Debug, Clone, Default)]
pub struct Requests {
    /// Everything that the project can build.
    all: BTreeMap<String, Request>,
    /// What was asked for; the others are built where these need them.
    wanted: BTreeSet<String>,
}

impl Requests {
    /// Whether nothing was asked for.
    pub fn is_empty(&self) -> bool {
        self.wanted.is_empty()
    }

    /// A single one, which is for no service.
    pub fn one(request: Request) -> Self {
        let label = request.label.clone();
        Self {
            wanted: BTreeSet::from([label.clone()]),
            all: BTreeMap::from([(label, request)]),
        }
    }

    /// What was asked for, in the order of names.
    pub fn wanted(&self) -> impl Iterator<Item = (&String, &Request)> {
        self.all
            .iter()
            .filter(|(name, _)| self.wanted.contains(*name))
    }
}

/// The requests for the services that are asked for, and for those that these may
/// start from.
///
/// # Errors
/// An unknown service, or what cannot be built as it is declared.
pub fn requests(declared: &Project, choices: &BuildChoices) -> Result<Requests, ReconcileError> {
    let asked = chosen::services(declared, &choices.services, choices.with_dependencies)?;
    let mut requests = Requests::default();
    let mut refused = Vec::new();
    let services = declared.services.iter().chain(&declared.disabled_services);
    for (name, service) in services.filter(|(_, service)| service.build.is_some()) {
        let is_wanted = asked.contains(name);
        match requests::request(declared, name, service, choices) {
            Ok(request) => {
                requests.all.insert(name.clone(), request);
                requests.wanted.extend(is_wanted.then(|| name.clone()));
            }
            Err(diagnostics) if is_wanted => refused.extend(diagnostics),
            // Told where somebody needs it.
            Err(_) => {}
        }
    }
    if refused.is_empty() {
        Ok(requests)
    } else {
        Err(ReconcileError::Refused {
            diagnostics: refused,
        })
    }
}

/// What of a service's `build:` cannot be done, by attribute.
pub(super) fn refusals(declared: &Project, name: &str, service: &Service) -> Vec<Diagnostic> {
    let request = requests::request(declared, name, service, &BuildChoices::default());
    request.err().unwrap_or_default()
}

/// Builds images, all that do not wait for each other at the same time. What
/// failed is told at its place; images that were built stay.
///
/// # Errors
/// Everything that failed, at once.
pub async fn build(session: &Session<'_>, requests: &Requests) -> Result<Built, ReconcileError> {
    let builder = start(session)?;
    let outcome = tokio::select! {
        biased;
        () = session.cancel.cancelled() => {
            builder.store().settled().await;
            Err(ReconcileError::Cancelled)
        }
        results = all::<Image>(session, &builder, requests) => Ok(results),
    };
    finish(builder).await?;
    let mut built = Vec::new();
    let mut failures = Vec::new();
    for (label, result) in outcome? {
        match result {
            Ok(_) if !requests.wanted.contains(&label) => {}
            Ok(image) => {
                session.sink.emit(Event::Done {
                    resource: resource(requests, &label, &image),
                    outcome: "Built",
                });
                built.push((label, image));
            }
            Err(error) => failures.push(error),
        }
    }
    garbage::collect_beside(session).await;
    unless_failed(built, failures)
}

/// The warnings of all Dockerfiles, and of those that they build upon.
///
/// # Errors
/// As [`build`].
pub async fn check(
    session: &Session<'_>,
    requests: &Requests,
) -> Result<Vec<Diagnostic>, ReconcileError> {
    let builder = start(session)?;
    let results = all::<Checked>(session, &builder, requests).await;
    finish(builder).await?;
    let mut warnings = Vec::new();
    let mut failures = Vec::new();
    for (_, result) in results {
        match result {
            Ok(checked) => warnings.extend(checked.warnings),
            Err(error) => failures.push(error),
        }
    }
    unless_failed(warnings, failures)
}

/// What can be seen of all Dockerfiles without building them; what went wrong is told
/// of all.
///
/// # Errors
/// One cannot be read, or has no such stage.
pub async fn look(
    session: &Session<'_>,
    requests: &Requests,
    look: Look,
) -> Result<Vec<Seen>, ReconcileError> {
    let builder = start(session)?;
    let mut found = Vec::new();
    let mut failures = Vec::new();
    for (_, request) in requests.wanted() {
        match look::look(&builder, request, look).await {
            Ok(one) => found.push(one),
            Err(error) => failures.push(Arc::new(error)),
        }
    }
    finish(builder).await?;
    unless_failed(found, failures)
}

fn start<'s>(session: &Session<'s>) -> Result<Builder<'s>, ReconcileError> {
    let store = Store::open(session.layout);
    let outside = Outside {
        access: session.registries.clone(),
        owner: session.owner,
    };
    Builder::new(session.layout, store, session.sink, outside)
        .map_err(|error| failed(vec![Arc::new(error.into())]))
}

async fn finish(builder: Builder<'_>) -> Result<(), ReconcileError> {
    let closed = builder.close().await;
    closed.map_err(|error| failed(vec![Arc::new(error.into())]))
}

/// What is told of: the image's last name, else the service that it is for, else its id.
fn resource(requests: &Requests, label: &str, image: &Image) -> Resource {
    let request = requests.all.get(label);
    let name = request.and_then(|request| request.names.last());
    Resource {
        kind: ResourceKind::Image,
        name: match name {
            Some(name) => name.familiar(),
            None if label.is_empty() => image.id.short().to_owned(),
            None => label.to_owned(),
        },
    }
}

fn unless_failed<T>(made: T, failures: Vec<Arc<DriveError>>) -> Result<T, ReconcileError> {
    if failures.is_empty() {
        Ok(made)
    } else {
        Err(failed(failures))
    }
}

fn failed(failures: Vec<Arc<DriveError>>) -> ReconcileError {
    let mut diagnostics = Vec::new();
    let mut behind = Vec::new();
    for failure in failures {
        match &*failure {
            DriveError::Placed(list) => diagnostics.extend(list.iter().cloned()),
            // Told where it failed.
            error @ DriveError::Behind(_) => behind.push(Diagnostic::error(error.to_string())),
            error @ (DriveError::Base { .. } | DriveError::Other(_)) => {
                diagnostics.push(Diagnostic::error(crate::causes::with_causes(error)));
            }
        }
    }
    if diagnostics.is_empty() {
        diagnostics = behind;
    }
    ReconcileError::Placed { diagnostics }
}

type Outcome<T> = Result<T, Arc<DriveError>>;
type Pending<'a, T> = Shared<BoxFuture<'a, Outcome<T>>>;

/// What is done with each request, and what others start from then.
trait Task: Clone + Into<Base> + Send + Sync {
    /// Whether an image that nobody asked for is taken as it is in the store.
    const TAKES_FROM_STORE: bool;

    fn carry_out<'p>(
        builder: &'p Builder<'_>,
        request: &'p Request,
        provide: Provide<'p>,
    ) -> BoxFuture<'p, Result<Self, DriveError>>;
}

impl Task for Image {
    const TAKES_FROM_STORE: bool = true;

    fn carry_out<'p>(
        builder: &'p Builder<'_>,
        request: &'p Request,
        provide: Provide<'p>,
    ) -> BoxFuture<'p, Result<Self, DriveError>> {
        drive::build(builder, request, provide).boxed()
    }
}

impl Task for Checked {
    // What is there may be of an older Dockerfile.
    const TAKES_FROM_STORE: bool = false;

    fn carry_out<'p>(
        builder: &'p Builder<'_>,
        request: &'p Request,
        provide: Provide<'p>,
    ) -> BoxFuture<'p, Result<Self, DriveError>> {
        look::check(builder, request, provide).boxed()
    }
}

/// Who waits for whom, and what comes of each.
struct Board<'a, T> {
    pending: Mutex<BTreeMap<String, Pending<'a, T>>>,
    waits: Mutex<BTreeMap<String, BTreeSet<String>>>,
    /// Labels by the names that they build.
    names: BTreeMap<String, String>,
}

impl<T> Board<'_, T> {
    /// Notes that one waits for another; false where that would be a circle.
    fn wait(&self, from: &str, to: &str) -> bool {
        let mut waits = self.waits.lock().unwrap_or_else(PoisonError::into_inner);
        let mut seen = BTreeSet::new();
        let mut open = vec![to.to_owned()];
        while let Some(label) = open.pop() {
            if label == from {
                return false;
            }
            if seen.insert(label.clone()) {
                open.extend(waits.get(&label).into_iter().flatten().cloned());
            }
        }
        waits
            .entry(from.to_owned())
            .or_default()
            .insert(to.to_owned());
        true
    }
}

/// Futures hold the board, and the board holds them: whoever waited for them lets
/// both go, also where nobody waits any more.
struct LetGo<'b, 'a, T>(&'b Board<'a, T>);

impl<T> Drop for LetGo<'_, '_, T> {
    fn drop(&mut self) {
        let pending = std::mem::take(
            &mut *self
                .0
                .pending
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        );
        // Without the lock: what is dropped may drop others.
        drop(pending);
    }
}

/// Carries out what was asked for. What comes back is also what came of others that
/// these needed.
async fn all<'a, T: Task + 'a>(
    session: &'a Session<'a>,
    builder: &'a Builder<'a>,
    requests: &'a Requests,
) -> Vec<(String, Outcome<T>)> {
    let names = requests.all.iter().flat_map(|(label, request)| {
        let names = request.names.iter();
        names.map(move |name| (name.to_string(), label.clone()))
    });
    let board = Arc::new(Board {
        pending: Mutex::default(),
        waits: Mutex::default(),
        names: names.collect(),
    });
    let _let_go = LetGo(&board);
    for (label, request) in &requests.all {
        let board_of = Arc::clone(&board);
        let label_of = label.clone();
        let future = async move {
            let needs = |base: BaseRequest| {
                let (board, label) = (Arc::clone(&board_of), label_of.clone());
                async move {
                    let other = match &base {
                        BaseRequest::Build { name } => Some(name.clone()),
                        BaseRequest::Image { reference, .. } => board.names.get(reference).cloned(),
                        BaseRequest::Layout { .. } => None,
                    };
                    let is_own = |other: &String| {
                        *other == label && matches!(base, BaseRequest::Image { .. })
                    };
                    let Some(other) = other.filter(|other| !is_own(other)) else {
                        let had = provide(session, builder.store(), request, base).await;
                        return had.map(Base::from);
                    };
                    // What nobody asked for is built where there is none.
                    if T::TAKES_FROM_STORE
                        && let BaseRequest::Image { reference, .. } = &base
                        && !requests.wanted.contains(&other)
                        && let Ok(Some(image)) = builder.store().find(reference)
                    {
                        return Ok(image.into());
                    }
                    waited(&board, &label, &other).await.map(T::into)
                }
                .boxed()
            };
            let done = T::carry_out(builder, request, &needs).await;
            done.map_err(Arc::new)
        };
        let mut pending = board.pending.lock().unwrap_or_else(PoisonError::into_inner);
        pending.insert(label.clone(), future.boxed().shared());
    }
    let all: Vec<_> = {
        let pending = board.pending.lock().unwrap_or_else(PoisonError::into_inner);
        pending
            .iter()
            .filter(|(label, _)| requests.wanted.contains(*label))
            .map(|(_, future)| future.clone())
            .collect()
    };
    join_all(all).await;
    let pending = board.pending.lock().unwrap_or_else(PoisonError::into_inner);
    let ended = pending
        .iter()
        .filter_map(|(label, future)| Some((label.clone(), future.peek()?.clone())));
    ended.collect()
}

async fn waited<T: Clone>(board: &Board<'_, T>, label: &str, other: &str) -> Result<T, DriveError> {
    let refused = |message| Err(DriveError::Placed(vec![Diagnostic::error(message)]));
    if label == other {
        return refused(format!("`{label}` starts from its own image"));
    }
    if !board.wait(label, other) {
        return refused(format!(
            "`{label}` and `{other}` start from each other's images"
        ));
    }
    let pending = {
        let all = board.pending.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(other).cloned()
    };
    match pending {
        // Why is told of the other one.
        Some(pending) => pending
            .await
            .map_err(|_| DriveError::Behind(other.to_owned())),
        None => refused(format!(
            "`{label}` starts from the image of `{other}`, which has no `build:` that can be carried out"
        )),
    }
}

/// An image that nobody here builds: it is in the store, or pulled.
async fn provide(
    session: &Session<'_>,
    store: &Store,
    request: &Request,
    base: BaseRequest,
) -> Result<Image, DriveError> {
    let (name, platform) = match base {
        BaseRequest::Image {
            reference,
            platform,
        } => (reference, Platform::parse(&platform).ok()),
        BaseRequest::Build { name } => return Err(DriveError::Behind(name)),
        BaseRequest::Layout { layout, .. } => {
            return Err(DriveError::Behind(layout));
        }
    };
    let failed = |source| DriveError::Base {
        image: name.clone(),
        source: Box::new(source),
    };
    let reference = Reference::parse(&name).map_err(|error| failed(error.into()))?;
    if is_toolbox(&reference) {
        return ensure_toolbox(store, session.applets).map_err(failed);
    }
    let label = reference.familiar();
    let mut pull_request = PullRequest {
        reference,
        platform,
        access: session.registries.clone(),
        label,
    };
    // What is asked for by nobody may be for another one, as with Docker.
    let asked = !request.platforms.is_empty();
    let wanted = pull_request.platform.clone().unwrap_or_else(Platform::host);
    let here = || {
        if asked {
            store.find_for(&pull_request.reference, &wanted)
        } else {
            store.find(&name)
        }
    };
    if !request.pull
        && let Some(image) = here().map_err(failed)?
    {
        store.touch(&image.id);
        return Ok(image);
    }
    if wanted != Platform::host() {
        // By its digest: the name stays with what this machine runs.
        let reference = &pull_request.reference;
        let digest = resolve(&pull_request.access, reference, session.sink).await;
        let pinned = format!("{}@{}", reference.name(), digest.map_err(failed)?);
        pull_request.reference = Reference::parse(&pinned).map_err(|error| failed(error.into()))?;
        let reference = &pull_request.reference;
        if let Some(image) = store.find_for(reference, &wanted).map_err(failed)? {
            store.touch(&image.id);
            return Ok(image);
        }
    }
    pull(store, &pull_request, session.sink)
        .await
        .map_err(failed)
}
