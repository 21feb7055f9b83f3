//! A commit of a git repository as a layer. What is kept of a repository spares the next
//! commit of it to be transferred whole.

use std::os::unix::fs::{MetadataExt as _, chown};
use std::path::{Path, PathBuf};

use fs_err as fs;
use rustix::fs::FileType;
use tempfile::TempDir;

use super::builder::Builder;
use super::copy::{self, Looks};
use super::error::BuildError;
use super::files;
use super::hashes::place;
use super::kept_folders::Use;
use super::key;
use super::layer::Scratch;
use super::mode::ModeChange;
use super::remote::{Got, make};
use super::scan::{Selected, Verdict, select};
use super::shown::Shown;
use super::source::Keys;
use crate::build::fetch::git::{self, GitAccess, GitError, REPOSITORY, Resolved};
use crate::build::graph::Git;
use crate::engine::inroot::Root;
use crate::event::BuildNews;
use crate::image::Account;

/// Modes in a work tree: whoever checks it out, what git knows of them is whether a file
/// is a program.
const TREE_MODE: &str = "u=rwX,go=rX";
/// A repository that was fetched into so often is fetched anew.
const MOST_PACKS: usize = 20;

impl Builder<'_> {
    /// What a repository has for a reference: known by the commit, which the remote is
    /// asked for where the address does not say it.
    pub(super) async fn git(
        &self,
        name: &str,
        wanted: &Git,
        keys: Keys<'_>,
        shown: &Shown<'_>,
    ) -> Result<Got, BuildError> {
        if let Some(pinned) = git::pinned(wanted)
            && let Some(entry) = self.known(&key::git(wanted, &pinned.commit))?
        {
            return Ok(Got::cached(entry));
        }
        let agent = wanted.agent().and_then(|id| keys.agents.get(id));
        let agent = agent.map(PathBuf::as_path);
        let account = self.user(agent);
        let folder = self.users_folder(account)?;
        let access = GitAccess {
            access: &self.outside.access,
            account,
            agent,
            authorization: authorization(wanted, keys),
            folder: folder.path(),
        };
        let resolved = git::resolve(&access, wanted).await?;
        let Resolved {
            commit,
            name: called,
        } = &resolved;
        shown.emit(BuildNews::Status {
            line: format!("{commit} {}", called.as_deref().unwrap_or_default())
                .trim_end()
                .to_owned(),
        });
        let own = key::git(wanted, commit);
        if let Some(entry) = self.known(&own)? {
            return Ok(Got::cached(entry));
        }
        let kept = place(&self.cache.repositories(), Path::new(&wanted.remote));
        let _use = kept.is_dir().then(|| Use::of(&kept));
        let repository = folder.path().join(REPOSITORY);
        let owner = account.map(|account| (account.uid, account.gid));
        {
            let (kept, repository) = (kept.clone(), repository.clone());
            self.blocking(move |_, _| {
                // What is not there, or only in part, is fetched.
                if kept.is_dir() && copied(&kept, &repository, owner).is_err() {
                    fs::remove_dir_all(&repository).ok();
                }
                Ok(())
            })
            .await?;
        }
        let tree = git::check_out(&access, wanted, &resolved).await?;
        let (below, keeps_git_dir) = (wanted.folder.clone(), wanted.keeps_git_dir);
        let commit = commit.clone();
        let made = self.blocking(move |store, usage| {
            let scratch = Scratch::open(store, &[])?;
            let root = files::open(&tree)?;
            let content = work_tree(&root, &below, keeps_git_dir)
                .map_err(BuildError::files("read", &tree))?;
            let Some(content) = content else {
                let folder = below;
                return Err(GitError::NoFolder { commit, folder }.into());
            };
            let looks = Looks {
                owner: Some((0, 0)),
                mode: ModeChange::parse(TREE_MODE),
            };
            copy::put(scratch.root(), Path::new("/"), false, &[content], &looks)?;
            let made = scratch.commit(store, usage, None)?;
            keep(&repository, &kept);
            drop(folder);
            Ok(made)
        });
        self.got(&own, name, made.await?)
    }

    /// Whom git runs as: the user who called sudo, unless the agent that it asks listens
    /// to its own user alone and that is somebody else (ssh-agent(1)).
    fn user(&self, agent: Option<&Path>) -> Option<&Account> {
        let account = self.outside.access.account()?;
        let is_theirs = agent
            .is_none_or(|agent| fs::metadata(agent).is_ok_and(|found| found.uid() == account.uid));
        is_theirs.then_some(account)
    }

    /// A folder for a program of the user's, who cannot enter our roots.
    fn users_folder(&self, account: Option<&Account>) -> Result<TempDir, BuildError> {
        let Some(account) = account else {
            return self.folder();
        };
        let place = std::env::temp_dir();
        let folder = tempfile::Builder::new()
            .prefix("skiff-git-")
            .tempdir_in(&place)
            .map_err(BuildError::files("make a folder in", place))?;
        chown(folder.path(), Some(account.uid), Some(account.gid))
            .map_err(BuildError::files("change", folder.path()))?;
        Ok(folder)
    }
}

/// The secret for a server of https: `GIT_AUTH_HEADER`, else `GIT_AUTH_TOKEN`, each
/// before that with the host's name at its end (`GIT_AUTH_TOKEN.example.org`), as
/// `BuildKit` has them.
fn authorization(git: &Git, keys: Keys<'_>) -> Option<(String, String)> {
    let rest = git.remote.strip_prefix("https://")?;
    let host = rest.split('/').next().unwrap_or_default();
    let host = host.rsplit('@').next().unwrap_or_default();
    let secret = |id: &str| {
        let secret = keys.secrets.get(id)?;
        let text = String::from_utf8_lossy(secret).trim().to_owned();
        (!text.is_empty() && !text.contains('\n')).then_some(text)
    };
    let either = |id: &str| secret(&format!("{id}.{host}")).or_else(|| secret(id));
    let value = either("GIT_AUTH_HEADER")
        .or_else(|| either("GIT_AUTH_TOKEN").map(|token| git::token_header(&token)))?;
    Some((format!("https://{host}/"), value))
}

/// The folder of a work tree that is meant; `None` where there is no such folder.
fn work_tree(root: &Root, folder: &str, keeps_git_dir: bool) -> std::io::Result<Option<Selected>> {
    let filter = |path: &Path, _: bool| {
        if !keeps_git_dir && path.file_name().is_some_and(|name| name == ".git") {
            Verdict::Leave
        } else {
            Verdict::Take
        }
    };
    let path = if folder.is_empty() { "." } else { folder };
    let found = select(root, path, &filter)?.into_iter().next();
    Ok(found.filter(|one| {
        let first = one.items.first();
        first.is_some_and(|item| item.kind() == FileType::Directory)
    }))
}

/// Copies a folder's content into a new one.
fn copied(from: &Path, to: &Path, owner: Option<(u32, u32)>) -> Result<(), BuildError> {
    make(to)?;
    if let Some((uid, gid)) = owner {
        chown(to, Some(uid), Some(gid)).map_err(BuildError::files("change", to))?;
    }
    let root = files::open(from)?;
    let content = select(&root, ".", &|_, _| Verdict::Take);
    let content = content.map_err(BuildError::files("read", from))?;
    let looks = Looks {
        owner,
        ..Looks::default()
    };
    Ok(copy::put(
        &files::open(to)?,
        Path::new("/"),
        false,
        &content,
        &looks,
    )?)
}

/// Keeps a bare repository for the next commit of it that is wanted. What cannot be
/// kept is fetched again.
fn keep(repository: &Path, kept: &Path) {
    let packs = fs::read_dir(repository.join("objects/pack")).map_or(0, Iterator::count);
    fs::remove_dir_all(kept).ok();
    let Some(above) = kept.parent().filter(|_| packs <= MOST_PACKS * 3) else {
        return;
    };
    fs::create_dir_all(above).ok();
    let Ok(new) = tempfile::Builder::new().prefix("new-").tempdir_in(above) else {
        return;
    };
    let whole = new.path().join("whole");
    if copied(repository, &whole, Some((0, 0))).is_ok() {
        fs::rename(&whole, kept).ok();
    }
}
