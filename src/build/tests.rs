//! What is told of wrong Dockerfiles, and that none takes long.

use std::path::Path;

use super::diagnose;
use super::graph::{Bases, Options, plan};
use crate::dockerfile::{LARGEST, parse};

/// All stages, needed or not.
fn everything() -> Options {
    Options {
        all_stages: true,
        ..Options::default()
    }
}

/// What a user sees of a Dockerfile that is not built.
fn told(text: &str) -> String {
    let file = Path::new("Dockerfile");
    match parse(text.as_bytes()) {
        Err(error) => diagnose::problems(file, &error.source, &error.problems).to_string(),
        Ok(parsed) => match plan(&parsed, &everything(), &Bases::new()) {
            Err(problems) => diagnose::problems(file, &parsed.source, &problems).to_string(),
            Ok(_) => "nothing is wrong".to_owned(),
        },
    }
}

/// `=== NAME`, the Dockerfile, what is told after `---- =`. `UPDATE_GOLDEN=1` writes
/// what is told now.
#[test]
fn wrong_dockerfiles_are_told_with_place_and_remedy() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/dockerfile/errors.told");
    let golden = fs_err::read_to_string(&file).unwrap();
    let mut found = String::new();
    for block in golden.split("=== ").filter(|block| !block.is_empty()) {
        let (name, rest) = block.split_once('\n').unwrap();
        let text = rest.split("---- =\n").next().unwrap();
        found.push_str(&format!("=== {name}\n{text}---- =\n{}\n", told(text)));
    }
    if crate::env::read_string("UPDATE_GOLDEN").as_deref() == Some("1") {
        fs_err::write(&file, &found).unwrap();
    }
    assert!(
        found.matches("=== ").count() > 20,
        "looked in the wrong place"
    );
    assert_eq!(found, golden);
}

/// How large the files of this test are: a part of the largest, so that it ends
/// soon without optimisation, too.
const SIZE: usize = LARGEST / 16;

/// As much of a text as fits, between a begin and an end.
fn filled(begin: &str, unit: &str, end: &str) -> String {
    let count = (SIZE - begin.len() - end.len()) / unit.len();
    format!("{begin}{}{end}", unit.repeat(count))
}

/// Numbered units, as many as fit.
fn numbered(begin: &str, unit: impl Fn(usize) -> String) -> String {
    let mut text = begin.to_owned();
    for number in 0.. {
        let next = unit(number);
        if text.len() + next.len() > SIZE {
            break;
        }
        text.push_str(&next);
    }
    text
}

/// Texts that are long in one way.
fn long_texts() -> Vec<(&'static str, String)> {
    let from = "FROM scratch\n";
    vec![
        ("words", filled("FROM scratch\nCOPY", " a", " b\n")),
        (
            "flags",
            filled("FROM scratch\nRUN", " --mount=type=ssh", " x\n"),
        ),
        ("unknown flags", filled("FROM scratch\nRUN", " --x", " x\n")),
        ("lines", filled("FROM scratch\nRUN a", " \\\nb", "\n")),
        ("empty lines", filled("FROM scratch\nRUN a \\", "\n", "b\n")),
        ("comments", filled("", "#\n", from)),
        ("unknown", filled(from, "X\n", "")),
        (
            "heredocs",
            format!(
                "{from}COPY{} /\n{}",
                " <<a".repeat(10_000),
                "a\n".repeat(10_000)
            ),
        ),
        (
            "heredoc",
            filled("FROM scratch\nCOPY <<a /\n", "$a\n", "a\n"),
        ),
        ("quotes", filled("FROM scratch\nENV a=", "\"\"", "\n")),
        ("braces", filled("FROM scratch\nENV a=", "${a:-", "\n")),
        ("json", filled("FROM scratch\nCMD ", "[", "\n")),
        (
            "json strings",
            filled("FROM scratch\nCMD [", "\"\",", "\"\"]\n"),
        ),
    ]
}

/// Texts that ask for much.
fn large_plans() -> Vec<(&'static str, String)> {
    let from = "FROM scratch\n";
    vec![
        ("args", numbered("", |n| format!("ARG a{n}\n")) + "\n"),
        (
            "args and stages",
            format!(
                "{}{}",
                "ARG a=$b\n".repeat(10_000),
                "FROM $x$a\n".repeat(1000)
            ),
        ),
        (
            "stages",
            numbered("", |n| format!("FROM scratch AS s{n}\n")),
        ),
        ("chain", {
            let stage = |n| format!("FROM s{n} AS s{}\nENV a{n}=b\n", n + 1);
            format!(
                "FROM scratch AS s0\n{}",
                (0..1900).map(stage).collect::<String>()
            )
        }),
        ("env", numbered(from, |n| format!("ENV a{n}=b\n"))),
        (
            "env and run",
            numbered(from, |n| format!("ENV a{n}=b\nRUN x\n")),
        ),
        (
            "arg and run",
            numbered(from, |n| format!("ARG a{n}=b\nRUN x\n")),
        ),
        (
            "doubling",
            numbered("FROM scratch\nENV a=aa\n", |_| "ENV a=$a$a\n".to_owned()),
        ),
        (
            "long values",
            numbered("FROM scratch\nENV a=aaaaaaaaaaaaaaaa\n", |n| {
                let doubles = n < 15;
                if doubles {
                    "ENV a=$a$a\n".to_owned()
                } else {
                    format!("LABEL a{n}=$a\n")
                }
            }),
        ),
        ("ports", filled(from, "EXPOSE 1-65535\n", "")),
        ("volumes", numbered(from, |n| format!("VOLUME /a{n}\n"))),
        ("undefined", numbered(from, |n| format!("COPY $a{n} b\n"))),
        (
            "triggers",
            format!(
                "FROM scratch AS a\n{}{}",
                "ONBUILD RUN x\n".repeat(4_000),
                "FROM a AS b\n".repeat(1000)
            ),
        ),
    ]
}

/// A second or two, unoptimised: what grows with the square takes minutes, and the test
/// is ended.
#[test]
fn no_file_takes_more_than_moments() {
    for (name, text) in long_texts().into_iter().chain(large_plans()) {
        assert!(text.len() <= LARGEST + 1, "{name}");
        let outcome = told(&text);
        assert!(outcome.len() < 100_000, "{name}: {} bytes", outcome.len());
    }
}

#[test]
fn a_larger_file_is_refused() {
    let text = "#".repeat(LARGEST + 1);
    assert!(told(&text).contains("more than 1048576 are not read"));
}

#[test]
fn bytes_that_are_no_text_are_told_unless_in_a_comment() {
    assert!(parse(b"# \xff\nFROM scratch\n").is_ok());
    for (bytes, at) in [
        (&b"FROM scratch\nRUN \xff\n"[..], 17),
        (b"FROM a\nCOPY <<E /\nx\xe9\nE\n", 19),
    ] {
        let error = parse(bytes).unwrap_err();
        assert_eq!(error.problems[0].at.start, at);
        assert_eq!(error.problems[0].message, "this byte is not UTF-8");
    }
}
