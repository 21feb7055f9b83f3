//! `RUN`.

use std::collections::{BTreeMap, BTreeSet};

use super::config::with_shell;
use super::devices;
use super::options::{Insecure, Options};
use super::scope::is_proxy;
use super::stages::Todo;
use super::step::{Access, Kind, Mount, MountKind, Network, Run, Script, Sharing, Step};
use super::walk::{Current, Walk};
use crate::build::paths;
use crate::dockerfile::{
    self, MountSpec, MountType, Problem, Rules, Security, Span, is_heredoc_marker,
};

/// Where a script with an interpreter line of its own is.
const SCRIPTS: &str = "/dev/pipes";
/// Where secrets are that do not say where.
const SECRETS: &str = "/run/secrets";

/// Arguments that steer an attestation and are never variables.
pub(super) fn is_used_anyway(name: &str) -> bool {
    ["BUILDKIT_SBOM_SCAN_CONTEXT", "BUILDKIT_SBOM_SCAN_STAGE"].contains(&name)
}

impl Walk<'_> {
    pub(super) fn run(
        &mut self,
        current: &mut Current,
        todo: &Todo,
        run: &dockerfile::Run,
    ) -> Result<(), Problem> {
        let instruction = &todo.instruction;
        let (mounts, secret_variables) = self.mounts(current, todo, run)?;
        let mut shown = instruction.text.clone();
        let mut words = run.command.words.clone();
        let mut script = None;
        if let ([command], [first, ..]) = (words.as_mut_slice(), run.heredocs.as_slice()) {
            if is_heredoc_marker(command) {
                shown.push_str(&format!(" ({})", summary(&first.content)));
                let content = first.file();
                if content.starts_with("#!") {
                    let path = format!("{SCRIPTS}/{}", first.name);
                    command.clone_from(&path);
                    script = Some(Script { path, content });
                } else {
                    *command = content;
                }
            } else {
                for heredoc in &run.heredocs {
                    command.push('\n');
                    command.push_str(&heredoc.content);
                    command.push_str(&heredoc.name);
                }
            }
        }
        if run.command.is_shell {
            words = with_shell(&current.state.config.config, &words);
        }
        let size = current.state.variables.size() + current.state.declared.len();
        self.spend(2 * size + instruction.text.len(), instruction.at)?;
        let variables = current.state.variables.iter();
        let mut environment: Vec<(String, String)> = variables
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        let agent = mounts
            .iter()
            .find(|mount| matches!(mount.kind, MountKind::Ssh { .. }));
        if let Some(target) = agent.and_then(|mount| mount.target.clone())
            && !environment.iter().any(|(name, _)| name == "SSH_AUTH_SOCK")
        {
            environment.push(("SSH_AUTH_SOCK".to_owned(), target));
        }
        let escape = self.stages.file.escape;
        let options = self.stages.options;
        let network = network(options, run, instruction.at)?;
        let step = Step {
            name: self.shown(current, &shown, Rules::shown(escape), &secret_variables),
            kind: Kind::Run(Run {
                root: current.state.root,
                arguments: words.clone(),
                proxies: proxies(&options.arguments, &environment),
                environment,
                user: current.state.config.config.user.clone(),
                folder: paths::absolute(current.folder()),
                script,
                mounts,
                network,
                is_privileged: is_privileged(options.grants.insecure, run, instruction.at)?,
                left_out: devices::left_out(&run.devices, instruction.at)?,
                sandbox: options.sandbox.clone(),
            }),
            at: current.place(instruction.at),
            platform: current.state.platform.clone(),
            ignores_cache: current.ignores_cache,
        };
        let text = format!("RUN {} # buildkit", history(current, &words));
        current.state.root = Some(self.push(step));
        current.history(text, true);
        Ok(())
    }

    /// The mounts, and the variables that hold secrets.
    fn mounts(
        &mut self,
        current: &mut Current,
        todo: &Todo,
        run: &dockerfile::Run,
    ) -> Result<(Vec<Mount>, BTreeSet<String>), Problem> {
        let mut mounts = Vec::new();
        let mut secrets = BTreeSet::new();
        let mut agents = 0;
        for (index, flag) in run.mounts.iter().enumerate() {
            let rules = self.words();
            let mut missing = BTreeSet::new();
            let variables = &current.state.variables;
            let spec = flag.resolve(&mut |value| {
                let expanded = variables.expand(value, rules).map_err(|e| e.to_string())?;
                missing.extend(expanded.missing);
                Ok(expanded.text)
            })?;
            self.undefined(current, &todo.instruction, &missing);
            let origin = todo.origins.get(index).and_then(Option::as_ref);
            let from = match origin {
                Some(origin) => self.origin(current, origin, flag.at)?,
                None if spec.kind == MountType::Bind => Some(self.context(current.place(flag.at))),
                None => None,
            };
            let source = paths::absolute(&spec.source);
            if let Some(id) = from {
                self.reads(id, &source);
            }
            if let Some(variable) = spec
                .variable
                .clone()
                .filter(|_| spec.kind == MountType::Secret)
            {
                secrets.insert(variable);
            }
            let target = target(current, &spec, agents, flag.at)?;
            agents += usize::from(spec.kind == MountType::Ssh);
            let kind = match spec.kind {
                MountType::Bind => MountKind::Bind {
                    from,
                    source,
                    is_read_only: spec.is_read_only,
                },
                MountType::Cache => MountKind::Cache {
                    id: cache_id(&spec),
                    sharing: match spec.sharing {
                        None | Some(dockerfile::Sharing::Shared) => Sharing::Shared,
                        Some(dockerfile::Sharing::Private) => Sharing::Private,
                        Some(dockerfile::Sharing::Locked) => Sharing::Locked,
                    },
                    from,
                    source,
                    access: access(&spec, 0o755),
                    is_read_only: spec.is_read_only,
                },
                MountType::Tmpfs => MountKind::Tmpfs {
                    size: Some(spec.size).filter(|size| *size > 0),
                    is_read_only: spec.is_read_only,
                },
                MountType::Secret => MountKind::Secret {
                    id: spec.secret_id(),
                    access: access(&spec, 0o400),
                    variable: spec.variable,
                    is_required: spec.is_required,
                },
                MountType::Ssh => MountKind::Ssh {
                    access: access(&spec, 0o600),
                    id: spec.agent_id(),
                    is_required: spec.is_required,
                },
            };
            mounts.push(Mount {
                kind,
                target,
                at: current.place(flag.at),
            });
        }
        Ok((mounts, secrets))
    }
}

/// The network of a command. That of the machine has to be granted, unless it is
/// the one of the whole build.
fn network(options: &Options, run: &dockerfile::Run, at: Span) -> Result<Network, Problem> {
    match run.network {
        dockerfile::Network::Default => Ok(options.network.clone()),
        dockerfile::Network::None => Ok(Network::None),
        dockerfile::Network::Host
            if options.grants.host_network || options.network == Network::Host =>
        {
            Ok(Network::Host)
        }
        dockerfile::Network::Host => Err(not_granted("--network=host", "network.host", at)),
    }
}

fn is_privileged(granted: Insecure, run: &dockerfile::Run, at: Span) -> Result<bool, Problem> {
    match (run.security, granted) {
        (Some(Security::Sandbox), _) | (None, Insecure::Refused | Insecure::WhereAsked) => {
            Ok(false)
        }
        (None, Insecure::Always)
        | (Some(Security::Insecure), Insecure::WhereAsked | Insecure::Always) => Ok(true),
        (Some(Security::Insecure), Insecure::Refused) => {
            Err(not_granted("--security=insecure", "security.insecure", at))
        }
    }
}

fn not_granted(flag: &str, entitlement: &str, at: Span) -> Problem {
    let message = format!("`{flag}` is not granted to this Dockerfile");
    Problem::new(at, message).help(format!(
        "trust it with `build.entitlements: [{entitlement}]` of the service, or with \
         `skiff image build --allow {entitlement}`"
    ))
}

fn target(
    current: &Current,
    spec: &MountSpec,
    agents: usize,
    at: Span,
) -> Result<Option<String>, Problem> {
    match (spec.kind, spec.target.as_str()) {
        (MountType::Secret, "") if spec.variable.is_some() => Ok(None),
        (MountType::Secret, "") => Ok(Some(format!("{SECRETS}/{}", base_name(&spec.secret_id())))),
        (MountType::Ssh, "") => Ok(Some(format!("/run/buildkit/ssh_agent.{agents}"))),
        (MountType::Secret | MountType::Ssh, target) => Ok(Some(paths::absolute(target))),
        (_, target) => match paths::joined(current.folder(), target) {
            root if root == "/" => {
                let problem = Problem::new(at, "nothing can be mounted on `/`");
                Err(problem.help("say where: `target=/folder`"))
            }
            target => Ok(Some(target)),
        },
    }
}

/// The name of a cache: that of its target where it has none.
fn cache_id(spec: &MountSpec) -> String {
    if !spec.id.is_empty() {
        spec.id.clone()
    } else if spec.target.starts_with('/') {
        paths::absolute(&spec.target)
    } else {
        paths::relative(&spec.target)
    }
}

fn base_name(path: &str) -> &str {
    path.trim_end_matches('/')
        .rsplit('/')
        .next()
        .unwrap_or_default()
}

fn access(spec: &MountSpec, mode: u32) -> Access {
    Access {
        uid: spec.uid.unwrap_or(0),
        gid: spec.gid.unwrap_or(0),
        mode: spec.mode.unwrap_or(mode),
    }
}

/// The first line of a script.
fn summary(script: &str) -> String {
    let script = script.trim();
    match script.split_once('\n') {
        Some((first, _)) => format!("{}...", first.trim_end_matches('\r')),
        None => script.to_owned(),
    }
}

/// The command with the arguments that it may have used before it.
fn history(current: &Current, words: &[String]) -> String {
    let state = &current.state;
    let mut all = Vec::new();
    if !state.declared.is_empty() {
        all.push(format!("|{}", state.declared.len()));
    }
    for (name, value) in &state.declared {
        let value = state
            .variables
            .get(name)
            .or(value.as_deref())
            .unwrap_or_default();
        all.push(format!("{name}={value}"));
    }
    all.extend_from_slice(words);
    all.join(" ")
}

/// Proxies of the build arguments, each in both cases, as programs ask for either.
fn proxies(
    arguments: &BTreeMap<String, String>,
    environment: &[(String, String)],
) -> Vec<(String, String)> {
    let mut proxies = Vec::new();
    for (name, value) in arguments.iter().filter(|(name, _)| is_proxy(name)) {
        for name in [name.to_uppercase(), name.to_lowercase()] {
            let is_known = |list: &[(String, String)]| list.iter().any(|(known, _)| *known == name);
            if !is_known(environment) && !is_known(&proxies) {
                proxies.push((name, value.clone()));
            }
        }
    }
    proxies
}
