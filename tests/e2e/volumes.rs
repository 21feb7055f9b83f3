//! Volumes and bind mounts.

use serde_json::json;

use crate::support::{Image, SLEEPER, isolated};

#[test]
fn a_named_volume_survives_down_and_goes_with_v() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let compose = format!(
            "services:\n  a: {{image: test/busybox, {SLEEPER}, volumes: [\"data:/data\"]}}\nvolumes:\n  data:\n"
        );
        let project = sandbox.project("vol", &compose);
        project.up().whatever();
        project.sh("a", "echo kept >/data/file");
        project.skiff(["down"]).run().succeeds().whatever();
        project.up().whatever();
        assert_eq!(project.sh("a", "cat /data/file"), "kept\n");
        let down = project.skiff(["down", "-v"]).run().succeeds();
        assert!(down.stderr.contains("Volume vol_data"), "{down}");
        project.up().whatever();
        assert_eq!(project.sh("a", "ls /data"), "");
        project.down();
    });
}

#[test]
fn a_fresh_volume_receives_the_images_content() {
    isolated(|sandbox| {
        let image = Image::busybox()
            .owned_dir("vol", 0o2750, (12, 34))
            .owned_file("vol/file", 0o640, (5, 6), "content\n")
            .link("vol/link", "file")
            .owned_dir("vol/sub", 0o700, (7, 8))
            .config("Volumes", json!({"/vol": {}}));
        sandbox.load(&image, "test/vol:1");
        let compose = format!(
            "services:\n  a: {{image: \"test/vol:1\", {SLEEPER}, volumes: [\"data:/vol\"]}}\n  \
             anon: {{image: \"test/vol:1\", {SLEEPER}}}\n  \
             nocopy:\n    image: test/vol:1\n    {SLEEPER}\n    volumes:\n      - {{type: volume, source: empty, target: /vol, volume: {{nocopy: true}}}}\n\
             volumes:\n  data:\n  empty:\n"
        );
        let project = sandbox.project("copy", &compose);
        project.up().whatever();
        let list =
            "stat -c '%a %u:%g %n' /vol /vol/file /vol/sub; readlink /vol/link; cat /vol/file";
        let wanted = "2750 12:34 /vol\n640 5:6 /vol/file\n700 7:8 /vol/sub\nfile\ncontent\n";
        assert_eq!(project.sh("a", list), wanted);
        assert_eq!(
            project.sh("anon", list),
            wanted,
            "a VOLUME of the image without a mount"
        );
        assert_eq!(project.sh("nocopy", "ls /vol"), "");
        // Only a fresh one: what was removed stays removed.
        project.sh("a", "rm /vol/file");
        project
            .skiff(["up", "-d", "--force-recreate"])
            .run()
            .succeeds()
            .whatever();
        assert_eq!(project.sh("a", "ls /vol"), "link\nsub\n");
        project.down();
    });
}

#[test]
fn bind_mounts_show_the_hosts_files() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let compose = format!(
            "services:\n  a:\n    image: test/busybox\n    {SLEEPER}\n    volumes: [\"./src:/src\", \"./src:/ro:ro\", \"./made:/made\", \"./one.txt:/one.txt\"]\n"
        );
        let project = sandbox.project("bind", &compose);
        project.write("src/file", "host\n");
        project.write("one.txt", "one\n");
        project.up().whatever();
        assert_eq!(
            project.sh("a", "cat /src/file /ro/file /one.txt"),
            "host\nhost\none\n"
        );
        project.sh("a", "echo inside >/src/new");
        let new = fs_err::read_to_string(project.dir.join("src/new")).expect("the new file");
        assert_eq!(new, "inside\n");
        project
            .skiff(["exec", "-T", "a", "touch", "/ro/x"])
            .run()
            .fails()
            .whatever();
        assert!(
            project.dir.join("made").is_dir(),
            "a missing source of the short form is made"
        );
        project.down();
        assert!(
            project.dir.join("src/file").exists(),
            "down -v leaves the user's files alone"
        );
    });
}

#[test]
fn a_missing_docker_socket_is_refused_by_name() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let socket = sandbox.work().join("docker.sock");
        let compose = format!(
            "services:\n  a:\n    image: test/busybox\n    volumes: [\"{}:/var/run/docker.sock\"]\n",
            socket.display()
        );
        let project = sandbox.project("sock", &compose);
        let refused = project.skiff(["up", "-d"]).run().fails();
        assert!(refused.stderr.contains("docker.sock"), "{refused}");
        assert!(!socket.exists(), "never made as a folder");
        project.down();
    });
}

#[test]
fn the_long_form_does_not_create_a_source() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let compose = format!(
            "services:\n  a:\n    image: test/busybox\n    {SLEEPER}\n    volumes:\n      - {{type: bind, source: ./nosuch, target: /x, bind: {{create_host_path: false}}}}\n"
        );
        let project = sandbox.project("long", &compose);
        let refused = project.skiff(["up", "-d"]).run().fails();
        assert!(refused.stderr.contains("nosuch"), "{refused}");
        assert!(!project.dir.join("nosuch").exists());
        project.down();
    });
}

#[test]
fn two_services_share_a_volume_and_external_ones_are_kept() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let compose = format!(
            "services:\n  a: {{image: test/busybox, {SLEEPER}, volumes: [\"data:/d\"]}}\n  \
             b: {{image: test/busybox, {SLEEPER}, volumes: [\"data:/d:ro\"]}}\nvolumes:\n  data:\n"
        );
        let first = sandbox.project("first", &compose);
        first.up().whatever();
        first.sh("a", "echo shared >/d/f");
        assert_eq!(first.sh("b", "cat /d/f"), "shared\n");
        first
            .skiff(["exec", "-T", "b", "touch", "/d/x"])
            .run()
            .fails()
            .whatever();
        let compose = format!(
            "services:\n  c: {{image: test/busybox, {SLEEPER}, volumes: [\"data:/d\"]}}\n\
             volumes:\n  data: {{external: true, name: first_data}}\n"
        );
        let second = sandbox.project("second", &compose);
        second.up().whatever();
        assert_eq!(second.sh("c", "cat /d/f"), "shared\n");
        second.skiff(["down", "-v"]).run().succeeds().whatever();
        assert_eq!(
            first.sh("a", "cat /d/f"),
            "shared\n",
            "not the second's to remove"
        );
        first.down();
        let missing = second.skiff(["up", "-d"]).run().fails();
        assert!(missing.stderr.contains("first_data"), "{missing}");
    });
}

/// `run -v NAME:/path` with a name that the file does not have: a volume of just
/// that name, which the project does not take along when it goes.
#[test]
fn run_makes_a_volume_that_only_the_command_line_names() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let compose = format!(
            "services:\n  a: {{image: test/busybox, {SLEEPER}, volumes: [\"data:/data\"]}}\nvolumes:\n  data:\n"
        );
        let project = sandbox.project("named", &compose);
        let run = |volume: &str, script: &str| {
            let args = ["run", "--rm", "-T", "-v", volume, "a", "sh", "-c", script];
            project.skiff(args).run().succeeds()
        };
        run("extra:/x", "echo kept >/x/file").whatever();
        run("data:/y", "echo own >/y/file").whatever();
        run("extra:/z", "cat /z/file /data/file")
            .prints("kept\nown\n")
            .whatever();
        project.down();
        run("extra:/x", "cat /x/file; ls /data")
            .prints("kept\n")
            .whatever();
        let down = project.skiff(["down", "-v"]).run().succeeds();
        assert!(!down.stderr.contains("extra"), "{down}");
        sandbox
            .shell("cd ../data/volumes && rm -r extra .locks/extra")
            .run()
            .succeeds()
            .whatever();
    });
}
