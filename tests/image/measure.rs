//! How fast, and in how much memory, a large image is pulled.

use std::time::Instant;

use skiff::image::AccessOptions;

use crate::support::world::{World, request};

/// Names an image of a registry that is up; the time is printed.
const IMAGE: &str = "SKIFF_MEASURE_IMAGE";
/// Most memory that a pull may take, KiB.
const MEMORY_LIMIT: u64 = 100 * 1024;

#[test]
#[ignore = "needs a large image: SKIFF_MEASURE_IMAGE=127.0.0.1:5000/big, and a release build for the time"]
fn a_large_image_is_pulled_in_little_memory() {
    let reference = skiff::env::read_string(IMAGE).expect(IMAGE);
    let world = World::here();
    let wanted = request(&reference, AccessOptions::default());
    let begun = Instant::now();
    let image = world
        .run(skiff::image::pull(
            &world.store,
            &wanted,
            &skiff::event::Silent,
        ))
        .unwrap();
    let seconds = begun.elapsed().as_secs_f64();
    let status = fs_err::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|l| l.starts_with("VmHWM:")).unwrap();
    let peak: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    println!(
        "{reference}: {} bytes in {seconds:.2} s, {peak} KiB",
        image.size
    );
    assert!(peak < MEMORY_LIMIT, "{peak} KiB");
}
