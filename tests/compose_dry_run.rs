//! What `config` accepts, `up --dry-run` either plans or refuses by attribute;
//! and what is refused becomes less, never more. `tests/golden/refused.txt` is how many
//! of the cases in this repository are refused, so it says the same on every machine.
//!
//! `SKIFF_CASES=FOLDER` has further cases looked at: folders with a `case.json`
//! (`files`, `args`, `env`, `cwd`) beside the files.

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::{Path, PathBuf};
    use std::process::{Command, Output, Stdio};

    use fs_err as fs;
    use serde_json::Value as Json;

    /// What `up` may refuse something of: the first part of an attribute's path.
    const SECTIONS: [&str; 6] = [
        "services", "networks", "volumes", "configs", "secrets", "models",
    ];

    /// A project as it is called: arguments before the command, in a folder.
    struct Case {
        name: String,
        arguments: Vec<String>,
        environment: BTreeMap<String, String>,
        folder: PathBuf,
    }

    impl Case {
        fn call(&self, roots: &Path, before: &[&str], command: &[&str]) -> Output {
            Command::new(env!("CARGO_BIN_EXE_skiff"))
                .args(before)
                .args(&self.arguments)
                .args(command)
                .current_dir(&self.folder)
                .env_clear()
                .env("HOME", "/home/user")
                .env("PATH", "/usr/bin:/bin")
                .env("SKIFF_DATA_ROOT", roots.join("data"))
                .env("SKIFF_RUN_ROOT", roots.join("run"))
                .envs(&self.environment)
                .stdin(Stdio::null())
                .output()
                .unwrap()
        }

        /// True where it is refused; panics where it is neither that nor planned.
        fn is_refused(&self, roots: &Path) -> Option<bool> {
            if !self.call(roots, &[], &["config", "-q"]).status.success() {
                return None;
            }
            let output = self.call(roots, &["--dry-run"], &["up"]);
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            let code = output.status.code();
            assert!(
                matches!(code, Some(0 | 1)),
                "{}: {}\n{said}",
                self.name,
                output.status
            );
            if code == Some(0) {
                assert!(!output.stdout.is_empty(), "{}: no plan\n{said}", self.name);
                return Some(false);
            }
            let errors: Vec<&str> = said
                .lines()
                .filter_map(|line| line.strip_prefix("error: "))
                .collect();
            assert!(!errors.is_empty(), "{}: {said}", self.name);
            for error in errors {
                let section = error.split(['.', ':']).next().unwrap_or_default();
                assert!(SECTIONS.contains(&section), "{}: {said}", self.name);
            }
            Some(true)
        }
    }

    fn copy(from: &Path, to: &Path) {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            let target = to.join(entry.file_name());
            if entry.path().is_dir() {
                copy(&entry.path(), &target);
            } else {
                fs::copy(entry.path(), target).unwrap();
            }
        }
    }

    /// A folder of cases, each with its files and perhaps a `case.json`.
    fn folders(root: &Path, home: &Path) -> Vec<Case> {
        let mut cases: Vec<Case> = fs::read_dir(root)
            .unwrap()
            .map(|entry| folder(&entry.unwrap().path(), home))
            .collect();
        cases.sort_by(|a, b| a.name.cmp(&b.name));
        cases
    }

    fn folder(case: &Path, home: &Path) -> Case {
        let name = case.file_name().unwrap().to_string_lossy().into_owned();
        let copied = home.join(&name);
        copy(case, &copied);
        let text = fs::read_to_string(case.join("case.json")).unwrap_or_else(|_| "{}".to_owned());
        let description: Json = serde_json::from_str(&text).unwrap();
        let strings = |key: &str| -> Vec<String> {
            let list = description[key].as_array().into_iter().flatten();
            list.filter_map(Json::as_str).map(str::to_owned).collect()
        };
        let flags = [
            ("files", "-f"),
            ("profiles", "--profile"),
            ("env_files", "--env-file"),
        ];
        let mut arguments = strings("args");
        for (key, flag) in flags {
            for value in strings(key) {
                arguments.extend([flag.to_owned(), value]);
            }
        }
        for (key, flag) in [
            ("project_name", "-p"),
            ("project_directory", "--project-directory"),
        ] {
            if let Some(value) = description[key].as_str() {
                arguments.extend([flag.to_owned(), value.to_owned()]);
            }
        }
        let variables = description["env"].as_object().into_iter().flatten();
        Case {
            name,
            arguments,
            environment: variables
                .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
                .collect(),
            folder: copied.join(description["cwd"].as_str().unwrap_or_default()),
        }
    }

    /// The small cases of `tests/golden/reference`.
    fn blocks(text: &str, home: &Path) -> Vec<Case> {
        let blocks = text.split("=== ").skip(1);
        blocks
            .map(|block| {
                let (head, body) = block.split_once('\n').unwrap();
                let mut words = head.split(' ').map(str::to_owned);
                let name = words.next().unwrap();
                let folder = home.join(&name);
                fs::create_dir_all(&folder).unwrap();
                let body = format!("\n{}", body.trim_end_matches('\n'));
                for (index, part) in body.split("\n---- ").enumerate() {
                    let (file, text) = match index {
                        0 => ("compose.yaml", part.trim_start_matches('\n')),
                        _ => part.split_once('\n').unwrap_or((part, "")),
                    };
                    if !text.trim().is_empty() {
                        let path = folder.join(file);
                        fs::create_dir_all(path.parent().unwrap()).unwrap();
                        fs::write(path, format!("{text}\n")).unwrap();
                    }
                }
                let known = [("V", "val"), ("N", "3"), ("EMPTY", "")];
                Case {
                    name,
                    arguments: words.filter(|word| word != "--all-resources").collect(),
                    environment: known.map(|(k, v)| (k.to_owned(), v.to_owned())).into(),
                    folder,
                }
            })
            .collect()
    }

    /// How many are planned and how many refused.
    fn count(cases: &[Case], roots: &Path) -> (usize, usize) {
        let answers: Vec<bool> = cases
            .iter()
            .filter_map(|case| case.is_refused(roots))
            .collect();
        assert_nothing_is_made(roots);
        let refused = answers.iter().filter(|refused| **refused).count();
        (answers.len() - refused, refused)
    }

    /// A dry run makes neither of the roots.
    fn assert_nothing_is_made(roots: &Path) {
        for root in ["data", "run"] {
            assert!(!roots.join(root).exists(), "`{root}` was made");
        }
    }

    #[test]
    fn a_dry_run_makes_nothing() {
        let home = tempfile::tempdir().unwrap();
        let text = "services: {a: {image: skiff/toolbox}, b: {build: .}}\n";
        fs::write(home.path().join("compose.yaml"), text).unwrap();
        fs::write(home.path().join("Dockerfile"), "FROM skiff/toolbox\n").unwrap();
        let case = Case {
            name: "toolbox".to_owned(),
            arguments: vec!["-p".to_owned(), "p".to_owned()],
            environment: BTreeMap::new(),
            folder: home.path().to_owned(),
        };
        for (command, plan) in [
            (
                &["up", "-d"] as &[&str],
                "image of b: build\n\
                 1 network p_default: create (missing)\n\
                 2 container p-a-1: create (missing) after 1\n\
                 3 container p-b-1: create (missing) after 1\n\
                 4 container p-a-1: start after 2\n\
                 5 container p-b-1: start after 3\n",
            ),
            (&["create"], "container p-a-1: create (missing)"),
            (&["down", "-v"], "nothing to do\n"),
            (&["build"], "image of b: build\n"),
        ] {
            let output = case.call(home.path(), &["--dry-run"], command);
            let said = String::from_utf8_lossy(&output.stdout);
            let lines = plan.lines();
            assert!(lines.clone().all(|line| said.contains(line)), "{said}");
            assert_eq!(output.status.code(), Some(0), "{output:?}");
            assert_nothing_is_made(home.path());
        }
    }

    #[test]
    fn what_is_refused_is_told_once() {
        let home = tempfile::tempdir().unwrap();
        let text = "services:
  a:
    image: skiff/toolbox
    network_mode: 'foo:bar'
    restart: allways
    volumes: ['x:relative']
    healthcheck: {test: CMD true}
volumes: {x: }
";
        fs::write(home.path().join("compose.yaml"), text).unwrap();
        let case = Case {
            name: "refused".to_owned(),
            arguments: vec!["-p".to_owned(), "p".to_owned()],
            environment: BTreeMap::new(),
            folder: home.path().to_owned(),
        };
        let told = |command: &[&str]| -> Vec<String> {
            let output = case.call(home.path(), &["--dry-run"], command);
            let said = String::from_utf8_lossy(&output.stderr);
            let lines = said.lines();
            let heads = lines.filter_map(|line| {
                let (severity, rest) = line.split_once(": services.a.")?;
                Some(format!("{severity} {}", rest.split(':').next()?))
            });
            let mut heads: Vec<String> = heads.collect();
            heads.sort();
            heads
        };
        let once = [
            "error network_mode",
            "error restart",
            "error volumes[0]",
            "warning healthcheck.test",
        ];
        for command in ["up", "create"] {
            assert_eq!(told(&[command]), once, "{command}");
        }
        let warned =
            ["healthcheck.test", "restart", "volumes[0]"].map(|path| format!("warning {path}"));
        assert_eq!(told(&["config"]), warned);
    }

    #[test]
    fn what_config_accepts_is_planned_or_refused_by_attribute() {
        let home = tempfile::tempdir().unwrap();
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
        let mut cases = folders(&golden.join("ok"), &home.path().join("ok"));
        for name in ["attributes", "files"] {
            let text = fs::read_to_string(golden.join(format!("reference/{name}.txt"))).unwrap();
            cases.extend(blocks(&text, &home.path().join(name)));
        }
        let (planned, refused) = count(&cases, home.path());
        assert!(
            planned > 50,
            "{planned} of {} cases are planned",
            cases.len()
        );
        let path = golden.join("refused.txt");
        let most: usize = fs::read_to_string(&path).unwrap().trim().parse().unwrap();
        assert!(
            refused <= most,
            "{refused} cases are refused, they were {most}"
        );
        assert_eq!(
            refused,
            most,
            "fewer are refused now: write {refused} into {}",
            path.display()
        );
    }

    #[test]
    fn further_cases_are_planned_or_refused_by_attribute() {
        let Some(folder) = skiff::env::read("SKIFF_CASES") else {
            return;
        };
        let home = tempfile::tempdir().unwrap();
        let cases = folders(Path::new(&folder), &home.path().join("cases"));
        let (planned, refused) = count(&cases, home.path());
        println!("{planned} planned, {refused} refused");
        assert!(planned > 0);
    }
}
