//! One instruction: which arguments and flags it has.

use std::ops::Range;

use super::health;
use super::heredoc::Heredoc;
use super::instruction::{Argument, Command, Instruction, Kind, Stage};
use super::lines::Line;
use super::span::{Problem, Span, Word};
use super::words::{self, Flag, json, missing, plain_words, quoted_words};
use crate::similar::similar;

/// Every instruction.
const KEYWORDS: [&str; 18] = [
    "ADD",
    "ARG",
    "CMD",
    "COPY",
    "ENTRYPOINT",
    "ENV",
    "EXPOSE",
    "FROM",
    "HEALTHCHECK",
    "LABEL",
    "MAINTAINER",
    "ONBUILD",
    "RUN",
    "SHELL",
    "STOPSIGNAL",
    "USER",
    "VOLUME",
    "WORKDIR",
];

/// Reads one instruction.
pub(super) struct Reader<'a> {
    pub(super) line: &'a Line,
    pub(super) keyword: Word,
    pub(super) flags: Vec<Flag>,
    pub(super) rest: Range<usize>,
    pub(super) heredocs: Vec<Heredoc>,
    pub(super) escape: char,
}

pub(super) type Found<T> = Result<T, Vec<Problem>>;

impl<'a> Reader<'a> {
    pub(super) fn new(
        line: &'a Line,
        part: Range<usize>,
        heredocs: Vec<Heredoc>,
        escape: char,
    ) -> Self {
        let split = words::split(line, part, escape);
        Self {
            line,
            keyword: line.word(split.keyword),
            flags: split.flags,
            rest: split.rest,
            heredocs,
            escape,
        }
    }

    pub(super) fn at(&self) -> Span {
        self.line.span(0..self.line.text.trim_end().len())
    }

    pub(super) fn rest_at(&self) -> Span {
        self.line.span(self.rest.clone())
    }

    pub(super) fn rest_text(&self) -> &str {
        self.line.text.get(self.rest.clone()).unwrap_or_default()
    }

    pub(super) fn name(&self) -> String {
        self.keyword.text.to_ascii_uppercase()
    }

    pub(super) fn stage(self) -> Found<Stage> {
        let mut problems = self.unknown_flags(&["platform"]);
        let words = plain_words(self.line, self.rest.clone());
        let platform = self.flag_word("platform", &mut problems);
        let mut stage = Stage {
            platform,
            at: self.at(),
            text: self.line.text.trim().to_owned(),
            comments: self.line.comments.clone(),
            keyword: self.keyword.clone(),
            ..Stage::default()
        };
        match words.as_slice() {
            [base] => stage.base = base.clone(),
            [base, as_keyword, name] if as_keyword.text.eq_ignore_ascii_case("as") => {
                stage.base = base.clone();
                stage.as_keyword = Some(as_keyword.clone());
                if is_stage_name(&name.text) {
                    stage.name = Some(name.clone());
                } else {
                    problems.push(
                        Problem::new(
                            name.at,
                            format!("`{}` cannot be the name of a stage", name.text),
                        )
                        .expected("a letter, then letters, digits, `-`, `_` and `.`"),
                    );
                }
            }
            [] => problems.push(missing(self.line, &self.rest, "FROM", "`FROM image`")),
            [_, second, ..] => problems.push(
                Problem::new(
                    second.at.to(self.rest_at()),
                    format!("`{}` is too much here", second.text),
                )
                .expected("`FROM image` or `FROM image AS name`"),
            ),
        }
        done(stage, problems)
    }

    pub(super) fn instruction(self) -> Found<Instruction> {
        let at = self.at();
        let kind = self.kind()?;
        Ok(Instruction {
            at,
            text: self.line.text.trim().to_owned(),
            comments: self.line.comments.clone(),
            keyword: self.keyword,
            kind,
        })
    }

    pub(super) fn kind(&self) -> Found<Kind> {
        let known: &[&str] = match self.name().as_str() {
            "RUN" => &["mount", "network", "security", "device"],
            "COPY" => &["from", "chown", "chmod", "link", "parents", "exclude"],
            "ADD" => &[
                "chown",
                "chmod",
                "link",
                "keep-git-dir",
                "checksum",
                "unpack",
                "exclude",
            ],
            "HEALTHCHECK" => &health::FLAGS,
            _ => &[],
        };
        let name = self.name();
        if !KEYWORDS.contains(&name.as_str()) {
            let message = format!("`{}` is no instruction", self.keyword.text);
            let problem = Problem::new(self.keyword.at, message);
            return Err(vec![problem.did_you_mean(&name, &KEYWORDS)]);
        }
        let mut problems = self.unknown_flags(known);
        let kind = match name.as_str() {
            "ADD" => self.add(&mut problems).map(Kind::Add),
            "COPY" => self.copy(&mut problems).map(Kind::Copy),
            "RUN" => self.run(&mut problems).map(Kind::Run),
            "CMD" => self.command(self.rest.clone()).map(Kind::Cmd),
            "ENTRYPOINT" => self.command(self.rest.clone()).map(Kind::Entrypoint),
            "HEALTHCHECK" => health::read(self, &mut problems).map(Kind::Healthcheck),
            "SHELL" => self.shell().map(Kind::Shell),
            "ENV" | "LABEL" => {
                words::pairs(self.line, self.rest.clone(), self.escape, &name).map(|pairs| {
                    if name == "ENV" {
                        Kind::Env(pairs)
                    } else {
                        Kind::Label(pairs)
                    }
                })
            }
            "ARG" => self.arguments().map(Kind::Arg),
            "EXPOSE" => self.expose().map(Kind::Expose),
            "VOLUME" => self.volumes().map(Kind::Volume),
            "ONBUILD" => self.on_build().map(Kind::OnBuild),
            "MAINTAINER" => self.one("a name").map(Kind::Maintainer),
            "STOPSIGNAL" => self.one("a signal: `SIGTERM`").map(Kind::StopSignal),
            "USER" => self.one("a user: `name`, `1000:1000`").map(Kind::User),
            _ => self.one("a folder: `/app`").map(Kind::Workdir),
        };
        match kind {
            Ok(kind) => done(kind, problems),
            Err(found) => {
                problems.extend(found);
                Err(problems)
            }
        }
    }

    pub(super) fn unknown_flags(&self, known: &[&str]) -> Vec<Problem> {
        let name = self.name();
        let mut problems = Vec::new();
        let mut seen: Vec<&str> = Vec::new();
        for flag in &self.flags {
            if !known.contains(&flag.name.as_str()) {
                let message = format!("{name} has no flag `--{}`", flag.name);
                let problem = Problem::new(flag.at, message);
                problems.push(match similar(&flag.name, known.iter().copied()) {
                    Some(similar) => problem.help(format!("did you mean `--{similar}`?")),
                    None => problem,
                });
                continue;
            }
            let is_list = matches!(flag.name.as_str(), "mount" | "device" | "exclude");
            let is_seen = seen.contains(&flag.name.as_str());
            if !is_list && is_seen {
                let message = format!("the flag `--{}` is given twice", flag.name);
                problems.push(Problem::new(flag.at, message));
            }
            if !is_seen {
                seen.push(&flag.name);
            }
        }
        problems
    }

    /// The values of a flag, each with its place.
    pub(super) fn flag_words(&self, name: &str, problems: &mut Vec<Problem>) -> Vec<Word> {
        let mut words = Vec::new();
        for flag in self.flags.iter().filter(|flag| flag.name == name) {
            match &flag.value {
                Some(value) => words.push(Word {
                    text: value.clone(),
                    at: flag.at,
                }),
                None => problems.push(
                    Problem::new(flag.at, format!("the flag `--{name}` has no value"))
                        .expected(format!("`--{name}=value`")),
                ),
            }
        }
        words
    }

    pub(super) fn flag_word(&self, name: &str, problems: &mut Vec<Problem>) -> Option<Word> {
        let words = self.flag_words(name, problems).into_iter().next();
        words.filter(|word| !word.text.is_empty())
    }

    pub(super) fn flag_bool(&self, name: &str, problems: &mut Vec<Problem>) -> Option<bool> {
        let flag = self.flags.iter().find(|flag| flag.name == name)?;
        let value = flag.value.as_deref().map(str::to_lowercase);
        match value.as_deref() {
            None | Some("true") => Some(true),
            Some("false") => Some(false),
            Some(_) => {
                let value = flag.value.as_deref().unwrap_or_default();
                let message = format!("`{value}` cannot be the value of `--{name}`");
                problems.push(Problem::new(flag.at, message).expected("true or false"));
                None
            }
        }
    }

    /// Everything behind the keyword.
    pub(super) fn one(&self, what: &str) -> Found<Word> {
        if self.rest.is_empty() {
            return Err(vec![missing(self.line, &self.rest, &self.name(), what)]);
        }
        Ok(self.line.word(self.rest.clone()))
    }

    pub(super) fn command(&self, part: Range<usize>) -> Found<Command> {
        let at = self.line.span(part.clone());
        match json(self.line, part.clone()) {
            Ok(Some(words)) => Ok(Command {
                words,
                is_shell: false,
                at,
            }),
            Ok(None) => Ok(Command {
                words: vec![self.line.text.get(part).unwrap_or_default().to_owned()],
                is_shell: true,
                at,
            }),
            Err(problem) => Err(vec![problem]),
        }
    }

    pub(super) fn shell(&self) -> Found<Vec<String>> {
        let problem = || {
            let message = "SHELL has to be an array of strings";
            let at = if self.rest.is_empty() {
                self.keyword.at
            } else {
                self.rest_at()
            };
            Problem::new(at, message).expected("`SHELL [\"/bin/sh\", \"-c\"]`")
        };
        match json(self.line, self.rest.clone()) {
            Ok(Some(words)) if !words.is_empty() => Ok(words),
            Ok(_) => Err(vec![problem()]),
            Err(found) => Err(vec![found]),
        }
    }

    /// Words of the JSON form or parted by white space.
    pub(super) fn list(&self) -> Found<Vec<Word>> {
        let at = self.rest_at();
        match json(self.line, self.rest.clone()) {
            Ok(Some(words)) => Ok(words.into_iter().map(|text| Word { text, at }).collect()),
            Ok(None) => Ok(plain_words(self.line, self.rest.clone())),
            Err(problem) => Err(vec![problem]),
        }
    }

    pub(super) fn arguments(&self) -> Found<Vec<Argument>> {
        let words = quoted_words(self.line, self.rest.clone(), self.escape);
        if words.is_empty() {
            return Err(vec![missing(
                self.line,
                &self.rest,
                "ARG",
                "`ARG name=default`",
            )]);
        }
        let mut arguments = Vec::new();
        let mut problems = Vec::new();
        for word in words {
            let (name, default) = match word.text.split_once('=') {
                Some((name, default)) => (name, Some(default)),
                None => (word.text.as_str(), None),
            };
            if name.is_empty() {
                problems.push(Problem::new(word.at, "ARG is given a value without a name"));
            }
            let end = word.at.start + u32::try_from(name.len()).unwrap_or_default();
            arguments.push(Argument {
                name: Word {
                    text: name.to_owned(),
                    at: Span { end, ..word.at },
                },
                default: default.map(|default| Word {
                    text: default.to_owned(),
                    at: Span {
                        start: (end + 1).min(word.at.end),
                        ..word.at
                    },
                }),
            });
        }
        done(arguments, problems)
    }

    pub(super) fn expose(&self) -> Found<Vec<Word>> {
        let words = plain_words(self.line, self.rest.clone());
        if words.is_empty() {
            return Err(vec![missing(
                self.line,
                &self.rest,
                "EXPOSE",
                "a port: `80`, `53/udp`",
            )]);
        }
        Ok(words)
    }

    pub(super) fn volumes(&self) -> Found<Vec<Word>> {
        let mut words = self.list()?;
        if words.is_empty() {
            return Err(vec![missing(
                self.line,
                &self.rest,
                "VOLUME",
                "a folder: `/data`",
            )]);
        }
        let mut problems = Vec::new();
        for word in &mut words {
            word.text = word.text.trim().to_owned();
            if word.text.is_empty() {
                problems.push(Problem::new(
                    word.at,
                    "the name of a volume's folder is empty",
                ));
            }
        }
        done(words, problems)
    }

    pub(super) fn on_build(&self) -> Found<Word> {
        if self.rest.is_empty() {
            return Err(vec![missing(
                self.line,
                &self.rest,
                "ONBUILD",
                "an instruction",
            )]);
        }
        // Looked at by itself, so that what is wrong is told here and not where
        // somebody builds upon the image.
        let inner = Reader::new(
            self.line,
            self.rest.clone(),
            self.heredocs.clone(),
            self.escape,
        );
        let name = inner.name();
        if matches!(name.as_str(), "ONBUILD" | "FROM" | "MAINTAINER") {
            let message = format!("`{}` cannot be a trigger of ONBUILD", inner.keyword.text);
            return Err(vec![Problem::new(inner.keyword.at, message)]);
        }
        inner.kind()?;
        let mut text = self.rest_text().to_owned();
        for heredoc in &self.heredocs {
            text.push('\n');
            text.push_str(&heredoc.content);
            text.push_str(&heredoc.name);
        }
        Ok(Word {
            text,
            at: self.rest_at(),
        })
    }
}

fn done<T>(value: T, problems: Vec<Problem>) -> Found<T> {
    if problems.is_empty() {
        Ok(value)
    } else {
        Err(problems)
    }
}

/// A letter, then letters, digits, `-`, `_` and `.`.
fn is_stage_name(text: &str) -> bool {
    let is_inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.chars().all(is_inner)
}
