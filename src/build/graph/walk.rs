//! Goes through the stages that are needed, instruction by instruction, and writes
//! down steps, config and history.

use std::collections::{BTreeMap, BTreeSet};

use indexmap::IndexMap;

use super::config;
use super::go;
use super::ports;
use super::run::is_used_anyway;
use super::scope::{ENTRY, Variables};
use super::stages::{Node, Origin, Outside, Stages, Todo, request};
use super::step::{Folder, Kind as StepKind, Root, Source, Step, StepId};
use super::values::is_signal;
use super::{BaseImage, Plan};
use crate::build::paths;
use crate::dockerfile::{
    Argument, Command, Healthcheck, Instruction, Kind, Pair, Problem, Rule, Rules, Span, Word,
    is_secret_name, nearest,
};
use crate::image::{ConfigFile, Platform};

/// What is known at a place of a stage.
#[derive(Debug, Clone)]
pub(super) struct State {
    pub(super) root: Root,
    pub(super) config: ConfigFile,
    /// `ENV` and `ARG` together.
    pub(super) variables: Variables,
    /// `ENV` alone, as the config has it.
    env: Variables,
    /// The names that `ARG` declares, with their values.
    pub(super) declared: IndexMap<String, Option<String>>,
    pub(super) platform: Platform,
    has_workdir: bool,
    has_escaped_args: bool,
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
    shown: String,
    done: usize,
    total: usize,
    pub(super) ignores_cache: bool,
    /// Where places of the instruction are told, if not at themselves.
    pub(super) trigger: Option<Span>,
    /// `CMD`, `ENTRYPOINT` and `HEALTHCHECK` of the stage so far.
    single: BTreeMap<&'static str, Span>,
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
    steps: Vec<Step>,
    sources: BTreeMap<(Source, String), StepId>,
    /// What is read of contexts; `None` is all of it.
    paths: BTreeMap<StepId, Option<BTreeSet<String>>>,
    states: Vec<Option<State>>,
    declared: BTreeSet<String>,
    spent: usize,
}

/// More problems are not told.
const MOST_PROBLEMS: usize = 50;
/// What a plan may take, in bytes.
const LARGEST: usize = 64 << 20;

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
        if let Some(BaseImage { config, digest }) = known {
            let has_files = !config.rootfs.diff_ids.is_empty()
                || config.history.iter().any(|entry| !entry.empty_layer);
            current.state.config = ConfigFile {
                created: None,
                ..config
            };
            self.check_platform(current, node);
            if has_files {
                let id = self.outside(current, outside, node.at, digest.as_deref(), true);
                current.state.root = id;
            }
            return;
        }
        current.state.root = self.outside(current, outside, node.at, None, true);
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

    /// The step of something that is not in the file.
    pub(super) fn outside(
        &mut self,
        current: &mut Current,
        outside: &Outside,
        at: Span,
        digest: Option<&str>,
        is_base: bool,
    ) -> Root {
        let platform = match outside {
            Outside::Image { platform, .. } => platform.clone(),
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
            Outside::Git(name, git) => {
                let shown = format!("[context {name}] load git source {}", git.remote);
                (Source::Git(git.clone()), shown)
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
        let name = "[internal] load build context".to_owned();
        self.source(context_source(None), name, at, platform)
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
                Ok(self.outside(current, outside, current.place(at), None, false))
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

    /// What is shown of a step: `[build 2/5] RUN npm ci`.
    pub(super) fn prefixed(&self, current: &mut Current, text: &str) -> String {
        if current.total == 0 {
            return text.to_owned();
        }
        current.done += 1;
        let mut shown = String::from("[");
        if self.stages.options.shows_platform {
            shown.push_str(&format!("{} ", current.state.platform));
        }
        if !current.shown.is_empty() {
            shown.push_str(&current.shown);
            shown.push(' ');
        }
        let total = current.total;
        let width = total.to_string().len();
        let trigger = if current.trigger.is_some() {
            "ONBUILD "
        } else {
            ""
        };
        format!("{shown}{:>width$}/{total}] {trigger}{text}", current.done)
    }

    /// An instruction as it is shown: its first word in capitals.
    pub(super) fn shown(
        &self,
        current: &mut Current,
        text: &str,
        rules: Rules,
        hidden: &BTreeSet<String>,
    ) -> String {
        let variables = &current.state.variables;
        let lookup = |name: &str| {
            if hidden.contains(name) {
                Some("****".to_owned())
            } else {
                variables.get(name).map(str::to_owned)
            }
        };
        let expanded = crate::dockerfile::expand(text, rules, &lookup);
        let text = expanded.map_or_else(|_| text.to_owned(), |expanded| expanded.text);
        let (first, rest) = text.split_once(' ').unwrap_or((&text, ""));
        let space = if text.contains(' ') { " " } else { "" };
        let text = format!("{}{space}{rest}", first.to_uppercase());
        self.prefixed(current, &text)
    }

    /// A word with the variables of this place.
    pub(super) fn expand(
        &mut self,
        current: &Current,
        instruction: &Instruction,
        word: &Word,
        rules: Rules,
    ) -> Result<String, Problem> {
        let expanded = current
            .state
            .variables
            .expand(&word.text, rules)
            .map_err(|error| Problem::new(word.at, error.to_string()))?;
        self.undefined(current, instruction, &expanded.missing);
        self.spend(expanded.text.len(), word.at)?;
        Ok(expanded.text)
    }

    /// Counts what the plan takes: a small file can ask for much, with variables that
    /// double and environments that each command gets.
    pub(super) fn spend(&mut self, bytes: usize, at: Span) -> Result<(), Problem> {
        self.spent = self.spent.saturating_add(bytes);
        if self.spent > LARGEST {
            let message = "the plan of the build takes more than 64 MiB";
            let help = "it has very long variables, or very many";
            return Err(Problem::new(at, message).help(help));
        }
        Ok(())
    }

    pub(super) fn words(&self) -> Rules {
        Rules::words(self.stages.file.escape)
    }

    /// Warns of variables that are used and nowhere set.
    pub(super) fn undefined(
        &mut self,
        current: &Current,
        instruction: &Instruction,
        missing: &BTreeSet<String>,
    ) {
        if self.stages.lint.is_full() {
            return;
        }
        for name in missing {
            if current.state.declared.contains_key(name) || is_used_anyway(name) {
                continue;
            }
            let mut message = format!("Usage of undefined variable '${name}'");
            if let Some(similar) = nearest(name, current.state.variables.names()) {
                message.push_str(&format!(" (did you mean ${similar}?)"));
            }
            self.warn(current, instruction, Rule::UndefinedVar, message);
        }
    }

    pub(super) fn warn(
        &mut self,
        current: &Current,
        instruction: &Instruction,
        rule: Rule,
        message: String,
    ) {
        let at = current.place(instruction.at);
        self.stages
            .lint
            .add(rule, at, &instruction.comments, message);
    }

    fn instruction(&mut self, current: &mut Current, todo: &Todo) -> Result<(), Problem> {
        let instruction = &todo.instruction;
        match &instruction.kind {
            Kind::Arg(arguments) => self.arguments(current, instruction, arguments),
            Kind::Env(pairs) => self.env(current, instruction, pairs),
            Kind::Label(pairs) => self.labels(current, instruction, pairs),
            Kind::Run(run) => self.run(current, todo, run),
            Kind::Copy(copy) => self.copy(current, todo, copy),
            Kind::Add(add) => self.add(current, instruction, add),
            Kind::Workdir(path) => self.workdir(current, instruction, path),
            Kind::Cmd(command) => {
                self.once(current, instruction, "CMD");
                let words = self.command(current, instruction, command);
                current.history(format!("CMD {}", go::quoted_list(&words)), false);
                current.state.config.config.cmd = words;
                current.state.has_escaped_args = true;
                Ok(())
            }
            Kind::Entrypoint(command) => {
                self.once(current, instruction, "ENTRYPOINT");
                let words = self.command(current, instruction, command);
                current.history(format!("ENTRYPOINT {}", go::quoted_list(&words)), false);
                current.state.config.config.entrypoint = words;
                if !current.single.contains_key("CMD") {
                    current.state.config.config.cmd.clear();
                }
                Ok(())
            }
            Kind::Healthcheck(check) => {
                self.once(current, instruction, "HEALTHCHECK");
                current.history(health_history(check), false);
                current.state.config.config.healthcheck = Some(config::healthcheck(check));
                Ok(())
            }
            Kind::Expose(words) => self.expose(current, instruction, words),
            Kind::Volume(words) => {
                let mut volumes = Vec::new();
                for word in words {
                    let volume = self.expand(current, instruction, word, self.words())?;
                    if volume.is_empty() {
                        let message = format!("the volume's folder `{}` is empty", word.text);
                        return Err(Problem::new(word.at, message));
                    }
                    volumes.push(volume);
                }
                self.spend(current.state.config.config.volumes.len(), instruction.at)?;
                current.history(format!("VOLUME [{}]", volumes.join(" ")), false);
                config::add_all(&mut current.state.config.config.volumes, volumes);
                Ok(())
            }
            Kind::User(word) => {
                let user = self.expand(current, instruction, word, self.words())?;
                current.history(format!("USER {user}"), false);
                current.state.config.config.user = user;
                Ok(())
            }
            Kind::StopSignal(word) => {
                let signal = self.expand(current, instruction, word, self.words())?;
                if !is_signal(&signal) {
                    let problem = Problem::new(word.at, format!("`{signal}` is no signal"));
                    return Err(problem.expected("`SIGTERM`, `15`"));
                }
                current.history(format!("STOPSIGNAL {signal}"), false);
                current.state.config.config.stop_signal = Some(signal);
                Ok(())
            }
            Kind::Shell(words) => {
                current.history(format!("SHELL [{}]", words.join(" ")), false);
                current.state.config.config.shell.clone_from(words);
                Ok(())
            }
            Kind::Maintainer(word) => {
                current.history(format!("MAINTAINER {}", word.text), false);
                current.state.config.author = Some(word.text.clone());
                Ok(())
            }
            Kind::OnBuild(word) => {
                current.state.config.config.on_build.push(word.text.clone());
                Ok(())
            }
        }
    }

    /// Of some instructions only the last in a stage counts.
    fn once(&mut self, current: &mut Current, instruction: &Instruction, name: &'static str) {
        let at = current.place(instruction.at);
        if let Some(before) = current.single.insert(name, at) {
            let message = format!(
                "Multiple {} instructions should not be used in the same stage because only the last one will be used",
                instruction.keyword.text
            );
            let rule = Rule::MultipleInstructionsDisallowed;
            self.stages
                .lint
                .add(rule, before, &instruction.comments, message);
        }
    }

    /// `CMD` and `ENTRYPOINT` as the image has them.
    fn command(
        &mut self,
        current: &Current,
        instruction: &Instruction,
        command: &Command,
    ) -> Vec<String> {
        if !command.is_shell {
            return command.words.clone();
        }
        if current.state.config.config.shell.is_empty() {
            let message = format!(
                "JSON arguments recommended for {} to prevent unintended behavior related to OS signals",
                instruction.keyword.text
            );
            self.warn(current, instruction, Rule::JSONArgsRecommended, message);
        }
        config::with_shell(&current.state.config.config, &command.words)
    }

    fn arguments(
        &mut self,
        current: &mut Current,
        instruction: &Instruction,
        arguments: &[Argument],
    ) -> Result<(), Problem> {
        let mut shown = Vec::new();
        for argument in arguments {
            let name = &argument.name.text;
            self.declared.insert(name.clone());
            self.secret(current, instruction, "ARG", name);
            let given = self.stages.options.arguments.get(name).cloned();
            let value = match (given, &argument.default) {
                (Some(value), _) => Some(value),
                (None, Some(default)) => {
                    Some(self.expand(current, instruction, default, self.words())?)
                }
                (None, None) => self.stages.global.get(name).map(str::to_owned),
            };
            shown.push(match &value {
                Some(value) => format!("{name}={value}"),
                None => name.clone(),
            });
            if let Some(value) = &value
                && !is_used_anyway(name)
            {
                current.state.variables.set(name, value);
            }
            current.state.declared.insert(name.clone(), value);
        }
        current.history(format!("ARG {}", shown.join(" ")), false);
        Ok(())
    }

    /// Names and values, expanded with what was there before all of them.
    fn pairs(
        &mut self,
        current: &Current,
        instruction: &Instruction,
        pairs: &[Pair],
    ) -> Result<Vec<(String, String)>, Problem> {
        let keyword = &instruction.keyword.text;
        let mut expanded = Vec::new();
        for pair in pairs {
            if pair.is_legacy {
                let message = format!(
                    "\"{keyword} key=value\" should be used instead of legacy \"{keyword} key value\" format"
                );
                self.warn(current, instruction, Rule::LegacyKeyValueFormat, message);
            }
            let rules = self.words();
            let name = self.expand(current, instruction, &pair.name, rules)?;
            let value = self.expand(current, instruction, &pair.value, rules)?;
            expanded.push((name, value));
        }
        Ok(expanded)
    }

    fn env(
        &mut self,
        current: &mut Current,
        instruction: &Instruction,
        pairs: &[Pair],
    ) -> Result<(), Problem> {
        let pairs = self.pairs(current, instruction, pairs)?;
        let mut shown = String::from("ENV");
        for (name, value) in pairs {
            self.secret(current, instruction, "ENV", &name);
            shown.push_str(&format!(" {name}={value}"));
            current.state.variables.set(&name, &value);
            current.state.env.set(&name, &value);
        }
        current.history(shown, false);
        Ok(())
    }

    fn labels(
        &mut self,
        current: &mut Current,
        instruction: &Instruction,
        pairs: &[Pair],
    ) -> Result<(), Problem> {
        let pairs = self.pairs(current, instruction, pairs)?;
        let mut shown = String::from("LABEL");
        for (name, value) in pairs {
            shown.push_str(&format!(" {name}={value}"));
            current.state.config.config.labels.insert(name, value);
        }
        current.history(shown, false);
        Ok(())
    }

    fn secret(&mut self, current: &Current, instruction: &Instruction, keyword: &str, name: &str) {
        if is_secret_name(name) {
            let message = format!(
                "Do not use ARG or ENV instructions for sensitive data ({keyword} \"{name}\")"
            );
            self.warn(current, instruction, Rule::SecretsUsedInArgOrEnv, message);
        }
    }

    fn workdir(
        &mut self,
        current: &mut Current,
        instruction: &Instruction,
        word: &Word,
    ) -> Result<(), Problem> {
        let path = self.expand(current, instruction, word, self.words())?;
        if !current.state.has_workdir && !path.starts_with('/') {
            let message = format!(
                "Relative workdir \"{path}\" can have unexpected results if the base image changes"
            );
            self.warn(current, instruction, Rule::WorkdirRelativePath, message);
        }
        current.state.has_workdir = true;
        // An absolute one is kept as it is written, as with BuildKit.
        let folder = match path.as_str() {
            "" => current.folder().to_owned(),
            path if path.starts_with('/') => path.to_owned(),
            path => paths::joined(current.folder(), path),
        };
        current.state.config.config.working_dir.clone_from(&folder);
        let has_layer = folder != "/";
        if has_layer {
            let none = BTreeSet::new();
            let name = self.shown(current, &instruction.text, self.words(), &none);
            let step = Step {
                kind: StepKind::Folder(Folder {
                    root: current.state.root,
                    path: paths::absolute(&folder),
                    owner: current.state.config.config.user.clone(),
                }),
                name,
                at: current.place(instruction.at),
                platform: current.state.platform.clone(),
                ignores_cache: false,
            };
            current.state.root = Some(self.push(step));
        }
        current.history(format!("WORKDIR {folder}"), has_layer);
        Ok(())
    }

    fn expose(
        &mut self,
        current: &mut Current,
        instruction: &Instruction,
        words: &[Word],
    ) -> Result<(), Problem> {
        let mut words: Vec<&Word> = words.iter().collect();
        words.sort_by(|a, b| a.text.cmp(&b.text));
        let mut all = Vec::new();
        for word in words {
            let expanded = current
                .state
                .variables
                .expand(&word.text, self.words())
                .map_err(|error| Problem::new(word.at, error.to_string()))?;
            for text in expanded.words {
                let exposed = ports::read(&text).map_err(|message| {
                    Problem::new(word.at, message).expected("`80`, `53/udp`, `8000-8010`")
                })?;
                if exposed.has_capitals {
                    let message = format!(
                        "Defined protocol '{text}' in EXPOSE instruction should be lowercase"
                    );
                    self.warn(current, instruction, Rule::ExposeProtoCasing, message);
                }
                if exposed.has_host {
                    let message = format!(
                        "EXPOSE instruction should not define an IP address or host-port mapping, found '{text}'"
                    );
                    self.warn(current, instruction, Rule::ExposeInvalidFormat, message);
                }
                self.spend(exposed.ports.len() * ENTRY, word.at)?;
                all.extend(exposed.ports);
            }
        }
        self.spend(
            current.state.config.config.exposed_ports.len(),
            instruction.at,
        )?;
        current.history(format!("EXPOSE [{}]", all.join(" ")), false);
        config::add_all(&mut current.state.config.config.exposed_ports, all);
        Ok(())
    }
}

fn context_source(name: Option<&str>) -> Source {
    Source::Context {
        name: name.map(str::to_owned),
        paths: Vec::new(),
    }
}

fn health_history(check: &Healthcheck) -> String {
    let period = |period| go::quoted(&go::duration(period));
    format!(
        "HEALTHCHECK &{{{} {} {} {} {} {}}}",
        go::quoted_list(&check.test),
        period(check.interval),
        period(check.timeout),
        period(check.start_period),
        period(check.start_interval),
        go::quoted_number(check.retries)
    )
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
