//! Containers on networks: links, addresses, routes, isolation.

use std::collections::BTreeMap;

use skiff::net::spec::PoolSpec;
use skiff::net::{Net, NetError};
use skiff::state::ContainerId;

use crate::harness::{
    Container, Outside, at, call_tcp, on, on_machine, request, run, serve_tcp, spec,
};

fn pool(subnet: &str) -> PoolSpec {
    PoolSpec {
        subnet: Some(subnet.to_owned()),
        ip_range: None,
        gateway: None,
        reserved: Vec::new(),
    }
}

#[test]
fn containers_on_one_network_reach_each_other() {
    on_machine(|machine| {
        machine.network(&spec("p_default"));
        let web = machine.container("p-web-1", &[on("p_default")]);
        let db = machine.container("p-db-1", &[on("p_default")]);
        assert_eq!(web.ip().to_string(), "172.18.0.2");
        assert_eq!(db.ip().to_string(), "172.18.0.3");
        db.enter(|| serve_tcp("0.0.0.0:5432"));
        let seen = web.enter(|| call_tcp(&at(db.ip(), 5432)));
        assert_eq!(seen, Some(web.ip().to_string()));
    });
}

#[test]
fn container_has_what_docker_gives_it() {
    on_machine(|machine| {
        machine.network(&spec("p_default"));
        let web = machine.container("p-web-1", &[on("p_default")]);
        let (addresses, routes) = web.enter(|| {
            let ip = |arguments: &[&str]| -> serde_json::Value {
                serde_json::from_str(&run("ip", arguments)).unwrap()
            };
            (ip(&["-j", "addr"]), ip(&["-j", "route"]))
        });
        let links = addresses.as_array().unwrap();
        let names: Vec<_> = links
            .iter()
            .map(|link| link["ifname"].as_str().unwrap())
            .collect();
        assert_eq!(names, ["lo", "eth0"]);
        let text = addresses.to_string();
        assert!(text.contains(r#""local":"127.0.0.1""#), "{text}");
        assert_eq!(links[1]["address"], "02:42:ac:12:00:02");
        assert_eq!(links[1]["operstate"], "UP");
        let own = links[1]["addr_info"].as_array().unwrap();
        assert_eq!(own.len(), 1, "only the IPv4 address: {own:?}");
        assert_eq!(own[0]["local"], "172.18.0.2");
        assert_eq!(own[0]["prefixlen"], 16);
        assert_eq!(own[0]["broadcast"], "172.18.255.255");
        assert_eq!(routes[0]["dst"], "default");
        assert_eq!(routes[0]["gateway"], "172.18.0.1");
    });
}

/// As Docker has it: a link without IPv6 addresses has no IPv6, but what the
/// container makes itself may have.
#[test]
fn ipv6_is_off_where_a_network_has_none() {
    on_machine(|machine| {
        machine.network(&spec("a_four"));
        let mut six = spec("b_six");
        six.ipv6 = true;
        machine.network(&six);
        let disabled = |container: &Container, links: &[&str]| -> Vec<String> {
            let name = |link: &&str| format!("net.ipv6.conf.{link}.disable_ipv6");
            let read = |name: String| run("sysctl", &["-n", &name]).trim().to_owned();
            container.enter(|| links.iter().map(name).map(read).collect())
        };
        let four = machine.container("p-four-1", &[on("a_four")]);
        let both = machine.container("p-both-1", &[on("a_four"), on("b_six")]);
        assert_eq!(disabled(&four, &["default", "lo", "eth0"]), ["0", "0", "1"]);
        assert_eq!(
            disabled(&both, &["default", "eth0", "eth1"]),
            ["0", "1", "0"]
        );
    });
}

#[test]
fn container_without_networks_has_loopback_only() {
    on_machine(|machine| {
        let alone = machine.container("p-job-1", &[]);
        assert!(alone.attached.endpoints.is_empty());
        let links = alone.enter(|| run("ip", &["-o", "addr"]));
        assert!(links.contains("127.0.0.1/8"), "{links}");
        assert!(!links.contains("eth0"), "{links}");
    });
}

#[test]
fn networks_are_isolated_from_each_other() {
    on_machine(|machine| {
        machine.network(&spec("front"));
        machine.network(&spec("back"));
        let web = machine.container("p-web-1", &[on("front")]);
        let db = machine.container("p-db-1", &[on("back")]);
        db.enter(|| serve_tcp("0.0.0.0:5432"));
        assert_eq!(web.enter(|| call_tcp(&at(db.ip(), 5432))), None);
        let both = machine.container("p-app-1", &[on("front"), on("back")]);
        let seen = both.enter(|| call_tcp(&at(db.ip(), 5432)));
        assert_eq!(seen.as_deref(), Some("172.19.0.3"));
    });
}

#[test]
fn gateway_priority_orders_links_and_routes() {
    on_machine(|machine| {
        machine.network(&spec("a"));
        machine.network(&spec("b"));
        machine.network(&spec("z"));
        let mut first = on("z");
        first.gateway_priority = 10;
        let app = machine.container("p-app-1", &[on("b"), on("a"), first]);
        let order: Vec<_> = app
            .attached
            .endpoints
            .iter()
            .map(|e| (e.interface.as_str(), e.network_name.as_str()))
            .collect();
        assert_eq!(order, [("eth0", "z"), ("eth1", "a"), ("eth2", "b")]);
        let routes = app.enter(|| run("ip", &["route", "show", "default"]));
        assert_eq!(routes.lines().count(), 1, "{routes}");
        assert!(routes.contains("dev eth0"), "{routes}");
        let again = machine.net.attached(&app.id).unwrap().unwrap();
        assert_eq!(again.endpoints, app.attached.endpoints);
    });
}

#[test]
fn wishes_of_an_endpoint_are_granted() {
    on_machine(|machine| {
        let mut wanted = spec("p_default");
        wanted.pools = vec![pool("10.20.0.0/24"), pool("fd00:20::/64")];
        wanted.ipv6 = true;
        wanted.driver_opts = BTreeMap::from([(
            "com.docker.network.driver.mtu".to_owned(),
            "1400".to_owned(),
        )]);
        machine.network(&wanted);
        let mut endpoint = on("p_default");
        endpoint.ipv4 = Some("10.20.0.77".parse().unwrap());
        endpoint.ipv6 = Some("fd00:20::77".parse().unwrap());
        endpoint.link_local = vec!["169.254.8.8".parse().unwrap()];
        endpoint.mac = Some("02:00:00:00:00:77".to_owned());
        endpoint.interface = Some("lan0".to_owned());
        endpoint.driver_opts = BTreeMap::from([(
            "com.docker.network.endpoint.sysctls".to_owned(),
            "net.ipv4.conf.IFNAME.log_martians=1".to_owned(),
        )]);
        let web = machine.container("p-web-1", &[endpoint]);
        let shown = web.enter(|| run("ip", &["addr", "show", "lan0"]));
        for part in [
            "mtu 1400",
            "02:00:00:00:00:77",
            "inet 10.20.0.77/24",
            "inet6 fd00:20::77/64",
            "inet 169.254.8.8/16",
        ] {
            assert!(shown.contains(part), "{part}: {shown}");
        }
        let sysctl = web
            .enter(|| fs_err::read_to_string("/proc/sys/net/ipv4/conf/lan0/log_martians").unwrap());
        assert_eq!(sysctl.trim(), "1");
        let mut clash = on("p_default");
        clash.ipv4 = Some("10.20.0.77".parse().unwrap());
        let id = ContainerId::random();
        let error = machine
            .net
            .attach(&request(&id, "p-db-1", &[clash.clone()]))
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "network `p_default`: address 10.20.0.77 is taken by container `p-web-1`"
        );
        clash.ipv4 = Some("10.21.0.1".parse().unwrap());
        let error = machine
            .net
            .attach(&request(&id, "p-db-1", &[clash]))
            .unwrap_err();
        assert!(matches!(error, NetError::AddressOutside { .. }), "{error}");
    });
}

#[test]
fn full_subnet_is_an_error_and_leaves_nothing() {
    on_machine(|machine| {
        let mut tiny = spec("p_default");
        tiny.pools = vec![pool("10.20.0.0/30")];
        machine.network(&tiny);
        machine.network(&spec("other"));
        let web = machine.container("p-web-1", &[on("p_default")]);
        let id = ContainerId::random();
        let wanted = [on("other"), on("p_default")];
        let error = machine
            .net
            .attach(&request(&id, "p-web-2", &wanted))
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "network `p_default`: no free address is left in `10.20.0.0/30`"
        );
        assert!(machine.net.attached(&id).unwrap().is_none());
        // The address on the other network was given back.
        machine.net.remove_network("other").unwrap();
        machine.net.detach(&web.id).unwrap();
        machine.container("p-web-2", &[on("p_default")]);
    });
}

#[test]
fn network_that_does_not_exist_is_an_error() {
    on_machine(|machine| {
        let id = ContainerId::random();
        let error = machine
            .net
            .attach(&request(&id, "p-web-1", &[on("nosuch")]))
            .unwrap_err();
        assert!(matches!(error, NetError::NoNetwork { .. }), "{error}");
    });
}

#[test]
fn bridges_may_live_in_another_namespace() {
    on_machine(|machine| {
        let bridges = Outside::new();
        let netns = bridges.namespace();
        let net = Net::open(&machine.layout, Some(netns)).unwrap();
        net.ensure_network(&spec("p_default")).unwrap();
        let ids = [ContainerId::random(), ContainerId::random()];
        let endpoints = [on("p_default")];
        let containers = ids.each_ref().map(|id| Container {
            id: id.clone(),
            attached: net.attach(&request(id, id.short(), &endpoints)).unwrap(),
        });
        let [web, db] = &containers;
        db.enter(|| serve_tcp("0.0.0.0:5432"));
        assert!(web.enter(|| call_tcp(&at(db.ip(), 5432))).is_some());
        let here = run("ip", &["-br", "link"]);
        assert!(!here.contains("sk"), "{here}");
        net.detach_many(&ids).unwrap();
        net.remove_network("p_default").unwrap();
        let there =
            bridges.enter(|| run("ip", &["-br", "link"]) + &run("nft", &["list", "ruleset"]));
        assert!(!there.contains("sk"), "{there}");
    });
}

#[test]
fn network_given_twice_is_an_error() {
    on_machine(|machine| {
        machine.network(&spec("p_default"));
        let id = ContainerId::random();
        let twice = [on("p_default"), on("p_default")];
        let error = machine
            .net
            .attach(&request(&id, "p-web-1", &twice))
            .unwrap_err();
        assert!(
            error.to_string().contains("cannot be on it twice"),
            "{error}"
        );
    });
}

#[test]
fn attach_again_replaces_what_was() {
    on_machine(|machine| {
        machine.network(&spec("p_default"));
        let web = machine.container("p-web-1", &[on("p_default")]);
        let endpoints = [on("p_default")];
        let again = machine
            .net
            .attach(&request(&web.id, "p-web-1", &endpoints))
            .unwrap();
        assert_eq!(again.endpoints, web.attached.endpoints);
        let record = machine.net.network("p_default").unwrap().unwrap();
        assert_eq!(machine.net.endpoints(&record.id).unwrap(), again.endpoints);
    });
}

#[test]
fn many_containers_attach_at_once() {
    on_machine(|machine| {
        machine.network(&spec("p_default"));
        let ids: Vec<ContainerId> = (0..20).map(|_| ContainerId::random()).collect();
        let endpoints = [on("p_default")];
        let mut addresses: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = ids
                .iter()
                .map(|id| {
                    let endpoints = &endpoints;
                    scope.spawn(move || {
                        let attached = machine.net.attach(&request(id, id.short(), endpoints));
                        attached.unwrap().endpoints[0].addresses[0].0
                    })
                })
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .collect()
        });
        addresses.sort();
        addresses.dedup();
        assert_eq!(addresses.len(), 20, "every address is given once");
        machine.net.detach_many(&ids).unwrap();
        let record = machine.net.network("p_default").unwrap().unwrap();
        assert!(machine.net.endpoints(&record.id).unwrap().is_empty());
    });
}

/// One that was given when a start was cut short has no endpoint, and goes with
/// its container all the same.
#[test]
fn every_address_of_a_container_is_free_after_its_removal() {
    on_machine(|machine| {
        let network = machine.network(&spec("p_default"));
        let web = machine.container("p-web-1", &[on("p_default")]);
        let pool = machine.layout.run_networks().join(network.id.as_str());
        let pool = pool.join("addresses");
        let target = fs_err::read_link(pool.join(web.ip().to_string())).unwrap();
        fs_err::os::unix::fs::symlink(target, pool.join("172.18.0.99")).unwrap();
        machine.net.detach(&web.id).unwrap();
        assert_eq!(fs_err::read_dir(&pool).unwrap().count(), 0);
        machine.net.remove_network("p_default").unwrap();
    });
}

/// Bridges do not outlive the machine, and networks do.
#[test]
fn a_lost_bridge_is_made_again_for_the_next_container() {
    on_machine(|machine| {
        let network = machine.network(&spec("p_default"));
        let db = machine.container("p-db-1", &[on("p_default")]);
        db.enter(|| serve_tcp("0.0.0.0:5432"));
        let lost = || machine.net.without_bridge([&network]).unwrap().len();
        assert_eq!(lost(), 0);
        let links = run("ip", &["-o", "link", "show", "type", "bridge"]);
        let bridge = links.split(": ").nth(1).unwrap().to_owned();
        run("ip", &["link", "del", &bridge]);
        assert_eq!(lost(), 1);
        let web = machine.container("p-web-1", &[on("p_default")]);
        // The one that was there before is on it again, too.
        let seen = web.enter(|| call_tcp(&at(db.ip(), 5432)));
        assert_eq!(seen, Some(web.ip().to_string()));
        assert_eq!(lost(), 0);
    });
}
