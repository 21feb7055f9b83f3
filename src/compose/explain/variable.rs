//! Where a variable's value comes from: the shell, then files of variables.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, HashSet};

use super::{Explainer, Explanation, Origin, Source, Standing, Use, one_line};
use crate::compose::diag::{Diagnostic, Step, UseKind, similar};
use crate::compose::trace::{MOST_OVERRIDDEN, Setting, Template};
use crate::compose::tree::{Mark, Node};

/// The variable that the loader sets to the project's name.
const PROJECT_NAME: &str = "COMPOSE_PROJECT_NAME";

/// Texts by their places.
type Texts<'t> = Vec<(Mark, Cow<'t, Template>)>;

/// Lines that set a variable, with their place in the order of reading.
type Lines<'t> = Vec<(usize, &'t Setting)>;

/// Where a variable is set, what counts first, and the values there.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) sources: Vec<Source>,
    pub(super) values: Vec<String>,
    pub(super) is_cut: bool,
}

/// Variables of one text whose places in it are looked for, each from its beginning.
const MOST_PLACED: usize = 100;

impl Explainer<'_> {
    pub(super) fn knows_variable(&self, name: &str) -> bool {
        let settings = &self.trace.settings;
        self.is_of_project(name) || settings.lists_with(name).next().is_some()
    }

    /// True for a variable that the project's files use, or that they can use.
    fn is_of_project(&self, name: &str) -> bool {
        let project = self.project;
        project.environment.contains_key(name)
            || project.asked.contains(name)
            || self.trace.settings.own(name).next().is_some()
            || !self.lines_using(name).is_empty()
    }

    /// A variable that was asked for by its name, with its uses: the project's, and
    /// those of projects that are included where these set it, too. Where it has no
    /// value and files of services set one of its name, these, too.
    pub(super) fn variable_asked(&self, name: &str) -> Result<Vec<Explanation>, Box<Diagnostic>> {
        let mut found = Vec::new();
        let mut is_set = false;
        if self.is_of_project(name) {
            let mut scopes = self.uses_of(name);
            if scopes.is_empty() {
                scopes.insert(0, Vec::new());
            }
            for (scope, texts) in scopes {
                let mut explanation = self.variable(name, scope);
                is_set |= explanation.value.is_some();
                self.add_defaults(&mut explanation, &texts);
                explanation.uses = self.uses(&texts);
                found.push(explanation);
            }
        }
        if !is_set {
            for files in self.trace.settings.lists_with(name) {
                let list = match files.rsplit_once('.') {
                    Some((service, "env_file")) => format!("{service}.environment"),
                    Some((service, _)) => format!("{service}.labels"),
                    None => continue,
                };
                let path = format!("{list}.{name}");
                found.extend(self.attribute(&path));
            }
        }
        if !found.is_empty() {
            return Ok(found);
        }
        let mut error = Diagnostic::error(format!(
            "no file uses a variable `{name}`, and it is not set"
        ));
        let project = self.project;
        let known = project.asked.iter().chain(project.environment.keys());
        if let Some(near) = similar(name, known.map(String::as_str)) {
            error = error.suggest(format!("did you mean `{near}`?"));
        }
        Err(Box::new(error))
    }

    /// The projects that have a variable of their own, and the texts in which each
    /// of them stands, in the order of the files.
    fn uses_of(&self, name: &str) -> BTreeMap<usize, Texts<'_>> {
        let trace = self.trace;
        let settings = self.settings_of(name).into_iter();
        let mut found: BTreeMap<usize, Vec<_>> = settings
            .map(|(_, setting)| (setting.scope, Vec::new()))
            .collect();
        if self.project.environment.contains_key(name) {
            found.entry(0).or_default();
        }
        let set: HashSet<usize> = found.keys().copied().collect();
        let texts = trace.templates();
        let texts =
            texts.filter(|(_, template)| template.variables.iter().any(|(known, _)| known == name));
        let texts = texts.map(|(mark, template)| (mark, Cow::Borrowed(template)));
        let passed = self.passed_on(name).into_iter();
        let passed = passed.map(|(mark, template)| (mark, Cow::Owned(template)));
        for (mark, template) in texts.chain(self.lines_using(name)).chain(passed) {
            let mut scopes = trace.scopes.outwards(template.scope);
            let own = scopes.find(|scope| set.contains(scope));
            found
                .entry(own.unwrap_or(0))
                .or_default()
                .push((mark, template));
        }
        for texts in found.values_mut() {
            texts.sort_by_key(|(mark, _)| (mark.file, mark.line, mark.column));
        }
        found
    }

    /// The lines of files of variables that use one of the project's, each once.
    fn lines_using(&self, name: &str) -> Texts<'_> {
        let sources = &self.project.origin.sources;
        let mut known = HashSet::new();
        let lines = self.trace.settings.using(name);
        let lines = lines.filter(|(setting, template)| {
            let mut values = template.variables.iter();
            let is_set = values.any(|(known, value)| known == name && value.is_some());
            let mark = setting.mark;
            self.is_from_project(setting, name, is_set)
                && known.insert((sources.name(mark.file), mark.line, template.path.as_str()))
        });
        lines
            .map(|(setting, template)| (setting.mark, Cow::Borrowed(template)))
            .collect()
    }

    /// The lines that set a variable of the project and of those that it includes, with
    /// their place in the order of reading. A project that is included from its own folder
    /// reads the file that the including one has read; such a line is no other one.
    fn settings_of(&self, name: &str) -> Lines<'_> {
        let sources = &self.project.origin.sources;
        let line = |setting: &Setting| (sources.name(setting.mark.file), setting.mark.line);
        let mut scopes: HashMap<_, HashSet<usize>> = HashMap::new();
        for (_, setting) in self.trace.settings.own(name) {
            scopes
                .entry(line(setting))
                .or_default()
                .insert(setting.scope);
        }
        let is_own = |setting: &Setting| {
            let known = scopes.get(&line(setting));
            let mut outer = self.trace.scopes.outwards(setting.scope).skip(1);
            !known.is_some_and(|known| outer.any(|scope| known.contains(&scope)))
        };
        let all = self.trace.settings.own(name);
        all.filter(|(_, setting)| is_own(setting)).collect()
    }

    /// Whose variables stand in a value: the project's, or those of one that is
    /// included.
    pub(super) fn scope(&self, mark: Mark, path: &str) -> usize {
        let scopes = &self.trace.scopes;
        let Some(of_file) = scopes.of_file(mark.file) else {
            return 0;
        };
        // Several projects may extend services of one file.
        let service = || {
            let service = self.tree.get("services")?.get(self.service_of(path)?)?;
            let scopes = scopes.of_file(service.mark.file)?;
            scopes
                .iter()
                .find(|scope| of_file.contains(*scope))
                .copied()
        };
        let first = of_file.first().copied();
        let scope = if of_file.len() > 1 {
            service().or(first)
        } else {
            first
        };
        scope.unwrap_or(0)
    }

    /// A value's text before its variables were put in.
    pub(super) fn template(&self, node: &Node, path: &str) -> Option<&Template> {
        self.trace
            .template_of(node.mark, self.scope(node.mark, path))
    }

    /// Where a project's variable is set.
    pub(super) fn own_settings(&self, name: &str, scope: usize) -> Found {
        let mut sources = Vec::new();
        let mut values = Vec::new();
        if let Some(value) = self.trace.shell.get(name) {
            sources.push(source(Origin::Shell, value));
            values.push(value.clone());
        }
        let outwards: Vec<usize> = self.trace.scopes.outwards(scope).collect();
        let settings = self.settings_of(name).into_iter();
        let mut settings: Vec<(usize, usize, &Setting)> = settings
            .filter_map(|(at, setting)| {
                let inside = outwards.iter().position(|one| *one == setting.scope)?;
                Some((outwards.len() - inside, at, setting))
            })
            .collect();
        // What the including project has counts. Of files that are read together the
        // last one does, of two times the first.
        settings.sort_by_key(|(depth, at, setting)| (*depth, setting.round, Reverse(*at)));
        settings.retain(|(_, _, setting)| !self.is_in_line_of(setting));
        let mut seen = HashSet::new();
        let is_cut = settings.len() > MOST_OVERRIDDEN;
        for (_, at, setting) in settings.into_iter().take(MOST_OVERRIDDEN) {
            let is_known = |source: &Source| {
                let same = |known: &Source| {
                    (&known.origin, &known.chain) == (&source.origin, &source.chain)
                };
                sources.iter().any(same)
            };
            if seen.insert(setting.mark)
                && let Some(source) = self.setting(at, setting)
                && !is_known(&source)
            {
                sources.push(source);
                values.push(setting.value.clone());
            }
        }
        Found {
            sources,
            values,
            is_cut,
        }
    }

    /// A variable of a project.
    pub(super) fn variable(&self, name: &str, scope: usize) -> Explanation {
        let key = (name.to_owned(), scope);
        // Within a line of a file that line is left out.
        let is_nested = self.is_in_line();
        if let Some(known) = self.variables.borrow().get(&key).filter(|_| !is_nested) {
            return known.clone();
        }
        let found = if name == PROJECT_NAME {
            // The loader sets it, to the name that it found.
            Found {
                sources: self.name_sources(),
                ..Found::default()
            }
        } else {
            self.own_settings(name, scope)
        };
        let value = self.project.environment.get(name);
        let explanation = with_settings(name, found, value);
        if !is_nested {
            self.variables.borrow_mut().insert(key, explanation.clone());
        }
        explanation
    }

    /// A line in a file of variables.
    pub(super) fn setting(&self, at: usize, setting: &Setting) -> Option<Source> {
        let mut source = source(Origin::File(self.position(setting.mark)?), &setting.written);
        source.variables = self.variables_in_line(at, setting);
        // A service may have the file from one that it extends.
        if let Some(named) = self.tree.lookup(&setting.owner)
            && !setting.owner.is_empty()
        {
            source.chain = self.way(named.mark, &setting.owner);
        }
        if setting.owner.starts_with("include") {
            let way = self.project.origin.sources.way_of(setting.mark.file);
            source.chain.push(Step {
                what: format!("for what `{}` includes", setting.owner),
                position: way.first().and_then(|step| step.position.clone()),
            });
        }
        Some(source)
    }

    /// A variable of the text at a mark, which is that of an attribute.
    pub(super) fn variable_in(&self, name: &str, mark: Mark, path: &str) -> Explanation {
        // What the project's name is made of cannot be that name itself.
        let scope = self.scope(mark, path);
        let mut explanation = if path == "name" && name == PROJECT_NAME {
            let found = self.own_settings(name, scope);
            with_settings(name, found, None)
        } else {
            self.variable(name, scope)
        };
        if let Some(template) = self.trace.template_of(mark, scope) {
            self.add_defaults(&mut explanation, &[(mark, Cow::Borrowed(template))]);
        }
        explanation
    }

    /// Puts the defaults that stand for a variable in some texts before what else
    /// there is of it. Where all of them have the same one, that is the value.
    pub(super) fn add_defaults(
        &self,
        explanation: &mut Explanation,
        texts: &[(Mark, Cow<'_, Template>)],
    ) {
        let name = explanation.subject.clone();
        let mut found: Vec<Source> = Vec::new();
        let mut values = HashSet::new();
        let mut is_everywhere = true;
        for (mark, template) in texts {
            let Some(own) = template.defaults.get(&name) else {
                is_everywhere = false;
                continue;
            };
            let at = if template.variables.len() > MOST_PLACED {
                *mark
            } else {
                let sources = &self.project.origin.sources;
                sources.variable(*mark, &name, UseKind::WithDefault)
            };
            for value in own {
                values.insert(value);
                if let Some(position) = self.position(at) {
                    found.push(Source {
                        standing: Standing::Wins,
                        ..source(Origin::Default(position), value)
                    });
                }
            }
        }
        if let (true, [value]) = (is_everywhere, &Vec::from_iter(values)[..]) {
            explanation.value = Some(one_line(value));
            for other in &mut explanation.sources {
                other.standing = Standing::Overridden;
            }
        }
        explanation.is_cut |= found.len() > MOST_OVERRIDDEN;
        found.truncate(MOST_OVERRIDDEN);
        explanation.sources.splice(0..0, found);
    }

    fn uses(&self, texts: &[(Mark, Cow<'_, Template>)]) -> Vec<Use> {
        let texts = texts.iter();
        texts
            .map(|(mark, template)| Use {
                path: template.path.clone(),
                position: self.position(*mark),
                written: one_line(&template.written),
            })
            .collect()
    }
}

/// A variable with the places that set it, what counts first.
pub(super) fn with_settings(name: &str, found: Found, value: Option<&String>) -> Explanation {
    let Found {
        mut sources,
        values,
        is_cut,
    } = found;
    if let (true, Some(value)) = (sources.is_empty(), value) {
        sources.push(source(Origin::Implied, value));
    }
    if let Some(first) = sources.first_mut() {
        first.standing = Standing::Wins;
    }
    // Only included files see it: no value of the project's.
    Explanation {
        subject: name.to_owned(),
        value: value
            .or_else(|| values.first())
            .map(|value| one_line(value)),
        sources,
        is_cut,
        uses: Vec::new(),
    }
}

fn source(origin: Origin, value: &str) -> Source {
    Source {
        standing: Standing::Overridden,
        origin,
        written: one_line(value),
        chain: Vec::new(),
        variables: Vec::new(),
    }
}
