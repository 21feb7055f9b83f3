//! `include`: the resources of other Compose files, each loaded as a project of
//! its own with its own folder and variables.
//!
//! Specification: "include".

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::files::FileSystem as _;
use super::limits::MOST_INCLUDES;
use super::loader::{Environment, Input, Loader, Scope, strings};
use super::paths::{absolute, relative};
use super::trace::Included;
use super::tree::{Map, Mark, Node};

/// The parts of a project that are taken over.
const RESOURCES: [&str; 6] = [
    "services", "volumes", "networks", "secrets", "configs", "models",
];

/// Attributes of an entry.
const ATTRIBUTES: [&str; 3] = ["path", "project_directory", "env_file"];

impl Loader<'_> {
    /// Takes the resources of all included files into the document; `path` are
    /// the files on the way here, the document's own last.
    pub(super) fn apply_include(&mut self, document: &mut Node, scope: &Scope, path: &[PathBuf]) {
        let Some(map) = document.as_map_mut() else {
            return;
        };
        // A shape that is wrong stays, for the schema to refuse.
        let is_known = map
            .get("include")
            .is_some_and(|include| include.is_null() || include.as_seq().is_some());
        if !is_known {
            return;
        }
        let Some(include) = map.shift_remove("include") else {
            return;
        };
        for (index, entry) in include.as_seq().unwrap_or_default().iter().enumerate() {
            let trail = format!("include[{index}]");
            let fits = entry.as_str().is_some() || entry.as_map().is_some();
            // Nothing is taken for a mapping with nothing in it.
            if !fits && !entry.is_null() {
                let message = super::model::shown(entry, &format!("is {}", entry.kind()));
                let diagnostic = self
                    .report
                    .at(entry.place(), &trail, message)
                    .expected("a path of a Compose file, or a mapping with `path:`")
                    .suggest(match entry.as_seq() {
                        Some(_) => "put each path in a line of its own, with a `- ` before it",
                        None => "write the path of a file, in quotes where it looks like a number",
                    });
                self.report.push(diagnostic);
                continue;
            }
            if let Some(imported) = self.included(entry, &trail, scope, path) {
                self.import(imported, document, entry.mark);
            }
        }
    }

    /// The strings of a member that is one, a list of them, or not there.
    fn texts(&mut self, entry: &Node, key: &str, trail: &str) -> Option<Vec<(String, Mark)>> {
        let Some(node) = entry.get(key) else {
            return Some(Vec::new());
        };
        let items = node.as_seq().unwrap_or_else(|| std::slice::from_ref(node));
        match items.iter().find(|item| item.as_str().is_none()) {
            Some(wrong) if !node.is_null() => {
                let message = super::model::shown(wrong, &format!("is {}", wrong.kind()));
                let diagnostic = self
                    .report
                    .at(wrong.mark, &format!("{trail}.{key}"), message)
                    .expected("a path, or a list of paths");
                self.report.push(diagnostic);
                None
            }
            _ => Some(strings(Some(node))),
        }
    }

    /// The project's folder, empty where none is named; `None` for what is no folder's
    /// name.
    fn folder<'e>(&mut self, entry: &'e Node, trail: &str) -> Option<&'e str> {
        let node = match entry.get("project_directory") {
            Some(node) if !node.is_null() => node,
            _ => return Some(""),
        };
        if let Some(text) = node.as_str() {
            return Some(text);
        }
        let message = super::model::shown(node, &format!("is {}", node.kind()));
        let diagnostic = self
            .report
            .at(node.place(), &format!("{trail}.project_directory"), message)
            .expected("the path of a folder");
        self.report.push(diagnostic);
        None
    }

    /// The files of an entry; `None` where one of them cannot be one.
    fn inputs(
        &mut self,
        texts: &[(String, Mark)],
        trail: &str,
        scope: &Scope,
    ) -> Option<Vec<Input>> {
        let mut inputs = Vec::new();
        for (text, mark) in texts {
            if super::source::is_remote(text) {
                let message = format!("{} is not on this machine", super::diag::quoted(text));
                let diagnostic = self
                    .report
                    .at(*mark, trail, message)
                    .expected(super::source::HERE)
                    .suggest(super::source::FETCH_IT);
                self.report.push(diagnostic);
                return None;
            }
            if text.is_empty() {
                let diagnostic = self
                    .report
                    .at(*mark, trail, "the path is empty")
                    .expected("the path of a Compose file, such as `./parts.yaml`")
                    .suggest("name the file, or remove the entry");
                self.report.push(diagnostic);
                return None;
            }
            inputs.push(Input {
                name: absolute(&scope.base, Path::new(text)),
                text: None,
            });
            if let Some(trace) = &mut self.report.trace {
                trace.included.push(Included {
                    path: trail.to_owned(),
                    file: text.clone(),
                    mark: *mark,
                });
            }
        }
        Some(inputs)
    }

    fn included(
        &mut self,
        entry: &Node,
        trail: &str,
        scope: &Scope,
        path: &[PathBuf],
    ) -> Option<Node> {
        let meant = self.unknown_keys(entry, trail, ("include", &ATTRIBUTES));
        let is_misspelt = meant.contains(&"path");
        let texts = match entry.as_str() {
            Some(text) => vec![(text.to_owned(), entry.mark)],
            None => self.texts(entry, "path", trail)?,
        };
        let env_files = self.texts(entry, "env_file", trail)?;
        let folder = self.folder(entry, trail)?;
        let inputs = self.inputs(&texts, trail, scope)?;
        let (Some(main), Some((_, mark))) = (inputs.first(), texts.first()) else {
            if is_misspelt {
                return None; // that was the path
            }
            let warning = self
                .report
                .at(
                    entry.place(),
                    trail,
                    "an `include` without a `path` includes nothing",
                )
                .expected("`path:`, the path of a Compose file")
                .suggest("name the file, as in `- path: ./parts.yaml`, or remove the entry");
            self.report.push_warning(warning);
            return None;
        };
        if path.contains(&main.name) {
            self.cycle(*mark, trail, path, &main.name);
            return None;
        }
        if path.len() > MOST_INCLUDES {
            let message = format!("more than {MOST_INCLUDES} files include each other");
            self.report.error(*mark, trail, message);
            return None;
        }
        let parent = |path: &Path| path.parent().unwrap_or_else(|| Path::new("/")).to_owned();
        let (base, prefix) = if folder.is_empty() {
            let base = parent(&main.name);
            let prefix = relative(&scope.base, &base);
            (base, prefix)
        } else if Path::new(folder).is_absolute() {
            let base = absolute(&scope.base, Path::new(folder));
            (base.clone(), base)
        } else {
            let base = absolute(&scope.base, Path::new(folder));
            // As the reference has it: what is no folder is a file in one.
            let is_folder = self.files.is_dir(&base);
            let prefix = if is_folder {
                base.clone()
            } else {
                parent(&base)
            };
            (base, relative(&scope.base, &prefix))
        };
        let trace = self.report.trace.as_mut();
        let number = trace.map_or(0, |trace| trace.scopes.include(scope.number));
        let environment = self.variables(env_files, &base, scope, (entry.mark, trail))?;
        let below = Scope {
            base,
            prefix: Some(prefix),
            environment,
            number,
        };
        for (input, (_, mark)) in inputs.iter().zip(&texts) {
            self.documents(input, (*mark, trail))?;
        }
        Some(self.model(&inputs, &below, path))
    }

    /// The variables of an included project: those here, then its own `.env`
    /// or `env_file`.
    fn variables(
        &mut self,
        env_files: Vec<(String, Mark)>,
        base: &Path,
        scope: &Scope,
        (place, trail): (Mark, &str),
    ) -> Option<Arc<Environment>> {
        let mut files: Vec<(PathBuf, Mark)> = env_files
            .into_iter()
            .map(|(text, mark)| (absolute(&scope.base, Path::new(&text)), mark))
            .collect();
        if files.is_empty() {
            let default = base.join(".env");
            if self.files.exists(&default) && !self.files.is_dir(&default) {
                files.push((default, place));
            }
        }
        let mut read = Environment::new();
        for (file, mark) in files {
            self.read_variables(&file, &mut read, &scope.environment, (mark, trail))?;
        }
        read.retain(|name, _| !scope.environment.contains_key(name));
        if read.is_empty() {
            return Some(Arc::clone(&scope.environment));
        }
        let outer = scope.environment.iter();
        let size = outer.map(|(name, value)| name.len() + value.len()).sum();
        if !self.limits.work.take(size) {
            self.too_much_text(place);
            return None;
        }
        let mut environment = (*scope.environment).clone();
        environment.extend(read);
        Some(Arc::new(environment))
    }

    fn cycle(&mut self, mark: Mark, trail: &str, path: &[PathBuf], file: &Path) {
        let round: Vec<String> = path
            .iter()
            .map(PathBuf::as_path)
            .skip_while(|known| *known != file)
            .chain([file])
            .map(|file| {
                file.file_name()
                    .map_or_else(String::new, |name| name.to_string_lossy().into_owned())
            })
            .collect();
        let message = format!(
            "files include each other in a circle: {}",
            round.join(" -> ")
        );
        let diagnostic = self
            .report
            .at(mark, trail, message)
            .expected("files that include none of those that include them")
            .suggest("remove one of the includes; what both files need goes into a third one");
        self.report.push(diagnostic);
    }

    /// Takes resources over; of two with one name both must be the same.
    fn import(&mut self, mut imported: Node, document: &mut Node, mark: Mark) {
        let Some(target) = document.as_map_mut() else {
            return;
        };
        for kind in RESOURCES {
            let Some(resources) = imported.get_mut(kind).and_then(Node::as_map_mut) else {
                continue;
            };
            let resources = std::mem::take(resources);
            let slot = target
                .entry(kind.to_owned())
                .or_insert_with(|| Node::map(Map::new(), mark));
            let Some(known) = slot.as_map_mut() else {
                continue;
            };
            for (name, resource) in resources {
                match known.get(&name) {
                    None => {
                        known.insert(name, resource);
                    }
                    Some(earlier) if *earlier == resource => {}
                    Some(earlier) => {
                        let path = format!("{kind}.{name}");
                        let message =
                            format!("`{name}` is here and in an included file, and they differ");
                        let mut diagnostic = self.report.at(earlier.key, &path, message);
                        self.report
                            .also(&mut diagnostic, "the included one is", resource.key);
                        let diagnostic =
                            diagnostic.expected("one definition, or two that are the same");
                        self.report.push(diagnostic.suggest(
                            "rename one, or move the changes to a second file of the same `include`",
                        ));
                    }
                }
            }
        }
    }
}
