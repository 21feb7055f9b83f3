//! Each attribute of a service, and what the container has of it: written as
//! YAML on the left, read off the record's JSON on the right.

mod isolation;
mod mounts;
mod network;
mod process;
mod record;

use std::io;
use std::path::{Path, PathBuf};

use oci_spec::runtime::{Capabilities, Capability, LinuxDevice, LinuxDeviceType};
use serde_json::{Value, json};

use super::oneoff::{OneOff, Overrides};
use super::*;
use crate::compose::{FileArg, FileSystem, LoadOptions};

/// No file but what comes on standard input.
struct NoFiles;

impl FileSystem for NoFiles {
    fn read(&self, _path: &Path) -> io::Result<Vec<u8>> {
        Err(io::ErrorKind::NotFound.into())
    }
    fn exists(&self, _path: &Path) -> bool {
        false
    }
    fn is_dir(&self, _path: &Path) -> bool {
        false
    }
    fn link_target(&self, _path: &Path) -> Option<PathBuf> {
        None
    }
}

/// A host with two processors and a few paths.
struct FakeHost;

impl HostFiles for FakeHost {
    fn kind(&self, path: &Path) -> Option<FileKind> {
        let device = |kind, major, minor| FileKind::Device {
            kind,
            major,
            minor,
            mode: 0o660,
            uid: 0,
            gid: 6,
        };
        match path.to_str()? {
            "/srv" | "/dev/snd" | "/proc/sys/net" => Some(FileKind::Folder),
            "/p/conf" | "/p/secret" => Some(FileKind::File),
            "/dev/fuse" => Some(device(LinuxDeviceType::C, 10, 229)),
            "/dev/sda" => Some(device(LinuxDeviceType::B, 8, 0)),
            "/dev/snd/seq" => Some(device(LinuxDeviceType::C, 116, 1)),
            _ => None,
        }
    }
    fn read(&self, path: &Path) -> io::Result<String> {
        match path.to_str() {
            Some("/p/profile.json") => Ok(r#"{"defaultAction": "SCMP_ACT_ALLOW"}"#.to_owned()),
            Some("/p/broken.json") => Ok("{".to_owned()),
            Some("/proc/sys/fs/nr_open") => Ok("2000000\n".to_owned()),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }
    fn digest(&self, path: &Path) -> io::Result<String> {
        Ok(format!("digest of {}", path.display()))
    }
    fn entries(&self, folder: &Path) -> Vec<PathBuf> {
        if folder == Path::new("/dev/snd") {
            vec!["/dev/snd/seq".into()]
        } else {
            Vec::new()
        }
    }
    fn devices(&self) -> Vec<LinuxDevice> {
        Vec::new()
    }
    fn all_capabilities(&self) -> Capabilities {
        [Capability::SysAdmin, Capability::Chown].into()
    }
    fn processors(&self) -> usize {
        2
    }
    fn hostname(&self) -> String {
        "the-host".to_owned()
    }
    fn new_name(&self) -> String {
        "n".repeat(64)
    }
}

const ID: &str = "9f4da3d3837745d3f657b73c8f59035515a3d1f9925ba24d088bac95a876d403";
const DB_ID: &str = "b0055d3b93c660d367895f68124dd80bd9ed32d28ff7537a0be5152c7c8cc8a6";

const REST: &str = "
  db: {image: db}
networks: {front: {}, back: {name: shared}}
volumes: {data: {}, ext: {external: true, name: other_data}}
configs:
  inline: {content: 'hello'}
  file: {file: ./conf}
  gone: {file: ./gone}
  env: {environment: CONFIG_TEXT}
secrets:
  file: {file: ./secret}
  env: {environment: SECRET_TEXT}
  unset: {environment: NOT_SET}
";

fn project(service: &str) -> Project {
    let indented: Vec<String> = service.lines().map(|line| format!("    {line}")).collect();
    let indented = indented.join("\n");
    let text = format!("name: p\nservices:\n  web:\n    image: img\n{indented}{REST}");
    let environment = [("CONFIG_TEXT", "from env"), ("SECRET_TEXT", "s3cret")]
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
    let options = LoadOptions {
        files: vec![FileArg::Stdin(text.clone())],
        cwd: "/p".into(),
        environment,
        all_resources: true,
        ..LoadOptions::default()
    };
    match crate::compose::load(&options, &NoFiles) {
        Ok(loaded) => loaded.project,
        Err(diagnostics) => {
            panic!(
                "{}\n{text}",
                diagnostics.render(&crate::compose::Style::PLAIN)
            )
        }
    }
}

fn image(config: &Value) -> ImageFacts {
    let file = json!({"config": config}).to_string();
    ImageFacts {
        reference: "img".to_owned(),
        id: "sha256:abc".to_owned(),
        layers: vec!["sha256:l1".to_owned()],
        config: crate::image::ConfigFile::parse(file.as_bytes())
            .unwrap()
            .config,
    }
}

fn run(
    service: &str,
    config: &Value,
    change: impl FnOnce(&mut Instance<'_>),
) -> Result<Translated, Vec<Issue>> {
    let project = project(service);
    let peers = BTreeMap::from([(
        "db".to_owned(),
        vec![Peer {
            id: ContainerId::parse(DB_ID).unwrap(),
            name: "p-db-1".to_owned(),
            number: 1,
        }],
    )]);
    let containers = BTreeMap::from([("other".to_owned(), ContainerId::parse(DB_ID).unwrap())]);
    let context = Context {
        project: &project,
        peers: &peers,
        containers: &containers,
        contents: &identity::Contents::read(&project, &FakeHost),
        host: &FakeHost,
        now: "2026-01-02T03:04:05Z",
    };
    let mut instance = Instance {
        id: ContainerId::parse(ID).unwrap(),
        name: "p-web-1".to_owned(),
        number: 1,
        oneoff: None,
        carried: &[],
    };
    change(&mut instance);
    let service = project.services.get("web").unwrap();
    translate(context, "web", service, &image(config), &instance)
}

/// What an image without anything but a command has.
fn plain() -> Value {
    json!({"Cmd": ["run"]})
}

#[track_caller]
fn launch(service: &str, config: &Value) -> Value {
    match run(service, config, |_| {}) {
        Ok(translated) => serde_json::to_value(translated.record.launch).unwrap(),
        Err(issues) => panic!("{service}: {issues:?}"),
    }
}

/// Checks rows of (service, place in the launch spec, what is there).
#[track_caller]
fn check(rows: &[(&str, &str, Value)]) {
    for (service, pointer, expected) in rows {
        let launch = launch(service, &plain());
        let found = launch.pointer(pointer).cloned().unwrap_or(Value::Null);
        assert_eq!(found, *expected, "{service}\n{pointer}");
    }
}

/// Checks rows of (service, attribute, part of the message).
#[track_caller]
fn check_refused(rows: &[(&str, &str, &str)]) {
    for (service, path, message) in rows {
        let Err(issues) = run(service, &plain(), |_| {}) else {
            panic!("accepted: {service}");
        };
        let found = issues
            .iter()
            .any(|one| one.path == format!("services.web.{path}") && one.message.contains(message));
        assert!(
            found,
            "{service}\nexpected {path}: {message}\nfound {issues:#?}"
        );
    }
}
