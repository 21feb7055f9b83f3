//! Names and labels are Docker's, so that scripts that look for them work.

use serde_json::Value;

use crate::support::isolated;

const COMPOSE: &str = r#"
services:
  web:
    image: test/busybox
    init: true
    command: sleep 1000
    depends_on: [db]
    labels: {colour: green}
    volumes: ["data:/data"]
  db:
    image: test/busybox
    init: true
    command: sleep 1000
volumes:
  data:
"#;

/// `a=b,c=d` as `ps --format json` has it.
fn label<'a>(container: &'a Value, name: &str) -> Option<&'a str> {
    let labels = container["Labels"].as_str().expect("labels as one text");
    labels
        .split(',')
        .find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
}

#[test]
fn containers_networks_and_volumes_have_dockers_names() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let project = sandbox.project("shop", COMPOSE);
        let up = project.up();
        for name in [
            "Network shop_default",
            "Volume shop_data",
            "Container shop-web-1",
        ] {
            assert!(up.stderr.contains(name), "{name}\n{up}");
        }
        let run = project
            .skiff(["run", "-d", "--no-deps", "web", "sleep", "1000"])
            .run()
            .succeeds();
        let id = run.stdout.trim().to_owned();
        assert_eq!(id.len(), 64, "{run}");
        let ps = project
            .skiff(["ps", "-a", "--format", "json"])
            .run()
            .succeeds();
        let one_off = ps
            .json_lines()
            .into_iter()
            .find(|c| c["ID"].as_str() == id.get(..12));
        let name = one_off.expect("the one-off is listed")["Name"]
            .as_str()
            .unwrap()
            .to_owned();
        let pattern = regex::Regex::new("^shop-web-run-[0-9a-f]{12}$").unwrap();
        assert!(pattern.is_match(&name), "{name}");
        project.down();
    });
}

#[test]
fn labels_are_those_that_tools_of_compose_read() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let project = sandbox.project("shop", COMPOSE);
        project.up().whatever();
        let web = project.container("web");
        let file = project.dir.join("compose.yaml").display().to_string();
        let dir = project.dir.display().to_string();
        for (name, value) in [
            ("com.docker.compose.project", "shop"),
            ("com.docker.compose.service", "web"),
            ("com.docker.compose.container-number", "1"),
            ("com.docker.compose.oneoff", "False"),
            ("com.docker.compose.depends_on", "db:service_started:false"),
            ("com.docker.compose.project.working_dir", &dir),
            ("com.docker.compose.project.config_files", &file),
            ("colour", "green"),
        ] {
            assert_eq!(label(&web, name), Some(value), "{name} in {web}");
        }
        let hash = label(&web, "com.docker.compose.config-hash").expect("a config hash");
        assert!(
            hash.len() == 64 && hash.bytes().all(|b| b.is_ascii_hexdigit()),
            "{hash}"
        );
        let image = label(&web, "com.docker.compose.image").expect("the image's digest");
        assert!(image.starts_with("sha256:"), "{image}");
        assert!(
            label(&web, "com.docker.compose.version").is_some_and(|v| !v.is_empty()),
            "{web}"
        );
        project.down();
    });
}

#[test]
fn a_container_name_is_taken_as_given_and_only_once() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let compose = "services:\n  a:\n    image: test/busybox\n    container_name: mine\n    \
                       init: true\n    command: sleep 1000\n";
        let first = sandbox.project("first", compose);
        let second = sandbox.project("second", compose);
        first.up().whatever();
        assert_eq!(first.container_field("a", "Name"), "mine");
        let refused = second.skiff(["up", "-d"]).run().fails();
        assert!(
            refused.stderr.contains("mine") && refused.stderr.contains("first"),
            "{refused}"
        );
        second.down();
        assert_eq!(first.container_field("a", "State"), "running");
        first.down();
        second.up().whatever();
        second.down();
    });
}

#[test]
fn without_a_file_the_project_name_is_enough() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let project = sandbox.project("shop", COMPOSE);
        project.up().whatever();
        fs_err::remove_dir_all(&project.dir).expect("the project's folder");
        let shop = |args: &[&str]| sandbox.skiff([&["-p", "shop"], args].concat()).run();
        shop(&["ps", "--format", "json"])
            .succeeds()
            .says("shop-web-1")
            .whatever();
        shop(&["exec", "-T", "web", "echo", "hi"])
            .succeeds()
            .prints("hi\n")
            .whatever();
        shop(&["logs"]).succeeds().whatever();
        shop(&["stop", "web"]).succeeds().whatever();
        shop(&["start", "web"]).succeeds().whatever();
        shop(&["restart", "db"]).succeeds().whatever();
        shop(&["kill", "db"]).succeeds().whatever();
        shop(&["down", "-v"]).succeeds().whatever();
        shop(&["ps", "-a", "-q"]).succeeds().prints("").whatever();
    });
}

/// A name is part of paths: what is none reaches nothing.
#[test]
fn what_is_no_project_name_is_refused_by_every_command() {
    isolated(|sandbox| {
        let compose = "services:\n  web: {image: test/busybox}\n";
        let project = sandbox.project("plain", compose);
        let bad = [
            "../projects/names",
            "../x",
            "a/b",
            "BadName",
            "a b",
            "-x",
            ".",
        ];
        let commands: [&[&str]; 11] = [
            &["ps"],
            &["logs"],
            &["stop"],
            &["start"],
            &["restart"],
            &["kill"],
            &["down"],
            &["images"],
            &["exec", "web", "true"],
            &["run", "web", "true"],
            &["up", "-d"],
        ];
        for name in bad {
            let named = format!("--project-name={name}");
            for command in commands {
                let words = [&[named.as_str()], command].concat();
                let refused = project.skiff(words).run().ends_with(1);
                refused.warns("invalid project name").whatever();
            }
            let by_variable = sandbox.skiff(["down"]).env("COMPOSE_PROJECT_NAME", name);
            by_variable.run().ends_with(1).whatever();
        }
        assert!(!sandbox.run_root().join("x").exists());
        assert!(!sandbox.run_root().join("projects").exists());
    });
}
