//! RUN: what it is known by, and the command carried out.

use std::sync::Arc;

use super::copying::contents;
use super::error::BuildError;
use super::failed::Failed;
use super::hashes::Hash;
use super::layer::Made;
use super::output;
use super::run::{self, Job};
use super::shown::Shown;
use super::solver::{Inputs, Outcome, Work, below, root_of};
use super::{key, mounts};
use crate::build::graph::{self, Step};

impl Work<'_> {
    pub(super) async fn run(
        &self,
        step: &Step,
        wanted: &graph::Run,
        inputs: &Inputs,
    ) -> Result<Outcome, Failed> {
        let root = root_of(inputs, wanted.root);
        let seen = mounts::sources(wanted, inputs, &self.builder.store);
        let root_key = root.map(|root| &root.key);
        let known: Option<Vec<Option<Hash>>> = seen
            .iter()
            .map(|source| match source {
                None => Some(None),
                Some(source) => source.known.map(Some),
            })
            .collect();
        let mut keys: Vec<Hash> = known
            .map(|known| key::run(wanted, root_key, &known))
            .into_iter()
            .collect();
        let shows_files = seen.iter().any(Option::is_some);
        if shows_files {
            if let Some(outcome) = self.cached(step, &keys, root, root).await? {
                return Ok(outcome);
            }
            self.have_sources(seen.iter().flatten()).await?;
            let shown: Vec<_> = seen.iter().flatten().cloned().collect();
            let mut contents = contents(shown).await?.into_iter();
            let contents: Vec<Option<Hash>> = seen
                .iter()
                .map(|source| source.as_ref().and_then(|_| contents.next()))
                .collect();
            keys.insert(0, key::run(wanted, root_key, &contents));
        }
        self.make(step, &keys, root, root, async |shown| {
            let made = self.command(wanted, inputs, root, shown).await;
            made.map_err(|failed| failed.on(&step.platform))
        })
        .await
    }

    async fn command(
        &self,
        wanted: &graph::Run,
        inputs: &Inputs,
        root: Option<&Outcome>,
        shown: &Shown<'_>,
    ) -> Result<Made, Failed> {
        let builder = self.builder;
        self.have(&below(root)).await?;
        for input in inputs.values() {
            // What a mount shows, or a cache folder begins with.
            self.have(input.files.layers()).await?;
        }
        let prepared = mounts::prepare(
            wanted,
            inputs,
            &mounts::Place {
                store: &builder.store,
                cache: &builder.cache,
                secrets: &self.given.secrets,
                agents: &self.given.agents,
            },
        )
        .await?;
        let mut env: Vec<String> = wanted
            .proxies
            .iter()
            .chain(&wanted.environment)
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        env.extend(prepared.env);
        let job = Job {
            layers: below(root),
            args: wanted.arguments.clone(),
            env,
            folder: wanted.folder.clone().into(),
            user: Some(wanted.user.clone()).filter(|user| !user.is_empty()),
            network: wanted.network.clone(),
            insecure: wanted.is_privileged,
            sandbox: Arc::clone(&wanted.sandbox),
            mounts: prepared.mounts,
        };
        let (reader, writer) = output::make().map_err(BuildError::Pipe)?;
        let place = (builder.layout, &builder.store, &builder.usage);
        let running = run::run(&builder.worker, place, job, writer, self.plan.epoch);
        let relayed = output::relay(reader, builder.sink, shown.number, shown.began);
        let (made, output) = tokio::join!(running, relayed);
        made.map_err(|error| Failed {
            error: Box::new(error),
            output,
        })
    }
}
