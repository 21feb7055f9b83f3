//! The folders that a Dockerfile's last stage puts files into: as much of the
//! format as a hint about mounts needs.

/// A folder of the image, and the line that names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Folder {
    /// Absolute, without `.` and `..`.
    pub(super) path: String,
    pub(super) line: u32,
}

/// Where `WORKDIR`, `COPY` and `ADD` of the last stage lead. Paths with variables
/// are left out.
pub(super) fn folders(text: &str) -> Vec<Folder> {
    let mut folders = Vec::new();
    let mut workdir = "/".to_owned();
    for (line, instruction) in instructions(text) {
        let mut words = instruction.split_whitespace();
        let keyword = words.next().unwrap_or_default().to_ascii_uppercase();
        let last = words.next_back();
        match (keyword.as_str(), last) {
            ("FROM", _) => {
                folders.clear();
                "/".clone_into(&mut workdir);
            }
            ("WORKDIR", Some(path)) if !path.contains('$') => {
                workdir = joined(&workdir, path);
                folders.push(Folder {
                    path: workdir.clone(),
                    line,
                });
            }
            ("COPY" | "ADD", Some(path)) if !path.contains(['$', '[', ']', '<']) => {
                let folder = joined(&workdir, path);
                folders.push(Folder { path: folder, line });
            }
            _ => {}
        }
    }
    folders
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
        let found: Vec<_> = folders(text)
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
    }
}
