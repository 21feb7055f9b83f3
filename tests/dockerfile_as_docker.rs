//! What a Dockerfile means, where `docker build` (Engine 28.5, buildx 0.29) was asked
//! the same: what its checks find, the steps it shows, the config and the history of
//! the image that comes out.
//!
//! `tests/golden/dockerfile/NAME.txt` holds cases: `=== ID check|build [FLAGS]`, the
//! text of the Dockerfile, further files of the context after `---- FILE`, then the
//! answer after `---- =`. The base image is `127.0.0.1:5000/busybox`, whose config is
//! in `base.json`.
//!
//! `UPDATE_GOLDEN=docker` asks `docker build` and writes its answers down.

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fmt::Write as _;
    use std::path::Path;
    use std::process::{Command, Stdio};

    use serde_json::Value;
    use skiff::build::graph::{
        BaseImage, Bases, Kind, Options, Outcome, Plan, Source, document, plan,
    };
    use skiff::build::ignore::Ignore;
    use skiff::dockerfile::{Dockerfile, parse};
    use skiff::image::{ConfigFile, Platform};

    const BASE: &str = include_str!("golden/dockerfile/base.json");

    struct Case<'t> {
        head: &'t str,
        text: &'t str,
        files: BTreeMap<&'t str, &'t str>,
        answer: &'t str,
    }

    fn read(block: &str) -> Case<'_> {
        let (head, rest) = block.split_once('\n').unwrap();
        let mut parts = rest.split("---- ");
        let text = parts.next().unwrap();
        let mut files = BTreeMap::new();
        let mut answer = "";
        for part in parts {
            let (name, text) = part.split_once('\n').unwrap();
            if name == "=" {
                answer = text;
            } else {
                files.insert(name, text);
            }
        }
        Case {
            head,
            text,
            files,
            answer,
        }
    }

    impl Case<'_> {
        fn is_check(&self) -> bool {
            self.head.split(' ').nth(1) == Some("check")
        }

        fn flags(&self) -> Vec<&str> {
            self.head.split(' ').skip(2).collect()
        }

        fn options(&self) -> Options {
            let mut options = Options {
                all_stages: self.is_check(),
                build_platform: Some(Platform::parse("linux/amd64").unwrap()),
                ignore: self
                    .files
                    .get(".dockerignore")
                    .map(|text| Ignore::parse(text).unwrap()),
                ..Options::default()
            };
            for pair in self.flags().chunks(2) {
                let [flag, value] = pair else {
                    panic!("a flag without a value: {}", self.head);
                };
                let pair = value.split_once('=');
                let pair = pair.map(|(name, value)| (name.to_owned(), value.to_owned()));
                match *flag {
                    "--target" => {
                        options.target = Some((*value).to_owned());
                        options.all_stages = false;
                    }
                    "--build-arg" => options.arguments.extend(pair),
                    "--label" => options.labels.extend(pair),
                    "--platform" => options.platform = Some(Platform::parse(value).unwrap()),
                    _ => panic!("unknown flag {flag}"),
                }
            }
            options
        }

        fn ours(&self) -> String {
            let planned = parse(self.text.as_bytes())
                .map_err(|error| (error.source, error.problems))
                .and_then(|file| match planned(&file, &self.options()) {
                    Ok(plan) => Ok((file, plan)),
                    Err(problems) => Err((file.source, problems)),
                });
            match planned {
                // Docker tells the first alone.
                Err((source, problems)) => {
                    let place = source.lines(problems[0].at);
                    format!("error in line {}\n", place.0)
                }
                Ok((file, plan)) if self.is_check() => our_checks(&file, &plan),
                Ok((_, plan)) => our_build(&plan),
            }
        }
    }

    fn planned(
        file: &Dockerfile,
        options: &Options,
    ) -> Result<Plan, Vec<skiff::dockerfile::Problem>> {
        let mut bases = Bases::new();
        loop {
            match plan(file, options, &bases)? {
                Outcome::Ready(plan) => return Ok(*plan),
                Outcome::Needs(needs) => {
                    for (request, _) in needs {
                        let config = ConfigFile::parse(BASE.as_bytes()).unwrap();
                        let base = BaseImage {
                            config,
                            digest: None,
                        };
                        assert_eq!(bases.insert(request, base), None, "asked for twice");
                    }
                }
            }
        }
    }

    fn our_checks(file: &Dockerfile, plan: &Plan) -> String {
        let lines = plan.warnings.iter().map(|warning| {
            let line = file.source.lines(warning.at).0;
            format!("{line} {}: {}", warning.rule.name(), warning.message)
        });
        sorted(lines)
    }

    fn sorted(lines: impl Iterator<Item = String>) -> String {
        let mut lines: Vec<String> = lines.collect();
        lines.sort();
        lines.dedup();
        lines.into_iter().map(|line| line + "\n").collect()
    }

    fn our_build(plan: &Plan) -> String {
        let is_shown = |kind: &Kind| !matches!(kind, Kind::Source(Source::Context { .. }));
        let steps = plan.steps.iter().filter(|step| is_shown(&step.kind));
        let names = steps.map(|step| format!("step {}", step.name));
        let document = document(&plan.config, plan.has_escaped_args);
        let mut text = sorted(names);
        let history = document["history"].as_array().unwrap();
        for entry in history
            .iter()
            .filter(|entry| entry["comment"] == "buildkit.dockerfile.v0")
        {
            push_history(
                &mut text,
                entry["created_by"].as_str().unwrap(),
                entry.get("empty_layer").is_none(),
            );
        }
        push_config(&mut text, &document["config"]);
        text
    }

    fn push_history(text: &mut String, created_by: &str, has_layer: bool) {
        let sign = if has_layer { '+' } else { '-' };
        let created_by = created_by.replace('\n', "\\n");
        writeln!(text, "history {sign} {created_by}").unwrap();
    }

    fn push_config(text: &mut String, config: &Value) {
        let fields: BTreeMap<&String, &Value> = config.as_object().unwrap().iter().collect();
        for (name, value) in fields {
            let is_empty = [Value::Null, "".into(), false.into()].contains(value);
            if !is_empty {
                writeln!(text, "config {name} {value}").unwrap();
            }
        }
    }

    fn cases(mut run: impl FnMut(&Path, &str)) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/dockerfile");
        let mut files: Vec<_> = fs_err::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
            .collect();
        files.sort();
        for file in files {
            run(&file, &fs_err::read_to_string(&file).unwrap());
        }
    }

    fn blocks(text: &str) -> impl Iterator<Item = &str> {
        text.split("=== ").filter(|block| !block.is_empty())
    }

    #[test]
    fn dockerfiles_mean_what_they_mean_to_docker() {
        if skiff::env::read_string("UPDATE_GOLDEN").as_deref() == Some("docker") {
            cases(|file, text| {
                let answered: String = blocks(text).map(|block| asked(&read(block))).collect();
                fs_err::write(file, answered).unwrap();
            });
        }
        let mut wrong = Vec::new();
        let mut count = 0;
        cases(|_, text| {
            for case in blocks(text).map(read) {
                count += 1;
                let ours = case.ours();
                if ours != case.answer {
                    wrong.push(format!(
                        "=== {}\n{}--- docker\n{}--- skiff\n{ours}",
                        case.head, case.text, case.answer
                    ));
                }
            }
        });
        assert!(count > 50, "looked in the wrong place");
        assert!(
            wrong.is_empty(),
            "{} differ:\n{}",
            wrong.len(),
            wrong.join("\n")
        );
    }

    /// A case with Docker's answer.
    fn asked(case: &Case<'_>) -> String {
        let folder = tempfile::tempdir().unwrap();
        fs_err::write(folder.path().join("Dockerfile"), case.text).unwrap();
        for (name, text) in &case.files {
            let path = folder.path().join(name);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(path, text).unwrap();
        }
        let answer = if case.is_check() {
            docker_checks(case, folder.path())
        } else {
            docker_build(case, folder.path())
        };
        let files: String = case
            .files
            .iter()
            .map(|(name, text)| format!("---- {name}\n{text}"))
            .collect();
        format!("=== {}\n{}{files}---- =\n{answer}", case.head, case.text)
    }

    fn docker(arguments: &[&str], folder: &Path) -> (bool, String, String) {
        let output = Command::new("docker")
            .args(arguments)
            .current_dir(folder)
            .stdin(Stdio::null())
            .output()
            .expect("docker");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (
            output.status.success(),
            text(&output.stdout),
            text(&output.stderr),
        )
    }

    fn docker_checks(case: &Case<'_>, folder: &Path) -> String {
        let mut arguments = vec!["build", "--call=check,format=json"];
        arguments.extend(case.flags());
        arguments.push(".");
        let (_, out, error) = docker(&arguments, folder);
        // Behind an error there is its text as well.
        let mut documents = serde_json::Deserializer::from_str(&out).into_iter::<Value>();
        let Some(Ok(answer)) = documents.next() else {
            panic!("{}: {out}{error}", case.head);
        };
        let line = |location: &Value| location["ranges"][0]["start"]["line"].as_u64().unwrap_or(1);
        if let Some(failed) = answer.get("buildError") {
            return format!("error in line {}\n", line(&failed["location"]));
        }
        let warnings = answer["warnings"].as_array().cloned().unwrap_or_default();
        sorted(warnings.iter().map(|warning| {
            let name = warning["ruleName"].as_str().unwrap();
            let detail = warning["detail"].as_str().unwrap();
            format!("{} {name}: {detail}", line(&warning["location"]))
        }))
    }

    fn docker_build(case: &Case<'_>, folder: &Path) -> String {
        let tag = "skiff-dockerfile-as-docker";
        let mut arguments = vec!["build", "--no-cache", "--progress=plain", "-t", tag];
        arguments.extend(case.flags());
        arguments.push(".");
        let (is_built, _, error) = docker(&arguments, folder);
        if !is_built {
            return format!("failed: {error}\n");
        }
        // `#7 [2/3] RUN x`, then lines of its output.
        let mut seen = Vec::new();
        let steps = error.lines().filter_map(|line| {
            let (number, rest) = line.split_once(' ')?;
            let is_first = number.starts_with('#') && !seen.contains(&number);
            if is_first {
                seen.push(number);
            }
            let is_shown = rest.starts_with('[') && !rest.starts_with("[internal]")
                || rest.starts_with("FROM ");
            (is_first && is_shown).then(|| format!("step {rest}"))
        });
        let mut text = sorted(steps);
        let folder = tempfile::tempdir().unwrap();
        let archive = folder.path().join("image.tar");
        let (is_saved, _, error) = docker(
            &["save", "-o", archive.to_str().unwrap(), tag],
            folder.path(),
        );
        assert!(is_saved, "{error}");
        let document = config_of(&archive);
        let history = document["history"].as_array().unwrap();
        for entry in history
            .iter()
            .filter(|entry| entry["comment"] == "buildkit.dockerfile.v0")
        {
            push_history(
                &mut text,
                entry["created_by"].as_str().unwrap(),
                entry.get("empty_layer").is_none(),
            );
        }
        push_config(&mut text, &document["config"]);
        docker(&["image", "rm", "-f", tag], folder.path());
        text
    }

    /// The config document in an archive of Docker's.
    fn config_of(archive: &Path) -> Value {
        let entry = |name: &str| {
            let mut archive = tar::Archive::new(fs_err::File::open(archive).unwrap());
            let mut entries = archive.entries().unwrap().map(Result::unwrap);
            let found = entries.find(|entry| entry.path().unwrap() == Path::new(name));
            serde_json::from_reader::<_, Value>(found.unwrap()).unwrap()
        };
        let manifest = entry("manifest.json");
        entry(manifest[0]["Config"].as_str().unwrap())
    }
}
