//! What comes into an image, whose it is, and what its config says.

use std::os::unix::fs::PermissionsExt;

use fs_err as fs;

use super::{build, carried_out, with_dockerfile};
use crate::support::{Image, isolated};

#[test]
fn stages_give_each_other_files_and_the_last_one_is_the_image() {
    isolated(|sandbox| {
        let project = with_dockerfile(
            sandbox,
            "stages",
            r#"
ARG BASE=test/busybox
FROM $BASE AS tools
ARG WHO=nobody
RUN mkdir -p /out/deep && echo "made for $WHO" > /out/deep/text && chown -R 7:8 /out/deep \
    && ln /out/deep/text /out/deep/twin && ln -s text /out/deep/link

FROM tools AS unused
RUN exit 1

FROM test/busybox
ENV GREETING=hello PLACE="the $GREETING world"
LABEL made="by $GREETING"
WORKDIR /srv/app
COPY --from=tools /out/ /copied/
COPY --chown=12:13 --chmod=640 page.html ./
USER 12
EXPOSE 80
ENTRYPOINT ["sh", "-c"]
CMD ["sleep 1000"]
"#,
        );
        project.write("page.html", "<p>page</p>\n");
        project.write(
            "compose.yaml",
            "services: {web: {build: {context: ., args: {WHO: me}}, init: true}}",
        );
        project.up().whatever();
        let seen = project.sh(
            "web",
            "cat /copied/deep/text; stat -c '%n %u:%g %a %h' /copied/deep/* page.html; pwd; id -u; \
             echo \"$PLACE\"; ls /out 2>&1; true",
        );
        assert_eq!(
            seen,
            "made for me\n\
             /copied/deep/link 0:0 777 1\n\
             /copied/deep/text 7:8 644 2\n\
             /copied/deep/twin 7:8 644 2\n\
             page.html 12:13 640 1\n\
             /srv/app\n12\nthe  world\n\
             ls: /out: No such file or directory\n"
        );
        let config = project
            .skiff(["image", "inspect", "stages-web"])
            .run()
            .succeeds()
            .json();
        let config = &config[0]["Config"];
        assert_eq!(config["Labels"]["made"], "by hello");
        assert_eq!(config["Labels"]["com.docker.compose.service"], "web");
        assert_eq!(config["ExposedPorts"], serde_json::json!({"80/tcp": {}}));
        assert_eq!(config["User"], "12");
        project.down();
    });
}

#[test]
fn files_come_from_images_that_nothing_starts_from() {
    isolated(|sandbox| {
        let project = with_dockerfile(
            sandbox,
            "others",
            "FROM scratch\nCOPY --from=test/busybox /bin/busybox /bin/sh\n\
             RUN --mount=from=test/other:1,target=/other [\"/bin/sh\", \"-c\", \"read line </other/file; echo got $line\"]\n",
        );
        let other = Image::empty().file("file", 0o644, "from another").layer();
        sandbox.load(&other, "test/other:1");
        let output = build(&project);
        assert!(output.stderr.contains(" got from another\n"), "{output}");
    });
}

#[test]
fn what_ignore_files_leave_out_is_not_copied() {
    isolated(|sandbox| {
        let project = with_dockerfile(
            sandbox,
            "ignored",
            "FROM test/busybox\nCOPY . /all/\nRUN find /all | sort\n",
        );
        for file in [
            "keep",
            "drop.log",
            "node_modules/a/b",
            "docs/x.md",
            "docs/y.txt",
            "deep/drop.log",
        ] {
            project.write(file, "");
        }
        let ignore = "# remarks\n**/*.log\nnode_modules\ndocs\n!docs/x.md\nDockerfile*\ncompose.yaml\n.dockerignore\n";
        project.write(".dockerignore", ignore);
        let output = build(&project);
        let seen: Vec<&str> = output
            .stderr
            .lines()
            .filter_map(|line| line.split_once(" /all").map(|(_, path)| path))
            .filter(|path| path.starts_with('/') && !path.contains('|'))
            .collect();
        assert_eq!(
            seen,
            ["/", "/deep", "/docs", "/docs/x.md", "/keep"],
            "{output}"
        );
        // Of two, the one that is for this Dockerfile.
        project.write("Dockerfile.dockerignore", "*\n!keep\n");
        let output = build(&project);
        assert!(output.stderr.contains(" /all/keep"), "{output}");
        assert!(!output.stderr.contains(" /all/deep"), "{output}");
    });
}

#[test]
fn archives_heredocs_and_scripts() {
    isolated(|sandbox| {
        let project = with_dockerfile(
            sandbox,
            "odd",
            r#"
FROM test/busybox
ADD tree.tar.gz plain.txt /added/
COPY tree.tar.gz /copied/
COPY <<one <<"two" /made/
value of path: $PATH
one
kept as it is: $PATH
two
RUN <<END
echo first
cat /added/tree/file /added/plain.txt
END
RUN <<END cat
through standard input
END
"#,
        );
        project.write("tree/file", "from the archive\n");
        project.write("plain.txt", "no archive\n");
        sandbox
            .shell("tar czf tree.tar.gz tree && rm -r tree")
            .dir(&project.dir)
            .run()
            .succeeds()
            .whatever();
        let output = build(&project);
        for line in [
            "first",
            "from the archive",
            "no archive",
            "through standard input",
        ] {
            assert!(
                output.stderr.contains(&format!(" {line}\n")),
                "{line}: {output}"
            );
        }
        project.up().whatever();
        let seen = project.sh("web", "ls /copied; cat /made/one /made/two");
        let (archive, made) = seen.split_once('\n').unwrap();
        assert_eq!(archive, "tree.tar.gz");
        assert!(made.starts_with("value of path: /"), "{made}");
        assert!(made.ends_with("kept as it is: $PATH\n"), "{made}");
        project.down();
    });
}

#[test]
fn the_same_inputs_give_the_same_image_where_the_time_is_given() {
    isolated(|sandbox| {
        let project = with_dockerfile(
            sandbox,
            "fixed",
            "FROM test/busybox\nRUN echo a > /a; mkdir /b\nCOPY file /b/\n",
        );
        project.write("file", "content");
        let ids: Vec<String> = (0..2)
            .map(|round| {
                let path = project.dir.join("file");
                fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
                let touched = std::time::SystemTime::UNIX_EPOCH
                    + std::time::Duration::from_secs(2_000_000_000 + round);
                fs::File::open(&path)
                    .unwrap()
                    .set_modified(touched)
                    .unwrap();
                let built = project
                    .skiff(["build", "-q", "--no-cache"])
                    .env("SOURCE_DATE_EPOCH", "1700000000")
                    .run()
                    .succeeds();
                built.stdout.trim().to_owned()
            })
            .collect();
        assert_eq!(ids[0], ids[1]);
        let inspected = project
            .skiff(["image", "inspect", &ids[0]])
            .run()
            .succeeds()
            .json();
        assert_eq!(inspected[0]["Created"], "2023-11-14T22:13:20Z");
    });
}

#[test]
fn a_step_leaves_nothing_of_its_sandbox() {
    isolated(|sandbox| {
        let project = with_dockerfile(
            sandbox,
            "clean",
            "FROM test/busybox\nRUN --mount=type=cache,target=/var/cache/deep/down true\nRUN true\n",
        );
        build(&project).whatever();
        let history = project
            .skiff(["image", "inspect", "clean-web"])
            .run()
            .succeeds()
            .json();
        let layers = history[0]["RootFS"]["Layers"].as_array().unwrap();
        assert_eq!(layers.len(), 1, "those of the base alone: {history}");
    });
}

#[test]
fn what_is_linked_in_is_the_same_layer_on_another_base() {
    isolated(|sandbox| {
        let dockerfile = |word: &str| {
            format!("FROM test/busybox\nRUN echo {word} > /base\nCOPY --link app /sub/\n")
        };
        let project = with_dockerfile(sandbox, "linked", &dockerfile("one"));
        project.write("app", "content\n");
        let last_layer = || {
            let inspected = project.skiff(["image", "inspect", "linked-web"]);
            let inspected = inspected.run().succeeds().json();
            let layers = inspected[0]["RootFS"]["Layers"].as_array().unwrap();
            assert_eq!(layers.len(), 3, "{inspected}");
            layers[2].clone()
        };
        build(&project).whatever();
        let first = last_layer();
        project.write("Dockerfile", &dockerfile("two"));
        let built = build(&project);
        assert_eq!(carried_out(&built), ["RUN echo two > /base"]);
        assert_eq!(last_layer(), first);
        // Without it, the copy is made on each base anew.
        project.write("Dockerfile", &dockerfile("three").replace("--link ", ""));
        assert_eq!(carried_out(&build(&project)).len(), 2);
    });
}

#[test]
fn parents_keep_the_way_to_what_is_copied() {
    isolated(|sandbox| {
        let project = with_dockerfile(
            sandbox,
            "parents",
            "FROM test/busybox AS from\nRUN mkdir -p /src/a/b && echo s > /src/a/b/c\n\
             FROM test/busybox\n\
             COPY --parents one/x.txt two/deep/*.txt three/./four/y.txt /dst/\n\
             COPY --parents --from=from /src/a /stage/\n\
             RUN find /dst /stage -type f | sort > /list; cat /list\n",
        );
        for path in [
            "one/x.txt",
            "one/other",
            "two/deep/p.txt",
            "two/deep/q.txt",
            "three/four/y.txt",
        ] {
            project.write(path, "");
        }
        let built = build(&project);
        let listed: Vec<&str> = built
            .stderr
            .lines()
            .filter_map(|line| line.split(' ').nth(2))
            .filter(|path| path.starts_with("/dst") || path.starts_with("/stage"))
            .collect();
        let wanted = [
            "/dst/four/y.txt",
            "/dst/one/x.txt",
            "/dst/two/deep/p.txt",
            "/dst/two/deep/q.txt",
            "/stage/src/a/b/c",
        ];
        assert_eq!(listed, wanted, "{built}");
    });
}
