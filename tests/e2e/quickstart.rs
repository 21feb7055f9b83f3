//! The first thing that anybody tries: the example on the built-in image.

use std::time::Duration;

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

/// From nothing, the image included, to a page with the backend's answer.
#[test]
fn a_cold_up_takes_less_than_two_seconds() {
    isolated(|sandbox| {
        let dir = copy(sandbox);
        let skiff = |args: &[&str]| sandbox.skiff(args).dir(&dir);
        let up = skiff(&["up", "-d", "--wait"]).run().succeeds();
        assert!(page(8080).contains("42"));
        assert!(up.took < Duration::from_secs(2), "{:?}\n{up}", up.took);
        skiff(&["down", "-v"]).run().succeeds().whatever();
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

/// Every step of the README's tour.
#[test]
fn the_tour_shows_what_the_readme_says() {
    isolated(|sandbox| {
        let dir = copy(sandbox);
        let skiff = |args: &[&str]| sandbox.skiff(args).dir(&dir);
        let edit = |from: &str, to: &str| {
            let file = dir.join("compose.yaml");
            let text = fs_err::read_to_string(&file).expect("the file");
            assert!(text.contains(from), "{from}");
            fs_err::write(&file, text.replace(from, to)).expect("the file");
        };
        skiff(&["up", "-d", "--wait"]).run().succeeds().whatever();
        edit("It floats", "It sails");
        let up = skiff(&["up", "-d", "--wait"]).run().succeeds();
        up.warns("web recreated: environment.TITLE \"It floats\" -> \"It sails\"")
            .whatever();
        assert!(page(8080).contains("It sails"));
        edit("    ports:", "    prots:");
        let wrong = skiff(&["up", "-d"]).run().fails();
        for part in ["compose.yaml:", "prots", "did you mean", "ports"] {
            assert!(wrong.stderr.contains(part), "{part}\n{wrong}");
        }
        assert!(
            page(8080).contains("It sails"),
            "a misspelt key changes nothing"
        );
        edit("    prots:", "    ports:");
        let run = [
            "run",
            "--rm",
            "-T",
            "web",
            "wget",
            "http://api:9000/answer.txt",
        ];
        skiff(&run).run().succeeds().says("42").whatever();
        skiff(&["exec", "-T", "web", "id", "-u"])
            .run()
            .succeeds()
            .prints("0\n")
            .whatever();
        skiff(&["down", "-v"]).run().succeeds().whatever();
    });
}
