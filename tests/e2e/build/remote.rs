//! ADD of files from a web server, and contexts that are archives there: what is in
//! the image, how often the server is asked, and what is told where it does not help.

use std::sync::{Arc, Mutex};

use super::{build, carried_out, with_dockerfile};
use crate::support::{Answer, Request, isolated, serve_http};

/// What a server was asked, `GET /path` or, with a condition, `GET? /path`.
#[derive(Debug, Clone, Default)]
struct Asked(Arc<Mutex<Vec<String>>>);

impl Asked {
    fn note(&self, request: &Request) {
        let is_conditional = request.header("if-none-match").is_some()
            || request.header("if-modified-since").is_some();
        let mark = if is_conditional { "?" } else { "" };
        let line = format!("{}{mark} {}", request.method, request.path);
        self.0.lock().unwrap().push(line);
    }

    /// What was asked since the last call.
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

fn answer(status: u16, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    let headers = headers.iter();
    Answer {
        status,
        headers: headers
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
        body: body.to_vec(),
    }
}

const SERVER: &str = "127.0.0.1:8080";
const MODIFIED: &str = "Sat, 28 Nov 2026 10:00:07 GMT";
/// SHA-256 of `one`.
const ONE: &str = "sha256:7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed";

#[test]
fn a_file_of_a_web_server_is_added_and_asked_for_again_only_by_its_tag() {
    isolated(|sandbox| {
        let asked = Asked::default();
        let content = Arc::new(Mutex::new("one"));
        let (seen, current) = (asked.clone(), Arc::clone(&content));
        serve_http(SERVER, move |request| {
            seen.note(request);
            let body = *current.lock().unwrap();
            let tag = format!("\"{body}\"");
            match request.path.as_str() {
                "/moved/file.txt" => answer(302, &[("Location", "/real?x=1")], b""),
                "/real?x=1" if request.header("if-none-match") == Some(&tag) => {
                    answer(304, &[], b"")
                }
                "/real?x=1" => answer(
                    200,
                    &[("ETag", &tag), ("Last-Modified", MODIFIED)],
                    body.as_bytes(),
                ),
                _ => answer(404, &[], b"<html>"),
            }
        });
        let project = with_dockerfile(
            sandbox,
            "web",
            &format!(
                "FROM test/busybox\nADD http://{SERVER}/moved/file.txt /a/\n\
                 ADD --chown=7:8 --chmod=0640 http://{SERVER}/moved/file.txt /b\n"
            ),
        );
        project.up().whatever();
        let seen = project.sh(
            "web",
            "stat -c '%n %a %u:%g %Y' /a/file.txt /b; cat /a/file.txt /b",
        );
        assert_eq!(
            seen,
            "/a/file.txt 600 0:0 1795860007\n/b 640 7:8 1795860007\noneone"
        );
        assert_eq!(asked.take(), ["GET /moved/file.txt", "GET /real?x=1"]);
        project.down();

        let again = build(&project);
        assert_eq!(carried_out(&again), Vec::<String>::new(), "{again}");
        assert_eq!(asked.take(), ["GET? /moved/file.txt", "GET? /real?x=1"]);

        *content.lock().unwrap() = "two";
        let changed = build(&project);
        assert_eq!(carried_out(&changed).len(), 2, "{changed}");
        project.up().whatever();
        assert_eq!(project.sh("web", "cat /a/file.txt"), "two");
        project.down();
    });
}

#[test]
fn a_file_with_a_checksum_is_fetched_once_and_any_other_is_refused() {
    isolated(|sandbox| {
        let asked = Asked::default();
        let seen = asked.clone();
        serve_http(SERVER, move |request| {
            seen.note(request);
            answer(200, &[], b"one")
        });
        let dockerfile = |checksum: &str| {
            format!("FROM test/busybox\nADD --checksum={checksum} http://{SERVER}/x /x\n")
        };
        let wrong = ONE.replace("7692", "0000");
        let project = with_dockerfile(sandbox, "sums", &dockerfile(&wrong));
        let failed = project.skiff(["build"]).run().fails();
        let message =
            format!("`http://{SERVER}/x` has the checksum {ONE}, where {wrong} was expected");
        assert!(failed.stderr.contains(&message), "{failed}");
        assert!(failed.stderr.contains("Dockerfile:2:"), "{failed}");
        assert!(
            failed.stderr.contains(&format!("--checksum={ONE}")),
            "{failed}"
        );

        project.write("Dockerfile", &dockerfile(ONE));
        build(&project).whatever();
        assert_eq!(asked.take().len(), 2);
        // Another project, everything else of the step anew: nobody is asked.
        let other = with_dockerfile(sandbox, "other", &format!("{}RUN true\n", dockerfile(ONE)));
        other
            .skiff(["build", "--no-cache"])
            .run()
            .succeeds()
            .whatever();
        assert_eq!(asked.take(), Vec::<String>::new());
    });
}

#[test]
fn what_a_server_does_not_give_is_told_where_it_is_asked_for() {
    isolated(|sandbox| {
        serve_http(SERVER, |request| match request.path.as_str() {
            "/round" => answer(302, &[("Location", "/round")], b""),
            _ => answer(404, &[], b"<html>"),
        });
        let project = with_dockerfile(sandbox, "errors", "");
        for (address, told) in [
            (
                format!("http://{SERVER}/none"),
                format!("`{SERVER}` answers `404 Not Found`"),
            ),
            (
                format!("http://{SERVER}/round"),
                "it redirects more than 10 times".to_owned(),
            ),
            (
                "http://127.0.0.1:9/x".to_owned(),
                "cannot reach `127.0.0.1:9`: connection refused".to_owned(),
            ),
        ] {
            project.write(
                "Dockerfile",
                &format!("FROM test/busybox\nADD {address} /x\n"),
            );
            let failed = project.skiff(["build"]).run().fails();
            let message = format!("error: cannot get `{address}`: {told}");
            assert!(failed.stderr.contains(&message), "{failed}");
            assert!(failed.stderr.contains("Dockerfile:2:"), "{failed}");
        }
    });
}

#[test]
fn a_transfer_that_breaks_goes_on_where_it_stopped() {
    use std::io::{BufRead, BufReader, Write};

    isolated(|sandbox| {
        let listener = crate::support::raw_listener(SERVER);
        let whole: Vec<u8> = (0..300_000_u32).flat_map(u32::to_le_bytes).collect();
        let served = whole.clone();
        let server = std::thread::spawn(move || {
            let mut heads = Vec::new();
            for stream in listener.incoming().take(2) {
                let mut stream = stream.unwrap();
                let lines = BufReader::new(stream.try_clone().unwrap()).lines();
                let head: Vec<String> = lines
                    .map(Result::unwrap)
                    .take_while(|line| !line.is_empty())
                    .map(|line| line.to_ascii_lowercase())
                    .collect();
                let (status, from, until) = if heads.is_empty() {
                    ("200 OK", 0, 500_000)
                } else {
                    ("206 Partial Content", 500_000, served.len())
                };
                let length = served.len() - from;
                let last = served.len() - 1;
                let range = format!("Content-Range: bytes {from}-{last}/{}\r\n", served.len());
                write!(
                    stream,
                    "HTTP/1.1 {status}\r\nETag: \"e\"\r\nContent-Length: {length}\r\n{range}\r\n"
                )
                .unwrap();
                stream.write_all(&served[from..until]).unwrap();
                heads.push(head);
            }
            heads
        });
        let project = with_dockerfile(
            sandbox,
            "broken",
            &format!("FROM test/busybox\nADD http://{SERVER}/x /x\nRUN sha256sum /x\n"),
        );
        let output = build(&project);
        let hash = sandbox.shell("sha256sum").input(whole).run().succeeds();
        let hash = hash.stdout.split(' ').next().unwrap().to_owned();
        assert!(output.stderr.contains(&hash), "{output}");
        let heads = server.join().unwrap();
        assert!(
            heads[1].contains(&"range: bytes=500000-".to_owned()),
            "{heads:?}"
        );
        assert!(
            heads[1].contains(&"if-range: \"e\"".to_owned()),
            "{heads:?}"
        );
    });
}

#[test]
fn archives_of_a_web_server_are_files_contents_or_contexts_as_asked() {
    isolated(|sandbox| {
        sandbox
            .shell(
                "mkdir -p tree/sub; echo inner >tree/sub/file; chmod 755 tree/sub/file
                 printf 'FROM test/busybox\\nCOPY sub /copied\\n' >tree/Dockerfile
                 tar czf tree.tar.gz -C tree .",
            )
            .run()
            .succeeds()
            .whatever();
        let archive = fs_err::read(sandbox.work().join("tree.tar.gz")).unwrap();
        serve_http(SERVER, move |request| match request.path.as_str() {
            "/tree.tar.gz" => answer(200, &[("ETag", "\"t\"")], &archive),
            "/plain" => answer(200, &[], b"no archive"),
            _ => answer(404, &[], b""),
        });
        let url = format!("http://{SERVER}/tree.tar.gz");
        let project = with_dockerfile(
            sandbox,
            "archives",
            &format!(
                "FROM test/busybox\nADD {url} /file/\nADD --unpack=true {url} /content/\n\
                 COPY --from=outer sub/file /named\n"
            ),
        );
        project.write(
            "compose.yaml",
            &format!(
                "services: {{web: {{build: {{context: ., additional_contexts: {{outer: '{url}'}}}}, \
                 command: [sleep, '1000'], init: true}}, remote: {{build: '{url}'}}}}"
            ),
        );
        build(&project).whatever();
        project
            .skiff(["up", "-d", "web"])
            .run()
            .succeeds()
            .whatever();
        let seen = project.sh(
            "web",
            "ls /file; stat -c '%a %n' /content/sub/file; cat /content/sub/file /named",
        );
        assert_eq!(seen, "tree.tar.gz\n755 /content/sub/file\ninner\ninner\n");
        let copied = project
            .skiff(["run", "--rm", "remote", "cat", "/copied/file"])
            .run()
            .succeeds();
        assert_eq!(copied.stdout, "inner\n");
        project.down();

        project.write(
            "compose.yaml",
            &format!("services:\n  web:\n    build:\n      context: http://{SERVER}/plain\n"),
        );
        let failed = project.skiff(["build"]).run().fails();
        assert!(failed.stderr.contains("is no archive"), "{failed}");
        assert!(failed.stderr.contains("compose.yaml:4:"), "{failed}");
    });
}
