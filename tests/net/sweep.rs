//! What crashes leave, and what a sweep takes and leaves alone.

use skiff::net::Net;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use skiff::state::{ContainerId, Layout, make_root_id};

use crate::harness::{on, on_machine, request, run, spec};

#[test]
fn sweep_takes_what_no_container_and_no_network_owns() {
    on_machine(|machine| {
        machine.network(&spec("p_default"));
        machine.network(&spec("gone"));
        let alive = machine.container("p-web-1", &[on("p_default")]);
        // A container whose folder is gone: its supervisor died in the middle.
        let dead = machine.container("p-web-2", &[on("p_default"), on("gone")]);
        fs_err::remove_dir_all(machine.layout.container("p", &dead.id)).unwrap();
        let dead_alone = ContainerId::random();
        machine
            .net
            .attach(&request(&dead_alone, "p-job-1", &[]))
            .unwrap();
        // A network whose record is gone, as if removal had died half-way.
        fs_err::remove_file(machine.layout.networks().join("gone.json")).unwrap();

        let swept = machine.net.sweep().unwrap();
        assert_eq!(swept.containers.into_iter().collect::<Vec<_>>(), {
            let mut ids = vec![dead.id.clone(), dead_alone];
            ids.sort();
            ids
        });
        let bridges = run("ip", &["-br", "link", "show", "type", "bridge"]);
        assert_eq!(bridges.lines().count(), 1, "{bridges}");
        let rules = run(
            "nft",
            &["list", "set", "inet", &table(&machine.net), "bridges"],
        );
        assert_eq!(rules.matches("\"sk").count(), 1, "{rules}");
        assert!(machine.net.attached(&dead.id).unwrap().is_none());
        let left = machine.net.attached(&alive.id).unwrap().unwrap();
        assert_eq!(left.endpoints, alive.attached.endpoints);
        let links = run("ip", &["-br", "link", "show", "type", "veth"]);
        assert_eq!(links.lines().count(), 1, "{links}");
        let again = machine.net.sweep().unwrap();
        assert!(again.links.is_empty() && again.containers.is_empty());
    });
}

#[test]
fn sweep_leaves_other_roots_alone() {
    on_machine(|machine| {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::new(folder.path().join("data"), folder.path().join("run"));
        make_root_id(&layout).unwrap();
        let other = Net::open(&layout, None).unwrap();
        other.ensure_network(&spec("q_default")).unwrap();
        machine.network(&spec("p_default"));
        let swept = machine.net.sweep().unwrap();
        assert!(swept.links.is_empty(), "{swept:?}");
        run("nft", &["list", "table", "inet", &table(&other)]);
        let bridges = run("ip", &["-br", "link", "show", "type", "bridge"]);
        assert_eq!(bridges.lines().count(), 2, "{bridges}");
        other.remove_network("q_default").unwrap();
    });
}

fn table(net: &Net) -> String {
    format!("skiff-{}", net.root_id())
}

/// Other projects start containers while one project's end sweeps.
#[test]
fn sweep_leaves_what_is_being_attached() {
    on_machine(|machine| {
        machine.network(&spec("p_default"));
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            let sweeper = scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    let swept = machine.net.sweep().unwrap();
                    let nothing = swept.links.is_empty() && swept.containers.is_empty();
                    assert!(nothing, "{swept:?}");
                }
            });
            for _ in 0..100 {
                let new = machine.container("p-web-1", &[on("p_default")]);
                machine
                    .net
                    .detach_many(std::slice::from_ref(&new.id))
                    .unwrap();
                if sweeper.is_finished() {
                    break;
                }
            }
            over.store(true, Ordering::Relaxed);
        });
    });
}
