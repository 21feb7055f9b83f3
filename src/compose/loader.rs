//! The pipeline from files to one canonical tree: reading, interpolation,
//! `extends`, `include`, merging and validation, file by file.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use indexmap::IndexMap;

use super::diag::{Diagnostic, Report, Step};
use super::paths::{self, Resolver};
use super::source::FileSystem;
use super::tags::Resets;
use super::tree::{Map, Mark, Node, Trail, Value};
use super::{canonical, check, defaults, interpolate, merge, schema, unique, yaml};

/// Most files that one load reads, each time one is included counted.
const MOST_FILES: usize = 2_000;

/// Variables by name.
pub(super) type Environment = IndexMap<String, String>;

/// What a set of files is loaded with; `include` makes new ones.
#[derive(Debug, Clone)]
pub(super) struct Scope {
    /// Where relative paths start.
    pub(super) base: PathBuf,
    /// The same of the project that includes this one.
    pub(super) outer: Option<PathBuf>,
    pub(super) environment: Rc<Environment>,
}

/// A file to load: its name, and its text where that is known already.
#[derive(Debug, Clone)]
pub(super) struct Input {
    pub(super) name: PathBuf,
    pub(super) text: Option<String>,
}

/// The documents of a file, read once.
pub(super) type Documents = Option<Rc<Vec<Node>>>;

/// The loader's state over all files.
pub(super) struct Loader<'a> {
    pub(super) files: &'a dyn FileSystem,
    pub(super) home: Option<String>,
    pub(super) report: Report,
    documents: HashMap<PathBuf, Documents>,
    loads: usize,
    /// Relative paths stay relative to the project's folder, and those of its own
    /// files as they are written.
    pub(super) keeps_paths: bool,
    /// Variables stay as they are written.
    pub(super) raw: bool,
    /// Names of the variables that were asked for, set or not.
    pub(super) asked: BTreeSet<String>,
    /// Services that are known to extend each other in a circle.
    pub(super) circles: HashSet<(PathBuf, String)>,
}

impl<'a> Loader<'a> {
    pub(super) fn new(files: &'a dyn FileSystem, home: Option<String>) -> Self {
        Self {
            files,
            home,
            report: Report::default(),
            documents: HashMap::new(),
            loads: 0,
            keeps_paths: false,
            raw: false,
            asked: BTreeSet::new(),
            circles: HashSet::new(),
        }
    }

    /// The documents of a file; `None` where an error was reported. `asked`
    /// is where the file is named, for the error of its absence.
    pub(super) fn documents(&mut self, input: &Input, asked: (Mark, &str)) -> Documents {
        self.loads += 1;
        if self.loads > MOST_FILES {
            let message = format!("more than {MOST_FILES} files are loaded");
            self.report.error(asked.0, asked.1, message);
            return None;
        }
        if let Some(known) = self.documents.get(&input.name) {
            return known.clone();
        }
        let documents = self.read(input, asked).map(Rc::new);
        self.documents.insert(input.name.clone(), documents.clone());
        documents
    }

    fn read(&mut self, input: &Input, (mark, path): (Mark, &str)) -> Option<Vec<Node>> {
        let name = input.name.display();
        let text = match &input.text {
            Some(text) => text.clone(),
            None => match self.files.read(&input.name) {
                Ok(bytes) => match String::from_utf8(bytes) {
                    Ok(text) => text,
                    Err(error) => {
                        self.not_utf8(input, &error);
                        return None;
                    }
                },
                Err(error) => {
                    let message = format!("cannot read `{name}`: {}", io_text(&error));
                    self.report.error(mark, path, message);
                    return None;
                }
            },
        };
        if text.len() > yaml::MOST_BYTES {
            let message = format!("`{name}` is larger than {} MiB", yaml::MOST_BYTES >> 20);
            self.report.error(mark, path, message);
            return None;
        }
        let text: Arc<str> = Arc::from(text);
        let file = self.report.sources.add(&input.name, Arc::clone(&text));
        if let Some(trace) = &mut self.report.trace {
            trace.reached.insert(file, self.report.chain.clone());
        }
        yaml::documents(&text, file, &mut self.report)
    }

    fn not_utf8(&mut self, input: &Input, error: &std::string::FromUtf8Error) {
        let valid = error.utf8_error().valid_up_to();
        let before = error.as_bytes().get(..valid).unwrap_or_default();
        let text = String::from_utf8_lossy(error.as_bytes());
        let lines = String::from_utf8_lossy(before);
        let line = lines.matches('\n').count() + 1;
        let last = before.rsplit(|b| *b == b'\n').next().unwrap_or_default();
        let column = String::from_utf8_lossy(last).chars().count() + 1;
        let mark = Mark {
            file: self.report.sources.add(&input.name, Arc::from(&*text)),
            line: u32::try_from(line).unwrap_or(u32::MAX),
            column: u32::try_from(column).unwrap_or(u32::MAX),
        };
        self.report.error(mark, "", "the file is not UTF-8 here");
    }

    /// Loads a set of files into one canonical tree with absolute paths.
    pub(super) fn model(&mut self, inputs: &[Input], scope: &Scope, included: &[PathBuf]) -> Node {
        let mut tree = Node::map(Map::new(), Mark::default());
        for input in inputs {
            let asked = (Mark::default(), "");
            if let Some(documents) = self.documents(input, asked) {
                for document in documents.iter() {
                    tree = self.document(tree, document.clone(), input, scope, included);
                }
            }
        }
        defaults::fill_in(&mut tree);
        check::tree(&tree, &mut self.report);
        if let Some(outer) = &scope.outer {
            self.resolve_paths(outer, &scope.base, &mut tree);
        } else if !self.keeps_paths {
            self.resolver(&scope.base).tree(&mut tree);
        }
        self.asked.extend(defaults::passed_on(&tree));
        defaults::resolve_variables(&mut tree, &scope.environment);
        tree
    }

    /// Merges one document over what came before it.
    fn document(
        &mut self,
        mut tree: Node,
        mut document: Node,
        input: &Input,
        scope: &Scope,
        included: &[PathBuf],
    ) -> Node {
        if document.as_map().is_none() {
            let message = format!("the top level is {}", document.kind());
            let diagnostic = self
                .report
                .at(document.mark, "", message)
                .expected("a mapping with `services:`");
            self.report.push(diagnostic);
            return tree;
        }
        let resets = Resets::take(&mut document);
        self.interpolate(&mut document, scope);
        self.apply_extends(&mut document, &input.name, scope, &resets);
        resets.apply(&mut tree, &mut Trail::default(), &mut self.report.trace);
        let mut path = included.to_vec();
        path.push(input.name.clone());
        self.apply_include(&mut document, scope, &path);
        tree = merge::merge(tree, document, &mut self.report);
        unique::unique(&mut tree, &mut self.report);
        schema::check(&mut tree, &mut self.report);
        self.drop_version(&mut tree);
        canonical::canonical(&mut tree, self.raw, &mut self.report);
        defaults::drop_empty(&mut tree);
        unique::unique(&mut tree, &mut self.report);
        tree
    }

    pub(super) fn interpolate(&mut self, document: &mut Node, scope: &Scope) {
        if self.raw {
            return;
        }
        let environment = Rc::clone(&scope.environment);
        let asked = RefCell::new(std::mem::take(&mut self.asked));
        let lookup = |name: &str| {
            asked.borrow_mut().insert(name.to_owned());
            environment.get(name).cloned()
        };
        interpolate::interpolate(document, &lookup, &mut self.report);
        self.asked = asked.into_inner();
    }

    /// Makes the paths of a tree absolute that are relative to `base`, or relative
    /// to `outer`, whatever is asked for.
    pub(super) fn resolve_paths(&self, outer: &Path, base: &Path, tree: &mut Node) {
        if self.keeps_paths {
            self.resolver(&paths::relative(outer, base)).tree(tree);
        } else {
            self.resolver(base).tree(tree);
        }
    }

    pub(super) fn resolver<'b>(&'b self, base: &'b Path) -> Resolver<'b> {
        Resolver {
            base,
            home: self.home.as_deref(),
            files: self.files,
        }
    }

    /// `version` is allowed and means nothing.
    fn drop_version(&mut self, tree: &mut Node) {
        let removed = tree
            .as_map_mut()
            .and_then(|map| map.shift_remove("version"));
        if let Some(version) = removed {
            let warning = self
                .report
                .at(
                    version.key,
                    "version",
                    "`version` is obsolete, it has no effect",
                )
                .suggest("remove it");
            self.report.push_warning(warning);
        }
    }

    /// Works below a step of the way that errors should tell.
    pub(super) fn below<T>(
        &mut self,
        mark: Mark,
        what: impl Into<String>,
        work: impl FnOnce(&mut Self) -> T,
    ) -> T {
        let step = Step {
            what: what.into(),
            position: self.report.sources.position(mark),
        };
        self.report.chain.insert(0, step);
        let result = work(self);
        self.report.chain.remove(0);
        result
    }
}

/// An I/O error in a few words.
pub(super) fn io_text(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "there is no such file".to_owned(),
        std::io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        std::io::ErrorKind::IsADirectory => "it is a folder".to_owned(),
        kind => kind.to_string(),
    }
}

/// A diagnostic about a file that is named nowhere in a file.
pub(super) fn cannot_read(path: &Path, error: &std::io::Error) -> Diagnostic {
    Diagnostic::error(format!(
        "cannot read `{}`: {}",
        path.display(),
        io_text(error)
    ))
}

/// The string of a scalar node, or the strings of a list of them.
pub(super) fn strings(node: Option<&Node>) -> Vec<(String, Mark)> {
    match node.map(|node| &node.value) {
        Some(Value::Str(text)) => vec![(text.clone(), node.map_or_else(Mark::default, |n| n.mark))],
        Some(Value::Seq(items)) => items
            .iter()
            .filter_map(|item| Some((item.as_str()?.to_owned(), item.mark)))
            .collect(),
        _ => Vec::new(),
    }
}
