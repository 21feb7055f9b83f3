//! What a Dockerfile makes of the stage that is built: as much of the format as
//! hints about mounts and health checks need.

use std::path::{Path, PathBuf};

use crate::compose::files::FileSystem;
use crate::compose::model::Service;
use crate::compose::paths::absolute;

/// A folder of the image, and the line that names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Folder {
    /// Absolute, without `.` and `..`.
    pub(super) path: String,
    pub(super) line: u32,
}

/// The stage that is built, with what it has from the stages that it begins with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Image {
    /// Where `WORKDIR`, `COPY` and `ADD` lead. Paths with variables are left out.
    pub(super) folders: Vec<Folder>,
    /// Whether it has a health check; `None` where it has that of its base image.
    pub(super) is_checked: Option<bool>,
}

/// A stage: its name, where its last `WORKDIR` leads, and what it has.
#[derive(Debug, Clone, Default)]
struct Stage {
    name: String,
    workdir: String,
    image: Image,
}

/// What a service's Dockerfile makes, and where that is if it is a file; `None`
/// where the service has none that can be read.
pub(super) fn image_of(
    service: &Service,
    files: &dyn FileSystem,
) -> Option<(Option<PathBuf>, Image)> {
    let build = service.build.as_ref()?;
    let target = build.target.as_deref();
    if let Some(text) = &build.dockerfile_inline {
        return Some((None, image(text, target)));
    }
    let context = absolute(Path::new("/"), Path::new(build.context.as_deref()?));
    let name = build.dockerfile.as_deref().unwrap_or("Dockerfile");
    let file = absolute(&context, Path::new(name));
    let text = String::from_utf8(files.read(&file).ok()?).ok()?;
    Some((Some(file), image(&text, target)))
}

/// What the stage `target` has, the last one without a name. A number counts the
/// stages from 0, where none has it for a name.
fn image(text: &str, target: Option<&str>) -> Image {
    let mut stages: Vec<Stage> = Vec::new();
    for (line, instruction) in instructions(text) {
        let words: Vec<&str> = instruction.split_whitespace().collect();
        let (Some(keyword), Some(last)) = (words.first(), words.last()) else {
            continue;
        };
        let keyword = keyword.to_ascii_uppercase();
        if keyword == "FROM" {
            let names: Vec<&&str> = words
                .iter()
                .skip(1)
                .filter(|word| !word.starts_with("--"))
                .collect();
            let is_base = |stage: &&Stage| {
                let name = names.first();
                name.is_some_and(|name| !name.is_empty() && name.eq_ignore_ascii_case(&stage.name))
            };
            let base = stages.iter().rev().find(is_base).cloned();
            let base = base.unwrap_or_default();
            let is_named = words.iter().any(|word| word.eq_ignore_ascii_case("AS"));
            stages.push(Stage {
                name: if is_named {
                    (*last).to_owned()
                } else {
                    String::new()
                },
                ..base
            });
            continue;
        }
        let Some(stage) = stages.last_mut().filter(|_| words.len() > 1) else {
            continue;
        };
        if keyword == "HEALTHCHECK" {
            let is_none = last.eq_ignore_ascii_case("NONE") && words.len() == 2;
            stage.image.is_checked = Some(!is_none);
            continue;
        }
        let folder = joined(&stage.workdir, last);
        match keyword.as_str() {
            "WORKDIR" if !last.contains('$') => stage.workdir.clone_from(&folder),
            "COPY" | "ADD" if !last.contains(['$', '[', ']', '<']) => {}
            _ => continue,
        }
        stage.image.folders.push(Folder { path: folder, line });
    }
    let wanted = match target.filter(|target| !target.is_empty()) {
        Some(target) => {
            let is_it = |stage: &&Stage| stage.name.eq_ignore_ascii_case(target);
            let numbered = || stages.get(target.parse::<usize>().ok()?);
            stages.iter().find(is_it).or_else(numbered)
        }
        None => stages.last(),
    };
    wanted.map(|stage| stage.image.clone()).unwrap_or_default()
}

/// The instructions, each in one line, with the number of its first line.
fn instructions(text: &str) -> Vec<(u32, String)> {
    let mut found: Vec<(u32, String)> = Vec::new();
    let mut is_open = false;
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.starts_with('#') || line.is_empty() {
            continue;
        }
        let (line, continues) = match line.strip_suffix('\\') {
            Some(line) => (line, true),
            None => (line, false),
        };
        match found.last_mut().filter(|_| is_open) {
            Some((_, open)) => {
                open.push(' ');
                open.push_str(line);
            }
            None => found.push((number, line.to_owned())),
        }
        is_open = continues;
    }
    found
}

fn joined(folder: &str, path: &str) -> String {
    let path = path.trim_matches('"');
    let full = if path.starts_with('/') {
        path.to_owned()
    } else {
        format!("{folder}/{path}")
    };
    crate::compose::paths::clean(&full)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_those_of_the_last_stage() {
        let text = "FROM a AS build\nWORKDIR /src\nFROM b\n# c\nWORKDIR /app\nCOPY --chown=1 \\\n  a b lib/\nADD x $Y\nWORKDIR sub\nCOPY . .\n";
        let found: Vec<_> = image(text, None)
            .folders
            .into_iter()
            .map(|f| (f.path, f.line))
            .collect();
        let expected = [
            ("/app", 5),
            ("/app/lib", 6),
            ("/app/sub", 9),
            ("/app/sub", 10),
        ];
        assert_eq!(found, expected.map(|(path, line)| (path.to_owned(), line)));
        let text = "FROM a AS base\nWORKDIR /app\nFROM base AS dev\nCOPY . src/\nFROM nginx\nCOPY x /srv\n";
        let paths = |target| -> Vec<String> {
            let folders = image(text, target).folders.into_iter();
            folders.map(|folder| folder.path).collect()
        };
        assert_eq!(paths(Some("dev")), ["/app", "/app/src"]);
        assert_eq!(paths(None), ["/srv"]);
        assert!(paths(Some("none")).is_empty());
        assert_eq!(paths(Some("DEV")), ["/app", "/app/src"]);
        assert_eq!(paths(Some("0")), ["/app"]);
        assert!(paths(Some("3")).is_empty());
    }

    #[test]
    fn a_health_check_is_that_of_the_stage() {
        let text = "FROM a AS base\nHEALTHCHECK --interval=1s \\\n CMD true\nFROM base AS dev\n\
                    FROM base AS off\nHEALTHCHECK none\nFROM b\n";
        let checked = |target| image(text, Some(target)).is_checked;
        assert_eq!(checked("dev"), Some(true));
        assert_eq!(checked("off"), Some(false));
        assert_eq!(checked("3"), None);
    }
}
