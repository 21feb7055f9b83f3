//! Goes through the stages that are needed, instruction by instruction, and writes
//! down steps, config and history.

use std::collections::{BTreeMap, BTreeSet};

use indexmap::IndexMap;

use super::config;
use super::scope::{ENTRY, Variables};
use super::stages::{Node, Origin, Outside, Stages, Todo, request};
use super::step::{Kind as StepKind, Root, Source, Step, StepId};
use super::{BaseImage, MOST_PROBLEMS, Plan};
use crate::dockerfile::{Kind, Problem, Rule, Span};
use crate::image::{ConfigFile, Platform};

/// What is known at a place of a stage.
#[derive(Debug, Clone)]
pub(super) struct State {
    pub(super) root: Root,
    pub(super) config: ConfigFile,
    /// `ENV` and `ARG` together.
    pub(super) variables: Variables,
    /// `ENV` alone, as the config has it.
    pub(super) env: Variables,
    /// The names that `ARG` declares, with their values.
    pub(super) declared: IndexMap<String, Option<String>>,
    pub(super) platform: Platform,
    pub(super) has_workdir: bool,
    pub(super) has_escaped_args: bool,
}

impl State {
    /// How many bytes a copy takes.
    fn size(&self) -> usize {
        let history = self.config.history.iter();
        let texts = history.map(|entry| entry.created_by.as_ref().map_or(0, String::len) + ENTRY);
        let declared = self.declared.keys().map(|name| name.len() + ENTRY);
        let image = &self.config.config;
        let sets = image
            .exposed_ports
            .iter()
            .chain(&image.volumes)
            .map(|text| text.len() + ENTRY);
        let labels = image
            .labels
            .iter()
            .map(|(name, value)| name.len() + value.len() + ENTRY);
        self.variables.size()
            + self.env.size()
            + texts
                .chain(declared)
                .chain(sets)
                .chain(labels)
                .sum::<usize>()
    }
}

/// The stage that is being walked.
#[derive(Debug)]
pub(super) struct Current {
    pub(super) state: State,
    pub(super) index: usize,
    pub(super) shown: String,
    pub(super) done: usize,
    pub(super) total: usize,
    pub(super) ignores_cache: bool,
    /// Where places of the instruction are told, if not at themselves.
    pub(super) trigger: Option<Span>,
    /// `CMD`, `ENTRYPOINT` and `HEALTHCHECK` of the stage so far.
    pub(super) single: BTreeMap<&'static str, Span>,
}

impl Current {
    /// Where something is told.
    pub(super) fn place(&self, at: Span) -> Span {
        self.trigger.unwrap_or(at)
    }

    pub(super) fn folder(&self) -> &str {
        match self.state.config.config.working_dir.as_str() {
            "" => "/",
            folder => folder,
        }
    }

    /// An entry of the history.
    pub(super) fn history(&mut self, text: String, has_layer: bool) {
        self.state
            .config
            .history
            .push(config::entry(text, has_layer));
    }
}

/// All that a walk collects.
#[derive(Debug)]
pub(super) struct Walk<'a> {
    pub(super) stages: Stages<'a>,
    pub(super) steps: Vec<Step>,
    pub(super) sources: BTreeMap<(Source, String), StepId>,
    /// What is read of contexts; `None` is all of it.
    pub(super) paths: BTreeMap<StepId, Option<BTreeSet<String>>>,
    pub(super) states: Vec<Option<State>>,
    pub(super) declared: BTreeSet<String>,
    pub(super) spent: usize,
}

/// What a plan may take, in bytes.
pub(super) const LARGEST: usize = 64 << 20;

/// Plans all stages that are needed.
pub(super) fn plan(mut stages: Stages<'_>) -> Result<Plan, Vec<Problem>> {
    let nodes = std::mem::take(&mut stages.nodes);
    let mut walk = Walk {
        states: vec![None; nodes.len()],
        declared: stages.declared.iter().cloned().collect(),
        stages,
        steps: Vec::new(),
        sources: BTreeMap::new(),
        spent: 0,
        paths: BTreeMap::new(),
    };
    let mut problems = Vec::new();
    for (index, node) in nodes.iter().enumerate() {
        if walk.stages.needed.get(index) == Some(&true) {
            let state = walk.stage(index, node, &mut problems);
            if let Some(slot) = walk.states.get_mut(index) {
                *slot = state;
            }
        }
    }
    if !problems.is_empty() {
        problems.sort_by_key(|problem| problem.at.start);
        problems.truncate(MOST_PROBLEMS);
        return Err(problems);
    }
    walk.finish()
}

impl Walk<'_> {
    fn finish(mut self) -> Result<Plan, Vec<Problem>> {
        let target = self
            .states
            .get_mut(self.stages.target)
            .and_then(Option::take);
        let Some(mut state) = target else {
            let problem = Problem::new(Span::default(), "the target stage is not there");
            return Err(vec![problem]);
        };
        for (id, paths) in &self.paths {
            if let Some(Step {
                kind: StepKind::Source(Source::Context { paths: all, .. }),
                ..
            }) = self.steps.get_mut(id.0)
            {
                *all = paths.iter().flatten().cloned().collect();
            }
        }
        let options = self.stages.options;
        state.config.config.labels.extend(options.labels.clone());
        let env = state
            .env
            .iter()
            .map(|(name, value)| format!("{name}={value}"));
        state.config.config.env = env.collect();
        if let Some(platform) = &options.platform {
            state.config.os.clone_from(&platform.os);
            state.config.architecture.clone_from(&platform.architecture);
            state.config.variant.clone_from(&platform.variant);
        }
        let unused = options.arguments.keys().filter(|name| {
            !self.declared.contains(*name) && !super::scope::needs_no_declaration(name)
        });
        let mut warnings = self.stages.lint.warnings;
        warnings.sort_by_key(|warning| warning.at.start);
        let epoch = match options.arguments.get("SOURCE_DATE_EPOCH") {
            Some(text) if !text.is_empty() => Some(text.parse().map_err(|_| {
                let message = format!("`SOURCE_DATE_EPOCH` cannot be `{text}`");
                let problem = Problem::new(Span::default(), message);
                vec![problem.expected("seconds since 1970-01-01: `1700000000`")]
            })?),
            _ => None,
        };
        let (steps, result) = if options.all_stages {
            (self.steps, state.root)
        } else {
            needed(self.steps, state.root)
        };
        Ok(Plan {
            steps,
            result,
            config: state.config,
            has_escaped_args: state.has_escaped_args,
            epoch,
            warnings,
            warnings_are_errors: self.stages.lint.options.is_error,
            unused_arguments: unused.cloned().collect(),
        })
    }

    /// Walks one stage. `None` where its base is missing, which is told elsewhere.
    fn stage(&mut self, index: usize, node: &Node, problems: &mut Vec<Problem>) -> Option<State> {
        // Of triggers each counts as a step, as with BuildKit.
        let is_step = |todo: &&Todo| {
            use Kind::{Add, Copy, Run, Workdir};
            todo.trigger.is_some()
                || matches!(
                    todo.instruction.kind,
                    Add(_) | Copy(_) | Run(_) | Workdir(_)
                )
        };
        let has_base =
            matches!(&node.base, Origin::Outside(outside) if *outside != Outside::Nothing);
        let total = node.todos.iter().filter(is_step).count();
        let mut current = Current {
            state: State {
                root: None,
                config: config::empty(&self.stages.platform),
                variables: Variables::default(),
                env: Variables::default(),
                declared: IndexMap::new(),
                platform: node
                    .platform
                    .clone()
                    .unwrap_or_else(|| self.stages.platform.clone()),
                has_workdir: false,
                has_escaped_args: false,
            },
            index,
            shown: node.shown.clone(),
            done: 0,
            total: if node.is_replaced {
                0
            } else {
                total + usize::from(has_base)
            },
            ignores_cache: self.stages.options.ignores_cache(node.name.as_deref()),
            trigger: None,
            single: BTreeMap::new(),
        };
        match &node.base {
            Origin::Stage(base) => {
                let state = self.states.get(*base)?.as_ref()?;
                let size = state.size();
                current.state = state.clone();
                if let Err(problem) = self.spend(size, node.at) {
                    problems.push(problem);
                    return None;
                }
            }
            Origin::Outside(outside) => self.base(&mut current, node, outside),
        }
        let state = &mut current.state;
        state.config.config.on_build.clear();
        for pair in std::mem::take(&mut state.config.config.env) {
            let (name, value) = pair.split_once('=').unwrap_or((&pair, ""));
            state.env.set(name, value);
        }
        if state.env.get("PATH").is_none() {
            state.env.set("PATH", config::PATH);
        }
        for (name, value) in state.env.iter() {
            state.variables.set(name, value);
        }
        let before = problems.len();
        for todo in &node.todos {
            if self.spent > LARGEST || problems.len() > MOST_PROBLEMS {
                return None;
            }
            current.trigger = todo.trigger;
            if let Err(problem) = self.instruction(&mut current, todo) {
                problems.push(Problem {
                    at: current.place(problem.at),
                    ..problem
                });
            }
        }
        (problems.len() == before).then_some(current.state)
    }

    /// Begins with what is not in the file.
    fn base(&mut self, current: &mut Current, node: &Node, outside: &Outside) {
        let known = request(outside).and_then(|request| self.stages.bases.get(&request).cloned());
        if let Some(BaseImage { config, .. }) = known {
            let has_files = !config.rootfs.diff_ids.is_empty()
                || config.history.iter().any(|entry| !entry.empty_layer);
            current.state.config = ConfigFile {
                created: None,
                ..config
            };
            self.check_platform(current, node);
            if has_files {
                let id = self.outside(current, outside, node.at, true);
                current.state.root = id;
            }
            return;
        }
        current.state.root = self.outside(current, outside, node.at, true);
        if let Some(id) = current.state.root {
            self.reads(id, "/");
        }
    }

    fn check_platform(&mut self, current: &Current, node: &Node) {
        let wanted = &current.state.platform;
        let found = current.state.config.platform();
        if found.os != wanted.os || found.architecture != wanted.architecture {
            let message = format!(
                "Base image {} was pulled with platform \"{found}\", expected \"{wanted}\" for current build",
                node.written_base
            );
            let rule = Rule::InvalidBaseImagePlatform;
            self.stages.lint.add(rule, node.at, &node.comments, message);
        }
    }
}

/// The steps that a result needs, with new numbers.
fn needed(steps: Vec<Step>, result: Root) -> (Vec<Step>, Root) {
    let mut is_needed = vec![false; steps.len()];
    let mut open: Vec<StepId> = result.into_iter().collect();
    while let Some(id) = open.pop() {
        if let Some(flag) = is_needed.get_mut(id.0).filter(|flag| !**flag) {
            *flag = true;
            open.extend(steps.get(id.0).map(Step::inputs).unwrap_or_default());
        }
    }
    let mut count = 0;
    let numbers: Vec<StepId> = is_needed
        .iter()
        .map(|is_needed| {
            count += usize::from(*is_needed);
            StepId(count.saturating_sub(1))
        })
        .collect();
    let number = |id: StepId| numbers.get(id.0).copied().unwrap_or(id);
    let kept = steps
        .into_iter()
        .zip(&is_needed)
        .filter(|(_, needed)| **needed);
    let steps = kept.map(|(step, _)| step.renumbered(&number)).collect();
    (steps, result.map(number))
}
