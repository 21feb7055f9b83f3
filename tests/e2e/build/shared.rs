//! Caches that machines share: `cache_from`, `cache_to`.

use std::path::{Path, PathBuf};

use fs_err as fs;

use super::carried_out;
use crate::support::{
    Image, Invocation, Output, Project, Registry, Sandbox, files_below, isolated,
};

/// A number that no other run of the step comes to, and a stage beside the image.
const DOCKERFILE: &str = "FROM test/busybox AS tools\n\
     RUN cat /proc/sys/kernel/random/uuid > /tool; cp /tool /waste\n\
     FROM test/busybox\n\
     RUN cat /proc/sys/kernel/random/uuid > /number\n\
     COPY --from=tools /tool /\n\
     COPY app /\n\
     RUN true\n\
     RUN cat /app /tool > /both\n";

/// A machine of its own: nothing of the others' store is on it.
struct Machine<'s> {
    sandbox: &'s Sandbox,
    roots: PathBuf,
}

impl<'s> Machine<'s> {
    fn new(sandbox: &'s Sandbox, name: &str) -> Self {
        let machine = Self {
            sandbox,
            roots: sandbox.work().join(format!("machine-{name}")),
        };
        let archive = Image::busybox().docker_archive("test/busybox:latest");
        let load = machine.at(sandbox.skiff(["load"])).input(archive);
        load.run().succeeds().whatever();
        machine
    }

    fn at(&self, invocation: Invocation) -> Invocation {
        invocation
            .env("SKIFF_DATA_ROOT", self.data())
            .env("SKIFF_RUN_ROOT", self.roots.join("run"))
    }

    fn data(&self) -> PathBuf {
        self.roots.join("data")
    }

    fn skiff(&self, project: &Project<'_>, args: &[&str]) -> Invocation {
        self.at(project.skiff(args))
    }

    #[track_caller]
    fn build(&self, project: &Project<'_>) -> Output {
        self.skiff(project, &["build"]).run().succeeds()
    }

    #[track_caller]
    fn image(&self, project: &Project<'_>) -> String {
        let built = self.skiff(project, &["build", "-q"]).run().succeeds();
        built.stdout.trim().to_owned()
    }

    fn layers(&self) -> usize {
        fs::read_dir(self.data().join("images/layers")).map_or(0, Iterator::count)
    }

    /// What is in the image under this path.
    #[track_caller]
    fn content(&self, project: &Project<'_>, path: &str) -> String {
        let run = ["run", "--rm", "-T", "web", "cat", path];
        let output = self.skiff(project, &run).run().succeeds();
        let down = self.skiff(project, &["down", "-t", "0"]);
        down.run().succeeds().whatever();
        assert!(self.sandbox.work().exists());
        output.stdout
    }
}

/// A project that takes steps from and puts them to where these items say.
fn project<'s>(sandbox: &'s Sandbox, name: &str, from: &str, to: &str) -> Project<'s> {
    let list = |name: &str, item: &str| match item {
        "" => String::new(),
        item => format!("      {name}: ['{item}']\n"),
    };
    let compose = format!(
        "services:\n  web:\n    image: test/web\n    build:\n      context: .\n{}{}",
        list("cache_from", from),
        list("cache_to", to)
    );
    let project = sandbox.project(name, &compose);
    project.write("Dockerfile", DOCKERFILE);
    project.write("app", "one\n");
    project
}

fn warning_of(output: &Output, part: &str) {
    let told = output.stderr.lines().any(|line| {
        line.starts_with("warning: the cache `")
            && line.contains("is not used")
            && line.contains(part)
    });
    assert!(told, "no warning with `{part}`\n{output}");
}

#[test]
fn a_registry_s_cache_makes_another_machine_run_nothing() {
    isolated(|sandbox| {
        let mut registry = Registry::start(sandbox, 5000);
        let name = format!("{}/caches/web:main", registry.address);
        let place = format!("type=registry,ref={name}");
        let (here, there) = (
            Machine::new(sandbox, "here"),
            Machine::new(sandbox, "there"),
        );
        let maker = project(sandbox, "maker", "", &format!("{place},mode=max"));
        let made = here.build(&maker);
        assert_eq!(carried_out(&made).len(), 6, "{made}");
        let number = here.content(&maker, "/number");
        // Nothing is written twice.
        let blobs = || files_below(&sandbox.work().join("registry-5000/store")).len();
        let before = blobs();
        here.build(&maker).whatever();
        assert_eq!(blobs(), before);

        let user = project(sandbox, "user", &name, "");
        let used = there.build(&user);
        assert_eq!(carried_out(&used), Vec::<String>::new(), "{used}");
        assert!(
            used.stderr.contains("importing cache manifest from"),
            "{used}"
        );
        assert_eq!(there.content(&user, "/number"), number);
        assert_eq!(
            there.layers(),
            here.layers() - 1,
            "what the stage made is not needed"
        );
        let image = there.image(&user);
        assert_eq!(here.image(&user), image);

        // What changed is made, and needs nothing of the other stage.
        user.write("app", "two\n");
        let changed = there.build(&user);
        let wanted = ["COPY app /", "RUN true", "RUN cat /app /tool > /both"];
        assert_eq!(carried_out(&changed), wanted, "{changed}");
        registry.stop();
    });
}

#[test]
fn the_layers_of_a_stage_come_once_something_needs_them() {
    isolated(|sandbox| {
        let registry = Registry::start(sandbox, 5000);
        let place = format!("type=registry,ref={}/cache", registry.address);
        let (here, there) = (
            Machine::new(sandbox, "here"),
            Machine::new(sandbox, "there"),
        );
        here.build(&project(sandbox, "maker", "", &format!("{place},mode=max")))
            .whatever();
        let user = project(sandbox, "user", &place, "");
        let further =
            DOCKERFILE.replace("COPY app /", "COPY --from=tools /tool /again\nCOPY app /");
        user.write("Dockerfile", &further);
        let built = there.build(&user);
        let wanted = [
            "COPY --from=tools /tool /again",
            "COPY app /",
            "RUN true",
            "RUN cat /app /tool > /both",
        ];
        assert_eq!(carried_out(&built), wanted, "{built}");
        let tool = there.content(&user, "/tool");
        assert_eq!(there.content(&user, "/again"), tool);
    });
}

#[test]
fn a_folder_s_cache_is_an_image_layout_that_does_not_grow() {
    isolated(|sandbox| {
        let (here, there) = (
            Machine::new(sandbox, "here"),
            Machine::new(sandbox, "there"),
        );
        let maker = project(sandbox, "maker", "", "type=local,dest=../cache,mode=max");
        here.build(&maker).whatever();
        let folder = sandbox.work().join("cache");
        let index = fs::read_to_string(folder.join("index.json")).unwrap();
        let index: serde_json::Value = serde_json::from_str(&index).unwrap();
        let name = &index["manifests"][0]["annotations"]["org.opencontainers.image.ref.name"];
        assert_eq!(name, "latest");
        let files = files_below(&folder).len();
        maker.write("app", "other\n");
        here.build(&maker).whatever();
        assert_eq!(files_below(&folder).len(), files, "what nothing names goes");
        maker.write("app", "one\n");
        here.build(&maker).whatever();

        let user = project(sandbox, "user", "type=local,src=../cache", "");
        let used = there.build(&user);
        assert_eq!(carried_out(&used), Vec::<String>::new(), "{used}");
        assert_eq!(
            there.content(&user, "/number"),
            here.content(&maker, "/number")
        );

        let digest = format!("sha256:{}", "0".repeat(64));
        let gone = format!("type=local,src=../cache,digest={digest}");
        let elsewhere = Machine::new(sandbox, "elsewhere");
        let told = elsewhere.build(&project(sandbox, "gone", &gone, ""));
        warning_of(&told, "there is no `blobs");
        let tagged = project(sandbox, "tagged", "type=local,src=../cache,tag=other", "");
        tagged.write("app", "three\n");
        warning_of(&elsewhere.build(&tagged), "nothing named `other`");
    });
}

#[test]
fn a_cache_of_several_platforms_has_the_steps_of_each() {
    isolated(|sandbox| {
        let (here, there) = (
            Machine::new(sandbox, "here"),
            Machine::new(sandbox, "there"),
        );
        let project = sandbox.project("both", "");
        project.write(
            "Dockerfile",
            "FROM scratch\nARG TARGETARCH\nCOPY app /$TARGETARCH\nWORKDIR /of/$TARGETARCH\n",
        );
        project.write("app", "one\n");
        let both = "linux/amd64,linux/arm64";
        let build = |machine: &Machine<'_>, platform: &str, flags: &[&str]| {
            let words = ["image", "build", "--platform", platform];
            let words = [&words[..], flags, &["."]].concat();
            machine.skiff(&project, &words).run().succeeds()
        };
        let made = build(&here, both, &["--cache-to", "type=local,dest=cache"]);
        assert_eq!(carried_out(&made).len(), 4, "{made}");
        let wrote = made.stderr.matches("exporting cache to client directory");
        assert_eq!(wrote.count(), 1, "{made}");
        let used = build(&there, both, &["--cache-from", "type=local,src=cache"]);
        assert_eq!(carried_out(&used), Vec::<String>::new(), "{used}");
    });
}

#[test]
fn an_image_can_carry_its_own_cache() {
    isolated(|sandbox| {
        let registry = Registry::start(sandbox, 5000);
        let (here, there) = (
            Machine::new(sandbox, "here"),
            Machine::new(sandbox, "there"),
        );
        let name = format!("{}/app:1", registry.address);
        let dockerfile =
            "FROM test/busybox\nRUN cat /proc/sys/kernel/random/uuid > /number\nCOPY app /\n";
        let compose = |further: &str| {
            format!("services:\n  web:\n    image: {name}\n    build:\n      context: .\n{further}")
        };
        let maker = project(sandbox, "maker", "", "");
        maker.write("Dockerfile", dockerfile);
        maker.write("compose.yaml", &compose("      cache_to: [type=inline]\n"));
        here.build(&maker).whatever();
        here.skiff(&maker, &["push"]).run().succeeds().whatever();
        let user = project(sandbox, "user", "", "");
        user.write("Dockerfile", dockerfile);
        user.write(
            "compose.yaml",
            &compose(&format!("      cache_from: [{name}]\n")),
        );
        let used = there.build(&user);
        assert_eq!(carried_out(&used), Vec::<String>::new(), "{used}");
        assert_eq!(
            there.content(&user, "/number"),
            here.content(&maker, "/number")
        );
    });
}

/// Changes every blob of a folder that fits, at its end.
fn damage(folder: &Path, fits: impl Fn(&[u8]) -> bool) {
    let mut damaged = 0;
    for path in files_below(&folder.join("blobs")) {
        let mut bytes = fs::read(&path).unwrap();
        if fits(&bytes) {
            *bytes.last_mut().unwrap() ^= 0xff;
            fs::write(&path, bytes).unwrap();
            damaged += 1;
        }
    }
    assert!(damaged > 0, "nothing to damage");
}

#[test]
fn a_cache_that_is_not_what_it_says_is_done_without() {
    isolated(|sandbox| {
        let here = Machine::new(sandbox, "here");
        let maker = project(sandbox, "maker", "", "type=local,dest=../cache,mode=max");
        here.build(&maker).whatever();
        let cache = sandbox.work().join("cache");
        let user = project(sandbox, "user", "type=local,src=../copy", "");
        let copy = sandbox.work().join("copy");
        let use_damaged = |name: &str, damage: &dyn Fn()| {
            fs::remove_dir_all(&copy).ok();
            let line = format!("cp -a {} {}", cache.display(), copy.display());
            sandbox.shell(&line).run().succeeds().whatever();
            damage();
            let machine = Machine::new(sandbox, name);
            let built = machine.build(&user);
            assert_eq!(machine.content(&user, "/app"), "one\n");
            // And what is kept of it is right.
            assert_eq!(carried_out(&machine.build(&user)), Vec::<String>::new());
            built
        };
        let built = use_damaged("layers", &|| damage(&copy, |bytes| bytes[0] == 0x1f));
        warning_of(&built, "");
        assert!(carried_out(&built).len() >= 5, "{built}");
        let built = use_damaged("documents", &|| damage(&copy, |bytes| bytes[0] == b'{'));
        warning_of(&built, "digest");
        assert_eq!(carried_out(&built).len(), 6, "{built}");
        let built = use_damaged("index", &|| {
            fs::write(copy.join("index.json"), "[").unwrap();
        });
        warning_of(&built, "index.json");
        let built = use_damaged("missing", &|| {
            fs::remove_dir_all(copy.join("blobs")).unwrap();
        });
        warning_of(&built, "there is no `blobs");
    });
}

#[test]
fn a_cache_that_cannot_be_had_is_a_warning_and_one_that_cannot_be_written_an_error() {
    isolated(|sandbox| {
        let machine = Machine::new(sandbox, "here");
        let nowhere = "127.0.0.1:5999/cache";
        let built = machine.build(&project(sandbox, "from", nowhere, ""));
        warning_of(&built, "127.0.0.1:5999");
        assert_eq!(carried_out(&built).len(), 6, "{built}");
        let to = format!("type=registry,ref={nowhere}");
        let unwritten = project(sandbox, "to", "", &to);
        let failed = machine.skiff(&unwritten, &["build"]).run().ends_with(1);
        let wanted = format!("cannot write the cache `{nowhere}:latest`");
        assert!(failed.stderr.contains(&wanted), "{failed}");
        let ignored = project(sandbox, "to", "", &format!("{to},ignore-error=true"));
        let built = machine.build(&ignored);
        assert!(
            built.stderr.contains(&format!("warning: {wanted}")),
            "{built}"
        );
    });
}

#[test]
fn caches_that_skiff_does_not_have_are_refused_by_name_at_their_place() {
    isolated(|sandbox| {
        let project = project(sandbox, "kinds", "type=gha", "type=s3,region=x,bucket=y");
        let refused = project.skiff(["build"]).run().ends_with(1);
        for part in [
            "`type=gha`",
            "`type=s3`",
            "compose.yaml:6:",
            "compose.yaml:7:",
        ] {
            assert!(refused.stderr.contains(part), "{part}\n{refused}");
        }
    });
}
