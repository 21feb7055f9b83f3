//! The examples of developing while it runs: a Flask application whose page loads itself
//! again, and a C program that is compiled at each save. They are built from Debian's
//! packages, so in the machine's own network.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};

use fs_err as fs;
use rustix::process::Signal;

use crate::debian::{LIMIT, Workshop};
use crate::support::{Background, free_port, http_get};

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("examples/compose")
        .join(name)
}

fn page(address: &str) -> String {
    let answer = http_get(address, "/").expect("an answer");
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.text()
}

/// As an editor has it: a new file takes the place of the old one.
fn edit(workshop: &Workshop, file: &str, from: &str, to: &str) {
    let path = workshop.project().join(file);
    let text = fs::read_to_string(&path).expect("a source");
    assert!(text.contains(from), "{text}");
    let beside = path.with_extension("new~");
    fs::write(&beside, text.replace(from, to)).expect("a source");
    fs::rename(&beside, &path).expect("a rename");
}

/// Builds the example, and watches it.
fn watch(name: &str) -> (Workshop, String, Background) {
    let port = free_port();
    let env = [("PORT", port.to_string())];
    let workshop = Workshop::of_copy(&example(name), &env);
    let up = workshop.skiff(&["up", "-d", "--build", "--wait"]);
    up.run_within(LIMIT).succeeds().whatever();
    let mut watch = workshop.skiff(&["watch"]).spawn();
    watch.wait_line("watching ");
    (workshop, format!("127.0.0.1:{port}"), watch)
}

fn end(watch: Background) {
    watch.signal(Signal::INT);
    watch.finish().succeeds().whatever();
}

/// The stream that a browser listens to.
struct Events(BufReader<TcpStream>);

impl Events {
    fn listen(address: &str) -> Self {
        let mut stream = TcpStream::connect(address).expect("a connection");
        stream
            .write_all(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
            .expect("a request");
        let mut events = Self(BufReader::new(stream));
        events.wait("data: connected");
        events
    }

    fn wait(&mut self, wanted: &str) {
        let mut line = String::new();
        while line.trim_end() != wanted {
            line.clear();
            assert!(
                self.0.read_line(&mut line).is_ok_and(|length| length > 0),
                "no {wanted}"
            );
        }
    }
}

#[test]
fn a_page_loads_itself_again_when_its_template_is_saved() {
    let (workshop, address, mut watch) = watch("live");
    assert!(page(&address).contains("<h1>Hello from a template</h1>"));
    let mut browser = Events::listen(&address);
    edit(
        &workshop,
        "pages/index.html",
        "Change this file",
        "This file has changed",
    );
    browser.wait("data: reload");
    assert!(page(&address).contains("This file has changed"));
    watch.wait_line("web: pages/index.html to /app/pages/index.html");
    watch.wait_line("web: ran kill -HUP 1");

    // Started again: not yet when the old one answers, so its own first word is waited for.
    edit(&workshop, "app.py", "\"Hello\"", "\"Moin\"");
    watch.wait_line("web: restarted");
    watch.wait_line("Running on http://127.0.0.1:8000");
    assert!(page(&address).contains("<h1>Moin from a template</h1>"));

    edit(&workshop, "app.py", "\"Moin\"", "\"Moin");
    watch.wait_line("SyntaxError");
    watch.wait_line("web-1 exited with code 1");
    edit(&workshop, "app.py", "\"Moin", "\"Moin moin\"");
    watch.wait_line("Running on http://127.0.0.1:8000");
    assert!(page(&address).contains("<h1>Moin moin from a template</h1>"));
    end(watch);
}

#[test]
fn a_program_is_compiled_at_each_save() {
    let (workshop, address, mut watch) = watch("compiled");
    assert!(page(&address).contains("<h1>Compiled</h1>"));
    edit(&workshop, "page.h", "\"Compiled\"", "\"Compiled again\"");
    watch.wait_line("serving \"Compiled again\"");
    assert!(page(&address).contains("<h1>Compiled again</h1>"));

    edit(&workshop, "server.c", "int one = 1;", "int one = 1");
    watch.wait_line("error: expected");
    watch.wait_line("web: the build failed: what runs stays as it is");
    assert!(page(&address).contains("<h1>Compiled again</h1>"));
    edit(&workshop, "server.c", "int one = 1", "int one = 2 - 1;");
    edit(&workshop, "page.h", "\"Compiled again\"", "\"Better\"");
    watch.wait_line("serving \"Better\"");
    assert!(page(&address).contains("<h1>Better</h1>"));
    end(watch);
}
