//! `COPY` and `ADD`.

use std::collections::BTreeSet;

use super::address::{self, Address};
use super::stages::Todo;
use super::step::{Copy, CopySource, Kind, Root, Source, Step};
use super::values::mode;
use super::walk::{Current, Walk};
use crate::build::paths;
use crate::dockerfile::{self, Files, Instruction, Problem, Rule, Rules, Word};

impl Walk<'_> {
    pub(super) fn copy(
        &mut self,
        current: &mut Current,
        todo: &Todo,
        copy: &dockerfile::Copy,
    ) -> Result<(), Problem> {
        let instruction = &todo.instruction;
        let mut parts = self.files(current, instruction, &copy.files)?;
        let (from, is_context) = match (todo.origins.first(), &copy.from) {
            (Some(Some(origin)), Some(word)) => (self.origin(current, origin, word.at)?, false),
            _ => (Some(self.context(current.place(instruction.at))), true),
        };
        for (word, path) in std::mem::take(&mut parts.paths) {
            if !matches!(address::read(&path), Ok(Address::Path)) {
                let message = format!("`{path}` is an address, which COPY does not fetch");
                return Err(Problem::new(word.at, message).help("use ADD"));
            }
            if is_context {
                self.ignored(current, instruction, &path, "Copy");
            }
            let how = How {
                keeps_parents: copy.keeps_parents,
                unpacks: false,
            };
            let source = self.file(current, from, (&word, &path), how);
            parts.sources.push(source);
        }
        let text = if copy.keeps_parents {
            "COPY --parents"
        } else {
            "COPY"
        };
        self.copied(current, instruction, parts, text);
        Ok(())
    }

    pub(super) fn add(
        &mut self,
        current: &mut Current,
        instruction: &Instruction,
        add: &dockerfile::Add,
    ) -> Result<(), Problem> {
        let mut parts = self.files(current, instruction, &add.files)?;
        let checksum = match &add.checksum {
            Some(word) => {
                let checksum = self.expand(current, instruction, word, self.words())?;
                check_checksum(&parts, word)?;
                Some(checksum).filter(|checksum| !checksum.is_empty())
            }
            None => None,
        };
        for (word, path) in std::mem::take(&mut parts.paths) {
            let place = current.place(instruction.at);
            let platform = current.state.platform.clone();
            let address = address::read(&path).map_err(|message| Problem::new(word.at, message))?;
            let source = match address {
                Address::Path => {
                    let context = Some(self.context(place));
                    self.ignored(current, instruction, &path, "Add");
                    let unpacks = add.unpacks.unwrap_or(true);
                    let how = How {
                        keeps_parents: false,
                        unpacks,
                    };
                    self.file(current, context, (&word, &path), how)
                }
                Address::Http { file } => {
                    if let Some(checksum) = &checksum
                        && let Err(error) = crate::image::Digest::parse(checksum)
                    {
                        return Err(Problem::new(word.at, format!("the checksum: {error}")));
                    }
                    let source = Source::Http {
                        url: path,
                        file: file.clone(),
                        checksum: checksum.clone(),
                        is_tree: false,
                    };
                    let name = format!("ADD {}", word.text);
                    CopySource::Download {
                        from: self.source(source, name, place, platform),
                        file,
                        unpacks: add.unpacks.unwrap_or(false),
                    }
                }
                Address::Git(mut git) => {
                    git.keeps_git_dir |= add.keeps_git_dir.unwrap_or(false);
                    match (&checksum, &git.checksum) {
                        (Some(wanted), Some(found)) if wanted != found => {
                            let message = format!("the checksums `{wanted}` and `{found}` differ");
                            return Err(Problem::new(word.at, message));
                        }
                        (Some(wanted), None) => git.checksum = Some(wanted.clone()),
                        _ => {}
                    }
                    let name = format!("ADD {}", word.text);
                    CopySource::Tree {
                        from: self.source(Source::Git(git), name, place, platform),
                    }
                }
            };
            parts.sources.push(source);
        }
        self.copied(current, instruction, parts, "ADD");
        Ok(())
    }

    /// What both have in common, expanded.
    fn files(
        &mut self,
        current: &Current,
        instruction: &Instruction,
        files: &Files,
    ) -> Result<Parts, Problem> {
        let rules = self.words();
        let optional = |walk: &mut Self, word: &Option<Word>| match word {
            Some(word) => {
                let text = walk.expand(current, instruction, word, rules)?;
                Ok(Some((word.at, text)).filter(|(_, text)| !text.is_empty()))
            }
            None => Ok(None),
        };
        let owner = optional(self, &files.owner)?;
        let written_mode = optional(self, &files.mode)?;
        let mode = match &written_mode {
            Some((at, text)) => Some(mode(text).map_err(|message| {
                let problem = Problem::new(*at, message);
                problem.expected("an octal number up to 7777, or `u=rwX,go=rX`")
            })?),
            None => None,
        };
        let mut parts = Parts {
            paths: Vec::new(),
            sources: Vec::new(),
            names: Vec::new(),
            written_mode: written_mode.map(|(_, text)| text),
            written: String::new(),
            copy: Copy {
                root: current.state.root,
                sources: Vec::new(),
                destination: String::new(),
                owner: owner.map(|(_, text)| text),
                mode,
                excludes: Vec::new(),
                is_link: files.is_link,
            },
        };
        for word in &files.excludes {
            // Not expanded, as with BuildKit.
            parts.copy.excludes.push(word.text.clone());
        }
        for word in &files.paths {
            let path = self.expand(current, instruction, word, rules)?;
            parts.names.push(path.clone());
            parts.paths.push((word.clone(), path));
        }
        for heredoc in &files.heredocs {
            let mut content = heredoc.file();
            if heredoc.expands {
                let word = Word {
                    text: content,
                    at: heredoc.at,
                };
                content = self.expand(current, instruction, &word, Rules::HEREDOC)?;
            }
            parts.names.push(format!("<<{}", heredoc.name));
            parts.sources.push(CopySource::Inline {
                name: heredoc.name.clone(),
                content,
            });
        }
        parts.written = self.expand(current, instruction, &files.destination, rules)?;
        parts.copy.destination = paths::destination(current.folder(), &parts.written);
        Ok(parts)
    }

    /// Files of a root.
    fn file(
        &mut self,
        current: &Current,
        from: Root,
        source: (&Word, &str),
        how: How,
    ) -> CopySource {
        let (word, path) = source;
        let (path, parents) = match path.split_once("/./") {
            _ if !how.keeps_parents => (paths::absolute(path), None),
            Some((parent, rest)) => (paths::absolute(parent), Some(paths::relative(rest))),
            None => ("/".to_owned(), Some(paths::relative(path))),
        };
        if let Some(id) = from {
            let read = match &parents {
                Some(below) => format!("{path}/{below}"),
                None => path.clone(),
            };
            self.reads(id, &read);
        }
        CopySource::Files {
            from,
            path,
            parents,
            unpacks: how.unpacks,
            at: current.place(word.at),
        }
    }

    /// Warns of a source that `.dockerignore` leaves out.
    fn ignored(&mut self, current: &Current, instruction: &Instruction, path: &str, verb: &str) {
        let Some(ignore) = &self.stages.options.ignore else {
            return;
        };
        // With exceptions it may be that a part of it is there.
        if ignore.has_exceptions() {
            return;
        }
        let clean = if path.starts_with('/') {
            paths::absolute(path)
        } else {
            paths::relative(path)
        };
        let is_ignored = match clean.as_str() {
            "" | "/" => ignore.takes_everything(),
            clean => ignore.excludes(clean),
        };
        if is_ignored {
            let clean = if clean.is_empty() { "." } else { &clean };
            let message =
                format!("Attempting to {verb} file \"{clean}\" that is excluded by .dockerignore");
            self.warn(current, instruction, Rule::CopyIgnoredFile, message);
        }
    }

    /// The step, and what the history says.
    fn copied(
        &mut self,
        current: &mut Current,
        instruction: &Instruction,
        parts: Parts,
        keyword: &str,
    ) {
        let mut text = keyword.to_owned();
        if let Some(owner) = &parts.copy.owner {
            text.push_str(&format!(" --chown={owner}"));
        }
        if let Some(mode) = &parts.written_mode {
            text.push_str(&format!(" --chmod={mode}"));
        }
        for name in &parts.names {
            text.push(' ');
            text.push_str(name);
        }
        text.push_str(&format!(" {} # buildkit", parts.written));
        // Files first, here-documents behind them, as with BuildKit.
        let (inline, files): (Vec<_>, Vec<_>) = parts
            .sources
            .into_iter()
            .partition(|source| matches!(source, CopySource::Inline { .. }));
        let step = Step {
            name: self.shown(current, &instruction.text, self.words(), &BTreeSet::new()),
            kind: Kind::Copy(Copy {
                sources: files.into_iter().chain(inline).collect(),
                ..parts.copy
            }),
            at: current.place(instruction.at),
            platform: current.state.platform.clone(),
            ignores_cache: current.ignores_cache,
        };
        current.state.root = Some(self.push(step));
        current.history(text, true);
    }
}

/// How files are copied.
#[derive(Clone, Copy)]
struct How {
    keeps_parents: bool,
    unpacks: bool,
}

/// A checksum is for one thing that comes from elsewhere.
fn check_checksum(parts: &Parts, word: &Word) -> Result<(), Problem> {
    match parts.paths.as_slice() {
        [(_, path)] if !matches!(address::read(path), Ok(Address::Path)) => Ok(()),
        [_] => {
            let problem = Problem::new(word.at, "a file of the context has no `--checksum`");
            Err(problem.expected("an address: `https://…`, or a git repository"))
        }
        _ => Err(Problem::new(word.at, "`--checksum` is for a single source")),
    }
}

/// What is known of the files before the step is made.
struct Parts {
    /// Paths and addresses: as written, and expanded.
    paths: Vec<(Word, String)>,
    sources: Vec<CopySource>,
    /// What the history calls them.
    names: Vec<String>,
    written_mode: Option<String>,
    /// The destination as the history has it.
    written: String,
    copy: Copy,
}
