//! Images for other machines, and for several at a time. There is no emulator here, so
//! the base "for arm64" is one in name only.

use serde_json::json;

use super::with_dockerfile;
use crate::support::{Image, Registry, http_get, http_request, isolated};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// A base image for two platforms at a registry; each has a file that tells.
fn push_base(registry: &Registry, name: &str) {
    let mut members = Vec::new();
    for architecture in ["amd64", "arm64"] {
        let image = Image::busybox()
            .architecture(architecture)
            .file("etc/is", 0o644, architecture);
        let digest = image.push(&registry.address, name, architecture);
        let path = format!("/v2/{name}/manifests/{architecture}");
        let manifest = http_get(&registry.address, &path).expect("a manifest");
        members.push(json!({
            "mediaType": manifest.header("content-type").expect("a media type"),
            "digest": digest,
            "size": manifest.body.len(),
            "platform": {"os": "linux", "architecture": architecture},
        }));
    }
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": members});
    let body = index.to_string().into_bytes();
    let path = format!("/v2/{name}/manifests/1");
    http_request(
        &registry.address,
        "PUT",
        &path,
        &[("Content-Type", INDEX)],
        &body,
    )
    .expect("an answer");
}

/// The index under a name: the architectures of its members.
fn pushed(registry: &Registry, path: &str) -> Vec<String> {
    let headers = [("Accept", INDEX)];
    let answer = http_request(&registry.address, "GET", path, &headers, &[]);
    let index: serde_json::Value =
        serde_json::from_slice(&answer.expect("an answer").body).unwrap();
    let members = index["manifests"].as_array().expect("an index");
    let name = |member: &serde_json::Value| {
        let name = member["platform"]["architecture"].as_str();
        name.unwrap_or_default().to_owned()
    };
    members.iter().map(name).collect()
}

#[test]
fn several_platforms_are_built_and_pushed_as_one_name() {
    isolated(|sandbox| {
        let registry = Registry::start(sandbox, 5000);
        push_base(&registry, "base");
        let text = "FROM 127.0.0.1:5000/base:1\nARG TARGETARCH\nRUN cat /etc/is > /was\n\
                    RUN echo $TARGETARCH >> /was\nCMD true\n";
        let project = with_dockerfile(sandbox, "many", text);
        project.write(
            "compose.yaml",
            "services:\n  web:\n    image: 127.0.0.1:5000/own/web:1\n    command: [sleep, '1000']\n    \
             init: true\n    build:\n      context: .\n      platforms: [linux/arm64, linux/amd64]\n",
        );
        let built = project.skiff(["build"]).run().succeeds();
        let built = built
            .warns("[web linux/arm64 2/3] RUN cat /etc/is > /was")
            .warns("[web linux/amd64 2/3] RUN cat /etc/is > /was");
        // What is to be said of the file is said once.
        assert_eq!(
            built.stderr.matches("JSONArgsRecommended").count(),
            1,
            "{built}"
        );
        // The name is the one for this machine; the other is no image of its own.
        let list = ["image", "ls", "--format", "{{.Repository}}:{{.Tag}}"];
        let list = project.skiff(list).run().succeeds();
        assert_eq!(list.stdout.matches("own/web").count(), 1, "{list}");
        let own = project
            .skiff(["image", "inspect", "127.0.0.1:5000/own/web:1"])
            .run();
        assert_eq!(own.succeeds().json()[0]["Architecture"], "amd64");
        project.up().whatever();
        assert_eq!(project.sh("web", "cat /was"), "amd64amd64\n");
        project.down();
        project.skiff(["push"]).run().succeeds().whatever();
        let path = "/v2/own/web/manifests/1";
        assert_eq!(pushed(&registry, path), ["amd64", "arm64"]);
        // Nothing is built again.
        let again = project.skiff(["build"]).run().succeeds();
        assert_eq!(super::carried_out(&again), Vec::<String>::new(), "{again}");
        // Garbage takes it as one.
        project
            .skiff(["image", "prune", "-f"])
            .run()
            .succeeds()
            .whatever();
        project.skiff(["push"]).run().succeeds().whatever();
        assert_eq!(pushed(&registry, path), ["amd64", "arm64"]);
        project.write(
            "compose.yaml",
            "services:\n  web: {image: '127.0.0.1:5000/own/web:1', build: .}\n",
        );
        project
            .skiff(["build", "--push"])
            .run()
            .succeeds()
            .whatever();
        let answer = http_get(&registry.address, path).expect("an answer");
        assert!(!answer.text().contains("arm64"), "{}", answer.text());
    });
}

#[test]
fn one_platform_of_several_is_pushed_alone() {
    isolated(|sandbox| {
        let registry = Registry::start(sandbox, 5000);
        let text = "FROM scratch\nARG TARGETARCH\nCOPY a /$TARGETARCH\n";
        let project = with_dockerfile(sandbox, "alone", text);
        project.write("a", "a\n");
        let name = format!("{}/alone:1", registry.address);
        let both = "linux/amd64,linux/arm64";
        let build = ["image", "build", "--platform", both, "-t", &name, "."];
        project.skiff(build).run().succeeds().whatever();
        let push = ["image", "push", "--platform", "linux/arm64", &name];
        project.skiff(push).run().succeeds().whatever();
        let pull = |platform: &str| {
            let pull = ["image", "pull", "--platform", platform, &name];
            project.skiff(pull).run()
        };
        pull("linux/arm64").succeeds().whatever();
        pull("linux/amd64")
            .ends_with(1)
            .warns("only for linux/arm64")
            .whatever();
    });
}

#[test]
fn a_stage_may_be_for_another_platform_than_the_image() {
    isolated(|sandbox| {
        let registry = Registry::start(sandbox, 5000);
        push_base(&registry, "base");
        let text = "FROM --platform=$BUILDPLATFORM own/base:1 AS tool\nRUN cat /etc/is > /was\n\
                    FROM own/base:1\nCOPY --from=tool /was /was\nRUN cat /was /etc/is; echo\n";
        let project = with_dockerfile(sandbox, "stages", text);
        project.write(
            "compose.yaml",
            "services:\n  base:\n    image: own/base:1\n    build:\n      \
             dockerfile_inline: FROM 127.0.0.1:5000/base:1\n      \
             platforms: [linux/amd64, linux/arm64]\n  \
             app: {image: 'own/app:1', build: {context: ., platforms: [linux/arm64]}}\n",
        );
        let built = project.skiff(["build"]).run().succeeds();
        built.warns(" amd64arm64\n").whatever();
    });
}

#[test]
fn an_image_for_another_machine_leaves_the_bases_name_alone() {
    isolated(|sandbox| {
        let registry = Registry::start(sandbox, 5000);
        push_base(&registry, "base");
        let text = "FROM 127.0.0.1:5000/base:1\nRUN cat /etc/is > /was\n";
        let project = with_dockerfile(sandbox, "other", text);
        let base = "127.0.0.1:5000/base:1";
        project
            .skiff(["image", "pull", base])
            .run()
            .succeeds()
            .whatever();
        let build = [
            "image",
            "build",
            "-t",
            "own/arm",
            "--platform",
            "linux/arm64",
            ".",
        ];
        project.skiff(build).run().succeeds().whatever();
        let architecture = |name: &str| {
            let inspect = project.skiff(["image", "inspect", name]).run();
            inspect.succeeds().json()[0]["Architecture"].clone()
        };
        assert_eq!(architecture("own/arm"), "arm64");
        assert_eq!(architecture(base), "amd64");
        // What is here for this machine only, and nowhere else.
        let text = "FROM test/busybox\nRUN true\n";
        project.write("Dockerfile", text);
        let build = ["image", "build", "--platform", "linux/arm64", "."];
        let failed = project.skiff(build).run().fails();
        failed
            .warns("test/busybox")
            .warns("Dockerfile:1:")
            .whatever();
    });
}

#[test]
fn a_command_of_another_machine_needs_an_emulator() {
    isolated(|sandbox| {
        // The beginning of a program for arm64 (elf(5)), and no more of it.
        let mut program = vec![0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        program.extend([2, 0, 183, 0, 1, 0, 0, 0]);
        program.resize(128, 0);
        let image = Image::empty()
            .dir("bin", 0o755)
            .file("bin/sh", 0o755, program)
            .architecture("arm64");
        sandbox.load(&image, "own/arm");
        let text = "FROM own/arm\nCOPY x /x\nRUN echo hello\n";
        let project = with_dockerfile(sandbox, "emulator", text);
        project.write("x", "x");
        let failed = project
            .skiff(["image", "build", "--platform", "linux/arm64", "."])
            .run()
            .fails();
        failed
            .warns("this machine cannot run programs for linux/arm64")
            .warns("Dockerfile:3:1")
            .warns("sudo apt-get install qemu-user-static")
            .whatever();
    });
}

#[test]
fn the_files_of_each_platform_are_written_to_a_folder_of_its_own() {
    isolated(|sandbox| {
        let text = "FROM scratch\nARG TARGETARCH\nCOPY a /$TARGETARCH\n";
        let project = with_dockerfile(sandbox, "apart", text);
        project.write("a", "a\n");
        let both = [
            "image",
            "build",
            "--platform",
            "linux/amd64,linux/arm64",
            ".",
        ];
        let build = |output: &str| {
            let command = project.skiff(both);
            command.args(["-o", output]).run()
        };
        build("out").succeeds().whatever();
        for arch in ["amd64", "arm64"] {
            let file = project.dir.join(format!("out/linux_{arch}/{arch}"));
            assert!(file.exists(), "{file:?}");
        }
        build("type=docker,dest=i.tar")
            .ends_with(1)
            .warns("has room for one platform")
            .whatever();
    });
}
