//! Golden tests of the loader: each folder below `tests/golden/ok` is a project
//! with its canonical JSON, each below `tests/golden/err` one with the rendered
//! diagnostics. Below `warn` are projects that load with warnings, below `refuse`
//! those that load and that `up` refuses. `UPDATE_GOLDEN=1` writes what came out;
//! look at the difference.

#[cfg(test)]
#[path = "golden/case.rs"]
mod case;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::{Path, PathBuf};

    use serde_json::Value as Json;
    use skiff::compose::{
        Diagnostic, FileArg, FileSystem, Form, Host, LoadOptions, Skip, Style, load, load_raw,
        render_list,
    };
    use skiff::reconcile::refuse;

    use crate::case::{cases, load_case, options, root};

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

    /// Everything that is said of a case.
    fn diagnostics(kind: &str, case: &Path) -> Vec<Diagnostic> {
        match (kind, load_case(case)) {
            ("err", Err(diagnostics)) => diagnostics.list,
            ("warn", Ok(loaded)) => loaded.warnings,
            ("refuse", Ok(loaded)) => {
                let project = loaded.project;
                let services: Vec<&String> = project.services.keys().collect();
                let mut found = refuse::refusals(&project, &services);
                found.extend(refuse::too_many_containers(
                    &project,
                    &services,
                    &BTreeMap::new(),
                ));
                found.extend(refuse::doubled_ports(&project, &services));
                found.extend(refuse::crowded_ports(&project, &services, &BTreeMap::new()));
                found
            }
            (_, Ok(_)) => panic!("{} is loaded without an error", case.display()),
            (_, Err(errors)) => panic!("{}: {errors}", case.display()),
        }
    }

    const KINDS: [&str; 3] = ["err", "warn", "refuse"];

    #[test]
    fn diagnostics_read_as_stored() {
        let mut wrong = Vec::new();
        for kind in KINDS {
            for case in cases(kind) {
                let list = diagnostics(kind, &case);
                assert!(!list.is_empty(), "{} says nothing", case.display());
                let text = scrubbed(&case, &render_list(&list, &Style::PLAIN));
                let steers = |c: char| c != '\n' && c.is_control();
                assert!(!text.contains(steers), "{}: {text:?}", case.display());
                if differs(&case.join("expected.txt"), &format!("{text}\n")) {
                    wrong.push(case);
                }
            }
        }
        assert_eq!(
            wrong,
            Vec::<PathBuf>::new(),
            "run with UPDATE_GOLDEN=1 and look at the difference"
        );
    }

    /// `docs/diagnostics.md` as a check: the keys, their types, and that what is
    /// marked is there.
    #[test]
    fn diagnostics_are_data_as_documented() {
        let text = |value: &Json| value.is_string();
        let text_or_null = |value: &Json| value.is_string() || value.is_null();
        let number_or_null = |value: &Json| value.is_null() || value.as_u64() > Some(0);
        let keys =
            |value: &Json| -> Vec<String> { value.as_object().unwrap().keys().cloned().collect() };
        let mut count = 0;
        for kind in KINDS {
            for case in cases(kind) {
                for diagnostic in diagnostics(kind, &case) {
                    let json = diagnostic.json();
                    let all = [
                        "severity",
                        "message",
                        "path",
                        "file",
                        "line",
                        "column",
                        "end",
                        "excerpt",
                        "expected",
                        "suggestion",
                        "note",
                        "chain",
                        "output",
                    ];
                    assert_eq!(keys(&json), all, "{json}");
                    let severity = json["severity"].as_str().unwrap();
                    assert!(["error", "warning"].contains(&severity), "{json}");
                    assert!(
                        ["message", "path"].iter().all(|key| text(&json[key])),
                        "{json}"
                    );
                    let texts = ["file", "excerpt", "expected", "suggestion", "note"];
                    assert!(texts.iter().all(|key| text_or_null(&json[key])), "{json}");
                    let numbers = ["line", "column", "end"];
                    assert!(
                        numbers.iter().all(|key| number_or_null(&json[key])),
                        "{json}"
                    );
                    for step in json["chain"].as_array().unwrap() {
                        assert_eq!(keys(step), ["what", "file", "line", "column"], "{json}");
                        assert!(text(&step["what"]) && text_or_null(&step["file"]), "{json}");
                        assert_eq!(step["line"].is_null(), step["file"].is_null(), "{json}");
                    }
                    if let Some(file) = json["file"].as_str() {
                        let text = fs_err::read(file).unwrap();
                        let text = String::from_utf8_lossy(&text);
                        let text = text.trim_start_matches('\u{feff}');
                        let number =
                            |key: &str| usize::try_from(json[key].as_u64().unwrap()).unwrap();
                        let line = text.lines().nth(number("line") - 1).unwrap_or_default();
                        let length = line.chars().count();
                        assert!(number("column") < number("end"), "{json}");
                        // A place may be behind the end, where something is missing.
                        assert!(number("end") <= length.max(number("column")) + 1, "{json}");
                    }
                    count += 1;
                }
            }
        }
        assert!(count > 200, "{count}");
    }

    /// Runs `config` on a case.
    fn config(case: &str, arguments: &[&str]) -> std::process::Output {
        std::process::Command::new(env!("CARGO_BIN_EXE_skiff"))
            .args(arguments)
            .current_dir(root("err").join(case))
            .env_clear()
            .output()
            .unwrap()
    }

    #[test]
    fn the_command_prints_a_json_object_a_line_where_json_is_asked_for() {
        for arguments in [
            &["config", "--format", "json"] as &[&str],
            &["--progress", "json", "config"],
        ] {
            let output = config("unknown-attribute", arguments);
            assert_eq!(output.status.code(), Some(1));
            assert!(output.stdout.is_empty());
            let text = String::from_utf8(output.stderr).unwrap();
            let lines: Vec<Json> = text
                .lines()
                .map(|line| serde_json::from_str(line).unwrap())
                .collect();
            let paths: Vec<&str> = lines
                .iter()
                .map(|one| one["path"].as_str().unwrap())
                .collect();
            let expected = ["enviroment", "port", "replicas", "restrat"];
            assert_eq!(paths, expected.map(|key| format!("services.web.{key}")));
            assert_eq!(lines[0]["suggestion"], "did you mean `environment`?");
        }
        let output = config(
            "unknown-attribute",
            &["config", "--format", "json", "nothing"],
        );
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.lines().all(|line| line.starts_with('{')), "{text}");
    }

    #[test]
    fn text_is_the_default() {
        let output = config("unknown-attribute", &["config"]);
        assert_eq!(output.status.code(), Some(1));
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(
            text.starts_with("error: services.web.enviroment: "),
            "{text}"
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
