//! The pipeline from files to one canonical tree: reading, interpolation,
//! `extends`, `include`, merging and validation, file by file.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use indexmap::IndexMap;

use super::diag::{Diagnostic, INCLUDED, Report};
use super::extends::PlainFiles;
use super::files::{FileSystem, Impatient, too_large};
use super::limits::{Limits, MOST_BYTES, MOST_FILES, MOST_NODES, MOST_TEXT, OWN_CACHE};
use super::paths::Resolver;
use super::tags::Resets;
use super::tree::{Map, Mark, Node, Trail, Value};
use super::unique::When;
use super::{canonical, check, defaults, interpolate, merge, schema, unique, yaml};

/// Variables by name.
pub(super) type Environment = IndexMap<String, String>;

/// What a set of files is loaded with; `include` makes new ones.
#[derive(Debug, Clone)]
pub(super) struct Scope {
    /// Where the files that are included or extended are looked for.
    pub(super) base: PathBuf,
    /// What is put before all other relative paths; nothing where they stay as they
    /// are written. It is relative itself in an included project: to `base` of the
    /// project that includes it.
    pub(super) prefix: Option<PathBuf>,
    pub(super) environment: Arc<Environment>,
    /// The number that a trace knows these variables by.
    pub(super) number: usize,
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
    pub(super) files: Impatient<'a>,
    pub(super) home: Option<String>,
    pub(super) report: Report,
    documents: HashMap<PathBuf, Documents>,
    /// Texts of files of variables.
    pub(super) texts: HashMap<PathBuf, Option<Arc<str>>>,
    /// Files that services are extended from.
    pub(super) plain: PlainFiles,
    pub(super) limits: Limits,
    /// Variables stay as they are written.
    pub(super) raw: bool,
    /// Names of the variables that were asked for, set or not.
    pub(super) asked: BTreeSet<String>,
    /// Services that are known to extend each other in a circle, or without end.
    pub(super) circles: HashSet<(PathBuf, String)>,
}

impl<'a> Loader<'a> {
    pub(super) fn new(files: &'a dyn FileSystem, home: Option<String>) -> Self {
        Self {
            files: Impatient::new(files),
            home,
            report: Report::default(),
            documents: HashMap::new(),
            texts: HashMap::new(),
            plain: PlainFiles::default(),
            limits: Limits::new(),
            raw: false,
            asked: BTreeSet::new(),
            circles: HashSet::new(),
        }
    }

    /// The documents of a file; `None` where an error was reported. `asked`
    /// is where the file is named, for the error of its absence.
    pub(super) fn documents(&mut self, input: &Input, asked: (Mark, &str)) -> Documents {
        if !self.limits.files.take(1) {
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
        let text: Arc<str> = match &input.text {
            Some(text) if text.len() > MOST_BYTES => {
                self.refuse_file(input, &too_large(), (mark, path));
                return None;
            }
            Some(text) => Arc::from(text.as_str()),
            None => match self.bytes(&input.name) {
                Ok(bytes) => match std::str::from_utf8(&bytes) {
                    Ok(text) => Arc::from(text),
                    Err(error) => {
                        let at = self.not_utf8(input, &bytes, error);
                        self.reached(at.file, mark, path);
                        let diagnostic = self
                            .report
                            .at(at, "", "the file is not UTF-8 here")
                            .expected("text in UTF-8")
                            .suggest("save the file in UTF-8, or write this character anew");
                        self.report.push(diagnostic);
                        return None;
                    }
                },
                Err(error) => {
                    self.refuse_file(input, &error, (mark, path));
                    return None;
                }
            },
        };
        let file = self.report.sources.add(&input.name, Arc::clone(&text));
        self.reached(file, mark, path);
        yaml::documents(&text, file, &mut self.report)
    }

    fn refuse_file(&mut self, input: &Input, error: &std::io::Error, (mark, path): (Mark, &str)) {
        let name = input.name.display();
        let message = format!("cannot read `{name}`: {}", io_text(error));
        let diagnostic = self
            .report
            .at(mark, path, message)
            .expected("a Compose file")
            .suggest(file_help(error, &input.name, "compose.yaml"));
        self.report.push(diagnostic);
    }

    /// Reads a file, unless there is no more room, or no more time.
    pub(super) fn bytes(&mut self, name: &Path) -> std::io::Result<Vec<u8>> {
        let bytes = self.files.read(name);
        match &bytes {
            Ok(bytes) if bytes.len() > MOST_BYTES => return Err(too_large()),
            Ok(bytes) if !self.limits.bytes.take(bytes.len()) => {
                let message = format!(
                    "the project's files are larger than {} MiB together",
                    MOST_BYTES >> 20
                );
                return Err(std::io::Error::new(
                    std::io::ErrorKind::FileTooLarge,
                    message,
                ));
            }
            _ => {}
        }
        bytes
    }

    /// Remembers how a file was reached: it is named at `mark`, by the attribute
    /// `path`, or by the user.
    fn reached(&mut self, file: u16, mark: Mark, path: &str) {
        if !mark.is_known() {
            return;
        }
        let service = path
            .strip_prefix("services.")
            .and_then(|rest| rest.split(".extends").next());
        let what = match service {
            Some(service) => format!("read for `extends` of service `{service}`"),
            None => INCLUDED.to_owned(),
        };
        self.report.sources.reached(file, mark, what);
    }

    /// The place of the first bytes that are not UTF-8.
    fn not_utf8(&mut self, input: &Input, bytes: &[u8], error: std::str::Utf8Error) -> Mark {
        let valid = error.valid_up_to();
        let before = bytes.get(..valid).unwrap_or_default();
        let text = String::from_utf8_lossy(bytes);
        let line = before.split(|b| *b == b'\n').count();
        let last = before.rsplit(|b| *b == b'\n').next().unwrap_or_default();
        let column = String::from_utf8_lossy(last).chars().count() + 1;
        Mark {
            file: self.report.sources.add(&input.name, Arc::from(&*text)),
            line: u32::try_from(line).unwrap_or(u32::MAX),
            column: u32::try_from(column).unwrap_or(u32::MAX),
            length: 1,
        }
    }

    /// Loads a set of files into one canonical tree with absolute paths.
    pub(super) fn model(&mut self, inputs: &[Input], scope: &Scope, included: &[PathBuf]) -> Node {
        let mut tree = Node::map(Map::new(), Mark::default());
        for input in inputs {
            for document in self.taken(input, (Mark::default(), "")) {
                tree = self.document(tree, document, input, scope, included);
            }
        }
        defaults::fill_in(&mut tree);
        check::tree(&tree, &mut self.report);
        if let Some(prefix) = &scope.prefix {
            self.resolve_paths(prefix, &mut tree);
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
            let mut diagnostic = self
                .report
                .at(document.mark, "", message)
                .expected("a mapping with `services:`");
            if let Some((key, value)) = document.as_str().and_then(|text| text.split_once(':')) {
                let help = format!("a space is missing behind the colon: write `{key}: {value}`");
                diagnostic.suggestion = Some(help);
            }
            self.report.push(diagnostic);
            return tree;
        }
        if self.limits.work.left() == 0 || !self.limits.work.take(tree.size()) {
            let message = "too many documents are merged for their size";
            self.report.error(document.mark, "", message);
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
        unique::unique(&mut tree, When::Written, &mut self.report);
        schema::check(&mut tree, &mut self.report);
        self.drop_version(&mut tree);
        let nodes = &mut self.limits.nodes;
        canonical::canonical(&mut tree, self.raw, nodes, &mut self.report);
        defaults::drop_empty(&mut tree);
        unique::unique(&mut tree, When::Canonical, &mut self.report);
        tree
    }

    pub(super) fn interpolate(&mut self, document: &mut Node, scope: &Scope) {
        if self.raw {
            return;
        }
        let file = document.mark.file;
        let provenance = &mut self.report.sources.provenance;
        provenance.interpolated(file, &scope.environment);
        if let Some(trace) = &mut self.report.trace {
            trace.scopes.read(file, scope.number);
        }
        let asked = RefCell::new(std::mem::take(&mut self.asked));
        let room = RefCell::new(&mut self.limits.text);
        let is_full = Cell::new(false);
        let lookup = |name: &str| {
            let mut asked = asked.borrow_mut();
            if !asked.contains(name) {
                asked.insert(name.to_owned());
            }
            let value = scope.environment.get(name)?;
            if room.borrow_mut().take(value.len()) {
                return Some(value.clone());
            }
            is_full.set(true);
            None
        };
        interpolate::interpolate(document, &lookup, &mut self.report);
        self.asked = asked.into_inner();
        if is_full.get() {
            self.too_much_text(document.mark);
        }
    }

    /// Refuses variables that make more of a file than there is room for.
    pub(super) fn too_much_text(&mut self, mark: Mark) {
        let message = format!(
            "variables and folders make the texts of the project larger than {} MiB",
            MOST_TEXT >> 20
        );
        self.report.error(mark, "", message);
    }

    /// Refuses files that become too large where they are put to use.
    pub(super) fn too_many_nodes(&mut self, mark: Mark, path: &str) {
        let message = format!("the project has more than {MOST_NODES} nodes here");
        let diagnostic = self
            .report
            .at(mark, path, message)
            .suggest("what is included or extended counts each time");
        self.report.push(diagnostic);
    }

    /// The documents of a file for keeps: out of the cache where they are
    /// large, so that they are not there twice.
    pub(super) fn taken(&mut self, input: &Input, asked: (Mark, &str)) -> Vec<Node> {
        let Some(documents) = self.documents(input, asked) else {
            return Vec::new();
        };
        let size = documents.iter().map(Node::size).sum();
        if !self.limits.nodes.take(size) {
            self.too_many_nodes(asked.0, asked.1);
            return Vec::new();
        }
        if size > OWN_CACHE {
            self.documents.remove(&input.name);
        }
        Rc::try_unwrap(documents).unwrap_or_else(|shared| (*shared).clone())
    }

    /// Where a service stands in any of the documents of a file that has several.
    pub(super) fn in_documents(&self, file: u16, service: &str) -> Option<Mark> {
        let documents = self.documents.get(self.report.sources.name(file)?)?;
        let documents = documents.as_ref().filter(|all| all.len() > 1)?;
        let services = documents.iter().filter_map(|one| one.get("services"));
        let mut found = services.filter_map(|services| services.get(service));
        found.next().map(|service| service.key)
    }

    /// Drops everything that was only kept in case it is asked for again.
    pub(super) fn forget_files(&mut self) {
        self.documents = HashMap::new();
        self.plain = PlainFiles::default();
    }

    pub(super) fn resolver<'b>(&'b self, base: &'b Path) -> Resolver<'b> {
        Resolver {
            base,
            home: self.home.as_deref(),
            files: &self.files,
            room: Cell::new(self.limits.text.left()),
        }
    }

    /// Puts `base` before the relative paths of a canonical tree. Those of files that
    /// others include or extend become relative to the folder of these first: what is
    /// the same path and what is not is decided, in the reference, before they are
    /// absolute.
    pub(super) fn resolve_paths(&mut self, base: &Path, tree: &mut Node) {
        let resolver = self.resolver(base);
        resolver.tree(tree);
        let used = self.limits.text.left() - resolver.room.get();
        let is_full = resolver.room.get() < base.as_os_str().len();
        self.limits.text.take(used);
        if is_full {
            self.too_much_text(tree.mark);
        }
        check::paths(tree, &mut self.report);
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
}

/// An I/O error in a few words.
pub(super) fn io_text(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "there is no such file".to_owned(),
        std::io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        std::io::ErrorKind::IsADirectory => "it is a folder".to_owned(),
        // Ours, which say what it is.
        std::io::ErrorKind::InvalidInput
        | std::io::ErrorKind::TimedOut
        | std::io::ErrorKind::FileTooLarge => error.to_string(),
        kind => kind.to_string(),
    }
}

/// What to do about a file that cannot be read; `example` is the name of such a file,
/// where a folder was named.
pub(super) fn file_help(error: &std::io::Error, name: &Path, example: &str) -> String {
    use std::io::ErrorKind;
    match error.kind() {
        ErrorKind::NotFound => "make the file, or correct its path".to_owned(),
        ErrorKind::IsADirectory => format!(
            "name a file in it, such as `{}`",
            name.join(example).display()
        ),
        ErrorKind::PermissionDenied => {
            "let this user read it, and its folder; or run the command as a user who may".to_owned()
        }
        ErrorKind::FileTooLarge => format!(
            "a project has {} MiB of text at most: name another file, or make several \
             projects of this one",
            MOST_BYTES >> 20
        ),
        ErrorKind::TimedOut => {
            "start what writes to the pipe before this command, or name a file".to_owned()
        }
        _ => "name a plain file; `-` stands for standard input".to_owned(),
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
