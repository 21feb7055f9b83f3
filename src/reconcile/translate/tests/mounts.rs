//! Volumes, binds, configs and secrets.

use super::*;

#[test]
fn mounts_have_their_effect() {
    let mount = |service: &str, destination: &str| {
        let launch = launch(service, &plain());
        let mounts = launch["oci"]["mounts"].as_array().unwrap().clone();
        mounts
            .into_iter()
            .find(|one| one["destination"] == destination)
            .unwrap_or(Value::Null)
    };
    let bind = |source: &str, options: &[&str]| json!({"destination": "/d", "type": "bind", "source": source, "options": options});
    let tmpfs = |options: &[&str]| json!({"destination": "/t", "type": "tmpfs", "source": "tmpfs", "options": options});
    let long = |rest: &str| format!("volumes: [{{type: bind, source: /srv, target: /d, {rest}}}]");
    for (service, expected) in [
        ("volumes: ['/srv:/d']", bind("/srv", &["rbind", "rprivate"])),
        (
            "volumes: ['/srv:/d:ro']",
            bind("/srv", &["rbind", "rro", "rprivate"]),
        ),
        (
            "volumes: ['/srv:/d/:rshared']",
            bind("/srv", &["rbind", "rshared"]),
        ),
        (
            &long("bind: {recursive: disabled}"),
            bind("/srv", &["bind", "rprivate"]),
        ),
        (
            &long("read_only: true, bind: {recursive: writable}"),
            bind("/srv", &["rbind", "ro", "rprivate"]),
        ),
    ] {
        assert_eq!(mount(service, "/d"), expected, "{service}");
    }
    for (service, expected) in [
        ("tmpfs: /t", tmpfs(&["nosuid", "nodev", "noexec"])),
        (
            "tmpfs: ['/t:size=1m,mode=700,exec']",
            tmpfs(&["nosuid", "nodev", "noexec", "size=1m", "mode=700", "exec"]),
        ),
        (
            "volumes: [{type: tmpfs, target: /t, tmpfs: {size: 1m, mode: 0o755}}]",
            tmpfs(&["nosuid", "nodev", "noexec", "size=1048576", "mode=755"]),
        ),
    ] {
        assert_eq!(mount(service, "/t"), expected, "{service}");
    }
    let shm = |service: &str| mount(service, "/dev/shm")["options"].clone();
    assert!(shm("").to_string().contains("size=67108864"));
    assert!(shm("shm_size: 32m").to_string().contains("size=33554432"));
    assert_eq!(mount("ipc: host", "/dev/shm")["source"], "/dev/shm");
    assert_eq!(mount("ipc: none", "/dev/shm"), Value::Null);

    check(&[
        (
            "volumes: ['data:/d:ro', {type: volume, source: ext, target: /e, volume: {nocopy: true, subpath: sub}}]",
            "/volumes",
            json!([
                {"name": "p_data", "anonymous": false, "destination": "/d", "read_only": true,
                 "no_copy": false, "subpath": null},
                {"name": "other_data", "anonymous": false, "destination": "/e", "read_only": false,
                 "no_copy": true, "subpath": "sub"},
            ]),
        ),
        ("volumes: [/anon]", "/volumes/0/name", json!("n".repeat(64))),
        ("volumes: [/anon]", "/volumes/0/anonymous", json!(true)),
    ]);
    check_refused(&[
        (
            &long("bind: {create_host_path: false}").replace("/srv", "/none"),
            "volumes[0]",
            "bind source path does not exist",
        ),
        (
            "volumes: ['/var/run/docker.sock:/var/run/docker.sock']",
            "volumes[0]",
            "offers no Docker API",
        ),
    ]);
    let made = run("volumes: ['./new/dir:/d']", &plain(), |_| {}).unwrap();
    assert_eq!(made.folders, [PathBuf::from("/p/new/dir")]);
}

#[test]
fn a_tmpfs_is_below_the_root() {
    check_refused(&[
        ("tmpfs: rel", "tmpfs[0]", "`rel` is not an absolute path"),
        (
            "tmpfs: ['/t', 'rel:size=1m']",
            "tmpfs[1]",
            "`rel` is not an absolute path",
        ),
        ("tmpfs: /", "tmpfs[0]", "`/` is not an absolute path below"),
    ]);
}

#[test]
fn anonymous_volumes_are_carried_over_a_recreation() {
    let carried = [VolumeUse {
        name: "old".to_owned(),
        anonymous: true,
        destination: "/anon".to_owned(),
        read_only: false,
        no_copy: false,
        subpath: None,
    }];
    let config = json!({"Cmd": ["x"], "Volumes": {"/anon": {}, "/more": {}}});
    // The closure cannot lend what lives here to any lifetime, so the instance
    // is changed by value.
    let project = project("volumes: [/own]");
    let instance = Instance {
        id: ContainerId::parse(ID).unwrap(),
        name: "p-web-1".to_owned(),
        number: 1,
        oneoff: None,
        carried: &carried,
    };
    let context = Context {
        project: &project,
        peers: &BTreeMap::new(),
        containers: &BTreeMap::new(),
        contents: &identity::Contents::default(),
        host: &FakeHost,
        now: "",
    };
    let service = project.services.get("web").unwrap();
    let record = translate(context, "web", service, &image(&config), &instance)
        .unwrap()
        .record;
    let names: Vec<(&str, &str)> = record
        .launch
        .volumes
        .iter()
        .map(|one| (one.destination.as_str(), one.name.get(..3).unwrap()))
        .collect();
    assert_eq!(names, [("/own", "nnn"), ("/anon", "old"), ("/more", "nnn")]);
}

#[test]
fn configs_and_secrets_have_their_effect() {
    let file = |destination: &str, content: &str, mode: u32, uid: &str| {
        use base64::Engine as _;
        let content = base64::engine::general_purpose::STANDARD.encode(content);
        json!({"destination": destination, "content": content, "mode": mode, "uid": uid, "gid": "0"})
    };
    check(&[
        (
            "configs: [inline]",
            "/files/0",
            file("/inline", "hello", 0o444, "0"),
        ),
        (
            "configs: [env]",
            "/files/0",
            file("/env", "from env", 0o444, "0"),
        ),
        (
            "configs: [{source: inline, target: /etc/x, mode: 0400, uid: '7'}]",
            "/files/0",
            file("/etc/x", "hello", 0o400, "7"),
        ),
        (
            "secrets: [env]",
            "/files/0",
            file("/run/secrets/env", "s3cret", 0o444, "0"),
        ),
        (
            "secrets: [{source: env, target: other}]",
            "/files/0",
            file("/run/secrets/other", "s3cret", 0o444, "0"),
        ),
        (
            "secrets: [file]",
            "/oci/mounts/7",
            json!({"destination": "/run/secrets/file", "type": "bind", "source": "/p/secret",
                   "options": ["rbind", "rro", "rprivate"]}),
        ),
        (
            "configs: [file]",
            "/oci/mounts/7/destination",
            json!("/file"),
        ),
    ]);
    check_refused(&[
        (
            "configs: [gone]",
            "configs[0]",
            "bind source path does not exist: `/p/gone`",
        ),
        (
            "secrets: [unset]",
            "secrets[0]",
            "`NOT_SET` of secret `unset` is not set",
        ),
    ]);
}
