//! `include`: the resources of other Compose files, each loaded as a project of
//! its own with its own folder and variables.
//!
//! Specification: "include".

use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::loader::{Environment, Input, Loader, Scope, strings};
use super::paths::absolute;
use super::tree::{Map, Mark, Node};

/// The parts of a project that are taken over.
const RESOURCES: [&str; 6] = [
    "services", "volumes", "networks", "secrets", "configs", "models",
];

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
            if entry.as_str().is_none() && entry.as_map().is_none() {
                let message = format!("is {}", entry.kind());
                let diagnostic = self
                    .report
                    .at(entry.mark, &trail, message)
                    .expected("a path, or a mapping with `path:`");
                self.report.push(diagnostic);
                continue;
            }
            if let Some(imported) = self.included(entry, &trail, scope, path) {
                self.import(&imported, document, entry.mark);
            }
        }
    }

    fn included(
        &mut self,
        entry: &Node,
        trail: &str,
        scope: &Scope,
        path: &[PathBuf],
    ) -> Option<Node> {
        let paths = match entry.as_str() {
            Some(text) => vec![(text.to_owned(), entry.mark)],
            None => strings(entry.get("path")),
        };
        let mut inputs = Vec::new();
        for (text, mark) in &paths {
            if super::source::is_remote(text) {
                let message = format!("`{text}` is not on this machine");
                let diagnostic = self
                    .report
                    .at(*mark, trail, message)
                    .suggest("fetch it first; files of other machines are not loaded");
                self.report.push(diagnostic);
                return None;
            }
            inputs.push(Input {
                name: absolute(&scope.base, Path::new(text)),
                text: None,
            });
        }
        let (Some(main), Some((_, mark))) = (inputs.first(), paths.first()) else {
            let message = "an `include` without a `path` includes nothing";
            self.report.warn(entry.mark, trail, message);
            return None;
        };
        if path.contains(&main.name) {
            self.cycle(*mark, trail, path, &main.name);
            return None;
        }
        let base = match entry.get("project_directory").and_then(Node::as_str) {
            Some(folder) if !folder.is_empty() => absolute(&scope.base, Path::new(folder)),
            _ => main
                .name
                .parent()
                .unwrap_or_else(|| Path::new("/"))
                .to_owned(),
        };
        let environment = self.variables(entry, &base, scope, trail)?;
        let below = Scope {
            base,
            outer: Some(scope.base.clone()),
            environment: Rc::new(environment),
        };
        for (input, (_, mark)) in inputs.iter().zip(&paths) {
            self.documents(input, (*mark, trail))?;
        }
        self.below(*mark, "included", |loader| {
            Some(loader.model(&inputs, &below, path))
        })
    }

    /// The variables of an included project: those here, then its own `.env`
    /// or `env_file`.
    fn variables(
        &mut self,
        entry: &Node,
        base: &Path,
        scope: &Scope,
        trail: &str,
    ) -> Option<Environment> {
        let mut files: Vec<(PathBuf, Mark)> = strings(entry.get("env_file"))
            .into_iter()
            .map(|(text, mark)| (absolute(&scope.base, Path::new(&text)), mark))
            .collect();
        if files.is_empty() {
            let default = base.join(".env");
            if self.files.exists(&default) && !self.files.is_dir(&default) {
                files.push((default, entry.mark));
            }
        }
        let mut environment = (*scope.environment).clone();
        let mut read = Environment::new();
        for (file, mark) in files {
            self.read_variables(&file, &mut read, &scope.environment, (mark, trail))?;
        }
        for (name, value) in read {
            environment.entry(name).or_insert(value);
        }
        Some(environment)
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
        self.report.error(mark, trail, message);
    }

    /// Takes resources over; of two with one name both must be the same.
    fn import(&mut self, imported: &Node, document: &mut Node, mark: Mark) {
        let Some(target) = document.as_map_mut() else {
            return;
        };
        for kind in RESOURCES {
            let Some(resources) = imported.get(kind).and_then(Node::as_map) else {
                continue;
            };
            let slot = target
                .entry(kind.to_owned())
                .or_insert_with(|| Node::map(Map::new(), mark));
            let Some(known) = slot.as_map_mut() else {
                continue;
            };
            for (name, resource) in resources {
                match known.get(name) {
                    None => {
                        known.insert(name.clone(), resource.clone());
                    }
                    Some(earlier) if earlier == resource => {}
                    Some(earlier) => {
                        let path = format!("{kind}.{name}");
                        let message =
                            format!("`{name}` is here and in an included file, and they differ");
                        let mut diagnostic = self.report.at(earlier.key, &path, message);
                        diagnostic.chain.push(super::diag::Step {
                            what: "the included one is".to_owned(),
                            position: self.report.sources.position(resource.key),
                        });
                        self.report.push(diagnostic.suggest(
                            "rename one, or move the changes to a second file of the same `include`",
                        ));
                    }
                }
            }
        }
    }
}
