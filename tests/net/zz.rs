use std::time::Instant;
use skiff::state::ContainerId;
use crate::harness::{on, on_machine, request, spec};
use std::os::fd::AsFd;
#[test]
fn zz_timing() {
    on_machine(|machine| {
        machine.network(&spec("p_default"));
        let t = Instant::now();
        for _ in 0..10 { machine.network(&spec("p_default")); }
        eprintln!("ensure again: {:?}", t.elapsed()/10);
        let endpoints = [on("p_default")];
        for round in 0..3 {
        let ids: Vec<ContainerId> = (0..10).map(|_| ContainerId::random()).collect();
        let start = Instant::now();
        std::thread::scope(|scope| {
            for id in &ids {
                let endpoints = &endpoints;
                scope.spawn(move || { machine.net.attach(&request(id, id.short(), endpoints)).unwrap(); });
            }
        });
        eprintln!("{round} attach of 10: {:?}", start.elapsed());
        let a: Vec<_> = ids.iter().map(|id| machine.net.attached(id).unwrap().unwrap()).collect();
        let start = Instant::now();
        for x in &a { skiff::net::dns::sockets_in(x.netns.as_fd()).unwrap(); }
        eprintln!("{round} dns sockets of 10 seq: {:?}", start.elapsed());
        drop(a);
        let start = Instant::now();
        machine.net.detach_many(&ids).unwrap();
        eprintln!("{round} detach of 10: {:?}", start.elapsed());
        let id = ContainerId::random();
        let start = Instant::now();
        machine.net.attach(&request(&id, id.short(), &endpoints)).unwrap();
        eprintln!("{round} attach of 1: {:?}", start.elapsed());
        let start = Instant::now();
        machine.net.detach(&id).unwrap();
        eprintln!("{round} detach of 1: {:?}", start.elapsed());
        }
    });
}
