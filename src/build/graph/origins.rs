//! What the names in `FROM`, `COPY --from` and `RUN --mount=from` mean.

use super::MOST_PROBLEMS;
use super::address;
use super::options::NamedContext;
use super::stages::{Origin, Outside, Stages, Todo};
use super::step::Source;
use crate::dockerfile::{Kind, Problem, Span, Word};
use crate::image::{Platform, Reference};
use crate::similar::similar;

impl Stages<'_> {
    /// A named context by its name.
    pub(super) fn named(
        &self,
        name: &str,
        word: &Word,
        platform: &Platform,
    ) -> Result<Option<Outside>, Problem> {
        let Some((name, context)) = self.options.named(name) else {
            return Ok(None);
        };
        let fail = |message: String| Problem::new(word.at, message);
        Ok(Some(match context {
            NamedContext::Folder => Outside::Folder(name.to_owned()),
            NamedContext::Build(build) => Outside::Build(build.clone()),
            NamedContext::Git(text) => {
                let git = address::git(text)
                    .map_err(|message| fail(format!("the context `{name}`: {message}")))?;
                Outside::Remote(name.to_owned(), Source::Git(git))
            }
            NamedContext::Archive(url) => Outside::Remote(name.to_owned(), address::archive(url)),
            NamedContext::Layout(layout) => {
                Outside::Layout(name.to_owned(), layout.clone(), platform.clone())
            }
            NamedContext::Image(image) if image == "scratch" => Outside::Nothing,
            NamedContext::Image(image) => Outside::Image {
                reference: Reference::parse(image)
                    .map_err(|error| fail(format!("the context `{name}`: {error}")))?,
                platform: platform.clone(),
                context: Some(name.to_owned()),
            },
        }))
    }

    /// What a name means that is no stage.
    pub(super) fn outside(&self, word: &Word, platform: &Platform) -> Result<Outside, Problem> {
        if word.text == "scratch" {
            return Ok(Outside::Nothing);
        }
        if let Some(context) = self.named(&word.text, word, platform)? {
            return Ok(context);
        }
        let reference = Reference::parse(&word.text).map_err(|error| {
            let message = format!(
                "`{}` is neither a stage nor an image: {}",
                word.text, error.reason
            );
            let names: Vec<&str> = self.by_name.keys().map(String::as_str).collect();
            let problem = Problem::new(word.at, message);
            match similar(&word.text, names.iter().copied()) {
                Some(name) => problem.help(format!("did you mean the stage `{name}`?")),
                None if names.contains(&word.text.to_lowercase().as_str()) => {
                    problem.help("stages are referred to in small letters")
                }
                None => problem,
            }
        })?;
        Ok(Outside::Image {
            reference,
            platform: platform.clone(),
            context: None,
        })
    }

    /// Finds where the files of all instructions come from.
    pub(super) fn connect(&mut self, problems: &mut Vec<Problem>) {
        let mut others = 0;
        for index in 0..self.nodes.len() {
            let Some(node) = self.nodes.get(index) else {
                continue;
            };
            let mut found = Vec::new();
            for todo in &node.todos {
                let origins = self.origins(todo).unwrap_or_else(|problem| {
                    problems.push(problem);
                    Vec::new()
                });
                found.push(origins);
                if problems.len() > MOST_PROBLEMS {
                    return;
                }
            }
            others += found
                .iter()
                .flatten()
                .filter(|origin| !matches!(origin, Some(Origin::Stage(_))))
                .count();
            if let Some(node) = self.nodes.get_mut(index) {
                for (todo, origins) in node.todos.iter_mut().zip(found) {
                    todo.origins = origins;
                }
            }
        }
        // A single stage is not named in what is shown, unless others are at work.
        if let [only] = self.nodes.as_mut_slice()
            && others == 0
        {
            only.shown.clear();
        }
    }

    pub(super) fn origins(&self, todo: &Todo) -> Result<Vec<Option<Origin>>, Problem> {
        let place = |at: Span| todo.trigger.unwrap_or(at);
        match &todo.instruction.kind {
            Kind::Copy(copy) => {
                let Some(from) = &copy.from else {
                    return Ok(Vec::new());
                };
                let from = Word {
                    text: from.text.clone(),
                    at: place(from.at),
                };
                Ok(vec![Some(self.origin(&from, true)?)])
            }
            Kind::Run(run) => run
                .mounts
                .iter()
                .map(|mount| {
                    let from = mount.from().map(|from| Word {
                        text: from.to_owned(),
                        at: place(mount.at),
                    });
                    from.map(|from| self.origin(&from, false)).transpose()
                })
                .collect(),
            _ => Ok(Vec::new()),
        }
    }

    /// What `--from` names.
    pub(super) fn origin(&self, word: &Word, can_be_number: bool) -> Result<Origin, Problem> {
        if word.text.contains('$') {
            let message = "`from` cannot have variables";
            let help = "name a stage: `FROM $IMAGE AS name`, then `from=name`";
            return Err(Problem::new(word.at, message).help(help));
        }
        if can_be_number && let Ok(number) = word.text.parse::<usize>() {
            return if number < self.nodes.len() {
                Ok(Origin::Stage(number))
            } else {
                let message = format!("there is no stage `{number}`");
                let last = self.nodes.len().saturating_sub(1);
                Err(Problem::new(word.at, message).expected(format!("0 to {last}, or a name")))
            };
        }
        if let Some(index) = self.by_name.get(&word.text.to_lowercase()) {
            return Ok(Origin::Stage(*index));
        }
        self.outside(word, &self.platform).map(Origin::Outside)
    }
}
