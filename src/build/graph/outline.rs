//! What a Dockerfile can be asked for, without building it: its stages, and what the
//! one that is built takes (`docker build --call=targets` and `--call=outline`).

use indexmap::IndexMap;

use super::options::Options;
use super::scope::{Variables, expanded};
use super::stages::{Node, Origin, Stages, Todo};
use crate::dockerfile::{Argument, Dockerfile, Kind, MountFlag, MountType, Problem, Rules};

/// A stage that can be built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Its name in small letters; absent for one that has none, which only the last
    /// stage can be built without.
    pub name: Option<String>,
    /// What the comment before it says of it.
    pub description: String,
    /// It is what is built where nothing is asked for.
    pub is_default: bool,
}

/// What a stage takes, those included that it needs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Outline {
    /// The stage's name, and what the comment before it says.
    pub target: Option<(String, String)>,
    /// Build arguments by name.
    pub arguments: IndexMap<String, Taken>,
    /// Secrets by id, and whether they have to be given.
    pub secrets: IndexMap<String, bool>,
    /// SSH agents, in the same way.
    pub agents: IndexMap<String, bool>,
}

/// A build argument.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Taken {
    /// What it is where nothing else is given; empty for nothing.
    pub value: String,
    /// What the comment before it says of it.
    pub description: String,
}

/// The stages that can be built, in the order of the file.
pub fn targets(file: &Dockerfile) -> Vec<Target> {
    let last = file.stages.len().saturating_sub(1);
    let stages = file.stages.iter().enumerate().map(|(index, stage)| Target {
        name: stage.key(),
        description: stage
            .name
            .as_ref()
            .and_then(|name| description(&name.text, &stage.comments))
            .unwrap_or_default(),
        is_default: index == last,
    });
    stages
        .filter(|target| target.name.is_some() || target.is_default)
        .collect()
}

/// What the wanted stage takes. Nothing is known of images that it starts from.
///
/// # Errors
/// No such stage, a circle, a variable that must be set.
pub fn outline(file: &Dockerfile, options: &Options) -> Result<Outline, Vec<Problem>> {
    let stages = Stages::of(file, options)?;
    let needed = stages.reach();
    let mut walk = Walk {
        stages: &stages,
        options,
        outline: Outline::default(),
        scopes: Vec::new(),
    };
    walk.globals(&needed);
    for (node, is_needed) in stages.nodes.iter().zip(needed) {
        let walked = if is_needed {
            walk.stage(node).map_err(|problem| vec![problem])?
        } else {
            Variables::default()
        };
        walk.scopes.push(walked);
    }
    let target = stages.nodes.get(stages.target);
    let stage = file.stages.get(stages.target);
    if let Some((name, stage)) = target.and_then(|node| node.name.clone()).zip(stage) {
        let written = stage.name.as_ref().map_or("", |name| &name.text);
        let says = description(written, &stage.comments).unwrap_or_default();
        walk.outline.target = Some((name, says));
    }
    Ok(walk.outline)
}

struct Walk<'a> {
    stages: &'a Stages<'a>,
    options: &'a Options,
    outline: Outline,
    /// The variables at the end of each stage so far.
    scopes: Vec<Variables>,
}

impl Walk<'_> {
    /// The arguments before the first `FROM` that bases of the needed stages use.
    fn globals(&mut self, needed: &[bool]) {
        let (file, global) = (self.stages.file, &self.stages.global);
        let bases = file
            .stages
            .iter()
            .zip(needed)
            .filter(|(_, needed)| **needed);
        let used: Vec<String> = bases
            .filter_map(|(stage, _)| expanded(global, &stage.base, file.escape).ok())
            .flat_map(|base| base.used)
            .collect();
        for instruction in &file.arguments {
            let Kind::Arg(arguments) = &instruction.kind else {
                continue;
            };
            for Argument { name, .. } in
                arguments.iter().filter(|one| used.contains(&one.name.text))
            {
                let taken = Taken {
                    value: global.get(&name.text).unwrap_or_default().to_owned(),
                    description: description(&name.text, &instruction.comments).unwrap_or_default(),
                };
                self.outline.arguments.insert(name.text.clone(), taken);
            }
        }
    }

    fn stage(&mut self, node: &Node) -> Result<Variables, Problem> {
        let mut scope = match &node.base {
            Origin::Stage(index) => self.scopes.get(*index).cloned().unwrap_or_default(),
            Origin::Outside(_) => Variables::default(),
        };
        for Todo { instruction, .. } in &node.todos {
            match &instruction.kind {
                Kind::Arg(arguments) => {
                    for argument in arguments {
                        self.argument(argument, &instruction.comments, &mut scope)?;
                    }
                }
                Kind::Env(pairs) => {
                    for pair in pairs {
                        let value = expanded(&scope, &pair.value, self.stages.file.escape)?.text;
                        scope.set(&pair.name.text, &value);
                    }
                }
                Kind::Run(run) => {
                    for mount in &run.mounts {
                        self.mount(mount, &scope)?;
                    }
                }
                _ => {}
            }
        }
        Ok(scope)
    }

    fn argument(
        &mut self,
        argument: &Argument,
        comments: &[String],
        scope: &mut Variables,
    ) -> Result<(), Problem> {
        let name = &argument.name.text;
        let value = match (self.options.arguments.get(name), &argument.default) {
            (Some(given), _) => Some(given.clone()),
            (None, Some(default)) => Some(expanded(scope, default, self.stages.file.escape)?.text),
            (None, None) => self.stages.global.get(name).map(str::to_owned),
        };
        let says = description(name, comments).unwrap_or_default();
        let known = &mut self.outline.arguments;
        // Declared once more alone, it says nothing new.
        if argument.default.is_some() || !known.contains_key(name) {
            known.shift_remove(name);
            let taken = Taken {
                value: value.clone().unwrap_or_default(),
                description: says,
            };
            known.insert(name.clone(), taken);
        }
        if let Some(value) = value {
            scope.set(name, &value);
        }
        Ok(())
    }

    fn mount(&mut self, mount: &MountFlag, scope: &Variables) -> Result<(), Problem> {
        let rules = Rules::words(self.stages.file.escape);
        let spec = mount.resolve(&mut |text| {
            let expanded = scope.expand(text, rules);
            expanded
                .map(|expanded| expanded.text)
                .map_err(|error| error.to_string())
        })?;
        let (all, id) = match spec.kind {
            MountType::Secret => (&mut self.outline.secrets, spec.secret_id()),
            MountType::Ssh => (&mut self.outline.agents, spec.agent_id()),
            MountType::Bind | MountType::Cache | MountType::Tmpfs => return Ok(()),
        };
        *all.entry(id).or_default() |= spec.is_required;
        Ok(())
    }
}

/// What a comment says of a name: that line which begins with it, without the name.
fn description(name: &str, comments: &[String]) -> Option<String> {
    let found = comments.iter().find_map(|comment| {
        let rest = comment.strip_prefix(name)?;
        rest.strip_prefix(' ').map(|rest| rest.trim().to_owned())
    });
    found.filter(|_| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dockerfile::parse;

    const FILE: &str = "\
# BASE what is below
ARG BASE=scratch
ARG NOTUSED=7
# Base this works
FROM ${BASE} AS Base
# NAME who greets
ARG NAME=world
ARG B=${NAME}x C D=4
FROM scratch AS other
ARG OTHER=o
ARG NAME
FROM scratch AS unrelated
ARG UNREL=1
FROM base
# A1 is documented
# and second line
ARG A1
ENV A2=zz
ARG A2=yy
ARG BASE
COPY --from=other x /y
RUN --mount=type=secret,id=s1 --mount=type=secret,id=s2,required=true --mount=type=ssh,id=k,required echo
RUN --mount=type=secret,target=/run/xx  --mount=type=secret,id=${A2} --mount=type=ssh echo
";

    fn file() -> Dockerfile {
        parse(FILE.as_bytes()).expect("a Dockerfile")
    }

    #[test]
    fn stages_with_a_name_and_the_last_can_be_built() {
        let shown: Vec<_> = targets(&file())
            .into_iter()
            .map(|one| {
                (
                    one.name.unwrap_or_default(),
                    one.description,
                    one.is_default,
                )
            })
            .collect();
        let stage =
            |name: &str, says: &str, is_default| (name.to_owned(), says.to_owned(), is_default);
        assert_eq!(
            shown,
            [
                stage("base", "this works", false),
                stage("other", "", false),
                stage("unrelated", "", false),
                stage("", "", true),
            ]
        );
    }

    /// As `docker buildx build --call=outline` 0.29 tells them.
    #[test]
    fn an_outline_has_what_the_target_takes() {
        let mut options = Options::default();
        let of = |options: &Options| {
            let outline = outline(&file(), options).expect("an outline");
            let arguments: Vec<String> = outline
                .arguments
                .iter()
                .map(|(name, taken)| format!("{name}={} {}", taken.value, taken.description))
                .collect();
            (outline, arguments)
        };
        let (all, arguments) = of(&options);
        let wanted = [
            "BASE=scratch what is below",
            "NAME=world who greets",
            "B=worldx ",
            "C= ",
            "D=4 ",
            "OTHER=o ",
            "A1= is documented",
            "A2=yy ",
        ];
        assert_eq!(arguments, wanted);
        let pairs = |of: &[(&str, bool)]| -> IndexMap<String, bool> {
            of.iter()
                .map(|(id, must)| ((*id).to_owned(), *must))
                .collect()
        };
        assert_eq!(
            all.secrets,
            pairs(&[("s1", false), ("s2", true), ("xx", false), ("yy", false)])
        );
        assert_eq!(all.agents, pairs(&[("k", true), ("default", false)]));
        assert_eq!(all.target, None);
        options.target = Some("BASE".to_owned());
        options.arguments.insert("NAME".to_owned(), "me".to_owned());
        let (base, arguments) = of(&options);
        assert_eq!(
            arguments,
            [
                "BASE=scratch what is below",
                "NAME=me who greets",
                "B=mex ",
                "C= ",
                "D=4 "
            ]
        );
        assert_eq!(
            base.target,
            Some(("base".to_owned(), "this works".to_owned()))
        );
        options.target = Some("nope".to_owned());
        assert!(outline(&file(), &options).is_err());
    }
}
