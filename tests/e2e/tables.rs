//! `ps`, `ls`, `images`, `config`, `version`: the text and JSON that scripts read.

use crate::support::isolated;

const COMPOSE: &str = r#"
services:
  web:
    image: test/busybox
    command: ["sh", "-c", "trap 'exit 0' TERM; sleep 1000 & wait"]
    ports: ["18080:80", "127.0.0.1:18081:81/udp"]
    expose: ["7000"]
    healthcheck: {test: ["CMD", "true"], interval: 10s}
  job:
    image: test/busybox
    command: ["sh", "-c", "exit 3"]
"#;

#[test]
fn ps_prints_dockers_table() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let project = sandbox.project("tab", COMPOSE);
        project.up().whatever();
        project
            .skiff(["up", "-d", "--wait", "web"])
            .run()
            .succeeds()
            .whatever();
        let ps = project.skiff(["ps"]).run().succeeds();
        let lines = ps.lines();
        let columns: Vec<&str> = lines[0].split_whitespace().collect();
        assert_eq!(
            columns,
            [
                "NAME", "IMAGE", "COMMAND", "SERVICE", "CREATED", "STATUS", "PORTS"
            ]
        );
        assert_eq!(lines.len(), 2, "only what runs\n{ps}");
        let row = lines[1];
        for part in [
            "tab-web-1",
            "test/busybox",
            "web",
            " ago",
            "(healthy)",
            "0.0.0.0:18080->80/tcp",
            "127.0.0.1:18081->81/udp",
            "7000/tcp",
        ] {
            assert!(row.contains(part), "{part}\n{ps}");
        }
        let column = lines[0].find("SERVICE").unwrap();
        assert!(
            row.chars()
                .skip(column)
                .collect::<String>()
                .starts_with("web "),
            "aligned\n{ps}"
        );
        let all = project.skiff(["ps", "-a"]).run().succeeds();
        assert!(all.stdout.contains("Exited (3)"), "{all}");
        project
            .skiff(["ps", "nosuch"])
            .run()
            .ends_with(1)
            .warns("nosuch")
            .whatever();
        project.down();
    });
}

#[test]
fn ps_json_has_dockers_fields_one_object_a_line() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let project = sandbox.project("tab", COMPOSE);
        project.up().whatever();
        project
            .skiff(["up", "-d", "--wait", "web"])
            .run()
            .succeeds()
            .whatever();
        let ps = project
            .skiff(["ps", "-a", "--format", "json"])
            .run()
            .succeeds();
        assert_eq!(ps.json_lines().len(), 2, "{ps}");
        let web = project.container("web");
        let mut fields: Vec<&str> = web
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        fields.sort_unstable();
        assert_eq!(
            fields,
            [
                "Command",
                "CreatedAt",
                "ExitCode",
                "Health",
                "ID",
                "Image",
                "Labels",
                "LocalVolumes",
                "Mounts",
                "Name",
                "Names",
                "Networks",
                "Ports",
                "Project",
                "Publishers",
                "RunningFor",
                "Service",
                "Size",
                "State",
                "Status"
            ]
        );
        assert_eq!(web["Health"], "healthy");
        assert_eq!(web["State"], "running");
        assert_eq!(web["ExitCode"], 0);
        assert_eq!(web["Project"], "tab");
        assert_eq!(web["Networks"], "tab_default");
        assert_eq!(web["ID"].as_str().unwrap().len(), 12);
        let tcp = web["Publishers"]
            .as_array()
            .unwrap()
            .iter()
            .find(|p| p["TargetPort"] == 80);
        let tcp = tcp.unwrap_or_else(|| panic!("{web}"));
        assert_eq!(tcp["PublishedPort"], 18080);
        assert_eq!(tcp["Protocol"], "tcp");
        assert_eq!(tcp["URL"], "0.0.0.0");
        let job = project.container("job");
        assert_eq!(job["State"], "exited");
        assert_eq!(job["ExitCode"], 3);
        assert_eq!(job["Publishers"].as_array().unwrap().len(), 0);
        let ids = project.skiff(["ps", "-q"]).run().succeeds();
        assert_eq!(ids.stdout.trim().len(), 64, "{ids}");
        project.down();
    });
}

#[test]
fn ls_lists_projects_and_images_lists_what_they_use() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        sandbox
            .skiff(["ls", "--format", "json"])
            .run()
            .succeeds()
            .prints("[]\n")
            .whatever();
        let project = sandbox.project("tab", COMPOSE);
        project.up().whatever();
        project
            .skiff(["up", "-d", "--wait", "web"])
            .run()
            .succeeds()
            .whatever();
        // Ends when the job has.
        project
            .skiff(["logs", "-f", "job"])
            .run()
            .succeeds()
            .whatever();
        let ls = sandbox.skiff(["ls"]).run().succeeds();
        assert!(ls.lines()[0].starts_with("NAME"), "{ls}");
        assert!(ls.stdout.contains("running(1)"), "{ls}");
        let all = sandbox
            .skiff(["ls", "-a", "--format", "json"])
            .run()
            .succeeds()
            .json();
        assert_eq!(all[0]["Name"], "tab");
        assert_eq!(all[0]["Status"], "exited(1), running(1)");
        let file = project.dir.join("compose.yaml").display().to_string();
        assert_eq!(all[0]["ConfigFiles"], file.as_str());
        sandbox
            .skiff(["ls", "-q"])
            .run()
            .succeeds()
            .prints("tab\n")
            .whatever();

        let images = project.skiff(["images"]).run().succeeds();
        let columns: Vec<&str> = images.lines()[0]
            .split("  ")
            .filter(|c| !c.is_empty())
            .map(str::trim)
            .collect();
        assert_eq!(
            columns,
            [
                "CONTAINER",
                "REPOSITORY",
                "TAG",
                "PLATFORM",
                "IMAGE ID",
                "SIZE",
                "CREATED"
            ],
            "{images}"
        );
        let json = project
            .skiff(["images", "--format", "json"])
            .run()
            .succeeds()
            .json();
        let web = json
            .as_array()
            .unwrap()
            .iter()
            .find(|i| i["ContainerName"] == "tab-web-1")
            .unwrap();
        assert_eq!(web["Repository"], "test/busybox");
        assert_eq!(web["Tag"], "latest");
        assert!(web["ID"].as_str().unwrap().starts_with("sha256:"), "{web}");
        assert!(web["Size"].as_u64().unwrap() > 100_000, "{web}");
        project.down();
    });
}

#[test]
fn config_needs_no_image_and_no_root_folder() {
    isolated(|sandbox| {
        let project = sandbox.project("tab", COMPOSE);
        let services = project.skiff(["config", "--services"]).run().succeeds();
        let mut names = services.lines();
        names.sort_unstable();
        assert_eq!(names, ["job", "web"]);
        project
            .skiff(["config", "-q"])
            .run()
            .succeeds()
            .prints("")
            .whatever();
        let json = project
            .skiff(["config", "--format", "json"])
            .run()
            .succeeds()
            .json();
        assert_eq!(json["name"], "tab");
        assert_eq!(json["services"]["web"]["ports"][0]["published"], "18080");
        assert_eq!(json["networks"]["default"]["name"], "tab_default");
        let yaml = project.skiff(["config"]).run().succeeds();
        assert!(yaml.stdout.starts_with("name: tab\nservices:\n"), "{yaml}");
        assert!(yaml.stdout.contains("mode: ingress\n"), "{yaml}");
        assert!(!sandbox.data().exists(), "reading a file writes nothing");
    });
}

#[test]
fn version_is_told_in_three_ways() {
    isolated(|sandbox| {
        let version = env!("CARGO_PKG_VERSION");
        sandbox
            .skiff(["version"])
            .run()
            .succeeds()
            .says(version)
            .whatever();
        let short = sandbox.skiff(["version", "--short"]).run().succeeds();
        short.prints(&format!("{version}\n")).whatever();
        let json = sandbox
            .skiff(["version", "--format", "json"])
            .run()
            .succeeds()
            .json();
        assert_eq!(json["version"], version);
    });
}

#[test]
fn doctor_finds_a_good_machine_good() {
    isolated(|sandbox| {
        let doctor = sandbox.skiff(["doctor"]).run().succeeds();
        for word in ["overlay", "control groups", "nf_tables"] {
            assert!(doctor.stdout.contains(word), "{word}\n{doctor}");
        }
    });
}

/// Not even a root of its own: the harness sees to the rest.
#[test]
fn doctor_runs_a_container_and_leaves_nothing() {
    isolated(|sandbox| {
        let off = sandbox.shell("echo 0 >/proc/sys/net/ipv4/ip_forward");
        off.run().succeeds().whatever();
        let doctor = sandbox.skiff(["doctor"]).run().succeeds();
        let line = doctor.lines().into_iter().find(|l| l.contains("self-test"));
        let line = line.unwrap_or_else(|| panic!("no self-test\n{doctor}"));
        assert!(line.starts_with("ok "), "{doctor}");
        assert!(!sandbox.data().exists() && !sandbox.run_root().exists());
        let left = sandbox.shell("ls -A ..; cat /proc/sys/net/ipv4/ip_forward");
        left.run()
            .succeeds()
            .prints("alive\nhome\nwork\n0\n")
            .whatever();
    });
}
