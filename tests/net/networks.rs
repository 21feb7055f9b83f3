//! Networks: made, found again, refused, removed.

use std::collections::BTreeMap;

use skiff::net::NetError;
use skiff::net::spec::PoolSpec;

use crate::harness::{Outside, at, call_tcp, on, on_machine, run, serve_tcp, spec};

fn pool(subnet: &str) -> PoolSpec {
    PoolSpec {
        subnet: Some(subnet.to_owned()),
        ip_range: None,
        gateway: None,
        reserved: Vec::new(),
    }
}

#[test]
fn ensure_makes_once_and_tells_of_forwarding() {
    on_machine(|machine| {
        run("sysctl", &["-qw", "net.ipv4.ip_forward=0"]);
        let first = machine.net.ensure_network(&spec("p_default")).unwrap();
        assert!(first.created);
        assert_eq!(
            first.notes,
            ["set net.ipv4.ip_forward to 1, containers need it to reach out"]
        );
        let again = machine.net.ensure_network(&spec("p_default")).unwrap();
        assert!(!again.created);
        assert_eq!(again.notes, [""; 0]);
        assert_eq!(again.record, first.record);
        assert_eq!(machine.net.networks().unwrap(), [first.record]);
    });
}

#[test]
fn bridge_carries_ids_and_the_gateway() {
    on_machine(|machine| {
        let record = machine.network(&spec("p_default"));
        let links = run("ip", &["-d", "addr", "show", "type", "bridge"]);
        assert!(links.contains("inet 172.18.0.1/16"), "{links}");
        let alias = format!(
            "alias skiff:{}:network:{}",
            machine.net.root_id(),
            record.id
        );
        assert!(links.contains(&alias), "{links}");
        assert!(
            !links.contains("inet6"),
            "no IPv6 on an IPv4 network: {links}"
        );
    });
}

#[test]
fn kernel_state_comes_back_after_a_reboot() {
    on_machine(|machine| {
        let record = machine.network(&spec("p_default"));
        let bridge = run("ip", &["-br", "link", "show", "type", "bridge"]);
        let bridge = bridge.split_whitespace().next().unwrap();
        run("ip", &["link", "del", bridge]);
        run("nft", &["flush", "ruleset"]);
        fs_err::remove_dir_all(machine.layout.run()).unwrap();
        let again = machine.net.ensure_network(&spec("p_default")).unwrap();
        assert_eq!((again.created, again.record), (false, record));
        let web = machine.container("p-web-1", &[on("p_default")]);
        let db = machine.container("p-db-1", &[on("p_default")]);
        db.enter(|| serve_tcp("0.0.0.0:5432"));
        assert!(web.enter(|| call_tcp(&at(db.ip(), 5432))).is_some());
    });
}

#[test]
fn subnet_keeps_away_from_routes_addresses_and_networks() {
    on_machine(|machine| {
        let _outside = Outside::new();
        run("ip", &["addr", "add", "172.18.7.1/24", "dev", "uplink"]);
        run(
            "ip",
            &["route", "add", "172.19.0.0/17", "via", "203.0.113.2"],
        );
        fs_err::write("/etc/resolv.conf", "nameserver 172.21.0.53\n").unwrap();
        let subnets = ["a", "b"].map(|name| machine.network(&spec(name)).subnets[0].cidr.clone());
        assert_eq!(subnets, ["172.20.0.0/16", "172.22.0.0/16"]);
    });
}

#[test]
fn ipv6_network_has_a_unique_local_subnet() {
    on_machine(|machine| {
        let mut both = spec("p_default");
        both.ipv6 = true;
        let record = machine.network(&both);
        assert!(
            record.subnets[1].cidr.starts_with("fd"),
            "{:?}",
            record.subnets
        );
        let web = machine.container("p-web-1", &[on("p_default")]);
        let db = machine.container("p-db-1", &[on("p_default")]);
        let address = db.attached.endpoints[0].addresses[1].0;
        assert!(address.is_ipv6());
        db.enter(|| serve_tcp("[::]:5432"));
        let seen = web.enter(|| call_tcp(&at(address, 5432)));
        assert_eq!(
            seen,
            Some(web.attached.endpoints[0].addresses[1].0.to_string())
        );
    });
}

#[test]
fn ipv6_alone_is_enough() {
    on_machine(|machine| {
        let mut six = spec("p_default");
        six.ipv4 = false;
        six.ipv6 = true;
        machine.network(&six);
        let web = machine.container("p-web-1", &[on("p_default")]);
        let db = machine.container("p-db-1", &[on("p_default")]);
        assert!(web.ip().is_ipv6());
        db.enter(|| serve_tcp("[::]:5432"));
        assert!(web.enter(|| call_tcp(&at(db.ip(), 5432))).is_some());
    });
}

#[test]
fn explicit_pool_with_gateway_range_and_reserved_addresses() {
    on_machine(|machine| {
        let mut wanted = spec("p_default");
        wanted.pools = vec![PoolSpec {
            subnet: Some("10.30.0.0/16".to_owned()),
            ip_range: Some("10.30.5.0/24".to_owned()),
            gateway: Some("10.30.0.254".parse().unwrap()),
            reserved: vec!["10.30.5.0".parse().unwrap()],
        }];
        machine.network(&wanted);
        let web = machine.container("p-web-1", &[on("p_default")]);
        assert_eq!(web.ip().to_string(), "10.30.5.1");
        assert_eq!(web.attached.endpoints[0].addresses[0].1, 16);
        let routes = web.enter(|| run("ip", &["route"]));
        assert!(routes.contains("default via 10.30.0.254"), "{routes}");
        let mut overlapping = spec("other");
        overlapping.pools = vec![pool("10.30.128.0/17")];
        let error = machine.net.ensure_network(&overlapping).unwrap_err();
        assert_eq!(
            error.to_string(),
            "network `other`: subnet `10.30.128.0/17` overlaps network p_default (10.30.0.0/16)"
        );
        assert!(machine.net.network("other").unwrap().is_none());
    });
}

#[test]
fn network_in_use_is_not_removed() {
    on_machine(|machine| {
        machine.network(&spec("p_default"));
        let web = machine.container("p-web-1", &[on("p_default")]);
        let error = machine.net.remove_network("p_default").unwrap_err();
        assert_eq!(
            error.to_string(),
            "network `p_default` is in use by p-web-1"
        );
        machine.net.detach(&web.id).unwrap();
        machine.net.remove_network("p_default").unwrap();
        let error = machine.net.remove_network("p_default").unwrap_err();
        assert!(matches!(error, NetError::NoNetwork { .. }), "{error}");
    });
}

#[test]
fn refused_specifications_leave_nothing() {
    on_machine(|machine| {
        let mut driver = spec("a");
        driver.driver = "overlay".to_owned();
        let mut name = spec("a");
        name.name = "../a".to_owned();
        let mut none = spec("a");
        none.ipv4 = false;
        let mut mtu = spec("a");
        mtu.driver_opts =
            BTreeMap::from([("com.docker.network.driver.mtu".to_owned(), "9".to_owned())]);
        for (bad, part) in [
            (driver, "driver `overlay` is not supported"),
            (name, "letters, digits"),
            (none, "neither IPv4 nor IPv6"),
            (mtu, "not 68 to 65535"),
        ] {
            let error = machine.net.ensure_network(&bad).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
        assert!(machine.net.networks().unwrap().is_empty());
    });
}

#[test]
fn driver_options_have_their_effect() {
    on_machine(|machine| {
        let option =
            |name: &str, value: &str| (format!("com.docker.network.{name}"), value.to_owned());
        let mut wanted = spec("p_default");
        wanted.driver_opts = BTreeMap::from([
            option("bridge.name", "lab0"),
            option("bridge.enable_icc", "false"),
            option("container_iface_prefix", "net"),
            option("unheard.of", "1"),
        ]);
        let ensured = machine.net.ensure_network(&wanted).unwrap();
        assert!(
            ensured
                .notes
                .iter()
                .any(|note| note.contains("unheard.of` has no effect")),
            "{:?}",
            ensured.notes
        );
        run("ip", &["link", "show", "lab0"]);
        let web = machine.container("p-web-1", &[on("p_default")]);
        let db = machine.container("p-db-1", &[on("p_default")]);
        assert_eq!(web.attached.endpoints[0].interface, "net0");
        db.enter(|| serve_tcp("0.0.0.0:5432"));
        assert_eq!(
            web.enter(|| call_tcp(&at(db.ip(), 5432))),
            None,
            "icc is off"
        );
        assert!(
            call_tcp(&at(db.ip(), 5432)).is_some(),
            "the host reaches it"
        );
        let mut taken = spec("other");
        taken.driver_opts = BTreeMap::from([option("bridge.name", "lo")]);
        let error = machine.net.ensure_network(&taken).unwrap_err().to_string();
        assert!(error.contains("`lo` exists and is not skiff's"), "{error}");
    });
}

#[test]
fn two_processes_make_one_network() {
    on_machine(|machine| {
        let records: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..6)
                .map(|_| scope.spawn(|| machine.net.ensure_network(&spec("p_default")).unwrap()))
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .collect()
        });
        assert_eq!(records.iter().filter(|ensured| ensured.created).count(), 1);
        assert!(
            records
                .iter()
                .all(|ensured| ensured.record == records[0].record)
        );
    });
}

#[test]
fn probe_finds_what_this_kernel_has() {
    on_machine(|_| {
        let before = run("ip", &["-o", "link"]);
        for capability in skiff::net::probe() {
            assert_eq!(capability.missing, None, "{}", capability.feature);
        }
        assert_eq!(run("ip", &["-o", "link"]), before);
    });
}
