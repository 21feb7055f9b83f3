use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::image::Platform;

/// What the Compose specification's schema says of each attribute; the tables of
/// the loader are held to the same list.
const SPECIFICATION: &str = include_str!("../../compose/schema/specification.txt");

/// Every attribute of the schema.
fn attributes() -> impl Iterator<Item = &'static str> {
    SPECIFICATION
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| Some(line.split_once(": ")?.0))
        .filter(|path| !path.is_empty() && !path.ends_with("[]") && !path.ends_with(".*"))
}

fn row_of(attribute: &str) -> Option<&'static Row> {
    let mut path = attribute;
    loop {
        if let Some(row) = ROWS.iter().find(|row| row.path == path) {
            return Some(row);
        }
        path = match path.strip_suffix("[]") {
            Some(list) => list,
            None => path.get(..path.rfind('.')?)?,
        };
    }
}

#[test]
fn every_attribute_of_the_schema_has_a_standing() {
    assert!(attributes().count() > 300);
    let missing: Vec<&str> = attributes()
        .filter(|attribute| row_of(attribute).is_none())
        .collect();
    assert!(missing.is_empty(), "without a row: {missing:?}");
}

/// A service's attribute must be looked at for itself: `services` alone does
/// not stand for those that were added since.
#[test]
fn every_attribute_of_a_service_has_a_row_of_its_own() {
    let missing: Vec<&str> = attributes()
        .filter(|attribute| {
            attribute.starts_with("services.*.") && attribute.matches('.').count() == 2
        })
        .filter(|attribute| !attribute.contains("[]"))
        .filter(|attribute| !ROWS.iter().any(|row| row.path == *attribute))
        .collect();
    assert!(missing.is_empty(), "without a row: {missing:?}");
}

#[test]
fn every_row_is_an_attribute_and_stands_once() {
    let known: BTreeSet<&str> = attributes().collect();
    let mut seen = BTreeSet::new();
    for row in ROWS {
        assert!(
            known.contains(row.path),
            "`{}` is not in the schema",
            row.path
        );
        assert!(seen.insert(row.path), "`{}` stands twice", row.path);
        let reason = matches!(row.standing, Standing::Works) || !row.note.is_empty();
        assert!(reason, "`{}` needs a reason", row.path);
    }
}

/// Each of them has an example, which `tests/config_as_docker.rs` reads again.
#[test]
fn what_cannot_be_read_again_has_an_example() {
    let examples = include_str!("../../../tests/golden/config/unreadable.txt");
    let heads = examples
        .lines()
        .filter_map(|line| line.strip_prefix("=== "));
    let examples: Vec<&str> = heads.filter_map(|head| head.split(' ').next()).collect();
    let listed: Vec<&str> = unreadable::CASES.iter().map(|case| case.id).collect();
    assert_eq!(examples, listed);
}

#[test]
fn committed_documentation_is_this_table() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/compose-support.md");
    let committed = fs_err::read_to_string(&path).unwrap_or_default();
    let current = support_table();
    if committed != current {
        // Writing it makes the next run pass, and the change show in the diff.
        fs_err::write(&path, &current).unwrap();
        panic!("docs/compose-support.md was out of date and has been written anew");
    }
}

fn project(text: &str) -> Project {
    use crate::compose::{FileArg, Host, LoadOptions};
    let options = LoadOptions {
        files: vec![FileArg::Stdin(text.to_owned())],
        cwd: "/".into(),
        all_resources: true,
        ..LoadOptions::default()
    };
    crate::compose::load(&options, &Host).unwrap().project
}

fn found(text: &str, severity: Severity) -> Vec<String> {
    let project = project(text);
    let services: Vec<&String> = project.services.keys().collect();
    refusals(&project, &services)
        .into_iter()
        .filter(|one| one.severity == severity)
        .map(|one| {
            let line = one.position.map_or(0, |position| position.line);
            format!("{line} {}: {}", one.path, one.message)
        })
        .collect()
}

#[test]
fn everything_refused_is_told_at_once_with_its_place() {
    let text = "name: p
services:
  web:
    image: x
    gpus: all
    runtime: kata
    logging: {driver: syslog}
    network_mode: bridge
    volumes:
      - {type: image, source: y, target: /y}
  db:
    image: x
    runtime: runc
    userns_mode: host
    logging: {driver: json-file}
    pre_start: [{command: x}]
volumes:
  data: {driver_opts: {type: nfs}}
secrets:
  s: {external: true}
";
    let paths: Vec<String> = found(text, Severity::Error)
        .iter()
        .map(|line| line.split(": ").next().unwrap().to_owned())
        .collect();
    assert_eq!(
        paths,
        [
            "5 services.web.gpus",
            "7 services.web.logging.driver",
            "8 services.web.network_mode",
            "16 services.db.pre_start",
            "6 services.web.runtime",
            "10 services.web.volumes[0].type",
            "18 volumes.data.driver_opts",
            "20 secrets.s.external",
        ]
    );
}

/// Translation leaves it out, so that it is told once.
#[test]
fn a_protocol_that_cannot_be_published_is_refused() {
    let text = "name: p\nservices:\n  a: {image: x, ports: ['80:80/sctp']}\n";
    let refused =
        "3 services.a.ports[0].protocol: `sctp` cannot be honoured: can only be `tcp` or `udp`";
    assert_eq!(found(text, Severity::Error), [refused]);
    let project = project(text);
    let name = "a".to_owned();
    assert!(super::super::prepare::preview(&project, &[&name]).is_empty());
}

#[test]
fn a_misspelt_restart_policy_is_told_with_the_right_one() {
    let project = project("name: p\nservices:\n  a: {image: x, restart: unles-stopped}\n");
    let name = "a".to_owned();
    let told: Vec<String> = super::super::prepare::preview(&project, &[&name])
        .iter()
        .map(ToString::to_string)
        .collect();
    let expected = "error: services.a.restart: `unles-stopped` is not a restart policy
 --> -:3:26
  |
3 |   a: {image: x, restart: unles-stopped}
  |                          ^^^^^^^^^^^^^
  = expected: no, always, unless-stopped, on-failure or on-failure:N
  = help: did you mean `unless-stopped`?";
    assert_eq!(told, [expected]);
}

#[test]
fn only_the_services_at_hand_are_looked_at() {
    let project = project("name: p\nservices:\n  a: {image: x, gpus: all}\n  ab: {image: x}\n");
    let one = "ab".to_owned();
    assert!(refusals(&project, &[&one]).is_empty());
    let other = "a".to_owned();
    assert_eq!(refusals(&project, &[&other]).len(), 1);
}

#[test]
fn what_has_no_effect_is_a_warning() {
    let host = Platform::host();
    let text = format!(
        "name: p
services:
  web:
    image: x
    platform: {host}
    annotations: {{a: b}}
    deploy: {{mode: global, placement: {{constraints: [x]}}}}
"
    );
    let warnings = found(&text, Severity::Warning);
    for path in ["annotations", "deploy.mode", "deploy.placement", "platform"] {
        let path = format!("services.web.{path}:");
        assert!(
            warnings.iter().any(|one| one.contains(&path)),
            "{path} {warnings:#?}"
        );
    }
    assert!(found(&text, Severity::Error).is_empty());
    let other = if host.architecture == "amd64" {
        "linux/arm64"
    } else {
        "linux/amd64"
    };
    let text = format!("name: p\nservices:\n  web: {{image: x, platform: {other}}}\n");
    let errors = found(&text, Severity::Error);
    assert!(errors[0].contains("cannot run on this host"), "{errors:?}");
}

/// A plain service of the usual attributes is neither refused nor warned of.
#[test]
fn common_services_pass_without_a_word() {
    let text = "name: p
services:
  web:
    image: x
    build: .
    command: [a]
    ports: ['80:80', '53:53/udp']
    volumes: [data:/d, /anon, './x:/y:ro', {type: tmpfs, target: /t}]
    networks: {default: {aliases: [a]}}
    depends_on: [db]
    healthcheck: {test: [CMD, a], interval: 1s}
    deploy: {replicas: 2, resources: {limits: {cpus: '1', memory: 1g}}}
    logging: {driver: local, options: {max-size: 1m}}
    cap_add: [NET_ADMIN]
    ipc: host
    pid: host
  db: {image: y, restart: always}
  side: {image: y, network_mode: 'service:web'}
volumes: {data: {}}
networks: {default: {driver: bridge, ipam: {config: [{subnet: 10.1.0.0/16}]}}}
";
    assert_eq!(found(text, Severity::Error), Vec::<String>::new());
    assert_eq!(found(text, Severity::Warning), Vec::<String>::new());
}

#[test]
fn patterns_find_what_says_something() {
    let model = serde_json::json!({
        "services": {
            "web": {"gpus": [{"count": -1}], "init": false, "volumes": [{"type": "bind"}, {"type": "image"}]},
            "db": {"gpus": [], "deploy": {"placement": {}}},
        }
    });
    let found = |pattern: &str| {
        let mut places = Vec::new();
        find(&model, &segments(pattern), String::new(), &mut places);
        places.into_iter().map(|(path, _)| path).collect::<Vec<_>>()
    };
    assert_eq!(found("services.*.gpus"), ["services.web.gpus"]);
    assert_eq!(
        found("services.*.volumes[].type"),
        [
            "services.web.volumes[0].type",
            "services.web.volumes[1].type"
        ]
    );
    assert!(found("services.*.init").is_empty());
    assert!(found("services.*.deploy.placement").is_empty());
}

#[test]
fn replicas_cannot_share_a_port_of_the_host() {
    let text = "
name: p
services:
  web:
    image: a
    deploy: {replicas: 2}
    ports: [\"8080:80\", \"8081-8082:81\", \"82\", \"127.0.0.1:8083:83/udp\"]
  alone: {image: a, ports: [\"8090:80\"]}
";
    let project = project(text);
    let names: Vec<&String> = project.services.keys().collect();
    let found = |scale: &[(&str, u32)]| -> Vec<String> {
        let scale = scale.iter().map(|(name, n)| ((*name).to_owned(), *n));
        crowded_ports(&project, &names, &scale.collect())
            .iter()
            .map(|one| format!("{}: {}", one.path, one.message))
            .collect()
    };
    let web = [
        "services.web.ports[0]: port 8080 of the host cannot be published by 2 replicas",
        "services.web.ports[3]: port 8083 of the host cannot be published by 2 replicas",
    ];
    assert_eq!(found(&[]), web);
    assert_eq!(found(&[("web", 1)]), [""; 0]);
    assert_eq!(
        found(&[("web", 3), ("alone", 2)])[1..],
        [
            "services.web.ports[1]: ports 8081-8082 of the host cannot be published by 3 replicas",
            "services.web.ports[3]: port 8083 of the host cannot be published by 3 replicas",
            "services.alone.ports[0]: port 8090 of the host cannot be published by 2 replicas",
        ]
    );
}

#[test]
fn flags_cannot_ask_for_more_containers_than_there_can_be() {
    let project = project("name: p\nservices: {a: {image: x, scale: 2}, b: {image: x}}\n");
    let names: Vec<&String> = project.services.keys().collect();
    let found = |count: u32| {
        let scale = BTreeMap::from([("b".to_owned(), count)]);
        too_many_containers(&project, &names, &scale)
    };
    assert_eq!(found(9_998), None);
    let refused = found(9_999).unwrap();
    assert_eq!(
        format!("{}: {}", refused.path, refused.message),
        "services.b.scale: 9999 containers are more than one project can have"
    );
    assert_eq!(refused.position, None);
    assert!(too_many_containers(&project, &names[..1], &BTreeMap::new()).is_none());
}

#[test]
fn two_entries_cannot_have_one_port_of_the_host() {
    let text = "
name: p
services:
  web:
    image: a
    ports: [\"8080:80\", \"8080:81\", \"8080:80/udp\", \"127.0.0.1:9000:90\", \"127.0.0.2:9000:90\"]
  other: {image: a, ports: [\"9000:90\", \"8080-8090:80\"]}
";
    let project = project(text);
    let names: Vec<&String> = project.services.keys().collect();
    let found: Vec<String> = doubled_ports(&project, &names)
        .iter()
        .map(|one| format!("{}: {}", one.path, one.message))
        .collect();
    assert_eq!(
        found,
        [
            "services.web.ports[1]: port 8080 of the host is published by `services.web.ports[0]` already",
            "services.other.ports[0]: port 9000 of the host is published by `services.web.ports[3]` already",
        ]
    );
    assert!(doubled_ports(&project, &names[1..]).is_empty());
}

#[test]
fn addresses_that_cannot_be_are_refused_with_their_places() {
    let text = "
name: p
services:
  outside: {image: a, networks: {m: {ipv4_address: 10.9.9.9}}}
  good: {image: a, networks: {m: {ipv4_address: 10.8.0.5}, v6: {ipv6_address: 'fd00::5'}, off: {ipv6_address: 'fd00:1::5'}}}
  twice: {image: a, networks: {m: {ipv4_address: 10.8.0.5}}}
  gateway: {image: a, networks: {m: {ipv4_address: 10.8.0.1}}}
  many: {image: a, scale: 2, networks: {m: {ipv4_address: 10.8.0.6}}}
  none: {image: a, networks: {plain: {ipv4_address: 10.8.0.5, ipv6_address: 'fd00::5'}, o: }}
  elsewhere: {image: a, networks: {ext: {ipv4_address: 10.8.0.7}, broken: , text: }}
networks:
  m: {ipam: {config: [{subnet: 10.8.0.0/24}]}}
  o: {ipam: {config: [{subnet: 10.8.0.128/25}]}}
  v6: {enable_ipv6: true, ipam: {config: [{subnet: 'fd00::/64'}]}}
  off: {ipam: {config: [{subnet: 'fd00:1::/64'}]}}
  plain: {}
  ext: {external: true}
  unused: {ipam: {config: [{subnet: nonsense}]}}
  broken: {ipam: {config: [{subnet: 10.9.0.0/24, gateway: 10.7.0.1}]}}
  text: {ipam: {config: [{subnet: 10.10.0.1/24, gateway: abc}]}}
";
    let project = project(text);
    let names: Vec<&String> = project.services.keys().collect();
    let found = |names: &[&String], scale: &[(&str, u32)]| -> Vec<String> {
        let scale = scale.iter().map(|(name, n)| ((*name).to_owned(), *n));
        wrong_addresses(&project, names, &scale.collect())
            .iter()
            .map(|one| {
                let line = one.position.as_ref().map_or(0, |at| at.line);
                format!("{line} {}: {}", one.path, one.message)
            })
            .collect()
    };
    assert_eq!(
        found(&names, &[]),
        [
            "13 networks.o.ipam.config[0].subnet: `10.8.0.128/25` overlaps `10.8.0.0/24` of `networks.m.ipam.config[0]`",
            "19 networks.broken.ipam.config[0]: `ipam.config.gateway` 10.7.0.1 is not inside subnet 10.9.0.0/24",
            "20 networks.text.ipam.config[0].gateway: `abc` is not an address",
            "20 networks.text.ipam.config[0]: `ipam.config.subnet`: `10.10.0.1/24` is an address inside a subnet, which would be `10.10.0.0/24`",
            "4 services.outside.networks.m.ipv4_address: 10.9.9.9 is not in the subnet of the network `m`",
            "6 services.twice.networks.m.ipv4_address: 10.8.0.5 is given by `services.good.networks.m.ipv4_address` already",
            "7 services.gateway.networks.m.ipv4_address: 10.8.0.1 is the gateway of the network `m`",
            "8 services.many.networks.m.ipv4_address: 2 replicas cannot share the address 10.8.0.6",
            "9 services.none.networks.plain.ipv4_address: the network `plain` has no IPv4 subnet that the file names",
            "9 services.none.networks.plain.ipv6_address: the network `plain` has no IPv6 subnet that the file names",
        ]
    );
    let scaled = found(&[names[1], names[4]], &[("good", 2), ("many", 1)]);
    assert_eq!(
        scaled,
        [
            "5 services.good.networks.m.ipv4_address: 2 replicas cannot share the address 10.8.0.5",
            "5 services.good.networks.v6.ipv6_address: 2 replicas cannot share the address fd00::5",
        ]
    );
}
