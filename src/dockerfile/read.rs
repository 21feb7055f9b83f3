//! From lines to instructions: which arguments and flags each has.

use std::collections::BTreeMap;
use std::ops::Range;

use super::health;
use super::heredoc::{self, Heredoc};
use super::instruction::{
    Add, Argument, Command, Copy, Dockerfile, Files, Instruction, Kind, Network, Run, Stage,
};
use super::lines::{Line, Lines};
use super::lint::LintOptions;
use super::mount::{MountFlag, comma_separated, truth};
use super::similar::nearest;
use super::span::{Problem, Source, Span, Word};
use super::words::{self, Flag, json, missing, plain_words, quoted_words};

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

/// The largest file that is read, as with `BuildKit`.
pub const LARGEST: usize = 1 << 20;
/// More problems are not told.
const MOST_PROBLEMS: usize = 50;

/// A file that cannot be read, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// Its text.
    pub source: Source,
    /// In the order of the file, at least one.
    pub problems: Vec<Problem>,
}

/// Reads a file.
///
/// # Errors
/// Everything that is wrong with it: unknown instructions and flags, missing
/// arguments, here-documents that do not end, no `FROM` at all.
pub fn parse(bytes: &[u8]) -> Result<Dockerfile, Box<Unreadable>> {
    if bytes.len() > LARGEST {
        let message = format!(
            "the Dockerfile has {} bytes, more than {LARGEST} are not read",
            bytes.len()
        );
        return Err(Box::new(Unreadable {
            source: Source::default(),
            problems: vec![Problem::new(Span::default(), message)],
        }));
    }
    let (text, broken) = decoded(bytes);
    let source = Source::new(text);
    let (file, mut problems) = read(&source, &broken);
    if problems.is_empty() {
        return Ok(Dockerfile { source, ..file });
    }
    problems.sort_by_key(|problem| problem.at.start);
    if problems.len() > MOST_PROBLEMS {
        problems.truncate(MOST_PROBLEMS);
        let message = "there are more errors, told when these are mended";
        problems.push(Problem::new(Span::default(), message));
    }
    Err(Box::new(Unreadable { source, problems }))
}

/// Reads the instruction that an `ONBUILD` keeps in an image's config. Its places are
/// those of this text.
///
/// # Errors
/// The first thing that is wrong; more than one instruction.
pub fn trigger(text: &str) -> Result<Instruction, Problem> {
    let source = Source::new(text.to_owned());
    let mut lines = Lines::new(&source);
    let none = || Problem::new(Span::default(), "it is not one instruction");
    let line = lines.next_line().ok_or_else(none)?;
    let heredocs = heredocs(&line, &mut lines)?;
    let reader = Reader::new(&line, 0..line.text.len(), heredocs, lines.escape);
    let first = |problems: Vec<Problem>| problems.into_iter().next().unwrap_or_else(none);
    let instruction = reader.instruction().map_err(first)?;
    match lines.next_line() {
        None if !matches!(instruction.kind, Kind::OnBuild(_)) => Ok(instruction),
        _ => Err(none()),
    }
}

/// The text, and where it had bytes that are not UTF-8. They do no harm in a comment.
fn decoded(bytes: &[u8]) -> (String, Vec<usize>) {
    let mut text = String::with_capacity(bytes.len());
    let mut broken = Vec::new();
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        if !chunk.invalid().is_empty() {
            broken.push(text.len());
            text.push(char::REPLACEMENT_CHARACTER);
        }
    }
    (text, broken)
}

fn read(source: &Source, broken: &[usize]) -> (Dockerfile, Vec<Problem>) {
    let mut lines = Lines::new(source);
    let mut file = Dockerfile::default();
    let mut problems = Vec::new();
    let mut has_instructions = false;
    while let Some(line) = lines.next_line() {
        if problems.len() > MOST_PROBLEMS {
            break;
        }
        has_instructions = true;
        problems.extend(not_text(&line, broken));
        file.empty_continuations.extend(line.empty_continuation);
        let heredocs = match heredocs(&line, &mut lines) {
            Ok(heredocs) => heredocs,
            Err(problem) => {
                problems.push(problem);
                break;
            }
        };
        problems.extend(
            heredocs
                .iter()
                .filter_map(|one| broken_byte(one.at, broken)),
        );
        let reader = Reader::new(&line, 0..line.text.len(), heredocs, lines.escape);
        if reader.keyword.text.eq_ignore_ascii_case("FROM") {
            match reader.stage() {
                Ok(stage) => file.stages.push(stage),
                Err(found) => {
                    problems.extend(found);
                    // What follows belongs to it all the same.
                    file.stages.push(Stage::default());
                }
            }
            continue;
        }
        match reader.instruction() {
            Ok(instruction) => match file.stages.last_mut() {
                Some(stage) => stage.instructions.push(instruction),
                None if matches!(instruction.kind, Kind::Arg(_)) => {
                    file.arguments.push(instruction);
                }
                None => {
                    let keyword = &instruction.keyword.text;
                    let message = format!("`{keyword}` stands before the first `FROM`");
                    let problem = Problem::new(instruction.keyword.at, message);
                    problems.push(problem.expected("only `ARG` before `FROM`"));
                }
            },
            Err(found) => problems.extend(found),
        }
    }
    let end = Span::new(lines.end().saturating_sub(1)..lines.end());
    if !has_instructions {
        problems.push(Problem::new(
            Span::default(),
            "the Dockerfile has no instruction",
        ));
    } else if file.stages.is_empty() && problems.is_empty() {
        let problem = Problem::new(
            end,
            "the Dockerfile has no `FROM`, so there is nothing to build",
        );
        problems.push(problem);
    }
    problems.append(&mut lines.problems);
    file.escape = lines.escape;
    for directive in &lines.directives {
        match directive.name.as_str() {
            "syntax" => file.syntax = Some(directive.value.clone()),
            "check" => match LintOptions::parse(&directive.value.text) {
                Ok(options) => file.check = options,
                Err(message) => problems.push(Problem::new(directive.value.at, message)),
            },
            _ => {}
        }
    }
    (file, problems)
}

/// Bytes in a line that are no text.
fn not_text(line: &Line, broken: &[usize]) -> Option<Problem> {
    // Comments within the line are not part of its text.
    let has_any = line.text.contains(char::REPLACEMENT_CHARACTER);
    broken_byte(line.span(0..line.text.len()), broken).filter(|_| has_any)
}

/// The first byte of a part that is no text.
fn broken_byte(part: Span, broken: &[usize]) -> Option<Problem> {
    let start = usize::try_from(part.start).ok()?;
    let at = *broken.get(broken.partition_point(|at| *at < start))?;
    let is_inside = u32::try_from(at).ok()? < part.end;
    let at = Span::new(at..at + char::REPLACEMENT_CHARACTER.len_utf8());
    is_inside.then(|| {
        Problem::new(at, "this byte is not UTF-8").help("save the file in the encoding UTF-8")
    })
}

/// The here-documents of a line, if its instruction can have any.
fn heredocs(line: &Line, lines: &mut Lines<'_>) -> Result<Vec<Heredoc>, Problem> {
    if !line.text.contains("<<") {
        return Ok(Vec::new());
    }
    let mut split = words::split(line, 0..line.text.len(), lines.escape);
    let keyword = |split: &words::Split| {
        line.text
            .get(split.keyword.clone())
            .unwrap_or_default()
            .to_ascii_uppercase()
    };
    if keyword(&split) == "ONBUILD" {
        split = words::split(line, split.rest, lines.escape);
    }
    let can_have = matches!(keyword(&split).as_str(), "ADD" | "COPY" | "RUN");
    if !can_have || json(line, split.rest).is_ok_and(|json| json.is_some()) {
        return Ok(Vec::new());
    }
    heredoc::read(line, lines)
}

/// Reads one instruction.
pub(super) struct Reader<'a> {
    pub(super) line: &'a Line,
    pub(super) keyword: Word,
    pub(super) flags: Vec<Flag>,
    pub(super) rest: Range<usize>,
    heredocs: Vec<Heredoc>,
    escape: char,
}

type Found<T> = Result<T, Vec<Problem>>;

impl<'a> Reader<'a> {
    fn new(line: &'a Line, part: Range<usize>, heredocs: Vec<Heredoc>, escape: char) -> Self {
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

    fn at(&self) -> Span {
        self.line.span(0..self.line.text.trim_end().len())
    }

    fn rest_at(&self) -> Span {
        self.line.span(self.rest.clone())
    }

    fn rest_text(&self) -> &str {
        self.line.text.get(self.rest.clone()).unwrap_or_default()
    }

    fn name(&self) -> String {
        self.keyword.text.to_ascii_uppercase()
    }

    fn stage(self) -> Found<Stage> {
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

    fn instruction(self) -> Found<Instruction> {
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

    fn kind(&self) -> Found<Kind> {
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

    fn unknown_flags(&self, known: &[&str]) -> Vec<Problem> {
        let name = self.name();
        let mut problems = Vec::new();
        let mut seen: Vec<&str> = Vec::new();
        for flag in &self.flags {
            if !known.contains(&flag.name.as_str()) {
                let message = format!("{name} has no flag `--{}`", flag.name);
                let problem = Problem::new(flag.at, message);
                problems.push(match nearest(&flag.name, known.iter().copied()) {
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
    fn flag_words(&self, name: &str, problems: &mut Vec<Problem>) -> Vec<Word> {
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

    fn flag_bool(&self, name: &str, problems: &mut Vec<Problem>) -> Option<bool> {
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
    fn one(&self, what: &str) -> Found<Word> {
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

    fn shell(&self) -> Found<Vec<String>> {
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

    fn run(&self, problems: &mut Vec<Problem>) -> Found<Run> {
        let mounts = self.flag_words("mount", problems);
        let mounts = mounts
            .iter()
            .filter_map(|word| match MountFlag::read(&word.text, word.at) {
                Ok(mount) => Some(mount),
                Err(problem) => {
                    problems.push(problem);
                    None
                }
            })
            .collect();
        let network = match self.flag_word("network", problems) {
            None => Network::Default,
            Some(word) => match word.text.as_str() {
                "default" => Network::Default,
                "none" => Network::None,
                "host" => Network::Host,
                _ => {
                    problems.push(refused(&word, "network", &["default", "none", "host"]));
                    Network::Default
                }
            },
        };
        let is_privileged = match self.flag_word("security", problems) {
            None => false,
            Some(word) => match word.text.as_str() {
                "sandbox" => false,
                "insecure" => true,
                _ => {
                    problems.push(refused(&word, "security", &["sandbox", "insecure"]));
                    false
                }
            },
        };
        let devices = self.flag_words("device", problems);
        let devices = devices
            .iter()
            .filter_map(|word| match device(word) {
                Ok(device) => Some(device),
                Err(problem) => {
                    problems.push(problem);
                    None
                }
            })
            .collect();
        Ok(Run {
            command: self.command(self.rest.clone())?,
            heredocs: self.heredocs.clone(),
            mounts,
            network,
            is_privileged,
            devices,
        })
    }

    /// Words of the JSON form or parted by white space.
    fn list(&self) -> Found<Vec<Word>> {
        let at = self.rest_at();
        match json(self.line, self.rest.clone()) {
            Ok(Some(words)) => Ok(words.into_iter().map(|text| Word { text, at }).collect()),
            Ok(None) => Ok(plain_words(self.line, self.rest.clone())),
            Err(problem) => Err(vec![problem]),
        }
    }

    fn files(&self, problems: &mut Vec<Problem>) -> Found<Files> {
        let name = self.name();
        let mut words = self.list()?;
        let is_json = self.rest_text().starts_with('[') && self.heredocs.is_empty();
        let destination = words.pop();
        let Some(destination) = destination.filter(|_| !words.is_empty()) else {
            return Err(vec![
                Problem::new(
                    self.at(),
                    format!("{name} needs a source and a destination"),
                )
                .expected(format!("`{name} source… destination`")),
            ]);
        };
        if !is_json && heredoc::marker(&destination.text).is_some() {
            let message = format!("the destination of {name} cannot be a here-document");
            problems.push(Problem::new(destination.at, message));
        }
        let mut files = Files {
            destination,
            owner: self.flag_word("chown", problems),
            mode: self.flag_word("chmod", problems),
            excludes: self.flag_words("exclude", problems),
            is_link: self.flag_bool("link", problems).unwrap_or_default(),
            ..Files::default()
        };
        // Of several with one name the last, as with `BuildKit`.
        let contents = self.heredocs.iter().map(|one| (one.name.as_str(), one));
        let contents: BTreeMap<&str, &Heredoc> = contents.collect();
        for word in words {
            let marker = heredoc::marker(&word.text).filter(|_| !is_json);
            let Some(marker) = marker else {
                files.paths.push(word);
                continue;
            };
            let content = contents.get(marker.name.as_str()).copied().cloned();
            files.heredocs.push(content.unwrap_or(marker));
        }
        Ok(files)
    }

    fn copy(&self, problems: &mut Vec<Problem>) -> Found<Copy> {
        Ok(Copy {
            from: self.flag_word("from", problems),
            keeps_parents: self.flag_bool("parents", problems).unwrap_or_default(),
            files: self.files(problems)?,
        })
    }

    fn add(&self, problems: &mut Vec<Problem>) -> Found<Add> {
        Ok(Add {
            checksum: self.flag_word("checksum", problems),
            keeps_git_dir: self.flag_bool("keep-git-dir", problems),
            unpacks: self.flag_bool("unpack", problems),
            files: self.files(problems)?,
        })
    }

    fn arguments(&self) -> Found<Vec<Argument>> {
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

    fn expose(&self) -> Found<Vec<Word>> {
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

    fn volumes(&self) -> Found<Vec<Word>> {
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

    fn on_build(&self) -> Found<Word> {
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

fn refused(word: &Word, flag: &str, known: &[&str]) -> Problem {
    let message = format!("`{}` cannot be the value of `--{flag}`", word.text);
    Problem::new(word.at, message)
        .expected(known.join(", "))
        .did_you_mean(&word.text, known)
}

/// `name[,required[=true]]`.
fn device(word: &Word) -> Result<(String, bool), Problem> {
    let fields = comma_separated(&word.text)
        .ok_or_else(|| Problem::new(word.at, "a double quote in `--device` is not closed"))?;
    let mut name: Option<String> = None;
    let mut is_required = false;
    for field in fields {
        match field.split_once('=') {
            None if field.eq_ignore_ascii_case("required") => is_required = true,
            Some((key, value)) if key.eq_ignore_ascii_case("required") => {
                is_required = truth(value).ok_or_else(|| {
                    Problem::new(
                        word.at,
                        format!("`required` of a device cannot be `{value}`"),
                    )
                    .expected("true or false")
                })?;
            }
            Some((key, value)) if key.eq_ignore_ascii_case("name") && name.is_none() => {
                name = Some(value.to_owned());
            }
            _ if name.is_none() => name = Some(field),
            _ => {
                return Err(Problem::new(
                    word.at,
                    format!("`{field}` is no option of a device"),
                ));
            }
        }
    }
    Ok((name.unwrap_or_default(), is_required))
}

/// A letter, then letters, digits, `-`, `_` and `.`.
fn is_stage_name(text: &str) -> bool {
    let is_inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.chars().all(is_inner)
}
