//! What a Dockerfile gets only where its user grants it.

use super::with_dockerfile;
use crate::support::{Project, isolated};

/// Whether a command may mount, and which namespace of the network it has.
const ASKS: &str = "FROM test/busybox\n\
    WORKDIR /mnt\n\
    RUN mount -t tmpfs none /mnt 2>/dev/null && echo plain may || echo plain may not\n\
    RUN --security=insecure mount -t tmpfs none /mnt && echo asked may\n\
    RUN --security=sandbox mount -t tmpfs none /mnt 2>/dev/null && echo box may || echo box may not\n";

fn compose(project: &Project<'_>, build: &str) {
    project.write(
        "compose.yaml",
        &format!("services:\n  web:\n    build:\n      context: .\n      no_cache: true\n{build}"),
    );
}

#[test]
fn privileges_have_to_be_granted() {
    isolated(|sandbox| {
        let project = with_dockerfile(sandbox, "insecure", ASKS);
        let refused = project.skiff(["build"]).run().fails();
        refused
            .warns("`--security=insecure` is not granted to this Dockerfile")
            .warns("Dockerfile:4:5")
            .warns("build.entitlements: [security.insecure]")
            .whatever();
        compose(&project, "      entitlements: [security.insecure]\n");
        let built = project.skiff(["build"]).run().succeeds();
        for text in ["plain may not", "asked may", "box may not"] {
            assert!(built.stderr.contains(text), "{text}: {built}");
        }
        // All commands, as the specification has it.
        compose(&project, "      privileged: true\n");
        let built = project.skiff(["build"]).run().succeeds();
        for text in ["plain may\n", "asked may", "box may not"] {
            assert!(built.stderr.contains(text), "{text}: {built}");
        }
        compose(&project, "      entitlements: [security.insecur]\n");
        let unknown = project.skiff(["build"]).run().fails();
        unknown
            .warns("`security.insecur` is no entitlement")
            .warns("compose.yaml:6:22")
            .whatever();
        let allow = [
            "image",
            "build",
            "--allow",
            "security.insecure",
            "--no-cache",
            ".",
        ];
        let built = project.skiff(allow).run().succeeds();
        built.warns("asked may").whatever();
    });
}

#[test]
fn the_machines_network_has_to_be_granted() {
    isolated(|sandbox| {
        let text = "FROM test/busybox\nRUN --network=host readlink /proc/self/ns/net\n";
        let project = with_dockerfile(sandbox, "hostnet", text);
        let refused = project.skiff(["build"]).run().fails();
        refused
            .warns("`--network=host` is not granted to this Dockerfile")
            .warns("network.host")
            .whatever();
        let own = fs_err::read_link("/proc/self/ns/net").unwrap();
        let own = own.to_str().unwrap();
        for granted in [
            "      entitlements: [network.host]\n",
            "      network: host\n",
        ] {
            compose(&project, granted);
            let built = project.skiff(["build"]).run().succeeds();
            built.warns(own).whatever();
        }
    });
}
