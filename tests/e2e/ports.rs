//! Published ports: from where they answer, which are taken, what they carry.

use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::thread;

use crate::networks::{far_host, remove_far_host, server};
use crate::support::{DEADLINE, Image, http_get, isolated, program, raw_listener};

#[test]
fn published_ports_answer_from_everywhere_they_should() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        far_host(sandbox);
        let ports = "    ports: [\"18080:80\", \"127.0.0.1:18081:80\"]\n";
        let compose = format!(
            "services:\n{}{}",
            server("web", ports),
            server("client", "")
        );
        let project = sandbox.project("ports", &compose);
        project
            .skiff(["up", "-d", "--wait"])
            .run()
            .succeeds()
            .whatever();
        let page = |address: &str| http_get(address, "/").expect(address).text();
        assert_eq!(page("127.0.0.1:18080"), "web\n");
        assert_eq!(page("127.0.0.1:18081"), "web\n");
        assert_eq!(page("192.0.2.1:18080"), "web\n");
        assert!(
            http_get("192.0.2.1:18081", "/").is_err(),
            "bound to loopback only"
        );
        let far = |port: u16| {
            format!("ip netns exec far busybox timeout 3 wget -qO- http://192.0.2.1:{port}/")
        };
        sandbox
            .shell(&far(18080))
            .run()
            .succeeds()
            .prints("web\n")
            .whatever();
        sandbox.shell(&far(18081)).run().fails().whatever();
        // From another container, and from itself, by the host's address.
        for service in ["client", "web"] {
            assert_eq!(
                project.sh(service, "wget -qO- http://192.0.2.1:18080/"),
                "web\n",
                "{service}"
            );
        }
        project.down();
        assert!(http_get("127.0.0.1:18080", "/").is_err(), "free again");
        drop(raw_listener("0.0.0.0:18080"));
        remove_far_host(sandbox);
        sandbox
            .shell("ip link del near 2>/dev/null")
            .run()
            .whatever();
    });
}

/// A UDP server in the one language that every Debian has and busybox has not.
const UDP_ECHO: &str = "socket(S,2,2,17); bind(S, pack('Sna4x8',2,53,qq(\\0\\0\\0\\0))); $|=1; \
    print qq(ready\\n); while (defined($from = recv(S,$text,65535,0))) { send(S,$text,0,$from) }";

#[test]
fn a_udp_port_is_published_too() {
    isolated(|sandbox| {
        let image = Image::busybox().host_program(&program("perl"));
        sandbox.load(&image, "test/perl:latest");
        let compose = r#"
services:
  echo:
    image: test/perl
    init: true
    entrypoint: ["perl", "-e"]
    configs: [{source: script, target: /echo.pl}]
    command: ["do '/echo.pl'"]
    ports: ["127.0.0.1:18053:53/udp"]
configs: {script: {file: echo.pl}}
"#;
        let project = sandbox.project("udp", compose);
        project.write("echo.pl", UDP_ECHO);
        project.up().whatever();
        let mut logs = project.skiff(["logs", "-f"]).spawn();
        logs.wait_line("ready");
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        socket.set_read_timeout(Some(*DEADLINE)).expect("a timeout");
        for word in ["one", "two", "three"] {
            socket
                .send_to(word.as_bytes(), "127.0.0.1:18053")
                .expect("sent");
            let mut buffer = [0_u8; 64];
            let (count, from) = socket.recv_from(&mut buffer).expect("an answer");
            assert_eq!(&buffer[..count], word.as_bytes());
            assert_eq!(from.to_string(), "127.0.0.1:18053");
        }
        drop(logs);
        project.down();
    });
}

#[test]
fn a_taken_port_names_the_holder_and_starts_nothing() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let compose = |port: u16| {
            let ports = format!("    ports: [\"{port}:80\"]\n    depends_on: [db]\n");
            format!("services:\n{}{}", server("web", &ports), server("db", ""))
        };
        let listener = raw_listener("0.0.0.0:18080");
        let project = sandbox.project("taken", &compose(18080));
        let refused = project.skiff(["up", "-d"]).run().fails();
        assert!(refused.stderr.contains("18080"), "{refused}");
        let own = std::process::id().to_string();
        assert!(
            refused.stderr.contains(&own),
            "the holder is named: pid {own}\n{refused}"
        );
        let ps = project.skiff(["ps", "--format", "json"]).run().succeeds();
        assert!(
            !ps.stdout.contains("\"running\""),
            "nothing was started\n{ps}"
        );
        drop(listener);
        project
            .skiff(["up", "-d", "--wait"])
            .run()
            .succeeds()
            .whatever();
        let second = sandbox.project("second", &compose(18080));
        let refused = second.skiff(["up", "-d"]).run().fails();
        assert!(refused.stderr.contains("taken-web-1"), "{refused}");
        second.down();
        assert_eq!(
            http_get("127.0.0.1:18080", "/")
                .expect("the first still answers")
                .text(),
            "web\n"
        );
        project.down();
    });
}

#[test]
fn a_port_without_a_host_port_gets_a_free_one() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let compose = format!("services:\n{}", server("web", "    ports: [\"80\"]\n"));
        let project = sandbox.project("free", &compose);
        project
            .skiff(["up", "-d", "--wait"])
            .run()
            .succeeds()
            .whatever();
        let publishers = project.container("web")["Publishers"].clone();
        let port = publishers[0]["PublishedPort"].as_u64().expect("a port");
        assert!(port >= 1024, "{publishers}");
        assert_eq!(
            http_get(&format!("127.0.0.1:{port}"), "/")
                .expect("an answer")
                .text(),
            "web\n"
        );
        project.down();
    });
}

/// A byte stream of 8 MiB each way through the proxy and back, unharmed.
#[test]
fn a_published_port_carries_bulk_both_ways() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let compose = r#"
services:
  echo:
    image: test/busybox
    command: ["sh", "-c", "echo ready; exec nc -l -p 7 -e cat"]
    ports: ["127.0.0.1:18007:7"]
"#;
        let project = sandbox.project("bulk", compose);
        project.up().whatever();
        let mut logs = project.skiff(["logs", "-f"]).spawn();
        logs.wait_line("ready");
        let sent: Vec<u8> = (0..8 << 20).map(|n: u32| (n % 251) as u8).collect();
        let received = loop {
            let mut stream = TcpStream::connect("127.0.0.1:18007").expect("published");
            let mut writer = stream.try_clone().expect("a descriptor");
            let copy = sent.clone();
            let feed = thread::spawn(move || {
                writer.write_all(&copy).ok();
                writer.shutdown(std::net::Shutdown::Write).ok();
            });
            let mut received = Vec::new();
            stream.read_to_end(&mut received).ok();
            feed.join().expect("the writer");
            // Before the listener inside is up, the connection is closed empty.
            if !received.is_empty() {
                break received;
            }
        };
        assert!(
            received == sent,
            "{} of {} bytes",
            received.len(),
            sent.len()
        );
        drop(logs);
        project.down();
    });
}
