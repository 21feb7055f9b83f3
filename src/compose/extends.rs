//! `extends`: a service starts from another one, of this file or another.
//!
//! Specification: "extends". The other file is interpolated, put into the long
//! form and its paths are resolved against its own folder; its shape is checked
//! as part of the service that extends it.

use std::path::{Path, PathBuf};

use super::diag::Step;
use super::loader::{Input, Loader, Scope};
use super::tags::Resets;
use super::trace::Extended;
use super::tree::{Map, Mark, Node, Trail};
use super::{canonical, merge, unique};

/// Longest chain of services that extend each other.
const LONGEST_CHAIN: usize = 100;

/// A service on the way down a chain.
#[derive(Debug, Clone)]
struct Link {
    file: PathBuf,
    service: String,
    mark: Mark,
}

/// The services a chain is followed in.
struct Place<'p> {
    services: &'p mut Map,
    file: &'p Path,
    resets: &'p Resets,
}

/// What `extends` names.
struct Reference {
    service: String,
    mark: Mark,
    file: Option<(String, Mark)>,
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
        let Some(services) = document.get_mut("services").and_then(Node::as_map_mut) else {
            return;
        };
        let names: Vec<String> = services.keys().cloned().collect();
        for name in names {
            let mut place = Place {
                services,
                file,
                resets,
            };
            self.extended(&name, &mut place, scope, &[]);
        }
    }

    /// The service with what it extends below it; puts it in its place, too.
    fn extended(
        &mut self,
        name: &str,
        place: &mut Place<'_>,
        scope: &Scope,
        chain: &[Link],
    ) -> Option<Node> {
        let service = place.services.get(name)?.clone();
        let Some(reference) = service.get("extends").and_then(reference) else {
            return Some(service);
        };
        let mut chain = chain.to_vec();
        let link = Link {
            file: place.file.to_owned(),
            service: name.to_owned(),
            mark: reference.mark,
        };
        if self.is_cycle(&chain, &link) {
            return None;
        }
        chain.push(link);
        let base = if let Some((path, mark)) = &reference.file {
            self.base_in_file(name, &reference, (path, *mark), scope, &chain)
        } else {
            if !place.services.contains_key(&reference.service) {
                self.unknown_base(name, &reference, place.services);
                return None;
            }
            self.extended(&reference.service, place, scope, &chain)
        }?;
        if base.is_null() {
            return Some(service);
        }
        let mut base = base;
        if let Some(resets) = place.resets.service(name) {
            let mut trail = Trail::new(format!("services.{name}"));
            resets.apply(&mut base, &mut trail, &mut self.report.trace);
        }
        self.trace_extension(name, &reference, &base);
        let (mark, key) = (service.mark, service.key);
        let mut merged = merge::merge_service(name, base, service, &mut self.report);
        merged.mark = mark;
        merged.key = key;
        if let Some(map) = merged.as_map_mut() {
            map.shift_remove("extends");
        }
        place.services.insert(name.to_owned(), merged.clone());
        Some(merged)
    }

    fn trace_extension(&mut self, name: &str, reference: &Reference, base: &Node) {
        let Some(trace) = &mut self.report.trace else {
            return;
        };
        let step = Step {
            what: format!("service `{name}` extends `{}`", reference.service),
            position: self.report.sources.position(reference.mark),
        };
        let base_name = reference.service.clone();
        let how = Extended {
            base: base_name,
            step,
        };
        trace.extend(name, base, &how);
    }

    fn base_in_file(
        &mut self,
        name: &str,
        reference: &Reference,
        (path, mark): (&str, Mark),
        scope: &Scope,
        chain: &[Link],
    ) -> Option<Node> {
        let trail = format!("services.{name}.extends.file");
        let file = PathBuf::from(self.resolver(&scope.base).join(path));
        if super::source::is_remote(path) {
            let message = format!("`{path}` is not on this machine");
            let diagnostic = self
                .report
                .at(mark, &trail, message)
                .suggest("fetch it first; files of other machines are not loaded");
            self.report.push(diagnostic);
            return None;
        }
        let what = format!("extended by service `{name}`");
        let input = Input {
            name: file.clone(),
            text: None,
        };
        let documents = self.documents(&input, (mark, &trail))?;
        self.below(mark, what, |loader| {
            let mut tree = Node::map(Map::new(), Mark::default());
            let mut resets = Resets::default();
            for document in documents.iter() {
                (tree, resets) = loader.plain(tree, document.clone(), scope);
            }
            let base = file.parent().unwrap_or_else(|| Path::new("/")).to_owned();
            loader.resolve_paths(&scope.base, &base, &mut tree);
            let mut services = match tree.get_mut("services").and_then(Node::as_map_mut) {
                Some(services) => std::mem::take(services),
                None => Map::new(),
            };
            if !services.contains_key(&reference.service) {
                loader.unknown_base(name, reference, &services);
                return None;
            }
            let mut place = Place {
                services: &mut services,
                file: &file,
                resets: &resets,
            };
            loader.extended(&reference.service, &mut place, scope, chain)
        })
    }

    /// Merges a document of an extended file: neither includes nor `extends`
    /// of its own are followed here.
    fn plain(&mut self, mut tree: Node, mut document: Node, scope: &Scope) -> (Node, Resets) {
        let resets = Resets::take(&mut document);
        self.interpolate(&mut document, scope);
        resets.apply(&mut tree, &mut Trail::default(), &mut self.report.trace);
        if document.as_map().is_some() {
            tree = merge::merge(tree, document, &mut self.report);
            unique::unique(&mut tree, &mut self.report);
            canonical::canonical(&mut tree, self.raw, &mut self.report);
            super::defaults::drop_empty(&mut tree);
            unique::unique(&mut tree, &mut self.report);
        }
        (tree, resets)
    }

    fn unknown_base(&mut self, name: &str, reference: &Reference, services: &Map) {
        let trail = format!("services.{name}.extends");
        let message = format!("there is no service `{}` to extend", reference.service);
        let mut diagnostic = self.report.at(reference.mark, &trail, message);
        let known = services.keys().map(String::as_str);
        if let Some(similar) = super::schema::similar(&reference.service, known) {
            diagnostic = diagnostic.suggest(format!("did you mean `{similar}`?"));
        }
        // The place is where `extends` stands, not the file it leads to.
        diagnostic.chain = self.report.chain.iter().skip(1).cloned().collect();
        self.report.push(diagnostic);
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
            return true;
        };
        let members = chain.iter().skip(at);
        let members: Vec<_> = members
            .map(|link| (link.file.clone(), link.service.clone()))
            .collect();
        if members.iter().any(|member| self.circles.contains(member)) {
            return true;
        }
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
        Some(file) => Some((file.as_str()?.to_owned(), file.mark)),
        None => None,
    };
    Some(Reference {
        service: service.as_str()?.to_owned(),
        mark: service.mark,
        file,
    })
}
