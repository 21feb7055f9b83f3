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
    use skiff::compose::{Diagnostic, FileArg, Host, LoadOptions, Style, load, render_list};
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
                        "chain",
                    ];
                    assert_eq!(keys(&json), all, "{json}");
                    let severity = json["severity"].as_str().unwrap();
                    assert!(["error", "warning"].contains(&severity), "{json}");
                    assert!(
                        ["message", "path"].iter().all(|key| text(&json[key])),
                        "{json}"
                    );
                    let texts = ["file", "excerpt", "expected", "suggestion"];
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

    #[test]
    fn printed_yaml_loads_to_the_same_model() {
        for case in cases("ok") {
            // A dependency that is disabled would be missing from the output.
            let mut everything = options(&case);
            everything.profiles = vec!["*".to_owned()];
            let first = load(&everything, &Host).unwrap().project;
            let text = first.canonical_yaml().replace('$', "$$");
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
