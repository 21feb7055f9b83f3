//! Golden tests of the loader: each folder below `tests/golden/ok` is a project
//! with its canonical JSON, each below `tests/golden/err` one with the rendered
//! diagnostics. `UPDATE_GOLDEN=1` writes what came out; look at the difference.
//!
//! `case.json`, where there is one, holds `files`, `profiles`, `services`,
//! `env`, `env_files`, `project_name` and `project_directory`.

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use serde_json::Value as Json;
    use skiff::compose::{Diagnostics, FileArg, Form, Host, LoadOptions, Loaded, load};

    fn root(kind: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/golden")
            .join(kind)
    }

    fn cases(kind: &str) -> Vec<PathBuf> {
        let mut cases: Vec<PathBuf> = fs_err::read_dir(root(kind))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        cases.sort();
        cases
    }

    fn options(case: &Path) -> LoadOptions {
        let description =
            fs_err::read_to_string(case.join("case.json")).unwrap_or_else(|_| "{}".to_owned());
        let description: Json = serde_json::from_str(&description).unwrap();
        let strings = |key: &str| -> Vec<String> {
            let list = description[key].as_array().cloned().unwrap_or_default();
            list.iter()
                .map(|item| item.as_str().unwrap().to_owned())
                .collect()
        };
        let text = |key: &str| description[key].as_str().map(str::to_owned);
        let mut environment: indexmap::IndexMap<String, String> = description["env"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(key, value)| (key.clone(), value.as_str().unwrap().to_owned()))
            .collect();
        environment.insert("HOME".to_owned(), "/home/user".to_owned());
        LoadOptions {
            files: strings("files")
                .into_iter()
                .map(|f| FileArg::Path(f.into()))
                .collect(),
            project_name: text("project_name"),
            project_directory: text("project_directory").map(PathBuf::from),
            env_files: strings("env_files")
                .into_iter()
                .map(PathBuf::from)
                .collect(),
            profiles: strings("profiles"),
            environment,
            cwd: case.to_owned(),
            unset_help: None,
            skip: skiff::compose::Skip::default(),
            services: strings("services"),
            all_resources: description["all_resources"].as_bool().unwrap_or(false),
            env_file_readers: skiff::compose::Readers::default(),
        }
    }

    fn load_case(case: &Path) -> Result<Loaded, Diagnostics> {
        load(&options(case), &Host)
    }

    /// The text without the machine's own paths.
    fn scrubbed(case: &Path, text: &str) -> String {
        text.replace(&format!("{}/", case.display()), "")
            .replace(&case.display().to_string(), "@DIR@")
    }

    /// Compares with the stored text; true where they differ.
    fn differs(path: &Path, text: &str) -> bool {
        if skiff::env::read("UPDATE_GOLDEN").is_some() {
            fs_err::write(path, text).unwrap();
        }
        let expected = fs_err::read_to_string(path).unwrap_or_default();
        if expected == text {
            return false;
        }
        println!("--- {}\n{expected}\n+++ got\n{text}\n", path.display());
        true
    }

    #[test]
    fn errors_read_as_stored() {
        let mut wrong = Vec::new();
        for case in cases("err") {
            let text = match load_case(&case) {
                Ok(_) => "loaded without an error".to_owned(),
                Err(diagnostics) => scrubbed(&case, &diagnostics.to_string()),
            };
            if differs(&case.join("expected.txt"), &format!("{text}\n")) {
                wrong.push(case);
            }
        }
        assert_eq!(
            wrong,
            Vec::<PathBuf>::new(),
            "run with UPDATE_GOLDEN=1 and look at the difference"
        );
    }

    #[test]
    fn models_are_as_stored() {
        let mut wrong = Vec::new();
        for case in cases("ok") {
            let text = match load_case(&case) {
                Ok(loaded) => {
                    let json =
                        serde_json::to_string_pretty(&loaded.project.canonical_json()).unwrap();
                    scrubbed(&case, &json)
                }
                Err(diagnostics) => diagnostics.to_string(),
            };
            if differs(&case.join("expected.json"), &format!("{text}\n")) {
                wrong.push(case);
            }
        }
        assert_eq!(
            wrong,
            Vec::<PathBuf>::new(),
            "run with UPDATE_GOLDEN=1 and look at the difference"
        );
    }

    #[test]
    fn printed_yaml_loads_to_the_same_model() {
        for case in cases("ok") {
            // A dependency that is disabled would be missing from the output.
            let mut everything = options(&case);
            everything.profiles = vec!["*".to_owned()];
            let first = load(&everything, &Host).unwrap().project;
            let text = first.text(Form::Yaml);
            let second = LoadOptions {
                files: vec![FileArg::Stdin(text)],
                project_name: Some(first.name.clone()),
                profiles: vec!["*".to_owned()],
                cwd: case.clone(),
                environment: first.environment.clone(),
                ..LoadOptions::default()
            };
            let second = load(&second, &Host)
                .unwrap_or_else(|errors| panic!("{}: {errors}", case.display()))
                .project;
            assert_eq!(
                first.canonical_json(),
                second.canonical_json(),
                "{}",
                case.display()
            );
            for (name, service) in &first.services {
                assert_eq!(service.config_hash(), second.services[name].config_hash());
            }
        }
    }
}
