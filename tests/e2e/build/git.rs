//! Git repositories as sources and contexts, from a server of the test's own: what is in
//! the image, how often the server is asked, and what is told where it does not help.

use std::os::unix::fs::PermissionsExt as _;
use std::sync::{Arc, Mutex};

use fs_err as fs;

use super::{build, carried_out, with_dockerfile};
use crate::support::{
    Answer, PATH, Repository, Sandbox, answer_git, isolated, make_certificates, program,
    serve_http, serve_https,
};

const SERVER: &str = "127.0.0.1:8080";

/// Requests to the server, by what they were about: `refs` or `objects`.
#[derive(Debug, Clone, Default)]
struct Asked(Arc<Mutex<Vec<&'static str>>>);

impl Asked {
    /// What was asked since the last call.
    fn take(&self) -> Vec<&'static str> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }

    /// Whether objects were transferred since the last call.
    fn fetched(&self) -> bool {
        self.take().contains(&"objects")
    }
}

fn serve(sandbox: &Sandbox) -> Asked {
    let asked = Asked::default();
    let (seen, work) = (asked.clone(), sandbox.work());
    serve_http(SERVER, move |request| {
        // With protocol 2 both are asked of the same address.
        let is_fetch = request
            .body
            .windows(13)
            .any(|part| part == b"command=fetch")
            || request.header("content-encoding").is_some();
        let what = if is_fetch { "objects" } else { "refs" };
        seen.0.lock().unwrap().push(what);
        answer_git(&work, request)
    });
    asked
}

#[test]
fn the_files_of_a_commit_are_added_and_fetched_once() {
    isolated(|sandbox| {
        let asked = serve(sandbox);
        let repository = Repository::new(sandbox, "app");
        repository.write("sub/file", "first\n");
        repository.write("run.sh", "#!/bin/sh\n");
        fs::set_permissions(
            repository.dir.join("run.sh"),
            std::fs::Permissions::from_mode(0o775),
        )
        .unwrap();
        std::os::unix::fs::symlink("sub/file", repository.dir.join("link")).unwrap();
        let first = repository.commit("first");
        repository.git("tag -a -m one v1");
        let url = format!("http://{SERVER}/app.git");
        let project = with_dockerfile(
            sandbox,
            "adds",
            &format!(
                "FROM test/busybox\nADD {url} /all/\nADD {url}#v1:sub /sub/\n\
                 ADD --keep-git-dir=true {url}#main /kept/\nADD --chown=7:8 {url}#{first} /owned/\n"
            ),
        );
        project.up().whatever();
        let seen = project.sh(
            "web",
            "cd /all; find . | sort | xargs stat -c '%a %u:%g %N'; ls /sub; \
             cat /kept/.git/HEAD /kept/.git/config; stat -c '%u:%g' /owned/sub/file",
        );
        let listed = "755 0:0 .\n777 0:0 './link' -> 'sub/file'\n755 0:0 ./run.sh\n755 0:0 ./sub\n\
                      644 0:0 ./sub/file\nfile\n";
        let seen = seen.replace('\'', "");
        assert!(seen.starts_with(&listed.replace('\'', "")), "{seen}");
        assert!(seen.contains(&first), "{seen}");
        assert!(seen.contains(&format!("url = {url}")), "{seen}");
        assert!(seen.ends_with("7:8\n"), "{seen}");
        project.down();
        assert!(asked.fetched());

        // Asked what the names mean, and nothing else.
        let again = build(&project);
        assert_eq!(carried_out(&again), Vec::<String>::new(), "{again}");
        assert!(!asked.fetched());

        repository.write("sub/file", "second\n");
        repository.commit("second");
        let changed = build(&project);
        assert_eq!(carried_out(&changed).len(), 4, "{changed}");
        assert!(asked.fetched());

        // A commit in full needs nobody to be asked.
        project.write(
            "Dockerfile",
            &format!(
                "FROM test/busybox\nADD --checksum={first} {url}#v1:sub /sub/\nRUN cat /sub/file\n"
            ),
        );
        let pinned = build(&project);
        assert!(pinned.stderr.contains(" first\n"), "{pinned}");
        assert_eq!(asked.take(), Vec::<&str>::new());
    });
}

#[test]
fn a_repository_is_a_context_with_its_own_dockerfile() {
    isolated(|sandbox| {
        serve(sandbox).take();
        let repository = Repository::new(sandbox, "context");
        repository.write(
            "app/build/Dockerfile.web",
            "FROM test/busybox\nCOPY . /all/\nCOPY --from=docs page /page\n",
        );
        repository.write("app/file", "of the branch\n");
        repository.write("docs/page", "a page\n");
        repository.commit("all");
        repository.git("checkout --quiet -b release/2");
        repository.write("app/file", "of the release\n");
        repository.commit("release");
        repository.git("checkout --quiet main");
        sandbox.load_busybox();
        let url = format!("http://{SERVER}/context.git");
        let project = sandbox.project(
            "remote",
            &format!(
                "services:\n  web:\n    build:\n      context: {url}#release/2:app\n      \
                 dockerfile: build/Dockerfile.web\n      additional_contexts: {{docs: '{url}?subdir=docs'}}\n    \
                 command: [sleep, '1000']\n    init: true\n"
            ),
        );
        let built = project.up();
        assert!(
            built
                .stderr
                .contains(&format!("[web internal] load git source {url}")),
            "{built}"
        );
        let seen = project.sh("web", "cat /all/file /page; find /all -name .git");
        assert_eq!(seen, "of the release\na page\n");
        project.down();
    });
}

#[test]
fn submodules_come_with_it_unless_they_are_not_wanted() {
    isolated(|sandbox| {
        serve(sandbox).take();
        let library = Repository::new(sandbox, "library");
        library.write("code", "of the library\n");
        library.commit("library");
        let repository = Repository::new(sandbox, "whole");
        repository.git(&format!(
            "submodule --quiet add http://{SERVER}/library.git lib"
        ));
        repository.commit("whole");
        let url = format!("http://{SERVER}/whole.git");
        let project = with_dockerfile(
            sandbox,
            "modules",
            &format!(
                "FROM test/busybox\nADD {url} /with/\nADD {url}?submodules=false /without/\n\
                 RUN cat /with/lib/code; ls -A /with/lib; echo none: $(ls -A /without/lib)\n"
            ),
        );
        let output = build(&project);
        assert!(output.stderr.contains(" of the library\n"), "{output}");
        assert!(!output.stderr.contains(" .git\n"), "{output}");
        assert!(output.stderr.contains(" none:\n"), "{output}");
    });
}

#[test]
fn what_is_not_there_is_told_with_what_is() {
    isolated(|sandbox| {
        serve(sandbox).take();
        let repository = Repository::new(sandbox, "app");
        repository.write("sub/file", "");
        repository.write("link", "");
        fs::remove_file(repository.dir.join("link")).unwrap();
        std::os::unix::fs::symlink("/etc", repository.dir.join("link")).unwrap();
        let commit = repository.commit("all");
        repository.git("tag v1.10");
        let url = format!("http://{SERVER}/app.git");
        let project = with_dockerfile(sandbox, "errors", "");
        let other = "0".repeat(40);
        for (arguments, told) in [
            (
                format!("{url}#v1.01"),
                format!("`{url}` has no branch or tag `v1.01`|did you mean `v1.10`?"),
            ),
            (
                format!("{url}#{}", &commit[..8]),
                format!(
                    "has no branch or tag `{}`|named by all its digits",
                    &commit[..8]
                ),
            ),
            (
                format!("{url}#main:nothing"),
                format!("commit {commit} has no folder `nothing`"),
            ),
            // Of this machine no file is read.
            (
                format!("{url}#main:link"),
                format!("commit {commit} has no folder `link`"),
            ),
            (
                format!("--checksum={other} {url}#main"),
                format!("`main` is commit {commit}, where {other} was expected"),
            ),
            (
                format!("http://{SERVER}/none.git"),
                "git ls-remote failed|not found".to_owned(),
            ),
        ] {
            project.write(
                "Dockerfile",
                &format!("FROM test/busybox\nADD {arguments} /x/\n"),
            );
            let failed = project.skiff(["build"]).run().fails();
            for part in told.split('|') {
                assert!(failed.stderr.contains(part), "{part}: {failed}");
            }
            assert!(failed.stderr.contains("Dockerfile:2:"), "{failed}");
        }

        project.write(
            "compose.yaml",
            &format!("services:\n  web:\n    build:\n      context: {url}#mian\n"),
        );
        let failed = project.skiff(["build"]).run().fails();
        assert!(failed.stderr.contains("did you mean `main`?"), "{failed}");
        assert!(failed.stderr.contains("compose.yaml:4:"), "{failed}");

        let without = project
            .skiff(["build"])
            .env("PATH", sandbox.home())
            .run()
            .fails();
        assert!(
            without.stderr.contains("sudo apt-get install -y git"),
            "{without}"
        );
    });
}

#[test]
fn a_token_opens_a_private_repository_and_is_kept_nowhere() {
    const TOKEN: &str = "s3cret-t0ken";
    isolated(|sandbox| {
        let authority = make_certificates(sandbox, &["git.example"]);
        fs::write(
            sandbox.work().join("hosts"),
            "127.0.0.1 localhost git.example\n",
        )
        .unwrap();
        sandbox
            .shell("mount --bind hosts /etc/hosts")
            .run()
            .succeeds()
            .whatever();
        let work = sandbox.work();
        // `x-access-token:` and the token, in base 64.
        let wanted = "basic eC1hY2Nlc3MtdG9rZW46czNjcmV0LXQwa2Vu";
        serve_https(sandbox, "127.0.0.1:443", move |request| {
            if request.header("authorization") == Some(wanted) {
                return answer_git(&work, request);
            }
            Answer {
                status: 401,
                headers: vec![("WWW-Authenticate".to_owned(), "Basic realm=x".to_owned())],
                body: Vec::new(),
            }
        });
        let repository = Repository::new(sandbox, "private");
        repository.write("file", "private\n");
        repository.commit("all");
        let project = with_dockerfile(
            sandbox,
            "private",
            "FROM test/busybox\nADD --keep-git-dir=true https://git.example/private.git /x/\nRUN cat /x/file\n",
        );
        let attempt = |project: &crate::support::Project<'_>| {
            project
                .skiff(["build"])
                .env("SSL_CERT_FILE", &authority)
                .env("TOKEN", TOKEN)
                .run()
        };
        let failed = attempt(&project).fails();
        assert!(failed.stderr.contains("`GIT_AUTH_TOKEN`"), "{failed}");
        project.write(
            "compose.yaml",
            "services: {web: {build: {context: ., secrets: [GIT_AUTH_TOKEN]}}}\n\
             secrets: {GIT_AUTH_TOKEN: {environment: TOKEN}}\n",
        );
        let output = attempt(&project).succeeds();
        assert!(output.stderr.contains(" private\n"), "{output}");
        let kept = sandbox.shell(&format!("grep -rlF {TOKEN} \"$SKIFF_DATA_ROOT\""));
        kept.run().ends_with(1).whatever();
        sandbox
            .shell("umount /etc/hosts")
            .run()
            .succeeds()
            .whatever();
    });
}

/// Puts programs before others in the search path, in a folder that every user can enter.
fn programs(scripts: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::Builder::new()
        .permissions(std::fs::Permissions::from_mode(0o777))
        .tempdir_in("/tmp")
        .unwrap();
    fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    for (name, script) in scripts {
        let path = folder.path().join(name);
        let here = folder.path().display();
        fs::write(&path, format!("#!/bin/sh\nhere={here}\n{script}")).unwrap();
        fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    folder
}

#[test]
fn under_sudo_git_runs_as_the_caller_without_their_settings() {
    isolated(|sandbox| {
        serve(sandbox).take();
        let repository = Repository::new(sandbox, "app");
        repository.write("file", "content\n");
        repository.commit("one");
        repository.write("file", "changed\n");
        let real = program("git");
        let script = format!(
            "echo $(id -u):$(id -g) $HOME >>$here/users\nexec {} \"$@\"\n",
            real.display()
        );
        let folder = programs(&[("git", &script)]);
        let url = format!("http://{SERVER}/app.git");
        let project = with_dockerfile(
            sandbox,
            "caller",
            &format!(
                "FROM test/busybox\nADD {url} /x/\nRUN stat -c '%u:%g %n' /x/file; cat /x/file\n"
            ),
        );
        let build = || {
            project
                .skiff(["build"])
                .env("PATH", format!("{}:{PATH}", folder.path().display()))
                .env("SUDO_UID", "1234")
                .env("SUDO_GID", "1235")
                .env("SUDO_USER", "caller")
                .env("SUDO_HOME", sandbox.home())
                .run()
                .succeeds()
        };
        let output = build();
        assert!(output.stderr.contains(" 0:0 /x/file\n"), "{output}");
        assert!(output.stderr.contains(" content\n"), "{output}");
        // What is kept of the repository is of use for the next commit.
        repository.commit("two");
        let output = build();
        assert!(output.stderr.contains(" changed\n"), "{output}");
        let users = fs::read_to_string(folder.path().join("users")).unwrap();
        assert!(users.lines().count() > 6, "{users}");
        for line in users.lines() {
            assert_eq!(line, "1234:1235 /dev/null");
        }
    });
}

#[test]
fn ssh_gets_the_agent_of_the_build_and_none_of_the_users_settings() {
    isolated(|sandbox| {
        let repository = Repository::new(sandbox, "app");
        repository.write("file", "over ssh\n");
        repository.commit("one");
        // Stands for ssh and the server: notes how it is called, and runs what the server
        // would.
        let folder = programs(&[(
            "ssh",
            "echo \"$SSH_AUTH_SOCK $*\" >>$here/calls\n\
             [ -S \"$SSH_AUTH_SOCK\" ] || { echo 'git@host: Permission denied (publickey).' >&2; exit 255; }\n\
             for last; do :; done\nexec sh -c \"$last\"\n",
        )]);
        let agent = sandbox.work().join("agent");
        let _listener = std::os::unix::net::UnixListener::bind(&agent).unwrap();
        let path = repository.dir.display().to_string();
        let project = with_dockerfile(
            sandbox,
            "keys",
            &format!("FROM test/busybox\nADD git@host.example:{path} /x/\nRUN cat /x/file\n"),
        );
        let build = || {
            project
                .skiff(["build"])
                .env("PATH", format!("{}:{PATH}", folder.path().display()))
                .env("SSH_AUTH_SOCK", &agent)
                .run()
        };
        let failed = build().fails();
        assert!(failed.stderr.contains("Permission denied"), "{failed}");
        assert!(failed.stderr.contains("`ssh: [default]`"), "{failed}");
        project.write(
            "compose.yaml",
            "services: {web: {build: {context: ., ssh: [default]}}}",
        );
        let output = build().succeeds();
        assert!(output.stderr.contains(" over ssh\n"), "{output}");
        let calls = fs::read_to_string(folder.path().join("calls")).unwrap();
        let last = calls.lines().last().unwrap();
        assert!(last.starts_with(&agent.display().to_string()), "{calls}");
        for option in [
            "-F /dev/null",
            "BatchMode=yes",
            "StrictHostKeyChecking=accept-new",
        ] {
            assert!(last.contains(option), "{calls}");
        }
    });
}
