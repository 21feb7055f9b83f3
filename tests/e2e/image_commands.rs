//! `skiff image …` and `skiff save`: what they print and what is left.

use fs_err as fs;
use serde_json::{Value, json};

use crate::support::{Image, Output, Registry, Sandbox, Terminal, isolated};

const COMPOSE: &str = "services:\n  a:\n    image: test/app:1\n    init: true\n    \
                       command: sleep 1000\n    stop_grace_period: 0s\n";

/// Loads an image with a mark, by which its config differs from others.
fn load(sandbox: &Sandbox, name: &str, mark: &str) {
    let image = Image::busybox()
        .file("etc/mark", 0o644, mark)
        .config("Labels", json!({"mark": mark, "kind": "test"}));
    sandbox.load(&image, name);
}

fn image(sandbox: &Sandbox, args: &[&str]) -> Output {
    sandbox.skiff(["image"].iter().chain(args)).run()
}

/// What `image ls` says with a template, line by line.
fn listed(sandbox: &Sandbox, args: &[&str]) -> Vec<String> {
    let format = ["ls", "--format", "{{.Repository}}:{{.Tag}}"];
    let args: Vec<&str> = format.iter().chain(args).copied().collect();
    let list = image(sandbox, &args).succeeds();
    let mut lines: Vec<String> = list.lines().into_iter().map(str::to_owned).collect();
    lines.sort();
    lines
}

fn id(sandbox: &Sandbox, name: &str) -> String {
    let seen = image(sandbox, &["inspect", "--format", "{{.Id}}", name]).succeeds();
    seen.stdout.trim().to_owned()
}

fn layers(sandbox: &Sandbox) -> usize {
    fs::read_dir(sandbox.data().join("images/layers")).map_or(0, Iterator::count)
}

#[test]
fn images_are_listed_as_docker_lists_them() {
    isolated(|sandbox| {
        let nothing = image(sandbox, &["ls"]).succeeds();
        nothing
            .prints("REPOSITORY   TAG       IMAGE ID   CREATED   SIZE\n")
            .whatever();
        load(sandbox, "test/app:1", "one");
        load(sandbox, "test/app:2", "two");
        load(sandbox, "registry.test:5000/deep/er:x", "three");
        image(sandbox, &["tag", "test/app:1", "other"])
            .succeeds()
            .prints("")
            .whatever();
        let all = [
            "other:latest",
            "registry.test:5000/deep/er:x",
            "test/app:1",
            "test/app:2",
        ];
        assert_eq!(listed(sandbox, &[]), all);
        assert_eq!(listed(sandbox, &["test/app"]), all[2..]);
        assert_eq!(listed(sandbox, &["test/app:2"]), all[3..]);
        assert_eq!(
            listed(sandbox, &["-f", "reference=test/*:1"]),
            ["test/app:1"]
        );
        assert_eq!(
            listed(sandbox, &["*"]),
            ["other:latest"],
            "no * goes past a slash"
        );
        assert_eq!(listed(sandbox, &["-f", "label=mark=two"]), ["test/app:2"]);
        assert_eq!(listed(sandbox, &["-f", "label=kind", "-a"]), all);
        assert_eq!(listed(sandbox, &["-f", "until=1971-01-01"]), [""; 0]);
        assert_eq!(listed(sandbox, &["-f", "dangling=true"]), [""; 0]);

        let one = id(sandbox, "test/app:1");
        let short = one
            .strip_prefix("sha256:")
            .map(|hex| &hex[..12])
            .expect("a digest");
        let quiet = image(sandbox, &["ls", "-q", "test/app:1"]).succeeds();
        quiet.prints(&format!("{short}\n")).whatever();
        let whole = image(sandbox, &["ls", "-q", "--no-trunc", "test/app:1"]).succeeds();
        whole.prints(&format!("{one}\n")).whatever();
        let rows = image(sandbox, &["ls", "--format", "json", "test/app:1"]).succeeds();
        let rows = rows.json_lines();
        assert_eq!(rows.len(), 1);
        for (field, value) in [
            ("Repository", "test/app"),
            ("Tag", "1"),
            ("ID", short),
            ("Digest", "<none>"),
            ("Containers", "0"),
            ("SharedSize", "N/A"),
        ] {
            assert_eq!(rows[0][field], value, "{field}");
        }
        let table = image(
            sandbox,
            &["ls", "--format", r"table {{.Repository}}\t{{.ID}}", "other"],
        );
        let table = table.succeeds();
        table
            .prints(&format!("REPOSITORY   IMAGE ID\nother        {short}\n"))
            .whatever();
        let wrong = image(sandbox, &["ls", "-f", "colour=red"]).fails();
        wrong
            .warns("no such filter: `colour=red`")
            .warns("reference")
            .whatever();
        // A name that moves on leaves an image without one.
        load(sandbox, "test/app:2", "four");
        assert_eq!(
            listed(sandbox, &["-f", "dangling=true"]),
            [""; 0],
            "it goes at once"
        );
    });
}

#[test]
fn an_image_is_inspected_as_docker_inspects_it() {
    isolated(|sandbox| {
        load(sandbox, "test/app:1", "one");
        let seen = image(sandbox, &["inspect", "test/app:1"]).succeeds();
        assert!(
            seen.stdout
                .starts_with("[\n    {\n        \"Id\": \"sha256:"),
            "{seen}"
        );
        let seen = seen.json();
        let (seen, count) = (&seen[0], seen.as_array().map(Vec::len));
        assert_eq!(count, Some(1));
        assert_eq!(seen["RepoTags"], json!(["test/app:1"]));
        assert_eq!(seen["RepoDigests"], json!([]));
        assert_eq!(seen["Config"]["Labels"]["mark"], "one");
        assert_eq!(seen["Config"]["Entrypoint"], Value::Null);
        assert_eq!(
            (&seen["Os"], &seen["GraphDriver"]["Name"]),
            (&json!("linux"), &json!("overlay2"))
        );
        let upper = seen["GraphDriver"]["Data"]["UpperDir"]
            .as_str()
            .expect("a folder");
        assert_eq!(
            fs::read_to_string(format!("{upper}/etc/mark")).expect("a file"),
            "one"
        );
        let env = image(
            sandbox,
            &["inspect", "-f", "{{json .Config.Labels}}", "test/app:1"],
        );
        env.succeeds()
            .prints("{\"mark\":\"one\",\"kind\":\"test\"}\n")
            .whatever();
        // What is found is shown all the same.
        let both = image(
            sandbox,
            &["inspect", "-f", "{{.Os}}", "nothing", "test/app:1"],
        );
        both.ends_with(1)
            .prints("linux\n")
            .warns("no image `nothing` here")
            .whatever();
        let none = image(sandbox, &["inspect", "nothing"]).ends_with(1);
        none.prints("[]\n").whatever();
        let other = image(
            sandbox,
            &["inspect", "--platform", "linux/s390x", "test/app:1"],
        );
        other.fails().warns("not for linux/s390x").whatever();
    });
}

#[test]
fn the_history_has_each_step_and_its_size() {
    isolated(|sandbox| {
        let image_of_two = Image::empty()
            .file("a", 0o644, "1234567")
            .layer()
            .file("b", 0o644, "12");
        sandbox.load(&image_of_two, "test/steps:1");
        let seen = image(
            sandbox,
            &["history", "--format", "{{.ID}} {{.Size}}", "test/steps:1"],
        );
        let seen = seen.succeeds();
        let id = id(sandbox, "test/steps:1");
        let short = &id["sha256:".len()..][..12];
        seen.prints(&format!("{short} 2B\n<missing> 7B\n"))
            .whatever();
        let table = image(sandbox, &["history", "test/steps:1"]).succeeds();
        let head = "IMAGE          CREATED   CREATED BY   SIZE      COMMENT\n";
        assert!(table.stdout.starts_with(head), "{table}");
        let plain = image(sandbox, &["history", "--human=false", "-q", "test/steps:1"]).succeeds();
        plain.prints(&format!("{short}\n<missing>\n")).whatever();
    });
}

#[test]
fn nothing_of_an_image_draws_on_the_terminal() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        fs::write(
            sandbox.work().join("Dockerfile"),
            "FROM test/busybox\nONBUILD RUN echo \"\u{1b}]0;title\u{7}\"\nLABEL a=\"\u{1b}[31mred\"\n",
        )
        .expect("a file");
        let build = |args: &[&str]| {
            let words = ["image", "build", "--progress=plain"].iter().chain(args);
            sandbox.skiff(words).run().succeeds()
        };
        build(&["-t", "test/draws", "."]).whatever();
        fs::write(sandbox.work().join("Dockerfile"), "FROM test/draws\n").expect("a file");
        let built = build(&["."]);
        assert!(built.stderr.contains("]0;title"), "{built}");
        assert!(!built.stderr.contains(['\u{1b}', '\u{7}']), "{built}");
        let history = image(sandbox, &["history", "test/draws"]).succeeds();
        assert!(history.stdout.contains("[31mred"), "{history}");
        assert!(!history.stdout.contains('\u{1b}'), "{history}");
        let args = [
            "image",
            "history",
            "--format",
            "{{.CreatedBy}}",
            "test/draws",
        ];
        // A script gets what is there.
        let script = sandbox.skiff(args).run().succeeds();
        assert!(script.stdout.contains("LABEL a=\u{1b}[31mred"), "{script}");
        let (_, shown) = Terminal::start(&sandbox.skiff(args)).finish();
        assert!(
            shown.contains("[31mred") && !shown.contains("\u{1b}[31mred"),
            "{shown}"
        );
    });
}

#[test]
fn an_image_in_use_stays_and_goes_with_its_last_name() {
    isolated(|sandbox| {
        load(sandbox, "test/app:1", "one");
        let one = id(sandbox, "test/app:1");
        let project = sandbox.project("uses", COMPOSE);
        project.up().whatever();
        let rm = |args: &[&str]| image(sandbox, &[&["rm"], args].concat());
        rm(&["-f", "test/app:1"])
            .fails()
            .warns("container `uses-a-1` runs of it")
            .whatever();
        project.skiff(["stop"]).run().succeeds().whatever();
        rm(&["test/app:1"])
            .fails()
            .warns("container `uses-a-1` was made of it")
            .whatever();
        let count = ["ls", "--format", "{{.Containers}}"];
        image(sandbox, &count).succeeds().prints("1\n").whatever();
        image(sandbox, &["tag", "test/app:1", "test/other:1"])
            .succeeds()
            .whatever();
        rm(&["test/other:1"])
            .succeeds()
            .prints("Untagged: test/other:1\n")
            .whatever();
        image(sandbox, &["prune", "--all", "--force"])
            .succeeds()
            .prints("Total reclaimed space: 0B\n")
            .whatever();
        // By force the image goes, and not what the container stands on.
        let removed = format!("Untagged: test/app:1\nDeleted: {one}\n");
        rm(&["-f", "test/app:1"])
            .succeeds()
            .prints(&removed)
            .whatever();
        assert_eq!(layers(sandbox), 1);
        project.skiff(["start"]).run().succeeds().whatever();
        assert_eq!(project.sh("a", "cat /etc/mark"), "one");
        project.down();

        load(sandbox, "test/app:1", "one");
        image(sandbox, &["tag", "test/app:1", "test/other:1"])
            .succeeds()
            .whatever();
        rm(&[&one])
            .fails()
            .warns("names of several repositories")
            .whatever();
        let removed = format!("Untagged: test/app:1\nUntagged: test/other:1\nDeleted: {one}\n");
        rm(&["-f", &one]).succeeds().prints(&removed).whatever();
        assert_eq!(layers(sandbox), 0);
        let missing = rm(&["nothing", "neither"]).ends_with(1);
        missing
            .warns("no image `nothing` here")
            .warns("no image `neither` here")
            .whatever();
        // What was meant is told.
        sandbox.load_busybox();
        for command in [
            &["rm", "test/busybox:9"][..],
            &["inspect", "test/busybx"],
            &["history", "test/busybx"],
            &["tag", "test/busybx", "other"],
            &["save", "test/busybx"],
            &["push", "test/busybx"],
        ] {
            image(sandbox, command)
                .ends_with(1)
                .warns(&format!("no image `{}", command[1]))
                .warns("did you mean `test/busybox:latest`?")
                .whatever();
        }
        rm(&["test/busybox"]).succeeds().whatever();
        rm(&["-f", "nothing"]).succeeds().prints("").whatever();
    });
}

#[test]
fn prune_takes_what_nobody_uses() {
    isolated(|sandbox| {
        load(sandbox, "test/app:1", "one");
        load(sandbox, "test/idle:1", "two");
        load(sandbox, "test/kept:1", "three");
        let project = sandbox.project("uses", COMPOSE);
        project.up().whatever();
        let prune = |args: &[&str]| image(sandbox, &[&["prune"], args].concat());
        prune(&[]).fails().warns("--force").whatever();
        prune(&["-f"])
            .succeeds()
            .prints("Total reclaimed space: 0B\n")
            .whatever();
        let two = id(sandbox, "test/idle:1");
        let pruned = prune(&[
            "-af",
            "--filter",
            "label!=mark=three",
            "--filter",
            "until=2100-01-01",
        ]);
        let pruned = pruned.succeeds();
        let text = format!(
            "Deleted Images:\nuntagged: test/idle:1\ndeleted: {two}\n\nTotal reclaimed space: "
        );
        assert!(pruned.stdout.starts_with(&text), "{pruned}");
        assert!(!pruned.stdout.ends_with(" 0B\n"), "{pruned}");
        assert_eq!(listed(sandbox, &[]), ["test/app:1", "test/kept:1"]);
        assert_eq!(layers(sandbox), 2);
        project.down();
        prune(&["-af"]).succeeds().whatever();
        assert_eq!((listed(sandbox, &[]).len(), layers(sandbox)), (0, 0));
    });
}

#[test]
fn a_saved_image_is_loaded_and_runs() {
    isolated(|sandbox| {
        load(sandbox, "test/app:1", "one");
        load(sandbox, "test/app:2", "two");
        let path = sandbox.work().join("saved.tar");
        let path = path.to_str().expect("a path");
        let save = sandbox
            .skiff(["save", "-o", path, "test/app"])
            .run()
            .succeeds();
        save.prints("").whatever();
        let stdout = sandbox.shell("$skiff image save test/app:1 | $skiff load -q");
        stdout
            .run()
            .succeeds()
            .prints("Loaded image: test/app:1\n")
            .whatever();
        image(sandbox, &["prune", "-af"]).succeeds().whatever();
        let loaded = image(sandbox, &["load", "-i", path]).succeeds();
        loaded
            .prints("Loaded image: test/app:1\nLoaded image: test/app:2\n")
            .whatever();
        let project = sandbox.project("again", COMPOSE);
        project.up().whatever();
        assert_eq!(project.sh("a", "cat /etc/mark"), "one");
        project.down();
        let missing = sandbox
            .skiff(["save", "-o", "/nowhere/x.tar", "test/app:1"])
            .run();
        missing.fails().warns("/nowhere").whatever();
        let failed = sandbox.skiff(["save", "-o", path, "nothing"]).run().fails();
        failed.warns("no image `nothing` here").whatever();
        assert!(fs::metadata(path).expect("as it was").len() > 1_000_000);
        let full = sandbox
            .skiff(["save", "-o", "/dev/full", "test/app:1"])
            .run()
            .fails();
        full.warns("cannot write `/dev/full`: No space left")
            .whatever();
        let head = sandbox.shell("$skiff save test/app:1 | head -c 100 >/dev/null; echo $?");
        head.run().succeeds().prints("0\n").whatever();
    });
}

#[test]
fn what_is_damaged_is_told_and_pulled_anew() {
    isolated(|sandbox| {
        let mut registry = Registry::start(sandbox, 5000);
        let pushed = Image::busybox().file("etc/mark", 0o644, "right");
        let digest = pushed.push(&registry.address, "app", "1");
        let name = "127.0.0.1:5000/app:1";
        let pull = image(sandbox, &["pull", name]).succeeds();
        let text = format!("Digest: {digest}\nStatus: Downloaded newer image for {name}\n{name}\n");
        pull.prints(&text).whatever();
        let again = image(sandbox, &["pull", "-q", name]).succeeds();
        again.prints(&format!("{name}\n")).whatever();
        load(sandbox, "test/app:1", "loaded");
        let verify = |args: &[&str]| image(sandbox, &[&["verify"], args].concat());
        let fine = verify(&[]).succeeds();
        fine.says(&format!("{name}: OK\n"))
            .says("test/app:1: OK\n")
            .whatever();

        let folder = |name: &str| {
            let format = "{{.GraphDriver.Data.UpperDir}}";
            let seen = image(sandbox, &["inspect", "-f", format, name]).succeeds();
            std::path::PathBuf::from(seen.stdout.trim())
        };
        for name in [name, "test/app:1"] {
            fs::write(folder(name).join("etc/mark"), "wrong").expect("a file");
        }
        let damaged = verify(&[name]).ends_with(1);
        damaged
            .says("`etc/mark` has another")
            .warns("--repair")
            .whatever();
        registry.stop();
        let failed = verify(&["--repair", name]).ends_with(1);
        failed.warns("127.0.0.1:5000").whatever();
        assert!(folder(name).exists(), "a damaged layer is better than none");
        registry = Registry::start(sandbox, 5000);
        let repaired = verify(&["--repair", name]).succeeds();
        repaired.says(&format!("{name}: repaired\n")).whatever();
        assert_eq!(
            fs::read_to_string(folder(name).join("etc/mark")).expect("a file"),
            "right"
        );
        let loaded = verify(&["--repair", "test/app:1"]).ends_with(1);
        loaded
            .warns("`test/app:1` came from no registry")
            .whatever();
        drop(registry);
    });
}

#[test]
fn a_layer_is_repaired_for_all_images_that_share_it() {
    isolated(|sandbox| {
        let registry = Registry::start(sandbox, 5000);
        let tags = ["127.0.0.1:5000/app:1", "127.0.0.1:5000/app:2"];
        for (tag, name) in ["1", "2"].iter().zip(tags) {
            let pushed = Image::busybox()
                .file("etc/mark", 0o644, "right")
                .config("Labels", json!({"tag": tag}));
            pushed.push(&registry.address, "app", tag);
            image(sandbox, &["pull", "-q", name]).succeeds().whatever();
        }
        for (child, base) in [("test/child:1", tags[0]), ("test/child:2", tags[1])] {
            let text = format!("FROM {base}\nLABEL child={child}\n");
            let command = sandbox.skiff(["image", "build", "-q", "-t", child, "-"]);
            command.input(text).run().succeeds().whatever();
        }
        let format = "{{.GraphDriver.Data.UpperDir}}";
        let seen = image(sandbox, &["inspect", "-f", format, tags[0]]).succeeds();
        let mark = std::path::Path::new(seen.stdout.trim()).join("etc/mark");
        fs::write(mark, "wrong").expect("a file");

        let repaired = image(sandbox, &["verify", "--repair"]).succeeds();
        let told = |name: &str| repaired.stdout.contains(&format!("{name}: repaired\n"));
        for name in [tags[0], tags[1], "test/child:1", "test/child:2"] {
            assert!(told(name), "{name}: {repaired}");
        }
        assert!(!repaired.stderr.contains("no registry"), "{repaired}");
        image(sandbox, &["verify"]).succeeds().whatever();
    });
}
