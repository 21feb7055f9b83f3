//! What is watched, and what a change of it leads to: `develop.watch` of the
//! Compose Develop Specification, as values. Pure, but for the ignore files that
//! [`Rules::of`] reads.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use crate::build::ignore::{Ignore, file_names};
use crate::build::ignore_file;
use crate::compose::{Diagnostic, Hook, MountKind, Project, Service, Severity, WatchAction};

/// What no rule is about unless it says so (`ignore: ["!**/.git"]`): the history of
/// a repository, and what editors write beside a file while they save it.
fn is_never_meant(name: &str) -> bool {
    let hidden = name.strip_prefix('.');
    let is_swap = |rest: &str| {
        // vim, which counts backwards, and Kate
        let end = rest.rsplit_once('.').map_or("", |(_, end)| end);
        matches!(end, "swp" | "swo" | "swn" | "swx" | "swpx" | "kate-swp")
    };
    // `4913` is a file by which vim tries a folder.
    matches!(name, ".git" | ".hg" | ".svn" | ".idea" | "4913")
        || name.ends_with('~')
        || name.ends_with("___jb_old___")
        || name.ends_with("___jb_tmp___")
        || name.ends_with("-go-tmp-umask")
        || name.starts_with(".#")
        || name.starts_with(".goutputstream-")
        || name.starts_with(TEMPORARY)
        || (name.len() > 1 && name.starts_with('#') && name.ends_with('#'))
        || hidden.is_some_and(is_swap)
}

/// How files begin that are written beside the one that they take the place of.
pub(super) const TEMPORARY: &str = ".skiff-";

/// One entry of a service's `develop.watch`.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// The service.
    pub service: String,
    /// Its number among the service's rules.
    pub index: usize,
    /// The file or folder that is watched, absolute; it may be missing.
    pub path: PathBuf,
    /// What happens.
    pub action: WatchAction,
    /// Where it goes in the container, absolute; for the actions that copy.
    pub target: Option<PathBuf>,
    /// A slash at the target's end says that it is a folder.
    pub target_is_folder: bool,
    /// The command of `sync+exec`.
    pub exec: Hook,
    /// Files that are newer than the image are copied at the start.
    pub initial_sync: bool,
    include: Option<Ignore>,
    /// The rule's own patterns; they have the last word.
    ignore: Ignore,
    /// The build's context and what its `.dockerignore` leaves out.
    context: Option<(PathBuf, Ignore)>,
}

/// All rules of a project.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rules {
    /// In the order of the file.
    pub list: Vec<Arc<Rule>>,
    /// What the user should know about them.
    pub warnings: Vec<Diagnostic>,
    /// Ignore files that they are made of, be they there or not.
    pub sources: BTreeSet<PathBuf>,
}

impl Rule {
    /// Whether it copies files.
    pub const fn copies(&self) -> bool {
        matches!(
            self.action,
            WatchAction::Sync | WatchAction::SyncRestart | WatchAction::SyncExec
        )
    }

    /// The part of `path` below the rule's own, where a change of it counts; empty
    /// for the rule's path itself.
    pub fn takes<'p>(&self, path: &'p Path) -> Option<&'p Path> {
        let below = path.strip_prefix(&self.path).ok()?;
        if below.as_os_str().is_empty() {
            return Some(below);
        }
        let text = below.to_string_lossy();
        let is_meant = match &self.include {
            Some(include) => include.excludes(&text),
            None => true,
        };
        let ignored = self.leaves_out(&text, false) || self.in_context(path, Ignore::excludes);
        (is_meant && !ignored).then_some(below)
    }

    /// Whether anything in a folder can count: one that is left out with all that
    /// it holds is never looked into.
    pub fn needs(&self, folder: &Path) -> bool {
        let Ok(below) = folder.strip_prefix(&self.path) else {
            return false;
        };
        if below.as_os_str().is_empty() {
            return true;
        }
        let pruned = self.leaves_out(&below.to_string_lossy(), true)
            || self.in_context(folder, |ignore, text| ignore.decide(text).is_pruned);
        !pruned
    }

    /// By the rule's own patterns, and where none of them matches, by the names of what
    /// nobody means. `whole`: with all that is below.
    fn leaves_out(&self, below: &str, whole: bool) -> bool {
        if !self.ignore.is_empty() {
            let verdict = self.ignore.decide(below);
            if verdict.matched.any() {
                return if whole {
                    verdict.is_pruned
                } else {
                    verdict.is_excluded
                };
            }
        }
        below.split('/').any(is_never_meant)
    }

    fn in_context(&self, path: &Path, ask: impl Fn(&Ignore, &str) -> bool) -> bool {
        let Some((context, ignore)) = &self.context else {
            return false;
        };
        path.strip_prefix(context).is_ok_and(|below| {
            !below.as_os_str().is_empty() && ask(ignore, &below.to_string_lossy())
        })
    }

    /// Where a file goes, by [`Rule::takes`]'s answer.
    pub fn destination(&self, below: &Path) -> Option<PathBuf> {
        let target = self.target.as_ref()?;
        if !below.as_os_str().is_empty() {
            return Some(target.join(below));
        }
        let name = self.path.file_name().filter(|_| self.target_is_folder);
        Some(match name {
            Some(name) if !self.path.is_dir() => target.join(name),
            _ => target.clone(),
        })
    }
}

impl Rules {
    /// Those of a project's active services. Reads the ignore files of their builds.
    ///
    /// # Errors
    /// All rules that cannot be carried out, by their places.
    pub fn of(project: &Project) -> Result<Self, Vec<Diagnostic>> {
        let mut rules = Self::default();
        let mut errors = Vec::new();
        for (name, service) in &project.services {
            let Some(develop) = &service.develop else {
                continue;
            };
            rules.sources.extend(ignore_files(service));
            let context = match context(service) {
                Ok(context) => context,
                Err(message) => {
                    errors.push(project.diagnostic(&format!("services.{name}.build"), message));
                    None
                }
            };
            for index in 0..develop.watch.len() {
                let reader = Reader {
                    project,
                    name,
                    service,
                    index,
                };
                match reader.read(context.as_ref()) {
                    Ok(Found::Rule(rule)) => {
                        rules.warnings.extend(reader.missing(&rule));
                        rules.list.push(Arc::new(rule));
                    }
                    Ok(Found::Mounted(warning)) => rules.warnings.push(warning),
                    Err(error) => errors.push(*error),
                }
            }
        }
        if errors.is_empty() {
            Ok(rules)
        } else {
            Err(errors)
        }
    }

    /// Those by which a command of a service is run again: the service's own, or where it
    /// has none, what it mounts of this machine, or what it is built from.
    ///
    /// # Errors
    /// As [`Rules::of`].
    pub fn of_command(project: &Project, name: &str) -> Result<Self, Vec<Diagnostic>> {
        let mut rules = Self::of(project)?;
        rules.list.retain(|rule| rule.service == name);
        rules.warnings.clear();
        let Some(service) = project.services.get(name).filter(|_| rules.list.is_empty()) else {
            return Ok(rules);
        };
        let mounted = service
            .volumes
            .iter()
            .filter(|mount| mount.kind == MountKind::Bind)
            .filter_map(|mount| mount.source.as_deref().map(Path::new))
            .filter(|source| source.exists() && !source.starts_with("/var/run"));
        let mut paths: Vec<(PathBuf, WatchAction)> = mounted
            .map(|source| (source.to_owned(), WatchAction::Restart))
            .collect();
        let context = context(service).unwrap_or_default();
        if paths.is_empty() {
            let build = service.build.as_ref();
            let folder = build.and_then(|build| build.context.as_deref());
            let folder = folder.map(PathBuf::from).filter(|folder| folder.is_dir());
            paths.extend(folder.map(|folder| (folder, WatchAction::Rebuild)));
        }
        let rule = |(index, (path, action)): (usize, (PathBuf, WatchAction))| Rule {
            service: name.to_owned(),
            index,
            // As the kernel tells them.
            path: path.canonicalize().unwrap_or(path),
            action,
            target: None,
            target_is_folder: false,
            exec: Hook::default(),
            initial_sync: false,
            include: None,
            ignore: Ignore::default(),
            context: context.clone(),
        };
        let list = paths.into_iter().enumerate().map(rule).map(Arc::new);
        rules.list = list.collect();
        Ok(rules)
    }

    /// The rules that have a service built anew.
    pub fn rebuilding(&self) -> impl Iterator<Item = &Arc<Rule>> {
        let rebuilds = |rule: &&Arc<Rule>| rule.action == WatchAction::Rebuild;
        self.list.iter().filter(rebuilds)
    }

    /// The services that have rules, in order.
    pub fn services(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for rule in &self.list {
            if !names.contains(&rule.service.as_str()) {
                names.push(&rule.service);
            }
        }
        names
    }

    /// Whether a change of this path counts for anything.
    pub fn take(&self, path: &Path) -> bool {
        self.list.iter().any(|rule| rule.takes(path).is_some())
    }

    /// Whether anything in this folder can count.
    pub fn need(&self, folder: &Path) -> bool {
        self.list.iter().any(|rule| rule.needs(folder))
    }
}

enum Found {
    Rule(Rule),
    /// What would be copied is there already.
    Mounted(Diagnostic),
}

struct Reader<'p> {
    project: &'p Project,
    name: &'p str,
    service: &'p Service,
    index: usize,
}

impl Reader<'_> {
    fn at(&self, attribute: &str) -> String {
        format!(
            "services.{}.develop.watch[{}]{attribute}",
            self.name, self.index
        )
    }

    fn error(&self, attribute: &str, message: impl Into<String>) -> Box<Diagnostic> {
        Box::new(self.project.diagnostic(&self.at(attribute), message))
    }

    /// What is worth a word about the path: it may come yet, and may be misspelt.
    fn missing(&self, rule: &Rule) -> Option<Diagnostic> {
        let path = rule.path.display();
        let message = match rule.path.metadata() {
            Ok(found) if found.is_dir() || found.is_file() => return None,
            Ok(_) => format!("`{path}` is neither a file nor a folder: nothing of it is watched"),
            Err(_) => format!("nothing is there yet at `{path}`: it is watched from when it comes"),
        };
        Some(Diagnostic {
            severity: Severity::Warning,
            ..*self.error(".path", message)
        })
    }

    fn read(&self, context: Option<&(PathBuf, Ignore)>) -> Result<Found, Box<Diagnostic>> {
        let develop = self.service.develop.as_ref();
        let watch = develop.and_then(|develop| develop.watch.get(self.index));
        let watch = watch.ok_or_else(|| self.error("", "the rule is gone"))?;
        let action = watch.action.unwrap_or(WatchAction::Sync);
        if action == WatchAction::Rebuild && self.service.build.is_none() {
            let message = format!(
                "`rebuild` needs a `build` section in service `{}`",
                self.name
            );
            let help = "add `build:` to the service, or use `sync` or `restart`";
            return Err(Box::new(self.error(".action", message).suggest(help)));
        }
        if action == WatchAction::SyncExec && watch.exec.command.is_none() {
            let error = self.error(".action", "`sync+exec` needs a command to run");
            return Err(Box::new(error.suggest("add `exec: {command: …}`")));
        }
        let path = PathBuf::from(&watch.path);
        let path = clean(&path);
        let rule = Rule {
            service: self.name.to_owned(),
            index: self.index,
            action,
            target: watch.target.as_ref().map(|target| absolute(target)),
            target_is_folder: watch
                .target
                .as_ref()
                .is_some_and(|target| target.ends_with('/')),
            exec: watch.exec.clone(),
            initial_sync: watch.initial_sync,
            include: match watch.include.as_slice() {
                [] => None,
                patterns => Some(self.patterns(".include", patterns)?),
            },
            ignore: self.patterns(".ignore", &watch.ignore)?,
            context: context.cloned(),
            path,
        };
        let mounted = self.service.volumes.iter().find(|mount| {
            mount.kind == MountKind::Bind
                && mount
                    .source
                    .as_ref()
                    .is_some_and(|source| rule.path.starts_with(source))
        });
        match mounted.filter(|_| rule.copies()) {
            None => Ok(Found::Rule(rule)),
            Some(mount) => {
                let message = format!(
                    "`{}` is mounted at `{}` already, so nothing has to be copied: it is not watched",
                    rule.path.display(),
                    mount.target
                );
                Ok(Found::Mounted(Diagnostic {
                    severity: Severity::Warning,
                    ..*self.error(".path", message)
                }))
            }
        }
    }

    fn patterns(&self, attribute: &str, patterns: &[String]) -> Result<Ignore, Box<Diagnostic>> {
        Ignore::of(patterns).map_err(|error| {
            self.error(
                &format!("{attribute}[{}]", error.line.saturating_sub(1)),
                format!("`{}` is no pattern: {}", error.pattern, error.reason),
            )
        })
    }
}

/// Where the ignore files of a service's build are looked for.
fn ignore_files(service: &Service) -> Vec<PathBuf> {
    let build = service.build.as_ref();
    let folder = build.and_then(|build| build.context.as_deref());
    let Some(folder) = folder.map(Path::new).filter(|it| it.is_absolute()) else {
        return Vec::new();
    };
    let dockerfile = build.and_then(|build| build.dockerfile.as_deref());
    file_names(dockerfile.unwrap_or("Dockerfile"))
        .map(|name| folder.join(name))
        .to_vec()
}

/// The context of a build that is a folder, and what is left out of it.
fn context(service: &Service) -> Result<Option<(PathBuf, Ignore)>, String> {
    let build = service.build.as_ref();
    let Some(folder) = build.and_then(|build| build.context.as_deref()) else {
        return Ok(None);
    };
    let folder = Path::new(folder);
    if !folder.is_absolute() || !folder.is_dir() {
        return Ok(None);
    }
    let dockerfile = build.and_then(|build| match &build.dockerfile_inline {
        None => Some(build.dockerfile.as_deref().unwrap_or("Dockerfile")),
        Some(_) => None,
    });
    let read = ignore_file::read(folder, dockerfile.map(Path::new));
    let read = read.map_err(|error| crate::causes::with_causes(&error))?;
    // Rules have the real paths of what they watch.
    let real = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    Ok(read.map(|(_, ignore)| (real, ignore)))
}

/// Without `.`, `..` and double slashes, as text.
fn clean(path: &Path) -> PathBuf {
    let mut clean = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                clean.pop();
            }
            part => clean.push(part),
        }
    }
    clean
}

/// A path in a container, from its root.
fn absolute(target: &str) -> PathBuf {
    clean(&Path::new("/").join(target.trim_start_matches('/')))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compose::{FileArg, LoadOptions, load};

    fn rules(yaml: &str) -> Result<Rules, Vec<Diagnostic>> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("compose.yaml");
        fs_err::write(&file, yaml).unwrap();
        let options = LoadOptions {
            files: vec![FileArg::Path(file)],
            cwd: folder.path().to_owned(),
            ..LoadOptions::default()
        };
        let loaded = load(&options, &crate::compose::Host).unwrap();
        Rules::of(&loaded.project)
    }

    fn one(lines: &str) -> Arc<Rule> {
        let yaml = format!(
            "services:\n  web:\n    image: x\n    develop:\n      watch:\n        - {}",
            lines.replace('\n', "\n          ")
        );
        rules(&yaml).unwrap().list.remove(0)
    }

    #[test]
    fn a_rule_takes_what_its_patterns_leave() {
        let rule = one("path: /src\naction: sync\ntarget: /app\nignore: [node_modules/, '*.log']");
        let takes = |path: &str| rule.takes(Path::new(path)).map(Path::to_owned);
        assert_eq!(takes("/src/a/b.py"), Some("a/b.py".into()));
        assert_eq!(takes("/src"), Some("".into()));
        for path in [
            "/other/a",
            "/srcx/a",
            "/src/node_modules/x/y.js",
            "/src/x.log",
            "/src/.git/index",
            "/src/a/.git/HEAD",
            "/src/a/.main.py.swp",
            "/src/a/main.py~",
            "/src/a/4913",
        ] {
            assert_eq!(takes(path), None, "{path}");
        }
        assert!(rule.needs(Path::new("/src/a")));
        assert!(!rule.needs(Path::new("/src/node_modules")));
        assert!(!rule.needs(Path::new("/src/.git")));
        assert!(!rule.needs(Path::new("/")));
    }

    #[test]
    fn what_is_left_out_can_be_taken_back() {
        let rule =
            one("path: /src\naction: sync\ntarget: /app\nignore: ['!**/.idea', 'a', '!a/b']");
        assert!(rule.takes(Path::new("/src/.idea/x")).is_some());
        assert!(rule.takes(Path::new("/src/a/c")).is_none());
        assert!(rule.takes(Path::new("/src/a/b")).is_some());
        assert!(rule.needs(Path::new("/src/a")));
    }

    #[test]
    fn include_chooses() {
        let rule = one("path: /src\naction: rebuild\ninclude: ['**/*.go', assets]"
            .replace("rebuild", "restart")
            .as_str());
        for (path, taken) in [
            ("/src/main.go", true),
            ("/src/a/b.go", true),
            ("/src/assets/x.png", true),
            ("/src/README.md", false),
        ] {
            assert_eq!(rule.takes(Path::new(path)).is_some(), taken, "{path}");
        }
        assert!(rule.needs(Path::new("/src/a")));
    }

    #[test]
    fn targets() {
        let folder = one("path: /src\naction: sync\ntarget: /app/../srv/");
        let to = |rule: &Rule, below: &str| rule.destination(Path::new(below));
        assert_eq!(to(&folder, "a/b"), Some("/srv/a/b".into()));
        // No such file: the name is kept, as for a file.
        let file = one("path: /nowhere/app.conf\naction: sync\ntarget: /etc/app/");
        assert_eq!(to(&file, ""), Some("/etc/app/app.conf".into()));
        let named = one("path: /nowhere/app.conf\naction: sync\ntarget: /etc/own.conf");
        assert_eq!(to(&named, ""), Some("/etc/own.conf".into()));
    }

    #[test]
    fn what_cannot_be_done_is_told_by_its_place() {
        let errors = rules(
            "services:\n  web:\n    image: x\n    develop:\n      watch:\n        \
             - {path: /a, action: rebuild}\n        \
             - {path: /a, action: sync+exec, target: /b}\n        \
             - {path: /a, action: sync, target: /b, ignore: ['[']}\n",
        )
        .unwrap_err();
        let told: Vec<String> = errors
            .iter()
            .map(|error| {
                let line = error.position.as_ref().map(|position| position.line);
                format!("{}: {} ({line:?})", error.path, error.message)
            })
            .collect();
        assert_eq!(
            told,
            [
                "services.web.develop.watch[0].action: `rebuild` needs a `build` section in \
                 service `web` (Some(6))",
                "services.web.develop.watch[1].action: `sync+exec` needs a command to run \
                 (Some(7))",
                "services.web.develop.watch[2].ignore[0]: `[` is no pattern: a `[` is not closed \
                 (Some(8))",
            ]
        );
    }

    #[test]
    fn what_is_mounted_is_not_copied() {
        let rules = rules(
            "services:\n  web:\n    image: x\n    volumes: [/src:/app]\n    develop:\n      watch:\n        \
             - {path: /src/a, action: sync, target: /app/a}\n        \
             - {path: /src/a, action: restart}\n",
        )
        .unwrap();
        assert_eq!(rules.list.len(), 1);
        assert_eq!(
            rules.warnings[0].message,
            "`/src/a` is mounted at `/app` already, so nothing has to be copied: it is not watched"
        );
    }
}
