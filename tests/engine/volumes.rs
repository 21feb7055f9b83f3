//! Volumes: the first content, owners, sub-paths.

use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::PathBuf;

use fs_err as fs;
use skiff::engine::spec::VolumeMount;

use crate::harness::{Machine, isolated};

fn volume(machine: &mut Machine, destination: &str) -> PathBuf {
    let source = machine.path(&format!("volume{}", machine.spec.volumes.len()));
    fs::create_dir_all(&source).unwrap();
    machine.spec.volumes.push(VolumeMount {
        source: source.clone(),
        destination: destination.to_owned(),
        read_only: false,
        copy_up: true,
        subpath: None,
    });
    source
}

/// A folder with one of everything.
fn furnish(machine: &Machine) {
    let file = machine.image("data/sub/file");
    fs::write(&file, "content").unwrap();
    fs::hard_link(&file, machine.image("data/again")).unwrap();
    symlink("sub/file", machine.image("data/link")).unwrap();
    let fifo = machine.image("data/fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::from_bits_truncate(0o600)).unwrap();
    std::os::unix::fs::chown(&file, Some(70), Some(71)).unwrap();
    fs::set_permissions(&file, std::fs::Permissions::from_mode(0o4750)).unwrap();
    let file = fs::File::open(&file).unwrap();
    rustix::fs::fsetxattr(&file, "user.mark", b"m", rustix::fs::XattrFlags::empty()).unwrap();
    std::os::unix::fs::lchown(machine.image("data/link"), Some(72), Some(73)).unwrap();
    let folder = machine.path("base/data");
    std::os::unix::fs::chown(&folder, Some(999), Some(998)).unwrap();
    fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o1770)).unwrap();
    let time = rustix::fs::Timespec {
        tv_sec: 1_000_000,
        tv_nsec: 7,
    };
    let times = rustix::fs::Timestamps {
        last_access: time,
        last_modification: time,
    };
    rustix::fs::futimens(&file, &times).unwrap();
}

#[test]
fn fresh_volume_receives_the_images_content_owners_and_modes() {
    isolated(|| {
        let mut machine = Machine::new();
        furnish(&machine);
        let source = volume(&mut machine, "/data");
        let output = machine
            .sh("cat /data/link; echo new > /data/new; echo; stat -c '%a %u %g' /data")
            .ok();
        assert_eq!(output, "content\n1770 999 998\n");
        let file = fs::metadata(source.join("sub/file")).unwrap();
        assert_eq!(
            (file.uid(), file.gid(), file.mode() & 0o7777),
            (70, 71, 0o4750)
        );
        assert_eq!((file.mtime(), file.mtime_nsec()), (1_000_000, 7));
        assert_eq!(
            file.ino(),
            fs::metadata(source.join("again")).unwrap().ino()
        );
        let link = fs::symlink_metadata(source.join("link")).unwrap();
        assert_eq!((link.uid(), link.gid()), (72, 73));
        assert_eq!(
            fs::read_link(source.join("link")).unwrap(),
            PathBuf::from("sub/file")
        );
        let mut value = [0_u8; 4];
        let length =
            rustix::fs::getxattr(source.join("sub/file"), "user.mark", &mut value).unwrap();
        assert_eq!(&value[..length], b"m");
        // The mark of an unfinished copy is gone.
        let mut list = [0_u8; 256];
        assert_eq!(rustix::fs::listxattr(&source, &mut list).unwrap(), 0);
        assert!(!machine.path("upper/data/new").exists());

        // A second start leaves it as it is.
        fs::remove_file(source.join("link")).unwrap();
        assert_eq!(machine.sh("ls /data").ok(), "again\nfifo\nnew\nsub\n");
    });
}

#[test]
fn volume_with_content_or_nocopy_receives_nothing() {
    isolated(|| {
        let mut machine = Machine::new();
        furnish(&machine);
        let used = volume(&mut machine, "/data");
        fs::write(used.join("own"), "").unwrap();
        let nocopy = volume(&mut machine, "/data/sub");
        machine.spec.volumes[1].copy_up = false;
        let fresh = volume(&mut machine, "/not/in/image");
        let output = machine.sh("ls /data; ls /data/sub /not/in/image").ok();
        assert_eq!(output, "own\nsub\n/data/sub:\n\n/not/in/image:\n");
        assert_eq!(fs::metadata(&used).unwrap().uid(), 0);
        assert_eq!(fs::read_dir(&nocopy).unwrap().count(), 0);
        assert_eq!(fs::metadata(&fresh).unwrap().mode() & 0o777, 0o755);
    });
}

#[test]
fn copy_that_was_cut_off_is_begun_anew() {
    isolated(|| {
        let mut machine = Machine::new();
        furnish(&machine);
        let source = volume(&mut machine, "/data");
        fs::create_dir_all(source.join("sub/half")).unwrap();
        fs::write(source.join("sub/half/file"), "part").unwrap();
        let flags = rustix::fs::XattrFlags::empty();
        rustix::fs::setxattr(&source, "trusted.skiff.copy", b"1", flags).unwrap();
        assert_eq!(
            machine.sh("ls /data /data/sub").ok(),
            "/data:\nagain\nfifo\nlink\nsub\n\n/data/sub:\nfile\n"
        );
    });
}

#[test]
fn copy_takes_the_images_content_not_what_is_mounted_there() {
    isolated(|| {
        let mut machine = Machine::new();
        furnish(&machine);
        let bind = machine.path("bind");
        fs::create_dir_all(bind.join("sub")).unwrap();
        machine.mount("/data", "bind", bind.to_str().unwrap(), &["bind"]);
        let source = volume(&mut machine, "/data/sub");
        assert_eq!(machine.sh("cat /data/sub/file").ok(), "content");
        assert!(source.join("file").exists());
        assert!(!bind.join("sub/file").exists());
    });
}

#[test]
fn read_only_volume_and_subpath() {
    isolated(|| {
        let mut machine = Machine::new();
        let source = volume(&mut machine, "/data");
        fs::create_dir_all(source.join("a/b")).unwrap();
        fs::write(source.join("a/b/file"), "deep").unwrap();
        symlink("/a/b", source.join("inside")).unwrap();
        symlink("/etc", source.join("outside")).unwrap();
        machine.spec.volumes[0].read_only = true;
        machine.spec.volumes[0].subpath = Some("inside".to_owned());
        let outcome = machine.sh("cat /data/file; touch /data/x");
        assert_eq!(outcome.stdout, "deep");
        assert!(outcome.stderr.contains("Read-only"), "{outcome:?}");
        for subpath in ["outside", "missing", "../../etc"] {
            machine.spec.volumes[0].subpath = Some(subpath.to_owned());
            let error = machine.run(&["true"]).error();
            assert_eq!(error.step, "open the volume", "{subpath}: {error}");
        }
    });
}

#[test]
fn two_containers_with_one_fresh_volume_both_see_all_of_it() {
    isolated(|| {
        let mut machine = Machine::new();
        for number in 0..300 {
            fs::write(machine.image(&format!("data/{number}")), "x").unwrap();
        }
        let source = volume(&mut machine, "/data");
        let mut other = Machine::new();
        other.spec.volumes = machine.spec.volumes.clone();
        for number in 0..300 {
            fs::write(other.image(&format!("data/{number}")), "x").unwrap();
        }
        let count = ["sh", "-c", "ls /data | grep -c ."];
        let running = [machine.begin(&count), other.begin(&count)];
        let counts = running.map(|one| one.finish().ok());
        assert_eq!(counts, ["300\n", "300\n"]);
        assert_eq!(fs::read_dir(&source).unwrap().count(), 300);
    });
}
