//! The example with real servers: nginx, a Python application, Redis and
//! `PostgreSQL`, in images that it builds from Debian's packages.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use crate::debian::{archive, built};
use crate::support::{free_port, http_get, http_request, isolated_after};

/// Where the page is by default.
const ADDRESS: &str = "127.0.0.1:8081";

/// For loading some hundred megabytes, also where all is emulated and others work.
const LIMIT: Duration = Duration::from_secs(400);

const IMAGES: [&str; 4] = ["shop-web", "shop-app", "shop-cache", "shop-db"];

/// The example's folder.
fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/compose/shop")
}

/// `up --build` is all that it needs.
fn build_images() {
    let address = format!("127.0.0.1:{}", free_port());
    let env = [("PORT", address.clone())];
    built(
        &example(),
        &IMAGES,
        &env,
        |_| (),
        |_| {
            assert_eq!(page(&address)["products"][0]["name"], "anchor");
        },
    );
}

#[test]
fn the_images_can_be_built() {
    build_images();
    assert!(archive("shop").is_file());
}

fn page(address: &str) -> Value {
    let answer = http_get(address, "/").expect("nginx answers");
    assert_eq!(answer.status, 200, "{}", answer.text());
    serde_json::from_slice(&answer.body).unwrap_or_else(|e| panic!("{e}: {}", answer.text()))
}

#[test]
fn the_shop_serves_and_its_data_survives_down() {
    isolated_after(build_images, |sandbox| {
        let copy = format!("cp -a {} shop", example().display());
        sandbox.shell(&copy).run().succeeds().whatever();
        let shop = sandbox.work().join("shop");
        let archive = archive("shop");
        let load = sandbox.skiff(["load", "-i", &archive.to_string_lossy()]);
        load.run_within(LIMIT).succeeds().whatever();
        let skiff = |args: &[&str]| sandbox.skiff(args).dir(&shop).run();
        skiff(&["up", "-d", "--wait"]).succeeds().whatever();
        let first = page(ADDRESS);
        assert_eq!(
            first["products"].as_array().expect("products").len(),
            3,
            "{first}"
        );
        assert_eq!(first["cached"], false, "{first}");
        assert_eq!(first["orders"], 0, "{first}");
        let order = http_request(ADDRESS, "POST", "/orders/oar", &[], &[]).expect("an answer");
        assert_eq!(order.status, 201, "{}", order.text());
        let second = page(ADDRESS);
        assert_eq!(second["cached"], true, "through Redis\n{second}");
        assert_eq!(second["orders"], 1, "through PostgreSQL\n{second}");
        skiff(&["down"]).succeeds().whatever();
        skiff(&["up", "-d", "--wait"]).succeeds().whatever();
        let third = page(ADDRESS);
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
    });
}
