//! What goes through, what does not, and beside whose firewall.

use std::sync::Arc;

use skiff::net::Net;

use crate::harness::{
    Machine, Outside, at, call_tcp, eventually, in_background, nft, on, on_machine, run, serve_tcp,
    spec,
};

/// What iptables makes of `iptables -P FORWARD DROP`, as Docker leaves it, with
/// its chain for users.
const DOCKER: &str = "
table ip filter {
    chain DOCKER-USER { }
    chain FORWARD {
        type filter hook forward priority filter; policy drop;
        counter jump DOCKER-USER
        iifname \"docker0\" counter accept
    }
}
";

fn assert_all_ways_work(machine: &Machine, outside: &Outside) {
    let web = machine.container("p-web-1", &[on("p_default")]);
    let db = machine.container("p-db-1", &[on("p_default")]);
    db.enter(|| serve_tcp("0.0.0.0:5432"));
    assert!(
        web.enter(|| call_tcp(&at(db.ip(), 5432))).is_some(),
        "within the bridge"
    );
    outside.serve_tcp("203.0.113.2:80");
    let seen = web.enter(|| call_tcp("203.0.113.2:80"));
    assert_eq!(
        seen.as_deref(),
        Some("203.0.113.1"),
        "outbound, masqueraded"
    );
    machine.net.detach_many(&[web.id, db.id]).unwrap();
}

#[test]
fn outbound_leaves_with_the_hosts_address() {
    on_machine(|machine| {
        let outside = Outside::new();
        machine.network(&spec("p_default"));
        assert_all_ways_work(machine, &outside);
    });
}

#[test]
fn outbound_ipv6_leaves_with_the_hosts_address() {
    on_machine(|machine| {
        let outside = Outside::new();
        let mut both = spec("p_default");
        both.ipv6 = true;
        machine.network(&both);
        let web = machine.container("p-web-1", &[on("p_default")]);
        outside.serve_tcp("[2001:db8::2]:80");
        let seen = web.enter(|| call_tcp("[2001:db8::2]:80"));
        assert_eq!(seen.as_deref(), Some("2001:db8::1"));
    });
}

#[test]
fn masquerade_can_be_turned_off() {
    on_machine(|machine| {
        let outside = Outside::new();
        let mut routed = spec("p_default");
        routed.driver_opts.insert(
            "com.docker.network.bridge.enable_ip_masquerade".to_owned(),
            "false".to_owned(),
        );
        machine.network(&routed);
        let web = machine.container("p-web-1", &[on("p_default")]);
        outside.enter(|| {
            run(
                "ip",
                &["route", "add", "172.18.0.0/16", "via", "203.0.113.1"],
            )
        });
        outside.serve_tcp("203.0.113.2:80");
        let seen = web.enter(|| call_tcp("203.0.113.2:80"));
        assert_eq!(seen, Some(web.ip().to_string()));
    });
}

#[test]
fn outside_reaches_no_unpublished_port() {
    on_machine(|machine| {
        let outside = Outside::new();
        machine.network(&spec("p_default"));
        let web = machine.container("p-web-1", &[on("p_default")]);
        web.enter(|| serve_tcp("0.0.0.0:80"));
        outside.enter(|| {
            run(
                "ip",
                &["route", "add", "172.18.0.0/16", "via", "203.0.113.1"],
            )
        });
        assert_eq!(outside.enter(|| call_tcp(&at(web.ip(), 80))), None);
        assert!(call_tcp(&at(web.ip(), 80)).is_some(), "the host does");
    });
}

#[test]
fn internal_network_has_no_way_out_or_in() {
    on_machine(|machine| {
        let outside = Outside::new();
        let mut internal = spec("back");
        internal.internal = true;
        machine.network(&internal);
        let db = machine.container("p-db-1", &[on("back")]);
        let web = machine.container("p-web-1", &[on("back")]);
        outside.serve_tcp("203.0.113.2:80");
        assert_eq!(db.enter(|| run("ip", &["route", "show", "default"])), "");
        // Not even with a route of its own.
        db.enter(|| run("ip", &["route", "add", "default", "via", "172.18.0.1"]));
        assert_eq!(db.enter(|| call_tcp("203.0.113.2:80")), None);
        db.enter(|| serve_tcp("0.0.0.0:5432"));
        assert!(web.enter(|| call_tcp(&at(db.ip(), 5432))).is_some());
    });
}

#[test]
fn works_beside_dockers_forward_drop() {
    on_machine(|machine| {
        let outside = Outside::new();
        nft(DOCKER);
        machine.network(&spec("p_default"));
        assert_all_ways_work(machine, &outside);
        let chain = run("nft", &["list", "chain", "ip", "filter", "DOCKER-USER"]);
        assert_eq!(chain.matches("accept").count(), 2, "{chain}");
        machine.net.ensure_network(&spec("other")).unwrap();
        let again = run("nft", &["list", "chain", "ip", "filter", "DOCKER-USER"]);
        assert_eq!(again.matches("accept").count(), 2, "{again}");
        machine.net.remove_network("p_default").unwrap();
        machine.net.remove_network("other").unwrap();
        let after = run("nft", &["list", "table", "ip", "filter"]);
        assert!(
            !after.contains("skiff") && !after.contains("iifname \"sk"),
            "{after}"
        );
    });
}

#[test]
fn works_beside_iptables_forward_drop() {
    on_machine(|machine| {
        let outside = Outside::new();
        run("iptables-nft", &["-P", "FORWARD", "DROP"]);
        machine.network(&spec("p_default"));
        assert_all_ways_work(machine, &outside);
        // iptables still understands its own table.
        let rules = run("iptables-nft", &["-S", "FORWARD"]);
        assert!(rules.contains("-P FORWARD DROP"), "{rules}");
        assert_eq!(rules.matches("-j ACCEPT").count(), 2, "{rules}");
    });
}

#[test]
fn works_beside_a_final_reject() {
    on_machine(|machine| {
        let outside = Outside::new();
        nft("table inet lab {
            chain forward {
                type filter hook forward priority filter + 10; policy accept;
                ct state established,related accept
                reject with icmpx admin-prohibited
            }
        }");
        machine.network(&spec("p_default"));
        assert_all_ways_work(machine, &outside);
    });
}

#[test]
fn repair_after_flush_ruleset() {
    on_machine(|machine| {
        let outside = Outside::new();
        nft(DOCKER);
        machine.network(&spec("p_default"));
        let mut internal = spec("back");
        internal.internal = true;
        machine.network(&internal);
        let before = run("nft", &["-s", "list", "ruleset"]);
        run("nft", &["flush", "ruleset"]);
        nft(DOCKER);
        machine.net.repair().unwrap();
        let sorted = |text: &str| {
            let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
            lines.sort();
            lines
        };
        let after = run("nft", &["-s", "list", "ruleset"]);
        assert_eq!(sorted(&after), sorted(&before));
        assert_all_ways_work(machine, &outside);
    });
}

#[test]
fn guard_repairs_by_itself() {
    on_machine(|machine| {
        nft(DOCKER);
        machine.network(&spec("p_default"));
        let net = Arc::new(Net::open(&machine.layout, None).unwrap());
        let _guard = in_background(move || skiff::net::guard(net));
        let whole = || {
            let rules = run("nft", &["list", "ruleset"]);
            rules.contains("chain guard") && rules.matches("comment \"skiff-").count() == 2
        };
        assert!(whole());
        run("nft", &["flush", "ruleset"]);
        nft(DOCKER);
        eventually("the table is back", whole);
        run("nft", &["flush", "chain", "ip", "filter", "DOCKER-USER"]);
        eventually("the accepts are back", whole);
    });
}

#[test]
fn supervisors_do_not_undo_each_other() {
    on_machine(|machine| {
        std::thread::scope(|scope| {
            for name in ["a", "b", "c", "d"] {
                scope.spawn(move || {
                    for _ in 0..5 {
                        machine.network(&spec(name));
                        machine.net.repair().unwrap();
                        machine.net.remove_network(name).unwrap();
                    }
                    machine.network(&spec(name));
                });
            }
        });
        let elements = run("nft", &["list", "ruleset"]);
        let masquerade = elements.split("set masquerade").nth(1).unwrap();
        let masquerade = masquerade.split('}').next().unwrap();
        assert_eq!(masquerade.matches("\"sk").count(), 4, "{elements}");
    });
}
