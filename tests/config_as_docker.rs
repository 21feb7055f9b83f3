//! What `skiff config` prints, letter by letter, and its exit code, where
//! `docker compose config` (2.40.3) was asked the same.
//!
//! `tests/golden/config/NAME.txt` holds cases: `=== ID [NAME=VALUE…] ARGUMENTS`,
//! the text of `compose.yaml`, further files after `---- FILE`, then the answer
//! after `---- = CODE`: what came on standard output. An ID that ends in `~` has
//! an answer whose lines the reference prints in any order.
//!
//! `UPDATE_GOLDEN=docker` asks `docker compose` and writes its answers down.

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::process::{Command, Stdio};

    /// A case, with the answer that is written down.
    struct Case<'t> {
        head: &'t str,
        files: Vec<(&'t str, &'t str)>,
        answer: Option<Answer>,
    }

    #[derive(Debug, PartialEq, Eq)]
    struct Answer {
        code: i32,
        stdout: String,
    }

    fn parse(block: &str) -> Case<'_> {
        let (head, mut rest) = block.split_once('\n').unwrap_or((block, ""));
        let mut files = Vec::new();
        let mut answer = None;
        let mut name = "compose.yaml";
        loop {
            let (text, next) = match rest.split_once("---- ") {
                Some((text, next)) => (text, Some(next)),
                None => (rest, None),
            };
            if let Some(code) = name.strip_prefix("= ") {
                answer = Some(Answer {
                    code: code.parse().expect("an exit code"),
                    stdout: text.to_owned(),
                });
            } else if !text.is_empty() {
                files.push((name, text));
            }
            match next {
                None => break,
                Some(next) => (name, rest) = next.split_once('\n').unwrap_or((next, "")),
            }
        }
        Case {
            head,
            files,
            answer,
        }
    }

    /// Runs `program` on a case in a folder of its own, called `p`.
    fn run(case: &Case<'_>, program: &[&str]) -> Answer {
        let temporary = tempfile::tempdir().expect("a folder");
        let folder = fs_err::canonicalize(temporary.path())
            .expect("a path")
            .join("p");
        for (name, text) in &case.files {
            let path = folder.join(name);
            fs_err::create_dir_all(path.parent().expect("a folder")).expect("folders");
            let text = text.replace("@DIR@", &folder.display().to_string());
            fs_err::write(path, text).expect("a file");
        }
        let (program, first) = program.split_first().expect("a program");
        let mut command = Command::new(program);
        command
            .args(first)
            .current_dir(&folder)
            .stdin(Stdio::null());
        for (name, _) in skiff::env::all() {
            let is_kept = ["PATH", "DOCKER_HOST", "DOCKER_CONFIG"].contains(&name.as_str());
            if !is_kept || (name.starts_with("DOCKER_") && *program != "docker") {
                command.env_remove(name);
            }
        }
        command.env("HOME", "/home/user").env("PWD", &folder);
        for word in case.head.split(' ').skip(1) {
            let is_first = command.get_args().len() == first.len();
            match word.split_once('=') {
                Some((name, value)) if is_first && !word.starts_with('-') => {
                    command.env(name, value);
                }
                _ => {
                    command.arg(word);
                }
            }
        }
        let output = command.output().expect("it runs");
        let stdout = String::from_utf8(output.stdout).expect("text");
        let stdout = stdout.replace(&folder.display().to_string(), "@DIR@");
        // What is there to find and reach Docker is none of the cases'.
        let is_ours = |line: &&str| !line.starts_with("PATH=") && !line.starts_with("DOCKER_");
        let mut stdout: String = stdout.split_inclusive('\n').filter(is_ours).collect();
        if case
            .head
            .split(' ')
            .next()
            .is_some_and(|id| id.ends_with('~'))
        {
            let mut lines: Vec<&str> = stdout.lines().collect();
            lines.sort_unstable();
            stdout = lines.iter().map(|line| format!("{line}\n")).collect();
        }
        if !stdout.is_empty() && !stdout.ends_with('\n') {
            stdout.push_str("\\\n");
        }
        Answer {
            code: output.status.code().expect("an exit code"),
            stdout,
        }
    }

    fn check(name: &str) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/golden/config")
            .join(format!("{name}.txt"));
        let text = fs_err::read_to_string(&path).expect("the cases");
        let asks_docker = skiff::env::read_string("UPDATE_GOLDEN").as_deref() == Some("docker");
        let mut written = String::new();
        let mut wrong = Vec::new();
        for block in text.split("=== ").skip(1) {
            let case = parse(block);
            let answer = if asks_docker {
                run(&case, &["docker", "compose"])
            } else {
                run(&case, &[env!("CARGO_BIN_EXE_skiff")])
            };
            let files = block.split("---- = ").next().unwrap_or_default();
            written.push_str(&format!(
                "=== {files}---- = {}\n{}",
                answer.code, answer.stdout
            ));
            if case.answer.as_ref() != Some(&answer) {
                println!("{}\n{:?}\n{answer:?}\n", case.head, case.answer);
                wrong.push(case.head);
            }
        }
        if asks_docker {
            fs_err::write(&path, written).expect("the cases");
            return;
        }
        assert_eq!(wrong, Vec::<&str>::new());
    }

    /// What was printed for a case, given to `program` in place
    /// of the file that it came from.
    fn read_again(case: &Case<'_>, printed: &str, program: &[&str]) -> Answer {
        let others = case
            .files
            .iter()
            .filter(|(name, _)| *name != "compose.yaml");
        let again = Case {
            head: case.head,
            files: std::iter::once(("compose.yaml", printed))
                .chain(others.copied())
                .collect(),
            answer: None,
        };
        run(&again, program)
    }

    /// All that is printed can be read again, and is printed in the same words; but for
    /// a few things, which Docker cannot read, either.
    #[test]
    fn what_is_printed_is_read_again_but_for_what_is_listed() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/config");
        let asks_docker = skiff::env::read_string("UPDATE_GOLDEN").as_deref() == Some("docker");
        let program: &[&str] = if asks_docker {
            &["docker", "compose"]
        } else {
            &[env!("CARGO_BIN_EXE_skiff")]
        };
        let mut count = 0;
        for name in ["models", "raw", "unreadable"] {
            let text = fs_err::read_to_string(folder.join(format!("{name}.txt"))).expect("cases");
            for block in text.split("=== ").skip(1) {
                let case = parse(block);
                let words = case.head.split(' ').skip(1);
                let is_plain = words.filter(|word| !word.contains('=')).eq(["config"]);
                let Some(answer) = &case.answer else { continue };
                if !is_plain || answer.code != 0 {
                    continue;
                }
                count += 1;
                let again = read_again(&case, &answer.stdout, program);
                let is_same = again == *answer;
                assert_eq!(is_same, name != "unreadable", "{}: {again:?}", case.head);
            }
        }
        assert!(count > 10, "{count}");
    }

    #[test]
    fn what_cannot_be_read_again_is_as_docker_prints_it() {
        check("unreadable");
    }

    #[test]
    fn lists_are_as_docker_prints_them() {
        check("lists");
    }

    #[test]
    fn models_are_as_docker_prints_them() {
        check("models");
    }

    #[test]
    fn raw_models_are_as_docker_prints_them() {
        check("raw");
    }

    #[test]
    fn variables_are_found_as_docker_finds_them() {
        check("variables");
    }

    #[test]
    fn variables_and_files_of_them_have_their_order() {
        check("environment");
    }
}
