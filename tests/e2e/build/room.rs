//! Room on the disk: what goes by itself, and what is told where there is none.

use std::path::Path;
use std::time::SystemTime;

use fs_err as fs;

use super::{carried_out, with_dockerfile};
use crate::support::{Image, Output, Project, Sandbox, isolated};

/// A step that takes five megabytes, and never the same.
fn five_megabytes(name: &str) -> String {
    format!("FROM test/busybox\nRUN head -c 5000000 /dev/urandom > /{name}\n")
}

/// Builds with a budget that has room for the base and one such step.
#[track_caller]
fn build_within(project: &Project<'_>, budget: &str) -> Output {
    let build = project.skiff(["build"]).env("SKIFF_DISK_BUDGET", budget);
    build.run().succeeds()
}

#[test]
fn what_builds_keep_goes_when_the_budget_is_used_up_the_longest_unused_first() {
    isolated(|sandbox| {
        let project = with_dockerfile(sandbox, "budget", &five_megabytes("first"));
        build_within(&project, "12MB").whatever();
        project.write("Dockerfile", &five_megabytes("second"));
        let enough = build_within(&project, "20MB");
        assert!(!enough.stderr.contains("removed"), "{enough}");
        let built = build_within(&project, "9MB");
        let wanted = "removed 1 build step that nothing used for longest (5MB): images and build \
                      cache had more than 9.44MB (SKIFF_DISK_BUDGET)";
        assert!(built.stderr.contains(wanted), "{built}");
        // What the image has stays.
        assert_eq!(
            carried_out(&build_within(&project, "1MB")),
            Vec::<String>::new()
        );
        project.write("Dockerfile", &five_megabytes("first"));
        assert_eq!(carried_out(&build_within(&project, "off")).len(), 1);
        let wrong = build_within(&project, "lots");
        let wanted = "SKIFF_DISK_BUDGET takes `40GB`, `30%` or `off`, not `lots`";
        assert!(wrong.stderr.contains(wanted), "{wrong}");
    });
}

#[test]
fn cache_folders_count_and_go_once_they_were_not_used_for_a_day() {
    isolated(|sandbox| {
        let text = "FROM test/busybox\nRUN --mount=type=cache,target=/c \
                    [ -e /c/big ] || { echo empty; head -c 5000000 /dev/zero > /c/big; }\n";
        let project = with_dockerfile(sandbox, "folders", text);
        let built = build_within(&project, "3MB");
        assert!(!built.stderr.contains("removed"), "{built}");
        let mounts = sandbox.data().join("builds/mounts");
        let marks = || {
            let all = fs::read_dir(&mounts).expect("a folder").map(|entry| {
                let path = entry.expect("an entry").path();
                (path.extension() == Some("used".as_ref())).then_some(path)
            });
            all.flatten().collect::<Vec<_>>()
        };
        let all = marks();
        let [mark] = all.as_slice() else {
            panic!("{all:?}");
        };
        let long_ago = SystemTime::now() - std::time::Duration::from_secs(48 * 3600);
        let file = fs::File::open(mark).expect("a file");
        file.set_modified(long_ago).expect("a time");
        let again = build_within(&project, "3MB");
        again
            .warns("removed 1 cache folder that nothing used for longest (5MB)")
            .whatever();
        assert_eq!(marks(), Vec::<std::path::PathBuf>::new());
        let again = project.skiff(["build", "--no-cache"]).run().succeeds();
        again.warns(" empty").whatever();
    });
}

#[test]
fn prune_removes_what_no_image_has_and_with_all_the_cache_folders_too() {
    isolated(|sandbox| {
        let project = with_dockerfile(sandbox, "prune", &five_megabytes("first"));
        build_within(&project, "off").whatever();
        let text = "FROM test/busybox\nRUN --mount=type=cache,target=/c head -c 2000000 /dev/zero > /c/a\n";
        project.write("Dockerfile", text);
        build_within(&project, "off").whatever();
        let prune = |args: &[&str]| {
            let words = ["build", "prune"].iter().chain(args);
            project.skiff(words).run().succeeds()
        };
        let kept = prune(&["--keep-storage", "20MB"]);
        kept.prints("Total reclaimed space: 0B\n").whatever();
        let pruned = prune(&[]);
        assert!(pruned.stdout.contains("RUN head -c 5000000"), "{pruned}");
        assert!(
            pruned.stdout.ends_with("Total reclaimed space: 5MB\n"),
            "{pruned}"
        );
        let kept = prune(&["-a", "-f", "--reserved-space", "20MB", "--verbose"]);
        kept.prints("Total reclaimed space: 0B\n").whatever();
        let free = ["build", "prune", "--min-free-space", "1GB"];
        let refused = project.skiff(free).run().ends_with(1);
        refused.warns("--min-free-space: ").whatever();
        let young = prune(&["-a", "--filter", "until=24h"]);
        young.prints("Total reclaimed space: 0B\n").whatever();
        let all = prune(&["-a"]);
        assert!(
            all.stdout.ends_with("Total reclaimed space: 2MB\n"),
            "{all}"
        );
        assert!(!sandbox.data().join("builds/mounts").exists());
    });
}

/// Makes an image look as if nothing had used it for ten years.
fn age(sandbox: &Sandbox, name: &str) {
    let id = sandbox
        .skiff(["image", "inspect", name])
        .run()
        .succeeds()
        .json();
    let id = id[0]["Id"].as_str().expect("an id").replace("sha256:", "");
    let blob = sandbox.data().join("images/blobs/sha256").join(id);
    let long_ago = SystemTime::now() - std::time::Duration::from_secs(10 * 365 * 24 * 3600);
    let file = fs::File::open(blob).expect("the image's config");
    file.set_modified(long_ago).expect("a file");
}

#[test]
fn images_with_a_name_go_by_a_set_budget_alone_and_never_while_a_container_has_them() {
    isolated(|sandbox| {
        let load = |name: &str| {
            let image = Image::busybox().file("etc/mark", 0o644, name);
            sandbox.load(&image, name);
            age(sandbox, name);
        };
        for name in ["test/old:1", "test/used:1", "test/now:1"] {
            load(name);
        }
        let compose = "services:\n  a: {image: 'test/used:1', command: ['true']}\n";
        let project = sandbox.project("room", compose);
        project.up().whatever();
        age(sandbox, "test/used:1");
        let names = || {
            let ls = ["image", "ls", "--format", "{{.Repository}}"];
            let listed = sandbox.skiff(ls).run().succeeds().stdout;
            let mut names: Vec<String> = listed.lines().map(str::to_owned).collect();
            names.sort();
            names
        };
        let all = ["test/now", "test/old", "test/used"];
        project.up().whatever();
        assert_eq!(names(), all, "nobody set a budget");
        // Two services use images, one just now.
        let compose = format!("{compose}  b: {{image: 'test/now:1', command: ['true']}}\n");
        project.write("compose.yaml", &compose);
        let run = ["run", "--rm", "-T", "b"];
        let run = project.skiff(run).env("SKIFF_DISK_BUDGET", "1MB").run();
        let told = run.succeeds();
        assert!(told.stderr.contains("removed 1 image that"), "{told}");
        assert_eq!(names(), ["test/now", "test/used"]);
        project.down();
        assert_eq!(names(), ["test/now", "test/used"]);
    });
}

/// The mounts below a folder.
fn mounts_below(folder: &Path) -> Vec<String> {
    let table = fs::read_to_string("/proc/self/mountinfo").expect("procfs");
    let points = table.lines().filter_map(|line| line.split(' ').nth(4));
    points
        .filter(|point| Path::new(point).starts_with(folder) && Path::new(point) != folder)
        .map(str::to_owned)
        .collect()
}

#[test]
fn a_full_disk_is_told_as_such_and_leaves_a_good_cache() {
    isolated(|sandbox| {
        let data = sandbox.data();
        let line = format!(
            "mkdir -p {0} && mount -t tmpfs -o size=24m,mode=700 data {0}",
            data.display()
        );
        sandbox.shell(&line).run().succeeds().whatever();
        let begin = "FROM test/busybox\nRUN echo kept > /kept\n";
        let failing = [
            "RUN head -c 100000000 /dev/zero > /big\n",
            "COPY big /\n",
            "COPY --from=big / /\n",
        ];
        let project = with_dockerfile(sandbox, "full", "");
        fs::write(project.dir.join("big"), vec![1; 60_000_000]).unwrap();
        project.write("dir/small", "small\n");
        for (number, step) in failing.into_iter().enumerate() {
            let text = match number {
                2 => format!(
                    "FROM test/busybox AS big\nRUN head -c 12000000 /dev/zero > /big\n{begin}{step}"
                ),
                _ => format!("{begin}{step}"),
            };
            project.write("Dockerfile", &text);
            let failed = project.skiff(["build"]).run().ends_with(1);
            let told = format!("the disk is full, `{}` has ", data.display());
            for part in [
                told.as_str(),
                " of 25 MB left",
                "Dockerfile:",
                "`skiff build prune`",
            ] {
                assert!(failed.stderr.contains(part), "{part}\n{failed}");
            }
            assert_eq!(mounts_below(&data), Vec::<String>::new());
        }
        project
            .skiff(["build", "prune"])
            .run()
            .succeeds()
            .whatever();
        // What was done before the disk was full is known still.
        project.write(
            "Dockerfile",
            &format!("{begin}COPY dir/small /\nRUN cat /small /kept\n"),
        );
        let built = project.skiff(["build"]).run().succeeds();
        assert!(built.stderr.contains(" kept\n"), "{built}");
        let again = project.skiff(["build"]).run().succeeds();
        assert_eq!(carried_out(&again), Vec::<String>::new(), "{again}");
        let sound = sandbox.skiff(["image", "verify"]).run().succeeds();
        assert!(!sound.stdout.contains("damaged"), "{sound}");
        let line = format!("umount {}", data.display());
        sandbox.shell(&line).run().succeeds().whatever();
    });
}
