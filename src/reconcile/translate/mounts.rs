//! Volumes, binds, memory, configs and secrets.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use oci_spec::runtime::{Mount as OciMount, Spec};

use crate::compose::{
    FileReference, Mount, MountKind, clean_target, misplaced_mount, misplaced_tmpfs,
};
use crate::engine::oci_default;
use crate::engine::spec::InlineFile;
use crate::supervise::launch::VolumeUse;

use super::Work;
use super::project::volume_name;

/// Where a secret is without a target.
const SECRETS: &str = "/run/secrets";
/// Permission bits of a config or secret that says none.
const FILE_MODE: u32 = 0o444;
/// Sockets of engines that are not this one.
const ENGINE_SOCKETS: [&str; 4] = [
    "docker.sock",
    "docker.raw.sock",
    "podman.sock",
    "containerd.sock",
];

/// What a container mounts, beside what is in the OCI spec.
#[derive(Debug, Default)]
pub(super) struct Mounts {
    pub(super) volumes: Vec<VolumeUse>,
    pub(super) files: Vec<InlineFile>,
    pub(super) folders: Vec<PathBuf>,
}

impl Work<'_> {
    /// Fills `mounts`; gives what is mounted otherwise.
    pub(super) fn mounts(&mut self, spec: &mut Spec) -> Mounts {
        let mut mounts = Mounts::default();
        let mut defaults = spec.mounts().clone().unwrap_or_default();
        self.shared_memory(&mut defaults);
        let mut list = Vec::new();
        let mut taken = BTreeSet::new();
        for (index, mount) in self.service.volumes.iter().enumerate() {
            let attribute = format!("volumes[{index}]");
            if let Some(wrong) = misplaced_mount(mount) {
                self.issues.error(&attribute, wrong);
                continue;
            }
            let target = clean_target(&mount.target);
            taken.insert(target.clone());
            match mount.kind {
                MountKind::Volume => self.volume(mount, target, &mut mounts),
                MountKind::Bind => {
                    list.extend(self.bind(&attribute, mount, &target, &mut mounts));
                }
                MountKind::Tmpfs => list.push(tmpfs(mount, &target)),
                // Refused before; see `refuse`.
                MountKind::Cluster | MountKind::Npipe | MountKind::Image => {}
            }
        }
        for (index, text) in self.service.tmpfs.iter().enumerate() {
            if let Some(wrong) = misplaced_tmpfs(text) {
                self.issues.error(&format!("tmpfs[{index}]"), wrong);
                continue;
            }
            let (target, options) = text.split_once(':').unwrap_or((text, ""));
            let target = clean_target(target);
            list.push(tmpfs_with(&target, options));
            taken.insert(target);
        }
        self.configs(&mut list, &mut mounts, &mut taken);
        self.secrets(&mut list, &mut mounts, &mut taken);
        for path in &self.image.config.volumes {
            let target = clean_target(path);
            if taken.insert(target.clone()) {
                mounts.volumes.push(self.anonymous(target));
            }
        }
        // What the file mounts at /dev/shm is there instead, not on top.
        defaults.retain(|mount| {
            let target = mount.destination().to_string_lossy();
            !(target.starts_with("/dev/") && taken.contains(&*target))
        });
        spec.set_mounts(Some([defaults, list].concat()));
        mounts
    }

    /// `/dev/shm`: its size, the host's, or none.
    fn shared_memory(&mut self, list: &mut Vec<OciMount>) {
        let is_shm = |mount: &OciMount| mount.destination() == Path::new("/dev/shm");
        let size = self
            .service
            .shm_size
            .map(|bytes| bytes.0)
            .filter(|size| *size > 0);
        match self.service.ipc.as_deref() {
            Some("host") => {
                list.retain(|mount| !is_shm(mount));
                list.push(oci_default::mount(
                    "/dev/shm",
                    "bind",
                    "/dev/shm",
                    words(&["rbind", "rprivate"]),
                ));
            }
            Some("none") => list.retain(|mount| !is_shm(mount)),
            Some(_) | None => {
                let Some(size) = size else { return };
                for mount in list.iter_mut().filter(|mount| is_shm(mount)) {
                    let mut options = mount.options().clone().unwrap_or_default();
                    options.retain(|option| !option.starts_with("size="));
                    options.push(format!("size={size}"));
                    mount.set_options(Some(options));
                }
            }
        }
    }

    fn volume(&mut self, mount: &Mount, target: String, mounts: &mut Mounts) {
        let options = mount.volume.clone().unwrap_or_default();
        let named = mount.source.as_ref().filter(|name| !name.is_empty());
        let volume = match named {
            None => VolumeUse {
                read_only: mount.read_only,
                no_copy: options.nocopy,
                subpath: options.subpath,
                ..self.anonymous(target)
            },
            Some(key) => VolumeUse {
                name: volume_name(self.context.project, key),
                anonymous: false,
                destination: target,
                read_only: mount.read_only,
                no_copy: options.nocopy,
                subpath: options.subpath,
            },
        };
        mounts.volumes.push(volume);
    }

    /// The anonymous volume that the container's predecessor had here, or a
    /// new one.
    fn anonymous(&self, target: String) -> VolumeUse {
        let carried = self
            .instance
            .carried
            .iter()
            .find(|volume| volume.anonymous && volume.destination == target);
        VolumeUse {
            name: carried.map_or_else(|| self.context.host.new_name(), |one| one.name.clone()),
            anonymous: true,
            destination: target,
            read_only: false,
            no_copy: false,
            subpath: None,
        }
    }

    fn bind(
        &mut self,
        attribute: &str,
        mount: &Mount,
        target: &str,
        mounts: &mut Mounts,
    ) -> Option<OciMount> {
        let source = PathBuf::from(mount.source.as_deref().unwrap_or_default());
        let options = mount.bind.clone().unwrap_or_default();
        if self.context.host.kind(&source).is_none() {
            if is_engine_socket(&source) {
                self.issues.error(
                    attribute,
                    format!(
                        "`{}` is not there: skiff runs without a daemon and offers no Docker API; \
                         remove the mount, or start the engine that owns the socket",
                        source.display()
                    ),
                );
                return None;
            }
            if !options.create_host_path {
                self.issues.error(
                    attribute,
                    format!(
                        "bind source path does not exist: `{}`; create it, or set \
                         `bind.create_host_path: true`",
                        source.display()
                    ),
                );
                return None;
            }
            mounts.folders.push(source.clone());
        }
        if options.selinux.is_some() {
            self.issues.warn(attribute, "SELinux labels are not set");
        }
        let mut list = words(match options.recursive.as_deref() {
            Some("disabled") => &["bind"],
            Some(_) | None => &["rbind"],
        });
        if mount.read_only {
            // What is mounted below is read-only as well, unless told otherwise.
            let everywhere = !matches!(options.recursive.as_deref(), Some("writable" | "disabled"));
            list.push(if everywhere { "rro" } else { "ro" }.to_owned());
        }
        let propagation = options
            .propagation
            .as_deref()
            .filter(|text| !text.is_empty());
        list.push(propagation.unwrap_or("rprivate").to_owned());
        Some(bind(&source, target, list))
    }

    fn configs(
        &mut self,
        list: &mut Vec<OciMount>,
        mounts: &mut Mounts,
        taken: &mut BTreeSet<String>,
    ) {
        for (index, reference) in self.service.configs.iter().enumerate() {
            let attribute = format!("configs[{index}]");
            let key = reference.source.as_deref().unwrap_or_default();
            let project = self.context.project;
            let Some(config) = project.configs.get(key) else {
                continue;
            };
            let target = file_target(reference, key, "/");
            taken.insert(target.clone());
            if let Some(path) = &config.file {
                list.extend(self.host_file(&attribute, reference, path, &target));
            } else if let Some(content) = &config.content {
                mounts
                    .files
                    .push(inline_file(reference, target, content.as_bytes()));
            } else if let Some(variable) = &config.environment {
                self.issues.error(
                    &attribute,
                    format!("environment variable `{variable}` of config `{key}` is not set"),
                );
            }
        }
    }

    fn secrets(
        &mut self,
        list: &mut Vec<OciMount>,
        mounts: &mut Mounts,
        taken: &mut BTreeSet<String>,
    ) {
        for (index, reference) in self.service.secrets.iter().enumerate() {
            let attribute = format!("secrets[{index}]");
            let key = reference.source.as_deref().unwrap_or_default();
            let project = self.context.project;
            let Some(secret) = project.secrets.get(key) else {
                continue;
            };
            let target = file_target(reference, key, SECRETS);
            taken.insert(target.clone());
            if let Some(path) = &secret.file {
                list.extend(self.host_file(&attribute, reference, path, &target));
            } else if let Some(variable) = &secret.environment {
                match project.environment.get(variable) {
                    Some(value) => {
                        mounts
                            .files
                            .push(inline_file(reference, target, value.as_bytes()));
                    }
                    None => self.issues.error(
                        &attribute,
                        format!("environment variable `{variable}` of secret `{key}` is not set"),
                    ),
                }
            }
        }
    }

    /// A config or secret that is a file of the host: mounted read-only, with
    /// the owner and mode that it has there.
    fn host_file(
        &mut self,
        attribute: &str,
        reference: &FileReference,
        path: &str,
        target: &str,
    ) -> Option<OciMount> {
        let path = Path::new(path);
        if self.context.host.kind(path).is_none() {
            self.issues.error(
                attribute,
                format!("bind source path does not exist: `{}`", path.display()),
            );
            return None;
        }
        if reference.uid.is_some() || reference.gid.is_some() || reference.mode.is_some() {
            self.issues.warn(
                attribute,
                "`uid`, `gid` and `mode` have no effect on a `file:`, which keeps its own",
            );
        }
        Some(bind(path, target, words(&["rbind", "rro", "rprivate"])))
    }
}

fn words(list: &[&str]) -> Vec<String> {
    list.iter().map(|word| (*word).to_owned()).collect()
}

fn bind(source: &Path, target: &str, options: Vec<String>) -> OciMount {
    oci_default::mount(target, "bind", &source.to_string_lossy(), options)
}

/// A long-form tmpfs.
fn tmpfs(mount: &Mount, target: &str) -> OciMount {
    let options = mount.tmpfs.clone().unwrap_or_default();
    let mut list = words(&["nosuid", "nodev", "noexec"]);
    if mount.read_only {
        list.push("ro".to_owned());
    }
    if let Some(size) = options.size.filter(|size| size.0 > 0) {
        list.push(format!("size={}", size.0));
    }
    if options.mode != 0 {
        list.push(format!("mode={:o}", options.mode));
    }
    oci_default::mount(target, "tmpfs", "tmpfs", list)
}

/// A short-form tmpfs, with options as mount(8) knows them; one that
/// contradicts Docker's default comes later and wins.
fn tmpfs_with(target: &str, options: &str) -> OciMount {
    let mut list = words(&["nosuid", "nodev", "noexec"]);
    list.extend(
        options
            .split(',')
            .filter(|word| !word.is_empty())
            .map(str::to_owned),
    );
    oci_default::mount(target, "tmpfs", "tmpfs", list)
}

fn inline_file(reference: &FileReference, target: String, content: &[u8]) -> InlineFile {
    let owner = |text: &Option<String>| text.clone().unwrap_or_else(|| "0".to_owned());
    InlineFile {
        destination: target,
        content: content.to_vec(),
        mode: reference
            .mode
            .map_or(FILE_MODE, crate::compose::FileMode::bits),
        uid: owner(&reference.uid),
        gid: owner(&reference.gid),
    }
}

/// An absolute target as it is, a relative one below `folder`, the source's
/// name there where there is none.
fn file_target(reference: &FileReference, key: &str, folder: &str) -> String {
    match reference
        .target
        .as_deref()
        .filter(|target| !target.is_empty())
    {
        Some(target) if target.starts_with('/') => clean_target(target),
        target => clean_target(&format!("{folder}/{}", target.unwrap_or(key))),
    }
}

/// `docker.sock` and its like: made as a folder, as Docker makes missing bind
/// sources, it would break the engine that is to own it.
fn is_engine_socket(path: &Path) -> bool {
    path.file_name()
        .is_some_and(|name| ENGINE_SOCKETS.iter().any(|socket| name == *socket))
}
