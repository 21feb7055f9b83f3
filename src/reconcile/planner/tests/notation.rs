//! The notation of models and states.
//!
//! A model has one service a line, `NAME [WORD…]`:
//! `x3` replicas, `#h` hash, `=img` image id, `needs:db/healthy`, `/completed`,
//! `+restart`, `+optional`, `joins:db`, `net:front`, `vol:data`, `named:fixed`,
//! `env:VALUE` (a canonical environment), `off` (profile not active).
//! Network and volume keys become `p_KEY`; without `net:` there is `default`,
//! `net:-` means none. `network:KEY[=definition|external]` and
//! `volume:KEY[=definition|external]` lines declare.
//!
//! A state has one container a line, `SERVICE-N [WORD…]` or
//! `SERVICE-run-X [WORD…]`: a state word, `healthy`, `#h`, `=img`, `net:`,
//! `vol:`, `env:`, `named:`, `shares:SERVICE-N`; and `network:`, `volume:` lines.

use std::collections::BTreeMap;

use serde_json::json;

use crate::net::spec::{NetworkRecord, NetworkSpec};
use crate::state::{ContainerId, NetworkId};
use crate::supervise::launch::VolumeUse;
use crate::supervise::record::{Health, RunState};

use crate::reconcile::desired::{
    Dependency, Desired, DesiredNetwork, DesiredService, DesiredVolume, Gate, VolumeSpec,
};
use crate::reconcile::observed::{Observed, ObservedContainer};
use crate::reconcile::translate::names;

pub(super) fn model(text: &str) -> Desired {
    let mut desired = Desired {
        project: "p".to_owned(),
        ..Desired::default()
    };
    for line in lines(text) {
        let (head, words) = line;
        if let Some(key) = head.strip_prefix("network:") {
            let (spec, external) = network(key);
            desired
                .networks
                .insert(spec.name.clone(), DesiredNetwork { spec, external });
        } else if let Some(key) = head.strip_prefix("volume:") {
            let (spec, external) = volume(key);
            desired
                .volumes
                .insert(spec.name.clone(), DesiredVolume { spec, external });
        } else if words.contains(&"off") {
            desired.disabled.insert(head.to_owned());
        } else {
            let service = service(head, &words);
            for name in &service.networks {
                let key = name.trim_start_matches("p_");
                desired
                    .networks
                    .entry(name.clone())
                    .or_insert_with(|| DesiredNetwork {
                        spec: network(key).0,
                        external: false,
                    });
            }
            for name in &service.volumes {
                let key = name.trim_start_matches("p_");
                desired
                    .volumes
                    .entry(name.clone())
                    .or_insert_with(|| DesiredVolume {
                        spec: volume(key).0,
                        external: false,
                    });
            }
            desired.services.insert(head.to_owned(), service);
        }
    }
    desired
}

fn service(name: &str, words: &[&str]) -> DesiredService {
    let mut service = DesiredService {
        name: name.to_owned(),
        replicas: 1,
        container_name: None,
        config_hash: "1".to_owned(),
        canonical: json!({}),
        image: "img".to_owned(),
        image_id: Some("sha256:0".to_owned()),
        depends_on: Vec::new(),
        joins: Vec::new(),
        networks: full(words, "net:", &["default"]),
        volumes: full(words, "vol:", &[]),
    };
    for word in words {
        if let Some(count) = word.strip_prefix('x') {
            service.replicas = count.parse().unwrap();
        } else if let Some(hash) = word.strip_prefix('#') {
            hash.clone_into(&mut service.config_hash);
        } else if let Some(id) = word.strip_prefix('=') {
            service.image_id = Some(format!("sha256:{id}"));
        } else if let Some(value) = word.strip_prefix("env:") {
            service.canonical = json!({"environment": {"E": value}});
        } else if let Some(name) = word.strip_prefix("named:") {
            service.container_name = Some(name.to_owned());
        } else if let Some(other) = word.strip_prefix("joins:") {
            service.joins.push(other.to_owned());
            service.depends_on.push(dependency(other));
        } else if let Some(text) = word.strip_prefix("needs:") {
            service.depends_on.push(dependency(text));
        }
    }
    service
}

fn dependency(text: &str) -> Dependency {
    let mut parts = text.split('+');
    let (service, gate) = parts
        .next()
        .map(|head| head.split_once('/').unwrap_or((head, "started")))
        .unwrap();
    let rest: Vec<&str> = parts.collect();
    Dependency {
        service: service.to_owned(),
        gate: match gate {
            "started" => Gate::Started,
            "healthy" => Gate::Healthy,
            "completed" => Gate::Completed,
            other => panic!("no gate: {other}"),
        },
        restart: rest.contains(&"restart"),
        required: !rest.contains(&"optional"),
    }
}

fn network(text: &str) -> (NetworkSpec, bool) {
    let (key, definition) = text.split_once('=').unwrap_or((text, ""));
    let external = definition == "external";
    let name = if external {
        key.to_owned()
    } else {
        format!("p_{key}")
    };
    let spec = NetworkSpec {
        name,
        driver: "bridge".to_owned(),
        driver_opts: options(definition),
        pools: Vec::new(),
        internal: false,
        ipv6: false,
        ipv4: true,
        labels: own_label("p"),
    };
    (spec, external)
}

fn volume(text: &str) -> (VolumeSpec, bool) {
    let (key, definition) = text.split_once('=').unwrap_or((text, ""));
    let external = definition == "external";
    let spec = VolumeSpec {
        name: if external {
            key.to_owned()
        } else {
            format!("p_{key}")
        },
        driver: "local".to_owned(),
        driver_opts: options(definition),
        labels: own_label("p"),
    };
    (spec, external)
}

fn options(definition: &str) -> BTreeMap<String, String> {
    match definition {
        "" | "external" => BTreeMap::new(),
        other => [("o".to_owned(), other.to_owned())].into(),
    }
}

fn own_label(project: &str) -> BTreeMap<String, String> {
    [(names::LABEL_PROJECT.to_owned(), project.to_owned())].into()
}

pub(super) fn state(text: &str) -> Observed {
    let mut observed = Observed::default();
    for (head, words) in lines(text) {
        if let Some(key) = head.strip_prefix("network:") {
            let mut spec = network(key).0;
            if words.contains(&"foreign") {
                spec.labels = own_label("other");
            }
            let record = NetworkRecord {
                id: NetworkId::random(),
                spec,
                subnets: Vec::new(),
                created: String::new(),
            };
            if words.contains(&"lost") {
                observed.lost_networks.insert(record.spec.name.clone());
            }
            observed.networks.insert(record.spec.name.clone(), record);
        } else if let Some(key) = head.strip_prefix("volume:") {
            let spec = volume(key).0;
            observed.volumes.insert(spec.name.clone(), spec);
        } else if let Some(name) = head.strip_prefix("taken:") {
            observed
                .foreign_names
                .insert(name.to_owned(), "other".to_owned());
        } else {
            let found = container(head, &words, &observed);
            observed.containers.push(found);
        }
    }
    observed
}

fn container(head: &str, words: &[&str], before: &Observed) -> ObservedContainer {
    let (service, rest) = head.split_once('-').unwrap();
    let after = |prefix: &str| words.iter().find_map(|word| word.strip_prefix(prefix));
    let state = words.iter().find_map(|word| match *word {
        "running" => Some(RunState::Running),
        "exited" => Some(RunState::Exited),
        "created" => Some(RunState::Created),
        "restarting" => Some(RunState::Restarting),
        _ => None,
    });
    let health = words.iter().find_map(|word| match *word {
        "healthy" => Some(Health::Healthy),
        "starting" => Some(Health::Starting),
        "unhealthy" => Some(Health::Unhealthy),
        _ => None,
    });
    let by_name = |name: &str| {
        before
            .containers
            .iter()
            .find(|one| one.name == format!("p-{name}"))
    };
    ObservedContainer {
        id: ContainerId::random(),
        name: after("named:").map_or_else(|| format!("p-{head}"), str::to_owned),
        service: service.to_owned(),
        number: rest.parse().unwrap_or(1),
        oneoff: rest.starts_with("run"),
        config_hash: after("#").unwrap_or("1").to_owned(),
        canonical: after("env:").map_or(json!({}), |value| json!({"environment": {"E": value}})),
        image: "img".to_owned(),
        image_id: format!("sha256:{}", after("=").unwrap_or("0")),
        depends_on: words
            .iter()
            .filter_map(|word| word.strip_prefix("needs:"))
            .map(dependency)
            .collect(),
        networks: full(words, "net:", &["default"]).into_iter().collect(),
        shares_network_of: after("shares:")
            .map(|name| by_name(name).map_or_else(ContainerId::random, |one| one.id.clone())),
        volumes: full(words, "vol:", &[])
            .into_iter()
            .map(|name| VolumeUse {
                name,
                anonymous: false,
                destination: "/v".to_owned(),
                read_only: false,
                no_copy: false,
                subpath: None,
            })
            .collect(),
        auto_remove: false,
        state: state.unwrap_or(RunState::Running),
        health,
        exit_code: None,
    }
}

fn lines(text: &str) -> impl Iterator<Item = (&str, Vec<&str>)> {
    text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        Some((words.next()?, words.collect()))
    })
}

/// Full names of the keys after `prefix`; `-` means none. A key that begins
/// with `ext` is external and stays as it is.
fn full(words: &[&str], prefix: &str, default: &[&str]) -> Vec<String> {
    let mut keys: Vec<&str> = words
        .iter()
        .filter_map(|word| word.strip_prefix(prefix))
        .collect();
    if keys.is_empty() {
        keys = default.to_vec();
    }
    keys.iter()
        .filter(|key| **key != "-")
        .map(|key| {
            if key.starts_with("ext") {
                (*key).to_owned()
            } else {
                format!("p_{key}")
            }
        })
        .collect()
}

/// Compares a plan's text with the expected one, line by line, without
/// regard to indentation.
#[track_caller]
pub(super) fn assert_plan(plan: &impl std::fmt::Display, expected: &str) {
    let clean = |text: &str| -> Vec<String> {
        text.lines()
            .map(|line| line.trim().to_owned())
            .filter(|line| !line.is_empty())
            .collect()
    };
    assert_eq!(
        clean(&plan.to_string()).join("\n"),
        clean(expected).join("\n")
    );
}
