//! Names, labels, one-offs, warnings.

use super::*;

#[test]
fn record_has_docker_composes_names_and_labels() {
    let config = json!({"Cmd": ["x"], "Labels": {"a": "image", "b": "image"}});
    let service = "labels: {a: own}\ndepends_on: {db: {condition: service_healthy, restart: true}}";
    let record = run(service, &config, |_| {}).unwrap().record;
    assert_eq!(
        (record.name.as_str(), record.number, record.oneoff),
        ("p-web-1", 1, false)
    );
    assert_eq!(
        (record.image.as_str(), record.image_id.as_str()),
        ("img", "sha256:abc")
    );
    let labels: Vec<(String, String)> = record.labels.clone().into_iter().collect();
    let own = |name: &str, value: &str| (format!("com.docker.compose.{name}"), value.to_owned());
    assert_eq!(
        labels,
        [
            ("a".to_owned(), "own".to_owned()),
            ("b".to_owned(), "image".to_owned()),
            own("config-hash", &record.config_hash),
            own("container-number", "1"),
            own("depends_on", "db:service_healthy:true"),
            own("image", "sha256:abc"),
            own("oneoff", "False"),
            own("project", "p"),
            own("project.config_files", "-"),
            own("project.working_dir", "/p"),
            own("service", "web"),
            own("version", env!("CARGO_PKG_VERSION")),
        ]
    );
    assert_eq!(record.config_hash.len(), 64);
    assert_eq!(record.canonical["labels"]["a"], "own");
}

#[test]
fn oneoff_has_no_name_of_the_service_and_a_slug() {
    let record = run("", &plain(), |instance| {
        instance.oneoff = Some(OneOff {
            slug: "f".repeat(64),
            auto_remove: true,
            use_aliases: false,
        });
    })
    .unwrap()
    .record;
    assert!(record.oneoff && record.launch.auto_remove);
    assert_eq!(record.labels[names::LABEL_ONEOFF], "True");
    assert_eq!(record.labels[names::LABEL_SLUG], "f".repeat(64));
    assert!(!record.labels.contains_key(names::LABEL_NUMBER));
    let launch = serde_json::to_value(record.launch).unwrap();
    assert_eq!(launch["network"]["networks"][0]["aliases"], json!([]));
}

#[test]
fn overrides_of_run_change_the_service() {
    let project = project(
        "command: [a]\nentrypoint: [e]\nports: ['80:80']\nvolumes: ['data:/d']\nrestart: always\n\
         container_name: fixed\ntty: true\ncap_drop: [KILL]",
    );
    let service = project.services.get("web").unwrap();
    let plain = Overrides::default().apply(service);
    assert_eq!(plain.command.as_deref().unwrap(), ["a"]);
    assert!(plain.ports.is_empty() && plain.restart.is_none() && plain.container_name.is_none());
    assert!(!plain.tty);
    let overrides = Overrides {
        entrypoint: Some(vec!["own".to_owned()]),
        environment: vec![("A".to_owned(), Some("b".to_owned()))],
        volumes: vec![crate::compose::Mount {
            target: "/d".to_owned(),
            ..crate::compose::Mount::default()
        }],
        service_ports: true,
        user: Some("me".to_owned()),
        cap_add: vec!["KILL".to_owned()],
        ..Overrides::default()
    };
    let changed = overrides.apply(service);
    assert_eq!(changed.entrypoint.as_deref().unwrap(), ["own"]);
    assert_eq!((changed.command, changed.ports.len()), (None, 1));
    assert_eq!(changed.environment["A"].as_deref(), Some("b"));
    assert_eq!(
        (changed.volumes.len(), changed.volumes[0].source.clone()),
        (1, None)
    );
    assert_eq!(changed.user.as_deref(), Some("me"));
    assert!(changed.cap_drop.is_empty());
}

#[test]
fn what_has_no_effect_is_a_warning_by_attribute() {
    for (service, path) in [
        ("logging: {options: {tag: x}}", "logging.options.tag"),
        ("security_opt: ['label:type:x']", "security_opt[0]"),
        ("volumes: ['/srv:/d:z']", "volumes[0]"),
        ("secrets: [{source: file, mode: 0400}]", "secrets[0]"),
        (
            "deploy: {restart_policy: {delay: 5s}}",
            "deploy.restart_policy",
        ),
        ("ports: ['80:80']\nnetwork_mode: none", "ports"),
        ("expose: ['132/sctp']", "expose[0]"),
    ] {
        let warnings = run(service, &plain(), |_| {}).unwrap().warnings;
        let found = warnings
            .iter()
            .any(|one| one.path == format!("services.web.{path}"));
        assert!(found, "{service}: {warnings:?}");
    }
}
