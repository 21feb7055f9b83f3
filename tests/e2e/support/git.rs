//! Git repositories, and their server: `git http-backend` (git-http-backend(1)) behind
//! the test's own HTTP server.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use fs_err as fs;

use super::sandbox::{PATH, Sandbox, program};
use super::server::{Answer, Request};

/// A repository with a work tree, in the folder that is served.
#[derive(Debug)]
pub(crate) struct Repository<'s> {
    sandbox: &'s Sandbox,
    /// Its work tree.
    pub(crate) dir: PathBuf,
}

impl<'s> Repository<'s> {
    /// An empty one, `NAME` in `git/` of the work folder, with the branch `main`.
    pub(crate) fn new(sandbox: &'s Sandbox, name: &str) -> Self {
        program("git");
        let dir = sandbox.work().join("git").join(name);
        fs::create_dir_all(&dir).expect("a folder");
        let repository = Self { sandbox, dir };
        repository.git("init --quiet --initial-branch=main");
        repository
    }

    /// Runs git in it; gives back what it prints.
    #[track_caller]
    pub(crate) fn git(&self, arguments: &str) -> String {
        let script = format!(
            "git -c user.name=me -c user.email=me@example.org -c protocol.file.allow=always {arguments}"
        );
        let ran = self.sandbox.shell(&script).dir(&self.dir).run().succeeds();
        ran.stdout.trim().to_owned()
    }

    /// Writes a file into it.
    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.dir.join(path);
        fs::create_dir_all(path.parent().expect("a file in a folder")).expect("a folder");
        fs::write(path, text).expect("a file");
    }

    /// Commits all that is in it; gives back the commit's id.
    #[track_caller]
    pub(crate) fn commit(&self, message: &str) -> String {
        self.git(&format!("add -A && git -c user.name=me -c user.email=me@example.org commit --quiet -m '{message}'"));
        self.git("rev-parse HEAD")
    }
}

/// Answers a request for a repository in `git/` of a sandbox's work folder: `/NAME/.git/…`
/// and, as servers have it, `/NAME.git/…`.
pub(crate) fn answer_git(work: &Path, request: &Request) -> Answer {
    let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
    let path = path
        .replacen(".git/", "/.git/", 1)
        .replace("//.git", "/.git");
    let header = |name: &str| request.header(name).unwrap_or_default().to_owned();
    let mut child = Command::new(program("git"))
        .arg("http-backend")
        .env_clear()
        .env("PATH", PATH)
        .env("GIT_PROJECT_ROOT", work.join("git"))
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("REQUEST_METHOD", &request.method)
        .env("PATH_INFO", path)
        .env("QUERY_STRING", query)
        .env("CONTENT_TYPE", header("content-type"))
        .env("CONTENT_LENGTH", request.body.len().to_string())
        .env("HTTP_CONTENT_ENCODING", header("content-encoding"))
        .env("GIT_PROTOCOL", header("git-protocol"))
        .env("REMOTE_ADDR", "127.0.0.1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("git http-backend");
    let mut input = child.stdin.take().expect("a pipe");
    let body = request.body.clone();
    let writer = std::thread::spawn(move || input.write_all(&body).ok());
    let output = child.wait_with_output().expect("its output").stdout;
    writer.join().ok();
    let end = output.windows(4).position(|window| window == b"\r\n\r\n");
    let end = end.unwrap_or(output.len());
    let head = String::from_utf8_lossy(&output[..end]).into_owned();
    let mut answer = Answer {
        status: 200,
        headers: Vec::new(),
        body: output.get(end + 4..).unwrap_or_default().to_vec(),
    };
    for (name, value) in head.lines().filter_map(|line| line.split_once(": ")) {
        if name.eq_ignore_ascii_case("status") {
            let code = value.split(' ').next().unwrap_or_default();
            answer.status = code.parse().expect("a status");
        } else {
            answer.headers.push((name.to_owned(), value.to_owned()));
        }
    }
    answer
}
