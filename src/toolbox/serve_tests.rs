//! Over real connections on loopback.

use std::io::{Read, Write};

use super::*;

fn settings(arguments: &[&str]) -> Settings {
    let arguments: Vec<_> = arguments.iter().map(|text| (*text).to_owned()).collect();
    Settings::parse(&arguments).unwrap()
}

/// Serves until the test's process ends; gives the port.
fn start(arguments: &[&str]) -> u16 {
    let settings = Arc::new(settings(arguments));
    let listener = bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.unwrap();
            let peer = stream.peer_addr().unwrap();
            let settings = Arc::clone(&settings);
            thread::spawn(move || settings.converse(stream, peer));
        }
    });
    port
}

fn get(port: u16, path: &str) -> (u16, String) {
    let url = Url::parse(&format!("http://127.0.0.1:{port}{path}")).unwrap();
    let answer = http::fetch("GET", &url, None, Duration::from_secs(5)).unwrap();
    (answer.status, String::from_utf8(answer.body).unwrap())
}

#[test]
fn text_is_served_on_every_path() {
    let port = start(&["--text", "hello", "--status=201"]);
    assert_eq!(get(port, "/"), (201, "hello\n".to_owned()));
    assert_eq!(get(port, "/any?x=y"), (201, "hello\n".to_owned()));
}

#[test]
fn connection_serves_one_request_after_the_other() {
    let port = start(&["--text", "hello"]);
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let requests = "HEAD /1 HTTP/1.1\r\nHost: x\r\n\r\n\
                    POST /2 HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc\
                    GET /3 HTTP/1.1\r\nConnection: close\r\n\r\n";
    stream.write_all(requests.as_bytes()).unwrap();
    let mut answers = String::new();
    stream.read_to_string(&mut answers).unwrap();
    let statuses: Vec<_> = answers
        .lines()
        .filter_map(|line| line.split("HTTP/1.1 ").nth(1))
        .collect();
    assert_eq!(
        statuses,
        ["200 OK", "405 Method Not Allowed", "200 OK"],
        "{answers}"
    );
    assert_eq!(answers.matches("hello").count(), 1, "HEAD has no body");
}

#[test]
fn nonsense_is_answered_with_400() {
    let port = start(&[]);
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.write_all(b"nonsense\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
}

#[test]
fn folder_is_served_without_a_way_out() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root");
    fs::create_dir_all(root.join("sub")).unwrap();
    fs::write(folder.path().join("secret"), "secret").unwrap();
    fs::write(root.join("a b.txt"), "text").unwrap();
    fs::write(root.join("sub/index.html"), "<p>").unwrap();
    let port = start(&["--root", root.to_str().unwrap()]);
    assert_eq!(get(port, "/a%20b.txt"), (200, "text".to_owned()));
    assert_eq!(get(port, "/sub"), (200, "<p>".to_owned()));
    assert_eq!(get(port, "/"), (200, "a b.txt\nsub\n".to_owned()));
    assert_eq!(get(port, "/nothing").0, 404);
    assert_eq!(get(port, "/../secret").0, 403);
    assert_eq!(get(port, "/%2e%2e/secret").0, 403);
}

#[test]
fn routes_lead_to_a_backend() {
    let backend = start(&["--text", "from behind"]);
    let route = format!("/api=http://127.0.0.1:{backend}/base");
    let front = start(&[
        "--text",
        "front",
        "--proxy",
        &route,
        "--proxy=/gone=http://127.0.0.1:1",
    ]);
    assert_eq!(get(front, "/api/x"), (200, "from behind\n".to_owned()));
    assert_eq!(get(front, "/api"), (200, "from behind\n".to_owned()));
    assert_eq!(get(front, "/apix"), (200, "front\n".to_owned()));
    let (status, text) = get(front, "/gone");
    assert_eq!(status, 502);
    assert!(text.contains("cannot connect to 127.0.0.1:1"), "{text}");
}

#[test]
fn page_shows_a_config_and_the_backends_answer() {
    let backend = start(&["--text", "<answer>"]);
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config");
    fs::write(&config, "greeting: hi").unwrap();
    let page = folder.path().join("page.html");
    let template = format!(
        "<p>{{{{file:{}}}}}</p><p>{{{{get:http://127.0.0.1:{backend}/}}}}</p>",
        config.display()
    );
    fs::write(&page, template).unwrap();
    let port = start(&["--page", page.to_str().unwrap()]);
    let want = "<p>greeting: hi</p><p>&lt;answer&gt;</p>".to_owned();
    assert_eq!(get(port, "/"), (200, want));
}

#[test]
fn bad_arguments_are_named() {
    let error = |arguments: &[&str]| {
        let arguments: Vec<_> = arguments.iter().map(|text| (*text).to_owned()).collect();
        Settings::parse(&arguments).unwrap_err()
    };
    assert_eq!(error(&["--prox"]), "unknown argument `--prox`");
    assert_eq!(error(&["--listen"]), "`--listen` needs a value");
    assert!(error(&["--proxy", "api=x"]).contains("/prefix="));
    assert!(bind("nowhere").is_err());
}
