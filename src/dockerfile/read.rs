//! From bytes to instructions: the file as a whole.

use super::heredoc::{self, Heredoc};
use super::instruction::{Dockerfile, Instruction, Kind, Stage};
use super::lines::{Line, Lines};
use super::lint::LintOptions;
use super::reader::Reader;
use super::span::{Problem, Source, Span};
use super::words::{self, json};

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
    // The last character, which may have several bytes.
    let whole = source.text().get(..lines.end()).unwrap_or_default();
    let last = whole.char_indices().next_back().map_or(0, |(at, _)| at);
    let end = Span::new(last..lines.end());
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

#[cfg(test)]
mod tests {
    use super::*;

    /// What is missing is told at the last character, however many bytes that has.
    #[test]
    fn a_file_without_a_stage_may_end_in_any_character() {
        for (text, last) in [
            ("ARG X\n# caf\u{e9}", "\u{e9}"),
            ("ARG X\n# \u{1f600}", "\u{1f600}"),
            ("ARG X", "X"),
        ] {
            let error = parse(text.as_bytes()).unwrap_err();
            let problem = error.problems.first().expect("a problem");
            assert_eq!(error.source.part(problem.at), last, "{problem:?}");
        }
    }
}
