//! `push` and `image push`.

use crate::support::{Image, Registry, http_get, isolated};

const COMPOSE: &str = "
services:
  a:
    image: 127.0.0.1:5000/team/a:1
    build: {context: ., tags: [127.0.0.1:5000/team/a:extra]}
    depends_on: [b, image]
  b: {image: 127.0.0.1:5000/team/b:1, build: .}
  nameless: {build: .}
  image: {image: 127.0.0.1:5000/team/a:1}
";

#[test]
#[expect(
    clippy::too_many_lines,
    reason = "one story, from the build to the pull"
)]
fn services_images_are_pushed_and_pulled_back() {
    isolated(|sandbox| {
        let registry = Registry::start(sandbox, 5000);
        let image = |mark: &str| Image::busybox().file("etc/mark", 0o644, mark);
        sandbox.load(&image("a\n"), "127.0.0.1:5000/team/a:1");
        let project = sandbox.project("p", COMPOSE);
        // `docker compose push` stops at the first that is not here.
        let missing = project.skiff(["push", "a"]).run().ends_with(1);
        missing
            .warns("cannot push the image `127.0.0.1:5000/team/a:extra` of service `a`: no image")
            .warns("compose.yaml:4:5")
            .whatever();
        let tag = [
            "image",
            "tag",
            "127.0.0.1:5000/team/a:1",
            "127.0.0.1:5000/team/a:extra",
        ];
        sandbox.skiff(tag).run().succeeds().whatever();
        let push = project.skiff(["push", "a"]).run().succeeds();
        assert_eq!(push.stdout, "");
        for line in [" a Pushing\n", " a Pushed\n"] {
            assert!(push.stderr.contains(line), "{line}\n{push}");
        }
        let tags = http_get(&registry.address, "/v2/team/a/tags/list").expect("an answer");
        assert!(
            tags.text().contains("\"1\"") && tags.text().contains("\"extra\""),
            "{}",
            tags.text()
        );
        // Its dependencies: one is not here, one is not built.
        let deps = project
            .skiff(["push", "--include-deps", "a"])
            .run()
            .ends_with(1);
        deps.warns("image Skipped").warns("team/b:1").whatever();
        let all = project
            .skiff(["push", "--ignore-push-failures"])
            .run()
            .succeeds();
        all.warns("cannot push `127.0.0.1:5000/team/b:1`")
            .warns("nameless Skipped")
            .whatever();
        let quiet = project.skiff(["push", "-q", "a"]).run().succeeds();
        assert_eq!((quiet.stdout.as_str(), quiet.stderr.as_str()), ("", ""));
        project
            .skiff(["push", "none"])
            .run()
            .fails()
            .warns("none")
            .whatever();
        let json = project
            .skiff(["--progress", "json", "push", "a"])
            .run()
            .succeeds();
        assert!(
            json.stderr.contains(r#""status":"Layer already exists""#),
            "{json}"
        );

        // Whoever comes later gets the same.
        sandbox
            .skiff([
                "image",
                "rm",
                "127.0.0.1:5000/team/a:1",
                "127.0.0.1:5000/team/a:extra",
            ])
            .run()
            .succeeds()
            .whatever();
        sandbox
            .skiff(["image", "prune", "-af"])
            .run()
            .succeeds()
            .whatever();
        let back = sandbox.project(
            "back",
            "services:\n  a: {image: \"127.0.0.1:5000/team/a:extra\", command: [cat, /etc/mark]}\n",
        );
        back.skiff(["run", "--rm", "-T", "a"])
            .run()
            .succeeds()
            .prints("a\n")
            .whatever();
        back.down();
        project.down();
    });
}

#[test]
fn one_image_is_pushed_by_name_or_with_all_its_tags() {
    isolated(|sandbox| {
        let registry = Registry::start(sandbox, 5000);
        sandbox.load(&Image::busybox(), "127.0.0.1:5000/app:1");
        let push = sandbox
            .skiff(["image", "push", "127.0.0.1:5000/app:1"])
            .run()
            .succeeds();
        assert!(push.stdout.starts_with("1: digest: sha256:"), "{push}");
        assert!(push.stdout.contains(" size: "), "{push}");
        for name in ["127.0.0.1:5000/app:2", "127.0.0.1:5000/other:1"] {
            sandbox
                .skiff(["image", "tag", "127.0.0.1:5000/app:1", name])
                .run()
                .succeeds()
                .whatever();
        }
        let all = sandbox
            .skiff(["image", "push", "-a", "127.0.0.1:5000/app"])
            .run()
            .succeeds();
        assert_eq!(all.lines().len(), 2, "{all}");
        let tags = http_get(&registry.address, "/v2/app/tags/list").expect("an answer");
        assert!(
            tags.text().contains(r#""1""#) && tags.text().contains(r#""2""#),
            "{}",
            tags.text()
        );
        drop(registry);
        let unreachable = sandbox.skiff(["image", "push", "127.0.0.1:5000/app:1"]);
        let unreachable = unreachable.run().ends_with(1);
        assert!(unreachable.stderr.contains("connection refused"));
        assert!(!unreachable.stderr.contains("skiff load"), "{unreachable}");
        for (args, part) in [
            (&["-a", "127.0.0.1:5000/app:1"][..], "without a tag"),
            (&["-a", "127.0.0.1:5000/none"], "no image"),
            (
                &["127.0.0.1:5000/none"],
                "no image `127.0.0.1:5000/none:latest` here",
            ),
            (
                &["--platform", "linux/s390x", "127.0.0.1:5000/app:1"],
                "is not there for linux/s390x, only for linux/",
            ),
        ] {
            let words = ["image", "push"].iter().chain(args);
            sandbox
                .skiff(words)
                .run()
                .ends_with(1)
                .warns(part)
                .whatever();
        }
    });
}
