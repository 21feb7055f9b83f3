//! Small cases that were put to the reference implementation (Compose 2.40.3),
//! with its answers: `refused`, or the canonical JSON on one line.
//!
//! `tests/golden/reference/NAME.txt` holds the cases: `=== ID ARGUMENTS`, then
//! the text of `compose.yaml`, then further files after `---- FILE`.
//! `NAME.expected` holds the answers. `UPDATE_GOLDEN=1` writes what came out:
//! for new cases only, after asking the reference.

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::{Path, PathBuf};

    use skiff::compose::{FileArg, FileSystem, Form, LoadOptions, load};

    /// Files that exist in memory only, in the folder `/p`.
    struct Memory(BTreeMap<PathBuf, String>);

    impl FileSystem for Memory {
        fn read(&self, path: &Path) -> std::io::Result<Vec<u8>> {
            let text = self.0.get(path).map(|text| text.clone().into_bytes());
            text.ok_or_else(|| std::io::ErrorKind::NotFound.into())
        }

        fn exists(&self, path: &Path) -> bool {
            self.0.contains_key(path) || self.is_dir(path)
        }

        fn is_dir(&self, path: &Path) -> bool {
            self.0
                .keys()
                .any(|file| file.starts_with(path) && file != path)
        }

        fn link_target(&self, _path: &Path) -> Option<PathBuf> {
            None
        }
    }

    struct Case {
        id: String,
        options: LoadOptions,
        files: Memory,
    }

    fn parse(block: &str) -> Case {
        let (head, body) = block.split_once('\n').unwrap();
        let mut words = head.split(' ').map(str::to_owned);
        let id = words.next().unwrap();
        let mut options = LoadOptions {
            cwd: PathBuf::from("/p"),
            environment: [
                ("HOME", "/home/user"),
                ("V", "val"),
                ("N", "3"),
                ("EMPTY", ""),
            ]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into_iter()
            .collect(),
            ..LoadOptions::default()
        };
        while let Some(word) = words.next() {
            let mut value = || words.next().unwrap();
            match word.as_str() {
                "-f" => options.files.push(FileArg::Path(value().into())),
                "-p" => options.project_name = Some(value()),
                "--profile" => options.profiles.push(value()),
                "--env-file" => options.env_files.push(value().into()),
                "--all-resources" => options.all_resources = true,
                other => panic!("unknown argument {other}"),
            }
        }
        let mut files = BTreeMap::new();
        let mut name = "compose.yaml";
        for (index, part) in body.split("\n---- ").enumerate() {
            let text = if index == 0 {
                part.strip_prefix("---- ").map_or(Some(part), |_| None)
            } else {
                None
            };
            let text = text.unwrap_or_else(|| {
                let part = part.strip_prefix("---- ").unwrap_or(part);
                let (file, text) = part.split_once('\n').unwrap_or((part, ""));
                name = file;
                text
            });
            if !text.trim().is_empty() {
                files.insert(Path::new("/p").join(name), format!("{text}\n"));
            }
        }
        Case {
            id,
            options,
            files: Memory(files),
        }
    }

    fn answer(case: &Case) -> String {
        match load(&case.options, &case.files) {
            // Which it prints as JSON.
            Ok(loaded) if loaded.project.without_json().is_some() => "refused".to_owned(),
            Ok(loaded) => loaded.project.canonical_json().to_string(),
            Err(_) => "refused".to_owned(),
        }
    }

    /// What is printed and read again is the same model, where nothing was refused.
    fn assert_same_again(case: &Case) {
        let everything = LoadOptions {
            profiles: vec!["*".to_owned()],
            ..case.options.clone()
        };
        let Ok(first) = load(&everything, &case.files) else {
            return;
        };
        let text = first.project.text(Form::Yaml);
        let again = LoadOptions {
            files: vec![FileArg::Stdin(text.clone())],
            project_name: Some(first.project.name.clone()),
            profiles: vec!["*".to_owned()],
            cwd: case.options.cwd.clone(),
            environment: first.project.environment.clone(),
            all_resources: case.options.all_resources,
            env_files: case.options.env_files.clone(),
            ..LoadOptions::default()
        };
        let second = load(&again, &case.files).map(|loaded| loaded.project.text(Form::Yaml));
        let is_same = second.as_ref() == Ok(&text);
        let known = NOT_READ_BACK.iter().find(|(id, _)| *id == case.id);
        if let Some((_, kind)) = known {
            assert!(UNREADABLE.contains(&format!("=== {kind} ")), "{kind}");
        }
        let is_known = known.is_some();
        assert_ne!(is_same, is_known, "{}: {text}\n{second:?}", case.id);
    }

    /// The kinds of what the reference prints and cannot read back, each with an
    /// example.
    const UNREADABLE: &str = include_str!("golden/config/unreadable.txt");

    /// The cases here that are of such a kind.
    const NOT_READ_BACK: &[(&str, &str)] = &[
        ("a-groups-number-and-text", "number-and-text"),
        ("config-empty-content", "content-empty"),
        ("device-req", "capabilities-empty"),
        ("env-list-forms", "name-empty"),
        ("interp-key", "dollar-key"),
        ("m-extra-hosts", "host-twice"),
        ("y-tag-before-space", "build-empty"),
        ("z-dotenv-empty-key", "name-empty"),
    ];

    fn check(name: &str) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/reference");
        let text = fs_err::read_to_string(folder.join(format!("{name}.txt"))).unwrap();
        let mut answers = Vec::new();
        for block in text.split("=== ").skip(1) {
            let case = parse(block.trim_end_matches('\n'));
            answers.push(format!("{}: {}", case.id, answer(&case)));
            assert_same_again(&case);
        }
        let count = answers.len();
        assert!(count > 50, "{name} has {count} cases only");
        let answers = answers.join("\n");
        let path = folder.join(format!("{name}.expected"));
        if skiff::env::read("UPDATE_GOLDEN").is_some() {
            fs_err::write(&path, &answers).unwrap();
        }
        let expected = fs_err::read_to_string(&path).unwrap_or_default();
        for (expected, got) in expected.lines().zip(answers.lines()) {
            assert_eq!(expected, got);
        }
        assert_eq!(expected.lines().count(), answers.lines().count());
    }

    #[test]
    fn attributes_are_read_as_by_the_reference() {
        check("attributes");
    }

    #[test]
    fn files_are_combined_as_by_the_reference() {
        check("files");
    }

    #[test]
    fn values_are_read_as_by_the_reference() {
        check("values");
    }

    #[test]
    fn yaml_is_read_as_by_the_reference() {
        check("yaml");
    }
}
