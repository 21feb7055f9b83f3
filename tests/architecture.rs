//! Uses point downwards only: `cli -> ui, watch -> reconcile -> build -> supervise ->
//! engine, image, net -> state -> event, env, causes, similar`, with `compose` and `dockerfile` apart. A module that
//! reaches up fails here, with the line that does.

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use fs_err as fs;

    /// What each module may use. Itself is always allowed.
    const MAY_USE: [(&str, &[&str]); 17] = [
        ("env", &[]),
        ("event", &[]),
        ("causes", &[]),
        ("similar", &[]),
        ("state", &["env", "event", "causes"]),
        ("compose", &["similar"]),
        ("dockerfile", &["similar"]),
        ("toolbox", &["env"]),
        ("engine", &["state", "env", "event", "causes", "similar"]),
        ("image", &["state", "env", "event", "causes", "similar"]),
        ("net", &["state", "env", "event", "causes"]),
        ("ui", &["event", "env"]),
        (
            "supervise",
            &["engine", "image", "net", "state", "env", "event", "causes"],
        ),
        (
            "build",
            &[
                "supervise",
                "engine",
                "image",
                "net",
                "state",
                "env",
                "event",
                "causes",
                "similar",
                "compose",
                "dockerfile",
            ],
        ),
        (
            "reconcile",
            &[
                "build",
                "dockerfile",
                "supervise",
                "engine",
                "image",
                "net",
                "state",
                "env",
                "event",
                "causes",
                "similar",
                "compose",
                "toolbox",
            ],
        ),
        (
            "watch",
            &[
                "reconcile",
                "build",
                "supervise",
                "engine",
                "image",
                "state",
                "event",
                "causes",
                "compose",
            ],
        ),
        (
            "cli",
            &[
                "ui",
                "watch",
                "reconcile",
                "build",
                "dockerfile",
                "supervise",
                "engine",
                "image",
                "net",
                "state",
                "env",
                "event",
                "causes",
                "similar",
                "compose",
                "toolbox",
            ],
        ),
    ];

    fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                sources(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }

    /// The module of `src` that a file belongs to.
    fn module(root: &Path, file: &Path) -> String {
        let first = file
            .strip_prefix(root)
            .unwrap()
            .components()
            .next()
            .unwrap();
        first
            .as_os_str()
            .to_str()
            .unwrap()
            .trim_end_matches(".rs")
            .to_owned()
    }

    /// Every `crate::x` of a line, comments left out.
    fn used(line: &str) -> Vec<&str> {
        let code = line.split("//").next().unwrap();
        code.match_indices("crate::")
            .filter_map(|(at, word)| {
                let rest = &code[at + word.len()..];
                let end = rest
                    .find(|c: char| !c.is_alphanumeric() && c != '_')
                    .unwrap_or(rest.len());
                let name = &rest[..end];
                (!name.is_empty()).then_some(name)
            })
            .collect()
    }

    #[test]
    fn uses_point_downwards() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut files = Vec::new();
        sources(&root, &mut files);
        assert!(files.len() > 100, "looked in the wrong place");
        let mut climbs = Vec::new();
        for file in files {
            let module = module(&root, &file);
            // The two roots see everything; the tiny init is a program of its own.
            if ["lib", "main", "tiny_init"].contains(&module.as_str()) {
                continue;
            }
            let allowed = MAY_USE
                .iter()
                .find(|(name, _)| *name == module)
                .unwrap_or_else(|| panic!("`{module}` is not in the list of modules"))
                .1;
            let text = fs::read_to_string(&file).unwrap();
            for (number, line) in text.lines().enumerate() {
                for name in used(line) {
                    let known = MAY_USE.iter().any(|(module, _)| *module == name);
                    if known && name != module && !allowed.contains(&name) {
                        climbs.push(format!(
                            "{}:{}: {}",
                            file.display(),
                            number + 1,
                            line.trim()
                        ));
                    }
                }
            }
        }
        assert!(climbs.is_empty(), "these reach up:\n{}", climbs.join("\n"));
    }

    /// The loader is usable alone: neither a runtime nor a network is behind it.
    #[test]
    fn the_loader_needs_few_crates() {
        const MAY_NEED: [&str; 15] = [
            "base64",
            "fs-err",
            "globset",
            "indexmap",
            "libc",
            "rustix",
            "saphyr-parser",
            "serde",
            "serde_json",
            "serde_yaml",
            "sha2",
            "strsim",
            "thiserror",
            "unicode-segmentation",
            "unicode-width",
        ];
        let project = Path::new(env!("CARGO_MANIFEST_DIR"));
        let manifest = fs::read_to_string(project.join("Cargo.toml")).unwrap();
        let (_, dependencies) = manifest.split_once("\n[dependencies]\n").unwrap();
        let (dependencies, _) = dependencies.split_once("\n[").unwrap();
        let names = dependencies
            .lines()
            .filter_map(|line| line.split_once(" = "));
        let others: Vec<String> = names
            .map(|(name, _)| name)
            .filter(|name| !MAY_NEED.contains(name))
            .map(|name| format!("{}::", name.replace('-', "_")))
            .collect();
        assert!(others.len() > 20, "looked in the wrong place");
        let mut files = Vec::new();
        sources(&project.join("src/compose"), &mut files);
        for file in files {
            let text = fs::read_to_string(&file).unwrap();
            for (number, line) in text.lines().enumerate() {
                let code = line.split("//").next().unwrap();
                let needed = others.iter().find(|name| {
                    code.match_indices(name.as_str()).any(|(at, _)| {
                        !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':')
                    })
                });
                assert_eq!(needed, None, "{}:{}", file.display(), number + 1);
            }
        }
    }

    #[test]
    fn only_system_call_files_are_unsafe() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut files = Vec::new();
        sources(&root, &mut files);
        let with_unsafe: Vec<String> = files
            .iter()
            .filter(|file| {
                let text = fs::read_to_string(file).unwrap();
                text.lines()
                    .any(|line| line.contains("unsafe {") || line.contains("unsafe extern"))
            })
            .map(|file| file.strip_prefix(&root).unwrap().display().to_string())
            .filter(|file| !file.starts_with("engine/sys") && !file.starts_with("tiny_init/"))
            .collect();
        assert!(
            with_unsafe.is_empty(),
            "unsafe outside the files for it: {with_unsafe:?}"
        );
    }
}
