//! Docker Hub's shape, rebuilt in the test's own namespace: Debian's registry
//! behind TLS under Docker Hub's names, a token server, and a blob host that
//! must never see a token.

use std::sync::{Arc, Mutex};

use crate::support::{
    Answer, Image, Registry, Request, Sandbox, http_request, isolated, make_certificates,
    serve_https, serve_proxy,
};

const REGISTRY: &str = "registry-1.docker.io";
const AUTH: &str = "auth.docker.io";
const BLOBS: &str = "blobs.example.net";
const TOKEN: &str = "anonymous-token-for-nginx";

/// Every request as `host method path authorization`.
type Journal = Arc<Mutex<Vec<String>>>;

fn answer(request: &Request, journal: &Journal) -> Answer {
    let host = request.header("host").unwrap_or_default().to_owned();
    let authorization = request.header("authorization").unwrap_or("-").to_owned();
    let Request { method, path, .. } = request;
    journal
        .lock()
        .expect("the journal")
        .push(format!("{host} {method} {path} {authorization}"));
    match host.as_str() {
        AUTH => plain(
            200,
            &format!("{{\"token\":\"{TOKEN}\",\"expires_in\":300}}"),
        ),
        REGISTRY if authorization != format!("Bearer {TOKEN}") => unauthorized(),
        REGISTRY if path.contains("/blobs/") => redirect(path),
        REGISTRY => forward(request, path),
        BLOBS => forward(request, path.trim_start_matches("/signed")),
        _ => plain(404, "no such host here"),
    }
}

fn plain(status: u16, body: &str) -> Answer {
    let headers = vec![("Content-Type".to_owned(), "application/json".to_owned())];
    Answer {
        status,
        headers,
        body: body.as_bytes().to_vec(),
    }
}

fn unauthorized() -> Answer {
    let mut answer = plain(401, "{\"errors\":[{\"code\":\"UNAUTHORIZED\"}]}");
    let challenge = format!(
        "Bearer realm=\"https://{AUTH}/token\",service=\"registry.docker.io\",scope=\"repository:library/nginx:pull\""
    );
    answer
        .headers
        .push(("WWW-Authenticate".to_owned(), challenge));
    answer
}

fn redirect(path: &str) -> Answer {
    let location = format!("https://{BLOBS}/signed{path}");
    Answer {
        status: 307,
        headers: vec![("Location".to_owned(), location)],
        body: Vec::new(),
    }
}

/// Asks the plain registry behind.
fn forward(request: &Request, path: &str) -> Answer {
    let names = ["accept", "range"];
    let headers: Vec<(&str, &str)> = names
        .iter()
        .filter_map(|name| Some((*name, request.header(name)?)))
        .collect();
    let answer = http_request("127.0.0.1:5000", &request.method, path, &headers, &[]);
    let answer = answer.expect("an answer of the registry behind");
    let kept = [
        "content-type",
        "docker-content-digest",
        "content-range",
        "etag",
    ];
    let headers = answer
        .headers
        .into_iter()
        .filter(|(name, _)| kept.contains(&name.as_str()));
    Answer {
        status: answer.status,
        headers: headers.collect(),
        body: answer.body,
    }
}

/// The machine believes in the test's authority and finds the names at home.
fn pretend(sandbox: &Sandbox, hosts: &str) {
    let authority = make_certificates(sandbox, &[REGISTRY, AUTH, BLOBS]);
    fs_err::write(
        sandbox.work().join("hosts"),
        format!("127.0.0.1 localhost\n{hosts}"),
    )
    .expect("written");
    let script = format!(
        "mount --bind {} /etc/ssl/certs/ca-certificates.crt && mount --bind hosts /etc/hosts",
        authority.display()
    );
    sandbox.shell(&script).run().succeeds().whatever();
}

fn stop_pretending(sandbox: &Sandbox) {
    let script = "umount /etc/ssl/certs/ca-certificates.crt && umount /etc/hosts";
    sandbox.shell(script).run().succeeds().whatever();
}

const COMPOSE: &str = "services:\n  a: {image: nginx, command: [cat, /etc/mark]}\n";

#[test]
fn a_short_name_is_pulled_as_docker_hub_wants_it() {
    isolated(|sandbox| {
        let registry = Registry::start(sandbox, 5000);
        Image::busybox().file("etc/mark", 0o644, "hub\n").push(
            &registry.address,
            "library/nginx",
            "latest",
        );
        pretend(sandbox, &format!("127.0.0.1 {REGISTRY} {AUTH} {BLOBS}\n"));
        let journal = Journal::default();
        let log = Arc::clone(&journal);
        serve_https(sandbox, "127.0.0.1:443", move |request| {
            answer(request, &log)
        });
        let project = sandbox.project("hub", COMPOSE);
        project
            .skiff(["run", "--rm", "-T", "a"])
            .run()
            .succeeds()
            .prints("hub\n")
            .whatever();
        let seen = journal.lock().expect("the journal").clone();
        let text = seen.join("\n");
        let tokens: Vec<&String> = seen.iter().filter(|line| line.starts_with(AUTH)).collect();
        assert_eq!(tokens.len(), 1, "one token serves all\n{text}");
        assert!(tokens[0].contains("service=registry.docker.io"), "{text}");
        assert!(
            tokens[0].contains("repository%3Alibrary%2Fnginx%3Apull")
                || tokens[0].contains("repository:library/nginx:pull"),
            "{text}"
        );
        assert!(tokens[0].ends_with(" -"), "anonymous\n{text}");
        assert!(seen.iter().any(|line| line.starts_with(BLOBS)), "{text}");
        for line in seen.iter().filter(|line| line.starts_with(BLOBS)) {
            assert!(
                line.ends_with(" -"),
                "the token went to another host\n{text}"
            );
        }
        project.down();
        drop(registry);
        stop_pretending(sandbox);
    });
}

#[test]
fn the_proxy_of_the_environment_is_used_and_its_exceptions_too() {
    isolated(|sandbox| {
        let registry = Registry::start(sandbox, 5000);
        Image::busybox().file("etc/mark", 0o644, "proxied\n").push(
            &registry.address,
            "library/nginx",
            "latest",
        );
        // The names lead nowhere here: only the proxy knows the way.
        pretend(sandbox, &format!("192.0.2.77 {REGISTRY} {AUTH} {BLOBS}\n"));
        let journal = Journal::default();
        let log = Arc::clone(&journal);
        serve_https(sandbox, "127.0.0.1:8443", move |request| {
            answer(request, &log)
        });
        let targets = Journal::default();
        let log = Arc::clone(&targets);
        serve_proxy("127.0.0.1:3128", "127.0.0.1:8443", move |target| {
            log.lock().expect("the journal").push(target.to_owned());
        });
        let project = sandbox.project("hub", COMPOSE);
        let run = project
            .skiff(["run", "--rm", "-T", "a"])
            .env("HTTPS_PROXY", "http://127.0.0.1:3128");
        run.run().succeeds().prints("proxied\n").whatever();
        let seen = targets.lock().expect("the journal").join("\n");
        for host in [REGISTRY, AUTH, BLOBS] {
            assert!(
                seen.contains(&format!("CONNECT {host}:443")),
                "{host}\n{seen}"
            );
        }
        targets.lock().expect("the journal").clear();
        let local = sandbox.project("local", "services:\n  a: {image: \"127.0.0.1:5000/library/nginx\", command: [cat, /etc/mark]}\n");
        let run = local.skiff(["run", "--rm", "-T", "a"]);
        let run = run
            .env("HTTP_PROXY", "http://127.0.0.1:3128")
            .env("NO_PROXY", "127.0.0.1");
        run.run().succeeds().prints("proxied\n").whatever();
        assert_eq!(targets.lock().expect("the journal").len(), 0);
        project.down();
        local.down();
        drop(registry);
        stop_pretending(sandbox);
    });
}

#[test]
fn a_certificate_of_nobody_is_refused() {
    isolated(|sandbox| {
        make_certificates(sandbox, &[REGISTRY, AUTH, BLOBS]);
        fs_err::write(
            sandbox.work().join("hosts"),
            format!("127.0.0.1 {REGISTRY}\n"),
        )
        .expect("written");
        sandbox
            .shell("mount --bind hosts /etc/hosts")
            .run()
            .succeeds()
            .whatever();
        serve_https(sandbox, "127.0.0.1:443", |_| plain(200, "{}"));
        let project = sandbox.project("hub", COMPOSE);
        let refused = project.skiff(["pull"]).run().fails();
        assert!(refused.stderr.contains("docker.io"), "{refused}");
        assert!(refused.stderr.contains("certificate"), "{refused}");
        sandbox
            .shell("umount /etc/hosts")
            .run()
            .succeeds()
            .whatever();
        project.down();
    });
}
