//! Steps for what is not made here: images, contexts, repositories, other stages.

use std::collections::BTreeSet;

use super::stages::{Origin, Outside, request};
use super::step::{Kind as StepKind, Root, Source, Step, StepId};
use super::walk::{Current, Walk};
use crate::build::paths;
use crate::dockerfile::{Problem, Span};
use crate::image::Platform;

impl Walk<'_> {
    /// The step of something that is not in the file.
    pub(super) fn outside(
        &mut self,
        current: &mut Current,
        outside: &Outside,
        at: Span,
        is_base: bool,
    ) -> Root {
        let known = request(outside).and_then(|request| self.stages.bases.get(&request));
        let digest = known.and_then(|base| base.digest.clone());
        let platform = match outside {
            Outside::Image { platform, .. } | Outside::Layout(_, _, platform) => platform.clone(),
            _ => self.stages.platform.clone(),
        };
        let (source, name) = match outside {
            Outside::Nothing => return None,
            Outside::Image {
                reference, context, ..
            } => {
                let mut text = reference.to_string();
                if let Some(digest) = digest.filter(|_| reference.digest().is_none()) {
                    text = format!("{text}@{digest}");
                }
                let name = match context {
                    Some(context) => format!("[context {context}] {text}"),
                    None if is_base => self.prefixed(current, &format!("FROM {text}")),
                    None => format!("FROM {text}"),
                };
                (Source::Image { reference: text }, name)
            }
            Outside::Folder(name) => {
                let shown = format!("[context {name}] load from client");
                (context_source(Some(name)), shown)
            }
            Outside::Remote(name, source) => (
                source.clone(),
                format!("[context {name}] {}", loads(source)),
            ),
            Outside::Layout(name, layout, _) => {
                let shown = format!("[context {name}] OCI load from client");
                let layout = layout.clone();
                (Source::Layout { layout }, shown)
            }
            Outside::Build(name) => {
                let shown = format!("[context {name}] load the result of another build");
                (Source::Build { name: name.clone() }, shown)
            }
        };
        Some(self.source(source, name, at, platform))
    }

    /// A source, which is there once whoever needs it.
    pub(super) fn source(
        &mut self,
        source: Source,
        name: String,
        at: Span,
        platform: Platform,
    ) -> StepId {
        let key = (source, platform.to_string());
        if let Some(id) = self.sources.get(&key) {
            return *id;
        }
        let step = Step {
            kind: StepKind::Source(key.0.clone()),
            name,
            at,
            platform,
            ignores_cache: false,
        };
        let id = self.push(step);
        self.sources.insert(key, id);
        id
    }

    /// The build context.
    pub(super) fn context(&mut self, at: Span) -> StepId {
        let platform = self.stages.platform.clone();
        let (source, name) = match &self.stages.options.context {
            Some(source) => (source.clone(), loads(source)),
            None => (context_source(None), "load build context".to_owned()),
        };
        self.source(source, format!("[internal] {name}"), at, platform)
    }

    pub(super) fn push(&mut self, step: Step) -> StepId {
        self.steps.push(step);
        StepId(self.steps.len() - 1)
    }

    /// Remembers that a path of a context is read.
    pub(super) fn reads(&mut self, id: StepId, path: &str) {
        let is_context = self
            .steps
            .get(id.0)
            .is_some_and(|step| matches!(step.kind, StepKind::Source(Source::Context { .. })));
        if !is_context {
            return;
        }
        let path = paths::relative(path);
        let all = self
            .paths
            .entry(id)
            .or_insert_with(|| Some(BTreeSet::new()));
        if path.is_empty() {
            *all = None;
        } else if let Some(all) = all {
            all.insert(path);
        }
    }

    /// The files that `--from` names.
    pub(super) fn origin(
        &mut self,
        current: &mut Current,
        origin: &Origin,
        at: Span,
    ) -> Result<Root, Problem> {
        match origin {
            Origin::Outside(outside) => {
                Ok(self.outside(current, outside, current.place(at), false))
            }
            Origin::Stage(index) if *index == current.index => {
                Err(Problem::new(at, "a stage cannot take files from itself"))
            }
            Origin::Stage(index) if *index > current.index => {
                let problem = Problem::new(at, "the stage that files are taken from stands below");
                Err(problem.help("move it above this one"))
            }
            // One with problems of its own is told by these.
            Origin::Stage(index) => {
                let state = self.states.get(*index).and_then(Option::as_ref);
                Ok(state.and_then(|state| state.root))
            }
        }
    }
}

/// As `BuildKit` says it.
pub(in crate::build) fn loads(source: &Source) -> String {
    match source {
        Source::Git(git) => format!(
            "load git source {}",
            crate::image::shown_address(&git.remote)
        ),
        Source::Http { url, .. } => {
            format!(
                "load remote build context {}",
                crate::image::shown_address(url)
            )
        }
        _ => "load build context".to_owned(),
    }
}

fn context_source(name: Option<&str>) -> Source {
    Source::Context {
        name: name.map(str::to_owned),
        paths: Vec::new(),
    }
}
