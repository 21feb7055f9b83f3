//! Images that builds start from, wherever they are: by digest at a registry, in a folder
//! of the OCI layout.

use fs_err as fs;

use super::{build, carried_out, with_dockerfile};
use crate::support::{Image, Registry, isolated};

#[test]
fn an_image_in_a_folder_takes_the_place_of_another() {
    isolated(|sandbox| {
        let layout = sandbox.work().join("layouts/layout");
        fs::create_dir_all(layout.join("layout")).unwrap();
        let image = Image::busybox()
            .file("said", 0o644, "in the layout\n")
            .layer();
        fs::write(layout.join("archive"), image.oci_archive("1.0")).unwrap();
        sandbox
            .shell("tar xf archive -C layout")
            .dir(&layout)
            .run()
            .succeeds()
            .whatever();
        let with_context = |context: &str| {
            format!(
                "services: {{web: {{build: {{context: ., additional_contexts: {{alpine: '{context}'}}}}, \
                 command: [sleep, '1000'], init: true}}}}"
            )
        };
        let project = with_dockerfile(
            sandbox,
            "layouts",
            "FROM alpine\nCOPY --from=alpine /said /copied\nRUN cat /said\n",
        );
        project.write(
            "compose.yaml",
            &with_context("oci-layout://layout/layout:1.0"),
        );
        let output = build(&project);
        assert!(output.stderr.contains(" in the layout\n"), "{output}");
        project.up().whatever();
        assert_eq!(project.sh("web", "cat /copied"), "in the layout\n");
        project.down();
        // What was only started from is no image of the store's.
        let listed = project
            .skiff(["image", "ls", "-a", "--format", "{{.Repository}}"])
            .run()
            .succeeds();
        let mut names: Vec<&str> = listed.stdout.lines().collect();
        names.sort_unstable();
        assert_eq!(names, ["layouts-web", "test/busybox"]);
        assert_eq!(carried_out(&build(&project)), Vec::<String>::new());

        // Whatever its name, by digest.
        let index = fs::read_to_string(layout.join("layout/index.json")).unwrap();
        let index: serde_json::Value = serde_json::from_str(&index).unwrap();
        let digest = index["manifests"][0]["digest"].as_str().unwrap();
        let by_digest = format!("oci-layout://layout/layout@{digest}");
        project.write("compose.yaml", &with_context(&by_digest));
        assert_eq!(carried_out(&build(&project)), Vec::<String>::new());

        for (context, told) in [
            (
                "oci-layout://layout/layout:2.0",
                "it has no image `2.0`; it has: 1.0",
            ),
            ("oci-layout://nothing", "there is no `index.json` in it"),
        ] {
            project.write("compose.yaml", &with_context(context));
            let failed = project.skiff(["build"]).run().fails();
            assert!(failed.stderr.contains(told), "{failed}");
            assert!(failed.stderr.contains("Dockerfile:1:"), "{failed}");
        }
    });
}

#[test]
fn steps_tell_which_image_they_start_from() {
    isolated(|sandbox| {
        let registry = Registry::start(sandbox, 5000);
        let address = &registry.address;
        let image = Image::busybox()
            .file("said", 0o644, "of the registry\n")
            .layer();
        let digest = image.push(address, "base", "1");
        let project = with_dockerfile(
            sandbox,
            "pinned",
            &format!("FROM {address}/base:1\nCOPY --from=tools /said /copied\nRUN cat /copied\n"),
        );
        project.write(
            "compose.yaml",
            &format!(
                "services: {{web: {{build: {{context: ., additional_contexts: \
                 {{tools: 'docker-image://{address}/base@{digest}'}}}}}}}}"
            ),
        );
        let output = build(&project);
        for wanted in [
            format!("[web stage-0 1/3] FROM {address}/base:1@{digest}\n"),
            format!("[web context tools] {address}/base@{digest}\n"),
            " of the registry\n".to_owned(),
        ] {
            assert!(output.stderr.contains(&wanted), "{wanted}: {output}");
        }
        assert_eq!(carried_out(&build(&project)), Vec::<String>::new());
    });
}
