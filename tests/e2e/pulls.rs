//! When images are pulled, what is told meanwhile, and the digests of `config`.

use fs_err as fs;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::support::{Image, Line, Registry, Sandbox, Terminal, Trouble, Way, isolated, noise};

const NAME: &str = "127.0.0.1:5000/mark";

fn push(mark: &str) -> String {
    Image::busybox()
        .file("etc/mark", 0o644, mark)
        .push("127.0.0.1:5000", "mark", "latest")
}

/// Makes the store believe that it pulled its images so many seconds ago.
fn age(sandbox: &Sandbox, seconds: i64) {
    let path = sandbox.data().join("images/index.json");
    let mut index: Value =
        serde_json::from_slice(&fs::read(&path).expect("an index")).expect("JSON");
    let then = Timestamp::now() - jiff::SignedDuration::from_secs(seconds);
    for image in index["images"].as_array_mut().expect("images") {
        image["pulled"] = json!(then.to_string());
    }
    fs::write(&path, index.to_string()).expect("written");
}

#[test]
fn each_pull_policy_is_followed() {
    const HOUR: i64 = 3600;

    isolated(|sandbox| {
        let registry = Registry::start(sandbox, 5000);
        let project = sandbox.project("policy", "");
        let run = |policy: &str| {
            let compose = format!(
                "services:\n  a: {{image: {NAME}, pull_policy: {policy}, command: [cat, /etc/mark]}}\n"
            );
            project.write("compose.yaml", &compose);
            project.skiff(["run", "--rm", "-T", "a"]).run()
        };
        push("1\n");
        let missing = run("never").fails();
        missing.warns(NAME).warns("compose.yaml:2").whatever();
        run("if_not_present").succeeds().prints("1\n").whatever();
        push("2\n");
        for (policy, old, expected) in [
            ("missing", 1000 * HOUR, "1\n"),
            ("if_not_present", 1000 * HOUR, "1\n"),
            ("never", 1000 * HOUR, "1\n"),
            ("daily", 23 * HOUR, "1\n"),
            ("weekly", 6 * 24 * HOUR, "1\n"),
            ("every_12h", 11 * HOUR, "1\n"),
            ("every_1w2d", 8 * 24 * HOUR, "1\n"),
            ("daily", 25 * HOUR, "2\n"),
        ] {
            age(sandbox, old);
            run(policy).succeeds().prints(expected).whatever();
        }
        for (policy, old) in [
            ("weekly", 8 * 24 * HOUR),
            ("every_12h", 13 * HOUR),
            ("every_1w2d", 10 * 24 * HOUR),
            ("every_90s", 91),
            ("always", 0),
        ] {
            let mark = format!("{policy}\n");
            push(&mark);
            age(sandbox, old);
            run(policy).succeeds().prints(&mark).whatever();
        }
        run("every_second").fails().warns("every_second").whatever();
        project.write("compose.yaml", "services: {}\n");
        project.down();
        drop(registry);
    });
}

#[test]
fn flags_of_pull_choose_images() {
    isolated(|sandbox| {
        let registry = Registry::start(sandbox, 5000);
        push("1\n");
        let compose = format!(
            "services:\n  a: {{image: {NAME}, depends_on: [dep]}}\n  \
             dep: {{image: \"{NAME}:latest\"}}\n  \
             built: {{image: \"127.0.0.1:5000/built\", build: .}}\n  \
             gone: {{image: \"127.0.0.1:5000/gone\"}}\n"
        );
        let project = sandbox.project("pull", &compose);
        let pull = |args: &[&str]| project.skiff(["pull"].iter().chain(args)).run();
        let failed = pull(&[]).ends_with(1);
        failed.warns("127.0.0.1:5000/gone").whatever();
        // What can be built is a warning.
        let ignored = pull(&["--ignore-pull-failures"]).succeeds();
        ignored
            .warns("cannot pull `127.0.0.1:5000/gone`")
            .warns("cannot pull `127.0.0.1:5000/built`")
            .whatever();
        let left_out = pull(&["--ignore-pull-failures", "--ignore-buildable"]).succeeds();
        assert!(!left_out.stderr.contains("built"), "{left_out}");
        let one = pull(&["a"]).succeeds();
        assert!(
            one.stderr.contains(" a Pulled\n") && !one.stderr.contains("dep"),
            "{one}"
        );
        let compose = compose.replace("{NAME}:latest", "127.0.0.1:5000/gone");
        project.write(
            "compose.yaml",
            &compose.replace(&format!("{NAME}:latest"), "127.0.0.1:5000/gone"),
        );
        pull(&["--include-deps", "a"])
            .fails()
            .warns("127.0.0.1:5000/gone")
            .whatever();
        let quiet = pull(&["-q", "a"]).succeeds();
        assert_eq!((quiet.stdout.as_str(), quiet.stderr.as_str()), ("", ""));
        // What is here needs no registry.
        let mut registry = registry;
        registry.stop();
        pull(&["--policy", "missing", "a"]).succeeds().whatever();
        pull(&["--policy", "always", "a"])
            .fails()
            .warns("connection refused")
            .whatever();
        for flags in [&["-a"][..], &["--all-tags"]] {
            let words = ["image", "pull"].iter().chain(flags).chain(&[NAME]);
            let refused = sandbox.skiff(words).run().ends_with(1);
            refused
                .warns("--all-tags: skiff pulls one tag at a time")
                .whatever();
        }
        pull(&["--policy", "often", "a"])
            .fails()
            .warns("often")
            .whatever();
        project.down();
    });
}

#[test]
fn progress_tells_bytes_speed_and_time_left() {
    isolated(|sandbox| {
        let _registry = Registry::start(sandbox, 5000);
        Image::empty()
            .file("noise", 0o644, noise(8 << 20))
            .push("127.0.0.1:5000", "big", "1");
        let compose = "services:\n  a: {image: \"127.0.0.1:5009/big:1\"}\n";
        let project = sandbox.project("bar", compose);
        let line = Line::start(
            ("127.0.0.1:5009", "127.0.0.1:5000"),
            (Way::Down, Trouble::Stops),
            4 << 20,
        );
        let pull = project.skiff(["pull"]).env("TERM", "xterm");
        let mut terminal = Terminal::start_sized(&pull, 24, 120);
        // `4.00 MiB/8.00 MiB 3.1 MiB/s 1s`
        terminal.wait_all(&["Downloading", "MiB/8.", " MiB/s ", "="]);
        line.go();
        let (code, rows) = terminal.finish_rows();
        let shown = rows.join("\n");
        assert_eq!(code, 0, "{shown}");
        assert!(
            shown.contains("Pull complete") && shown.contains("Pulled"),
            "{shown}"
        );

        sandbox
            .skiff(["image", "rm", "127.0.0.1:5009/big:1"])
            .run()
            .succeeds()
            .whatever();
        sandbox
            .skiff(["image", "prune", "-af"])
            .run()
            .succeeds()
            .whatever();
        line.go();
        let pull = project
            .skiff(["--progress", "json", "pull"])
            .run()
            .succeeds();
        let lines: Vec<Value> = pull
            .stderr
            .lines()
            .map(|line| serde_json::from_str(line).expect("a line of JSON"))
            .collect();
        let bytes: Vec<(u64, u64)> = lines
            .iter()
            .filter(|line| line["status"] == "Downloading")
            .map(|line| {
                let number = |name: &str| line[name].as_u64().expect("a number");
                (number("current"), number("total"))
            })
            .collect();
        let (last, total) = *bytes.last().expect("progress");
        assert!(last == total && total > 8 << 20, "{bytes:?}");
        assert!(
            bytes.windows(2).all(|pair| pair[0].0 <= pair[1].0),
            "{bytes:?}"
        );
        assert!(
            lines
                .iter()
                .any(|line| line["id"] == "Image a" && line["status"] == "Pulled"),
            "{pull}"
        );
        project.down();
    });
}

/// As Docker Compose 2.40 prints it, asked with the same files.
#[test]
fn config_gives_images_their_digests() {
    isolated(|sandbox| {
        let registry = Registry::start(sandbox, 5000);
        let digest = push("1\n");
        let zero = "0".repeat(64);
        let compose = format!(
            "name: p\nservices:\n  a: {{image: {NAME}}}\n  b: {{image: \"{NAME}:latest\", build: .}}\n  \
             c: {{build: .}}\n  d: {{image: \"{NAME}:1@sha256:{zero}\"}}\n"
        );
        let project = sandbox.project("p", &compose);
        let pinned = format!("    image: {NAME}:latest@{digest}\n");
        let full = project
            .skiff(["config", "--resolve-image-digests"])
            .run()
            .succeeds();
        assert_eq!(full.stdout.matches(&pinned).count(), 2, "{full}");
        let by_digest = format!("    image: {NAME}@sha256:{zero}\n");
        assert!(full.stdout.contains(&by_digest), "{full}");
        assert!(full.stdout.starts_with("name: p\n"), "{full}");
        let lock = project
            .skiff(["config", "--lock-image-digests"])
            .run()
            .succeeds();
        lock.prints(&format!(
            "services:\n  a:\n{pinned}  b:\n{pinned}  c: {{}}\n  d:\n{by_digest}"
        ))
        .whatever();
        let raw = project
            .skiff(["config", "--lock-image-digests", "--no-interpolate"])
            .run()
            .succeeds();
        assert_eq!(raw.stdout.matches(&pinned).count(), 2, "{raw}");
        let json = project
            .skiff(["config", "--resolve-image-digests", "--format", "json"])
            .run()
            .succeeds();
        let value = json.json();
        assert_eq!(
            value["services"]["a"]["image"],
            json!(format!("{NAME}:latest@{digest}"))
        );
        // Merged over the file, the lock pins what runs.
        project.write(
            "lock.yaml",
            &project
                .skiff(["config", "--lock-image-digests"])
                .run()
                .stdout,
        );
        push("2\n");
        let files = [
            "-f",
            "compose.yaml",
            "-f",
            "lock.yaml",
            "config",
            "--images",
            "a",
        ];
        project
            .skiff(files)
            .run()
            .succeeds()
            .prints(&format!("{NAME}:latest@{digest}\n"))
            .whatever();
        let gone = "services:\n  a: {image: \"127.0.0.1:5000/gone:1\"}\n";
        project.write("compose.yaml", gone);
        for flags in [
            &["--resolve-image-digests"][..],
            &["--lock-image-digests", "-q"],
        ] {
            let words = ["config"].iter().chain(flags);
            let refused = project.skiff(words).run().ends_with(1);
            refused
                .warns("cannot tell the digest of `127.0.0.1:5000/gone:1`")
                .whatever();
        }
        drop(registry);
    });
}

/// The machine's files are read by the binary as they are.
#[test]
fn mirrors_and_blocked_names_come_from_the_machine_s_files() {
    isolated(|sandbox| {
        let _registry = Registry::start(sandbox, 5000);
        push("mirrored\n");
        let rules = "[[registry]]\nlocation='far.example'\n\
            [[registry.mirror]]\nlocation='127.0.0.1:5000'\n\
            [[registry]]\nprefix='bad.example'\nblocked=true\n";
        let home = sandbox.home().join(".config/containers");
        fs::create_dir_all(&home).expect("a folder");
        fs::write(home.join("registries.conf"), rules).expect("a file");
        let compose = "services:\n  a: {image: far.example/mark, command: [cat, /etc/mark]}\n  \
            b: {image: bad.example/mark, profiles: [bad]}\n";
        let project = sandbox.project("mirrored", compose);
        project
            .skiff(["run", "--rm", "-T", "a"])
            .run()
            .succeeds()
            .prints("mirrored\n")
            .whatever();
        let blocked = project.skiff(["pull", "b"]).run().fails();
        blocked
            .warns("pulling `bad.example/mark:latest` is blocked")
            .warns("compose.yaml:3:14")
            .whatever();
        // The variable takes the place of all of them.
        let other = sandbox.work().join("other.conf");
        fs::write(&other, "[[registry").expect("a file");
        let pull = project
            .skiff(["pull", "a"])
            .env("CONTAINERS_REGISTRIES_CONF", &other);
        pull.run().fails().warns("other.conf`: line 1").whatever();
        project.down();
    });
}
