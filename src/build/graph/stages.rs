//! The stages of a file: what each is built upon, what it takes from which others,
//! and which of them the target needs.

use std::collections::{BTreeMap, BTreeSet};

use super::options::Options;
use super::scope::{Variables, expanded, global, predefined};
use super::{BaseRequest, Bases, MOST_PROBLEMS, host, platforms, trigger};
use crate::dockerfile::{Dockerfile, Instruction, Kind, Lint, Problem, Rule, Span, Stage, Word};
use crate::image::{Platform, Reference};

/// Where files come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Origin {
    /// A stage by its number.
    Stage(usize),
    /// From outside of the file.
    Outside(Outside),
}

/// What is not in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outside {
    /// `scratch`.
    Nothing,
    /// An image, with its platform; as a named context with its name.
    Image {
        reference: Reference,
        platform: Platform,
        context: Option<String>,
    },
    /// A named context that is a folder.
    Folder(String),
    /// A named context that is on another machine: its name, and what it is.
    Remote(String, super::step::Source),
    /// A named context that is an image in a folder: its name, the folder, and for
    /// which platform.
    Layout(String, String, Platform),
    /// A named context that is another build.
    Build(String),
}

/// An instruction of a stage, and where its files come from.
#[derive(Debug, Clone)]
pub(super) struct Todo {
    pub(super) instruction: Instruction,
    /// It comes from an `ONBUILD` of the base: what is wrong with it is told here.
    pub(super) trigger: Option<Span>,
    /// Of `COPY --from`, or of each mount of a `RUN`.
    pub(super) origins: Vec<Option<Origin>>,
}

/// A stage.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) at: Span,
    pub(super) comments: Vec<String>,
    /// As its base is written.
    pub(super) written_base: String,
    pub(super) base: Origin,
    /// A named context takes its place.
    pub(super) is_replaced: bool,
    pub(super) name: Option<String>,
    pub(super) shown: String,
    /// `--platform`.
    pub(super) platform: Option<Platform>,
    pub(super) todos: Vec<Todo>,
    has_triggers: bool,
}

/// All stages.
#[derive(Debug)]
pub(super) struct Stages<'a> {
    pub(super) file: &'a Dockerfile,
    pub(super) options: &'a Options,
    pub(super) nodes: Vec<Node>,
    /// The stage that is wanted.
    pub(super) target: usize,
    /// Whether the target needs it.
    pub(super) needed: Vec<bool>,
    /// The global scope.
    pub(super) global: Variables,
    /// The names that the global scope's `ARG`s declare.
    pub(super) declared: Vec<String>,
    /// The platform that is built for.
    pub(super) platform: Platform,
    pub(super) lint: Lint,
    /// What is known of the bases.
    pub(super) bases: Bases,
    pub(super) by_name: BTreeMap<String, usize>,
    trigger_count: usize,
}

/// The instructions of a stage, yet to be connected.
fn todos(stage: &Stage) -> Vec<Todo> {
    let own = stage.instructions.iter().map(|instruction| Todo {
        instruction: instruction.clone(),
        trigger: None,
        origins: Vec::new(),
    });
    own.collect()
}

impl Node {
    /// Stands for a stage that something is wrong with, so that those after it are
    /// looked at, too.
    fn broken(stage: &Stage) -> Self {
        Self {
            at: stage.at,
            comments: Vec::new(),
            written_base: String::new(),
            base: Origin::Outside(Outside::Nothing),
            is_replaced: false,
            name: stage.key(),
            shown: String::new(),
            platform: None,
            todos: todos(stage),
            has_triggers: false,
        }
    }
}

/// More stages are refused.
const MOST_STAGES: usize = 2000;
/// More triggers, in all stages together, are refused.
const MOST_TRIGGERS: usize = 10_000;

impl<'a> Stages<'a> {
    /// Looks at all stages of a file.
    ///
    /// # Errors
    /// A base or platform that is none, no such target, a source that is none.
    pub(super) fn of(file: &'a Dockerfile, options: &'a Options) -> Result<Self, Vec<Problem>> {
        let build = options.build_platform.clone().unwrap_or_else(host);
        let platform = options.platform.clone().unwrap_or_else(|| build.clone());
        let last = file.stages.last().and_then(Stage::key);
        let target = options
            .target
            .clone()
            .or(last)
            .unwrap_or_else(|| "default".to_owned());
        let predefined = predefined(&build, &platform, &target, &options.arguments);
        let (global, declared) = global(file, predefined.clone(), &options.arguments)
            .map_err(|problem| vec![problem])?;
        if let Some(stage) = file.stages.get(MOST_STAGES) {
            let message = format!("a Dockerfile with more than {MOST_STAGES} stages is not built");
            return Err(vec![Problem::new(stage.at, message)]);
        }
        let mut lint = Lint::new(file.check.clone());
        lint.file(file);
        let mut stages = Self {
            file,
            options,
            nodes: Vec::new(),
            target: 0,
            needed: Vec::new(),
            global,
            declared,
            platform,
            lint,
            bases: Bases::new(),
            by_name: BTreeMap::new(),
            trigger_count: 0,
        };
        stages.check_defaults(predefined);
        let mut problems = Vec::new();
        for (index, stage) in file.stages.iter().enumerate() {
            let node = stages.node(index, stage).unwrap_or_else(|problem| {
                problems.push(problem);
                Node::broken(stage)
            });
            if let Some(name) = &node.name {
                stages.by_name.insert(name.clone(), index);
            }
            stages.nodes.push(node);
        }
        match stages.find_target() {
            Ok(target) => stages.target = target,
            Err(problem) => problems.push(problem),
        }
        stages.connect(&mut problems);
        if problems.is_empty() {
            return Ok(stages);
        }
        problems.sort_by_key(|problem| problem.at.start);
        problems.truncate(MOST_PROBLEMS);
        Err(problems)
    }

    /// A base's name ought to be one without any arguments, too.
    fn check_defaults(&mut self, predefined: Variables) {
        let Ok((defaults, _)) = global(self.file, predefined, &BTreeMap::new()) else {
            return;
        };
        for stage in &self.file.stages {
            let Ok(name) = expanded(&defaults, &stage.base, self.file.escape) else {
                return;
            };
            if Reference::parse(&name.text).is_err() {
                let message = format!(
                    "Default value for ARG {} results in empty or invalid base image name",
                    stage.base.text
                );
                let rule = Rule::InvalidDefaultArgInFrom;
                self.lint.add(rule, stage.base.at, &[], message);
            }
        }
    }

    fn node(&mut self, index: usize, stage: &Stage) -> Result<Node, Problem> {
        let escape = self.file.escape;
        let (global, declared) = (&self.global, &self.declared);
        let known = || -> Vec<&str> {
            global
                .names()
                .chain(declared.iter().map(String::as_str))
                .collect()
        };
        let base = expanded(&self.global, &stage.base, escape)?;
        platforms::undeclared(&base.missing, &known, stage, &mut self.lint);
        if base.text.is_empty() {
            let message = format!("the name of the base, `{}`, is empty", stage.base.text);
            let problem = Problem::new(stage.base.at, message);
            return Err(match base.missing.first() {
                Some(name) => problem.help(format!(
                    "declare it before the first `FROM`: `ARG {name}=image`"
                )),
                None => problem,
            });
        }
        let platform = match &stage.platform {
            Some(word) => Some(platforms::of_stage(
                stage,
                word,
                &self.global,
                &known,
                escape,
                &mut self.lint,
            )?),
            None => None,
        };
        let name = stage.key();
        let wanted = platform.clone().unwrap_or_else(|| self.platform.clone());
        let replacement = match &name {
            Some(name) => self.named(name, &stage.base, &wanted)?,
            None => None,
        };
        let is_replaced = replacement.is_some();
        let base_word = Word {
            text: base.text.clone(),
            at: stage.base.at,
        };
        let found = match replacement {
            Some(outside) => Origin::Outside(outside),
            None => match self.by_name.get(&base.text) {
                Some(index) => Origin::Stage(*index),
                None => Origin::Outside(self.outside(&base_word, &wanted)?),
            },
        };
        Ok(Node {
            at: stage.at,
            comments: stage.comments.clone(),
            written_base: base.text,
            base: found,
            shown: name.clone().unwrap_or_else(|| format!("stage-{index}")),
            name,
            platform,
            todos: if is_replaced {
                Vec::new()
            } else {
                todos(stage)
            },
            is_replaced,
            has_triggers: false,
        })
    }

    fn find_target(&self) -> Result<usize, Problem> {
        let Some(target) = &self.options.target else {
            return Ok(self.nodes.len().saturating_sub(1));
        };
        self.by_name
            .get(&target.to_lowercase())
            .copied()
            .ok_or_else(|| {
                let names: Vec<&str> = self.by_name.keys().map(String::as_str).collect();
                let message = format!("there is no stage `{target}`, which is the target");
                let problem = Problem::new(Span::default(), message);
                let problem = if names.is_empty() {
                    problem.expected("a stage with a name: `FROM image AS name`")
                } else {
                    problem.expected(format!("one of: {}", names.join(", ")))
                };
                problem.did_you_mean(target, &names)
            })
    }

    /// Finds out what the target needs, `ONBUILD` of its bases included. The result is
    /// what has to be known first.
    pub(super) fn settle(&mut self, bases: &Bases) -> Result<Vec<(BaseRequest, Span)>, Problem> {
        self.bases.clone_from(bases);
        loop {
            self.needed = self.reach();
            let mut needs: Vec<(BaseRequest, Span)> = Vec::new();
            let mut asked = BTreeSet::new();
            for (node, _) in self
                .nodes
                .iter()
                .zip(&self.needed)
                .filter(|(_, needed)| **needed)
            {
                let base = std::iter::once((&node.base, node.at));
                let others = node.todos.iter().flat_map(|todo| {
                    let at = todo.trigger.unwrap_or(todo.instruction.at);
                    todo.origins
                        .iter()
                        .flatten()
                        .map(move |origin| (origin, at))
                });
                for (origin, at) in base.chain(others) {
                    if let Origin::Outside(outside) = origin
                        && let Some(request) = request(outside)
                        && !bases.contains_key(&request)
                        && asked.insert(request.clone())
                    {
                        needs.push((request, at));
                    }
                }
            }
            if !needs.is_empty() {
                return Ok(needs);
            }
            if !self.add_triggers()? {
                return Ok(Vec::new());
            }
        }
    }

    /// Which stages the target needs.
    pub(super) fn reach(&self) -> Vec<bool> {
        let mut needed = vec![self.options.all_stages; self.nodes.len()];
        let mut open = vec![self.target];
        let mut seen = BTreeSet::new();
        while let Some(index) = open.pop() {
            if !seen.insert(index) {
                continue;
            }
            if let Some(flag) = needed.get_mut(index) {
                *flag = true;
            }
            let Some(node) = self.nodes.get(index) else {
                continue;
            };
            let origins = node
                .todos
                .iter()
                .flat_map(|todo| todo.origins.iter().flatten());
            for origin in origins.chain([&node.base]) {
                if let Origin::Stage(index) = origin {
                    open.push(*index);
                }
            }
        }
        needed
    }

    /// Puts the triggers of bases before the instructions of needed stages; says
    /// whether these may need further stages.
    fn add_triggers(&mut self) -> Result<bool, Problem> {
        let mut has_origins = false;
        for index in 0..self.nodes.len() {
            let is_needed = self.needed.get(index) == Some(&true);
            let Some(node) = self
                .nodes
                .get(index)
                .filter(|node| is_needed && !node.has_triggers)
            else {
                continue;
            };
            let texts = if node.is_replaced {
                Vec::new()
            } else {
                self.triggers(node)
            };
            let at = node.at;
            self.trigger_count += texts.len();
            if self.trigger_count > MOST_TRIGGERS {
                let message = format!("more than {MOST_TRIGGERS} triggers of bases are not run");
                return Err(Problem::new(at, message));
            }
            let mut todos = Vec::new();
            for text in texts {
                let mut todo = trigger::read(&text, at)?;
                todo.origins = self.origins(&todo)?;
                has_origins |= todo.origins.iter().any(Option::is_some);
                todos.push(todo);
            }
            if let Some(node) = self.nodes.get_mut(index) {
                todos.append(&mut node.todos);
                node.todos = todos;
                node.has_triggers = true;
            }
        }
        Ok(has_origins)
    }

    fn triggers(&self, node: &Node) -> Vec<String> {
        match &node.base {
            Origin::Outside(outside) => request(outside)
                .and_then(|request| self.bases.get(&request))
                .map(|base| base.config.config.on_build.clone())
                .unwrap_or_default(),
            Origin::Stage(index) => {
                let todos = self.nodes.get(*index).map(|base| base.todos.as_slice());
                todos
                    .unwrap_or_default()
                    .iter()
                    .filter_map(|todo| match &todo.instruction.kind {
                        Kind::OnBuild(word) => Some(word.text.clone()),
                        _ => None,
                    })
                    .collect()
            }
        }
    }
}

/// What has to be known of a base.
pub(super) fn request(outside: &Outside) -> Option<BaseRequest> {
    match outside {
        Outside::Nothing | Outside::Folder(_) | Outside::Remote(..) => None,
        Outside::Image {
            reference,
            platform,
            ..
        } => Some(BaseRequest::Image {
            reference: reference.to_string(),
            platform: platform.to_string(),
        }),
        Outside::Build(name) => Some(BaseRequest::Build { name: name.clone() }),
        Outside::Layout(_, layout, platform) => Some(BaseRequest::Layout {
            layout: layout.clone(),
            platform: platform.to_string(),
        }),
    }
}
