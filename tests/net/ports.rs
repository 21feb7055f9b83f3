//! Published ports: bound, rewritten, proxied, taken.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;

use skiff::net::ports::{self, PortError};
use skiff::net::spec::{PortSpec, Protocol, PublishedPort};
use skiff::net::{Publication, proxy};

use crate::harness::{
    Background, Container, Machine, Outside, PATIENCE, call_tcp, call_udp, call_udp_from,
    eventually, in_background, nft, on, on_machine, run, serve_tcp, serve_udp, spec,
};

fn port(host: Option<&str>, host_port: u16, protocol: Protocol) -> PortSpec {
    PortSpec {
        host_ip: host.map(|ip| ip.parse().unwrap()),
        host_port,
        host_port_end: None,
        container_port: 80,
        protocol,
    }
}

/// Published ports of a container with their proxies, as a supervisor has them.
struct Published {
    ports: Vec<PublishedPort>,
    publication: Publication,
    _proxies: Vec<Background>,
}

fn publish(machine: &Machine, container: &Container, wanted: &[PortSpec]) -> Published {
    let bound = ports::bind(&machine.layout, wanted).unwrap();
    let ports: Vec<PublishedPort> = bound.iter().map(|bound| bound.port.clone()).collect();
    let publication = machine.net.publish(&container.id, &ports).unwrap();
    let proxies = bound
        .into_iter()
        .zip(&publication.targets)
        .filter_map(|(bound, target)| {
            let target = (*target)?;
            Some(proxy(bound.socket, target, bound.port.protocol))
        })
        .collect();
    Published {
        ports,
        publication,
        _proxies: proxies,
    }
}

fn proxy(socket: OwnedFd, target: SocketAddr, protocol: Protocol) -> Background {
    in_background(move || async move {
        match protocol {
            Protocol::Tcp => {
                let closing = tokio::sync::watch::Sender::new(false);
                proxy::serve_tcp(socket, target, closing.subscribe()).await
            }
            Protocol::Udp => proxy::serve_udp(socket, target)
                .await
                .map(|never| match never {}),
        }
    })
}

/// The number of packets' way into a container, from the rules' own view.
fn web(machine: &Machine) -> Container {
    machine.network(&spec("p_default"));
    let web = machine.container("p-web-1", &[on("p_default")]);
    web.enter(|| {
        serve_tcp("0.0.0.0:80");
        serve_udp("0.0.0.0:80");
    });
    web
}

#[test]
fn published_port_answers_from_everywhere() {
    on_machine(|machine| {
        assert_port_answers_from_everywhere(machine);
    });
}

/// `br_netfilter` shows bridged packets to the firewall, and is on or off as
/// others (Docker) want it.
#[test]
fn published_port_answers_from_everywhere_without_bridge_filter() {
    on_machine(|machine| {
        run("sysctl", &["-qw", "net.bridge.bridge-nf-call-iptables=0"]);
        assert_port_answers_from_everywhere(machine);
    });
}

fn assert_port_answers_from_everywhere(machine: &Machine) {
    let outside = Outside::new();
    let web = web(machine);
    machine.network(&spec("other"));
    let neighbour = machine.container("p-db-1", &[on("p_default")]);
    let stranger = machine.container("q-db-1", &[on("other")]);
    let published = publish(machine, &web, &[port(None, 8080, Protocol::Tcp)]);
    assert_eq!(published.ports.len(), 2, "both families");
    let target = Some(SocketAddr::new(web.ip(), 80));
    assert_eq!(published.publication.targets, [target, target]);

    let remote = outside.enter(|| call_tcp("203.0.113.1:8080"));
    assert_eq!(
        remote.as_deref(),
        Some("203.0.113.2"),
        "the client's own address"
    );
    assert!(
        outside.enter(|| call_tcp("[2001:db8::1]:8080")).is_some(),
        "IPv6 by proxy"
    );
    let loopback = call_tcp("127.0.0.1:8080");
    assert_eq!(loopback.as_deref(), Some("172.18.0.1"), "by proxy");
    assert!(call_tcp("[::1]:8080").is_some(), "IPv6 loopback by proxy");
    let host = call_tcp("203.0.113.1:8080");
    assert_eq!(
        host.as_deref(),
        Some("203.0.113.1"),
        "the host's own address, rewritten"
    );
    assert!(
        call_tcp("172.18.0.1:8080").is_some(),
        "the bridge's address"
    );
    assert!(
        neighbour.enter(|| call_tcp("203.0.113.1:8080")).is_some(),
        "a neighbour"
    );
    assert!(
        web.enter(|| call_tcp("203.0.113.1:8080")).is_some(),
        "hairpin to itself"
    );
    let other = stranger.enter(|| call_tcp("203.0.113.1:8080"));
    assert_eq!(
        other,
        Some(stranger.ip().to_string()),
        "from another network"
    );

    machine.net.detach(&web.id).unwrap();
    let rules = run("nft", &["list", "ruleset"]);
    assert!(!rules.contains("8080"), "{rules}");
}

#[test]
fn udp_port_answers_from_everywhere() {
    on_machine(|machine| {
        let outside = Outside::new();
        let web = web(machine);
        let _published = publish(machine, &web, &[port(None, 5353, Protocol::Udp)]);
        let remote = outside.enter(|| call_udp("203.0.113.1:5353"));
        assert_eq!(remote.as_deref(), Some("203.0.113.2"));
        assert_eq!(call_udp("127.0.0.1:5353").as_deref(), Some("172.18.0.1"));
        // Any address of the loopback net, and the answer comes from it.
        assert_eq!(call_udp("127.1.2.3:5353").as_deref(), Some("172.18.0.1"));
        assert!(call_udp("[::1]:5353").is_some());
        assert!(outside.enter(|| call_udp("[2001:db8::1]:5353")).is_some());
        assert!(
            web.enter(|| call_udp("203.0.113.1:5353")).is_some(),
            "hairpin"
        );
    });
}

#[test]
fn ipv6_target_is_rewritten() {
    on_machine(|machine| {
        let outside = Outside::new();
        let mut both = spec("p_default");
        both.ipv6 = true;
        machine.network(&both);
        let web = machine.container("p-web-1", &[on("p_default")]);
        web.enter(|| serve_tcp("[::]:80"));
        let _published = publish(machine, &web, &[port(None, 8080, Protocol::Tcp)]);
        let remote = outside.enter(|| call_tcp("[2001:db8::1]:8080"));
        assert_eq!(
            remote.as_deref(),
            Some("2001:db8::2"),
            "the client's own address"
        );
        assert!(
            web.enter(|| call_tcp("[2001:db8::1]:8080")).is_some(),
            "hairpin"
        );
    });
}

#[test]
fn loopback_port_is_the_hosts_alone() {
    on_machine(|machine| {
        let outside = Outside::new();
        let web = web(machine);
        let neighbour = machine.container("p-db-1", &[on("p_default")]);
        let loopback = port(Some("127.0.0.1"), 8080, Protocol::Tcp);
        let published = publish(machine, &web, &[loopback]);
        assert_eq!(published.ports.len(), 1);
        assert!(call_tcp("127.0.0.1:8080").is_some());
        assert_eq!(outside.enter(|| call_tcp("203.0.113.1:8080")), None);
        assert_eq!(neighbour.enter(|| call_tcp("172.18.0.1:8080")), None);
    });
}

#[test]
fn port_on_one_address_is_open_there_only() {
    on_machine(|machine| {
        let outside = Outside::new();
        run("ip", &["addr", "add", "203.0.113.9/24", "dev", "uplink"]);
        let web = web(machine);
        let _published = publish(
            machine,
            &web,
            &[port(Some("203.0.113.9"), 8080, Protocol::Tcp)],
        );
        let seen = outside.enter(|| call_tcp("203.0.113.9:8080"));
        assert_eq!(seen.as_deref(), Some("203.0.113.2"));
        assert_eq!(outside.enter(|| call_tcp("203.0.113.1:8080")), None);
        let missing = port(Some("203.0.113.77"), 8081, Protocol::Tcp);
        let error = ports::bind(&machine.layout, &[missing]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot publish on 203.0.113.77:8081/tcp: this host has no such address"
        );
    });
}

#[test]
fn filtered_input_is_obeyed_by_way_of_the_proxy() {
    on_machine(|machine| {
        let outside = Outside::new();
        nft("table inet lab {
            chain input {
                type filter hook input priority filter; policy drop;
                iifname \"lo\" accept
                ct state established,related accept
                tcp dport 8080 accept
            }
        }");
        let web = web(machine);
        let wanted = [
            port(None, 8080, Protocol::Tcp),
            port(None, 8081, Protocol::Tcp),
        ];
        let published = publish(machine, &web, &wanted);
        assert_eq!(
            published.publication.notes.len(),
            1,
            "{:?}",
            published.publication.notes
        );
        let open = outside.enter(|| call_tcp("203.0.113.1:8080"));
        assert_eq!(open.as_deref(), Some("172.18.0.1"), "by proxy");
        assert_eq!(
            outside.enter(|| call_tcp("203.0.113.1:8081")),
            None,
            "the rules hold"
        );
        assert!(call_tcp("127.0.0.1:8081").is_some());
    });
}

#[test]
fn input_filter_that_comes_later_is_obeyed_too() {
    on_machine(|machine| {
        let outside = Outside::new();
        let web = web(machine);
        let _published = publish(machine, &web, &[port(Some("0.0.0.0"), 8080, Protocol::Tcp)]);
        assert!(outside.enter(|| call_tcp("203.0.113.1:8080")).is_some());
        nft("table inet lab {
            chain input {
                type filter hook input priority filter; policy drop;
                iifname \"lo\" accept
            }
        }");
        machine.net.repair().unwrap();
        assert_eq!(outside.enter(|| call_tcp("203.0.113.1:8080")), None);
        run("nft", &["delete", "table", "inet", "lab"]);
        machine.net.repair().unwrap();
        let seen = outside.enter(|| call_tcp("203.0.113.1:8080"));
        assert_eq!(seen.as_deref(), Some("203.0.113.2"), "rewritten again");
    });
}

#[test]
fn port_of_an_internal_container_stays_closed() {
    on_machine(|machine| {
        let mut internal = spec("back");
        internal.internal = true;
        machine.network(&internal);
        let db = machine.container("p-db-1", &[on("back")]);
        let published = publish(machine, &db, &[port(Some("0.0.0.0"), 5432, Protocol::Tcp)]);
        assert_eq!(published.publication.targets, [None]);
        let notes = published.publication.notes.join("\n");
        assert!(
            notes.contains("`p-db-1` is on internal networks only"),
            "{notes}"
        );
    });
}

#[test]
fn taken_port_names_its_holder() {
    on_machine(|machine| {
        let wanted = [port(None, 8080, Protocol::Tcp)];
        let holder = TcpListener::bind("127.0.0.1:8080").unwrap();
        let error = ports::bind(&machine.layout, &wanted).unwrap_err();
        let comm = fs_err::read_to_string("/proc/self/comm").unwrap();
        let expected = format!("{} (pid {})", comm.trim(), std::process::id());
        assert_eq!(
            error.to_string(),
            format!("port 0.0.0.0:8080/tcp is taken by {expected}")
        );
        drop(holder);
        let web = web(machine);
        let _published = publish(machine, &web, &wanted);
        let error = ports::bind(&machine.layout, &wanted).unwrap_err();
        assert_eq!(
            error.to_string(),
            "port 0.0.0.0:8080/tcp is taken by container `p-web-1`"
        );
    });
}

#[test]
fn taken_udp_port_is_no_shared_port() {
    on_machine(|machine| {
        let wanted = [port(Some("0.0.0.0"), 5353, Protocol::Udp)];
        let _first = ports::bind(&machine.layout, &wanted).unwrap();
        let error = ports::bind(&machine.layout, &wanted).unwrap_err();
        assert!(
            matches!(
                error,
                PortError::Taken {
                    holder: Some(_),
                    ..
                }
            ),
            "{error}"
        );
        // TCP of the same number is another port.
        ports::bind(&machine.layout, &[port(None, 5353, Protocol::Tcp)]).unwrap();
    });
}

#[test]
fn nothing_stays_bound_where_one_port_is_taken() {
    on_machine(|machine| {
        let _holder = TcpListener::bind("[::]:8081").unwrap();
        let wanted = [
            port(None, 8080, Protocol::Tcp),
            port(None, 8081, Protocol::Tcp),
        ];
        ports::bind(&machine.layout, &wanted).unwrap_err();
        // A program that another test starts may hold a copy until it runs.
        eventually("8080 is free", || TcpListener::bind("0.0.0.0:8080").is_ok());
    });
}

#[test]
fn range_gives_the_first_free_port_and_zero_any() {
    on_machine(|machine| {
        let _holder = TcpListener::bind("[::1]:8080").unwrap();
        let mut range = port(None, 8080, Protocol::Tcp);
        range.host_port_end = Some(8081);
        let bound = ports::bind(&machine.layout, std::slice::from_ref(&range)).unwrap();
        let numbers: Vec<u16> = bound.iter().map(|bound| bound.port.host_port).collect();
        assert_eq!(numbers, [8081, 8081]);
        let error = ports::bind(&machine.layout, &[range])
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("port 0.0.0.0:8080-8081/tcp is taken"),
            "{error}"
        );
        let any = ports::bind(&machine.layout, &[port(None, 0, Protocol::Udp)]).unwrap();
        assert_eq!(any.len(), 2);
        assert_ne!(any[0].port.host_port, 0);
        assert_eq!(any[0].port.host_port, any[1].port.host_port);
    });
}

#[test]
fn kept_listener_bridges_a_restart_of_the_proxy() {
    on_machine(|machine| {
        let web = web(machine);
        let mut bound = ports::bind(
            &machine.layout,
            &[port(Some("127.0.0.1"), 8080, Protocol::Tcp)],
        )
        .unwrap();
        let listener = bound.remove(0).socket;
        let duplicate = listener.try_clone().unwrap();
        let target = SocketAddr::new(web.ip(), 80);
        drop(proxy(duplicate, target, Protocol::Tcp));
        // Nobody serves, and yet nobody is refused.
        let mut early = TcpStream::connect("127.0.0.1:8080").unwrap();
        let _proxy = proxy(listener, target, Protocol::Tcp);
        early.set_read_timeout(Some(PATIENCE)).unwrap();
        early.shutdown(std::net::Shutdown::Write).unwrap();
        let mut text = String::new();
        early.read_to_string(&mut text).unwrap();
        assert_eq!(text, "172.18.0.1\n");
    });
}

#[test]
fn proxy_passes_much_data_and_half_closes() {
    on_machine(|machine| {
        let web = web(machine);
        let _published = publish(
            machine,
            &web,
            &[port(Some("127.0.0.1"), 8080, Protocol::Tcp)],
        );
        let sent: Vec<u8> = (0..4_000_000_u32).map(|i| (i % 251) as u8).collect();
        let mut stream = TcpStream::connect("127.0.0.1:8080").unwrap();
        let mut writer = stream.try_clone().unwrap();
        let received = std::thread::scope(|scope| {
            let sent = &sent;
            scope.spawn(move || {
                writer.write_all(sent).unwrap();
                writer.shutdown(std::net::Shutdown::Write).unwrap();
            });
            let mut received = Vec::new();
            stream.read_to_end(&mut received).unwrap();
            received
        });
        assert_eq!(&received[.."172.18.0.1\n".len()], b"172.18.0.1\n");
        assert!(received["172.18.0.1\n".len()..] == sent[..]);
    });
}

#[test]
fn udp_client_reaches_the_successor_of_a_container() {
    on_machine(|machine| {
        let outside = Outside::new();
        machine.network(&spec("p_default"));
        // Keeps the first address, so that the successor has another.
        let old = machine.container("p-web-1", &[on("p_default")]);
        old.enter(|| serve_udp("0.0.0.0:80"));
        let wanted = [port(Some("0.0.0.0"), 5353, Protocol::Udp)];
        let first = publish(machine, &old, &wanted);
        assert!(
            outside
                .enter(|| call_udp_from(40000, "203.0.113.1:5353"))
                .is_some()
        );
        machine.net.detach(&old.id).unwrap();
        drop(first);
        let _filler = machine.container("p-job-1", &[on("p_default")]);
        let new = machine.container("p-web-2", &[on("p_default")]);
        new.enter(|| serve_udp("0.0.0.0:80"));
        let _second = publish(machine, &new, &wanted);
        // From the same port: a tracked connection would lead to the old one.
        let seen = outside.enter(|| call_udp_from(40000, "203.0.113.1:5353"));
        assert_eq!(seen.as_deref(), Some("203.0.113.2"));
    });
}

#[test]
fn rebuild_brings_published_ports_back() {
    on_machine(|machine| {
        let outside = Outside::new();
        let web = web(machine);
        let _published = publish(machine, &web, &[port(Some("0.0.0.0"), 8080, Protocol::Tcp)]);
        run("nft", &["flush", "ruleset"]);
        machine.net.repair().unwrap();
        let seen = outside.enter(|| call_tcp("203.0.113.1:8080"));
        assert_eq!(
            seen.as_deref(),
            Some("203.0.113.2"),
            "rewritten, not proxied"
        );
    });
}

#[test]
fn publish_after_a_flush_writes_the_table_anew() {
    on_machine(|machine| {
        let outside = Outside::new();
        let web = web(machine);
        run("nft", &["flush", "ruleset"]);
        let _published = publish(machine, &web, &[port(Some("0.0.0.0"), 8080, Protocol::Tcp)]);
        let seen = outside.enter(|| call_tcp("203.0.113.1:8080"));
        assert_eq!(seen.as_deref(), Some("203.0.113.2"));
        run("nft", &["flush", "ruleset"]);
        machine.net.detach(&web.id).unwrap();
        let rules = run("nft", &["list", "ruleset"]);
        assert!(
            rules.contains("chain guard") && !rules.contains("8080"),
            "{rules}"
        );
    });
}

#[test]
fn two_families_of_one_spec_share_the_address_text() {
    on_machine(|machine| {
        let bound = ports::bind(&machine.layout, &[port(None, 8080, Protocol::Tcp)]).unwrap();
        let ips: Vec<IpAddr> = bound.iter().map(|bound| bound.port.host_ip).collect();
        assert_eq!(
            ips,
            ["0.0.0.0".parse::<IpAddr>().unwrap(), "::".parse().unwrap()]
        );
        run("sysctl", &["-qw", "net.ipv6.conf.all.disable_ipv6=1"]);
        drop(bound);
        let bound = ports::bind(&machine.layout, &[port(None, 8080, Protocol::Tcp)]).unwrap();
        assert!(!bound.is_empty(), "a host without IPv6 can publish");
    });
}
