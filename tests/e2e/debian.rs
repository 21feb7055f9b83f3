//! Images from Debian's packages. A test's own network has no way out, so they
//! are built before it is isolated, in the machine's network with roots of their
//! own, and kept below `target` as an archive that the isolated part loads.
//!
//! `debian:12-slim` cannot be pulled where there is no Docker Hub. What the tests
//! have instead is a stand-in: the minimal system of this machine's own release,
//! by debootstrap, with this machine's own settings for apt, pip and npm.

use std::path::{Path, PathBuf};
use std::time::Duration;

use fs_err as fs;

use crate::support::{Invocation, Output, PATH, files_below, program};

/// For downloads, which are slow where many share a line.
pub(crate) const LIMIT: Duration = Duration::from_secs(600);

/// Makes `base.tar`. The mounts of debootstrap end with the process.
const BASE: &str = r#"set -eu
. /etc/os-release
rm -rf root
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' \
    "Codename: $VERSION_CODENAME" | head -n 1)
unshare --mount debootstrap --variant=minbase --include=ca-certificates \
    "$VERSION_CODENAME" root "$mirror" >debootstrap.log || { cat debootstrap.log >&2; exit 1; }
rm -rf root/var/cache/apt/*.bin root/var/cache/apt/archives/*.deb root/var/lib/apt/lists/* \
    root/dev/* root/etc/apt/sources.list
for name in sources.list sources.list.d keyrings trusted.gpg trusted.gpg.d auth.conf auth.conf.d \
    preferences preferences.d; do
    if [ -e "/etc/apt/$name" ]; then cp -a "/etc/apt/$name" root/etc/apt/; fi
done
apt-config dump Acquire | grep -v IndexTargets >root/etc/apt/apt.conf.d/99machine
cp -a /usr/share/keyrings root/usr/share/
cp -L /etc/ssl/certs/ca-certificates.crt root/etc/ssl/certs/
for file in /etc/pip.conf /etc/npmrc; do
    if [ -e "$file" ]; then cp -L "$file" root/etc/; fi
done
# As in Debian's own images: a package's script starts no server.
printf '#!/bin/sh\nexit 101\n' >root/usr/sbin/policy-rc.d
chmod 755 root/usr/sbin/policy-rc.d
tar -C root -cf base.new .
rm -rf root
mv base.new base.tar
"#;

/// Debian's own images are made of such a tar, and so.
const BASE_PROJECT: &str = r#"
services:
  base:
    image: debian:12-slim
    build: {dockerfile_inline: "FROM scratch\nADD base.tar /\nCMD [\"bash\"]"}
"#;

/// Kept between runs.
fn kept(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

/// The folder for this name, and its lock while somebody prepares it.
fn locked(name: &str) -> (PathBuf, fs::File) {
    let home = kept(name);
    fs::create_dir_all(&home).expect("a folder below target");
    let lock = fs::File::create(home.join("lock")).expect("a lock file");
    lock.file().lock().expect("the lock");
    (home, lock)
}

/// The folder with the stand-in's `base.tar`.
fn base() -> PathBuf {
    let (home, _lock) = locked("debian");
    if !home.join("base.tar").exists() {
        drop(program("debootstrap"));
        let made = Invocation::new("/bin/sh").args(["-c", BASE]);
        let made = made.env("PATH", PATH).env("LC_ALL", "C").dir(&home);
        made.run_within(LIMIT).succeeds().whatever();
    }
    fs::write(home.join("compose.yaml"), BASE_PROJECT).expect("a file below target");
    home
}

/// Where a project's images are kept.
pub(crate) fn archive(name: &str) -> PathBuf {
    kept(name).join("images.tar.gz")
}

/// A project in the machine's own network. Dropped, it is down.
#[derive(Debug)]
pub(crate) struct Workshop {
    data: PathBuf,
    run: tempfile::TempDir,
    project: PathBuf,
    env: Vec<(String, String)>,
}

impl Workshop {
    /// For a copy of a project, which may be changed, with nothing but the base there.
    pub(crate) fn of_copy(project: &Path, env: &[(&str, String)]) -> Self {
        let name = project.file_name().expect("a folder's name");
        let home = kept("copies").join(name);
        fs::remove_dir_all(&home).ok();
        for file in files_below(project) {
            let copy = home
                .join(name)
                .join(file.strip_prefix(project).expect("in it"));
            fs::create_dir_all(copy.parent().expect("a folder")).expect("a folder");
            fs::copy(&file, copy).expect("a copy");
        }
        Self::with_base(home.join("data"), home.join(name), env)
    }

    fn with_base(data: PathBuf, project: PathBuf, env: &[(&str, String)]) -> Self {
        let base = base();
        let env = env
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.clone()));
        let workshop = Self {
            data,
            run: tempfile::tempdir().expect("a temporary folder"),
            project,
            env: env.collect(),
        };
        fs::remove_dir_all(&workshop.data).ok();
        let stand_in = workshop.skiff(&["build"]).dir(&base);
        stand_in.run_within(LIMIT).succeeds().whatever();
        workshop
    }

    /// The project's folder.
    pub(crate) fn project(&self) -> &Path {
        &self.project
    }

    /// A command in the project's folder.
    pub(crate) fn skiff(&self, args: &[&str]) -> Invocation {
        let skiff = Invocation::new(env!("CARGO_BIN_EXE_skiff")).args(args);
        let skiff = skiff
            .env("PATH", PATH)
            .env("HOME", self.run.path())
            .env("SKIFF_DATA_ROOT", &self.data)
            .env("SKIFF_RUN_ROOT", self.run.path().join("run"))
            .dir(&self.project);
        let add = |skiff: Invocation, (name, value): &(String, String)| skiff.env(name, value);
        self.env.iter().fold(skiff, add)
    }
}

impl Drop for Workshop {
    fn drop(&mut self) {
        let down = self.skiff(&["down", "-v", "-t", "2"]).run();
        fs::remove_dir_all(&self.data).ok();
        if !std::thread::panicking() {
            down.succeeds().whatever();
        }
    }
}

/// Builds a project's images by `up --build --wait`, with nothing but the base
/// there and what `prepare` adds, lets `talk` try what runs, and keeps the images.
/// Where they are there already from the same files, all this is left.
pub(crate) fn built<T>(
    project: &Path,
    images: &[&str],
    env: &[(&str, String)],
    prepare: impl FnOnce(&Workshop) -> T,
    talk: impl FnOnce(&Output),
) {
    let name = project.file_name().expect("a folder's name");
    let name = name.to_string_lossy();
    let (home, _lock) = locked(&name);
    let sources = files_below(project)
        .iter()
        .map(|path| fs::read_to_string(path).expect("a source"))
        .collect::<String>();
    let complete = home.join("complete");
    if fs::read_to_string(&complete).is_ok_and(|made| made == sources) {
        return;
    }
    let workshop = Workshop::with_base(home.join("data"), project.to_owned(), env);
    let prepared = prepare(&workshop);
    let up = workshop.skiff(&["up", "-d", "--build", "--wait"]);
    talk(&up.run_within(LIMIT).succeeds());
    drop(prepared);
    let new = home.join("new.tar");
    let path = new.to_string_lossy();
    let save = [&["save", "-o", &*path], images].concat();
    workshop
        .skiff(&save)
        .run_within(LIMIT)
        .succeeds()
        .whatever();
    // A guest has them in its memory.
    let gzip = Invocation::new("gzip").args(["-f", "-1"]).args([&new]);
    gzip.env("PATH", PATH)
        .run_within(LIMIT)
        .succeeds()
        .whatever();
    fs::rename(home.join("new.tar.gz"), archive(&name)).expect("an archive");
    drop(workshop);
    fs::write(complete, sources).expect("a mark");
}
