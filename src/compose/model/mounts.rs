//! `volumes` of a service and of the project, `configs` and `secrets`.

use indexmap::IndexMap;

use super::record::{Cx, Emit, Form, Parse, record};
use super::{Labels, OptionsMap, shown};
use crate::compose::printed::Printed;
use crate::compose::tree::Node;
use crate::compose::units::{Bytes, FileMode};

/// What is mounted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum MountKind {
    /// A file or folder of the host.
    Bind,
    /// A volume; anonymous without a source.
    #[default]
    Volume,
    /// Memory.
    Tmpfs,
    /// A cluster volume.
    Cluster,
    /// A Windows named pipe.
    Npipe,
    /// The content of an image.
    Image,
}

impl MountKind {
    /// As written in a Compose file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bind => "bind",
            Self::Volume => "volume",
            Self::Tmpfs => "tmpfs",
            Self::Cluster => "cluster",
            Self::Npipe => "npipe",
            Self::Image => "image",
        }
    }
}

impl Parse for MountKind {
    fn parse(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let all = [
            Self::Bind,
            Self::Volume,
            Self::Tmpfs,
            Self::Cluster,
            Self::Npipe,
            Self::Image,
        ];
        let found = all
            .into_iter()
            .find(|kind| node.as_str() == Some(kind.as_str()));
        match found {
            Some(kind) => Some(kind),
            None => cx.fail(
                node,
                shown(node, "is not a type of mount"),
                "bind, volume, tmpfs, cluster, npipe or image",
            ),
        }
    }
}

impl Emit for MountKind {
    fn value(&self, _form: Form) -> Printed {
        Printed::from(self.as_str())
    }
}

record! {
    /// A mount of a service.
    Mount {
        /// What is mounted.
        kind = "type": MountKind,
        /// Host path, volume or image; absent for an anonymous volume.
        source: Option<String>,
        /// Absolute path in the container.
        target: String,
        /// Not to be written.
        read_only: bool,
        /// Meaningless on Linux.
        consistency: Option<String>,
        /// Options of a bind.
        bind: Option<BindOptions>,
        /// Options of a volume.
        volume: Option<VolumeOptions>,
        /// Options of a tmpfs.
        tmpfs: Option<TmpfsOptions>,
        /// Options of an image.
        image: Option<ImageOptions>,
    }
}

record! {
    /// Options of a bind.
    BindOptions {
        /// `SELinux` label: `z` or `Z`.
        selinux: Option<String>,
        /// Propagation of mounts.
        propagation: Option<String>,
        /// Make a missing source folder.
        create_host_path: bool,
        /// `enabled`, `disabled`, `writable`, `readonly`.
        recursive: Option<String>,
    }
}

record! {
    /// Options of a volume's mount.
    VolumeOptions {
        /// Labels of an anonymous volume.
        labels: Labels,
        /// Leave the image's content out.
        nocopy: bool,
        /// Folder within the volume.
        subpath: Option<String>,
    }
}

record! {
    /// Options of a tmpfs.
    TmpfsOptions {
        /// Most bytes.
        size: Option<Bytes>,
        /// Permission bits; 0 when absent.
        mode: u32,
    }
}

record! {
    /// Options of an image's mount.
    ImageOptions {
        /// Folder within the image.
        subpath: Option<String>,
    }
}

record! {
    /// A volume of the project.
    Volume {
        /// Its full name.
        name: Option<String>,
        /// Its driver.
        driver: Option<String>,
        /// Options of the driver.
        driver_opts: OptionsMap,
        /// Made by somebody else.
        external: bool,
        /// Labels.
        labels: Labels,
    }
}

record! {
    /// A config or secret given to a service.
    FileReference {
        /// Its name in the project.
        source: Option<String>,
        /// Path in the container.
        target: Option<String>,
        /// Owner.
        uid: Option<String>,
        /// Group.
        gid: Option<String>,
        /// Permission bits.
        mode: Option<FileMode>,
    }
}

record! {
    /// A config of the project.
    ConfigSource {
        /// Its full name.
        name: Option<String>,
        /// Path of its content.
        file: Option<String>,
        /// Variable that holds its content.
        environment: Option<String>,
        /// The content, from the file or from `environment`.
        content: Option<Content>,
        /// Made by somebody else.
        external: bool,
        /// Labels.
        labels: Labels,
        /// Template engine.
        template_driver: Option<String>,
    }
}

record! {
    /// A secret of the project. It is never written out with its content.
    SecretSource {
        /// Its full name.
        name: Option<String>,
        /// Path of its content.
        file: Option<String>,
        /// Variable that holds its content.
        environment: Option<String>,
        /// The value of that variable; absent where it is not set.
        content = "x-#value": Option<HiddenText>,
        /// Made by somebody else.
        external: bool,
        /// Labels.
        labels: Labels,
        /// Driver.
        driver: Option<String>,
        /// Options of the driver.
        driver_opts: IndexMap<String, String>,
        /// Template engine.
        template_driver: Option<String>,
    }
}

/// Text that may be empty and is there all the same.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Content(pub String);

impl std::ops::Deref for Content {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl Parse for Content {
    fn parse(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        String::parse(node, cx).map(Self)
    }
}

impl Emit for Content {
    fn value(&self, _form: Form) -> Printed {
        Printed::String(self.0.clone())
    }

    fn is_blank(&self) -> bool {
        self.0.is_empty()
    }
}

/// Text that is never printed.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct HiddenText(pub String);

impl std::fmt::Debug for HiddenText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HiddenText(…)")
    }
}

impl Parse for HiddenText {
    fn parse(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        String::parse(node, cx).map(Self)
    }
}

impl Emit for HiddenText {
    fn value(&self, _form: Form) -> Printed {
        Printed::Null
    }

    fn hidden() -> bool {
        true
    }
}
