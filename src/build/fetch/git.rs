//! A state of a git repository as a folder: found out, fetched, checked out. As
//! `BuildKit` does it: the commit alone, no hooks, submodules with it.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use super::git_command::Transports;
pub(in crate::build) use super::git_command::{GitAccess, token_header};
use super::refs;
use crate::build::graph::Git;

/// The bare repository in the folder of a [`GitAccess`].
pub(in crate::build) const REPOSITORY: &str = "repository";
/// The work tree there.
const TREE: &str = "tree";

/// Why there is no work tree.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    /// No such program.
    #[error("git is not installed, which fetches repositories")]
    Absent,
    /// It cannot be run.
    #[error("cannot run git")]
    Started(#[source] io::Error),
    /// It failed.
    #[error("git {doing} failed: {said}")]
    Failed {
        /// `ls-remote`
        doing: String,
        /// In its words.
        said: String,
    },
    /// There is no such branch, tag or commit.
    #[error("`{remote}` has no branch or tag `{reference}`")]
    NoReference {
        /// The repository.
        remote: String,
        /// As asked for.
        reference: String,
        /// Others that there are.
        nearest: Vec<String>,
    },
    /// The repository has no commit at all.
    #[error("`{remote}` is empty")]
    Empty {
        /// The repository.
        remote: String,
    },
    /// Another commit than it must be.
    #[error("`{reference}` is commit {found}, where {expected} was expected")]
    WrongCommit {
        /// As asked for.
        reference: String,
        /// The checksum.
        expected: String,
        /// What it is.
        found: String,
    },
    /// A folder that is not in the repository.
    #[error("commit {commit} has no folder `{folder}`")]
    NoFolder {
        /// The commit.
        commit: String,
        /// As asked for.
        folder: String,
    },
    /// Folders for the work.
    #[error("cannot make a folder in `{}`", .0.display())]
    Folder(PathBuf, #[source] io::Error),
}

impl GitError {
    /// What the user can do, where that is known.
    pub(in crate::build) fn hint(&self) -> Option<String> {
        match self {
            Self::Absent => Some("install it: sudo apt-get install -y git".to_owned()),
            Self::NoReference {
                nearest, reference, ..
            } => {
                let is_short =
                    reference.len() >= 7 && reference.bytes().all(|byte| byte.is_ascii_hexdigit());
                if is_short {
                    return Some("a commit is named by all its digits".to_owned());
                }
                let names: Vec<String> = nearest.iter().map(|name| format!("`{name}`")).collect();
                (!names.is_empty()).then(|| format!("did you mean {}?", names.join(" or ")))
            }
            Self::Failed { said, .. } => hint(said).map(str::to_owned),
            Self::WrongCommit { .. } => {
                Some("give the new commit as checksum, if the change is meant".to_owned())
            }
            Self::Started(_) | Self::Empty { .. } | Self::NoFolder { .. } | Self::Folder(..) => {
                None
            }
        }
    }
}

fn hint(said: &str) -> Option<&'static str> {
    let says = |text: &str| said.contains(text);
    if says("could not read Username") || says("Authentication failed") {
        return Some(
            "check the address; for a private repository give the build a secret `GIT_AUTH_TOKEN`",
        );
    }
    if says("Permission denied (publickey") || says("Could not read from remote repository") {
        return Some(
            "check the address, and give the build an SSH agent that has the key: `ssh: [default]`",
        );
    }
    if says("Host key verification failed") {
        return Some("the host's key is not the one in ~/.ssh/known_hosts; ssh to it to see why");
    }
    if says("Could not resolve host") || says("Failed to connect") {
        return Some("check the address, the network and the proxy variables");
    }
    if says("ssh: not found") || says("cannot run ssh") {
        return Some("install it: sudo apt-get install -y openssh-client");
    }
    None
}

/// The commit that is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::build) struct Resolved {
    /// Its full id.
    pub(in crate::build) commit: String,
    /// What the remote calls it, where it was asked: `refs/heads/main`.
    pub(in crate::build) name: Option<String>,
}

/// The commit, where the address says it in full: nobody has to be asked.
pub(in crate::build) fn pinned(git: &Git) -> Option<Resolved> {
    let of_checksum = git.checksum.as_deref();
    let texts = of_checksum.into_iter().chain([git.reference.as_str()]);
    let mut commits = texts.filter(|text| refs::is_commit(text));
    commits.next().map(|commit| Resolved {
        commit: commit.to_owned(),
        name: None,
    })
}

/// Asks the remote which commit is meant.
///
/// # Errors
/// It cannot be asked, or has nothing of that name; another commit than the
/// checksum says.
pub(in crate::build) async fn resolve(
    access: &GitAccess<'_>,
    git: &Git,
) -> Result<Resolved, GitError> {
    let checked = |resolved: Resolved| match &git.checksum {
        Some(expected) if !resolved.commit.starts_with(expected.as_str()) => {
            Err(GitError::WrongCommit {
                reference: git.reference.clone(),
                expected: expected.clone(),
                found: resolved.commit,
            })
        }
        _ => Ok(resolved),
    };
    if refs::is_commit(&git.reference) {
        return checked(Resolved {
            commit: git.reference.clone(),
            name: None,
        });
    }
    let all = list(access, git, &refs::patterns(&git.reference)).await?;
    if let Some(found) = refs::choose(&all, &git.reference) {
        return checked(Resolved {
            commit: found.commit.clone(),
            name: Some(found.name.clone()),
        });
    }
    let remote = git.remote.clone();
    if git.reference.is_empty() {
        return Err(GitError::Empty { remote });
    }
    let all = list(access, git, &[]).await?;
    Err(GitError::NoReference {
        remote,
        nearest: refs::nearest(&all, &git.reference),
        reference: git.reference.clone(),
    })
}

async fn list(
    access: &GitAccess<'_>,
    git: &Git,
    patterns: &[String],
) -> Result<Vec<refs::Found>, GitError> {
    let mut arguments = vec!["ls-remote", "--", &git.remote];
    arguments.extend(patterns.iter().map(String::as_str));
    let output = run(access, access.folder, Transports::Remote, &arguments).await?;
    Ok(refs::parse(&output))
}

/// Makes the work tree. What was fetched into [`REPOSITORY`] before is not
/// transferred again. The result has the remote's files, and `.git` where that is
/// asked for; its path is absolute.
///
/// # Errors
/// The commit cannot be had, or has no such folder.
pub(in crate::build) async fn check_out(
    access: &GitAccess<'_>,
    git: &Git,
    resolved: &Resolved,
) -> Result<PathBuf, GitError> {
    let repository = access.folder.join(REPOSITORY);
    let tree = access.folder.join(TREE);
    let local = Transports::Local;
    if !repository.is_dir() {
        let arguments = ["init", "--quiet", "--bare", "--template=", REPOSITORY];
        run(access, access.folder, local, &arguments).await?;
    }
    if !has(access, &repository, &resolved.commit).await {
        fetch(access, git, resolved, &repository).await?;
    }
    // A repository of its own, so that `.git` has this commit and nothing else.
    let arguments = ["init", "--quiet", "--template=", TREE];
    run(access, access.folder, local, &arguments).await?;
    let from = repository.to_string_lossy();
    let commit = resolved.commit.as_str();
    let arguments = ["fetch", "--quiet", "--no-tags", "--depth=1", &from, commit];
    run(access, &tree, local, &arguments).await?;
    let arguments = ["remote", "add", "origin", &git.remote];
    run(access, &tree, local, &arguments).await?;
    let arguments = ["checkout", "--quiet", "--force", "--detach", commit];
    run(access, &tree, local, &arguments).await?;
    if git.has_submodules && tree.join(".gitmodules").is_file() {
        let arguments = [
            "submodule",
            "--quiet",
            "update",
            "--init",
            "--recursive",
            "--depth=1",
        ];
        run(access, &tree, Transports::Remote, &arguments).await?;
    }
    Ok(tree)
}

/// The commit alone; where the server gives no single commits, everything that
/// branches and tags lead to.
async fn fetch(
    access: &GitAccess<'_>,
    git: &Git,
    resolved: &Resolved,
    repository: &Path,
) -> Result<(), GitError> {
    let remote = git.remote.as_str();
    let wanted = resolved.name.as_deref().unwrap_or(&resolved.commit);
    let remotely = Transports::Remote;
    let arguments = [
        "fetch",
        "--quiet",
        "--no-tags",
        "--depth=1",
        "--",
        remote,
        wanted,
    ];
    let alone = run(access, repository, remotely, &arguments).await;
    if alone.is_ok() && has(access, repository, &resolved.commit).await {
        return Ok(());
    }
    let shallow = repository.join("shallow").is_file();
    let mut arguments = vec!["fetch", "--quiet"];
    arguments.extend(shallow.then_some("--unshallow"));
    arguments.extend([
        "--",
        remote,
        "+refs/heads/*:refs/all/heads/*",
        "+refs/tags/*:refs/all/tags/*",
    ]);
    run(access, repository, remotely, &arguments).await?;
    if has(access, repository, &resolved.commit).await {
        return Ok(());
    }
    Err(alone.err().unwrap_or_else(|| GitError::NoReference {
        remote: git.remote.clone(),
        reference: resolved.commit.clone(),
        nearest: Vec::new(),
    }))
}

async fn has(access: &GitAccess<'_>, repository: &Path, commit: &str) -> bool {
    let object = format!("{commit}^{{commit}}");
    let arguments = ["cat-file", "-e", &object];
    let found = run(access, repository, Transports::Local, &arguments).await;
    found.is_ok()
}

async fn run(
    access: &GitAccess<'_>,
    folder: &Path,
    transports: Transports,
    arguments: &[&str],
) -> Result<String, GitError> {
    let arguments: Vec<&OsStr> = arguments.iter().map(OsStr::new).collect();
    access.run(folder, transports, &arguments).await
}
