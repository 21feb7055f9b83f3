//! `RUN --mount`.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixListener;

use fs_err as fs;

use super::{build, with_dockerfile};
use crate::support::{Image, isolated, program};

#[test]
fn folders_of_contexts_and_stages_are_seen_and_not_changed() {
    isolated(|sandbox| {
        let project = with_dockerfile(
            sandbox,
            "binds",
            r"
FROM test/busybox AS stage
RUN mkdir -p /data/in && echo stage > /data/in/file
FROM test/busybox
RUN --mount=type=bind,target=/ctx cat /ctx/file && ! touch /ctx/new 2>/dev/null
RUN --mount=type=bind,source=file,target=/one,rw cat /one && echo changed > /one && cat /one
RUN --mount=from=stage,source=/data,target=/data cat /data/in/file && ! rm /data/in/file 2>/dev/null
RUN --mount=from=stage,source=/data,target=/data,rw rm /data/in/file && ls /data/in | wc -l
RUN --mount=from=stage,source=/data,target=/data cat /data/in/file
RUN ls /ctx /one /data 2>&1 | sort
RUN --mount=type=tmpfs,target=/fast,size=1m grep ' /fast ' /proc/mounts
",
        );
        project.write("file", "context\n");
        let output = build(&project);
        let lines: Vec<&str> = output
            .stderr
            .lines()
            .filter_map(|line| line.strip_prefix('#')?.splitn(3, ' ').nth(2))
            .collect();
        let count = |text: &str| lines.iter().filter(|line| **line == text).count();
        assert_eq!(count("context"), 2, "{output}");
        assert_eq!(count("changed"), 1, "{output}");
        assert_eq!(count("stage"), 2, "{output}");
        assert_eq!(count("0"), 1, "{output}");
        assert_eq!(count("ls: /ctx: No such file or directory"), 1, "{output}");
        assert!(output.stderr.contains("tmpfs /fast tmpfs"), "{output}");
        assert_eq!(
            fs::read_to_string(project.dir.join("file")).unwrap(),
            "context\n"
        );
    });
}

#[test]
fn caches_last_from_build_to_build_and_are_no_part_of_the_image() {
    isolated(|sandbox| {
        let project = with_dockerfile(
            sandbox,
            "caches",
            "FROM test/busybox\nARG ROUND\n\
             RUN --mount=type=cache,id=own,target=/c,mode=0700,uid=5 echo $ROUND >> /c/f && cat /c/f && stat -c '%u %a' /c\n\
             RUN --mount=type=cache,id=own,sharing=locked,target=/c wc -l < /c/f\n",
        );
        for round in ["1", "2"] {
            let argument = format!("ROUND={round}");
            let output = project
                .skiff(["build", "--build-arg", &argument])
                .run()
                .succeeds();
            assert!(output.stderr.contains(" 5 700\n"), "{output}");
            assert!(output.stderr.contains(&format!(" {round}\n")), "{output}");
        }
        project.up().whatever();
        assert_eq!(
            project.sh("web", "ls /c 2>&1; true"),
            "ls: /c: No such file or directory\n"
        );
        project.down();
    });
}

#[test]
fn secrets_are_seen_by_their_command_alone() {
    isolated(|sandbox| {
        let project = with_dockerfile(
            sandbox,
            "secret",
            r"
FROM test/busybox
RUN --mount=type=secret,id=token stat -c '%a %u' /run/secrets/token && cat /run/secrets/token | rev
RUN --mount=type=secret,id=token,env=TOKEN,target=/x,mode=0444,uid=3 echo $TOKEN | rev && stat -c '%a %u' /x
RUN --mount=type=secret,id=nothing ls /run/secrets 2>&1; true
RUN find / -xdev -name token; env | grep -c TOKEN; true
",
        );
        project.write("token.txt", "abc-secret-xyz");
        project.write(
            "compose.yaml",
            "services: {web: {build: {context: ., secrets: [token]}}}\nsecrets: {token: {file: token.txt}}\n",
        );
        project.write(".dockerignore", "token.txt");
        let output = build(&project);
        assert!(output.stderr.contains("400 0\n"), "{output}");
        assert!(output.stderr.contains("444 3\n"), "{output}");
        assert_eq!(
            output.stderr.matches("zyx-terces-cba").count(),
            2,
            "{output}"
        );
        let text = project
            .skiff(["image", "inspect", "secret-web"])
            .run()
            .succeeds()
            .stdout;
        assert!(!text.contains("abc-secret"), "{text}");
        // It is in no layer either.
        let saved = project.dir.join("saved.tar");
        project
            .skiff(["image", "save", "-o", saved.to_str().unwrap(), "secret-web"])
            .run()
            .succeeds()
            .whatever();
        let bytes = fs::read(&saved).unwrap();
        assert!(!bytes.windows(10).any(|window| window == b"abc-secret"));
        project.write(
            "Dockerfile",
            "FROM test/busybox\nRUN --mount=type=secret,id=other,required=true true\n",
        );
        let failed = project.skiff(["build"]).run().fails();
        assert!(
            failed.stderr.contains("the secret `other` is required"),
            "{failed}"
        );
    });
}

#[test]
fn an_agent_is_reached_by_its_socket() {
    isolated(|sandbox| {
        let project = with_dockerfile(
            sandbox,
            "agent",
            "FROM test/busybox\nRUN --mount=type=ssh,uid=7,mode=0600 stat -c '%u %a %F' $SSH_AUTH_SOCK; \
             echo question | nc local:$SSH_AUTH_SOCK; true\n",
        );
        let socket = project.dir.join("agent.sock");
        let agent = UnixListener::bind(&socket).unwrap();
        std::thread::spawn(move || {
            while let Ok((mut caller, _)) = agent.accept() {
                let mut asked = [0; 64];
                let length = caller.read(&mut asked).unwrap_or(0);
                caller.write_all(&asked[..length]).ok();
            }
        });
        let id = format!("default={}", socket.display());
        let output = project.skiff(["build", "--ssh", &id]).run().succeeds();
        assert!(output.stderr.contains("7 600 socket"), "{output}");
        let missing = project
            .skiff(["build", "--no-cache", "--ssh", "default"])
            .run()
            .fails();
        assert!(missing.stderr.contains("SSH_AUTH_SOCK"), "{missing}");
    });
}

/// OpenSSH's own agent and client.
#[test]
fn a_real_agent_and_keys_in_files_show_their_keys_and_nothing_else() {
    isolated(|sandbox| {
        let image = Image::busybox().host_program(&program("ssh-add"));
        sandbox.load(&image, "test/ssh:latest");
        let project = with_dockerfile(
            sandbox,
            "keys",
            "FROM test/ssh\nRUN --mount=type=ssh ssh-add -L\n\
             RUN --mount=type=ssh,id=files ssh-add -L\n\
             RUN ls /keys /run/buildkit 2>&1; env | grep SSH; true\n",
        );
        for name in ["agent", "one", "two"] {
            let line = format!("ssh-keygen -q -t ed25519 -N '' -C key-{name} -f {name}");
            sandbox
                .shell(&line)
                .dir(&project.dir)
                .run()
                .succeeds()
                .whatever();
        }
        let socket = project.dir.join("socket");
        let mut agent = sandbox
            .command(&program("ssh-agent"))
            .args(["-D".as_ref(), "-a".as_ref(), socket.as_os_str()])
            .spawn();
        agent.wait_line("SSH_AUTH_SOCK");
        let add = "SSH_AUTH_SOCK=$PWD/socket ssh-add -q agent";
        sandbox
            .shell(add)
            .dir(&project.dir)
            .run()
            .succeeds()
            .whatever();
        let key = |name: &str| {
            let text = fs::read_to_string(project.dir.join(format!("{name}.pub")));
            text.expect("a public key").trim().to_owned()
        };
        let command = ["build", "--ssh", "default=socket", "--ssh", "files=one,two"];
        for words in [&command[..], &[&["image"][..], &command, &["."]].concat()] {
            let mut words = words.to_vec();
            words.insert(words.len() - usize::from(words[0] == "image"), "--no-cache");
            let output = project.skiff(words).run().succeeds();
            let shown: Vec<&str> = output
                .stderr
                .lines()
                .filter_map(|line| Some(&line[line.find("ssh-ed25519 ")?..]))
                .collect();
            assert_eq!(shown, [key("agent"), key("one"), key("two")], "{output}");
            assert!(!output.stderr.contains("PRIVATE"), "{output}");
        }
        drop(agent);
        for (given, part) in [
            ("default=gone", "there is no `"),
            (
                "default=.",
                "is neither the socket of an agent nor the file of a key",
            ),
            ("default=one,gone", "/gone`: neither"),
        ] {
            let refused = project.skiff(["build", "--ssh", given]).run().ends_with(1);
            refused.warns(part).warns("compose.yaml:3:").whatever();
            let words = ["image", "build", "--ssh", given, "."];
            let refused = project.skiff(words).run().ends_with(1);
            let refused = refused.warns(part).warns(&format!("--ssh {given}: "));
            assert!(
                !refused.stderr.contains("#1"),
                "nothing was begun: {refused}"
            );
        }
        let words = ["image", "build", "--ssh", "default", "."];
        let refused = project.skiff(words).env("SSH_AUTH_SOCK", "/gone").run();
        refused
            .ends_with(1)
            .warns("SSH_AUTH_SOCK: there is no `/gone`")
            .whatever();
    });
}

#[test]
fn a_device_is_left_out_or_refused_where_it_is_required() {
    isolated(|sandbox| {
        let project = with_dockerfile(
            sandbox,
            "device",
            "FROM test/busybox\nRUN --device=vendor.example/gpu=all echo without\n",
        );
        let built = build(&project);
        built
            .warns(" without\n")
            .warns("the device `vendor.example/gpu=all` is left out")
            .whatever();
        for (flag, part) in [
            (
                "vendor.example/gpu=all,required",
                "the device `vendor.example/gpu=all` is required, and builds are given none",
            ),
            ("/dev/fuse", "`/dev/fuse` is not the name of a device"),
        ] {
            let text = format!("FROM test/busybox\nRUN --device={flag} true\n");
            project.write("Dockerfile", &text);
            let refused = project.skiff(["build"]).run().ends_with(1);
            refused.warns(part).warns("Dockerfile:2:").whatever();
        }
    });
}
