//! Commands that build, and services that start from each other's images.

use super::{carried_out, with_dockerfile};
use crate::support::isolated;

#[test]
fn up_builds_what_is_missing_and_build_what_has_changed() {
    isolated(|sandbox| {
        let project = with_dockerfile(sandbox, "upb", "FROM test/busybox\nCOPY page /page\n");
        project.write("page", "one\n");
        let refused = project.skiff(["up", "-d", "--no-build"]).run().fails();
        assert!(
            refused.stderr.contains("nothing is to be built"),
            "{refused}"
        );
        let dry = project.skiff(["--dry-run", "up"]).run().succeeds();
        assert!(dry.stdout.contains("image of web: build"), "{dry}");
        project.up().whatever();
        assert_eq!(project.sh("web", "cat /page"), "one\n");
        project.write("page", "two\n");
        project.up().whatever();
        assert_eq!(
            project.sh("web", "cat /page"),
            "one\n",
            "it was not asked for"
        );
        let built = project.skiff(["up", "-d", "--build"]).run().succeeds();
        assert_eq!(carried_out(&built), ["COPY page /page"], "{built}");
        assert_eq!(project.sh("web", "cat /page"), "two\n");
        project.write("page", "three\n");
        let ran = project
            .skiff(["run", "--rm", "--build", "-T", "web", "cat", "/page"])
            .run()
            .succeeds();
        assert!(ran.stdout.ends_with("three\n"), "{ran}");
        project.down();
    });
}

#[test]
fn a_service_without_build_uses_what_another_one_builds() {
    isolated(|sandbox| {
        let project = with_dockerfile(sandbox, "both", "FROM test/busybox\nCOPY page /page\n");
        project.write(
            "compose.yaml",
            "
services:
  migrate: {image: own/app, command: [sleep, '1000'], init: true}
  web: {image: own/app, build: ., command: [sleep, '1000'], init: true}
",
        );
        project.write("page", "one\n");
        let up = project.up();
        assert!(up.stderr.contains("so it is built"), "{up}");
        assert_eq!(project.sh("migrate", "cat /page"), "one\n");
        project.write("page", "two\n");
        let built = project.skiff(["up", "-d", "--build"]).run().succeeds();
        assert_eq!(carried_out(&built), ["COPY page /page"], "{built}");
        assert_eq!(project.sh("migrate", "cat /page"), "two\n");
        let again = project.skiff(["up", "-d", "--build"]).run().succeeds();
        assert!(!again.stderr.contains("Recreate"), "{again}");
        project.down();
    });
}

#[test]
fn services_start_from_each_others_images() {
    isolated(|sandbox| {
        let project = with_dockerfile(sandbox, "chain", "FROM test/busybox\n");
        project.write(
            "compose.yaml",
            r#"
services:
  app:
    build: {dockerfile_inline: "FROM chain-base\nRUN cat /base"}
  base:
    build: {dockerfile_inline: "FROM test/busybox\nRUN sleep 0.1; echo from base > /base"}
  other:
    build:
      dockerfile_inline: "FROM first\nCOPY --from=files /x /y\nRUN cat /base /y"
      additional_contexts: {first: "service:base", files: ./files}
"#,
        );
        project.write("files/x", "from files\n");
        let output = project.skiff(["build", "app", "other"]).run().succeeds();
        assert_eq!(output.stderr.matches(" from base\n").count(), 2, "{output}");
        assert!(output.stderr.contains(" from files\n"), "{output}");
        project.write(
            "compose.yaml",
            r#"
services:
  a: {build: {dockerfile_inline: "FROM chain-b"}}
  b: {build: {dockerfile_inline: "FROM chain-a"}}
"#,
        );
        let failed = project.skiff(["build"]).run().fails();
        assert!(
            failed.stderr.contains("start from each other's images"),
            "{failed}"
        );
    });
}

#[test]
fn targets_tags_checks_and_what_would_be_built() {
    isolated(|sandbox| {
        let project = with_dockerfile(
            sandbox,
            "more",
            "FROM test/busybox as dev\nRUN echo dev > /kind\nFROM dev\nRUN echo last > /kind\n",
        );
        project.write(
            "compose.yaml",
            "services: {web: {image: 'own/name:1', build: {context: ., target: dev, tags: ['own/name:2']}, init: true, command: [sleep, '1000']}}",
        );
        let checked = project.skiff(["build", "--check"]).run().ends_with(1);
        assert!(checked.stderr.contains("FromAsCasing"), "{checked}");
        assert_eq!(
            checked.stdout,
            "Check complete, 1 warning has been found!\n"
        );
        let printed = project.skiff(["build", "--print"]).run().succeeds().json();
        let target = &printed["target"]["web"];
        assert_eq!(
            target["tags"],
            serde_json::json!(["own/name:2", "own/name:1"])
        );
        assert_eq!(target["target"], "dev");
        assert_eq!(target["context"], project.dir.to_str().unwrap());
        project.skiff(["build"]).run().succeeds().whatever();
        let names = project
            .skiff(["image", "ls", "--format", "{{.Repository}}:{{.Tag}}"])
            .run();
        let names = names.succeeds().stdout;
        assert!(
            names.contains("own/name:1\n") && names.contains("own/name:2\n"),
            "{names}"
        );
        project.up().whatever();
        assert_eq!(project.sh("web", "cat /kind"), "dev\n");
        project.down();
    });
}

const UPON_EACH_OTHER: &str = r#"
services:
  base: {image: example.test/own/base, build: {dockerfile_inline: "from scratch\nENV FROM_BASE=1"}}
  named:
    build:
      dockerfile_inline: "FROM basesvc\nENV X=$$FROM_BASE Y=$$NOWHERE"
      additional_contexts: {basesvc: "service:base"}
  imaged: {build: {dockerfile_inline: "FROM example.test/own/base\nENV X=$$FROM_BASE"}}
"#;

#[test]
fn checks_need_no_image_of_another_service() {
    isolated(|sandbox| {
        let project = sandbox.project("upon", UPON_EACH_OTHER);
        let check = |services: &[&str]| {
            let args = [&["build", "--check"], services].concat();
            project.skiff(args).run().ends_with(1)
        };
        for (services, warnings) in [(&["named"][..], 2), (&["imaged"], 1), (&[], 2)] {
            let checked = check(services);
            let told = format!("Check complete, {warnings} warning");
            assert!(checked.stdout.starts_with(&told), "{services:?}: {checked}");
            assert!(checked.stderr.contains("ConsistentInstructionCasing"));
            assert!(!checked.stderr.contains("'$FROM_BASE'"), "{checked}");
        }
        assert!(check(&["named"]).stderr.contains("NOWHERE"));
        let images = project.skiff(["image", "ls", "-q"]).run().succeeds();
        assert_eq!(images.stdout, "");
    });
}

#[test]
fn who_builds_upon_what_fails_says_why() {
    isolated(|sandbox| {
        let project = sandbox.project("failing", "");
        for (base, part) in [
            (
                "build: {dockerfile_inline: 'FROM scratch\n\n      COPPY a b'}",
                "COPPY",
            ),
            (
                "build: {dockerfile_inline: FROM scratch, sbom: true}",
                "`base`",
            ),
            ("image: test/x", "`base`"),
        ] {
            let upon = "app: {build: {dockerfile_inline: FROM b, additional_contexts: {b: 'service:base'}}}";
            project.write(
                "compose.yaml",
                &format!("services:\n  base: {{{base}}}\n  {upon}\n"),
            );
            for check in [&["--check"][..], &[]] {
                let args = [&["build"], check, &["app"]].concat();
                let failed = project.skiff(args).run().fails();
                assert!(failed.stderr.contains(part), "{base}: {failed}");
            }
        }
    });
}

#[test]
fn what_cannot_be_built_is_refused_by_attribute() {
    isolated(|sandbox| {
        let project = with_dockerfile(sandbox, "refused", "FROM test/busybox\n");
        project.write(
            "compose.yaml",
            "services:\n  web:\n    build:\n      context: .\n      sbom: true\n      cache_to: [type=gha]\n      isolation: hyperv\n      platforms: [linux/nothing/at/all]\n      ulimits: {foo: 1}\n",
        );
        let failed = project.skiff(["build"]).run().fails();
        for attribute in [
            "build.sbom",
            "build.isolation",
            "build.platforms",
            "build.cache_to",
            "build.ulimits.foo",
        ] {
            assert!(
                failed.stderr.contains(&format!("services.web.{attribute}")),
                "{attribute}: {failed}"
            );
        }
    });
}
