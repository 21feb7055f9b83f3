//! A Dockerfile of any bytes: whatever is read has its places right, words expand to
//! something bounded, and what is wrong is told within the file.

#![no_main]

use libfuzzer_sys::fuzz_target;
use skiff_fuzz::dockerfile::{
    Dockerfile, Kind, Lint, Rules, Source, Span, Word, expand, parse, trigger,
};

fn variable(name: &str) -> Option<String> {
    match name {
        "SET" => Some("a value, a/b.c".to_owned()),
        "EMPTY" => Some(String::new()),
        _ => None,
    }
}

/// A place is a part of the text.
fn inside(source: &Source, at: Span) {
    let range = at.start as usize..at.end as usize;
    assert!(source.text().get(range).is_some(), "{at:?} of {:?}", source.text());
    let (first, last) = source.lines(at);
    assert!(first >= 1 && first <= last);
    assert!(source.line(first).is_some());
}

fn word(file: &Dockerfile, word: &Word) {
    inside(&file.source, word.at);
    for rules in [Rules::words(file.escape), Rules::shown(file.escape), Rules::HEREDOC] {
        if let Ok(expanded) = expand(&word.text, rules, &variable) {
            assert!(expanded.text.len() <= 1 << 21);
        }
    }
}

fn file(file: &Dockerfile) {
    assert!(!file.stages.is_empty());
    for stage in &file.stages {
        inside(&file.source, stage.at);
        word(file, &stage.base);
        assert_eq!(file.source.part(stage.keyword.at), stage.keyword.text);
    }
    let stages = file.stages.iter().flat_map(|stage| &stage.instructions);
    for instruction in file.arguments.iter().chain(stages) {
        inside(&file.source, instruction.at);
        assert_eq!(file.source.part(instruction.keyword.at), instruction.keyword.text);
        match &instruction.kind {
            Kind::Env(pairs) | Kind::Label(pairs) => {
                for pair in pairs {
                    word(file, &pair.name);
                    word(file, &pair.value);
                }
            }
            Kind::Workdir(one) | Kind::User(one) | Kind::StopSignal(one) => word(file, one),
            Kind::Copy(copy) => copy.files.paths.iter().for_each(|one| word(file, one)),
            Kind::Add(add) => add.files.paths.iter().for_each(|one| word(file, one)),
            Kind::Expose(words) | Kind::Volume(words) => words.iter().for_each(|one| word(file, one)),
            Kind::Run(run) => {
                for mount in &run.mounts {
                    mount.resolve(&mut |value| Ok(value.to_owned())).ok();
                }
            }
            // What was accepted once is accepted again from an image's config, except
            // where the file has another letter for escapes.
            Kind::OnBuild(one) if file.escape == '\\' => {
                assert!(trigger(&one.text).is_ok(), "{:?}", one.text);
            }
            _ => {}
        }
    }
    let mut lint = Lint::new(file.check.clone());
    lint.file(file);
    for warning in &lint.warnings {
        inside(&file.source, warning.at);
    }
}

fuzz_target!(|bytes: &[u8]| {
    match parse(bytes) {
        Ok(parsed) => file(&parsed),
        Err(error) => {
            assert!(!error.problems.is_empty());
            for problem in &error.problems {
                inside(&error.source, problem.at);
                assert!(!problem.message.is_empty());
            }
        }
    }
});
