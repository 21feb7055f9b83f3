//! `extends`: a service starts from another one, of this file or another.
//!
//! Specification: "extends". The other file is interpolated, put into the long
//! form and its paths are resolved against its own folder; its shape is checked
//! as part of the service that extends it.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use super::diag::{Allowed, Service, Step, did_you_mean, listed, quoted};
use super::loader::{Environment, Input, Loader, Scope};
use super::paths::relative;
use super::tags::Resets;
use super::tree::{Map, Mark, Node, Trail};
use super::unique::When;
use super::{canonical, merge, unique};

/// Its attributes.
const ATTRIBUTES: [&str; 2] = ["file", "service"];

/// Longest chain of services that extend each other.
const LONGEST_CHAIN: usize = 100;

/// A service on the way down a chain.
#[derive(Debug, Clone)]
struct Link {
    file: PathBuf,
    service: String,
    mark: Mark,
    step: Named,
    /// It is in a file of the project's own.
    is_own: bool,
}

/// What the reference knows a step of a chain by, and allows once in a chain: the file
/// that is named, if one is, and the service that extends. It takes a step that looks
/// like an earlier one for a circle.
type Named = (Option<String>, String);

/// The services a chain is followed in.
#[derive(Clone, Copy)]
struct Place<'p> {
    services: &'p RefCell<Map>,
    file: &'p Path,
    /// [`Mark::file`] of that file.
    number: u16,
    /// What tags of the file drop from what is extended.
    resets: Option<&'p Resets>,
    /// The file, where it is not the project's own.
    plain: Option<&'p PlainFile>,
}

impl Place<'_> {
    /// Where a service finds another one of the same file.
    fn beside(self) -> Self {
        let Some(plain) = self.plain else {
            return self;
        };
        Place {
            services: plain.beside.as_ref().unwrap_or(&plain.services),
            resets: None,
            ..self
        }
    }
}

/// A file that services are extended from. What those of them extend in turn is
/// resolved once, where it is asked for first.
#[derive(Debug)]
struct PlainFile {
    /// [`Mark::file`] of what is in it.
    number: u16,
    services: RefCell<Map>,
    /// The same services as those of this file see them that extend them, where that
    /// makes a difference: the reference takes no notice of `!reset` and `!override` on
    /// this way.
    beside: Option<RefCell<Map>>,
    resets: Resets,
    /// What it was read with.
    environment: Arc<Environment>,
    /// The folder that its paths are relative to.
    base: PathBuf,
    /// The steps that services took which are resolved.
    steps: RefCell<HashMap<String, Vec<Named>>>,
}

/// Such files, by name.
#[derive(Debug, Default)]
pub(super) struct PlainFiles(HashMap<PathBuf, Vec<Rc<PlainFile>>>);

impl PlainFiles {
    fn get(&self, file: &Path, scope: &Scope) -> Option<Rc<PlainFile>> {
        let known = self.0.get(file)?;
        let same = |known: &&Rc<PlainFile>| {
            Arc::ptr_eq(&known.environment, &scope.environment) && known.base == scope.base
        };
        known.iter().find(same).cloned()
    }
}

/// What `extends` names.
struct Reference {
    service: String,
    mark: Mark,
    file: Option<(String, Mark)>,
}

impl Reference {
    /// Where it leads elsewhere.
    fn place(&self) -> Mark {
        self.file.as_ref().map_or(self.mark, |(_, mark)| *mark)
    }

    /// The service, which is in this file.
    fn service_of(&self, file: u16) -> Service {
        Service {
            file,
            name: self.service.clone(),
        }
    }
}

impl Loader<'_> {
    /// Replaces every service of a document that extends another one by the
    /// result.
    pub(super) fn apply_extends(
        &mut self,
        document: &mut Node,
        file: &Path,
        scope: &Scope,
        resets: &Resets,
    ) {
        let Some(services) = document.get_mut("services") else {
            return;
        };
        if services.is_null() {
            // In every file: an empty one would vanish in the merge.
            let diagnostic = self
                .report
                .at(services.place(), "services", "has no value")
                .expected("a mapping")
                .suggest("write the services below it, indented, or remove the line");
            self.report.push(diagnostic);
        }
        let extending = services.as_map().into_iter().flatten();
        let extending = extending.filter(|(_, service)| service.get("extends").is_some());
        let names: Vec<String> = extending.map(|(name, _)| name.clone()).collect();
        if names.is_empty() {
            return;
        }
        self.report.sources.ways.begin(sections(document));
        let number = document.mark.file;
        let services = document.get_mut("services").and_then(Node::as_map_mut);
        let Some(services) = services else {
            return;
        };
        let all = RefCell::new(std::mem::take(services));
        let place = Place {
            services: &all,
            file,
            number,
            resets: Some(resets),
            plain: None,
        };
        for name in names {
            self.extend(&name, place, scope, &mut Vec::new());
        }
        *services = all.into_inner();
    }

    /// Puts what a service extends below it, in its place; `None` where that
    /// cannot be.
    fn extend(
        &mut self,
        name: &str,
        place: Place<'_>,
        scope: &Scope,
        chain: &mut Vec<Link>,
    ) -> Option<()> {
        let extends = place.services.borrow().get(name)?.get("extends").cloned();
        let Some((extends, reference)) = extends.and_then(|node| {
            let reference = reference(&node)?;
            Some((node, reference))
        }) else {
            return Some(());
        };
        let link = Link {
            file: place.file.to_owned(),
            service: name.to_owned(),
            mark: reference.mark,
            step: (
                reference.file.as_ref().map(|(file, _)| file.clone()),
                name.to_owned(),
            ),
            is_own: place.plain.is_none(),
        };
        let is_known =
            |known: &HashSet<_>| known.contains(&(link.file.clone(), link.service.clone()));
        if !self.circles.is_empty() && is_known(&self.circles) {
            return None; // told already
        }
        if self.is_cycle(chain, &link) || self.is_repeated(chain, &link.step, &link) {
            return None;
        }
        let step = link.step.clone();
        chain.push(link);
        let by = Service {
            file: place.number,
            name: name.to_owned(),
        };
        let base = if let Some((path, mark)) = &reference.file {
            self.base_in_file(&by, &reference, (path, *mark), scope, chain)
        } else {
            self.base(&by, &reference, place.beside(), scope, chain)
        };
        chain.pop();
        let (mut base, mut steps) = base?;
        // What stays where it is, the schema refuses.
        let trail = format!("services.{name}.extends");
        self.unknown_keys(&extends, &trail, ("extends", &ATTRIBUTES));
        if base.is_null() {
            // In another file that is allowed: there is nothing to extend, and what
            // says so stays.
            return Some(());
        }
        if let Some(plain) = place.plain {
            steps.push(step);
            plain.steps.borrow_mut().insert(name.to_owned(), steps);
        }
        let null = Node::null(Mark::default());
        let service = std::mem::replace(place.services.borrow_mut().get_mut(name)?, null);
        // Before anything of it is dropped, so that this is known of that, too.
        self.trace_extension(name, &reference, &base, scope);
        if let Some(resets) = place.resets.and_then(|resets| resets.service(name)) {
            let mut trail = Trail::new(format!("services.{name}"));
            resets.apply(&mut base, &mut trail, &mut self.report.trace);
        }
        let (mark, key) = (service.mark, service.key);
        let mut merged = merge::merge_service(name, base, service, &mut self.report);
        merged.mark = mark;
        merged.key = key;
        if let Some(map) = merged.as_map_mut() {
            map.shift_remove("extends");
        }
        place.services.borrow_mut().insert(name.to_owned(), merged);
        Some(())
    }

    /// The service that is extended, with what it extends itself, and the steps to that.
    fn base(
        &mut self,
        by: &Service,
        reference: &Reference,
        place: Place<'_>,
        scope: &Scope,
        chain: &mut Vec<Link>,
    ) -> Option<(Node, Vec<Named>)> {
        if !place.services.borrow().contains_key(&reference.service) {
            self.unknown_base(&by.name, reference, &place.services.borrow());
            return None;
        }
        let base = reference.service_of(place.number);
        let ways = &mut self.report.sources.ways;
        ways.extend(by.clone(), reference.place(), base);
        self.extend(&reference.service, place, scope, chain)?;
        let steps = place.plain.and_then(|plain| {
            let steps = plain.steps.borrow();
            steps.get(&reference.service).cloned()
        });
        let steps = steps.unwrap_or_default();
        // They were taken for another chain, where the base has been resolved for that.
        if let Some(last) = chain.last()
            && steps.iter().any(|step| self.is_repeated(chain, step, last))
        {
            return None;
        }
        let services = place.services.borrow();
        let base = services.get(&reference.service)?;
        if !self.limits.nodes.take(base.size()) {
            let path = format!("services.{}.extends", by.name);
            self.too_many_nodes(reference.mark, &path);
            return None;
        }
        Some((base.clone(), steps))
    }

    /// Tells the trace which file services are extended from now; the result is the
    /// one before that.
    fn trace_file(&mut self, file: Option<Arc<str>>) -> Option<Arc<str>> {
        let trace = self.report.trace.as_mut()?;
        std::mem::replace(&mut trace.history.file, file)
    }

    fn trace_extension(&mut self, name: &str, reference: &Reference, base: &Node, scope: &Scope) {
        if self.report.trace.is_none() {
            return;
        }
        let file = reference.file.as_ref();
        let file = file.map(|(path, _)| self.resolver(&scope.base).join(path));
        let step = Step {
            what: format!("service `{name}` extends `{}`", reference.service),
            position: self.report.sources.position(reference.mark),
        };
        if let Some(trace) = &mut self.report.trace {
            let of = (reference.service.as_str(), file.as_deref());
            trace.history.extend(name, base, of, step);
        }
    }

    fn base_in_file(
        &mut self,
        by: &Service,
        reference: &Reference,
        (path, mark): (&str, Mark),
        scope: &Scope,
        chain: &mut Vec<Link>,
    ) -> Option<(Node, Vec<Named>)> {
        let trail = format!("services.{}.extends.file", by.name);
        let file = PathBuf::from(self.resolver(&scope.base).join(path));
        if super::source::is_remote(path) {
            let message = format!("{} is not on this machine", quoted(path));
            let diagnostic = self
                .report
                .at(mark, &trail, message)
                .expected(super::source::HERE)
                .suggest(super::source::FETCH_IT);
            self.report.push(diagnostic);
            return None;
        }
        let input = Input {
            name: file.clone(),
            text: None,
        };
        let outer = self.trace_file(Some(Arc::from(&*file.to_string_lossy())));
        let plain = match self.plain.get(&file, scope) {
            Some(known) => Some(known),
            None => self.plain_file(&input, scope, (mark, &trail), (by, reference)),
        };
        let base = plain.and_then(|plain| {
            let place = Place {
                services: &plain.services,
                file: &file,
                number: plain.number,
                resets: Some(&plain.resets),
                plain: Some(&plain),
            };
            self.base(by, reference, place, scope, chain)
        });
        self.trace_file(outer);
        base
    }

    /// Reads a file to extend services from.
    fn plain_file(
        &mut self,
        input: &Input,
        scope: &Scope,
        asked: (Mark, &str),
        (by, reference): (&Service, &Reference),
    ) -> Option<Rc<PlainFile>> {
        self.documents(input, asked)?;
        let mut tree = Node::map(Map::new(), Mark::default());
        let mut resets = Resets::default();
        let mut number = u16::MAX;
        for document in self.taken(input, asked) {
            number = document.mark.file;
            // Before anything in it can be wrong.
            let ways = &mut self.report.sources.ways;
            ways.is_base(number);
            ways.begin(sections(&document));
            ways.extend(by.clone(), reference.place(), reference.service_of(number));
            for (name, reference) in within(&document) {
                let by = Service { file: number, name };
                ways.extend(by, reference.place(), reference.service_of(number));
            }
            (tree, resets) = self.plain(tree, document, scope);
        }
        let base = input.name.parent().unwrap_or_else(|| Path::new("/"));
        self.resolve_paths(&relative(&scope.base, base), &mut tree);
        let services = match tree.get_mut("services").and_then(Node::as_map_mut) {
            Some(services) => std::mem::take(services),
            None => Map::new(),
        };
        let plain = Rc::new(PlainFile {
            number,
            beside: (!resets.is_empty()).then(|| RefCell::new(services.clone())),
            services: RefCell::new(services),
            resets,
            environment: Arc::clone(&scope.environment),
            base: scope.base.clone(),
            steps: RefCell::default(),
        });
        let same = self.plain.0.entry(input.name.clone()).or_default();
        same.push(Rc::clone(&plain));
        Some(plain)
    }

    /// Merges a document of an extended file: neither includes nor `extends`
    /// of its own are followed here.
    fn plain(&mut self, mut tree: Node, mut document: Node, scope: &Scope) -> (Node, Resets) {
        if self.limits.work.left() == 0 || !self.limits.work.take(tree.size()) {
            let message = "too many documents are merged for their size";
            self.report.error(document.mark, "", message);
            return (tree, Resets::default());
        }
        let resets = Resets::take(&mut document);
        self.interpolate(&mut document, scope);
        resets.apply(&mut tree, &mut Trail::default(), &mut self.report.trace);
        if document.as_map().is_some() {
            tree = merge::merge(tree, document, &mut self.report);
            unique::unique(&mut tree, When::Written, &mut self.report);
            let nodes = &mut self.limits.nodes;
            canonical::canonical(&mut tree, self.raw, nodes, &mut self.report);
            super::defaults::drop_empty(&mut tree);
            unique::unique(&mut tree, When::Canonical, &mut self.report);
        }
        (tree, resets)
    }

    fn unknown_base(&mut self, name: &str, reference: &Reference, services: &Map) {
        let trail = format!("services.{name}.extends");
        let message = format!("there is no service `{}` to extend", reference.service);
        let mut diagnostic = self.report.at(reference.mark, &trail, message);
        if self.report.is_full() {
            self.report.push(diagnostic); // only counted: no name is looked for
            return;
        }
        let known: Vec<&str> = services.keys().map(String::as_str).collect();
        let elsewhere = match reference.file {
            Some(_) => None,
            None => self.in_documents(reference.mark.file, &reference.service),
        };
        if let Some(mark) = elsewhere {
            diagnostic.note = Some("each document of a file (`---`) is read on its own".to_owned());
            self.report
                .also(&mut diagnostic, "another document has one,", mark);
        }
        let place = match &reference.file {
            Some((file, _)) => format!("a service of {}", quoted(file)),
            None if elsewhere.is_some() => "a service of this document".to_owned(),
            None => "a service of this file".to_owned(),
        };
        diagnostic.expected = Some(format!("{place}: {}", listed(&known)));
        let wanted = &reference.service;
        let is_file = reference.file.is_none()
            && wanted.ends_with(|c: char| c.is_ascii_lowercase())
            && [".yaml", ".yml"].iter().any(|end| wanted.ends_with(end));
        diagnostic.suggestion = if elsewhere.is_some() {
            Some("move the service into this document, or both into one".to_owned())
        } else if is_file {
            Some(format!(
                "write `extends: {{file: {wanted}, service: {name}}}`, or whatever service of it is meant"
            ))
        } else {
            did_you_mean(wanted, known.into_iter())
        };
        self.report.push(diagnostic);
    }

    /// Refuses a step that a chain has already, as the reference does; `link` is where
    /// that shows.
    fn is_repeated(&mut self, chain: &[Link], step: &Named, link: &Link) -> bool {
        if !has_step(chain, step) {
            return false;
        }
        let (file, service) = step;
        let message = match file {
            Some(file) => format!(
                "two services `{service}` of one chain extend from {}: this counts as a circle",
                quoted(file)
            ),
            None => format!(
                "two services `{service}` of one chain extend one of their own file: this counts \
                 as a circle"
            ),
        };
        let path = format!("services.{}.extends", link.service);
        let diagnostic = self
            .report
            .at(link.mark, &path, message)
            .expected("a chain of services whose names differ")
            .allowed(Allowed::SameName)
            .suggest("rename one of them; a service of the same file is extended without `file:`");
        self.report.push(diagnostic);
        self.circles
            .insert((link.file.clone(), link.service.clone()));
        true
    }

    fn is_cycle(&mut self, chain: &[Link], link: &Link) -> bool {
        let known = |known: &Link| known.file == link.file && known.service == link.service;
        let Some(at) = chain.iter().position(known) else {
            if chain.len() < LONGEST_CHAIN {
                return false;
            }
            let message = format!("more than {LONGEST_CHAIN} services extend each other");
            let path = format!("services.{}.extends", link.service);
            self.report.error(link.mark, &path, message);
            let members = chain
                .iter()
                .map(|link| (link.file.clone(), link.service.clone()));
            self.circles.extend(members);
            return true;
        };
        let members = chain.iter().skip(at);
        let members = members.map(|link| (link.file.clone(), link.service.clone()));
        self.circles.extend(members);
        let round: Vec<&str> = chain
            .iter()
            .skip(at)
            .chain([link])
            .map(|link| link.service.as_str())
            .collect();
        let message = format!(
            "services extend each other in a circle: {}",
            round.join(" -> ")
        );
        let path = format!("services.{}.extends", link.service);
        let mut diagnostic = self.report.at(link.mark, &path, message);
        diagnostic.expected =
            Some("a service that extends none of those that extend it".to_owned());
        diagnostic.suggestion = Some(
            "remove one of these `extends`; what extends nothing needs an `image` or a `build` of its own"
                .to_owned(),
        );
        diagnostic.chain = chain
            .iter()
            .skip(at + 1)
            .map(|link| Step {
                what: format!("`{}` extends", link.service),
                position: self.report.sources.position(link.mark),
            })
            .collect();
        self.report.push(diagnostic);
        true
    }
}

/// Where the parts of a document begin, each service one of its own.
fn sections(document: &Node) -> impl Iterator<Item = (Mark, Option<String>)> {
    let parts = document.as_map().into_iter().flatten();
    let parts = parts.map(|(_, part)| (part.key, None));
    let services = document.get("services").and_then(Node::as_map);
    let services = services.into_iter().flatten();
    parts.chain(services.map(|(name, service)| (service.key, Some(name.clone()))))
}

/// The services of a document that extend others of it, as it is written.
fn within(document: &Node) -> impl Iterator<Item = (String, Reference)> {
    let services = document.get("services").and_then(Node::as_map);
    let services = services.into_iter().flatten();
    services.filter_map(|(name, service)| {
        let reference = reference(service.get("extends")?)?;
        // Variables have no values yet.
        let is_here = reference.file.is_none() && !reference.service.contains('$');
        is_here.then(|| (name.clone(), reference))
    })
}

/// True where a chain has a step already, since it left the project's own files: what
/// is before that is resolved by itself, too.
fn has_step(chain: &[Link], step: &Named) -> bool {
    let from = chain.iter().rposition(|link| link.is_own).unwrap_or(0);
    let taken = chain.get(from..).unwrap_or_default();
    taken.iter().any(|link| link.step == *step)
}

/// Reads `extends`; `None` for what the schema is going to refuse.
fn reference(node: &Node) -> Option<Reference> {
    if let Some(service) = node.as_str() {
        return Some(Reference {
            service: service.to_owned(),
            mark: node.mark,
            file: None,
        });
    }
    let service = node.get("service")?;
    let file = match node.get("file") {
        Some(file) if !file.is_null() => Some((file.as_str()?.to_owned(), file.mark)),
        _ => None,
    };
    Some(Reference {
        service: service.as_str()?.to_owned(),
        mark: service.mark,
        file,
    })
}
