//! fstab(5)-style mount options, as OCI specs have them.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::mount::{MountAttrFlags, MountPropagationFlags};

use crate::engine::sys::helpers::{FsError, Parameter, detached_mount};
use crate::engine::sys::{self, MountChange};

/// Options of one mount, sorted by who acts on them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Options {
    /// Part of an existing tree, not a new file system.
    pub(super) bind: bool,
    /// What is mounted below the source comes along.
    pub(super) recursive: bool,
    attributes: Attributes,
    everywhere: Attributes,
    propagation: Vec<(MountPropagationFlags, bool)>,
    parameters: Vec<(String, Option<String>)>,
}

/// Attributes of a mount, to set and to clear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Attributes {
    set: MountAttrFlags,
    clear: MountAttrFlags,
}

impl Default for Attributes {
    fn default() -> Self {
        Self {
            set: MountAttrFlags::empty(),
            clear: MountAttrFlags::empty(),
        }
    }
}

impl Attributes {
    /// The later of two contradicting options wins.
    fn add(&mut self, change: Change) {
        match change {
            Change::Set(flag) => {
                self.set |= flag;
                self.clear -= flag;
            }
            Change::Clear(flag) => {
                self.clear |= flag;
                self.set -= flag;
            }
            // The three ways of access times are values of one field.
            Change::AccessTime(value) => {
                self.set -= MountAttrFlags::MOUNT_ATTR__ATIME;
                self.set |= value;
                self.clear |= MountAttrFlags::MOUNT_ATTR__ATIME;
            }
        }
    }

    fn is_empty(self) -> bool {
        self.set.is_empty() && self.clear.is_empty()
    }
}

#[derive(Debug, Clone, Copy)]
enum Change {
    Set(MountAttrFlags),
    Clear(MountAttrFlags),
    AccessTime(MountAttrFlags),
}

impl Options {
    /// Sorts a list. What is no general option is the file system's own.
    pub(super) fn parse(list: &[String]) -> Self {
        let mut options = Self::default();
        for option in list {
            options.add(option);
        }
        options
    }

    /// Whether they make the mount read-only.
    pub(super) fn are_read_only(&self) -> bool {
        let read_only = MountAttrFlags::MOUNT_ATTR_RDONLY;
        self.attributes.set.contains(read_only) || self.everywhere.set.contains(read_only)
    }

    fn add(&mut self, option: &str) {
        if let Some((propagation, recursive)) = propagation(option) {
            self.propagation.push((propagation, recursive));
        } else if let Some(change) = attribute(option) {
            self.attributes.add(change);
        } else if let Some(change) = option.strip_prefix('r').and_then(attribute) {
            self.everywhere.add(change);
        } else {
            match option {
                "bind" => self.bind = true,
                "rbind" => {
                    self.bind = true;
                    self.recursive = true;
                }
                // Legacy, or nothing in the world of containers: what
                // mount(8) takes for itself, and devpts does always.
                "" | "defaults" | "auto" | "noauto" | "user" | "nouser" | "users" | "_netdev"
                | "newinstance" | "nofail" | "loud" | "silent" => {}
                _ => self.add_parameter(option),
            }
        }
    }

    /// Adds an option of the file system's own: `key` or `key=value`.
    pub(super) fn add_parameter(&mut self, option: &str) {
        self.parameters.push(match option.split_once('=') {
            Some((key, value)) => (key.to_owned(), Some(value.to_owned())),
            None => (option.to_owned(), None),
        });
    }

    /// A new file system with these options; `mode`, in octal digits, where
    /// they have none.
    pub(super) fn file_system(
        &self,
        kind: &str,
        source: &str,
        mode: Option<&str>,
    ) -> Result<OwnedFd, FsError> {
        let source = ("source", Some(source));
        // The last of several counts (tmpfs(5)).
        let mode = mode.map(|mode| ("mode", Some(mode)));
        let parameters: Vec<Parameter<'_>> = std::iter::once(source)
            .chain(mode)
            .chain(
                self.parameters
                    .iter()
                    .map(|(key, value)| (key.as_str(), value.as_deref())),
            )
            .collect();
        detached_mount(kind, &parameters, self.attributes.set | self.everywhere.set)
    }

    /// Applies attributes and propagation to a copy of an existing tree.
    pub(super) fn change(&self, mount: &OwnedFd) -> io::Result<()> {
        for (attributes, recursive) in [(self.everywhere, true), (self.attributes, false)] {
            if !attributes.is_empty() {
                let change = MountChange {
                    set: attributes.set,
                    clear: attributes.clear,
                    recursive,
                    ..MountChange::default()
                };
                sys::mount_setattr(mount.as_fd(), c"", change)?;
            }
        }
        if self.propagation.is_empty() {
            return set_propagation(mount, MountPropagationFlags::PRIVATE, true);
        }
        self.spread(mount)
    }

    /// Applies propagation alone, where any is asked for.
    pub(super) fn spread(&self, mount: &OwnedFd) -> io::Result<()> {
        for (propagation, recursive) in &self.propagation {
            set_propagation(mount, *propagation, *recursive)?;
        }
        Ok(())
    }
}

fn set_propagation(
    mount: &OwnedFd,
    propagation: MountPropagationFlags,
    recursive: bool,
) -> io::Result<()> {
    let change = MountChange {
        propagation,
        recursive,
        ..MountChange::default()
    };
    sys::mount_setattr(mount.as_fd(), c"", change)
}

/// A propagation option, and whether it is for everything below too.
pub(super) fn propagation(option: &str) -> Option<(MountPropagationFlags, bool)> {
    Some(match option {
        "private" => (MountPropagationFlags::PRIVATE, false),
        "rprivate" => (MountPropagationFlags::PRIVATE, true),
        "shared" => (MountPropagationFlags::SHARED, false),
        "rshared" => (MountPropagationFlags::SHARED, true),
        "slave" => (MountPropagationFlags::DOWNSTREAM, false),
        "rslave" => (MountPropagationFlags::DOWNSTREAM, true),
        "unbindable" => (MountPropagationFlags::UNBINDABLE, false),
        "runbindable" => (MountPropagationFlags::UNBINDABLE, true),
        _ => return None,
    })
}

fn attribute(option: &str) -> Option<Change> {
    Some(match option {
        "ro" => Change::Set(MountAttrFlags::MOUNT_ATTR_RDONLY),
        "rw" => Change::Clear(MountAttrFlags::MOUNT_ATTR_RDONLY),
        "nosuid" => Change::Set(MountAttrFlags::MOUNT_ATTR_NOSUID),
        "suid" => Change::Clear(MountAttrFlags::MOUNT_ATTR_NOSUID),
        "nodev" => Change::Set(MountAttrFlags::MOUNT_ATTR_NODEV),
        "dev" => Change::Clear(MountAttrFlags::MOUNT_ATTR_NODEV),
        "noexec" => Change::Set(MountAttrFlags::MOUNT_ATTR_NOEXEC),
        "exec" => Change::Clear(MountAttrFlags::MOUNT_ATTR_NOEXEC),
        "nosymfollow" => Change::Set(MountAttrFlags::MOUNT_ATTR_NOSYMFOLLOW),
        "symfollow" => Change::Clear(MountAttrFlags::MOUNT_ATTR_NOSYMFOLLOW),
        "nodiratime" => Change::Set(MountAttrFlags::MOUNT_ATTR_NODIRATIME),
        "diratime" => Change::Clear(MountAttrFlags::MOUNT_ATTR_NODIRATIME),
        "noatime" => Change::AccessTime(MountAttrFlags::MOUNT_ATTR_NOATIME),
        "strictatime" => Change::AccessTime(MountAttrFlags::MOUNT_ATTR_STRICTATIME),
        "relatime" | "atime" => Change::AccessTime(MountAttrFlags::MOUNT_ATTR_RELATIME),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(list: &[&str]) -> Options {
        let list: Vec<String> = list.iter().map(|&one| one.to_owned()).collect();
        Options::parse(&list)
    }

    #[test]
    fn parse_sorts_options_by_kind() {
        let options = parse(&["rbind", "rro", "nosuid", "rslave", "size=64k", "inode64"]);
        assert!(options.bind && options.recursive);
        assert_eq!(options.everywhere.set, MountAttrFlags::MOUNT_ATTR_RDONLY);
        assert_eq!(options.attributes.set, MountAttrFlags::MOUNT_ATTR_NOSUID);
        assert_eq!(
            options.propagation,
            [(MountPropagationFlags::DOWNSTREAM, true)]
        );
        assert_eq!(
            options.parameters,
            [
                ("size".to_owned(), Some("64k".to_owned())),
                ("inode64".to_owned(), None)
            ]
        );
    }

    #[test]
    fn parse_of_contradicting_options_takes_the_last() {
        let options = parse(&["ro", "rw", "noatime", "strictatime"]);
        assert_eq!(
            options.attributes.set,
            MountAttrFlags::MOUNT_ATTR_STRICTATIME
        );
        assert_eq!(
            options.attributes.clear,
            MountAttrFlags::MOUNT_ATTR_RDONLY | MountAttrFlags::MOUNT_ATTR__ATIME
        );
    }

    #[test]
    fn parse_does_not_take_relatime_for_a_recursive_option() {
        // `relatime` begins with r, and `elatime` is no option.
        assert!(parse(&["relatime"]).everywhere.is_empty());
        assert!(!parse(&["rrelatime"]).everywhere.is_empty());
    }
}
