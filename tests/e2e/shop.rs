//! The example with real servers: nginx, a Python application, Redis and
//! `PostgreSQL`, in images made from Debian's packages by its own script.

use std::path::{Path, PathBuf};
use std::time::Duration;

use fs_err as fs;
use serde_json::Value;

use crate::support::{
    Invocation, PATH, Registry, http_get, http_request, isolated_after, program, raw_listener,
};

/// The example's folder.
fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/compose/shop")
}

/// Packages and a registry's store, kept between runs below `target`: a hundred
/// packages are not to be fetched again for each.
fn home() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("shop")
}

/// Runs the example's script, in the machine's own network, against a registry
/// of its own. What is there already, from the same files, is left.
fn make_images() {
    let home = home();
    fs::create_dir_all(&home).expect("a folder below target");
    let lock = fs::File::create(home.join("lock")).expect("a lock file");
    lock.file().lock().expect("the lock");
    let sources = ["make-images", "postgres-start", "app/shop.py"];
    let sources = sources.map(|name| fs::read_to_string(example().join(name)).expect("a source"));
    let complete = home.join("complete");
    if fs::read_to_string(&complete).is_ok_and(|made| made == sources.concat()) {
        return;
    }
    fs::remove_dir_all(home.join("store")).ok();
    let port = raw_listener("127.0.0.1:0")
        .local_addr()
        .expect("an address")
        .port();
    let registry = Registry::serve(Invocation::new(program("docker-registry")), &home, port);
    let made = Invocation::new(example().join("make-images"))
        .args([&registry.address])
        .env("PATH", PATH)
        .env("SHOP_WORK", home.join("packages"))
        .run_within(Duration::from_secs(600));
    made.succeeds().says("/shop/nginx:latest").whatever();
    drop(registry);
    fs::write(complete, sources.concat()).expect("a mark");
}

#[test]
fn the_images_can_be_made() {
    make_images();
    assert!(home().join("store/docker").is_dir());
}

fn page() -> Value {
    let answer = http_get("127.0.0.1:8081", "/").expect("nginx answers");
    assert_eq!(answer.status, 200, "{}", answer.text());
    serde_json::from_slice(&answer.body).unwrap_or_else(|e| panic!("{e}: {}", answer.text()))
}

#[test]
fn the_shop_serves_and_its_data_survives_down() {
    isolated_after(make_images, |sandbox| {
        let copy = format!(
            "cp -a {} shop && rm -rf shop/.registry shop/.images",
            example().display()
        );
        sandbox.shell(&copy).run().succeeds().whatever();
        let shop = sandbox.work().join("shop");
        let server = sandbox.command(&program("docker-registry"));
        let registry = Registry::serve(server, &home(), 5000);
        let skiff = |args: &[&str]| sandbox.skiff(args).dir(&shop).run();
        skiff(&["up", "-d", "--wait"]).succeeds().whatever();
        let first = page();
        assert_eq!(
            first["products"].as_array().expect("products").len(),
            3,
            "{first}"
        );
        assert_eq!(first["cached"], false, "{first}");
        assert_eq!(first["orders"], 0, "{first}");
        let order =
            http_request("127.0.0.1:8081", "POST", "/orders/oar", &[], &[]).expect("an answer");
        assert_eq!(order.status, 201, "{}", order.text());
        let second = page();
        assert_eq!(second["cached"], true, "through Redis\n{second}");
        assert_eq!(second["orders"], 1, "through PostgreSQL\n{second}");
        skiff(&["down"]).succeeds().whatever();
        skiff(&["up", "-d", "--wait"]).succeeds().whatever();
        let third = page();
        assert_eq!(third["orders"], 1, "the volume survived\n{third}");
        assert_eq!(third["views"], 3, "Redis' volume too\n{third}");
        let logs = skiff(&["logs", "--no-log-prefix", "web"]).succeeds();
        assert!(
            logs.stdout.contains("GET / HTTP/1.1\" 200"),
            "nginx opened /dev/stdout anew\n{logs}"
        );
        let ps = skiff(&["ps", "-a", "--format", "json"]).succeeds();
        for container in ps.json_lines() {
            let expected = if container["Service"] == "migrate" {
                "exited"
            } else {
                "running"
            };
            assert_eq!(container["State"], expected, "{container}");
        }
        let stop = skiff(&["stop"]).succeeds();
        let codes = skiff(&["ps", "-a", "--format", "json"]).succeeds();
        for container in codes.json_lines() {
            assert_eq!(container["ExitCode"], 0, "a clean end\n{container}\n{stop}");
        }
        skiff(&["down", "-v"]).succeeds().whatever();
        drop(registry);
    });
}
