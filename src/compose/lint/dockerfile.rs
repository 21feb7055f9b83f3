//! The folders that a Dockerfile's last stage puts files into: as much of the
//! format as a hint about mounts needs.

/// A folder of the image, and the line that names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Folder {
    /// Absolute, without `.` and `..`.
    pub(super) path: String,
    pub(super) line: u32,
}

/// A stage: its name, where its last `WORKDIR` leads, and its folders.
#[derive(Debug, Clone, Default)]
struct Stage {
    name: String,
    workdir: String,
    folders: Vec<Folder>,
}

/// Where `WORKDIR`, `COPY` and `ADD` lead in the stage `target`, the last one
/// without a name, and in the stages that it begins with. Paths with variables
/// are left out.
pub(super) fn folders(text: &str, target: Option<&str>) -> Vec<Folder> {
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
            let is_base = |stage: &&Stage| names.first().is_some_and(|name| **name == stage.name);
            let base = stages.iter().find(is_base).cloned().unwrap_or_default();
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
        let folder = joined(&stage.workdir, last);
        match keyword.as_str() {
            "WORKDIR" if !last.contains('$') => stage.workdir.clone_from(&folder),
            "COPY" | "ADD" if !last.contains(['$', '[', ']', '<']) => {}
            _ => continue,
        }
        stage.folders.push(Folder { path: folder, line });
    }
    let wanted = match target {
        Some(target) => stages.into_iter().find(|stage| stage.name == target),
        None => stages.pop(),
    };
    wanted.map(|stage| stage.folders).unwrap_or_default()
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
        let found: Vec<_> = folders(text, None)
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
        let paths =
            |target| -> Vec<String> { folders(text, target).into_iter().map(|f| f.path).collect() };
        assert_eq!(paths(Some("dev")), ["/app", "/app/src"]);
        assert_eq!(paths(None), ["/srv"]);
        assert!(paths(Some("none")).is_empty());
    }
}
