//! The instructions that change the image's config, and what is done for each.

use std::collections::BTreeSet;

use super::run::is_used_anyway;
use super::scope::ENTRY;
use super::stages::Todo;
use super::step::{Folder, Kind as StepKind, Step};
use super::values::is_signal;
use super::walk::{Current, Walk};
use super::{config, go, ports};
use crate::build::paths;
use crate::dockerfile::{
    Argument, Command, Healthcheck, Instruction, Kind, Pair, Problem, Rule, Word, is_secret_name,
};

impl Walk<'_> {
    pub(super) fn instruction(
        &mut self,
        current: &mut Current,
        todo: &Todo,
    ) -> Result<(), Problem> {
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
