//! The first thing that anybody tries: the example on the built-in image.

use crate::support::{Sandbox, http_get, isolated};

/// A copy of the example, to be changed.
fn copy(sandbox: &Sandbox) -> std::path::PathBuf {
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/compose/quickstart");
    let script = format!("cp -r {example} .");
    sandbox.shell(&script).run().succeeds().whatever();
    sandbox.work().join("quickstart")
}

fn page(port: u16) -> String {
    http_get(&format!("127.0.0.1:{port}"), "/")
        .expect("the page")
        .text()
}

#[test]
fn the_page_shows_the_backends_answer() {
    isolated(|sandbox| {
        let dir = copy(sandbox);
        let skiff = |args: &[&str]| sandbox.skiff(args).dir(&dir);
        let up = skiff(&["up", "-d", "--wait"]).run().succeeds();
        let text = page(8080);
        assert!(text.contains("the backend answers: 42"), "{text}");
        assert!(text.contains("It floats"), "{text}");
        assert!(text.contains("This text is a config"), "{text}");
        let id = skiff(&["ps", "-q", "web"]).run().succeeds().stdout;
        assert!(text.contains(&id[..12]), "{text}");
        skiff(&["down", "-v"]).run().succeeds().whatever();
        assert!(http_get("127.0.0.1:8080", "/").is_err(), "{up}");
    });
}

#[test]
fn variables_change_port_and_text() {
    isolated(|sandbox| {
        let dir = copy(sandbox);
        let skiff = |args: &[&str]| {
            let invocation = sandbox.skiff(args).dir(&dir);
            invocation.env("PORT", "9000").env("GREETING", "Ahoy")
        };
        skiff(&["up", "-d", "--wait"]).run().succeeds().whatever();
        assert!(page(9000).contains("Ahoy"), "{}", page(9000));
        skiff(&["down", "-v"]).run().succeeds().whatever();
    });
}

/// The text is a config, and a config's content is part of who uses it.
#[test]
fn another_greeting_makes_the_page_anew() {
    isolated(|sandbox| {
        let dir = copy(sandbox);
        let skiff = |args: &[&str]| sandbox.skiff(args).dir(&dir);
        skiff(&["up", "-d", "--wait"]).run().succeeds().whatever();
        let up = skiff(&["up", "-d", "--wait"]).env("GREETING", "Ahoy").run();
        up.succeeds()
            .warns("web recreated: the content of configs.greeting changed")
            .whatever();
        assert!(page(8080).contains("Ahoy"), "{}", page(8080));
        skiff(&["down", "-v"]).run().succeeds().whatever();
    });
}
