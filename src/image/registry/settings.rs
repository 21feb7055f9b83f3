//! What the machine's files say of registries, read once a command.

use std::path::{Path, PathBuf};

use fs_err as fs;

use super::daemon_json::{self, DaemonSettings};
use super::endpoint::{Endpoint, Trust};
use super::registries_conf::{self, Places, Rule};
use crate::env;
use crate::image::error::ImageError;
use crate::image::reference::Reference;

/// Longest file of settings.
const FILE_LIMIT: u64 = 4 * 1024 * 1024;

/// Where the settings are; a file or folder that is not there says nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SettingsFiles {
    /// `registries.conf`, in order of preference: the first that is there
    /// counts.
    pub registries_conf: Vec<PathBuf>,
    /// Folders of further such files (`registries.conf.d`), laid over it in
    /// this order, each by name.
    pub registries_conf_folders: Vec<PathBuf>,
    /// Docker's `daemon.json`.
    pub daemon_json: Option<PathBuf>,
    /// Folders of certificates by registry (`certs.d`), in order of
    /// preference.
    pub certs_folders: Vec<PathBuf>,
}

impl SettingsFiles {
    /// Those of this machine and of the user whose home this is. The
    /// environment's `CONTAINERS_REGISTRIES_CONF` takes the place of all files
    /// of that kind, as for podman.
    pub fn of_machine(home: Option<&Path>) -> Self {
        let containers = home.map(|home| home.join(".config/containers"));
        let of_user = |name: &str| containers.as_ref().map(|folder| folder.join(name));
        let (registries_conf, registries_conf_folders) =
            match env::read_path(env::CONTAINERS_REGISTRIES_CONF) {
                Some(path) => (vec![path], Vec::new()),
                None => (
                    chosen(
                        of_user("registries.conf"),
                        ["/etc/containers/registries.conf"],
                    ),
                    // The later one counts.
                    ["/etc/containers/registries.conf.d".into()]
                        .into_iter()
                        .chain(of_user("registries.conf.d"))
                        .collect(),
                ),
            };
        Self {
            registries_conf,
            registries_conf_folders,
            daemon_json: Some("/etc/docker/daemon.json".into()),
            certs_folders: chosen(
                of_user("certs.d"),
                ["/etc/containers/certs.d", "/etc/docker/certs.d"],
            ),
        }
    }
}

fn chosen<const N: usize>(of_user: Option<PathBuf>, of_machine: [&str; N]) -> Vec<PathBuf> {
    of_user
        .into_iter()
        .chain(of_machine.map(PathBuf::from))
        .collect()
}

/// The settings about registries.
#[derive(Debug, Default)]
pub(super) struct Settings {
    rules: Vec<Rule>,
    daemon: DaemonSettings,
    insecure: Vec<String>,
}

impl Settings {
    /// Reads the files; `insecure` lists further hosts that any certificate
    /// and plain HTTP are taken from.
    pub(super) fn read(files: &SettingsFiles, insecure: &[String]) -> Result<Self, ImageError> {
        let mut rules = Vec::new();
        let main = files.registries_conf.iter().find(|path| path.exists());
        let mut further = Vec::new();
        for folder in &files.registries_conf_folders {
            further.extend(files_of(folder, "conf")?);
        }
        for path in main.into_iter().chain(&further) {
            let later = parsed(path, |text| {
                registries_conf::parse(&String::from_utf8_lossy(text))
            })?;
            registries_conf::merge(&mut rules, later.unwrap_or_default());
        }
        let daemon = match &files.daemon_json {
            Some(path) => parsed(path, daemon_json::parse)?.unwrap_or_default(),
            None => DaemonSettings::default(),
        };
        Ok(Self {
            rules,
            daemon,
            insecure: insecure.to_vec(),
        })
    }

    /// Where an image is asked for, one after the other: its mirrors, then its
    /// registry. Rules come before Docker's settings.
    pub(super) fn places(&self, reference: &Reference) -> Result<Vec<Endpoint>, ImageError> {
        let mut places = match registries_conf::places(&self.rules, reference) {
            Places::Blocked(prefix) => {
                return Err(ImageError::Blocked {
                    reference: reference.familiar(),
                    prefix,
                });
            }
            Places::At(places) => places,
            Places::Unchanged => vec![Endpoint::own(reference, Trust::Usual)],
        };
        for place in &mut places {
            place.trust = self.at_least(place.trust, &place.host);
        }
        let own = places.len().saturating_sub(1);
        places.splice(own..own, self.daemon.mirrors_of(reference));
        Ok(places)
    }

    /// The registry itself: what is pushed goes to no mirror and is not moved
    /// elsewhere, and only pulling is forbidden (containers-registries.conf(5)).
    pub(super) fn own(&self, reference: &Reference) -> Endpoint {
        let trust = match registries_conf::places(&self.rules, reference) {
            Places::At(places) => places
                .into_iter()
                .find(|place| !place.is_mirror && place.name == reference.domain())
                .map_or(Trust::Usual, |place| place.trust),
            Places::Unchanged | Places::Blocked(_) => Trust::Usual,
        };
        let trust = self.at_least(trust, reference.domain());
        Endpoint::own(reference, trust)
    }

    fn at_least(&self, trust: Trust, host: &str) -> Trust {
        if trust != Trust::Usual || self.insecure.iter().any(|listed| listed == host) {
            return match trust {
                Trust::Usual => Trust::Anything,
                other => other,
            };
        }
        self.daemon.trust(host)
    }
}

/// The files of a folder with this extension, by name.
pub(super) fn files_of(folder: &Path, extension: &str) -> Result<Vec<PathBuf>, ImageError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(unreadable(folder, &error.to_string())),
    };
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .collect();
    files.sort();
    Ok(files)
}

/// Reads and parses a file; `None` where there is none.
fn parsed<T>(
    path: &Path,
    parse: impl FnOnce(&[u8]) -> Result<T, String>,
) -> Result<Option<T>, ImageError> {
    let text = match read_limited(path, FILE_LIMIT) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(path, &error.to_string())),
    };
    parse(&text)
        .map(Some)
        .map_err(|reason| unreadable(path, &reason))
}

/// Reads a file that should be small.
pub(super) fn read_limited(path: &Path, limit: u64) -> std::io::Result<Vec<u8>> {
    use std::io::Read as _;

    let mut text = Vec::new();
    let file = fs::File::open(path)?;
    file.take(limit + 1).read_to_end(&mut text)?;
    if text.len() as u64 > limit {
        let reason = format!("it is longer than {limit} bytes");
        return Err(std::io::Error::new(
            std::io::ErrorKind::FileTooLarge,
            reason,
        ));
    }
    Ok(text)
}

fn unreadable(path: &Path, reason: &str) -> ImageError {
    ImageError::Settings {
        path: path.to_owned(),
        reason: reason.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(settings: &Settings, image: &str) -> Vec<String> {
        let reference = Reference::parse(image).unwrap();
        let places = settings.places(&reference).unwrap();
        places
            .iter()
            .map(|one| format!("{} {:?}", one.host, one.trust))
            .collect()
    }

    #[test]
    fn files_are_read_in_their_order() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, text).unwrap();
            path
        };
        let hub = |mirror: &str| {
            format!(
                "[[registry]]\nlocation='docker.io'\n[[registry.mirror]]\nlocation='{mirror}'\n"
            )
        };
        let main = write(
            "registries.conf",
            &(hub("first.test") + "[[registry]]\nlocation='a.io'\ninsecure=true"),
        );
        write("d/20.conf", &hub("third.test"));
        write("d/10.conf", &hub("second.test"));
        write("d/30.txt", "no TOML");
        let daemon = write(
            "daemon.json",
            r#"{"registry-mirrors": ["http://docker.test"], "insecure-registries": ["third.test"]}"#,
        );
        let mut files = SettingsFiles {
            registries_conf: vec![folder.path().join("none"), main],
            ..SettingsFiles::default()
        };
        let hosts = ["b.io".to_owned()];
        let settings = Settings::read(&files, &hosts).unwrap();
        assert_eq!(
            place(&settings, "nginx"),
            ["first.test Usual", "registry-1.docker.io Usual"]
        );
        assert_eq!(place(&settings, "a.io/x"), ["a.io Anything"]);
        assert_eq!(place(&settings, "b.io/x"), ["b.io Anything"]);
        assert_eq!(place(&settings, "c.io/x"), ["c.io Usual"]);
        files.registries_conf_folders = vec![folder.path().join("d"), folder.path().join("none")];
        files.daemon_json = Some(daemon);
        let settings = Settings::read(&files, &hosts).unwrap();
        assert_eq!(
            place(&settings, "nginx"),
            [
                "third.test Anything",
                "docker.test Plain",
                "registry-1.docker.io Usual"
            ]
        );
        // What is pushed goes nowhere else.
        let own = settings.own(&Reference::parse("nginx").unwrap());
        assert_eq!(
            (own.host.as_str(), own.trust),
            ("registry-1.docker.io", Trust::Usual)
        );
        assert_eq!(
            settings.own(&Reference::parse("a.io/x").unwrap()).trust,
            Trust::Anything
        );
    }

    #[test]
    fn a_file_that_is_damaged_or_endless_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("registries.conf");
        fs::write(&path, "[[registry").unwrap();
        let files = |path: &Path| SettingsFiles {
            registries_conf: vec![path.to_owned()],
            ..SettingsFiles::default()
        };
        let error = Settings::read(&files(&path), &[]).unwrap_err().to_string();
        assert!(
            error.contains("registries.conf") && error.contains("line 1"),
            "{error}"
        );
        let error = Settings::read(&files(Path::new("/dev/zero")), &[]).unwrap_err();
        assert!(error.to_string().contains("longer than"), "{error}");
    }
}
