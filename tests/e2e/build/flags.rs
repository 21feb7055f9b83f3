//! The flags of `docker build`: each works, or is refused by name with a reason.

use fs_err as fs;
use serde_json::Value;

use super::{carried_out, with_dockerfile};
use crate::support::{Output, Project, isolated};

/// `skiff image build FLAGS .`
fn image_build(project: &Project<'_>, flags: &[&str]) -> Output {
    let words = ["image", "build"].iter().chain(flags).chain(&["."]);
    project.skiff(words).run()
}

#[test]
fn flags_about_what_commands_run_in_reach_them() {
    isolated(|sandbox| {
        let text = "FROM test/busybox AS base\nRUN echo base\nFROM base\n\
            COPY --from=more note /\n\
            RUN df -k /dev/shm | tail -1; ulimit -n; grep -c example /etc/hosts; ls /sys/class/net; \
            cat /note; cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null; true\n";
        let project = with_dockerfile(sandbox, "inside", text);
        project.write("more/note", "of the other context\n");
        let flags = [
            "--shm-size",
            "3m",
            "--ulimit",
            "nofile=77:88",
            "--add-host",
            "a.example:10.0.0.1,b.example=10.0.0.2",
            "--add-host",
            "c.example:host-gateway",
            "--network",
            "none",
            "--memory",
            "64m",
            "--build-context",
            "more=more",
            "--load",
            "--rm=false",
            "--force-rm",
            "--compress",
            "--attest",
            "type=provenance,disabled=true",
        ];
        let built = image_build(&project, &flags).succeeds();
        let shown: Vec<&str> = built
            .stderr
            .lines()
            .filter_map(|line| line.split_once(' ')?.1.split_once(' '))
            .map(|(_, text)| text)
            .collect();
        for wanted in ["77", "3", "lo", "of the other context", "67108864"] {
            assert!(shown.contains(&wanted), "{wanted}: {built}");
        }
        assert!(shown.iter().any(|line| line.contains(" 3072 ")), "{built}");
        assert!(!shown.contains(&"eth0"), "{built}");
        // Of one stage alone.
        let again = [&flags[..], &["--no-cache-filter", "base"]].concat();
        let again = image_build(&project, &again).succeeds();
        assert!(
            carried_out(&again).contains(&"RUN echo base".to_owned()),
            "{again}"
        );
    });
}

#[test]
fn flags_about_what_is_told_are_followed() {
    isolated(|sandbox| {
        let project = with_dockerfile(sandbox, "told", "FROM test/busybox\nRUN echo hi\n");
        let flags = [
            "-t",
            "own/told:1",
            "--metadata-file",
            "meta",
            "--iidfile",
            "id",
        ];
        image_build(&project, &flags).succeeds().whatever();
        let read = |name: &str| fs::read_to_string(project.dir.join(name)).expect("a file");
        let meta: Value = serde_json::from_str(&read("meta")).expect("JSON");
        assert_eq!(meta["image.name"], "docker.io/own/told:1");
        assert_eq!(meta["containerimage.config.digest"], read("id"));
        let quiet = image_build(&project, &["-q"]).succeeds();
        assert_eq!(
            (quiet.stdout.trim(), quiet.stderr.as_str()),
            (&*read("id"), "")
        );
        for (how, part) in [("plain", "#1 "), ("rawjson", "{\""), ("json", "{\"")] {
            let built = image_build(&project, &["--no-cache", "--progress", how]).succeeds();
            assert!(built.stderr.starts_with(part), "{how}: {built}");
        }
        for how in ["none", "quiet"] {
            let built = image_build(&project, &["--no-cache", "--progress", how]).succeeds();
            assert_eq!(built.stderr, "", "{how}");
        }
    });
}

const ASKED: &str = "\
# BASE what is below
ARG BASE=test/busybox
# all what every other stage stands on
FROM ${BASE} AS all
# NAME who greets
ARG NAME=world
FROM all
RUN --mount=type=secret,id=token,required --mount=type=ssh echo
";

/// As `docker buildx build --call` 0.29 prints it.
#[test]
fn a_dockerfile_tells_its_targets_and_what_they_take() {
    isolated(|sandbox| {
        let project = with_dockerfile(sandbox, "call", ASKED);
        let call = |flags: &[&str]| image_build(&project, flags);
        call(&["--call=targets"])
            .succeeds()
            .prints(
                "TARGET    DESCRIPTION\nall       what every other stage stands on\n(default) \n",
            )
            .whatever();
        call(&["--call=outline"])
            .succeeds()
            .prints(
                "BUILD ARG   VALUE          DESCRIPTION\nBASE        test/busybox   what is below\n\
                 NAME        world          who greets\n\n\
                 SECRET   REQUIRED\ntoken    true\n\nSSH       REQUIRED\ndefault   \n\n",
            )
            .whatever();
        call(&[
            "--call=outline",
            "--target",
            "all",
            "--build-arg",
            "NAME=me",
        ])
        .succeeds()
        .says("TARGET:      all\nDESCRIPTION: what every other stage stands on\n\nBUILD ARG")
        .says("NAME        me             who greets\n")
        .whatever();
        call(&["--call=outline", "--target", "al"])
            .ends_with(1)
            .warns("did you mean `all`?")
            .whatever();
        call(&["--call=check"])
            .succeeds()
            .prints("Check complete, no warnings found.\n")
            .whatever();
        project.write("Dockerfile", "FROM test/busybox as x\n");
        call(&["--call=check"])
            .ends_with(1)
            .says("1 warning")
            .whatever();
        call(&["--call=check,ignorestatus=true"])
            .succeeds()
            .says("1 warning")
            .whatever();
        let images = project.skiff(["image", "ls", "-q"]).run().succeeds();
        assert_eq!(images.lines().len(), 1, "nothing was built: {images}");
    });
}

#[test]
fn an_image_is_written_as_a_layout_that_a_build_starts_from() {
    isolated(|sandbox| {
        let project = with_dockerfile(sandbox, "layout", "FROM test/busybox\nRUN echo in > /it\n");
        let output = ["-t", "own/it:1", "-o", "type=oci,tar=false,dest=out"];
        let built = image_build(&project, &output).succeeds();
        built.warns("exporting to OCI image layout").whatever();
        let out = project.dir.join("out");
        for name in ["index.json", "oci-layout", "blobs/sha256"] {
            assert!(out.join(name).exists(), "{name}");
        }
        project.write("Dockerfile", "FROM it\nRUN cat /it\n");
        let from = ["--no-cache", "--build-context", "it=oci-layout://out:1"];
        image_build(&project, &from)
            .succeeds()
            .warns(" in\n")
            .whatever();
    });
}

#[test]
fn what_cannot_be_done_is_refused_by_name_before_anything_is_built() {
    isolated(|sandbox| {
        let project = with_dockerfile(sandbox, "refused", "FROM test/busybox\nRUN echo ran\n");
        for (flags, part) in [
            (
                &["--annotation", "a=b"][..],
                "--annotation: images are kept without manifests",
            ),
            (
                &["--attest", "type=sbom"],
                "--attest type=sbom: skiff makes no attestations",
            ),
            (&["--sbom=true"], "--sbom: skiff makes no attestations"),
            (
                &["--provenance=mode=max"],
                "--provenance: skiff makes no attestations",
            ),
            (
                &["--cgroup-parent", "/x"],
                "--cgroup-parent: commands run in control groups",
            ),
            (
                &["--cpu-shares", "3"],
                "--cpu-shares: commands of builds have no limits",
            ),
            (&["--cpuset-cpus=0"], "--cpuset-cpus: "),
            (&["--memory-swap", "1g"], "--memory-swap: "),
            (&["--isolation", "hyperv"], "--isolation: "),
            (&["--security-opt", "x"], "--security-opt: "),
            (&["--squash"], "--squash: layers are not joined"),
            (&["--call", "lists"], "--call lists: there is no `lists`"),
            (
                &["--call", "outline,format=json"],
                "`format=json` is not written",
            ),
            (
                &["--add-host", "a"],
                "--add-host takes NAME:ADDRESS, not `a`",
            ),
            (&["--add-host", "a:b"], "`b` is neither an address nor"),
            (&["--allow", "what"], "`what` is no entitlement"),
            (&["--allow", "device"], "builds are given no CDI devices"),
            (
                &["--build-context", "x"],
                "--build-context takes NAME=VALUE",
            ),
            (&["--cache-from", "type=gha"], "--cache-from: "),
            (&["--cache-to", "type=s3,bucket=x"], "--cache-to: "),
            (&["--memory", "lots"], "--memory takes `512m`"),
            (&["--network", "what"], "there is no network `what`"),
            (&["--output", "foo=1"], "--output: `foo=1` has no `type=`"),
            (&["--platform", "what/is/this/here"], "what/is/this/here"),
            (&["--platform", "linux/amd46"], "did you mean `amd64`?"),
            (&["--progress", "what"], "what"),
            (&["--push"], "--push needs a name"),
            (&["--secret", "id=x,src=/gone"], "--secret id=x,src=/gone: "),
            (
                &["--secret", "id=x,env=GONE"],
                "the variable `GONE` is not set",
            ),
            (&["--shm-size", "x"], "--shm-size takes `64m`"),
            (&["--target", "nope"], "nope"),
            (&["--ulimit", "nofile"], "--ulimit takes `nofile=1024:2048`"),
            (
                &["--ulimit", "foo=1"],
                "--ulimit foo=1: `foo` is not a limit of this system",
            ),
            (
                &["--ulimit", "nofile=3:2"],
                "--ulimit nofile=3:2: the soft limit 3 is above",
            ),
            (&["-t", "A B"], "A B"),
            (&["-f", "gone"], "there is no Dockerfile `"),
        ] {
            let refused = image_build(&project, flags).ends_with(1);
            assert!(refused.stderr.contains(part), "{part}: {refused}");
            assert!(!refused.stderr.contains("] RUN"), "{refused}");
        }
    });
}
