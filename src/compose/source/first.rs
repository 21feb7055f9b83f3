//! The variables of the first files that are read, which say where the project's files
//! are and how its commands work.

use std::collections::HashSet;

use indexmap::IndexMap;

use crate::compose::diag::{Diagnostic, SetPart, Sources};
use crate::compose::trace::Setting;

/// Prefix of the variables that are for Compose itself.
pub(crate) const VARIABLE_PREFIX: &str = "COMPOSE_";

/// What [`first_variables`](crate::compose::first_variables) found, and where.
#[derive(Debug, Clone, Default)]
pub struct FirstVariables {
    variables: IndexMap<String, String>,
    sources: Sources,
}

impl FirstVariables {
    pub(super) const fn new(variables: IndexMap<String, String>, sources: Sources) -> Self {
        Self { variables, sources }
    }

    pub(super) fn sources(&self) -> Sources {
        self.sources.clone()
    }

    /// The value of a variable; none where it is not one of Compose's.
    pub fn get(&self, name: &str) -> Option<&str> {
        let value = self.variables.get(name).map(String::as_str);
        value.filter(|_| name.starts_with(VARIABLE_PREFIX))
    }

    /// The `COMPOSE_` variables with their values, in the order of the files.
    pub fn settings(&self) -> impl Iterator<Item = (&str, &str)> {
        let all = self.variables.iter();
        all.map(|(name, value)| (name.as_str(), value.as_str()))
            .filter(|(name, _)| name.starts_with(VARIABLE_PREFIX))
    }

    /// The same with the lines that set them, for those that ask where values come from.
    pub(super) fn traced(&self) -> impl Iterator<Item = Setting> {
        let (sources, shell) = (&self.sources, &self.sources.provenance.shell);
        self.settings().filter_map(move |(name, value)| {
            Some(Setting {
                owner: String::new(),
                scope: 0,
                round: 0,
                name: name.to_owned(),
                value: value.to_owned(),
                written: value.to_owned(),
                template: None,
                inner: HashSet::new(),
                mark: sources.provenance.mark(name, value, shell, sources)?,
            })
        })
    }

    /// What is wrong with a variable, with the line of the file that sets it, or that the
    /// environment does.
    pub fn of_variable(&self, name: &str, part: SetPart, diagnostic: Diagnostic) -> Diagnostic {
        let shell = &self.sources.provenance.shell;
        let variables = if shell.contains_key(name) {
            shell
        } else {
            &self.variables
        };
        self.sources
            .of_variable(diagnostic, (name, part), variables)
    }
}

#[cfg(test)]
mod tests {
    use crate::compose::{LoadOptions, Memory, explain, first_variables, load};

    #[test]
    fn where_no_dotenv_is_to_be_read_the_first_ones_settings_count_with_their_places() {
        let dotenv = "COMPOSE_DISABLE_ENV_FILE=1\nTAG=1\nCOMPOSE_PROJECT_NAME=p\nCOMPOSE_OWN=x\n";
        let files = Memory::from([
            (
                "/p/compose.yaml",
                "services: {a: {image: \"x:$COMPOSE_OWN$TAG\"}}",
            ),
            ("/p/.env", dotenv),
        ]);
        let mut options = LoadOptions {
            cwd: "/p".into(),
            trace: true,
            ..LoadOptions::default()
        };
        options.first = Some(first_variables(&options, &files));
        let project = load(&options, &files).unwrap().project;
        let image = project.services["a"].image.as_deref();
        assert_eq!((project.name.as_str(), image), ("p", Some("x:x")));
        let found = explain(&project, "$COMPOSE_OWN").unwrap().remove(0);
        let text = found.render(&crate::compose::Style::PLAIN);
        assert!(text.contains("from /p/.env:4:1  x"), "{text}");
    }
}
