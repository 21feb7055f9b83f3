//! Subjects that the model does not have as they are asked for: its name, which
//! may be given elsewhere, what loading uses up (`include`, `extends`), words of a
//! command that is one text, and what is not there at all.

use indexmap::IndexSet;

use super::attribute::WHOLE;
use super::{Explainer, Explanation, Origin, Source, Standing, one_line, written};
use crate::compose::diag::{Diagnostic, listed, similar};
use crate::compose::flags::split_words;
use crate::compose::schema;
use crate::compose::trace::{PAIRS, pairs};
use crate::compose::tree::Node;

impl Explainer<'_> {
    /// What has an answer of its own kind; nothing for all else.
    pub(super) fn special(&self, path: &str) -> Vec<Explanation> {
        if path == "name" {
            return vec![Explanation {
                subject: path.to_owned(),
                value: Some(one_line(&self.project.name)),
                sources: self.name_sources(),
                is_cut: false,
                uses: Vec::new(),
            }];
        }
        if path == "include" || path.starts_with("include[") {
            let wanted = |known: &str| path == "include" || path == known;
            let included = self.trace.included.iter();
            let included = included.filter(|one| wanted(&one.path));
            return included
                .map(|one| {
                    let node = Node::str(one.file.as_str(), one.mark);
                    self.simple(&one.path, &node)
                })
                .collect();
        }
        match path.strip_suffix(".extends") {
            Some(above) if self.service_of(above).is_some() => self.extends(path, above),
            _ => Vec::new(),
        }
    }

    fn extends(&self, path: &str, service: &str) -> Vec<Explanation> {
        let name = service.strip_prefix("services.").unwrap_or_default();
        let all = self.trace.history.extends.get(name).into_iter().flatten();
        let all = all.map(|extended| {
            let position = extended.step.position.clone();
            Explanation {
                subject: path.to_owned(),
                value: Some(extended.base.clone()),
                sources: vec![Source {
                    standing: Standing::Wins,
                    origin: position.map_or(Origin::Implied, Origin::File),
                    written: extended.base.clone(),
                    chain: Vec::new(),
                    variables: Vec::new(),
                }],
                is_cut: false,
                uses: Vec::new(),
            }
        });
        all.collect()
    }

    fn simple(&self, subject: &str, node: &Node) -> Explanation {
        Explanation {
            subject: subject.to_owned(),
            value: node.scalar_text().map(|text| one_line(&text)),
            sources: vec![self.source(node, subject, Standing::Wins)],
            is_cut: false,
            uses: Vec::new(),
        }
    }

    /// Where the project's name comes from, what counts first: the command line,
    /// the variable, the files, the folder.
    pub(super) fn name_sources(&self) -> Vec<Source> {
        let is_given = |name: &&String| !name.is_empty();
        let plain = |origin, written: &str| Source {
            standing: Standing::Overridden,
            origin,
            written: one_line(written),
            chain: Vec::new(),
            variables: Vec::new(),
        };
        let mut sources = Vec::new();
        if let Some(name) = self.trace.named.as_ref().filter(is_given) {
            sources.push(plain(Origin::Option("-p"), name));
        }
        let variable = self.own_settings("COMPOSE_PROJECT_NAME", 0);
        let variable = variable.sources.into_iter().zip(variable.values);
        let variable = variable.filter(|(_, value)| !value.is_empty());
        sources.extend(variable.map(|(source, _)| source));
        if let Some(node) = self.tree.get("name").filter(|node| node.mark.is_known()) {
            sources.push(self.source(node, "name", Standing::Overridden));
            sources.extend(self.losers("name", node.mark).0);
        }
        if sources.is_empty() {
            let folder = self.project.working_dir.file_name().unwrap_or_default();
            sources.push(plain(Origin::Folder, &folder.to_string_lossy()));
        }
        if let Some(first) = sources.first_mut() {
            first.standing = Standing::Wins;
        }
        sources
    }

    /// The whole of a command, where one of its words is asked for that has no
    /// place of its own.
    pub(super) fn word(&self, path: &str) -> Vec<Explanation> {
        let index = path
            .strip_suffix(']')
            .and_then(|path| path.rsplit_once('['));
        let Some((list, index)) = index else {
            return Vec::new();
        };
        let name = list.rsplit('.').next().unwrap_or_default();
        let text = self.tree.lookup(list).and_then(Node::as_str);
        let Some(text) = text.filter(|_| WHOLE.contains(&name)) else {
            return Vec::new();
        };
        let words = split_words(text).unwrap_or_default();
        let word = index.parse().ok().and_then(|at: usize| words.get(at));
        let Some(word) = word else {
            return Vec::new();
        };
        let mut found = self.attribute(list);
        if let Some(first) = found.first_mut() {
            path.clone_into(&mut first.subject);
            first.value = Some(one_line(word));
        }
        found
    }

    /// Says that a path leads nowhere, and where it may have been meant to lead.
    pub(super) fn unknown(&self, path: &str) -> Diagnostic {
        let error = Diagnostic::error(format!("`{path}` is neither set in a file nor a variable"));
        let first = path.split(['.', '[']).next().unwrap_or_default();
        let is_section = self.tree.get(first).is_some();
        let full = if is_section || !path.contains(['.', '[']) {
            path.to_owned()
        } else {
            format!("services.{path}")
        };
        // The longest part that leads somewhere, and the name behind it.
        let starts = full.bytes().enumerate().rev();
        let mut starts = starts
            .filter(|(_, byte)| matches!(byte, b'.' | b'['))
            .map(|(at, _)| at);
        let mut end = full.len();
        loop {
            let start = starts.next();
            let above = full.get(..start.unwrap_or_default()).unwrap_or_default();
            let Some(node) = self.tree.lookup(above) else {
                end = start.unwrap_or_default();
                continue;
            };
            let name = full.get(start.map_or(0, |at| at + 1)..end);
            let behind = full.get(end..).unwrap_or_default();
            return match start {
                Some(_) => self.not_below(error, node, above, (name.unwrap_or_default(), behind)),
                None => self.not_at_top(error, (name.unwrap_or_default(), behind)),
            };
        }
    }

    fn not_at_top(&self, error: Diagnostic, (name, behind): (&str, &str)) -> Diagnostic {
        let top = keys(self.tree);
        let services = self.tree.get("services").map(keys).unwrap_or_default();
        let asked = self.project.asked.iter().map(String::as_str);
        let known = top.iter().copied().chain(services.iter().copied());
        // What is not written as a variable is hardly one that no file uses.
        let is_upper = !name.contains(|c: char| c.is_ascii_lowercase());
        let variables = self.project.environment.keys().map(String::as_str);
        let variables = variables.filter(|_| is_upper);
        let near = similar(name, known.chain(asked).chain(variables));
        match near {
            Some(near) => {
                let full = format!("{near}{behind}");
                let found = [full.clone(), format!("services.{full}")]
                    .into_iter()
                    .find(|path| self.tree.lookup(path).is_some());
                error.suggest(format!(
                    "did you mean `{}`?",
                    found.as_deref().unwrap_or(near)
                ))
            }
            None => error.expected(format!(
                "a service ({}), or below the top level: {}",
                listed(&services),
                listed(&top)
            )),
        }
    }

    fn not_below(
        &self,
        error: Diagnostic,
        node: &Node,
        above: &str,
        (name, behind): (&str, &str),
    ) -> Diagnostic {
        let last = above.rsplit('.').next().unwrap_or_default();
        let text = node.as_str().filter(|_| WHOLE.contains(&last));
        if let Some(words) = text.and_then(|text| split_words(text).ok()) {
            return error.expected(format!(
                "a word of `{above}`, which has {}, the first is [0]",
                words.len()
            ));
        }
        let is_pairs = PAIRS.contains(&last) && !name.ends_with(']');
        if let Some(items) = node.as_seq().filter(|_| !is_pairs) {
            return error.expected(match items.len() {
                0 => format!("`{above}` is an empty list"),
                1 => format!("an entry of `{above}`, which has one: [0]"),
                count => format!(
                    "an entry of `{above}`, which has {count}: [0] to [{}]",
                    count - 1
                ),
            });
        }
        let mut names: IndexSet<&str> = pairs(node).into_keys().collect();
        if let Some(fed) = self.fed_list(above) {
            names.extend(self.trace.settings.names(&fed.files));
        }
        let names = Vec::from_iter(names);
        match similar(name, names.iter().copied()) {
            Some(near) => {
                let full = format!("{above}.{near}{behind}");
                let leads = self.tree.lookup(&full).is_some();
                let short = format!("{above}.{near}");
                error.suggest(format!(
                    "did you mean `{}`?",
                    if leads { full } else { short }
                ))
            }
            None if self.is_service(above) && schema::near_service_attribute(name).is_some() => {
                let near = schema::near_service_attribute(name).unwrap_or_default();
                let help = if near == name {
                    format!("`{name}` can stand there, but no file has it")
                } else {
                    format!("did you mean `{above}.{near}`? No file sets it")
                };
                error
                    .expected(format!("below {above}: {}", listed(&names)))
                    .suggest(help)
            }
            None if names.is_empty() => error.expected(format!(
                "`{above}`, which is {} and has nothing below it",
                node.kind()
            )),
            None => error.expected(format!("below {above}: {}", listed(&names))),
        }
    }

    /// True for the path of a service.
    fn is_service(&self, path: &str) -> bool {
        let services = self.tree.get("services").and_then(Node::as_map);
        let name = path.strip_prefix("services.");
        services
            .zip(name)
            .is_some_and(|(services, name)| services.contains_key(name))
    }

    /// What stands in a file for a node, as it is shown.
    pub(super) fn written(&self, node: &Node, is_pair: bool) -> Option<String> {
        let sources = &self.project.origin.sources;
        if is_pair {
            written::with_name(sources, node)
        } else {
            written::written(sources, node)
        }
    }
}

fn keys(node: &Node) -> Vec<&str> {
    node.as_map()
        .into_iter()
        .flat_map(|map| map.keys().map(String::as_str))
        .collect()
}
