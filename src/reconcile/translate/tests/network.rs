//! Networks and ports.

use super::*;

#[test]
#[expect(clippy::too_many_lines, reason = "one table")]
fn networks_have_their_effect() {
    let endpoint = |network: &str, aliases: &[&str]| {
        json!({
            "network": network, "aliases": aliases, "ipv4": null, "ipv6": null, "link_local": [],
            "mac": null, "interface": null, "gateway_priority": 0, "driver_opts": {}, "links": {},
        })
    };
    let with = |mut base: Value, changes: Value| {
        let changes = changes.as_object().unwrap().clone();
        base.as_object_mut().unwrap().extend(changes);
        base
    };
    check(&[
        (
            "",
            "/network/networks",
            json!([endpoint("p_default", &["web"])]),
        ),
        (
            "networks: [front, back]",
            "/network/networks",
            json!([endpoint("shared", &["web"]), endpoint("p_front", &["web"])]),
        ),
        (
            "networks: {back: {}, front: {priority: 10, gw_priority: 2, aliases: [a, web]}}",
            "/network/networks/0",
            with(
                endpoint("p_front", &["web", "a"]),
                json!({"gateway_priority": 2}),
            ),
        ),
        (
            "networks: {front: {ipv4_address: 10.1.2.3, ipv6_address: 'fd00::3', link_local_ips: [169.254.1.1], mac_address: '02:42:ac:11:00:02', interface_name: net0}}",
            "/network/networks/0",
            with(
                endpoint("p_front", &["web"]),
                json!({"ipv4": "10.1.2.3", "ipv6": "fd00::3", "link_local": ["169.254.1.1"],
                       "mac": "02:42:ac:11:00:02", "interface": "net0"}),
            ),
        ),
        (
            "mac_address: '02:42:ac:11:00:02'",
            "/network/networks/0/mac",
            json!("02:42:ac:11:00:02"),
        ),
        (
            "links: ['db:database']\nexternal_links: [other, 'legacy:old']",
            "/network/networks/0/links",
            json!({"database": "p-db-1", "db-1": "p-db-1", "p-db-1": "p-db-1",
                   "other": "other", "old": "legacy"}),
        ),
        ("network_mode: none", "/network", json!("none")),
        ("network_mode: host", "/network", json!("host")),
        (
            "network_mode: 'service:db'",
            "/network/container",
            json!(DB_ID),
        ),
        (
            "network_mode: 'container:other'",
            "/network/container",
            json!(DB_ID),
        ),
        (
            "dns: [1.1.1.1, '::1']\ndns_search: [example.org]\ndns_opt: ['ndots:2']",
            "/dns",
            json!({"servers": ["1.1.1.1", "::1"], "search": ["example.org"], "options": ["ndots:2"]}),
        ),
        (
            "extra_hosts: ['a=10.0.0.1', 'b:host-gateway', 'c=[::1]']",
            "/extra_hosts",
            json!([["a", {"ip": "10.0.0.1"}], ["b", "gateway"], ["c", {"ip": "::1"}]]),
        ),
    ]);
    check_refused(&[
        (
            "network_mode: 'container:nobody'",
            "network_mode",
            "no container `nobody`",
        ),
        (
            "networks: {front: {ipv4_address: abc}}",
            "networks.front.ipv4_address",
            "not an IPv4 address",
        ),
        (
            "networks: {front: {ipv4_address: 'fd00::3'}}",
            "networks.front.ipv4_address",
            "not an IPv4 address",
        ),
        (
            "networks: {front: {ipv6_address: 10.1.2.3}}",
            "networks.front.ipv6_address",
            "not an IPv6 address",
        ),
        ("dns: [abc]", "dns[0]", "not an address"),
    ]);
}

#[test]
fn ports_become_single_ports() {
    let port = |ip: Value, host: u16, last: Value, inside: u16, protocol: &str| {
        json!({"host_ip": ip, "host_port": host, "host_port_end": last,
               "container_port": inside, "protocol": protocol})
    };
    let null = Value::Null;
    check(&[
        (
            "ports: ['80']",
            "/ports/0",
            port(null.clone(), 0, null.clone(), 80, "tcp"),
        ),
        (
            "ports: ['8080:80/udp']",
            "/ports/0",
            port(null.clone(), 8080, null.clone(), 80, "udp"),
        ),
        (
            "ports: ['127.0.0.1:8080:80']",
            "/ports/0",
            port(json!("127.0.0.1"), 8080, null.clone(), 80, "tcp"),
        ),
        (
            "ports: ['8000-8001:80-81']",
            "/ports",
            json!([
                port(null.clone(), 8000, null.clone(), 80, "tcp"),
                port(null.clone(), 8001, null.clone(), 81, "tcp"),
            ]),
        ),
        (
            "ports: ['8000-8010:80']",
            "/ports/0",
            port(null.clone(), 8000, json!(8010), 80, "tcp"),
        ),
        ("ports: ['[::1]:80:80']", "/ports/0/host_ip", json!("::1")),
        ("ports: ['80:80']\nnetwork_mode: host", "/ports", json!([])),
    ]);
    check_refused(&[(
        "ports: ['80:80']\nnetwork_mode: 'service:db'",
        "ports",
        "publish them there",
    )]);
}
