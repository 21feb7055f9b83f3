//! Whether a reader who is shown only the help of an error mends the file at the
//! first try.
//!
//! `tests/golden/mended.txt` holds cases: `=== NAME`, a text that is refused, then
//! after `---- HELP` the text with that in it. HELP is to be in what is said, and
//! the second text is to load with nothing said at all. A text that is no file of
//! its own is what a service has below its name.

#[cfg(test)]
mod tests {
    use skiff::compose::{LoadOptions, Memory, load};

    /// The file that a text of a case stands for.
    fn file(text: &str) -> String {
        if text.lines().any(|line| {
            line.trim_start_matches([' ', '{', '"'])
                .starts_with("services")
        }) {
            return text.to_owned();
        }
        let body = text.lines().map(|line| format!("    {line}\n"));
        let body: String = body.collect();
        let image = if text.lines().any(|line| line.starts_with("image:")) {
            ""
        } else {
            "    image: nginx\n"
        };
        format!(
            "services:\n  web:\n{image}{body}  db: {{image: postgres, healthcheck: {{test: pg_isready}}}}\n\
             networks: {{front: }}\nsecrets: {{s: {{file: ./s}}}}\nconfigs: {{c: {{file: ./c}}}}\n\
             volumes: {{data: }}\n"
        )
    }

    /// What is said of a text: errors and warnings, the number of errors first.
    fn said(text: &str) -> (usize, Vec<String>) {
        let files = Memory::from([
            ("/p/compose.yaml", file(text)),
            ("/p/a.env", "A=1".to_owned()),
            (
                "/p/other.yaml",
                "services: {web: {image: nginx}}".to_owned(),
            ),
        ]);
        let options = LoadOptions {
            cwd: "/p".into(),
            ..LoadOptions::default()
        };
        let (errors, list) = match load(&options, &files) {
            Ok(loaded) => (0, loaded.warnings),
            Err(diagnostics) => (diagnostics.errors().count(), diagnostics.list),
        };
        let told = list.iter().map(|one| {
            let help = one.suggestion.as_deref().unwrap_or("(no help)");
            format!("{}: {}: {help}", one.path, one.message)
        });
        (errors, told.collect())
    }

    #[test]
    fn what_the_help_says_is_what_mends_the_file() {
        let cases = include_str!("golden/mended.txt");
        let mut wrong = Vec::new();
        let mut count = 0;
        for case in cases.split("=== ").skip(1) {
            let (name, rest) = case.split_once('\n').expect("a name");
            let (broken, rest) = rest.split_once("---- ").expect("a help");
            let (help, mended) = rest.split_once('\n').expect("what is mended");
            count += 1;
            assert!(
                mended.contains(help),
                "{name}: the mended text has no `{help}`"
            );
            let (errors, told) = said(broken);
            if errors != 1 || !told.iter().any(|one| one.contains(help)) {
                wrong.push(format!("{name}: no `{help}` in {told:#?}"));
            }
            let (_, left) = said(mended);
            if !left.is_empty() {
                wrong.push(format!("{name}: is not mended: {left:#?}"));
            }
        }
        assert!(count > 50, "{count}");
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}
