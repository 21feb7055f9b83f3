//! Mounts, devices, masked and read-only paths, sysctls, inline files.

use std::os::unix::fs::symlink;

use fs_err as fs;
use oci_spec::runtime::{LinuxDevice, LinuxDeviceType, LinuxNamespaceType};
use skiff::engine::spec::InlineFile;

use crate::harness::{Machine, isolated};

/// Options of the mount at `target`, from mountinfo.
fn options(mountinfo: &str, target: &str) -> String {
    let line = mountinfo
        .lines()
        .rfind(|line| line.split(' ').nth(4) == Some(target))
        .unwrap_or_else(|| panic!("no mount at {target} in {mountinfo}"));
    let fields: Vec<&str> = line.split(' ').collect();
    let dash = fields.iter().position(|field| *field == "-").unwrap();
    format!("{} {} {}", fields[5], fields[dash + 1], fields[dash + 2])
}

#[test]
fn default_mounts_are_dockers() {
    isolated(|| {
        let table = Machine::new().sh("cat /proc/self/mountinfo").ok();
        for (target, expected) in [
            ("/", "rw,relatime overlay overlay"),
            ("/proc", "rw,nosuid,nodev,noexec,relatime proc proc"),
            ("/dev", "rw,nosuid tmpfs tmpfs"),
            ("/dev/pts", "rw,nosuid,noexec,relatime devpts devpts"),
            (
                "/dev/mqueue",
                "rw,nosuid,nodev,noexec,relatime mqueue mqueue",
            ),
            ("/dev/shm", "rw,nosuid,nodev,noexec,relatime tmpfs shm"),
            ("/sys", "ro,nosuid,nodev,noexec,relatime sysfs sysfs"),
            ("/proc/sys", "ro,nosuid,nodev,noexec,relatime proc proc"),
            ("/proc/bus", "ro,nosuid,nodev,noexec,relatime proc proc"),
            ("/proc/acpi", "ro,relatime tmpfs tmpfs"),
            ("/proc/keys", "rw,nosuid tmpfs tmpfs"),
            ("/sys/firmware", "ro,relatime tmpfs tmpfs"),
        ] {
            assert_eq!(options(&table, target), expected, "{target}");
        }
        assert!(table.contains("size=65536k"), "{table}");
        assert!(table.contains("gid=5,mode=620,ptmxmode=666"), "{table}");
    });
}

#[test]
fn control_groups_are_read_only_with_the_own_group_as_root() {
    isolated(|| {
        let output = Machine::new()
            .sh("cat /proc/self/cgroup; grep cgroup /proc/self/mountinfo; mkdir /sys/fs/cgroup/*/x || echo refused")
            .ok();
        assert!(output.ends_with("refused\n"), "{output}");
        let mounts: Vec<&str> = output
            .lines()
            .filter(|line| line.contains(" - cgroup"))
            .collect();
        assert!(!mounts.is_empty(), "{output}");
        for mount in mounts {
            let fields: Vec<&str> = mount.split(' ').collect();
            assert_eq!(fields[3], "/", "another root: {mount}");
            assert!(fields[5].starts_with("ro,"), "writable: {mount}");
        }
        for group in output.lines().take_while(|line| line.contains(":/")) {
            assert!(group.ends_with(":/"), "{group}");
        }
    });
}

#[test]
fn default_devices_are_dockers() {
    isolated(|| {
        let output = Machine::new()
            .sh("cd /dev; for n in *; do echo $n $(stat -c '%a %t:%T' $n) $(readlink $n); done; echo x > null; cat full | true")
            .ok();
        let lines: Vec<&str> = output
            .lines()
            .filter(|line| !line.starts_with("core"))
            .collect();
        assert_eq!(
            lines,
            [
                "fd 777 0:0 /proc/self/fd",
                "full 666 1:7",
                "mqueue 1777 0:0",
                "null 666 1:3",
                "ptmx 777 0:0 pts/ptmx",
                "pts 755 0:0",
                "random 666 1:8",
                "shm 1777 0:0",
                "stderr 777 0:0 /proc/self/fd/2",
                "stdin 777 0:0 /proc/self/fd/0",
                "stdout 777 0:0 /proc/self/fd/1",
                "tty 666 5:0",
                "urandom 666 1:9",
                "zero 666 1:5",
            ]
        );
    });
}

#[test]
fn masked_paths_are_empty_and_read_only_paths_refuse() {
    isolated(|| {
        let mut machine = Machine::new();
        fs::write(machine.image("secret/file"), "secret").unwrap();
        fs::write(machine.image("fixed/file"), "fixed").unwrap();
        fs::write(machine.image("keyfile"), "secret").unwrap();
        let linux = machine.linux();
        let masked = linux.masked_paths_mut().as_mut().unwrap();
        masked.extend(["/secret", "/keyfile", "/not/there"].map(String::from));
        let fixed = linux.readonly_paths_mut().as_mut().unwrap();
        fixed.push("/fixed".to_owned());
        let output = machine
            .sh("ls /secret /proc/acpi; cat /keyfile; cat /fixed/file; echo x > /fixed/file; echo x > /proc/sys/kernel/hostname; touch /secret/x")
            ;
        assert_eq!(
            output
                .stdout
                .replace("/secret:", "")
                .replace("/proc/acpi:", "")
                .trim(),
            "fixed"
        );
        assert_eq!(
            output.stderr.matches("Read-only file system").count(),
            3,
            "{output:?}"
        );
    });
}

#[test]
fn binds_of_folders_and_files_have_the_asked_mode() {
    isolated(|| {
        let mut machine = Machine::new();
        let folder = machine.path("folder");
        fs::create_dir_all(folder.join("below")).unwrap();
        fs::write(folder.join("file"), "content").unwrap();
        nix::mount::mount(
            Some("x"),
            &folder.join("below"),
            Some("tmpfs"),
            nix::mount::MsFlags::empty(),
            None::<&str>,
        )
        .unwrap();
        let file = folder.join("file");
        let folder = folder.to_str().unwrap();
        // Deeper than /rw, and listed before it.
        machine.mount("/rw/sub/file", "bind", file.to_str().unwrap(), &["rbind"]);
        machine.mount("/rw", "bind", folder, &["rbind", "rprivate"]);
        machine.mount("/ro", "bind", folder, &["rbind", "ro"]);
        machine.mount("/rro", "bind", folder, &["rbind", "rro"]);
        machine.mount("/single", "bind", folder, &["bind", "nosuid", "noexec"]);
        machine.mount(
            "/etc/new/file",
            "bind",
            file.to_str().unwrap(),
            &["bind", "ro"],
        );
        let outcome = machine.sh(
            "for p in /rw /rw/below /ro /ro/below /rro /rro/below; do touch $p/x 2>/dev/null && echo $p; done
             cat /rw/sub/file /etc/new/file; ls /single/below; cat /proc/self/mountinfo",
        );
        let output = outcome.ok();
        let (written, rest) = output.split_once("contentcontent").unwrap();
        assert_eq!(written, "/rw\n/rw/below\n/ro/below\n");
        assert!(!rest.starts_with('x'), "a bind took what is below along");
        assert!(options(rest, "/single").starts_with("rw,nosuid,noexec"));
        let optional = |target: &str| {
            let line = rest
                .lines()
                .rfind(|line| line.split(' ').nth(4) == Some(target));
            line.unwrap().split(' ').nth(6).unwrap().to_owned()
        };
        for target in ["/rw", "/ro", "/etc/new/file"] {
            assert_eq!(optional(target), "-", "{target} is not private");
        }
        assert!(machine.path("folder/sub/file").exists());
        assert_eq!(
            fs::metadata(machine.path("upper/etc/new/file"))
                .unwrap()
                .len(),
            0
        );
    });
}

#[test]
fn bind_that_is_a_slave_sees_later_mounts_of_the_host() {
    isolated(|| {
        let mut machine = Machine::new();
        let folder = machine.path("folder");
        fs::create_dir_all(folder.join("later")).unwrap();
        let none = None::<&str>;
        let mount = |source: &str, kind: Option<&str>, flags| {
            nix::mount::mount(Some(source), &folder, kind, flags, none).unwrap();
        };
        mount(folder.to_str().unwrap(), None, nix::mount::MsFlags::MS_BIND);
        mount("", None, nix::mount::MsFlags::MS_SHARED);
        machine.mount(
            "/slave",
            "bind",
            folder.to_str().unwrap(),
            &["rbind", "rslave"],
        );
        machine.mount("/private", "bind", folder.to_str().unwrap(), &["rbind"]);
        let fifo = machine.image("fifo");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::from_bits_truncate(0o600)).unwrap();
        machine.mount("/fifo", "bind", fifo.to_str().unwrap(), &["bind"]);
        let running = machine.start(&["sh", "-c", "cat /fifo; ls /slave/later /private/later"]);
        nix::mount::mount(
            Some("x"),
            &folder.join("later"),
            Some("tmpfs"),
            nix::mount::MsFlags::empty(),
            none,
        )
        .unwrap();
        fs::write(folder.join("later/seen"), "").unwrap();
        fs::write(&fifo, "go\n").unwrap();
        assert_eq!(
            running.finish().ok(),
            "go\n/private/later:\n\n/slave/later:\nseen\n"
        );
    });
}

#[test]
fn targets_behind_links_stay_in_the_root() {
    isolated(|| {
        let mut machine = Machine::new();
        let outside = machine.path("outside");
        fs::create_dir(&outside).unwrap();
        symlink(&outside, machine.image("abs")).unwrap();
        symlink("../../../../../..", machine.image("up")).unwrap();
        symlink("/etc/created", machine.image("dangling")).unwrap();
        let source = machine.path("source");
        fs::create_dir(&source).unwrap();
        fs::write(source.join("mark"), "").unwrap();
        let source = source.to_str().unwrap();
        machine.mount("/abs/here", "bind", source, &["bind"]);
        machine.mount("/up/there", "bind", source, &["bind"]);
        machine.mount("/dangling", "bind", source, &["bind"]);
        let inside = outside.to_str().unwrap();
        let output = machine
            .sh(&format!("ls {inside}/here /there /etc/created"))
            .ok();
        assert_eq!(output.matches("mark").count(), 3, "{output}");
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
        assert!(!std::path::Path::new("/there").exists());
        assert!(!std::path::Path::new("/etc/created").exists());
    });
}

#[test]
fn mounts_that_cannot_be_are_named() {
    isolated(|| {
        let mut machine = Machine::new();
        fs::write(machine.path("file"), "").unwrap();
        let folder = machine.folder.path().to_str().unwrap().to_owned();
        let file = format!("{folder}/file");
        for (target, source, message) in [
            (
                "/x",
                "/no/such/source",
                "cannot open the mount's source `/no/such/source`: No such file or directory (os error 2)",
            ),
            (
                "/bin/busybox",
                &*folder,
                "cannot mount `/bin/busybox`: the source is a folder and the target is a file",
            ),
            (
                "/bin",
                &*file,
                "cannot mount `/bin`: the source is a file and the target is a folder",
            ),
            (
                "/proc/self",
                &*folder,
                "cannot mount `/proc/self`: it is inside /proc, where nothing may be mounted",
            ),
            (
                "/",
                &*folder,
                "cannot mount `/`: the target must be an absolute path below `/`",
            ),
        ] {
            machine.mount(target, "bind", source, &["bind"]);
            assert_eq!(machine.run(&["true"]).error().to_string(), message);
            machine.oci().mounts_mut().as_mut().unwrap().pop();
        }
        symlink("/proc/self", machine.image("trick")).unwrap();
        machine.mount("/trick/attr", "bind", &folder, &["bind"]);
        let error = machine.run(&["true"]).error().to_string();
        assert!(error.contains("inside /proc"), "{error}");
        machine.oci().mounts_mut().as_mut().unwrap().pop();
        machine.mount("/x", "tmpfs", "tmpfs", &["sizes=1"]);
        let error = machine.run(&["true"]).error().to_string();
        assert!(
            error.contains("sizes"),
            "the kernel's words are lost: {error}"
        );
    });
}

#[test]
fn tmpfs_and_shm_have_the_asked_size_and_mode() {
    isolated(|| {
        let mut machine = Machine::new();
        let mounts = skiff::engine::oci_default::default_mounts(1 << 20, true);
        machine.oci().set_mounts(Some(mounts));
        machine.mount(
            "/run/x",
            "tmpfs",
            "tmpfs",
            &["noexec", "size=2m", "mode=1700", "uid=9"],
        );
        let output = machine
            .sh("stat -f -c '%b %S' /dev/shm /run/x; stat -c '%a %u' /run/x; grep /run/x /proc/self/mountinfo")
            .ok();
        assert!(
            output.starts_with("256 4096\n512 4096\n1700 9\n"),
            "{output}"
        );
        assert!(options(&output, "/run/x").contains("noexec"), "{output}");
    });
}

#[test]
fn sysctls_are_written_in_the_containers_namespaces() {
    isolated(|| {
        let mut machine = Machine::new();
        let before = fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start").unwrap();
        let mut list = skiff::engine::oci_default::network_sysctls();
        list.insert("kernel.shmmni".to_owned(), "77".to_owned());
        machine.linux().set_sysctl(Some(list));
        let output = machine
            .sh("cd /proc/sys; cat kernel/shmmni net/ipv4/ip_unprivileged_port_start net/ipv4/ping_group_range")
            .ok();
        assert_eq!(output, "77\n0\n0\t2147483647\n");
        let after = fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start").unwrap();
        assert_eq!(before, after);
        for (key, message) in [
            (
                "net.no.such",
                "cannot set the sysctl `net.no.such`: No such file or directory (os error 2)",
            ),
            (
                "vm.swappiness",
                "cannot set the sysctl `vm.swappiness`: it is one of the whole machine's",
            ),
        ] {
            let list = [(key.to_owned(), "1".to_owned())];
            machine.linux().set_sysctl(Some(list.into()));
            assert_eq!(machine.run(&["true"]).error().to_string(), message);
        }
    });
}

#[test]
fn what_the_container_shares_with_the_host_is_not_changed() {
    isolated(|| {
        let mut machine = Machine::new();
        let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
        machine.without_namespace(LinuxNamespaceType::Uts);
        machine.without_namespace(LinuxNamespaceType::Network);
        assert_eq!(machine.run(&["hostname"]).ok(), name);
        let list = [("net.ipv4.ip_forward".to_owned(), "1".to_owned())];
        machine.linux().set_sysctl(Some(list.into()));
        assert_eq!(
            machine.run(&["true"]).error().to_string(),
            "cannot set the sysctl `net.ipv4.ip_forward`: the container shares the host's net namespace"
        );
    });
}

#[test]
fn sysctl_through_a_link_of_the_image_is_not_followed() {
    isolated(|| {
        let mut machine = Machine::new();
        machine.oci().mounts_mut().as_mut().unwrap().clear();
        let list = [("kernel.shmmni".to_owned(), "78".to_owned())];
        machine.linux().set_sysctl(Some(list.into()));
        // Without a /proc of its own, the image's folder is not it.
        fs::write(machine.image("proc/sys/kernel/shmmni"), "image").unwrap();
        fs::create_dir(machine.path("base/dev")).unwrap();
        fs::write(machine.path("base/dev/null"), "").unwrap();
        assert_eq!(machine.sh("cat /proc/sys/kernel/shmmni").ok(), "image");
    });
}

#[test]
fn inline_files_have_content_owner_and_mode() {
    isolated(|| {
        let mut machine = Machine::new();
        let file = |destination: &str, content: &str, mode, uid: &str, gid: &str| InlineFile {
            destination: destination.to_owned(),
            content: content.as_bytes().to_vec(),
            mode,
            uid: uid.to_owned(),
            gid: gid.to_owned(),
        };
        machine.spec.files = vec![
            file("/run/secrets/one", "first", 0o400, "app", "extra"),
            file("/etc/passwd.d", "second", 0o444, "7", "8"),
            file("/script", "#!/bin/sh\necho ran\n", 0o555, "0", "0"),
        ];
        let outcome = machine.sh(
            "cat /run/secrets/one /etc/passwd.d; echo; stat -c '%a %u %g' /run/secrets/one /etc/passwd.d /script; /script
             echo x > /script",
        );
        assert_eq!(
            outcome.stdout,
            "firstsecond\n400 1000 1002\n444 7 8\n555 0 0\nran\n"
        );
        assert!(outcome.stderr.contains("Read-only"), "{outcome:?}");
        // On no disk: the mount target is all that the writable layer has.
        assert_eq!(
            fs::read(machine.path("upper/run/secrets/one")).unwrap(),
            b""
        );
    });
}

#[test]
fn devices_of_the_spec_are_made() {
    isolated(|| {
        let mut machine = Machine::new();
        let mut device = LinuxDevice::default();
        device
            .set_path("/dev/deep/fuse".into())
            .set_typ(LinuxDeviceType::C)
            .set_major(10)
            .set_minor(229)
            .set_file_mode(Some(0o640))
            .set_uid(Some(5))
            .set_gid(Some(6));
        machine.linux().set_devices(Some(vec![device]));
        let output = machine.sh("stat -c '%a %u %g %t:%T' /dev/deep/fuse").ok();
        assert_eq!(output, "640 5 6 a:e5\n");
    });
}
