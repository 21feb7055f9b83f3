//! Loads projects of growing size and prints what each took: time, allocations,
//! and the most memory held at once.

// The projects name the crate that the loader is part of elsewhere.
extern crate skiff_fuzz as skiff;

#[path = "../../benches/projects.rs"]
mod projects;

use std::time::Instant;

use projects::Kind;
use skiff::compose::load;

fn main() {
    let wanted = std::env::args().nth(1);
    for kind in Kind::ALL {
        if wanted.as_ref().is_some_and(|w| *w != format!("{kind:?}")) {
            continue;
        }
        for services in [10, 500, 1000, 2000, 4000] {
            let bytes: usize = kind.files(services).iter().map(|(_, text)| text.len()).sum();
            let (options, memory) = kind.in_memory(services);
            let mut best = f64::INFINITY;
            let mut info = None;
            for _ in 0..3 {
                let started = Instant::now();
                let measured = allocation_counter::measure(|| {
                    load(&options, &memory).expect("a project");
                });
                best = best.min(started.elapsed().as_secs_f64() * 1000.0);
                info = Some(measured);
            }
            let info = info.unwrap();
            println!(
                "{kind:?}\t{services}\t{bytes} B\t{best:.2} ms\t{:.1} us/service\t{} allocations\t{:.1} MB at most\t{:.1} MB total",
                best * 1000.0 / services as f64,
                info.count_total,
                info.bytes_max as f64 / 1e6,
                info.bytes_total as f64 / 1e6,
            );
        }
    }
}
