//! Keys of the cache: a hash of everything that changes what a step makes.

use sha2::{Digest as _, Sha256};

use super::hashes::Hash;
use crate::build::graph::{Copy, CopySource, Folder, Git, Mode, Mount, MountKind, Run};
use crate::image::Digest;

/// Raised where the same key would mean something else.
const VERSION: &str = "2";

/// A key that is being made of named fields, each with its length, so that no two
/// lists of fields give the same bytes.
#[derive(Debug)]
pub(crate) struct Key(Sha256);

impl Key {
    pub(crate) fn new(kind: &str) -> Self {
        let mut key = Self(Sha256::new());
        key.text(VERSION).text(kind);
        key
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.0.update(length.to_le_bytes());
        self.0.update(bytes);
        self
    }

    pub(crate) fn text(&mut self, text: &str) -> &mut Self {
        self.bytes(text.as_bytes())
    }

    pub(crate) fn flag(&mut self, flag: bool) -> &mut Self {
        self.bytes(&[u8::from(flag)])
    }

    /// The key of an input; nothing is an empty root.
    pub(crate) fn root(&mut self, root: Option<&Hash>) -> &mut Self {
        self.bytes(root.map_or(&[][..], <[u8; 32]>::as_slice))
    }

    pub(crate) fn list<T>(
        &mut self,
        items: impl IntoIterator<Item = T>,
        mut add: impl FnMut(&mut Self, T),
    ) -> &mut Self {
        let mut count = 0_u64;
        for item in items {
            count += 1;
            add(self, item);
        }
        self.bytes(&count.to_le_bytes())
    }

    pub(crate) fn finish(self) -> Hash {
        self.0.finalize().into()
    }
}

/// Of a file of a web server: its name and content, and its time where the checksum
/// does not have to say everything.
pub(crate) fn http(file: &str, content: &str, modified: Option<i64>, unpacks: bool) -> Hash {
    let mut key = Key::new("http");
    key.text(file)
        .text(content)
        .list(modified, |key, seconds| {
            key.bytes(&seconds.to_le_bytes());
        })
        .flag(unpacks);
    key.finish()
}

/// Of an archive that is a context.
pub(crate) fn archive(digest: &Digest) -> Hash {
    let mut key = Key::new("archive");
    key.text(&digest.to_string());
    key.finish()
}

/// Of a repository: what a commit is in this form.
pub(crate) fn git(git: &Git, commit: &str) -> Hash {
    let mut key = Key::new("git");
    key.text(&git.remote)
        .text(commit)
        .text(&git.folder)
        .flag(git.keeps_git_dir)
        .flag(git.has_submodules);
    key.finish()
}

/// Of a COPY: its root, and what it brings, one hash a source.
pub(crate) fn copy(copy: &Copy, root: Option<&Hash>, sources: &[Hash]) -> Hash {
    let mut key = Key::new("copy");
    // What is linked in is the same on any root.
    key.root(root.filter(|_| !copy.is_link))
        .flag(copy.is_link)
        .text(&copy.destination)
        .text(copy.owner.as_deref().unwrap_or("-"));
    match &copy.mode {
        None => key.text("-"),
        Some(Mode::Bits(bits)) => key.bytes(&bits.to_le_bytes()),
        Some(Mode::Symbolic(text)) => key.text(text),
    };
    key.list(&copy.excludes, |key, pattern| {
        key.text(pattern);
    });
    key.list(copy.sources.iter().zip(sources), |key, (source, hash)| {
        key.bytes(hash);
        match source {
            CopySource::Files {
                parents, unpacks, ..
            } => key.text(parents.as_deref().unwrap_or("-")).flag(*unpacks),
            CopySource::Inline { name, content } => key.text(name).text(content),
            CopySource::Download { file, unpacks, .. } => key.text(file).flag(*unpacks),
            CopySource::Tree { .. } => key.text("tree"),
        };
    });
    key.finish()
}

/// Of a WORKDIR.
pub(crate) fn folder(folder: &Folder, root: Option<&Hash>) -> Hash {
    let mut key = Key::new("folder");
    key.root(root).text(&folder.path).text(&folder.owner);
    key.finish()
}

/// Of a RUN: its root, and one hash for each of its mounts that shows files.
pub(crate) fn run(run: &Run, root: Option<&Hash>, mounts: &[Option<Hash>]) -> Hash {
    let mut key = Key::new("run");
    key.root(root)
        .list(&run.arguments, |key, word| {
            key.text(word);
        })
        .list(&run.environment, |key, (name, value)| {
            key.text(name).text(value);
        })
        .text(&run.user)
        .text(&run.folder)
        .text(&format!("{:?}", run.network))
        .flag(run.is_privileged)
        .list(&run.script, |key, script| {
            key.text(&script.path).text(&script.content);
        })
        .list(&run.sandbox.extra_hosts, |key, (name, address)| {
            key.text(name).text(address);
        })
        .text(&run.sandbox.hostname)
        .list(run.mounts.iter().zip(mounts), |key, (one, hash)| {
            mount(key, one, hash.as_ref());
        });
    key.finish()
}

/// What is secret, and what a cache folder holds, changes no key.
fn mount(key: &mut Key, mount: &Mount, hash: Option<&Hash>) {
    key.text(mount.target.as_deref().unwrap_or("-"));
    match &mount.kind {
        MountKind::Bind {
            source,
            is_read_only,
            ..
        } => key.text("bind").root(hash).text(source).flag(*is_read_only),
        MountKind::Cache { id, .. } => key.text("cache").text(id),
        MountKind::Tmpfs { size, .. } => key.text("tmpfs").bytes(&size.unwrap_or(0).to_le_bytes()),
        MountKind::Secret { id, variable, .. } => key
            .text("secret")
            .text(id)
            .text(variable.as_deref().unwrap_or("-")),
        MountKind::Ssh { id, .. } => key.text("ssh").text(id),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_do_not_run_into_each_other() {
        let key = |fields: &[&str]| {
            let mut key = Key::new("x");
            for field in fields {
                key.text(field);
            }
            key.finish()
        };
        assert_ne!(key(&["ab", "c"]), key(&["a", "bc"]));
        assert_ne!(key(&["a"]), key(&["a", ""]));
        let list = |items: &[&str]| {
            let mut key = Key::new("x");
            key.list(items, |key, item| {
                key.text(item);
            });
            key.finish()
        };
        assert_ne!(list(&[]), list(&[""]));
    }
}
