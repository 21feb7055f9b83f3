//! What the commands can be told: names, places, pushes, limits, and how little they
//! say.

use fs_err as fs;

use super::{carried_out, with_dockerfile};
use crate::support::{Image, Registry, http_get, isolated, program};

#[test]
fn an_image_is_built_without_a_compose_file() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let project = sandbox.project("alone", "services: {}\n");
        fs::remove_file(project.dir.join("compose.yaml")).unwrap();
        project.write("src/page", "hello\n");
        project.write("src/.dockerignore", "secret\n");
        project.write("src/secret", "s\n");
        project.write("token", "abc-token");
        project.write(
            "files/Own.Dockerfile",
            "FROM test/busybox AS first\nARG WHO=nobody\nLABEL who=$WHO\nCOPY . /w/\n\
             RUN --mount=type=secret,id=t cp /run/secrets/t /token; ls /w > /list; ulimit -n >> /list; \
             grep own.example /etc/hosts | cut -f1 >> /list\nFROM first AS second\nRUN echo second > /list\n",
        );
        let args = [
            "image",
            "build",
            "-q",
            "-t",
            "own/app:1",
            "-t",
            "own/app:2",
            "-f",
            "files/Own.Dockerfile",
            "--target",
            "first",
            "--build-arg",
            "WHO",
            "--label",
            "l=1",
            "--secret",
            "id=t,src=token",
            "--ulimit",
            "nofile=123:456",
            "--add-host",
            "own.example:10.1.2.3",
            "--iidfile",
            "iid",
            "src",
        ];
        let built = project.skiff(args).env("WHO", "me").run().succeeds();
        let id = built.stdout.trim();
        assert_eq!(built.stderr, "");
        assert_eq!(fs::read_to_string(project.dir.join("iid")).unwrap(), id);
        let inspect = project.skiff(["image", "inspect", "own/app:2"]).run();
        let inspect = inspect.succeeds().json();
        assert_eq!(inspect[0]["Id"], id);
        assert_eq!(inspect[0]["Config"]["Labels"]["who"], "me");
        assert_eq!(inspect[0]["Config"]["Labels"]["l"], "1");
        project.write(
            "compose.yaml",
            "services:\n  a: {image: 'own/app:1', command: cat /list /token}\n",
        );
        let shown = project.skiff(["run", "--rm", "-T", "a"]).run().succeeds();
        shown.prints("page\n123\n10.1.2.3\nabc-token").whatever();
        project.down();
    });
}

#[test]
fn a_dockerfile_may_come_on_standard_input() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let project = sandbox.project(
            "stdin",
            "services:\n  a: {image: own/in, command: cat /x}\n",
        );
        let text = "FROM test/busybox\nRUN echo from stdin > /x\n";
        let build = project.skiff(["image", "build", "-t", "own/in", "-"]);
        build.input(text).run().succeeds().whatever();
        let run = ["run", "--rm", "-T", "a"];
        project
            .skiff(run)
            .run()
            .succeeds()
            .prints("from stdin\n")
            .whatever();
        project.write("y", "of the folder\n");
        let text = "FROM test/busybox\nCOPY y /x\n";
        let build = project.skiff(["image", "build", "-t", "own/in", "-f", "-", "."]);
        build.input(text).run().succeeds().whatever();
        project
            .skiff(run)
            .run()
            .succeeds()
            .prints("of the folder\n")
            .whatever();
        let build = project.skiff(["image", "build", "-"]);
        let failed = build.input("FROM test/busybox\nCOPI x y\n").run().fails();
        failed
            .warns("COPI")
            .warns("Dockerfile of standard input:2:1")
            .whatever();
        let build = project.skiff(["image", "build", "-"]);
        build
            .input([0x1f, 0x8b, 8])
            .run()
            .fails()
            .warns("no Dockerfile")
            .whatever();
        project.down();
    });
}

#[test]
fn what_is_built_is_pushed() {
    isolated(|sandbox| {
        let registry = Registry::start(sandbox, 5000);
        let project = with_dockerfile(sandbox, "pushed", "FROM test/busybox\nRUN echo x > /x\n");
        project.write(
            "compose.yaml",
            "services:\n  web: {image: '127.0.0.1:5000/a/web:1', build: .}\n  own: {build: .}\n",
        );
        let built = project.skiff(["build", "--push"]).run().succeeds();
        built.warns("web Pushed").warns("own Skipped").whatever();
        let tags = |name: &str| {
            let path = format!("/v2/{name}/tags/list");
            http_get(&registry.address, &path)
                .expect("an answer")
                .text()
        };
        assert!(tags("a/web").contains("\"1\""));
        let name = "127.0.0.1:5000/a/alone:x";
        let args = ["image", "build", "--push", "-t", name, "."];
        project.skiff(args).run().succeeds().whatever();
        assert!(tags("a/alone").contains("\"x\""));
        let nameless = project
            .skiff(["image", "build", "--push", "."])
            .run()
            .fails();
        nameless.warns("--push needs a name").whatever();
    });
}

#[test]
fn a_command_has_the_memory_that_it_is_given() {
    isolated(|sandbox| {
        let project = with_dockerfile(
            sandbox,
            "memory",
            "FROM test/busybox\nRUN cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes \
             2>/dev/null; true\n",
        );
        let built = project.skiff(["build", "-m", "64m"]).run().succeeds();
        built.warns(" 67108864\n").whatever();
        for wrong in ["x", "0", "-1"] {
            let wrong = format!("--memory={wrong}");
            let refused = project.skiff(["build", &wrong]).run().fails();
            refused.warns("--memory takes").whatever();
        }
    });
}

#[test]
fn create_and_up_build_quietly() {
    isolated(|sandbox| {
        let project = with_dockerfile(sandbox, "quiet", "FROM test/busybox\nCOPY page /page\n");
        project.write("page", "one\n");
        let create = ["create", "--quiet-build"];
        let created = project.skiff(create).run().succeeds();
        assert!(!created.stderr.contains("COPY"), "{created}");
        created.warns("Container quiet-web-1  Created").whatever();
        let ps = project.skiff(["ps", "-a", "--format", "{{.State}}"]).run();
        ps.succeeds().prints("created\n").whatever();
        project.write("page", "two\n");
        let kept = project.skiff(["create"]).run().succeeds();
        assert!(!kept.stderr.contains("COPY"), "nobody asked: {kept}");
        let created = project.skiff(["create", "--build"]).run().succeeds();
        assert_eq!(carried_out(&created), ["COPY page /page"], "{created}");
        let up = ["up", "-d", "--build", "--quiet-build"];
        project.write("page", "three\n");
        let up = project.skiff(up).run().succeeds();
        assert!(!up.stderr.contains("COPY"), "{up}");
        up.warns("Container quiet-web-1  Started").whatever();
        assert_eq!(project.sh("web", "cat /page"), "three\n");
        project.down();
    });
}

#[test]
fn a_key_signs_and_is_not_seen() {
    isolated(|sandbox| {
        let image = Image::busybox().host_program(&program("ssh-add"));
        sandbox.load(&image, "own/ssh");
        let project = with_dockerfile(
            sandbox,
            "keys",
            "FROM own/ssh\nRUN --mount=type=ssh ssh-add -l\nRUN ! find / -name 'id_*' -type f | grep .\n",
        );
        let key = |name: &str, passphrase: &str| {
            let path = project.dir.join(name);
            let make = sandbox.command(&program("ssh-keygen"));
            let make = make.args([
                "-q",
                "-t",
                "ed25519",
                "-C",
                "own-comment",
                "-N",
                passphrase,
                "-f",
            ]);
            make.args([&path]).run().succeeds().whatever();
        };
        key("id_open", "");
        key("id_closed", "words");
        let built = project
            .skiff(["build", "--ssh", "default=id_open"])
            .run()
            .succeeds();
        built.warns("own-comment (ED25519)").whatever();
        let closed = ["build", "--no-cache", "--ssh", "default=id_closed"];
        let closed = project.skiff(closed).run().fails();
        closed
            .warns("cannot use the SSH key")
            .warns("id_closed")
            .whatever();
        let missing = ["build", "--no-cache", "--ssh", "default=nothing"];
        let missing = project.skiff(missing).run().fails();
        missing.warns("there is no `").whatever();
        project.write(
            "compose.yaml",
            "services:\n  web: {build: {context: ., no_cache: true, ssh: ['default=id_open']}}\n",
        );
        let built = project.skiff(["build"]).run().succeeds();
        built.warns("own-comment (ED25519)").whatever();
    });
}
