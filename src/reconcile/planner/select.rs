//! Which services a command is about, and in which order they come.

use std::collections::{BTreeMap, BTreeSet};

use indexmap::{IndexMap, IndexSet};

use super::super::desired::{Dependency, Desired};
use super::super::observed::Observed;
use super::PlanError;
use crate::similar::similar;

/// Dependencies by service, from the file or from labels.
pub type Edges = IndexMap<String, Vec<Dependency>>;

/// The file's dependencies, those on services that are not active left out.
pub fn edges_of_desired(desired: &Desired) -> Edges {
    desired
        .services
        .iter()
        .map(|(name, service)| {
            let known = service
                .depends_on
                .iter()
                .filter(|dep| desired.services.contains_key(&dep.service))
                .cloned()
                .collect();
            (name.clone(), known)
        })
        .collect()
}

/// The dependencies that the containers' labels keep, for a project whose file
/// is not at hand; and for services that are only observed, in any case.
pub fn edges_of_observed(observed: &Observed, desired: Option<&Desired>) -> Edges {
    let mut edges = desired.map(edges_of_desired).unwrap_or_default();
    let seen: BTreeSet<&str> = observed
        .containers
        .iter()
        .map(|container| container.service.as_str())
        .collect();
    let mut containers: Vec<_> = observed.containers.iter().collect();
    containers.sort_by(|a, b| (&a.service, a.number).cmp(&(&b.service, b.number)));
    for container in containers {
        if edges.contains_key(&container.service) {
            continue;
        }
        let known = container
            .depends_on
            .iter()
            .filter(|dep| seen.contains(dep.service.as_str()))
            .cloned()
            .collect();
        edges.insert(container.service.clone(), known);
    }
    edges
}

/// Checks that every asked-for service exists.
pub fn check_names<'a>(
    asked: &[String],
    known: impl Iterator<Item = &'a str> + Clone,
) -> Result<(), PlanError> {
    for name in asked {
        if !known.clone().any(|one| one == name) {
            return Err(PlanError::NoSuchService {
                name: name.clone(),
                similar: similar(name, known).map(str::to_owned),
            });
        }
    }
    Ok(())
}

/// The asked-for services and everything they depend on; all where none is
/// asked for.
pub fn with_dependencies(asked: &[String], edges: &Edges) -> BTreeSet<String> {
    if asked.is_empty() {
        return edges.keys().cloned().collect();
    }
    let mut chosen = BTreeSet::new();
    let mut open: Vec<String> = asked.to_vec();
    while let Some(name) = open.pop() {
        if let Some(deps) = edges.get(&name)
            && chosen.insert(name)
        {
            open.extend(deps.iter().map(|dep| dep.service.clone()));
        }
    }
    chosen
}

/// Services so that each comes after those it depends on; otherwise in the
/// order of `edges`.
pub fn dependency_order(edges: &Edges) -> Result<Vec<String>, PlanError> {
    let mut done: IndexSet<String> = IndexSet::new();
    let mut path: Vec<String> = Vec::new();
    // An explicit stack: the depth of a chain is up to the user.
    for root in edges.keys() {
        let mut stack: Vec<(String, usize)> = vec![(root.clone(), 0)];
        while let Some((name, next)) = stack.pop() {
            if done.contains(&name) {
                continue;
            }
            if next == 0 {
                if let Some(at) = path.iter().position(|one| *one == name) {
                    let mut cycle = path.split_off(at);
                    cycle.push(name);
                    return Err(PlanError::Cycle { path: cycle });
                }
                path.push(name.clone());
            }
            let dep = edges.get(&name).and_then(|deps| deps.get(next));
            if let Some(dep) = dep {
                let dep = dep.service.clone();
                stack.push((name, next + 1));
                if edges.contains_key(&dep) {
                    stack.push((dep, 0));
                }
            } else {
                path.pop();
                done.insert(name);
            }
        }
    }
    Ok(done.into_iter().collect())
}

/// Services and those that, directly or not, restart with them
/// (`depends_on.restart`).
pub fn with_restarting_dependents(asked: &[String], edges: &Edges) -> BTreeSet<String> {
    let mut dependents: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, deps) in edges {
        for dep in deps.iter().filter(|dep| dep.restart) {
            dependents
                .entry(dep.service.as_str())
                .or_default()
                .push(name);
        }
    }
    let mut chosen = BTreeSet::new();
    let mut open: Vec<&str> = if asked.is_empty() {
        edges.keys().map(String::as_str).collect()
    } else {
        asked.iter().map(String::as_str).collect()
    };
    while let Some(name) = open.pop() {
        if chosen.insert(name.to_owned()) {
            open.extend(dependents.get(name).into_iter().flatten());
        }
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::super::super::desired::Gate;
    use super::*;
    use proptest::prelude::*;

    fn edges(list: &[(&str, &[&str])]) -> Edges {
        list.iter()
            .map(|(name, deps)| {
                let deps = deps
                    .iter()
                    .map(|dep| Dependency {
                        service: (*dep).to_owned(),
                        gate: Gate::Started,
                        restart: false,
                        required: true,
                    })
                    .collect();
                ((*name).to_owned(), deps)
            })
            .collect()
    }

    #[test]
    fn dependency_order_puts_dependencies_first_and_keeps_the_files_order() {
        let order = dependency_order(&edges(&[
            ("web", &["api", "db"]),
            ("db", &[]),
            ("api", &["db"]),
        ]));
        assert_eq!(order.unwrap(), ["db", "api", "web"]);
    }

    #[test]
    fn dependency_order_names_a_cycle() {
        let error = dependency_order(&edges(&[("x", &["a"]), ("a", &["b"]), ("b", &["a"])]));
        assert_eq!(
            error.unwrap_err().to_string(),
            "dependency cycle detected: a -> b -> a"
        );
    }

    #[test]
    fn unknown_service_gets_a_suggestion() {
        let error = check_names(&["wbe".to_owned()], ["db", "web"].into_iter()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "no such service: wbe (did you mean `web`?)"
        );
        let error = check_names(&["zzzzzz".to_owned()], ["db", "web"].into_iter()).unwrap_err();
        assert_eq!(error.to_string(), "no such service: zzzzzz");
        let error = check_names(&["xyz".to_owned()], ["db", "web"].into_iter()).unwrap_err();
        assert_eq!(error.to_string(), "no such service: xyz");
    }

    proptest! {
        #[test]
        fn dependency_order_of_any_acyclic_graph_respects_every_edge(
            picks in proptest::collection::vec(proptest::collection::vec(any::<prop::sample::Index>(), 0..4), 1..40)
        ) {
            let mut list = Edges::new();
            for (number, deps) in picks.iter().enumerate() {
                let deps = deps.iter().filter(|_| number > 0).map(|pick| Dependency {
                    service: format!("s{}", pick.index(number)), gate: Gate::Started, restart: false, required: true,
                }).collect();
                list.insert(format!("s{number}"), deps);
            }
            list.reverse();
            let order = dependency_order(&list).unwrap();
            prop_assert_eq!(order.len(), list.len());
            let position = |name: &str| order.iter().position(|one| one == name);
            for (name, deps) in &list {
                for dep in deps {
                    prop_assert!(position(&dep.service) < position(name));
                }
            }
        }
    }
}
