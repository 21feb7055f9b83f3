//! The project's name: where it comes from, and what can be one.

use std::path::Path;

use super::Source;
use crate::compose::diag::{Diagnostic, SetPart};
use crate::compose::limits::LONGEST_NAME;
use crate::compose::tree::Mark;
use crate::compose::{interpolate, template};

impl Source<'_, '_> {
    /// The project's name: `-p`, `COMPOSE_PROJECT_NAME`, `name:` of the last
    /// file that has one, the folder.
    pub(super) fn name(&mut self, base: &Path) -> Option<String> {
        let given = [
            ("-p", self.options.project_name.clone()),
            (
                "COMPOSE_PROJECT_NAME",
                self.environment.get("COMPOSE_PROJECT_NAME").cloned(),
            ),
        ];
        for (origin, name) in given {
            let Some(name) = name.filter(|name| !name.is_empty()) else {
                continue;
            };
            if let Err(diagnostic) = check_name(&name, origin) {
                let report = &mut self.loader.report;
                report.push(report.sources.of_variable(
                    *diagnostic,
                    (origin, SetPart::Value),
                    &self.environment,
                ));
                return None;
            }
            return Some(name);
        }
        let normal = |text: String| {
            if self.options.skip.normalization {
                text
            } else {
                normal_name(&text)
            }
        };
        let name = match self.name_in_files() {
            Some((text, _)) if self.loader.raw => normal(text),
            Some((text, mark)) => {
                let environment = &self.environment;
                let lookup = |name: &str| environment.get(name).cloned();
                match template::substitute(&text, &lookup) {
                    Ok((text, _)) => normal(text),
                    Err(errors) => {
                        interpolate::refuse(&mut self.loader.report, mark, "name", &errors);
                        return None;
                    }
                }
            }
            None => normal_name(&base.file_name().unwrap_or_default().to_string_lossy()),
        };
        if name.len() > LONGEST_NAME {
            let message = format!("the project's name is longer than {LONGEST_NAME} letters");
            let diagnostic = Diagnostic::error(message)
                .expected("a name that can be part of others")
                .suggest("give it a shorter one with `-p`, or with `name:` in the file");
            self.loader.report.push(diagnostic);
            return None;
        }
        if name.is_empty() {
            let diagnostic = Diagnostic::error("the project has no name")
                .suggest("give it one with `-p`, or with `name:` in the file");
            self.loader.report.push(diagnostic);
            return None;
        }
        Some(name)
    }

    fn name_in_files(&mut self) -> Option<(String, Mark)> {
        let mut found = None;
        for input in self.inputs.clone() {
            let documents = self.loader.documents(&input, (Mark::default(), ""))?;
            for document in documents.iter() {
                if let Some(node) = document.get("name")
                    && let Some(text) = node.scalar_text().filter(|text| !text.is_empty())
                {
                    found = Some((text, node.mark));
                }
            }
        }
        found
    }
}

/// Refuses what is no name of a project, in Docker's words. A name becomes part
/// of paths and of kernel objects' names.
///
/// # Errors
/// The diagnostic, with a name that would do.
pub fn check_name(name: &str, origin: &str) -> Result<(), Box<Diagnostic>> {
    let normal = normal_name(name);
    if normal == name && !name.is_empty() {
        return Ok(());
    }
    let mut diagnostic = Diagnostic::error(format!(
        "invalid project name {name:?} ({origin}): must consist only of lowercase alphanumeric \
         characters, hyphens, and underscores as well as start with a letter or number"
    ));
    if !normal.is_empty() {
        diagnostic = diagnostic.suggest(format!("try `{normal}`"));
    }
    Err(Box::new(diagnostic))
}

/// A name as a project can have it: in small letters, without everything else.
fn normal_name(text: &str) -> String {
    let kept: String = text
        .to_lowercase()
        .chars()
        .filter(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-'))
        .collect();
    kept.trim_start_matches(['_', '-']).to_owned()
}

#[cfg(test)]
mod tests {
    use crate::compose::{Diagnostic, LoadOptions, Memory, load};

    fn refused(dotenv: &str, shell: &[(&str, &str)]) -> Diagnostic {
        let files = Memory::from([
            ("/p/compose.yaml", "services: {a: {image: x}}"),
            ("/p/.env", dotenv),
        ]);
        let set = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let options = LoadOptions {
            cwd: "/p".into(),
            environment: shell.iter().map(set).collect(),
            ..LoadOptions::default()
        };
        load(&options, &files).unwrap_err().list.remove(0)
    }

    #[test]
    fn what_is_wrong_in_a_file_of_variables_has_its_line() {
        for (line, marked) in [
            ("COMPOSE_PROJECT_NAME=Foo", 22..25),
            ("COMPOSE_FILE=zz.yaml", 14..21),
            ("COMPOSE_FILE=oci://a", 14..21),
        ] {
            let found = refused(&format!("A=1\n{line}\n"), &[]);
            let place = found.position.as_ref().map(ToString::to_string);
            let start = format!("/p/.env:2:{}", marked.start);
            assert_eq!(place, Some(start), "{found:?}");
            let excerpt = found.excerpt.unwrap();
            assert_eq!((excerpt.text.as_str(), excerpt.end), (line, marked.end));
        }
        let shell = [("COMPOSE_PROJECT_NAME", "Bar")];
        let found = refused("COMPOSE_PROJECT_NAME=Foo\n", &shell);
        assert_eq!(found.position, None);
        assert!(found.message.contains("Bar"), "{found:?}");
        let way: Vec<&str> = found.chain.iter().map(|step| step.what.as_str()).collect();
        assert_eq!(way, ["`COMPOSE_PROJECT_NAME` is set in the environment"]);
    }
}
