//! Bad input: each a clear error with its place, exit code not 0, and nothing
//! that was there before is touched.

use std::fmt::Write as _;

use crate::support::{Image, Project, Registry, Sandbox, isolated, raw_listener};

/// What was there before: a running project with a volume.
const BEFORE: &str = r#"
services:
  keep:
    image: test/busybox
    command: ["sh", "-c", "echo kept >/data/file; trap 'exit 0' TERM; sleep 1000 & wait"]
    volumes: ["data:/data"]
volumes:
  data:
"#;

/// A fault in the file itself: the text, and what the message must contain.
/// `compose.yaml:LINE` is where the fault stands.
const FAULTS: &[(&str, &str, &[&str])] = &[
    (
        "yaml",
        "services:\n  web:\n    image: \"a\n  b: [\n",
        &["compose.yaml:3"],
    ),
    (
        "key",
        "services:\n  web:\n    image: x\n    prots: [\"80:80\"]\n",
        &["compose.yaml:4:5", "prots", "did you mean", "ports"],
    ),
    (
        "type",
        "services:\n  web:\n    image: x\n    privileged: maybe\n",
        &["compose.yaml:4", "services.web.privileged"],
    ),
    (
        "dependency",
        "services:\n  web:\n    image: x\n    depends_on: [bd]\n  db: {image: x}\n",
        &["compose.yaml:4", "web", "bd", "db"],
    ),
    (
        "cycle",
        "services:\n  a: {image: x, depends_on: [b]}\n  b: {image: x, depends_on: [a]}\n",
        &["compose.yaml:", "cycle", "a -> b"],
    ),
    (
        "network",
        "services:\n  web:\n    image: x\n    networks: [back]\n",
        &["compose.yaml:4", "undefined network", "back"],
    ),
    (
        "volume",
        "services:\n  web:\n    image: x\n    volumes: [\"data:/data\"]\n",
        &["compose.yaml:4", "undefined volume", "data"],
    ),
    (
        "secret",
        "services:\n  web:\n    image: x\n    secrets: [tok]\n",
        &["compose.yaml:4", "undefined secret", "tok"],
    ),
    (
        "image",
        "services:\n  web:\n    command: x\n",
        &["compose.yaml:2", "neither an image nor a build"],
    ),
    (
        "port",
        "services:\n  web:\n    image: x\n    ports: [\"99999:80\"]\n",
        &["compose.yaml:4", "99999"],
    ),
    (
        "variable",
        "services:\n  web:\n    image: ${IMG:?must be set}\n",
        &["compose.yaml:3", "IMG", "must be set"],
    ),
    (
        "two",
        "services:\n  web:\n    image: x\n    prots: []\n    volums: []\n",
        &["compose.yaml:4", "compose.yaml:5", "prots", "volums"],
    ),
];

fn before(sandbox: &Sandbox) -> Project<'_> {
    sandbox.load_busybox();
    let project = sandbox.project("before", BEFORE);
    project.up().whatever();
    project
}

fn unchanged(project: &Project<'_>, id: &str) {
    assert_eq!(project.container_field("keep", "State"), "running");
    assert_eq!(project.container_field("keep", "ID"), id);
    assert_eq!(project.sh("keep", "cat /data/file"), "kept\n");
    project
        .skiff(["run", "--rm", "-T", "keep", "true"])
        .run()
        .succeeds()
        .whatever();
}

#[test]
fn a_fault_in_the_file_is_shown_with_its_place() {
    isolated(|sandbox| {
        let keep = before(sandbox);
        let id = keep.container_field("keep", "ID");
        let mut wrong = String::new();
        for (name, text, parts) in FAULTS {
            let project = sandbox.project(name, text);
            for command in [["up", "-d"], ["config", "-q"]] {
                let output = project.skiff(command).run().fails();
                for part in *parts {
                    if !output.stderr.contains(part) {
                        writeln!(wrong, "{name}: no `{part}` in\n{output}").expect("memory");
                    }
                }
                if output.stderr.contains("panicked") || output.stderr.lines().count() > 24 {
                    writeln!(wrong, "{name}: not one screen\n{output}").expect("memory");
                }
            }
        }
        assert!(wrong.is_empty(), "{wrong}");
        unchanged(&keep, &id);
        keep.down();
    });
}

#[test]
fn a_missing_file_tells_where_it_was_looked_for() {
    isolated(|sandbox| {
        let output = sandbox.skiff(["up", "-d"]).run().ends_with(1);
        assert!(output.stderr.contains("no Compose file"), "{output}");
        assert!(output.stderr.contains("compose.yaml"), "{output}");
        let output = sandbox
            .skiff(["-f", "nosuch.yaml", "up"])
            .run()
            .ends_with(1);
        assert!(output.stderr.contains("nosuch.yaml"), "{output}");
        let project = sandbox.project("p", "services: {a: {image: x}}\n");
        let output = project.skiff(["-p", "Bad Name", "config"]).run().fails();
        assert!(output.stderr.contains("Bad Name"), "{output}");
        let output = project.skiff(["up", "-d", "nosuch"]).run().ends_with(1);
        assert!(output.stderr.contains("nosuch"), "{output}");
        project
            .skiff(["up", "--nosuchflag"])
            .run()
            .fails()
            .warns("nosuchflag")
            .whatever();
        project
            .skiff(["nosuchcommand"])
            .run()
            .fails()
            .warns("nosuchcommand")
            .whatever();
    });
}

#[test]
fn an_image_that_cannot_be_had_starts_nothing() {
    isolated(|sandbox| {
        let keep = before(sandbox);
        let id = keep.container_field("keep", "ID");
        let registry = Registry::start(sandbox, 5000);
        let digest = Image::busybox().push(&registry.address, "busybox", "latest");
        let other = digest.replace(['0', '1', '2'], "3");
        let wrong_digest = format!("127.0.0.1:5000/busybox@{other}");
        for (name, image, part) in [
            ("unreachable", "127.0.0.1:5999/busybox", "127.0.0.1:5999"),
            ("unknown", "127.0.0.1:5000/nosuch", "127.0.0.1:5000/nosuch"),
            ("tag", "127.0.0.1:5000/busybox:nosuch", "busybox:nosuch"),
            ("digest", wrong_digest.as_str(), other.as_str()),
        ] {
            let compose = format!(
                "services:\n  good: {{image: test/busybox, init: true, command: sleep 1000}}\n  \
                 bad: {{image: \"{image}\", depends_on: [good]}}\n"
            );
            let project = sandbox.project(name, &compose);
            let output = project.skiff(["up", "-d"]).run().fails();
            assert!(output.stderr.contains(part), "{name}\n{output}");
            project
                .skiff(["ps", "-a", "-q"])
                .run()
                .succeeds()
                .prints("")
                .whatever();
        }
        drop(registry);
        unchanged(&keep, &id);
        keep.down();
    });
}

/// The registry's store is on disk: a config becomes another of the same length,
/// a layer is damaged.
#[test]
fn a_blob_that_is_not_what_its_digest_says_is_thrown_away() {
    isolated(|sandbox| {
        let registry = Registry::start(sandbox, 5000);
        for (name, damage, part) in [
            ("config", "s/2024-01-02T/2025-01-02T/", "sha256:"),
            ("layer", "s/.$/X/", "layer"),
        ] {
            Image::busybox().push(&registry.address, name, "latest");
            let size = if name == "config" {
                "-size -20k"
            } else {
                "-size +100k"
            };
            let script = format!(
                "for f in $(find registry-5000/store -path '*blobs/sha256*' -name data {size}); do \
                 sed -i '{damage}' $f; done"
            );
            sandbox.shell(&script).run().succeeds().whatever();
            let compose = format!("services:\n  a: {{image: \"127.0.0.1:5000/{name}\"}}\n");
            let project = sandbox.project(name, &compose);
            let output = project.skiff(["up", "-d"]).run().fails();
            assert!(output.stderr.contains(part), "{name}\n{output}");
            project
                .skiff(["up", "-d", "--pull", "never"])
                .run()
                .fails()
                .whatever();
            project
                .skiff(["ps", "-a", "-q"])
                .run()
                .succeeds()
                .prints("")
                .whatever();
            sandbox
                .shell("rm -r registry-5000/store/*")
                .run()
                .succeeds()
                .whatever();
        }
        drop(registry);
    });
}

#[test]
fn what_the_engine_cannot_do_is_refused_all_at_once_before_anything_starts() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let compose = r"
services:
  good: {image: test/busybox, init: true, command: sleep 1000}
  one:
    image: test/busybox
    cgroup_parent: mine
  two:
    image: test/busybox
    gpus: all
";
        let project = sandbox.project("cannot", compose);
        project.skiff(["config", "-q"]).run().succeeds().whatever();
        let output = project.skiff(["up", "-d"]).run().fails();
        for part in [
            "one",
            "cgroup_parent",
            "compose.yaml:6",
            "two",
            "gpus",
            "compose.yaml:9",
        ] {
            assert!(output.stderr.contains(part), "{part}\n{output}");
        }
        project
            .skiff(["ps", "-a", "-q"])
            .run()
            .succeeds()
            .prints("")
            .whatever();
    });
}

#[test]
fn a_service_that_cannot_be_built_is_told_and_needs_no_build_where_its_image_is_here() {
    isolated(|sandbox| {
        let project = sandbox.project("build", "services:\n  web:\n    build: .\n");
        let output = project.skiff(["up", "-d"]).run().fails();
        assert!(output.stderr.contains("build/Dockerfile"), "{output}");
        sandbox.load(&Image::busybox(), "build-web:latest");
        project.up().whatever();
        project.down();
    });
}

#[test]
fn a_program_that_cannot_be_run_is_named() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        for (name, setting, part) in [
            ("program", "command: nosuchprogram", "nosuchprogram"),
            ("folder", "command: /etc", "/etc"),
            ("user", "user: nosuchuser", "nosuchuser"),
        ] {
            let compose = format!("services:\n  a:\n    image: test/busybox\n    {setting}\n");
            let project = sandbox.project(name, &compose);
            let output = project.skiff(["up", "-d"]).run().fails();
            assert!(output.stderr.contains(part), "{name}\n{output}");
            project.down();
        }
    });
}

#[test]
fn two_services_on_one_port_are_refused() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let compose = "services:\n  a: {image: test/busybox, ports: [\"18080:80\"]}\n  \
                       b: {image: test/busybox, ports: [\"18080:80\"]}\n";
        let project = sandbox.project("ports", compose);
        let output = project.skiff(["up", "-d"]).run().fails();
        assert!(output.stderr.contains("18080"), "{output}");
        project.down();
        drop(raw_listener("127.0.0.1:18080"));
    });
}

#[test]
fn two_ups_at_once_both_succeed() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let compose = "services:\n  a: {image: test/busybox, init: true, command: sleep 1000}\n  \
                       b: {image: test/busybox, init: true, command: sleep 1000}\n";
        let project = sandbox.project("turn", compose);
        let ups = [(); 4].map(|()| project.skiff(["up", "-d"]).spawn());
        for up in ups {
            up.finish().succeeds().whatever();
        }
        let ps = project.skiff(["ps", "-q"]).run().succeeds();
        assert_eq!(ps.lines().len(), 2, "{ps}");
        project.down();
    });
}

/// What shows only when images are fetched and containers started: the service's
/// lines, where the fault stands, and what else is said.
const LATE_FAULTS: &[(&str, &str, &[&str])] = &[
    (
        "port",
        "    image: test/busybox\n    ports:\n      - 18082:80\n      - \"18081:80\"\n",
        &["compose.yaml:6:9", "18081", "services.a.ports[1]"],
    ),
    (
        "registry",
        "    image: 127.0.0.1:5999/busybox\n",
        &["compose.yaml:3:12", "127.0.0.1:5999"],
    ),
    (
        "malformed",
        "    image: Bad/Name\n  b:\n    image: Worse/Name\n",
        &[
            "compose.yaml:3:12",
            "Bad/Name",
            "compose.yaml:5:12",
            "Worse/Name",
        ],
    ),
    (
        "network",
        "    image: test/busybox\n    networks: [back]\nnetworks:\n  back: {external: true, name: nosuchnet}\n",
        &["compose.yaml:6:3", "nosuchnet"],
    ),
    (
        "volume",
        "    image: test/busybox\n    volumes: [\"vol:/v\"]\nvolumes:\n  vol: {external: true, name: nosuchvol}\n",
        &["compose.yaml:6:9", "nosuchvol"],
    ),
    (
        "name",
        "    image: test/busybox\n    container_name: before-keep-1\n",
        &["compose.yaml:4:21", "before-keep-1", "before"],
    ),
    (
        "user",
        "    image: test/busybox\n    user: nosuchuser\n",
        &["compose.yaml:4:5", "nosuchuser", "/etc/passwd"],
    ),
    (
        "group",
        "    image: test/busybox\n    group_add: [extra, nosuchgroup]\n",
        &["compose.yaml:4:24", "nosuchgroup", "/etc/group"],
    ),
    (
        "program",
        "    image: test/busybox\n    command: nosuchprogram\n",
        &["compose.yaml:4:5", "nosuchprogram"],
    ),
];

#[test]
fn a_fault_that_shows_late_is_shown_with_its_place_and_once() {
    isolated(|sandbox| {
        let keep = before(sandbox);
        let id = keep.container_field("keep", "ID");
        let taken = raw_listener("0.0.0.0:18081");
        let mut wrong = String::new();
        for (name, service, parts) in LATE_FAULTS {
            let project = sandbox.project(name, &format!("services:\n  a:\n{service}"));
            let output = project.skiff(["up", "-d"]).run().ends_with(1);
            for part in *parts {
                if !output.stderr.contains(part) {
                    writeln!(wrong, "{name}: no `{part}` in\n{output}").expect("memory");
                }
            }
            let start = format!("cannot start container `{name}-a-1`");
            if output.stderr.matches(&start).count() > 1 || output.stderr.contains("Error: ") {
                writeln!(wrong, "{name}: told twice\n{output}").expect("memory");
            }
            project.down();
        }
        assert!(wrong.is_empty(), "{wrong}");
        drop(taken);
        unchanged(&keep, &id);
        keep.down();
    });
}

/// One node that an anchor brings into many services is one fault; what a file
/// holds does not steer the terminal; a wrong volume name says what it was taken for.
#[test]
fn messages_say_a_thing_once_and_plainly() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let anchored = "x-base: &base\n  image: test/busybox\n  cgroup_parent: mine\nservices:\n  \
                        a: {<<: *base}\n  b: {<<: *base}\n  c: {<<: *base}\n";
        let project = sandbox.project("anchors", anchored);
        let output = project.skiff(["up", "-d"]).run().fails();
        assert_eq!(
            output.stderr.matches("compose.yaml:3:3").count(),
            1,
            "{output}"
        );

        let steering = "services:\n  a:\n    image: x\n    \"prots\\e[31mX\\u009b31m\": 1\n";
        let project = sandbox.project("steering", steering);
        let output = project.skiff(["up", "-d"]).run().fails();
        let steers = |c: char| c.is_control() && c != '\n';
        assert!(!output.stderr.contains(steers), "{output}");

        let drive =
            "services:\n  a: {image: test/busybox, volumes: [\"v:/vro:ro\"]}\nvolumes: {v: {}}\n";
        let project = sandbox.project("drive", drive);
        let output = project.skiff(["up", "-d"]).run().fails();
        output
            .warns("Windows drive")
            .warns("compose.yaml:2")
            .whatever();

        for (name, compose, part) in [
            ("none", "services: {}\n", "no service selected"),
            (
                "off",
                "services:\n  a: {image: x, profiles: [dbg]}\n",
                "--profile",
            ),
        ] {
            let project = sandbox.project(name, compose);
            project
                .skiff(["up", "-d"])
                .run()
                .ends_with(1)
                .warns(part)
                .whatever();
        }
        for command in [["up", "nosuch"], ["stop", "nosuch"], ["pull", "nosuch"]] {
            let output = project.skiff(command).run().ends_with(1);
            output.warns("no such service: nosuch").whatever();
        }
    });
}
