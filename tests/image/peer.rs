//! What a Docker Engine on this machine does with the same files. Its storage
//! driver has to be overlay2, whose folders are looked into, so it has to be
//! local. `./tests/run --peer` runs these.

use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::process::Command;

use fs_err as fs;
use serde_json::{Value, json};
use skiff::event::Silent;
use skiff::image::{Digest, InUse, LoadSource, load, save};

use crate::support::program;
use crate::support::tree::differences;
use crate::support::world::World;

/// Runs Docker's client and gives what it prints.
pub(crate) fn docker(args: &[&str]) -> Vec<u8> {
    let output = Command::new("docker").args(args).output();
    let output = output.expect("docker: https://docs.docker.com/engine/install");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "docker {args:?}: {errors}");
    output.stdout
}

/// An image of the engine's; removed with this value.
pub(crate) struct Made(pub(crate) String);

impl Drop for Made {
    fn drop(&mut self) {
        docker(&["image", "rm", "--force", &self.0]);
    }
}

/// The layers' diff-ids and the engine's folders of them, the lowest first.
pub(crate) fn folders(image: &str) -> Vec<(Digest, PathBuf)> {
    let text = docker(&["image", "inspect", image]);
    let seen: Value = serde_json::from_slice(&text).unwrap();
    let seen = &seen[0];
    assert_eq!(seen["GraphDriver"]["Name"], "overlay2");
    let data = |name: &str| seen["GraphDriver"]["Data"][name].as_str();
    let lower = data("LowerDir").unwrap_or_default();
    let mut folders: Vec<&str> = lower.split(':').filter(|path| !path.is_empty()).collect();
    folders.reverse();
    folders.extend(data("UpperDir"));
    let layers = seen["RootFS"]["Layers"].as_array().unwrap();
    assert_eq!(layers.len(), folders.len());
    let both = layers.iter().zip(folders);
    both.map(|(layer, folder)| {
        let layer = Digest::parse(layer.as_str().unwrap()).unwrap();
        (layer, PathBuf::from(folder))
    })
    .collect()
}

/// Makes an image of busybox for the engine.
pub(crate) fn import_busybox(world: &World, name: &str) -> Made {
    let busybox = fs::read(program("busybox", "busybox-static")).unwrap();
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o755);
    header.set_size(busybox.len() as u64);
    builder
        .append_data(&mut header, "bin/busybox", &busybox[..])
        .unwrap();
    header.set_size(4);
    for file in ["etc/group", "etc/passwd", "old/a", "old/b"] {
        builder
            .append_data(&mut header, file, &b"old\n"[..])
            .unwrap();
    }
    let path = world.path("base.tar");
    fs::write(&path, builder.into_inner().unwrap()).unwrap();
    docker(&["import", path.to_str().unwrap(), name]);
    Made(name.to_owned())
}

#[test]
#[ignore = "asks Docker: ./tests/run --peer"]
fn a_committed_folder_has_the_digest_that_docker_gives_it() {
    let world = World::here();
    let base = import_busybox(&world, "skiff-test/base:1");
    let long = "n".repeat(180);
    let steps = [
        "busybox mkdir -p /d/sub && busybox echo hello > /d/sub/f && busybox ln /d/sub/f /d/hard \
         && busybox ln -s f /d/sub/s && busybox chmod 4755 /d/sub/f && busybox mkfifo /d/pipe",
        // One whiteout a layer: of more, Docker gives some a link target.
        "busybox rm -r /old /d/sub && busybox mkdir /old /d/sub && busybox touch /d/sub/new \
         && busybox chown 3000000:5 /d/sub/new && busybox rm /etc/group",
        &format!("busybox mkdir -p /deep/{long}/x && busybox touch /deep/{long}/x/c\u{e9}"),
        "busybox touch -d @100 /epoch && busybox truncate -s 3000000 /holes && busybox chmod 1777 /d",
    ];
    let mut text = format!(
        "FROM {}\nSHELL [\"/bin/busybox\", \"sh\", \"-c\"]\n",
        base.0
    );
    for step in steps {
        text.push_str(&format!("RUN {step}\n"));
    }
    let context = world.path("context");
    fs::create_dir(&context).unwrap();
    fs::write(context.join("Dockerfile"), text).unwrap();
    let name = "skiff-test/commit:1";
    docker(&["build", "--quiet", "--tag", name, context.to_str().unwrap()]);
    let _made = Made(name.to_owned());
    let usage = world.store.use_shared().unwrap();
    for (number, (diff_id, folder)) in folders(name).into_iter().enumerate().skip(1) {
        let copy = world.path("data").join(format!("upper-{number}"));
        let copied = Command::new("cp")
            .arg("-a")
            .arg(&folder)
            .arg(&copy)
            .status();
        assert!(copied.unwrap().success());
        let layer = world.store.commit_folder(&usage, &copy, None).unwrap();
        assert_eq!(
            layer.unwrap().diff_id,
            diff_id,
            "layer {number}, {}",
            folder.display()
        );
    }
}

/// Names an image of a registry that both can reach.
const IMAGE: &str = "SKIFF_PEER_IMAGE";

/// Every layer of a large image, as both have it on disk.
#[test]
#[ignore = "asks Docker: SKIFF_PEER_IMAGE=127.0.0.1:5000/large ./tests/run --peer"]
fn a_large_image_is_unpacked_as_docker_unpacks_it() {
    let reference = skiff::env::read_string(IMAGE).expect(IMAGE);
    let world = World::here();
    docker(&["pull", "--quiet", &reference]);
    let _made = Made(reference.clone());
    let begun = std::time::Instant::now();
    let image = world.pull(&reference).unwrap();
    println!(
        "{reference}: pulled in {:.1} s",
        begun.elapsed().as_secs_f64()
    );
    let count = assert_same_folders(&world, &reference);
    println!("{reference}: {count} files are the same");
    let verified = world.store.verify(&[image.id.to_string()]).unwrap();
    assert_eq!(verified[0].problems, []);
}

/// Compares each layer's folder here with the engine's, and gives the number of
/// files.
fn assert_same_folders(world: &World, image: &str) -> usize {
    let mut count = 0;
    for (diff_id, folder) in folders(image) {
        let ours = world.store.layer_dir(&diff_id);
        // Both make up the attributes of folders that a layer has no entry for;
        // the time is that of making them.
        let implied = fs::read(ours.with_file_name("implied")).unwrap_or_default();
        let implied: Vec<PathBuf> = implied
            .split(|byte| *byte == 0)
            .map(|path| PathBuf::from(std::str::from_utf8(path).unwrap()))
            .collect();
        let (compared, differences) = differences(&ours, &folder, &implied);
        assert!(
            differences.is_empty(),
            "{diff_id}:\n{}",
            differences[..differences.len().min(20)].join("\n")
        );
        count += compared;
    }
    count
}

/// Folders of this machine with many files, of which a layer is made.
const MANY: [&str; 6] = [
    "/etc",
    "/usr/include",
    "/usr/lib/python3",
    "/usr/share/doc",
    "/usr/share/man",
    "/usr/share/zoneinfo",
];

/// Layers of 20,000 files and of every kind that a layer can have, which a
/// folder of skiff's became, unpacked by both from one archive.
#[test]
#[ignore = "asks Docker: ./tests/run --peer"]
fn what_skiff_packs_docker_unpacks_as_skiff_does() {
    let world = World::here();
    let usage = world.store.use_shared().unwrap();
    let data = world.path("data");
    let many = data.join("upper-1");
    fs::create_dir_all(&many).unwrap();
    for folder in MANY
        .into_iter()
        .filter(|folder| fs::metadata(folder).is_ok())
    {
        let mut copy = Command::new("cp");
        let to = many.join(Path::new(folder).strip_prefix("/").unwrap());
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        copy.args(["-a", folder]).arg(&to);
        assert!(copy.status().unwrap().success());
    }
    let odd = data.join("upper-2");
    make_odd(&odd);
    let mut layers = Vec::new();
    for upper in [many, odd] {
        let layer = world.store.commit_folder(&usage, &upper, None).unwrap();
        let diff_id = layer.unwrap().diff_id;
        let mut archive = Vec::new();
        world.store.write_layer(&diff_id, &mut archive).unwrap();
        layers.push((diff_id, archive));
    }
    drop(usage);
    let name = "skiff-test/many:1";
    let path = world.path("many.tar");
    fs::write(&path, archive_of(name, &layers)).unwrap();
    drop(layers);
    docker(&["load", "--quiet", "--input", path.to_str().unwrap()]);
    let _made = Made(name.to_owned());
    // Here both layers are there already: unpacked anew beside.
    world
        .store
        .collect_garbage(|| Ok(InUse::default()))
        .unwrap()
        .unwrap();
    load(&world.store, LoadSource::File(path), &Silent).unwrap();
    let count = assert_same_folders(&world, name);
    println!("{count} files are the same");
    assert!(count > 20_000, "of {MANY:?}, only {count} files");
}

/// What else a layer can have.
fn make_odd(root: &Path) {
    use rustix::fs::{CWD, FileType, Mode, XattrFlags, lsetxattr, makedev, mknodat};
    use std::os::unix::ffi::OsStrExt as _;
    use std::os::unix::fs::{PermissionsExt as _, lchown, symlink};
    let path = |name: &str| root.join(name);
    for folder in ["hidden", "etc", "deep/er"] {
        fs::create_dir_all(path(folder)).unwrap();
    }
    lsetxattr(
        path("hidden"),
        "trusted.overlay.opaque",
        b"y",
        XattrFlags::empty(),
    )
    .unwrap();
    fs::write(path("hidden/new"), "new").unwrap();
    let mode = |name: &str, mode: u32| {
        fs::set_permissions(path(name), std::fs::Permissions::from_mode(mode)).unwrap();
    };
    for (name, owner, bits) in [
        ("suid", 0, 0o4755),
        ("sgid", 12, 0o2711),
        ("app", 3_000_000, 0o600),
    ] {
        fs::write(path(name), name).unwrap();
        lchown(path(name), Some(owner), Some(owner + 1)).unwrap();
        mode(name, bits);
    }
    mode("deep", 0o1777);
    let capability = b"\x01\0\0\x02\x0a\x0a\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    lsetxattr(
        path("app"),
        "security.capability",
        capability,
        XattrFlags::empty(),
    )
    .unwrap();
    lsetxattr(path("app"), "user.note", b"a\nb=c", XattrFlags::empty()).unwrap();
    fs::hard_link(path("app"), path("deep/er/app")).unwrap();
    symlink("../nowhere", path("deep/link")).unwrap();
    lchown(path("deep/link"), Some(5), Some(6)).unwrap();
    fs::hard_link(path("deep/link"), path("linked")).unwrap();
    let holes = fs::File::create(path("holes")).unwrap();
    holes.set_len(3 << 20).unwrap();
    let node = |name: &str, kind, device| {
        mknodat(CWD, path(name), kind, Mode::from(0o640), device).unwrap();
    };
    node("pipe", FileType::Fifo, 0);
    node("null", FileType::CharacterDevice, makedev(1, 3));
    node("disk", FileType::BlockDevice, makedev(259, 70_000));
    node("etc/hostname", FileType::CharacterDevice, 0);
    fs::write(path(&"n".repeat(255)), "long").unwrap();
    fs::create_dir_all(path(&"d/".repeat(120))).unwrap();
    fs::write(path(&"d/".repeat(120)).join("end"), "deep").unwrap();
    fs::write(
        root.join(std::ffi::OsStr::from_bytes(b"caf\xe9 \n\x01")),
        "odd",
    )
    .unwrap();
    let old = fs::File::create(path("old")).unwrap();
    old.into_parts()
        .0
        .set_modified(std::time::UNIX_EPOCH)
        .unwrap();
}

/// An archive as `docker save` wrote it before OCI layouts.
fn archive_of(name: &str, layers: &[(Digest, Vec<u8>)]) -> Vec<u8> {
    let diff_ids: Vec<&Digest> = layers.iter().map(|(diff_id, _)| diff_id).collect();
    let config = json!({
        "architecture": "amd64", "os": "linux", "config": {},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    });
    let files: Vec<String> = diff_ids
        .iter()
        .map(|id| format!("{}.tar", id.hex()))
        .collect();
    let list = json!([{"Config": "config.json", "RepoTags": [name], "Layers": files}]);
    let mut builder = tar::Builder::new(Vec::new());
    let mut add = |name: &str, content: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(content.len() as u64);
        builder.append_data(&mut header, name, content).unwrap();
    };
    add("config.json", config.to_string().as_bytes());
    add("manifest.json", list.to_string().as_bytes());
    for (file, (_, content)) in files.iter().zip(layers) {
        add(file, content);
    }
    builder.into_inner().unwrap()
}

#[test]
#[ignore = "asks Docker: ./tests/run --peer"]
fn docker_loads_what_is_saved_and_what_it_saves_is_loaded() {
    let world = World::here();
    let base = import_busybox(&world, "skiff-test/base:2");
    let context = world.path("context");
    fs::create_dir(&context).unwrap();
    let text = format!(
        "FROM {}\nSHELL [\"/bin/busybox\", \"sh\", \"-c\"]\nRUN busybox rm /old/a && \
         busybox echo new > /etc/group\nCMD [\"/bin/busybox\", \"cat\", \"/etc/group\"]\n",
        base.0
    );
    fs::write(context.join("Dockerfile"), text).unwrap();
    let name = "skiff-test/saved:1";
    docker(&["build", "--quiet", "--tag", name, context.to_str().unwrap()]);
    let made = Made(name.to_owned());
    let source = LoadSource::Stream(
        "docker save".to_owned(),
        Box::new(Cursor::new(docker(&["save", name]))),
    );
    let image = load(&world.store, source, &Silent).unwrap().remove(0);
    let id = docker(&["image", "inspect", "--format", "{{.Id}}", name]);
    assert_eq!(String::from_utf8_lossy(&id).trim(), image.id.as_str());
    assert_eq!(image.names[0].familiar(), name);
    for (diff_id, folder) in folders(name) {
        // A layer that was built has times with fractions there.
        let archive = |layer: &Digest| {
            let mut archive = Vec::new();
            world.store.write_layer(layer, &mut archive).unwrap();
            archive
        };
        assert_eq!(
            Digest::of(&archive(&diff_id)),
            diff_id,
            "{}",
            folder.display()
        );
    }
    let path = world.path("saved.tar");
    let file = fs::File::create(&path).unwrap();
    save(&world.store, &[name.to_owned()], None, "the archive", file).unwrap();
    drop(made);
    let said = docker(&["load", "--input", path.to_str().unwrap()]);
    assert_eq!(
        String::from_utf8_lossy(&said).trim(),
        format!("Loaded image: {name}")
    );
    let _made = Made(name.to_owned());
    let again = docker(&["image", "inspect", "--format", "{{.Id}}", name]);
    assert_eq!(again, id);
    assert_eq!(docker(&["run", "--rm", "--network=none", name]), b"new\n");
}
