//! Where values come from, and hints: each folder below `tests/golden/explain` is
//! a project with what is asked of it (`subjects` of its `case.json`) and the
//! answers, each below `tests/golden/lint` one with its hints. `UPDATE_GOLDEN=1`
//! writes what came out; look at the difference.

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use serde_json::Value as Json;
    use skiff::compose::{Host, LoadOptions, Loaded, Style, explain, lint, load, print_list};

    /// The cases of a kind: their folders and descriptions.
    fn cases(kind: &str) -> Vec<(PathBuf, Json)> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/golden")
            .join(kind);
        let mut cases: Vec<_> = fs_err::read_dir(root)
            .unwrap()
            .map(|entry| {
                let folder = entry.unwrap().path();
                let text = fs_err::read_to_string(folder.join("case.json")).unwrap();
                (folder, serde_json::from_str(&text).unwrap())
            })
            .collect();
        cases.sort_by(|(a, _), (b, _)| a.cmp(b));
        cases
    }

    fn loaded(case: &Path, description: &Json) -> Loaded {
        let environment = description["env"].as_object().into_iter().flatten();
        let options = LoadOptions {
            environment: environment
                .map(|(key, value)| (key.clone(), value.as_str().unwrap().to_owned()))
                .collect(),
            project_name: description["project_name"].as_str().map(str::to_owned),
            cwd: case.to_owned(),
            trace: true,
            ..LoadOptions::default()
        };
        load(&options, &Host).unwrap()
    }

    /// Compares with what is stored; the folder's own path is none of it.
    fn compare(case: &Path, text: &str) -> bool {
        let text = text.replace(&format!("{}/", case.display()), "");
        let path = case.join("expected.txt");
        if skiff::env::read("UPDATE_GOLDEN").is_some() {
            fs_err::write(&path, &text).unwrap();
        }
        let expected = fs_err::read_to_string(&path).unwrap_or_default();
        if expected != text {
            println!("--- {}\n{expected}\n+++ got\n{text}\n", path.display());
        }
        expected == text
    }

    #[test]
    fn values_are_explained_as_stored() {
        let mut wrong = Vec::new();
        for (case, description) in cases("explain") {
            let project = loaded(&case, &description).project;
            let mut text = String::new();
            for subject in description["subjects"].as_array().unwrap() {
                let subject = subject.as_str().unwrap();
                text.push_str(&format!("$ {subject}\n"));
                match explain(&project, subject) {
                    Ok(found) => {
                        assert!(!found.is_empty(), "{subject}");
                        for one in found {
                            text.push_str(&one.render(&Style::PLAIN));
                            text.push('\n');
                        }
                    }
                    Err(error) => text.push_str(&format!("{error}\n")),
                }
            }
            if !compare(&case, &text) {
                wrong.push(case);
            }
        }
        assert_eq!(wrong, Vec::<PathBuf>::new());
    }

    /// The whole model can be asked for, and says of every value what `config` has.
    #[test]
    fn explained_values_are_those_of_the_model() {
        for (case, description) in cases("explain") {
            let project = loaded(&case, &description).project;
            let model = project.canonical_json();
            for (name, service) in model["services"].as_object().unwrap() {
                let path = format!("services.{name}");
                let explained = explain(&project, &path).unwrap();
                for (key, value) in service["environment"].as_object().into_iter().flatten() {
                    let subject = format!("{path}.environment.{key}");
                    let found = explained.iter().find(|one| one.subject == subject);
                    let found = found.unwrap_or_else(|| panic!("{subject} is not explained"));
                    assert_eq!(found.value.as_deref(), value.as_str(), "{subject}");
                }
                if service["image"].is_null() {
                    continue;
                }
                let image = explained
                    .iter()
                    .find(|one| one.subject == format!("{path}.image"));
                assert_eq!(image.unwrap().value.as_deref(), service["image"].as_str());
            }
        }
    }

    #[test]
    fn an_explanation_is_data_too() {
        let case = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/explain/layers");
        let description = serde_json::json!({"env": {"TAG": "1.28"}});
        let project = loaded(&case, &description).project;
        let found = explain(&project, "web.image").unwrap();
        let json = found.first().unwrap().to_json();
        assert_eq!(json["subject"], "services.web.image");
        let winner = &json["sources"][0];
        assert_eq!(winner["standing"], "wins");
        assert_eq!(winner["origin"], "file");
        assert_eq!(winner["line"], 3);
        assert_eq!(winner["column"], 12);
        assert_eq!(winner["written"], "over:${TAG}");
        let variable = &winner["variables"][0];
        assert_eq!(variable["subject"], "TAG");
        assert_eq!(variable["sources"][0]["origin"], "environment");
        assert_eq!(variable["sources"][1]["standing"], "overridden");
        assert_eq!(json["more"], false);
        // The steps of a chain are those of a diagnostic.
        let step = &json["sources"][3]["chain"][0];
        let keys: Vec<&String> = step.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["what", "file", "line", "column"]);
        assert_eq!(step["line"], 16);
    }

    #[test]
    fn without_a_trace_nothing_is_explained() {
        let case = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/explain/layers");
        let options = LoadOptions {
            cwd: case,
            ..LoadOptions::default()
        };
        let project = load(&options, &Host).unwrap().project;
        assert!(explain(&project, "web.image").is_err());
    }

    #[test]
    fn hints_read_as_stored() {
        let mut wrong = Vec::new();
        for (case, description) in cases("lint") {
            let Loaded { project, warnings } = loaded(&case, &description);
            let hints = lint(&project, warnings, &Host);
            if !compare(&case, &print_list(&hints, Some(&Style::PLAIN))) {
                wrong.push(case);
            }
        }
        assert_eq!(wrong, Vec::<PathBuf>::new());
    }

    /// Runs `config` in a case's folder: code, standard output, standard error.
    fn config(case: &str, arguments: &[&str]) -> (i32, String, String) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/golden")
            .join(case);
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_skiff"))
            .arg("config")
            .args(arguments)
            .current_dir(folder)
            .env_clear()
            .output()
            .unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let code = output.status.code().unwrap();
        (code, text(output.stdout), text(output.stderr))
    }

    #[test]
    fn a_wrong_subject_is_an_error_on_standard_error() {
        for subject in ["", ".", "$", "services.", "web.ports[9]", "WEB.image"] {
            let (code, output, errors) = config("explain/odd", &["--explain", subject]);
            assert_eq!((code, output.as_str()), (1, ""), "{subject}");
            assert!(errors.starts_with("error: "), "{subject}: {errors}");
        }
        let (code, output, _) = config("explain/odd", &["--explain", "include"]);
        assert_eq!(code, 0);
        assert!(output.starts_with("include[0]  db.yaml\n"), "{output}");
    }

    #[test]
    fn hints_are_printed_as_diagnostics_are() {
        let (code, output, errors) = config("lint/ports", &["--lint"]);
        assert_eq!((code, errors.as_str()), (1, ""));
        assert!(output.contains("\n\nwarning: "), "{output}");
        let (code, output, _) = config("lint/ports", &["--lint", "--format", "json"]);
        assert_eq!(code, 1);
        let lines: Vec<Json> = output
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(lines.len(), 2, "{output}");
        assert_eq!(lines[1]["path"], "services.web.ports[4]");
        assert_eq!(lines[1]["chain"][0]["line"], 5);
        let (code, output, errors) = config("lint/ports", &["--lint", "--format", "nonsense"]);
        assert_eq!((code, output.as_str()), (1, ""));
        assert!(errors.contains("unsupported format"), "{errors}");
    }

    #[test]
    fn warnings_are_printed_as_errors_are() {
        let (code, _, errors) = config("warn/mistakes", &["-q"]);
        assert_eq!(code, 0);
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/warn/mistakes");
        let expected = fs_err::read_to_string(folder.join("expected.txt")).unwrap();
        let errors = errors.replace(&format!("{}/", folder.display()), "");
        assert_eq!(errors, expected);
    }
}
