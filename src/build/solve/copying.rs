//! COPY and ADD: what they are known by, and their layer.

use std::path::Path;
use std::sync::Arc;

use tokio::task::spawn_blocking;

use super::builder::joined;
use super::copy::Looks;
use super::error::BuildError;
use super::failed::Failed;
use super::files;
use super::hashes::Hash;
use super::layer::Stacks;
use super::mode::ModeChange;
use super::solver::{Inputs, Outcome, Work, root_of};
use super::{key, owner};
use crate::build::graph::{self, CopySource, Step};
use crate::build::ignore::Ignore;
use crate::engine::inroot::Root;

/// A copy whose files change while it is made is made anew, so often.
const CHANGES: u32 = 5;

impl Work<'_> {
    pub(super) async fn copy(
        &self,
        step: &Step,
        wanted: &graph::Copy,
        inputs: &Inputs,
    ) -> Result<Outcome, Failed> {
        let root = root_of(inputs, wanted.root);
        let root_key = root.map(|root| &root.key);
        let sources = self.sources(wanted, inputs)?;
        // By what the sources are known by, where all are: nothing has to be read.
        let known: Option<Vec<Hash>> = sources.iter().map(|source| source.known).collect();
        let quick = known.map(|known| key::copy(wanted, root_key, &known));
        let known: Vec<Hash> = quick.into_iter().collect();
        let base = root.filter(|_| !wanted.is_link);
        if let Some(outcome) = self.cached(step, &known, root, base).await? {
            return Ok(outcome);
        }
        self.have_sources(&sources).await?;
        let mut left = CHANGES;
        loop {
            let contents = contents(sources.clone()).await?;
            let own = key::copy(wanted, root_key, &contents);
            let all: Vec<Hash> = std::iter::once(own).chain(quick).collect();
            let sources = sources.clone();
            let copied = self.make(step, &all, root, base, async |_| {
                let wanted = wanted.clone();
                self.written(base, move |root| {
                    put(root, &wanted, &sources)?;
                    // What was written to meanwhile is not what the key says.
                    for (source, before) in sources.iter().zip(contents) {
                        if source.is_users() && source.content()? != before {
                            return Err(BuildError::Changed);
                        }
                    }
                    Ok(())
                })
                .await
            });
            match copied.await {
                Err(failed) if left > 0 && matches!(*failed.error, BuildError::Changed) => {
                    left -= 1;
                }
                other => return other,
            }
        }
    }

    fn sources(
        &self,
        wanted: &graph::Copy,
        inputs: &Inputs,
    ) -> Result<Vec<files::SourceFiles>, BuildError> {
        let excludes = Ignore::of(&wanted.excludes).map_err(|error| BuildError::Unsupported {
            what: format!("`--exclude={}` ({})", error.pattern, error.reason),
        })?;
        let excludes = Arc::new(excludes);
        let stacks = Stacks::default();
        let mut sources = Vec::new();
        for source in &wanted.sources {
            let from = match source {
                CopySource::Files { from, .. } => from.and_then(|id| inputs.get(&id)),
                CopySource::Download { from, .. } | CopySource::Tree { from } => inputs.get(from),
                CopySource::Inline { .. } => None,
            };
            sources.push(files::SourceFiles::new(
                source,
                from.map(|outcome| (&outcome.files, outcome.key)),
                &excludes,
                (&self.builder.store, &stacks),
            ));
        }
        Ok(sources)
    }

    pub(super) async fn have_sources(
        &self,
        sources: impl IntoIterator<Item = &files::SourceFiles>,
    ) -> Result<(), BuildError> {
        for (layers, _) in sources
            .into_iter()
            .filter_map(files::SourceFiles::in_layers)
        {
            self.have(layers).await?;
        }
        Ok(())
    }
}

/// What is there, one hash a source.
pub(super) async fn contents(sources: Vec<files::SourceFiles>) -> Result<Vec<Hash>, BuildError> {
    let ask = move || sources.iter().map(files::SourceFiles::content).collect();
    spawn_blocking(ask).await.map_err(joined)?
}

fn put(
    root: &Root,
    wanted: &graph::Copy,
    sources: &[files::SourceFiles],
) -> Result<(), BuildError> {
    let owner = wanted
        .owner
        .as_ref()
        .map(|text| owner::find(root, text))
        .transpose()?;
    let mode = match &wanted.mode {
        None => None,
        Some(graph::Mode::Bits(bits)) => Some(ModeChange::Octal(*bits)),
        Some(graph::Mode::Symbolic(text)) => {
            Some(ModeChange::parse(text).ok_or_else(|| BuildError::NoMode { text: text.clone() })?)
        }
    };
    let many = sources.len() > 1;
    for source in sources {
        let looks = Looks {
            owner: owner.or_else(|| source.owner()),
            mode: mode.clone(),
        };
        source.put(root, Path::new(&wanted.destination), many, &looks)?;
    }
    Ok(())
}
