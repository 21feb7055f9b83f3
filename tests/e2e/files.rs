//! Which file is read, and which name, folder and variables go with it.

use crate::support::{Output, isolated};

fn services(output: &Output) -> Vec<String> {
    let mut names: Vec<String> = output.lines().iter().map(|&line| line.to_owned()).collect();
    names.sort();
    names
}

fn file(service: &str) -> String {
    format!("services:\n  {service}: {{image: \"x:${{TAG:-none}}\"}}\n")
}

#[test]
fn the_four_names_are_found_here_and_in_parents() {
    isolated(|sandbox| {
        for name in [
            "compose.yaml",
            "compose.yml",
            "docker-compose.yaml",
            "docker-compose.yml",
        ] {
            let dir = sandbox.work().join(name.replace('.', "-"));
            fs_err::create_dir_all(dir.join("deep/er")).expect("folders");
            fs_err::write(dir.join(name), file("web")).expect("a file");
            let output = sandbox
                .skiff(["config", "--services"])
                .dir(&dir.join("deep/er"))
                .run();
            output.succeeds().prints("web\n").whatever();
        }
    });
}

#[test]
fn an_override_is_merged_by_itself_but_not_beside_f() {
    isolated(|sandbox| {
        let project = sandbox.project("over", &file("web"));
        project.write("compose.override.yaml", &file("extra"));
        project.write("other.yaml", &file("other"));
        let all = project.skiff(["config", "--services"]).run().succeeds();
        assert_eq!(services(&all), ["extra", "web"]);
        let one = project
            .skiff(["-f", "compose.yaml", "config", "--services"])
            .run()
            .succeeds();
        assert_eq!(services(&one), ["web"]);
        let two = project
            .skiff([
                "-f",
                "compose.yaml",
                "-f",
                "other.yaml",
                "config",
                "--services",
            ])
            .run();
        assert_eq!(services(&two.succeeds()), ["other", "web"]);
        let stdin = project
            .skiff(["-f", "-", "config", "--services"])
            .input(file("piped"))
            .run();
        assert_eq!(services(&stdin.succeeds()), ["piped"]);
    });
}

#[test]
fn variables_choose_files_profiles_and_the_name() {
    isolated(|sandbox| {
        let project = sandbox.project("vars", &file("web"));
        project.write(
            "b.yaml",
            "services:\n  dbg: {image: y, profiles: [debug]}\n",
        );
        let config = |args: &[&str]| project.skiff([args, &["config"]].concat());
        let listed =
            |invocation: crate::support::Invocation| services(&invocation.run().succeeds());
        let both = project
            .skiff(["config", "--services"])
            .env("COMPOSE_FILE", "compose.yaml:b.yaml");
        assert_eq!(
            listed(both.env("COMPOSE_PROFILES", "debug")),
            ["dbg", "web"]
        );
        let split = project
            .skiff(["config", "--services"])
            .env("COMPOSE_FILE", "compose.yaml;b.yaml");
        assert_eq!(listed(split.env("COMPOSE_PATH_SEPARATOR", ";")), ["web"]);
        let flag = project.skiff([
            "-f",
            "compose.yaml",
            "-f",
            "b.yaml",
            "--profile",
            "debug",
            "config",
            "--services",
        ]);
        assert_eq!(listed(flag), ["dbg", "web"]);
        let name = config(&[])
            .env("COMPOSE_PROJECT_NAME", "named")
            .run()
            .succeeds();
        assert!(name.stdout.starts_with("name: named\n"), "{name}");
        let name = config(&["-p", "flag"])
            .env("COMPOSE_PROJECT_NAME", "named")
            .run()
            .succeeds();
        assert!(name.stdout.starts_with("name: flag\n"), "{name}");
    });
}

#[test]
fn dotenv_files_and_the_environment_have_their_order() {
    isolated(|sandbox| {
        let project = sandbox.project("env", &file("web"));
        let image = |args: &[&str], tag: Option<&str>| {
            let mut invocation = project.skiff([args, &["config", "--format", "json"]].concat());
            if let Some(tag) = tag {
                invocation = invocation.env("TAG", tag);
            }
            let json = invocation.run().succeeds().json();
            let image = &json["services"]["web"]["image"];
            image.as_str().expect("an image").to_owned()
        };
        assert_eq!(image(&[], None), "x:none");
        project.write(".env", "TAG=dotenv\n");
        project.write("second.env", "TAG=second\n");
        assert_eq!(image(&[], None), "x:dotenv");
        assert_eq!(image(&["--env-file", "second.env"], None), "x:second");
        assert_eq!(
            image(&["--env-file", "second.env"], Some("shell")),
            "x:shell"
        );
    });
}

#[test]
fn the_project_directory_anchors_relative_paths() {
    isolated(|sandbox| {
        let project = sandbox.project(
            "dir",
            "services:\n  a: {image: x, volumes: [\"./src:/src\"]}\n",
        );
        let other = sandbox.work().join("elsewhere");
        fs_err::create_dir_all(&other).expect("a folder");
        let elsewhere = other.to_string_lossy().into_owned();
        let json = project.skiff([
            "--project-directory",
            &elsewhere,
            "-f",
            "compose.yaml",
            "config",
            "--format",
            "json",
        ]);
        let json = json.run().succeeds().json();
        let source = json["services"]["a"]["volumes"][0]["source"]
            .as_str()
            .expect("a source");
        assert_eq!(source, format!("{elsewhere}/src"));
        assert_eq!(json["name"], "elsewhere");
        let name = project
            .skiff(["config", "--format", "json"])
            .run()
            .succeeds()
            .json();
        assert_eq!(name["name"], "dir");
    });
}

#[test]
fn what_is_accepted_without_effect_is_warned_of() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let compose = r#"
version: "3.8"
services:
  a:
    image: test/busybox
    command: "true"
    develop: {watch: [{path: ., action: rebuild}]}
    deploy: {placement: {constraints: ["node.role == manager"]}}
"#;
        let project = sandbox.project("warn", compose);
        let up = project.up();
        for word in ["version", "placement"] {
            assert!(up.stderr.contains(word), "{word}\n{up}");
        }
        project.down();
    });
}

/// Every example in the repository is loaded.
#[test]
fn the_examples_are_valid() {
    isolated(|sandbox| {
        let examples = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/compose");
        let mut count = 0;
        for entry in fs_err::read_dir(&examples).expect("the examples") {
            let dir = entry.expect("an example").path();
            sandbox
                .skiff(["config", "-q"])
                .dir(&dir)
                .run()
                .succeeds()
                .whatever();
            count += 1;
        }
        assert!(count >= 2, "{count} examples");
    });
}

/// `.env` belongs to the folder of the file, however the file was named.
#[test]
fn dotenv_is_read_beside_the_file_that_a_variable_names() {
    isolated(|sandbox| {
        let project = sandbox.project("beside", &file("web"));
        project.write(".env", "TAG=beside\n");
        project.write("sub/deep/.env", "UNUSED=1\n");
        let deep = project.dir.join("sub/deep");
        let config = |files: &str| {
            let config = sandbox.skiff(["config"]).dir(&deep);
            config.env("COMPOSE_FILE", files).run().succeeds()
        };
        config("../../compose.yaml").says("x:beside").whatever();
        // What the current folder says comes first.
        project.write("sub/deep/.env", "TAG=here\n");
        config("../../compose.yaml").says("x:here").whatever();
    });
}
