//! Root file systems, names, namespaces.

use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use fs_err as fs;
use oci_spec::runtime::LinuxNamespaceType;
use skiff::engine::launch::PidNamespace;
use skiff::engine::spec::{RootSpec, TreeMount};

use crate::harness::{Machine, isolated};

#[test]
fn container_of_defaults_has_names_root_and_pid_1() {
    isolated(|| {
        let mut machine = Machine::new();
        machine.oci().set_domainname(Some("example".to_owned()));
        let output = machine
            .sh("hostname; cat /proc/sys/kernel/domainname; pwd; echo $$; ls /")
            .ok();
        assert_eq!(
            output.lines().collect::<Vec<_>>(),
            [
                "box", "example", "/", "1", "bin", "dev", "etc", "proc", "sys"
            ]
        );
    });
}

/// Layers where each adds a file and the topmost wins.
fn layered(machine: &mut Machine, count: usize, name: &str) {
    let base = machine.path("base");
    let mut layers: Vec<_> = (1..count)
        .map(|number| {
            let layer = machine.path(&format!("{name}{number}"));
            fs::create_dir_all(layer.join("layers")).unwrap();
            fs::write(layer.join(format!("layers/{number}")), "").unwrap();
            fs::write(layer.join("top"), number.to_string()).unwrap();
            layer
        })
        .rev()
        .collect();
    layers.push(base);
    machine.spec.root = RootSpec::Overlay {
        layers,
        upper: machine.path("upper"),
        work: machine.path("work"),
        volatile: false,
    };
}

#[test]
fn overlay_of_100_layers_shows_them_all() {
    isolated(|| {
        let mut machine = Machine::new();
        layered(&mut machine, 100, "layer");
        let output = machine.sh("cat /top; echo; ls /layers | grep -c .").ok();
        assert_eq!(output, "99\n99\n");
    });
}

#[test]
fn overlay_of_500_layers_with_long_names_goes_the_old_way() {
    isolated(|| {
        let mut machine = Machine::new();
        // Longer than fsconfig(2) takes, and 500 of them more than a page.
        let name = format!("{0}/{0}/x", "n".repeat(150));
        layered(&mut machine, 500, &name);
        let output = machine
            .sh("cat /top; echo; ls /layers | grep -c .; pwd; ls /proc/self/fd")
            .ok();
        assert_eq!(output, "499\n499\n/\n0\n1\n2\n3\n");
    });
}

#[test]
fn overlay_of_more_layers_is_refused_by_number() {
    isolated(|| {
        let mut machine = Machine::new();
        layered(&mut machine, 501, "layer");
        let error = machine.run(&["true"]).error().to_string();
        assert!(error.contains("501 layers"), "{error}");
    });
}

#[test]
fn writes_go_to_the_upper_folder_whose_root_is_like_the_images() {
    isolated(|| {
        let mut machine = Machine::new();
        let base = machine.path("base");
        fs::set_permissions(&base, std::fs::Permissions::from_mode(0o1775)).unwrap();
        std::os::unix::fs::chown(&base, Some(3), Some(4)).unwrap();
        let output = machine
            .sh("stat -c '%a %u %g' /; echo hi > /new; rm /bin/tty")
            .ok();
        assert_eq!(output, "1775 3 4\n");
        assert_eq!(
            fs::read_to_string(machine.path("upper/new")).unwrap(),
            "hi\n"
        );
        let whiteout = fs::symlink_metadata(machine.path("upper/bin/tty")).unwrap();
        assert_eq!(whiteout.rdev(), 0);
        assert!(fs::symlink_metadata(base.join("bin/tty")).is_ok());
        // Started again it is as it was left.
        assert_eq!(machine.sh("cat /new").ok(), "hi\n");
    });
}

#[test]
fn volatile_overlay_is_mounted_so() {
    isolated(|| {
        let mut machine = Machine::new();
        if let RootSpec::Overlay { volatile, .. } = &mut machine.spec.root {
            *volatile = true;
        }
        let output = machine.sh("grep ' / / ' /proc/self/mountinfo").ok();
        assert!(output.contains("volatile"), "{output}");
    });
}

#[test]
fn image_without_layers_is_an_empty_writable_root() {
    isolated(|| {
        let mut machine = Machine::new();
        machine.spec.root = RootSpec::Overlay {
            layers: Vec::new(),
            upper: machine.path("upper"),
            work: machine.path("work"),
            volatile: false,
        };
        let base = machine.path("base/bin");
        machine.mount("/bin", "bind", base.to_str().unwrap(), &["bind", "ro"]);
        machine.sh("echo x > /file").ok();
        assert_eq!(
            fs::read_to_string(machine.path("upper/file")).unwrap(),
            "x\n"
        );
    });
}

#[test]
fn folder_as_root_serves_and_stays() {
    isolated(|| {
        let mut machine = Machine::new();
        machine.spec.root = RootSpec::Folder {
            path: machine.path("base"),
        };
        machine.sh("echo x > /file").ok();
        assert!(machine.path("base/file").exists());
    });
}

#[test]
fn read_only_root_refuses_writes_but_not_in_mounts() {
    isolated(|| {
        let mut machine = Machine::new();
        machine
            .oci()
            .root_mut()
            .as_mut()
            .unwrap()
            .set_readonly(Some(true));
        machine.mount("/tmp", "tmpfs", "tmpfs", &["size=1m"]);
        let output = machine
            .sh("touch /x || echo refused; touch /tmp/x /dev/x && echo written")
            .ok();
        assert_eq!(output, "refused\nwritten\n");
    });
}

#[test]
fn nothing_of_the_host_is_left_in_the_mount_table() {
    isolated(|| {
        let mut machine = Machine::new();
        let output = machine.sh("cut -d' ' -f5 /proc/self/mountinfo").ok();
        let folder = machine.folder.path().to_str().unwrap().to_owned();
        assert!(!output.contains(&folder), "{output}");
        let roots = output.lines().filter(|line| *line == "/").count();
        assert_eq!(roots, 1, "{output}");
        // Nor has the host anything of the container's.
        let host = fs::read_to_string("/proc/self/mountinfo").unwrap();
        assert!(!host.contains(&folder), "{host}");
    });
}

#[test]
fn namespaces_not_listed_are_the_hosts() {
    isolated(|| {
        let own = |name: &str| fs::read_link(format!("/proc/self/ns/{name}")).unwrap();
        let mut machine = Machine::new();
        let show = "for n in uts ipc net cgroup pid mnt; do readlink /proc/self/ns/$n; done";
        let names = ["uts", "ipc", "net", "cgroup", "pid", "mnt"];
        let output = machine.sh(show).ok();
        for (name, link) in names.iter().zip(output.lines()) {
            assert_ne!(own(name).to_str(), Some(link), "{name} is shared");
        }
        for kind in [
            LinuxNamespaceType::Uts,
            LinuxNamespaceType::Ipc,
            LinuxNamespaceType::Network,
            LinuxNamespaceType::Cgroup,
            LinuxNamespaceType::Pid,
        ] {
            machine.without_namespace(kind);
        }
        machine.oci().set_hostname(None);
        machine.pid = PidNamespace::of(&machine.spec.oci);
        assert_eq!(machine.pid, PidNamespace::Host);
        let output = machine.sh(show).ok();
        for (name, link) in names.iter().zip(output.lines()) {
            let shared = own(name).to_str() == Some(link);
            assert_eq!(shared, *name != "mnt", "{name}");
        }
    });
}

#[test]
fn pid_namespace_of_another_container_is_shared() {
    isolated(|| {
        let mut machine = Machine::new();
        let first = machine.start(&["sleep", "1000"]);
        let mut other = Machine::new();
        other.pid = PidNamespace::Target;
        other.pid_of = Some(first.spawned.pidfd.try_clone().unwrap());
        let output = other
            .sh("cat /proc/1/comm; readlink /proc/1/ns/pid; readlink /proc/self/ns/pid")
            .ok();
        let lines: Vec<&str> = output.lines().collect();
        assert_eq!(lines[0], "sleep");
        assert_eq!(lines[1], lines[2]);
    });
}

#[test]
fn mount_table_is_linked_where_the_image_has_none() {
    isolated(|| {
        let mut machine = Machine::new();
        assert_eq!(machine.sh("readlink /etc/mtab").ok(), "/proc/mounts\n");
        fs::write(machine.image("etc/mtab"), "own").unwrap();
        fs::remove_file(machine.path("upper/etc/mtab")).unwrap();
        assert_eq!(machine.sh("cat /etc/mtab").ok(), "own");
    });
}

#[test]
fn device_and_shared_folders_of_the_image_do_not_disturb() {
    isolated(|| {
        let mut machine = Machine::new();
        // An image whose /dev is a link to elsewhere: resolved inside.
        symlink("/etc", machine.path("base/dev")).unwrap();
        assert_eq!(
            machine.sh("stat -c %t:%T /etc/null; readlink /dev").ok(),
            "1:3\n/etc\n"
        );
        assert!(!std::path::Path::new("/etc/zero").exists());
    });
}

#[test]
fn parts_of_other_images_are_mounted_and_never_changed() {
    isolated(|| {
        let mut machine = Machine::new();
        let layer = |name: &str, file: &str, text: &str| {
            let path = machine.path(name).join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
            machine.path(name)
        };
        let lower = layer("lower", "opt/app/old", "old");
        let upper = layer("upper", "opt/app/new", "new");
        std::os::unix::fs::symlink("/opt/app", upper.join("link")).unwrap();
        let mut mounts = Vec::new();
        for (number, source, destination, read_only) in [
            (0, "/link", "/tree", true),
            (1, "/opt/app/new", "/file", true),
            (2, "/opt", "/open", false),
        ] {
            mounts.push(TreeMount {
                root: RootSpec::Overlay {
                    layers: vec![upper.clone(), lower.clone()],
                    upper: machine.path(&format!("tree-{number}")),
                    work: machine.path(&format!("tree-{number}-work")),
                    volatile: true,
                },
                source: source.into(),
                destination: destination.to_owned(),
                read_only,
            });
        }
        machine.spec.trees = mounts;
        let output = machine
            .sh("cat /tree/old /tree/new /file; echo; echo x > /open/app/old && cat /open/app/old; \
                 (echo y > /tree/old) 2>/dev/null || echo kept; grep -c ' /tree\\| / ' /proc/mounts")
            .ok();
        assert_eq!(output, "oldnewnew\nx\nkept\n2\n");
        assert_eq!(
            fs::read_to_string(lower.join("opt/app/old")).unwrap(),
            "old"
        );
    });
}
