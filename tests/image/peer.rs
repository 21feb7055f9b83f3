//! What a Docker Engine on this machine does with the same files. Its storage
//! driver has to be overlay2, whose folders are looked into, so it has to be
//! local. `./tests/run --peer` runs these.

use std::path::PathBuf;
use std::process::Command;

use fs_err as fs;
use serde_json::Value;
use skiff::image::Digest;

use crate::support::program;
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
