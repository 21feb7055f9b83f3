//! `load` and `pull`: archives, registries, layers, and what is kept.

use serde_json::json;

use crate::support::{Image, Registry, http_request, isolated};

fn page(image: &str) -> String {
    format!("services:\n  a: {{image: \"{image}\", command: [cat, /etc/mark]}}\n")
}

/// What the only service of a one-off project prints.
fn mark(sandbox: &crate::support::Sandbox, name: &str, image: &str) -> String {
    let project = sandbox.project(name, &page(image));
    let run = project.skiff(["run", "--rm", "-T", "a"]).run().succeeds();
    project.down();
    run.stdout
}

#[test]
fn both_kinds_of_archive_load_from_file_and_from_stdin() {
    isolated(|sandbox| {
        let image = |mark: &str| Image::busybox().file("etc/mark", 0o644, mark);
        let load = sandbox
            .skiff(["load"])
            .input(image("one\n").docker_archive("test/one:1"))
            .run();
        load.succeeds().says("test/one:1").whatever();
        let load = sandbox
            .skiff(["load"])
            .input(image("two\n").oci_archive("test/two:1"))
            .run();
        load.succeeds().whatever();
        for (name, archive) in [
            ("three", image("three\n").docker_archive("test/three:1")),
            ("four", image("four\n").oci_archive("test/four:1")),
        ] {
            let path = sandbox.work().join(format!("{name}.tar"));
            fs_err::write(&path, archive).expect("an archive");
            sandbox
                .skiff(["load".as_ref(), "-i".as_ref(), path.as_os_str()])
                .run()
                .succeeds()
                .whatever();
        }
        for name in ["one", "two", "three", "four"] {
            assert_eq!(
                mark(sandbox, name, &format!("test/{name}:1")),
                format!("{name}\n")
            );
        }
        let load = |bytes: &[u8]| sandbox.skiff(["load"]).input(bytes).run().fails();
        load(b"no archive at all").whatever();
        load(b"").warns("it is empty").whatever();
        let archive = image("cut\n").docker_archive("test/cut:1");
        for share in [3, 2] {
            let cut = load(&archive[..archive.len() / share]);
            cut.warns("ends too early").whatever();
        }
    });
}

#[test]
fn layers_hide_replace_and_add() {
    isolated(|sandbox| {
        let image = Image::busybox()
            .dir("d", 0o755)
            .file("d/gone", 0o644, "1")
            .file("d/changed", 0o644, "old")
            .dir("opaque", 0o755)
            .file("opaque/below", 0o644, "1")
            .dir("kept", 0o2711)
            .layer()
            .whiteout("d", "gone")
            .file("d/changed", 0o600, "new")
            .file("kept/implied", 0o644, "")
            .dir("opaque", 0o700)
            .file("opaque/.wh..wh..opq", 0o644, "")
            .file("opaque/above", 0o644, "2");
        sandbox.load(&image, "test/layers:1");
        let compose = "services:\n  a: {image: \"test/layers:1\"}\n";
        let project = sandbox.project("layers", compose);
        let script = "ls /d /opaque; cat /d/changed; echo; stat -c '%a' /d/changed /opaque /kept";
        let run = project
            .skiff(["run", "--rm", "-T", "a", "sh", "-c", script])
            .run()
            .succeeds();
        run.prints("/d:\nchanged\n\n/opaque:\nabove\nnew\n600\n700\n2711\n")
            .whatever();
        project.down();
    });
}

#[test]
fn a_pull_from_a_registry_and_what_it_does_not_do_twice() {
    isolated(|sandbox| {
        let mut registry = Registry::start(sandbox, 5000);
        Image::busybox().file("etc/mark", 0o644, "first\n").push(
            "127.0.0.1:5000",
            "mark",
            "latest",
        );
        let project = sandbox.project("pull", &page("127.0.0.1:5000/mark"));
        let pull = project.skiff(["pull"]).run().succeeds();
        assert_eq!(pull.stdout, "", "{pull}");
        assert!(
            pull.stderr.starts_with(" a Pulling\n") && pull.stderr.ends_with(" a Pulled\n"),
            "told by service\n{pull}"
        );
        let run = || {
            project
                .skiff(["run", "--rm", "-T", "a"])
                .run()
                .succeeds()
                .stdout
        };
        assert_eq!(run(), "first\n");
        Image::busybox().file("etc/mark", 0o644, "second\n").push(
            "127.0.0.1:5000",
            "mark",
            "latest",
        );
        assert_eq!(run(), "first\n", "an image that is there is not asked for");
        project.skiff(["pull"]).run().succeeds().whatever();
        assert_eq!(run(), "second\n");
        registry.stop();
        assert_eq!(run(), "second\n");
        project
            .skiff(["up", "-d", "--pull", "always"])
            .run()
            .fails()
            .warns("127.0.0.1:5000")
            .whatever();
        project.down();
    });
}

#[test]
fn a_manifest_list_yields_this_machines_image() {
    isolated(|sandbox| {
        let registry = Registry::start(sandbox, 5000);
        let digest = |mark: &str| {
            Image::busybox().file("etc/mark", 0o644, mark).push(
                &registry.address,
                "multi",
                mark.trim(),
            )
        };
        let (right, wrong) = (digest("right\n"), digest("wrong\n"));
        let architecture = if cfg!(target_arch = "aarch64") {
            "arm64"
        } else {
            "amd64"
        };
        let entry = |digest: &str, architecture: &str| {
            json!({
                "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest, "size": 1,
                "platform": {"os": "linux", "architecture": architecture},
            })
        };
        let kind = "application/vnd.oci.image.index.v1+json";
        let size = |digest: &str| {
            let accept = [("Accept", "application/vnd.oci.image.manifest.v1+json")];
            let path = format!("/v2/multi/manifests/{digest}");
            http_request(&registry.address, "GET", &path, &accept, &[])
                .expect("a manifest")
                .body
                .len()
        };
        let mut manifests = vec![entry(&wrong, "s390x"), entry(&right, architecture)];
        manifests[0]["size"] = json!(size(&wrong));
        manifests[1]["size"] = json!(size(&right));
        let index =
            json!({"schemaVersion": 2, "mediaType": kind, "manifests": manifests}).to_string();
        let put = http_request(
            &registry.address,
            "PUT",
            "/v2/multi/manifests/all",
            &[("Content-Type", kind)],
            index.as_bytes(),
        );
        assert_eq!(put.expect("an answer").status, 201);
        assert_eq!(
            mark(sandbox, "multi", "127.0.0.1:5000/multi:all"),
            "right\n"
        );
        let compose =
            page("127.0.0.1:5000/multi:all").replace("command", "platform: linux/riscv64, command");
        let project = sandbox.project("other", &compose);
        let refused = project.skiff(["up", "-d"]).run().fails();
        assert!(refused.stderr.contains("riscv64"), "{refused}");
        project.down();
        // The platform of what names none, from the shell and from `.env`.
        let compose =
            page("127.0.0.1:5000/multi:all").replace("command", "pull_policy: always, command");
        let project = sandbox.project("default", &compose);
        for command in [&["pull"][..], &["up", "-d"]] {
            let pull = project.skiff(command);
            let refused = pull
                .env("DOCKER_DEFAULT_PLATFORM", "linux/riscv64")
                .run()
                .fails();
            assert!(refused.stderr.contains("riscv64"), "{refused}");
        }
        let wrong = project
            .skiff(["up", "-d"])
            .env("DOCKER_DEFAULT_PLATFORM", "a/b/c/d");
        wrong
            .run()
            .ends_with(1)
            .warns("DOCKER_DEFAULT_PLATFORM")
            .whatever();
        project.write(".env", "DOCKER_DEFAULT_PLATFORM=linux/riscv64\n");
        let refused = project.skiff(["pull"]).run().fails();
        assert!(refused.stderr.contains("riscv64"), "{refused}");
        let own = format!("linux/{architecture}");
        let pull = project.skiff(["pull"]).env("DOCKER_DEFAULT_PLATFORM", &own);
        pull.run().succeeds().whatever();
        drop(registry);
    });
}

#[test]
fn pull_policies_are_followed() {
    isolated(|sandbox| {
        let registry = Registry::start(sandbox, 5000);
        let push = |mark: &str| {
            Image::busybox().file("etc/mark", 0o644, mark).push(
                &registry.address,
                "mark",
                "latest",
            );
        };
        push("first\n");
        let with = |policy: &str| {
            page("127.0.0.1:5000/mark")
                .replace("command", &format!("pull_policy: {policy}, command"))
        };
        let project = sandbox.project("policy", &with("never"));
        project
            .skiff(["run", "--rm", "-T", "a"])
            .run()
            .fails()
            .warns("127.0.0.1:5000/mark")
            .whatever();
        let run = || {
            project
                .skiff(["run", "--rm", "-T", "a"])
                .run()
                .succeeds()
                .stdout
        };
        project.write("compose.yaml", &with("missing"));
        assert_eq!(run(), "first\n");
        push("second\n");
        assert_eq!(run(), "first\n");
        project.write("compose.yaml", &with("always"));
        assert_eq!(run(), "second\n");
        project.down();
        drop(registry);
    });
}

/// Two services, one image: its layers are fetched once.
#[test]
fn one_image_for_many_services_is_pulled_once() {
    isolated(|sandbox| {
        let registry = Registry::start(sandbox, 5000);
        let blob = vec![7_u8; 4 << 20];
        Image::busybox()
            .file("blob", 0o644, blob)
            .push(&registry.address, "big", "1");
        let service = |name: &str| {
            format!("  {name}: {{image: \"127.0.0.1:5000/big:1\", command: \"true\"}}\n")
        };
        let all: String = (0..6).map(|n| service(&format!("s{n}"))).collect();
        let project = sandbox.project("once", &format!("services:\n{all}"));
        project.up().whatever();
        let blobs = fs_err::read_dir(sandbox.data().join("images/blobs/sha256"))
            .expect("a content store")
            .count();
        assert!(blobs <= 3, "config, layer, manifest: {blobs}");
        project.down();
        drop(registry);
    });
}

#[test]
fn the_toolbox_image_needs_no_registry() {
    isolated(|sandbox| {
        let project = sandbox.project(
            "box",
            "services:\n  a: {image: skiff/toolbox, command: [echo, hi]}\n",
        );
        project
            .skiff(["run", "--rm", "-T", "a"])
            .run()
            .succeeds()
            .prints("hi\n")
            .whatever();
        project.down();
    });
}

/// `command: []` takes the image's command away, and its entrypoint stays.
#[test]
fn an_empty_command_leaves_the_images_entrypoint() {
    isolated(|sandbox| {
        let image = Image::busybox()
            .config("Entrypoint", json!(["echo", "entry"]))
            .config("Cmd", json!(["default"]));
        sandbox.load(&image, "test/entry:latest");
        for (name, command) in [("list", "[]"), ("text", "\"\"")] {
            let compose = format!("services:\n  a: {{image: test/entry, command: {command}}}\n");
            let project = sandbox.project(name, &compose);
            project.up().whatever();
            let logs = project.skiff(["logs", "-f", "--no-log-prefix"]).run();
            logs.succeeds().prints("entry\n").whatever();
            project.down();
        }
        let compose = "services:\n  a:\n    image: test/busybox\n    command: []\n";
        sandbox.load_busybox();
        let project = sandbox.project("nothing", compose);
        let output = project.skiff(["up", "-d"]).run().fails();
        for part in ["no command specified", "test/busybox", "compose.yaml:4:5"] {
            assert!(output.stderr.contains(part), "{part}\n{output}");
        }
    });
}
