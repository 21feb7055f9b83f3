//! Which files come into a container, and how.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::time::{Duration, SystemTime};

use fs_err as fs;

use super::{SYNC, end, path, until, watch, with_rules};
use crate::support::{Image, Project, isolated};

/// What is in a folder of the container: kind, mode, owner and name of each.
fn listing(project: &Project<'_>, folder: &str) -> Vec<String> {
    let script = format!("cd {folder} && find . -exec stat -c '%F %a %u:%g %n' {{}} +");
    let mut lines: Vec<String> = project
        .sh("web", &script)
        .lines()
        .map(str::to_owned)
        .collect();
    lines.sort();
    lines
}

#[test]
fn a_saved_file_is_in_the_container_as_it_is_here() {
    isolated(|sandbox| {
        let project = with_rules(sandbox, "saved", SYNC);
        let mut watch = watch(&project, &[]);
        project.write("src/run.sh", "echo hello\n");
        watch.wait_line("web: src/run.sh to /app/run.sh");
        assert_eq!(project.sh("web", "cat /app/run.sh"), "echo hello\n");
        // Mode, time and owner are those of the file.
        let file = path(&project, "src/run.sh");
        fs::set_permissions(&file, std::fs::Permissions::from_mode(0o750)).expect("a mode");
        watch.wait_line("web: src/run.sh to /app/run.sh");
        std::os::unix::fs::chown(&file, Some(1234), Some(99)).expect("an owner");
        watch.wait_line("web: src/run.sh to /app/run.sh");
        let old = SystemTime::UNIX_EPOCH + Duration::from_secs(1_600_000_000);
        let handle = fs::OpenOptions::new().append(true).open(&file).expect("it");
        handle.file().set_modified(old).expect("a time");
        drop(handle);
        watch.wait_line("web: src/run.sh to /app/run.sh");
        let looks = project.sh("web", "stat -c '%a %u:%g %Y' /app/run.sh");
        assert_eq!(looks, "750 1234:99 1600000000\n");
        // What was there before it began is not copied.
        assert_eq!(project.sh("web", "ls /app"), "run.sh\n");
        end(watch);
        project.down();
    });
}

#[test]
fn files_belong_to_the_user_of_the_container() {
    isolated(|sandbox| {
        let image = Image::busybox()
            .file(
                "etc/passwd",
                0o644,
                "root:x:0:0::/:/bin/sh\napp:x:70:71::/:/bin/sh\n",
            )
            .file("etc/group", 0o644, "root:x:0:\napp:x:71:\n");
        sandbox.load(&image, "test/users");
        let project = sandbox.project(
            "users",
            &format!(
                "services:\n  web:\n    image: test/users\n    user: app\n    \
                 command: [sleep, '1000']\n    init: true\n    develop:\n      watch:\n{SYNC}"
            ),
        );
        fs::create_dir(path(&project, "src")).expect("a folder");
        let mut watch = watch(&project, &[]);
        project.write("src/a/b/c", "x");
        watch.wait_line("web: ");
        assert_eq!(
            listing(&project, "/app"),
            [
                "directory 755 70:71 .",
                "directory 755 70:71 ./a",
                "directory 755 70:71 ./a/b",
                "regular file 644 70:71 ./a/b/c",
            ]
        );
        end(watch);
        project.down();
    });
}

#[test]
fn folders_deletions_renames_and_links() {
    isolated(|sandbox| {
        let project = with_rules(sandbox, "tree", SYNC);
        let mut watch = watch(&project, &[]);
        let src = path(&project, "src");
        fs::create_dir_all(src.join("a/deep/er")).expect("folders");
        fs::write(src.join("a/deep/er/file"), "1").expect("a file");
        fs::create_dir(src.join("empty")).expect("a folder");
        symlink("a/deep", src.join("link")).expect("a link");
        symlink("/nowhere/at/all", src.join("dangling")).expect("a link");
        until(
            &mut watch,
            &project,
            "cat /app/a/deep/er/file; readlink /app/dangling",
            "1/nowhere/at/all\n",
        );
        let all = [
            "directory 755 0:0 .",
            "directory 755 0:0 ./a",
            "directory 755 0:0 ./a/deep",
            "directory 755 0:0 ./a/deep/er",
            "directory 755 0:0 ./empty",
            "regular file 644 0:0 ./a/deep/er/file",
            "symbolic link 777 0:0 ./dangling",
            "symbolic link 777 0:0 ./link",
        ];
        assert_eq!(listing(&project, "/app"), all);
        let links = project.sh("web", "readlink /app/link; readlink /app/dangling");
        assert_eq!(links, "a/deep\n/nowhere/at/all\n");

        // What the program of the container made goes with a folder that goes.
        project.sh(
            "web",
            "mkdir /app/a/deep/cache; echo x >/app/a/deep/cache/y; echo x >/app/own",
        );
        fs::rename(src.join("a/deep"), src.join("a/flat")).expect("a rename");
        fs::remove_file(src.join("dangling")).expect("a link");
        fs::remove_dir(src.join("empty")).expect("a folder");
        until(
            &mut watch,
            &project,
            "cat /app/a/flat/er/file; ls /app",
            "1a\nlink\nown\n",
        );
        assert_eq!(
            listing(&project, "/app"),
            [
                "directory 755 0:0 .",
                "directory 755 0:0 ./a",
                "directory 755 0:0 ./a/flat",
                "directory 755 0:0 ./a/flat/er",
                "regular file 644 0:0 ./a/flat/er/file",
                "regular file 644 0:0 ./own",
                "symbolic link 777 0:0 ./link",
            ]
        );
        // A renamed folder is watched at its new place.
        fs::write(src.join("a/flat/er/more"), "2").expect("a file");
        watch.wait_line("web: src/a/flat/er/more to /app/a/flat/er/more");
        // A file becomes a folder, and a folder a file.
        fs::remove_file(src.join("a/flat/er/more")).expect("a file");
        fs::create_dir(src.join("a/flat/er/more")).expect("a folder");
        fs::write(src.join("a/flat/er/more/inside"), "3").expect("a file");
        until(&mut watch, &project, "cat /app/a/flat/er/more/inside", "3");
        fs::remove_dir_all(src.join("a")).expect("a folder");
        fs::write(src.join("a"), "4").expect("a file");
        until(&mut watch, &project, "cat /app/a", "4");
        // The folder of the rule goes and comes back: what the container has of its own stays.
        fs::remove_dir_all(&src).expect("a folder");
        until(&mut watch, &project, "ls /app", "own\n");
        fs::create_dir(&src).expect("a folder");
        fs::write(src.join("again"), "5").expect("a file");
        until(&mut watch, &project, "cat /app/again", "5");
        end(watch);
        project.down();
    });
}

#[test]
fn no_link_leads_out_of_the_container() {
    isolated(|sandbox| {
        let project = with_rules(sandbox, "out", SYNC);
        let outside = path(&project, "outside");
        fs::create_dir(&outside).expect("a folder");
        fs::write(outside.join("victim"), "untouched").expect("a file");
        // A folder of the source that is a link is a link in the container.
        symlink(&outside, path(&project, "src/away")).expect("a link");
        let mut watch = watch(&project, &[]);
        // In the container, the target is a link to where the machine has the folder, and
        // so is a folder in it.
        let script = format!(
            "mkdir -p /real && ln -s ../../../../../real /app && ln -s {} /real/sub",
            outside.display()
        );
        project.sh("web", &script);
        project.write("src/sub/victim", "touched");
        watch.wait_line("web: ");
        let victim = fs::read_to_string(outside.join("victim")).expect("the file");
        assert_eq!(victim, "untouched");
        project.write("src/x", "y");
        watch.wait_line("web: src/x");
        assert_eq!(project.sh("web", "cat /real/x"), "y");
        fs::write(outside.join("seen"), "z").expect("a file");
        project.write("src/last", "y");
        watch.wait_line("web: src/last");
        assert_eq!(project.sh("web", "find / -xdev -name seen"), "");
        fs::remove_dir_all(path(&project, "src/sub")).expect("a folder");
        watch.wait_line("gone");
        assert!(outside.join("victim").exists());
        end(watch);
        project.down();
    });
}

#[test]
fn what_is_left_out_is_never_looked_at() {
    isolated(|sandbox| {
        let rules =
            "        - {path: ., action: sync, target: /app, ignore: [node_modules/, '*.log']}\n";
        let project = with_rules(sandbox, "left", rules);
        let compose = fs::read_to_string(path(&project, "compose.yaml")).expect("the file");
        let compose = compose.replace("image: test/busybox", "image: own\n    build: .");
        project.write("compose.yaml", &compose);
        project.write("Dockerfile", "FROM test/busybox\n");
        project.write(".dockerignore", "vendor\nbuild\n!build/keep\n");
        for folder in ["node_modules", "vendor", ".git", "src/.git"] {
            project.write(&format!("{folder}/a/b/c/d"), "x");
        }
        project.write("build/keep/old", "x");
        let mut watch = watch(&project, &[]);
        // The project, src, build, build/keep: a watch each.
        let info = fs::read_dir(format!("/proc/{}/fdinfo", watch.pid()))
            .expect("its descriptors")
            .map(|entry| fs::read_to_string(entry.expect("one").path()).unwrap_or_default())
            .map(|text| {
                text.lines()
                    .filter(|line| line.starts_with("inotify "))
                    .count()
            })
            .max();
        assert_eq!(info, Some(4));
        for file in [
            "node_modules/a/new",
            "vendor/new",
            ".git/new",
            "src/.git/index",
            "debug.log",
            "build/out",
            ".main.py.swp",
            "main.py~",
        ] {
            project.write(file, "x");
        }
        project.write("build/keep/new", "x");
        until(
            &mut watch,
            &project,
            "cd /app && find . -type f",
            "./build/keep/new\n",
        );
        end(watch);
        project.down();
    });
}

#[test]
fn editors_save_in_their_own_ways_and_no_reader_sees_half() {
    isolated(|sandbox| {
        let project = with_rules(sandbox, "editors", SYNC);
        let file = path(&project, "src/page");
        let text = |letter: &str| letter.repeat(200_000);
        fs::write(&file, text("a")).expect("a file");
        let mut watch = watch(&project, &[]);
        fs::write(&file, text("b")).expect("a file");
        watch.wait_line("src/page to /app/page");
        // A reader that is never content with less than a whole file of one letter.
        let script = "n=0; while [ ! -e /stop ]; do \
                        m=$(cat /app/page | tr -d '\\n' | md5sum); \
                        case \" $(cat /sums) \" in *\" ${m%% *} \"*) n=$((n+1));; \
                        *) echo BAD; exit;; esac; done; echo $n";
        let mut sums = String::new();
        let letters: Vec<String> = ('b'..='u').map(|letter| letter.to_string()).collect();
        for letter in &letters {
            let sum = sandbox
                .shell("md5sum | cut -d' ' -f1")
                .input(text(letter))
                .run()
                .succeeds();
            sums.push_str(sum.stdout.trim());
            sums.push(' ');
        }
        project
            .skiff(["exec", "-T", "web", "sh", "-c", "cat >/sums"])
            .input(sums)
            .run()
            .succeeds()
            .whatever();
        let reader = project
            .skiff(["exec", "-T", "web", "sh", "-c", script])
            .spawn();
        let src = path(&project, "src");
        for (number, letter) in letters.iter().enumerate() {
            match number % 5 {
                // vim: trial file, backup by renaming, a new file, the backup goes.
                0 => {
                    fs::write(src.join("4913"), "").expect("a file");
                    fs::remove_file(src.join("4913")).expect("a file");
                    fs::rename(&file, src.join("page~")).expect("a rename");
                    fs::write(&file, text(letter)).expect("a file");
                    fs::remove_file(src.join("page~")).expect("a file");
                }
                // VS Code: the file is cut and written.
                1 => fs::write(&file, text(letter)).expect("a file"),
                // JetBrains: a new file, the old one aside, and back.
                2 => {
                    let (new, old) = (src.join("page___jb_tmp___"), src.join("page___jb_old___"));
                    fs::write(&new, text(letter)).expect("a file");
                    fs::rename(&file, &old).expect("a rename");
                    fs::rename(&new, &file).expect("a rename");
                    fs::remove_file(&old).expect("a file");
                }
                // Temporary file and rename.
                3 => {
                    fs::write(src.join(".page.tmp"), text(letter)).expect("a file");
                    fs::rename(src.join(".page.tmp"), &file).expect("a rename");
                }
                // Removed and written anew.
                _ => {
                    fs::remove_file(&file).expect("a file");
                    fs::write(&file, text(letter)).expect("a file");
                }
            }
            watch.wait_line("/app");
        }
        project.sh("web", "touch /stop");
        let counted = reader.finish().succeeds().stdout;
        assert!(
            counted.trim().parse::<u32>().is_ok_and(|n| n > 0),
            "{counted}"
        );
        assert_eq!(
            project.sh("web", "head -c 3 /app/page; ls -A /app"),
            "uuupage\n"
        );
        end(watch);
        project.down();
    });
}

#[test]
fn volumes_single_files_and_containers_that_do_not_run() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let project = sandbox.project(
            "places",
            "services:
  web:
    image: test/busybox
    command: [sleep, '1000']
    init: true
    volumes: ['data:/app/data', './one.conf:/etc/one.conf']
    develop:
      watch:
        - {path: ./src, action: sync, target: /app}
        - {path: ./other.conf, action: sync, target: /etc/}
        - {path: ./two.conf, action: sync, target: /etc/one.conf}
volumes:
  data:
",
        );
        project.write("src/data/in-volume", "1");
        project.write("one.conf", "one");
        project.write("two.conf", "two");
        let mut watch = watch(&project, &[]);
        project.write("src/data/in-volume", "2");
        watch.wait_line("web: src/data/in-volume");
        let volume = sandbox.data().join("volumes/places_data/_data/in-volume");
        assert_eq!(fs::read_to_string(&volume).expect("the file"), "2");
        // A folder where something is mounted does not go; what is in it does not either.
        fs::remove_dir_all(path(&project, "src/data")).expect("a folder");
        watch.wait_line("error: cannot remove `/app/data` in container `places-web-1`");
        watch.wait_line("something is mounted there");
        assert_eq!(project.sh("web", "ls /app"), "data\n");
        // A missing file that comes, at a target that is a folder.
        project.write("other.conf", "o");
        watch.wait_line("web: other.conf to /etc/other.conf");
        // A mounted file is written in place.
        project.write("two.conf", "two too");
        watch.wait_line("web: two.conf to /etc/one.conf");
        assert_eq!(
            project.sh("web", "cat /etc/one.conf /etc/other.conf"),
            "two tooo"
        );
        let inode = fs::metadata(path(&project, "one.conf"))
            .expect("the file")
            .ino();
        assert_eq!(
            project.sh("web", "stat -c %i /etc/one.conf").trim(),
            inode.to_string()
        );

        project
            .skiff(["stop", "-t", "0"])
            .run()
            .succeeds()
            .whatever();
        project.write("src/late", "late");
        watch.wait_line("web: src/late to /app/late");
        project.write("src/data/late", "later");
        watch.wait_line("web: ");
        project.skiff(["start"]).run().succeeds().whatever();
        assert_eq!(
            project.sh("web", "cat /app/late /app/data/late"),
            "latelater"
        );
        end(watch);
        project.down();
    });
}

/// Written to beside the container, its mounts are what they are in it: read-only ones are, and
/// what a program puts into a volume leads nowhere else.
#[test]
fn mounts_of_a_container_that_does_not_run_are_as_in_one_that_does() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let project = sandbox.project(
            "rest",
            "services:
  web:
    image: test/busybox
    command: [sleep, '1000']
    init: true
    volumes:
      - ./lib:/app/lib:ro
      - {type: volume, source: data, target: /app/data, volume: {subpath: sub}}
    develop:
      watch:
        - {path: ./src, action: sync, target: /app}
  maker:
    image: test/busybox
    command: [sleep, '1000']
    init: true
    volumes: ['data:/data']
volumes:
  data:
",
        );
        project.write("lib/own", "own");
        project.write("src/lib/old", "old");
        project.write("src/data/old", "old");
        let made = project
            .skiff(["run", "--rm", "maker", "mkdir", "/data/sub"])
            .run();
        made.succeeds().whatever();
        let outside = path(&project, "outside");
        fs::create_dir(&outside).expect("a folder");
        let mut watch = watch(&project, &[]);
        let stop = project.skiff(["stop", "-t", "0", "web"]).run();
        stop.succeeds().whatever();
        let link = format!("rmdir /data/sub && ln -s {} /data/sub", outside.display());
        project
            .skiff(["exec", "-T", "maker", "sh", "-c", &link])
            .run()
            .succeeds()
            .whatever();
        project.write("src/lib/new", "new");
        watch.wait_line("cannot write `/app/lib/new` in container `rest-web-1`: Read-only");
        project.write("src/data/new", "new");
        project.write("src/last", "last");
        watch.wait_line("web: ");
        let names = |folder: &std::path::Path| -> Vec<_> {
            let entries = fs::read_dir(folder).expect("a folder");
            entries
                .map(|entry| entry.expect("one").file_name())
                .collect()
        };
        assert_eq!(names(&outside), Vec::<std::ffi::OsString>::new());
        assert_eq!(names(&path(&project, "lib")), ["own"]);
        end(watch);
        project.down();
    });
}

#[test]
fn what_the_container_has_of_its_own_stays() {
    isolated(|sandbox| {
        let rules = "        - {path: ./src, action: sync, target: /app}
        - {path: ./one.conf, action: sync, target: /srv}
";
        let project = with_rules(sandbox, "own", rules);
        let compose = fs::read_to_string(path(&project, "compose.yaml")).expect("the file");
        let script =
            "[sh, -c, 'mkdir -p /srv/keep /app/uploads; echo d >/app/uploads/d; exec sleep 1000']";
        project.write("compose.yaml", &compose.replace("[sleep, '1000']", script));
        let src = path(&project, "src");
        fs::create_dir(src.join("v1")).expect("a folder");
        fs::write(src.join("v1/x"), "old").expect("a file");
        let mut watch = watch(&project, &[]);
        // Folders that no rule has copied are not replaced by a file.
        project.write("one.conf", "1");
        watch.wait_line("error: cannot write `/srv` in container `own-web-1`: Is a directory");
        project.write("src/uploads", "a file");
        watch.wait_line("error: cannot write `/app/uploads`");
        assert_eq!(
            project.sh("web", "ls /srv /app/uploads"),
            "/app/uploads:\nd\n\n/srv:\nkeep\n"
        );
        // The place that a rule copies to keeps its mode.
        fs::set_permissions(&src, std::fs::Permissions::from_mode(0o700)).expect("a mode");
        // A link becomes a folder in one go: what it led to stays as it is.
        fs::write(src.join("v1/x"), "one").expect("a file");
        symlink("v1", src.join("cur")).expect("a link");
        until(&mut watch, &project, "cat /app/cur/x", "one");
        fs::remove_file(src.join("cur")).expect("a link");
        fs::create_dir(src.join("cur")).expect("a folder");
        fs::write(src.join("cur/x"), "two").expect("a file");
        until(
            &mut watch,
            &project,
            "cat /app/v1/x /app/cur/x; readlink /app/cur",
            "onetwo",
        );
        assert_eq!(project.sh("web", "stat -c %a /app"), "755\n");
        end(watch);
        project.down();
    });
}

#[test]
fn containers_that_somebody_else_makes_anew_get_all() {
    isolated(|sandbox| {
        let project = with_rules(sandbox, "else", SYNC);
        let mut watch = watch(&project, &[]);
        project.write("src/x", "1");
        watch.wait_line("web: src/x to /app/x");
        let up = project
            .skiff(["up", "-d", "--force-recreate", "-t", "0"])
            .run();
        up.succeeds().whatever();
        watch.wait_line("web: what was synced before");
        assert_eq!(project.sh("web", "cat /app/x"), "1");
        // Also where nothing of the project was left meanwhile.
        let down = project.skiff(["down", "-t", "0"]).run();
        down.succeeds().whatever();
        project.up().whatever();
        watch.wait_line("web: what was synced before");
        assert_eq!(project.sh("web", "cat /app/x"), "1");
        let up = project.skiff(["up", "-d", "--scale", "web=2"]).run();
        up.succeeds().whatever();
        watch.wait_line("web: what was synced before");
        let exec = ["exec", "-T", "--index", "2", "web", "cat", "/app/x"];
        project.skiff(exec).run().succeeds().prints("1").whatever();
        end(watch);
        project.down();
    });
}

#[test]
fn a_read_only_root_is_told_with_what_helps() {
    isolated(|sandbox| {
        let project = with_rules(sandbox, "ro", SYNC);
        let compose = fs::read_to_string(path(&project, "compose.yaml")).expect("the file");
        let compose = compose.replace("    init: true\n", "    init: true\n    read_only: true\n");
        project.write("compose.yaml", &compose);
        let mut watch = watch(&project, &[]);
        project.write("src/x", "y");
        watch.wait_line(
            "error: cannot write `/app/x` in container `ro-web-1`: Read-only file system",
        );
        watch.wait_line("mount a volume or a tmpfs at the rule's `target`");
        end(watch);
        project.down();
    });
}

#[test]
fn several_replicas_and_several_services_share_a_folder() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let service = "    image: test/busybox\n    command: [sleep, '1000']\n    init: true\n    \
                       develop:\n      watch:\n        - {path: ./src, action: sync, target: ";
        let project = sandbox.project(
            "shared",
            &format!(
                "services:\n  web:\n    scale: 3\n{service}/app}}\n  worker:\n{service}/work}}\n"
            ),
        );
        fs::create_dir(path(&project, "src")).expect("a folder");
        let mut watch = watch(&project, &[]);
        project.write("src/x", "y");
        watch.wait_line("web: src/x to /app/x in 3 containers");
        let output = end_after(watch, "worker: src/x to /work/x");
        assert!(!output.contains("error"), "{output}");
        for index in ["1", "2", "3"] {
            let found = project
                .skiff(["exec", "-T", "--index", index, "web", "cat", "/app/x"])
                .run()
                .succeeds();
            assert_eq!(found.stdout, "y");
        }
        assert_eq!(project.sh("worker", "cat /work/x"), "y");
        project.down();
    });
}

/// Ends it once it has said something, whether before or after what was waited for last.
fn end_after(watch: crate::support::Background, line: &str) -> String {
    watch.signal(rustix::process::Signal::INT);
    let output = watch.finish().succeeds().stderr;
    assert!(output.contains(line), "{output}");
    output
}
