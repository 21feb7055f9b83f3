//! Networks: names, isolation, outbound traffic, and a host whose firewall
//! belongs to somebody else.

use std::io::Write;
use std::net::TcpListener;
use std::thread;

use crate::support::{Sandbox, isolated, program};

/// A service that answers every connection on port 80 with its name.
pub(crate) fn server(name: &str, rest: &str) -> String {
    format!(
        "  {name}:\n    image: test/busybox\n    init: true\n    \
         command: [sh, -c, \"mkdir -p /www; echo {name} >/www/index.html; exec httpd -f -p 80 -h /www\"]\n    \
         healthcheck: {{test: [CMD, wget, -qO-, \"http://127.0.0.1/\"], interval: 10s}}\n{rest}"
    )
}

/// The far side of a cable: a namespace `far` with 192.0.2.2, this side 192.0.2.1.
pub(crate) fn far_host(sandbox: &Sandbox) {
    let script = "ip netns add far && ip link add near type veth peer name eth0 netns far &&
        ip addr add 192.0.2.1/24 dev near && ip link set near up &&
        ip -n far addr add 192.0.2.2/24 dev eth0 && ip -n far link set eth0 up && ip -n far link set lo up";
    sandbox.shell(script).run().succeeds().whatever();
}

pub(crate) fn remove_far_host(sandbox: &Sandbox) {
    sandbox
        .shell("ip netns del far; umount /run/netns")
        .run()
        .whatever();
}

#[test]
fn what_is_changed_on_the_host_is_said() {
    isolated(|sandbox| {
        sandbox
            .shell("echo 0 >/proc/sys/net/ipv4/ip_forward")
            .run()
            .succeeds()
            .whatever();
        let compose = "services:\n  a: {image: skiff/toolbox, command: [sleep, \"1000\"]}\n";
        let project = sandbox.project("said", compose);
        let up = project.skiff(["up", "-d"]).run().succeeds();
        let note = "set net.ipv4.ip_forward to 1, containers need it to reach out";
        assert!(up.stderr.contains(note), "{up}");
        let again = project.skiff(["up", "-d"]).run().succeeds();
        assert!(!again.stderr.contains("ip_forward"), "{again}");
        project.skiff(["down"]).run().succeeds().whatever();
    });
}

#[test]
fn services_find_each_other_by_every_name() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let aliased = "    networks: {default: {aliases: [other]}}\n    hostname: own\n";
        let compose = format!(
            "services:\n{}{}",
            server("web", aliased),
            server("client", "    links: [\"web:linked\"]\n")
        );
        let project = sandbox.project("names", &compose);
        project
            .skiff(["up", "-d", "--wait"])
            .run()
            .succeeds()
            .whatever();
        let id = project.container_field("web", "ID");
        for name in [
            "web",
            "other",
            "names-web-1",
            "linked",
            "web.names_default",
            &id,
        ] {
            let page = project.sh("client", &format!("wget -qO- http://{name}/"));
            assert_eq!(page, "web\n", "by {name}");
        }
        project
            .skiff(["exec", "-T", "client", "nslookup", "nosuch"])
            .run()
            .fails()
            .whatever();
        // The dead are not answered, and the living are again at once.
        project.skiff(["stop", "web"]).run().succeeds().whatever();
        project
            .skiff(["exec", "-T", "client", "nslookup", "web"])
            .run()
            .fails()
            .whatever();
        project
            .skiff(["up", "-d", "--wait", "web"])
            .run()
            .succeeds()
            .whatever();
        assert_eq!(project.sh("client", "wget -qO- http://web/"), "web\n");
        project.down();
    });
}

#[test]
fn networks_are_apart_and_internal_ones_have_no_way_out() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        far_host(sandbox);
        let compose = format!(
            "services:\n{}{}{}networks:\n  front: {{}}\n  back: {{internal: true}}\n",
            server("web", "    networks: [front]\n"),
            server("app", "    networks: [front, back]\n"),
            server("db", "    networks: [back]\n"),
        );
        let project = sandbox.project("apart", &compose);
        project
            .skiff(["up", "-d", "--wait"])
            .run()
            .succeeds()
            .whatever();
        assert_eq!(project.sh("app", "wget -qO- http://web/"), "web\n");
        assert_eq!(project.sh("app", "wget -qO- http://db/"), "db\n");
        project
            .skiff(["exec", "-T", "web", "nslookup", "db"])
            .run()
            .fails()
            .whatever();
        let address = project.sh("db", "hostname -i");
        let reach = format!("timeout 2 wget -qO- http://{}/", address.trim());
        project
            .skiff(["exec", "-T", "web", "sh", "-c", &reach])
            .run()
            .fails()
            .whatever();
        project.sh("web", "ping -c1 -W2 192.0.2.2");
        project
            .skiff(["exec", "-T", "db", "ping", "-c1", "-W1", "192.0.2.2"])
            .run()
            .fails()
            .whatever();
        project.down();
        remove_far_host(sandbox);
        sandbox
            .shell("ip link del near 2>/dev/null")
            .run()
            .whatever();
    });
}

#[test]
fn network_modes_host_none_and_service() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let hold = "command: [sh, -c, \"trap 'exit 0' TERM; sleep 1000 & wait\"]";
        let compose = format!(
            "services:\n{}  host: {{image: test/busybox, {hold}, network_mode: host}}\n  \
             none: {{image: test/busybox, {hold}, network_mode: none}}\n  \
             join: {{image: test/busybox, {hold}, network_mode: \"service:web\"}}\n",
            server("web", "")
        );
        let project = sandbox.project("modes", &compose);
        project
            .skiff(["up", "-d", "--wait"])
            .run()
            .succeeds()
            .whatever();
        let own = fs_err::read_link("/proc/self/ns/net").expect("/proc");
        assert_eq!(
            project.sh("host", "readlink /proc/1/ns/net").trim(),
            own.to_string_lossy()
        );
        assert_eq!(
            project.sh(
                "none",
                "ls /sys/class/net 2>/dev/null | grep -v bonding; ip -o link | wc -l"
            ),
            "lo\n1\n"
        );
        assert_eq!(project.sh("join", "wget -qO- http://127.0.0.1/"), "web\n");
        assert_eq!(
            project.sh("join", "hostname"),
            project.sh("web", "hostname")
        );
        project.down();
    });
}

#[test]
fn static_addresses_and_subnets_are_as_written() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let compose = format!(
            "services:\n{}networks:\n  net:\n    ipam:\n      config:\n        - {{subnet: 10.77.0.0/24, gateway: 10.77.0.254}}\n",
            server("web", "    networks: {net: {ipv4_address: 10.77.0.9}}\n")
        );
        let project = sandbox.project("static", &compose);
        project
            .skiff(["up", "-d", "--wait"])
            .run()
            .succeeds()
            .whatever();
        assert_eq!(project.sh("web", "hostname -i"), "10.77.0.9\n");
        let routes = project.sh("web", "ip route");
        assert!(routes.contains("default via 10.77.0.254"), "{routes}");
        project.down();
    });
}

#[test]
fn external_networks_are_shared_between_projects() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let first = sandbox.project("first", &format!("services:\n{}", server("web", "")));
        first
            .skiff(["up", "-d", "--wait"])
            .run()
            .succeeds()
            .whatever();
        let compose = format!(
            "services:\n{}networks:\n  default: {{external: true, name: first_default}}\n",
            server("client", "")
        );
        let second = sandbox.project("second", &compose);
        second
            .skiff(["up", "-d", "--wait"])
            .run()
            .succeeds()
            .whatever();
        assert_eq!(second.sh("client", "wget -qO- http://web/"), "web\n");
        let down = first.skiff(["down", "-t", "2"]).run().succeeds();
        assert!(
            down.stderr.contains("first_default"),
            "a network in use stays, and is named\n{down}"
        );
        assert_eq!(second.container_field("client", "State"), "running");
        second.down();
        first.down();
    });
}

#[test]
fn a_missing_external_network_is_an_error() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let compose = format!(
            "services:\n{}networks:\n  default: {{external: true, name: nosuchnet}}\n",
            server("web", "")
        );
        let project = sandbox.project("ext", &compose);
        let refused = project.skiff(["up", "-d"]).run().ends_with(1);
        refused
            .warns("network nosuchnet declared as external, but could not be found")
            .whatever();
    });
}

/// What Docker leaves on a machine: `FORWARD` with policy drop, and bridged
/// packets passing it too.
#[test]
fn traffic_flows_beside_dockers_firewall() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        far_host(sandbox);
        program("iptables");
        let script = "iptables -N DOCKER-USER && iptables -A DOCKER-USER -j RETURN &&
            iptables -A FORWARD -j DOCKER-USER && iptables -P FORWARD DROP &&
            { echo 1 >/proc/sys/net/bridge/bridge-nf-call-iptables; } 2>/dev/null; true";
        sandbox.shell(script).run().succeeds().whatever();
        let before = sandbox
            .shell("iptables-save | grep -v '^[#:]'")
            .run()
            .succeeds();
        let compose = format!(
            "services:\n{}{}",
            server("web", "    ports: [\"18080:80\"]\n"),
            server("client", "")
        );
        let project = sandbox.project("beside", &compose);
        project
            .skiff(["up", "-d", "--wait"])
            .run()
            .succeeds()
            .whatever();
        assert_eq!(
            project.sh("client", "timeout 3 wget -qO- http://web/"),
            "web\n"
        );
        project.sh("client", "ping -c1 -W2 192.0.2.2");
        sandbox
            .shell("ip netns exec far busybox timeout 3 wget -qO- http://192.0.2.1:18080/")
            .run()
            .succeeds()
            .prints("web\n")
            .whatever();
        project.down();
        let after = sandbox
            .shell("iptables-save | grep -v '^[#:]'")
            .run()
            .succeeds();
        assert_eq!(
            before.stdout, after.stdout,
            "the foreign rules are as they were"
        );
        let clean = "iptables -P FORWARD ACCEPT; iptables -F; iptables -X; nft flush ruleset";
        sandbox.shell(clean).run().succeeds().whatever();
        remove_far_host(sandbox);
        sandbox
            .shell("ip link del near 2>/dev/null")
            .run()
            .whatever();
    });
}

#[test]
fn after_a_flush_of_all_rules_the_next_up_heals() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        far_host(sandbox);
        let compose = format!(
            "services:\n{}",
            server("web", "    ports: [\"18080:80\"]\n")
        );
        let project = sandbox.project("heal", &compose);
        project
            .skiff(["up", "-d", "--wait"])
            .run()
            .succeeds()
            .whatever();
        sandbox
            .shell("nft flush ruleset")
            .run()
            .succeeds()
            .whatever();
        project.up().whatever();
        sandbox
            .shell("ip netns exec far busybox timeout 3 wget -qO- http://192.0.2.1:18080/")
            .run()
            .succeeds()
            .prints("web\n")
            .whatever();
        project.down();
        remove_far_host(sandbox);
        sandbox
            .shell("ip link del near 2>/dev/null")
            .run()
            .whatever();
    });
}

#[test]
fn a_subnet_of_the_host_is_not_taken() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let script =
            "ip link add d0 type bridge && ip link set d0 up && ip addr add 172.16.0.1/13 dev d0";
        sandbox.shell(script).run().succeeds().whatever();
        let project = sandbox.project("subnet", &format!("services:\n{}", server("web", "")));
        project
            .skiff(["up", "-d", "--wait"])
            .run()
            .succeeds()
            .whatever();
        let address: std::net::Ipv4Addr = project
            .sh("web", "hostname -i")
            .trim()
            .parse()
            .expect("an address");
        let [a, b, ..] = address.octets();
        assert!(
            !(a == 172 && (16..24).contains(&b)),
            "{address} is in the host's own subnet"
        );
        project.down();
        sandbox.shell("ip link del d0").run().succeeds().whatever();
    });
}

/// The container reaches a server of the host by the gateway's address.
#[test]
fn a_container_reaches_the_hosts_own_server() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let listener = TcpListener::bind("0.0.0.0:19000").expect("a listener");
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a connection");
            stream.write_all(b"from the host\n").expect("written");
        });
        let project = sandbox.project("tohost", &format!("services:\n{}", server_with_gateway()));
        project
            .skiff(["up", "-d", "--wait"])
            .run()
            .succeeds()
            .whatever();
        assert_eq!(
            project.sh("web", "nc host.internal 19000 </dev/null"),
            "from the host\n"
        );
        server.join().expect("the server");
        project.down();
    });
}

fn server_with_gateway() -> String {
    server("web", "    extra_hosts: [\"host.internal:host-gateway\"]\n")
}
