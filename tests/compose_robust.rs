//! No input makes the loader panic: bytes of any kind, YAML of any shape, and
//! valid files with something changed.

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use proptest::prelude::*;
    use skiff::compose::{FileSystem, Form, LoadOptions, Style, load};

    /// One file, whatever is asked for, so that `include`, `extends` and
    /// `env_file` find something, too.
    struct Everywhere(Vec<u8>);

    impl FileSystem for Everywhere {
        fn read(&self, _path: &Path) -> std::io::Result<Vec<u8>> {
            Ok(self.0.clone())
        }

        fn exists(&self, _path: &Path) -> bool {
            true
        }

        fn is_dir(&self, _path: &Path) -> bool {
            false
        }

        fn link_target(&self, path: &Path) -> Option<PathBuf> {
            path.ends_with("link").then(|| PathBuf::from("/elsewhere"))
        }
    }

    fn survives(bytes: Vec<u8>) {
        let options = LoadOptions {
            cwd: PathBuf::from("/p"),
            environment: [("COMPOSE_DISABLE_ENV_FILE".to_owned(), "1".to_owned())].into(),
            ..LoadOptions::default()
        };
        match load(&options, &Everywhere(bytes)) {
            Ok(loaded) => {
                let project = loaded.project;
                let text = project.canonical_json().to_string() + &project.text(Form::Yaml);
                assert!(!text.is_empty());
                for (name, service) in &project.services {
                    assert_eq!(service.config_hash().len(), 64);
                    assert!(project.position(&format!("services.{name}")).is_some());
                }
            }
            Err(diagnostics) => {
                assert!(diagnostics.errors().next().is_some());
                assert!(!diagnostics.render(&Style::COLOUR).is_empty());
            }
        }
    }

    #[test]
    fn the_deepest_files_are_survived() {
        for depth in [200, 253, 300, 100_000] {
            let lists = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
            survives(format!("services: {{a: {{image: x, x-deep: {lists}}}}}").into_bytes());
            survives(format!("services: {{a: {{image: x, command: {lists}}}}}").into_bytes());
            let block: Vec<_> = (0..depth.min(2_000))
                .map(|level| format!("{}services:", " ".repeat(level)))
                .collect();
            survives(block.join("\n").into_bytes());
        }
    }

    #[test]
    fn texts_that_grow_when_read_are_survived() {
        let opens = "${A:-".repeat(50_000);
        let closes = "}".repeat(50_000);
        for text in [
            format!("{opens}{closes}"),
            opens,
            "${A:-x}".repeat(50_000),
            "${A:-{".repeat(50_000),
            "\\".repeat(100_000),
        ] {
            survives(
                format!("services: {{a: {{image: '{text}', command: '{text}'}}}}").into_bytes(),
            );
        }
    }

    const VALID: &str = include_str!("golden/ok/everything/compose.yaml");

    /// Words that YAML, interpolation and the specification give a meaning.
    fn word() -> impl Strategy<Value = String> {
        prop_oneof![
            Just("services".to_owned()),
            Just("image".to_owned()),
            Just("build".to_owned()),
            Just("ports".to_owned()),
            Just("volumes".to_owned()),
            Just("networks".to_owned()),
            Just("extends".to_owned()),
            Just("include".to_owned()),
            Just("depends_on".to_owned()),
            Just("ulimits".to_owned()),
            Just("logging".to_owned()),
            Just("environment".to_owned()),
            Just("<<".to_owned()),
            Just("!reset".to_owned()),
            Just("!override x".to_owned()),
            Just("${A:-${B".to_owned()),
            Just("$$}".to_owned()),
            Just("&a".to_owned()),
            Just("*a".to_owned()),
            Just("80-90:80".to_owned()),
            Just("1e400".to_owned()),
            Just("-9223372036854775808".to_owned()),
            Just("2024-01-01".to_owned()),
            Just("é\u{0}".to_owned()),
            "[a-z]{1,3}",
        ]
    }

    /// Flow YAML of random nesting.
    fn tree() -> impl Strategy<Value = String> {
        word().prop_recursive(4, 32, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5)
                    .prop_map(|items| format!("[{}]", items.join(", "))),
                prop::collection::vec((word(), inner), 0..5).prop_map(|pairs| {
                    let pairs: Vec<_> = pairs
                        .into_iter()
                        .map(|(key, value)| format!("{key}: {value}"))
                        .collect();
                    format!("{{{}}}", pairs.join(", "))
                }),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            survives(bytes);
        }

        #[test]
        fn any_tree(tree in tree()) {
            survives(tree.into_bytes());
        }

        #[test]
        fn any_service(key in word(), value in tree()) {
            survives(format!("services: {{web: {{image: x, {key}: {value}}}}}").into_bytes());
        }

        #[test]
        fn any_attribute_of_a_valid_file(at in 0..VALID.lines().count(), value in tree()) {
            let lines: Vec<String> = VALID
                .lines()
                .enumerate()
                .map(|(index, line)| match line.split_once(": ") {
                    Some((key, _)) if index == at => format!("{key}: {value}"),
                    _ => line.to_owned(),
                })
                .collect();
            survives(lines.join("\n").into_bytes());
        }

        #[test]
        fn a_valid_file_with_bytes_changed(at in 0..VALID.len(), bytes in prop::collection::vec(any::<u8>(), 0..4), cut in 0..20_usize) {
            let mut text = VALID.as_bytes().to_vec();
            let end = (at + cut).min(text.len());
            text.splice(at..end, bytes);
            survives(text);
        }
    }
}
