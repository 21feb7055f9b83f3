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
    use skiff::compose::{
        Diagnostics, FileArg, FileSystem, Form, Host, LoadOptions, Loaded, Skip, load, load_raw,
    };

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
            services: strings("services"),
            all_resources: description["all_resources"].as_bool().unwrap_or(false),
            ..LoadOptions::default()
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

    /// What is printed for `options` and read again is the same model, and is
    /// printed in the same words.
    fn assert_same_again(what: &str, options: &LoadOptions, files: &dyn FileSystem) {
        let Ok(first) = load(options, files) else {
            return;
        };
        let first = first.project;
        let text = first.text(Form::Yaml);
        let again = LoadOptions {
            files: vec![FileArg::Stdin(text.clone())],
            project_name: Some(first.name.clone()),
            profiles: vec!["*".to_owned()],
            cwd: options.cwd.clone(),
            environment: first.environment.clone(),
            skip: options.skip,
            ..LoadOptions::default()
        };
        let second = load(&again, files)
            .unwrap_or_else(|errors| panic!("{what}: {errors}\n{text}"))
            .project;
        assert_eq!(text, second.text(Form::Yaml), "{what}");
        assert_eq!(first.canonical_json(), second.canonical_json(), "{what}");
        for (name, service) in &first.services {
            let hash = second.services[name].config_hash();
            assert_eq!(service.config_hash(), hash, "{what} {name}");
        }
    }

    /// The same with each of the stages left out that leave a model.
    fn assert_same_again_in_all_forms(what: &str, options: &LoadOptions, files: &dyn FileSystem) {
        let stages = [
            Skip::default(),
            Skip {
                paths: true,
                ..Skip::default()
            },
            Skip {
                normalization: true,
                ..Skip::default()
            },
            Skip {
                consistency: true,
                ..Skip::default()
            },
        ];
        for skip in stages {
            let options = LoadOptions {
                // A dependency that is disabled would be missing from the output.
                profiles: vec!["*".to_owned()],
                skip,
                ..options.clone()
            };
            assert_same_again(&format!("{what} {skip:?}"), &options, files);
        }
    }

    #[test]
    fn printed_text_loads_to_the_same_model() {
        for case in cases("ok") {
            let what = case.display().to_string();
            assert_same_again_in_all_forms(&what, &options(&case), &Host);
        }
        let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/compose");
        for example in fs_err::read_dir(examples).unwrap() {
            let folder = example.unwrap().path();
            let what = folder.display().to_string();
            assert_same_again_in_all_forms(&what, &options(&folder), &Host);
        }
    }

    /// Raw files that are printed and read again are printed in the same words.
    #[test]
    fn printed_raw_files_load_to_the_same() {
        for case in cases("ok") {
            let options = options(&case);
            let Ok(first) = load_raw(&options, &Host) else {
                continue;
            };
            for form in [Form::Yaml, Form::Json] {
                let text = first.text(form);
                let again = LoadOptions {
                    files: vec![FileArg::Stdin(text.clone())],
                    cwd: case.clone(),
                    ..LoadOptions::default()
                };
                let second = load_raw(&again, &Host)
                    .unwrap_or_else(|errors| panic!("{}: {errors}\n{text}", case.display()));
                assert_eq!(text, second.text(form), "{}", case.display());
            }
        }
    }

    #[test]
    fn images_are_pinned_by_a_caller() {
        let options = LoadOptions {
            files: vec![FileArg::Stdin(
                "name: p\nservices: {a: {image: one}, b: {build: .}, c: {image: \"${X:-two}\"}}"
                    .to_owned(),
            )],
            cwd: PathBuf::from("/p"),
            ..LoadOptions::default()
        };
        let mut asked = Vec::new();
        let mut pin = |image: &str| {
            asked.push(image.to_owned());
            Ok::<_, String>(format!("{image}@sha256:0"))
        };
        let mut project = load(&options, &Host).unwrap().project;
        project.pin_images(&mut pin).unwrap();
        assert_eq!(
            project.images_only().text(Form::Yaml),
            "services:\n  a:\n    image: one@sha256:0\n  b: {}\n  c:\n    image: two@sha256:0\n"
        );
        let mut raw = load_raw(&options, &Host).unwrap();
        raw.pin_images(&mut pin).unwrap();
        raw.keep_images_only();
        assert_eq!(
            raw.text(Form::Yaml),
            "services:\n  a:\n    image: one@sha256:0\n  b: {}\n  c:\n    image: ${X:-two}@sha256:0\n"
        );
        assert_eq!(asked, ["one", "two", "one", "${X:-two}"]);
        let refused = project.pin_images(|image| Err(format!("no digest of {image}")));
        assert_eq!(refused, Err("no digest of one@sha256:0".to_owned()));
    }
}
