//! A second `up`: what it leaves alone, what it starts again, what it
//! recreates, and what reason it gives.

use crate::support::{Project, isolated};

fn compose(debug: u8) -> String {
    format!(
        r#"
services:
  web:
    image: test/busybox
    command: ["sh", "-c", "trap 'exit 0' TERM; sleep 1000 & wait"]
    environment: {{DEBUG: "{debug}"}}
    volumes: ["/anonymous"]
  db:
    image: test/busybox
    command: ["sh", "-c", "trap 'exit 0' TERM; sleep 1000 & wait"]
  migrate:
    image: test/busybox
    command: ["sh", "-c", "echo migrated"]
"#
    )
}

fn id(project: &Project<'_>, service: &str) -> String {
    project.container_field(service, "ID")
}

#[test]
fn an_unchanged_project_is_left_as_it_is() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let project = sandbox.project("same", &compose(0));
        project.up().whatever();
        let before = (id(&project, "web"), id(&project, "db"));
        let again = project.up();
        assert!(again.stderr.contains("Running"), "{again}");
        assert!(!again.stderr.contains("Recreate"), "{again}");
        assert_eq!(before, (id(&project, "web"), id(&project, "db")));
        project.down();
    });
}

#[test]
fn a_changed_service_alone_is_recreated_with_the_reason() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let project = sandbox.project("change", &compose(0));
        project.up().whatever();
        let (web, db) = (id(&project, "web"), id(&project, "db"));
        project.sh("web", "echo kept >/anonymous/file");
        project.write("compose.yaml", &compose(1));
        let up = project.up();
        up.clone()
            .warns("web recreated: environment.DEBUG \"0\" -> \"1\"")
            .whatever();
        assert_ne!(id(&project, "web"), web);
        assert_eq!(id(&project, "db"), db, "the others stay");
        assert_eq!(project.sh("web", "echo $DEBUG"), "1\n");
        assert_eq!(
            project.sh("web", "cat /anonymous/file"),
            "kept\n",
            "carried over"
        );
        project
            .skiff(["up", "-d", "-V", "--force-recreate", "web"])
            .run()
            .succeeds()
            .whatever();
        assert_eq!(
            project.sh("web", "ls /anonymous"),
            "",
            "-V renews anonymous volumes"
        );
        project.down();
    });
}

#[test]
fn a_finished_one_shot_runs_again() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let project = sandbox.project("again", &compose(0));
        project.up().whatever();
        let migrate = id(&project, "migrate");
        let mut logs = project
            .skiff(["logs", "-f", "--no-log-prefix", "migrate"])
            .spawn();
        logs.wait_line("migrated");
        logs.finish().succeeds().whatever();
        project.up().whatever();
        let logs = project
            .skiff(["logs", "-f", "--no-log-prefix", "migrate"])
            .run()
            .succeeds();
        logs.prints("migrated\nmigrated\n").whatever();
        assert_eq!(id(&project, "migrate"), migrate, "the same container");
        project.down();
    });
}

#[test]
fn stopped_services_are_started_again() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let project = sandbox.project("stopped", &compose(0));
        project.up().whatever();
        let db = id(&project, "db");
        project.skiff(["stop", "db"]).run().succeeds().whatever();
        project.up().whatever();
        assert_eq!(project.container_field("db", "State"), "running");
        assert_eq!(id(&project, "db"), db);
        project.down();
    });
}

#[test]
fn force_recreate_and_no_recreate_do_as_they_say() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let project = sandbox.project("force", &compose(0));
        project.up().whatever();
        let db = id(&project, "db");
        project
            .skiff(["up", "-d", "--force-recreate", "db"])
            .run()
            .succeeds()
            .whatever();
        assert_ne!(id(&project, "db"), db);
        let web = id(&project, "web");
        project.write("compose.yaml", &compose(1));
        project
            .skiff(["up", "-d", "--no-recreate"])
            .run()
            .succeeds()
            .whatever();
        assert_eq!(id(&project, "web"), web);
        project.down();
    });
}

#[test]
fn a_new_image_of_the_same_name_recreates() {
    isolated(|sandbox| {
        use crate::support::Image;
        sandbox.load_busybox();
        let project = sandbox.project("image", &compose(0));
        project.up().whatever();
        let (web, db) = (id(&project, "web"), id(&project, "db"));
        sandbox.load(
            &Image::busybox().file("etc/new", 0o644, "new\n"),
            "test/busybox:latest",
        );
        let up = project.up();
        assert!(up.stderr.contains("web recreated: image"), "{up}");
        assert_ne!((id(&project, "web"), id(&project, "db")), (web, db));
        assert_eq!(project.sh("web", "cat /etc/new"), "new\n");
        project.down();
    });
}

#[test]
fn orphans_are_named_and_removed_on_request() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let project = sandbox.project("orphan", &compose(0));
        project.up().whatever();
        let less = compose(0).replace("  db:", "  other:");
        project.write("compose.yaml", &less);
        project.up().warns("orphan-db-1").whatever();
        assert!(
            project
                .skiff(["ps"])
                .run()
                .succeeds()
                .stdout
                .contains("orphan-db-1")
        );
        project
            .skiff(["up", "-d", "--remove-orphans"])
            .run()
            .succeeds()
            .whatever();
        let ps = project.skiff(["ps", "-a"]).run().succeeds();
        assert!(!ps.stdout.contains("orphan-db-1"), "{ps}");
        project.down();
    });
}

#[test]
fn a_dry_run_prints_the_plan_and_does_nothing() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let project = sandbox.project("dry", &compose(0));
        let dry = project.skiff(["--dry-run", "up", "-d"]).run().succeeds();
        let text = format!("{}{}", dry.stdout, dry.stderr);
        assert!(
            text.contains("dry-web-1") && text.contains("dry_default"),
            "{dry}"
        );
        project
            .skiff(["ps", "-a", "-q"])
            .run()
            .succeeds()
            .prints("")
            .whatever();
    });
}

/// What a config or secret contains is part of the services that use it, and of
/// no others; a secret is not shown.
#[test]
fn a_changed_config_or_secret_recreates_who_uses_it() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let compose = |text: &str| {
            format!(
                r#"
services:
  web:
    image: test/busybox
    command: ["sh", "-c", "trap 'exit 0' TERM; sleep 1000 & wait"]
    configs: [text, file]
  key:
    image: test/busybox
    command: ["sh", "-c", "trap 'exit 0' TERM; sleep 1000 & wait"]
    secrets: [token]
  db:
    image: test/busybox
    command: ["sh", "-c", "trap 'exit 0' TERM; sleep 1000 & wait"]
configs:
  text: {{content: {text}}}
  file: {{file: ./file.conf}}
secrets:
  token: {{environment: TOKEN}}
"#
            )
        };
        let project = sandbox.project("contents", &compose("one"));
        project.write("file.conf", "a\n");
        let up = |token: &str| {
            let up = project.skiff(["up", "-d"]).env("TOKEN", token).run();
            up.succeeds()
        };
        let ids = || ["web", "key", "db"].map(|service| id(&project, service));
        up("s3cret").whatever();
        let first = ids();
        up("s3cret").whatever();
        assert_eq!(ids(), first, "nothing has changed");

        project.write("compose.yaml", &compose("two"));
        let output = up("s3cret");
        output
            .clone()
            .warns("web recreated: the content of configs.text changed")
            .whatever();
        let second = ids();
        assert_ne!(second[0], first[0], "{output}");
        assert_eq!(second[1..], first[1..], "{output}");
        assert_eq!(project.sh("web", "cat /text"), "two");

        // As an editor does it: a new file under the old name.
        project.write("file.new", "b\n");
        sandbox
            .shell("mv contents/file.new contents/file.conf")
            .run()
            .succeeds()
            .whatever();
        let output = up("s3cret");
        output
            .clone()
            .warns("web recreated: the content of configs.file changed")
            .whatever();
        assert_eq!(project.sh("web", "cat /file"), "b\n");

        let output = up("other");
        output
            .clone()
            .warns("key recreated: the content of secrets.token changed")
            .whatever();
        assert!(!output.stderr.contains("s3cret"), "{output}");
        assert_eq!(project.sh("key", "cat /run/secrets/token"), "other");
        assert_eq!(ids()[2], first[2], "{output}");
        project.down();
    });
}
